// What happens to half messages at the broker: prepared, committed, rolled back, again, too late, too much, over restarts.

import { describe, expect, it } from 'vitest'
import type { TransactionEnded } from '../../../core/broker/door.ts'
import { bytesToText } from '../../../core/bytes.ts'
import type { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import type { TopicDescription } from '../../../core/protocol/frames.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld, idBytes } from './broker-world.ts'
import {
  bodiesOf, codeOf, createTopic, end, endNow, list, messagesOf, prepare, prepareNow,
} from './transaction-world.ts'

async function storedKeys(world: BrokerWorld): Promise<number> {
  const parts = await world.entries(keyKinds.transactionPart)
  return parts.length + (await world.entries(keyKinds.halfMessages)).length
}

describe('a transaction', () => {
  it('shows nothing until it is committed, and then all of it, in every topic', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    expect(await prepare(world, 1, ['a', 'b'], { topic: 'one' })).toBe('done')
    expect(await prepare(world, 1, ['c'], { topic: 'two', base: 2 })).toBe('done')
    expect(await prepare(world, 1, ['d'], { topic: 'one', base: 3 })).toBe('done')
    expect(await bodiesOf(world, 'one')).toEqual([])
    const ended = await end(world, 1, 'commit', { count: 4 })
    expect(ended).toMatchObject({ outcome: 'commit', duplicate: false, scheduled: [] })
    expect((await bodiesOf(world, 'one')).sort()).toEqual(['a', 'b', 'd'])
    expect(await bodiesOf(world, 'two')).toEqual(['c'])
    expect(await storedKeys(world)).toBe(0)
    const { counters, openTransactionCount } = world.broker.stats()
    expect(counters).toMatchObject({ preparedMessages: 4, messagesIn: 4, committedTransactions: 1, rolledBackTransactions: 0 })
    expect(openTransactionCount).toBe(0)
  })

  it('makes its messages’ ids of its own and their sequences, and tells where each went', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await prepare(world, 7, ['a', 'b'], { topic: 'one' })
    await prepare(world, 7, ['c'], { topic: 'two', base: 2 })
    const ended = await end(world, 7, 'commit', { count: 3 }) as TransactionEnded
    expect(ended.segments).toMatchObject([
      { topic: 'one', queueId: 0, offset: 0, count: 2 }, { topic: 'two', queueId: 0, offset: 0, count: 1 },
    ])
    const ids = [...await messagesOf(world, 'one'), ...await messagesOf(world, 'two')].map(({ messageId }) => messageId)
    expect(ids).toEqual(['0000000000000007-0-0', '0000000000000007-0-1', '0000000000000007-0-2'])
    const found = await world.must<readonly unknown[]>((answer) =>
      world.broker.query({
        topic: '', messageId: ids[2], key: undefined, fromMs: 0, toMs: 0, after: undefined, messageCountMax: 1,
      }, answer))
    expect(found).toMatchObject([{ topic: 'two' }])
  })

  it('is committed with one commit, which removes its parts and is answered after', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await prepare(world, 1, ['a'], { topic: 'one' })
    await prepare(world, 1, ['b'], { topic: 'two', base: 1 })
    const commits = world.broker.counters.commits
    expect(codeOf(await end(world, 1, 'commit', { count: 2 }))).toBe('done')
    expect(world.broker.counters.commits).toBe(commits + 1)
    expect(await storedKeys(world)).toBe(0)
  })

  it('leaves nothing where it is rolled back', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a', 'x'.repeat(5_000)])
    expect(await storedKeys(world)).toBe(2)
    expect(await end(world, 1, 'rollback', { count: 77 })).toMatchObject({ outcome: 'rollback', duplicate: false })
    expect(await bodiesOf(world)).toEqual([])
    expect(await storedKeys(world)).toBe(0)
    expect(world.broker.counters).toMatchObject({ rolledBackTransactions: 1, messagesIn: 0 })
  })

  it('writes no part that was committed or rolled back in the turn it was prepared in', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    const outcomes: string[] = []
    prepareNow(world, 1, ['a'], {}, (outcome) => outcomes.push(codeOf(outcome)))
    endNow(world, 1, 'commit', {}, (outcome) => outcomes.push(codeOf(outcome)))
    prepareNow(world, 2, ['b'], {}, (outcome) => outcomes.push(codeOf(outcome)))
    endNow(world, 2, 'rollback', {}, (outcome) => outcomes.push(codeOf(outcome)))
    expect(outcomes).toEqual([])
    await world.settle()
    expect(outcomes).toEqual(['done', 'done', 'done', 'done'])
    expect(await bodiesOf(world)).toEqual(['a'])
    expect(await storedKeys(world)).toBe(0)
  })

  it('survives a restart between any two steps', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    const large = 'x'.repeat(3_000)
    await prepare(world, 1, ['a', large])
    await world.reopen()
    expect(await prepare(world, 1, ['b'], { base: 2 })).toBe('done')
    await world.reopen()
    expect(await bodiesOf(world)).toEqual([])
    await prepare(world, 1, ['c'], { base: 3, topic: 'two' })
    expect(codeOf(await end(world, 1, 'commit', { count: 4 }))).toBe('done')
    await world.reopen()
    expect(await bodiesOf(world)).toEqual(['a', large, 'b'])
    expect(await bodiesOf(world, 'two')).toEqual(['c'])
    expect(await storedKeys(world)).toBe(0)
    expect(world.broker.stats().openTransactionCount).toBe(0)
  })

  it('shares nothing with one that began before a restart', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    for (let id = 1; id <= 3; id++) {
      await prepare(world, id, [`${id} first`])
      await prepare(world, id + 10, ['ends at once'])
      await end(world, id + 10, 'rollback')
      await world.reopen()
    }
    for (let id = 1; id <= 3; id++) await prepare(world, id, [`${id} second`], { base: 1 })
    for (let id = 1; id <= 3; id++) expect(codeOf(await end(world, id, 'commit', { count: 2 }))).toBe('done')
    expect(await bodiesOf(world)).toEqual([1, 2, 3].flatMap((id) => [`${id} first`, `${id} second`]))
    for (let id = 11; id <= 13; id++) expect(await end(world, id, 'rollback')).toMatchObject({ duplicate: true })
    for (let id = 1; id <= 3; id++) {
      expect(await end(world, id, 'commit')).toMatchObject({ segments: [{ offset: id * 2 - 2 }, {}] })
    }
  })

  it('can be rolled back after a restart without its messages being read', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    await prepare(world, 1, ['x'.repeat(3_000)], { base: 1 })
    await world.reopen()
    expect(codeOf(await end(world, 1, 'rollback'))).toBe('done')
    expect(await storedKeys(world)).toBe(0)
  })

  it('keeps no state of a producer', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    await end(world, 1, 'commit')
    expect(world.broker.stats().producerCount).toBe(0)
    expect(await world.entries(keyKinds.producer)).toEqual([])
  })

  it('is spread over the queues like other batches', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 4 } })
    const queues: number[] = []
    for (let id = 1; id <= 8; id++) {
      await prepare(world, id, ['x'])
      const { segments } = await end(world, id, 'commit') as TransactionEnded
      queues.push(...segments.map(({ queueId }) => queueId))
    }
    expect(queues.sort()).toEqual([0, 0, 1, 1, 2, 2, 3, 3])
  })

  it('goes into FIFO, PRIORITY and COMPACT topics by their rules, which are checked when it is prepared', async () => {
    const world = await BrokerWorld.open()
    await createTopic(world, 'f', { messageType: 'FIFO', queueCount: 4 })
    await createTopic(world, 'p', { messageType: 'PRIORITY' })
    await createTopic(world, 'c', { cleanupPolicy: 'COMPACT', queueCount: 2 })
    expect(await prepare(world, 1, ['no group'], { topic: 'f' })).toBe('MESSAGE_TYPE_MISMATCH')
    expect(await prepare(world, 1, ['no key'], { topic: 'c' })).toBe('BAD_ARGUMENT')
    expect(await prepare(world, 1, [{ body: 'x', priority: 3 }], { topic: 't' })).toBe('MESSAGE_TYPE_MISMATCH')
    expect(await prepare(world, 1, ['x'], { topic: '%DLQ%g' })).toBe('FORBIDDEN')
    expect(await prepare(world, 1, ['x'], { topic: 'bad name' })).toBe('BAD_NAME')
    const messages = Array.from({ length: 20 }, (_, index) => ({ body: String(index), messageGroup: `g${index % 3}` }))
    await prepare(world, 1, messages, { topic: 'f' })
    await prepare(world, 1, [{ body: 'high', priority: 9 }, { body: 'low' }], { topic: 'p', base: 20 })
    await prepare(world, 1, [{ body: 'kept', keys: ['k'] }], { topic: 'c', base: 22 })
    const ended = await end(world, 1, 'commit', { count: 23 }) as TransactionEnded
    expect(ended.segments.filter(({ topic }) => topic === 'p')).toMatchObject([{ queueId: 9 }, { queueId: 0 }])
    expect(ended.segments.reduce((sum, { count }) => sum + count, 0)).toBe(23)
    const inGroups = (await messagesOf(world, 'f')).filter(({ messageGroup }) => messageGroup === 'g1')
    // A FIFO group gives one at a time.
    expect(inGroups.map(({ body }) => bytesToText(body))).toEqual(['1'])
  })
})

