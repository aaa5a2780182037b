// The maker of clients, the same on every platform: what differs comes in as ports.

import { textToBytes } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'
import { type Log, silentLog } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Dialler } from '../ports/transport.ts'
import { ClientSession, type SessionState } from '../session/client-session.ts'
import { onAbort } from './abort.ts'
import { createAdmin } from './admin.ts'
import type { Admin, Client, ClientEvents, ClientOptions, Codec, LinkState, Topic } from './api.ts'
import { json } from './codec.ts'
import { durationToMs } from './duration.ts'
import { EventEmitter } from './event-emitter.ts'
import { PublishWindow } from './publish-window.ts'
import { type Closeable, TopicHandle, type TopicHandleDeps } from './topic.ts'

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

class SessionClient implements Client {
  readonly connected: Promise<void>
  readonly admin: Admin
  readonly #clock: Clock
  readonly #session: ClientSession
  readonly #events: EventEmitter
  readonly #requestTimeoutMs: number
  readonly #topicDeps: TopicHandleDeps
  readonly #producers = new Set<Closeable>()
  readonly #consumers = new Set<Closeable>()
  #settleConnected: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined
  #stopListening: (() => void) | undefined
  #closing: Promise<void> | undefined
  #isSendingOver = false

  constructor({ dialler, clock, random, log = silentLog }: ClientDeps, options: ClientOptions) {
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
      connectTimeoutMs: durationToMs(connectTimeout, 'connectTimeout'),
      changed: (state, error) => this.#changed(state, error),
    })
    this.#session = session
    this.admin = createAdmin({ session, requestTimeoutMs: this.#requestTimeoutMs })
    this.#topicDeps = {
      session,
      clock,
      random,
      window: new PublishWindow(() => session.limits.publishBytesInFlightMax),
      requestTimeoutMs: this.#requestTimeoutMs,
      gap: (event) => this.#events.emit('gap', event),
      report: (error) => this.#events.fail(error),
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

  topic<T = unknown>(name: string, { codec = json<T>() }: { readonly codec?: Codec<T> } = {}): Topic<T> {
    return new TopicHandle(this.#topicDeps, name, codec)
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

function ignore(): void {}
