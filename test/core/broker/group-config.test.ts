// What operators set of a group while it works: pause, how many messages may be out, when failed messages come again, and
// what becomes of those that fail for good. All of it holds at once.

import { describe, expect, it } from 'vitest'
import type { PocketError } from '../../../core/errors.ts'
import { deadLetterTopicOf } from '../../../core/model/names.ts'
import type { GroupDescription } from '../../../core/protocol/frames.ts'
import { BrokerWorld, type Held, type TestMember } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))
const schedule = (...delaysMs: number[]) => ({ kind: 'schedule', delaysMs }) as const

/** Takes out what the member holds so far. */
function taken(member: TestMember): Held[] {
  return member.held.splice(0)
}

async function ackAll(world: BrokerWorld, member: TestMember): Promise<string[]> {
  const bodies: string[] = []
  for (let held = taken(member); held.length > 0; held = taken(member)) {
    bodies.push(...held.map(({ body }) => body))
    await world.ack(member, held)
    await world.settle()
  }
  return bodies
}

function receive(member: TestMember, messageCountMax: number, waitMs: number): { count: number | PocketError | undefined } {
  const got: { count: number | PocketError | undefined } = { count: undefined }
  member.membership?.receive({ attemptId: 0, messageCountMax, leaseMs: 0, waitMs }, (outcome) => (got.count = outcome))
  return got
}

describe('a paused group', () => {
  it('is handed nothing, acks what it holds, and goes on when it is resumed, also over a restart', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 4))
    const member = await world.join('t', { credit: 2 })
    await world.configureGroup('g', { isPaused: true })
    member.membership?.credit(100, 1 << 20)
    await world.publish('t', ['late'])
    expect(await world.ack(member, taken(member))).toEqual([])
    await world.settle()
    expect(member.bodies).toEqual([])
    const { groups } = await world.must<{ groups: readonly object[] }>((answer) =>
      world.broker.listGroups({ after: '', containing: '', countMax: 10 }, answer))
    expect(groups).toEqual([{ group: 'g', memberCount: 1, backlog: 3, isPaused: true }])
    await world.reopen()
    await world.join('t', { member })
    await world.settle()
    expect(member.bodies).toEqual([])
    await world.configureGroup('g', { isPaused: false })
    await world.settle()
    expect(member.bodies).toEqual(['2', '3', 'late'])
  })

  it('does not redeliver what fails or whose lease ends before it is resumed', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['failed', 'frozen'])
    const member = await world.join('t', { leaseMs: 1_000 })
    await world.configureGroup('g', { isPaused: true })
    await world.retry(member, taken(member).slice(0, 1), 'after', 10)
    await world.advance(5_000)
    expect(member.bodies).toEqual([])
    await world.configureGroup('g', { isPaused: false })
    await world.settle()
    expect(member.held.map(({ body, attempt }) => [body, attempt]).sort()).toEqual([['failed', 2], ['frozen', 2]])
  })

  it('ends a receive empty when its time is over, and lets one that still waits have what there is', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t', { credit: 0 })
    await world.configureGroup('g', { isPaused: true })
    const short = receive(member, 5, 1_000)
    await world.advance(999)
    expect(short.count).toBeUndefined()
    await world.advance(1)
    expect(short.count).toBe(0)
    const long = receive(member, 5, 1_000)
    await world.advance(500)
    await world.configureGroup('g', { isPaused: false })
    await world.settle()
    expect(long.count).toBe(1)
  })

  it('reads nothing either when it is BROADCASTING', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const member = await world.join('t', { mode: 'BROADCASTING' })
    const other = await world.join('t', { mode: 'BROADCASTING', group: 'others' })
    await world.configureGroup('g', { isPaused: true })
    await world.publish('t', ['a'])
    expect(member.bodies).toEqual([])
    expect(other.bodies).toEqual(['a'])
    await world.configureGroup('g', { isPaused: false })
    await world.settle()
    expect(member.bodies).toEqual(['a'])
  })
})

