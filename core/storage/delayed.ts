// Delayed messages as stored: one key per message, in the order they are due, and one per batch for as long as one of
// its messages waits. What a batch's key is needed for (resends, finding by id) ends with its last due message, so that
// one knows its batch's end: when it goes, the batch's key goes too.

import { ByteReader, ByteWriter, getU32, setU32, varintSize } from '../bytes.ts'
import { crc32c } from '../crc32c.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { MessageIdParts } from '../model/message.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import { MessageScanner } from '../record/message-codec.ts'
import { encodeRecordBatch, producerIdToBytes, producerIdToText } from '../record/record-batch.ts'
import { scheduledGrowthMax, writeScheduledMessage } from '../record/scheduled-message.ts'
import {
  delayedBatchKey, delayedBatchRange, delayedCountKey, delayedKey, KeyReader, keyAfter, keyKinds, kindRange,
} from './keys.ts'
import { compareKeys } from './ordered-map.ts'
import { readAll, readChunks, readRange } from './reads.ts'
import { openValue, sealValue } from './sealed.ts'

const version = 1
/** The last of its batch to be due: with it the batch's key goes. */
const flagLast = 1
/** The only one of its batch that was delayed. */
const flagOnly = 2
/** Taken back; kept without the message where it is the last of its batch and others of it wait. */
const flagRecalled = 4
const flagsKnown = flagLast | flagOnly | flagRecalled

const keySize = 33
/** Checksum, version, flags. */
const headSize = 6

/** What a delayed message is to its batch. */
export interface BatchEnd {
  /** Sequence of the last message of the batch. */
  readonly lastSequence: number
  /** No other message of the batch was delayed. */
  readonly isOnly: boolean
}

/**
 * A delayed message as it lies in the store: key and value, read when asked. Ordered by {@link compareDelayed}.
 *
 *   value: u32 checksum, u8 version, u8 flags, [varint last sequence of the batch less its own: where it is the last to
 *   be due], the message with its size, with `deliverMs` and a sequence delta of 0 (message-codec.ts)
 */
export class DelayedEntry {
  readonly key: Uint8Array
  readonly deliverMs: number
  readonly value: Uint8Array
  /** The turn of the broker that wrote it; 0 where it was read from the store. */
  turn: number

  constructor(key: Uint8Array, deliverMs: number, value: Uint8Array, turn: number) {
    this.key = key
    this.deliverMs = deliverMs
    this.value = value
    this.turn = turn
  }

  /** A view. */
  get producerId(): Uint8Array {
    return this.key.subarray(9, 17)
  }

  get producerEpoch(): number {
    return keyU32(this.key, 17)
  }

  get sequence(): number {
    return keyU53(this.key, 21)
  }

  get topicId(): number {
    return keyU32(this.key, 29)
  }

