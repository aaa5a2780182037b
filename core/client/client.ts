// The maker of clients, the same on every platform: what differs comes in as ports.

import { textToBytes } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { checkTopicName } from '../model/names.ts'
import type { Clock } from '../ports/clock.ts'
import { type Log, silentLog } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Dialler } from '../ports/transport.ts'
import { ClientSession, type SessionState } from '../session/client-session.ts'
import { onAbort } from './abort.ts'
import { createAdmin } from './admin.ts'
import type {
  Admin, Client, ClientEvents, ClientOptions, ConsumeOptions, Follower, FollowOptions, LinkState, PushConsumer, Topic,
  TopicOptions, TransactionOptions, TransactionProducer,
} from './api.ts'
import { createCall } from './call.ts'
import { bytes, json } from './codec.ts'
import { durationToMs } from './duration.ts'
import { EventEmitter } from './event-emitter.ts'
import { LogFollower } from './follower.ts'
import type { HostClient, HostProducer, HostProducerOptions, RelayClient } from './host-client.ts'
import type { Outbox } from './outbox.ts'
import { Producer } from './producer.ts'
import { PublishWindow } from './publish-window.ts'
import { RequestReply } from './request-reply.ts'
import { withSchema } from './schema.ts'
import { checkPositions } from './start-policy.ts'
import type { OpenStream } from './subscription.ts'
import { type Closeable, closeableOf, TopicHandle, type TopicHandleDeps } from './topic.ts'
import { GroupProducer } from './transaction-producer.ts'

/** What a client needs of its platform. */
export interface ClientDeps {
  readonly dialler: Dialler
  readonly clock: Clock
  readonly random: Random
  /** Default: silent. */
  readonly log?: Log
}

/**
 * A client that begins to connect at once, and keeps the connection up by itself until it is closed. Await
 * `client.connected` to know that the relay is there and takes the token. Throws BAD_ARGUMENT for bad options.
 */
export function createClient(deps: ClientDeps, options: ClientOptions = {}): Client {
  return new SessionClient(deps, options)
}

/** The same for a host that acts for others. */
export function createHostClient(deps: ClientDeps, options: ClientOptions = {}): HostClient {
  return new SessionClient(deps, options)
}

/**
 * The same for a device with one relay: it tries without end, whatever becomes of a token, so `connectTimeout` is not
 * heeded, and `connected` only rejects when it is closed or refused for another reason.
 */
export function createRelayClient(deps: ClientDeps, options: ClientOptions = {}): RelayClient {
  return new SessionClient(deps, options, true)
}

class SessionClient implements RelayClient {
  readonly connected: Promise<void>
  readonly admin: Admin
  readonly #clock: Clock
  readonly #session: ClientSession
  readonly #events: EventEmitter
  readonly #requestTimeoutMs: number
  readonly #topicDeps: TopicHandleDeps
  readonly #producers = new Set<Closeable>()
  /** Producer groups that have a producer here. */
  readonly #producerGroups = new Set<string>()
  readonly #consumers = new Set<Closeable>()
  #settleConnected: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined
  #stopListening: (() => void) | undefined
  #closing: Promise<void> | undefined
  #isSendingOver = false