describe('PREPARE', () => {
  it('sent again changes nothing and is answered again, over a restart too', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await prepare(world, 1, ['a', 'b'])
    await prepare(world, 1, ['c'], { base: 2 })
    expect(await prepare(world, 1, ['a', 'b'])).toBe('done')
    await world.reopen()
    expect(await prepare(world, 1, ['c'], { base: 2 })).toBe('done')
    expect(await prepare(world, 1, ['b'], { base: 1 })).toBe('done')
    expect(world.broker.counters.preparedMessages).toBe(0)
    await end(world, 1, 'commit', { count: 3 })
    expect(await bodiesOf(world)).toEqual(['a', 'b', 'c'])
  })

  it('sent again is answered though its topic is gone meanwhile', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    await world.must<void>((answer) => world.broker.deleteTopic('t', answer))
    expect(await prepare(world, 1, ['a'])).toBe('done')
  })

  it('is refused where parts before it are missing, or half of it was stored', async () => {
    const world = await BrokerWorld.open()
    expect(await prepare(world, 1, ['b'], { base: 1 })).toBe('SEQUENCE_GAP')
    expect(world.broker.stats().openTransactionCount).toBe(0)
    await prepare(world, 1, ['a', 'b'])
    expect(await prepare(world, 1, ['d'], { base: 3 })).toBe('SEQUENCE_GAP')
    expect(await prepare(world, 1, ['b', 'c'], { base: 1 })).toBe('SEQUENCE_GAP')
    expect(await prepare(world, 1, ['c'], { base: 2 })).toBe('done')
  })

  it('that is refused does not count, so that those behind it are refused too', async () => {
    const world = await BrokerWorld.open({ autoCreateTopics: false })
    await createTopic(world, 't')
    expect(await prepare(world, 1, ['a'], { topic: 'missing' })).toBe('TOPIC_NOT_FOUND')
    expect(await prepare(world, 1, ['b'], { base: 1 })).toBe('SEQUENCE_GAP')
    expect(await prepare(world, 1, ['a'])).toBe('done')
  })

  it('is refused after the end of its transaction, over a restart too', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    await end(world, 1, 'commit')
    await prepare(world, 2, ['a'])
    await end(world, 2, 'rollback')
    for (let opening = 0; opening < 2; opening++) {
      for (const id of [1, 2]) {
        expect(await prepare(world, id, ['a'])).toBe('TRANSACTION_FINISHED')
        expect(await prepare(world, id, ['b'], { base: 1 })).toBe('TRANSACTION_FINISHED')
      }
      await world.reopen()
    }
  })

  it('of another producer group is refused', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    expect(await prepare(world, 1, ['b'], { base: 1, group: 'other' })).toBe('FORBIDDEN')
    expect(await prepare(world, 1, ['a'], { group: 'other' })).toBe('FORBIDDEN')
    expect(await prepare(world, 2, ['a'], { group: '' })).toBe('BAD_NAME')
    expect(await prepare(world, 2, ['a'], { group: 'x y' })).toBe('BAD_NAME')
  })

  it('stores nothing of a part of which one message is bad', async () => {
    const world = await BrokerWorld.open({ limits: { bodyBytesMax: 10 } })
    expect(await prepare(world, 1, ['fine', 'x'.repeat(11)])).toBe('MESSAGE_TOO_LARGE')
    expect(world.broker.stats().openTransactionCount).toBe(0)
    expect(await storedKeys(world)).toBe(0)
  })

  it('is refused while the relay drains, and commits are not', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    void world.broker.drain()
    expect(await prepare(world, 2, ['a'])).toBe('RELAY_STOPPING')
    expect(codeOf(await end(world, 1, 'commit'))).toBe('done')
  })
})

