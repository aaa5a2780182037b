// The demo's page in real tabs, served by a relay as users have it: scene by scene, with a second tab or a second device
// where the scene is about one; looked over by axe, and photographed.

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readPages } from '../../server/pages.ts'
import { type Relay, startRelay } from '../../server/relay.ts'
import { buildPages } from '../../tools/build-pages.mjs'
import { launchChromium } from './support/browsers.ts'
import { patience } from './support/clients.ts'
import { createLooks, desktop } from './support/page-looks.ts'

const { photograph, lookAt } = createLooks('demo')
/** A scene has to do with people's speed: a payment is asked for after two seconds. */
const calm = { ...patience, timeout: 30_000 }

let pagesFolder: string
let browser: Browser
let relay: Relay
let context: BrowserContext
const contexts: BrowserContext[] = []
const thrown: string[] = []

beforeAll(async () => {
  pagesFolder = mkdtempSync(join(tmpdir(), 'pocketmq-pages-'))
  await buildPages({ buildId: 'test', outDir: pagesFolder, only: 'demo' })
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  rmSync(pagesFolder, { recursive: true, force: true })
})
beforeEach(async () => {
  relay = await startRelay({ port: 0, isInMemory: true }, { pagesFolder })
  context = await device()
})
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((one) => one.close()))
  await relay.close()
  expect(thrown.splice(0), 'what pages threw').toEqual([])
})

/** A browser profile of its own. */
async function device(options: Parameters<Browser['newContext']>[0] = {}): Promise<BrowserContext> {
  const made = await browser.newContext({ viewport: desktop, locale: 'en-US', ...options })
  contexts.push(made)
  made.on('weberror', (error) => thrown.push(String(error.error().stack)))
  made.on('console', (message) => {
    // Blocked by the pages' policy, or failed in a way nobody looked at.
    if (message.type() === 'error') thrown.push(message.text())
  })
  return made
}

async function open(
  scene: string, { query = '', from = context }: { query?: string; from?: BrowserContext } = {},
): Promise<Page> {
  const page = await from.newPage()
  await page.goto(`${relay.httpUrl}/demo/${query}#${scene}`)
  await page.getByTestId(`scene-${scene}`).waitFor()
  return page
}

const counted = async (page: Page, id: string): Promise<number> =>
  Number((await page.getByTestId(id).innerText()).replaceAll(/\D/g, ''))

