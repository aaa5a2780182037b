// Who is asked what became of a transaction, when, how often and how fast; and what happens where nobody knows.

import { describe, expect, it } from 'vitest'
import { bytesToText } from '../../../core/bytes.ts'
import type { Limits } from '../../../core/limits.ts'
import { unresolvedTopic } from '../../../core/model/names.ts'
import { checkBurstCount } from '../../../core/broker/transaction-checks.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld } from './broker-world.ts'
import {
  bodiesOf, codeOf, createTopic, end, endNow, list, messagesOf, prepare, prepareNow, TestProducer,
} from './transaction-world.ts'

const secondMs = 1_000
const hourMs = 3_600 * secondMs

function open(limits: Partial<Limits> = {}): Promise<BrokerWorld> {
  return BrokerWorld.open({ limits: { queueCountDefault: 1, ...limits } })
}

describe('a check', () => {
  it('comes after the first silence, with all messages and their ids, and then again and again', async () => {
    const world = await open()
    const producer = TestProducer.register(world)
    const preparedMs = world.clock.now()
    await prepare(world, 1, [{ body: 'a', tag: 'x', keys: ['k'] }, 'b'])
    await prepare(world, 1, ['c'], { topic: 'two', base: 2 })
    const startMs = world.clock.monotonic()
    await world.advance(5_999)
    expect(producer.asked).toEqual([])
    await world.advance(1)
    expect(producer.asked).toMatchObject([{ id: 1, group: 'pg', checkCount: 1, preparedMs }])
    const messages = producer.asked[0]?.messages ?? []
    expect(messages.map(({ messageId, topic, body }) => [messageId, topic, bytesToText(body)])).toEqual([
      ['0000000000000001-0-0', 't', 'a'], ['0000000000000001-0-1', 't', 'b'], ['0000000000000001-0-2', 'two', 'c'],
    ])
    expect(messages[0]).toMatchObject({ tag: 'x', keys: ['k'] })
    await world.advance(60 * secondMs)
    expect(producer.asked.map(({ checkCount, atMs }) => [checkCount, atMs - startMs])).toEqual([
      [1, 6 * secondMs], [2, 36 * secondMs], [3, 66 * secondMs],
    ])
    expect(world.broker.counters.transactionChecks).toBe(3)
    expect(codeOf(await end(world, 1, 'commit', { count: 3 }))).toBe('done')
    await world.advance(120 * secondMs)
    expect(producer.asked).toHaveLength(3)
  })

  it('counts from the last part, and comes when its producer asked for it', async () => {
    const world = await open()
    const producer = TestProducer.register(world)
    await prepare(world, 1, ['a'])
    await world.advance(5_000)
    await prepare(world, 1, ['b'], { base: 1 })
    await world.advance(5_000)
    expect(producer.asked).toEqual([])
    await world.advance(1_000)
    expect(producer.ids).toEqual([1])
    await prepare(world, 2, ['a'], { checkAfterMs: hourMs })
    await prepare(world, 3, ['a'], { checkAfterMs: 1 })
    // It may be as late as the pause between bursts is long.
    await world.advance(100)
    expect(producer.ids).toEqual([1, 3])
    await world.advance(hourMs)
    expect(producer.asked.find(({ id }) => id === 2)).toMatchObject({ checkCount: 1 })
  })

  it('goes to the producers of its group in turn, and to no other', async () => {
    const world = await open()
    const first = TestProducer.register(world)
    const second = TestProducer.register(world)
    const other = TestProducer.register(world, 'other')
    for (let id = 1; id <= 4; id++) await prepare(world, id, ['a'])
    await world.advance(6_000)
    expect([first.ids, second.ids]).toEqual([[1, 3], [2, 4]])
    second.registration.cancel()
    second.registration.cancel()
    await world.advance(30_000)
    expect([first.ids, second.ids]).toEqual([[1, 3, 1, 2, 3, 4], [2, 4]])
    expect(other.asked).toEqual([])
  })

  it('goes to another producer where one has no room; it does not count where nobody has', async () => {
    const world = await open()
    const first = TestProducer.register(world)
    const second = TestProducer.register(world)
    first.room = 0
    await prepare(world, 1, ['a'])
    await world.advance(6_000)
    expect([first.ids, second.ids]).toEqual([[], [1]])
    second.room = 0
    await world.advance(60_000)
    expect((await list(world)).transactions).toMatchObject([{ checkCount: 1 }])
    second.room = 1
    await world.advance(2_000)
    expect(second.asked.map(({ checkCount }) => checkCount)).toEqual([1, 2])
  })

  it('waits, uncounted, where no producer is there, and comes at once when one is', async () => {
    const world = await open()
    await prepare(world, 1, ['a'])
    await world.advance(hourMs / 10)
    expect((await list(world)).transactions).toMatchObject([{ checkCount: 0 }])
    const producer = TestProducer.register(world)
    expect(producer.asked).toEqual([])
    await world.settle()
    expect(producer.asked).toMatchObject([{ id: 1, checkCount: 1 }])
  })

  it('that is due is not kept from others by one that nobody takes', async () => {
    const world = await open()
    const asked: number[] = []
    world.broker.registerProducer('pg', {
      check: ({ messages, transactionId }) => {
        if (messages.some(({ topic }) => topic === 'secret')) return false
        asked.push(transactionId.at(-1) as number)
        return true
      },
    })
    for (let id = 1; id <= 100; id++) await prepare(world, id, ['a'], { topic: 'secret' })
    await prepare(world, 101, ['a'])
    await world.advance(10_000)
    expect(asked).toEqual([101])
    expect((await list(world)).transactions.filter(({ checkCount }) => checkCount > 0)).toHaveLength(1)
  })

  it('is not asked after the end, though it was due or being read', async () => {
    const world = await open()
    await prepare(world, 1, ['a'])
    await prepare(world, 2, ['a'])
    await world.advance(10_000)
    await world.reopen()
    const producer = TestProducer.register(world)
    const outcomes: string[] = []
    endNow(world, 1, 'commit', {}, (outcome) => outcomes.push(codeOf(outcome)))
    endNow(world, 2, 'rollback', {}, (outcome) => outcomes.push(codeOf(outcome)))
    await world.settle()
    expect(outcomes.sort()).toEqual(['done', 'done'])
    expect(producer.asked).toEqual([])
    expect(await bodiesOf(world)).toEqual(['a'])
  })

  it('is not asked, and nothing given up, where the end comes while messages are read for it', async () => {
    for (const isGivenUp of [false, true]) {
      for (const outcome of ['commit', 'rollback'] as const) {
        const world = await open({ transactionMsMax: isGivenUp ? 60_000 : hourMs })
        await prepare(world, 1, ['a'])
        await world.advance(10_000)
        await world.reopen()
        const { read } = world.store
        const outcomes: string[] = []
        world.store.read = (range, answer) => {
          world.store.read = read
          read.call(world.store, range, answer)
          endNow(world, 1, outcome, {}, (ended) => outcomes.push(codeOf(ended)))
        }
        const producer = isGivenUp ? new TestProducer(world) : TestProducer.register(world)
        await world.advance(100_000)
        expect(outcomes).toEqual(['done'])
        expect(producer.asked).toEqual([])
        expect(world.broker.counters.unresolvedTransactions).toBe(0)
        expect(await bodiesOf(world)).toEqual(outcome === 'commit' ? ['a'] : [])
        expect(world.failures).toEqual([])
      }
    }
  })

  it('goes on over a restart where it stood, as many times as are left', async () => {
    const world = await open({ transactionCheckCountMax: 3 })
    let producer = TestProducer.register(world)
    await prepare(world, 1, ['x'.repeat(2_000)])
    await prepare(world, 1, ['b'], { base: 1 })
    await world.advance(6_000)
    await world.reopen()
    producer = TestProducer.register(world)
    await world.advance(29_000)
    expect(producer.asked).toEqual([])
    await world.advance(1_000)
    expect(producer.asked).toMatchObject([{ checkCount: 2 }])
    await world.reopen()
    // Nobody is there: it stays due.
    await world.advance(hourMs / 10)
    await world.reopen()
    producer = TestProducer.register(world)
    await world.settle()
    expect(producer.asked).toMatchObject([{ checkCount: 3 }])
    expect(producer.asked[0]?.messages).toHaveLength(2)
    await world.advance(30_000)
    expect(world.broker.counters.unresolvedTransactions).toBe(1)
  })

  it('comes never later than was asked for, wherever the wall clock went before a restart', async () => {
    const world = await open()
    await prepare(world, 1, ['a'], { checkAfterMs: 60_000 })
    world.clock.jumpWall(-24 * hourMs)
    await world.reopen()
    const producer = TestProducer.register(world)
    await world.advance(59_000)
    expect(producer.asked).toEqual([])
    await world.advance(1_000)
    expect(producer.ids).toEqual([1])
  })

  it('does not flood whoever registers while very many are due', async () => {
    const world = await open()
    const count = 1_000
    for (let id = 1; id <= count; id++) prepareNow(world, id, ['a'], {}, () => {})
    await world.advance(10_000)
    for (const isRestart of [false, true]) {
      if (isRestart) await world.reopen()
      const producer = TestProducer.register(world)
      const before = world.broker.counters.transactionChecks
      await world.settle()
      expect(producer.asked).toHaveLength(checkBurstCount)
      await world.advance(5_000)
      expect(new Set(producer.ids).size).toBe(count)
      expect(world.broker.counters.transactionChecks - before).toBe(count)
      producer.registration.cancel()
      await world.advance(60_000)
    }
  })

  it('is about no more bytes at once than one message of a connection should have', async () => {
    const world = await open({ transactionBytesMax: 1 << 20 })
    for (let id = 1; id <= 5; id++) await prepare(world, id, ['x'.repeat(400_000)])
    await world.advance(10_000)
    const producer = TestProducer.register(world)
    await world.settle()
    expect(producer.asked).toHaveLength(2)
    await world.advance(1_000)
    expect(producer.asked).toHaveLength(5)
  })

  it('may be answered before it returns', async () => {
    const world = await open({ transactionCheckCountMax: 1 })
    const outcomes: string[] = []
    world.broker.registerProducer('pg', {
      check: ({ transactionId }) => {
        const id = transactionId.at(-1) as number
        if (id === 3) prepareNow(world, id, ['b'], { base: 1 }, (outcome) => outcomes.push(codeOf(outcome)))
        else endNow(world, id, id === 1 ? 'commit' : 'rollback', {}, (outcome) => outcomes.push(codeOf(outcome)))
        return true
      },
    })
    for (let id = 1; id <= 3; id++) await prepare(world, id, ['a'])
    await world.advance(9_000)
    expect(outcomes).toEqual(['done', 'done', 'done'])
    expect(world.broker.stats().openTransactionCount).toBe(1)
    await world.advance(60_000)
    expect(world.broker.counters.unresolvedTransactions).toBe(1)
    expect(await bodiesOf(world)).toEqual(['a'])
  })

  it('may end in the registration being taken back, by its own producer', async () => {
    const world = await open()
    const asked: string[] = []
    const first = world.broker.registerProducer('pg', {
      check: () => {
        first.cancel()
        return asked.push('first') > 0
      },
    })
    world.broker.registerProducer('pg', { check: () => asked.push('second') > 0 })
    for (let id = 1; id <= 3; id++) await prepare(world, id, ['a'])
    await world.advance(6_000)
    expect(asked).toEqual(['first', 'second', 'second'])
  })
})

