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

/** Names of properties the broker sets on dead letters. The first two are RocketMQ's. */
export const deadLetterProperties = {
  originTopic: 'DLQ_ORIGIN_TOPIC',
  originMessageId: 'DLQ_ORIGIN_MESSAGE_ID',
  originQueueId: 'DLQ_ORIGIN_QUEUE_ID',
  originOffset: 'DLQ_ORIGIN_OFFSET',
  originMessageGroup: 'DLQ_ORIGIN_MESSAGE_GROUP',
  attempts: 'DLQ_ATTEMPTS',
} as const
