// What pages and engines say to each other over a port: the hello of both, the calls (through comlink), and the messages
// that flow beside them, packed. Types and the version alone. Old pages may meet a new engine after a deploy, so a change
// of meaning raises `portVersion`; two of different versions part with ENGINE_REPLACED.

import type {
  ConsumeOptions, Duration, GroupDetail, PullOptions, ReceiverOptions, ReplyOptions, SendOptions, Timeline, TopicDetail,
} from '../../core/client/api.ts'
import type { ErrorCode } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import type { Durability } from '../../core/model/topic.ts'

/** Of everything in this file. */
export const portVersion = 1

export type HostKind = 'shared' | 'leader' | 'inline'

/** Where a topic lives: wholly in this browser, or at the relay with an outbox and a copy here. */
export type Home = 'device' | 'relay'

// ── hello ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** The first message of a page. */
export interface Hello {
  readonly kind: 'hello'
  readonly portVersion: number
  /** Which build of the library the page runs, for logs and for the rule of who makes room for whom. */
  readonly build: string
  /** Names the tab while it lives; it holds the lock of that name. */
  readonly tabId: string
}

/** The engine's answer, once it runs. */
export interface Welcome {
  readonly kind: 'welcome'
  readonly portVersion: number
  readonly build: string
  /** Names this life of the engine; it holds the lock of that name. */
  readonly instanceId: string
  readonly host: HostKind
  /** As it is with this tab. Of the relay it says what other tabs have made of it: this one has not named any yet. */
  readonly status: EngineStatus
}

/** The engine ends, or will not serve this page: instead of a welcome, or later. */
export interface Farewell {
  readonly kind: 'farewell'
  /** ENGINE_REPLACED: reload the page; ENGINE_LOST: say hello to the next one. */
  readonly error: WireError
}

/** The page is about to be frozen, or runs again. */
export interface TabPace {
  readonly kind: 'pace'
  readonly pace: 'frozen' | 'running'
}

/** What a page hears of the world that a worker doesn't: come back online, visible again, woken up. */
export interface Nudge {
  readonly kind: 'nudge'
  readonly online: boolean
}

/** Is the page there? Asked by the engine while the page holds leases; answered at once with the same number. */
export interface Ping {
  readonly kind: 'ping' | 'pong'
  readonly number: number
}

// ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** A PocketError as plain data. */
export interface WireError {
  readonly code: ErrorCode
  readonly message: string
  readonly retryAfterMs?: number | undefined
}

/** What a call gives: comlink would lose the code of what is thrown. */
export type Outcome<T> = { readonly value: T } | { readonly error: WireError }

// ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** What goes with a message, without what can't be cloned. */
export type PortSendOptions = Omit<SendOptions, 'signal'>

/** A producer of the page, told before its first send, again to every new engine, and after `resend`. */
export interface OpenProducer {
  readonly kind: 'producer'
  /** Of this page. */
  readonly producer: number
  readonly topic: string
  readonly home: Home
  /** 16 hex digits. The page keeps the identity, so that the next engine recognises what it sends again. */
  readonly producerId: string
  readonly producerEpoch: number
  /** Sequence of the next message, in that epoch. */
  readonly sequenceNext: number
}

/** Messages of one turn of the page. A resend has the same messages in the same chunk. */
export interface SendChunk {
  readonly kind: 'send'
  readonly producer: number
  /** Of the first message, counted by the page from 0 on. */
  readonly index: number
  /** All bodies, one behind the other. */
  readonly bodies: Uint8Array
  readonly sizes: readonly number[]
  /** By message; missing where no message has any. */
  readonly options?: readonly (PortSendOptions | undefined)[] | undefined
}

/** Messages that are durable: `sent` where they were sent to, `relayed` at the relay after they were `sent` here. */
export interface Sent {
  readonly kind: 'sent' | 'relayed'
  readonly producer: number
  readonly index: number
  /** `producerId-epoch-`, before each one's sequence. */
  readonly idPrefix: string
  /** Four numbers a message: sequence, queue id, offset, epoch; NaN where there is none. */
  readonly places: Float64Array
  /** What few messages have, by position in this list. */
  readonly rare?: ReadonlyMap<number, {
    readonly duplicate?: boolean
    /** Not said where it is strict. */
    readonly durability?: Durability
    readonly deliverMs?: number
    readonly recallHandle?: string
  }>
}

export interface SendRefused {
  readonly kind: 'refused' | 'relay-refused'
  readonly producer: number
  readonly index: number
  readonly error: WireError
}

/** All that is not answered goes again under this identity. Otherwise the page counts on from the last `sent`. */
export interface Renumbered {
  readonly kind: 'renumbered'
  readonly producer: number
  readonly producerId: string
  readonly producerEpoch: number
  readonly sequenceNext: number
}

/**
 * Something was refused, and all before it is answered. What the page had sent behind it was not taken: it opens the
 * producer again and sends all that is not answered.
 */
