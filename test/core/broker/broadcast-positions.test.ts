// Positions of BROADCASTING consumers that the broker keeps: found again, moved, forgotten.

import { describe, expect, it } from 'vitest'
import { fixedLimits } from '../../../core/limits.ts'
import type { QueuePosition } from '../../../core/protocol/frames.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld, type Held, type TestMember } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const dayMs = 86_400_000
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))
const taken = (member: TestMember): Held[] => member.held.splice(0)
const kept = (consumerName = 'tab') =>
  ({ mode: 'BROADCASTING', group: 'b', positionKeeper: 'broker', consumerName }) as const

/** The epoch of a queue that it was delivered from. */
function epochOf({ deliveries }: TestMember, queueId = 0): number {
  return deliveries.find((delivery) => delivery.queueId === queueId)?.next.epoch ?? 0
}

/** Says where a member stands in a queue. */
async function report(
  world: BrokerWorld, member: TestMember, offset: number, queueId = 0, epoch = epochOf(member, queueId),
): Promise<void> {
  member.membership?.positions([{ queueId, position: { epoch, offset } }])
  await world.settle()
}

/** The messages that a consumer is given when it comes without a word of its own. */
async function returning(world: BrokerWorld, consumerName = 'tab'): Promise<string[]> {
  const member = await world.join('t', kept(consumerName))
  member.membership?.detach()
  return member.bodies
}

function resetTo(world: BrokerWorld, offset: number) {
  const to = { kind: 'position', position: { epoch: 0, offset } } as const
  return world.must((answer) => world.broker.resetGroup({ group: 'b', topic: 't', queueId: undefined, to }, answer))
}

const positionsOf = (world: BrokerWorld) => world.entries(keyKinds.broadcastPosition)

describe('a position that the broker keeps', () => {
  it('is where the consumer goes on, by its name, also over a restart', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t', kept())
    await report(world, member, 4)
    member.membership?.detach()
    expect(await returning(world)).toEqual(numbers(4, 10))
    expect(await returning(world, 'other')).toEqual(numbers(0, 10))
    await world.reopen()
    expect(await returning(world)).toEqual(numbers(4, 10))
  })

  it('begins where the consumer was let in, though it never reports', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 3))
    const member = await world.join('t', { ...kept(), start: { kind: 'latest' } })
    member.membership?.detach()
    await world.publish('t', ['new'])
    await world.reopen()
    expect(await returning(world)).toEqual(['new'])
  })

  it('gives way to what the client itself has received since', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t', kept())
    await report(world, member, 4)
    const epoch = epochOf(member)
    member.membership?.detach()
    const positions: QueuePosition[] = [{ queueId: 0, position: { epoch, offset: 7 } }]
    const back = await world.join('t', { ...kept(), positions })
    expect(back.bodies).toEqual(numbers(7, 10))
    back.membership?.detach()
    expect(await returning(world)).toEqual(numbers(7, 10))
  })

  it('is not taken where the consumer cannot stand', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t', { ...kept(), start: { kind: 'position', position: { epoch: 0, offset: 2 } }, credit: 4 })
    await report(world, member, 5)
    for (const offset of [1, 7, 10, Number.MAX_SAFE_INTEGER]) await report(world, member, offset)
    await report(world, member, 6, 0, 1)
    member.membership?.positions(
      [{ queueId: 1, position: { epoch: 0, offset: 0 } }, { queueId: 2 ** 40, position: { epoch: 0, offset: 0 } }],
    )
    await world.settle()
    member.membership?.detach()
    await report(world, member, 6)
    expect(await returning(world)).toEqual(numbers(5, 10))
    expect(await positionsOf(world)).toHaveLength(1)
  })

  it('is written once per turn and queue, and not where nothing changed', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    for (const body of numbers(0, 8)) await world.publish('t', [body])
    const member = await world.join('t', kept())
    const { counters } = world.broker
    const before = { commits: counters.commits, writes: counters.commitWrites }
    const epoch = epochOf(member)
    for (const offset of [1, 2, 3]) member.membership?.positions([{ queueId: 0, position: { epoch, offset } }])
    await world.settle()
    expect([counters.commits - before.commits, counters.commitWrites - before.writes]).toEqual([1, 1])
    member.membership?.positions([{ queueId: 0, position: { epoch, offset: 3 } }])
    await world.settle()
    expect(counters.commitWrites - before.writes).toBe(1)
  })

  it('of messages that are gone meanwhile is announced as a gap', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, retentionMsDefault: 10_000, retentionSweepMs: 1_000 } })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t', kept())
    await report(world, member, 4)
    member.membership?.detach()
    await world.advance(9_000)
    await world.publish('t', ['young'])
    await world.advance(3_000)
    const back = await world.join('t', kept())
    expect(back.bodies).toEqual(['young'])
    expect(back.gaps).toMatchObject([{ expected: { offset: 4 }, next: { offset: 10 } }])
  })

  it('is damaged alone: the others are there, and that consumer starts as it says', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 4))
    for (const name of ['tab', 'tob']) {
      const member = await world.join('t', kept(name))
      await report(world, member, 3)
      member.membership?.detach()
    }
    const [first] = await positionsOf(world)
    await world.write([{ key: first?.key as Uint8Array, value: Uint8Array.of(1, 2, 3) }])
    await world.reopen()
    expect(world.broker.damages).toMatchObject([{ what: "position of consumer 'tab' of group 'b'", topic: 't', queueId: 0 }])
    expect(await returning(world, 'tob')).toEqual(['3'])
    expect(await returning(world, 'tab')).toEqual(numbers(0, 4))
  })
})

