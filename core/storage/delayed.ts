// Delayed messages as stored: one key per message, in the order they are due, which goes when it is put into its queue or
// taken back; and one by its id, with its time, for as long as there is the message. By the second a message is found
// that waits, and one that has come: it is in its queue from its due time on.

import { ByteWriter, getU32, setU32 } from '../bytes.ts'
import { crc32c } from '../crc32c.ts'
import { PocketError } from '../errors.ts'
import type { MessageIdParts } from '../model/message.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import { MessageScanner } from '../record/message-codec.ts'
import { encodeRecordBatch, producerIdToBytes, producerIdToText } from '../record/record-batch.ts'
import { scheduledGrowthMax, writeScheduledMessage } from '../record/scheduled-message.ts'
import {
  delayedCountKey, delayedKey, dueTimeKey, dueTimeRange, type KeyKind, KeyReader, keyAfter, keyKinds, kindRange,
} from './keys.ts'
import { compareKeys } from './ordered-map.ts'
import { readAll, type ReadAhead, readChunks, readRange } from './reads.ts'
import { openValue, sealValue } from './sealed.ts'

const version = 1
const keySize = 33
/** Checksum and version. */
const headSize = 5

/**
 * A delayed message as it lies in the store: key and value, read when asked. Ordered by {@link compareDelayed}.
 *
 *   value: u32 checksum, u8 version, the message with its size, with `deliverMs` and a sequence delta of 0 (as
 *   record/scheduled-message.ts makes it)
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

  /** Where the message begins in the value; it goes to the value's end. */
  get messageStart(): number {
    return headSize
  }

  /** The key by its id. */
  get dueTimeKey(): Uint8Array {
    return dueTimeKey(this.producerId, this.producerEpoch, this.sequence, this.topicId, this.deliverMs)
  }

  get byteCount(): number {
    return keySize + this.value.length
  }

  get id(): MessageIdParts {
    const { producerEpoch, sequence } = this
    return { producerId: producerIdToText(this.producerId), producerEpoch, sequence }
  }
}

/** The order in which delayed messages are due: that of their keys. */
export function compareDelayed(left: DelayedEntry, right: DelayedEntry): number {
  return left.deliverMs - right.deliverMs || compareKeys(left.key, right.key)
}

/** Room that the value of a message of so many bytes takes at most. */
export function delayedSizeMax(messageSize: number): number {
  return headSize + messageSize + scheduledGrowthMax
}

/**
 * Writes the value of the message at `[start, end)` of `source`, which is to be delivered at `deliverMs`, at `at` of
 * `target`, and gives where it ends. There must be room for {@link delayedSizeMax}: many share a piece of memory.
 */
export function writeDelayed(
  target: Uint8Array, at: number, source: Uint8Array, start: number, end: number, deliverMs: number,
): number {
  target[at + 4] = version
  const to = writeScheduledMessage(target, at + headSize, source, start, end, deliverMs)
  setU32(target, at, crc32c(target, at + 4, to))
  return to
}

const nothing = new Uint8Array(0)

/** An entry of the store; throws RECORD_DAMAGED where checksum or form do not hold. */
export function openDelayed(key: Uint8Array, value: Uint8Array): DelayedEntry {
  const isWhole = key.length === keySize && value.length >= headSize &&
    crc32c(value, 4) === getU32(value, 0)
  if (!isWhole) throw new PocketError('RECORD_DAMAGED', 'a delayed message fails its checksum')
  if (value[4] !== version) throw new PocketError('RECORD_DAMAGED', `a delayed message has version ${value[4]}`)
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

export function encodeDelayedCount(count: number): Uint8Array {
  return sealValue(version, (w) => w.varint(count), countWriter)
}

const countWriter = new ByteWriter(32)

export function decodeDelayedCount(bytes: Uint8Array): number {
  return openValue(version, bytes).varint()
}

// ── for opening ─────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * How many delayed messages wait, by topic. Where a count is damaged all are counted anew, and added to `writes`. `ahead`:
 * what was asked for already.
 */
export async function recoverDelayedCounts(
  store: Store, writes: StoreWrite[], damaged: (what: string) => void, ahead: ReadonlyMap<KeyKind, ReadAhead> = new Map(),
): Promise<Map<number, number>> {
  const counts = new Map<number, number>()
  let isDamaged = false
  const range = kindRange(keyKinds.delayedCount)
  for await (const { key, value } of readAll(store, range, 64 * 1024, undefined, ahead.get(keyKinds.delayedCount))) {
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
      // As before: one that is damaged waits without end.
      const { topicId } = new DelayedEntry(key, 0, value, 0)
      counts.set(topicId, (counts.get(topicId) ?? 0) + 1)
    }
  }
  for (const [topicId, count] of counts) {
    writes.push({ key: delayedCountKey(topicId), value: count === 0 ? null : encodeDelayedCount(count) })
  }
  return counts
}

// ── for queries ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** A message with a time of delivery, by its id: whether it waits, is in its queue or was never delayed is not said. */
export interface DueTime {
  readonly sequence: number
  readonly topicId: number
  readonly deliverMs: number
}

/** Those of a producer with sequences in `[first, last]`, ascending; more than one of a sequence are in several topics. */
export async function* readDueTimes(
  store: Store, producerId: Uint8Array, producerEpoch: number, first: number, last: number,
): AsyncGenerator<DueTime> {
  for await (const { key } of readAll(store, dueTimeRange(producerId, producerEpoch, first, last), 64 * 1024)) {
    const reader = new KeyReader(key)
    reader.raw(8)
    reader.u32()
    yield { sequence: reader.u53(), topicId: reader.u32(), deliverMs: reader.u53() }
  }
}

/** The message at a place, if it waits there. */
export async function readDelayed(store: Store, { key }: DelayedEntry): Promise<DelayedEntry | undefined> {
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