describe('the demo', () => {
  test('shaves a peak: a burst waits, workers of two devices share it, and a closed tab’s orders move on', async () => {
    const page = await open('peak')
    await expect.poll(() => page.getByTestId('workers').getByRole('listitem').count(), calm).toBe(3)
    await page.getByTestId('burst-size').fill('3000')
    await page.getByTestId('burst').click()
    await expect.poll(() => counted(page, 'stored'), calm).toBe(3000)
    await expect.poll(() => counted(page, 'backlog'), calm).toBeGreaterThan(1000)
    await lookAt(page, 'peak')

    const other = await open('peak', { from: await device() })
    await expect.poll(() => counted(other, 'packed'), calm).toBeGreaterThan(0)
    await expect.poll(() => page.getByTestId('crews').getByRole('listitem').count(), calm).toBe(2)
    const byOther = await counted(other, 'packed')
    await other.close()
    await expect.poll(() => page.getByTestId('crews').getByRole('listitem').count(), calm).toBe(1)

    await page.getByTestId('pace').selectOption('2000')
    await expect.poll(() => counted(page, 'backlog'), calm).toBe(0)
    await expect.poll(() => counted(page, 'in-flight'), calm).toBe(0)
    expect(await counted(page, 'packed')).toBeGreaterThanOrEqual(3000 - byOther - 1000)
    expect(await page.getByTestId('link').getAttribute('data-link')).toBe('connected')
  })

  test('keeps an order’s steps in order, buries what fails three times, and sends it back', async () => {
    const page = await open('life')
    // Its desk takes a share of the steps; both show all of them.
    const tab = await open('life')
    await page.getByTestId('place-broken').click()
    await page.getByTestId('place-ten').click()
    await expect.poll(() => page.getByTestId('order').locator('[data-step=shipped][data-state=done]').count(), calm).toBe(10)
    const broken = page.getByTestId('broken-order').locator('[data-step=shipped]')
    await expect.poll(() => broken.getAttribute('data-state'), calm).toBe('dead')
    await expect.poll(() => page.getByTestId('dead-letters').getByRole('listitem').count(), calm).toBe(1)
    await lookAt(page, 'life')

    await tab.getByTestId('mended').click()
    await expect.poll(() => page.getByTestId('mended').getAttribute('aria-pressed'), calm).toBe('true')
    await page.getByTestId('send-back').click()
    for (const one of [page, tab]) {
      const shipped = one.locator('[data-step=shipped]')
      await expect.poll(() => shipped.evaluateAll((all) => all.map((step) => step.dataset.state)), calm)
        .toEqual(Array.from({ length: 11 }, () => 'done'))
    }
    await expect.poll(() => page.getByTestId('dead-letters').count(), calm).toBe(0)
  })

  test('shows prices to every tab, filtered by tag and by SQL, from now or from the beginning', async () => {
    const page = await open('prices')
    await page.getByTestId('rate').selectOption('50')
    await page.getByTestId('market').click()
    await expect.poll(() => page.getByTestId('board').getByRole('button').count(), calm).toBe(8)
    await lookAt(page, 'prices')
    await page.getByTestId('market').click()

    // As over plain http from another machine: without what browsers keep for secure pages.
    const plain = await device()
    await plain.addInitScript('delete Crypto.prototype.randomUUID; delete Navigator.prototype.clipboard')
    const late = await open('prices', { from: plain })
    await late.getByTestId('filter-kind').selectOption('sql')
    await late.getByTestId('sql').fill('off >=== 3')
    await late.getByTestId('start').selectOption('earliest')
    await late.getByTestId('open-board').click()
    await expect.poll(() => late.locator('.field-error').innerText(), calm).toContain('BAD_FILTER')
    await photograph(late, 'prices-bad-filter')
    await late.getByTestId('sql').fill("off > 0 AND (TAGS = 'phone' OR TAGS = 'tea')")
    await late.getByTestId('open-board').click()
    const rows = late.getByTestId('board').getByRole('button')
    const shown = () => rows.evaluateAll((all) => all.map((one) => one.dataset.item))
    await expect.poll(shown, calm).toEqual(['phone', 'tea'])

    await late.getByTestId('filter-kind').selectOption('tags')
    await late.getByTestId('tags').fill('bike || lamp')
    await late.getByTestId('open-board').click()
    await expect.poll(shown, calm).toEqual(['bike', 'lamp'])
    await late.getByTestId('start').selectOption('latest')
    await late.getByTestId('open-board').click()
    await expect.poll(() => late.getByTestId('board').count(), calm).toBe(0)
  })

  test('cancels an order that nobody pays, and takes the message back of one that is paid', async () => {
    const page = await open('unpaid')
    await page.getByTestId('delay').selectOption('60s')
    await page.getByTestId('place').click()
    const paid = page.getByTestId('unpaid-order').first()
    await paid.getByRole('button', { name: /^Pay/ }).click()
    await expect.poll(() => paid.getAttribute('data-state'), calm).toBe('paid')
    await page.getByTestId('delay').selectOption('5s')
    await page.getByTestId('place').click()
    await page.getByTestId('delay').selectOption('15s')
    await page.getByTestId('place').click()
    const states = () => page.getByTestId('unpaid-order').evaluateAll((all) => all.map((one) => one.dataset.state))
    await expect.poll(states, calm).toEqual(['waiting', 'cancelled', 'paid'])
    await lookAt(page, 'unpaid')
  })

  test('commits, rolls back, and asks another tab when the paying one was closed in the middle', async () => {
    const page = await open('payment')
    const visible = () => page.getByTestId('payments').getByRole('listitem').count()
    await page.getByTestId('pay').click()
    await expect.poll(visible, calm).toBe(1)
    await page.getByTestId('refuse').click()
    await page.getByText('1 rolled back').waitFor()

    for (const [button, verdict, countAfter] of [['die-before', 'rollback', 1], ['die-after', 'commit', 2]] as const) {
      const [dying] = await Promise.all([context.waitForEvent('page'), page.getByTestId(button).click()])
      if (!dying.isClosed()) await dying.waitForEvent('close')
      if (verdict === 'rollback') {
        await page.getByTestId('halves').waitFor()
        await photograph(page, 'payment-half')
      }
      await page.getByTestId('checks').locator(`[data-verdict=${verdict}]`).waitFor()
      await expect.poll(visible, calm).toBe(countAfter)
      await expect.poll(() => page.getByTestId('halves').count(), calm).toBe(0)
    }
    expect(await page.getByTestId('checks').getByRole('listitem').count()).toBe(2)
    await lookAt(page, 'payment')
  })

  test('goes on selling offline; all arrives on return, once and in order, on the other device too', async () => {
    const page = await open('offline')
    const tab = await open('offline')
    const other = await open('offline', { from: await device() })
    await page.getByTestId('sell').click()
    await expect.poll(() => counted(other, 'arrived'), calm).toBe(1)

    await page.getByTestId('switch').click()
    await expect.poll(() => page.getByTestId('link').getAttribute('data-link'), calm).not.toBe('connected')
    await expect.poll(() => tab.getByTestId('switch').getAttribute('aria-pressed'), calm).toBe('true')
    await page.getByTestId('sell-on').click()
    await expect.poll(() => counted(page, 'outbox-count'), calm).toBeGreaterThan(20)
    await page.getByTestId('sell-on').click()
    await page.getByTestId('note').fill('the till is open')
    await page.getByTestId('say').click()
    await tab.getByTestId('notes').getByText('the till is open').waitFor()
    expect(await counted(other, 'arrived')).toBe(1)
    await page.bringToFront()
    await lookAt(page, 'offline')
    const soldCount = await counted(page, 'outbox-count') + 1

    await page.getByTestId('switch').click()
    await expect.poll(() => counted(page, 'outbox-count'), calm).toBe(0)
    for (const one of [page, tab, other]) {
      await expect.poll(() => counted(one, 'arrived'), calm).toBe(soldCount)
      expect([await counted(one, 'twice'), await counted(one, 'disorder')]).toEqual([0, 0])
    }
    expect(await page.locator('[data-pending=true]').count()).toBe(0)
  })

  test('shows the trace of a message that was clicked: made, sent, stored, delivered, acknowledged', async () => {
    const page = await open('life')
    await page.getByTestId('place').click()
    await page.locator('[data-step=shipped][data-state=done]').click()
    await page.getByTestId('timeline').waitFor()
    const events = page.getByTestId('timeline').getByRole('listitem')
    const kinds = () => events.evaluateAll((all) => all.map((one) => one.dataset.kind))
    expect(await kinds()).toEqual(['born', 'sent', 'stored', 'delivered', 'acked'])
    await lookAt(page, 'trace')
    await page.getByTestId('message-id').fill('no id at all')
    await page.getByTestId('ask').click()
    await expect.poll(() => page.locator('.field-error').innerText(), calm).toMatch(/^[A-Z_]+: /)
  })

  test('plays among the tabs of one browser where there is no relay', async () => {
    const page = await open('offline', { query: '?relay=none' })
    const tab = await open('offline', { query: '?relay=none' })
    expect(await page.getByTestId('link').getAttribute('data-link')).toBe('none')
    expect(await page.getByTestId('switch').isDisabled()).toBe(true)
    await page.getByTestId('note').fill('hello')
    await page.getByTestId('say').click()
    await tab.getByTestId('notes').getByText('hello').waitFor()
    await page.getByTestId('sell').click()
    await expect.poll(() => counted(tab, 'arrived'), calm).toBe(1)
    await page.getByRole('link', { name: 'Peak shaving' }).click()
    await page.getByTestId('burst-size').fill('200')
    await page.getByTestId('burst').click()
    await expect.poll(() => counted(page, 'packed'), calm).toBe(200)
  })

  test('plays from a static host: alone, and with any relay that lets its pages in', async () => {
    const { find } = readPages(pagesFolder)
    const host = createServer((asked, response) => {
      const file = find((asked.url ?? '').split('?', 1)[0] ?? '')
      response.writeHead(file === undefined ? 404 : 200, { 'content-type': file?.contentType ?? 'text/plain' }).end(file?.body)
    })
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve))
    const origin = `http://127.0.0.1:${(host.address() as AddressInfo).port}`
    await relay.close()
    relay = await startRelay({ port: 0, isInMemory: true, origins: [origin] }, { pagesFolder })
    try {
      const alone = await (await device()).newPage()
      // Asking whether the host is a relay is answered by no, which browsers log.
      alone.context().removeAllListeners('console')
      await alone.goto(`${origin}/demo/#offline`)
      await alone.getByTestId('scene-offline').waitFor()
      expect(await alone.getByTestId('link').getAttribute('data-link')).toBe('none')

      const query = `?relay=${encodeURIComponent(relay.url)}&room=static`
      const guests = await Promise.all([await device(), await device()].map((from) => from.newPage()))
      for (const guest of guests) {
        await guest.goto(`${origin}/demo/${query}#offline`)
        await expect.poll(() => guest.getByTestId('link').getAttribute('data-link'), calm).toBe('connected')
      }
      await guests[0]?.getByTestId('sell').click()
      for (const guest of guests) await expect.poll(() => counted(guest, 'arrived'), calm).toBe(1)
    } finally {
      host.closeAllConnections()
      host.close()
    }
  })

  test('asks for a token where the relay has them', async () => {
    await relay.close()
    relay = await startRelay({ port: 0, isInMemory: true, tokens: ['secret'] }, { pagesFolder })
    const page = await open('offline')
    await page.getByTestId('token').fill('wrong')
    await page.getByTestId('token-go').click()
    await page.locator('.field', { has: page.getByTestId('token') }).getByRole('alert').waitFor()
    await page.getByTestId('token').fill('secret')
    await lookAt(page, 'token')
    await page.getByTestId('token-go').click()
    await expect.poll(() => page.getByTestId('link').getAttribute('data-link'), calm).toBe('connected')
    expect(await page.getByTestId('token').count()).toBe(0)
    await page.getByTestId('sell').click()
    await expect.poll(() => counted(page, 'arrived'), calm).toBe(1)
  })

  test('says that the relay is away, and goes on when it is back', async () => {
    const page = await open('offline')
    // Connections that fail are logged by the browser.
    context.removeAllListeners('console')
    const { port } = relay
    await relay.close()
    await page.getByTestId('away').waitFor()
    await page.getByRole('link', { name: 'An order’s life' }).click()
    await page.getByTestId('place').click()
    await photograph(page, 'away')
    relay = await startRelay({ port, isInMemory: true }, { pagesFolder })
    await page.getByTestId('away').getByRole('button').click()
    await page.locator('[data-step=shipped][data-state=done]').waitFor()
    await page.getByTestId('away').waitFor({ state: 'detached' })
  })

  test('speaks Chinese, turns dark, and lets a second device in', async () => {
    const page = await open('prices')
    await page.getByTestId('language').click()
    expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN')
    await page.getByRole('heading', { name: '价格看板' }).first().waitFor()
    await page.getByTestId('theme').click()
    await page.getByTestId('theme').click()
    expect(await page.locator('html').getAttribute('data-theme')).toBe('dark')
    await photograph(page, 'chinese-dark')
    await page.reload()
    await page.getByRole('heading', { name: '价格看板' }).first().waitFor()
    expect(await page.locator('html').getAttribute('data-theme')).toBe('dark')
    await page.getByTestId('theme').click()
    await page.getByTestId('language').click()

    await page.getByTestId('invite').click()
    await page.getByRole('img', { name: 'QR code of the link' }).waitFor()
    await lookAt(page, 'invite')
    const link = await page.getByTestId('invite-link').getAttribute('href')
    expect(link).toBe(`${relay.httpUrl}/demo/?room=sale#prices`)
    const guest = await (await device()).newPage()
    await guest.goto(link ?? '')
    await guest.getByTestId('market').click()
    await page.keyboard.press('Escape')
    await page.getByTestId('board').waitFor()
  })

  test('says beside the field what is wrong with a burst', async () => {
    const page = await open('peak', { query: '?relay=none' })
    for (const size of ['0', '-3', '1.5', '100001', '']) {
      await page.getByTestId('burst-size').fill(size)
      await page.getByTestId('burst').click()
      await expect.poll(() => page.locator('.field-error').innerText(), calm).toContain('100,000')
    }
    await page.getByTestId('burst-size').fill('1')
    await page.getByTestId('burst').click()
    await expect.poll(() => counted(page, 'packed'), calm).toBe(1)
    expect(await page.locator('.field-error').count()).toBe(0)
  })

  // 60 frames a second is what an idle machine shows; software rendering on a busy one is given half of that.
  test('shows 5,000 messages a second and keeps drawing', async () => {
    const page = await open('peak', { query: '?relay=none' })
    await expect.poll(() => page.getByTestId('workers').getByRole('listitem').count(), calm).toBe(3)
    await page.getByTestId('pace').selectOption('2000')
    await page.getByTestId('burst-size').fill('40000')
    // The machine may be busy with something else for a while: what is asked is whether the page can.
    const best = { perSecond: 0, medianMs: Infinity, slowShare: 1 }
    await expect.poll(async () => {
      const burst = page.getByTestId('burst')
      if (await counted(page, 'backlog') < 5_000 && await burst.isEnabled()) await burst.click()
      const { perSecond, frames } = await measureFrames(page)
      const medianMs = frames[Math.floor(frames.length / 2)] ?? Infinity
      const slowShare = frames.filter((ms) => ms > 25).length / frames.length
      if (perSecond >= 5_000 && slowShare < best.slowShare) Object.assign(best, { perSecond, medianMs, slowShare })
      return best.perSecond >= 5_000 && best.medianMs < 34
    }, { timeout: 90_000, interval: 10 }).toBe(true)
  }, 120_000)
})

/** Frame times of about a second, sorted, and how many messages were shown in it. */
function measureFrames(page: Page): Promise<{ perSecond: number; frames: number[] }> {
  return page.evaluate(() => new Promise((resolve) => {
    const shown = (): number => Number(document.querySelector('[data-testid=packed]')?.textContent?.replaceAll(/\D/g, ''))
    const frames: number[] = []
    const [countBefore, startMs] = [shown(), performance.now()]
    let lastMs = startMs
    const next = (): void => {
      const now = performance.now()
      frames.push(now - lastMs)
      lastMs = now
      if (now - startMs < 1_000) return void requestAnimationFrame(next)
      const perSecond = ((shown() - countBefore) * 1_000) / (now - startMs)
      resolve({ perSecond, frames: frames.slice(1).sort((a, b) => a - b) })
    }
    requestAnimationFrame(next)
  }))
}
