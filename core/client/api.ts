// What an application holds: the public types of the client, the same in Node, a tab or the edge. Types only; the
// makers are client.ts, producer.ts, push-consumer.ts, simple-consumer.ts, pull-consumer.ts and admin.ts beside it.

import type { PocketError } from '../errors.ts'
import type { MessageId } from '../model/message.ts'
import type { Position } from '../model/position.ts'
import type { ConsumeMode, MessageType } from '../model/topic.ts'

/** Values to bytes and back. A topic takes `json` unless it is given another. */
export interface Codec<T> {
  /** For error messages. */
  readonly name: string
  /** May throw; `send` then rejects with that as cause of BAD_ARGUMENT. The bytes are copied before `send` returns. */
  encode(value: T): Uint8Array
  /** May throw; the reader of `message.value` then gets that error as cause of BAD_ARGUMENT. */
  decode(body: Uint8Array): T
}

/** A duration: milliseconds, or a number with a unit: `'500ms'`, `'30s'`, `'1.5h'`, `'3d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

export interface ClientOptions {
  /** Name for people, seen in listings of the relay. */
  readonly name?: string
  /** Token, or a function that fetches one before each connection. */
  readonly auth?:
    | string
    | ((context: { reason: 'connect' | 'reconnect'; signal: AbortSignal }) => string | Promise<string>)
  /** Ends the attempt to connect, and later the client. */
  readonly signal?: AbortSignal
  /** How long `connect` tries before it rejects; later reconnects never give up. Default 10 s. */
  readonly connectTimeout?: Duration
  /** How long a request may take before it rejects with TIMEOUT; sends wait without end. Default 30 s. */
  readonly requestTimeout?: Duration
}

/**
 * Where the connection stands: `connecting` (or fetching a token), `connected`, `waiting` to try again, or `closed` for
 * good, by the application or by a failure that trying again can't mend.
 */
export type LinkState = 'connecting' | 'connected' | 'waiting' | 'closed'

/** What a client tells whoever listens with `client.on`. */
export interface ClientEvents {
  /** Messages a reader should have had are gone: by retention, damage, or a log made anew. */
  readonly gap: GapEvent
  /** The connection has changed; `error` says why it is `waiting` or `closed`. */
  readonly link: { readonly state: LinkState; readonly error?: PocketError }
  /**
   * Something failed that nobody was waiting for: an un-awaited ack (RECEIPT_STALE), a handler of `run` (HANDLER_FAILED,
   * with what it threw as cause), a consumer that was ended from outside. Without a listener it goes to the log.
   */
  readonly error: PocketError
}

/** Messages between `expected` and `next` are gone. Told when everything before them was taken. */
export interface GapEvent {
  readonly topic: string
  /** Undefined for a pull. */
  readonly group: string | undefined
  readonly queueId: number
  /** Where the reader stood. */
  readonly expected: Position
  /** Where it goes on. */
  readonly next: Position
}

/** A connection to a broker, kept up by itself. Closing it closes its producers and consumers. */
export interface Client extends AsyncDisposable {
  /** Where the connection stands now; the `link` event tells of changes. */
  readonly link: LinkState
  /**
   * Resolves when connected to begin with; rejects on a failure that trying again can't mend, or when `connectTimeout`
   * is over. Nothing has to wait for it: what is sent before goes out when there is a connection.
   */
  readonly connected: Promise<void>
  /** Topics, groups and stored messages. */
  readonly admin: Admin
  /**
   * A handle of a topic: its name and codec. It makes nothing at the relay by itself. What is sent through one handle
   * keeps its order; two handles are two producers. Throws BAD_NAME.
   */
  topic<T = unknown>(name: string, options?: { readonly codec?: Codec<T> }): Topic<T>
  /** Adds a listener; the function given takes it away again. */
  on<E extends keyof ClientEvents>(event: E, listener: (event: ClientEvents[E]) => void): () => void
  /**
   * Lets running handlers end (at most 10 s), leaves all groups, waits until every send was answered, then closes.
   * After `requestTimeout` it closes anyway and what is unanswered rejects with CLOSED. Repeating it gives the same
   * promise.
   */
  close(): Promise<void>
}

/** What a sender says of a message besides its value. */
export interface SendOptions {
  /** One word by which consumers filter. */
  readonly tag?: string
  /** Words by which the message is found again. */
  readonly keys?: readonly string[]
  /** Orders messages among each other; needed in a FIFO topic and not allowed in a NORMAL one. */
  readonly messageGroup?: string
  /** Free text beside the body; together with tag and keys at most 16 KiB. */
  readonly properties?: Readonly<Record<string, string>> | ReadonlyMap<string, string>
  /** Stops waiting for the answer; a message not sent yet is dropped. */
  readonly signal?: AbortSignal
}

