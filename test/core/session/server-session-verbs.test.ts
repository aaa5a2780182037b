// Verbs of a connection beyond publishing and subscribing: administration, transactions and their checks, replies,
// kept positions, followers. Each is served, refused, bounded, and left by a connection that ends in between.

import { describe, expect, test } from 'vitest'
import { errorCodes } from '../../../core/error-codes.ts'
import { PocketError } from '../../../core/errors.ts'
import { closeCodes } from '../../../core/model/close-codes.ts'
import { encodeFrame } from '../../../core/protocol/codec.ts'
import type { Change } from '../../../core/protocol/frames.ts'
import { type Principal, superuser } from '../../../core/session/auth.ts'
import { requestsInHandMax } from '../../../core/session/server-requests.ts'
import {
  ack, expectRefusedConnection, expectRefusedRequest, FakeConnection, type FakeFollowing, follow, groupOptions, hello,
  messagesOf, onlyError, type PendingFollow, ping, prepare, publish, pull, type RegisteredProducer, receipt, reply, SessionWorld,
  subscribe, topicOptions, type WorldOptions,
} from './session-world.ts'

function welcomedWorld(options: WorldOptions = {}): SessionWorld {
  const world = new SessionWorld(options)
  world.greet()
  world.connection.messages.length = 0
  return world
}

const transactionId = new Uint8Array(8).fill(7)
const someTime = { fromMs: 0, toMs: 1, after: undefined, messageCountMax: 10 }

const adminFrames = [
  ['CONFIGURE_TOPIC', 'TOPIC', encodeFrame('CONFIGURE_TOPIC', {
    requestId: 9, topic: 'orders', options: topicOptions({ ttlMs: 1_000 }),
  })],
  ['CONFIGURE_GROUP', 'GROUP', encodeFrame('CONFIGURE_GROUP', {
    requestId: 9, group: 'till', options: groupOptions({ isPaused: true }),
  })],
  ['DELETE_GROUP', 'DONE', encodeFrame('DELETE_GROUP', { requestId: 9, group: 'till' })],
  ['SETTLE_HELD', 'GROUP', encodeFrame('SETTLE_HELD', { requestId: 9, group: 'till', topic: 'orders', how: 'retry' })],
  ['RESEND_DEAD_LETTERS', 'DEAD_LETTERS', encodeFrame('RESEND_DEAD_LETTERS', {
    requestId: 9, group: 'till', messageIds: ['a1b2c3d4e5f60718-0-1'],
  })],
  ['PURGE_DEAD_LETTERS', 'DEAD_LETTERS', encodeFrame('PURGE_DEAD_LETTERS', { requestId: 9, group: 'till', messageIds: [] })],
  ['RECALL', 'RECALLED', encodeFrame('RECALL', { requestId: 9, topic: 'orders', recallHandle: 'abc~d' })],
  ['LIST_DELAYED', 'DELAYED', encodeFrame('LIST_DELAYED', { requestId: 9, topic: 'orders', after: '', countMax: 10 })],
  ['END_TRANSACTION', 'TRANSACTION_ENDED', encodeFrame('END_TRANSACTION', {
    requestId: 9, transactionId, producerGroup: 'shop', outcome: 'commit', messageCount: 3,
  })],
  ['LIST_TRANSACTIONS', 'TRANSACTIONS', encodeFrame('LIST_TRANSACTIONS', {
    requestId: 9, producerGroup: 'shop', after: undefined, countMax: 10,
  })],
  ['QUERY_TRACE', 'TRACE', encodeFrame('QUERY_TRACE', {
    requestId: 9, topic: 'orders', messageId: undefined, key: 'k', ...someTime,
  })],
] as const

const doorOf = {
  CONFIGURE_TOPIC: 'configureTopic', CONFIGURE_GROUP: 'configureGroup', DELETE_GROUP: 'deleteGroup', SETTLE_HELD: 'settleHeld',
  RESEND_DEAD_LETTERS: 'resendDeadLetters', PURGE_DEAD_LETTERS: 'purgeDeadLetters', RECALL: 'recall',
  LIST_DELAYED: 'listDelayed', END_TRANSACTION: 'endTransaction', LIST_TRANSACTIONS: 'listTransactions',
  QUERY_TRACE: 'queryTrace',
} as const

