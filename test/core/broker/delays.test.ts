// Delayed messages at the broker: due on the millisecond and never before, over restarts and jumps of the wall clock,
// taken back, listed, found, resent, bounded; and what becomes of them when the store or their topic fails them.

import { describe, expect, it } from 'vitest'
import { Broker } from '../../../core/broker/broker.ts'
import type { FoundMessage, PublishReceipt } from '../../../core/broker/door.ts'
import { bytesToText } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import { defaultLimits, fixedLimits } from '../../../core/limits.ts'
import { formatRecallHandle, type StoredMessage } from '../../../core/model/message.ts'
import { silentLog } from '../../../core/ports/log.ts'
import type { DelayedMessage, TopicDescription } from '../../../core/protocol/frames.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { createSimStore, type SimStore } from '../../sim/sim-store.ts'
import { BrokerWorld, encodeMessages, idBytes, type OutMessage } from './broker-world.ts'
import { auditStore } from './store-audit.ts'

const dayMs = 86_400_000
const maxMs = fixedLimits.delayMsMax
const one = { queueCountDefault: 1 }

const codeOf = (outcome: unknown): string => (outcome instanceof PocketError ? outcome.code : 'no error')
const id = (producer: number, sequence: number) => `${producer.toString(16).padStart(16, '0')}-0-${sequence}`
const handle = (deliverMs: number, sequence = 0, producer = 1) => formatRecallHandle(deliverMs, id(producer, sequence))

function recall(world: BrokerWorld, recallHandle: string, topic = 't') {
  return world.ask<{ messageId: string }>((answer) => world.broker.recall({ topic, recallHandle }, answer))
}

function list(world: BrokerWorld, topic = '', after = '', countMax = 1_000) {
  return world.must<{ messages: readonly DelayedMessage[]; more: boolean }>((answer) =>
    world.broker.listDelayed({ topic, after, countMax }, answer))
}

const bodyOf = ({ record, topic }: DelayedMessage | FoundMessage) =>
  bytesToText(RecordBatch.open(record).messageAt(0, topic, 0).body)

async function delayedCount(world: BrokerWorld, topic = 't'): Promise<number> {
  const description = await world.must<TopicDescription>((answer) => world.broker.describeTopic(topic, answer))
  return description.delayedCount
}

function find(world: BrokerWorld, messageId: string) {
  return world.must<readonly FoundMessage[]>((answer) =>
    world.broker.query({
      topic: '', messageId, key: undefined, fromMs: 0, toMs: 0, after: undefined, messageCountMax: 10,
    }, answer))
}

/** Everything in the queues of all topics. */
async function stored(world: BrokerWorld): Promise<(StoredMessage & { text: string })[]> {
  const entries = await world.entries(keyKinds.record)
  return entries.flatMap(({ value }) => {
    const record = RecordBatch.open(value)
    return Array.from({ length: record.messageCount }, (_, index) => {
      const message = record.messageAt(index, '', 0)
      return { ...message, text: bytesToText(message.body) }
    })
  })
}