describe('a bound on what a group has out', () => {
  it('is kept over all members and queues, lets others in as leases end, and moves at once', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    for (const body of numbers(0, 30)) await world.publish('t', [body])
    await world.configureGroup('g', { inFlightMax: 5 })
    const members = [await world.join('t'), await world.join('t')] as const
    const out = () => members.reduce((sum, { held }) => sum + held.length, 0)
    expect(out()).toBe(5)
    const acked = members[0].held.splice(0, 2)
    await world.ack(members[0], acked)
    await world.settle()
    expect(out()).toBe(5)
    await world.configureGroup('g', { inFlightMax: 8 })
    await world.settle()
    expect(out()).toBe(8)
    await world.configureGroup('g', { inFlightMax: 3 })
    for (const member of members) await world.ack(member, member.held.splice(0, 2))
    await world.settle()
    expect(out()).toBe(4)
    for (const member of members) await world.ack(member, member.held.splice(0, 1))
    await world.settle()
    expect(out()).toBe(3)
    await world.configureGroup('g', { inFlightMax: 0 })
    await world.settle()
    expect(world.broker.stats().inFlightCount).toBe(world.broker.stats().backlog)
  })

  it('is shared by members that want messages', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.configureGroup('g', { inFlightMax: 10 })
    const members = [await world.join('t'), await world.join('t')]
    await world.publish('t', numbers(0, 100))
    expect(members.map(({ held }) => held.length)).toEqual([5, 5])
  })

  it('per member holds for each, whatever credit it gave, and counts leases of its connection before', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    for (const body of numbers(0, 40)) await world.publish('t', [body])
    await world.configureGroup('g', { inFlightPerMemberMax: 3 })
    const members = [await world.join('t'), await world.join('t')] as const
    expect(members.map(({ held }) => held.length)).toEqual([3, 3])
    await world.ack(members[0], members[0].held.splice(0, 1))
    await world.settle()
    expect(members.map(({ held }) => held.length)).toEqual([3, 3])
    await world.reopen()
    await world.join('t', { member: members[0] })
    expect(members[0].held).toHaveLength(3)
    await world.ack(members[0], taken(members[0]))
    await world.settle()
    expect(members[0].held).toHaveLength(3)
  })

  it('ends a receive with what fits, or empty in time where nothing does', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    await world.configureGroup('g', { inFlightPerMemberMax: 2 })
    const member = await world.join('t', { credit: 0 })
    const first = receive(member, 10, 1_000)
    await world.settle()
    expect(first.count).toBe(2)
    const second = receive(member, 10, 1_000)
    await world.advance(1_000)
    expect(second.count).toBe(0)
    const third = receive(member, 10, 1_000)
    await world.ack(member, taken(member))
    await world.settle()
    expect(third.count).toBe(2)
  })
})

describe('an exponential retry', () => {
  it('waits longer each time, up to its bound', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.configureGroup('g', { retry: { kind: 'exponential', firstMs: 1_000, factor: 3, maxMs: 5_000 } })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    for (const delayMs of [1_000, 3_000, 5_000, 5_000]) {
      await world.retry(member, taken(member), 'schedule')
      await world.advance(delayMs - 1)
      expect(member.bodies).toEqual([])
      await world.advance(1)
      expect(member.bodies).toEqual(['a'])
    }
  })

  it('takes over from a schedule for what fails from then on', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.configureGroup('g', { retry: schedule(10_000) })
    await world.publish('t', ['a', 'b'])
    const member = await world.join('t')
    const [a, b] = taken(member) as [Held, Held]
    await world.retry(member, [a], 'schedule')
    await world.configureGroup('g', { retry: { kind: 'exponential', firstMs: 500, factor: 2, maxMs: 60_000 } })
    await world.retry(member, [b], 'schedule')
    await world.advance(500)
    expect(member.bodies).toEqual(['b'])
    await world.advance(9_500)
    expect(member.bodies).toEqual(['b', 'a'])
  })
})

