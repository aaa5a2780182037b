// A connection at the relay as a state machine: what each frame does in each state, bad input of every kind, requests,
// the end of a relay and bugs. How bytes flow is in server-session-flow.test.ts.

import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../core/bytes.ts'
import { errorCodes } from '../../../core/error-codes.ts'
import { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { closeCodes } from '../../../core/model/close-codes.ts'
import { encodeFrame } from '../../../core/protocol/codec.ts'
import type { Principal } from '../../../core/session/auth.ts'
import { requestsInHandMax } from '../../../core/session/server-requests.ts'
import {
  ack, delivery, expectRefusedConnection, expectRefusedRequest, FakeConnection, groupOptions, hello, onlyError, ping,
  publish, pull, receipt, SessionWorld, subscribe, topicOptions,
} from './session-world.ts'

describe('greeting', () => {
  test('answers HELLO with WELCOME and the limits that the client keeps to', () => {
    const world = new SessionWorld({ limits: { heartbeatMs: 9_000, bodyBytesMax: 1_000 } })
    world.greet()
    expect(world.frames).toMatchObject([
      {
        name: 'WELCOME', version: 1, relayId: 'relay-1', heartbeatMs: 9_000, bodyBytesMax: 1_000,
        batchMessageCountMax: 16_384,
      },
    ])
  })

  test('chooses the highest version that both speak', () => {
    const world = new SessionWorld()
    world.hear(hello({ versionMin: 0, versionMax: 200 }))
    expect(world.frames).toMatchObject([{ name: 'WELCOME', version: 1 }])
  })

  test.each([[2, 9], [0, 0], [1, 0]])('refuses a client that speaks versions %i to %i', (versionMin, versionMax) => {
    const world = new SessionWorld()
    world.hear(hello({ versionMin, versionMax }))
    expectRefusedConnection(world, 'UNSUPPORTED_VERSION', 'UNSUPPORTED_VERSION')
  })

  test('closes a connection that says nothing in time, and not before; it may come again', () => {
    const world = new SessionWorld({ limits: { helloTimeoutMs: 5_000 } })
    world.clock.advance(4_999)
    expect(world.connection.ending).toBeUndefined()
    world.clock.advance(1)
    expect(world.sent).toEqual([])
    expect(world.connection.ending?.code).toBe(closeCodes.HEARTBEAT_LOST)
  })

  test('asks the authenticator with what HELLO said, and waits for its verdict', () => {
    let answer: ((verdict: Principal | PocketError) => void) | undefined
    const asked: unknown[] = []
    const world = new SessionWorld({
      authenticate: (token, info, verdict) => {
        asked.push(token, info)
        answer = verdict
      },
    })
    world.hear(hello({ token: 'secret' }))
    expect(asked).toEqual(['secret', { clientId: 'c-1', clientName: 'tester', peer: 'test:1' }])
    expect(world.sent).toEqual([])
    answer?.(somebody())
    world.clock.runUntilIdle()
    expect(world.sent).toEqual(['WELCOME'])
  })

  test('refuses a token in words and with a code that says stop', () => {
    const world = new SessionWorld({
      authenticate: (_token, _info, answer) => answer(new PocketError('UNAUTHENTICATED', 'the token has expired')),
    })
    world.greet()
    expectRefusedConnection(world, 'UNAUTHENTICATED', 'UNAUTHENTICATED')
    expect(onlyError(world).message).toBe('the token has expired')
  })

  test('tells a client to come again when its token could not be checked in time', () => {
    const world = new SessionWorld({ authenticate: () => {}, limits: { helloTimeoutMs: 5_000 } })
    world.greet()
    world.clock.advance(5_000)
    expectRefusedConnection(world, 'OVERLOADED', 'OVERLOADED')
  })

  test('ignores a verdict that comes after the end', () => {
    let answer: ((verdict: Principal | PocketError) => void) | undefined
    const world = new SessionWorld({ authenticate: (_token, _info, verdict) => (answer = verdict) })
    world.greet()
    world.session.closed(1006, '')
    answer?.(somebody())
    world.clock.runUntilIdle()
    expect(world.sent).toEqual([])
  })
})

function somebody(allowed: Partial<Principal> = {}): Principal {
  return { name: 'somebody', mayPublish: () => true, mayConsume: () => true, mayAdmin: () => true, ...allowed }
}

type State = 'greeting' | 'authenticating' | 'open' | 'draining' | 'ended'
type Event = 'HELLO' | 'PING' | 'request' | 'CREDIT' | 'bad bytes' | 'closed' | 'silence'
type Outcome = 'nothing' | 'WELCOME' | 'PONG' | 'asks the broker' | keyof typeof closeCodes | 'is over'

describe('every event in every state', () => {
  const expected: Record<State, Record<Event, Outcome>> = {
    'greeting': {
      'HELLO': 'WELCOME', 'PING': 'HELLO_EXPECTED', 'request': 'HELLO_EXPECTED', 'CREDIT': 'HELLO_EXPECTED',
      'bad bytes': 'BAD_FRAME', 'closed': 'is over', 'silence': 'HEARTBEAT_LOST',
    },
    'authenticating': {
      'HELLO': 'HELLO_EXPECTED', 'PING': 'HELLO_EXPECTED', 'request': 'HELLO_EXPECTED', 'CREDIT': 'HELLO_EXPECTED',
      'bad bytes': 'BAD_FRAME', 'closed': 'is over', 'silence': 'OVERLOADED',
    },
    'open': {
      'HELLO': 'HELLO_EXPECTED', 'PING': 'PONG', 'request': 'asks the broker', 'CREDIT': 'nothing',
      'bad bytes': 'BAD_FRAME', 'closed': 'is over', 'silence': 'HEARTBEAT_LOST',
    },
    'draining': {
      'HELLO': 'nothing', 'PING': 'nothing', 'request': 'nothing', 'CREDIT': 'nothing',
      'bad bytes': 'nothing', 'closed': 'is over', 'silence': 'HEARTBEAT_LOST',
    },
    'ended': {
      'HELLO': 'nothing', 'PING': 'nothing', 'request': 'nothing', 'CREDIT': 'nothing',
      'bad bytes': 'nothing', 'closed': 'is over', 'silence': 'nothing',
    },
  }

  const bringTo: Record<State, () => SessionWorld> = {
    greeting: () => new SessionWorld(),
    authenticating() {
      const world = new SessionWorld({ authenticate: () => {} })
      world.greet()
      return world
    },
    open() {
      const world = new SessionWorld()
      world.greet()
      return world
    },
    draining() {
      const world = this.open()
      world.session.drain()
      return world
    },
    ended() {
      const world = this.open()
      world.session.finish('NORMAL', 'done')
      return world
    },
  }

  const cause: Record<Event, (world: SessionWorld) => void> = {
    'HELLO': (world) => world.hear(hello()),
    'PING': (world) => world.hear(ping()),
    'request': (world) => world.hear(encodeFrame('DESCRIBE_TOPIC', { requestId: 5, topic: 'orders' })),
    'CREDIT': (world) => world.hear(encodeFrame('CREDIT', { subscriptionId: 9, messageCount: 1, byteCount: 1 })),
    'bad bytes': (world) => world.hear(new Uint8Array([255, 0, 0, 0, 0])),
    'closed': (world) => world.session.closed(1006, ''),
    'silence': (world) => world.clock.advance(2.5 * world.limits.heartbeatMs),
  }

  const cases = (Object.keys(expected) as State[]).flatMap((state) =>
    (Object.keys(expected[state]) as Event[]).map((event) => [state, event, expected[state][event]] as const))

  test.each(cases)('%s: %s leads to %s', (state, event, outcome) => {
    const world = bringTo[state]()
    const before = { frames: world.frames.length, ending: world.connection.ending, ended: world.endedCount }
    cause[event](world)
    const sent = world.sent.slice(before.frames)
    const { ending } = world.connection
    if (outcome === 'nothing') {
      const nothing = { sent: [], ending: before.ending, ended: before.ended }
      expect({ sent, ending, ended: world.endedCount }).toEqual(nothing)
    } else if (outcome === 'is over') {
      expect(world.endedCount).toBe(1)
    } else if (outcome === 'WELCOME' || outcome === 'PONG') {
      expect({ sent, ending }).toEqual({ sent: [outcome], ending: undefined })
    } else if (outcome === 'asks the broker') {
      expect({ sent, asked: world.broker.asked }).toEqual({ sent: ['TOPIC'], asked: ['describe orders'] })
    } else {
      expect(ending?.code).toBe(closeCodes[outcome])
      expect(sent).toEqual(outcome === 'HEARTBEAT_LOST' ? [] : ['ERROR'])
    }
  })
})

describe('bad bytes', () => {
  const frames = { hello: hello(), ping: ping(), publish: publish(), subscribe: subscribe(), ack: ack(), pull: pull() }

  test.each([
    ['nothing at all', new Uint8Array(0)],
    ['an unknown frame type', new Uint8Array([99, 0, 0, 0, 0])],
    ['a frame of the other direction', encodeFrame('PONG', { nonce: 1 })],
    ['a frame longer than its message', new Uint8Array([2, 255, 255, 255, 255])],
    ['bytes behind the fields of a frame', new Uint8Array([2, 5, 0, 0, 0, 1, 2, 3, 4, 5])],
    ['a list longer than is allowed', ackOfCount(8_193)],
    ['a list longer than its frame', ackOfCount(8_000).subarray(0, 9)],
    ['a text that is not UTF-8', new Uint8Array([15, 4, 0, 0, 0, 1, 2, 0xff, 0xfe])],
    ['request id 0', publish({ requestId: 0 })],
  ])('%s ends the connection with BAD_FRAME', (_what, bytes) => {
    const world = new SessionWorld()
    world.greet()
    world.hear(bytes)
    expectRefusedConnection(world, 'BAD_FRAME', 'BAD_FRAME')
    expect(world.connection.ending?.code).toBeGreaterThanOrEqual(4500)
  })

  test('every truncation of every frame is refused, and none gets through', () => {
    for (const [name, bytes] of Object.entries(frames)) {
      for (let length = 1; length < bytes.length; length++) {
        const world = new SessionWorld()
        if (name !== 'hello') world.greet()
        world.hear(bytes.subarray(0, length))
        expect(world.connection.ending?.code, `${name} cut to ${length} bytes`).toBe(closeCodes.BAD_FRAME)
        expect(world.counters.crashes).toBe(0)
      }
    }
  })

  test('a message of the largest size is heard, and one byte more is not', () => {
    const messageBytes = (size: number): Uint8Array => publish({ messages: new Uint8Array(size) })
    const overhead = messageBytes(0).length
    const world = new SessionWorld({ limits: { frameBytesMax: 2_000_000 } })
    world.greet()
    world.hear(messageBytes(2_000_000 - overhead))
    expect(world.broker.publishes).toHaveLength(1)
    world.hear(messageBytes(2_000_001 - overhead))
    expect(world.broker.publishes).toHaveLength(1)
    expectRefusedConnection(world, 'LIMIT_EXCEEDED', 'LIMIT_EXCEEDED')
  })

  test('a message before WELCOME holds a HELLO, the longest one too, and not more', () => {
    const longest = hello({ clientId: 'i'.repeat(64), clientName: 'n'.repeat(512), token: 't'.repeat(4_096) })
    const world = new SessionWorld()
    world.hear(longest)
    expect(world.sent).toEqual(['WELCOME'])
    const other = new SessionWorld()
    other.hear(publish({ messages: new Uint8Array(10_000) }))
    expectRefusedConnection(other, 'LIMIT_EXCEEDED', 'LIMIT_EXCEEDED')
  })

  test('what stood before the bad frame in its message is done, what stands behind is not', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(publish({ requestId: 1 }), new Uint8Array([99, 0, 0, 0, 0]), publish({ requestId: 2 }))
    expect(world.broker.publishes).toHaveLength(1)
    expect(world.connection.ending?.code).toBe(closeCodes.BAD_FRAME)
  })

  test('nothing is heard after the end', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(new Uint8Array([99, 0, 0, 0, 0]))
    world.hear(publish())
    expect(world.broker.publishes).toEqual([])
  })
})

