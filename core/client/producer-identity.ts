// How a producer counts its messages, where somebody else than its client keeps that. A type alone.

import type { ProducerId } from '../model/message.ts'

/** By which the broker knows a producer, and where it goes on. */
export interface ProducerIdentity {
  readonly producerId: ProducerId
  readonly producerEpoch: number
  /** Of the next message. */
  readonly sequenceNext: number
}
