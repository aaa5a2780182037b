// Tabs that the browser freezes or lays away, and two deploys in one browser, with the real client.
//
// Chromium alone where pages are frozen or kept: Puppeteer's keeps the back/forward cache and hides tabs in the background,
// which Playwright's browsers do not, and no protocol of Firefox freezes a page.

import type { Browser as PuppeteerBrowser, BrowserContext as PuppeteerContext } from 'puppeteer-core'
import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hasFirefox, launchChromium, launchFirefox, launchLifelike } from './support/browsers.ts'
import {
  expectSound, historyOf, namesFrom, namesOf, openClient, openLifelikeClient, patience, untilAcknowledged, untilConsumed,
  untilLives, untilSeen,
} from './support/clients.ts'
import { type PageServer, servePages } from './support/pages.ts'

let pages: PageServer
beforeAll(async () => {
  pages = await servePages()
})
afterAll(() => pages.close())

describe('Chromium, pages as users have them', () => {
  let browser: PuppeteerBrowser
  let context: PuppeteerContext
  beforeAll(async () => {
    browser = await launchLifelike()
  })
  afterAll(() => browser.close())
  beforeEach(async () => {
    context = await browser.createBrowserContext()
  })
  afterEach(() => context.close())

  test('what a frozen tab holds goes on to another, and it works on when it runs again', async () => {
    const frozen = await openLifelikeClient(context, pages, { tab: 'A' })
    await frozen.call('consume', 'held', { topic: 'jobs', group: 'workers', handling: 'hold', concurrency: 4, prefetch: 10 })
    const other = await openLifelikeClient(context, pages, { tab: 'B' })
    await other.call('send', 'jobs', namesFrom('job', 20))
    await untilSeen(frozen, 'held', 4)
    await other.page.bringToFront()
    const session = await frozen.page.createCDPSession()
    await session.send('Page.setWebLifecycleState', { state: 'frozen' })
    await other.call('consume', 'work', { topic: 'jobs', group: 'workers' })
    const seen = await untilSeen(other, 'work', 20)
    const attemptOf = new Map(seen.map(({ name, attempt }) => [name, attempt]))
    expect(namesFrom('job', 4).map((name) => attemptOf.get(name))).toEqual([2, 2, 2, 2])
    await untilConsumed(other, 'workers')
    await session.send('Page.setWebLifecycleState', { state: 'active' })
    // It hears that what it had is not its own any more, and can't settle it.
    await expect.poll(async () => (await frozen.call('seen', 'held')).map(({ isLost }) => isLost), patience)
      .toEqual([true, true, true, true])
    expect(await frozen.call('settleHeld', 'held', 'ack')).toEqual(Array.from({ length: 4 }, () => 'RECEIPT_STALE'))
    await other.call('closeConsumer', 'work')
    await frozen.call('send', 'jobs', ['awake'])
    expect(namesOf(await untilSeen(frozen, 'held', 5)).at(-1)).toBe('awake')
    expect(await frozen.call('settleHeld', 'held', 'ack')).toEqual([])
    await untilConsumed(other, 'workers')
    expectSound(await historyOf([frozen]), 'workers')
  })

  test('a page from the back/forward cache goes on sending and consuming where it was', async () => {
    const kept = await openLifelikeClient(context, pages, { tab: 'A' })
    const other = await openLifelikeClient(context, pages, { tab: 'B' })
    await kept.page.bringToFront()
    await kept.call('consume', 'work', { topic: 'jobs', group: 'workers' })
    await kept.call('consume', 'all', { topic: 'jobs', group: 'readers', mode: 'BROADCASTING', from: 'earliest' })
    await other.call('send', 'jobs', namesFrom('before', 5))
    await Promise.all([untilSeen(kept, 'work', 5), untilSeen(kept, 'all', 5)])
    await kept.page.evaluate(() => Object.assign(window, { isKept: true }))
    await kept.page.goto(pages.urlOf('blank'))
    await other.call('send', 'jobs', namesFrom('away', 5))
    await kept.page.goBack()
    // The very same document, not a new one.
    expect(await kept.page.evaluate(() => 'isKept' in window)).toBe(true)
    await Promise.all([untilSeen(kept, 'work', 10), untilSeen(kept, 'all', 10)])
    await kept.call('send', 'jobs', ['back'])
    await Promise.all([untilSeen(kept, 'work', 11), untilSeen(kept, 'all', 11)])
    const expected = [...namesFrom('before', 5), ...namesFrom('away', 5), 'back']
    expect(namesOf(await kept.call('seen', 'all'))).toEqual(expected)
    await untilConsumed(other, 'workers')
    const history = await historyOf([other])
    expectSound(history, 'workers')
    expectSound(history, 'readers', { isBroadcasting: true, isOrdered: true })
  })
})

const browsers = [
  { browserName: 'Chromium', isThere: true, launch: launchChromium },
  { browserName: 'Firefox', isThere: hasFirefox, launch: launchFirefox },
]

for (const { browserName, isThere, launch } of browsers) {
  // Firefox is tested where it is installed; Chromium has to be.
  describe.runIf(isThere)(`${browserName}, two deploys`, () => {
    let browser: Browser
    let context: BrowserContext
    beforeAll(async () => {
      browser = await launch()
      context = await browser.newContext()
    })
    afterAll(() => browser.close())

    test('a newer build takes the engine over in the middle of sends, and tabs of both go on', async () => {
      const older = await openClient(context, pages, { tab: 'A', build: 'a' })
      await older.call('consume', 'all', { topic: 'jobs', group: 'readers', mode: 'BROADCASTING', from: 'earliest' })
      await older.call('consume', 'work', { topic: 'jobs', group: 'workers', prefetch: 10 })
      await older.call('startSending', { topic: 'jobs', prefix: 'old', count: 500, countPerTurn: 1 })
      await untilAcknowledged(older, 'old', 30)
      const newer = await openClient(context, pages, { tab: 'B', build: 'b' })
      await untilLives(older, 2)
      await newer.call('consume', 'work', { topic: 'jobs', group: 'workers', prefetch: 10 })
      await newer.call('startSending', { topic: 'jobs', prefix: 'new', count: 100, countPerTurn: 1 })
      await Promise.all([untilAcknowledged(older, 'old', 500), untilAcknowledged(newer, 'new', 100)])
      await untilSeen(older, 'all', 600)
      await untilConsumed(newer, 'workers')
      const history = await historyOf([newer])
      expectSound(history, 'readers', { isBroadcasting: true, isOrdered: true })
      expectSound(history, 'workers')
      // Each moved once at most: nobody asks back.
      for (const tab of [older, newer]) {
        expect((await tab.call('events')).filter((event) => event === 'lost').length).toBeLessThanOrEqual(1)
      }
    })
  })
}
