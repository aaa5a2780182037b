// One server session in a world that a test controls: a connection whose other end is the test, a broker that answers
// when the test says so, and time that passes when told.

import { expect } from 'vitest'
import type {
  Answer, BrokerDoor, Cancellable, Delivery, MemberSink, Membership, PublishReceipt, PublishRequest, PullRequest,
  PullResult, Subscribed, SubscribeRequest,
} from '../../../core/broker/door.ts'
import { type ErrorCode, errorCodes } from '../../../core/errors.ts'
import { defaultLimits, type Limits } from '../../../core/limits.ts'
import { type CloseCodeName, closeCodes } from '../../../core/model/close-codes.ts'
import type { Log, LogFields } from '../../../core/ports/log.ts'
import type { Connection } from '../../../core/ports/transport.ts'
import { decodeDownstream, encodeFrame } from '../../../core/protocol/codec.ts'
import type { DownstreamFrame, FrameFields, UpstreamName } from '../../../core/protocol/frames.ts'
import { type Authenticate, authenticateAnybody } from '../../../core/session/auth.ts'
import { FlushQueue } from '../../../core/session/flush-queue.ts'
import { ServerSession } from '../../../core/session/server-session.ts'
import { SessionCounters } from '../../../core/session/session-counters.ts'
import { concatBytes } from '../../../core/bytes.ts'
import { SimClock } from '../../sim/sim-clock.ts'

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

export interface PendingSubscribe {
  readonly request: SubscribeRequest
  readonly sink: MemberSink
  readonly answer: Answer<Subscribed>
  /** Takes the subscription in and gives its membership. */
  accept(): FakeMembership
}

/** A broker whose answers wait in lists until a test gives them; admin requests are answered in a later turn. */
export class FakeBroker {
  readonly publishes: { readonly request: PublishRequest; readonly answer: Answer<PublishReceipt> }[] = []
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
      publish: (request, answer) => {
        this.publishes.push({ request, answer })
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
    }
  }

  #later(what: string, answer: () => void): void {
    this.asked.push(what)
    this.#clock.defer(answer)
  }
}

function topicDescription(topic: string) {
  const config = { queueCount: 1, messageType: 'NORMAL', retentionMs: 0, retentionBytes: 0 } as const
  return { topic, config, queues: [], groups: [] }
}

function groupDescription(group: string) {
  return { group, config: { attemptCountMax: 17, retryScheduleMs: [] }, members: [], queues: [] }
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
  readonly connection = new FakeConnection()
  readonly session: ServerSession
  endedCount = 0
  readonly #authenticate: Authenticate

  constructor({ limits = {}, authenticate = authenticateAnybody }: WorldOptions = {}) {
    this.limits = { ...defaultLimits, ...limits }
    this.#authenticate = authenticate
    this.session = this.accept(this.connection)
  }

  /** A session of the same relay on a further connection. */
  accept(connection: Connection): ServerSession {
    const { clock, broker, flushQueue, counters, limits } = this
    const line = (level: LogLine['level']) => (event: string, fields: LogFields = {}) => {
      this.log.push({ level, event, fields })
    }
    const log: Log = { error: line('error'), info: line('info'), debug: line('debug') }
    return new ServerSession(connection, {
      clock, log, limits, flushQueue, counters,
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
    messages: new Uint8Array(10), ...fields,
  })
}

export function subscribe(fields: Fields<'SUBSCRIBE'> = {}): Uint8Array {
  return encodeFrame('SUBSCRIBE', {
    requestId: 1, subscriptionId: 1, memberId: new Uint8Array(8), group: 'till', topic: 'orders', mode: 'CLUSTERING',
    filter: '*', start: { kind: 'earliest' }, leaseMs: 0, positions: [], ...fields,
  })
}

export function ack(fields: Fields<'ACK'> = {}): Uint8Array {
  const ranges = [{ queueId: 0, leaseId: 1, offset: 0, count: 1 }]
  return encodeFrame('ACK', { requestId: 2, subscriptionId: 1, ranges, ...fields })
}

export function pull(fields: Fields<'PULL'> = {}): Uint8Array {
  return encodeFrame('PULL', {
    requestId: 1, topic: 'orders', queueId: 0, start: { kind: 'earliest' }, filter: '*', messageCountMax: 100,
    byteCountMax: 1024 * 1024, waitMs: 0, ...fields,
  })
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