describe.each(adminFrames)('%s', (name, answerName, bytes) => {
  test(`reaches the broker once and is answered with ${answerName} under its id`, () => {
    const world = welcomedWorld()
    world.hear(bytes)
    expect(world.broker.asked).toHaveLength(1)
    expect(world.frames).toMatchObject([{ name: answerName, requestId: 9 }])
    expect(world.session.requestsInHand).toBe(0)
    expect(world.counters.answerTimes.get(name)?.succeededMs.count).toBe(1)
  })

  test('refused by the broker, in its answer or at once, leaves the connection open', () => {
    for (const isAtOnce of [false, true]) {
      const world = welcomedWorld()
      const refusal = new PocketError('STORE_FULL', 'no room', { retryAfterMs: 70 })
      world.broker.door[doorOf[name]] = (_request: never, answer: (outcome: PocketError) => void) => {
        if (isAtOnce) throw refusal
        world.clock.defer(() => answer(refusal))
      }
      world.hear(bytes)
      expectRefusedRequest(world, 9, 'STORE_FULL')
      expect(onlyError(world).retryAfterMs).toBe(70)
      expect(world.session.requestsInHand).toBe(0)
    }
  })

  test('answered after the connection ended says nothing', () => {
    const world = welcomedWorld()
    world.session.message(bytes)
    world.session.closed(1006, '')
    world.clock.runUntilIdle()
    expect(world.broker.asked).toHaveLength(1)
    expect(world.frames).toEqual([])
  })

  test('is FORBIDDEN to who has no right, and the broker does not hear of it', () => {
    const deny = () => false
    const nobody: Principal = { name: 'nobody', mayPublish: deny, mayConsume: deny, mayAdmin: deny }
    const world = welcomedWorld({ authenticate: (_token, _info, answer) => answer(nobody) })
    world.hear(bytes)
    expectRefusedRequest(world, 9, 'FORBIDDEN')
    expect(world.broker.asked).toEqual([])
  })
})

test('an answer passes on what the broker found, whole', () => {
  const world = welcomedWorld()
  const segments = [{ topic: 'orders', queueId: 1, epoch: 2, offset: 3, count: 4 }]
  const result = { outcome: 'commit', duplicate: true, segments, scheduled: [5] } as const
  world.broker.door.endTransaction = (_request, answer) => world.clock.defer(() => answer(result))
  world.broker.door.listDelayed = (_request, answer) => {
    const message = { recallHandle: 'abc~d', topic: 'orders', deliverMs: 5, record: new Uint8Array(3) }
    world.clock.defer(() => answer({ messages: [message], more: true }))
  }
  world.hear(adminFrames[8][2], adminFrames[7][2])
  expect(world.frames).toMatchObject([
    { name: 'TRANSACTION_ENDED', requestId: 9, ...result },
    { name: 'DELAYED', requestId: 9, messages: [{ recallHandle: 'abc~d', deliverMs: 5 }], more: true },
  ])
})

test('the broker is told which client publishes', () => {
  const world = welcomedWorld()
  world.hear(publish())
  expect(world.broker.publishes).toMatchObject([{ clientId: 'c-1' }])
})

