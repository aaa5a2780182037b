// Groups on logs whose messages go one by one: what waits somewhere and is not stored any more counts as consumed.

import { describe, expect, it } from 'vitest'
import { deadLetterTopicOf } from '../../../core/model/names.ts'
import { RecordBatch, selectFromRecord } from '../../../core/record/record-batch.ts'
import { keyKinds, recordKey } from '../../../core/storage/keys.ts'
import type { StoreWrite } from '../../../core/ports/store.ts'
import { BrokerWorld, type Held, type TestMember } from './broker-world.ts'

const taken = (member: TestMember): Held[] => member.held.splice(0)
const topic = 't'

/** A COMPACT topic of one record, nothing of it in memory. */
async function compactWorld(bodies: readonly string[]): Promise<BrokerWorld> {
  const world = await BrokerWorld.open({ limits: { tailCacheBytesMax: 0 } })
  await world.createTopic(topic, { cleanupPolicy: 'COMPACT', queueCount: 1 })
  await world.publish(topic, bodies.map((body) => ({ body, keys: [body] })))
  return world
}

/** Rewrites the only record to what passes, as compaction does, behind the broker's back. */
async function keepOnly(world: BrokerWorld, passes: (body: string) => boolean): Promise<void> {
  const [entry] = await world.entries(keyKinds.record)
  const record = RecordBatch.open(entry?.value as Uint8Array)
  const indexes: number[] = []
  for (let index = 0; index < record.messageCount; index++) {
    if (passes(new TextDecoder().decode(record.messageAt(index, topic, 0).body))) indexes.push(index)
  }
  const kept = RecordBatch.view(selectFromRecord(record, indexes))
  const writes: StoreWrite[] = [{ key: entry?.key as Uint8Array, value: null }]
  writes.push({ key: recordKey(1, 0, kept.lastOffset), value: kept.bytes })
  await world.write(writes)
}

describe('a message that is not stored any more', () => {
  it('is not delivered again after its retry time or its lease, while those beside it are', async () => {
    const world = await compactWorld(['a', 'b', 'c', 'd', 'e'])
    const member = await world.join(topic, { leaseMs: 1_000 })
    await world.retry(member, taken(member).slice(1, 4), 'after', 500)
    await keepOnly(world, (body) => body === 'b' || body === 'd')
    await world.advance(1_000)
    expect(
      member.held.map(({ body, message: { offset }, attempt }) => [body, offset, attempt]),
    ).toEqual([['b', 1, 2], ['d', 3, 2]])
    expect(member.deliveries.at(-1)?.messageCount).toBe(2)
    await world.ack(member, taken(member))
    expect(world.broker.stats()).toMatchObject({ backlog: 0, inFlightCount: 0 })
    expect(member.gaps).toEqual([])
  })

  it('was the whole record', async () => {
    const world = await compactWorld(['a', 'b'])
    await world.publish(topic, [{ body: 'c', keys: ['c'] }])
    const member = await world.join(topic, { credit: 2 })
    await world.retry(member, taken(member), 'after', 500)
    const [first] = await world.entries(keyKinds.record)
    await world.write([{ key: first?.key as Uint8Array, value: null }])
    await world.advance(500)
    member.membership?.credit(5, 1 << 20)
    await world.settle()
    expect(member.bodies).toEqual(['c'])
    expect(world.broker.stats().backlog).toBe(1)
  })

  it('leaves nothing to show to a repeated receive, nor to any other', async () => {
    const world = await compactWorld(['a', 'b', 'c'])
    const member = await world.join(topic, { credit: 0 })
    const receive = () => world.must<number>((answer) =>
      member.membership?.receive({ attemptId: 5, messageCountMax: 10, leaseMs: 60_000, waitMs: 0 }, answer))
    expect(await receive()).toBe(3)
    await keepOnly(world, (body) => body !== 'b')
    taken(member)
    expect(await receive()).toBe(2)
    expect(member.bodies).toEqual(['a', 'c'])
    expect(world.broker.stats().inFlightCount).toBe(2)
    await world.ack(member, taken(member))
    expect(world.broker.stats().backlog).toBe(0)
  })

  it('makes no dead letter', async () => {
    const world = await compactWorld(['a', 'b', 'c'])
    await world.configureGroup('g', { attemptCountMax: 1 })
    const member = await world.join(topic)
    await keepOnly(world, (body) => body !== 'b')
    await world.retry(member, taken(member), 'schedule')
    await world.settle()
    expect(world.broker.stats()).toMatchObject({ inFlightCount: 0 })
    expect((await world.describeGroup('g')).queues.find((queue) => queue.topic === topic)).toMatchObject({ backlog: 0 })
    expect((await world.join(deadLetterTopicOf('g'), { group: 'graves' })).bodies.toSorted()).toEqual(['a', 'c'])
  })

  it('is passed over by who comes first after a restart', async () => {
    const world = await compactWorld(['a', 'b', 'c', 'd'])
    await keepOnly(world, (body) => body === 'b' || body === 'd')
    await world.reopen()
    const members = [await world.join(topic), await world.join(topic, { group: 'r', mode: 'BROADCASTING' })]
    for (const member of members) {
      expect(member.bodies).toEqual(['b', 'd'])
      expect(member.gaps).toEqual([])
    }
    await world.ack(members[0] as TestMember, taken(members[0] as TestMember))
    expect((await world.describeGroup('g')).queues).toMatchObject([{ backlog: 0, ackFloor: 4 }])
  })

  it('is not delivered from what was read before it went', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax: 0 } })
    await world.configureGroup('g', { attemptCountMax: 1 })
    await world.publish(topic, ['a', 'b'])
    const failing = await world.join(topic)
    await world.retry(failing, taken(failing), 'schedule')
    const member = await world.join(deadLetterTopicOf('g'), { group: 'graves' })
    const letters = taken(member)
    expect(letters.map(({ body }) => body)).toEqual(['a', 'b'])
    // Room for the moment in which the store is asked, and none when it has answered.
    let askedCount = 0
    const writable = { get: () => askedCount++ === 0, configurable: true }
    Object.defineProperty(member, 'isWritable', writable)
    await world.retry(member, letters, 'after', 0)
    await world.settle()
    expect(askedCount).toBeGreaterThan(1)
    expect(member.bodies).toEqual([])
    const messageIds = letters.slice(0, 1).map(({ message }) => message.messageId)
    await world.must((answer) => world.broker.purgeDeadLetters({ group: 'g', messageIds }, answer))
    Object.defineProperty(member, 'isWritable', { value: true })
    member.membership?.writable()
    await world.settle()
    expect(member.bodies).toEqual(['b'])
  })
})
