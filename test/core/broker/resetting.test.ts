// Groups that are moved while they work: at once, for all members, whether they are here or not, and nothing of before
// slips through.

import { describe, expect, it } from 'vitest'
import type { StartPolicy } from '../../../core/model/position.ts'
import type { GroupDescription } from '../../../core/protocol/frames.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld, type Held, idBytes, type TestMember } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))
const taken = (member: TestMember): Held[] => member.held.splice(0)

function reset(world: BrokerWorld, to: StartPolicy, { group = 'g', queueId }: { group?: string; queueId?: number } = {}) {
  return world.must<GroupDescription>((answer) => world.broker.resetGroup({ group, topic: 't', queueId, to }, answer))
}

const atOffset = (offset: number): StartPolicy => ({ kind: 'position', position: { epoch: 0, offset } })

describe('a CLUSTERING group that is moved', () => {
  it.each([
    ['to the earliest', { kind: 'earliest' }, 0],
    ['to the latest', { kind: 'latest' }, 20],
    ['back to an offset', atOffset(7), 7],
    ['on to an offset', atOffset(15), 15],
    ['to a time', 'time', 10],
  ] as const)('%s tells its members and goes on from there at once', async (_, asked, offset) => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    await world.advance(1_000)
    const to = asked === 'time' ? { kind: 'timestamp', timestampMs: world.clock.now() } as const : asked
    await world.publish('t', numbers(10, 20))
    const members = [await world.join('t', { credit: 12 }), await world.join('t', { credit: 2 })] as const
    const before = members.map(taken)
    const described = await reset(world, to)
    expect(described.queues).toMatchObject([{ nextOffset: offset, inFlight: 0, backlog: 20 - offset }])
    for (const member of members) expect(member.resets).toMatchObject([{ queueId: 0, position: { offset } }])
    for (const [index, member] of members.entries()) {
      const failures = await world.ack(member, before[index] as Held[])
      expect(failures.map(({ error }) => error.code)).toEqual(before[index]?.map(() => 'RECEIPT_STALE'))
      expect(await world.retry(member, before[index] as Held[], 'schedule')).toHaveLength(before[index]?.length as number)
    }
    members[0].membership?.credit(100, 1 << 20)
    await world.settle()
    expect(members[0].bodies).toEqual(numbers(offset, 20))
  })

  it('hears of it after what it was given before, and before what comes then', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a', 'b'])
    const member = await world.join('t', { credit: 0 })
    const told: string[] = []
    const { deliver, reset: noteReset } = member
    member.deliver = (delivery) => {
      deliver.call(member, delivery)
      told.push('delivery')
    }
    member.reset = (queueId, position) => {
      noteReset.call(member, queueId, position)
      told.push('reset')
    }
    member.membership?.credit(1, 1 << 20)
    await world.settle()
    member.membership?.credit(10, 1 << 20)
    world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to: { kind: 'earliest' } }, () => told.push('answer'))
    await world.settle()
    expect(told).toEqual(['delivery', 'reset', 'answer', 'delivery'])
    expect(member.bodies).toEqual(['a', 'a', 'b'])
  })

  it('is moved in one queue and goes on in the others', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    for (const body of numbers(0, 4)) await world.publish('t', [body])
    const member = await world.join('t')
    const held = taken(member)
    await reset(world, { kind: 'earliest' }, { queueId: 1 })
    expect(member.resets).toMatchObject([{ queueId: 1 }])
    await world.settle()
    expect(member.held.every(({ range }) => range.queueId === 1)).toBe(true)
    const failures = await world.ack(member, held)
    expect(failures.map(({ index }) => held[index]?.range.queueId)).toEqual([1, 1])
  })

  it('unlocks all message groups, and delivers them in order from there', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.createTopic('t', { messageType: 'FIFO' })
    await world.publish('t', numbers(0, 6).map((body) => ({ body, messageGroup: 'm' })))
    const member = await world.join('t')
    await world.ack(member, taken(member))
    await world.settle()
    expect(member.bodies).toEqual(['1'])
    await reset(world, atOffset(4))
    await world.settle()
    expect(await world.ack(member, taken(member).filter(({ body }) => body === '1'))).toHaveLength(1)
    expect(world.broker.stats().backlog).toBe(2)
    await reset(world, { kind: 'earliest' })
    const order: string[] = []
    for (let held = taken(member); held.length > 0; held = taken(member)) {
      order.push(...held.map(({ body }) => body))
      await world.ack(member, held)
      await world.settle()
    }
    expect(order).toEqual(numbers(0, 6))
  })

  it('tells a member that was gone for a moment when it comes back', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    for (const body of numbers(0, 4)) await world.publish('t', [body])
    const member = await world.join('t', { memberId: idBytes(9) })
    const other = await world.join('t', { credit: 0 })
    const before = taken(member)
    member.membership?.detach()
    await reset(world, { kind: 'latest' })
    await reset(world, { kind: 'earliest' }, { queueId: 1 })
    expect(member.resets).toEqual([])
    await world.join('t', { member })
    expect(member.resets).toMatchObject([{ queueId: 0, position: { offset: 2 } }, { queueId: 1, position: { offset: 0 } }])
    expect(other.resets).toHaveLength(3)
    expect(await world.ack(member, before)).toHaveLength(4)
    member.membership?.detach()
    await world.join('t', { member })
    expect(member.resets).toHaveLength(2)
  })

  it('stays where it was moved to over a restart', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t')
    await reset(world, atOffset(8))
    const late = taken(member)
    await world.reopen()
    await world.join('t', { member })
    expect(await world.ack(member, late.filter(({ message }) => message.offset < 8))).not.toEqual([])
    await world.advance(world.limits.leaseMsDefault)
    expect(member.bodies).toEqual(['8', '9'])
  })

  it('may be moved while it is paused, and before it has members', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    await reset(world, atOffset(4))
    await world.configureGroup('g', { isPaused: true })
    const member = await world.join('t', { start: { kind: 'latest' } })
    await reset(world, atOffset(6))
    expect(member.bodies).toEqual([])
    await world.configureGroup('g', { isPaused: false })
    await world.settle()
    expect(member.bodies).toEqual(numbers(6, 10))
  })

  it('is not moved to where nothing can be', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 3))
    const member = await world.join('t')
    const ask = (to: StartPolicy, topic = 't', queueId?: number) =>
      world.ask<GroupDescription>((answer) => world.broker.resetGroup({ group: 'g', topic, queueId, to }, answer))
    expect(await ask(atOffset(3))).toMatchObject({ group: 'g' })
    expect(await ask(atOffset(4))).toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    expect(await ask(atOffset(Number.MAX_SAFE_INTEGER))).toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
    expect(await ask({ kind: 'earliest' }, 't', 1)).toMatchObject({ code: 'QUEUE_NOT_FOUND' })
    expect(await ask({ kind: 'earliest' }, 'nowhere')).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    expect(member.resets).toHaveLength(1)
  })

  it('does not come back when it is deleted while a time is looked for', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, tailCacheBytesMax: 0 } })
    await world.publish('t', numbers(0, 3))
    await world.join('t')
    const to = { kind: 'timestamp', timestampMs: 1 } as const
    let outcome: unknown
    world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to }, (result) => (outcome = result))
    world.broker.deleteGroup('g', () => {})
    await world.settle()
    expect(outcome).toMatchObject({ code: 'GROUP_NOT_FOUND' })
    expect(await world.entries(keyKinds.progress)).toEqual([])
    expect(await world.entries(keyKinds.group)).toEqual([])
  })
})