describe('PREPARE', () => {
  const limits = { publishBytesInFlightMax: 10_000 }

  test('is passed on and answered with DONE', () => {
    const world = welcomedWorld()
    world.hear(prepare({ requestId: 4, topic: 'orders', baseSequence: 5, checkAfterMs: 9_000 }))
    expect(world.broker.prepares[0]?.request).toMatchObject({ topic: 'orders', baseSequence: 5, checkAfterMs: 9_000 })
    expect(world.frames).toEqual([])
    world.broker.prepares[0]?.answer()
    world.clock.runUntilIdle()
    expect(world.frames).toMatchObject([{ name: 'DONE', requestId: 4, failures: [] }])
  })

  test('is refused one by one', () => {
    const world = welcomedWorld()
    world.hear(prepare({ requestId: 4 }))
    world.broker.prepares[0]?.answer(new PocketError('TRANSACTION_FINISHED', 'rolled back'))
    world.clock.runUntilIdle()
    expectRefusedRequest(world, 4, 'TRANSACTION_FINISHED')
    expect(world.counters.publishBytesInHand).toBe(0)
  })

  test('shares the bytes that may wait for a commit with PUBLISH: at the bound reading goes on, beyond it stops', () => {
    const world = welcomedWorld({ limits })
    const overheadBytes = 256
    world.hear(publish({ requestId: 1, messages: new Uint8Array(5_000 - overheadBytes) }))
    world.hear(prepare({ requestId: 2, messages: new Uint8Array(5_000 - overheadBytes) }))
    expect(world.connection.isPaused).toBe(false)
    world.hear(prepare({ requestId: 3, messages: new Uint8Array(0) }))
    expect(world.connection.isPaused).toBe(true)
    world.broker.publishes[0]?.answer(receipt)
    expect(world.connection.isPaused).toBe(true)
    world.broker.prepares[0]?.answer(new PocketError('STORE_FULL', 'no room'))
    expect(world.connection.isPaused).toBe(false)
    world.broker.prepares[1]?.answer()
    expect(world.counters.publishBytesInHand).toBe(0)
  })

  test('far beyond the bytes that may wait is taken once, and stops the reading until it is answered', () => {
    const world = welcomedWorld({ limits })
    world.hear(prepare({ requestId: 2, messages: new Uint8Array(1_000_000) }))
    expect(world.connection.isPaused).toBe(true)
    world.broker.prepares[0]?.answer()
    expect(world.connection.isPaused).toBe(false)
  })

  test('that the broker refuses at once holds no bytes', () => {
    const world = welcomedWorld({ limits })
    world.broker.door.prepare = () => {
      throw new PocketError('RELAY_STOPPING', 'stopping')
    }
    world.hear(prepare({ requestId: 2, messages: new Uint8Array(1_000_000) }))
    expectRefusedRequest(world, 2, 'RELAY_STOPPING')
    expect(world.counters.publishBytesInHand).toBe(0)
    expect(world.connection.isPaused).toBe(false)
  })

  test('is not counted among the requests that may wait, as its bytes are', () => {
    const world = welcomedWorld()
    for (let requestId = 1; requestId <= requestsInHandMax; requestId++) world.session.message(pull({ requestId }))
    world.hear(prepare({ requestId: 90_001 }), pull({ requestId: 90_002 }))
    expect(world.broker.prepares).toHaveLength(1)
    expectRefusedRequest(world, 90_002, 'OVERLOADED')
  })

  test('whose connection ends is forgotten, and its bytes come back with the answer', () => {
    const world = welcomedWorld({ limits })
    world.hear(prepare())
    world.session.closed(1006, '')
    expect(world.counters.publishBytesInHand).toBeGreaterThan(0)
    world.broker.prepares[0]?.answer()
    world.clock.runUntilIdle()
    expect(world.frames).toEqual([])
    expect(world.counters.publishBytesInHand).toBe(0)
  })
})

