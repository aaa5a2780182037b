// A connection at the relay as a flow: subscriptions and their deliveries, publishes that wait, readers and networks
// that do not keep up.

import { describe, expect, test } from 'vitest'
import { errorCodes } from '../../../core/error-codes.ts'
import { PocketError } from '../../../core/errors.ts'
import { closeCodes } from '../../../core/model/close-codes.ts'
import { encodeFrame } from '../../../core/protocol/codec.ts'
import {
  ack, delivery, expectRefusedRequest, FakeConnection, hello, type PendingSubscribe, ping, publish, pull, rangesOf, receipt,
  SessionWorld, subscribe,
} from './session-world.ts'

describe('publishes that wait for a commit', () => {
  const limits = { publishBytesInFlightMax: 10_000 }

  test('stop the reading of their connection when they are more than it may have, until half is answered', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    const messages = new Uint8Array(850)
    for (let requestId = 1; requestId <= 9; requestId++) world.hear(publish({ requestId, messages }))
    expect(world.connection.isPaused).toBe(false)
    world.hear(publish({ requestId: 10, messages }))
    expect(world.connection.isPaused).toBe(true)
    const answerNext = (): void => world.broker.publishes.shift()?.answer(receipt)
    for (let count = 0; count < 5; count++) answerNext()
    expect(world.connection.isPaused).toBe(true)
    answerNext()
    expect(world.connection.isPaused).toBe(false)
  })

  test('slow down every publisher when all connections together have too many', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    const others = Array.from({ length: 16 }, () => world.accept(new FakeConnection()))
    for (const other of others) {
      other.message(hello())
      other.message(publish({ messages: new Uint8Array(9_700) }))
    }
    expect(world.connection.isPaused).toBe(false)
    world.hear(publish({ requestId: 1, messages: new Uint8Array(1_000) }))
    expect(world.connection.isPaused).toBe(true)
    world.broker.publishes.at(-1)?.answer(receipt)
    expect(world.connection.isPaused).toBe(false)
  })

  test('are not held against the connection as silence', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    world.hear(publish({ messages: new Uint8Array(20_000) }))
    world.clock.advance(10 * world.limits.heartbeatMs)
    expect(world.connection.ending).toBeUndefined()
    world.broker.publishes[0]?.answer(receipt)
    world.clock.advance(2 * world.limits.heartbeatMs - 1)
    expect(world.connection.ending).toBeUndefined()
    world.clock.advance(world.limits.heartbeatMs)
    expect(world.connection.ending?.code).toBe(closeCodes.HEARTBEAT_LOST)
  })

  test('are forgotten with their connection, and their answers go nowhere', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    world.hear(publish())
    world.session.closed(1006, '')
    world.broker.publishes[0]?.answer(receipt)
    world.clock.runUntilIdle()
    expect(world.sent).toEqual(['WELCOME'])
    expect(world.counters.publishBytesInHand).toBe(0)
  })
})