describe('END_TRANSACTION', () => {
  it('sent again is answered the same, as a duplicate, in the same turn, later and after a restart', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await prepare(world, 1, ['a', 'b'])
    const outcomes: (TransactionEnded | PocketError)[] = []
    endNow(world, 1, 'commit', { count: 2 }, (outcome) => outcomes.push(outcome))
    endNow(world, 1, 'commit', { count: 2 }, (outcome) => outcomes.push(outcome))
    await world.settle()
    const [first, second] = outcomes as [TransactionEnded, TransactionEnded]
    expect(first).toMatchObject({ duplicate: false, segments: [{ offset: 0, count: 2 }] })
    expect(second).toEqual({ ...first, duplicate: true })
    expect(await end(world, 1, 'commit')).toEqual(second)
    await world.reopen()
    expect(await end(world, 1, 'commit')).toEqual(second)
    expect(await bodiesOf(world)).toEqual(['a', 'b'])
    await prepare(world, 2, ['c'])
    expect(await end(world, 2, 'rollback')).toEqual({ outcome: 'rollback', duplicate: false, segments: [], scheduled: [] })
    await world.reopen()
    expect(await end(world, 2, 'rollback')).toEqual({ outcome: 'rollback', duplicate: true, segments: [], scheduled: [] })
  })

  it('the other way is refused', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    await prepare(world, 2, ['a'])
    await end(world, 1, 'commit')
    await end(world, 2, 'rollback')
    for (let opening = 0; opening < 2; opening++) {
      expect(codeOf(await end(world, 1, 'rollback'))).toBe('TRANSACTION_FINISHED')
      expect(codeOf(await end(world, 2, 'commit'))).toBe('TRANSACTION_FINISHED')
      await world.reopen()
    }
  })

  it('of an unknown transaction is refused; a rollback also keeps a late PREPARE from beginning it', async () => {
    const world = await BrokerWorld.open()
    expect(codeOf(await end(world, 1, 'commit'))).toBe('TRANSACTION_NOT_FOUND')
    expect(await prepare(world, 1, ['a'])).toBe('done')
    for (let opening = 0; opening < 2; opening++) {
      expect(codeOf(await end(world, 2, 'rollback'))).toBe('TRANSACTION_NOT_FOUND')
      expect(await prepare(world, 2, ['a'])).toBe('TRANSACTION_FINISHED')
      expect(codeOf(await end(world, 2, 'commit'))).toBe('TRANSACTION_FINISHED')
      await world.reopen()
    }
    expect(world.broker.stats().openTransactionCount).toBe(1)
  })

  it('commits only what has come: neither more nor less', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a', 'b'])
    for (const count of [0, 1, 3, Number.MAX_SAFE_INTEGER]) {
      const refused = await end(world, 1, 'commit', { count }) as PocketError
      expect(codeOf(refused)).toBe('SEQUENCE_GAP')
      expect(refused.message).toContain('has 2')
    }
    await prepare(world, 1, ['c'], { base: 2 })
    expect(codeOf(await end(world, 1, 'commit', { count: 3 }))).toBe('done')
  })

  it('of another producer group is refused, also when it has ended', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    expect(codeOf(await end(world, 1, 'commit', { group: 'other' }))).toBe('FORBIDDEN')
    expect(codeOf(await end(world, 1, 'rollback', { group: 'other' }))).toBe('FORBIDDEN')
    await end(world, 1, 'commit')
    await world.reopen()
    expect(codeOf(await end(world, 1, 'commit', { group: 'other' }))).toBe('FORBIDDEN')
    expect(codeOf(await end(world, 1, 'commit', { group: '' }))).toBe('BAD_NAME')
  })

  it('cannot commit to a topic that was deleted, even where there is another of its name; it can roll back', async () => {
    const world = await BrokerWorld.open()
    for (const id of [1, 2]) {
      await prepare(world, id, ['a'], { topic: 'stays' })
      await prepare(world, id, ['b'], { topic: 'goes', base: 1 })
    }
    await world.must<void>((answer) => world.broker.deleteTopic('goes', answer))
    expect(codeOf(await end(world, 1, 'commit', { count: 2 }))).toBe('TOPIC_NOT_FOUND')
    await createTopic(world, 'goes')
    expect(codeOf(await end(world, 1, 'commit', { count: 2 }))).toBe('TOPIC_NOT_FOUND')
    expect(world.broker.stats().openTransactionCount).toBe(2)
    await world.reopen()
    expect(codeOf(await end(world, 2, 'commit', { count: 2 }))).toBe('TOPIC_NOT_FOUND')
    expect(codeOf(await end(world, 1, 'rollback'))).toBe('done')
    expect(codeOf(await end(world, 2, 'rollback'))).toBe('done')
    expect(await bodiesOf(world, 'stays')).toEqual([])
    expect(await storedKeys(world)).toBe(0)
  })

  it('cannot commit to a topic that is deleted while its messages are read', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    await world.reopen()
    const outcomes: string[] = []
    endNow(world, 1, 'commit', {}, (outcome) => outcomes.push(codeOf(outcome)))
    world.broker.deleteTopic('t', () => {})
    await world.settle()
    expect(outcomes).toEqual(['TOPIC_NOT_FOUND'])
    expect(codeOf(await end(world, 1, 'rollback'))).toBe('done')
  })

  it('has others wait that come while its messages are read', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await prepare(world, 1, ['a', 'b'])
    await world.reopen()
    const outcomes: unknown[] = []
    const note = (what: string) => (outcome: unknown) => outcomes.push([what, codeOf(outcome)])
    endNow(world, 1, 'commit', { count: 2 }, (outcome) => outcomes.push(['first', outcome]))
    endNow(world, 1, 'commit', { count: 2 }, (outcome) => outcomes.push(['again', outcome]))
    endNow(world, 1, 'rollback', {}, note('rollback'))
    prepareNow(world, 1, ['c'], { base: 2 }, note('late part'))
    await world.settle()
    expect(outcomes).toMatchObject([
      ['first', { duplicate: false, segments: [{ count: 2 }] }], ['rollback', 'TRANSACTION_FINISHED'],
      ['late part', 'TRANSACTION_FINISHED'], ['again', { duplicate: true, segments: [{ count: 2 }] }],
    ])
    expect(await bodiesOf(world)).toEqual(['a', 'b'])
  })

  it('sent again long after is answered from the messages themselves', async () => {
    const world = await BrokerWorld.open({ limits: { transactionRetentionMs: 60_000, queueCountDefault: 1 } })
    await prepare(world, 1, ['a'])
    await end(world, 1, 'commit')
    await prepare(world, 2, [{ body: 'later', delayMs: 90_000 }])
    await end(world, 2, 'commit')
    for (const bodies of [['a'], ['a', 'later']]) {
      await world.advance(62_000)
      for (const id of [1, 2]) {
        expect(await end(world, id, 'commit')).toEqual({ outcome: 'commit', duplicate: true, segments: [], scheduled: [] })
      }
      expect(await bodiesOf(world)).toEqual(bodies)
    }
  })
})

