// The client of a page: the line to the engine, whatever hosts it, and all that lives on it. It survives its engines; when
// one is lost, what may be said again is said to the next.

import type { Admin, TransactionOptions } from '../../core/client/api.ts'
import { bytes, json } from '../../core/client/codec.ts'
import { durationToMs } from '../../core/client/duration.ts'
import { withSchema } from '../../core/client/schema.ts'
import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Attach, Attachment } from '../hosts/attach.ts'
import { errorToWire, wireToError } from '../port/errors.ts'
import type { EngineStatus, FromEngine, Home, HostKind, TokenAsked } from '../port/port-protocol.ts'
import { PageLine } from './page-line.ts'
import { unpack } from './page-message.ts'
import { type PageProducer, abortError } from './page-producer.ts'
import { type PageReader, PageTopic, type TopicDeps } from './page-topic.ts'
import { PageTransactions } from './page-transactions.ts'
import type {
  ConnectOptions, WebClient, WebEvents, WebStatus, WebTopic, WebTopicOptions, WebTransactionProducer,
} from './web-api.ts'

/** Calls of `admin` that may be asked twice: they change nothing, or nothing more the second time. */
const isSafeCall = /^(describe|list|find|create|configure|trace$|deadLetters)/

const noStatus: EngineStatus = { link: 'none', outboxCount: 0, outboxBytes: 0, lag: 0, storage: 'memory', tabCount: 0 }

export class PageClient implements WebClient {
  readonly connected: Promise<void>
  readonly admin: Admin
  readonly #relayUrl: string | undefined
  readonly #options: ConnectOptions
  readonly #line: PageLine
  readonly #attachment: Attachment
  readonly #listeners = new Map<string, Set<(event: never) => void>>()
  readonly #producers = new Map<number, PageProducer>()
  readonly #readers = new Map<number, PageReader>()
  readonly #transactions = new Map<string, PageTransactions>()
  readonly #topicDeps: TopicDeps
  #idNext = 0
  #settleConnected: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined
  #persisted: boolean | undefined
  #wasDropped = false
  #host: HostKind | undefined
  #engine: WebStatus['engine'] = 'starting'
  #engineError: PocketError | undefined
  #engineStatus: EngineStatus = noStatus
  #snapshot: WebStatus | undefined
  #closing: Promise<void> | undefined

