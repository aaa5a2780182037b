// Messages whose time to live is over are given to nobody, wherever they are when it ends; they count as consumed, and
// what waits behind them goes on.

import { describe, expect, it } from 'vitest'
import type { PullResult } from '../../../core/broker/door.ts'
import type { GroupDescription } from '../../../core/protocol/frames.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { BrokerWorld, type Held, type OutMessage, type TestMember } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))
const brief = (body: string): OutMessage => ({ body, ttlMs: 1_000 })
const inGroup = (message: OutMessage): OutMessage => ({ ...message, messageGroup: 'm' })
const taken = (member: TestMember): Held[] => member.held.splice(0)
const expired = (world: BrokerWorld) => world.broker.counters.expiredUnreadMessages

/** Everything in memory, or everything in the store. */
const memories = [{ tailCacheBytesMax: 1 << 20 }, { tailCacheBytesMax: 0 }]

describe.each(memories)('a message whose time is over, with %o', (limits) => {
  it('is delivered to the last millisecond and not a moment later', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.publish('t', [brief('a'), 'b'])
    await world.advance(999)
    expect((await world.join('t')).bodies).toEqual(['a', 'b'])
    await world.advance(1)
    expect((await world.join('t', { group: 'late' })).bodies).toEqual(['b'])
    expect(expired(world)).toBe(1)
    const { queues } = await world.describeGroup('late')
    expect(queues).toMatchObject([{ ackFloor: 1, backlog: 1 }])
  })

  it('is over by its topic’s time where it says nothing of it', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.createTopic('t', { ttlMs: 5_000 })
    await world.publish('t', ['topic', { body: 'own', ttlMs: 60_000 }, brief('brief')])
    await world.advance(5_000)
    expect((await world.join('t')).bodies).toEqual(['own'])
    expect(expired(world)).toBe(2)
  })

  it('comes back neither from a retry nor from a lease that ends', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.publish('t', [brief('retried'), brief('frozen'), 'stays'])
    const member = await world.join('t', { leaseMs: 2_000 })
    const [retried] = taken(member) as [Held]
    await world.retry(member, [retried], 'after', 1_500)
    await world.advance(2_000)
    expect(member.held).toMatchObject([{ body: 'stays', attempt: 2 }])
    expect(expired(world)).toBe(2)
    await world.ack(member, taken(member))
    expect(world.broker.stats()).toMatchObject({ backlog: 0, inFlightCount: 0 })
  })

  it('unlocks its message group, and so do all behind it', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.createTopic('t', { messageType: 'FIFO' })
    await world.publish('t', [...['a', 'b', 'c'].map(brief).map(inGroup), inGroup({ body: 'd' })])
    const member = await world.join('t')
    expect(member.bodies).toEqual(['a'])
    await world.advance(1_000)
    await world.retry(member, taken(member), 'release')
    await world.settle()
    expect(member.held).toMatchObject([{ body: 'd', attempt: 1 }])
    expect(expired(world)).toBe(3)
    await world.ack(member, taken(member))
    expect(world.broker.stats().backlog).toBe(0)
  })

  it('is not shown again by a receive that is repeated', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.publish('t', [brief('a'), 'b'])
    const member = await world.join('t', { credit: 0 })
    const receive = () => world.must<number>((answer) =>
      member.membership?.receive({ attemptId: 7, messageCountMax: 10, leaseMs: 30_000, waitMs: 0 }, answer))
    expect(await receive()).toBe(2)
    await world.advance(1_000)
    taken(member)
    expect(await receive()).toBe(1)
    expect(member.bodies).toEqual(['b'])
    expect(world.broker.stats().inFlightCount).toBe(1)
    await world.ack(member, taken(member))
    expect(world.broker.stats()).toMatchObject({ backlog: 0, inFlightCount: 0 })
  })

  it('may still be acked by who was given it in time', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.publish('t', [brief('a')])
    const member = await world.join('t')
    await world.advance(1_500)
    expect(await world.ack(member, taken(member))).toEqual([])
    expect(expired(world)).toBe(0)
  })

  it('is passed over by BROADCASTING readers and pulls', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.publish('t', [brief('a'), 'b', brief('c')])
    await world.advance(1_000)
    const reader = await world.join('t', { mode: 'BROADCASTING', group: 'b' })
    expect(reader.bodies).toEqual(['b'])
    const pulled = await world.must<PullResult>((answer) => world.broker.pull({
      topic: 't', queueId: 0, start: { kind: 'earliest' }, filterKind: 'TAG', filter: '*', messageCountMax: 10,
      byteCountMax: 1 << 20, waitMs: 0,
    }, answer))
    expect(pulled.records.map((bytes) => RecordBatch.open(bytes).messageCount)).toEqual([1])
    expect(pulled.next.offset).toBe(3)
    expect(expired(world)).toBe(4)
  })

  it('is let go where it was held, and what waited behind it comes, also over a restart', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.createTopic('t', { messageType: 'FIFO' })
    await world.configureGroup('g', { attemptCountMax: 1, exhausted: 'hold' })
    await world.publish('t', [inGroup({ body: 'a', ttlMs: 60_000 }), inGroup({ body: 'b' })])
    const member = await world.join('t')
    await world.retry(member, taken(member), 'schedule')
    const held = async () => (await world.describeGroup('g')).queues[0]?.held
    await world.advance(30_000)
    expect(await held()).toBe(1)
    await world.reopen()
    await world.join('t', { member })
    await world.advance(29_000)
    expect(await held()).toBe(1)
    await world.advance(1_000)
    expect(await held()).toBe(0)
    expect(member.bodies).toEqual(['b'])
  })

  it('is over as the wall clock says, wherever that goes', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    await world.publish('t', [brief('a')])
    world.clock.jumpWall(-3_600_000)
    await world.advance(5_000)
    expect((await world.join('t', { group: 'back' })).bodies).toEqual(['a'])
    world.clock.jumpWall(3_600_000)
    expect((await world.join('t', { group: 'forth' })).bodies).toEqual([])
  })
})

describe('many messages whose time is over', () => {
  it('behind one message group are dropped without a read of the store for each', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, tailCacheBytesMax: 0 } })
    await world.createTopic('t', { messageType: 'FIFO' })
    await world.publish('t', [...numbers(0, 3_000).map(brief).map(inGroup), inGroup({ body: 'last' })])
    const member = await world.join('t')
    await world.advance(1_000)
    const before = world.broker.counters.storeReads
    await world.ack(member, taken(member))
    await world.settle()
    expect(member.bodies).toEqual(['last'])
    expect(world.broker.counters.storeReads - before).toBeLessThan(20)
    expect(expired(world)).toBe(2_999)
  })

  it('are passed over at once, and count as backlog no longer', async () => {
    const world = await BrokerWorld.open({ limits: one })
    for (let batch = 0; batch < 100; batch++) await world.publish('t', numbers(0, 100).map(brief))
    await world.publish('t', ['last'])
    await world.advance(1_000)
    const member = await world.join('t')
    expect(member.bodies).toEqual(['last'])
    const described: GroupDescription = await world.describeGroup('g')
    expect(described.queues).toMatchObject([{ backlog: 1, ackFloor: 10_000 }])
    expect(expired(world)).toBe(10_000)
  })
})
