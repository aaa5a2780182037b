// Topics, groups, retention and queries, as an operator sees them.

import { describe, expect, it } from 'vitest'
import type { FoundMessage, QueryRequest } from '../../../core/broker/door.ts'
import { PocketError } from '../../../core/errors.ts'
import type { GroupDescription, GroupOptions, TopicDescription, TopicOptions } from '../../../core/protocol/frames.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { keyKinds, topicRange } from '../../../core/storage/keys.ts'
import { BrokerWorld, groupOptions, idBytes, TestMember, topicOptions } from './broker-world.ts'

const noneNamed = topicOptions({})
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

function query(world: BrokerWorld, request: Partial<QueryRequest>): Promise<readonly FoundMessage[] | PocketError> {
  return world.ask((answer) =>
    world.broker.query({
      topic: '', messageId: undefined, key: undefined, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, after: undefined,
      messageCountMax: 64, ...request,
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
    const create = (options: Partial<TopicOptions>) =>
      world.ask<TopicDescription>((answer) => world.broker.createTopic({ topic: 't', options: topicOptions(options) }, answer))
    const config = { queueCount: 8, messageType: 'NORMAL', retentionMs: 259_200_000 }
    expect(await create({})).toMatchObject({ topic: 't', config })
    expect(await create({})).toMatchObject({ topic: 't' })
    expect(await create({ queueCount: 2 })).toMatchObject({ code: 'TOPIC_EXISTS' })
    for (const queueCount of [0, 1025, 1.5]) {
      const refused = await world.ask((answer) =>
        world.broker.createTopic({ topic: 'u', options: { ...noneNamed, queueCount } }, answer)
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
      topic: 't', memberId: idBytes(5), filterKind: 'TAG', filter: '*', start, leaseMs: 0, positions: [],
      positionKeeper: 'client', consumerName: '', clientId: 'c', clientName: 't', peer: 'p',
    } as const
    const sink = new TestMember(idBytes(5), 't')
    const codes: string[] = []
    const note = (outcome: unknown) => codes.push(outcome instanceof PocketError ? outcome.code : 'done')
    world.broker.subscribe({ ...request, group: 'g', mode: 'CLUSTERING' }, sink, note)
    world.broker.subscribe({ ...request, group: 'h', mode: 'BROADCASTING' }, sink, note)
    const bounds = { messageCountMax: 10, byteCountMax: 1_000, waitMs: 5_000 }
    world.broker.pull({ topic: 't', queueId: 0, filterKind: 'TAG', filter: '*', start, ...bounds }, note)
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
    await world.createTopic('t', { queueCount: 1, retentionBytes: 10_000, retentionMs: 0 })
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
      world.broker.createTopic({ topic: 'f', options: { ...noneNamed, messageType: 'FIFO', queueCount: 4 } }, answer)
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

  it.each([['by time', undefined], ['by key', 'k']])('go on %s behind a message, also within a millisecond', async (_, key) => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 3 } })
    const startMs = world.clock.now()
    // Two moments, each with messages in every queue.
    for (const from of [0, 30]) {
      await Promise.all(numbers(from, from + 30).map((body) => world.publish('t', [{ body, keys: ['k'] }], 1 + Number(body))))
      await world.advance(1_000)
    }
    const bodies: string[] = []
    let after: QueryRequest['after']
    for (let count = -1; count !== 0;) {
      const found = await query(world, { topic: 't', key, fromMs: startMs, after, messageCountMax: 7 }) as FoundMessage[]
      count = found.length
      bodies.push(...bodiesOf(found))
      const last = found.at(-1)
      if (last === undefined) break
      const { storedMs, offset } = RecordBatch.view(last.record).messageAt(0, 't', last.queueId)
      after = { storedMs, queueId: last.queueId, offset }
    }
    expect(new Set(bodies).size).toBe(60)
    expect(bodies).toHaveLength(60)
    expect(new Set(bodies.slice(0, 30))).toEqual(new Set(numbers(0, 30)))
  })

  it('behind what is beyond all of it there is nothing, and before it everything', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    const nowMs = world.clock.now()
    await world.publish('t', [{ body: 'a', keys: ['k'] }, { body: 'b', keys: ['k'] }])
    const most = Number.MAX_SAFE_INTEGER
    for (const key of [undefined, 'k']) {
      const behind = async (storedMs: number, queueId: number, offset: number) =>
        bodiesOf(await query(world, { topic: 't', key, after: { storedMs, queueId, offset } }))
      expect(await behind(most, most, most)).toEqual([])
      expect(await behind(nowMs, most, 0)).toEqual([])
      expect(await behind(nowMs, 65_536, 0)).toEqual([])
      expect(await behind(nowMs, 1, most)).toEqual([])
      expect(await behind(nowMs - 1, most, most)).toEqual(['a', 'b'])
      expect(await behind(0, 0, 0)).toEqual(['a', 'b'])
    }
  })
})

