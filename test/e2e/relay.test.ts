// Topics of a relay, with real tabs, devices and sockets: what is published while the relay is away arrives once it is
// back, in order and once; copies are read with and without it; work is shared over devices.

import { afterEach, beforeEach, expect, test } from 'vitest'
import { PocketError } from '../../core/errors.ts'
import { superuser } from '../../core/session/auth.ts'
import { connect } from '../../server/connect.ts'
import { RelayProcess } from '../support/relay-process.ts'
import type { ClientPageOptions } from './pages/client.ts'
import {
  type ClientTab, expectSound, historyOf, namesFrom, namesOf, patience, untilAcknowledged, untilConsumed, untilLives,
  untilSeen,
} from './support/clients.ts'
import { inEachBrowser } from './support/in-each-browser.ts'
import { RelayBox, storedAt } from './support/relay-box.ts'

inEachBrowser((room) => {
  let relay: RelayBox
  beforeEach(async () => {
    relay = await RelayBox.start()
  })
  afterEach(() => relay[Symbol.asyncDispose]())

  const open = (options: ClientPageOptions, device = room.context): Promise<ClientTab> =>
    room.open({ relay: relay.url, ...options }, device)

  const untilLinked = async (tab: ClientTab, link: string): Promise<void> => {
    await expect.poll(async () => (await tab.call('status')).link, patience).toBe(link)
  }

  /** As the relay says; the status may lag. */
  const untilRelayed = async (tab: ClientTab, prefix: string, count: number): Promise<void> => {
    await expect.poll(async () => (await tab.call('sendingCounts', prefix)).relayed, patience).toBe(count)
  }

  const untilSentOn = async (tab: ClientTab): Promise<void> => {
    await expect.poll(async () => (await tab.call('status')).outboxCount, patience).toBe(0)
  }

  test('what three tabs publish without the relay arrives once and in order of each, though their engine died', async () => {
    await createTopic(relay.url, 'chat')
    await relay.stop()
    const tabs = await Promise.all(['A', 'B', 'C'].map((tab) => open({ tab })))
    const [first, second] = tabs as [ClientTab, ClientTab]
    await Promise.all(tabs.map((tab, index) => tab.call('startSending', { topic: 'chat', prefix: `from${index}`, count: 200 })))
    await untilAcknowledged(first, 'from0', 60)
    await second.call('killEngine')
    await Promise.all(tabs.map((tab, index) => untilAcknowledged(tab, `from${index}`, 200)))
    await expect.poll(async () => (await first.call('status')).outboxCount, patience).toBe(600)
    await untilLives(first, 2)
    await first.call('startSending', { topic: 'chat', prefix: 'after', count: 10 })
    await untilAcknowledged(first, 'after', 10)
    expect((await first.call('sending', 'after')).relayed).toEqual([])
    await relay.start()
    await untilSentOn(first)
    await using client = await relay.connect()
    const stored = await storedAt(client, 'chat')
    expect(stored).toHaveLength(610)
    for (const [prefix, count] of [['from0', 200], ['from1', 200], ['from2', 200], ['after', 10]] as const) {
      expect(stored.filter((name) => name.startsWith(`${prefix}-`))).toEqual(namesFrom(prefix, count))
    }
    // What the engine that died had stored is sent on, but its receipts are lost with it; and the page is told so.
    for (const [index, tab] of tabs.entries()) {
      await expect.poll(async () => {
        const { relayed, failures } = await tab.call('sendingCounts', `from${index}`)
        return relayed + failures
      }, patience).toBe(200)
      const { failures } = await tab.call('sending', `from${index}`)
      expect(failures.filter((failure) => !failure.endsWith(' relay ENGINE_LOST'))).toEqual([])
    }
    await expect.poll(async () => (await first.call('sending', 'after')).relayed, patience).toEqual(namesFrom('after', 10))
  })

  test('a receipt says device at once, and relay to who waits for that', async () => {
    const tab = await open({ tab: 'A' })
    const [receipt] = await tab.call('send', 'chat', ['one'])
    expect(receipt).toMatchObject({ storedAt: 'device', queueId: undefined, offset: undefined })
    const [far] = await tab.call('send', 'chat', ['two'], { until: 'relay' })
    expect(far).toMatchObject({ storedAt: 'relay', offset: expect.any(Number) })
    await using client = await relay.connect()
    expect(await client.admin.findById((receipt as { messageId: string }).messageId)).toBeDefined()
  })

  test('another device reads them, live and later, and tabs of two devices share the work of a group', async () => {
    const other = await room.browser.newContext()
    const here = await Promise.all(['A', 'B'].map((tab) => open({ tab })))
    const there = await open({ tab: 'C' }, other)
    const [first] = here as [ClientTab]
    await createTopic(relay.url, 'orders', 'FIFO')
    await there.call('consume', 'all', { topic: 'orders', group: 'screens', mode: 'BROADCASTING', from: 'earliest' })
    const workers = [...here, there]
    await Promise.all(workers.map((tab) => tab.call('consume', 'work', { topic: 'orders', group: 'workers', prefetch: 10 })))
    await Promise.all(workers.map((tab, index) => tab.call('startSending', {
      topic: 'orders', prefix: `from${index}`, count: 100, options: { messageGroup: `from${index}` },
    })))
    await Promise.all(workers.map((tab, index) => untilAcknowledged(tab, `from${index}`, 100)))
    await Promise.all(workers.map((tab, index) => untilRelayed(tab, `from${index}`, 100)))
    await untilSeen(there, 'all', 300)
    await untilConsumed(first, 'workers')
    const history = await historyOf([first, there])
    expectSound(history, 'screens', { isBroadcasting: true, isOrdered: true })
    expectSound(history, 'workers', { isOrdered: true })
    await other.close()
  })

  test('consumers over the shared connection go on after their engine and the relay went, and nothing is lost', async () => {
    await createTopic(relay.url, 'jobs')
    const tabs = await Promise.all(['A', 'B'].map((tab) => open({ tab })))
    const [first, second] = tabs as [ClientTab, ClientTab]
    await Promise.all(tabs.map((tab) => tab.call('consume', 'work', { topic: 'jobs', group: 'workers', prefetch: 10 })))
    await Promise.all(tabs.map((tab, index) =>
      tab.call('startSending', { topic: 'jobs', prefix: `from${index}`, count: 300, countPerTurn: 2 })))
    await untilSeen(first, 'work', 30)
    await second.call('killEngine')
    await untilLives(first, 2)
    await relay.stop()
    await relay.start()
    await Promise.all(tabs.map((tab, index) => untilAcknowledged(tab, `from${index}`, 300)))
    await using client = await relay.connect()
    await expect.poll(async () => new Set(await storedAt(client, 'jobs')).size, patience).toBe(600)
    await untilConsumed(first, 'workers')
    expectSound(await historyOf([first]), 'workers')
    const stored = await storedAt(client, 'jobs')
    for (const index of [0, 1]) {
      expect(stored.filter((name) => name.startsWith(`from${index}`))).toEqual(namesFrom(`from${index}`, 300))
    }
  })

  test('a relay that is killed in the middle of sends has them all, once, when it is back', async () => {
    await using killed = await RelayProcess.start(['--allow-origin', '*'])
    await createTopic(killed.url, 'jobs')
    const tab = await open({ tab: 'A', relay: killed.url })
    await tab.call('consume', 'all', { topic: 'jobs', group: 'readers', mode: 'BROADCASTING', from: 'earliest' })
    await tab.call('startSending', { topic: 'jobs', prefix: 'job', count: 600, countPerTurn: 3 })
    await expect.poll(async () => (await tab.call('sendingCounts', 'job')).relayed, patience).toBeGreaterThan(50)
    await killed.kill()
    await untilAcknowledged(tab, 'job', 600)
    await killed.start()
    await untilRelayed(tab, 'job', 600)
    expect((await tab.call('sending', 'job')).relayed).toEqual(namesFrom('job', 600))
    await using client = await connect(killed.url)
    expect(await storedAt(client, 'jobs')).toEqual(namesFrom('job', 600))
    await untilSeen(tab, 'all', 600)
    expectSound(await historyOf([tab]), 'readers', { isBroadcasting: true, isOrdered: true })
  })

  test('a copy is read on without the relay, after a reload too, filtered or not, and goes on where it was', async () => {
    await createTopic(relay.url, 'prices')
    await using client = await relay.connect()
    const sendFrom = async (from: number, to: number) => {
      const topic = client.topic<{ name: string }>('prices')
      await Promise.all(Array.from({ length: to - from }, (_, index) => from + index).map((number) =>
        topic.send({ name: `p-${number}` }, { tag: number % 2 === 0 ? 'even' : 'odd' })))
    }
    const all = { topic: 'prices', group: 'all', mode: 'BROADCASTING', from: 'earliest' } as const
    const even = { topic: 'prices', group: 'even', mode: 'BROADCASTING', from: 'earliest', filter: 'even' } as const
    const tab = await open({ tab: 'A' })
    await tab.call('consume', 'all', all)
    await sendFrom(0, 60)
    expect(namesOf(await untilSeen(tab, 'all', 60))).toEqual(namesFrom('p', 60))
    // What was taken counts as read once the engine has heard of it.
    await tab.call('closeConsumer', 'all')
    await client.close()
    await relay.stop()
    await tab.reload()
    await tab.call('connect', { tab: 'A2', build: 'a', relay: relay.url })
    await tab.call('consume', 'even', even)
    await untilSeen(tab, 'even', 30)
    await tab.call('consume', 'all', all)
    await relay.start()
    await using again = await relay.connect()
    for (let number = 60; number < 80; number++) {
      await again.topic('prices').send({ name: `p-${number}` }, { tag: number % 2 === 0 ? 'even' : 'odd' })
    }
    expect(namesOf(await untilSeen(tab, 'all', 20))).toEqual(namesFrom('p', 80).slice(60))
    const evenNames = namesFrom('p', 80).filter((_, number) => number % 2 === 0)
    expect(namesOf(await untilSeen(tab, 'even', 40))).toEqual(evenNames)
    expect((await tab.call('events')).filter((event) => event.startsWith('gap'))).toEqual([])
  })

  test('what this device sends offline is seen here at once, marked, and once more when the relay has it', async () => {
    await createTopic(relay.url, 'chat')
    const tab = await open({ tab: 'A' })
    await untilLinked(tab, 'connected')
    await tab.call('consume', 'all', { topic: 'chat', group: 'screen', mode: 'BROADCASTING', from: 'earliest', echo: true })
    await relay.stop()
    await tab.call('send', 'chat', ['one', 'two'])
    await expect.poll(() => tab.call('seen', 'all'), patience).toMatchObject([
      { name: 'one', pending: true }, { name: 'two', pending: true },
    ])
    await relay.start()
    await expect.poll(() => tab.call('seen', 'all'), { ...patience, timeout: 40_000 }).toMatchObject([
      { name: 'one', pending: true }, { name: 'two', pending: true },
      { name: 'one', pending: false, offset: 0 }, { name: 'two', pending: false, offset: 1 },
    ])
  })

  test('a token that has expired is fetched anew, from whichever tab is there', async () => {
    const valid = new Set(['first'])
    const shown: string[] = []
    await using guarded = await RelayBox.start({
      authenticate(token, _info, answer) {
        shown.push(token)
        answer(valid.has(token) ? superuser : new PocketError('UNAUTHENTICATED', 'the token has expired'))
      },
    })
    const first = await open({ tab: 'A', relay: guarded.url, tokens: ['first'] })
    await untilLinked(first, 'connected')
    const second = await open({ tab: 'B', relay: guarded.url, tokens: ['first', 'second'] })
    await first.close()
    await guarded.stop()
    valid.clear()
    valid.add('second')
    await untilLinked(second, 'waiting')
    await second.call('startSending', { topic: 'chat', prefix: 'waits', count: 1 })
    await untilAcknowledged(second, 'waits', 1)
    await guarded.start()
    await untilRelayed(second, 'waits', 1)
    await untilLinked(second, 'connected')
    expect(shown.at(-1)).toBe('second')
    expect((await second.call('events')).filter((event) => event.startsWith('token')).length).toBeGreaterThanOrEqual(2)
  })

  test('a delayed message that was sent offline is handed over once, and a transaction is ended by a later tab', async () => {
    await createTopic(relay.url, 'later')
    const first = await open({ tab: 'A' })
    await untilLinked(first, 'connected')
    await first.call('openTransactions', 'payers', 'unknown')
    const left = await first.call('transact', 'payers', [['paid', 'p1']], 'leave')
    await relay.stop()
    await first.call('send', 'later', ['due'], { delay: 300 })
    await first.call('killEngine')
    await untilLives(first, 2)
    const second = await open({ tab: 'B' })
    await first.close()
    await expect.poll(async () => (await second.call('status')).outboxCount, patience).toBe(1)
    await relay.start()
    await untilSentOn(second)
    await second.call('consume', 'later', { topic: 'later', group: 'g' })
    await second.call('consume', 'paid', { topic: 'paid', group: 'g' })
    await second.call('openTransactions', 'payers', 'commit')
    await expect.poll(() => second.call('checked'), patience).toContain(left)
    expect(namesOf(await untilSeen(second, 'paid', 1))).toEqual(['p1'])
    await untilSeen(second, 'later', 1)
    await second.call('send', 'later', ['last'])
    expect(namesOf(await untilSeen(second, 'later', 2))).toEqual(['due', 'last'])
  })
})

async function createTopic(url: string, topic: string, messageType: 'NORMAL' | 'FIFO' = 'NORMAL'): Promise<void> {
  await using client = await connect(url)
  await client.admin.createTopic(topic, { queueCount: 1, messageType })
}
