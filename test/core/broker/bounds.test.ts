// What a hostile client asks for within a well-formed frame: numbers no clock, store or lease can hold. Each is refused
// with a code, and the broker goes on.

import { describe, expect, test } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { deadLetterTopicOf } from '../../../core/model/names.ts'
import type { Answer, FoundMessage } from '../../../core/broker/door.ts'
import { BrokerWorld, type TestMember } from './broker-world.ts'

const huge = Number.MAX_SAFE_INTEGER
const one = { queueCountDefault: 1 }

async function refusal(world: BrokerWorld, call: (answer: Answer<unknown>) => void): Promise<string> {
  const outcome = await world.ask<unknown>(call)
  return outcome instanceof PocketError ? outcome.code : 'none'
}

async function expectAlive(world: BrokerWorld, member: TestMember): Promise<void> {
  const { length } = member.held
  await world.publish('t', ['still here'])
  await world.advance(1_000)
  expect(member.held.length).toBeGreaterThan(length)
  expect(world.failures).toEqual([])
}

describe('a broker that is asked for', () => {
  test('a lease beyond its bounds refuses it and keeps the one there is', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    const ranges = member.held.map(({ range }) => range)
    for (const leaseMs of [huge, 0, world.limits.leaseMsMin - 1, world.limits.leaseMsMax + 1]) {
      expect(await refusal(world, (answer) => member.membership?.extend(ranges, leaseMs, answer as never)))
        .toBe('BAD_ARGUMENT')
    }
    expect(await world.must((answer) => member.membership?.extend(ranges, world.limits.leaseMsMax, answer))).toEqual([])
    await expectAlive(world, member)
  })

  test('a retry after the end of time refuses it', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    const ranges = member.held.map(({ range }) => range)
    for (const delayMs of [huge, fixedLimits.retryDelayMsMax + 1]) {
      expect(await refusal(world, (answer) => member.membership?.retry(ranges, 'after', delayMs, answer as never)))
        .toBe('BAD_ARGUMENT')
    }
    // The delay belongs to `after` alone.
    expect(await world.must((answer) => member.membership?.retry(ranges, 'release', huge, answer))).toEqual([])
    await expectAlive(world, member)
  })

  test('a receive of nothing, or under an endless lease, refuses it', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    const receive = (messageCountMax: number, leaseMs: number) =>
      refusal(world, (answer) =>
        member.membership?.receive({ attemptId: 0, messageCountMax, leaseMs, waitMs: huge }, answer as never))
    expect(await receive(0, 0)).toBe('BAD_ARGUMENT')
    expect(await receive(1, huge)).toBe('BAD_ARGUMENT')
    await expectAlive(world, member)
  })

  test('a range of all messages there can be settles those that are held', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a', 'b'])
    const member = await world.join('t')
    const { leaseId } = (member.held[0] as (typeof member.held)[number]).range
    const ranges = [
      { queueId: 0, leaseId, offset: 0, count: huge },
      { queueId: huge, leaseId, offset: huge, count: huge },
    ]
    const failures = await world.must<readonly { index: number; error: PocketError }[]>((answer) =>
      member.membership?.ack(ranges, answer))
    expect(failures.map(({ index, error }) => [index, error.code])).toEqual([[1, 'RECEIPT_STALE']])
    await expectAlive(world, member)
  })

  test('a dead letter of a message that was at every bound keeps all of it', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, attemptCountMax: 1 } })
    const { propertyCountMax, propertiesBytesMax } = fixedLimits
    const valueSize = Math.floor(propertiesBytesMax / propertyCountMax) - 4
    const properties = new Map<string, string>()
    for (let index = 100; index < 100 + propertyCountMax; index++) properties.set(`p${index}`, 'v'.repeat(valueSize))
    await world.publish('t', [{ body: 'full', properties }])
    const member = await world.join('t')
    await world.retry(member, member.held, 'schedule')
    const grave = await world.join(deadLetterTopicOf('g'), { group: 'graves' })
    expect(grave.bodies).toEqual(['full'])
    expect(grave.held[0]?.message.properties?.size).toBeGreaterThan(propertyCountMax)
    for (const [name, value] of properties) expect(grave.held[0]?.message.properties?.get(name)).toBe(value)
    await expectAlive(world, member)
  })

  test('more messages than a frame holds answers with as many as fit', async () => {
    const limits = { ...one, bodyBytesMax: 10_000, frameBytesMax: 100_000, transactionBytesMax: 10_000 }
    const world = await BrokerWorld.open({ limits })
    for (let count = 0; count < 30; count++) await world.publish('t', [{ body: 'x'.repeat(10_000), keys: ['k'] }])
    const range = { fromMs: 0, toMs: huge, after: undefined, messageCountMax: 256, messageId: undefined }
    for (const key of ['k', undefined]) {
      const found = await world.must<readonly FoundMessage[]>((answer) =>
        world.broker.query({ topic: 't', key, ...range }, answer))
      const size = found.reduce((sum, { record }) => sum + record.length, 0)
      expect(found.length).toBeGreaterThan(3)
      expect(size).toBeLessThan(limits.frameBytesMax)
    }
    const few = await world.must<readonly FoundMessage[]>((answer) =>
      world.broker.query({ topic: 't', key: 'k', ...range, messageCountMax: 2 }, answer))
    expect(few).toHaveLength(2)
  })
})
