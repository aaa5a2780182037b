// The client of a page: the line to the engine, whatever hosts it, and all that lives on it. It survives its engines; when
// one is lost, what may be said again is said to the next.

import { onAbort } from '../../core/client/abort.ts'
import type { Admin, StoredPlace, TransactionOptions } from '../../core/client/api.ts'
import { bytes, json } from '../../core/client/codec.ts'
import { durationToMs } from '../../core/client/duration.ts'
import { withSchema } from '../../core/client/schema.ts'
import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Attach, Attachment } from '../hosts/attach.ts'
import type { EnginePort } from '../port/engine-port.ts'
import { outcomeOf, wireToError } from '../port/errors.ts'
import type { CheckAsked, EngineStatus, FromEngine, Home, TokenAsked, Welcome } from '../port/port-protocol.ts'
import { PageLine } from './page-line.ts'
import { unpack } from './page-message.ts'
import { PageProducer } from './page-producer.ts'
import { PageReader } from './page-reader.ts'
import { PageTopic } from './page-topic.ts'
import { PageTransactions } from './page-transactions.ts'
import { ignore, QuietPromise } from './quiet-promise.ts'
import type {
  ConnectOptions, WebClient, WebEvents, WebStatus, WebTopic, WebTopicOptions, WebTransactionProducer,
} from './web-api.ts'

/** Calls of `admin` that may be asked twice: they change nothing, or nothing more the second time. */
const isSafeCall = /^(describe|list|find|create|configure|trace$|deadLetters)/

/** What the page itself sees of its engine: goes on top of what that tells. */
type EngineSeen = Pick<WebStatus, 'engine' | 'engineError' | 'host' | 'storageLoss'>

const noStatus: EngineStatus = {
  link: 'none', isOffline: false, outboxCount: 0, outboxBytes: 0, lag: 0, storage: 'memory', tabCount: 0,
}

export class PageClient implements WebClient {
  readonly admin: Admin
  readonly #relayUrl: string | undefined
  readonly #options: ConnectOptions
  readonly #line = new PageLine((message) => this.#heard(message))
  readonly #attachment: Attachment
  readonly #listeners = new Map<string, Set<(event: never) => void>>()
  readonly #connecting = new QuietPromise()
  #persisted: boolean | undefined
  #engine: EngineSeen = { engine: 'starting' }
  #engineStatus: EngineStatus = noStatus
  #snapshot: WebStatus | undefined
  #closing: Promise<void> | undefined