  get isRecalled(): boolean {
    return (this.#flags & flagRecalled) !== 0
  }

  /** Undefined where another message of its batch is due later. */
  get batchEnd(): BatchEnd | undefined {
    const flags = this.#flags
    if ((flags & flagLast) === 0) return undefined
    const lastSequence = this.sequence + new ByteReader(this.value, headSize).varint()
    return { lastSequence, isOnly: (flags & flagOnly) !== 0 }
  }

  /** Where the message begins in the value; it goes to the value's end. */
  get messageStart(): number {
    if ((this.#flags & flagLast) === 0) return headSize
    const reader = new ByteReader(this.value, headSize)
    reader.varint()
    return reader.position
  }

  get byteCount(): number {
    return keySize + this.value.length
  }

  get id(): MessageIdParts {
    const { producerEpoch, sequence } = this
    return { producerId: producerIdToText(this.producerId), producerEpoch, sequence }
  }

  get #flags(): number {
    return this.value[headSize - 1] as number
  }
}

/** The order in which delayed messages are due: that of their keys. */
export function compareDelayed(left: DelayedEntry, right: DelayedEntry): number {
  return left.deliverMs - right.deliverMs || compareKeys(left.key, right.key)
}

/** Room that the value of a message of so many bytes takes at most. */
export function delayedSizeMax(messageSize: number): number {
  return headSize + sequenceSizeMax + messageSize + scheduledGrowthMax
}

/**
 * Writes the value of the message at `[start, end)` of `source`, which is to be delivered at `deliverMs`, at `at` of
 * `target`, and gives where it ends. There must be room for {@link delayedSizeMax}: many share a piece of memory.
 */
export function writeDelayed(
  target: Uint8Array, at: number, source: Uint8Array, start: number, end: number, deliverMs: number, sequence: number,
  batchEnd: BatchEnd | undefined,
): number {
  const flags = batchEnd === undefined ? 0 : flagLast | (batchEnd.isOnly ? flagOnly : 0)
  const from = writeHead(target, at, flags, batchEnd === undefined ? undefined : batchEnd.lastSequence - sequence)
  const to = writeScheduledMessage(target, from, source, start, end, deliverMs)
  setU32(target, at, crc32c(target, at + 4, to))
  return to
}

/** The value of one that was taken back and is the last of a batch of which others wait. */
export function encodeRecalled(sequence: number, { lastSequence }: BatchEnd): Uint8Array {
  const value = new Uint8Array(headSize + varintSize(lastSequence - sequence))
  writeHead(value, 0, flagLast | flagRecalled, lastSequence - sequence)
  setU32(value, 0, crc32c(value, 4))
  return value
}

const nothing = new Uint8Array(0)
const sequenceSizeMax = 3

function writeHead(target: Uint8Array, at: number, flags: number, sequencesLeft: number | undefined): number {
  target[at + 4] = version
  target[at + 5] = flags
  let to = at + headSize
  if (sequencesLeft === undefined) return to
  // At most as many as a batch has messages.
  let left = sequencesLeft
  for (; left >= 0x80; left >>>= 7) target[to++] = left | 0x80
  target[to++] = left
  return to
}

/** An entry of the store; throws RECORD_DAMAGED where checksum or form do not hold. */
export function openDelayed(key: Uint8Array, value: Uint8Array): DelayedEntry {
  const isWhole = key.length === keySize && value.length >= headSize &&
    crc32c(value, 4) === getU32(value, 0)
  if (!isWhole) throw new PocketError('RECORD_DAMAGED', 'a delayed message fails its checksum')
  const [found, flags] = [value[4], value[5] as number]
  if (found !== version || (flags & ~flagsKnown) !== 0) {
    throw new PocketError('RECORD_DAMAGED', `a delayed message has version ${found} and flags ${flags}`)
  }
  return new DelayedEntry(key, delayedTimeOf(key), value, 0)
}

/** The due time of a delayed message, from its key, or from the beginning of one; 0 where it is too short. */
export function delayedTimeOf(key: Uint8Array): number {
  return key.length < 9 ? 0 : keyU53(key, 1)
}

function keyU32(key: Uint8Array, at: number): number {
  return ((key[at]! << 24) | (key[at + 1]! << 16) | (key[at + 2]! << 8) | key[at + 3]!) >>> 0
}

function keyU53(key: Uint8Array, at: number): number {
  return keyU32(key, at) * 4_294_967_296 + keyU32(key, at + 4)
}

/** The due times of a batch's messages, in message order; 0 for those that were not delayed. */
export interface DelayedBatch {
  readonly deliverMs: readonly number[]
}

/** Counts and times only; key 12. */
export function encodeDelayedBatch({ deliverMs }: DelayedBatch): Uint8Array {
  let firstMs = Infinity
  for (const timeMs of deliverMs) if (timeMs > 0) firstMs = Math.min(firstMs, timeMs)
  return sealValue(version, (w) => {
    w.varint(deliverMs.length)
    w.varint(firstMs)
    for (const timeMs of deliverMs) w.varint(timeMs === 0 ? 0 : timeMs - firstMs + 1)
  }, batchWriter)
}

const batchWriter = new ByteWriter(256)

export function decodeDelayedBatch(bytes: Uint8Array): DelayedBatch {
  const reader = openValue(version, bytes)
  const deliverMs: number[] = []
  let count = reader.varint()
  const firstMs = reader.varint()
  if (count > fixedLimits.batchMessageCountMax) throw new PocketError('RECORD_DAMAGED', `a delayed batch of ${count}`)
  for (; count > 0; count--) {
    const stepMs = reader.varint()
    deliverMs.push(stepMs === 0 ? 0 : firstMs + stepMs - 1)
  }
  return { deliverMs }
}

export function encodeDelayedCount(count: number): Uint8Array {
  return sealValue(version, (w) => w.varint(count), countWriter)
}

const countWriter = new ByteWriter(32)

export function decodeDelayedCount(bytes: Uint8Array): number {
  return openValue(version, bytes).varint()
}

// ── for opening ─────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * How many delayed messages wait, by topic; those that were taken back and hold a key are counted as topic 0. Where a
 * count is damaged all are counted anew, and added to `writes`.
 */
export async function recoverDelayedCounts(
  store: Store, writes: StoreWrite[], damaged: (what: string) => void,
): Promise<Map<number, number>> {
  const counts = new Map<number, number>()
  let isDamaged = false
  for await (const { key, value } of readAll(store, kindRange(keyKinds.delayedCount), 64 * 1024)) {
    const topicId = new KeyReader(key).u32()
    try {
      counts.set(topicId, decodeDelayedCount(value))
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      isDamaged = true
      counts.set(topicId, 0)
      damaged('count of delayed messages')
    }
  }
  if (!isDamaged) return counts
  for (const topicId of counts.keys()) counts.set(topicId, 0)
  for await (const entries of readChunks(store, kindRange(keyKinds.delayed), 1 << 20)) {
    for (const { key, value } of entries) {
      const entry = entryOrUndefined(key, value)
      // As before: one that is damaged waits without end.
      const topicId = entry?.isRecalled === true ? 0 : new DelayedEntry(key, 0, value, 0).topicId
      counts.set(topicId, (counts.get(topicId) ?? 0) + 1)
    }
  }
  for (const [topicId, count] of counts) {
    writes.push({ key: delayedCountKey(topicId), value: count === 0 ? null : encodeDelayedCount(count) })
  }
  return counts
}

// ── for queries ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** When the delayed messages of a batch are due; undefined once none of it waits, or where that cannot be read. */
export async function readDelayedBatch(
  store: Store, topicId: number, producerId: Uint8Array, producerEpoch: number, lastSequence: number,
): Promise<DelayedBatch | undefined> {
  const key = delayedBatchKey(producerId, producerEpoch, lastSequence, topicId)
  const [entry] = await readRange(store, { from: key, to: keyAfter(key), countMax: 1 })
  return entry === undefined ? undefined : batchOrUndefined(entry.value)
}

/** The messages of an id that wait: one, unless a producer id was used in several topics. */
export async function readDelayedById(
  store: Store, producerId: Uint8Array, producerEpoch: number, sequence: number,
): Promise<DelayedEntry[]> {
  const found: DelayedEntry[] = []
  for await (const { key, value } of readAll(store, delayedBatchRange(producerId, producerEpoch, sequence), 64 * 1024)) {
    const batch = batchOrUndefined(value)
    if (batch === undefined) continue
    const reader = new KeyReader(key)
    reader.raw(8)
    reader.u32()
    const index = sequence - (reader.u53() - batch.deliverMs.length + 1)
    if (index < 0) break
    const deliverMs = batch.deliverMs[index] as number
    if (deliverMs === 0) continue
    const entry = await readDelayed(store, delayedKey(deliverMs, producerId, producerEpoch, sequence, reader.u32()))
    if (entry !== undefined && !entry.isRecalled) found.push(entry)
  }
  return found
}

async function readDelayed(store: Store, key: Uint8Array): Promise<DelayedEntry | undefined> {
  const [entry] = await readRange(store, { from: key, to: keyAfter(key), countMax: 1 })
  return entry === undefined ? undefined : entryOrUndefined(entry.key, entry.value)
}

/** The entry, or undefined where it is damaged: whoever is to deliver it reports that. */
export function entryOrUndefined(key: Uint8Array, value: Uint8Array): DelayedEntry | undefined {
  try {
    return openDelayed(key, value)
  } catch {
    return undefined
  }
}

function batchOrUndefined(value: Uint8Array): DelayedBatch | undefined {
  try {
    return decodeDelayedBatch(value)
  } catch {
    return undefined
  }
}

/** A record batch with the one message, which has no place yet: epoch 0, offset 0, stored time 0. */
export function recordOfDelayed(entry: DelayedEntry): Uint8Array {
  const { producerId, producerEpoch, sequence, value, messageStart } = entry
  const scanner = new MessageScanner({ bodyBytesMax: 0 }, 'stored')
  scanner.reset(value, messageStart, value.length)
  scanner.next()
  return encodeRecordBatch({ epoch: 0, baseOffset: 0, storedMs: 0 }, [{
    producerId, producerEpoch,
    baseSequence: sequence,
    batchCount: 1,
    source: value,
    starts: [scanner.start],
    ends: [scanner.end],
    tagHashes: [scanner.tagHash],
    groupHashes: scanner.hasMessageGroup ? [scanner.messageGroupHash] : undefined,
    ttls: scanner.ttlMs > 0 ? [scanner.ttlMs] : undefined,
  }])
}

/** The place of a message among others, from its handle: an entry without a value, to compare with. */
export function delayedPlace(deliverMs: number, id: MessageIdParts, topicId: number): DelayedEntry {
  const key = delayedKey(deliverMs, producerIdToBytes(id.producerId), id.producerEpoch, id.sequence, topicId)
  return new DelayedEntry(key, deliverMs, nothing, 0)
}
