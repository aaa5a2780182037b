// Topics, groups, retention and queries, as an operator sees them.

import { describe, expect, it } from 'vitest'
import type { FoundMessage, QueryRequest } from '../../../core/broker/door.ts'
import { PocketError } from '../../../core/errors.ts'
import type { GroupDescription, TopicDescription } from '../../../core/protocol/frames.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { keyKinds, topicRange } from '../../../core/storage/keys.ts'
import { BrokerWorld, idBytes, TestMember } from './broker-world.ts'

const none = { queueCount: undefined, messageType: undefined, retentionMs: undefined, retentionBytes: undefined }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

function query(world: BrokerWorld, request: Partial<QueryRequest>): Promise<readonly FoundMessage[] | PocketError> {
  return world.ask((answer) =>
    world.broker.query({
      topic: '', messageId: undefined, key: undefined, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, messageCountMax: 64, ...request,
    }, answer)
  )
}

function messagesOf(found: readonly FoundMessage[] | PocketError) {
  if (found instanceof PocketError) throw found
  return found.map(({ record, topic, queueId }) => RecordBatch.open(record).messageAt(0, topic, queueId))
}

const bodiesOf = (found: readonly FoundMessage[] | PocketError) =>
  messagesOf(found).map(({ body }) => new TextDecoder().decode(body))

describe('topics', () => {
  it('are created with defaults, and again without complaint unless they differ', async () => {
    const world = await BrokerWorld.open()
    const create = (options: Partial<typeof none> & object) =>
      world.ask<TopicDescription>((answer) => world.broker.createTopic({ topic: 't', options: { ...none, ...options } }, answer))
    const config = { queueCount: 8, messageType: 'NORMAL', retentionMs: 259_200_000 }
    expect(await create({})).toMatchObject({ topic: 't', config })
    expect(await create({})).toMatchObject({ topic: 't' })
    expect(await create({ queueCount: 2 as never })).toMatchObject({ code: 'TOPIC_EXISTS' })
    for (const queueCount of [0, 1025, 1.5]) {
      const refused = await world.ask((answer) =>
        world.broker.createTopic({ topic: 'u', options: { ...none, queueCount } }, answer)
      )
      expect(refused).toMatchObject({ code: 'BAD_ARGUMENT' })
    }
  })

  it('are listed page by page', async () => {
    const world = await BrokerWorld.open()
    for (const topic of ['c', 'a', 'b', 'ab']) await world.publish(topic, ['x'])
    const list = (after: string, containing: string, countMax: number) =>
      world.must<{ topics: readonly { topic: string }[]; more: boolean }>((answer) =>
        world.broker.listTopics({ after, containing, countMax }, answer)
      )
    const names = async (...page: Parameters<typeof list>) => (await list(...page)).topics.map(({ topic }) => topic)
    expect(await names('', '', 100)).toEqual(['a', 'ab', 'b', 'c'])
    expect(await names('', '', 2)).toEqual(['a', 'ab'])
    expect((await list('', '', 2)).more).toBe(true)
    expect(await names('ab', '', 2)).toEqual(['b', 'c'])
    expect(await names('', 'b', 100)).toEqual(['ab', 'b'])
  })

  it('are deleted with their data, their members are told, and their name begins anew', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', [{ body: 'a', keys: ['k'] }, { body: 'b' }])
    const member = await world.join('t')
    const reader = await world.join('t', { mode: 'BROADCASTING', group: 'b' })
    await world.must((answer) => world.broker.deleteTopic('t', answer))
    await world.settle()
    for (const { revocations } of [member, reader]) expect(revocations.map(({ code }) => code)).toEqual(['TOPIC_NOT_FOUND'])
    for (const kind of [keyKinds.record, keyKinds.queueState, keyKinds.progress, keyKinds.producer, keyKinds.keyIndex]) {
      let left = -1
      world.store.read(topicRange(kind, 1), (outcome) => (left = outcome.kind === 'entries' ? outcome.entries.length : -1))
      await world.settle()
      expect(left).toBe(0)
    }
    await world.publish('t', ['new'], 2)
    await world.reopen()
    expect((await world.join('t')).bodies).toEqual(['new'])
    expect(await world.ask((answer) => world.broker.deleteTopic('nobody', answer))).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
  })

  it('are gone for what was looking for its start in them', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax: 0 } })
    await world.publish('t', numbers(0, 10))
    const start = { kind: 'timestamp', timestampMs: 1 } as const
    const request = {
      topic: 't', memberId: idBytes(5), filter: '*', start, leaseMs: 0, positions: [], clientId: 'c', clientName: 't', peer: 'p',
    }
    const sink = new TestMember(idBytes(5), 't')
    const codes: string[] = []
    const note = (outcome: unknown) => codes.push(outcome instanceof PocketError ? outcome.code : 'done')
    world.broker.subscribe({ ...request, group: 'g', mode: 'CLUSTERING' }, sink, note)
    world.broker.subscribe({ ...request, group: 'h', mode: 'BROADCASTING' }, sink, note)
    const bounds = { messageCountMax: 10, byteCountMax: 1_000, waitMs: 5_000 }
    world.broker.pull({ topic: 't', queueId: 0, filter: '*', start, ...bounds }, note)
    world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to: start }, note)
    world.broker.deleteTopic('t', () => {})
    await world.advance(30_000)
    expect(codes).toEqual(Array.from({ length: 4 }, () => 'TOPIC_NOT_FOUND'))
    expect(await world.entries(keyKinds.progress)).toEqual([])
  })

  it('finish their deletion after a restart in the middle', async () => {
    const world = await BrokerWorld.open({ limits: { retentionSweepMs: 1_000 } })
    await world.publish('t', numbers(0, 10))
    let isDeleted = false
    world.broker.deleteTopic('t', () => (isDeleted = true))
    while (!isDeleted) {
      world.clock.runTurn()
      await Promise.resolve()
    }
    await world.reopen()
    await world.advance(2_000)
    let left = -1
    world.store.read(topicRange(keyKinds.record, 1), (outcome) => {
      if (outcome.kind === 'entries') left = outcome.entries.length
    })
    await world.settle()
    expect(left).toBe(0)
  })
})

