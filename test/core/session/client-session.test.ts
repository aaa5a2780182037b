// A client's side of a connection, against a relay that does as the test says.

import { describe, expect, test } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { closeCodes } from '../../../core/model/close-codes.ts'
import { silentLog } from '../../../core/ports/log.ts'
import {
  ClientSession, type ClientSessionOptions, type SessionParticipant, type SubscriptionSink,
} from '../../../core/session/client-session.ts'
import type { CallOutcome } from '../../../core/session/requests.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { FlakyDialler } from '../../support/flaky-dialler.ts'
import { ScriptedRelay, someWelcome } from '../../support/scripted-relay.ts'
import { pass, settle } from '../../support/sim-wait.ts'

interface SessionWorld {
  readonly clock: SimClock
  readonly relay: ScriptedRelay
  readonly network: FlakyDialler
  readonly session: ClientSession
  /** `state code`, as `changed` told. */
  readonly states: string[]
}

function openWorld(options: Partial<ClientSessionOptions> = {}): SessionWorld {
  const clock = new SimClock()
  const relay = new ScriptedRelay(clock)
  const network = new FlakyDialler(relay.dialler, clock)
  const states: string[] = []
  const session = new ClientSession({ dialler: network, clock, random: createSimRandom(1), log: silentLog }, {
    clientName: 'tester',
    token: () => 'secret',
    connectTimeoutMs: 10_000,
    changed: (state, error) => states.push(error === undefined ? state : `${state} ${error.code}`),
    ...options,
  })
  return { clock, relay, network, session, states }
}

async function connectedWorld(options: Partial<ClientSessionOptions> = {}): Promise<SessionWorld> {
  const world = openWorld(options)
  world.session.start()
  await settle(world.clock)
  expect(world.session.state).toBe('connected')
  return world
}

/** Writes down what the session tells it. */
function participantOf(session: ClientSession): { participant: SessionParticipant; told: string[] } {
  const told: string[] = []
  const participant = {
    linked: () => told.push('linked'),
    unlinked: () => told.push('unlinked'),
    ended: (error: PocketError) => told.push(`ended ${error.code}`),
  }
  session.join(participant)
  return { participant, told }
}

const topicAnswer = {
  topic: 'orders',
  config: {
    queueCount: 1, messageType: 'NORMAL', retentionMs: 0, retentionBytes: 0, cleanupPolicy: 'DELETE', ttlMs: 0, tracePermille: 0,
    durability: 'strict',
  },
  delayedCount: 0,
  queues: [],
  groups: [],
} as const

/** A call that is answered with TOPIC; its outcomes are written down. */
function describeOrders(session: ClientSession, outcomes: string[], isRepeatable = true): () => void {
  return session.call(
    { name: 'DESCRIBE_TOPIC', fields: { topic: 'orders' }, answer: 'TOPIC', timeoutMs: 30_000, isRepeatable },
    (outcome: CallOutcome<'TOPIC'>) => outcomes.push(outcome instanceof PocketError ? outcome.code : outcome.topic),
  )
}

