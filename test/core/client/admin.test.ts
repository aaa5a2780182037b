// The admin calls as they go over the wire; what they do is the broker's to show (administration.integration.test.ts).

import { describe, expect, test } from 'vitest'
import type { Admin, Message, StoredPlace } from '../../../core/client/api.ts'
import type { ErrorCode } from '../../../core/errors.ts'
import { formatRecallHandle, parseRecallHandle } from '../../../core/model/message.ts'
import type { UpstreamName } from '../../../core/protocol/frames.ts'
import type { Script, ScriptedLine } from '../../support/scripted-relay.ts'
import { recordOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

const config = {
  queueCount: 2, messageType: 'FIFO', retentionMs: 5, retentionBytes: 6, cleanupPolicy: 'DELETE', ttlMs: 7,
  tracePermille: 125, durability: 'relaxed',
} as const
/** The same in the words of the application. */
const info = {
  queueCount: 2, messageType: 'FIFO', retentionMs: 5, retentionBytes: 6, cleanupPolicy: 'DELETE', ttlMs: 7, trace: 0.125,
  durability: 'relaxed',
} as const
const queues = [{ queueId: 0, epoch: 3, minOffset: 1, maxOffset: 9, storedBytes: 100 }]
const found = recordOf(['found'], { baseOffset: 4 })
const groupConfig = {
  attemptCountMax: 3, retry: { kind: 'schedule', delaysMs: [1_000] }, exhausted: 'hold', isPaused: true, inFlightMax: 8,
  inFlightPerMemberMax: 4,
} as const
const rate = { deliveredPerSecond: 1_500, ackedPerSecond: 250 }

const sendTopic = ({ requestId, topic }: { requestId: number; topic: string }, line: ScriptedLine) =>
  line.send('TOPIC', { requestId, topic, config, delayedCount: 3, queues, groups: ['g'] })
const sendGroup = ({ requestId, group }: { requestId: number; group: string }, line: ScriptedLine) =>
  line.send('GROUP', { requestId, group, config: groupConfig, rate, members: [], queues: [] })
const sendDone = ({ requestId }: { requestId: number }, line: ScriptedLine) => line.send('DONE', { requestId, failures: [] })

const answering: Script = {
  CREATE_TOPIC: sendTopic,
  CONFIGURE_TOPIC: sendTopic,
  DESCRIBE_TOPIC: sendTopic,
  DELETE_TOPIC: sendDone,
  DELETE_GROUP: sendDone,
  CONFIGURE_GROUP: sendGroup,
  RESET_GROUP: sendGroup,
  SETTLE_HELD: sendGroup,
  QUERY: ({ requestId }, line) =>
    line.send('MESSAGES', { requestId, messages: [{ topic: 'orders', queueId: 1, record: found }] }),
}

async function administering(script: Script = {}): Promise<{ world: ScriptedWorld; admin: Admin }> {
  const world = await ScriptedWorld.connected({ ...answering, ...script })
  return { world, admin: world.client.admin }
}

/** The last frame of a name, without its request id. */
function lastOf<N extends UpstreamName>(world: ScriptedWorld, name: N): object {
  const frame = world.relay.line.heard(name).at(-1) as object | undefined
  const { requestId: _, name: _n, ...fields } = frame as { requestId: number; name: N }
  return fields
}

describe('topics', () => {
  test('are created with what is named, in milliseconds and thousandths', async () => {
    const { world, admin } = await administering()
    const settings = { queueCount: 2, messageType: 'FIFO', retention: '2h' } as const
    const detail = await world.until(admin.createTopic('orders', settings))
    const nothing = {
      retentionBytes: undefined, cleanupPolicy: undefined, ttlMs: undefined, tracePermille: undefined, durability: undefined,
    }
    expect(lastOf(world, 'CREATE_TOPIC')).toEqual({
      topic: 'orders', options: { ...nothing, queueCount: 2, messageType: 'FIFO', retentionMs: 7_200_000 },
    })
    expect(detail).toEqual({ topic: 'orders', ...info, queues, delayedCount: 3, groups: ['g'] })
    expect(await world.until(admin.describeTopic('orders'))).toEqual(detail)
    await world.until(admin.createTopic('orders', { cleanupPolicy: 'COMPACT', ttl: '1d', trace: 0.0625, retentionBytes: 9 }))
    expect(lastOf(world, 'CREATE_TOPIC')).toMatchObject({
      options: { cleanupPolicy: 'COMPACT', ttlMs: 86_400_000, tracePermille: 63, retentionBytes: 9 },
    })
  })

  test.each([
    [0, 0], [1, 1000], [0.0004, 0], [0.9999, 1000],
  ])('are changed: trace %d is %d of a thousand', async (trace, permille) => {
    const { world, admin } = await administering()
    expect(await world.until(admin.configureTopic('orders', { trace }))).toMatchObject(info)
    expect(lastOf(world, 'CONFIGURE_TOPIC')).toMatchObject({ topic: 'orders', options: { tracePermille: permille } })
  })

  test.each(['strict', 'relaxed'] as const)('are made, and changed to be, %s', async (durability) => {
    const { world, admin } = await administering()
    await world.until(admin.createTopic('orders', { durability }))
    expect(lastOf(world, 'CREATE_TOPIC')).toMatchObject({ options: { durability } })
    await world.until(admin.configureTopic('orders', { durability }))
    expect(lastOf(world, 'CONFIGURE_TOPIC')).toMatchObject({ options: { durability } })
  })

  test('are refused with BAD_ARGUMENT where their durability is no word of it, and nothing is sent', async () => {
    const { world, admin } = await administering()
    const settings = { durability: 'lazy' as 'relaxed' }
    await expect(admin.createTopic('orders', settings)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    await expect(admin.configureTopic('orders', settings)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    expect(world.relay.line.heard('CREATE_TOPIC')).toHaveLength(0)
    expect(world.relay.line.heard('CONFIGURE_TOPIC')).toHaveLength(0)
  })

  test('are listed over as many pages as there are', async () => {
    const summary = (topic: string) => ({ topic, config, messageCount: 7, delayedCount: 1 })
    const { world, admin } = await administering({
      LIST_TOPICS: ({ requestId, after }, line) => {
        const topics = [summary(`${after}a`), summary(`${after}b`)]
        line.send('TOPICS', { requestId, topics, more: after.length < 2 })
      },
    })
    const topics = await world.until(admin.listTopics({ containing: 'x' }))
    expect(topics.map(({ topic }) => topic)).toEqual(['a', 'b', 'ba', 'bb', 'bba', 'bbb'])
    expect(topics[0]).toEqual({ topic: 'a', ...info, messageCount: 7, delayedCount: 1 })
    expect(lastOf(world, 'LIST_TOPICS')).toMatchObject({ after: 'bb', containing: 'x' })
  })

  test('deleted while the connection breaks are not deleted twice', async () => {
    const { world, admin } = await administering({ DELETE_TOPIC() {} })
    const deleted = watch(admin.deleteTopic('orders'))
    await world.settle()
    world.network.cut()
    await world.pass(1_000)
    expect(deleted.outcome).toBe('CONNECTION_LOST')
    expect(world.relay.line.heard('DELETE_TOPIC')).toEqual([])
  })
})

describe('groups', () => {
  test('are configured with what is named', async () => {
    const { world, admin } = await administering()
    const detail = await world.until(admin.configureGroup('till', { maxAttempts: 3, retry: ['1s', 500] }))
    expect(lastOf(world, 'CONFIGURE_GROUP')).toEqual({
      group: 'till',
      options: {
        attemptCountMax: 3, retry: { kind: 'schedule', delaysMs: [1_000, 500] }, exhausted: undefined, isPaused: undefined,
        inFlightMax: undefined, inFlightPerMemberMax: undefined,
      },
    })
    expect(detail).toEqual({
      group: 'till', maxAttempts: 3, retry: groupConfig.retry, exhausted: 'hold', paused: true, maxInFlight: 8,
      maxInFlightPerMember: 4, deliveredPerSecond: 1.5, ackedPerSecond: 0.25, members: [], queues: [],
    })
    const all = { exhausted: 'dead-letter', paused: false, maxInFlight: 0, maxInFlightPerMember: 7 } as const
    await world.until(admin.configureGroup('till', all))
    expect(lastOf(world, 'CONFIGURE_GROUP')).toMatchObject({
      options: { exhausted: 'dead-letter', isPaused: false, inFlightMax: 0, inFlightPerMemberMax: 7, retry: undefined },
    })
  })

  test.each([
    [{ first: '5s', max: '2h' }, { firstMs: 5_000, factor: 2, maxMs: 7_200_000 }],
    [{ first: 1, factor: 10, max: 100 }, { firstMs: 1, factor: 10, maxMs: 100 }],
  ] as const)('retry by %j', async (retry, policy) => {
    const { world, admin } = await administering()
    await world.until(admin.configureGroup('till', { retry }))
    expect(lastOf(world, 'CONFIGURE_GROUP')).toMatchObject({ options: { retry: { kind: 'exponential', ...policy } } })
  })

  test('have what they hold settled, and are deleted, once', async () => {
    const { world, admin } = await administering()
    expect(await world.until(admin.settleHeld('till', 'orders', 'retry'))).toMatchObject({ group: 'till', paused: true })
    expect(lastOf(world, 'SETTLE_HELD')).toEqual({ group: 'till', topic: 'orders', how: 'retry' })
    world.relay.script = {}
    const calls = [watch(admin.settleHeld('till', 'orders', 'dead-letter')), watch(admin.deleteGroup('till'))]
    await world.settle()
    world.network.cut()
    await world.pass(1_000)
    expect(calls.map(({ outcome }) => outcome)).toEqual(['CONNECTION_LOST', 'CONNECTION_LOST'])
    expect(world.relay.line.frames.map(({ name }) => name)).toEqual(['HELLO'])
  })

  test('are listed over as many pages as there are', async () => {
    const { world, admin } = await administering({
      LIST_GROUPS: ({ requestId, after }, line) => {
        const groups = [{ group: `${after}g`, memberCount: 1, backlog: 2, isPaused: true }]
        line.send('GROUPS', { requestId, groups, more: after.length < 2 })
      },
    })
    const groups = await world.until(admin.listGroups())
    expect(groups.map(({ group }) => group)).toEqual(['g', 'gg', 'ggg'])
    expect(groups[0]).toEqual({ group: 'g', memberCount: 1, backlog: 2, paused: true })
  })

  test('are described with their members by readable ids', async () => {
    const member = {
      memberId: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 255), topic: 'orders', mode: 'CLUSTERING', filterKind: 'SQL92',
      filter: 'a > 1', consumerName: '', clientId: 'c', clientName: 'n', peer: 'p', inFlight: 1,
    } as const
    const { world, admin } = await administering({
      DESCRIBE_GROUP: ({ requestId, group }, line) =>
        line.send('GROUP', { requestId, group, config: groupConfig, rate, members: [member], queues: [] }),
    })
    const { members } = await world.until(admin.describeGroup('till'))
    expect(members).toEqual([{ ...member, memberId: '00010203040506ff' }])
  })

  test.each([
    ['earliest', { kind: 'earliest' }],
    [new Date(5_000), { kind: 'timestamp', timestampMs: 5_000 }],
    [{ timestampMs: 6 }, { kind: 'timestamp', timestampMs: 6 }],
    [{ offset: 4 }, { kind: 'position', position: { epoch: 3, offset: 4 } }],
  ] as const)('are reset to %j', async (to, start) => {
    const { world, admin } = await administering()
    await world.until(admin.resetGroup('till', 'orders', { to, queueId: 0 }))
    expect(lastOf(world, 'RESET_GROUP')).toEqual({ group: 'till', topic: 'orders', queueId: 0, to: start })
  })

  test('are reset to an offset only where there is such a queue', async () => {
    const { world, admin } = await administering()
    const reset = (options: { to: { offset: number }; queueId?: number }) =>
      world.until(admin.resetGroup('till', 'orders', options))
    await expect(reset({ to: { offset: 4 } })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    await expect(reset({ to: { offset: 4 }, queueId: 9 })).rejects.toMatchObject({ code: 'QUEUE_NOT_FOUND' })
  })
})

describe('messages', () => {
  test('are found by id, key and time', async () => {
    const { world, admin } = await administering()
    const id = '0102030405060708-3-10'
    const message = await world.until(admin.findById(id))
    expect(message).toMatchObject({ topic: 'orders', queueId: 1, offset: 4, messageId: id, attempt: 0 })
    expect(new TextDecoder().decode(message?.value)).toBe('found')
    expect(lastOf(world, 'QUERY')).toMatchObject({ topic: '', messageId: id, key: undefined })
    await world.until(admin.findByKey('orders', 'k', { from: new Date(1), to: new Date(2), max: 3 }))
    expect(lastOf(world, 'QUERY')).toEqual({
      topic: 'orders', messageId: undefined, key: 'k', fromMs: 1, toMs: 2, after: undefined, messageCountMax: 3,
    })
    await world.until(admin.findByTime('orders', { from: new Date(7) }))
    expect(lastOf(world, 'QUERY')).toMatchObject({
      key: undefined, fromMs: 7, toMs: Number.MAX_SAFE_INTEGER, after: undefined, messageCountMax: 64,
    })
    const { storedMs = 0, queueId = 0, offset = 0 } = message ?? {}
    await world.until(admin.findByTime('orders', { from: new Date(7), after: message as Message<Uint8Array> }))
    expect(lastOf(world, 'QUERY')).toMatchObject({ fromMs: 7, after: { storedMs, queueId, offset } })
  })

  test('that are not there are undefined', async () => {
    const { world, admin } = await administering({
      QUERY: ({ requestId }, line) => line.refuse(requestId, 'MESSAGE_NOT_FOUND'),
    })
    expect(await world.until(admin.findById('0102030405060708-3-10'))).toBeUndefined()
    world.relay.script = { QUERY: ({ requestId }, line) => line.send('MESSAGES', { requestId, messages: [] }) }
    expect(await world.until(admin.findById('0102030405060708-3-10'))).toBeUndefined()
  })
})

describe('dead letters', () => {
  const letters = (count: number, baseOffset: number, storedMs: number) =>
    recordOf(Array.from({ length: count }, (_, index) => `${baseOffset + index}`), { baseOffset, storedMs })

  /** Two queues of five letters each, handed out two at a time at most, stored in turns. */
  const dead: Script = {
    DESCRIBE_TOPIC: ({ requestId, topic }, line) =>
      line.send('TOPIC', {
        requestId, topic, config, delayedCount: 0, groups: [],
        queues: [0, 1].map((queueId) => ({ queueId, epoch: 1, minOffset: 0, maxOffset: 5, storedBytes: 1 })),
      }),
    PULL: ({ requestId, queueId, start, messageCountMax }, line) => {
      const from = start.kind === 'position' ? start.position.offset : 0
      const count = Math.min(2, messageCountMax, 5 - from)
      const records = count > 0 ? [letters(count, from, from * 10 + queueId)] : []
      const next = { epoch: 1, offset: from + count }
      line.send('PULLED', { requestId, from: { epoch: 1, offset: from }, next, minOffset: 0, maxOffset: 5, records })
    },
  }
  const bodies = (messages: readonly Message<Uint8Array>[]) =>
    messages.map(({ queueId, value }) => `${queueId}.${new TextDecoder().decode(value)}`)

  test('are read from all queues, oldest first, as many as asked for', async () => {
    const { world, admin } = await administering(dead)
    expect(bodies(await world.until(admin.deadLetters('till')))).toEqual(
      ['0.0', '0.1', '1.0', '1.1', '0.2', '0.3', '1.2', '1.3', '0.4', '1.4'],
    )
    expect(world.relay.line.heard('PULL')[0]).toMatchObject({ topic: '%DLQ%till', start: { kind: 'earliest' }, waitMs: 0 })
    expect(bodies(await world.until(admin.deadLetters('till', { max: 3 })))).toEqual(['0.0', '0.1', '1.0'])
  })

  test('are none where the group never had one, and other failures are told', async () => {
    const refusing = (code: ErrorCode): Script => ({ DESCRIBE_TOPIC: ({ requestId }, line) => line.refuse(requestId, code) })
    const { world, admin } = await administering(refusing('TOPIC_NOT_FOUND'))
    expect(await world.until(admin.deadLetters('till'))).toEqual([])
    world.relay.script = refusing('FORBIDDEN')
    await expect(world.until(admin.deadLetters('till'))).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })

  const moving = (left: number): Script => {
    const move = ({ requestId, messageIds }: { requestId: number; messageIds: readonly string[] }, line: ScriptedLine) => {
      const messageCount = Math.min(left, messageIds.length > 0 ? messageIds.length : 4)
      left -= messageCount
      line.send('DEAD_LETTERS', { requestId, messageCount, more: messageIds.length === 0 && left > 0 })
    }
    return { RESEND_DEAD_LETTERS: move, PURGE_DEAD_LETTERS: move }
  }

  test.each([
    ['resendDeadLetters', 'RESEND_DEAD_LETTERS'], ['purgeDeadLetters', 'PURGE_DEAD_LETTERS'],
  ] as const)('%s goes on until none is left', async (call, name) => {
    const { world, admin } = await administering(moving(10))
    expect(await world.until(admin[call]('till'))).toBe(10)
    expect(world.relay.line.heard(name).map(({ messageIds }) => messageIds)).toEqual([[], [], []])
  })

  test.each([
    ['resendDeadLetters', 'RESEND_DEAD_LETTERS'], ['purgeDeadLetters', 'PURGE_DEAD_LETTERS'],
  ] as const)('%s names them in as many requests as it takes, and none is not all', async (call, name) => {
    const { world, admin } = await administering(moving(5_000))
    const messageIds = Array.from({ length: 2_001 }, (_, index) => `0102030405060708-0-${index}`)
    expect(await world.until(admin[call]('till', { messageIds }))).toBe(2_001)
    expect(world.relay.line.heard(name).map((frame) => frame.messageIds.length)).toEqual([1_000, 1_000, 1])
    expect(await world.until(admin[call]('till', { messageIds: [] }))).toBe(0)
    expect(world.relay.line.heard(name)).toHaveLength(3)
  })

  test('are not moved a second time when the connection breaks', async () => {
    const { world, admin } = await administering({ RESEND_DEAD_LETTERS() {} })
    const resent = watch(admin.resendDeadLetters('till'))
    await world.settle()
    world.network.cut()
    await world.pass(1_000)
    expect(resent.outcome).toBe('CONNECTION_LOST')
  })

  test('of a relay that says more and moves nothing are no endless loop', async () => {
    const { world, admin } = await administering({
      PURGE_DEAD_LETTERS: ({ requestId }, line) => line.send('DEAD_LETTERS', { requestId, messageCount: 0, more: true }),
    })
    expect(await world.until(admin.purgeDeadLetters('till'))).toBe(0)
  })
})

describe('delayed messages', () => {
  const handle = (index: number) => formatRecallHandle(index, `0102030405060708-0-${index}`)
  const listing: Script = {
    LIST_DELAYED: ({ requestId, after, countMax }, line) => {
      const first = after === '' ? 1 : parseRecallHandle(after).deliverMs + 1
      const messages = Array.from({ length: Math.min(countMax, 3, 9 - first) }, (_, index) => ({
        recallHandle: handle(first + index), topic: 'orders', deliverMs: first + index, record: recordOf([`${first + index}`]),
      }))
      line.send('DELAYED', { requestId, messages, more: first + messages.length < 9 })
    },
  }

  test('are listed over as many pages as there are, up to a number', async () => {
    const { world, admin } = await administering(listing)
    const all = await world.until(admin.listDelayed())
    expect(all.map(({ deliverMs }) => deliverMs)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(all[1]).toMatchObject({ recallHandle: handle(2), topic: 'orders', message: { topic: 'orders', attempt: 0 } })
    expect(new TextDecoder().decode(all[1]?.message.value)).toBe('2')
    const some = await world.until(admin.listDelayed({ topic: 'orders', after: handle(2), max: 4 }))
    expect(some.map(({ deliverMs }) => deliverMs)).toEqual([3, 4, 5, 6])
    expect(lastOf(world, 'LIST_DELAYED')).toEqual({ topic: 'orders', after: handle(5), countMax: 1 })
  })

  test('are taken back, once', async () => {
    const { world, admin } = await administering({
      RECALL: ({ requestId, recallHandle }, line) => line.send('RECALLED', { requestId, messageId: recallHandle.slice(2) }),
    })
    await world.until(admin.recall('orders', handle(5)))
    expect(lastOf(world, 'RECALL')).toEqual({ topic: 'orders', recallHandle: handle(5) })
    await world.until(world.client.topic('bills').recall(handle(6)))
    expect(lastOf(world, 'RECALL')).toEqual({ topic: 'bills', recallHandle: handle(6) })
    world.relay.script = {}
    const recalled = watch(world.client.topic('bills').recall(handle(6)))
    await world.settle()
    world.network.cut()
    await world.pass(1_000)
    expect(recalled.outcome).toBe('CONNECTION_LOST')
  })
})

test('transactions are listed over as many pages as there are, by readable ids', async () => {
  const { world, admin } = await administering({
    LIST_TRANSACTIONS: ({ requestId, after, countMax }, line) => {
      const first = after === undefined ? 1 : (after[7] as number) + 1
      const transactions = Array.from({ length: Math.min(countMax, 3, 9 - first) }, (_, index) => ({
        transactionId: Uint8Array.of(0, 0, 0, 0, 0, 0, 0xab, first + index), producerGroup: 'shop', preparedMs: 5,
        checkCount: 1, messageCount: 2, byteCount: 3, topics: ['orders'],
      }))
      line.send('TRANSACTIONS', { requestId, transactions, more: first + transactions.length < 9 })
    },
  })
  const all = await world.until(admin.listTransactions())
  expect(all.map(({ transactionId }) => transactionId)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((id) => `000000000000ab0${id}`))
  expect(all[0]).toEqual({
    transactionId: '000000000000ab01', producerGroup: 'shop', preparedMs: 5, checkCount: 1, messageCount: 2, byteCount: 3,
    topics: ['orders'],
  })
  expect(await world.until(admin.listTransactions({ producerGroup: 'shop', max: 4 }))).toHaveLength(4)
  expect(lastOf(world, 'LIST_TRANSACTIONS')).toMatchObject({ producerGroup: 'shop', countMax: 1 })
})

test('timelines are found by id, or by key and time', async () => {
  const timeline = {
    topic: 'orders', queueId: 1, offset: 2, messageId: '0102030405060708-0-1', storedMs: 1, traceparent: '',
    isTraced: true,
    events: [{ kind: 'stored', atMs: 1, costMs: 2, group: '', clientId: '', attempt: 0, delayMs: 0 }],
  } as const
  const { world, admin } = await administering({
    QUERY_TRACE: ({ requestId }, line) => line.send('TRACE', { requestId, timelines: [timeline] }),
  })
  expect(await world.until(admin.trace({ messageId: timeline.messageId }))).toEqual([timeline])
  expect(lastOf(world, 'QUERY_TRACE')).toMatchObject({ topic: '', messageId: timeline.messageId, key: undefined })
  await world.until(admin.trace({ topic: 'orders', key: 'k', from: new Date(1), to: new Date(2), max: 3 }))
  expect(lastOf(world, 'QUERY_TRACE')).toEqual({
    topic: 'orders', messageId: undefined, key: 'k', fromMs: 1, toMs: 2, after: undefined, messageCountMax: 3,
  })
  await world.until(admin.trace({ topic: 'orders', key: 'k', after: timeline }))
  expect(lastOf(world, 'QUERY_TRACE')).toMatchObject({ after: { storedMs: 1, queueId: 1, offset: 2 } })
})

const anId = '0102030405060708-0-1'

test.each([
  ['createTopic', (admin: Admin) => admin.createTopic('a b'), 'BAD_NAME'],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { retention: 'x' as '1s' }), 'BAD_ARGUMENT'],
  ['deleteTopic', (admin: Admin) => admin.deleteTopic(''), 'BAD_NAME'],
  ['describeGroup', (admin: Admin) => admin.describeGroup('ü'), 'BAD_NAME'],
  ['findById', (admin: Admin) => admin.findById('no id'), 'BAD_ARGUMENT'],
  ['findByKey', (admin: Admin) => admin.findByKey('orders', ''), 'BAD_NAME'],
  ['findByTime', (admin: Admin) => admin.findByTime('orders', { from: new Date(Number.NaN) }), 'BAD_ARGUMENT'],
  ['findByTime', (admin: Admin) => admin.findByTime('orders', { from: new Date(0), max: 257 }), 'BAD_ARGUMENT'],
  ['findByKey', (admin: Admin) => admin.findByKey('orders', 'k', { after: {} as StoredPlace }), 'BAD_ARGUMENT'],
  [
    'findByKey', (admin: Admin) => admin.findByKey('orders', 'k', { after: { storedMs: -1, queueId: 0, offset: 0 } }),
    'BAD_ARGUMENT',
  ],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { trace: 1.001 }), 'BAD_ARGUMENT'],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { trace: -0.1 }), 'BAD_ARGUMENT'],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { trace: Number.NaN }), 'BAD_ARGUMENT'],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { ttl: -1 }), 'BAD_ARGUMENT'],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { queueCount: 1.5 }), 'BAD_ARGUMENT'],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { queueCount: 2 ** 60 }), 'BAD_ARGUMENT'],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { cleanupPolicy: 'SWEEP' as 'COMPACT' }), 'BAD_ARGUMENT'],
  ['configureTopic', (admin: Admin) => admin.configureTopic('', {}), 'BAD_NAME'],
  ['configureGroup', (admin: Admin) => admin.configureGroup('g', { retry: ['soon' as '1s'] }), 'BAD_ARGUMENT'],
  ['configureGroup', (admin: Admin) => admin.configureGroup('g', { retry: { first: 1, factor: 1.5, max: 9 } }), 'BAD_ARGUMENT'],
  ['configureGroup', (admin: Admin) => admin.configureGroup('g', { retry: { first: '1s' } as never }), 'BAD_ARGUMENT'],
  ['configureGroup', (admin: Admin) => admin.configureGroup('g', { maxInFlight: -1 }), 'BAD_ARGUMENT'],
  ['configureGroup', (admin: Admin) => admin.configureGroup('g', { exhausted: 'drop' as 'hold' }), 'BAD_ARGUMENT'],
  ['deleteGroup', (admin: Admin) => admin.deleteGroup('a b'), 'BAD_NAME'],
  ['settleHeld', (admin: Admin) => admin.settleHeld('g', 'a b', 'retry'), 'BAD_NAME'],
  ['settleHeld', (admin: Admin) => admin.settleHeld('g', 'a', 'forget' as 'retry'), 'BAD_ARGUMENT'],
  ['deadLetters', (admin: Admin) => admin.deadLetters('g', { max: 0 }), 'BAD_ARGUMENT'],
  ['deadLetters', (admin: Admin) => admin.deadLetters('a b'), 'BAD_NAME'],
  ['resendDeadLetters', (admin: Admin) => admin.resendDeadLetters('g', { messageIds: [anId, 'x'] }), 'BAD_ARGUMENT'],
  ['purgeDeadLetters', (admin: Admin) => admin.purgeDeadLetters('a b'), 'BAD_NAME'],
  ['listDelayed', (admin: Admin) => admin.listDelayed({ after: 'x' }), 'BAD_ARGUMENT'],
  ['listDelayed', (admin: Admin) => admin.listDelayed({ topic: 'a b' }), 'BAD_NAME'],
  ['listDelayed', (admin: Admin) => admin.listDelayed({ max: 1.5 }), 'BAD_ARGUMENT'],
  ['recall', (admin: Admin) => admin.recall('a', anId), 'BAD_ARGUMENT'],
  ['recall', (admin: Admin) => admin.recall('a', `ZZ~${anId}`), 'BAD_ARGUMENT'],
  ['recall', (admin: Admin) => admin.recall('a', `z~${anId}${'0'.repeat(1_000_000)}`), 'BAD_ARGUMENT'],
  ['listTransactions', (admin: Admin) => admin.listTransactions({ producerGroup: 'a b' }), 'BAD_NAME'],
  ['listTransactions', (admin: Admin) => admin.listTransactions({ max: 0 }), 'BAD_ARGUMENT'],
  ['trace', (admin: Admin) => admin.trace({ messageId: 'x' }), 'BAD_ARGUMENT'],
  ['trace', (admin: Admin) => admin.trace({ topic: 'a', key: '' }), 'BAD_NAME'],
  ['trace', (admin: Admin) => admin.trace({ topic: 'a', key: 'k', max: 257 }), 'BAD_ARGUMENT'],
])('%s with bad arguments rejects before anything is sent', async (_name, call, code) => {
  const { world, admin } = await administering()
  await expect(world.until<unknown>(call(admin))).rejects.toMatchObject({ code })
  expect(world.relay.line.frames.map(({ name }) => name)).toEqual(['HELLO'])
})