describe('a registered producer', () => {
  const register = (producerGroup = 'shop', requestId = 3): Uint8Array =>
    encodeFrame('REGISTER_PRODUCER', { requestId, producerGroup })
  const unregister = (producerGroup = 'shop', requestId = 4): Uint8Array =>
    encodeFrame('UNREGISTER_PRODUCER', { requestId, producerGroup })
  const check = {
    transactionId, producerGroup: 'shop', checkCount: 1, preparedMs: 5,
    messages: [{ topic: 'orders', record: new Uint8Array(4) }],
  }

  function registeredWorld(options: WorldOptions = {}): { world: SessionWorld; producer: RegisteredProducer } {
    const world = welcomedWorld(options)
    world.hear(register())
    world.connection.messages.length = 0
    return { world, producer: world.broker.producers[0] as RegisteredProducer }
  }

  test('is told to the broker, and DONE', () => {
    const world = welcomedWorld()
    world.hear(register())
    expect(world.broker.producers).toMatchObject([{ producerGroup: 'shop', isCancelled: false }])
    expect(world.frames).toMatchObject([{ name: 'DONE', requestId: 3 }])
  })

  test('that registers again is registered once', () => {
    const { world } = registeredWorld()
    world.hear(register('shop', 5))
    expect(world.broker.producers).toHaveLength(1)
    expect(world.frames).toMatchObject([{ name: 'DONE', requestId: 5 }])
  })

  test('is taken back by UNREGISTER_PRODUCER, which is DONE also a second time', () => {
    const { world, producer } = registeredWorld()
    world.hear(unregister(), unregister('shop', 5), unregister('never', 6))
    expect(producer.isCancelled).toBe(true)
    expect(world.sent).toEqual(['DONE', 'DONE', 'DONE'])
    world.hear(register('shop', 7))
    expect(world.broker.producers).toHaveLength(2)
  })

  test.each(['peer', 'relay'])('is taken back when the %s ends the connection', (who) => {
    const { world, producer } = registeredWorld()
    world.hear(register('other', 5))
    if (who === 'peer') world.session.closed(1006, '')
    else world.session.finish('NORMAL', 'bye')
    expect(world.broker.producers).toMatchObject([{ isCancelled: true }, { isCancelled: true }])
    expect(producer.sink.check(check)).toBe(false)
    expect(world.frames.filter(({ name }) => name === 'CHECK_TRANSACTION')).toEqual([])
  })

  test('hears a check, whole', () => {
    const { world, producer } = registeredWorld()
    expect(producer.sink.check(check)).toBe(true)
    world.clock.runUntilIdle()
    expect(world.frames).toEqual([{ name: 'CHECK_TRANSACTION', ...check }])
  })

  test('hears no check while its connection is full, and the broker learns that it did not', () => {
    const { world, producer } = registeredWorld({ limits: { sendBufferBytesMax: 10_000 } })
    world.connection.bufferedBytes = 9_999
    expect(producer.sink.check(check)).toBe(true)
    world.clock.runUntilIdle()
    world.connection.bufferedBytes = 10_000
    expect(producer.sink.check(check)).toBe(false)
    world.clock.runUntilIdle()
    expect(world.sent).toEqual(['CHECK_TRANSACTION'])
  })

  test('hears no check while the relay stops', () => {
    const { world, producer } = registeredWorld()
    world.session.announceStop(500)
    expect(producer.sink.check(check)).toBe(false)
  })

  test('is shown no message of a topic that it may not publish to', () => {
    const principal: Principal = { ...superuser, mayPublish: (topic) => topic === '' || topic === 'orders' }
    const { world, producer } = registeredWorld({ authenticate: (_token, _info, answer) => answer(principal) })
    const secret = { ...check, messages: [...check.messages, { topic: 'secrets', record: new Uint8Array(4) }] }
    expect(producer.sink.check(secret)).toBe(false)
    expect(producer.sink.check(check)).toBe(true)
    world.clock.runUntilIdle()
    expect(world.frames).toMatchObject([{ name: 'CHECK_TRANSACTION', messages: [{ topic: 'orders' }] }])
  })

  test('of a principal that may publish nowhere is FORBIDDEN', () => {
    const principal: Principal = { ...superuser, mayPublish: () => false }
    const world = welcomedWorld({ authenticate: (_token, _info, answer) => answer(principal) })
    world.hear(register())
    expectRefusedRequest(world, 3, 'FORBIDDEN')
    expect(world.broker.producers).toEqual([])
  })

  test('under a name that is none is refused', () => {
    const world = welcomedWorld()
    world.hear(register('no name', 3))
    expectRefusedRequest(world, 3, 'BAD_NAME')
    expect(world.session.requestsInHand).toBe(0)
  })

  test('registers for so many groups: the last is taken, one more is not, and one that left makes room', () => {
    const world = welcomedWorld({ limits: { subscriptionsPerConnectionMax: 3 } })
    world.hear(register('a', 1), register('b', 2), register('c', 3))
    world.hear(register('d', 4))
    expectRefusedRequest(world, 4, 'LIMIT_EXCEEDED')
    world.hear(register('a', 5), unregister('b', 6), register('d', 7))
    expect(world.sent.slice(-3)).toEqual(['DONE', 'DONE', 'DONE'])
    expect(world.broker.producers.filter(({ isCancelled }) => !isCancelled)).toHaveLength(3)
  })

  test('whose check meets a bug ends its connection, and the broker goes on', () => {
    const { world, producer } = registeredWorld()
    const broken = { ...check, get checkCount(): never { throw new Error('a bug of this test') } }
    expect(producer.sink.check(broken)).toBe(false)
    expect(world.connection.ending?.code).toBe(closeCodes.INTERNAL)
    expect(world.counters.crashes).toBe(1)
  })
})

