// Opening a store that is whole, torn, damaged or has lost something.

import { describe, expect, it } from 'vitest'
import type { Store, StoreEntry, StoreWrite } from '../../../core/ports/store.ts'
import type { TopicDescription } from '../../../core/protocol/frames.ts'
import { kindRange, keyKinds, recordKey } from '../../../core/storage/keys.ts'
import { BrokerWorld } from '../broker/broker-world.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

/** A topic with ten records of ten messages, in one queue. */
async function filledWorld(): Promise<BrokerWorld> {
  const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax: 0 } })
  for (let batch = 0; batch < 10; batch++) await world.publish('t', numbers(batch * 10, batch * 10 + 10))
  return world
}

async function entriesOf(world: BrokerWorld, kind: (typeof keyKinds)[keyof typeof keyKinds]): Promise<readonly StoreEntry[]> {
  let entries: readonly StoreEntry[] | undefined
  world.store.read(kindRange(kind), (outcome) => {
    if (outcome.kind === 'entries') entries = outcome.entries
  })
  await world.settle()
  if (entries === undefined) throw new Error('the store cannot be read')
  return entries
}

async function write(world: BrokerWorld, writes: readonly StoreWrite[]): Promise<void> {
  let kind = ''
  ;(world.store as Store).commit(writes, (outcome) => (kind = outcome.kind))
  await world.settle()
  expect(kind).toBe('durable')
}

function flipped(value: Uint8Array, at = value.length - 1): Uint8Array {
  const damaged = value.slice()
  damaged[at] = (damaged[at] as number) ^ 0x10
  return damaged
}

async function damageRecord(world: BrokerWorld, index: number): Promise<void> {
  const { key, value } = (await entriesOf(world, keyKinds.record))[index] as StoreEntry
  await write(world, [{ key, value: flipped(value) }])
}

async function epochOf(world: BrokerWorld): Promise<number> {
  const { queues } = await world.must<TopicDescription>((answer) => world.broker.describeTopic('t', answer))
  return queues[0]?.epoch as number
}

