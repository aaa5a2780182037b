// What a page holds: the client of Node with what is of the browser added. Types only; the makers are beside it.

import type {
  Admin, AsyncTransactionOptions, ClientEvents, Codec, ConsumeOptions, Duration, Message, PullConsumer, PullOptions,
  PushConsumer, ReceiverOptions, Reply, RequestOptions, SendOptions, SendReceipt, SimpleConsumer, Transaction,
  TransactionOptions, TransactionProducer,
} from '../../core/client/api.ts'
import type { StandardSchema } from '../../core/client/schema.ts'
import type { PocketError } from '../../core/errors.ts'
import type { EngineStatus, Home, HostKind } from '../port/port-protocol.ts'

export interface ConnectOptions {
  /**
   * Tabs that connect under one name share an engine and its data. Letters, digits, `_` and `-`, at most 64. Default
   * `default`.
   */
  readonly name?: string
  /**
   * Where the engine runs: `shared` in a SharedWorker; `leader` in a worker of one of the tabs; `inline` in this page;
   * `auto`, the default, in the first of these that works here.
   */
  readonly host?: 'auto' | HostKind
  /** Token for the relay, or a function that fetches one before each connection; any tab that has one may be asked. */
  readonly auth?: string | ((context: { reason: 'connect' | 'reconnect'; signal: AbortSignal }) => string | Promise<string>)
  /**
   * Makes the worker, where the bundler has to see it in the application: `(name) => new SharedWorker(url, { type: 'module',
   * name })`, or `Worker`. The name changes when a worker has died; one that keeps its name could be the dead one.
   */
  readonly worker?: (name: string) => Worker | SharedWorker
  /** Where `pocketmq/worker` lies, instead: for pages without a bundler. */
  readonly workerUrl?: string | URL
  /**
   * How much of this device's storage relay topics may take; the first tab of a name decides. When copies are full, their
   * oldest messages go, and readers behind hear of a gap. The outbox never drops anything: when it is full, `send` rejects
   * with STORE_FULL.
   */
  readonly storage?: {
    /** Messages that wait for the relay. Default 256 MiB. */
    readonly outboxBytesMax?: number
    /** Copies of relay topics for BROADCASTING consumers. Default 128 MiB. */
    readonly copyBytesMax?: number
  }
  /** Asks the browser to keep the data when room runs out. Default true; the answer is in the status. */
  readonly persist?: boolean
  /** Name of this client, for people. */
  readonly clientName?: string
  /** Ends the attempt to connect, and later the client. */
  readonly signal?: AbortSignal
  /** How long to wait for the engine before `connect` rejects with TIMEOUT. Default 30 s. */
  readonly connectTimeout?: Duration
}

/** Where things stand, as one value that changes as a whole. */
export interface WebStatus extends EngineStatus {
  /** `starting` until an engine is there; `lost` between two; `ended` when there will be none. */
  readonly engine: 'starting' | 'running' | 'lost' | 'ended'
  /** Why it is `lost` or `ended`. */
  readonly engineError?: PocketError
  readonly host?: HostKind
  /** `leader`: the engine runs in this tab's worker. */
  readonly role: 'leader' | 'follower'
  readonly tabId: string
}

export interface WebEvents extends ClientEvents {
  readonly status: WebStatus
}

export interface WebSendOptions extends SendOptions {
  /**
   * Relay topics: when `send` resolves. `device`, the default: durable here, and sure to go to the relay; `relay`: durable
   * there, however long that takes.
   */
  readonly until?: 'device' | 'relay'
}

export interface WebSendReceipt extends SendReceipt {
  /** Where the message is durable. A message `device` of a relay topic has no place in a queue yet. */
  readonly storedAt: Home
  /**
   * Relay topics: the receipt of the relay, once it has the message. Rejects with what the relay refused it for, or with
   * ENGINE_LOST where the engine ended before it could tell; then the message still goes on its way. May be left alone.
   */
  readonly relayed: Promise<SendReceipt> | undefined
}

export interface WebConsumeOptions extends ConsumeOptions {
  /** Relay topics, BROADCASTING: what this device sends comes at once, marked `pending`, and again once the relay has it. */
  readonly echo?: boolean
}

export interface WebMessage<T> extends Message<T> {
  /** Sent by this device and not at the relay yet. */
  readonly pending: boolean
}

export interface WebPushConsumer<T> extends Omit<PushConsumer<T>, 'run' | typeof Symbol.asyncIterator> {
  run(
    handle: (message: WebMessage<T>) => void | Promise<void>, options?: { readonly concurrency?: number },
  ): Promise<void>
  [Symbol.asyncIterator](): AsyncIterator<WebMessage<T>, undefined>
}

export interface WebTopic<T> {
  readonly name: string
  /** Where it lives. */
  readonly home: Home
  /** As in Node; a relay topic's receipt comes when the message is durable on this device. */
  send(value: T, options?: WebSendOptions): Promise<WebSendReceipt>
  request<R = unknown>(value: T, options?: RequestOptions<R>): Promise<Reply<R>>
  recall(recallHandle: string): Promise<void>
  ready(options?: { readonly signal?: AbortSignal }): Promise<void>
  readonly inFlightCount: number
  /** BROADCASTING on a relay topic reads this device's copy, offline too; where it stands is kept here by group. */
  consume(options: WebConsumeOptions): WebPushConsumer<T>
  receiver(options: ReceiverOptions): SimpleConsumer<T>
  pull(options: PullOptions): PullConsumer<T>
}

export interface WebTopicOptions<T> {
  /** Values to bytes and back. Default `json`. */
  readonly codec?: Codec<T>
  /** Any Standard Schema whose `validate` answers at once: checks what is sent and what is received. */
  readonly schema?: StandardSchema<unknown, T>
  /** Default: `relay` where `connect` was given a relay, else `device`. */
  readonly home?: Home
}

export interface WebTransaction extends Omit<Transaction, 'send'> {
  send<T>(topic: WebTopic<T>, value: T, options?: SendOptions): Promise<{ readonly messageId: string }>
}

export interface WebTransactionProducer extends Omit<TransactionProducer, 'begin' | 'run'> {
  begin(): WebTransaction
  run<R>(work: (transaction: WebTransaction) => R | Promise<R>): Promise<R>
}

export interface WebClient extends AsyncDisposable {
  /** Resolves when an engine is there; the relay may be out of reach. */
  readonly connected: Promise<void>
  /** Topics, groups and stored messages, where topics live by default. */
  readonly admin: Admin
  adminOf(home: Home): Admin
  topic<T = unknown>(name: string, options?: WebTopicOptions<T>): WebTopic<T>
  /** As in Node; all messages of a transaction are of one home. */
  transactions(options: AsyncTransactionOptions & { readonly home?: Home }): WebTransactionProducer
  transactions(options: TransactionOptions & { readonly home?: Home }): WebTransactionProducer
  on<E extends keyof WebEvents>(event: E, listener: (event: WebEvents[E]) => void): () => void
  /** Where things stand now: the same object until something changes. */
  getSnapshot(): WebStatus
  /** Calls `changed` on every change of the snapshot; the function given ends that. */
  subscribe(changed: () => void): () => void
  /**
   * Cuts this device's connection to the relay, for all its tabs, or lets it be made again. What is sent meanwhile waits in the
   * outbox. It holds until it is changed or the engine ends. Rejects with BAD_ARGUMENT where no relay was named.
   */
  setOffline(isOffline: boolean): Promise<void>
  /** Closes consumers and waits for sends to be stored on this device. The engine goes on for other tabs. */
  close(): Promise<void>
}