  constructor({ dialler, clock, random, log = silentLog }: ClientDeps, options: ClientOptions, isPatient = false) {
    const { name = '', auth = '', signal, connectTimeout = '10s', requestTimeout = '30s' } = options
    if (textToBytes(name).length > fixedLimits.textBytesMax) {
      throw new PocketError('BAD_ARGUMENT', `name is over ${fixedLimits.textBytesMax} bytes`)
    }
    this.#clock = clock
    this.#events = new EventEmitter(log)
    this.#requestTimeoutMs = durationToMs(requestTimeout, 'requestTimeout')
    this.connected = new Promise((resolve, reject) => {
      this.#settleConnected = { resolve, reject }
    })
    this.connected.catch(ignore)
    const session = new ClientSession({ dialler, clock, random, log }, {
      clientName: name,
      token: typeof auth === 'string' ? () => auth : auth,
      connectTimeoutMs: isPatient ? undefined : durationToMs(connectTimeout, 'connectTimeout'),
      isPatient,
      changed: (state, error) => this.#changed(state, error),
    })
    this.#session = session
    const requestTimeoutMs = this.#requestTimeoutMs
    const report = (error: PocketError) => this.#events.fail(error)
    const call = createCall(session, requestTimeoutMs)
    const replies = new RequestReply({ session, clock, random, requestTimeoutMs, report })
    this.admin = createAdmin({ call, replies })
    this.#topicDeps = {
      session,
      clock,
      random,
      window: new PublishWindow(() => session.limits.publishBytesInFlightMax),
      requestTimeoutMs,
      call,
      replies,
      gap: (event) => this.#events.emit('gap', event),
      report,
      checkOpen: (use) => {
        const isOver = use === 'send' ? this.#isSendingOver : this.#closing !== undefined
        if (isOver || session.state === 'closed') throw new PocketError('CLOSED', 'the client is closed')
      },
      producers: this.#producers,
      consumers: this.#consumers,
    }
    session.start()
    this.#stopListening = onAbort(signal, (error) => session.close(error))
  }

  get link(): LinkState {
    return this.#session.state
  }

  topic<T = unknown>(name: string, { codec = json<T>(), schema }: TopicOptions<T> = {}): Topic<T> {
    return new TopicHandle(this.#topicDeps, name, schema === undefined ? codec : withSchema(codec, schema))
  }

  producer(topic: string, options: HostProducerOptions): HostProducer {
    this.#topicDeps.checkOpen('send')
    checkTopicName(topic)
    const producer = new Producer(this.#topicDeps, topic, bytes, options)
    this.#producers.add(producer)
    return producer
  }

  carry(outbox: Outbox): void {
    outbox.carry(this.#topicDeps)
  }

  consumeStream(topic: string, options: ConsumeOptions, openStream: OpenStream): PushConsumer<Uint8Array> {
    return new TopicHandle(this.#topicDeps, topic, bytes).consumeStream(options, openStream)
  }

  nudge(): void {
    this.#session.nudge()
  }

  transactions(options: TransactionOptions): TransactionProducer {
    this.#topicDeps.checkOpen('send')
    const { producerGroup } = options
    if (this.#producerGroups.has(producerGroup)) {
      throw new PocketError('BAD_ARGUMENT', `this client has a producer of transactions for '${producerGroup}' already`)
    }
    const producer = new GroupProducer({
      ...this.#topicDeps,
      closed: (closed) => {
        if (!this.#producers.delete(closed)) return
        this.#producerGroups.delete(producerGroup)
      },
    }, options)
    this.#producers.add(producer)
    this.#producerGroups.add(producerGroup)
    return producer
  }

  follow({ topics, positions = new Map(), withProgress = false, signal }: FollowOptions): Follower {
    checkFollow(topics, positions)
    return closeableOf(this.#topicDeps, signal, (closed) =>
      new LogFollower({ ...this.#topicDeps, closed }, { topics: [...new Set(topics)], positions, withProgress }))
  }

  on<E extends keyof ClientEvents>(event: E, listener: (event: ClientEvents[E]) => void): () => void {
    return this.#events.on(event, listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #changed(state: SessionState, error: PocketError | undefined): void {
    if (state === 'connected') this.#settleConnected?.resolve()
    if (state === 'closed') {
      this.#settleConnected?.reject(error ?? new PocketError('CLOSED', 'the client is closed'))
      this.#stopListening?.()
    }
    this.#events.emit('link', error === undefined ? { state } : { state, error })
  }

  async #close(): Promise<void> {
    const cancelTimer = this.#clock.setTimer(this.#requestTimeoutMs, () => this.#session.close())
    // Consumers first: a handler that is still at work may send.
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()))
    this.#isSendingOver = true
    await Promise.all([...this.#producers].map((producer) => producer.close()))
    cancelTimer()
    this.#session.close()
  }
}

/** Throws BAD_NAME or BAD_ARGUMENT. */
function checkFollow(topics: FollowOptions['topics'], positions: NonNullable<FollowOptions['positions']>): void {
  const { followTopicCountMax, progressCountMax } = fixedLimits
  if (topics.length < 1 || topics.length > followTopicCountMax) {
    throw new PocketError('BAD_ARGUMENT', `${topics.length} topics to follow; 1 to ${followTopicCountMax} are allowed`)
  }
  for (const topic of topics) checkTopicName(topic)
  let positionCount = 0
  for (const [topic, queues] of positions) {
    checkTopicName(topic)
    checkPositions(queues)
    positionCount += queues.size
  }
  if (positionCount > progressCountMax) {
    throw new PocketError('BAD_ARGUMENT', `${positionCount} positions; at most ${progressCountMax} are allowed`)
  }
}

function ignore(): void {}