/** An ACK whose list is as long as it says; encoders refuse to write more than a frame may have. */
function ackOfCount(count: number): Uint8Array {
  const writer = new ByteWriter()
  writer.u8(7)
  writer.u32(4 + 4 * count)
  for (const value of [1, 1, count]) writer.varint(value)
  writer.raw(new Uint8Array(4 * count))
  return writer.finish()
}


describe('requests', () => {
  test('are answered under their own ids, in the order of the answers, several to a message', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(publish({ requestId: 11 }), publish({ requestId: 12 }))
    const [first, second] = world.broker.publishes
    second?.answer({ ...receipt, storedMs: 5, segments: [{ queueId: 0, epoch: 1, offset: 1, count: 1 }] })
    first?.answer(new PocketError('SEQUENCE_GAP', 'too far'))
    world.flushQueue.flushAll()
    expect(world.connection.messages.at(-1)).toMatchObject([
      { name: 'PUBLISHED', requestId: 12, storedMs: 5 },
      { name: 'ERROR', requestId: 11, code: errorCodes.SEQUENCE_GAP.number },
    ])
  })

  test('of each kind reach the broker and are answered', () => {
    const world = new SessionWorld()
    world.greet()
    const name = { topic: 'orders', group: 'till', after: '', containing: '', countMax: 10 }
    const start = { kind: 'earliest' } as const
    world.hear(
      encodeFrame('QUERY', {
        requestId: 1, topic: 'orders', messageId: undefined, key: 'k', fromMs: 0, toMs: 1, after: undefined, messageCountMax: 1,
      }),
      encodeFrame('CREATE_TOPIC', {
        requestId: 2, topic: 'orders',
        options: topicOptions({ queueCount: 3 }),
      }),
      encodeFrame('LIST_TOPICS', { requestId: 3, ...name, after: '' }),
      encodeFrame('DESCRIBE_TOPIC', { requestId: 4, topic: 'orders' }),
      encodeFrame('DELETE_TOPIC', { requestId: 5, topic: 'orders' }),
      encodeFrame('CONFIGURE_GROUP', {
        requestId: 6, group: 'till', options: groupOptions({ attemptCountMax: 3 }),
      }),
      encodeFrame('LIST_GROUPS', { requestId: 7, ...name }),
      encodeFrame('DESCRIBE_GROUP', { requestId: 8, group: 'till' }),
      encodeFrame('RESET_GROUP', { requestId: 9, group: 'till', topic: 'orders', queueId: undefined, to: start }),
    )
    expect(world.sent).toEqual([
      'WELCOME', 'MESSAGES', 'TOPIC', 'TOPICS', 'TOPIC', 'DONE', 'GROUP', 'GROUPS', 'GROUP', 'GROUP',
    ])
    expect(world.broker.asked).toHaveLength(9)
    expect(world.session.requestsInHand).toBe(0)
  })

  test('that the broker refuses leave the connection open, with the text and when to try again', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(publish({ requestId: 3 }))
    world.broker.publishes[0]?.answer(new PocketError('STORE_FULL', 'no room', { retryAfterMs: 1_500 }))
    world.clock.runUntilIdle()
    expectRefusedRequest(world, 3, 'STORE_FULL')
    expect(onlyError(world)).toMatchObject({ message: 'no room', retryAfterMs: 1_500 })
  })

  test('are refused with a text that fits its frame, whatever its length and script', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(publish({ requestId: 3 }))
    world.broker.publishes[0]?.answer(new PocketError('BAD_NAME', 'ü漢🙂'.repeat(300)))
    world.clock.runUntilIdle()
    const { message } = onlyError(world)
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(fixedLimits.textBytesMax)
    expect(message).toMatch(/^(?:ü漢🙂){50}/u)
    expect(message).not.toContain('\ufffd')
  })

  test('that the principal may not make are FORBIDDEN one by one', () => {
    const deny = () => false
    const principal = somebody({ mayPublish: deny, mayAdmin: (what) => what.topic === 'mine' })
    const world = new SessionWorld({ authenticate: (_token, _info, answer) => answer(principal) })
    world.greet()
    world.hear(
      publish({ requestId: 1 }), subscribe({ requestId: 2 }),
      encodeFrame('DELETE_TOPIC', { requestId: 3, topic: 'orders' }),
      encodeFrame('DELETE_TOPIC', { requestId: 4, topic: 'mine' }),
    )
    const refused = world.frames.filter((frame) => frame.name === 'ERROR')
    expect(refused).toMatchObject([
      { requestId: 1, code: errorCodes.FORBIDDEN.number }, { requestId: 3, code: errorCodes.FORBIDDEN.number },
    ])
    expect(world.broker.publishes).toEqual([])
    expect(world.broker.subscribes).toHaveLength(1)
    expect(world.broker.asked).toEqual(['delete mine'])
  })

  test('beyond the number that may wait are refused with OVERLOADED, until one is answered', () => {
    const world = new SessionWorld()
    world.greet()
    for (let requestId = 1; requestId <= requestsInHandMax; requestId++) world.session.message(pull({ requestId }))
    expect(world.broker.pulls).toHaveLength(requestsInHandMax)
    world.hear(pull({ requestId: 90_001 }))
    expect(world.broker.pulls).toHaveLength(requestsInHandMax)
    expectRefusedRequest(world, 90_001, 'OVERLOADED')
    world.broker.pulls[0]?.answer(new PocketError('TOPIC_NOT_FOUND', 'none'))
    world.hear(pull({ requestId: 90_002 }))
    expect(world.broker.pulls).toHaveLength(requestsInHandMax + 1)
  })

  test('to pull share the bytes of their answers, so that many at once bring no more than a few', () => {
    const world = new SessionWorld()
    world.greet()
    for (let requestId = 1; requestId <= 100; requestId++) world.session.message(pull({ requestId, byteCountMax: 1e9 }))
    const sizes = world.broker.pulls.map(({ request }) => request.byteCountMax)
    expect(sizes[0]).toBe(world.limits.readChunkBytes)
    expect(sizes[99]).toBeLessThan(50_000)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(32 * 1024 * 1024)
  })
})