describe('delayed half messages', () => {
  it('are scheduled from the commit on, and invisible before', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await prepare(world, 1, ['now', { body: 'later', delayMs: 10_000 }, 'too'], { checkAfterMs: 3_600_000 })
    await world.advance(60_000)
    expect(await bodiesOf(world)).toEqual([])
    const committedMs = world.clock.now()
    const ended = await end(world, 1, 'commit', { count: 3 }) as TransactionEnded
    expect(ended.scheduled).toEqual([committedMs + 10_000])
    expect(ended.segments.map(({ epoch, count }) => [epoch === 0, count])).toEqual([[false, 1], [true, 1], [false, 1]])
    expect(await bodiesOf(world)).toEqual(['now', 'too'])
    await world.advance(9_000)
    expect(await bodiesOf(world)).toEqual(['now', 'too'])
    await world.advance(1_000)
    expect(await bodiesOf(world)).toEqual(['now', 'too', 'later'])
    expect(await end(world, 1, 'commit')).toEqual({ ...ended, duplicate: true })
    expect((await messagesOf(world)).at(-1)?.messageId).toBe('0000000000000001-0-1')
  })

  it('are refused beyond the furthest delay when they are prepared, and never later', async () => {
    const world = await BrokerWorld.open({ limits: { delayMsMax: 60_000 } })
    expect(await prepare(world, 1, [{ body: 'x', delayMs: 60_001 }])).toBe('BAD_ARGUMENT')
    const deliverMs = world.clock.now() + 60_000
    expect(await prepare(world, 1, [{ body: 'x', deliverMs }])).toBe('done')
    world.clock.jumpWall(-3_600_000)
    expect(await end(world, 1, 'commit')).toMatchObject({ scheduled: [deliverMs] })
  })

  it('leave a transaction as it was where too many wait already', async () => {
    const world = await BrokerWorld.open({ limits: { delayedCountMax: 1, queueCountDefault: 1 } })
    await prepare(world, 1, ['a'])
    await prepare(world, 1, [{ body: 'later', delayMs: 5_000 }], { base: 1 })
    await world.publish('t', [{ body: 'waits', delayMs: 1_000 }])
    expect(codeOf(await end(world, 1, 'commit', { count: 2 }))).toBe('LIMIT_EXCEEDED')
    expect(await bodiesOf(world)).toEqual([])
    await world.advance(2_000)
    expect(codeOf(await end(world, 1, 'commit', { count: 2 }))).toBe('done')
    expect(await bodiesOf(world)).toEqual(['waits', 'a'])
  })
})

