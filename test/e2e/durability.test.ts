// What is acknowledged is there when the browser is killed with all its processes and started again on the same profile.

import type { BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ClientPageOptions } from './pages/client.ts'
import { createProfile, hasFirefox, type Profile } from './support/browsers.ts'
import {
  type ClientTab, namesFrom, namesOf, openClient, patience, untilAcknowledged, untilConsumed, untilSeen,
} from './support/clients.ts'
import { killBrowser } from './support/kill-browser.ts'
import { type PageServer, servePages } from './support/pages.ts'
import { RelayBox, storedAt } from './support/relay-box.ts'

let pages: PageServer
beforeAll(async () => {
  pages = await servePages()
})
afterAll(() => pages.close())

const browsers = [
  { browserName: 'Chromium', isThere: true },
  { browserName: 'Firefox', isThere: hasFirefox },
] as const

for (const { browserName, isThere } of browsers) {
  // Firefox is tested where it is installed; Chromium has to be.
  describe.runIf(isThere)(browserName, () => {
    let profile: Profile
    let context: BrowserContext
    beforeEach(async () => {
      profile = await createProfile(browserName)
      context = await profile.open()
    })
    afterEach(async () => {
      await context.close()
      await profile.remove()
    })

    const open = (options: ClientPageOptions): Promise<ClientTab> => openClient(context, pages, options)

    for (const [host, lifeCount] of [['shared', 2], ['leader', 1]] as const) {
      const isRun = browserName === 'Chromium' || host === 'shared'
      // Once is enough in Firefox, where a start takes long: hosts do not differ in how they store.
      test.runIf(isRun)(`${host}: every acknowledged message is there after the browser was killed, in order, once`, async () => {
        const acknowledged = [0, 0]
        for (let life = 0; life < (browserName === 'Chromium' ? lifeCount : 1); life++) {
          const tabs = await Promise.all([0, 1].map((index) => open({ tab: `${life}-${index}`, host })))
          await Promise.all(tabs.map((tab, index) =>
            tab.call('startSending', { topic: 'log', prefix: `life${life}-from${index}`, count: 5_000, countPerTurn: 4 })))
          await Promise.all(tabs.map((tab, index) => untilAcknowledged(tab, `life${life}-from${index}`, 200)))
          for (const [index, tab] of tabs.entries()) {
            acknowledged[index] = (await tab.call('sending', `life${life}-from${index}`)).acknowledged.length
          }
          await killBrowser(context, profile)
          context = await profile.open()
          const tab = await open({ tab: `${life}-after`, host })
          const stored = await tab.call('stored', 'log')
          for (const [index, count] of acknowledged.entries()) {
            const ofOne = stored.filter((name) => name.startsWith(`life${life}-from${index}-`))
            expect(ofOne.length).toBeGreaterThanOrEqual(count)
            expect(ofOne).toEqual(namesFrom(`life${life}-from${index}`, ofOne.length))
          }
          expect(new Set(stored).size).toBe(stored.length)
        }
      })
    }

    test('what a group had consumed before the browser was killed does not come again, and the rest does', async () => {
      const tab = await open({ tab: 'A' })
      await tab.call('consume', 'work', { topic: 'jobs', group: 'workers' })
      await tab.call('startSending', { topic: 'jobs', prefix: 'done', count: 100 })
      await untilAcknowledged(tab, 'done', 100)
      await untilSeen(tab, 'work', 100)
      await untilConsumed(tab, 'workers')
      await tab.call('closeConsumer', 'work')
      await tab.call('consume', 'held', { topic: 'jobs', group: 'workers', handling: 'hold', concurrency: 5, prefetch: 10 })
      await tab.call('send', 'jobs', namesFrom('open', 20))
      await untilSeen(tab, 'held', 5)
      await killBrowser(context, profile)
      context = await profile.open()
      const after = await open({ tab: 'B' })
      await after.call('consume', 'work', { topic: 'jobs', group: 'workers' })
      const seen = await untilSeen(after, 'work', 20)
      await untilConsumed(after, 'workers')
      expect(namesOf(seen).sort()).toEqual(namesFrom('open', 20).sort())
      const attemptOf = new Map(seen.map(({ name, attempt }) => [name, attempt]))
      expect(namesFrom('open', 5).map((name) => attemptOf.get(name))).toEqual([2, 2, 2, 2, 2])
    })

    test('what waits for the relay goes to it after the browser was killed, in order, once', async () => {
      await using relay = await RelayBox.start()
      await using client = await relay.connect()
      await client.admin.createTopic('chat', { queueCount: 1 })
      await relay.stop()
      const tab = await open({ tab: 'A', relay: relay.url })
      await tab.call('startSending', { topic: 'chat', prefix: 'offline', count: 5_000, countPerTurn: 4 })
      await untilAcknowledged(tab, 'offline', 200)
      const { acknowledged } = await tab.call('sending', 'offline')
      await killBrowser(context, profile)
      await relay.start()
      context = await profile.open()
      const after = await open({ tab: 'B', relay: relay.url })
      await expect.poll(async () => (await storedAt(client, 'chat')).length, patience).toBeGreaterThanOrEqual(acknowledged.length)
      // Behind all that was there before.
      await after.call('send', 'chat', ['last'], { until: 'relay' })
      const stored = await storedAt(client, 'chat')
      expect(stored.pop()).toBe('last')
      expect(stored).toEqual(namesFrom('offline', stored.length))
    })
  })
}