describe('a relay that stops', () => {
  test('is announced; requests are served on, deliveries pause', () => {
    const world = new SessionWorld()
    world.greet()
    const { sink } = world.subscribe()
    world.session.announceStop(500)
    world.session.announceStop(500)
    world.hear(ack())
    expect(world.frames.slice(2)).toMatchObject([
      { name: 'STOPPING', retryAfterMs: 500 }, { name: 'DONE', requestId: 2 },
    ])
    expect(sink.isWritable).toBe(false)
  })

  test('hears nothing while it drains, answers what came before, then closes', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(publish({ requestId: 1 }))
    world.session.drain()
    world.hear(publish({ requestId: 2 }))
    expect(world.broker.publishes).toHaveLength(1)
    world.broker.publishes[0]?.answer(receipt)
    world.session.finish('RELAY_STOPPING', 'the relay is stopping')
    expect(world.sent).toEqual(['WELCOME', 'PUBLISHED'])
    expect(world.connection.ending).toEqual({ code: closeCodes.RELAY_STOPPING, reason: 'the relay is stopping' })
  })

  test('whose store failed says so in words and with a code that says reconnect', () => {
    const world = new SessionWorld()
    world.greet()
    world.session.finish('STORE_FAILED', new PocketError('STORE_FAILED', 'the store failed'))
    expectRefusedConnection(world, 'STORE_FAILED', 'STORE_FAILED')
  })
})

