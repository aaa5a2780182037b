// Message groups of a FIFO topic that are stuck while much comes behind them: others go on, however much that is, and
// nothing of theirs is lost or out of order when they move again.

import { describe, expect, it } from 'vitest'
import type { StoreEntry } from '../../../core/ports/store.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld, type Held, type TestMember } from './broker-world.ts'

const taken = (member: TestMember): Held[] => member.held.splice(0)
const inGroup = (body: string) => ({ body, messageGroup: body.slice(0, 1) })
const of = (group: string, from: number, to: number) => Array.from({ length: to - from }, (_, index) => `${group}${from + index}`)

/** Messages of several groups, in turns. */
const mixed = (groups: string, count: number) =>
  Array.from({ length: count }, (_, index) => [...groups].map((group) => inGroup(`${group}${index}`))).flat()

async function fifoWorld(limits: Parameters<typeof BrokerWorld.open>[0] = {}): Promise<BrokerWorld> {
  const world = await BrokerWorld.open({ ...limits, limits: { outstandingPerQueueMax: 20, ...limits.limits } })
  await world.createTopic('t', { messageType: 'FIFO', queueCount: 1 })
  return world
}

/** Acks all but what is of `stuck`, until nothing more comes; gives the bodies in order. */
async function consume(world: BrokerWorld, member: TestMember, stuck = ''): Promise<string[]> {
  const bodies: string[] = []
  const isFree = ({ body }: Held) => stuck === '' || !stuck.includes(body.slice(0, 1))
  for (let held = member.held.filter(isFree); held.length > 0; held = member.held.filter(isFree)) {
    for (const one of held) member.held.splice(member.held.indexOf(one), 1)
    bodies.push(...held.map(({ body }) => body))
    await world.ack(member, held)
    await world.settle()
  }
  return bodies
}

const bodiesOf = (bodies: readonly string[], group: string) => bodies.filter((body) => body.startsWith(group))
const long = { leaseMs: 3_600_000 }
/** Everything in memory, or everything in the store, read in small pieces. */
const memories = [{ tailCacheBytesMax: 1 << 20 }, { tailCacheBytesMax: 0, readChunkBytes: 500 }]