describe('connecting', () => {
  test('says who it is, and is connected once welcomed', async () => {
    const { relay, session, states } = await connectedWorld()
    const hello = { versionMin: 1, versionMax: 1, clientName: 'tester', token: 'secret' }
    expect(relay.line.heard('HELLO')).toMatchObject([hello])
    const { heartbeatMs, frameBytesMax } = someWelcome
    expect(session.limits).toMatchObject({ heartbeatMs, frameBytesMax })
    expect(states).toEqual(['connected'])
  })

  test('keeps its client id over reconnects', async () => {
    const { clock, relay } = await connectedWorld()
    relay.line.close(closeCodes.SLOW_READER)
    await pass(clock, 1_000)
    const [first, second] = relay.lines.map((line) => line.heard('HELLO')[0]?.clientId)
    expect(first).toMatch(/^[0-9a-f]{16}$/)
    expect(second).toBe(first)
  })

  test('waits for a token that takes its time, and says why it is asked for', async () => {
    const reasons: string[] = []
    const resolves: ((token: string) => void)[] = []
    const { clock, relay, session } = openWorld({
      token: ({ reason }) => {
        reasons.push(reason)
        return new Promise((resolve) => resolves.push(resolve))
      },
    })
    session.start()
    await settle(clock)
    expect(relay.lines).toHaveLength(0)
    resolves[0]?.('first')
    await settle(clock)
    relay.line.close(closeCodes.OVERLOADED)
    await pass(clock, 1_000)
    resolves[1]?.('second')
    await settle(clock)
    expect(reasons).toEqual(['connect', 'reconnect'])
    expect(relay.lines.map((line) => line.heard('HELLO')[0]?.token)).toEqual(['first', 'second'])
  })

  test('a token that never comes is given up, aborted, and asked for again', async () => {
    const signals: AbortSignal[] = []
    const { clock, session } = openWorld({
      connectTimeoutMs: 100_000,
      token: ({ signal }) => {
        signals.push(signal)
        return new Promise(() => {})
      },
    })
    session.start()
    await pass(clock, 31_000)
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false])
  })

  test('a token that comes too late is ignored', async () => {
    const resolves: ((token: string) => void)[] = []
    const { clock, relay, session } = openWorld({
      connectTimeoutMs: 100_000,
      token: () => new Promise((resolve) => resolves.push(resolve)),
    })
    session.start()
    await pass(clock, 31_000)
    resolves[0]?.('late')
    await settle(clock)
    expect(relay.lines).toHaveLength(0)
    resolves[1]?.('good')
    await settle(clock)
    expect(relay.line.heard('HELLO')[0]?.token).toBe('good')
  })

  test('a token that can not be fetched is tried for again; the application can say stop', async () => {
    const failures = [new TypeError('fetch failed'), new PocketError('UNAUTHENTICATED', 'log in first')]
    const { clock, session, states } = openWorld({ token: () => Promise.reject(failures.shift()) })
    session.start()
    await pass(clock, 1_000)
    expect(states).toEqual(['waiting CONNECTION_REFUSED', 'connecting', 'closed UNAUTHENTICATED'])
  })

  test('a token function that throws is a failed token, not a crash', async () => {
    const { clock, session, states } = openWorld({
      token: () => {
        throw new Error('no session')
      },
    })
    session.start()
    await settle(clock)
    expect(states[0]).toBe('waiting CONNECTION_REFUSED')
  })

  test('a token larger than HELLO holds is refused before it is sent', async () => {
    const { clock, relay, session, states } = openWorld({ token: () => 'x'.repeat(5_000) })
    session.start()
    await settle(clock)
    expect(states).toEqual(['closed BAD_ARGUMENT'])
    expect(relay.lines).toHaveLength(0)
  })

  test('gives up when no relay answers in time, and says why', async () => {
    const { clock, network, session, states } = openWorld()
    network.isDown = true
    session.start()
    await pass(clock, 60_000)
    expect(states.at(-1)).toBe('closed CONNECTION_REFUSED')
    expect(network.dialCount).toBeGreaterThan(3)
    expect(clock.nextTimerMs).toBeUndefined()
  })

  test('a relay that accepts and says nothing is not waited for without end', async () => {
    const { clock, relay, session } = openWorld({ connectTimeoutMs: 60_000 })
    relay.script = { HELLO() {} }
    session.start()
    await pass(clock, 9_000)
    relay.script = {}
    await pass(clock, 2_000)
    expect(session.state).toBe('connected')
    expect(relay.lines[0]?.ending?.code).toBe(closeCodes.HEARTBEAT_LOST)
  })

  test('a refused token stops the client with what the relay said', async () => {
    const { clock, relay, session, states, network } = openWorld()
    relay.script = {
      HELLO(_frame, line) {
        line.refuse(0, 'UNAUTHENTICATED')
        line.close(closeCodes.UNAUTHENTICATED)
      },
    }
    session.start()
    await pass(clock, 60_000)
    expect(states).toEqual(['closed UNAUTHENTICATED'])
    expect(network.dialCount).toBe(1)
  })

  test('a relay of another version stops the client', async () => {
    const { clock, relay, session, states } = openWorld()
    relay.welcome = { ...someWelcome, version: 9 }
    session.start()
    await settle(clock)
    expect(states).toEqual(['closed UNSUPPORTED_VERSION'])
    expect(relay.line.ending?.code).toBe(closeCodes.UNSUPPORTED_VERSION)
  })
})