describe('a delayed message', () => {
  it('is delivered on the millisecond that it is due, and not one before', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const member = await world.join('t', { mode: 'BROADCASTING' })
    const sentMs = world.clock.now()
    const delays = [1, 2, 3, 10, 999, 1_000, 1_001, 3_600_000]
    await world.publish('t', delays.map((delayMs) => ({ body: String(delayMs), delayMs })))
    for (const [index, delayMs] of delays.entries()) {
      await world.advance(sentMs + delayMs - 1 - world.clock.now())
      expect(member.bodies).toEqual(delays.slice(0, index).map(String))
      await world.advance(1)
      expect(member.bodies).toEqual(delays.slice(0, index + 1).map(String))
      expect(member.held.at(-1)?.message.storedMs).toBe(sentMs + delayMs)
    }
  })

  it('says when it is due in place of its delay, and keeps all else', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const member = await world.join('t')
    const dueMs = world.clock.now() + 500
    const headers = { bornMs: 7, tag: 'tag', keys: ['k1', 'k2'], properties: new Map([['a', 'b']]), ttlMs: 9_000 }
    const { scheduled, segments } = await world.publish('t', [{ body: 'x', delayMs: 500, ...headers }])
    expect({ scheduled, segments }).toEqual({ scheduled: [dueMs], segments: [{ queueId: 0, epoch: 0, offset: 0, count: 1 }] })
    await world.advance(500)
    expect(member.held[0]?.message).toMatchObject({ ...headers, deliverMs: dueMs, delayMs: undefined, messageId: id(1, 0) })
  })

  it('is delivered at once where its time is past, or is now', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const nowMs = world.clock.now()
    const messages = [{ delayMs: 0 }, { deliverMs: 0 }, { deliverMs: 1 }, { deliverMs: nowMs - 1 }, { deliverMs: nowMs }]
    const receipt = await world.publish('t', messages.map((message, index) => ({ ...message, body: String(index) })))
    expect(receipt.scheduled).toEqual([])
    expect(receipt.segments).toMatchObject([{ offset: 0, count: 5 }])
    expect((await world.join('t')).bodies).toEqual(['0', '1', '2', '3', '4'])
  })

  it('may be as far ahead as the limit, and not a millisecond further', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const nowMs = world.clock.now()
    const refused = [
      { deliverMs: nowMs + maxMs + 1 }, { deliverMs: nowMs + maxMs + dayMs }, { deliverMs: Number.MAX_SAFE_INTEGER },
    ]
    for (const message of refused) {
      expect(codeOf(await world.tryPublish('t', ['fine', { body: 'x', ...message }]))).toBe('BAD_ARGUMENT')
    }
    const receipt = await world.publish('t', [{ body: 'a', delayMs: maxMs }, { body: 'b', deliverMs: nowMs + maxMs }])
    expect(receipt.scheduled).toEqual([nowMs + maxMs, nowMs + maxMs])
    expect(world.broker.stats().messageCount).toBe(0)
    const near = await BrokerWorld.open({ limits: { delayMsMax: 1_000 } })
    expect(codeOf(await near.tryPublish('t', [{ body: 'x', delayMs: 1_001 }]))).toBe('BAD_ARGUMENT')
    expect(codeOf(await near.tryPublish('t', [{ body: 'x', delayMs: 1_000 }]))).toBe('no error')
    const none = await BrokerWorld.open({ limits: { delayMsMax: 0 } })
    expect(codeOf(await none.tryPublish('t', [{ body: 'x', delayMs: 1 }]))).toBe('BAD_ARGUMENT')
    expect(codeOf(await none.tryPublish('t', [{ body: 'x', delayMs: 0 }]))).toBe('no error')
  })

  it('comes after 40 days, over a restart in the middle', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, retentionSweepMs: dayMs } })
    const dueMs = world.clock.now() + maxMs
    await world.publish('t', [{ body: 'late', delayMs: maxMs }])
    world.broker.close()
    world.clock.advance(maxMs - 1_000)
    await world.reopen()
    const member = await world.join('t')
    await world.advance(999)
    expect(member.bodies).toEqual([])
    await world.advance(1)
    expect(member.held.map(({ body, message }) => [body, message.storedMs])).toEqual([['late', dueMs]])
  })

  it('is told of in message order beside those of its batch that are not delayed', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const nowMs = world.clock.now()
    const delayed = (body: string, delayMs: number) => ({ body, delayMs })
    const receipt = await world.publish('t', ['a', 'b', delayed('c', 30), delayed('d', 10), 'e', delayed('f', 20)])
    expect(receipt.segments.map(({ epoch, count, offset }) => [epoch === 0, offset, count])).toEqual([
      [false, 0, 2], [true, 0, 2], [false, 2, 1], [true, 0, 1],
    ])
    expect(receipt.scheduled).toEqual([30, 10, 20].map((ms) => nowMs + ms))
    const member = await world.join('t')
    await world.advance(100)
    expect(member.bodies).toEqual(['a', 'b', 'e', 'd', 'f', 'c'])
  })

  it('keeps the order of sending among those that are due at the same time', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, delayedAheadCountMax: 4 } })
    const bodies = Array.from({ length: 40 }, (_, index) => String(index))
    await world.publish('t', bodies.map((body) => ({ body, delayMs: 50 })))
    const member = await world.join('t')
    await world.advance(50)
    expect(member.bodies).toEqual(bodies)
  })

  it('goes where its message group, priority or key sends it, as if it were sent then', async () => {
    const world = await BrokerWorld.open()
    await world.createTopic('f', { messageType: 'FIFO', queueCount: 4 })
    await world.createTopic('p', { messageType: 'PRIORITY' })
    await world.createTopic('c', { cleanupPolicy: 'COMPACT', queueCount: 4 })
    const groups = Array.from({ length: 8 }, (_, index) => ({ messageGroup: `g${index}` }))
    const keys = Array.from({ length: 8 }, (_, index) => ({ keys: [`k${index}`] }))
    const priorities = Array.from({ length: 10 }, (_, priority) => ({ priority }))
    for (const [topic, headers] of [['f', groups], ['c', keys], ['p', priorities]] as const) {
      const sent = headers.map((header): OutMessage => ({ body: 'now', ...header }))
      await world.publish(topic, sent)
      await world.publish(topic, sent.map((message) => ({ ...message, body: 'later', delayMs: 10 })))
      await world.advance(10)
      const queuesOf = new Map<string, Set<number>>()
      for (const { message } of (await world.join(topic, { group: `b${topic}`, mode: 'BROADCASTING' })).held) {
        const name = String(message.messageGroup ?? message.priority ?? message.keys?.[0])
        queuesOf.set(name, (queuesOf.get(name) ?? new Set()).add(message.queueId))
      }
      expect([...queuesOf.values()].every((queues) => queues.size === 1), topic).toBe(true)
      expect(new Set([...queuesOf.values()].flatMap((queues) => [...queues])).size, topic).toBeGreaterThan(1)
    }
    expect(await stored(world).then((all) => all.filter(({ text }) => text === 'later').length)).toBe(26)
  })

  it('lives for its time to live, or its topic’s, from when it is put into its queue', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.createTopic('t', { ttlMs: 500 })
    await world.publish('t', [{ body: 'own', delayMs: 10_000, ttlMs: 1_000 }, { body: 'topic', delayMs: 10_000 }])
    await world.advance(10_499)
    expect((await world.join('t', { group: 'a' })).bodies).toEqual(['own', 'topic'])
    await world.advance(1)
    expect((await world.join('t', { group: 'b' })).bodies).toEqual(['own'])
    await world.advance(500)
    expect((await world.join('t', { group: 'c' })).bodies).toEqual([])
  })

  it('is filtered, redelivered and found by key like any other', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', [{ body: 'a', tag: 'x', delayMs: 5, keys: ['k'] }, { body: 'b', tag: 'y', delayMs: 5 }])
    await world.advance(5)
    const member = await world.join('t', { filter: 'x' })
    expect(member.bodies).toEqual(['a'])
    await world.retry(member, member.held.splice(0), 'after', 100)
    await world.advance(100)
    expect(member.held).toMatchObject([{ body: 'a', attempt: 2 }])
    const range = { messageId: undefined, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, after: undefined, messageCountMax: 10 }
    const found = await world.must<readonly FoundMessage[]>((answer) =>
      world.broker.query({ topic: 't', key: 'k', ...range }, answer))
    expect(found.map(bodyOf)).toEqual(['a'])
  })

  it('waits on where the wall clock goes back, and comes within seconds where it jumps ahead', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const member = await world.join('t', { mode: 'BROADCASTING' })
    await world.publish('t', [{ body: 'a', delayMs: 60_000 }, { body: 'b', delayMs: 120_000 }])
    world.clock.jumpWall(-3_600_000)
    await world.advance(60_000)
    expect(member.bodies).toEqual([])
    world.clock.jumpWall(3_600_000)
    // Timers know nothing of it: it is seen within seconds.
    await world.advance(5_000)
    expect(member.bodies).toEqual(['a'])
    world.clock.jumpWall(-3_600_000)
    await world.advance(30_000)
    world.clock.jumpWall(4_600_000)
    await world.advance(5_000)
    expect(member.bodies).toEqual(['a', 'b'])
  })

  it('is stored as of its due time at least, where the wall clock goes back while it fires', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const nowMs = world.clock.now()
    world.broker.publish({
      topic: 't', producerId: idBytes(1), producerEpoch: 0, baseSequence: 0, messageCount: 1, sentMs: 0,
      messages: encodeMessages([{ body: 'now', deliverMs: nowMs }], nowMs),
    }, () => {}, 'c')
    world.clock.jumpWall(-1_000)
    await world.settle()
    expect((await stored(world)).map(({ storedMs }) => storedMs)).toEqual([nowMs])
  })
})

