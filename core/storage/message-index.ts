// The index service's entries: where a producer's batch went (to find a message by its id, and to answer a resend with
// its places), and where a key's messages are. Both are made from a record alone, so they go when the record goes. Neither
// names a record: it may be rewritten with fewer messages, and an offset leads to it still.

import { ByteReader, ByteWriter } from '../bytes.ts'
import type { Limits } from '../limits.ts'
import type { StoreWrite } from '../ports/store.ts'
import { flagDeliver, MessageScanner } from '../record/message-codec.ts'
import type { RecordBatch, SliceHead } from '../record/record-batch.ts'
import { dueTimeKey, idIndexKey, KeyReader, keyIndexKey, lateIndexKey } from './keys.ts'

/** How late a delayed message may come to be found by its time. */
const lateMs = 250

/** An id index entry: (part of) a producer's batch. */
export interface BatchPlace {
  readonly topicId: number
  readonly queueId: number
  readonly baseSequence: number
  readonly lastSequence: number
  /** Of the first of its messages when they were stored: what is left of them is in the first record that reaches it. */
  readonly offset: number
}

export function decodeBatchPlace(key: Uint8Array, value: Uint8Array): BatchPlace {
  const keyReader = new KeyReader(key)
  keyReader.raw(8)
  keyReader.u32()
  const lastSequence = keyReader.u53()
  const topicId = keyReader.u32()
  const queueId = keyReader.u16()
  const reader = new ByteReader(value)
  return { topicId, queueId, baseSequence: reader.varint(), lastSequence, offset: reader.varint() }
}

export class MessageIndex {
  readonly #scanner: MessageScanner
  readonly #writer = new ByteWriter(32)

  constructor(limits: Limits) {
    this.#scanner = new MessageScanner(limits, 'stored')
  }

  /** Adds the id index entries of a record, or their removal. */
  indexIds(topicId: number, queueId: number, record: RecordBatch, writes: StoreWrite[], remove = false): void {
    for (let index = 0; index < record.sliceCount; index++) {
      const slice = record.sliceAt(index)
      if (remove) {
        for (const key of idKeysOf(topicId, queueId, record, slice)) writes.push({ key, value: null })
        continue
      }
      const key = idKeyOf(topicId, queueId, record, slice)
      if (key === undefined) continue
      this.#writer.varint(slice.baseSequence)
      this.#writer.varint(record.offsetAt(slice.firstIndex))
      writes.push({ key, value: this.#writer.finish() })
    }
  }

  /** Adds one key index entry per key and message, or their removal. */
  indexKeys(topicId: number, queueId: number, record: RecordBatch, writes: StoreWrite[], remove = false): void {
    const scanner = this.#scanner
    scanner.reset(record.bytes, record.messageStart(0), record.bytes.length)
    for (let index = 0; index < record.messageCount; index++) {
      scanner.next()
      for (const keyHash of scanner.keyHashes) {
        writes.push({
          key: keyIndexKey(topicId, keyHash, record.storedMs, queueId, record.offsetAt(index)),
          value: remove ? null : noValue,
        })
      }
    }
  }

  /** Removes the entries of a record's messages but for those at the indexes `kept`, ascending. */
  removeOthers(topicId: number, queueId: number, record: RecordBatch, kept: readonly number[], writes: StoreWrite[]): void {
    const scanner = this.#scanner
    scanner.reset(record.bytes, record.messageStart(0), record.bytes.length)
    let keptAt = 0
    for (let index = 0; index < record.messageCount; index++) {
      scanner.next()
      if (kept[keptAt] === index) {
        keptAt++
        continue
      }
      for (const keyHash of scanner.keyHashes) {
        writes.push({ key: keyIndexKey(topicId, keyHash, record.storedMs, queueId, record.offsetAt(index)), value: null })
      }
    }
    keptAt = 0
    for (let at = 0; at < record.sliceCount; at++) {
      const slice = record.sliceAt(at)
      const end = at + 1 < record.sliceCount ? record.sliceAt(at + 1).firstIndex : record.messageCount
      const keptBefore = keptAt
      while (keptAt < kept.length && (kept[keptAt] as number) < end) keptAt++
      if (keptAt > keptBefore) continue
      for (const key of idKeysOf(topicId, queueId, record, slice)) writes.push({ key, value: null })
    }
  }
}

/** The keys that lead from the ids of a slice to it: they go when it goes. */
export function idKeysOf(topicId: number, queueId: number, record: RecordBatch, slice: SliceHead): Uint8Array[] {
  const key = idKeyOf(topicId, queueId, record, slice)
  const keys = key === undefined ? [] : [key]
  const deliverMs = dueTimeOf(record, slice)
  if (deliverMs === 0) return keys
  const { producerId, producerEpoch, baseSequence } = slice
  return [...keys, dueTimeKey(producerId, producerEpoch, baseSequence, topicId, deliverMs)]
}

/**
 * The key of the id index entry of a slice; undefined where it needs none. A message that was delayed is a slice of its
 * own, which lies within the batch it came in: among batches, which follow each other, it would be in the way. Most come
 * in time, and are found by that (broker/queries.ts), as their ids are known with their times from when they were
 * scheduled: to index each when it comes would double what that writes.
 */
function idKeyOf(topicId: number, queueId: number, record: RecordBatch, slice: SliceHead): Uint8Array | undefined {
  const { producerId, producerEpoch, baseSequence, batchCount } = slice
  const deliverMs = dueTimeOf(record, slice)
  if (deliverMs === 0) return idIndexKey(producerId, producerEpoch, baseSequence + batchCount - 1, topicId, queueId)
  return isLate(record, deliverMs) ? lateIndexKey(producerId, producerEpoch, baseSequence, topicId, queueId) : undefined
}

/** Whether a message that was due at `deliverMs` was stored so much later that it is not looked for by its time. */
export function isLate(record: RecordBatch, deliverMs: number): boolean {
  return record.storedMs - deliverMs > lateMs
}

/** The time of delivery of a message that is a batch of its own; 0 where it has none: read from its flags, behind its size. */
function dueTimeOf(record: RecordBatch, { batchCount, firstIndex }: SliceHead): number {
  if (batchCount !== 1) return 0
  const { bytes } = record
  const flagsAt = afterVarint(bytes, record.messageStart(firstIndex))
  if (((bytes[flagsAt] as number) & flagDeliver) === 0) return 0
  // Behind the sequence and the born time. By hand, as this is asked of every delayed message.
  let at = afterVarint(bytes, afterVarint(bytes, flagsAt + 1))
  let value = 0
  for (let scale = 1; ; scale *= 0x80) {
    const byte = bytes[at++] as number
    value += (byte & 0x7f) * scale
    if (!(byte >= 0x80)) return value
  }
}

function afterVarint(bytes: Uint8Array, start: number): number {
  let at = start
  while ((bytes[at] as number) >= 0x80) at++
  return at + 1
}

const noValue = new Uint8Array(0)