describe('opening a store', () => {
  it('finds everything as it was, and keeps the epoch', async () => {
    const world = await filledWorld()
    const epoch = await epochOf(world)
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    expect(await epochOf(world)).toBe(epoch)
    expect((await world.join('t')).bodies).toEqual(numbers(0, 100))
  })

  it('cuts a torn tail that no state knows of, without a new epoch', async () => {
    const world = await filledWorld()
    const epoch = await epochOf(world)
    const [record] = await entriesOf(world, keyKinds.record)
    await write(world, [{ key: recordKey(1, 0, 109), value: (record as StoreEntry).value.slice(0, 50) }])
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    expect(await epochOf(world)).toBe(epoch)
    expect(await entriesOf(world, keyKinds.record)).toHaveLength(10)
    await world.publish('t', ['100'])
    expect((await world.join('t')).bodies).toEqual(numbers(0, 101))
  })

  it('reports a damaged record at the tail, moves the epoch on and deletes nothing', async () => {
    const world = await filledWorld()
    const epoch = await epochOf(world)
    await damageRecord(world, 9)
    await world.reopen()
    expect(world.broker.damages).toMatchObject([{ what: 'record at the tail', topic: 't', queueId: 0 }])
    expect(await epochOf(world)).toBe(epoch + 1)
    expect(await entriesOf(world, keyKinds.record)).toHaveLength(10)
  })

  it('reports messages that are missing at the tail, and never gives their offsets again', async () => {
    const world = await filledWorld()
    const { key } = (await entriesOf(world, keyKinds.record))[9] as StoreEntry
    await write(world, [{ key, value: null }])
    await world.reopen()
    expect(world.broker.damages).toMatchObject([{ fromOffset: 90, toOffset: 99 }])
    const { segments } = await world.publish('t', ['100'])
    expect(segments).toMatchObject([{ offset: 100 }])
    const member = await world.join('t')
    expect(member.bodies).toEqual([...numbers(0, 90), '100'])
    expect(member.gaps).toMatchObject([{ expected: { offset: 90 }, next: { offset: 100 } }])
  })

  it('isolates a damaged record in the middle: the rest is delivered, the hole is announced', async () => {
    const world = await filledWorld()
    await damageRecord(world, 1)
    await world.reopen()
    const member = await world.join('t')
    const reader = await world.join('t', { mode: 'BROADCASTING', group: 'b' })
    for (const { bodies, gaps } of [member, reader]) {
      expect(bodies).toEqual([...numbers(0, 10), ...numbers(20, 100)])
      expect(gaps).toMatchObject([{ expected: { offset: 10 }, next: { offset: 20 } }])
    }
    expect(world.broker.stats().counters.damagedRecords).toBeGreaterThan(0)
  })

  it('lets a reader of the epoch before go on where it stood', async () => {
    const world = await filledWorld()
    const first = await world.join('t', { mode: 'BROADCASTING' })
    const position = first.deliveries[4]?.next
    if (position === undefined) throw new Error('too few deliveries')
    await damageRecord(world, 9)
    await world.reopen()
    const second = await world.join('t', { mode: 'BROADCASTING', positions: [{ queueId: 0, position }] })
    expect(second.bodies).toEqual(numbers(position.offset, 90))
    expect(second.gaps.length).toBeGreaterThan(0)
  })

  it('keeps a group’s progress under the new epoch', async () => {
    const world = await filledWorld()
    const member = await world.join('t', { credit: 50 })
    await world.ack(member, member.held)
    await damageRecord(world, 9)
    await world.reopen()
    expect((await world.join('t')).bodies).toEqual(numbers(50, 90))
  })

  it('starts a group over whose progress is damaged, rather than skip a message', async () => {
    const world = await filledWorld()
    const member = await world.join('t')
    await world.ack(member, member.held)
    const [{ key, value }] = await entriesOf(world, keyKinds.progress) as [StoreEntry]
    await write(world, [{ key, value: flipped(value) }])
    await world.reopen()
    expect(world.broker.damages).toHaveLength(1)
    expect((await world.join('t')).bodies).toEqual(numbers(0, 100))
  })

  it('rebuilds a queue whose state is damaged from its records', async () => {
    const world = await filledWorld()
    const epoch = await epochOf(world)
    const [{ key, value }] = await entriesOf(world, keyKinds.queueState) as [StoreEntry]
    await write(world, [{ key, value: flipped(value) }])
    await world.reopen()
    expect(await epochOf(world)).toBe(epoch + 1)
    expect((await world.publish('t', ['100'])).segments).toMatchObject([{ offset: 100 }])
    expect((await world.join('t')).bodies).toEqual(numbers(0, 101))
  })

  it('keeps the name of a topic whose configuration is damaged, and its data', async () => {
    const world = await filledWorld()
    const [{ key, value }] = await entriesOf(world, keyKinds.topic) as [StoreEntry]
    await write(world, [{ key, value: flipped(value) }])
    await world.reopen()
    expect(await world.tryPublish('t', ['x'], 3)).toMatchObject({ code: 'RECORD_DAMAGED' })
    expect(await entriesOf(world, keyKinds.record)).toHaveLength(10)
    await world.publish('other', ['fine'])
    expect((await world.join('other')).bodies).toEqual(['fine'])
  })

  it('survives a flipped bit in any stored value: it opens, reports, and serves what is whole', async () => {
    const whole = await filledWorld()
    const member = await whole.join('t', { credit: 30 })
    await whole.ack(member, member.held.slice(0, 20))
    for (const kind of Object.values(keyKinds)) {
      for (const { key, value } of await entriesOf(whole, kind)) {
        if (value.length === 0) continue
        await write(whole, [{ key, value: flipped(value, value.length >> 1) }])
        await whole.reopen()
        const sent = await whole.tryPublish('other', ['x'], 9, { epoch: whole.broker.stats().counters.turns, baseSequence: 0 })
        expect(sent).toBeDefined()
        await write(whole, [{ key, value }])
      }
    }
  })

  it('moves the epoch on once for a loss, however often it opens', async () => {
    const world = await filledWorld()
    const member = await world.join('t', { credit: 50 })
    await world.ack(member, member.held)
    const reader = await world.join('t', { mode: 'BROADCASTING', group: 'b', credit: 50 })
    const position = reader.deliveries.at(-1)?.next
    if (position === undefined) throw new Error('too few deliveries')
    const epoch = await epochOf(world)
    await damageRecord(world, 9)
    for (let count = 0; count < 3; count++) {
      await world.reopen()
      expect(world.broker.damages).toMatchObject([{ what: 'record at the tail' }])
    }
    expect(await epochOf(world)).toBe(epoch + 1)
    const again = await world.join('t', { mode: 'BROADCASTING', group: 'b', positions: [{ queueId: 0, position }] })
    expect(again.bodies).toEqual(numbers(50, 90))
    await damageRecord(world, 8)
    await world.reopen()
    expect(await epochOf(world)).toBe(epoch + 1)
    await world.publish('t', ['100'])
    await damageRecord(world, 10)
    await world.reopen()
    expect(await epochOf(world)).toBe(epoch + 2)
    expect((await world.join('t')).bodies).toEqual(numbers(50, 80))
  })

  it('gives no offset again where a queue’s state and its last record are damaged', async () => {
    const world = await filledWorld()
    const member = await world.join('t')
    await world.ack(member, member.held)
    const [{ key, value }] = await world.entries(keyKinds.queueState) as [StoreEntry]
    await world.write([{ key, value: flipped(value) }])
    await damageRecord(world, 9)
    await world.reopen()
    expect(await world.entries(keyKinds.record)).toHaveLength(10)
    expect((await world.publish('t', ['100'])).segments).toMatchObject([{ offset: 100 }])
    expect((await world.join('t')).bodies).toEqual(['100'])
  })

  it('gives no offset again that a group was given, where a queue’s state is damaged and its last record gone', async () => {
    const world = await filledWorld()
    const member = await world.join('t')
    await world.ack(member, member.held)
    const state = (await world.entries(keyKinds.queueState))[0] as StoreEntry
    const { key } = (await world.entries(keyKinds.record))[9] as StoreEntry
    await world.write([{ key, value: null }, { key: state.key, value: flipped(state.value) }])
    await world.reopen()
    expect((await world.publish('t', ['new'])).segments).toMatchObject([{ offset: 100 }])
    expect((await world.join('t')).bodies).toEqual(['new'])
    await world.reopen()
    expect(world.broker.damages).toEqual([])
  })

  it('gives no new topic the data of one whose configuration is damaged along with the header', async () => {
    const world = await filledWorld()
    for (const kind of [keyKinds.store, keyKinds.topic]) {
      const [{ key, value }] = await world.entries(kind) as [StoreEntry]
      await world.write([{ key, value: flipped(value) }])
    }
    await world.reopen()
    await world.publish('other', ['x'])
    expect((await world.join('other')).bodies).toEqual(['x'])
    await world.reopen()
    expect(await world.entries(keyKinds.record)).toHaveLength(11)
  })

  it('finds a time among damaged records', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax: 0 } })
    const times: number[] = []
    for (let batch = 0; batch < 10; batch++) {
      times.push(world.clock.now())
      await world.publish('t', numbers(batch * 10, batch * 10 + 10))
      await world.advance(1_000)
    }
    for (const damaged of [4, 5, 6]) await damageRecord(world, damaged)
    const fromMs = times[8] as number
    expect((await world.join('t', { start: { kind: 'timestamp', timestampMs: fromMs } })).bodies).toEqual(numbers(80, 100))
    const range = { fromMs, toMs: fromMs + 1, after: undefined, messageCountMax: 100, messageId: undefined, key: undefined }
    expect(await world.must<readonly unknown[]>((answer) => world.broker.query({ topic: 't', ...range }, answer)))
      .toHaveLength(10)
  })

  it('lets retention go on behind many damaged records', async () => {
    const limits = { queueCountDefault: 1, tailCacheBytesMax: 0, retentionMsDefault: 10_000, retentionSweepMs: 1_000 }
    const world = await BrokerWorld.open({ limits })
    for (let count = 0; count < 600; count++) await world.publish('t', ['x'])
    const entries = await world.entries(keyKinds.record)
    await world.write(entries.slice(0, 590).map(({ key, value }) => ({ key, value: flipped(value) })))
    await world.advance(11_000)
    await world.publish('t', ['young'])
    await world.advance(2_000)
    expect(await world.entries(keyKinds.record)).toHaveLength(1)
  })
})