describe('reconnecting', () => {
  test('tells its participants, in the order in which they joined', async () => {
    const { clock, relay, session } = await connectedWorld()
    const { told } = participantOf(session)
    const order: string[] = []
    for (const name of ['a', 'b']) {
      session.join({ linked: () => order.push(name), unlinked() {}, ended() {} })
    }
    relay.line.close(closeCodes.STORE_FAILED)
    await pass(clock, 1_000)
    session.close()
    await settle(clock)
    expect(told).toEqual(['linked', 'unlinked', 'linked', 'unlinked', 'ended CLOSED'])
    expect(order).toEqual(['a', 'b', 'a', 'b'])
  })

  test('a half-open connection is noticed by its silence and dialled again', async () => {
    const { clock, network, session, states } = await connectedWorld()
    network.mute()
    await pass(clock, 2 * someWelcome.heartbeatMs)
    expect(session.state).toBe('connected')
    await pass(clock, someWelcome.heartbeatMs)
    expect(states).toEqual(['connected', 'waiting CONNECTION_LOST', 'connecting', 'connected'])
    expect(network.dialCount).toBe(2)
  })

  test('an idle connection lives on pings', async () => {
    const { clock, relay, states } = await connectedWorld()
    await pass(clock, 20 * someWelcome.heartbeatMs)
    expect(states).toEqual(['connected'])
    expect(relay.line.heard('PING').length).toBeGreaterThanOrEqual(20)
  })

  test('a relay that stops is left in peace for as long as it asks', async () => {
    const { clock, relay, session, network } = await connectedWorld()
    relay.line.send('STOPPING', { retryAfterMs: 5_000 })
    await settle(clock)
    expect(session.isDraining).toBe(true)
    expect(session.state).toBe('connected')
    relay.line.close(closeCodes.RELAY_STOPPING)
    await pass(clock, 4_999)
    expect(network.dialCount).toBe(1)
    await pass(clock, 1_000)
    expect(session.state).toBe('connected')
    expect(session.isDraining).toBe(false)
  })

  test('a stop code while connected ends everything with its error', async () => {
    const { clock, relay, session, states } = await connectedWorld()
    const { told } = participantOf(session)
    const outcomes: string[] = []
    describeOrders(session, outcomes)
    relay.line.close(closeCodes.FORBIDDEN, 'the token was revoked')
    await settle(clock)
    expect(states).toEqual(['connected', 'closed FORBIDDEN'])
    expect(told).toEqual(['linked', 'unlinked', 'ended FORBIDDEN'])
    expect(outcomes).toEqual(['FORBIDDEN'])
  })

  test('frames that were not sent with the old connection do not go out on the new one', async () => {
    const { clock, relay, session } = await connectedWorld()
    // The end is told before the turn of the first frame is over.
    relay.line.close(closeCodes.OVERLOADED)
    session.send('CREDIT', { subscriptionId: 1, messageCount: 1, byteCount: 1 })
    clock.runTurn()
    expect(session.state).toBe('waiting')
    session.send('CREDIT', { subscriptionId: 2, messageCount: 1, byteCount: 1 })
    await pass(clock, 1_000)
    expect(relay.lines).toHaveLength(2)
    expect(relay.line.heard('CREDIT')).toEqual([])
  })
})

