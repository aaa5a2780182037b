// The index service: finding stored messages by id, by key or by time. Cold paths, so they await the store; what they
// give was durable when it was read.

import { bytesEqual, textToBytes } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { hash32 } from '../hash.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { type MessageIdParts, parseMessageId } from '../model/message.ts'
import type { Position, StartPolicy } from '../model/position.ts'
import type { Store } from '../ports/store.ts'
import type { PublishSegment, StoredPlace } from '../protocol/frames.ts'
import { decodeMessage } from '../record/message-codec.ts'
import { producerIdToBytes, producerIdToText, RecordBatch, selectFromRecord } from '../record/record-batch.ts'
import {
  type DelayedEntry, delayedPlace, type DueTime, readDelayed, readDueTimes, recordOfDelayed,
} from '../storage/delayed.ts'
import { idIndexRange, KeyReader, keyIndexRange, lateIndexRange, recordRange } from '../storage/keys.ts'
import { type BatchPlace, decodeBatchPlace, isLate } from '../storage/message-index.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import { readAll } from '../storage/reads.ts'
import { isEpochBefore } from '../storage/recovery.ts'
import type { FoundMessage, QueryRequest } from './door.ts'
import type { Topic } from './topic.ts'

/** Entries of the id index read at once: one is mostly enough. */
const batchesPerRead = 64

/** What was stored in `[fromMs, toMs)`; of what was stored at `fromMs` only what is behind `after`. */
interface StoredRange {
  readonly fromMs: number
  readonly toMs: number
  readonly after: StoredPlace | undefined
}

/** A place of one message of a producer's batch. */
export interface PlacedMessage {
  readonly record: RecordBatch
  readonly index: number
  readonly queueId: number
}

export class Queries {
  readonly #store: Store
  readonly #limits: Limits

  constructor(store: Store, limits: Limits) {
    this.#store = store
    this.#limits = limits
  }

  /** Answers a QUERY on a topic: by key, else all in a time range; oldest first, by queue and offset where the time is one. */
  async find(topic: Topic, request: QueryRequest): Promise<FoundMessage[]> {
    const countMax = Math.min(request.messageCountMax, fixedLimits.queryCountMax)
    const range = storedRangeOf(topic, request)
    return request.key === undefined ? this.#byTime(topic, range, countMax) : this.#byKey(topic, request.key, range, countMax)
  }

