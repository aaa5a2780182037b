// What an application holds: the public types of the client, the same in Node, a tab or the edge. Types only; here is
// the client itself, whose maker is client.ts, and the door to the types of what it gives.

import type { PocketError } from '../errors.ts'
import type { Admin } from './admin-api.ts'
import type { FollowOptions, Follower } from './follower-api.ts'
import type { StandardSchema } from './schema.ts'
import type { Codec, Duration, GapEvent, Topic } from './topic-api.ts'
import type { AsyncTransactionOptions, TransactionOptions, TransactionProducer } from './transaction-api.ts'

export type * from './admin-api.ts'
export type * from './follower-api.ts'
export type { SchemaIssue, StandardSchema } from './schema.ts'
export type * from './topic-api.ts'
export type * from './transaction-api.ts'

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

/** What a topic's values are. */
export interface TopicOptions<T> {
  /** Values to bytes and back. Default `json`. */
  readonly codec?: Codec<T>
  /**
   * Any Standard Schema whose `validate` answers at once: checks what is sent, and what is received when its value is
   * read. VALUE_INVALID where it does not fit.
   */
  readonly schema?: StandardSchema<unknown, T>
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
  topic<T = unknown>(name: string, options?: TopicOptions<T>): Topic<T>
  /**
   * A producer whose messages become visible together, over all their topics, or not at all; one per producer group and
   * client. Throws BAD_NAME, BAD_ARGUMENT or CLOSED.
   */
  transactions(options: AsyncTransactionOptions): TransactionProducer
  transactions(options: TransactionOptions): TransactionProducer
  /** Every change of some topics as one ordered stream, to keep a copy. Throws BAD_NAME, BAD_ARGUMENT or CLOSED. */
  follow(options: FollowOptions): Follower
  /** Adds a listener; the function given takes it away again. */
  on<E extends keyof ClientEvents>(event: E, listener: (event: ClientEvents[E]) => void): () => void
  /**
   * Lets running handlers end (at most 10 s), leaves all groups, waits until every send was answered, then closes.
   * After `requestTimeout` it closes anyway and what is unanswered rejects with CLOSED. Repeating it gives the same
   * promise.
   */
  close(): Promise<void>
}