describe('messages scheduled by the thousand', () => {
  it('come in turns of bounded size, and others get theirs in between', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, recordBytesMax: 1 << 20 } })
    const count = 20_000
    for (let base = 0; base < count; base += 5_000) {
      await world.publish('t', Array.from({ length: 5_000 }, (_, index) => ({ body: String(base + index), delayMs: 1_000 })))
    }
    const member = await world.join('t', { mode: 'BROADCASTING', group: 'b' })
    let answered = -1
    world.clock.setTimer(1_000, () => {
      world.broker.publish({
        topic: 't', producerId: idBytes(2), producerEpoch: 0, baseSequence: 0, messageCount: 1, sentMs: 0,
        messages: encodeMessages(['between'], 0),
      }, () => (answered = member.held.length), 'c')
    })
    await world.advance(1_000)
    await world.advance(1_000)
    expect(member.held.length).toBe(count + 1)
    expect(Math.max(...member.deliveries.map(({ messageCount }) => messageCount))).toBeLessThanOrEqual(4_097)
    expect(answered).toBeLessThan(10_000)
    expect(world.broker.counters).toMatchObject({ delayedMessages: count, firedMessages: count })
  })

  it('are read from the store in time where memory holds but a few', async () => {
    for (const delayedAheadCountMax of [1, 2, 7, 100]) {
      const world = await BrokerWorld.open({ limits: { ...one, delayedAheadCountMax } })
      const random = createSimRandom(delayedAheadCountMax)
      const delays = Array.from({ length: 500 }, () => 1 + random.below(5_000))
      await world.publish('t', delays.map((delayMs) => ({ body: String(delayMs), delayMs })))
      await world.reopen()
      const member = await world.join('t')
      await world.advance(6_000)
      expect(member.bodies, String(delayedAheadCountMax)).toEqual(delays.toSorted((left, right) => left - right).map(String))
      expect(member.held.every(({ message }) => message.storedMs === message.deliverMs)).toBe(true)
    }
  })

  it('are counted by topic, also over restarts, and late by nothing where nothing holds them up', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', [{ body: 'a', delayMs: 100 }, { body: 'b', delayMs: 200 }, 'c'])
    await world.publish('u', [{ body: 'd', delayMs: 300 }])
    for (let life = 0; life < 2; life++) {
      expect([await delayedCount(world), await delayedCount(world, 'u')]).toEqual([2, 1])
      await world.reopen()
    }
    await world.advance(100)
    expect([await delayedCount(world), await delayedCount(world, 'u')]).toEqual([1, 1])
    await world.reopen()
    expect(await delayedCount(world)).toBe(1)
    await world.advance(200)
    expect([await delayedCount(world), await delayedCount(world, 'u')]).toEqual([0, 0])
    expect(world.broker.counters.delayLatenessMs).toMatchObject({ sum: 0 })
    expect(world.broker.counters.delayLatenessMs.count).toBe(2)
    for (const kind of [keyKinds.delayed, keyKinds.delayedCount]) expect(await world.entries(kind)).toEqual([])
    expect(await auditStore(world)).toEqual([])
  })

  it('are refused whole where more would wait than may', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, delayedCountMax: 3 } })
    await world.publish('t', [{ body: 'a', delayMs: 1_000 }, { body: 'b', delayMs: 2_000 }])
    const two = [{ body: 'c', delayMs: 10 }, 'not delayed', { body: 'd', delayMs: 10 }]
    const refusal = await world.tryPublish('t', two)
    expect(codeOf(refusal)).toBe('LIMIT_EXCEEDED')
    expect((refusal as PocketError).message).toContain('delayedCountMax')
    expect([await stored(world), await delayedCount(world)]).toEqual([[], 2])
    // Its sequence was not used.
    await world.publish('t', ['x', { body: 'e', delayMs: 3_000 }])
    await world.reopen()
    expect(codeOf(await world.tryPublish('t', [{ body: 'f', delayMs: 1 }]))).toBe('LIMIT_EXCEEDED')
    await world.advance(1_000)
    expect(codeOf(await world.tryPublish('t', [{ body: 'f', delayMs: 1 }]))).toBe('no error')
    const none = await BrokerWorld.open({ limits: { delayedCountMax: 0 } })
    expect(codeOf(await none.tryPublish('t', [{ body: 'x', delayMs: 1 }]))).toBe('LIMIT_EXCEEDED')
    expect(codeOf(await none.tryPublish('t', ['x']))).toBe('no error')
    // A limit that was lowered since concerns nobody else.
    world.limits = { ...world.limits, delayedCountMax: 1 }
    await world.reopen()
    expect(codeOf(await world.tryPublish('t', ['x']))).toBe('no error')
  })
})

