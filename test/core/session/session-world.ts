// One server session in a world that a test controls: a connection whose other end is the test, a broker that answers
// when the test says so, and time that passes when told.

import { expect } from 'vitest'
import type {
  Answer, BrokerDoor, Cancellable, Delivery, FollowerSink, Following, FollowRequest, MemberSink, Membership,
  PrepareRequest, ProducerSink, PublishReceipt, PublishRequest, PullRequest, PullResult, Subscribed, SubscribeRequest,
} from '../../../core/broker/door.ts'
import { concatBytes, textToBytes } from '../../../core/bytes.ts'
import { errorCodes } from '../../../core/error-codes.ts'
import type { ErrorCode } from '../../../core/errors.ts'
import { defaultLimits, type Limits } from '../../../core/limits.ts'
import { type CloseCodeName, closeCodes } from '../../../core/model/close-codes.ts'
import type { Log, LogFields } from '../../../core/ports/log.ts'
import type { Connection } from '../../../core/ports/transport.ts'
import { decodeDownstream, encodeFrame } from '../../../core/protocol/codec.ts'
import type {
  DownstreamFrame, FrameFields, GroupOptions, QueuePosition, TopicOptions, UpstreamName,
} from '../../../core/protocol/frames.ts'
import { type Authenticate, authenticateAnybody } from '../../../core/session/auth.ts'
import { FlushQueue } from '../../../core/session/flush-queue.ts'
import { ReplyRouter } from '../../../core/session/reply-router.ts'
import { ServerSession } from '../../../core/session/server-session.ts'
import { SessionCounters } from '../../../core/session/session-counters.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { encodeMessages } from '../../support/messages.ts'

/** What the session sent and did, in order. */
export class FakeConnection implements Connection {
  readonly peer = 'test:1'
  /** Each transport message, as its frames. */
  readonly messages: DownstreamFrame[][] = []
  /** Set by a test that plays a reader who does not take what he is sent. */
  bufferedBytes = 0
  /** Whether what is sent stays in the buffer. */
  isStuck = false
  isPaused = false
  ending: { readonly code: number; readonly reason: string } | undefined

  send(chunks: readonly Uint8Array[]): void {
    if (this.ending !== undefined) return
    const bytes = concatBytes(chunks)
    if (this.isStuck) this.bufferedBytes += bytes.length
    const frames: DownstreamFrame[] = []
    decodeDownstream(bytes, (frame) => frames.push(frame))
    this.messages.push(frames)
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  close(code: number, reason: string): void {
    this.ending ??= { code, reason }
  }

  get frames(): DownstreamFrame[] {
    return this.messages.flat()
  }
}

/** A membership that notes what it is asked and answers at once. */
export class FakeMembership implements Membership {
  readonly calls: string[] = []
  readonly #answer: (call: string, answer: () => void) => void

  constructor(answer: (call: string, answer: () => void) => void) {
    this.#answer = answer
  }

  credit(messageCount: number, byteCount: number): void {
    this.calls.push(`credit ${messageCount} ${byteCount}`)
  }

  writable(): void {
    this.calls.push('writable')
  }

  ack(ranges: readonly unknown[], answer: Answer<readonly []>): void {
    this.#note(`ack ${ranges.length}`, () => answer([]))
  }

  retry(_ranges: readonly unknown[], how: string, delayMs: number, answer: Answer<readonly []>): void {
    this.#note(`retry ${how} ${delayMs}`, () => answer([]))
  }

  extend(_ranges: readonly unknown[], leaseMs: number, answer: Answer<readonly []>): void {
    this.#note(`extend ${leaseMs}`, () => answer([]))
  }

  receive(request: { readonly messageCountMax: number }, answer: Answer<number>): void {
    this.#note(`receive ${request.messageCountMax}`, () => answer(0))
  }

  positions(positions: readonly QueuePosition[]): void {
    this.calls.push(`positions ${positions.map(({ queueId, position }) => `${queueId}@${position.offset}`).join(' ')}`)
  }

  leave(answer: Answer<void>): void {
    this.#note('leave', () => answer(undefined))
  }

  detach(): void {
    this.calls.push('detach')
  }

  #note(call: string, answer: () => void): void {
    this.calls.push(call)
    this.#answer(call, answer)
  }
}

/** A follower's place that notes what it is asked. */
export class FakeFollowing implements Following {
  readonly sequence = 40
  readonly calls: string[] = []

  credit(changeCount: number, byteCount: number): void {
    this.calls.push(`credit ${changeCount} ${byteCount}`)
  }

  writable(): void {
    this.calls.push('writable')
  }

  leave(): void {
    this.calls.push('leave')
  }
}