describe('frames', () => {
  test('of one turn leave as one message', async () => {
    const { clock, relay, session } = await connectedWorld()
    const { participant } = participantOf(session)
    session.send('CREDIT', { subscriptionId: 1, messageCount: 1, byteCount: 1 })
    session.touch({
      turnEnded: () => session.send('CREDIT', { subscriptionId: 2, messageCount: 1, byteCount: 1 }),
    })
    session.leave(participant)
    await settle(clock)
    session.send('CREDIT', { subscriptionId: 3, messageCount: 1, byteCount: 1 })
    await settle(clock)
    const counts = relay.line.messages.slice(1).map((frames) => frames.length)
    expect(counts).toEqual([2, 1])
  })

  test('that would make too large a message go in several', async () => {
    const { clock, relay, session } = openWorld()
    relay.welcome = { ...someWelcome, frameBytesMax: 200_000 }
    session.start()
    await settle(clock)
    for (let index = 0; index < 5; index++) {
      const requestId = session.openRequest({ answered() {}, refused() {} })
      session.send('PUBLISH', {
        requestId,
        topic: 'orders',
        producerId: new Uint8Array(8),
        producerEpoch: 0,
        baseSequence: index,
        messageCount: 1,
        sentMs: 0,
        messages: new Uint8Array(0),
      }, new Uint8Array(100_000))
    }
    await settle(clock)
    expect(relay.line.messages.slice(1).map((frames) => frames.length)).toEqual([1, 1, 1, 1, 1])
    expect(relay.line.heard('PUBLISH').map((frame) => frame.baseSequence)).toEqual([0, 1, 2, 3, 4])
  })

  test('that are none stop the client', async () => {
    const { clock, relay, states } = await connectedWorld()
    relay.line.sendBytes(Uint8Array.of(255, 1, 2))
    await settle(clock)
    expect(states).toEqual(['connected', 'closed BAD_FRAME'])
    expect(relay.line.ending?.code).toBe(closeCodes.BAD_FRAME)
  })

  test('before WELCOME, or a second WELCOME, stop the client', async () => {
    const early = openWorld()
    early.relay.script = { HELLO: (_frame, line) => line.send('PONG', { nonce: 1 }) }
    early.session.start()
    await settle(early.clock)
    expect(early.states).toEqual(['closed BAD_FRAME'])
    const twice = await connectedWorld()
    twice.relay.line.send('WELCOME', someWelcome)
    await settle(twice.clock)
    expect(twice.states).toEqual(['connected', 'closed BAD_FRAME'])
  })

  test('of a subscription reach its sink, and nobody once it is closed', async () => {
    const { clock, relay, session } = await connectedWorld()
    const told: string[] = []
    const sink: SubscriptionSink = {
      deliver: (frame) => told.push(`deliver ${frame.queueId}`),
      gap: (frame) => told.push(`gap ${frame.queueId}`),
      reset: (frame) => told.push(`reset ${frame.queueId} to ${frame.position.offset}`),
      revoked: (error) => told.push(`revoked ${error.code}`),
    }
    const subscriptionId = session.openSubscription(sink)
    const position = { epoch: 1, offset: 0 }
    const deliver = (queueId: number) => relay.line.send('DELIVER', {
      subscriptionId, queueId, leaseId: 1, attempt: 1, leaseMs: 1_000, next: position, record: new Uint8Array(0),
    })
    deliver(3)
    relay.line.send('GAP', { subscriptionId, queueId: 4, expected: position, next: position })
    relay.line.send('RESET', { subscriptionId, queueId: 6, position: { epoch: 1, offset: 70 } })
    relay.line.send('CHANGES', { subscriptionId, sequence: 1, isCurrent: true, lag: 0, changes: [] })
    relay.line.send('REVOKED', { subscriptionId, code: 203, message: 'deleted' })
    await settle(clock)
    session.closeSubscription(subscriptionId)
    deliver(5)
    await settle(clock)
    expect(told).toEqual(['deliver 3', 'gap 4', 'reset 6 to 70', 'revoked TOPIC_NOT_FOUND'])
  })

  test('a delivery that can not be read costs the connection, not the client', async () => {
    const { clock, relay, session, states } = await connectedWorld()
    const subscriptionId = session.openSubscription({
      deliver() {
        throw new PocketError('RECORD_DAMAGED', 'a record fails its checksum')
      },
      gap() {},
      reset() {},
      revoked() {},
    })
    relay.line.send('DELIVER', {
      subscriptionId, queueId: 0, leaseId: 1, attempt: 1, leaseMs: 1_000, next: { epoch: 1, offset: 0 },
      record: Uint8Array.of(1),
    })
    await pass(clock, 1_000)
    expect(states).toEqual(['connected', 'waiting RECORD_DAMAGED', 'connecting', 'connected'])
  })
})

