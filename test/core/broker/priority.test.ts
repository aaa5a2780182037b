// PRIORITY topics: a group is given the highest priority first, whatever came first, retries too.

import { describe, expect, it } from 'vitest'
import { BrokerWorld, type Held, type TestMember } from './broker-world.ts'

const bodiesOf = (held: readonly Held[]) => held.map(({ body }) => body)
const taken = (member: TestMember): Held[] => member.held.splice(0)
const withPriority = (priority: number | undefined, body = `p${priority}`) => ({ body, priority })

async function priorityWorld(limits: Parameters<typeof BrokerWorld.open>[0] = {}): Promise<BrokerWorld> {
  const world = await BrokerWorld.open(limits)
  await world.createTopic('t', { messageType: 'PRIORITY' })
  return world
}

describe('a PRIORITY topic', () => {
  it('gives the highest first, and in the order they came within a priority', async () => {
    const world = await priorityWorld()
    for (const [priority, body] of [[0, 'a'], [9, 'b'], [4, 'c'], [9, 'd'], [undefined, 'e'], [4, 'f']] as const) {
      await world.publish('t', [withPriority(priority, body)])
    }
    const member = await world.join('t')
    expect(member.bodies).toEqual(['b', 'd', 'c', 'f', 'a', 'e'])
  })

  it('lets what is urgent overtake what waits, with every credit', async () => {
    const world = await priorityWorld()
    await world.publish('t', Array.from({ length: 10 }, (_, index) => withPriority(1, `low${index}`)))
    const member = await world.join('t', { credit: 2 })
    await world.publish('t', [withPriority(5, 'high'), withPriority(3, 'middle')])
    member.membership?.credit(3, 1 << 20)
    await world.settle()
    expect(member.bodies).toEqual(['low0', 'low1', 'high', 'middle', 'low2'])
  })

  it('gives a retry of a high one before fresh ones that are lower', async () => {
    const world = await priorityWorld()
    await world.publish(
      't', [withPriority(7, 'high'), ...Array.from({ length: 5 }, (_, index) => withPriority(2, `low${index}`))],
    )
    const member = await world.join('t', { credit: 1 })
    await world.retry(member, taken(member), 'after', 1_000)
    await world.advance(1_000)
    member.membership?.credit(2, 1 << 20)
    await world.settle()
    expect(bodiesOf(taken(member))).toEqual(['high', 'low0'])
  })

  it('holds back what is lower while the store is asked for what is higher', async () => {
    const world = await priorityWorld({ limits: { tailCacheBytesMax: 3_000 } })
    await world.publish('t', Array.from({ length: 20 }, (_, index) => withPriority(9, `${index}`.padEnd(200))))
    await world.publish('t', [withPriority(0, 'low')])
    const member = await world.join('t', { credit: 15 })
    member.membership?.credit(10, 1 << 20)
    await world.settle()
    expect(member.bodies.map((body) => body.trim())).toEqual([...Array.from({ length: 20 }, (_, index) => `${index}`), 'low'])
  })

  it('holds back what is lower behind a long stretch that the filter leaves out', async () => {
    const world = await priorityWorld()
    for (let count = 0; count < 300; count++) await world.publish('t', [{ ...withPriority(9, 'no'), tag: 'no' }])
    await world.publish('t', [{ ...withPriority(0, 'low'), tag: 'yes' }, { ...withPriority(9, 'high'), tag: 'yes' }])
    expect((await world.join('t', { filter: 'yes' })).bodies).toEqual(['high', 'low'])
  })

  it('shares each priority among the members', async () => {
    const world = await priorityWorld()
    await world.configureGroup('g', { isPaused: true })
    const members = [await world.join('t'), await world.join('t')] as const
    await world.publish('t', [0, 5, 9].flatMap((priority) => Array.from({ length: 100 }, () => withPriority(priority))))
    await world.configureGroup('g', { isPaused: false })
    await world.settle()
    for (const { bodies } of members) {
      expect(bodies).toEqual(bodies.toSorted().toReversed())
      for (const priority of [0, 5, 9]) expect(bodies.filter((body) => body === `p${priority}`)).toHaveLength(50)
    }
  })

  it('keeps within the bound on what is out, the highest first', async () => {
    const world = await priorityWorld()
    await world.configureGroup('g', { inFlightMax: 3 })
    await world.publish('t', [1, 9, 5, 9, 3].map((priority) => withPriority(priority)))
    const member = await world.join('t')
    expect(bodiesOf(member.held)).toEqual(['p9', 'p9', 'p5'])
    await world.ack(member, taken(member).slice(0, 1))
    await world.settle()
    expect(bodiesOf(member.held)).toEqual(['p3'])
  })

  it('maps priorities to as many queues as it has', async () => {
    const world = await BrokerWorld.open()
    await world.createTopic('t', { messageType: 'PRIORITY', queueCount: 2 })
    await world.publish('t', [0, 9, 1].map((priority) => withPriority(priority)))
    const member = await world.join('t')
    expect(bodiesOf(member.held)).toEqual(['p9', 'p1', 'p0'])
  })
})
