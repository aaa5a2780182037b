// Topics of the device, among real tabs and with no server: what one tab sends, others get, in order, filtered, shared,
// delayed, as a whole or not at all.

import { expect, test } from 'vitest'
import { countDuplicates } from '../checkers/duplicates.ts'
import type { ClientPage } from './pages/client.ts'
import {
  type ClientTab, expectSound, historyOf, namesFrom, namesOf, patience, untilConsumed, untilSeen,
} from './support/clients.ts'
import { inEachBrowser } from './support/in-each-browser.ts'
import { openTab } from './support/pages.ts'

inEachBrowser((room) => {
  const { open } = room

  test('two tabs exchange ordered, tagged messages with no server', async () => {
    // With the worker of the package itself.
    const [first, second] = await Promise.all(['A', 'B'].map(async (tab) => {
      const opened = await openTab<ClientPage>(room.context, room.pages.urlOf('client'))
      await opened.call('connect', { tab })
      return opened
    })) as [ClientTab, ClientTab]
    await second.call('consume', 'all', { topic: 'chat', group: 'readers', mode: 'BROADCASTING', from: 'earliest' })
    await first.call('consume', 'urgent', {
      topic: 'chat', group: 'urgent', mode: 'BROADCASTING', filter: 'urgent || vital', from: 'earliest',
    })
    for (let round = 0; round < 5; round++) {
      await first.call('send', 'chat', [`plain-${round}`])
      await second.call('send', 'chat', [`urgent-${round}`], { tag: 'urgent' })
    }
    const expected = Array.from({ length: 5 }, (_, round) => [`plain-${round}`, `urgent-${round}`]).flat()
    const seen = await untilSeen(second, 'all', 10)
    expect(namesOf(seen)).toEqual(expected)
    expect(seen.map(({ offset }) => offset)).toEqual(expected.map((_, offset) => offset))
    expect(seen.map(({ tag }) => tag)).toEqual(expected.map((name) => (name.startsWith('urgent') ? 'urgent' : undefined)))
    expect(namesOf(await untilSeen(first, 'urgent', 5))).toEqual(expected.filter((name) => name.startsWith('urgent')))
    expect(await first.call('status')).toMatchObject({ engine: 'running', host: 'shared', storage: 'indexeddb', link: 'none' })
    expectSound(await historyOf([first]), 'readers', { isBroadcasting: true, isOrdered: true })
  })

  test('tabs of a group share its messages, each goes to one of them, and message groups keep their order', async () => {
    const tabs = await Promise.all(['A', 'B', 'C'].map((tab) => open({ tab })))
    const [first] = tabs as [ClientTab]
    await first.call('admin', 'createTopic', ['orders', { messageType: 'FIFO', queueCount: 4 }])
    await Promise.all(tabs.map((tab) => tab.call('consume', 'work', { topic: 'orders', group: 'workers', prefetch: 8 })))
    await Promise.all(tabs.map((tab, index) => Promise.all([0, 1, 2].map((group) => {
      const messageGroup = `${index}-${group}`
      return tab.call('startSending', { topic: 'orders', prefix: messageGroup, count: 60, options: { messageGroup } })
    }))))
    const seenCounts = () => Promise.all(tabs.map((tab) => tab.call('seenCount', 'work')))
    const seenSum = async () => (await seenCounts()).reduce((sum, count) => sum + count)
    await expect.poll(seenSum, patience).toBeGreaterThanOrEqual(540)
    await untilConsumed(first, 'workers')
    const seen = await Promise.all(tabs.map((tab) => tab.call('seen', 'work')))
    expect(seen.flat()).toHaveLength(540)
    for (const bySome of seen) expect(bySome.length).toBeGreaterThan(0)
    expectSound(await historyOf([first]), 'workers', { isOrdered: true })
  })

  test('eight tabs that boot at once have one engine, and each hears all', async () => {
    const tabs = await Promise.all(Array.from({ length: 8 }, (_, index) => open({ tab: `T${index}` })))
    await Promise.all(tabs.map((tab) =>
      tab.call('consume', 'all', { topic: 'news', group: 'everybody', mode: 'BROADCASTING', from: 'earliest' })))
    await Promise.all(tabs.map((tab, index) => tab.call('send', 'news', namesFrom(`T${index}`, 20))))
    const [firstSeen, ...others] = await Promise.all(tabs.map(async (tab) => namesOf(await untilSeen(tab, 'all', 160))))
    expect(firstSeen).toHaveLength(160)
    for (const other of others) expect(other).toEqual(firstSeen)
    await expect.poll(async () => (await (tabs[0] as ClientTab).call('status')).tabCount, patience).toBe(8)
    expectSound(await historyOf(tabs.slice(0, 1)), 'everybody', { isBroadcasting: true, isOrdered: true })
  })

  test('a second tab that opens while the first boots waits for the same engine', async () => {
    const [first, second] = await Promise.all([0, 1].map(() =>
      openTab<ClientPage>(room.context, room.pages.urlOf('client')))) as [ClientTab, ClientTab]
    await first.call('begin', { tab: 'A', build: 'a' })
    await second.call('connect', { tab: 'B', build: 'a' })
    await second.call('consume', 'all', { topic: 'news', group: 'g' })
    await expect.poll(() => first.call('status').then(({ engine }) => engine, () => 'starting'), patience).toBe('running')
    await first.call('send', 'news', ['hello'])
    expect(namesOf(await untilSeen(second, 'all', 1))).toEqual(['hello'])
    expect(await second.call('status')).toMatchObject({ storage: 'indexeddb' })
  })

  test('a request is answered by another tab, and a filter over properties is decided in the engine', async () => {
    const [first, second] = await Promise.all([open({ tab: 'A' }), open({ tab: 'B' })])
    await second.call('answer', 'questions', 'oracle')
    expect(await first.call('request', 'questions', 'why')).toBe('why!')
    await second.call('consume', 'dear', { topic: 'trades', group: 'dear', filter: { sql: 'price > 10 AND TAGS = \'eu\'' } })
    for (const [name, price, tag] of [['a', '5', 'eu'], ['b', '50', 'eu'], ['c', '50', 'us'], ['d', '11', 'eu']] as const) {
      await first.call('send', 'trades', [name], { properties: { price }, tag })
    }
    expect(namesOf(await untilSeen(second, 'dear', 2))).toEqual(['b', 'd'])
  })

  test('what always fails becomes a dead letter after its last attempt, in whichever tabs that was', async () => {
    const [first, second] = await Promise.all([open({ tab: 'A' }), open({ tab: 'B' })])
    await first.call('admin', 'configureGroup', ['picky', { maxAttempts: 3, retry: ['0ms'] }])
    for (const tab of [first, second]) await tab.call('consume', 'bad', { topic: 'jobs', group: 'picky', handling: 'retry' })
    await first.call('send', 'jobs', ['x', 'y'])
    await expect.poll(async () => [...await second.call('deadLetters', 'picky')].sort(), patience).toEqual(['x', 'y'])
    const seen = [...await first.call('seen', 'bad'), ...await second.call('seen', 'bad')]
    for (const name of ['x', 'y']) {
      expect(seen.filter((one) => one.name === name).map(({ attempt }) => attempt).sort()).toEqual([1, 2, 3])
    }
    const { unjustified } = countDuplicates(await historyOf([first]), 'picky')
    expect(unjustified).toEqual([])
    expect(await first.call('admin', 'resendDeadLetters', ['picky'])).toBe(2)
  })

  test('a delayed message comes when it is due, to a tab that opened later, and one that is recalled never does', async () => {
    const first = await open({ tab: 'A' })
    const { deliverMs } = await first.call('sendDelayed', 'later', 'due', 700)
    const { recallHandle } = await first.call('sendDelayed', 'later', 'recalled', 700)
    expect(await first.call('recall', 'later', recallHandle)).toBe('recalled')
    const second = await open({ tab: 'B' })
    await first.close()
    await second.call('consume', 'all', { topic: 'later', group: 'g' })
    await untilSeen(second, 'all', 1)
    expect(Date.now()).toBeGreaterThanOrEqual(deliverMs)
    await second.call('send', 'later', ['after'])
    await untilSeen(second, 'all', 2)
    expect(namesOf(await second.call('seen', 'all'))).toEqual(['due', 'after'])
  })

  test('a transaction is seen as a whole or not at all, and a later tab is asked about one whose tab is gone', async () => {
    const first = await open({ tab: 'A' })
    const reader = await open({ tab: 'B' })
    await reader.call('consume', 'paid', { topic: 'paid', group: 'g' })
    await reader.call('consume', 'shipped', { topic: 'shipped', group: 'g' })
    await first.call('openTransactions', 'payers', 'unknown')
    await first.call('transact', 'payers', [['paid', 'p1'], ['shipped', 's1']], 'commit')
    await first.call('transact', 'payers', [['paid', 'p2'], ['shipped', 's2']], 'rollback')
    const left = await first.call('transact', 'payers', [['paid', 'p3'], ['shipped', 's3']], 'leave')
    await untilSeen(reader, 'paid', 1)
    await first.close()
    const later = await open({ tab: 'C' })
    await later.call('openTransactions', 'payers', 'commit')
    await expect.poll(() => later.call('checked'), patience).toEqual([left])
    expect(namesOf(await untilSeen(reader, 'paid', 2))).toEqual(['p1', 'p3'])
    expect(namesOf(await untilSeen(reader, 'shipped', 2))).toEqual(['s1', 's3'])
  })
})
