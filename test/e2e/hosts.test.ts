// Hosts of the engine in real browsers, with an engine that only echoes: who runs it, how tabs reach it, and what happens
// when a tab, a worker or a build goes.

import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { HostsPage, HostsState } from './pages/hosts.ts'
import { hasFirefox, launchChromium, launchFirefox } from './support/browsers.ts'
import { openTab, type PageServer, servePages, type Tab } from './support/pages.ts'

type HostsTab = Tab<HostsPage>
type Start = Parameters<HostsPage['start']>[0]

let pages: PageServer
beforeAll(async () => {
  pages = await servePages()
})
afterAll(() => pages.close())

/** Waits until the tab's state is as described; the failure shows what it was last. */
async function until(tab: HostsTab, expected: Partial<Record<keyof HostsState, unknown>>): Promise<HostsState> {
  await expect.poll(() => tab.call('state'), { timeout: 15_000, interval: 20 }).toMatchObject(expected)
  return tab.call('state')
}

const browsers = [
  { browserName: 'Chromium', isThere: true, launch: launchChromium },
  { browserName: 'Firefox', isThere: hasFirefox, launch: launchFirefox },
]

for (const { browserName, isThere, launch } of browsers) {
  // Firefox is tested where it is installed; Chromium has to be.
  describe.runIf(isThere)(browserName, () => {
    let browser: Browser
    let context: BrowserContext
    beforeAll(async () => {
      browser = await launch()
    })
    afterAll(() => browser.close())
    beforeEach(async () => {
      context = await browser.newContext()
    })
    afterEach(() => context.close())

    async function open(start: Start): Promise<HostsTab> {
      const tab = await openTab<HostsPage>(context, pages.urlOf('hosts'))
      await tab.call('start', start)
      return tab
    }

    async function attached(start: Start): Promise<HostsTab> {
      const tab = await open(start)
      await until(tab, { isAttached: true })
      return tab
    }

    const echo = (tab: HostsTab, text: string) => tab.call('ask', { kind: 'echo', text })

    test('tabs opened at the same time share one shared worker', async () => {
      const tabs = await Promise.all(Array.from({ length: 4 }, () => open({ host: 'auto' })))
      const states = await Promise.all(tabs.map((tab) => until(tab, { isAttached: true, host: 'shared' })))
      expect(new Set(states.map((state) => state.instanceId)).size).toBe(1)
      for (const [index, tab] of tabs.entries()) {
        expect(await echo(tab, `tab ${index}`)).toEqual({ kind: 'echoed', text: `tab ${index}` })
      }
    })

    test('a tab that closes is noticed by the engine, and the others stay', async () => {
      const [first, second] = [await attached({ host: 'shared' }), await attached({ host: 'shared' })]
      const { tabId } = await second.call('state')
      await second.close()
      await expect.poll(() => first.call('ask', { kind: 'tabs' }), { timeout: 5_000 })
        .toMatchObject({ kind: 'tab-list', gone: [tabId] })
      expect((await first.call('state')).events).toEqual(['attached'])
    })

    test('a tab that leaves in order is noticed at once', async () => {
      const [first, second] = [await attached({ host: 'shared' }), await attached({ host: 'shared' })]
      const { tabId } = await second.call('state')
      await second.call('leave')
      await expect.poll(() => first.call('ask', { kind: 'tabs' })).toMatchObject({ gone: [tabId] })
    })

    test('tabs of a shared worker that died get the next one', async () => {
      const [first, second] = [await attached({ host: 'shared' }), await attached({ host: 'shared' })]
      const { instanceId } = await first.call('state')
      await first.call('post', { kind: 'die' })
      for (const tab of [first, second]) {
        await until(tab, { events: ['attached', 'lost ENGINE_LOST', 'attached'] })
        expect(await echo(tab, 'again')).toEqual({ kind: 'echoed', text: 'again' })
      }
      const [a, b] = await Promise.all([first.call('state'), second.call('state')])
      expect(a.instanceId).toBe(b.instanceId)
      expect(a.instanceId).not.toBe(instanceId)
    })

    test('an engine whose store fails starts anew in its worker, a few times, and then says why not', async () => {
      const tab = await attached({ host: 'shared' })
      for (let lives = 1; lives < 5; lives++) {
        await tab.call('post', { kind: 'fail' })
        const again = Array.from({ length: lives }, () => ['lost ENGINE_LOST', 'attached']).flat()
        await until(tab, { events: ['attached', ...again] })
      }
      await tab.call('post', { kind: 'fail' })
      await expect.poll(async () => (await tab.call('state')).events.at(-1)).toBe('ended STORE_FAILED')
    })

    test('without a shared worker one tab runs the engine, and the next takes over when it closes', async () => {
      const first = await attached({ host: 'leader' })
      const second = await attached({ host: 'leader' })
      const third = await attached({ host: 'leader' })
      expect(await first.call('state')).toMatchObject({ isLeader: true, host: 'leader' })
      expect(await second.call('state')).toMatchObject({ isLeader: false, host: 'leader' })
      expect(await echo(third, 'over the channel')).toEqual({ kind: 'echoed', text: 'over the channel' })
      await first.close()
      const states = await Promise.all([second, third].map((tab) =>
        until(tab, { isAttached: true, events: ['attached', 'lost ENGINE_LOST', 'attached'] })))
      expect(states.filter((state) => state.isLeader)).toHaveLength(1)
      expect(states[0]?.instanceId).toBe(states[1]?.instanceId)
      for (const tab of [second, third]) expect(await echo(tab, 'on')).toEqual({ kind: 'echoed', text: 'on' })
    })

    test('a leader that reloads comes back as a follower', async () => {
      const first = await attached({ host: 'leader' })
      const second = await attached({ host: 'leader' })
      await first.reload()
      await first.call('start', { host: 'leader' })
      await until(first, { isAttached: true, isLeader: false })
      await until(second, { isAttached: true, isLeader: true })
    })

    test('a leader that leaves in order hands over', async () => {
      const first = await attached({ host: 'leader' })
      const second = await attached({ host: 'leader' })
      await first.call('leave')
      await until(second, { isAttached: true, isLeader: true })
    })

    test('the engine runs inside a page where there are no workers, and other tabs reach it', async () => {
      const first = await attached({ host: 'inline' })
      const second = await attached({ host: 'inline' })
      expect(await second.call('state')).toMatchObject({ isLeader: false, host: 'inline' })
      expect(await echo(second, 'hello')).toEqual({ kind: 'echoed', text: 'hello' })
      await first.close()
      await until(second, { isAttached: true, isLeader: true })
      expect(await echo(second, 'alone')).toEqual({ kind: 'echoed', text: 'alone' })
    })

    test('a worker file that is not there makes way for the engine in the page', async () => {
      const tab = await attached({ host: 'auto', workerUrl: '/pages/no-such/worker.js' })
      expect(await tab.call('state')).toMatchObject({ host: 'inline', isLeader: true, events: ['attached'] })
    })

    test('a worker file that is not there ends an attachment that asked for a worker', async () => {
      const tab = await open({ host: 'shared', workerUrl: '/pages/no-such/worker.js' })
      await until(tab, { events: ['ended ENGINE_LOST'] })
    })

    // Firefox would have to be told where the name is.
    test.runIf(browserName === 'Chromium')('without Web Locks every page has its own engine, in memory', async () => {
      const [first, second] = await Promise.all([0, 1].map(() =>
        openTab<HostsPage>(context, pages.urlOf('hosts').replace(pages.origin, pages.insecureOrigin)))) as [HostsTab, HostsTab]
      for (const tab of [first, second]) {
        await tab.call('start', { host: 'auto' })
        await until(tab, { isAttached: true, isLeader: true, host: 'inline' })
        expect(await tab.call('ask', { kind: 'tabs' })).toMatchObject({ tabs: [(await tab.call('state')).tabId] })
      }
      expect((await first.call('state')).instanceId).not.toBe((await second.call('state')).instanceId)
    })

    test('hosts of different kinds share one engine', async () => {
      const shared = await attached({ host: 'shared' })
      const leader = await attached({ host: 'leader' })
      const inline = await attached({ host: 'inline' })
      const { instanceId } = await shared.call('state')
      for (const tab of [leader, inline]) {
        expect(await tab.call('state')).toMatchObject({ instanceId, isLeader: false, host: 'shared' })
        expect(await echo(tab, 'far')).toEqual({ kind: 'echoed', text: 'far' })
      }
    })

    test('a page of a newer build has its own worker take over, and older pages go along', async () => {
      const older = await attached({ host: 'shared', build: 'a' })
      const newer = await attached({ host: 'shared', build: 'b' })
      expect(await newer.call('state')).toMatchObject({ build: 'b', events: ['attached'] })
      const { instanceId } = await newer.call('state')
      await until(older, { isAttached: true, build: 'b', instanceId, events: ['attached', 'lost ENGINE_LOST', 'attached'] })
      expect(await echo(older, 'to b')).toEqual({ kind: 'echoed', text: 'to b' })
      // The older build runs again only when the newer one is gone. Its worker may outlive its page.
      await newer.close()
      await older.call('post', { kind: 'die' })
      await until(older, { isAttached: true, build: 'a' })
    })

    test('a newer build takes over from a leader with followers', async () => {
      const olders = [await attached({ host: 'leader' }), await attached({ host: 'leader' }), await attached({ host: 'leader' })]
      const newer = await attached({ host: 'leader', build: 'b' })
      await until(newer, { build: 'b', isLeader: true })
      for (const tab of olders) {
        await until(tab, { isAttached: true, build: 'b', isLeader: false })
        expect(await echo(tab, 'b')).toEqual({ kind: 'echoed', text: 'b' })
      }
      // Nobody asks back.
      expect(await newer.call('state')).toMatchObject({ build: 'b', isLeader: true, isAttached: true })
    })

    test('an engine that hangs loses its lock to another host, and all its tabs go there', async () => {
      const bounds = { silentMs: 400 }
      const first = await attached({ host: 'shared', bounds })
      const second = await attached({ host: 'shared', bounds })
      const { instanceId } = await first.call('state')
      await first.call('post', { kind: 'hang', hangMs: 30_000 })
      for (const tab of [first, second]) {
        await until(tab, { isAttached: true, events: ['attached', 'lost ENGINE_LOST', 'attached'] })
        expect(await echo(tab, 'still here')).toEqual({ kind: 'echoed', text: 'still here' })
        expect((await tab.call('state')).instanceId).not.toBe(instanceId)
      }
    })

    test('an engine that was slow, but answers the second look, keeps its tabs', async () => {
      const tab = await attached({ host: 'shared', bounds: { silentMs: 400 } })
      await tab.call('post', { kind: 'hang', hangMs: 1_000 })
      expect(await echo(tab, 'late')).toEqual({ kind: 'echoed', text: 'late' })
      expect((await tab.call('state')).events).toEqual(['attached'])
    })
  })
}
