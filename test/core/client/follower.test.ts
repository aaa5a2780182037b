// Followers against a relay that tells them changes as the test says.

import { afterEach, describe, expect, test } from 'vitest'
import { textToBytes } from '../../../core/bytes.ts'
import type { Change, ChangeBatch, Follower, FollowOptions } from '../../../core/client/api.ts'
import { errorCodes } from '../../../core/error-codes.ts'
import { fixedLimits } from '../../../core/limits.ts'
import type { Position } from '../../../core/model/position.ts'
import type { FrameFields } from '../../../core/protocol/frames.ts'
import { encodeQueueState } from '../../../core/storage/catalog.ts'
import { type Script, someWelcome } from '../../support/scripted-relay.ts'
import { recordOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

const agreeable: Script = {
  FOLLOW: ({ requestId, subscriptionId }, line) => line.send('FOLLOWING', { requestId, subscriptionId, sequence: 7 }),
  UNSUBSCRIBE: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
}

interface Following {
  readonly world: ScriptedWorld
  readonly follower: Follower
  readonly iterator: AsyncIterator<ChangeBatch, undefined>
  readonly tell: (changes: readonly Change[], fields?: Partial<FrameFields<'CHANGES'>>) => void
}

async function following(options: Partial<FollowOptions> = {}, script: Script = {}): Promise<Following> {
  const world = await ScriptedWorld.connected({ ...agreeable, ...script })
  const follower = world.client.follow({ topics: ['orders'], ...options })
  await world.settle()
  return {
    world,
    follower,
    iterator: follower[Symbol.asyncIterator](),
    tell: (changes, fields = {}) =>
      world.relay.line.send('CHANGES', { subscriptionId: 1, sequence: 8, isCurrent: false, lag: 5, changes, ...fields }),
  }
}

function changeOf(kind: Change['kind'], fields: Partial<Change> = {}): Change {
  return { kind, topic: 'orders', queueId: 0, offset: 0, group: '', value: new Uint8Array(0), ...fields }
}

interface LogState {
  readonly epoch?: number
  readonly minOffset?: number
  readonly offset?: number
}

function logOf(queueId: number, state: LogState = {}): Change {
  const { epoch = 1, minOffset = 0 } = state
  const { offset = minOffset } = state
  const value = encodeQueueState({
    epoch, minOffset, maxOffset: offset, epochOffset: 0, storedBytes: 0, lastStoredMs: 0, recordsEnd: offset, removedCount: 0,
    compactedOffset: 0, tombstoneOffset: 0,
  })
  return changeOf('log', { queueId, offset, value })
}

const recordChange = (queueId: number, baseOffset: number, bodies: readonly string[]) =>
  changeOf('record', { queueId, offset: baseOffset + bodies.length - 1, value: recordOf(bodies, { baseOffset }) })

const plain = (positions: ReadonlyMap<string, ReadonlyMap<number, Position>>) =>
  Object.fromEntries([...positions].map(([topic, queues]) =>
    [topic, Object.fromEntries([...queues].map(([queueId, { epoch, offset }]) => [queueId, `${epoch}/${offset}`]))]))

const credits = (world: ScriptedWorld) =>
  world.relay.line.heard('CREDIT').map(({ messageCount, byteCount }) => [messageCount, byteCount])

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))
afterEach(() => {
  expect(unhandled.splice(0)).toEqual([])
})

