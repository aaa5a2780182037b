// Taking messages in: one walk over a batch checks every message, finds its queue and what the index needs; then all of
// it is appended, or nothing. What is delayed is set apart. Whether it is a resend is judged before.

import { PocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import type { PublishSegment } from '../protocol/frames.ts'
import { MessageScanner } from '../record/message-codec.ts'
import type { RecordSlice } from '../record/record-batch.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { Topic } from './topic.ts'

/** Messages of one sender under consecutive sequences, as a client or the broker itself gives them. */
export interface Batch {
  readonly producerId: Uint8Array
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly messageCount: number
  readonly messages: Uint8Array
}

/** A slice while it grows. */
interface OpenSlice extends RecordSlice {
  readonly starts: number[]
  readonly ends: number[]
  readonly tagHashes: number[]
  readonly groupHashes: number[] | undefined
  ttls: number[] | undefined
  hasKeys: boolean
  /** The latest time of delivery among them, which has come: they are not stored as of before it. */
  notBeforeMs: number
}

/** A message that is not due yet: where it is in its batch. */
export interface UndueMessage {
  /** Index in the batch. */
  readonly index: number
  readonly start: number
  readonly end: number
  /** Wall time of the broker. */
  readonly deliverMs: number
}

/** A batch that was checked and has not been appended. */
export interface CheckedBatch {
  readonly slices: ReadonlyMap<QueueLog, OpenSlice>
  /** The queue of each message where there is more than one, in message order; undefined for what is delayed. */
  readonly routes: readonly (QueueLog | undefined)[]
  readonly delayed: readonly UndueMessage[]
  readonly messageCount: number
}

const noneDelayed: readonly UndueMessage[] = []

export class BatchReader {
  readonly #scanner: MessageScanner
  readonly #delayMsMax: number

  /** For batches of clients, or for the broker's own, which add properties to messages that may be full of them. */
  constructor(limits: Limits, origin: 'sent' | 'stored' = 'sent') {
    this.#scanner = new MessageScanner(limits, origin)
    // What was taken in is not refused later, though the limit was lowered or the wall clock went back since.
    this.#delayMsMax = origin === 'sent' ? limits.delayMsMax : Infinity
  }

  /**
   * Checks a batch that has come at `nowMs` for `topic`. Throws BAD_FRAME, BAD_NAME, BAD_ARGUMENT, MESSAGE_TOO_LARGE or
   * MESSAGE_TYPE_MISMATCH.
   */
  read(topic: Topic, batch: Batch, nowMs: number): CheckedBatch {
    this.#begin(batch)
    const { messageCount } = batch
    const { isFifo, isRouted } = topic
    const topicTtlMs = topic.config.ttlMs
    const slices = new Map<QueueLog, OpenSlice>()
    const routes: (QueueLog | undefined)[] = []
    let delayed: UndueMessage[] | undefined
    const scanner = this.#scanner
    let log = isRouted ? undefined : topic.nextQueue()
    let slice: OpenSlice | undefined
    for (let index = 0; index < messageCount; index++) {
      this.#next(topic, index)
      if (isRouted) {
        log = routeOf(topic, scanner)
        slice = slices.get(log)
      }
      if (scanner.delayMs > 0 || scanner.deliverMs > nowMs) {
        const deliverMs = this.#dueMs(scanner, nowMs)
        // What comes before it in an unrouted batch is one run no longer.
        if (delayed === undefined && !isRouted) for (let before = 0; before < index; before++) routes.push(log)
        delayed ??= []
        delayed.push({ index, start: scanner.start, end: scanner.end, deliverMs })
        routes.push(undefined)
        continue
      }
      if (slice === undefined) slice = openSlice(slices, log as QueueLog, batch, isFifo)
      addTo(slice, scanner, topicTtlMs)
      if (isRouted || delayed !== undefined) routes.push(log)
    }
    this.#end()
    return { slices, routes, delayed: delayed ?? noneDelayed, messageCount }
  }

  /** Checks as {@link read} does what is to be read later; gives how many of the messages are delayed. */
  check(topic: Topic, batch: Batch, nowMs: number): number {
    this.#begin(batch)
    const scanner = this.#scanner
    const { isRouted } = topic
    let delayedCount = 0
    for (let index = 0; index < batch.messageCount; index++) {
      this.#next(topic, index)
      if (isRouted) routeOf(topic, scanner)
      if (scanner.delayMs <= 0 && scanner.deliverMs <= nowMs) continue
      this.#dueMs(scanner, nowMs)
      delayedCount++
    }
    this.#end()
    return delayedCount
  }

  #begin({ messages, messageCount }: Batch): void {
    if (messageCount < 1 || messageCount > fixedLimits.batchMessageCountMax) {
      throw new PocketError(
        'BAD_FRAME',
        `a batch of ${messageCount} messages; 1 to ${fixedLimits.batchMessageCountMax} are allowed`,
      )
    }
    this.#scanner.reset(messages, 0, messages.length)
  }

  #next(topic: Topic, index: number): void {
    const scanner = this.#scanner
    scanner.next()
    if (scanner.sequenceDelta !== index) throw new PocketError('BAD_FRAME', 'sequences of a batch do not follow each other')
    if (scanner.hasMessageGroup !== topic.isFifo) throw typeMismatch(topic)
    if (scanner.hasPriority && !topic.isPriority) throw priorityMismatch(topic)
  }

  #end(): void {
    if (!this.#scanner.atEnd) throw new PocketError('BAD_FRAME', 'a batch has more bytes than messages')
  }

  #dueMs({ delayMs, deliverMs }: MessageScanner, nowMs: number): number {
    const delayMsMax = this.#delayMsMax
    const dueMs = delayMs > 0 ? nowMs + delayMs : deliverMs
    if (dueMs - nowMs <= delayMsMax) return dueMs
    throw new PocketError('BAD_ARGUMENT', `a message delayed by ${dueMs - nowMs} ms; at most ${delayMsMax} are allowed`)
  }
}

