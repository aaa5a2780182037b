// What a client's side of a connection brings to those that wait for it: checks, replies, changes; and calls that carry
// a payload.

import { describe, expect, test } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { closeCodes } from '../../../core/model/close-codes.ts'
import { silentLog } from '../../../core/ports/log.ts'
import type { FrameFields } from '../../../core/protocol/frames.ts'
import { ClientSession } from '../../../core/session/client-session.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { FlakyDialler } from '../../support/flaky-dialler.ts'
import { ScriptedRelay, someWelcome } from '../../support/scripted-relay.ts'
import { pass, settle } from '../../support/sim-wait.ts'
import { messagesOf } from './session-world.ts'

interface SessionWorld {
  readonly clock: SimClock
  readonly relay: ScriptedRelay
  readonly network: FlakyDialler
  readonly session: ClientSession
  readonly states: string[]
}

async function connectedWorld(welcome: Partial<FrameFields<'WELCOME'>> = {}): Promise<SessionWorld> {
  const clock = new SimClock()
  const relay = new ScriptedRelay(clock)
  relay.welcome = { ...someWelcome, ...welcome }
  const network = new FlakyDialler(relay.dialler, clock)
  const states: string[] = []
  const session = new ClientSession({ dialler: network, clock, random: createSimRandom(1), log: silentLog }, {
    clientName: 'tester',
    token: () => 'secret',
    connectTimeoutMs: 10_000,
    changed: (state, error) => states.push(error === undefined ? state : `${state} ${error.code}`),
  })
  session.start()
  await settle(clock)
  expect(session.state).toBe('connected')
  return { clock, relay, network, session, states }
}

const check = {
  transactionId: new Uint8Array(8).fill(7), producerGroup: 'shop', checkCount: 1, preparedMs: 5,
  messages: [{ topic: 'orders', record: new Uint8Array(4) }],
}

test('the client id is that of HELLO, by which replies find back', async () => {
  const { relay, session } = await connectedWorld()
  expect(relay.line.heard('HELLO')).toMatchObject([{ clientId: session.clientId }])
  expect(session.clientId).toMatch(/^[0-9a-f]{16}$/)
})

describe('a check', () => {
  test('reaches the handler of its producer group, over reconnects, and nobody once that is taken away', async () => {
    const { clock, relay, session, network } = await connectedWorld()
    const told: string[] = []
    session.handleChecks('shop', ({ checkCount, messages }) => told.push(`${checkCount}: ${messages.length}`))
    relay.line.send('CHECK_TRANSACTION', check)
    relay.line.send('CHECK_TRANSACTION', { ...check, producerGroup: 'other' })
    relay.line.send('CHECK_TRANSACTION', { ...check, producerGroup: '__proto__' })
    await settle(clock)
    network.cut()
    await pass(clock, 1_000)
    relay.line.send('CHECK_TRANSACTION', { ...check, checkCount: 2 })
    await settle(clock)
    session.handleChecks('shop', undefined)
    relay.line.send('CHECK_TRANSACTION', { ...check, checkCount: 3 })
    await settle(clock)
    expect(told).toEqual(['1: 1', '2: 1'])
    expect(session.state).toBe('connected')
  })

  test('goes to the handler that was set last', async () => {
    const { clock, relay, session } = await connectedWorld()
    const told: string[] = []
    session.handleChecks('shop', () => told.push('first'))
    session.handleChecks('shop', () => told.push('second'))
    relay.line.send('CHECK_TRANSACTION', check)
    await settle(clock)
    expect(told).toEqual(['second'])
  })

  test('that cannot be read costs the connection, not the client', async () => {
    const { clock, relay, session, states } = await connectedWorld()
    session.handleChecks('shop', () => {
      throw new PocketError('RECORD_DAMAGED', 'a record fails its checksum')
    })
    relay.line.send('CHECK_TRANSACTION', check)
    await pass(clock, 1_000)
    expect(states).toEqual(['connected', 'waiting RECORD_DAMAGED', 'connecting', 'connected'])
  })
})

