// The one table of error codes: the number of each on the wire, and whether trying again can help. PROTOCOL.md lists the same
// table and a test compares the two; what each means stands in error-meanings.ts. Apart from the error class, as pages carry
// that and not this. Imports nothing.

/** Whether the same request can succeed later without being changed. */
export type RetryAdvice = 'retry' | 'stop'

interface ErrorCodeEntry<R extends RetryAdvice> {
  /**
   * Number on the wire. Frozen once released; 1xx session, 2xx names and input, 3xx publish, 4xx consume, 5xx store and
   * relay, 9xx client.
   */
  readonly number: number
  readonly retry: R
}

const stop = (number: number): ErrorCodeEntry<'stop'> => ({ number, retry: 'stop' })
const retry = (number: number): ErrorCodeEntry<'retry'> => ({ number, retry: 'retry' })

/** Every failure PocketMQ reports. Numbers are frozen: add, never reuse. */
export const errorCodes = {
  BAD_FRAME: stop(100),
  UNSUPPORTED_VERSION: stop(101),
  HELLO_EXPECTED: stop(102),
  UNAUTHENTICATED: stop(103),
  FORBIDDEN: stop(104),
  LIMIT_EXCEEDED: stop(105),
  OVERLOADED: retry(106),

  BAD_ARGUMENT: stop(200),
  BAD_NAME: stop(201),
  BAD_FILTER: stop(202),
  TOPIC_NOT_FOUND: stop(203),
  TOPIC_EXISTS: stop(204),
  GROUP_NOT_FOUND: stop(205),
  QUEUE_NOT_FOUND: stop(206),
  MESSAGE_NOT_FOUND: stop(207),
  CONNECTION_NOT_FOUND: stop(208),

  MESSAGE_TOO_LARGE: stop(300),
  MESSAGE_TYPE_MISMATCH: stop(301),
  PRODUCER_FENCED: stop(302),
  SEQUENCE_GAP: stop(303),
  PRODUCER_UNKNOWN: stop(304),
  RECALL_TOO_LATE: stop(305),
  TRANSACTION_NOT_FOUND: stop(306),
  TRANSACTION_FINISHED: stop(307),
  REQUESTER_GONE: stop(308),

  RECEIPT_STALE: stop(400),
  OFFSET_OUT_OF_RANGE: stop(401),
  SUBSCRIPTION_CONFLICT: stop(402),
  SUBSCRIPTION_NOT_FOUND: stop(403),

  STORE_FULL: retry(500),
  STORE_FAILED: retry(501),
  RECORD_DAMAGED: stop(502),
  RELAY_STOPPING: retry(503),
  INTERNAL: retry(504),

  CONNECTION_LOST: retry(900),
  CONNECTION_REFUSED: retry(901),
  CLOSED: stop(902),
  ABORTED: stop(903),
  TIMEOUT: retry(904),
  HANDLER_FAILED: stop(905),
  ENGINE_LOST: retry(906),
  ENGINE_REPLACED: stop(907),
  VALUE_INVALID: stop(908),
} as const

export type ErrorCode = keyof typeof errorCodes

export type RetryableCode = { [C in ErrorCode]: (typeof errorCodes)[C]['retry'] extends 'retry' ? C : never }[ErrorCode]

const codesByNumber = new Map<number, ErrorCode>(
  Object.entries(errorCodes).map(([code, entry]) => [entry.number, code as ErrorCode]),
)

/** The code of a number from the wire; a number this build does not know reads as INTERNAL. */
export function errorCodeOf(number: number): ErrorCode {
  return codesByNumber.get(number) ?? 'INTERNAL'
}
