// Where the messages of a batch or a transaction went, one after the other, from the runs that the relay answers with.

import { formatRecallHandle, type MessageId } from '../model/message.ts'
import type { PublishSegment } from '../protocol/frames.ts'

/** A place as receipts have it. */
export class Places {
  queueId: number | undefined
  offset: number | undefined
  epoch: number | undefined
  /** When a delayed message is due, which has no place yet. */
  deliverMs: number | undefined
  readonly #segments: readonly PublishSegment[]
  readonly #scheduled: readonly number[]
  #segmentIndex = 0
  #scheduledIndex = 0
  /** Messages of the segment that were gone over. */
  #count = 0

  constructor(segments: readonly PublishSegment[], scheduled: readonly number[]) {
    this.#segments = segments
    this.#scheduled = scheduled
  }

  /** Goes on to the next message. Behind the last segment nothing is known: a resend whose place the relay forgot. */
  next(): void {
    let segment = this.#segments[this.#segmentIndex]
    while (segment !== undefined && this.#count >= segment.count) {
      this.#count = 0
      segment = this.#segments[++this.#segmentIndex]
    }
    const isDelayed = segment?.epoch === 0
    const isPlaced = segment !== undefined && !isDelayed
    this.queueId = isPlaced ? segment?.queueId : undefined
    this.offset = isPlaced ? (segment as PublishSegment).offset + this.#count : undefined
    this.epoch = isPlaced ? segment?.epoch : undefined
    this.deliverMs = isDelayed ? this.#scheduled[this.#scheduledIndex++] : undefined
    this.#count++
  }

  recallHandleOf(messageId: MessageId): string | undefined {
    return this.deliverMs === undefined ? undefined : formatRecallHandle(this.deliverMs, messageId)
  }
}