  constructor(attach: Attach, relayUrl: string | undefined, options: ConnectOptions) {
    const { name = 'default', host = 'auto', worker, workerUrl, signal, connectTimeout = '30s', persist = true } = options
    if (!/^[\w-]{1,64}$/.test(name)) {
      throw new PocketError('BAD_ARGUMENT', `the name '${name}' is not 1 to 64 of a-z, 0-9, _ and -`)
    }
    const connectMs = durationToMs(connectTimeout, 'connectTimeout')
    this.#relayUrl = relayUrl
    this.#options = options
    this.admin = this.adminOf(this.#homeOf(undefined))
    this.#attachment = attach({ name, host, worker, workerUrl }, {
      attached: (port, welcome) => void this.#attached(port, welcome),
      lost: (error) => {
        this.#line.lost(error)
        this.#engineIs({ engine: 'lost', engineError: error })
      },
      ended: (error) => this.#over(error),
    })
    const timeout = setTimeout(() => {
      this.#connecting.reject(new PocketError('TIMEOUT', `no engine was there within ${connectMs} ms`))
    }, connectMs)
    this.connected.finally(() => clearTimeout(timeout)).catch(ignore)
    onAbort(signal, (error) => this.#over(error))
    globalThis.addEventListener?.('pagehide', this.#leaving)
    if (persist) void this.#persist()
  }

  get connected(): Promise<void> {
    return this.#connecting.promise
  }

  topic<T = unknown>(name: string, options: WebTopicOptions<T> = {}): WebTopic<T> {
    const { codec = json<T>(), schema, home } = options
    const typed = schema === undefined ? codec : withSchema(codec, schema)
    return new PageTopic(this.#line, this.#report, name, this.#homeOf(home), typed)
  }

  transactions({ home, ...options }: TransactionOptions & { readonly home?: Home }): WebTransactionProducer {
    const at = this.#homeOf(home)
    const { producerGroup } = options
    if (this.#all(PageTransactions).some((other) => other.home === at && other.producerGroup === producerGroup)) {
      throw new PocketError('BAD_ARGUMENT', `this client has a producer of transactions for '${producerGroup}' already`)
    }
    const producer = new PageTransactions(this.#line, at, options, this.#report)
    this.#line.join(producer)
    return producer
  }

  /** Each call goes to the engine by its name. */
  adminOf(home: Home): Admin {
    return new Proxy({} as Admin, {
      get: (_target, call) => {
        // A client that is awaited is no promise.
        if (typeof call !== 'string' || call === 'then') return undefined
        return async (...args: readonly unknown[]) => {
          const answer = await this.#line.call('admin', [home, call, args.map(withPlainPlace)], isSafeCall.test(call))
          if ('plain' in answer) return answer.plain
          const messages = unpack(answer.messages, '', bytes)
          if (answer.isSingle) return messages[0]
          return answer.extras?.map((extra, at) => ({ ...extra, message: messages[at] })) ?? messages
        }
      },
    })
  }

  on<E extends keyof WebEvents>(event: E, listener: (event: WebEvents[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    const own = (value: never): void => listener(value)
    listeners.add(own)
    return () => void listeners.delete(own)
  }

  getSnapshot(): WebStatus {
    const { tabId = '', isLeader = false } = this.#attachment ?? {}
    this.#snapshot ??= { ...this.#engineStatus, ...this.#engine, role: isLeader ? 'leader' : 'follower', tabId }
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

  async #attached(port: EnginePort, { host, status }: Welcome): Promise<void> {
    this.#line.attached(port)
    this.#engineStatus = status
    this.#lookForLoss()
    this.#engineIs({ engine: 'running', host })
    // What is asked meanwhile waits in the engine. A relay may be refused: other tabs of the name may have another.
    if (this.#relayUrl === undefined) this.#connecting.resolve()
    try {
      const { auth, clientName = '', storage = {} } = this.#options
      this.#engineStatus = await this.#line.call('configure', [{
        relayUrl: this.#relayUrl, hasAuth: auth !== undefined, clientName, persisted: this.#persisted, storage,
      }])
      this.#changed()
      this.#connecting.resolve()
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
    this.#engine = { ...this.#engine, storageLoss: 'emptied' }
    this.#report(new PocketError('STORE_FAILED', 'what this device had kept is gone: the browser has dropped its database'))
  }

  #heard(message: FromEngine): void {
    switch (message.kind) {
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
        return
      default:
        this.#line.participants.get('producer' in message ? message.producer : message.consumer)?.hear?.(message)
    }
  }

  #asked(message: CheckAsked): void {
    const asked = this.#all(PageTransactions).find(({ producerGroup }) => producerGroup === message.producerGroup)
    if (asked !== undefined) void asked.asked(message)
    else this.#line.call('answerCheck', [message.request, 'unknown']).catch(ignore)
  }

  async #tokenAsked({ request, reason }: TokenAsked): Promise<void> {
    const { auth = '' } = this.#options
    const { signal } = new AbortController()
    const outcome = await outcomeOf(() => (typeof auth === 'string' ? auth : auth({ reason, signal })))
    await this.#line.call('answerToken', [request, outcome]).catch(ignore)
  }

  #told(status: EngineStatus): void {
    const before = this.#engineStatus
    this.#engineStatus = status
    this.#changed()
    if (status.link === before.link || status.link === 'none') return
    const { link: state, linkError } = status
    this.#emit('link', linkError === undefined ? { state } : { state, error: wireToError(linkError) })
  }

  #engineIs(now: EngineSeen): void {
    const { engineError: _, ...lasting } = this.#engine
    this.#engine = { ...lasting, ...now }
    this.#changed()
  }

  #changed(): void {
    this.#snapshot = undefined
    this.#emit('status', this.getSnapshot())
  }

  #over(error: PocketError): void {
    if (this.#engine.engine === 'ended') return
    this.#connecting.reject(error)
    this.#engineIs({ engine: 'ended', engineError: error })
    this.#line.ended(error)
    void this.#attachment?.close()
    globalThis.removeEventListener?.('pagehide', this.#leaving)
  }

  readonly #report = (error: PocketError): void => {
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

  /** The page may not come back. */
  readonly #leaving = (): void => {
    for (const participant of this.#line.participants.values()) participant.leaving?.()
  }

  #all<P>(kind: abstract new (...given: never[]) => P): P[] {
    return [...this.#line.participants.values()].filter((participant) => participant instanceof kind) as P[]
  }

  async #persist(): Promise<void> {
    // Pages alone may ask.
    this.#persisted = await globalThis.navigator?.storage?.persist?.().catch(() => false)
  }

  async #close(): Promise<void> {
    // Handlers may send until they are done.
    for (const kind of [PageReader, PageProducer, PageTransactions]) {
      await Promise.all(this.#all<{ close(): Promise<void> }>(kind).map((one) => one.close()))
    }
    this.#over(new PocketError('CLOSED', 'the client is closed'))
    await this.#attachment.close()
  }
}

/** A message of the page does not go through a port; of one to go on behind, its place does. */
function withPlainPlace(arg: unknown): unknown {
  const { after } = (arg ?? {}) as { readonly after?: unknown }
  if (typeof after !== 'object' || after === null) return arg
  const { storedMs, queueId, offset } = after as StoredPlace
  return { ...arg as object, after: { storedMs, queueId, offset } }
}