describe('calls', () => {
  test('wait for a connection, and are answered', async () => {
    const { clock, relay, session } = openWorld()
    relay.script = { DESCRIBE_TOPIC: ({ requestId }, line) => line.send('TOPIC', { requestId, ...topicAnswer }) }
    const outcomes: string[] = []
    describeOrders(session, outcomes)
    session.start()
    await settle(clock)
    expect(outcomes).toEqual(['orders'])
  })

  test('are refused with the code of the relay', async () => {
    const { clock, relay, session } = await connectedWorld()
    relay.script = { DESCRIBE_TOPIC: ({ requestId }, line) => line.refuse(requestId, 'TOPIC_NOT_FOUND') }
    const outcomes: string[] = []
    describeOrders(session, outcomes)
    await settle(clock)
    expect(outcomes).toEqual(['TOPIC_NOT_FOUND'])
  })

  test('that a lost connection left open are sent again if they may be', async () => {
    const { clock, relay, session, network } = await connectedWorld()
    const repeated: string[] = []
    const single: string[] = []
    describeOrders(session, repeated)
    describeOrders(session, single, false)
    await settle(clock)
    network.cut()
    relay.script = { DESCRIBE_TOPIC: ({ requestId }, line) => line.send('TOPIC', { requestId, ...topicAnswer }) }
    await pass(clock, 1_000)
    expect(repeated).toEqual(['orders'])
    expect(single).toEqual(['CONNECTION_LOST'])
  })

  test('end with TIMEOUT when no answer comes; a late one is dropped', async () => {
    const { clock, relay, session } = await connectedWorld()
    const outcomes: string[] = []
    describeOrders(session, outcomes)
    await pass(clock, 30_000)
    expect(outcomes).toEqual(['TIMEOUT'])
    const requestId = relay.line.heard('DESCRIBE_TOPIC')[0]?.requestId ?? 0
    relay.line.send('TOPIC', { requestId, ...topicAnswer })
    await settle(clock)
    expect(outcomes).toEqual(['TIMEOUT'])
    expect(session.state).toBe('connected')
  })

  test('that are taken back hear nothing', async () => {
    const { clock, relay, session } = await connectedWorld()
    relay.script = { DESCRIBE_TOPIC: ({ requestId }, line) => line.send('TOPIC', { requestId, ...topicAnswer }) }
    const outcomes: string[] = []
    describeOrders(session, outcomes)()
    await pass(clock, 60_000)
    expect(outcomes).toEqual([])
  })

  test('answered with another frame than theirs fail', async () => {
    const { clock, relay, session } = await connectedWorld()
    relay.script = { DESCRIBE_TOPIC: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }) }
    const outcomes: string[] = []
    describeOrders(session, outcomes)
    await settle(clock)
    expect(outcomes).toEqual(['BAD_FRAME'])
  })
})

describe('closing', () => {
  test('says goodbye, ends what waits, and may be repeated', async () => {
    const { clock, relay, session, states } = await connectedWorld()
    const { told } = participantOf(session)
    const outcomes: string[] = []
    describeOrders(session, outcomes)
    await settle(clock)
    session.close()
    session.close(new PocketError('ABORTED', 'too late'))
    await settle(clock)
    expect(relay.line.ending?.code).toBe(closeCodes.NORMAL)
    expect(states).toEqual(['connected', 'closed'])
    expect(told).toEqual(['linked', 'unlinked', 'ended CLOSED'])
    expect(outcomes).toEqual(['CLOSED'])
    expect(clock.nextTimerMs).toBeUndefined()
  })

  test('sends what the turn had gathered first', async () => {
    const { clock, relay, session } = await connectedWorld()
    session.send('CREDIT', { subscriptionId: 1, messageCount: 5, byteCount: 5 })
    session.close()
    await settle(clock)
    expect(relay.line.heard('CREDIT')).toHaveLength(1)
  })

  test('who joins or calls after the end is told so', async () => {
    const { clock, session } = await connectedWorld()
    session.close(new PocketError('ABORTED', 'enough'))
    const { told } = participantOf(session)
    const outcomes: string[] = []
    describeOrders(session, outcomes)
    await settle(clock)
    expect(told).toEqual(['ended ABORTED'])
    expect(outcomes).toEqual(['ABORTED'])
  })

  test.each(['authenticating', 'dialling', 'greeting', 'waiting'])('works while %s', async (when) => {
    const { clock, relay, network, session, states } = openWorld(
      when === 'authenticating' ? { token: () => new Promise(() => {}) } : {},
    )
    if (when === 'greeting') relay.script = { HELLO() {} }
    network.isDown = when === 'waiting'
    session.start()
    if (when !== 'dialling') await settle(clock)
    session.close()
    await pass(clock, 120_000)
    expect(states.at(-1)).toBe('closed')
    expect(network.openCount).toBe(0)
    expect(clock.nextTimerMs).toBeUndefined()
  })
})
