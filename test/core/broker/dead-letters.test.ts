// Messages whose attempts are over: each ends in one place, whatever happens on the way there.

import { describe, expect, it } from 'vitest'
import type { FoundMessage } from '../../../core/broker/door.ts'
import { deadLetterTopicOf } from '../../../core/model/names.ts'
import { BrokerWorld } from './broker-world.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))
const limits = { queueCountDefault: 1, attemptCountMax: 1 }

describe('dead letters', () => {
  it('have ids of their own, whichever group they are of, and are found by them', async () => {
    const world = await BrokerWorld.open({ limits })
    await world.publish('t', ['a'])
    for (const group of ['g1', 'g2']) {
      const member = await world.join('t', { group })
      await world.retry(member, member.held, 'schedule')
    }
    const messageIds = new Set<string>()
    for (const group of ['g1', 'g2']) {
      const topic = deadLetterTopicOf(group)
      const grave = await world.join(topic, { group: 'graves' })
      const messageId = grave.held[0]?.message.messageId as string
      messageIds.add(messageId)
      const range = { fromMs: 0, toMs: 0, after: undefined, messageCountMax: 10, key: undefined }
      const found = await world.must<readonly FoundMessage[]>((answer) =>
        world.broker.query({ topic: '', messageId, ...range }, answer))
      expect(found.map((message) => message.topic)).toEqual([topic])
    }
    expect(messageIds.size).toBe(2)
  })

  it('are not written of messages that a reset gave back before their record was read', async () => {
    const world = await BrokerWorld.open({ limits: { ...limits, tailCacheBytesMax: 0 } })
    await world.publish('t', ['a'])
    const member = await world.join('t', { credit: 1 })
    member.membership?.retry(member.held.map(({ range }) => range), 'schedule', 0, () => {})
    const to = { kind: 'earliest' } as const
    world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to }, () => {})
    // The reset comes before the store has answered.
    for (let spin = 0; spin < 20; spin++) await Promise.resolve()
    await world.settle()
    member.membership?.credit(1, 1 << 20)
    await world.settle()
    expect(member.held.map(({ body, attempt }) => [body, attempt])).toEqual([['a', 1], ['a', 1]])
    expect(world.broker.stats().counters.deadLetters).toBe(0)
    expect(world.broker.stats().inFlightCount).toBe(1)
  })

  it('wait where they are while there can be no topic for them, over a restart too', async () => {
    const world = await BrokerWorld.open({ limits: { ...limits, topicCountMax: 2 } })
    await world.publish('t', ['a', 'b'])
    await world.publish('other', ['x'])
    await world.join('t')
    await world.advance(world.limits.leaseMsDefault + 1_000)
    expect(world.broker.stats()).toMatchObject({ backlog: 2, inFlightCount: 0 })
    await world.reopen()
    await world.advance(1_000)
    expect(world.broker.stats()).toMatchObject({ backlog: 2, inFlightCount: 0 })
    await world.must((answer) => world.broker.deleteTopic('other', answer))
    await world.advance(61_000)
    expect(world.broker.stats().backlog).toBe(0)
    expect((await world.join(deadLetterTopicOf('g'), { group: 'graves' })).bodies).toEqual(['a', 'b'])
    expect(world.failures).toEqual([])
  })

  it('that end together are read together', async () => {
    const world = await BrokerWorld.open({ limits: { ...limits, tailCacheBytesMax: 0 } })
    for (let batch = 0; batch < 3; batch++) await world.publish('t', numbers(batch * 500, batch * 500 + 500))
    const member = await world.join('t')
    expect(member.held).toHaveLength(1_500)
    const before = world.broker.stats().counters.storeReads
    await world.advance(world.limits.leaseMsDefault + 1_000)
    expect(world.broker.stats().counters.deadLetters).toBe(1_500)
    expect(world.broker.stats().counters.storeReads - before).toBeLessThan(10)
  })
})
