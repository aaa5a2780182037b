// Transactions as an application holds them: types. The maker is transaction-producer.ts.

import type { Duration, Message, SendOptions, Topic } from './topic-api.ts'

/** What became of a transaction. `unknown` lets the relay ask again later. */
export type TransactionVerdict = 'commit' | 'rollback' | 'unknown'

/** What a check asks about. */
export interface UnresolvedTransaction {
  readonly transactionId: string
  /** Which check this is, from 1. */
  readonly checkCount: number
  readonly preparedMs: number
  /** All its half messages. */
  readonly messages: readonly Message<Uint8Array>[]
}

export interface TransactionOptions {
  /** Any live producer of the group may be asked what became of a transaction of another. */
  readonly producerGroup: string
  /**
   * Answers a check, out of what the application has stored; not asked about transactions that this client has open. What
   * it throws is told as `error`, and counts as unknown.
   */
  readonly check: (transaction: UnresolvedTransaction) => TransactionVerdict | Promise<TransactionVerdict>
  /** Silence after which the relay asks for the first time; at most 1 h. Default: the relay's, 6 s. */
  readonly checkAfter?: Duration
}

/**
 * The same with an async check: TypeScript widens the words that an async function gives to `string` where it may also
 * give them at once (https://github.com/microsoft/TypeScript/issues/30185).
 */
export type AsyncTransactionOptions = TransactionOptions & {
  readonly check: (transaction: UnresolvedTransaction) => Promise<TransactionVerdict>
}

/** Where a committed message went. */
export interface CommittedMessage {
  readonly messageId: string
  readonly topic: string
  /** Undefined for a delayed one. */
  readonly queueId: number | undefined
  readonly offset: number | undefined
  readonly epoch: number | undefined
  readonly deliverMs: number | undefined
  readonly recallHandle: string | undefined
}

export interface TransactionReceipt {
  readonly transactionId: string
  /** It had been committed before, from an earlier try whose answer was lost. */
  readonly duplicate: boolean
  /** In the order they were sent. */
  readonly messages: readonly CommittedMessage[]
}

/** Half messages that become visible together, or never. */
export interface Transaction {
  /** 16 hex digits; its messages' ids begin with it. */
  readonly transactionId: string
  /**
   * Stores a half message; resolves with its id when it is durable. Sends of one turn travel together. Rejects with
   * BAD_ARGUMENT, MESSAGE_TOO_LARGE, MESSAGE_TYPE_MISMATCH, LIMIT_EXCEEDED, ABORTED, TRANSACTION_FINISHED, CLOSED and the
   * like; from then on the transaction can only be rolled back. Nobody has to wait for it: `commit` does.
   */
  send<T>(topic: Topic<T>, value: T, options?: SendOptions): Promise<{ readonly messageId: string }>
  /**
   * Makes all of them visible in one commit of the relay. Waits for the sends; rejects with what one of them rejected
   * with, and nothing is committed then. Sent again over reconnects until it is answered; TRANSACTION_FINISHED when a
   * check rolled it back before. Repeating it gives the same promise.
   */
  commit(): Promise<TransactionReceipt>
  /** Throws all of them away. TRANSACTION_FINISHED when a check committed it before. */
  rollback(): Promise<void>
}

/** A producer of transactions, and who answers checks. */
export interface TransactionProducer extends AsyncDisposable {
  readonly producerGroup: string
  /** Resolves once the relay knows that this client answers checks; rejects with why not. Transactions need not wait. */
  readonly registered: Promise<void>
  /** A new transaction. It exists at the relay from its first `send`. */
  begin(): Transaction
  /**
   * Begins one, hands it to `work`, and commits when that returns or rolls back when it throws, which `run` throws on.
   * If the process dies in between, the relay asks `check`.
   */
  run<R>(work: (transaction: Transaction) => R | Promise<R>): Promise<R>
  /**
   * Checks are not answered any more. Commits and rollbacks under way are waited for; transactions that are not decided
   * are left to others of the group, and their calls reject with CLOSED.
   */
  close(): Promise<void>
}