/** The message is on the relay's disk, synced. */
export interface SendReceipt {
  /** Names the message from now on; `admin.findById` finds it. */
  readonly messageId: MessageId
  /** Undefined only for a resend whose place the relay no longer knows. */
  readonly queueId: number | undefined
  /** Its place in the queue. */
  readonly offset: number | undefined
  /** Of the queue's log. */
  readonly epoch: number | undefined
  /** The relay had it already, from an earlier try whose answer was lost. */
  readonly duplicate: boolean
}

/** What can be done with one topic. */
export interface Topic<T> {
  readonly name: string
  /**
   * Sends one message. Calls of one turn go as one batch; nothing waits for more to come. Resolves when durable; resent
   * by itself after a reconnect, recognised by the relay, in order, for as long as it takes. Rejects with BAD_ARGUMENT,
   * BAD_NAME or MESSAGE_TOO_LARGE for what may not be sent; with TOPIC_NOT_FOUND, MESSAGE_TYPE_MISMATCH, FORBIDDEN and
   * the like as the relay says; with ABORTED, CLOSED, or OVERLOADED when 256 MiB wait to be sent.
   */
  send(value: T, options?: SendOptions): Promise<SendReceipt>
  /** Resolves when the producer has room again; for loops that send faster than the relay stores. At once if it has. */
  ready(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Messages sent and not answered. */
  readonly inFlightCount: number
  /** A consumer that messages are pushed to. Throws BAD_ARGUMENT, BAD_NAME, BAD_FILTER or CLOSED. */
  consume(options: ConsumeOptions): PushConsumer<T>
  /** A consumer that asks for messages. Throws as `consume` does. */
  receiver(options: ReceiverOptions): SimpleConsumer<T>
  /** Reads one queue from a position, without a group. Throws as `consume` does. */
  pull(options: PullOptions): PullConsumer<T>
}

/**
 * Where a group or reader starts that has no position yet: at the first message kept, behind the last, or at the first
 * stored at a time or later.
 */
export type From = 'earliest' | 'latest' | Date | { readonly timestampMs: number }

/** What every member of a group says. */
export interface SubscriptionOptions {
  /** The consumer group; it comes to be with its first member. All members of a topic need the same filter. */
  readonly group: string
  /** Tags joined by `||`, or `*`, the default. */
  readonly filter?: string
  /** How long a message stays with this consumer before it goes to another. Default 60 s. */
  readonly lease?: Duration
  /** Closes the consumer. */
  readonly signal?: AbortSignal
}

export interface ConsumeOptions extends SubscriptionOptions {
  /**
   * CLUSTERING, the default: members share the messages. BROADCASTING: each gets all, without acks, and keeps its
   * positions.
   */
  readonly mode?: ConsumeMode
  /**
   * Where a group begins that has no progress, or a BROADCASTING reader without positions. Default: `earliest` for
   * CLUSTERING, so that no message waits for its first worker in vain; `latest` for BROADCASTING.
   */
  readonly from?: From
  /** BROADCASTING: positions to go on from, as `positions()` gave them. */
  readonly positions?: ReadonlyMap<number, Position>
  /** Messages held ahead of the application. Default 1,000. */
  readonly prefetch?: number
  /** Bytes held ahead of the application; one delivery may exceed it. Default 4 MiB. */
  readonly prefetchBytes?: number
}

/**
 * Messages as they come: an iterator, or a handler for `run`. `break`, `close()` or the signal leaves the group; what
 * was prefetched goes back uncounted, what was taken and not settled goes back with its attempt counted.
 */
export interface PushConsumer<T> extends AsyncIterable<Message<T>>, AsyncDisposable {
  /**
   * Instead of iterating: calls `handle` per message, at most `concurrency` at once (default 1); a message is acked
   * when it returns and retried when it throws, unless it settled the message itself. Resolves when the consumer is
   * closed; rejects when the subscription is ended from outside, or tells the `error` event if it is not awaited. For
   * the highest rates.
   */
  run(handle: (message: Message<T>) => void | Promise<void>, options?: { readonly concurrency?: number }): Promise<void>
  /** Resolves once the relay has taken the subscription; rejects with why not. */
  readonly subscribed: Promise<void>
  /** BROADCASTING: next offset to read, per queue, of what the application has taken. */
  positions(): ReadonlyMap<number, Position>
  /** Lets running handlers end (at most 10 s), then leaves the group. Repeating it gives the same promise. */
  close(): Promise<void>
}

export interface ReceiverOptions extends SubscriptionOptions {
  /** Where a group begins that has no progress. Default `earliest`. */
  readonly from?: From
}

/** Asks for messages when it wants some. Leases are the application's to extend. */
export interface SimpleConsumer<T> extends AsyncDisposable {
  /** Resolves once the relay has taken the subscription; rejects with why not. */
  readonly subscribed: Promise<void>
  /**
   * Up to `max` messages (default 16); waits up to `wait` (default 10 s) for the first, then gives an empty list. Each
   * has a lease of `lease`, or of the subscription. Calls that come together are answered one after the other. Rejects
   * with TIMEOUT when the relay does not answer, ABORTED, CLOSED or as the relay says.
   */
  receive(options?: {
    readonly max?: number
    readonly wait?: Duration
    readonly lease?: Duration
    readonly signal?: AbortSignal
  }): Promise<readonly Message<T>[]>
  /** Leaves the group; what was received and not settled goes back. Who still waits gets CLOSED. */
  close(): Promise<void>
}

export interface PullOptions {
  readonly queueId: number
  /** Default `earliest`. */
  readonly from?: From | Position
  /** Tags joined by `||`, or `*`, the default. */
  readonly filter?: string
  /** End at the max offset of the start instead of waiting for more. Default false. */
  readonly untilEnd?: boolean
  readonly signal?: AbortSignal
}

/** Batches of messages as they lie in the queue. Without leases: nothing to ack. */
export interface PullConsumer<T> extends AsyncIterable<readonly Message<T>[]>, AsyncDisposable {
  /** Where the next batch starts; undefined before the first. */
  readonly position: Position | undefined
  /** Ends the iteration. */
  close(): Promise<void>
}

/** A message as received. Everything is decoded when first read. */
export interface Message<T> {
  readonly messageId: MessageId
  readonly topic: string
  readonly queueId: number
  /** Its place in the queue. */
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
  /** A view into a larger buffer: copy it (`slice()`) before you keep it for long. */
  readonly body: Uint8Array
  /** The body through the topic's codec. Throws BAD_ARGUMENT where that fails. */
  readonly value: T
  /** Aborted when the lease is lost: stop working on it, another consumer may have it. */
  readonly signal: AbortSignal
  /**
   * Consumed. Resolves when durable; rejects with RECEIPT_STALE if the lease had ended, CLOSED after the consumer was
   * closed. May be left un-awaited: a failure then comes as the client's `error` event. Without a lease it does
   * nothing.
   */
  ack(): Promise<void>
  /** Not consumed: again after `after`, or by the group's schedule; a dead letter after the last attempt. */
  retry(options?: { readonly after?: Duration }): Promise<void>
  /**
   * The lease ends so long from now, for all messages delivered with this one. Push consumers extend by themselves
   * while a message is held, until nothing was done with it for 15 minutes.
   */
  extend(lease: Duration): Promise<void>
}

/** How a topic is to be; the relay's defaults fill the rest. */
export interface TopicSettings {
  /** 1 to 1,024. Order holds inside a queue. */
  readonly queueCount?: number
  /** NORMAL, or FIFO, whose messages have message groups. */
  readonly messageType?: MessageType
  /** How long messages are kept; 0 is for ever. */
  readonly retention?: Duration
  /** Oldest messages go while a topic is larger; 0 is no bound. */
  readonly retentionBytes?: number
}

/** How a topic is. */
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
    /** First kept. */
    readonly minOffset: number
    /** Next to be written. */
    readonly maxOffset: number
    readonly storedBytes: number
  }[]
  /** Groups with progress on it. */
  readonly groups: readonly string[]
}

