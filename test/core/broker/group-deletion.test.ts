// Groups that are deleted: their members, their progress and their positions go, nothing of them is written afterwards,
// and a group of that name begins anew.

import { describe, expect, it } from 'vitest'
import { deadLetterTopicOf } from '../../../core/model/names.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld, type Held } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const deleteGroup = (world: BrokerWorld, group = 'g') => world.ask((answer) => world.broker.deleteGroup(group, answer))

async function storedOf(world: BrokerWorld): Promise<number> {
  let count = 0
  for (const kind of [keyKinds.group, keyKinds.progress, keyKinds.broadcastPosition]) count += (await world.entries(kind)).length
  return count
}

describe('a deleted group', () => {
  it('is gone from the store on every topic, its members are told, and others stay', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    await world.publish('t', ['a', 'b'])
    await world.publish('u', ['c'])
    const members = [
      await world.join('t'), await world.join('u'),
      await world.join('t', { mode: 'BROADCASTING', positionKeeper: 'broker', consumerName: 'tab' }),
    ]
    const stranger = await world.join('t', { group: 'h', credit: 0 })
    expect(await deleteGroup(world)).toBeUndefined()
    await world.settle()
    for (const { revocations } of members) expect(revocations.map(({ code }) => code)).toEqual(['GROUP_NOT_FOUND'])
    expect(stranger.revocations).toEqual([])
    expect(await storedOf(world)).toBe(1 + 2)
    const { groups } = await world.must<{ groups: readonly object[] }>((answer) =>
      world.broker.listGroups({ after: '', containing: '', countMax: 10 }, answer))
    expect(groups).toMatchObject([{ group: 'h' }])
    expect(await world.ask((answer) => world.broker.describeGroup('g', answer))).toMatchObject({ code: 'GROUP_NOT_FOUND' })
    expect(world.broker.stats()).toMatchObject({ groupCount: 1, memberCount: 1, inFlightCount: 0 })
    await world.reopen()
    expect(await storedOf(world)).toBe(1 + 2)
  })

  it('takes no ack, retry, extension, receive, credit or position of its members any more', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a', 'b', 'c'])
    const member = await world.join('t')
    const reader = await world.join('t', { mode: 'BROADCASTING', positionKeeper: 'broker', consumerName: 'tab' })
    let isReceived = false
    const idle = await world.join('t', { credit: 0 })
    const receive = { attemptId: 0, messageCountMax: 1, leaseMs: 0, waitMs: 20_000 }
    idle.membership?.receive(receive, (outcome) => (isReceived = typeof outcome === 'object'))
    await deleteGroup(world)
    expect(isReceived).toBe(true)
    for (const outcome of [await world.ack(member, member.held), await world.retry(member, member.held, 'schedule')]) {
      expect(outcome.map(({ error }) => error.code)).toEqual(['RECEIPT_STALE', 'RECEIPT_STALE', 'RECEIPT_STALE'])
    }
    const ranges = member.held.map(({ range }) => range)
    expect(await world.must((answer) => member.membership?.extend(ranges, 5_000, answer))).toHaveLength(3)
    expect(
      await world.ask((answer) => member.membership?.receive(receive, answer)),
    ).toMatchObject({ code: 'SUBSCRIPTION_NOT_FOUND' })
    member.membership?.credit(100, 1 << 20)
    reader.membership?.credit(100, 1 << 20)
    reader.membership?.positions([{ queueId: 0, position: reader.deliveries[0]?.next as { epoch: number; offset: number } }])
    await world.must((answer) => member.membership?.leave(answer))
    reader.membership?.detach()
    await world.publish('t', ['d'])
    await world.advance(200_000)
    expect([member.bodies, reader.bodies]).toEqual([['a', 'b', 'c'], ['a', 'b', 'c']])
    expect(await storedOf(world)).toBe(0)
    expect(world.broker.stats()).toMatchObject({ memberCount: 0, inFlightCount: 0 })
  })

  it('writes nothing more of what was under way: retries, leases, dead letters that are being read', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, tailCacheBytesMax: 0 } })
    await world.configureGroup('g', { attemptCountMax: 2, retry: { kind: 'schedule', delaysMs: [1_000] } })
    await world.publish('t', ['retried', 'dead', 'leased'])
    const member = await world.join('t')
    await world.retry(member, member.held.splice(0, 2), 'schedule')
    await world.advance(1_000)
    const [, dead] = member.held.filter(({ attempt }) => attempt === 2) as [Held, Held]
    member.membership?.retry([dead.range], 'schedule', 0, () => {})
    let isDeleted = false
    world.broker.deleteGroup('g', () => (isDeleted = true))
    await world.advance(200_000)
    expect(isDeleted).toBe(true)
    expect(await storedOf(world)).toBe(0)
    expect(world.broker.counters.deadLetters).toBe(0)
    expect((await world.entries(keyKinds.topic)).length).toBe(1)
  })

  it('comes back fresh, with defaults and from where its first member wants', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.configureGroup('g', { attemptCountMax: 1 })
    await world.publish('t', ['a', 'b'])
    const member = await world.join('t')
    await world.retry(member, member.held.splice(0, 1), 'schedule')
    await world.ack(member, member.held.splice(0))
    await deleteGroup(world)
    const again = await world.join('t')
    expect(again.held.map(({ body, attempt }) => [body, attempt])).toEqual([['a', 1], ['b', 1]])
    expect((await world.describeGroup('g')).config.attemptCountMax).toBe(world.limits.attemptCountMax)
    const grave = await world.join(deadLetterTopicOf('g'), { group: 'graves' })
    expect(grave.bodies).toEqual(['a'])
    await world.reopen()
    await world.join('t', { member: again })
    expect(await world.ack(again, again.held)).toEqual([])
  })

  it('may be made again and used in the turn it was deleted in', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    await world.join('t')
    world.broker.deleteGroup('g', () => {})
    const again = await world.join('t')
    expect(again.bodies).toEqual(['a'])
    await world.ack(again, again.held)
    await world.reopen()
    expect((await world.join('t')).bodies).toEqual([])
    expect(await storedOf(world)).toBe(2)
  })

  it('that is not there is refused', async () => {
    const world = await BrokerWorld.open()
    expect(await deleteGroup(world, 'nobody')).toMatchObject({ code: 'GROUP_NOT_FOUND' })
    expect(await deleteGroup(world, 'not a name')).toMatchObject({ code: 'GROUP_NOT_FOUND' })
  })
})