describe('REPLY', () => {
  function askerOf(world: SessionWorld, clientId = 'asker'): FakeConnection {
    const connection = new FakeConnection()
    world.accept(connection).message(hello({ clientId }))
    world.clock.runUntilIdle()
    connection.messages.length = 0
    return connection
  }

  test('reaches who asked as REPLIED, and is DONE', () => {
    const world = welcomedWorld()
    const asker = askerOf(world)
    world.hear(reply({ requestId: 6, replyTo: 'asker', correlationId: 'q-9' }))
    expect(asker.frames).toEqual([{ name: 'REPLIED', correlationId: 'q-9', message: messagesOf(1) }])
    expect(world.frames).toMatchObject([{ name: 'DONE', requestId: 6 }])
    expect(world.session.requestsInHand).toBe(0)
  })

  test('may go to the connection that it comes from', () => {
    const world = welcomedWorld()
    world.hear(reply({ requestId: 6, replyTo: 'c-1' }))
    expect(world.sent.sort()).toEqual(['DONE', 'REPLIED'])
  })

  test('to nobody is refused with REQUESTER_GONE, and counted', () => {
    const world = welcomedWorld()
    world.hear(reply({ requestId: 6, replyTo: 'asker' }))
    expectRefusedRequest(world, 6, 'REQUESTER_GONE')
    expect(world.session.requestsInHand).toBe(0)
    expect(world.counters.answerTimes.get('REPLY')?.failedMs.count).toBe(1)
  })

  test('to a connection that has ended, or was never welcomed, is refused with REQUESTER_GONE', () => {
    const world = welcomedWorld()
    const connection = new FakeConnection()
    const session = world.accept(connection)
    session.message(hello({ clientId: 'asker' }))
    session.finish('NORMAL', 'bye')
    const refused = new SessionWorld({ authenticate: () => {} })
    refused.hear(hello({ clientId: 'asker' }))
    world.hear(reply({ requestId: 6, replyTo: 'asker' }))
    expectRefusedRequest(world, 6, 'REQUESTER_GONE')
    expect(() => refused.replies.send({ replyTo: 'asker', correlationId: '', message: messagesOf(1) }))
      .toThrow(expect.objectContaining({ code: 'REQUESTER_GONE' }))
  })

  test('that is no message is refused, and the requester hears nothing', () => {
    const world = welcomedWorld()
    const asker = askerOf(world)
    world.hear(reply({ requestId: 6, replyTo: 'asker', message: messagesOf(2) }))
    expectRefusedRequest(world, 6, 'BAD_FRAME')
    expect(asker.frames).toEqual([])
  })

  test('is refused with OVERLOADED while the requester does not take what it is sent, and closes nobody', () => {
    const world = welcomedWorld({ limits: { sendBufferBytesMax: 10_000 } })
    const asker = askerOf(world)
    asker.isStuck = true
    const message = messagesOf(1, new Uint8Array(4_000))
    for (let requestId = 1; requestId <= 50; requestId++) world.hear(reply({ requestId, replyTo: 'asker', message }))
    expect(asker.bufferedBytes).toBeGreaterThan(10_000)
    expect(asker.bufferedBytes).toBeLessThan(10_000 + 4_100)
    expect(world.sent.filter((name) => name === 'DONE')).toHaveLength(3)
    expect(world.frames.at(-1)).toMatchObject({ name: 'ERROR', code: errorCodes.OVERLOADED.number, retryAfterMs: 1_000 })
    expect(asker.ending).toBeUndefined()
    asker.bufferedBytes = 0
    world.hear(reply({ requestId: 51, replyTo: 'asker', message }))
    expect(world.frames.at(-1)).toMatchObject({ name: 'DONE', requestId: 51 })
  })

  test('is heard by the relay’s last clients while it stops', () => {
    const world = welcomedWorld()
    const asker = askerOf(world)
    world.session.announceStop(500)
    world.hear(reply({ requestId: 6, replyTo: 'asker' }))
    expect(asker.frames).toMatchObject([{ name: 'REPLIED' }])
  })
})