export interface PendingFollow {
  readonly request: FollowRequest
  readonly sink: FollowerSink
  readonly answer: Answer<Following>
  /** Takes the follower in and gives its place. */
  accept(): FakeFollowing
}

export interface RegisteredProducer {
  readonly producerGroup: string
  readonly sink: ProducerSink
  isCancelled: boolean
}

export interface PendingSubscribe {
  readonly request: SubscribeRequest
  readonly sink: MemberSink
  readonly answer: Answer<Subscribed>
  /** Takes the subscription in and gives its membership. */
  accept(): FakeMembership
}

export interface PendingPublish {
  readonly request: PublishRequest
  readonly clientId: string
  readonly answer: Answer<PublishReceipt>
}

/** A broker whose answers wait in lists until a test gives them; admin requests are answered in a later turn. */
export class FakeBroker {
  readonly publishes: PendingPublish[] = []
  readonly prepares: { readonly request: PrepareRequest; readonly answer: Answer<void> }[] = []
  readonly follows: PendingFollow[] = []
  /** Also those that were taken back. */
  readonly producers: RegisteredProducer[] = []
  readonly subscribes: PendingSubscribe[] = []
  readonly pulls: { readonly request: PullRequest; readonly answer: Answer<PullResult>; isCancelled: boolean }[] = []
  /** Names of the admin requests that came. */
  readonly asked: string[] = []
  readonly #clock: SimClock
  /** The session's own view. Tests may replace methods. */
  readonly door: { -readonly [K in keyof BrokerDoor]: BrokerDoor[K] }

  constructor(clock: SimClock) {
    this.#clock = clock
    this.door = {
      publish: (request, answer, clientId) => {
        this.publishes.push({ request, answer, clientId })
      },
      prepare: (request, answer) => {
        this.prepares.push({ request, answer })
      },
      follow: (request, sink, answer) => {
        const accept = (): FakeFollowing => {
          const following = new FakeFollowing()
          answer(following)
          return following
        }
        this.follows.push({ request, sink, answer, accept })
      },
      registerProducer: (producerGroup, sink): Cancellable => {
        const producer: RegisteredProducer = { producerGroup, sink, isCancelled: false }
        this.producers.push(producer)
        return {
          cancel: () => {
            producer.isCancelled = true
          },
        }
      },
      subscribe: (request, sink, answer) => {
        const accept = (): FakeMembership => {
          const membership = new FakeMembership((_call, answerCall) => clock.defer(answerCall))
          answer({ membership, messageType: 'NORMAL', leaseMs: 60_000, positions: [] })
          return membership
        }
        this.subscribes.push({ request, sink, answer, accept })
      },
      pull: (request, answer): Cancellable => {
        const pull = { request, answer, isCancelled: false }
        this.pulls.push(pull)
        return {
          cancel: () => {
            pull.isCancelled = true
          },
        }
      },
      query: (request, answer) => this.#later(`query ${request.topic}`, () => answer([])),
      createTopic: ({ topic }, answer) => this.#later(`create ${topic}`, () => answer(topicDescription(topic))),
      listTopics: (_request, answer) => this.#later('list topics', () => answer({ topics: [], more: false })),
      describeTopic: (topic, answer) => this.#later(`describe ${topic}`, () => answer(topicDescription(topic))),
      deleteTopic: (topic, answer) => this.#later(`delete ${topic}`, () => answer(undefined)),
      configureGroup: ({ group }, answer) => this.#later(`configure ${group}`, () => answer(groupDescription(group))),
      listGroups: (_request, answer) => this.#later('list groups', () => answer({ groups: [], more: false })),
      describeGroup: (group, answer) => this.#later(`describe group ${group}`, () => answer(groupDescription(group))),
      resetGroup: ({ group }, answer) => this.#later(`reset ${group}`, () => answer(groupDescription(group))),
      configureTopic: ({ topic }, answer) => this.#later(`configure ${topic}`, () => answer(topicDescription(topic))),
      deleteGroup: (group, answer) => this.#later(`delete group ${group}`, () => answer(undefined)),
      settleHeld: ({ group, how }, answer) => this.#later(`${how} held ${group}`, () => answer(groupDescription(group))),
      resendDeadLetters: ({ group, messageIds }, answer) =>
        this.#later(`resend ${group}`, () => answer({ messageCount: messageIds.length, more: false })),
      purgeDeadLetters: ({ group }, answer) => this.#later(`purge ${group}`, () => answer({ messageCount: 5, more: true })),
      recall: ({ topic, recallHandle }, answer) =>
        this.#later(`recall ${recallHandle} from ${topic}`, () => answer({ messageId: 'a1b2c3d4e5f60718-0-1' })),
      listDelayed: ({ topic }, answer) => this.#later(`list delayed ${topic}`, () => answer({ messages: [], more: false })),
      endTransaction: ({ outcome }, answer) =>
        this.#later(outcome, () => answer({ outcome, duplicate: false, segments: [], scheduled: [] })),
      listTransactions: ({ producerGroup }, answer) =>
        this.#later(`list transactions ${producerGroup}`, () => answer({ transactions: [], more: false })),
      queryTrace: ({ topic }, answer) => this.#later(`trace ${topic}`, () => answer([])),
    }
  }