describe('subscriptions', () => {
  test('begin with SUBSCRIBED, and deliveries follow in the same message', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(subscribe({ requestId: 4, subscriptionId: 9 }))
    const pending = world.broker.subscribes[0] as PendingSubscribe
    expect(pending.request).toMatchObject({
      group: 'till', topic: 'orders', clientId: 'c-1', clientName: 'tester', peer: 'test:1',
    })
    pending.accept()
    pending.sink.deliver(delivery())
    world.flushQueue.flushAll()
    expect(world.connection.messages.at(-1)).toMatchObject([
      { name: 'SUBSCRIBED', requestId: 4, subscriptionId: 9, leaseMs: 60_000 },
      { name: 'DELIVER', subscriptionId: 9, leaseId: 1, attempt: 1 },
    ])
  })

  test('may be used before the broker has answered: credit adds up, requests wait', () => {
    const world = new SessionWorld()
    world.greet()
    const credit = encodeFrame('CREDIT', { subscriptionId: 1, messageCount: 5, byteCount: 500 })
    world.hear(subscribe(), credit, credit, ack({ requestId: 2 }))
    expect(world.sent).toEqual(['WELCOME'])
    const membership = (world.broker.subscribes[0] as PendingSubscribe).accept()
    world.clock.runUntilIdle()
    expect(membership.calls).toEqual(['credit 10 1000', 'ack 1'])
    expect(world.sent).toEqual(['WELCOME', 'SUBSCRIBED', 'DONE'])
  })

  test('that the broker refuses take what waited for them along', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(subscribe({ requestId: 1 }), ack({ requestId: 2 }))
    world.broker.subscribes[0]?.answer(new PocketError('BAD_FILTER', 'column 1'))
    world.clock.runUntilIdle()
    expect(world.frames.slice(1)).toMatchObject([
      { requestId: 1, code: errorCodes.BAD_FILTER.number },
      { requestId: 2, code: errorCodes.SUBSCRIPTION_NOT_FOUND.number },
    ])
    world.hear(subscribe({ requestId: 3 }))
    expect(world.broker.subscribes).toHaveLength(2)
  })

  test('pass on acks, retries, extensions and receives, and answer each', () => {
    const world = new SessionWorld()
    world.greet()
    const { membership } = world.subscribe()
    const ranges = rangesOf(2)
    world.hear(
      ack({ requestId: 2, ranges }),
      encodeFrame('RETRY', { requestId: 3, subscriptionId: 1, ranges, how: 'after', delayMs: 50 }),
      encodeFrame('EXTEND', { requestId: 4, subscriptionId: 1, ranges, leaseMs: 9_000 }),
      encodeFrame('RECEIVE', {
        requestId: 5, subscriptionId: 1, attemptId: 1, messageCountMax: 7, leaseMs: 0, waitMs: 0,
      }),
    )
    expect(membership.calls).toEqual(['ack 2', 'retry after 50', 'extend 9000', 'receive 7'])
    expect(world.frames.slice(2)).toMatchObject([
      { name: 'DONE', requestId: 2, failures: [] }, { name: 'DONE', requestId: 3 }, { name: 'DONE', requestId: 4 },
      { name: 'RECEIVED', requestId: 5, messageCount: 0 },
    ])
  })

  test('name the ranges whose lease had ended', () => {
    const world = new SessionWorld()
    world.greet()
    const { membership } = world.subscribe()
    membership.ack = (_ranges, answer) => {
      const failures = [{ index: 1, error: new PocketError('RECEIPT_STALE', 'ended') }]
      world.clock.defer(() => answer(failures as never))
    }
    world.hear(ack({ requestId: 2, ranges: rangesOf(2) }))
    const failures = [{ index: 1, code: errorCodes.RECEIPT_STALE.number }]
    expect(world.frames.at(-1)).toMatchObject({ name: 'DONE', failures })
  })

  test.each([
    ['ACK', ack({ requestId: 8, subscriptionId: 77 })],
    ['UNSUBSCRIBE', encodeFrame('UNSUBSCRIBE', { requestId: 8, subscriptionId: 77 })],
    ['EXTEND', encodeFrame('EXTEND', { requestId: 8, subscriptionId: 77, ranges: [], leaseMs: 1 })],
  ])('that are unknown refuse %s and leave the connection open', (_name, bytes) => {
    const world = new SessionWorld()
    world.greet()
    world.hear(bytes)
    expectRefusedRequest(world, 8, 'SUBSCRIPTION_NOT_FOUND')
  })

  test('of a number that is in use are refused', () => {
    const world = new SessionWorld()
    world.greet()
    world.subscribe(1)
    world.hear(subscribe({ requestId: 5, subscriptionId: 1 }))
    expectRefusedRequest(world, 5, 'BAD_ARGUMENT')
    expect(world.broker.subscribes).toHaveLength(1)
  })

  test('are limited per connection: the last is taken, one more is not, and one that left makes room', () => {
    const world = new SessionWorld({ limits: { subscriptionsPerConnectionMax: 3 } })
    world.greet()
    for (let id = 1; id <= 3; id++) world.subscribe(id)
    world.hear(subscribe({ requestId: 4, subscriptionId: 4 }))
    expectRefusedRequest(world, 4, 'LIMIT_EXCEEDED')
    world.hear(encodeFrame('UNSUBSCRIBE', { requestId: 5, subscriptionId: 2 }))
    world.hear(subscribe({ requestId: 6, subscriptionId: 4 }))
    expect(world.broker.subscribes).toHaveLength(4)
  })

  test('that are left deliver nothing more', () => {
    const world = new SessionWorld()
    world.greet()
    const { membership, sink } = world.subscribe()
    world.hear(encodeFrame('UNSUBSCRIBE', { requestId: 2, subscriptionId: 1 }))
    expect(membership.calls).toEqual(['leave'])
    expect(sink.isWritable).toBe(false)
    sink.deliver(delivery())
    world.clock.runUntilIdle()
    expect(world.sent).toEqual(['WELCOME', 'SUBSCRIBED', 'DONE'])
  })

  test('that the broker ends are told so and forgotten', () => {
    const world = new SessionWorld()
    world.greet()
    const { membership, sink } = world.subscribe()
    sink.gap(2, { epoch: 1, offset: 5 }, { epoch: 1, offset: 9 })
    sink.revoked(new PocketError('TOPIC_NOT_FOUND', 'the topic was deleted'))
    sink.deliver(delivery())
    world.clock.runUntilIdle()
    expect(world.frames.slice(2)).toMatchObject([
      { name: 'GAP', queueId: 2, expected: { offset: 5 }, next: { offset: 9 } },
      { name: 'REVOKED', subscriptionId: 1, code: errorCodes.TOPIC_NOT_FOUND.number },
    ])
    expect(world.session.streamCount).toBe(0)
    expect(membership.calls).toEqual([])
  })

  test('are detached and pulls cancelled when the connection ends, by whichever side', () => {
    for (const end of ['peer', 'relay'] as const) {
      const world = new SessionWorld()
      world.greet()
      const first = world.subscribe(1)
      const second = world.subscribe(2)
      world.hear(pull({ requestId: 7 }))
      if (end === 'peer') world.session.closed(1006, '')
      else world.session.finish('NORMAL', 'bye')
      expect(first.membership.calls).toEqual(['detach'])
      expect(second.membership.calls).toEqual(['detach'])
      expect(world.broker.pulls).toMatchObject([{ isCancelled: true }])
    }
  })

  test('that are answered after the connection ended are detached at once', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(subscribe())
    world.session.closed(1006, '')
    const membership = (world.broker.subscribes[0] as PendingSubscribe).accept()
    expect(membership.calls).toEqual(['detach'])
  })
})