/** How a group is to treat messages that fail. */
export interface GroupSettings {
  /** Deliveries of one message, the first included, before it becomes a dead letter. */
  readonly maxAttempts?: number
  /** Delay before attempt 2, 3, …; later attempts use the last. */
  readonly retrySchedule?: readonly Duration[]
}

/** A group, its members that are here now, and its progress per queue. */
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
    /** Messages it holds. */
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
    /** Stored and not consumed. */
    readonly backlog: number
  }[]
}

/**
 * Topics, groups and stored messages. Calls reject with what the relay says (TOPIC_NOT_FOUND, FORBIDDEN, …), TIMEOUT
 * after the client's `requestTimeout`, CLOSED, and CONNECTION_LOST where it is not known whether a change took effect.
 */
export interface Admin {
  /** Creates a topic; the same settings again are no error, others are TOPIC_EXISTS. */
  createTopic(topic: string, settings?: TopicSettings): Promise<TopicDetail>
  /** All topics, by name. */
  listTopics(
    options?: { readonly containing?: string },
  ): Promise<readonly (TopicInfo & { readonly messageCount: number })[]>
  describeTopic(topic: string): Promise<TopicDetail>
  /** Deletes the topic, its messages and every group's progress on it; its consumers end with TOPIC_NOT_FOUND. */
  deleteTopic(topic: string): Promise<void>
  /** Makes the group, or changes what is named of it. */
  configureGroup(group: string, settings: GroupSettings): Promise<GroupDetail>
  /** All groups, by name. */
  listGroups(options?: {
    readonly containing?: string
  }): Promise<readonly { readonly group: string; readonly memberCount: number; readonly backlog: number }[]>
  describeGroup(group: string): Promise<GroupDetail>
  /** Moves a group's progress on a topic, in all queues or one, at once; leases held end. An offset needs its queue. */
  resetGroup(
    group: string, topic: string,
    options: { readonly to: From | { readonly offset: number }; readonly queueId?: number },
  ): Promise<GroupDetail>
  /** The message, from whichever topic it is in; undefined where it is not stored (any more). */
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
