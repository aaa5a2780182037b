// Tabs, workers and leaders that go in the middle of things: what was acknowledged stays, in order and once, and what a
// dead tab held goes on to others.

import { expect, test } from 'vitest'
import {
  type ClientTab, expectSound, historyOf, namesFrom, namesOf, patience, untilAcknowledged, untilConsumed, untilLives, untilSeen,
} from './support/clients.ts'
import { inEachBrowser } from './support/in-each-browser.ts'

inEachBrowser((room) => {
  const { open } = room

  test('what a tab held when it was closed goes on to another, counted, and what it never looked at does too', async () => {
    const first = await open({ tab: 'A' })
    const other = await open({ tab: 'B' })
    await first.call('consume', 'held', { topic: 'jobs', group: 'workers', handling: 'hold', prefetch: 10, concurrency: 3 })
    await other.call('send', 'jobs', namesFrom('job', 20))
    await untilSeen(first, 'held', 3)
    await other.call('consume', 'work', { topic: 'jobs', group: 'workers' })
    await first.close()
    const seen = await untilSeen(other, 'work', 20)
    const attemptOf = new Map(seen.map(({ name, attempt }) => [name, attempt]))
    expect(['job-0', 'job-1', 'job-2'].map((name) => attemptOf.get(name))).toEqual([2, 2, 2])
    await untilConsumed(other, 'workers')
    expectSound(await historyOf([other], ['A']), 'workers')
  })

  test('what a tab had acked when it was closed does not come again', async () => {
    const first = await open({ tab: 'A' })
    const other = await open({ tab: 'B' })
    await first.call('consume', 'work', { topic: 'jobs', group: 'workers', prefetch: 5 })
    await other.call('startSending', { topic: 'jobs', prefix: 'job', count: 400 })
    await untilSeen(first, 'work', 100)
    await first.close()
    await other.call('consume', 'work', { topic: 'jobs', group: 'workers' })
    await untilConsumed(other, 'workers', 'job', 400)
    expectSound(await historyOf([other], ['A']), 'workers')
  })

  test('a worker that dies again and again in the middle of sends and work loses nothing and doubles nothing', async () => {
    const tabs = await Promise.all(['A', 'B', 'C'].map((tab) => open({ tab })))
    const [first, second, third] = tabs as [ClientTab, ClientTab, ClientTab]
    await first.call('admin', 'createTopic', ['orders', { messageType: 'FIFO', queueCount: 2 }])
    await third.call('consume', 'all', { topic: 'orders', group: 'readers', mode: 'BROADCASTING', from: 'earliest' })
    await Promise.all([first, second].map((tab) =>
      tab.call('consume', 'work', { topic: 'orders', group: 'workers', prefetch: 20, concurrency: 4 })))
    await Promise.all(tabs.map((tab, index) => tab.call('startSending', {
      topic: 'orders', prefix: `from${index}`, count: 250, countPerTurn: 2, options: { messageGroup: `from${index}` },
    })))
    for (let kill = 1; kill <= 3; kill++) {
      await untilAcknowledged(first, 'from0', kill * 50)
      await second.call('killEngine')
      await untilLives(third, kill + 1)
    }
    await Promise.all(tabs.map((tab, index) => untilAcknowledged(tab, `from${index}`, 250)))
    for (const [index, tab] of tabs.entries()) {
      expect(await tab.call('sending', `from${index}`)).toMatchObject({
        acknowledged: namesFrom(`from${index}`, 250), failures: [],
      })
    }
    await untilSeen(third, 'all', 750)
    await untilConsumed(first, 'workers')
    const history = await historyOf([first])
    expectSound(history, 'workers', { isOrdered: true })
    expectSound(history, 'readers', { isBroadcasting: true, isOrdered: true })
    expect((await third.call('seen', 'all')).length).toBe(750)
  })

  test('a leader tab that is closed in the middle of its own sends and those of others takes nothing with it', async () => {
    const leader = await open({ tab: 'A', host: 'leader' })
    const followers = await Promise.all(['B', 'C'].map((tab) => open({ tab, host: 'leader' })))
    const [first, second] = followers as [ClientTab, ClientTab]
    expect(await leader.call('status')).toMatchObject({ role: 'leader', host: 'leader' })
    for (const tab of followers) await tab.call('consume', 'work', { topic: 'jobs', group: 'workers', prefetch: 10 })
    await Promise.all([leader, first, second].map((tab, index) =>
      tab.call('startSending', { topic: 'jobs', prefix: `from${index}`, count: 300, countPerTurn: 2 })))
    await untilAcknowledged(leader, 'from0', 60)
    await leader.close()
    await Promise.all([untilAcknowledged(first, 'from1', 300), untilAcknowledged(second, 'from2', 300)])
    await untilConsumed(first, 'workers')
    const roles = await Promise.all(followers.map(async (tab) => (await tab.call('status')).role))
    expect(roles.sort()).toEqual(['follower', 'leader'])
    expectSound(await historyOf([first], ['A']), 'workers')
    const stored = await first.call('stored', 'jobs')
    expect(stored.filter((name) => name.startsWith('from1'))).toEqual(namesFrom('from1', 300))
    expect(stored.filter((name) => name.startsWith('from2'))).toEqual(namesFrom('from2', 300))
    const fromLeader = stored.filter((name) => name.startsWith('from0'))
    expect(fromLeader).toEqual(namesFrom('from0', fromLeader.length))
  })

  test('a tab that reloads in the middle of its sends has lost nothing that was acknowledged', async () => {
    const tab = await open({ tab: 'A' })
    const other = await open({ tab: 'B' })
    await other.call('consume', 'all', { topic: 'jobs', group: 'readers', mode: 'BROADCASTING', from: 'earliest' })
    for (let life = 0; life < 3; life++) {
      await tab.call('startSending', { topic: 'jobs', prefix: `life${life}`, count: 2_000, countPerTurn: 3 })
      await untilAcknowledged(tab, `life${life}`, 50)
      await tab.reload()
      await tab.call('connect', { tab: `A${life}`, build: 'a' })
    }
    await tab.call('send', 'jobs', ['last'])
    await expect.poll(async () => namesOf(await other.call('seen', 'all')).at(-1), patience).toBe('last')
    const stored = await tab.call('stored', 'jobs')
    for (let life = 0; life < 3; life++) {
      const ofLife = stored.filter((name) => name.startsWith(`life${life}-`))
      expect(ofLife.length).toBeGreaterThanOrEqual(50)
      expect(ofLife).toEqual(namesFrom(`life${life}`, ofLife.length))
    }
    expect(namesOf(await other.call('seen', 'all'))).toEqual(stored)
    expectSound(await historyOf([other]), 'readers', { isBroadcasting: true, isOrdered: true })
  })

  // Firefox has no command that crashes a tab.
  test.runIf(room.browserName === 'Chromium')('what a crashed tab held goes on to another', async () => {
    // In a process of its own: a crash takes all pages of its process along.
    const first = await open({ tab: 'A' })
    const other = await open({ tab: 'B' })
    await first.call('consume', 'held', { topic: 'jobs', group: 'workers', handling: 'hold', concurrency: 5 })
    await other.call('send', 'jobs', namesFrom('job', 5))
    await untilSeen(first, 'held', 5)
    await other.call('consume', 'work', { topic: 'jobs', group: 'workers' })
    const session = await room.context.newCDPSession(first.page)
    const crashed = first.page.waitForEvent('crash')
    void session.send('Page.crash').catch(() => {})
    await crashed
    const seen = await untilSeen(other, 'work', 5)
    expect(seen.map(({ attempt }) => attempt)).toEqual([2, 2, 2, 2, 2])
    await untilConsumed(other, 'workers')
    expectSound(await historyOf([other], ['A']), 'workers')
  })
})