describe('POSITIONS', () => {
  const positions = (subscriptionId = 1): Uint8Array => encodeFrame('POSITIONS', {
    subscriptionId,
    positions: [{ queueId: 0, position: { epoch: 1, offset: 5 } }, { queueId: 2, position: { epoch: 1, offset: 9 } }],
  })

  test('reach the membership, and have no answer', () => {
    const world = welcomedWorld()
    const { membership } = world.subscribe()
    world.hear(positions())
    expect(membership.calls).toEqual(['positions 0@5 2@9'])
    expect(world.sent).toEqual(['SUBSCRIBED'])
  })

  test('of nobody are ignored: an unknown subscription, one that was left, a follower, one that is still joining', () => {
    const world = welcomedWorld()
    const { membership } = world.subscribe(1)
    world.hear(encodeFrame('UNSUBSCRIBE', { requestId: 2, subscriptionId: 1 }), positions(1), positions(77))
    world.hear(follow({ requestId: 3, subscriptionId: 4 }))
    const following = (world.broker.follows[0] as PendingFollow).accept()
    world.hear(positions(4), subscribe({ requestId: 5, subscriptionId: 5 }), positions(5))
    const joined = world.broker.subscribes[1]?.accept()
    expect([membership.calls, following.calls, joined?.calls]).toEqual([['leave'], [], []])
    expect(world.connection.ending).toBeUndefined()
  })

  test('that the broker does not understand end the connection, and are no bug', () => {
    const world = welcomedWorld()
    const { membership } = world.subscribe()
    membership.positions = () => {
      throw new PocketError('QUEUE_NOT_FOUND', 'no such queue')
    }
    world.hear(positions())
    expectRefusedConnection(world, 'QUEUE_NOT_FOUND', 'FORBIDDEN')
    expect(world.counters.crashes).toBe(0)
  })
})

describe('RESET', () => {
  test('is told to a subscription, and not after it was left', () => {
    const world = welcomedWorld()
    const { sink } = world.subscribe()
    sink.reset(3, { epoch: 1, offset: 70 })
    world.hear(encodeFrame('UNSUBSCRIBE', { requestId: 2, subscriptionId: 1 }))
    sink.reset(3, { epoch: 1, offset: 80 })
    world.clock.runUntilIdle()
    expect(world.frames.slice(1)).toMatchObject([
      { name: 'RESET', subscriptionId: 1, queueId: 3, position: { epoch: 1, offset: 70 } }, { name: 'DONE' },
    ])
  })
})

