// What an application holds: the public types of the client, the same in Node, a tab or the edge. Types only; the
// makers are client.ts, producer.ts, push-consumer.ts, simple-consumer.ts, pull-consumer.ts and admin.ts beside it.

import type { PocketError } from '../errors.ts'
import type { MessageId } from '../model/message.ts'
import type { Position } from '../model/position.ts'
import type { ConsumeMode, MessageType } from '../model/topic.ts'

/** Bytes to values and back. `json` is the default of a topic. */
export interface Codec<T> {
  readonly name: string
  encode(value: T): Uint8Array
  /** May throw; the reader of `message.value` then gets that error as cause of BAD_ARGUMENT. */
  decode(body: Uint8Array): T
}

/** A duration: milliseconds, or a number with a unit: `'500ms' '30s' '5m' '2h' '3d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

export interface ClientOptions {
  /** Name for people, seen in listings of the relay. */
  readonly name?: string
  /** Token, or a function that fetches one before each connection. */
  readonly auth?: string | ((context: { reason: 'connect' | 'reconnect'; signal: AbortSignal }) => string | Promise<string>)
  /** Ends the attempt to connect, and later the client. */
  readonly signal?: AbortSignal
  /** How long `connect` tries before it rejects; later reconnects never give up. Default 10 s. */
  readonly connectTimeout?: Duration
  /** How long a request may take before it rejects with TIMEOUT; sends wait without end. Default 30 s. */
  readonly requestTimeout?: Duration
}

/** Where the connection stands. */
export type LinkState = 'connecting' | 'connected' | 'waiting' | 'closed'

export interface ClientEvents {
  /** Messages a reader should have had are gone: by retention, damage, or a log made anew. */
  readonly gap: GapEvent
  readonly link: { readonly state: LinkState; readonly error?: PocketError }
  /** Something failed that no call was waiting for, e.g. an un-awaited ack. */
  readonly error: PocketError
}

export interface GapEvent {
  readonly topic: string
  readonly group: string | undefined
  readonly queueId: number
  /** Where the reader stood. */
  readonly expected: Position
  /** Where it goes on. */
  readonly next: Position
}

/** A connection to a broker, kept up by itself. Closing it closes its producers and consumers. */
export interface Client extends AsyncDisposable {
  readonly link: LinkState
  /**
   * Resolves when connected to begin with; rejects on a failure that trying again can't mend, or when `connectTimeout`
   * is over. Nothing has to wait for it: what is sent before goes out when there is a connection.
   */
  readonly connected: Promise<void>
  readonly admin: Admin
  /** The one handle of a topic's name and codec; makes nothing at the relay by itself. */
  topic<T = unknown>(name: string, options?: { readonly codec?: Codec<T> }): Topic<T>
  /** Adds a listener; the function given takes it away again. */
  on<E extends keyof ClientEvents>(event: E, listener: (event: ClientEvents[E]) => void): () => void
  /**
   * Lets running handlers end (at most 10 s), leaves all groups, waits until every send was answered, then closes. After
   * `requestTimeout` it closes anyway and what is unanswered rejects with CLOSED. Repeating it gives the same promise.
   */
  close(): Promise<void>
}

export interface SendOptions {
  /** One word by which consumers filter. */
  readonly tag?: string
  /** Words by which the message is found again. */
  readonly keys?: readonly string[]
  /** Orders messages among each other; needed in a FIFO topic and not allowed in a NORMAL one. */
  readonly messageGroup?: string
  readonly properties?: Readonly<Record<string, string>> | ReadonlyMap<string, string>
  /** Stops waiting for the answer; a message not sent yet is dropped. */
  readonly signal?: AbortSignal
}

/** The message is synced to the relay's disk. */
export interface SendReceipt {
  readonly messageId: MessageId
  /** Undefined only for a resend whose place the relay no longer knows. */
  readonly queueId: number | undefined
  readonly offset: number | undefined
  readonly epoch: number | undefined
  /** The relay had it already, from an earlier try whose answer was lost. */
  readonly duplicate: boolean
}