  #later(what: string, answer: () => void): void {
    this.asked.push(what)
    this.#clock.defer(answer)
  }
}

export const receipt: PublishReceipt = { duplicate: false, isRelaxed: false, storedMs: 1, segments: [], scheduled: [] }

function topicDescription(topic: string): Omit<FrameFields<'TOPIC'>, 'requestId'> {
  const config = {
    queueCount: 1, messageType: 'NORMAL', retentionMs: 0, retentionBytes: 0, cleanupPolicy: 'DELETE', ttlMs: 0, tracePermille: 0,
    durability: 'strict',
  } as const
  return { topic, config, delayedCount: 0, queues: [], groups: [] }
}

function groupDescription(group: string): Omit<FrameFields<'GROUP'>, 'requestId'> {
  const config = {
    attemptCountMax: 17, retry: { kind: 'schedule', delaysMs: [1_000] }, exhausted: 'dead-letter', isPaused: false,
    inFlightMax: 0, inFlightPerMemberMax: 0,
  } as const
  return { group, config, rate: { deliveredPerSecond: 0, ackedPerSecond: 0 }, members: [], queues: [] }
}

export interface LogLine {
  readonly level: 'error' | 'info' | 'debug'
  readonly event: string
  readonly fields: LogFields
}

export interface WorldOptions {
  readonly limits?: Partial<Limits>
  readonly authenticate?: Authenticate
}

export class SessionWorld {
  readonly clock = new SimClock()
  readonly broker = new FakeBroker(this.clock)
  readonly flushQueue = new FlushQueue(this.clock)
  readonly counters = new SessionCounters()
  readonly log: LogLine[] = []
  readonly limits: Limits
  readonly replies: ReplyRouter
  readonly connection = new FakeConnection()
  readonly session: ServerSession
  endedCount = 0
  readonly #authenticate: Authenticate

  constructor({ limits = {}, authenticate = authenticateAnybody }: WorldOptions = {}) {
    this.limits = { ...defaultLimits, ...limits }
    this.replies = new ReplyRouter(this.limits)
    this.#authenticate = authenticate
    this.session = this.accept(this.connection)
  }

  /** A session of the same relay on a further connection. */
  accept(connection: Connection): ServerSession {
    const { clock, broker, flushQueue, counters, limits, replies } = this
    const line = (level: LogLine['level']) => (event: string, fields: LogFields = {}) => {
      this.log.push({ level, event, fields })
    }
    const log: Log = { error: line('error'), info: line('info'), debug: line('debug') }
    return new ServerSession(connection, {
      clock, log, limits, flushQueue, counters, replies,
      broker: broker.door,
      relayId: 'relay-1',
      authenticate: this.#authenticate,
      ended: () => {
        this.endedCount++
      },
    })
  }

  /** What a client sends in one message; the session has heard it and sent what it had to say when this returns. */
  hear(...frames: Uint8Array[]): void {
    this.session.message(concatBytes(frames))
    this.clock.runUntilIdle()
  }

  /** A connection that has said HELLO and was welcomed. */
  greet(): void {
    this.hear(hello())
  }

  /** A subscription that the broker has taken in. */
  subscribe(subscriptionId = 1, requestId = subscriptionId): { membership: FakeMembership; sink: MemberSink } {
    this.hear(subscribe({ subscriptionId, requestId }))
    const pending = this.broker.subscribes.at(-1) as PendingSubscribe
    const membership = pending.accept()
    this.clock.runUntilIdle()
    return { membership, sink: pending.sink }
  }

  get frames(): DownstreamFrame[] {
    return this.connection.frames
  }

  /** The names of what was sent. */
  get sent(): string[] {
    return this.frames.map((frame) => frame.name)
  }
}

// Frames as a well-behaved client would send them, but for what a test changes.

type Fields<N extends UpstreamName> = Partial<FrameFields<N>>

export function hello(fields: Fields<'HELLO'> = {}): Uint8Array {
  const usual = { versionMin: 1, versionMax: 1, clientId: 'c-1', clientName: 'tester', token: '' }
  return encodeFrame('HELLO', { ...usual, ...fields })
}

export function ping(nonce = 7): Uint8Array {
  return encodeFrame('PING', { nonce })
}