describe('a transaction that nobody says the end of', () => {
  it('is rolled back after the last check and its answer time, and kept with where it was meant to go', async () => {
    const world = await open()
    await createTopic(world, 'f', { messageType: 'FIFO' })
    const producer = TestProducer.register(world)
    const preparedMs = world.clock.now()
    const properties = new Map([['mine', 'yes']])
    await prepare(world, 1, [{ body: 'a', tag: 'x', keys: ['k'], properties }, { body: 'b', delayMs: 5_000, ttlMs: 1 }])
    await prepare(world, 1, [{ body: 'c', messageGroup: 'mg' }], { topic: 'f', base: 2 })
    await world.advance(6_000 + 14 * 30_000)
    expect(producer.asked).toHaveLength(15)
    await world.advance(29_999)
    expect(world.broker.stats().openTransactionCount).toBe(1)
    await world.advance(1)
    expect(world.broker.stats().openTransactionCount).toBe(0)
    expect(producer.asked).toHaveLength(15)
    const [a, b, c] = await messagesOf(world, unresolvedTopic)
    expect(a).toMatchObject({ tag: 'x', keys: ['k'] })
    expect(Object.fromEntries(a?.properties ?? [])).toEqual({
      mine: 'yes', TRANS_ORIGIN_TOPIC: 't', TRANS_ORIGIN_MESSAGE_ID: '0000000000000001-0-0', TRANS_ID: '0000000000000001',
      TRANS_PRODUCER_GROUP: 'pg', TRANS_CHECKS: '15', TRANS_PREPARED_MS: String(preparedMs),
    })
    expect(b?.properties?.get('TRANS_ORIGIN_DELAY_MS')).toBe('5000')
    expect(c?.properties?.get('TRANS_ORIGIN_MESSAGE_GROUP')).toBe('mg')
    expect(c?.properties?.get('TRANS_ORIGIN_MESSAGE_ID')).toBe('0000000000000001-0-2')
    expect([a, b, c].map((message) => bytesToText(message?.body as Uint8Array))).toEqual(['a', 'b', 'c'])
    expect(new Set([a, b, c].map((message) => message?.messageId)).size).toBe(3)
    expect(await bodiesOf(world)).toEqual([])
    expect(await bodiesOf(world, 'f')).toEqual([])
    expect(codeOf(await end(world, 1, 'commit', { count: 3 }))).toBe('TRANSACTION_FINISHED')
    expect(await end(world, 1, 'rollback')).toMatchObject({ duplicate: true })
    expect(world.broker.counters).toMatchObject({ unresolvedTransactions: 1, rolledBackTransactions: 0, messagesIn: 0 })
    expect(await world.entries(keyKinds.transactionPart)).toEqual([])
  })

  it('is rolled back when it is too old, though nobody could be asked, or was left alone', async () => {
    const world = await open({ transactionMsMax: 60_000 })
    await prepare(world, 1, ['a'])
    await prepare(world, 2, ['b'], { checkAfterMs: hourMs })
    await world.advance(59_000)
    await prepare(world, 2, ['c'], { checkAfterMs: hourMs, base: 1 })
    expect(world.broker.stats().openTransactionCount).toBe(2)
    await world.advance(1_000)
    expect(world.broker.stats().openTransactionCount).toBe(0)
    expect((await bodiesOf(world, unresolvedTopic)).sort()).toEqual(['a', 'b', 'c'])
  })

  it('is rolled back when a restart finds it too old, or asked often enough', async () => {
    const world = await open({ transactionCheckCountMax: 1 })
    TestProducer.register(world)
    await prepare(world, 1, ['a'])
    await world.advance(6_000)
    await prepare(world, 2, ['b'], { group: 'other' })
    world.clock.jumpWall(73 * hourMs)
    await world.reopen()
    await world.advance(100)
    expect((await bodiesOf(world, unresolvedTopic)).sort()).toEqual(['a', 'b'])
    expect(await world.entries(keyKinds.transactionPart)).toEqual([])
  })

  it('has its last moment: an end or a part that comes with it is heard', async () => {
    for (const isRestart of [false, true]) {
      const world = await open({ transactionMsMax: 60_000, transactionCacheBytesMax: isRestart ? 0 : 1_000_000 })
      await prepare(world, 1, ['a'])
      await world.advance(59_000)
      if (isRestart) await world.reopen()
      // The timer fires, and before the turn ends the producer is heard.
      const outcomes: string[] = []
      world.clock.setTimer(1_000, () => endNow(world, 1, 'commit', {}, (outcome) => outcomes.push(codeOf(outcome))))
      await world.advance(1_000)
      expect(outcomes).toEqual(['done'])
      expect(await bodiesOf(world)).toEqual(['a'])
      expect(world.broker.counters.unresolvedTransactions).toBe(0)
    }
    const world = await open({ transactionCheckCountMax: 1 })
    TestProducer.register(world)
    await prepare(world, 1, ['a'])
    world.clock.setTimer(36_000, () => prepareNow(world, 1, ['b'], { base: 1 }, () => {}))
    await world.advance(36_000)
    expect(world.broker.counters.unresolvedTransactions).toBe(0)
    await world.advance(6_000)
    expect(await bodiesOf(world, unresolvedTopic)).toEqual(['a', 'b'])
  })

  it('stays while its messages cannot be kept, and can still be ended', async () => {
    const world = await open({ transactionMsMax: 60_000, topicCountMax: 1 })
    for (let id = 1; id <= 2; id++) await prepare(world, id, ['a'])
    await world.advance(90_000)
    expect(world.broker.stats().openTransactionCount).toBe(2)
    expect(codeOf(await end(world, 1, 'commit'))).toBe('done')
    await world.must<void>((answer) => world.broker.deleteTopic('t', answer))
    await world.advance(60_000)
    expect(world.broker.stats().openTransactionCount).toBe(0)
    expect(await bodiesOf(world, unresolvedTopic)).toEqual(['a'])
  })

  it('is kept in records of the usual size, and very many go bit by bit', async () => {
    const world = await open({ transactionMsMax: 60_000, recordBytesMax: 4_096 })
    await prepare(world, 1, Array.from({ length: 20 }, () => 'x'.repeat(1_000)))
    for (let id = 2; id <= 300; id++) prepareNow(world, id, ['a'], { group: `pg${id % 3}` }, () => {})
    await world.settle()
    await world.reopen()
    const commits = world.broker.counters.commits
    await world.advance(61_000)
    expect(world.broker.counters.unresolvedTransactions).toBe(300)
    expect(world.broker.counters.commits - commits).toBeGreaterThan(4)
    expect(await bodiesOf(world, unresolvedTopic)).toHaveLength(319)
    const records = await world.entries(keyKinds.record)
    expect(Math.max(...records.map(({ value }) => value.length))).toBeLessThan(3 * 4_096)
  })
})