describe('retention', () => {
  it('deletes records older than the topic’s time with their index entries, and moves the min offset', async () => {
    const world = await BrokerWorld.open({
      limits: { queueCountDefault: 1, retentionMsDefault: 10_000, retentionSweepMs: 1_000, tailCacheBytesMax: 0 },
    })
    const first = await world.publish('t', [{ body: 'old', keys: ['k'] }])
    await world.advance(5_000)
    await world.publish('t', [{ body: 'young', keys: ['k'] }])
    await world.publish('t', ['newest'])
    expect(bodiesOf(await query(world, { topic: 't', key: 'k' }))).toEqual(['old', 'young'])
    await world.advance(6_500)
    const { queues } = await world.must<TopicDescription>((answer) => world.broker.describeTopic('t', answer))
    expect(queues).toMatchObject([{ minOffset: (first.segments[0]?.offset ?? 0) + 1, maxOffset: 3 }])
    expect(bodiesOf(await query(world, { topic: 't', key: 'k' }))).toEqual(['young'])
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    const member = await world.join('t')
    expect(member.bodies).toEqual(['young', 'newest'])
  })

  it('keeps a topic within its size', async () => {
    const world = await BrokerWorld.open({ limits: { retentionSweepMs: 1_000 } })
    const options = { ...none, queueCount: 1 as never, retentionBytes: 10_000 as never, retentionMs: 0 as never }
    await world.must((answer) => world.broker.createTopic({ topic: 't', options }, answer))
    for (let count = 0; count < 100; count++) await world.publish('t', ['x'.repeat(1_000)])
    await world.advance(1_500)
    const { queues } = await world.must<TopicDescription>((answer) => world.broker.describeTopic('t', answer))
    expect(queues[0]?.storedBytes).toBeLessThanOrEqual(10_000)
    expect(queues[0]?.minOffset).toBeGreaterThan(85)
  })

  it('announces to a group what went before it was consumed', async () => {
    const world = await BrokerWorld.open({
      limits: { queueCountDefault: 1, retentionMsDefault: 10_000, retentionSweepMs: 1_000 },
    })
    await world.publish('t', ['never seen'])
    await world.must((answer) =>
      world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to: { kind: 'earliest' } }, answer)
    )
    await world.advance(12_000)
    await world.publish('t', ['seen'])
    await world.advance(1_500)
    const member = await world.join('t')
    expect(member.bodies).toEqual(['seen'])
    expect(member.gaps).toMatchObject([{ expected: { offset: 0 }, next: { offset: 1 } }])
  })
})