export function publish(fields: Fields<'PUBLISH'> = {}): Uint8Array {
  return encodeFrame('PUBLISH', {
    requestId: 1, topic: 'orders', producerId: new Uint8Array(8), producerEpoch: 0, baseSequence: 0, messageCount: 1,
    sentMs: 0, messages: new Uint8Array(10), ...fields,
  })
}

export function subscribe(fields: Fields<'SUBSCRIBE'> = {}): Uint8Array {
  return encodeFrame('SUBSCRIBE', {
    requestId: 1, subscriptionId: 1, memberId: new Uint8Array(8), group: 'till', topic: 'orders', mode: 'CLUSTERING',
    filterKind: 'TAG', filter: '*', start: { kind: 'earliest' }, leaseMs: 0, positions: [], positionKeeper: 'client',
    consumerName: '', ...fields,
  })
}

export function ack(fields: Fields<'ACK'> = {}): Uint8Array {
  const ranges = [{ queueId: 0, leaseId: 1, offset: 0, count: 1 }]
  return encodeFrame('ACK', { requestId: 2, subscriptionId: 1, ranges, ...fields })
}

export function pull(fields: Fields<'PULL'> = {}): Uint8Array {
  return encodeFrame('PULL', {
    requestId: 1, topic: 'orders', queueId: 0, start: { kind: 'earliest' }, filterKind: 'TAG', filter: '*',
    messageCountMax: 100, byteCountMax: 1024 * 1024, waitMs: 0, ...fields,
  })
}

export function prepare(fields: Fields<'PREPARE'> = {}): Uint8Array {
  return encodeFrame('PREPARE', {
    requestId: 1, transactionId: new Uint8Array(8).fill(7), producerGroup: 'shop', checkAfterMs: 0, topic: 'orders',
    baseSequence: 0, messageCount: 1, messages: new Uint8Array(10), ...fields,
  })
}

export function follow(fields: Fields<'FOLLOW'> = {}): Uint8Array {
  return encodeFrame('FOLLOW', {
    requestId: 1, subscriptionId: 1, topics: ['orders'], positions: [], withProgress: false, ...fields,
  })
}

export function reply(fields: Fields<'REPLY'> = {}): Uint8Array {
  return encodeFrame('REPLY', {
    requestId: 1, replyTo: 'c-1', correlationId: 'q-1', message: messagesOf(1), ...fields,
  })
}

export function topicOptions(options: Partial<TopicOptions>): TopicOptions {
  return {
    queueCount: undefined, messageType: undefined, retentionMs: undefined, retentionBytes: undefined,
    cleanupPolicy: undefined, ttlMs: undefined, tracePermille: undefined, durability: undefined, ...options,
  }
}

export function groupOptions(options: Partial<GroupOptions>): GroupOptions {
  return {
    attemptCountMax: undefined, retry: undefined, exhausted: undefined, isPaused: undefined, inFlightMax: undefined,
    inFlightPerMemberMax: undefined, ...options,
  }
}

/** Encoded messages, as they stand in PUBLISH, PREPARE and REPLY. */
export function messagesOf(count: number, body = textToBytes('hello')): Uint8Array {
  return encodeMessages(Array.from({ length: count }, () => ({ headers: { tag: 'paid', bornMs: 1 }, body })))
}

export function delivery(recordBytes = 100): Delivery {
  const record = new Uint8Array(recordBytes)
  return { queueId: 0, leaseId: 1, attempt: 1, leaseMs: 60_000, next: { epoch: 1, offset: 1 }, record, messageCount: 1 }
}

export function rangesOf(count: number): { queueId: number; leaseId: number; offset: number; count: number }[] {
  return Array.from({ length: count }, (_, offset) => ({ queueId: 0, leaseId: 1, offset, count: 1 }))
}

// What is expected of a world.

/** The one ERROR frame that was sent. */
export function onlyError(world: SessionWorld): Extract<DownstreamFrame, { name: 'ERROR' }> {
  const errors = world.frames.filter((frame) => frame.name === 'ERROR')
  expect(errors).toHaveLength(1)
  return errors[0] as Extract<DownstreamFrame, { name: 'ERROR' }>
}

export function expectRefusedConnection(world: SessionWorld, code: ErrorCode, close: CloseCodeName): void {
  expect(onlyError(world)).toMatchObject({ requestId: 0, code: errorCodes[code].number })
  expect(world.connection.ending?.code).toBe(closeCodes[close])
}

export function expectRefusedRequest(world: SessionWorld, requestId: number, code: ErrorCode): void {
  expect(onlyError(world)).toMatchObject({ requestId, code: errorCodes[code].number })
  expect(world.connection.ending).toBeUndefined()
}