describe('limits of transactions', () => {
  it('hold for the messages of one, at the bound, above and far beyond', async () => {
    const max = fixedLimits.transactionMessageCountMax
    const world = await BrokerWorld.open()
    const messages = Array.from({ length: max }, () => '')
    expect(await prepare(world, 1, messages)).toBe('done')
    expect(await prepare(world, 1, [''], { base: max })).toBe('LIMIT_EXCEEDED')
    expect(await prepare(world, 2, [...messages, ''])).toBe('LIMIT_EXCEEDED')
    expect(await prepare(world, 2, Array.from({ length: 16_384 }, () => ''))).toBe('LIMIT_EXCEEDED')
    expect(await prepare(world, 2, [])).toBe('BAD_FRAME')
    expect(codeOf(await end(world, 1, 'commit', { count: max }))).toBe('done')
    expect(await bodiesOf(world)).toHaveLength(max)
  })

  it('hold for the bytes of one, at the bound, above and far beyond', async () => {
    const world = await BrokerWorld.open({ limits: { transactionBytesMax: 10_000 } })
    // Each is 10 bytes beside its body: size, flags, sequence and born time.
    const bodyOf = (bytes: number) => 'x'.repeat(bytes - 10)
    expect(await prepare(world, 1, [bodyOf(4_000)])).toBe('done')
    expect(await prepare(world, 1, [bodyOf(6_001)], { base: 1 })).toBe('LIMIT_EXCEEDED')
    expect(await prepare(world, 1, [bodyOf(500_000)], { base: 1 })).toBe('LIMIT_EXCEEDED')
    expect(await prepare(world, 1, [bodyOf(6_000)], { base: 1 })).toBe('done')
    expect((await list(world)).transactions).toMatchObject([{ byteCount: 10_000, messageCount: 2 }])
    await world.reopen()
    expect(await prepare(world, 1, ['x'], { base: 2 })).toBe('LIMIT_EXCEEDED')
    expect(codeOf(await end(world, 1, 'commit', { count: 2 }))).toBe('done')
  })

  it('hold for what one frame brings to a producer, however small the messages are', async () => {
    const limits = { frameBytesMax: 40_000, bodyBytesMax: 1_000, transactionBytesMax: 20_000 }
    const world = await BrokerWorld.open({ limits })
    let base = 0
    let outcome = 'done'
    for (; outcome === 'done' && base < 4_096; base++) outcome = await prepare(world, 1, [''], { base, checkAfterMs: 1_000 })
    expect(outcome).toBe('LIMIT_EXCEEDED')
    expect(base).toBeGreaterThan(50)
    let frameBytes = 0
    world.broker.registerProducer('pg', {
      check: ({ messages }) => {
        frameBytes = messages.reduce((sum, { topic, record }) => sum + topic.length + record.length + 4, 64)
        return true
      },
    })
    await world.advance(1_000)
    expect(frameBytes).toBeGreaterThan(0)
    expect(frameBytes).toBeLessThan(40_000)
  })

  it('hold for the number of open ones, over a restart too', async () => {
    const world = await BrokerWorld.open({ limits: { transactionCountMax: 3 } })
    for (let id = 1; id <= 3; id++) expect(await prepare(world, id, ['a'])).toBe('done')
    expect(await prepare(world, 4, ['a'])).toBe('LIMIT_EXCEEDED')
    await world.reopen()
    expect(await prepare(world, 4, ['a'])).toBe('LIMIT_EXCEEDED')
    expect(await prepare(world, 3, ['b'], { base: 1 })).toBe('done')
    await end(world, 1, 'rollback')
    expect(await prepare(world, 4, ['a'])).toBe('done')
  })

  it('hold for the time to the first check', async () => {
    const world = await BrokerWorld.open()
    const max = fixedLimits.transactionCheckFirstMsMax
    expect(await prepare(world, 1, ['a'], { checkAfterMs: max })).toBe('done')
    expect(await prepare(world, 2, ['a'], { checkAfterMs: max + 1 })).toBe('BAD_ARGUMENT')
    expect(await prepare(world, 2, ['a'], { checkAfterMs: Number.MAX_SAFE_INTEGER })).toBe('BAD_ARGUMENT')
  })

  it('hold for those that ended and are remembered: the oldest go first', async () => {
    const world = await BrokerWorld.open({ limits: { transactionsEndedMax: 2 } })
    for (let id = 1; id <= 4; id++) {
      await prepare(world, id, ['a'])
      await end(world, id, 'rollback')
    }
    for (let opening = 0; opening < 2; opening++) {
      expect(await world.entries(keyKinds.endedTransactions)).toHaveLength(2)
      expect(codeOf(await end(world, 4, 'rollback'))).toBe('done')
      expect(codeOf(await end(world, 3, 'rollback'))).toBe('done')
      expect(codeOf(await end(world, 2, 'commit'))).toBe('TRANSACTION_NOT_FOUND')
      await world.reopen()
    }
  })

  it('hold for the memory that half messages take, and commits read what is not there', async () => {
    const world = await BrokerWorld.open({ limits: { transactionCacheBytesMax: 5_000, queueCountDefault: 1 } })
    for (let id = 1; id <= 5; id++) {
      await prepare(world, id, [`${id} small`])
      await prepare(world, id, [`${id} ${'x'.repeat(2_000)}`], { base: 1 })
    }
    await world.publish('other', ['a turn'])
    await prepare(world, 1, ['1 late'], { base: 2 })
    expect(codeOf(await end(world, 1, 'commit', { count: 3 }))).toBe('done')
    for (let id = 2; id <= 5; id++) expect(codeOf(await end(world, id, 'commit', { count: 2 }))).toBe('done')
    const bodies = (await bodiesOf(world)).map((body) => body.slice(0, 6))
    expect(bodies).toEqual(['1 smal', '1 xxxx', '1 late', ...[2, 3, 4, 5].flatMap((id) => [`${id} smal`, `${id} xxxx`])])
    expect(await storedKeys(world)).toBe(0)
  })
})