describe('a reader that does not keep up', () => {
  const limits = { sendBufferBytesMax: 10_000, slowReaderMs: 3_000 }

  test('gets no deliveries over the mark, and the membership hears when there is room again', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    const { membership, sink } = world.subscribe()
    world.connection.isStuck = true
    expect(sink.isWritable).toBe(true)
    sink.deliver(delivery(9_999))
    expect(sink.isWritable).toBe(false)
    world.clock.runUntilIdle()
    expect(sink.isWritable).toBe(false)
    expect(membership.calls).toEqual([])
    world.connection.bufferedBytes = 4_000
    world.session.drained()
    expect(membership.calls).toEqual(['writable'])
    expect(sink.isWritable).toBe(true)
  })

  test('that takes all at once is fed again right after the flush', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    const { membership, sink } = world.subscribe()
    sink.deliver(delivery(20_000))
    expect(sink.isWritable).toBe(false)
    world.clock.runUntilIdle()
    expect(membership.calls).toEqual(['writable'])
  })

  test('is closed with SLOW_READER when it stays over the mark for too long, and not before', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    const { membership, sink } = world.subscribe()
    world.connection.isStuck = true
    sink.deliver(delivery(12_000))
    world.clock.advance(2_999)
    expect(world.connection.ending).toBeUndefined()
    world.clock.advance(1)
    expect(world.connection.ending?.code).toBe(closeCodes.SLOW_READER)
    expect(membership.calls).toEqual(['detach'])
    expect(world.counters.slowReaders).toBe(1)
  })

  test('that is slow but goes on reading stays', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    const { sink } = world.subscribe()
    world.connection.isStuck = true
    sink.deliver(delivery(12_000))
    world.clock.runUntilIdle()
    world.connection.bufferedBytes = 8_000
    world.clock.advance(3_000)
    expect(world.connection.ending).toBeUndefined()
    world.connection.bufferedBytes = 4_000
    world.session.drained()
    world.clock.advance(6_000)
    expect(world.connection.ending).toBeUndefined()
  })

  test('is not read from while answers to its own requests pile up', () => {
    const world = new SessionWorld({ limits })
    world.greet()
    world.connection.isStuck = true
    world.hear(pull())
    world.broker.pulls[0]?.answer({
      from: { epoch: 1, offset: 0 }, next: { epoch: 1, offset: 9 }, minOffset: 0, maxOffset: 9,
      records: [new Uint8Array(25_000)],
    })
    world.clock.runUntilIdle()
    expect(world.connection.isPaused).toBe(true)
    world.connection.bufferedBytes = 0
    world.session.drained()
    expect(world.connection.isPaused).toBe(false)
  })

  test('is sent a burst in several messages, none near the largest that a client takes', () => {
    const world = new SessionWorld()
    world.greet()
    const { sink } = world.subscribe()
    for (let count = 0; count < 40; count++) sink.deliver(delivery(100_000))
    world.clock.runUntilIdle()
    const bursts = world.connection.messages.slice(2)
    expect(bursts.flat()).toHaveLength(40)
    expect(Math.max(...bursts.map((frames) => frames.length))).toBeLessThanOrEqual(6)
  })
})

describe('a connection that is half open', () => {
  test('is closed after two silent heartbeats, and anything heard begins them anew', () => {
    const world = new SessionWorld({ limits: { heartbeatMs: 10_000 } })
    world.greet()
    const { membership } = world.subscribe()
    world.clock.advance(19_000)
    world.hear(ping())
    world.clock.advance(19_000)
    expect(world.connection.ending).toBeUndefined()
    world.clock.advance(6_000)
    expect(world.connection.ending?.code).toBe(closeCodes.HEARTBEAT_LOST)
    expect(membership.calls).toEqual(['detach'])
    expect(world.counters.lostHeartbeats).toBe(1)
  })
})
