// What a COMPACT topic need not keep: of each key and queue, all messages before the last one. A window of what came since
// the last time says which keys have a newer message; the key index says where their older ones may be; the key itself, in
// the record, decides. It reads and tells; the broker's turn commits.
//
//   min offset ────── compacted ──────> compactedOffset ── window ──> … ── too young ──> max offset
//        older messages of the window's keys                 last messages of keys

import { ByteReader, textToBytes } from '../bytes.ts'
import { hash32 } from '../hash.ts'
import { fixedLimits } from '../limits.ts'
import type { Store } from '../ports/store.ts'
import {
  flagDelay, flagDeliver, flagKeys, flagPriority, flagTag, flagTtl, type MessageScanner,
} from '../record/message-codec.ts'
import { RecordBatch } from '../record/record-batch.ts'
import { KeyReader, keyIndexRange, recordRange } from './keys.ts'
import type { QueueLog } from './queue-log.ts'
import { readAll, readRange } from './reads.ts'

/** A window ends with the record that brings it to so many messages: its keys are in memory. */
const windowMessageCount = 32_768
/** Offsets of older messages that are looked at together, in the order of the log. */
const olderCountMax = 16_384
const readBytes = 256 * 1024
const keysPerRead = 256

/** Some records of a log, and what they say of keys. */
export interface KeyWindow {
  readonly from: number
  /** When the first of its records was stored. */
  readonly fromMs: number
  /** The offset of the last message of each key in the window. */
  readonly lastOffsets: ReadonlyMap<string, number>
}

/** Messages that have come since a log was last compacted. */
export interface DirtyWindow extends KeyWindow {
  /** Behind the last record that was looked at. */
  readonly to: number
  /** Whether the window ended because it was full. */
  readonly more: boolean
}

/** The next window of a log, of records stored until `untilMs`. Damaged records are passed over. */
export async function readDirty(store: Store, log: QueueLog, untilMs: number): Promise<DirtyWindow> {
  const from = log.compactedOffset
  const lastOffsets = new Map<string, number>()
  let to = from
  let fromMs = -1
  let messageCount = 0
  for await (const record of recordsFrom(store, log, from)) {
    if (record.storedMs > untilMs) break
    if (messageCount >= windowMessageCount) return { from, to, lastOffsets, fromMs, more: true }
    if (fromMs < 0) fromMs = record.storedMs
    for (let index = record.indexFrom(from); index < record.messageCount; index++) {
      const key = firstKeyAt(record, index)
      if (key !== undefined) lastOffsets.set(key, record.offsetAt(index))
    }
    messageCount += record.messageCount
    to = record.lastOffset + 1
  }
  return { from, to, lastOffsets, fromMs, more: false }
}

/** Offsets before a window where messages of its keys may be, ascending, some at a time. */
export async function* olderOffsets(store: Store, log: QueueLog, window: KeyWindow): AsyncGenerator<readonly number[]> {
  if (window.from <= log.minOffset) return
  let offsets: number[] = []
  for (const key of window.lastOffsets.keys()) {
    // What is older was not stored later.
    const range = keyIndexRange(log.topicId, hash32(textToBytes(key)), 0, window.fromMs + 1)
    for await (const entry of readAll(store, range, readBytes, keysPerRead)) {
      const reader = new KeyReader(entry.key)
      reader.u32()
      reader.u32()
      reader.u53()
      if (reader.u16() !== log.queueId) continue
      const offset = reader.u53()
      if (offset >= window.from || offset < log.minOffset) continue
      offsets.push(offset)
      if (offsets.length < olderCountMax) continue
      yield offsets.sort((left, right) => left - right)
      offsets = []
    }
  }
  if (offsets.length > 0) yield offsets.sort((left, right) => left - right)
}

/** Whole records of a log that end at `offset` or later. */
export async function* recordsFrom(store: Store, log: QueueLog, offset: number): AsyncGenerator<RecordBatch> {
  for await (const { value } of readAll(store, recordRange(log.topicId, log.queueId, offset), readBytes)) {
    const record = openOrUndefined(value)
    if (record !== undefined) yield record
  }
}

/** The record that holds `offset`, or the next one; undefined where that is damaged or there is none. */
export async function recordAt(store: Store, log: QueueLog, offset: number): Promise<RecordBatch | undefined> {
  const [entry] = await readRange(store, { ...recordRange(log.topicId, log.queueId, offset), countMax: 1 })
  return entry && openOrUndefined(entry.value)
}

/** Indexes of the messages of a record that are not superseded by what a window has of their keys. */
export function keptBeside(record: RecordBatch, { lastOffsets }: KeyWindow): number[] {
  const kept: number[] = []
  for (let index = 0; index < record.messageCount; index++) {
    const key = firstKeyAt(record, index)
    const lastOffset = key === undefined ? -1 : (lastOffsets.get(key) ?? -1)
    if (lastOffset <= record.offsetAt(index)) kept.push(index)
  }
  return kept
}

/** The messages of a record that only say that their key is removed: a window of their keys, and the indexes of the others. */
export function tombstonesIn(record: RecordBatch, scanner: MessageScanner): { window: KeyWindow; others: number[] } {
  const lastOffsets = new Map<string, number>()
  const others: number[] = []
  scanner.reset(record.bytes, record.messageStart(0), record.bytes.length)
  for (let index = 0; index < record.messageCount; index++) {
    scanner.next()
    if (scanner.bodySize > 0) {
      others.push(index)
      continue
    }
    const key = firstKeyAt(record, index)
    if (key !== undefined) lastOffsets.set(key, record.offsetAt(index))
  }
  return { window: { from: record.baseOffset, fromMs: record.storedMs, lastOffsets }, others }
}

/** A message's first key, by which a COMPACT topic knows it; undefined where it has none. */
function firstKeyAt(record: RecordBatch, index: number): string | undefined {
  const reader = new ByteReader(record.bytes, record.messageStart(index), record.messageEnd(index))
  reader.varint()
  const flags = reader.u8()
  if ((flags & flagKeys) === 0) return undefined
  reader.varint()
  reader.varint()
  if (flags & flagDelay) reader.varint()
  if (flags & flagDeliver) reader.varint()
  if (flags & flagPriority) reader.u8()
  if (flags & flagTtl) reader.varint()
  if (flags & flagTag) reader.raw(reader.varint())
  return reader.varint() === 0 ? undefined : reader.text(fixedLimits.keyBytesMax)
}

function openOrUndefined(value: Uint8Array): RecordBatch | undefined {
  try {
    return RecordBatch.open(value)
  } catch {
    return undefined
  }
}
