// The index service: finding stored messages by id, by key or by time. Cold paths, so they await the store; what they
// give was durable when it was read.

import { bytesEqual, textToBytes } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { hash32 } from '../hash.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { parseMessageId } from '../model/message.ts'
import type { Position, StartPolicy } from '../model/position.ts'
import type { Store } from '../ports/store.ts'
import type { PublishSegment } from '../protocol/frames.ts'
import { decodeMessage } from '../record/message-codec.ts'
import { producerIdToBytes, RecordBatch, selectFromRecord } from '../record/record-batch.ts'
import { idIndexRange, KeyReader, keyIndexRange, recordKey, recordRange } from '../storage/keys.ts'
import { decodeBatchPlace } from '../storage/message-index.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import { readAll } from '../storage/reads.ts'
import { isEpochBefore } from '../storage/recovery.ts'
import type { FoundMessage, QueryRequest } from './door.ts'
import type { Topic } from './topic.ts'

/** A place of one message of a producer's batch. */
interface PlacedMessage {
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

  /** Answers a QUERY on a topic: by key, else all in a time range; oldest first. */
  async find(topic: Topic, request: QueryRequest): Promise<FoundMessage[]> {
    const countMax = Math.min(request.messageCountMax, fixedLimits.queryCountMax)
    if (request.key !== undefined) return this.#byKey(topic, request.key, request.fromMs, request.toMs, countMax)
    return this.#byTime(topic, request.fromMs, request.toMs, countMax)
  }

  /** The message of an id, in whichever of `topics` it is. A dead letter is a message of its own. */
  async findById(topics: Iterable<Topic>, messageId: string): Promise<FoundMessage[]> {
    const { producerId, producerEpoch, sequence } = parseMessageId(messageId)
    const found: FoundMessage[] = []
    for (const topic of await this.#topicsOf(topics, producerIdToBytes(producerId), producerEpoch, sequence)) {
      const placed = await this.#placed(topic, producerIdToBytes(producerId), producerEpoch, sequence, sequence)
      const place = placed.get(sequence)
      if (place !== undefined) found.push(foundMessage(topic, place))
    }
    return found
  }

  /** Those of `topics` in which a producer's batch with `sequence` may be. */
  async #topicsOf(
    topics: Iterable<Topic>, producerId: Uint8Array, producerEpoch: number, sequence: number,
  ): Promise<Topic[]> {
    const topicIds = new Set<number>()
    const range = idIndexRange(producerId, producerEpoch, sequence)
    for await (const { value } of readAll(this.#store, range, 64 * 1024)) {
      const place = decodeBatchPlace(value)
      if (place.baseSequence > sequence) break
      topicIds.add(place.topicId)
    }
    return [...topics].filter((topic) => topicIds.has(topic.topicId))
  }

  /** Where the messages of a batch stored earlier are, in message order; empty where not all are known any more. */
  async segments(
    topic: Topic, producerId: Uint8Array, producerEpoch: number, baseSequence: number, count: number,
  ): Promise<PublishSegment[]> {
    const placed = await this.#placed(topic, producerId, producerEpoch, baseSequence, baseSequence + count - 1)
    const segments: { queueId: number; epoch: number; offset: number; count: number }[] = []
    for (let sequence = baseSequence; sequence < baseSequence + count; sequence++) {
      const place = placed.get(sequence)
      if (place === undefined) return []
      const offset = place.record.offsetAt(place.index)
      const last = segments.at(-1)
      if (last !== undefined && last.queueId === place.queueId && last.offset + last.count === offset) last.count++
      else segments.push({ queueId: place.queueId, epoch: place.record.epoch, offset, count: 1 })
    }
    return segments
  }

  /** Messages of a producer with sequences in `[first, last]`, by sequence. */
  async #placed(
    topic: Topic, producerId: Uint8Array, producerEpoch: number, first: number, last: number,
  ): Promise<Map<number, PlacedMessage>> {
    const placed = new Map<number, PlacedMessage>()
    const range = idIndexRange(producerId, producerEpoch, first)
    for await (const { key, value } of readAll(this.#store, range, 64 * 1024)) {
      const place = decodeBatchPlace(value)
      if (place.baseSequence > last) break
      if (place.topicId !== topic.topicId) continue
      const queueId = queueIdOfIdKey(key)
      const record = await this.#record(topic.topicId, queueId, place.recordLastOffset)
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

  async #byKey(topic: Topic, key: string, fromMs: number, toMs: number, countMax: number): Promise<FoundMessage[]> {
    const range = keyIndexRange(topic.topicId, hash32(textToBytes(key)), fromMs, toMs)
    const found: FoundMessage[] = []
    let byteCount = 0
    for await (const entry of readAll(this.#store, range, 64 * 1024)) {
      const reader = new KeyReader(entry.key)
      reader.u32()
      reader.u32()
      reader.u53()
      const queueId = reader.u16()
      const offset = reader.u53()
      const record = await this.#recordWith(topic.topicId, queueId, offset)
      if (record === undefined) continue
      const index = record.indexFrom(offset)
      // The index holds hashes; the key itself decides.
      if (!record.messageAt(index, topic.name, queueId).keys?.includes(key)) continue
      const message = foundMessage(topic, { record, index, queueId })
      found.push(message)
      byteCount += message.record.length
      if (found.length >= countMax || byteCount >= this.#byteCountMax) break
    }
    return found
  }

  async #byTime(topic: Topic, fromMs: number, toMs: number, countMax: number): Promise<FoundMessage[]> {
    const placed: (PlacedMessage & { storedMs: number })[] = []
    for (const log of topic.queues) {
      const offset = await this.offsetAt(log, fromMs)
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
      const record = log.recordInMemory(middle) ?? (await this.#recordFrom(log.topicId, log.queueId, middle))
      if (record === undefined || record.baseOffset >= high) high = middle
      else if (record.storedMs >= timestampMs) high = Math.min(middle, record.baseOffset)
      else low = record.lastOffset + 1
    }
    return Math.max(low, log.minOffset)
  }

  async #record(topicId: number, queueId: number, lastOffset: number): Promise<RecordBatch | undefined> {
    const key = recordKey(topicId, queueId, lastOffset)
    const record = await this.#recordFrom(topicId, queueId, lastOffset)
    return record !== undefined && bytesEqual(recordKey(topicId, queueId, record.lastOffset), key) ? record : undefined
  }

  async #recordWith(topicId: number, queueId: number, offset: number): Promise<RecordBatch | undefined> {
    const record = await this.#recordFrom(topicId, queueId, offset)
    return record !== undefined && record.baseOffset <= offset ? record : undefined
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

function foundMessage(topic: Topic, { record, index, queueId }: PlacedMessage): FoundMessage {
  return { topic: topic.name, queueId, record: selectFromRecord(record, [index]) }
}

function queueIdOfIdKey(key: Uint8Array): number {
  const reader = new KeyReader(key)
  reader.raw(8)
  reader.u32()
  reader.u53()
  return reader.u16()
}

function openRecord(value: Uint8Array): RecordBatch | undefined {
  try {
    return RecordBatch.open(value)
  } catch {
    return undefined
  }
}
