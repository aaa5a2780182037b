// Pages that the browser lays away or freezes, as users' browsers do it: Puppeteer's Chromium keeps the back/forward cache
// and hides tabs in the background, which Playwright's does not.

import type { Browser, Page } from 'puppeteer-core'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { HostsPage, HostsState } from './pages/hosts.ts'
import { launchLifelike } from './support/browsers.ts'
import { type PageServer, servePages } from './support/pages.ts'

interface WithProbe { readonly probe: HostsPage }

let pages: PageServer
let browser: Browser
let open: (start: Parameters<HostsPage['start']>[0]) => Promise<Page>
beforeAll(async () => {
  [pages, browser] = await Promise.all([servePages(), launchLifelike()])
})
afterAll(async () => {
  await browser.close()
  await pages.close()
})
beforeEach(async () => {
  const context = await browser.createBrowserContext()
  open = async (start) => {
    const page = await context.newPage()
    await page.goto(pages.urlOf('hosts'))
    await page.waitForFunction(() => 'probe' in window)
    await page.evaluate((start) => (window as unknown as WithProbe).probe.start(start), start)
    await until(page, { isAttached: true })
    return page
  }
  return () => context.close()
})

const stateOf = (page: Page) => page.evaluate(() => (window as unknown as WithProbe).probe.state())
const ask = (page: Page, request: Parameters<HostsPage['ask']>[0]) =>
  page.evaluate((request) => (window as unknown as WithProbe).probe.ask(request), request)

async function until(page: Page, expected: Partial<HostsState>): Promise<void> {
  await expect.poll(() => stateOf(page), { timeout: 15_000, interval: 20 }).toMatchObject(expected)
}

for (const host of ['shared', 'leader', 'inline'] as const) {
  test(`${host}: a page that comes back from the back/forward cache attaches itself anew`, async () => {
    const page = await open({ host })
    const { tabId } = await stateOf(page)
    await page.evaluate(() => Object.assign(window, { isKept: true }))
    await page.goto(pages.urlOf('blank'))
    await page.goBack()
    // The very same document, not a new one.
    expect(await page.evaluate(() => 'isKept' in window)).toBe(true)
    await until(page, { isAttached: true, tabId, events: ['attached', 'lost ENGINE_LOST', 'attached'] })
    expect(await ask(page, { kind: 'echo', text: 'back' })).toEqual({ kind: 'echoed', text: 'back' })
  })
}

test('a page in the back/forward cache is gone for the engine, which heard its last words and does not evict it', async () => {
  const [kept, other] = [await open({ host: 'shared' }), await open({ host: 'shared' })]
  const { tabId } = await stateOf(kept)
  await kept.bringToFront()
  await kept.evaluate(() => Object.assign(window, { isKept: true }))
  await kept.goto(pages.urlOf('blank'))
  await expect.poll(() => ask(other, { kind: 'tabs' })).toMatchObject({ gone: [tabId], notes: ['last words'] })
  await kept.goBack()
  expect(await kept.evaluate(() => 'isKept' in window)).toBe(true)
  await until(kept, { isAttached: true })
})

test('a leader that goes into the back/forward cache hands over, and comes back as a follower', async () => {
  const [leader, follower] = [await open({ host: 'leader' }), await open({ host: 'leader' })]
  await leader.bringToFront()
  expect((await stateOf(leader)).isLeader).toBe(true)
  await leader.goto(pages.urlOf('blank'))
  await until(follower, { isAttached: true, isLeader: true })
  await leader.goBack()
  await leader.waitForFunction(() => 'probe' in window)
  // Kept or loaded anew, as the browser saw fit.
  if ((await stateOf(leader)).tabId === undefined) {
    await leader.evaluate(() => (window as unknown as WithProbe).probe.start({ host: 'leader' }))
  }
  await until(leader, { isAttached: true, isLeader: false })
})

test('a frozen page says so, and says when it runs again', async () => {
  const page = await open({ host: 'shared' })
  await page.evaluate(() => {
    const said: string[] = []
    Object.assign(window, { said })
    const { postMessage } = MessagePort.prototype
    MessagePort.prototype.postMessage = function post(message: { kind?: string; pace?: string }, ...rest: []) {
      if (message.kind === 'pace') said.push(String(message.pace))
      postMessage.call(this, message, ...rest)
    }
  })
  const front = await open({ host: 'shared' })
  await front.bringToFront()
  const session = await page.createCDPSession()
  await session.send('Page.setWebLifecycleState', { state: 'frozen' })
  await session.send('Page.setWebLifecycleState', { state: 'active' })
  await expect.poll(() => page.evaluate(() => (window as unknown as { said: string[] }).said), { timeout: 10_000 })
    .toEqual(['frozen', 'running'])
})

test('followers of a frozen leader take the engine over, and the leader follows when it runs again', async () => {
  const bounds = { silentMs: 500 }
  const leader = await open({ host: 'leader', bounds })
  const follower = await open({ host: 'leader', bounds })
  await follower.bringToFront()
  expect((await stateOf(leader)).isLeader).toBe(true)
  const session = await leader.createCDPSession()
  await session.send('Page.setWebLifecycleState', { state: 'frozen' })
  await until(follower, { isAttached: true, isLeader: true })
  await session.send('Page.setWebLifecycleState', { state: 'active' })
  await leader.bringToFront()
  await until(leader, { isAttached: true, isLeader: false })
  expect(await ask(leader, { kind: 'echo', text: 'awake' })).toEqual({ kind: 'echoed', text: 'awake' })
})