describe('a batch with delayed messages that is sent again', () => {
  const nowAndLater = (): (string | OutMessage)[] => ['a', { body: 'b', delayMs: 500 }, 'c', { body: 'd', delayMs: 100 }]

  it('is answered as it was, over a restart, and after some of it has come', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const { segments, scheduled } = await world.publish('t', nowAndLater())
    for (const passMs of [0, 100, 100]) {
      await world.advance(passMs)
      const again = await world.tryPublish('t', nowAndLater(), 1, { baseSequence: 0 })
      expect(again).toMatchObject({ duplicate: true, segments, scheduled })
      await world.reopen()
    }
    await world.advance(500)
    expect((await stored(world)).map(({ text }) => text).toSorted()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('is answered as it was also when all of it has come, and not at all once retention took some of it', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, retentionMsDefault: 60_000, retentionSweepMs: 1_000 } })
    const { segments, scheduled } = await world.publish('t', nowAndLater())
    await world.advance(500)
    const repeated = await world.tryPublish('t', nowAndLater(), 1, { baseSequence: 0 })
    expect(repeated).toMatchObject({ duplicate: true, segments, scheduled })
    await world.advance(120_000)
    await world.publish('t', ['fresh'], 2)
    await world.advance(2_000)
    const again = await world.tryPublish('t', nowAndLater(), 1, { baseSequence: 0 })
    expect(again).toMatchObject({ duplicate: true, segments: [], scheduled: [] })
    expect(await auditStore(world)).toEqual([])
  })

  it('is known also where all of it was delayed and the broker ended before anything else was stored', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const { scheduled } = await world.publish('t', [{ body: 'a', delayMs: 500 }])
    await world.reopen()
    const again = await world.tryPublish('t', [{ body: 'a', delayMs: 500 }], 1, { baseSequence: 0 })
    expect(again).toMatchObject({ duplicate: true, scheduled })
  })
})

describe('the id of a delayed message', () => {
  it('leads to it while it waits and when it has come, and to the others of its batch', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a', { body: 'b', delayMs: 200 }, 'c', { body: 'd', delayMs: 100 }])
    const dueMs = world.clock.now() + 100
    const all = async () => {
      const found = await Promise.all([0, 1, 2, 3].map((sequence) => find(world, id(1, sequence))))
      return found.map((messages) => messages.map(bodyOf).join())
    }
    expect(await all()).toEqual(['a', 'b', 'c', 'd'])
    const [waiting] = await find(world, id(1, 3))
    const record = RecordBatch.open((waiting as FoundMessage).record)
    expect(record.epoch).toBe(0)
    expect(record.messageAt(0, 't', 0)).toMatchObject({ messageId: id(1, 3), deliverMs: dueMs, storedMs: 0, offset: 0 })
    for (const passMs of [100, 100]) {
      await world.advance(passMs)
      expect(await all()).toEqual(['a', 'b', 'c', 'd'])
      await world.reopen()
      expect(await all()).toEqual(['a', 'b', 'c', 'd'])
    }
    expect(RecordBatch.open((await find(world, id(1, 3)))[0]?.record as Uint8Array).epoch).not.toBe(0)
    expect(await find(world, id(1, 4))).toEqual([])
  })

  it('leads to nothing once it was taken back', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const { scheduled: [, dueMs] } = await world.publish('t', [{ body: 'a', delayMs: 10 }, { body: 'b', delayMs: 20 }])
    await recall(world, handle(dueMs as number, 1))
    expect([await find(world, id(1, 1)), (await find(world, id(1, 0))).length]).toEqual([[], 1])
  })

  it('leads to each of the messages of a producer that used its id in two topics', async () => {
    const world = await BrokerWorld.open({ limits: one })
    for (const topic of ['a', 'b']) await world.publish(topic, [{ body: topic, delayMs: 100 }])
    expect((await find(world, id(1, 0))).map(bodyOf).toSorted()).toEqual(['a', 'b'])
    await world.advance(100)
    expect((await find(world, id(1, 0))).map(bodyOf).toSorted()).toEqual(['a', 'b'])
    expect((await stored(world)).map(({ text }) => text).toSorted()).toEqual(['a', 'b'])
  })

  it('leads to it whether it came in time or late, or was sent when its time had come', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, queueCountDefault: 4, tailCacheBytesMax: 0 } })
    const nowMs = world.clock.now()
    await world.publish('t', [{ body: 'in time', delayMs: 100 }])
    await world.publish('t', [{ body: 'just late', delayMs: 1_000 }])
    await world.publish('t', [{ body: 'late', delayMs: 2_000 }])
    for (const deliverMs of [0, 1, nowMs - 60_000, nowMs - 1, nowMs]) {
      await world.publish('t', [{ body: `sent ${deliverMs}`, deliverMs }])
    }
    await world.publish('t', ['a', { body: 'of two', deliverMs: nowMs - 1 }])
    await world.advance(100)
    world.broker.close()
    world.clock.advance(1_000)
    await world.reopen()
    await world.settle()
    world.broker.close()
    world.clock.advance(60_000)
    await world.reopen()
    await world.settle()
    const found = await Promise.all(Array.from({ length: 10 }, (_, sequence) => find(world, id(1, sequence))))
    expect(found.map((messages) => messages.map(bodyOf).join())).toEqual([
      'in time', 'just late', 'late', 'sent 0', 'sent 1', `sent ${nowMs - 60_000}`, `sent ${nowMs - 1}`, `sent ${nowMs}`,
      'a', 'of two',
    ])
    expect((await world.entries(keyKinds.lateIndex)).length).toBeGreaterThan(1)
    expect(await auditStore(world)).toEqual([])
  })

  it('goes with its message, whatever takes that', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, retentionMsDefault: 60_000, retentionSweepMs: 1_000 } })
    await world.publish('t', ['a', { body: 'b', delayMs: 10 }])
    await world.publish('u', [{ body: 'c', delayMs: 10 }, { body: 'd', delayMs: 50_000 }])
    await world.advance(10)
    await world.must((answer) => world.broker.deleteTopic('u', answer))
    expect((await world.entries(keyKinds.dueTime)).length).toBeGreaterThan(1)
    await world.advance(120_000)
    await world.publish('t', ['fresh'])
    await world.advance(2_000)
    for (const kind of [keyKinds.dueTime, keyKinds.lateIndex]) expect(await world.entries(kind)).toEqual([])
    expect(await auditStore(world)).toEqual([])
  })
})