describe('queries', () => {
  it('find a message by its id, in a FIFO topic with split batches too, and over a restart', async () => {
    const world = await BrokerWorld.open()
    await world.must((answer) =>
      world.broker.createTopic({ topic: 'f', options: { ...none, messageType: 'FIFO' as never, queueCount: 4 as never } }, answer)
    )
    await world.publish('f', numbers(0, 50).map((body) => ({ body, messageGroup: `g${Number(body) % 7}` })))
    const member = await world.join('f')
    await world.reopen()
    for (const { message, body } of member.held) {
      expect(bodiesOf(await query(world, { messageId: message.messageId }))).toEqual([body])
      expect(messagesOf(await query(world, { topic: 'f', messageId: message.messageId }))).toMatchObject([
        { messageId: message.messageId, offset: message.offset, queueId: message.queueId },
      ])
    }
    expect(await query(world, { messageId: '0000000000000001-0-999' })).toEqual([])
    expect(await query(world, { messageId: 'nonsense' })).toMatchObject({ code: 'BAD_ARGUMENT' })
  })

  it('find messages by key within a time range, oldest first, at most so many', async () => {
    const world = await BrokerWorld.open()
    const times: number[] = []
    for (const body of numbers(0, 20)) {
      times.push(world.clock.now())
      await world.publish('t', [{ body, keys: ['all', `k${Number(body) % 2}`] }])
      await world.advance(1_000)
    }
    expect(bodiesOf(await query(world, { topic: 't', key: 'all' }))).toEqual(numbers(0, 20))
    expect(bodiesOf(await query(world, { topic: 't', key: 'k1' }))).toHaveLength(10)
    const range = { topic: 't', key: 'all', fromMs: times[5] as number, toMs: times[8] as number }
    expect(bodiesOf(await query(world, range))).toEqual(numbers(5, 8))
    expect(bodiesOf(await query(world, { topic: 't', key: 'all', messageCountMax: 3 }))).toEqual(numbers(0, 3))
    expect(bodiesOf(await query(world, { topic: 't', key: 'nobody' }))).toEqual([])
    expect(await query(world, { topic: 'nowhere', key: 'all' })).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
  })

  it('find all messages of a time range over all queues', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 3 } })
    const times: number[] = []
    for (const body of numbers(0, 30)) {
      times.push(world.clock.now())
      await world.publish('t', [body])
      await world.advance(1_000)
    }
    const range = { topic: 't', fromMs: times[10] as number, toMs: times[20] as number }
    expect(bodiesOf(await query(world, range))).toEqual(numbers(10, 20))
  })
})

describe('groups', () => {
  it('are configured, described and listed with their backlog', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t', { credit: 4 })
    await world.ack(member, member.held.slice(0, 3))
    const described = await world.must<GroupDescription>((answer) => world.broker.describeGroup('g', answer))
    expect(described).toMatchObject({
      config: { attemptCountMax: 17 },
      members: [{ topic: 't', mode: 'CLUSTERING', filter: '*', clientName: 'test', inFlight: 1 }],
      queues: [{ topic: 't', queueId: 0, ackFloor: 3, nextOffset: 4, maxOffset: 10, inFlight: 1, backlog: 7 }],
    })
    const { groups } = await world.must<{ groups: readonly object[] }>((answer) =>
      world.broker.listGroups({ after: '', containing: '', countMax: 10 }, answer)
    )
    expect(groups).toEqual([{ group: 'g', memberCount: 1, backlog: 7 }])
    expect(await world.ask((answer) => world.broker.describeGroup('nobody', answer))).toMatchObject({ code: 'GROUP_NOT_FOUND' })
  })

  it.each([
    { attemptCountMax: 0, retryScheduleMs: undefined },
    { attemptCountMax: 2 ** 31, retryScheduleMs: undefined },
    { attemptCountMax: undefined, retryScheduleMs: [] },
    { attemptCountMax: undefined, retryScheduleMs: [41 * 86_400_000] },
  ])('are not configured with %o', async (options) => {
    const world = await BrokerWorld.open()
    const outcome = await world.ask((answer) => world.broker.configureGroup({ group: 'g', options }, answer))
    expect(outcome).toMatchObject({ code: 'BAD_ARGUMENT' })
  })
})