export interface Topic<T> {
  readonly name: string
  /**
   * Sends one message. Calls of one turn go as one batch; nothing waits for more to come. Resolves when durable;
   * resent by itself after a reconnect, recognised by the relay, in order. Rejects with a code otherwise.
   */
  send(value: T, options?: SendOptions): Promise<SendReceipt>
  /** Resolves when the producer has room again; for loops that send faster than the relay stores. At once if it has. */
  ready(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Messages sent and not answered. */
  readonly inFlightCount: number
  consume(options: ConsumeOptions): PushConsumer<T>
  /** A consumer that asks for messages. */
  receiver(options: ReceiverOptions): SimpleConsumer<T>
  /** Reads one queue from a position, without a group. */
  pull(options: PullOptions): PullConsumer<T>
}

/** Where a group or reader starts that has no position yet. */
export type From = 'earliest' | 'latest' | Date | { readonly timestampMs: number }

export interface SubscriptionOptions {
  readonly group: string
  /** Tags joined by `||`, or `*`, the default. */
  readonly filter?: string
  /** How long a message stays with this consumer before it goes to another. Default 60 s. */
  readonly lease?: Duration
  readonly signal?: AbortSignal
}

export interface ConsumeOptions extends SubscriptionOptions {
  /** CLUSTERING, the default: members share the messages. BROADCASTING: each gets all, without acks, and keeps its positions. */
  readonly mode?: ConsumeMode
  /** Default: `earliest` for CLUSTERING, so that no message waits for its first worker in vain; `latest` for BROADCASTING. */
  readonly from?: From
  /** BROADCASTING: positions to go on from, as `positions()` gave them. */
  readonly positions?: ReadonlyMap<number, Position>
  /** Messages held ahead of the application. Default 1,000. */
  readonly prefetch?: number
  readonly prefetchBytes?: number
}

/** Messages as they come. `break`, `close()` or the signal leaves the group: what was prefetched goes back uncounted. */
export interface PushConsumer<T> extends AsyncIterable<Message<T>>, AsyncDisposable {
  /**
   * Instead of iterating: calls `handle` per message, at most `concurrency` at once (default 1); a message is acked when
   * it returns and retried when it throws. Resolves when the consumer closes. For the highest rates.
   */
  run(handle: (message: Message<T>) => void | Promise<void>, options?: { readonly concurrency?: number }): Promise<void>
  /** Resolves once the relay has taken the subscription; rejects with why not. */
  readonly subscribed: Promise<void>
  /** BROADCASTING: next offset to read, per queue, of what the application has taken. */
  positions(): ReadonlyMap<number, Position>
  close(): Promise<void>
}

export interface ReceiverOptions extends SubscriptionOptions {
  readonly from?: From
}

export interface SimpleConsumer<T> extends AsyncDisposable {
  readonly subscribed: Promise<void>
  /** Up to `max` messages (default 16); waits up to `wait` (default 10 s) for the first, then gives an empty list. */
  receive(options?: {
    readonly max?: number
    readonly wait?: Duration
    readonly lease?: Duration
    readonly signal?: AbortSignal
  }): Promise<readonly Message<T>[]>
  close(): Promise<void>
}

export interface PullOptions {
  readonly queueId: number
  /** Default `earliest`. */
  readonly from?: From | Position
  readonly filter?: string
  /** End at the max offset of the start instead of waiting for more. Default false. */
  readonly untilEnd?: boolean
  readonly signal?: AbortSignal
}

/** Batches of messages as they lie in the queue. Without leases: nothing to ack. */
export interface PullConsumer<T> extends AsyncIterable<readonly Message<T>[]>, AsyncDisposable {
  /** Where the next batch starts; undefined before the first. */
  readonly position: Position | undefined
  close(): Promise<void>
}

/** A message as received. Everything but `body` is decoded when first read. */
export interface Message<T> {
  readonly messageId: MessageId
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  readonly tag: string | undefined
  readonly keys: readonly string[]
  readonly messageGroup: string | undefined
  readonly properties: ReadonlyMap<string, string>
  /** When the producer made it, in milliseconds since 1970. */
  readonly bornMs: number
  /** When the relay stored it. */
  readonly storedMs: number
  /** From 1; more after a retry or an ended lease. 0 without a lease. */
  readonly attempt: number
  readonly body: Uint8Array
  /** The body through the topic's codec. */
  readonly value: T
  /** Aborted when the lease is lost: stop working on it, another consumer may have it. */
  readonly signal: AbortSignal
  /**
   * Consumed. Resolves when durable; rejects with RECEIPT_STALE if the lease had ended. May be left un-awaited: a failure
   * then comes as the client's `error` event. Without a lease it does nothing.
   */
  ack(): Promise<void>
  /** Not consumed: again after `after`, or by the group's schedule; a dead letter after the last attempt. */
  retry(options?: { readonly after?: Duration }): Promise<void>
  /** The lease ends so long from now. Push consumers extend by themselves while a message is held. */
  extend(lease: Duration): Promise<void>
}

export interface TopicSettings {
  readonly queueCount?: number
  readonly messageType?: MessageType
  readonly retention?: Duration
  readonly retentionBytes?: number
}

export interface TopicInfo {
  readonly topic: string
  readonly queueCount: number
  readonly messageType: MessageType
  readonly retentionMs: number
  readonly retentionBytes: number
}

export interface TopicDetail extends TopicInfo {
  readonly queues: readonly {
    readonly queueId: number
    readonly epoch: number
    readonly minOffset: number
    readonly maxOffset: number
    readonly storedBytes: number
  }[]
  /** Groups with progress on it. */
  readonly groups: readonly string[]
}

export interface GroupSettings {
  /** Deliveries of one message, the first included, before it becomes a dead letter. */
  readonly maxAttempts?: number
  /** Delay before attempt 2, 3, …; later attempts use the last. */
  readonly retrySchedule?: readonly Duration[]
}

export interface GroupDetail {
  readonly group: string
  readonly maxAttempts: number
  readonly retryScheduleMs: readonly number[]
  readonly members: readonly {
    readonly memberId: string
    readonly topic: string
    readonly mode: ConsumeMode
    readonly filter: string
    readonly clientId: string
    readonly clientName: string
    readonly peer: string
    readonly inFlight: number
  }[]
  readonly queues: readonly {
    readonly topic: string
    readonly queueId: number
    /** All below is consumed. */
    readonly ackFloor: number
    /** Next offset never delivered. */
    readonly nextOffset: number
    readonly maxOffset: number
    readonly inFlight: number
    readonly waitingForRetry: number
    readonly backlog: number
  }[]
}

export interface Admin {
  /** Creates a topic; the same settings again are no error, others are TOPIC_EXISTS. */
  createTopic(topic: string, settings?: TopicSettings): Promise<TopicDetail>
  listTopics(options?: { readonly containing?: string }): Promise<readonly (TopicInfo & { readonly messageCount: number })[]>
  describeTopic(topic: string): Promise<TopicDetail>
  deleteTopic(topic: string): Promise<void>
  configureGroup(group: string, settings: GroupSettings): Promise<GroupDetail>
  listGroups(options?: {
    readonly containing?: string
  }): Promise<readonly { readonly group: string; readonly memberCount: number; readonly backlog: number }[]>
  describeGroup(group: string): Promise<GroupDetail>
  /** Moves a group's progress on a topic, effective at once; leases held end. */
  resetGroup(
    group: string, topic: string,
    options: { readonly to: From | { readonly offset: number }; readonly queueId?: number },
  ): Promise<GroupDetail>
  findById(messageId: MessageId): Promise<Message<Uint8Array> | undefined>
  /** Newest last; at most `max` (default 64, at most 256). */
  findByKey(
    topic: string, key: string, options?: { readonly from?: Date; readonly to?: Date; readonly max?: number },
  ): Promise<readonly Message<Uint8Array>[]>
  /** All messages of a topic stored in a time range, oldest first, at most `max`. */
  findByTime(
    topic: string, options: { readonly from: Date; readonly to?: Date; readonly max?: number },
  ): Promise<readonly Message<Uint8Array>[]>
}