describe('recalling', () => {
  it('takes back what waits, in memory or in the store only, and nothing else', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, delayedAheadCountMax: 2 } })
    const delays = [100, 200, 300, 400, 500, 600]
    const { scheduled } = await world.publish('t', delays.map((delayMs) => ({ body: String(delayMs), delayMs })))
    for (const sequence of [0, 3, 5]) {
      expect(await recall(world, handle(scheduled[sequence] as number, sequence))).toEqual({ messageId: id(1, sequence) })
    }
    expect(await delayedCount(world)).toBe(3)
    const member = await world.join('t')
    await world.advance(1_000)
    expect(member.bodies).toEqual(['200', '300', '500'])
    expect(world.broker.counters.recalledMessages).toBe(3)
    expect(await world.entries(keyKinds.delayed)).toEqual([])
    expect(await world.entries(keyKinds.delayedCount)).toEqual([])
  })

  it('holds over a restart', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const { scheduled: [dueMs] } = await world.publish('t', [{ body: 'a', delayMs: 100 }])
    await recall(world, handle(dueMs as number))
    await world.reopen()
    await world.advance(200)
    expect(await stored(world)).toEqual([])
    expect(await delayedCount(world)).toBe(0)
  })

  it('comes too late from the millisecond on that the message is due', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const dueMs = world.clock.now() + 100
    await world.publish('t', [{ body: 'a', delayMs: 100 }, { body: 'b', delayMs: 100 }])
    await world.advance(99)
    expect(codeOf(await recall(world, handle(dueMs, 0)))).toBe('no error')
    await world.advance(1)
    expect(codeOf(await recall(world, handle(dueMs, 1)))).toBe('RECALL_TOO_LATE')
    await world.advance(dayMs)
    expect(codeOf(await recall(world, handle(dueMs, 1)))).toBe('RECALL_TOO_LATE')
  })

  it('says that it is too late also where the wall clock went back behind the due time', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const dueMs = world.clock.now() + 100
    await world.publish('t', [{ body: 'a', delayMs: 100 }])
    await world.advance(100)
    world.clock.jumpWall(-10_000)
    expect(codeOf(await recall(world, handle(dueMs)))).toBe('RECALL_TOO_LATE')
  })

  it('finds no message of another time, topic, producer or sequence, and none twice', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, delayedAheadCountMax: 1 } })
    const dueMs = world.clock.now() + 60_000
    await world.publish('t', [{ body: 'near', delayMs: 1_000 }, { body: 'a', delayMs: 60_000 }])
    await world.publish('u', ['x'])
    const wrong = [handle(dueMs + 1, 1), handle(dueMs - 1, 1), handle(dueMs, 0), handle(dueMs, 2), handle(dueMs, 1, 2),
      handle(Number.MAX_SAFE_INTEGER, 1)]
    for (const recallHandle of wrong) expect(codeOf(await recall(world, recallHandle))).toBe('MESSAGE_NOT_FOUND')
    expect(codeOf(await recall(world, handle(dueMs, 1), 'u'))).toBe('MESSAGE_NOT_FOUND')
    expect(codeOf(await recall(world, handle(dueMs, 1), 'none'))).toBe('TOPIC_NOT_FOUND')
    expect(codeOf(await recall(world, handle(dueMs, 1)))).toBe('no error')
    for (let life = 0; life < 2; life++) {
      expect(codeOf(await recall(world, handle(dueMs, 1)))).toBe('MESSAGE_NOT_FOUND')
      await world.reopen()
    }
  })

  it('refuses what is no handle', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['x'])
    const bad = ['', '~', 'abc', `~${id(1, 0)}`, `zz~${id(1, 0)}x`, `ZZ~${id(1, 0)}`, `zzzzzzzzzzzz~${id(1, 0)}`, 'a~b', '1~2~3']
    for (const recallHandle of bad) expect(codeOf(await recall(world, recallHandle)), recallHandle).toBe('BAD_ARGUMENT')
  })

  it('is answered when it is durable, and not before', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const { scheduled: [dueMs] } = await world.publish('t', [{ body: 'a', delayMs: 100 }])
    const { commits } = world.broker.counters
    let answered = -1
    world.broker.recall({ topic: 't', recallHandle: handle(dueMs as number) }, () => (answered = world.broker.counters.commits))
    expect(answered).toBe(-1)
    await world.settle()
    expect(answered).toBe(commits + 1)
  })

  it('twice in one turn takes back once', async () => {
    for (const delayedAheadCountMax of [1, 100]) {
      const world = await BrokerWorld.open({ limits: { ...one, delayedAheadCountMax } })
      const { scheduled } = await world.publish('t', [10, 100, 200].map((delayMs) => ({ body: 'a', delayMs })))
      const outcomes: string[] = []
      for (const sequence of [1, 1, 2, 2]) {
        const recallHandle = handle(scheduled[sequence] as number, sequence)
        world.broker.recall({ topic: 't', recallHandle }, (outcome) => outcomes.push(codeOf(outcome)))
      }
      await world.settle()
      expect(outcomes.toSorted()).toEqual(['MESSAGE_NOT_FOUND', 'MESSAGE_NOT_FOUND', 'no error', 'no error'])
      expect(await delayedCount(world)).toBe(1)
    }
  })

  it('leaves nothing behind', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, delayedCountMax: 3 } })
    const { scheduled } = await world.publish('t', [{ body: 'a', delayMs: 100 }, { body: 'b', delayMs: 200 }])
    for (const sequence of [1, 0]) await recall(world, handle(scheduled[sequence] as number, sequence))
    expect([await delayedCount(world), (await list(world)).messages]).toEqual([0, []])
    for (const kind of [keyKinds.delayed, keyKinds.dueTime, keyKinds.delayedCount]) {
      expect(await world.entries(kind)).toEqual([])
    }
  })
})