describe('following', () => {
  test('asks for its topics from where the copy stands, and gives credit', async () => {
    const positions = new Map([['orders', new Map([[3, { epoch: 2, offset: 40 }]])], ['bills', new Map()]])
    const { world } = await following({ topics: ['orders', 'bills', 'orders'], positions, withProgress: true })
    expect(world.relay.line.heard('FOLLOW')).toMatchObject([{
      topics: ['orders', 'bills'], withProgress: true,
      positions: [{ topic: 'orders', queueId: 3, position: { epoch: 2, offset: 40 } }],
    }])
    expect(credits(world)).toEqual([[16_384, 4 * 1024 * 1024]])
  })

  test('gives what comes in batches, as it came', async () => {
    const { world, iterator, follower, tell } = await following()
    const changes = [changeOf('topic', { value: textToBytes('t') }), logOf(0), recordChange(0, 0, ['a'])]
    tell(changes)
    tell([], { sequence: 9, isCurrent: true, lag: 0 })
    expect((await world.until(iterator.next())).value).toEqual({ changes, sequence: 8, isCurrent: false, lag: 5 })
    expect(follower.lag).toBe(5)
    expect((await world.until(iterator.next())).value).toEqual({ changes: [], sequence: 9, isCurrent: true, lag: 0 })
    expect(follower.lag).toBe(0)
    const waiting = [watch(iterator.next()), watch(iterator.next())]
    tell([], { sequence: 10 })
    tell([], { sequence: 11 })
    await world.settle()
    expect(waiting.map(({ value }) => value?.value?.sequence)).toEqual([10, 11])
  })

  test('knows where the copy stands: by logs and their records, as far as they were taken', async () => {
    const { world, iterator, follower, tell } = await following()
    tell([logOf(0, { minOffset: 5 }), logOf(1, { epoch: 3 }), recordChange(0, 5, ['a', 'b']), recordChange(1, 0, ['c'])])
    tell([recordChange(0, 7, ['d']), recordChange(1, 0, ['c'])])
    tell([changeOf('record-deleted', { offset: 5 }), changeOf('progress', { group: 'g' }), changeOf('group', { group: 'g' })])
    tell([logOf(0, { minOffset: 8, offset: 8 }), logOf(1, { epoch: 4, offset: 0 })])
    tell([changeOf('topic-deleted')])
    expect(plain(follower.positions())).toEqual({})
    const seen: object[] = []
    for (let count = 0; count < 5; count++) {
      await world.until(iterator.next())
      seen.push(plain(follower.positions()))
    }
    expect(seen).toEqual([
      { orders: { 0: '1/7', 1: '3/1' } }, { orders: { 0: '1/8', 1: '3/1' } }, { orders: { 0: '1/8', 1: '3/1' } },
      { orders: { 0: '1/8', 1: '4/0' } }, {},
    ])
  })

  test('gives credit for what was applied, in steps', async () => {
    const { world, iterator, tell } = await following()
    const value = new Uint8Array(1024 * 1024 - 16)
    for (let count = 0; count < 4; count++) tell([changeOf('progress', { value })])
    for (let count = 0; count < 3; count++) await world.until(iterator.next())
    await world.settle()
    // The third is in hand.
    expect(credits(world).slice(1)).toEqual([[2, 2 * 1024 * 1024]])
    await world.until(iterator.next())
    const waiting = watch(iterator.next())
    await world.settle()
    expect(credits(world).slice(2)).toEqual([[2, 2 * 1024 * 1024]])
    tell(Array.from({ length: 4_096 }, () => changeOf('progress')))
    await world.settle()
    expect(waiting.outcome).toBe('ok')
    tell(Array.from({ length: 4_096 }, () => changeOf('progress')))
    await world.until(iterator.next())
    void iterator.next()
    await world.settle()
    expect(credits(world).slice(3)).toEqual([[8_192, 8_192 * 16]])
  })

  test('goes on after a lost connection behind what it has received, and keeps what waits', async () => {
    const { world, iterator, follower, tell } = await following()
    tell([logOf(0), recordChange(0, 0, ['a'])])
    tell([recordChange(0, 1, ['b', 'c'])])
    await world.until(iterator.next())
    world.network.cut()
    await world.pass(1_000)
    const [again] = world.relay.line.heard('FOLLOW')
    expect(again?.positions).toEqual([{ topic: 'orders', queueId: 0, position: { epoch: 1, offset: 3 } }])
    const [held] = credits(world) as [[number, number]]
    expect(held[0]).toBe(16_384 - 3)
    expect(held[1]).toBeLessThan(4 * 1024 * 1024 - 100)
    expect(plain(follower.positions())).toEqual({ orders: { 0: '1/1' } })
    const batch = (await world.until(iterator.next())).value as ChangeBatch
    expect(batch.changes).toHaveLength(1)
    expect(plain(follower.positions())).toEqual({ orders: { 0: '1/3' } })
  })

  test('refused for now is tried again', async () => {
    let refusals = 2
    const { world } = await following({}, {
      FOLLOW: (frame, line) => {
        if (refusals-- > 0) line.refuse(frame.requestId, 'OVERLOADED', 200)
        else line.send('FOLLOWING', { ...frame, sequence: 1 })
      },
    })
    await world.pass(5_000)
    expect(world.relay.line.heard('FOLLOW')).toHaveLength(3)
    expect(credits(world)).toHaveLength(1)
  })

  test('a change that makes no sense ends the connection; from another it may come whole', async () => {
    const { world, iterator, tell } = await following()
    const waiting = watch(iterator.next())
    tell([logOf(0), { ...logOf(0), value: Uint8Array.of(1, 2, 3) }])
    await world.pass(1_000)
    expect([waiting.outcome, world.relay.lines.length]).toEqual(['pending', 2])
    tell([logOf(0), recordChange(0, 0, ['a'])])
    await world.settle()
    expect(waiting.outcome).toBe('ok')
  })
})

