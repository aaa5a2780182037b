// The admin calls as they go over the wire; what they do is the broker's to show (administration.integration.test.ts).

import { describe, expect, test } from 'vitest'
import type { Admin } from '../../../core/client/api.ts'
import type { UpstreamName } from '../../../core/protocol/frames.ts'
import type { Script } from '../../support/scripted-relay.ts'
import { recordOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

const config = { queueCount: 2, messageType: 'FIFO', retentionMs: 5, retentionBytes: 6 } as const
const queues = [{ queueId: 0, epoch: 3, minOffset: 1, maxOffset: 9, storedBytes: 100 }]
const found = recordOf(['found'], { baseOffset: 4 })
const groupConfig = { attemptCountMax: 3, retryScheduleMs: [1_000] }

const answering: Script = {
  CREATE_TOPIC: ({ requestId, topic }, line) =>
    line.send('TOPIC', { requestId, topic, config, queues, groups: ['g'] }),
  DESCRIBE_TOPIC: ({ requestId, topic }, line) =>
    line.send('TOPIC', { requestId, topic, config, queues, groups: ['g'] }),
  DELETE_TOPIC: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
  CONFIGURE_GROUP: ({ requestId, group }, line) =>
    line.send('GROUP', { requestId, group, config: groupConfig, members: [], queues: [] }),
  RESET_GROUP: ({ requestId, group }, line) =>
    line.send('GROUP', { requestId, group, config: groupConfig, members: [], queues: [] }),
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
  test('are created with what is named, in milliseconds', async () => {
    const { world, admin } = await administering()
    const settings = { queueCount: 2, messageType: 'FIFO', retention: '2h' } as const
    const detail = await world.until(admin.createTopic('orders', settings))
    expect(lastOf(world, 'CREATE_TOPIC')).toEqual({
      topic: 'orders',
      options: { queueCount: 2, messageType: 'FIFO', retentionMs: 7_200_000, retentionBytes: undefined },
    })
    expect(detail).toEqual({ topic: 'orders', ...config, queues, groups: ['g'] })
    expect(await world.until(admin.describeTopic('orders'))).toEqual(detail)
  })

  test('are listed over as many pages as there are', async () => {
    const summary = (topic: string) => ({ topic, config, messageCount: 7 })
    const { world, admin } = await administering({
      LIST_TOPICS: ({ requestId, after }, line) => {
        const topics = [summary(`${after}a`), summary(`${after}b`)]
        line.send('TOPICS', { requestId, topics, more: after.length < 2 })
      },
    })
    const topics = await world.until(admin.listTopics({ containing: 'x' }))
    expect(topics.map(({ topic }) => topic)).toEqual(['a', 'b', 'ba', 'bb', 'bba', 'bbb'])
    expect(topics[0]).toEqual({ topic: 'a', ...config, messageCount: 7 })
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
    const detail = await world.until(admin.configureGroup('till', { maxAttempts: 3, retrySchedule: ['1s', 500] }))
    expect(lastOf(world, 'CONFIGURE_GROUP')).toEqual({
      group: 'till', options: { attemptCountMax: 3, retryScheduleMs: [1_000, 500] },
    })
    expect(detail).toMatchObject({ group: 'till', maxAttempts: 3, retryScheduleMs: [1_000] })
  })

  test('are listed over as many pages as there are', async () => {
    const { world, admin } = await administering({
      LIST_GROUPS: ({ requestId, after }, line) => {
        const groups = [{ group: `${after}g`, memberCount: 1, backlog: 2 }]
        line.send('GROUPS', { requestId, groups, more: after.length < 2 })
      },
    })
    const groups = await world.until(admin.listGroups())
    expect(groups.map(({ group }) => group)).toEqual(['g', 'gg', 'ggg'])
  })

  test('are described with their members by readable ids', async () => {
    const member = {
      memberId: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 255), topic: 'orders', mode: 'CLUSTERING', filter: '*',
      clientId: 'c', clientName: 'n', peer: 'p', inFlight: 1,
    } as const
    const { world, admin } = await administering({
      DESCRIBE_GROUP: ({ requestId, group }, line) =>
        line.send('GROUP', { requestId, group, config: groupConfig, members: [member], queues: [] }),
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
      topic: 'orders', messageId: undefined, key: 'k', fromMs: 1, toMs: 2, messageCountMax: 3,
    })
    await world.until(admin.findByTime('orders', { from: new Date(7) }))
    expect(lastOf(world, 'QUERY')).toMatchObject({
      key: undefined, fromMs: 7, toMs: Number.MAX_SAFE_INTEGER, messageCountMax: 64,
    })
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

test.each([
  ['createTopic', (admin: Admin) => admin.createTopic('a b'), 'BAD_NAME'],
  ['createTopic', (admin: Admin) => admin.createTopic('a', { retention: 'x' as '1s' }), 'BAD_ARGUMENT'],
  ['deleteTopic', (admin: Admin) => admin.deleteTopic(''), 'BAD_NAME'],
  ['describeGroup', (admin: Admin) => admin.describeGroup('ü'), 'BAD_NAME'],
  ['findById', (admin: Admin) => admin.findById('no id'), 'BAD_ARGUMENT'],
  ['findByKey', (admin: Admin) => admin.findByKey('orders', ''), 'BAD_NAME'],
  ['findByTime', (admin: Admin) => admin.findByTime('orders', { from: new Date(Number.NaN) }), 'BAD_ARGUMENT'],
  ['findByTime', (admin: Admin) => admin.findByTime('orders', { from: new Date(0), max: 257 }), 'BAD_ARGUMENT'],
])('%s with bad arguments rejects before anything is sent', async (_name, call, code) => {
  const { world, admin } = await administering()
  await expect(world.until<unknown>(call(admin))).rejects.toMatchObject({ code })
  expect(world.relay.line.frames.map(({ name }) => name)).toEqual(['HELLO'])
})