export interface ResendAsked {
  readonly kind: 'resend'
  readonly producer: number
}

// ── consuming ───────────────────────────────────────────────────────────────────────────────────────────────────

/** A message as plain data; `undefined` fields are left out. */
export interface PortMessageFields {
  readonly messageId: string
  readonly queueId: number
  /** Of the queue's log. */
  readonly epoch: number
  readonly offset: number
  readonly tag?: string
  readonly keys?: readonly string[]
  readonly messageGroup?: string
  readonly properties?: ReadonlyMap<string, string>
  readonly bornMs: number
  readonly storedMs: number
  readonly deliverMs?: number
  readonly priority?: number
  readonly ttlMs?: number
  readonly attempt: number
  /** Where it is not the consumer's. */
  readonly topic?: string
  /** Sent by this device and not at the relay yet. */
  readonly pending?: boolean
}

/** Messages with their bodies in one buffer. */
export interface PackedMessages {
  readonly fields: readonly PortMessageFields[]
  readonly bodies: Uint8Array
  readonly sizes: readonly number[]
}

export interface Delivered extends PackedMessages {
  readonly kind: 'messages'
  readonly consumer: number
  /** Of the first; the rest count on. The page settles by handle. */
  readonly handle: number
}

/** The page took so many messages more out of what it holds. */
export interface Credit {
  readonly kind: 'credit'
  readonly consumer: number
  readonly count: number
}

/** Acks of one turn of the page; answered by one `settled`. */
export interface Settle {
  readonly kind: 'settle'
  readonly consumer: number
  readonly request: number
  readonly handles: readonly number[]
  /** `release`: the application never saw them; they go back uncounted. */
  readonly verb: 'ack' | 'retry' | 'release'
  readonly delayMs?: number | undefined
}

export interface Settled {
  readonly kind: 'settled'
  readonly consumer: number
  readonly request: number
  /** Those that failed, by handle. */
  readonly failures?: readonly (readonly [handle: number, error: WireError])[]
}

/** Leases of these messages are over: what is not handed out is dropped, who works on one should stop. */
export interface LeaseLost {
  readonly kind: 'lost'
  readonly consumer: number
  readonly handles: readonly number[]
}

export interface GapTold {
  readonly kind: 'gap'
  readonly consumer: number
  readonly topic: string
  readonly group: string | undefined
  readonly queueId: number
  readonly expected: Position
  readonly next: Position
}

/** The consumer is over: closed, or ended by the broker with an error. */
export interface ConsumerEnded {
  readonly kind: 'ended'
  readonly consumer: number
  readonly error?: WireError
}

/** A failure that no call waits for. */
export interface ErrorTold {
  readonly kind: 'error'
  readonly error: WireError
}

// ── status ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where things stand; told whenever it changes, at most ten times a second. */
export interface EngineStatus {
  /** `none`: no relay was named. */
  readonly link: 'none' | 'connecting' | 'connected' | 'waiting' | 'closed'
  /** Why the link is `waiting` or `closed`. */
  readonly linkError?: WireError
  /** As `setOffline` said, for all tabs of this device. */
  readonly isOffline: boolean
  /** Messages stored here that the relay has not confirmed. */
  readonly outboxCount: number
  readonly outboxBytes: number
  /** When the oldest of them was stored, ms since 1970. */
  readonly outboxOldestMs?: number
  /** Messages of followed relay topics still to come, as last told. */
  readonly lag: number
  /** `memory`: what is stored here is gone when the engine ends. */
  readonly storage: 'indexeddb' | 'memory'
  /** Why it is memory, where IndexedDB was asked for. */
  readonly storageError?: WireError
  /**
   * Something this device had kept was gone when its engine opened; an `error` event STORE_FAILED told so. `emptied`:
   * deleted, or taken by the browser to make room; `damaged`: it can't be opened any more.
   */
  readonly storageLoss?: 'emptied' | 'damaged'
  /** Names the database. */
  readonly storageGeneration?: string
  /** What the browser answered to the request to keep the data; undefined before it was asked. */
  readonly persisted?: boolean
  /** Bytes this origin uses and may use, as the browser tells. */
  readonly usedBytes?: number
  readonly quotaBytes?: number
  readonly tabCount: number
}

export interface StatusTold {
  readonly kind: 'status'
  readonly status: EngineStatus
}

// ── transactions ────────────────────────────────────────────────────────────────────────────────────────────────

/** The engine asks the page what became of a transaction; answered by `TabApi.answerCheck`. */
export interface CheckAsked extends PackedMessages {
  readonly kind: 'check'
  readonly request: number
  readonly producerGroup: string
  readonly transactionId: string
  readonly checkCount: number
  readonly preparedMs: number
}

/** The engine needs a token; answered by `TabApi.answerToken`. */
export interface TokenAsked {
  readonly kind: 'token'
  readonly request: number
  readonly reason: 'connect' | 'reconnect'
}

export type FromPage =
  | Hello | TabPace | Nudge | Ping | OpenProducer | SendChunk | Credit | Settle