describe('fewer attempts', () => {
  it('than a message has had make it a dead letter, while it waits or is about to be delivered', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.configureGroup('g', { retry: schedule(60_000) })
    await world.publish('t', ['waits', 'free', 'fresh'])
    const member = await world.join('t', { credit: 2 })
    const [waits, free] = taken(member) as [Held, Held]
    await world.configureGroup('g', { isPaused: true })
    await world.retry(member, [waits], 'schedule')
    await world.retry(member, [free], 'after', 0)
    await world.configureGroup('g', { attemptCountMax: 1, isPaused: false })
    member.membership?.credit(10, 1 << 20)
    await world.settle()
    expect(member.bodies).toEqual(['fresh'])
    const grave = await world.join(deadLetterTopicOf('g'), { group: 'graves' })
    expect(grave.bodies.toSorted()).toEqual(['free', 'waits'])
    expect(world.broker.stats().backlog).toBe(1 + 2)
    await world.ack(member, taken(member))
    await world.advance(60_000)
    expect(member.bodies).toEqual([])
    expect(world.broker.counters.deadLetters).toBe(2)
  })
})

describe('a FIFO group that holds what fails for good', () => {
  const queueOf = ({ queues }: GroupDescription) => queues[0] as GroupDescription['queues'][number]

  /** Two message groups; the first message of `a` has failed for good. */
  async function holdingWorld(): Promise<{ world: BrokerWorld; member: TestMember }> {
    const world = await BrokerWorld.open({ limits: one })
    await world.createTopic('t', { messageType: 'FIFO' })
    await world.configureGroup('g', { attemptCountMax: 2, retry: schedule(1_000), exhausted: 'hold' })
    await world.publish('t', ['a1', 'a2', 'b1', 'a3', 'b2'].map((body) => ({ body, messageGroup: body.slice(0, 1) })))
    const member = await world.join('t')
    for (let attempt = 1; attempt <= 2; attempt++) {
      const [held] = member.held.filter(({ body }) => body === 'a1') as [Held]
      member.held.splice(member.held.indexOf(held), 1)
      await world.retry(member, [held], 'schedule')
      await world.advance(1_000)
    }
    return { world, member }
  }

  it('keeps its message group behind it while others flow, also over a restart', async () => {
    const { world, member } = await holdingWorld()
    expect(await ackAll(world, member)).toEqual(['b1', 'b2'])
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 1, ackFloor: 0, waitingForRetry: 0, backlog: 3 })
    expect([...world.broker.stats().groups()]).toMatchObject([{ heldCount: 1, readyCount: 0, retryCount: 0, backlog: 3 }])
    await world.reopen()
    await world.join('t', { member })
    await world.advance(3_600_000)
    expect(member.bodies).toEqual([])
    await world.publish('t', [{ body: 'a4', messageGroup: 'a' }, { body: 'b3', messageGroup: 'b' }])
    expect(await ackAll(world, member)).toEqual(['b3'])
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 1, backlog: 4 })
    expect(world.broker.stats().counters.deadLetters).toBe(0)
  })

  it('delivers it again at once when that is asked for, with all its attempts before it', async () => {
    const { world, member } = await holdingWorld()
    await ackAll(world, member)
    await world.reopen()
    await world.join('t', { member })
    const described = await world.must<GroupDescription>((answer) =>
      world.broker.settleHeld({ group: 'g', topic: 't', how: 'retry' }, answer))
    expect(queueOf(described)).toMatchObject({ held: 0 })
    await world.settle()
    expect(member.held).toMatchObject([{ body: 'a1', attempt: 1 }])
    await world.retry(member, taken(member), 'schedule')
    await world.advance(1_000)
    expect(member.held).toMatchObject([{ body: 'a1', attempt: 2 }])
    expect(await ackAll(world, member)).toEqual(['a1', 'a2', 'a3'])
    expect(world.broker.stats().backlog).toBe(0)
  })

  it('buries it when that is asked for, and goes on behind it', async () => {
    const { world, member } = await holdingWorld()
    await ackAll(world, member)
    await world.must((answer) => world.broker.settleHeld({ group: 'g', topic: 't', how: 'dead-letter' }, answer))
    expect(await ackAll(world, member)).toEqual(['a2', 'a3'])
    expect((await world.join(deadLetterTopicOf('g'), { group: 'graves' })).bodies).toEqual(['a1'])
  })

  it('buries it after a crash before its record was read, although the group holds', async () => {
    const { world } = await holdingWorld()
    world.limits = { ...world.limits, topicCountMax: 1 }
    await world.reopen()
    await world.must((answer) => world.broker.settleHeld({ group: 'g', topic: 't', how: 'dead-letter' }, answer))
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 0, waitingForRetry: 1 })
    world.limits = { ...world.limits, topicCountMax: 10 }
    await world.reopen()
    await world.settle()
    expect((await world.join(deadLetterTopicOf('g'), { group: 'graves' })).bodies).toEqual(['a1'])
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 0, waitingForRetry: 0 })
  })

  it('keeps what it holds when it is told to bury from now on, or to allow more attempts', async () => {
    const { world, member } = await holdingWorld()
    await world.configureGroup('g', { exhausted: 'dead-letter', attemptCountMax: 5 })
    await world.reopen()
    await world.join('t', { member })
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 1 })
    await world.configureGroup('g', { attemptCountMax: 1 })
    const [b1] = member.held.filter(({ body }) => body === 'b1') as [Held]
    await world.retry(member, [b1], 'schedule')
    await world.settle()
    expect((await world.join(deadLetterTopicOf('g'), { group: 'graves' })).bodies).toEqual(['b1'])
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 1 })
  })

  it('holds a message whose last lease ran out, too', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.createTopic('t', { messageType: 'FIFO' })
    await world.configureGroup('g', { attemptCountMax: 1, exhausted: 'hold' })
    await world.publish('t', [{ body: 'a1', messageGroup: 'a' }])
    await world.join('t', { leaseMs: 1_000 })
    await world.advance(1_000)
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 1, inFlight: 0 })
  })

  it('forgets what it holds when it is moved, or when retention takes that', async () => {
    const { world, member } = await holdingWorld()
    const to = { kind: 'latest' } as const
    await world.must((answer) => world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to }, answer))
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 0, backlog: 0 })
    await world.publish('t', [{ body: 'a5', messageGroup: 'a' }])
    await world.settle()
    expect(member.bodies.at(-1)).toBe('a5')

    const short = await BrokerWorld.open({ limits: { ...one, retentionSweepMs: 1_000, retentionMsDefault: 10_000 } })
    await short.createTopic('t', { messageType: 'FIFO' })
    await short.configureGroup('g', { attemptCountMax: 1, exhausted: 'hold' })
    await short.publish('t', [{ body: 'old', messageGroup: 'a' }])
    const reader = await short.join('t')
    await short.retry(reader, taken(reader), 'schedule')
    await short.advance(9_000)
    await short.publish('t', [{ body: 'young', messageGroup: 'a' }])
    await short.settle()
    expect(reader.bodies).toEqual([])
    await short.advance(3_000)
    expect(reader.bodies).toEqual(['young'])
    expect(queueOf(await short.describeGroup('g'))).toMatchObject({ held: 0 })
  })

  it('is nothing but dead letters in a topic without message groups', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.configureGroup('g', { attemptCountMax: 1, exhausted: 'hold' })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    await world.retry(member, taken(member), 'schedule')
    expect((await world.join(deadLetterTopicOf('g'), { group: 'graves' })).bodies).toEqual(['a'])
    expect(queueOf(await world.describeGroup('g'))).toMatchObject({ held: 0, backlog: 0 })
  })

  it('is settled where nothing is held, and refused where there is no such group or topic', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const settle = (group: string, topic: string) =>
      world.ask<GroupDescription>((answer) => world.broker.settleHeld({ group, topic, how: 'retry' }, answer))
    expect(await settle('g', 't')).toMatchObject({ code: 'GROUP_NOT_FOUND' })
    await world.configureGroup('g', {})
    expect(await settle('g', 'nowhere')).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    expect(await settle('g', 't')).toMatchObject({ group: 'g', queues: [] })
    await world.join('t')
    expect(await settle('g', 't')).toMatchObject({ queues: [{ held: 0, inFlight: 1 }] })
  })
})
