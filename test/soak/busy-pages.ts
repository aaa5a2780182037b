// The demo and the console of one relay, each in a tab of its own, kept busy: orders in bursts that three workers drain as
// fast as they may, and an operator who looks at the live charts and now and then at every other page.

import type { Browser, CDPSession, Page } from 'puppeteer-core'

/** What one of them needs at a moment, after a collection. */
export interface Weight {
  /** All that lives in the heap but compiled code. */
  readonly objectBytes: number
  readonly nodeCount: number
  readonly listenerCount: number
}

/** Both pages, and the engine of the demo's. */
export interface Look {
  readonly demo: Weight
  readonly console: Weight
  readonly engine: Weight
}

/** The next burst is sent when fewer orders than this wait. */
const backlogMin = 5_000
const burstCount = 40_000
/** How long a burst may take on a machine that is busy with other things. */
const calmMsMax = 120_000
/** The other pages of the console, one after the other. */
const consolePages = ['topics', 'groups', 'messages', 'dead-letters', 'delayed', 'connections', 'settings'] as const

export class BusyPages {
  readonly #browser: Browser
  readonly #demo: Page
  readonly #console: Page
  readonly #thrown: string[]
  #consoleTurn = 0

  private constructor(browser: Browser, demo: Page, console: Page, thrown: string[]) {
    this.#browser = browser
    this.#demo = demo
    this.#console = console
    this.#thrown = thrown
  }

  /** Opens both, each in a window of its own: tabs in the background draw nothing. */
  static async open(browser: Browser, relayUrl: string): Promise<BusyPages> {
    const thrown: string[] = []
    const open = async (path: string, testId: string): Promise<Page> => {
      const page = await (await browser.createBrowserContext()).newPage()
      page.on('pageerror', (error) => thrown.push(String(error)))
      await page.setViewport({ width: 1280, height: 900 })
      await page.goto(`${relayUrl}${path}`)
      await page.waitForSelector(`[data-testid=${testId}]`)
      return page
    }
    const demo = await open('/demo/#peak', 'burst')
    await demo.waitForFunction(() => document.querySelectorAll('[data-testid=workers] li').length === 3)
    await demo.select('[data-testid=pace]', '2000')
    return new BusyPages(browser, demo, await open('/console/#/overview', 'page-overview'), thrown)
  }

  /** A burst, when the one before is nearly done. Throws what a page threw. */
  async work(): Promise<void> {
    if (this.#thrown.length > 0) throw new Error(`a page threw: ${this.#thrown[0]}`)
    await this.#demo.evaluate(async (least, size) => {
      const find = (id: string) => document.querySelector<HTMLElement>(`[data-testid=${id}]`)
      const backlog = Number(find('backlog')?.textContent?.replaceAll(/\D/g, ''))
      const input = find('burst-size') as HTMLInputElement
      const burst = find('burst') as HTMLButtonElement
      if (backlog >= least || burst.disabled) return
      input.value = String(size)
      input.dispatchEvent(new Event('input', { bubbles: true }))
      // Drawn by then: the button reads what the field holds. Waited for: frames may be slow, and one burst is enough.
      await new Promise((drawn) => requestAnimationFrame(drawn))
      burst.click()
    }, backlogMin, burstCount)
  }

  /** The next of the console's pages, and back to the overview. */
  async visit(): Promise<void> {
    const name = consolePages[this.#consoleTurn++ % consolePages.length] as string
    for (const to of [name, 'overview']) {
      await this.#console.evaluate((hash) => (location.hash = hash), `#/${to}`)
      await this.#console.waitForSelector(`[data-testid=page-${to}]`)
    }
  }

  /** Orders packed so far, as the page shows them. */
  packedCount(): Promise<number> {
    return this.#demo.evaluate(() =>
      Number(document.querySelector('[data-testid=packed]')?.textContent?.replaceAll(/\D/g, '')))
  }

  /** When no burst is on its way: those orders are in the page, and in the engine, until they are stored. */
  async look(): Promise<Look> {
    await this.#demo.waitForFunction((least) => {
      const find = (id: string) => document.querySelector<HTMLButtonElement>(`[data-testid=${id}]`)
      return find('burst')?.disabled === false && Number(find('backlog')?.textContent?.replaceAll(/\D/g, '')) < least
    }, { timeout: calmMsMax }, backlogMin * 2)
    const target = await this.#browser.waitForTarget((candidate) => candidate.type() === 'shared_worker')
    return {
      demo: await weightOf(await this.#demo.createCDPSession(), true),
      engine: await weightOf(await target.createCDPSession(), false),
      console: await weightOf(await this.#console.createCDPSession(), true),
    }
  }
}

async function weightOf(session: CDPSession, isPage: boolean): Promise<Weight> {
  const objectBytes = objectBytesOf(await snapshotOf(session))
  const { nodes, jsEventListeners } = isPage ? await session.send('Memory.getDOMCounters') : { nodes: 0, jsEventListeners: 0 }
  await session.detach()
  return { objectBytes, nodeCount: nodes, listenerCount: jsEventListeners }
}

/** The form of a heap snapshot, as far as it is read: nodes as rows of `node_fields` numbers. */
interface HeapSnapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly (readonly string[])[] }
  }
  readonly nodes: readonly number[]
}

/** Collects garbage first. */
async function snapshotOf(session: CDPSession): Promise<HeapSnapshot> {
  const chunks: string[] = []
  const keep = ({ chunk }: { readonly chunk: string }): void => void chunks.push(chunk)
  session.on('HeapProfiler.addHeapSnapshotChunk', keep)
  await session.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false })
  session.off('HeapProfiler.addHeapSnapshotChunk', keep)
  return JSON.parse(chunks.join('')) as HeapSnapshot
}

/** Without compiled code, of which a browser makes more for as long as something runs. */
function objectBytesOf({ snapshot: { meta }, nodes }: HeapSnapshot): number {
  const width = meta.node_fields.length
  const [typeAt, sizeAt] = [meta.node_fields.indexOf('type'), meta.node_fields.indexOf('self_size')]
  const code = meta.node_types[0]?.indexOf('code')
  let bytes = 0
  for (let row = 0; row < nodes.length; row += width) {
    if (nodes[row + typeAt] !== code) bytes += nodes[row + sizeAt] as number
  }
  return bytes
}