describe.each(memories)('a message group that is stuck, with %o', (limits) => {
  it('does not keep others waiting, however much comes behind it', async () => {
    const world = await fifoWorld({ limits })
    await world.publish('t', mixed('ab', 200))
    const member = await world.join('t', long)
    const before = await consume(world, member, 'a')
    expect(before.length).toBeLessThan(200)
    await world.advance(10_000)
    const bodies = [...before, ...await consume(world, member, 'a')]
    expect(bodies).toEqual(of('b', 0, 200))
    expect(world.broker.stats()).toMatchObject({ backlog: 200, inFlightCount: 1 })
    expect([...world.broker.stats().groups()]).toMatchObject([{ readyCount: 0, backlog: 200 }])
    expect((await world.describeGroup('g')).queues).toMatchObject([{ ackFloor: 0, backlog: 200 }])
    expect(await consume(world, member)).toEqual(of('a', 0, 200))
    expect(world.broker.stats()).toMatchObject({ backlog: 0, inFlightCount: 0 })
  })

  it('goes on in order where it stopped, with what came meanwhile, also over restarts', async () => {
    const world = await fifoWorld({ limits })
    const member = await world.join('t', long)
    const seen: string[] = []
    for (let round = 0; round < 6; round++) {
      await world.publish('t', mixed('abc', 40).map(({ body, messageGroup }) => ({ body: `${body}.${round}`, messageGroup })))
      seen.push(...await consume(world, member, 'a'))
      await world.advance(6_000)
      seen.push(...await consume(world, member, 'a'))
      await world.reopen()
      await world.join('t', { member, ...long })
    }
    for (const group of 'bc') expect(bodiesOf(seen, group)).toHaveLength(240)
    expect(world.broker.stats().backlog).toBe(240)
    const [first] = taken(member) as [Held]
    await world.reopen()
    await world.join('t', { member, ...long })
    await world.ack(member, [first])
    await world.reopen()
    await world.join('t', { member, ...long })
    const rest = await consume(world, member)
    const inOrder = Array.from({ length: 6 }, (_, round) => of('a', 0, 40).map((body) => `${body}.${round}`)).flat()
    expect([first.body, ...rest]).toEqual(inOrder)
    expect(world.broker.stats().backlog).toBe(0)
  })

  it('is looked for again after a restart before anybody wanted what comes next', async () => {
    const world = await fifoWorld({ limits })
    await world.publish('t', mixed('ab', 100))
    const member = await world.join('t', long)
    await consume(world, member, 'a')
    await world.advance(10_000)
    await consume(world, member, 'a')
    await world.reopen()
    await world.join('t', { member, credit: 0 })
    await world.ack(member, taken(member))
    await world.reopen()
    expect(world.broker.stats().backlog).toBe(99)
    await world.join('t', { member })
    expect(await consume(world, member)).toEqual(of('a', 1, 100))
  })

  it('gets nothing twice of what the others have not come to yet', async () => {
    const world = await fifoWorld({ limits })
    const heads = [...'bcdefghijklmnopqrstuvwxyz'].map((group) => `${group}0`)
    await world.publish('t', [...of('a', 0, 4), ...heads, ...of('a', 4, 8)].map(inGroup))
    const member = await world.join('t', long)
    await world.advance(10_000)
    expect(world.broker.stats().inFlightCount).toBe(20)
    await world.ack(member, member.held.splice(member.held.findIndex(({ body }) => body === 'a0'), 1))
    await world.settle()
    expect(bodiesOf(member.bodies, 'a')).toEqual(['a1'])
    const bodies = await consume(world, member)
    expect(bodiesOf(bodies, 'a')).toEqual(of('a', 1, 8))
    expect(bodies.toSorted()).toEqual([...of('a', 1, 8), ...heads].toSorted())
  })

  it('may be several, each of which goes on by itself', async () => {
    const world = await fifoWorld({ limits })
    await world.publish('t', mixed('abcd', 100))
    const member = await world.join('t', long)
    const seen = await consume(world, member, 'abc')
    await world.advance(10_000)
    seen.push(...await consume(world, member, 'abc'))
    expect(seen).toEqual(of('d', 0, 100))
    for (const [index, group] of ['b', 'c', 'a'].entries()) {
      expect(await consume(world, member, ['ac', 'a', ''][index])).toEqual(of(group, 0, 100))
    }
  })

  it('loses what retention takes meanwhile, and goes on behind that', async () => {
    const world = await fifoWorld({ limits: { ...limits, retentionMsDefault: 60_000, retentionSweepMs: 1_000 } })
    await world.publish('t', mixed('ab', 60))
    const member = await world.join('t', long)
    await consume(world, member, 'a')
    await world.advance(10_000)
    await consume(world, member, 'a')
    await world.advance(49_000)
    await world.publish('t', mixed('ab', 2).map(({ body, messageGroup }) => ({ body: `${body}.new`, messageGroup })))
    await world.advance(5_000)
    expect(await consume(world, member)).toEqual(['a0', 'b0.new', 'b1.new', 'a0.new', 'a1.new'])
    expect(world.broker.stats().backlog).toBe(0)
  })

  it('leaves out what the filter does, and what is over when its turn comes', async () => {
    const world = await fifoWorld({ limits })
    const messages = mixed('ab', 90).map((message, index) => ({
      ...message, tag: index % 6 < 2 ? 'no' : 'yes', ttlMs: index % 6 < 4 && message.body !== 'a1' ? 20_000 : undefined,
    }))
    await world.publish('t', messages)
    const member = await world.join('t', { ...long, filter: 'yes' })
    await consume(world, member, 'a')
    await world.advance(30_000)
    const rest = await consume(world, member)
    expect(bodiesOf(rest, 'a')).toEqual(['a1', ...Array.from({ length: 30 }, (_, index) => `a${index * 3 + 2}`)])
    expect(world.broker.stats().backlog).toBe(0)
  })

  it('is held as well as leased', async () => {
    const world = await fifoWorld({ limits })
    await world.configureGroup('g', { attemptCountMax: 1, exhausted: 'hold' })
    await world.publish('t', mixed('ab', 100))
    const member = await world.join('t', long)
    await world.retry(member, member.held.splice(member.held.findIndex(({ body }) => body === 'a0'), 1), 'schedule')
    const seen = await consume(world, member)
    await world.advance(10_000)
    seen.push(...await consume(world, member))
    expect(seen).toEqual(of('b', 0, 100))
    await world.must((answer) => world.broker.settleHeld({ group: 'g', topic: 't', how: 'retry' }, answer))
    expect(await consume(world, member)).toEqual(of('a', 0, 100))
  })
})

describe('message groups that move', () => {
  it('are not read again for want of room: they wait for each other', async () => {
    const world = await fifoWorld({ limits: { tailCacheBytesMax: 0 } })
    await world.publish('t', mixed('abcdefgh', 300))
    const member = await world.join('t')
    const before = world.broker.counters.storeReads
    const bodies: string[] = []
    for (let held = taken(member); held.length > 0; held = taken(member)) {
      bodies.push(...held.map(({ body }) => body))
      await world.ack(member, held)
      await world.advance(1_000)
    }
    expect(bodies).toHaveLength(2_400)
    for (const group of 'abcdefgh') expect(bodiesOf(bodies, group)).toEqual(of(group, 0, 300))
    // One each for what was locked, as their records are not in memory; and few for the log itself.
    expect(world.broker.counters.storeReads - before).toBeLessThan(2_400 + 100)
  })

  it('take few bytes of the store while one of them is stuck', async () => {
    const world = await fifoWorld({ limits: { outstandingPerQueueMax: 200 } })
    for (let batch = 0; batch < 2; batch++) await world.publish('t', mixed('ab', 1_000))
    const member = await world.join('t', long)
    await consume(world, member, 'a')
    await world.advance(10_000)
    await consume(world, member, 'a')
    expect(world.broker.stats()).toMatchObject({ backlog: 2_000, inFlightCount: 1 })
    const [{ value }] = await world.entries(keyKinds.progress) as [StoreEntry]
    expect(value.length).toBeLessThan(300)
  })
})