describe('the end of following', () => {
  test('closed, or left by a break, tells the relay, and what waits is done', async () => {
    const { world, follower, iterator, tell } = await following()
    const waiting = watch(iterator.next())
    await world.until(follower.close())
    expect(waiting.value).toEqual({ done: true, value: undefined })
    expect(world.relay.line.heard('UNSUBSCRIBE')).toHaveLength(1)
    tell([logOf(0)])
    expect(await world.until(iterator.next())).toEqual({ done: true, value: undefined })
    const other = await following()
    other.tell([logOf(0)])
    const read = async () => {
      for await (const batch of other.follower) return batch
      return undefined
    }
    expect(await other.world.until(read())).toMatchObject({ sequence: 8 })
    expect(other.world.relay.line.heard('UNSUBSCRIBE')).toHaveLength(1)
  })

  test('by its signal', async () => {
    const aborting = new AbortController()
    const { world, iterator } = await following({ signal: aborting.signal })
    const waiting = watch(iterator.next())
    aborting.abort()
    await world.settle()
    expect(waiting.value).toEqual({ done: true, value: undefined })
    expect(world.relay.line.heard('UNSUBSCRIBE')).toHaveLength(1)
  })

  test('with its client', async () => {
    const { world, iterator } = await following()
    const waiting = watch(iterator.next())
    await world.until(world.client.close())
    expect(waiting.value).toEqual({ done: true, value: undefined })
    expect(() => world.client.follow({ topics: ['orders'] })).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    expect(world.clock.nextTimerMs).toBeUndefined()
  })

  test.each([
    'FORBIDDEN', 'TOPIC_NOT_FOUND',
  ] as const)('refused for good (%s) rejects, or is told if nobody waits', async (code) => {
    const refusing: Script = { FOLLOW: ({ requestId }, line) => line.refuse(requestId, code) }
    const { world, iterator } = await following({}, refusing)
    expect(world.errors.map((error) => error.code)).toEqual([code])
    await expect(world.until(iterator.next())).rejects.toMatchObject({ code })
  })

  test('from the relay’s side rejects', async () => {
    const { world, iterator } = await following()
    const waiting = watch(iterator.next())
    world.relay.line.send('REVOKED', { subscriptionId: 1, code: errorCodes.STORE_FAILED.number, message: 'no store' })
    await world.settle()
    expect([waiting.outcome, world.errors]).toEqual(['STORE_FAILED', []])
    await expect(world.until(iterator.next())).rejects.toMatchObject({ code: 'STORE_FAILED' })
  })
})

const { followTopicCountMax, progressCountMax } = fixedLimits
const topicsOf = (count: number) => Array.from({ length: count }, (_, index) => `t${index}`)
const positionsOf = (count: number) =>
  new Map(topicsOf(Math.ceil(count / 1_000)).map((topic, index) =>
    [topic, new Map(Array.from({ length: Math.min(1_000, count - index * 1_000) }, (_, queueId) =>
      [queueId, { epoch: 1, offset: 1 }] as const))] as const))

test.each([
  [{ topics: [] }, 'BAD_ARGUMENT'],
  [{ topics: ['a b'] }, 'BAD_NAME'],
  [{ topics: topicsOf(followTopicCountMax + 1) }, 'BAD_ARGUMENT'],
  [{ topics: topicsOf(1_000_000) }, 'BAD_ARGUMENT'],
  [{ positions: new Map([['a b', new Map()]]) }, 'BAD_NAME'],
  [{ positions: new Map([['a', new Map([[0, { epoch: -1, offset: 0 }]])]]) }, 'BAD_ARGUMENT'],
  [{ positions: new Map([['a', new Map([[0.5, { epoch: 1, offset: 0 }]])]]) }, 'BAD_ARGUMENT'],
  [{ positions: new Map([['a', positionsOf(1_025).get('t1') ?? new Map()]]), topics: [''] }, 'BAD_NAME'],
  [{ positions: positionsOf(progressCountMax + 1) }, 'BAD_ARGUMENT'],
] as const)('%# is refused on the spot', async (options, code) => {
  const world = await ScriptedWorld.connected(agreeable)
  expect(() => world.client.follow({ topics: ['orders'], ...options })).toThrow(expect.objectContaining({ code }))
})

test('more than a frame of the relay takes ends the follower, and not the client', async () => {
  const world = new ScriptedWorld(agreeable)
  world.relay.welcome = { ...someWelcome, frameBytesMax: 200_000 }
  await world.until(world.client.connected)
  const positions = positionsOf(progressCountMax)
  const next = world.client.follow({ topics: ['orders'], positions })[Symbol.asyncIterator]().next()
  await expect(world.until(next)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  expect([world.client.link, world.relay.line.heard('FOLLOW')]).toEqual(['connected', []])
})

test('as many topics and positions as are allowed go out', async () => {
  const { world } = await following({ topics: topicsOf(followTopicCountMax), positions: positionsOf(progressCountMax) })
  const [follow] = world.relay.line.heard('FOLLOW')
  expect([follow?.topics.length, follow?.positions.length]).toEqual([followTopicCountMax, progressCountMax])
})