/** The queue of a message in a topic where what it says decides. Throws where the topic does not take it. */
export function routeOf(topic: Topic, scanner: MessageScanner): QueueLog {
  if (topic.isFifo) {
    if (scanner.hasPriority) throw priorityMismatch(topic)
    return topic.queueOfHash(scanner.messageGroupHash)
  }
  if (topic.isPriority) return topic.queueOfPriority(scanner.priority)
  if (scanner.hasPriority) throw priorityMismatch(topic)
  if (scanner.keyHashes.length === 0) {
    throw new PocketError('BAD_ARGUMENT', `topic '${topic.name}' is COMPACT: every message needs a key`)
  }
  return topic.queueOfHash(scanner.keyHashes[0] as number)
}

function addTo(slice: OpenSlice, scanner: MessageScanner, topicTtlMs: number): void {
  slice.starts.push(scanner.start)
  slice.ends.push(scanner.end)
  slice.tagHashes.push(scanner.tagHash)
  slice.groupHashes?.push(scanner.messageGroupHash)
  const ttlMs = scanner.ttlMs > 0 ? scanner.ttlMs : topicTtlMs
  if (ttlMs > 0) slice.ttls ??= Array.from({ length: slice.starts.length - 1 }, () => 0)
  slice.ttls?.push(ttlMs)
  if (scanner.keyHashes.length > 0) slice.hasKeys = true
  if (scanner.deliverMs > slice.notBeforeMs) slice.notBeforeMs = scanner.deliverMs
}

/** What one queue was given of a batch. */
export type Appended = (log: QueueLog, offset: number, count: number) => void

/**
 * Appends a checked batch, without what is delayed; gives where its messages went, in message order. `appended` is told
 * of each queue.
 */
export function appendBatch(batch: CheckedBatch, appended: Appended): PublishSegment[] {
  const nextOffsets = new Map<QueueLog, number>()
  for (const [log, slice] of batch.slices) {
    const offset = log.append(slice, slice.hasKeys, slice.notBeforeMs)
    nextOffsets.set(log, offset)
    appended(log, offset, slice.starts.length)
  }
  if (batch.slices.size === 1 && batch.delayed.length === 0) {
    const [[log, offset]] = [...nextOffsets] as [[QueueLog, number]]
    return [{ queueId: log.queueId, epoch: log.epoch, offset, count: batch.messageCount }]
  }
  const segments: { queueId: number; epoch: number; offset: number; count: number }[] = []
  for (const log of batch.routes) {
    const last = segments.at(-1)
    if (log === undefined) {
      if (last !== undefined && last.epoch === 0) last.count++
      else segments.push({ queueId: 0, epoch: 0, offset: 0, count: 1 })
      continue
    }
    const offset = nextOffsets.get(log) as number
    nextOffsets.set(log, offset + 1)
    if (last !== undefined && last.queueId === log.queueId && last.epoch === log.epoch) last.count++
    else segments.push({ queueId: log.queueId, epoch: log.epoch, offset, count: 1 })
  }
  return segments
}

function openSlice(slices: Map<QueueLog, OpenSlice>, log: QueueLog, batch: Batch, isFifo: boolean): OpenSlice {
  const slice: OpenSlice = {
    producerId: batch.producerId,
    producerEpoch: batch.producerEpoch,
    baseSequence: batch.baseSequence,
    batchCount: batch.messageCount,
    source: batch.messages,
    starts: [],
    ends: [],
    tagHashes: [],
    groupHashes: isFifo ? [] : undefined,
    ttls: undefined,
    hasKeys: false,
    notBeforeMs: 0,
  }
  slices.set(log, slice)
  return slice
}

function typeMismatch(topic: Topic): PocketError {
  return new PocketError(
    'MESSAGE_TYPE_MISMATCH',
    topic.isFifo
      ? `topic '${topic.name}' is FIFO: every message needs a message group`
      : `topic '${topic.name}' is ${topic.config.messageType}: its messages have no message group`,
  )
}

function priorityMismatch(topic: Topic): PocketError {
  const text = `topic '${topic.name}' is ${topic.config.messageType}: only messages of a PRIORITY topic have a priority`
  return new PocketError('MESSAGE_TYPE_MISMATCH', text)
}
