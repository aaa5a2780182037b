// The one error class and the one table of codes. A code decides what a caller does next; the text is for
// people. PROTOCOL.md lists the same table and a test compares the two. Imports nothing.

/** Whether the same request can succeed later without being changed. */
export type RetryAdvice = 'retry' | 'stop'

interface ErrorCodeEntry {
  /**
   * Number on the wire. Frozen once released; 1xx session, 2xx names and input, 3xx publish, 4xx consume, 5xx store and
   * relay, 9xx client.
   */
  readonly number: number
  readonly retry: RetryAdvice
  readonly meaning: string
}

/** Every failure PocketMQ reports. Numbers are frozen: add, never reuse. */
export const errorCodes = {
  BAD_FRAME: { number: 100, retry: 'stop', meaning: 'bytes that are not a frame of this protocol' },
  UNSUPPORTED_VERSION: { number: 101, retry: 'stop', meaning: 'no protocol version in common' },
  HELLO_EXPECTED: { number: 102, retry: 'stop', meaning: 'a frame before HELLO, or a second HELLO' },
  UNAUTHENTICATED: { number: 103, retry: 'stop', meaning: 'the token is missing, wrong or expired' },
  FORBIDDEN: { number: 104, retry: 'stop', meaning: 'the token does not allow this' },
  LIMIT_EXCEEDED: { number: 105, retry: 'stop', meaning: 'a limit of the relay was exceeded; the text names it' },
  OVERLOADED: { number: 106, retry: 'retry', meaning: 'the relay takes no more of this right now' },

  BAD_ARGUMENT: { number: 200, retry: 'stop', meaning: 'an argument is outside its allowed range or form' },
  BAD_NAME: { number: 201, retry: 'stop', meaning: 'a topic, group, tag, key or message group name breaks its rule' },
  BAD_FILTER: { number: 202, retry: 'stop', meaning: 'the filter expression is not valid' },
  TOPIC_NOT_FOUND: { number: 203, retry: 'stop', meaning: 'the topic does not exist and is not created by itself' },
  TOPIC_EXISTS: { number: 204, retry: 'stop', meaning: 'a topic of that name exists with another configuration' },
  GROUP_NOT_FOUND: { number: 205, retry: 'stop', meaning: 'the consumer group does not exist' },
  QUEUE_NOT_FOUND: { number: 206, retry: 'stop', meaning: 'the topic has no queue of that number' },
  MESSAGE_NOT_FOUND: { number: 207, retry: 'stop', meaning: 'no stored message has that id or key' },

  MESSAGE_TOO_LARGE: { number: 300, retry: 'stop', meaning: 'the body, the properties or the batch is over its limit' },
  MESSAGE_TYPE_MISMATCH: {
    number: 301,
    retry: 'stop',
    meaning: 'a FIFO topic needs a message group on every message, a NORMAL topic takes none',
  },
  PRODUCER_FENCED: { number: 302, retry: 'stop', meaning: 'a newer epoch of this producer exists' },
  SEQUENCE_GAP: { number: 303, retry: 'stop', meaning: 'sequences before this batch are missing at the relay' },
  PRODUCER_UNKNOWN: {
    number: 304,
    retry: 'stop',
    meaning: 'the relay no longer keeps this producer’s state; go on under the next epoch',
  },
  RECALL_TOO_LATE: { number: 305, retry: 'stop', meaning: 'the message is due already; it cannot be recalled' },
  TRANSACTION_NOT_FOUND: {
    number: 306,
    retry: 'stop',
    meaning: 'the relay knows no such transaction: never prepared, or ended long ago',
  },
  TRANSACTION_FINISHED: { number: 307, retry: 'stop', meaning: 'the transaction has ended already, the other way' },
  REQUESTER_GONE: { number: 308, retry: 'stop', meaning: 'who asked is not connected any more; the reply went nowhere' },

  RECEIPT_STALE: {
    number: 400,
    retry: 'stop',
    meaning: 'the lease has ended; the message may be with another consumer',
  },
  OFFSET_OUT_OF_RANGE: { number: 401, retry: 'stop', meaning: 'the position is not in the log, or of another epoch' },
  SUBSCRIPTION_CONFLICT: {
    number: 402,
    retry: 'stop',
    meaning: 'other members of the group are subscribed with another filter or mode',
  },
  SUBSCRIPTION_NOT_FOUND: { number: 403, retry: 'stop', meaning: 'the connection has no subscription of that number' },

  STORE_FULL: { number: 500, retry: 'retry', meaning: 'the store has no room; consuming and deleting still work' },
  STORE_FAILED: {
    number: 501,
    retry: 'retry',
    meaning: 'the store failed; whether the request took effect is unknown',
  },
  RECORD_DAMAGED: { number: 502, retry: 'stop', meaning: 'a stored record fails its checksum; its messages are lost' },
  RELAY_STOPPING: { number: 503, retry: 'retry', meaning: 'the relay is draining' },
  INTERNAL: { number: 504, retry: 'retry', meaning: 'a bug in the relay; its log says more' },

  CONNECTION_LOST: { number: 900, retry: 'retry', meaning: 'the connection ended before the answer came' },
  CONNECTION_REFUSED: { number: 901, retry: 'retry', meaning: 'no connection could be made' },
  CLOSED: { number: 902, retry: 'stop', meaning: 'the client, producer or consumer is closed' },
  ABORTED: { number: 903, retry: 'stop', meaning: 'the caller’s signal was aborted' },
  TIMEOUT: { number: 904, retry: 'retry', meaning: 'no answer came in time; whether it took effect is unknown' },
  HANDLER_FAILED: { number: 905, retry: 'stop', meaning: 'the application’s handler of a message threw' },
} as const satisfies Record<string, ErrorCodeEntry>

export type ErrorCode = keyof typeof errorCodes

const codesByNumber = new Map<number, ErrorCode>(
  Object.entries(errorCodes).map(([code, entry]) => [entry.number, code as ErrorCode]),
)

/** The code of a number from the wire; a number this build does not know reads as INTERNAL. */
export function errorCodeOf(number: number): ErrorCode {
  return codesByNumber.get(number) ?? 'INTERNAL'
}

export interface PocketErrorOptions {
  readonly cause?: unknown
  /** How long to wait before trying again, where the relay knows. */
  readonly retryAfterMs?: number
}

/**
 * Every expected failure, at every public door. `code` decides; `retryable` says whether the same call can succeed
 * later; `cause` keeps what lies beneath.
 */
export class PocketError extends Error {
  override readonly name = 'PocketError'
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options: PocketErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.retryAfterMs = options.retryAfterMs
  }

  get retryable(): boolean {
    return errorCodes[this.code].retry === 'retry'
  }

  toJSON(): { code: ErrorCode; message: string; retryable: boolean } {
    return { code: this.code, message: this.message, retryable: this.retryable }
  }
}

/** Any thrown value as a {@link PocketError}; what is not one already becomes INTERNAL with the value as cause. */
export function toPocketError(value: unknown): PocketError {
  if (value instanceof PocketError) return value
  return new PocketError('INTERNAL', value instanceof Error ? value.message : String(value), { cause: value })
}