describe('a position that the group is moved away from', () => {
  it('is that of an absent consumer too, whatever that remembers, until it has reported since', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t', kept())
    await report(world, member, 9)
    const epoch = epochOf(member)
    member.membership?.detach()
    await resetTo(world, 2)
    await world.reopen()
    const positions: QueuePosition[] = [{ queueId: 0, position: { epoch, offset: 9 } }]
    for (let time = 0; time < 2; time++) {
      const back = await world.join('t', { ...kept(), positions })
      expect(back.bodies).toEqual(numbers(2, 10))
      expect(back.resets).toMatchObject([{ queueId: 0, position: { offset: 2 } }])
      if (time === 1) await report(world, back, 8)
      back.membership?.detach()
    }
    const again = await world.join('t', { ...kept(), positions })
    expect([again.bodies, again.resets]).toEqual([['9'], []])
  })

  it('does not come back by what a connected consumer said before it heard', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    const back = await world.join('t', kept('back'))
    const forth = await world.join('t', { ...kept('forth'), credit: 5 })
    forth.isWritable = false
    back.isWritable = false
    await resetTo(world, 1)
    await report(world, back, 10)
    back.membership?.detach()
    expect(await returning(world, 'back')).toEqual(numbers(1, 10))
    await resetTo(world, 9)
    await report(world, forth, 4)
    forth.membership?.detach()
    expect(await returning(world, 'forth')).toEqual(['9'])
  })

  it('gives no shared progress to a group of which nobody is here', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 4))
    await returning(world)
    await resetTo(world, 2)
    expect(await world.entries(keyKinds.progress)).toEqual([])
    expect(await returning(world)).toEqual(['2', '3'])
  })
})

describe('a position that nobody needs', () => {
  it('goes with its group, and with its topic', async () => {
    const world = await BrokerWorld.open({ limits: one })
    for (const topic of ['t', 'u']) await world.publish(topic, ['a'])
    for (const topic of ['t', 'u']) for (const group of ['b', 'c']) await world.join(topic, { ...kept(), group })
    expect(await positionsOf(world)).toHaveLength(4)
    await world.must((answer) => world.broker.deleteTopic('u', answer))
    await world.settle()
    expect(await positionsOf(world)).toHaveLength(2)
    await world.must((answer) => world.broker.deleteGroup('c', answer))
    expect(await positionsOf(world)).toHaveLength(1)
    await world.must((answer) => world.broker.deleteGroup('b', answer))
    expect(await positionsOf(world)).toEqual([])
    await world.reopen()
    expect(await positionsOf(world)).toEqual([])
  })

  it('goes when its consumer was silent for long, and stays while it is connected, also over a restart', async () => {
    const limits = { ...one, broadcastPositionMs: 10 * dayMs, retentionSweepMs: dayMs / 2, retentionMsDefault: 0 }
    const world = await BrokerWorld.open({ limits })
    await world.publish('t', numbers(0, 4))
    await returning(world, 'gone')
    const quiet = await world.join('t', kept('quiet'))
    world.clock.jumpWall(6 * dayMs)
    await world.advance(dayMs / 2 + 1)
    expect(await positionsOf(world)).toHaveLength(2)
    world.clock.jumpWall(4 * dayMs)
    await world.advance(dayMs / 2)
    expect(await positionsOf(world)).toHaveLength(1)
    quiet.membership?.detach()
    await world.reopen()
    await world.advance(dayMs / 2 + 1)
    expect(await positionsOf(world)).toHaveLength(1)
    world.clock.jumpWall(10 * dayMs)
    await world.advance(dayMs)
    expect(await positionsOf(world)).toEqual([])
  }, 60_000)

  it('is refused where there are as many as there may be, while those that are known come back', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2, broadcastPositionCountMax: 7 } })
    await world.publish('t', numbers(0, 2))
    const join = (consumerName: string) => world.join('t', kept(consumerName))
    for (const name of ['a', 'b', 'c']) await join(name)
    await expect(join('new')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    await world.reopen()
    await expect(join('new')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    await expect(join('a')).resolves.toBeDefined()
    expect(await positionsOf(world)).toHaveLength(6)
    await world.must((answer) => world.broker.deleteGroup('b', answer))
    await expect(join('new')).resolves.toBeDefined()
  })

  it('is not kept of a consumer without a name, or with one that cannot be', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const { consumerNameBytesMax } = fixedLimits
    for (const name of ['', 'a b', 'ü', 'x'.repeat(consumerNameBytesMax + 1), 'x'.repeat(100_000)]) {
      await expect(world.join('t', kept(name))).rejects.toMatchObject({ code: 'BAD_NAME' })
    }
    await expect(world.join('t', kept('x'.repeat(consumerNameBytesMax)))).resolves.toBeDefined()
    const client = await world.join('t', { ...kept(''), positionKeeper: 'client' })
    await report(world, client, 1)
    expect(await positionsOf(world)).toHaveLength(1)
    taken(client)
  })
})
