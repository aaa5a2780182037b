// The message and its identity. A message id is not made up per message but follows from who sent it when:
// producer id, producer epoch and sequence. So it costs no bytes in a log, is known before the send, is the same in
// every resend, and an id leads to its message through one index entry per batch.

import { PocketError } from '../errors.ts'

/** `<producerId>-<epoch>-<sequence>`, the producer id as 16 hex digits. */
export type MessageId = string

/** Eight random bytes that name a producer instance, as 16 hex digits. */
export type ProducerId = string

export interface MessageIdParts {
  readonly producerId: ProducerId
  readonly producerEpoch: number
  readonly sequence: number
}

const messageIdForm = /^([0-9a-f]{16})-(0|[1-9][0-9]{0,9})-(0|[1-9][0-9]{0,15})$/

export function formatMessageId(parts: MessageIdParts): MessageId {
  return `${parts.producerId}-${parts.producerEpoch}-${parts.sequence}`
}

/** The parts of an id; throws BAD_ARGUMENT where it is not one. */
export function parseMessageId(messageId: string): MessageIdParts {
  const match = messageIdForm.exec(messageId)
  const producerEpoch = Number(match?.[2])
  const sequence = Number(match?.[3])
  if (match === null || producerEpoch > 0xffff_ffff || !Number.isSafeInteger(sequence)) {
    throw new PocketError('BAD_ARGUMENT', `'${messageId.slice(0, 64)}' is not a message id`)
  }
  return { producerId: match[1] as string, producerEpoch, sequence }
}

const recallHandleForm = /^([0-9a-z]{1,11})~(.{20,44})$/

/** Names a delayed message to who takes it back: when it is due, by the broker's clock, and its id. */
export function formatRecallHandle(deliverMs: number, messageId: MessageId): string {
  return `${deliverMs.toString(36)}~${messageId}`
}

/** The parts of a recall handle; throws BAD_ARGUMENT where it is not one. */
export function parseRecallHandle(recallHandle: string): { readonly deliverMs: number } & MessageIdParts {
  const match = recallHandleForm.exec(recallHandle)
  const deliverMs = Number.parseInt(match?.[1] ?? '', 36)
  if (match === null || !Number.isSafeInteger(deliverMs) || deliverMs.toString(36) !== match[1]) {
    throw new PocketError('BAD_ARGUMENT', `'${recallHandle.slice(0, 64)}' is not a recall handle`)
  }
  return { deliverMs, ...parseMessageId(match[2] as string) }
}

/** What a producer says of a message besides its body. All text; sizes in limits.ts. */
export interface MessageHeaders {
  /** One word by which consumers filter. */
  readonly tag?: string | undefined
  /** Words by which the message is found again; indexed. */
  readonly keys?: readonly string[] | undefined
  /** The sharding key of a FIFO topic: messages of one group are delivered in order, one at a time. */
  readonly messageGroup?: string | undefined
  readonly properties?: ReadonlyMap<string, string> | undefined
  /** When the application made the message, in milliseconds since 1970. */
  readonly bornMs: number
  /** Not delivered before so many milliseconds after it reached the broker. Not with `deliverMs`. */
  readonly delayMs?: number | undefined
  /** Not delivered before this time of the broker's wall clock, in milliseconds since 1970; past is at once. */
  readonly deliverMs?: number | undefined
  /** 0 to 9, higher first; only in PRIORITY topics. */
  readonly priority?: number | undefined
  /** So many milliseconds after it was put into its queue it is delivered to nobody any more. From 1. */
  readonly ttlMs?: number | undefined
}

/** A message as stored and read. */
export interface StoredMessage extends MessageHeaders {
  readonly messageId: MessageId
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  /** When the broker stored it, in milliseconds since 1970; never decreases within a queue. */
  readonly storedMs: number
  readonly body: Uint8Array
}

/**
 * Names of properties the broker sets on dead letters, and on what was one and was put back: there it has only the last.
 * The first two are RocketMQ's.
 */
export const deadLetterProperties = {
  originTopic: 'DLQ_ORIGIN_TOPIC',
  originMessageId: 'DLQ_ORIGIN_MESSAGE_ID',
  originQueueId: 'DLQ_ORIGIN_QUEUE_ID',
  originOffset: 'DLQ_ORIGIN_OFFSET',
  originMessageGroup: 'DLQ_ORIGIN_MESSAGE_GROUP',
  originPriority: 'DLQ_ORIGIN_PRIORITY',
  originTtlMs: 'DLQ_ORIGIN_TTL_MS',
  attempts: 'DLQ_ATTEMPTS',
  /** Id of the dead letter that a message was. */
  resentId: 'DLQ_RESENT_ID',
} as const

/** Names of properties the broker sets on messages of transactions whose end nobody could say. */
export const unresolvedProperties = {
  originTopic: 'TRANS_ORIGIN_TOPIC',
  originMessageId: 'TRANS_ORIGIN_MESSAGE_ID',
  originMessageGroup: 'TRANS_ORIGIN_MESSAGE_GROUP',
  originPriority: 'TRANS_ORIGIN_PRIORITY',
  originDelayMs: 'TRANS_ORIGIN_DELAY_MS',
  originDeliverMs: 'TRANS_ORIGIN_DELIVER_MS',
  transactionId: 'TRANS_ID',
  producerGroup: 'TRANS_PRODUCER_GROUP',
  checks: 'TRANS_CHECKS',
  preparedMs: 'TRANS_PREPARED_MS',
} as const

/** The property that carries the W3C trace context (https://www.w3.org/TR/trace-context/#traceparent-header). */
export const traceProperty = 'traceparent'

/** Properties of a request, by which its reply finds the way back. Names of RocketMQ's. */
export const requestProperties = {
  /** Client id of who asked. */
  replyTo: 'REPLY_TO_CLIENT',
  correlationId: 'CORRELATION_ID',
} as const
