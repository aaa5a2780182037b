// BROADCASTING groups whose members keep their places themselves: each gets all, and the group is there while they are.

import { describe, expect, it } from 'vitest'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

describe('a BROADCASTING group', () => {
  const broadcasting = { mode: 'BROADCASTING' } as const

  it('gives every member every message, in order', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const members = [await world.join('t', broadcasting), await world.join('t', broadcasting)]
    await world.publish('t', numbers(0, 50))
    await world.publish('t', numbers(50, 60))
    for (const member of members) expect(member.bodies).toEqual(numbers(0, 60))
  })

  it('resumes by position, and announces what retention took away as a gap', async () => {
    const limits = { ...one, retentionSweepMs: 1_000, retentionMsDefault: 10_000 }
    const world = await BrokerWorld.open({ limits })
    const first = await world.join('t', broadcasting)
    await world.publish('t', ['0', '1'])
    const position = first.deliveries.at(-1)?.next
    if (position === undefined) throw new Error('nothing was delivered')
    await world.publish('t', ['2'])
    const positions = [{ queueId: 0, position }]
    expect((await world.join('t', { ...broadcasting, positions })).bodies).toEqual(['2'])
    await world.advance(12_000)
    await world.publish('t', ['3'])
    await world.advance(2_000)
    const late = await world.join('t', { ...broadcasting, positions })
    expect(late.bodies).toEqual(['3'])
    expect(late.gaps).toMatchObject([{ queueId: 0, expected: position, next: { epoch: position.epoch, offset: 3 } }])
    const stranger = await world.join('t', { ...broadcasting, positions: [{ queueId: 0, position: { epoch: 1, offset: 3 } }] })
    expect(stranger.gaps).toHaveLength(1)
  })

  it('filters', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const member = await world.join('t', { ...broadcasting, filter: 'a' })
    await world.publish('t', [{ body: '1', tag: 'a' }, { body: '2', tag: 'b' }, { body: '3' }, { body: '4', tag: 'a' }])
    expect(member.bodies).toEqual(['1', '4'])
  })

  it('is there for as long as it has members that keep their places themselves, and nothing of it is stored', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['0'])
    const stored = async () => (await world.entries(keyKinds.group)).length
    const describe = () => world.ask((answer) => world.broker.describeGroup('g', answer))
    const [first, second] = [await world.join('t', broadcasting), await world.join('t', broadcasting)]
    expect(await describe()).toMatchObject({ group: 'g' })
    first.membership?.detach()
    expect(await describe()).toMatchObject({ group: 'g' })
    await world.must((answer) => second.membership?.leave(answer))
    expect(await describe()).toMatchObject({ code: 'GROUP_NOT_FOUND' })
    expect(world.broker.stats().groupCount).toBe(0)
    const third = await world.join('t', broadcasting)
    await world.must((answer) => world.broker.deleteGroup('g', answer))
    expect(third.revocations).toMatchObject([{ code: 'GROUP_NOT_FOUND' }])
    expect(await describe()).toMatchObject({ code: 'GROUP_NOT_FOUND' })
    expect(await stored()).toBe(0)
  })

  it.each<[string, (world: BrokerWorld) => Promise<unknown>]>([
    ['was configured', (world) => world.configureGroup('g', { isPaused: true })],
    ['has CLUSTERING members too', (world) => world.join('t')],
    ['has a member whose place the broker keeps', (world) =>
      world.join('t', { ...broadcasting, positionKeeper: 'broker', consumerName: 'tab' })],
    ['was moved', (world) => world.must((answer) =>
      world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to: { kind: 'earliest' } }, answer))],
  ])('stays when it %s', async (_, use) => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['0'])
    const member = await world.join('t', broadcasting)
    await use(world)
    member.membership?.detach()
    await world.settle()
    expect(await world.entries(keyKinds.group)).toHaveLength(1)
    await world.reopen()
    expect(await world.ask((answer) => world.broker.describeGroup('g', answer))).toMatchObject({ group: 'g' })
  })

  it('counts among the groups that there may be', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, groupCountMax: 1 } })
    await world.publish('t', ['0'])
    const member = await world.join('t', broadcasting)
    await expect(world.join('t', { ...broadcasting, group: 'h' })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    member.membership?.detach()
    expect((await world.join('t', { ...broadcasting, group: 'h' })).bodies).toEqual(['0'])
  })
})