  constructor(attach: Attach, relayUrl: string | undefined, options: ConnectOptions) {
    const { name = 'default', host = 'auto', worker, workerUrl, signal, connectTimeout = '30s' } = options
    if (!/^[\w-]{1,64}$/.test(name)) {
      throw new PocketError('BAD_ARGUMENT', `the name '${name}' is not 1 to 64 of a-z, 0-9, _ and -`)
    }
    const connectMs = durationToMs(connectTimeout, 'connectTimeout')
    this.#relayUrl = relayUrl
    this.#options = options
    this.connected = new Promise((resolve, reject) => {
      this.#settleConnected = { resolve, reject }
    })
    this.connected.catch(ignore)
    this.#line = new PageLine((message) => this.#heard(message))
    this.#topicDeps = {
      line: this.#line,
      report: (error) => this.#report(error),
      nextId: () => this.#idNext++,
      producers: this.#producers,
      readers: this.#readers,
    }
    this.admin = this.adminOf(this.#homeOf(undefined))
    this.#attachment = attach({ name, host, worker, workerUrl }, {
      attached: (port, welcome) => {
        this.#host = welcome.host
        void this.#attached(() => this.#line.attached(port))
      },
      lost: (error) => {
        this.#line.lost(error)
        this.#engineIs('lost', error)
      },
      ended: (error) => this.#over(error),
    })
    const timeout = setTimeout(() => {
      this.#settleConnected?.reject(new PocketError('TIMEOUT', `no engine was there within ${connectMs} ms`))
    }, connectMs)
    void this.connected.then(() => clearTimeout(timeout), () => clearTimeout(timeout))
    if (signal?.aborted) this.#over(abortError(signal))
    else signal?.addEventListener('abort', () => this.#over(abortError(signal)), { once: true })
    globalThis.addEventListener?.('pagehide', this.#leaving)
    if (options.persist !== false) void this.#persist()
  }

  topic<T = unknown>(name: string, options: WebTopicOptions<T> = {}): WebTopic<T> {
    const { codec = json<T>(), schema, home } = options
    return new PageTopic(this.#topicDeps, name, this.#homeOf(home), schema === undefined ? codec : withSchema(codec, schema))
  }

  transactions(
    { home, ...options }: TransactionOptions & { readonly home?: Home },
  ): WebTransactionProducer {
    const at = this.#homeOf(home)
    const key = `${at}:${options.producerGroup}`
    if (this.#transactions.has(key)) {
      throw new PocketError('BAD_ARGUMENT', `this client has a producer of transactions for '${options.producerGroup}' already`)
    }
    const closed = () => this.#transactions.delete(key)
    const producer = new PageTransactions(this.#line, at, options, (error) => this.#report(error), closed)
    this.#transactions.set(key, producer)
    return producer
  }

  /** Each call goes to the engine by its name. */
  adminOf(home: Home): Admin {
    return new Proxy({} as Admin, {
      get: (_target, call) => {
        // A client that is awaited is no promise.
        if (typeof call !== 'string' || call === 'then') return undefined
        return async (...args: readonly unknown[]) => {
          const answer = await this.#line.call('admin', [home, call, args], isSafeCall.test(call))
          if ('plain' in answer) return answer.plain
          const messages = unpack(answer.messages, '', bytes)
          if (answer.isSingle) return messages[0]
          return answer.extras?.map((extra, at) => ({ ...extra, message: messages[at] })) ?? messages
        }
      },
    })
  }

  on<E extends keyof WebEvents>(event: E, listener: (event: WebEvents[E]) => void): () => void {
    let listeners = this.#listeners.get(event)
    if (listeners === undefined) {
      listeners = new Set()
      this.#listeners.set(event, listeners)
    }
    const own = (value: never): void => listener(value)
    listeners.add(own)
    return () => void listeners.delete(own)
  }

  getSnapshot(): WebStatus {
    this.#snapshot ??= {
      ...this.#engineStatus,
      ...(this.#wasDropped ? { storageLoss: 'emptied' as const } : {}),
      engine: this.#engine,
      ...(this.#engineError === undefined ? {} : { engineError: this.#engineError }),
      ...(this.#host === undefined ? {} : { host: this.#host }),
      role: this.#attachment?.isLeader ? 'leader' : 'follower',
      tabId: this.#attachment?.tabId ?? '',
    }
    return this.#snapshot
  }

  subscribe(changed: () => void): () => void {
    return this.on('status', changed)
  }

  async setOffline(isOffline: boolean): Promise<void> {
    await this.#line.call('setOffline', [isOffline])
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // ── the engine's side ─────────────────────────────────────────────────────────────────────────────────────────

  async #attached(attach: () => void): Promise<void> {
    attach()
    this.#engineIs('running', undefined)
    try {
      const { auth, clientName = '', storage = {} } = this.#options
      this.#engineStatus = await this.#line.call('configure', [{
        relayUrl: this.#relayUrl, hasAuth: auth !== undefined, clientName, persisted: this.#persisted, storage,
      }])
      this.#lookForLoss()
      this.#changed()
      this.#settleConnected?.resolve()
    } catch (thrown) {
      const error = toPocketError(thrown)
      if (error.code !== 'ENGINE_LOST') this.#over(error)
    }
  }

  /**
   * A browser that drops a damaged or evicted origin takes all its databases, and the engine's own directory with them; so
   * the page remembers, elsewhere, which database there was.
   */
  #lookForLoss(): void {
    const { storageGeneration, storageLoss } = this.#engineStatus
    if (storageGeneration === undefined) return
    const key = `pocketmq:${this.#options.name ?? 'default'}`
    try {
      const known = localStorage.getItem(key)
      localStorage.setItem(key, storageGeneration)
      if (known === null || known === storageGeneration || storageLoss !== undefined) return
    } catch {
      // Pages may be kept from it, and Node has none.
      return
    }
    this.#wasDropped = true
    this.#report(new PocketError('STORE_FAILED', 'what this device had kept is gone: the browser has dropped its database'))
  }

  #heard(message: FromEngine): void {
    switch (message.kind) {
      case 'sent':
      case 'relayed':
        return this.#producers.get(message.producer)?.sent(message)
      case 'refused':
      case 'relay-refused':
        return this.#producers.get(message.producer)?.refused(message)
      case 'renumbered':
        return this.#producers.get(message.producer)?.renumbered(message)
      case 'messages':
        return (this.#readers.get(message.consumer) as PushReader | undefined)?.delivered?.(message)
      case 'settled':
        return (this.#readers.get(message.consumer) as PushReader | undefined)?.settled?.(message)
      case 'lost':
        return (this.#readers.get(message.consumer) as PushReader | undefined)?.leaseLost?.(message)
      case 'ended':
        return (this.#readers.get(message.consumer) as PushReader | undefined)?.over?.(message)
      case 'gap':
        return this.#emit('gap', message)
      case 'error':
        return this.#report(wireToError(message.error))
      case 'status':
        return this.#told(message.status)
      case 'token':
        return void this.#tokenAsked(message)
      case 'check':
        return this.#asked(message)
      case 'ping':
        return this.#line.post({ kind: 'pong', number: message.number })
      case 'pong':
      case 'welcome':
      case 'farewell':
        // The attachment's.
    }
  }

  #asked(message: Extract<FromEngine, { readonly kind: 'check' }>): void {
    for (const producer of this.#transactions.values()) {
      if (producer.producerGroup === message.producerGroup) return void producer.asked(message)
    }
    void this.#line.call('answerCheck', [message.request, 'unknown']).catch(ignore)
  }

  async #tokenAsked({ request, reason }: TokenAsked): Promise<void> {
    const { auth = '' } = this.#options
    try {
      const token = typeof auth === 'string' ? auth : await auth({ reason, signal: new AbortController().signal })
      await this.#line.call('answerToken', [request, { value: token }])
    } catch (thrown) {
      await this.#line.call('answerToken', [request, { error: errorToWire(thrown) }]).catch(ignore)
    }
  }

  #told(status: EngineStatus): void {
    const before = this.#engineStatus
    this.#engineStatus = status
    this.#changed()
    if (status.link === before.link || status.link === 'none') return
    const error = status.linkError
    this.#emit('link', error === undefined ? { state: status.link } : { state: status.link, error: wireToError(error) })
  }

  #engineIs(engine: WebStatus['engine'], error: PocketError | undefined): void {
    this.#engine = engine
    this.#engineError = error
    this.#changed()
  }

  #changed(): void {
    this.#snapshot = undefined
    this.#emit('status', this.getSnapshot())
  }

  #over(error: PocketError): void {
    if (this.#engine === 'ended') return
    this.#settleConnected?.reject(error)
    this.#engineIs('ended', error)
    this.#line.ended(error)
    void this.#attachment?.close()
    globalThis.removeEventListener?.('pagehide', this.#leaving)
  }

  #report(error: PocketError): void {
    if ((this.#listeners.get('error')?.size ?? 0) > 0) this.#emit('error', error)
    else console.error(error)
  }

  #emit<E extends keyof WebEvents>(event: E, value: WebEvents[E]): void {
    for (const listener of [...this.#listeners.get(event) ?? []]) {
      try {
        listener(value as never)
      } catch (error) {
        // A listener's failure is its own.
        reportError(error)
      }
    }
  }

  #homeOf(home: Home | undefined): Home {
    return home ?? (this.#relayUrl === undefined ? 'device' : 'relay')
  }

  /** The page may not come back: what it never looked at goes back uncounted. */
  readonly #leaving = (): void => {
    for (const producer of this.#producers.values()) producer.hurry()
    for (const reader of this.#readers.values()) (reader as PushReader).releaseUntaken?.()
  }

  async #persist(): Promise<void> {
    // Pages alone may ask.
    this.#persisted = await globalThis.navigator?.storage?.persist?.().catch(() => false)
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#readers.values()].map((reader) => reader.close()))
    await Promise.all([...this.#producers.values()].map((producer) => producer.close().catch(ignore)))
    await Promise.all([...this.#transactions.values()].map((producer) => producer.close()))
    this.#over(new PocketError('CLOSED', 'the client is closed'))
    await this.#attachment.close()
  }
}

/** What push consumers and receivers hear; each of them some of it. */
interface PushReader {
  delivered?(message: Extract<FromEngine, { readonly kind: 'messages' }>): void
  settled?(message: Extract<FromEngine, { readonly kind: 'settled' }>): void
  leaseLost?(message: Extract<FromEngine, { readonly kind: 'lost' }>): void
  over?(message: Extract<FromEngine, { readonly kind: 'ended' }>): void
  releaseUntaken?(): void
}

function ignore(): void {}