describe('listing', () => {
  it('gives what waits in the order it is due, of a topic or of all, in pages', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const nowMs = world.clock.now()
    await world.publish('t', [300, 100, 500].map((delayMs) => ({ body: `t${delayMs}`, delayMs, tag: 'x', bornMs: 5 })))
    await world.publish('u', [200, 400].map((delayMs) => ({ body: `u${delayMs}`, delayMs })))
    await recall(world, handle(nowMs + 300, 0))
    const all = await list(world)
    expect([all.messages.map(bodyOf), all.more]).toEqual([['t100', 'u200', 'u400', 't500'], false])
    expect(all.messages[0]).toMatchObject({ topic: 't', deliverMs: nowMs + 100, recallHandle: handle(nowMs + 100, 1) })
    const message = RecordBatch.view(all.messages[0]?.record as Uint8Array).messageAt(0, 't', 0)
    expect(message).toMatchObject({ messageId: id(1, 1), tag: 'x', bornMs: 5, deliverMs: nowMs + 100 })
    expect((await list(world, 'u')).messages.map(bodyOf)).toEqual(['u200', 'u400'])
    const pages: string[][] = []
    for (let after = '', more = true; more;) {
      const page = await list(world, '', after, 3)
      pages.push(page.messages.map(bodyOf))
      more = page.more
      after = page.messages.at(-1)?.recallHandle as string
    }
    expect(pages).toEqual([['t100', 'u200', 'u400'], ['t500']])
    // A handle that is gone is a place still.
    expect((await list(world, '', handle(nowMs + 300, 0))).messages.map(bodyOf)).toEqual(['u400', 't500'])
    expect((await list(world, '', '', 0)).messages.length).toBe(1)
  })

  it('refuses what is no handle and no topic', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const ask = (topic: string, after: string) =>
      world.ask((answer) => world.broker.listDelayed({ topic, after, countMax: 1 }, answer))
    expect(codeOf(await ask('', 'x'))).toBe('BAD_ARGUMENT')
    expect(codeOf(await ask('none', ''))).toBe('TOPIC_NOT_FOUND')
    expect(await list(world)).toEqual({ messages: [], more: false })
  })

  it('gives no more in one answer than fits a frame, however large the messages', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const body = 'x'.repeat(600_000)
    for (let count = 0; count < 10; count++) await world.publish('t', [{ body, delayMs: 1_000 + count }])
    let found = 0
    for (let after = '', more = true; more;) {
      const page = await list(world, 't', after)
      const bytes = page.messages.reduce((sum, { record }) => sum + record.length, 0)
      expect(bytes).toBeLessThanOrEqual(world.limits.frameBytesMax / 2)
      expect(page.messages.length).toBeGreaterThan(0)
      found += page.messages.length
      more = page.more
      after = page.messages.at(-1)?.recallHandle as string
    }
    expect(found).toBe(10)
  })
})

describe('a deleted topic', () => {
  it('takes its delayed messages with it: nobody gets them, not in a new topic of its name either', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, delayedCountMax: 2 } })
    const { scheduled } = await world.publish('t', [{ body: 'a', delayMs: 100 }, { body: 'b', delayMs: 200 }])
    await world.must((answer) => world.broker.deleteTopic('t', answer))
    expect((await list(world)).messages).toEqual([])
    expect(codeOf(await recall(world, handle(scheduled[0] as number)))).toBe('TOPIC_NOT_FOUND')
    await world.reopen()
    await world.publish('t', ['new'], 2)
    expect(await delayedCount(world)).toBe(0)
    expect(codeOf(await recall(world, handle(scheduled[0] as number)))).toBe('MESSAGE_NOT_FOUND')
    expect(codeOf(await world.tryPublish('t', [{ body: 'c', delayMs: 1 }], 2))).toBe('LIMIT_EXCEEDED')
    await world.advance(1_000)
    expect((await stored(world)).map(({ text }) => text)).toEqual(['new'])
    expect(codeOf(await world.tryPublish('t', [{ body: 'c', delayMs: 1 }], 2))).toBe('no error')
    await world.advance(1)
    expect(await world.entries(keyKinds.delayedCount)).toEqual([])
    expect(await auditStore(world)).toEqual([])
  })

  it('may go while a recall of one of its messages looks in the store', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, delayedAheadCountMax: 1 } })
    const { scheduled } = await world.publish('t', [100, 200, 300].map((delayMs) => ({ body: 'x', delayMs })))
    let outcome: unknown
    world.broker.recall({ topic: 't', recallHandle: handle(scheduled[1] as number, 1) }, (given) => (outcome = given))
    await world.must((answer) => world.broker.deleteTopic('t', answer))
    await world.settle()
    expect(codeOf(outcome)).toBe('TOPIC_NOT_FOUND')
  })
})

