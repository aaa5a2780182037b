// Topics, their producers and consumers, and messages as an application holds them: types. The makers are topic.ts,
// producer.ts, push-consumer.ts, simple-consumer.ts, pull-consumer.ts and message.ts beside it.

import type { MessageId } from '../model/message.ts'
import type { Position } from '../model/position.ts'
import type { ConsumeMode, Durability } from '../model/topic.ts'

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

/** What a sender says of a message besides its value. */
export interface SendOptions {
  /** One word by which consumers filter. */
  readonly tag?: string
  /** Words by which the message is found again. */
  readonly keys?: readonly string[]
  /** Orders messages among each other; needed in a FIFO topic and not allowed in a NORMAL one. */
  readonly messageGroup?: string
  /**
   * Free text beside the body; together with tag and keys at most 16 KiB. A `traceparent` in the form of W3C's trace
   * context goes with the message to whoever gets it, and the relay's trace tells it.
   */
  readonly properties?: Readonly<Record<string, string>> | ReadonlyMap<string, string>
  /**
   * Delivered so long after it reached the relay, at most 40 days; the relay may allow less. A clock that goes wrong
   * here does no harm, unlike with `deliverAt`.
   */
  readonly delay?: Duration
  /** Delivered at this time of the relay's clock, a number in milliseconds since 1970; past is at once. Not with `delay`. */
  readonly deliverAt?: Date | number
  /** 0 to 9, higher first; only in PRIORITY topics, where the default is 0. */
  readonly priority?: number
  /**
   * Delivered to nobody any more when it has been in its queue for so long; 1 ms to 40 days. Default: as its topic says.
   */
  readonly ttl?: Duration
  /** Stops waiting for the answer; a message not sent yet is dropped. */
  readonly signal?: AbortSignal
}

/** The message is on the relay's disk: synced, or as its topic's durability says. */
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
  /**
   * What its topic promises when the receipt is made. `relaxed`: a power cut may still take the message, where the store
   * beneath honours that. Undefined where it is not known.
   */
  readonly durability?: Durability
  /** When a delayed message is due, by the relay's clock; it has no place in a queue before. */
  readonly deliverMs: number | undefined
  /** Takes a delayed message back: `topic.recall`, `admin.recall`. */
  readonly recallHandle: string | undefined
}

/** What a requester says besides the message. */
export interface RequestOptions<R> extends Omit<SendOptions, 'delay' | 'deliverAt' | 'ttl'> {
  /** How long to wait for the reply, 1 ms to 40 days; about as long the request is delivered. Default 30 s. */
  readonly timeout?: Duration
  /** Of the reply's value; default: that of the topic. */
  readonly replyCodec?: Codec<R>
}

/** The answer to a request: straight from who got it, not stored anywhere. */
export interface Reply<R> {
  readonly value: R
  /** A view into a larger buffer: copy it (`slice()`) before you keep it for long. */
  readonly body: Uint8Array
  readonly tag: string | undefined
  readonly keys: readonly string[]
  readonly properties: ReadonlyMap<string, string>
}

/** What can be done with one topic. */
export interface Topic<T> {
  readonly name: string
  /**
   * Sends one message. Calls of one turn go as one batch; nothing waits for more to come. Resolves when durable; resent
   * by itself after a reconnect, recognised by the relay, in order, for as long as it takes. Rejects with BAD_ARGUMENT,
   * BAD_NAME or MESSAGE_TOO_LARGE for what may not be sent; with TOPIC_NOT_FOUND, MESSAGE_TYPE_MISMATCH, FORBIDDEN and
   * the like as the relay says; with STORE_FULL when the relay has had no room for 30 s; with ABORTED, CLOSED, or
   * OVERLOADED when 256 MiB wait to be sent.
   */
  send(value: T, options?: SendOptions): Promise<SendReceipt>
  /**
   * Sends a message and waits for the reply of whoever handles it first; those of others are dropped. The wait goes on
   * over reconnects. Rejects as `send` does, with BAD_ARGUMENT where the codec can't read the reply, and with TIMEOUT;
   * the request may have been handled then.
   */
  request<R = unknown>(value: T, options?: RequestOptions<R>): Promise<Reply<R>>
  /**
   * Takes back a delayed message. Rejects with RECALL_TOO_LATE when it was due, MESSAGE_NOT_FOUND when there is none (or
   * it was recalled before), BAD_ARGUMENT, and CONNECTION_LOST where it is not known whether it was taken back.
   */
  recall(recallHandle: string): Promise<void>
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

/**
 * What is let through: tags joined by `||`, or `*`, the default; or an SQL92 expression over properties, `TAGS` and
 * `KEYS`, decided at the relay: `{ sql: "region = 'eu' AND price > 10" }`. PROTOCOL.md has the grammar.
 */
export type Filter = string | { readonly sql: string }

/** What every member of a group says. */
export interface SubscriptionOptions {
  /** The consumer group; it comes to be with its first member. All members of a topic need the same filter. */
  readonly group: string
  readonly filter?: Filter
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
  /**
   * BROADCASTING: who keeps the positions. `application`, the default: you do, with `positions()`. `relay`: under `name`,
   * so that a consumer of that name goes on where it was, wherever it runs. A message counts as consumed when its handler
   * has ended, when the iterator is asked for the next one, or by `ack()`; after a crash about 0.2 s come again.
   */
  readonly positionKeeper?: 'application' | 'relay'
  /** Names the consumer whose positions the relay keeps; letters, digits, `_`, `-`, `%`, `|`, at most 64. */
  readonly name?: string
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
  readonly filter?: Filter
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

/** What goes with a reply. */
export interface ReplyOptions {
  readonly tag?: string
  readonly keys?: readonly string[]
  readonly properties?: Readonly<Record<string, string>> | ReadonlyMap<string, string>
  /** Default: that of the topic. */
  readonly codec?: Codec<unknown>
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
  /** When the relay stored it; for a scheduled message, when it put it into its queue. */
  readonly storedMs: number
  /** When it was to be delivered, where it was sent to be delivered later. */
  readonly deliverMs: number | undefined
  /** As its sender gave it. */
  readonly priority: number | undefined
  /** As its sender gave it; without one, that of its topic applies. */
  readonly ttlMs: number | undefined
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
   * nothing, but for a position that the relay keeps.
   */
  ack(): Promise<void>
  /**
   * Answers a message that was sent by `request`. Resolves when it is on its way; rejects with REQUESTER_GONE,
   * BAD_ARGUMENT where nobody asked, MESSAGE_TOO_LARGE, or OVERLOADED where the requester takes nothing for long. May be
   * left un-awaited: a failure then comes as the client's `error` event. It is no ack.
   */
  reply(value: unknown, options?: ReplyOptions): Promise<void>
  /** Not consumed: again after `after`, or by the group's schedule; a dead letter after the last attempt. */
  retry(options?: { readonly after?: Duration }): Promise<void>
  /**
   * The lease ends so long from now, for all messages delivered with this one. Push consumers extend by themselves
   * while a message is held, until nothing was done with it for 15 minutes.
   */
  extend(lease: Duration): Promise<void>
}
