// What happens to a batch at the broker: order, queues, resends, refusals, full and failing stores.

import { describe, expect, it } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { judgeSequence } from '../../../core/broker/producers.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld, encodeMessages, idBytes } from './broker-world.ts'

function codeOf(outcome: unknown): string {
  return outcome instanceof PocketError ? outcome.code : 'no error'
}

describe('publishing', () => {
  it('gives consecutive offsets to a batch and answers with where it went', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    const first = await world.publish('t', ['a', 'b', 'c'])
    const second = await world.publish('t', ['d'])
    expect(first.segments).toMatchObject([{ queueId: 0, offset: 0, count: 3 }])
    expect(second.segments).toMatchObject([{ queueId: 0, offset: 3, count: 1 }])
  })

  it('spreads batches without message groups over the queues in turn', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 4 } })
    const queues = []
    for (let batch = 0; batch < 8; batch++) queues.push((await world.publish('t', ['x'])).segments[0]?.queueId)
    expect([...queues].sort()).toEqual([0, 0, 1, 1, 2, 2, 3, 3])
  })

  it('puts all messages of a message group into one queue', async () => {
    const world = await BrokerWorld.open()
    await createFifo(world, 'f', 8)
    const messages = Array.from({ length: 100 }, (_, index) => ({ body: String(index), messageGroup: `g${index % 10}` }))
    const { segments } = await world.publish('f', messages)
    const queueOf = segments.flatMap(({ queueId, count }) => Array.from({ length: count }, () => queueId))
    for (let group = 0; group < 10; group++) {
      expect(new Set(queueOf.filter((_, index) => index % 10 === group)).size).toBe(1)
    }
    expect(new Set(queueOf).size).toBeGreaterThan(1)
  })

  it('recognises a resent batch and answers with its first places, also after a restart', async () => {
    const world = await BrokerWorld.open()
    await createFifo(world, 'f', 4)
    const messages = Array.from({ length: 20 }, (_, index) => ({ body: String(index), messageGroup: `g${index % 5}` }))
    const first = await world.publish('f', messages)
    const again = await world.tryPublish('f', messages, 1, { baseSequence: 0 })
    expect(again).toMatchObject({ duplicate: true, segments: first.segments })
    await world.reopen()
    const later = await world.tryPublish('f', messages, 1, { baseSequence: 0 })
    expect(later).toMatchObject({ duplicate: true, segments: first.segments })
    expect(world.broker.stats().messageCount).toBe(20)
  })

  it('refuses gaps, older epochs and unknown producers, and takes a new epoch from sequence 0', async () => {
    const world = await BrokerWorld.open()
    await world.publish('t', ['a', 'b'])
    expect(codeOf(await world.tryPublish('t', ['x'], 1, { baseSequence: 3 }))).toBe('SEQUENCE_GAP')
    expect(codeOf(await world.tryPublish('t', ['x', 'y'], 1, { baseSequence: 1 }))).toBe('SEQUENCE_GAP')
    expect(codeOf(await world.tryPublish('t', ['x'], 2, { baseSequence: 5 }))).toBe('PRODUCER_UNKNOWN')
    expect(codeOf(await world.tryPublish('t', ['x'], 1, { epoch: 1, baseSequence: 1 }))).toBe('SEQUENCE_GAP')
    expect(codeOf(await world.tryPublish('t', ['x'], 1, { epoch: 1, baseSequence: 0 }))).toBe('no error')
    expect(codeOf(await world.tryPublish('t', ['x'], 1, { epoch: 0, baseSequence: 2 }))).toBe('PRODUCER_FENCED')
  })

  it('refuses a message group on a NORMAL topic and a missing one on a FIFO topic, and keeps the sequence', async () => {
    const world = await BrokerWorld.open()
    await createFifo(world, 'f', 2)
    expect(codeOf(await world.tryPublish('f', ['no group']))).toBe('MESSAGE_TYPE_MISMATCH')
    expect(codeOf(await world.tryPublish('t', [{ body: 'x', messageGroup: 'g' }]))).toBe('MESSAGE_TYPE_MISMATCH')
    expect((await world.publish('f', [{ body: 'x', messageGroup: 'g' }])).duplicate).toBe(false)
  })

  it('stores nothing of a batch of which one message is bad', async () => {
    const world = await BrokerWorld.open({ limits: { bodyBytesMax: 10 } })
    expect(codeOf(await world.tryPublish('t', ['fine', 'x'.repeat(11)]))).toBe('MESSAGE_TOO_LARGE')
    expect(world.broker.stats().messageCount).toBe(0)
  })

  it('treats __proto__ and constructor as topics like any other', async () => {
    const world = await BrokerWorld.open()
    for (const topic of ['__proto__', 'constructor']) {
      await world.publish(topic, ['x'])
      expect((await world.join(topic)).bodies).toEqual(['x'])
    }
  })

  it('refuses names that break the rule, and the broker’s own topics', async () => {
    const world = await BrokerWorld.open()
    for (const topic of ['', 'a b', 'ä', 'x'.repeat(128), '../etc']) {
      expect(codeOf(await world.tryPublish(topic, ['x']))).toBe('BAD_NAME')
    }
    expect(codeOf(await world.tryPublish('%DLQ%g', ['x']))).toBe('FORBIDDEN')
    expect(codeOf(await world.tryPublish('rmq_sys_x', ['x']))).toBe('FORBIDDEN')
  })

  it('does not create topics by itself where that is switched off', async () => {
    const world = await BrokerWorld.open({ autoCreateTopics: false })
    expect(codeOf(await world.tryPublish('t', ['x']))).toBe('TOPIC_NOT_FOUND')
  })

  it('answers a send only after its commit, and commits everything of a turn at once', async () => {
    const world = await BrokerWorld.open()
    await world.settle()
    const commits = world.broker.counters.commits
    const answered: number[] = []
    for (let producer = 10; producer < 20; producer++) {
      world.broker.publish({
        topic: 't', producerId: idBytes(producer), producerEpoch: 0, baseSequence: 0, messageCount: 1, sentMs: 0,
        messages: encodeMessages(['x'], 0),
      }, () => answered.push(world.broker.counters.commits), 'c')
    }
    expect(answered).toEqual([])
    await world.settle()
    expect(answered).toEqual(Array.from({ length: 10 }, () => commits + 1))
  })

  it('refuses publishes while the store has no room, and lets consuming go on', async () => {
    const world = await BrokerWorld.open({ storeBytes: 20_000, limits: { storeReserveBytes: 10_000 } })
    const member = await world.join('t')
    const outcomes = []
    for (let count = 0; count < 20; count++) outcomes.push(codeOf(await world.tryPublish('t', ['x'.repeat(1_000)], 1)))
    expect(outcomes).toContain('no error')
    expect(outcomes.at(-1)).toBe('STORE_FULL')
    expect(await world.tryPublish('t', ['y'], 2)).toMatchObject({ retryable: true, retryAfterMs: 1_000 })
    expect(member.bodies).toHaveLength(outcomes.filter((code) => code === 'no error').length)
    expect(await world.ack(member, member.held)).toEqual([])
    expect(world.failures).toEqual([])
  })

  it('stops telling anything after a commit that failed', async () => {
    const world = await BrokerWorld.open()
    await world.publish('t', ['a'])
    const real = world.store.commit.bind(world.store)
    world.store.commit = (_writes, answer) => real([], () => answer({ kind: 'unknown', cause: new Error('EIO') }))
    let answered = false
    world.broker.publish({
      topic: 't', producerId: idBytes(1), producerEpoch: 0, baseSequence: 1, messageCount: 1, sentMs: 0,
      messages: encodeMessages(['lost'], 0),
    }, () => (answered = true), 'c')
    await world.settle()
    expect(answered).toBe(false)
    expect(world.failures.map(({ code }) => code)).toEqual(['STORE_FAILED'])
  })

  it('refuses what one turn brings beyond the room there is, and goes on', async () => {
    const limits = { queueCountDefault: 1, storeReserveBytes: 300_000 }
    const world = await BrokerWorld.open({ limits, storeBytes: 1_000_000 })
    const outcomes: string[] = []
    for (let producer = 0; producer < 100; producer++) {
      world.broker.publish({
        topic: 't',
        producerId: idBytes(producer),
        producerEpoch: 0,
        baseSequence: 0,
        messageCount: 1, sentMs: 0,
        messages: encodeMessages(['x'.repeat(20_000)], 0),
      }, (outcome) => outcomes.push(codeOf(outcome)), 'c')
    }
    await world.settle()
    expect(outcomes).toHaveLength(100)
    expect(outcomes.filter((code) => code === 'no error').length).toBeGreaterThan(25)
    expect(outcomes).toContain('STORE_FULL')
    const member = await world.join('t')
    await world.ack(member, member.held)
    expect(world.broker.stats().backlog).toBe(0)
    expect(world.failures).toEqual([])
  })

  it('says when a batch was stored as its record does, also when the wall clock goes back', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    const first = await world.publish('t', ['a'])
    world.clock.jumpWall(-60_000)
    const second = await world.publish('t', ['b'])
    const member = await world.join('t')
    expect(member.held.map(({ message }) => message.storedMs)).toEqual([first.storedMs, second.storedMs])
    expect(second.storedMs).toBe(first.storedMs)
  })

  it('forgets producers after the window, and says so to one that comes back', async () => {
    const world = await BrokerWorld.open({ limits: { producerRetentionMs: 60_000, retentionSweepMs: 1_000 } })
    await world.publish('t', ['a'])
    await world.advance(61_500)
    expect(world.broker.stats().producerCount).toBe(0)
    expect(codeOf(await world.tryPublish('t', ['b'], 1, { baseSequence: 1 }))).toBe('PRODUCER_UNKNOWN')
  })

  it('forgets the producer that was silent for longest, of whichever topic, when there are too many', async () => {
    const world = await BrokerWorld.open({ limits: { producerCountMax: 2 } })
    for (const [topic, producer] of [['a', 1], ['a', 2], ['b', 3], ['b', 3], ['b', 4], ['b', 3], ['b', 4]] as const) {
      await world.publish(topic, ['x'], producer)
      await world.advance(1)
    }
    expect(world.broker.stats().producerCount).toBe(2)
    expect(await world.entries(keyKinds.producer)).toHaveLength(2)
    expect(codeOf(await world.tryPublish('a', ['x'], 2))).toBe('PRODUCER_UNKNOWN')
  })
})

describe('the sequence rule', () => {
  const state = { epoch: 2, lastSequence: 9 }

  it.each([
    [undefined, 0, 0, 5, 'next'],
    [undefined, 0, 3, 5, 'unknown'],
    [state, 2, 10, 1, 'next'],
    [state, 2, 11, 1, 'gap'],
    [state, 2, 5, 5, 'duplicate'],
    [state, 2, 0, 1, 'duplicate'],
    [state, 2, 5, 6, 'overlap'],
    [state, 1, 10, 1, 'fenced'],
    [state, 3, 0, 1, 'next'],
    [state, 3, 1, 1, 'gap'],
  ] as const)('judges %o, epoch %i, base %i, count %i as %s', (known, epoch, base, count, verdict) => {
    expect(judgeSequence(known, epoch, base, count)).toBe(verdict)
  })
})

export async function createFifo(world: BrokerWorld, topic: string, queueCount: number): Promise<void> {
  await world.createTopic(topic, { queueCount, messageType: 'FIFO' })
}
