// How fast a group works and how far it is behind, as operators are told.

import { describe, expect, it } from 'vitest'
import { RateMeter } from '../../../core/broker/rate-meter.ts'
import { BrokerWorld, idBytes } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

describe('a rate', () => {
  it('is what was counted, over the time since the first of it', () => {
    const meter = new RateMeter(5_000)
    expect(meter.perSecondThousandths(5_000)).toBe(0)
    meter.add(100, 5_000)
    expect(meter.perSecondThousandths(5_000)).toBe(100_000)
    expect(meter.perSecondThousandths(15_000)).toBe(10_000)
    meter.add(100, 15_000)
    expect(meter.perSecondThousandths(25_000)).toBe(10_000)
  })

  it('is that of about the last minute', () => {
    const meter = new RateMeter(0)
    for (let nowMs = 0; nowMs < 600_000; nowMs += 1_000) meter.add(nowMs < 300_000 ? 7 : 3, nowMs)
    expect(meter.perSecondThousandths(600_000)).toBeGreaterThan(2_900)
    expect(meter.perSecondThousandths(600_000)).toBeLessThan(3_100)
  })

  it('is nothing a minute after the last', () => {
    const meter = new RateMeter(0)
    meter.add(1_000, 12_345)
    expect(meter.perSecondThousandths(60_000)).toBeGreaterThan(0)
    expect(meter.perSecondThousandths(75_000)).toBe(0)
    expect(meter.perSecondThousandths(10 ** 12)).toBe(0)
    meter.add(60, 10 ** 12)
    expect(meter.perSecondThousandths(10 ** 12)).toBeGreaterThan(1_000)
  })
})

describe('a group', () => {
  it('tells how much it was delivered and acked a second, of all its topics and members', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const leaseMs = 3_600_000
    const member = await world.join('t', { leaseMs })
    const other = await world.join('u', { leaseMs })
    await world.join('t', { mode: 'BROADCASTING' })
    for (let second = 0; second < 60; second++) {
      await world.publish('t', numbers(0, 10))
      await world.publish('u', numbers(0, 4))
      for (const each of [member, other]) await world.ack(each, each.held.splice(0, 4))
      await world.advance(1_000)
    }
    const { deliveredPerSecond, ackedPerSecond } = (await world.describeGroup('g')).rate
    expect(deliveredPerSecond / 1000).toBeCloseTo(10 + 4 + 10, -1)
    expect(deliveredPerSecond / 1000).toBeGreaterThan(21)
    expect(ackedPerSecond / 1000).toBeGreaterThan(7)
    expect(ackedPerSecond / 1000).toBeLessThan(9.5)
    await world.advance(80_000)
    expect((await world.describeGroup('g')).rate).toEqual({ deliveredPerSecond: 0, ackedPerSecond: 0 })
  })

  it.each(
    [{ tailCacheBytesMax: 1 << 20 }, { tailCacheBytesMax: 0 }],
  )('tells when what it has not consumed began, with %o', async (limits) => {
    const world = await BrokerWorld.open({ limits: { ...one, ...limits } })
    const times: number[] = []
    for (const body of numbers(0, 4)) {
      times.push(world.clock.now())
      await world.publish('t', [body])
      await world.advance(1_000)
    }
    const oldest = async () => {
      // Where the store must be asked first, the second who asks is told.
      await world.describeGroup('g')
      await world.settle()
      return (await world.describeGroup('g')).queues[0]?.oldestStoredMs
    }
    const member = await world.join('t', { credit: 3 })
    expect(await oldest()).toBe(times[0])
    await world.ack(member, member.held.splice(1, 1))
    expect(await oldest()).toBe(times[0])
    await world.ack(member, member.held.splice(0, 1))
    expect(await oldest()).toBe(times[2])
    await world.retry(member, member.held.splice(0, 1), 'after', 60_000)
    expect(await oldest()).toBe(times[2])
    const last = await world.join('t')
    await world.ack(last, last.held)
    expect(await oldest()).toBe(times[2])
    await world.advance(60_000)
    expect([...world.broker.stats().groups()][0]?.oldestStoredMs).toBe(times[2])
    for (const each of [member, last]) await world.ack(each, each.held)
    expect(await oldest()).toBe(0)
    expect([...world.broker.stats().groups()][0]?.oldestStoredMs).toBeUndefined()
  })

  it('tells who its members are, what they want and hold', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a', 'b'])
    await world.join('t', {
      memberId: idBytes(1), clientId: 'till-7', clientName: 'the till', filterKind: 'SQL92', filter: 'a  IS NULL',
      peer: 'p'.repeat(1_000),
    })
    await world.join('t', {
      memberId: idBytes(2), clientId: 'tab-1', mode: 'BROADCASTING', positionKeeper: 'broker', consumerName: 'tab',
    })
    const { members } = await world.describeGroup('g')
    expect(members).toMatchObject([
      {
        memberId: idBytes(2), topic: 't', mode: 'BROADCASTING', filterKind: 'TAG', filter: '*', consumerName: 'tab',
        clientId: 'tab-1', inFlight: 0,
      },
      {
        memberId: idBytes(1), topic: 't', mode: 'CLUSTERING', filterKind: 'SQL92', filter: 'a  IS NULL', consumerName: '',
        clientId: 'till-7', clientName: 'the till', inFlight: 2,
      },
    ])
  })
})

describe('members of a group', () => {
  it('want the same filter of the same language, however it is written', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.join('t', { filterKind: 'SQL92', filter: 'a = 1' })
    await expect(world.join('t', { filterKind: 'SQL92', filter: '( a  = 1 )' })).resolves.toBeDefined()
    await expect(
      world.join('t', { filterKind: 'SQL92', filter: 'a = 2' }),
    ).rejects.toMatchObject({ code: 'SUBSCRIPTION_CONFLICT' })
    await world.join('u', { filter: 'TRUE' })
    await expect(world.join('u', { filterKind: 'SQL92', filter: 'TRUE' })).rejects.toMatchObject({
      code: 'SUBSCRIPTION_CONFLICT',
      message: "members of 'g' on 'u' are subscribed to 'TRUE', not to SQL92 'TRUE'; all members of a group take the same filter",
    })
  })
})
