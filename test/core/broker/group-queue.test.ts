// What a group has out in a queue, at its bounds: thousands of messages at once, records that are gone, a wall clock that
// goes back, ranges that name nothing.

import { describe, expect, it } from 'vitest'
import type { StoreEntry } from '../../../core/ports/store.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld, type Held } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

async function createFifo(world: BrokerWorld): Promise<void> {
  await world.createTopic('t', { queueCount: 1, messageType: 'FIFO' })
}

describe('what a group has out in a queue', () => {
  it('that was retried together is stored in few bytes, and comes back in as few deliveries', async () => {
    const world = await BrokerWorld.open({ limits: one })
    for (let batch = 0; batch < 4; batch++) await world.publish('t', numbers(batch * 500, batch * 500 + 500))
    const member = await world.join('t')
    await world.retry(member, member.held, 'schedule')
    const [{ value }] = await world.entries(keyKinds.progress) as [StoreEntry]
    expect(value.length).toBeLessThan(100)
    await world.reopen()
    await world.join('t', { member })
    member.held.length = 0
    member.deliveries.length = 0
    await world.advance(11_000)
    expect(member.bodies).toEqual(numbers(0, 2_000))
    expect(member.held.every(({ attempt }) => attempt === 2)).toBe(true)
    expect(member.deliveries).toHaveLength(4)
  })

  it('makes way for what follows in a FIFO topic when retention has taken it', async () => {
    const limits = { ...one, tailCacheBytesMax: 0, retentionMsDefault: 10_000, retentionSweepMs: 1_000 }
    const world = await BrokerWorld.open({ limits })
    await createFifo(world)
    const inGroup = (body: string) => ({ body, messageGroup: 'm' })
    await world.publish('t', numbers(0, 300).map(inGroup))
    const member = await world.join('t')
    expect(member.bodies).toEqual(['0'])
    await world.advance(9_000)
    await world.publish('t', ['young'].map(inGroup))
    await world.advance(3_000)
    const before = world.broker.stats().counters.storeReads
    await world.ack(member, member.held)
    await world.settle()
    expect(member.bodies).toEqual(['0', 'young'])
    expect(world.broker.stats().counters.storeReads - before).toBeLessThan(5)
    await world.ack(member, member.held.slice(1))
    expect(world.broker.stats().backlog).toBe(0)
  })

  it('goes on in a FIFO topic when no more may be outstanding', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, outstandingPerQueueMax: 10 } })
    await createFifo(world)
    await world.publish('t', numbers(0, 40).map((body) => ({ body, messageGroup: Number(body) < 30 ? 'a' : 'b' })))
    const member = await world.join('t')
    const taken: string[] = []
    for (let held = member.held.splice(0); held.length > 0; held = member.held.splice(0)) {
      taken.push(...held.map(({ body }) => body))
      expect(world.broker.stats().backlog).toBe(40 - taken.length + held.length)
      await world.ack(member, held)
      await world.settle()
    }
    expect(taken.filter((body) => Number(body) < 30)).toEqual(numbers(0, 30))
    expect(taken.filter((body) => Number(body) >= 30)).toEqual(numbers(30, 40))
  })

  it('is leased no longer than it was given for when the wall clock went back over a restart', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t', { leaseMs: 60_000 })
    world.clock.jumpWall(-365 * 24 * 3_600_000)
    await world.reopen()
    await world.join('t', { member })
    member.held.length = 0
    await world.advance(60_000)
    expect(member.held.map(({ body, attempt }) => [body, attempt])).toEqual([['a', 2]])
  })

  it('is not touched by a range that names nothing of it', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    const [held] = member.held as [Held]
    const elsewhere = { ...held, range: { ...held.range, offset: 50, count: 2 ** 50 } }
    expect(await world.retry(member, [elsewhere], 'schedule')).toMatchObject([{ error: { code: 'RECEIPT_STALE' } }])
    expect(world.broker.stats().counters.retriedMessages).toBe(0)
    expect(await world.ack(member, [held])).toEqual([])
    expect(await world.ack(member, [held])).toEqual([])
  })
})