describe('a bug in the relay', () => {
  function expectCrash(world: SessionWorld): void {
    expectRefusedConnection(world, 'INTERNAL', 'INTERNAL')
    expect(onlyError(world).message).not.toContain('a bug of this test')
    const line = world.log.find(({ level }) => level === 'error')
    expect(line?.fields).toMatchObject({ peer: 'test:1', error: 'a bug of this test' })
    expect(line?.fields.stack).toContain('server-session.test.ts')
    expect(world.counters.crashes).toBe(1)
  }

  const fail = (): never => {
    throw new Error('a bug of this test')
  }

  test('met in a request ends that connection alone, with INTERNAL and the stack in the log', () => {
    const world = new SessionWorld()
    const other = new FakeConnection()
    const otherSession = world.accept(other)
    otherSession.message(hello())
    world.greet()
    world.broker.door.publish = fail
    world.hear(publish())
    expectCrash(world)
    otherSession.message(ping())
    world.clock.runUntilIdle()
    expect(other.frames.map((frame) => frame.name)).toEqual(['WELCOME', 'PONG'])
    expect(other.ending).toBeUndefined()
  })

  test('met in the authenticator ends that connection alone', () => {
    const world = new SessionWorld({ authenticate: fail })
    world.greet()
    expectCrash(world)
  })

  test('met in an answer does not reach the broker', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(publish())
    const broken = { ...receipt, get segments(): never { return fail() } }
    expect(() => world.broker.publishes[0]?.answer(broken)).not.toThrow()
    expectCrash(world)
  })

  test('met in a delivery does not reach the broker', () => {
    const world = new SessionWorld()
    world.greet()
    const { sink } = world.subscribe()
    const broken = { ...delivery(), get next(): never { return fail() } }
    expect(() => sink.deliver(broken)).not.toThrow()
    expectCrash(world)
  })

  test('met while others are released does not keep them from it', () => {
    const world = new SessionWorld()
    world.greet()
    const first = world.subscribe(1)
    const second = world.subscribe(2)
    first.membership.detach = fail
    world.session.closed(1006, '')
    expect(second.membership.calls).toEqual(['detach'])
    expect(world.endedCount).toBe(1)
  })

  test('that the broker answers as INTERNAL is logged, and the connection stays', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(publish({ requestId: 6 }))
    world.broker.publishes[0]?.answer(new PocketError('INTERNAL', 'odd', { cause: new Error('beneath') }))
    world.clock.runUntilIdle()
    expectRefusedRequest(world, 6, 'INTERNAL')
    expect(world.log.find(({ level }) => level === 'error')?.fields.error).toBe('beneath')
  })
})

describe('counting', () => {
  test('is of connections, bytes, frames, answers and errors', () => {
    const world = new SessionWorld()
    world.greet()
    world.hear(publish({ requestId: 1 }), publish({ requestId: 2 }))
    world.clock.advance(20)
    world.broker.publishes[0]?.answer(receipt)
    world.broker.publishes[1]?.answer(new PocketError('STORE_FULL', 'no room'))
    world.clock.runUntilIdle()
    const { counters } = world
    expect(counters).toMatchObject({
      openCount: 1, acceptedCount: 1, framesIn: 3, transportMessagesIn: 2, transportMessagesOut: 2,
    })
    expect(counters.bytesIn).toBe(hello().length + 2 * publish().length)
    expect(counters.bytesOut).toBeGreaterThan(50)
    expect([...counters.errors]).toEqual([['STORE_FULL', 1]])
    const times = counters.answerTimes.get('PUBLISH')
    expect(times?.succeededMs).toMatchObject({ count: 1, sum: 20 })
    expect(times?.failedMs).toMatchObject({ count: 1, sum: 20 })
    world.session.closed(1000, '')
    expect(counters.openCount).toBe(0)
  })
})