const dayMs = 86_400_000
const schedule = (...delaysMs: number[]) => ({ kind: 'schedule', delaysMs }) as const
const exponential = { kind: 'exponential', firstMs: 1_000, factor: 2, maxMs: 8_000 } as const

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
    expect(groups).toEqual([{ group: 'g', memberCount: 1, backlog: 7, isPaused: false }])
    expect(await world.ask((answer) => world.broker.describeGroup('nobody', answer))).toMatchObject({ code: 'GROUP_NOT_FOUND' })
  })

  it('are listed page by page, however many there are and in whatever order they came', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', ['x'])
    const names = Array.from({ length: 5_000 }, (_, index) => `g-${String(index * 3_001 % 5_000).padStart(4, '0')}`)
    for (const group of names) {
      world.broker.configureGroup({ group, options: groupOptions({}) }, () => {})
    }
    for (const group of ['g-0001', 'g-0003', 'g-4999']) {
      await world.must((answer) =>
        world.broker.resetGroup({ group, topic: 't', queueId: undefined, to: { kind: 'earliest' } }, answer)
      )
    }
    const list = (after: string, containing: string, countMax: number) =>
      world.must<{ groups: readonly { group: string; backlog: number }[]; more: boolean }>((answer) =>
        world.broker.listGroups({ after, containing, countMax }, answer)
      )
    const listed: string[] = []
    for (let more = true; more;) {
      const page = await list(listed.at(-1) ?? '', '', 700)
      listed.push(...page.groups.map(({ group }) => group))
      more = page.more
    }
    expect(listed).toEqual(names.toSorted())
    // A page shorter and one longer than the list of groups with progress on the topic.
    expect((await list('', '', 2)).groups.map(({ backlog }) => backlog)).toEqual([0, 1])
    expect((await list('', '', 5)).groups.map(({ backlog }) => backlog)).toEqual([0, 1, 0, 1, 0])
    expect((await list('g-1000', '-499', 3)).groups.map(({ group }) => group)).toEqual(['g-4990', 'g-4991', 'g-4992'])
  })

  it.each([
    { attemptCountMax: 0 },
    { attemptCountMax: 2 ** 31 },
    { retry: schedule() },
    { retry: schedule(...Array.from({ length: 65 }, () => 1)) },
    { retry: schedule(41 * dayMs) },
    { retry: schedule(1.5) },
    { retry: { ...exponential, firstMs: 0 } },
    { retry: { ...exponential, maxMs: 999 } },
    { retry: { ...exponential, maxMs: 40 * dayMs + 1 } },
    { retry: { ...exponential, factor: 0 } },
    { retry: { ...exponential, factor: 101 } },
    { inFlightMax: 1_000_000_001 },
    { inFlightMax: Number.MAX_SAFE_INTEGER },
    { inFlightPerMemberMax: 1_000_000_001 },
  ] satisfies Partial<GroupOptions>[])('are not configured with %o', async (options) => {
    const world = await BrokerWorld.open()
    const outcome = await world.ask(
      (answer) => world.broker.configureGroup({ group: 'g', options: groupOptions(options) }, answer),
    )
    expect(outcome).toMatchObject({ code: 'BAD_ARGUMENT' })
    expect(await world.ask((answer) => world.broker.describeGroup('g', answer))).toMatchObject({ code: 'GROUP_NOT_FOUND' })
  })

  it('are configured with all that is allowed at its bounds, option by option, over a restart', async () => {
    const world = await BrokerWorld.open()
    const widest = {
      attemptCountMax: 2 ** 31 - 1,
      retry: { kind: 'exponential', firstMs: 40 * dayMs, factor: 100, maxMs: 40 * dayMs },
      exhausted: 'hold',
      isPaused: true,
      inFlightMax: 1_000_000_000,
      inFlightPerMemberMax: 1_000_000_000,
    } as const
    for (const [name, value] of Object.entries(widest)) await world.configureGroup('g', { [name]: value })
    await world.reopen()
    expect((await world.describeGroup('g')).config).toEqual(widest)
    const retry = schedule(...Array.from({ length: 64 }, () => 40 * dayMs))
    expect((await world.configureGroup('g', { retry, isPaused: false })).config).toEqual({ ...widest, retry, isPaused: false })
  })
})