describe('a store that fails delayed messages', () => {
  it('keeps a damaged one where it is, says so, and delivers the others', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', [100, 200, 300].map((delayMs) => ({ body: String(delayMs), delayMs })))
    const entries = await world.entries(keyKinds.delayed)
    const { key, value } = entries[1] as { key: Uint8Array; value: Uint8Array }
    const damaged = value.slice()
    damaged[20] = (damaged[20] as number) ^ 4
    await world.write([{ key, value: damaged }])
    await world.reopen()
    const member = await world.join('t')
    await world.advance(1_000)
    expect(member.bodies).toEqual(['100', '300'])
    expect(world.broker.counters.damagedRecords).toBe(1)
    expect((await world.entries(keyKinds.delayed)).map((entry) => entry.value)).toEqual([damaged])
    expect(await delayedCount(world)).toBe(1)
    expect((await list(world)).messages).toEqual([])
  })

  it('keeps those of a topic whose configuration is damaged', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', [{ body: 'a', delayMs: 100 }])
    await world.publish('u', [{ body: 'b', delayMs: 100 }])
    const [entry] = await world.entries(keyKinds.topic)
    const { key, value } = entry as { key: Uint8Array; value: Uint8Array }
    await world.write([{ key, value: value.slice(0, 6) }])
    await world.reopen()
    await world.advance(1_000)
    expect((await stored(world)).map(({ text }) => text)).toEqual(['b'])
    await world.write([{ key, value }])
    await world.reopen()
    await world.advance(1_000)
    expect((await stored(world)).map(({ text }) => text).toSorted()).toEqual(['a', 'b'])
  })

  it('does not deliver one that lies under another time than its own', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', [{ body: 'a', delayMs: 50_000 }])
    const [entry] = await world.entries(keyKinds.delayed)
    const { key, value } = entry as { key: Uint8Array; value: Uint8Array }
    const moved = key.slice()
    moved[8] = (moved[8] as number) ^ 0x80
    await world.write([{ key, value: null }, { key: moved, value }])
    await world.reopen()
    await world.advance(100_000)
    expect(await stored(world)).toEqual([])
    expect(world.broker.counters.damagedRecords).toBe(1)
  })

  it('counts anew where a count is damaged', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', [100, 200].map((delayMs) => ({ body: 'x', delayMs })))
    await world.publish('u', [{ body: 'x', delayMs: 300 }])
    const [entry] = await world.entries(keyKinds.delayedCount)
    await world.write([{ key: entry?.key as Uint8Array, value: Uint8Array.of(1, 2, 3) }])
    await world.reopen()
    expect(world.broker.damages.map(({ what }) => what)).toEqual(['count of delayed messages'])
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    expect([await delayedCount(world), await delayedCount(world, 'u')]).toEqual([2, 1])
  })

  it('waits while the store has no room for what is due, without spinning, and goes on when it has', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, storeReserveBytes: 40_000 }, storeBytes: 200_000 })
    const body = 'x'.repeat(1_000)
    await world.publish('t', Array.from({ length: 60 }, () => ({ body, delayMs: 1_000 })))
    const filler = new Uint8Array(125_000)
    await world.write([{ key: Uint8Array.of(200), value: filler }])
    await world.advance(1_000)
    const { turns } = world.broker.counters
    await world.advance(10_000)
    expect(world.failures).toEqual([])
    expect(world.broker.counters.turns - turns).toBeLessThan(100)
    expect((await stored(world)).length).toBe(0)
    await world.write([{ key: Uint8Array.of(200), value: null }])
    await world.advance(10_000)
    expect((await stored(world)).length).toBe(60)
  })
})

/** A broker on a disk that may fail and crash. */
class DiskWorld {
  readonly clock = new SimClock()
  readonly failures: PocketError[] = []
  readonly limits
  store: SimStore
  broker!: Broker

  constructor(seed: number, delayedAheadCountMax: number) {
    this.limits = { ...defaultLimits, queueCountDefault: 1, delayedAheadCountMax }
    this.store = createSimStore({ clock: this.clock, random: createSimRandom(seed) })
  }

  async open(): Promise<void> {
    let broker: Broker | undefined
    const opening = Broker.open({
      store: this.store, clock: this.clock, random: createSimRandom(1), log: silentLog, limits: this.limits,
      autoCreateTopics: true, failed: (error) => this.failures.push(error),
    })
    void opening.then((opened) => (broker = opened))
    while (broker === undefined) await this.turn()
    this.broker = broker
  }

  async turn(): Promise<void> {
    this.clock.runTurn()
    for (let promises = 0; promises < 10; promises++) await Promise.resolve()
  }

  async settle(): Promise<void> {
    for (let turns = 0; turns < 100; turns++) await this.turn()
  }