describe('ended transactions', () => {
  it('are forgotten after their time, in memory and in the store, never later after a restart', async () => {
    const world = await BrokerWorld.open({ limits: { transactionRetentionMs: 60_000 } })
    for (let id = 1; id <= 3; id++) {
      await prepare(world, id, ['a'])
      await end(world, id, 'rollback')
      await world.advance(20_000)
    }
    expect(await world.entries(keyKinds.endedTransactions)).toHaveLength(3)
    await world.advance(2_000)
    expect(await world.entries(keyKinds.endedTransactions)).toHaveLength(2)
    expect(codeOf(await end(world, 1, 'commit'))).toBe('TRANSACTION_NOT_FOUND')
    world.clock.jumpWall(-86_400_000)
    await world.reopen()
    expect(codeOf(await end(world, 3, 'commit'))).toBe('TRANSACTION_FINISHED')
    await world.advance(62_000)
    expect(await world.entries(keyKinds.endedTransactions)).toEqual([])
    expect(codeOf(await end(world, 3, 'commit'))).toBe('TRANSACTION_NOT_FOUND')
  })

  it('of one turn share an entry', async () => {
    const world = await BrokerWorld.open()
    for (let id = 1; id <= 50; id++) await prepare(world, id, ['a'])
    for (let id = 1; id <= 50; id++) endNow(world, id, 'commit', {}, () => {})
    await world.settle()
    expect(await world.entries(keyKinds.endedTransactions)).toHaveLength(1)
    await world.reopen()
    for (let id = 1; id <= 50; id++) {
      expect(await end(world, id, 'commit')).toMatchObject({ duplicate: true, segments: [{ count: 1 }] })
    }
  })
})