export type FromEngine =
  | Welcome | Farewell | Ping | Sent | SendRefused | Renumbered | ResendAsked | Delivered | Settled | LeaseLost | GapTold
  | ConsumerEnded | ErrorTold | StatusTold | CheckAsked | TokenAsked

// ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** What the page wants of its engine, said after each welcome. */
export interface TabSettings {
  /** The relay; undefined for none. All tabs of one name have the same. */
  readonly relayUrl: string | undefined
  /** The page can be asked for tokens. */
  readonly hasAuth: boolean
  /** Name for people. */
  readonly clientName: string
  /** What the browser answered to `navigator.storage.persist()`, which only pages may ask. */
  readonly persisted: boolean | undefined
  /** Bounds of what relay topics keep here; those of the first tab count. */
  readonly storage: { readonly outboxBytesMax?: number; readonly copyBytesMax?: number }
}

export interface ConsumeSpec extends Omit<ConsumeOptions, 'signal'> {
  readonly topic: string
  readonly home: Home
  /** Relay topics, BROADCASTING: what this device sends comes at once, marked `pending`, and again once stored. */
  readonly echo?: boolean
}

export interface ReceiverSpec extends Omit<ReceiverOptions, 'signal'> {
  readonly topic: string
  readonly home: Home
}

export interface PullSpec extends Omit<PullOptions, 'signal'> {
  readonly topic: string
  readonly home: Home
}

export interface RequestSpec {
  readonly topic: string
  readonly home: Home
  readonly body: Uint8Array
  readonly options: PortSendOptions & { readonly timeout?: Duration }
}

export interface PortReply {
  readonly body: Uint8Array
  readonly tag: string | undefined
  readonly keys: readonly string[]
  readonly properties: ReadonlyMap<string, string>
}

/** A received batch of a receiver or a pull. */
export interface PulledMessages extends PackedMessages {
  /** Receivers: of the first. */
  readonly handle: number
  /** Pulls: where the next batch starts. */
  readonly position?: Position
  /** Pulls: the end was reached. */
  readonly done?: boolean
}

/** What a page calls. Every call gives an `Outcome` and never throws. */
export interface TabApi {
  configure(settings: TabSettings): Promise<Outcome<EngineStatus>>
  /** Resolves when subscribed, with where a BROADCASTING reader stands. Deliveries may come before. */
  consume(consumer: number, spec: ConsumeSpec): Promise<Outcome<ReadonlyMap<number, Position>>>
  openReceiver(consumer: number, spec: ReceiverSpec): Promise<Outcome<undefined>>
  receive(
    consumer: number, options: {
      readonly max?: number | undefined
      readonly wait?: Duration | undefined
      readonly lease?: Duration | undefined
    },
  ): Promise<Outcome<PulledMessages>>
  openPull(consumer: number, spec: PullSpec): Promise<Outcome<undefined>>
  pull(consumer: number): Promise<Outcome<PulledMessages>>
  closeConsumer(consumer: number): Promise<Outcome<undefined>>
  extend(consumer: number, handle: number, lease: Duration): Promise<Outcome<undefined>>
  reply(
    consumer: number, handle: number, body: Uint8Array, options: Omit<ReplyOptions, 'codec'>,
  ): Promise<Outcome<undefined>>
  request(spec: RequestSpec): Promise<Outcome<PortReply>>
  recall(home: Home, topic: string, recallHandle: string): Promise<Outcome<undefined>>
  /** Resolves when all sends of a producer of the page are answered. */
  closeProducer(producer: number): Promise<Outcome<undefined>>
  openTransactions(
    home: Home, options: { readonly producerGroup: string; readonly checkAfterMs?: number | undefined },
  ): Promise<Outcome<undefined>>
  closeTransactions(home: Home, producerGroup: string): Promise<Outcome<undefined>>
  /** Under an id that the page made: 16 hex digits. */
  begin(home: Home, producerGroup: string, transactionId: string): Promise<Outcome<undefined>>
  prepare(
    home: Home, transactionId: string, topic: string, body: Uint8Array, options: PortSendOptions,
  ): Promise<Outcome<string>>
  end(home: Home, transactionId: string, how: 'commit' | 'rollback'): Promise<Outcome<unknown>>
  answerCheck(request: number, verdict: 'commit' | 'rollback' | 'unknown'): Promise<Outcome<undefined>>
  answerToken(request: number, outcome: Outcome<string>): Promise<Outcome<undefined>>
  setOffline(isOffline: boolean): Promise<Outcome<undefined>>
  /** Any call of the client's `admin`; messages come packed. */
  admin(home: Home, call: string, args: readonly unknown[]): Promise<Outcome<AdminAnswer>>
}

/** What `admin` gives, with its messages taken out. */
export type AdminAnswer =
  | { readonly plain: unknown | TopicDetail | GroupDetail | readonly Timeline[] }
  | { readonly messages: PackedMessages; readonly isSingle: boolean; readonly extras?: readonly object[] }