  publish(bodies: readonly string[], delaysMs: readonly number[], answered: (receipt: unknown) => void): void {
    const messages = bodies.map((body, index) => ({ body, delayMs: delaysMs[index] }))
    this.broker.publish({
      topic: 't', producerId: idBytes(1), producerEpoch: 0, baseSequence: 0, messageCount: bodies.length, sentMs: 0,
      messages: encodeMessages(messages as OutMessage[], 0),
    }, answered, 'c')
  }

  async stored(): Promise<string[]> {
    const found: string[] = []
    this.store.read({ from: Uint8Array.of(keyKinds.record), to: Uint8Array.of(keyKinds.record + 1) }, (outcome) => {
      if (outcome.kind === 'failed') throw new Error('the store cannot be read')
      for (const { value } of outcome.entries) {
        const record = RecordBatch.open(value)
        for (let index = 0; index < record.messageCount; index++) found.push(bytesToText(record.messageAt(index, '', 0).body))
      }
    })
    await this.settle()
    return found
  }
}

describe('a crash', () => {
  it('at any moment of scheduling, firing and taking back loses nothing, doubles nothing and brings nothing back', async () => {
    let crashedInCommit = 0
    for (let crashTurn = 0; crashTurn < 60; crashTurn++) {
      for (const ahead of [1, 100]) {
        const world = new DiskWorld(crashTurn * 2 + ahead, ahead)
        await world.open()
        const bodies = ['a', 'b', 'c', 'd']
        let isScheduled = false
        let isRecalled = false
        let isAsked = false
        world.publish(bodies, [3, 6, 6, 9], (receipt) => {
          isScheduled = true
          isAsked = true
          const deliverMs = (receipt as PublishReceipt).scheduled[2] as number
          world.broker.recall({ topic: 't', recallHandle: handle(deliverMs, 2) }, (outcome) => {
            isRecalled = !(outcome instanceof PocketError)
          })
        })
        for (let turn = 0; turn < crashTurn; turn++) {
          if (turn % 4 === 3) world.clock.advance(1)
          await world.turn()
        }
        if (world.store.isCommitting) crashedInCommit++
        world.broker.close()
        world.store.crash()
        world.store = world.store.reopen()
        await world.open()
        if (!isScheduled) world.publish(bodies, [3, 6, 6, 9], () => {})
        for (let passMs = 0; passMs < 3_000; passMs += 100) {
          world.clock.advance(100)
          await world.settle()
        }
        const stored = await world.stored()
        const at = `crash at turn ${crashTurn}, ${ahead} ahead`
        expect(stored.filter((body) => body !== 'c'), at).toEqual(['a', 'b', 'd'])
        expect(stored.filter((body) => body === 'c').length, at).toBeLessThanOrEqual(1)
        if (isRecalled) expect(stored, at).not.toContain('c')
        if (!isAsked) expect(stored, at).toContain('c')
      }
    }
    expect(crashedInCommit).toBeGreaterThan(2)
  })

  it('of the disk while the next are read ends the broker, and they come after a restart', async () => {
    const world = new DiskWorld(1, 4)
    await world.open()
    const bodies = Array.from({ length: 20 }, (_, index) => String(index).padStart(2, '0'))
    world.publish(bodies, bodies.map((_, index) => 100 + index), () => {})
    await world.settle()
    world.store.faults.failedReadChance = 1
    world.clock.advance(110)
    await world.settle()
    expect(world.failures.map(({ code }) => code)).toEqual(['STORE_FAILED'])
    world.broker.close()
    world.store.faults.failedReadChance = 0
    world.store.crash()
    world.store = world.store.reopen()
    await world.open()
    world.clock.advance(1_000)
    await world.settle()
    expect(await world.stored()).toEqual(bodies)
  })

  it('of a read that a recall needs is told to who asked, and to nobody else', async () => {
    const world = new DiskWorld(1, 4)
    await world.open()
    let scheduled: readonly number[] = []
    world.publish(['a', 'b', 'c', 'd', 'e', 'f', 'g'], [1, 2, 3, 4, 5, 6, 7].map((n) => n * 1_000), (receipt) => {
      scheduled = (receipt as PublishReceipt).scheduled
    })
    await world.settle()
    world.store.faults.failedReadChance = 1
    const outcomes: string[] = []
    const recallHandle = handle(scheduled[6] as number, 6)
    world.broker.recall({ topic: 't', recallHandle }, (outcome) => outcomes.push(codeOf(outcome)))
    await world.settle()
    world.store.faults.failedReadChance = 0
    expect([outcomes, world.failures]).toEqual([['STORE_FAILED'], []])
  })
})

describe('a broker that drains', () => {
  it('leaves what is due for its next life, and ends though more and more is due', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', Array.from({ length: 9_000 }, (_, index) => ({ body: String(index), delayMs: 1_000 })))
    world.clock.advance(999)
    world.clock.jumpWall(10_000)
    let isDrained = false
    void world.broker.drain().then(() => (isDrained = true))
    await world.advance(1)
    await world.advance(5_000)
    expect(isDrained).toBe(true)
    expect((await stored(world)).length).toBe(0)
    await world.reopen()
    await world.advance(1)
    expect((await stored(world)).length).toBe(9_000)
  })
})

describe('the trace of a delayed message', () => {
  it('tells when it was stored in its queue', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, tracePermilleDefault: 1000 } })
    await world.publish('t', [{ body: 'a', delayMs: 1_000 }])
    await world.advance(1_000)
    const timelines = await world.must<readonly { events: readonly { kind: string }[] }[]>((answer) =>
      world.broker.queryTrace({
        topic: '', messageId: id(1, 0), key: undefined, fromMs: 0, toMs: 0, after: undefined, messageCountMax: 1,
      }, answer))
    expect(timelines[0]?.events.map(({ kind }) => kind)).toContain('stored')
  })
})