describe('a store that is full or fails', () => {
  const limits = { storeReserveBytes: 20_000, queueCountDefault: 1 }

  it('takes no new half messages, and lets commits and rollbacks through', async () => {
    const world = await BrokerWorld.open({ storeBytes: 100_000, limits })
    let id = 0
    let outcome = 'done'
    while (outcome === 'done') outcome = await prepare(world, ++id, ['x'.repeat(2_000)])
    expect(outcome).toBe('STORE_FULL')
    expect(id).toBeGreaterThan(20)
    for (let done = 1; done < id; done++) {
      expect(codeOf(await end(world, done, done % 3 === 0 ? 'rollback' : 'commit'))).toBe('done')
    }
    expect(world.failures).toEqual([])
  })

  it('refuses a commit before anything of it is changed where there is no room even for that', async () => {
    const world = await BrokerWorld.open({ storeBytes: 100_000, limits })
    await prepare(world, 1, ['x'.repeat(2_000)])
    await prepare(world, 1, ['y'], { base: 1, topic: 'two' })
    const filler = { key: Uint8Array.of(200), value: new Uint8Array(0) }
    const { storeFreeBytes } = world.broker.stats()
    await world.write([{ ...filler, value: new Uint8Array(storeFreeBytes - 11_000) }])
    // The room is looked at in every turn.
    await list(world)
    const refused = await end(world, 1, 'commit', { count: 2 }) as PocketError
    expect(codeOf(refused)).toBe('STORE_FULL')
    expect(refused.retryAfterMs).toBeGreaterThan(0)
    expect(await bodiesOf(world, 'two')).toEqual([])
    await world.write([{ ...filler, value: null }])
    await list(world)
    expect(codeOf(await end(world, 1, 'commit', { count: 2 }))).toBe('done')
    expect(await bodiesOf(world, 'two')).toEqual(['y'])
    expect(world.failures).toEqual([])
  })

  it('answers nothing of a turn whose commit failed; after a restart the transaction is as it was before', async () => {
    const world = await BrokerWorld.open({ limits })
    await prepare(world, 1, ['a'])
    const { commit } = world.store
    world.store.commit = (_writes, answer) => world.clock.defer(() => answer({ kind: 'unknown', cause: new Error('gone') }))
    const outcomes: unknown[] = []
    endNow(world, 1, 'commit', {}, (outcome) => outcomes.push(outcome))
    prepareNow(world, 2, ['b'], {}, (outcome) => outcomes.push(outcome))
    await world.settle()
    expect(outcomes).toEqual([])
    expect(world.failures).toHaveLength(1)
    world.store.commit = commit
    await world.reopen()
    expect((await list(world)).transactions).toMatchObject([{ transactionId: idBytes(1) }])
    expect(codeOf(await end(world, 1, 'commit'))).toBe('done')
    expect(await bodiesOf(world)).toEqual(['a'])
  })

  it('fails the broker where messages cannot be read', async () => {
    const world = await BrokerWorld.open({ limits })
    await prepare(world, 1, ['a'])
    await world.reopen()
    world.store.read = (_range, answer) => world.clock.defer(() => answer({ kind: 'failed', cause: new Error('gone') }))
    const outcomes: unknown[] = []
    endNow(world, 1, 'commit', {}, (outcome) => outcomes.push(outcome))
    await world.settle()
    expect(outcomes).toEqual([])
    expect(world.failures).toHaveLength(1)
  })

  it('with a flipped bit in a part keeps that transaction from its commit, and no other', async () => {
    for (const body of ['small', 'x'.repeat(3_000)]) {
      for (const isOpen of [true, false]) {
        const world = await BrokerWorld.open({ limits: { ...limits, transactionCacheBytesMax: 0 } })
        await prepare(world, 1, [body])
        await prepare(world, 2, ['fine'])
        const kind = body === 'small' ? keyKinds.transactionPart : keyKinds.halfMessages
        const [entry] = await world.entries(kind)
        const { key, value } = entry as { key: Uint8Array; value: Uint8Array }
        value[value.length - 1] = (value.at(-1) as number) ^ 1
        await world.write([{ key, value }])
        if (!isOpen) await world.reopen()
        else await world.publish('other', ['a turn'])
        expect(codeOf(await end(world, 1, 'commit'))).toBe('RECORD_DAMAGED')
        expect(codeOf(await end(world, 1, 'commit'))).toBe('RECORD_DAMAGED')
        expect(world.broker.counters.damagedRecords).toBe(1)
        // Nobody is asked about it, and it stays.
        await world.advance(100 * 3_600_000 / 1_000)
        expect((await list(world)).transactions.map(({ transactionId }) => transactionId)).toContainEqual(idBytes(1))
        expect(codeOf(await end(world, 2, 'commit'))).toBe('done')
        expect(codeOf(await end(world, 1, 'rollback'))).toBe('done')
        expect(await storedKeys(world)).toBe(0)
        expect(await bodiesOf(world)).toEqual(['fine'])
      }
    }
  })
})