describe('a BROADCASTING group that is moved', () => {
  const broadcasting = { mode: 'BROADCASTING', group: 'b' } as const

  it('has each of its readers go on from there, told before what comes then', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    for (const body of numbers(0, 8)) await world.publish('t', [body])
    const readers = [await world.join('t', broadcasting), await world.join('t', broadcasting)]
    const stranger = await world.join('t', { ...broadcasting, group: 'c' })
    for (const reader of [...readers, stranger]) taken(reader)
    await reset(world, atOffset(2), { group: 'b', queueId: 0 })
    await world.settle()
    for (const reader of readers) {
      expect(reader.resets).toMatchObject([{ queueId: 0, position: { offset: 2 } }])
      expect(reader.held.map(({ range }) => [range.queueId, range.offset])).toEqual([[0, 2], [0, 3]])
    }
    expect([stranger.resets, stranger.held]).toEqual([[], []])
    for (const reader of readers) taken(reader)
    await reset(world, { kind: 'latest' }, { group: 'b' })
    await world.publish('t', ['new'])
    for (const reader of readers) expect(reader.bodies).toEqual(['new'])
  })

  it('gets no shared progress by that', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    await world.join('t', broadcasting)
    expect(await reset(world, { kind: 'latest' }, { group: 'b' })).toMatchObject({ queues: [] })
    expect(await world.entries(keyKinds.progress)).toEqual([])
  })

  it('moves those that share and those that do not, where it has both', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 3))
    const sharing = await world.join('t', { group: 'b' })
    const reading = await world.join('t', broadcasting)
    for (const member of [sharing, reading]) taken(member)
    await reset(world, atOffset(2), { group: 'b' })
    await world.settle()
    for (const member of [sharing, reading]) expect(member.bodies).toEqual(['2'])
  })
})