describe('a reply', () => {
  test('reaches the handler of its correlation id, as often as it comes, and nobody once that is taken away', async () => {
    const { clock, relay, session } = await connectedWorld()
    const told: number[] = []
    session.handleReplies('q-1', (message) => told.push(message.length))
    const message = messagesOf(1)
    relay.line.send('REPLIED', { correlationId: 'q-1', message })
    relay.line.send('REPLIED', { correlationId: 'q-2', message })
    relay.line.send('REPLIED', { correlationId: 'q-1', message })
    await settle(clock)
    session.handleReplies('q-1', undefined)
    relay.line.send('REPLIED', { correlationId: 'q-1', message })
    await settle(clock)
    expect(told).toEqual([message.length, message.length])
  })

  test('that cannot be read costs the connection, not the client', async () => {
    const { clock, relay, session, states } = await connectedWorld()
    session.handleReplies('q-1', () => {
      throw new PocketError('BAD_FRAME', 'a message is cut short')
    })
    relay.line.send('REPLIED', { correlationId: 'q-1', message: messagesOf(1) })
    await pass(clock, 1_000)
    expect(states).toEqual(['connected', 'waiting BAD_FRAME', 'connecting', 'connected'])
  })
})

describe('a follower', () => {
  test('is told changes and its end under its number; what is for a subscription is dropped', async () => {
    const { clock, relay, session } = await connectedWorld()
    const told: string[] = []
    const subscriptionId = session.openSubscription({
      changes: ({ sequence, isCurrent, changes }) => told.push(`${sequence} ${isCurrent} ${changes.length}`),
      revoked: (error) => told.push(`revoked ${error.code}`),
    })
    const position = { epoch: 1, offset: 0 }
    relay.line.send('CHANGES', { subscriptionId, sequence: 41, isCurrent: true, lag: 0, changes: [] })
    relay.line.send('DELIVER', {
      subscriptionId, queueId: 0, leaseId: 0, attempt: 0, leaseMs: 0, next: position, record: new Uint8Array(0),
    })
    relay.line.send('GAP', { subscriptionId, queueId: 0, expected: position, next: position })
    relay.line.send('RESET', { subscriptionId, queueId: 0, position })
    relay.line.send('REVOKED', { subscriptionId, code: 501, message: 'the store cannot be read' })
    await settle(clock)
    session.closeSubscription(subscriptionId)
    relay.line.send('CHANGES', { subscriptionId, sequence: 42, isCurrent: true, lag: 0, changes: [] })
    await settle(clock)
    expect(told).toEqual(['41 true 0', 'revoked STORE_FAILED'])
    expect(session.state).toBe('connected')
  })

  test('that cannot read its changes costs the connection, not the client', async () => {
    const { clock, relay, session, states } = await connectedWorld()
    const subscriptionId = session.openSubscription({
      changes() {
        throw new PocketError('RECORD_DAMAGED', 'a sealed value fails its checksum')
      },
      revoked() {},
    })
    relay.line.send('CHANGES', { subscriptionId, sequence: 41, isCurrent: true, lag: 0, changes: [] })
    await pass(clock, 1_000)
    expect(states).toEqual(['connected', 'waiting RECORD_DAMAGED', 'connecting', 'connected'])
  })

  test('of very many queues says so in a message of its own', async () => {
    const frameBytesMax = 400_000
    const { clock, relay, session } = await connectedWorld({ frameBytesMax })
    const position = { epoch: 1, offset: 5 }
    const positions = Array.from({ length: 1_000 }, (_, queueId) => ({ topic: 't'.repeat(255), queueId, position }))
    const send = (): void => session.send('PREPARE', {
      requestId: session.openRequest({ answered() {}, refused() {} }), transactionId: new Uint8Array(8), producerGroup: 'shop',
      checkAfterMs: 0, topic: 'orders', baseSequence: 0, messageCount: 1, messages: new Uint8Array(0),
    }, new Uint8Array(300_000))
    send()
    session.send('FOLLOW', {
      requestId: session.openRequest({ answered() {}, refused() {} }), subscriptionId: 1, topics: ['t'], positions,
      withProgress: false,
    })
    send()
    await settle(clock)
    const names = relay.line.messages.slice(1).map((frames) => frames.map(({ name }) => name))
    expect(names).toEqual([['PREPARE'], ['FOLLOW'], ['PREPARE']])
  })
})