describe('a follower', () => {
  const credit = encodeFrame('CREDIT', { subscriptionId: 1, messageCount: 5, byteCount: 500 })
  const unfollow = (requestId = 8): Uint8Array => encodeFrame('UNSUBSCRIBE', { requestId, subscriptionId: 1 })
  const change: Change = { kind: 'topic', topic: 'orders', queueId: 0, offset: 0, group: '', value: new Uint8Array(2) }

  function followingWorld(options: WorldOptions = {}): { world: SessionWorld; following: FakeFollowing; pending: PendingFollow } {
    const world = welcomedWorld(options)
    world.hear(follow())
    const pending = world.broker.follows[0] as PendingFollow
    const following = pending.accept()
    world.clock.runUntilIdle()
    world.connection.messages.length = 0
    return { world, following, pending }
  }

  test('begins with FOLLOWING, and changes follow in the same message', () => {
    const world = welcomedWorld()
    const positions = [{ topic: 'orders', queueId: 1, position: { epoch: 1, offset: 2 } }]
    world.hear(follow({ requestId: 4, subscriptionId: 9, positions, withProgress: true }))
    const { request, sink, accept } = world.broker.follows[0] as PendingFollow
    expect(request).toMatchObject({ topics: ['orders'], positions, withProgress: true })
    expect(world.frames).toEqual([])
    accept()
    sink.changes(41, true, 7, [change])
    world.flushQueue.flushAll()
    expect(world.connection.messages).toEqual([[
      { name: 'FOLLOWING', requestId: 4, subscriptionId: 9, sequence: 40 },
      { name: 'CHANGES', subscriptionId: 9, sequence: 41, isCurrent: true, lag: 7, changes: [change] },
    ]])
  })

  test('gives credit before and after it was taken in', () => {
    const world = welcomedWorld()
    world.hear(follow(), credit, credit)
    const following = (world.broker.follows[0] as PendingFollow).accept()
    world.hear(credit)
    expect(following.calls).toEqual(['credit 10 1000', 'credit 5 500'])
  })

  test('is left by UNSUBSCRIBE, also before it was taken in, and hears nothing more', () => {
    const { world, following, pending } = followingWorld()
    world.hear(unfollow())
    pending.sink.changes(41, true, 0, [change])
    world.clock.runUntilIdle()
    expect(following.calls).toEqual(['leave'])
    expect(world.frames).toMatchObject([{ name: 'DONE', requestId: 8 }])

    const early = welcomedWorld()
    early.hear(follow(), unfollow())
    expect(early.frames).toEqual([])
    const taken = (early.broker.follows[0] as PendingFollow).accept()
    early.clock.runUntilIdle()
    expect(taken.calls).toEqual(['leave'])
    expect(early.sent).toEqual(['FOLLOWING', 'DONE'])
    expect(early.session.streamCount).toBe(0)
  })

  test('that the broker refuses takes what waited for it along, and its number is free', () => {
    const world = welcomedWorld()
    world.hear(follow({ requestId: 1 }), unfollow(2))
    world.broker.follows[0]?.answer(new PocketError('BAD_NAME', 'no name'))
    world.clock.runUntilIdle()
    expect(world.frames).toMatchObject([
      { requestId: 1, code: errorCodes.BAD_NAME.number }, { requestId: 2, code: errorCodes.SUBSCRIPTION_NOT_FOUND.number },
    ])
    world.hear(follow({ requestId: 3 }))
    expect(world.broker.follows).toHaveLength(2)
  })

  test('is leased nothing: acks, receives and the like find no subscription', () => {
    const { world } = followingWorld()
    world.hear(
      ack({ requestId: 5 }),
      encodeFrame('RECEIVE', { requestId: 6, subscriptionId: 1, attemptId: 1, messageCountMax: 1, leaseMs: 0, waitMs: 0 }),
    )
    expect(world.frames).toMatchObject([
      { requestId: 5, code: errorCodes.SUBSCRIPTION_NOT_FOUND.number },
      { requestId: 6, code: errorCodes.SUBSCRIPTION_NOT_FOUND.number },
    ])
  })

  test('shares its numbers and their limit with subscriptions', () => {
    const world = welcomedWorld({ limits: { subscriptionsPerConnectionMax: 2 } })
    world.subscribe(1)
    world.hear(follow({ requestId: 5, subscriptionId: 1 }))
    expectRefusedRequest(world, 5, 'BAD_ARGUMENT')
    world.hear(follow({ requestId: 6, subscriptionId: 2 }), subscribe({ requestId: 7, subscriptionId: 2 }))
    world.hear(follow({ requestId: 8, subscriptionId: 3 }), subscribe({ requestId: 9, subscriptionId: 3 }))
    expect(world.broker.follows).toHaveLength(1)
    expect(world.broker.subscribes).toHaveLength(1)
    const codes = world.frames.flatMap((frame) => (frame.name === 'ERROR' ? [`${frame.requestId} ${frame.code}`] : []))
    expect(codes).toEqual(['5 200', '7 200', '8 105', '9 105'])
  })

  test('that the broker ends is told so and forgotten, and its number is free', () => {
    const { world, following, pending } = followingWorld()
    pending.sink.revoked(new PocketError('STORE_FAILED', 'the store cannot be read'))
    pending.sink.revoked(new PocketError('STORE_FAILED', 'again'))
    pending.sink.changes(41, true, 0, [change])
    world.clock.runUntilIdle()
    expect(world.frames).toMatchObject([{ name: 'REVOKED', subscriptionId: 1, code: errorCodes.STORE_FAILED.number }])
    expect(world.session.streamCount).toBe(0)
    expect(following.calls).toEqual([])
    world.hear(unfollow(), follow({ requestId: 9 }))
    expect(world.broker.follows).toHaveLength(2)
  })

  test('is left when the connection ends, by whichever side, also when it was not taken in yet', () => {
    for (const who of ['peer', 'relay'] as const) {
      const { world, following } = followingWorld()
      world.hear(follow({ requestId: 2, subscriptionId: 2 }))
      if (who === 'peer') world.session.closed(1006, '')
      else world.session.finish('NORMAL', 'bye')
      expect(following.calls).toEqual(['leave'])
      const late = (world.broker.follows[1] as PendingFollow).accept()
      expect(late.calls).toEqual(['leave'])
    }
  })

  test('gets no changes over the mark or while the relay stops, and the broker hears when there is room again', () => {
    const { world, following, pending } = followingWorld({ limits: { sendBufferBytesMax: 10_000 } })
    world.connection.isStuck = true
    expect(pending.sink.isWritable).toBe(true)
    pending.sink.changes(41, false, 7, [{ ...change, value: new Uint8Array(12_000) }])
    world.clock.runUntilIdle()
    expect(pending.sink.isWritable).toBe(false)
    world.connection.isStuck = false
    world.connection.bufferedBytes = 0
    world.session.drained()
    expect(following.calls).toEqual(['writable'])
    expect(pending.sink.isWritable).toBe(true)
    world.session.announceStop(500)
    expect(pending.sink.isWritable).toBe(false)
  })

  test('of a topic that it may not read, or of progress without the right to administer, is FORBIDDEN', () => {
    const principal: Principal = { ...superuser, mayConsume: (topic) => topic !== 'secrets', mayAdmin: () => false }
    const world = welcomedWorld({ authenticate: (_token, _info, answer) => answer(principal) })
    world.hear(
      follow({ requestId: 1, topics: ['orders', 'secrets'] }), follow({ requestId: 2, withProgress: true }),
      follow({ requestId: 3 }),
    )
    expect(world.frames).toMatchObject([
      { requestId: 1, code: errorCodes.FORBIDDEN.number }, { requestId: 2, code: errorCodes.FORBIDDEN.number },
    ])
    expect(world.broker.follows).toHaveLength(1)
  })

  test('whose changes cannot be sent ends its connection, and the broker goes on', () => {
    const { world, pending } = followingWorld()
    expect(() => pending.sink.changes(-1, true, 0, [])).not.toThrow()
    expect(world.connection.ending?.code).toBe(closeCodes.INTERNAL)
  })
})

test('a ping between all of them is answered', () => {
  const world = welcomedWorld()
  world.hear(follow(), prepare({ requestId: 2 }), ping(5), reply({ requestId: 3, replyTo: 'nobody' }))
  expect(world.sent).toEqual(['PONG', 'ERROR'])
})