  /**
   * The message of an id, in whichever of `topics` it is; also where it waits to be due, without a place: queue 0, epoch 0.
   * A dead letter is a message of its own.
   */
  async findById(topics: Iterable<Topic>, messageId: string): Promise<FoundMessage[]> {
    const { producerId: producer, producerEpoch, sequence } = parseMessageId(messageId)
    const producerId = producerIdToBytes(producer)
    const candidates = [...topics]
    const foundIn = new Map<Topic, FoundMessage>()
    for await (const due of readDueTimes(this.#store, producerId, producerEpoch, sequence, sequence)) {
      const topic = candidates.find(({ topicId }) => topicId === due.topicId)
      const found = topic && (await this.#findDue(topic, producerId, producerEpoch, due))
      if (topic !== undefined && found !== undefined) foundIn.set(topic, found)
    }
    for (const topic of await this.#topicsOf(candidates, producerId, producerEpoch, sequence)) {
      if (foundIn.has(topic)) continue
      const place = (await this.#placed(topic, producerId, producerEpoch, sequence, sequence)).get(sequence)
      if (place !== undefined) foundIn.set(topic, foundMessage(topic, place))
    }
    return [...foundIn.values()]
  }

  /** A message with a time of delivery: where it waits, or else in its queue from that time on, unless it came late. */
  async #findDue(
    topic: Topic, producerId: Uint8Array, producerEpoch: number, due: DueTime,
  ): Promise<FoundMessage | undefined> {
    const waiting = await this.#waiting(topic, producerId, producerEpoch, due)
    if (waiting !== undefined) return { topic: topic.name, queueId: 0, record: recordOfDelayed(waiting) }
    const place = await this.#placedInTime(topic, producerId, producerEpoch, due)
    return place && foundMessage(topic, place)
  }

  #waiting(topic: Topic, id: Uint8Array, producerEpoch: number, due: DueTime): Promise<DelayedEntry | undefined> {
    const producerId = producerIdToText(id)
    const { sequence, deliverMs } = due
    return readDelayed(this.#store, delayedPlace(deliverMs, { producerId, producerEpoch, sequence }, topic.topicId))
  }

  /** The place of a message that came in time: among the first that were stored then. */
  async #placedInTime(
    topic: Topic, producerId: Uint8Array, producerEpoch: number, { sequence, deliverMs }: DueTime,
  ): Promise<PlacedMessage | undefined> {
    for (const log of topic.queues) {
      const { topicId, queueId } = log
      const range = recordRange(topicId, queueId, await this.offsetAt(log, deliverMs))
      for await (const { value } of readAll(this.#store, range, 64 * 1024)) {
        const record = openRecord(value)
        if (record === undefined) continue
        if (isLate(record, deliverMs)) break
        for (let slice = 0; slice < record.sliceCount; slice++) {
          const head = record.sliceAt(slice)
          const isIt = head.batchCount === 1 && head.baseSequence === sequence && head.producerEpoch === producerEpoch &&
            bytesEqual(head.producerId, producerId)
          if (isIt) return { record, index: head.firstIndex, queueId }
        }
      }
    }
    return undefined
  }

  /** Those of `topics` in which a producer's batch with `sequence` may be. */
  async #topicsOf(
    topics: Iterable<Topic>, producerId: Uint8Array, producerEpoch: number, sequence: number,
  ): Promise<Topic[]> {
    const topicIds = new Set<number>()
    let lastSequence = Infinity
    for await (const place of this.#batches(producerId, producerEpoch, sequence, sequence)) {
      if (place.lastSequence > lastSequence) break
      // What is in several queues, or topics, ends in each with the same sequence.
      lastSequence = place.lastSequence
      topicIds.add(place.topicId)
    }
    return [...topics].filter((topic) => topicIds.has(topic.topicId))
  }

  /** Where in `topic` the message of an id is that was stored as a batch of its own. */
  async offsetOfSingle(topic: Topic, messageId: string): Promise<number | undefined> {
    const { producerId: producer, producerEpoch, sequence } = parseMessageId(messageId)
    const producerId = producerIdToBytes(producer)
    for await (const place of this.#batches(producerId, producerEpoch, sequence, sequence)) {
      if (place.topicId === topic.topicId && place.lastSequence === sequence) return place.offset
    }
    for await (const due of readDueTimes(this.#store, producerId, producerEpoch, sequence, sequence)) {
      const place = due.topicId === topic.topicId && (await this.#placedInTime(topic, producerId, producerEpoch, due))
      if (place) return place.record.offsetAt(place.index)
    }
    return undefined
  }

  /** Whether there is, waiting or not, a message of an id in `topic` with that time of delivery. */
  async hasTime(
    { topicId }: Topic, { producerId, producerEpoch, sequence }: MessageIdParts, deliverMs: number,
  ): Promise<boolean> {
    const id = producerIdToBytes(producerId)
    for await (const due of readDueTimes(this.#store, id, producerEpoch, sequence, sequence)) {
      if (due.topicId === topicId && due.deliverMs === deliverMs) return true
    }
    return false
  }

  /** Index entries of what a producer sent that has some of the sequences `[first, last]`: batches, then what came late. */
  async *#batches(producerId: Uint8Array, producerEpoch: number, first: number, last: number): AsyncGenerator<BatchPlace> {
    const range = idIndexRange(producerId, producerEpoch, first)
    for await (const { key, value } of readAll(this.#store, range, 64 * 1024, batchesPerRead)) {
      const place = decodeBatchPlace(key, value)
      if (place.baseSequence > last) break
      yield place
    }
    const lateRange = lateIndexRange(producerId, producerEpoch, first, last)
    for await (const { key, value } of readAll(this.#store, lateRange, 64 * 1024, batchesPerRead)) {
      yield decodeBatchPlace(key, value)
    }
  }

  /**
   * Where the messages of a batch went that was stored earlier; empty where not all are known any more. Those that were
   * delayed are told as they were at first, whether they have come or not: without a place, and when they are due.
   */
  async places(
    topic: Topic, producerId: Uint8Array, producerEpoch: number, baseSequence: number, count: number,
  ): Promise<{ segments: readonly PublishSegment[]; scheduled: readonly number[] }> {
    const times = Array.from({ length: count }, () => 0)
    for await (const due of readDueTimes(this.#store, producerId, producerEpoch, baseSequence, baseSequence + count - 1)) {
      if (due.topicId === topic.topicId) times[due.sequence - baseSequence] = due.deliverMs
    }
    const segments = await this.segments(topic, producerId, producerEpoch, baseSequence, count, times)
    return { segments, scheduled: segments.length === 0 ? [] : times.filter((timeMs) => timeMs > 0) }
  }

  /**
   * Where the messages of a batch stored earlier are, in message order; empty where not all are known any more. Those with
   * a time in `scheduled`, one per message and 0 where none, have no place: their epoch is 0.
   */
  async segments(
    topic: Topic, producerId: Uint8Array, producerEpoch: number, baseSequence: number, count: number,
    scheduled?: readonly number[],
  ): Promise<PublishSegment[]> {
    const isWaiting = (index: number) => (scheduled?.[index] ?? 0) > 0
    const placed = scheduled?.every((timeMs) => timeMs > 0)
      ? new Map<number, PlacedMessage>()
      : await this.#placed(topic, producerId, producerEpoch, baseSequence, baseSequence + count - 1)
    const segments: { queueId: number; epoch: number; offset: number; count: number }[] = []
    for (let index = 0; index < count; index++) {
      const last = segments.at(-1)
      if (isWaiting(index)) {
        if (last?.epoch === 0) last.count++
        else segments.push({ queueId: 0, epoch: 0, offset: 0, count: 1 })
        continue
      }
      const place = placed.get(baseSequence + index)
      if (place === undefined) return []
      const { record, queueId } = place
      const offset = record.offsetAt(place.index)
      const isNext = last !== undefined && last.queueId === queueId && last.epoch === record.epoch &&
        last.offset + last.count === offset
      if (isNext) last.count++
      else segments.push({ queueId, epoch: record.epoch, offset, count: 1 })
    }
    return segments
  }

  /** Messages of a producer with sequences in `[first, last]`, by sequence. */
  async #placed(
    topic: Topic, producerId: Uint8Array, producerEpoch: number, first: number, last: number,
  ): Promise<Map<number, PlacedMessage>> {
    const placed = new Map<number, PlacedMessage>()
    let record: RecordBatch | undefined
    let recordQueueId = -1
    for await (const { topicId, queueId, offset } of this.#batches(producerId, producerEpoch, first, last)) {
      if (placed.size > last - first) break
      if (topicId !== topic.topicId) continue
      // Batches of one turn are in one record.
      const isRead = queueId === recordQueueId && record !== undefined && record.baseOffset <= offset &&
        offset <= record.lastOffset
      if (isRead) continue
      // Its first message may be gone: what is left of the batch is in the same record, the first that reaches there.
      record = await this.#recordFrom(topicId, queueId, offset)
      recordQueueId = queueId
      if (record === undefined) continue
      for (let index = 0; index < record.messageCount; index++) {
        const slice = record.sliceOf(index)
        if (slice.producerEpoch !== producerEpoch || !bytesEqual(slice.producerId, producerId)) continue
        const sequence = slice.baseSequence + decodeMessage(record.bytes, record.messageStart(index)).sequenceDelta
        if (sequence >= first && sequence <= last) placed.set(sequence, { record, index, queueId })
      }
    }
    return placed
  }

  /** One answer has about so many bytes of records, so that it fits a frame: the message that reaches it is the last. */
  get #byteCountMax(): number {
    return this.#limits.frameBytesMax / 2
  }

  async #byKey(topic: Topic, key: string, { fromMs, toMs, after }: StoredRange, countMax: number): Promise<FoundMessage[]> {
    const found: FoundMessage[] = []
    let byteCount = 0
    for await (const place of this.withKey(topic, key, fromMs, toMs, after)) {
      const message = foundMessage(topic, place)
      found.push(message)
      byteCount += message.record.length
      if (found.length >= countMax || byteCount >= this.#byteCountMax) break
    }
    return found
  }

  /** Messages of a topic with a key, stored in `[fromMs, toMs)` and behind `after`, in the order they were stored. */
  async *withKey(
    topic: Topic, key: string, fromMs: number, toMs: number, after?: StoredPlace,
  ): AsyncGenerator<PlacedMessage> {
    const range = keyIndexRange(topic.topicId, hash32(textToBytes(key)), fromMs, toMs, after)
    for await (const entry of readAll(this.#store, range, 64 * 1024)) {
      const reader = new KeyReader(entry.key)
      reader.u32()
      reader.u32()
      reader.u53()
      const queueId = reader.u16()
      const offset = reader.u53()
      const record = await this.#recordFrom(topic.topicId, queueId, offset)
      const index = record?.indexOf(offset) ?? -1
      if (record === undefined || index < 0) continue
      // The index holds hashes; the key itself decides.
      if (record.messageAt(index, topic.name, queueId).keys?.includes(key)) yield { record, index, queueId }
    }
  }

  async #byTime(topic: Topic, { fromMs, toMs, after }: StoredRange, countMax: number): Promise<FoundMessage[]> {
    const placed: (PlacedMessage & { storedMs: number })[] = []
    for (const log of topic.queues) {
      const offset = await this.#offsetBehind(log, fromMs, after)
      let taken = 0
      let byteCount = 0
      const range = recordRange(log.topicId, log.queueId, offset)
      for await (const { value } of readAll(this.#store, range, this.#limits.readChunkBytes)) {
        const record = openRecord(value)
        if (record === undefined) continue
        if (record.storedMs >= toMs || taken >= countMax || byteCount >= this.#byteCountMax) break
        for (let index = record.indexFrom(offset); index < record.messageCount && taken < countMax; index++, taken++) {
          byteCount += record.messageEnd(index) - record.messageStart(index)
          placed.push({ record, index, queueId: log.queueId, storedMs: record.storedMs })
        }
      }
      // After each queue, so that no more is held than can be answered, however many queues there are.
      placed.sort((left, right) => left.storedMs - right.storedMs)
      placed.length = Math.min(placed.length, countMax)
    }
    const found: FoundMessage[] = []
    let byteCount = 0
    for (const place of placed) {
      const message = foundMessage(topic, place)
      found.push(message)
      byteCount += message.record.length
      if (byteCount >= this.#byteCountMax) break
    }
    return found
  }

  /** Where a queue's part of a range begins. */
  async #offsetBehind(log: QueueLog, fromMs: number, after: StoredPlace | undefined): Promise<number> {
    if (after === undefined || log.queueId > after.queueId) return this.offsetAt(log, fromMs)
    if (log.queueId < after.queueId) return this.offsetAt(log, fromMs + 1)
    return Math.max(await this.offsetAt(log, fromMs), Math.min(after.offset, log.maxOffset) + 1)
  }

  /** The offset per queue that a start policy means; at once where no search is needed. */
  startsOf(queues: readonly QueueLog[], start: StartPolicy): readonly number[] | Promise<readonly number[]> {
    if (start.kind !== 'timestamp') return queues.map((log) => startOffset(log, start))
    return Promise.all(queues.map((log) => this.offsetAt(log, start.timestampMs)))
  }

  startOf(log: QueueLog, start: StartPolicy): number | Promise<number> {
    return start.kind === 'timestamp' ? this.offsetAt(log, start.timestampMs) : startOffset(log, start)
  }

  /** The first offset stored at or after `timestampMs`; the max offset where there is none. Stored times never decrease. */
  async offsetAt(log: QueueLog, timestampMs: number): Promise<number> {
    let low = log.minOffset
    let high = log.maxOffset
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const record = log.recordFromInMemory(middle) ?? (await this.#recordFrom(log.topicId, log.queueId, middle))
      if (record === undefined || record.baseOffset >= high) high = middle
      else if (record.storedMs >= timestampMs) high = Math.min(middle, record.baseOffset)
      else low = record.lastOffset + 1
    }
    return Math.max(low, log.minOffset)
  }

  /** The first whole record that ends at `offset` or later. */
  async #recordFrom(topicId: number, queueId: number, offset: number): Promise<RecordBatch | undefined> {
    // One at a time: the first is nearly always whole.
    for await (const { value } of readAll(this.#store, recordRange(topicId, queueId, offset), 1)) {
      const record = openRecord(value)
      if (record !== undefined) return record
    }
    return undefined
  }
}

/** Where a reader of `log` starts that is at `position`, and whether messages in between are gone. */
export function resumeOffset(log: QueueLog, position: Position): { offset: number; isGap: boolean } {
  if (log.holds(position)) return { offset: position.offset, isGap: false }
  const { minOffset, maxOffset } = log
  // After a loss the log goes on under the next epoch, and offsets keep their meaning.
  if (isEpochBefore(position.epoch, log.epoch) && position.offset >= minOffset && position.offset <= maxOffset) {
    return { offset: position.offset, isGap: true }
  }
  return { offset: minOffset, isGap: true }
}

/** The offset that a start policy without a time means. Throws OFFSET_OUT_OF_RANGE. */
function startOffset(log: QueueLog, start: Exclude<StartPolicy, { kind: 'timestamp' }>): number {
  switch (start.kind) {
    case 'earliest':
      return log.minOffset
    case 'latest':
      return log.maxOffset
    case 'position': {
      const { offset } = start.position
      if (offset < log.minOffset || offset > log.maxOffset) {
        throw new PocketError(
          'OFFSET_OUT_OF_RANGE',
          `offset ${offset} is not in queue ${log.queueId}, which holds ${log.minOffset} to ${log.maxOffset}`,
        )
      }
      return offset
    }
  }
}

/** Nothing of an earlier time is behind `after`; and behind all queues there is only what was stored later. */
function storedRangeOf({ queues }: Topic, { fromMs, toMs, after }: QueryRequest): StoredRange {
  if (after === undefined || after.storedMs < fromMs) return { fromMs, toMs, after: undefined }
  if (after.queueId >= queues.length) return { fromMs: after.storedMs + 1, toMs, after: undefined }
  return { fromMs: after.storedMs, toMs, after }
}

function foundMessage(topic: Topic, { record, index, queueId }: PlacedMessage): FoundMessage {
  return { topic: topic.name, queueId, record: selectFromRecord(record, [index]) }
}

function openRecord(value: Uint8Array): RecordBatch | undefined {
  try {
    return RecordBatch.open(value)
  } catch {
    return undefined
  }
}