describe('a call', () => {
  const fields = {
    transactionId: new Uint8Array(8), producerGroup: 'shop', checkAfterMs: 0, topic: 'orders', baseSequence: 0, messageCount: 1,
    messages: new Uint8Array(0),
  }

  test('may carry its messages as a payload, and carries them again after a reconnect', async () => {
    const { clock, relay, session, network } = await connectedWorld()
    const payload = messagesOf(1, new Uint8Array(5_000))
    const outcomes: string[] = []
    const options = { name: 'PREPARE', fields, payload, answer: 'DONE', timeoutMs: 30_000, isRepeatable: true } as const
    session.call(options, (outcome) => outcomes.push(outcome instanceof PocketError ? outcome.code : outcome.name))
    await settle(clock)
    network.cut()
    relay.script = { PREPARE: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }) }
    await pass(clock, 1_000)
    expect(outcomes).toEqual(['DONE'])
    const heard = relay.lines.map((line) => line.heard('PREPARE').map(({ messages }) => messages.length))
    expect(heard).toEqual([[payload.length], [payload.length]])
  })

  test('with payloads that are too many for one message goes in several', async () => {
    const { clock, relay, session } = await connectedWorld({ frameBytesMax: 200_000 })
    for (let count = 0; count < 3; count++) {
      const options = { name: 'PREPARE', fields, answer: 'DONE', timeoutMs: 30_000, isRepeatable: true } as const
      session.call({ ...options, payload: new Uint8Array(100_000) }, () => {})
    }
    await settle(clock)
    expect(relay.line.messages.slice(1).map((frames) => frames.length)).toEqual([1, 1, 1])
  })

  test('of every kind that is asked for is answered by its frame', async () => {
    const { clock, relay, session } = await connectedWorld()
    relay.script = {
      RECALL: ({ requestId }, line) => line.send('RECALLED', { requestId, messageId: 'a' }),
      QUERY_TRACE: ({ requestId }, line) => line.send('TRACE', { requestId, timelines: [] }),
      FOLLOW: ({ requestId, subscriptionId }, line) => line.send('FOLLOWING', { requestId, subscriptionId, sequence: 4 }),
      END_TRANSACTION: ({ requestId, outcome }, line) =>
        line.send('TRANSACTION_ENDED', { requestId, outcome, duplicate: false, segments: [], scheduled: [] }),
      REPLY: ({ requestId }, line) => line.refuse(requestId, 'REQUESTER_GONE'),
    }
    const outcomes: string[] = []
    const note = (outcome: PocketError | { readonly name: string }): void =>
      void outcomes.push(outcome instanceof PocketError ? outcome.code : outcome.name)
    const usual = { timeoutMs: 30_000, isRepeatable: true }
    session.call({ ...usual, name: 'RECALL', fields: { topic: 't', recallHandle: 'x' }, answer: 'RECALLED' }, note)
    const found = { topic: 't', messageId: undefined, key: 'k', fromMs: 0, toMs: 1, after: undefined, messageCountMax: 1 }
    session.call({ ...usual, name: 'QUERY_TRACE', fields: found, answer: 'TRACE' }, note)
    const followed = { subscriptionId: 5, topics: ['t'], positions: [], withProgress: true }
    session.call({ ...usual, name: 'FOLLOW', fields: followed, answer: 'FOLLOWING' }, note)
    const ended = { transactionId: new Uint8Array(8), producerGroup: 'shop', outcome: 'commit', messageCount: 1 } as const
    session.call({ ...usual, name: 'END_TRANSACTION', fields: ended, answer: 'TRANSACTION_ENDED' }, note)
    const replied = { replyTo: 'c', correlationId: 'q', message: messagesOf(1) }
    session.call({ ...usual, name: 'REPLY', fields: replied, answer: 'DONE' }, note)
    await settle(clock)
    expect(outcomes).toEqual(['RECALLED', 'TRACE', 'FOLLOWING', 'TRANSACTION_ENDED', 'REQUESTER_GONE'])
  })
})

test('handlers hear nothing once the client is closed', async () => {
  const { clock, relay, session } = await connectedWorld()
  const told: string[] = []
  session.handleChecks('shop', () => told.push('check'))
  session.handleReplies('q-1', () => told.push('reply'))
  session.close()
  relay.line.send('CHECK_TRANSACTION', check)
  relay.line.send('REPLIED', { correlationId: 'q-1', message: messagesOf(1) })
  await settle(clock)
  expect(told).toEqual([])
  expect(relay.line.ending?.code).toBe(closeCodes.NORMAL)
})