describe('listing transactions', () => {
  it('gives pages by id, of one producer group or of all', async () => {
    const world = await BrokerWorld.open()
    for (const id of [5, 3, 9, 1, 7]) await prepare(world, id, ['a', 'b'], { group: id < 6 ? 'low' : 'high' })
    await prepare(world, 3, ['c'], { group: 'low', base: 2, topic: 'two' })
    const ids = async (...page: [string?, number?, number?]) => {
      const { transactions, more } = await list(world, ...page)
      return [...transactions.map(({ transactionId }) => transactionId.at(-1)), more]
    }
    expect(await ids()).toEqual([1, 3, 5, 7, 9, false])
    expect(await ids('', undefined, 2)).toEqual([1, 3, true])
    expect(await ids('', 3, 2)).toEqual([5, 7, true])
    expect(await ids('', 7, 2)).toEqual([9, false])
    expect(await ids('low')).toEqual([1, 3, 5, false])
    expect(await ids('none')).toEqual([false])
    await world.reopen()
    expect((await list(world, 'low', 1, 1)).transactions).toEqual([{
      transactionId: idBytes(3), producerGroup: 'low', preparedMs: world.clock.now(), checkCount: 0, messageCount: 3,
      byteCount: expect.any(Number) as number, topics: ['t', 'two'],
    }])
  })

  it('finds the first of very many', async () => {
    const world = await BrokerWorld.open()
    for (let id = 5_000; id > 0; id--) prepareNow(world, id, ['a'], {}, () => {})
    await world.settle()
    const { transactions, more } = await list(world, '', 1_234, 3)
    expect(transactions.map(({ transactionId }) => transactionId)).toEqual([1_235, 1_236, 1_237].map(idBytes))
    expect(more).toBe(true)
    expect((await list(world, '', undefined, 1_000_000)).transactions).toHaveLength(1_000)
  })
})

describe('deleting and describing topics', () => {
  it('is not kept by half messages', async () => {
    const world = await BrokerWorld.open()
    await prepare(world, 1, ['a'])
    const { queues } = await world.must<TopicDescription>((answer) => world.broker.describeTopic('t', answer))
    expect(queues.every(({ maxOffset }) => maxOffset === 0)).toBe(true)
    expect(codeOf(await world.ask<void>((answer) => world.broker.deleteTopic('t', answer)))).toBe('done')
  })
})
