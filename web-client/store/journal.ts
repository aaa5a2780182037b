// What the latest commits of one object store have changed, as far as it does not stand at its own keys yet. A commit is
// one entry: its small values packed, under a number of its own, so that it costs the database one request; large values
// are written to their places beside it. Now and then everything is put in its place at once (a checkpoint), and the
// entries go. Pure: it says what a transaction is to do, and is told when that is done.
//
// The numbers are the fence too. An entry is added, which fails where there is one: whoever opens the database puts a
// value at the number that the engine before would take next, and so all that one writes from then on is refused.

import { getU32, setU32 } from '../../core/bytes.ts'
import { crc32c } from '../../core/crc32c.ts'
import type { StoreEntry, StoreRange, StoreWrite } from '../../core/ports/store.ts'
import { compareKeys, OrderedMap } from '../../core/storage/ordered-map.ts'

/** Numbers that an epoch has for itself. */
const epochSpan = 2 ** 32

/** Values of more bytes go to their places at once. */
const packedValueBytesMax = 4_096
/** A commit of more writes, or of more bytes in small values, too. */
const packedCountMax = 64
const packedBytesMax = 16_384

/** With so many entries, or so many bytes in them, the next commit is a checkpoint. */
const entryCountMax = 256
const entryBytesMax = 256 * 1024
/** With so many a quiet moment is used for one. */
export const quietEntryCount = 32

/** In place of a value's size: the key was deleted, or its value stands at its own place. */
const deletedMark = 0xffff_ffff
const elsewhereMark = 0xffff_fffe
/** Stands for a deletion, by identity. */
const deleted = new Uint8Array(0)

/** An entry as the database has it; the value of a fence is no bytes. */
export interface JournalEntry {
  readonly number: number
  readonly value: unknown
}

/** Numbers `[first, last]`, with no fence among them. */
export interface NumberSpan {
  readonly first: number
  readonly last: number
}

/** A key that a read has to see otherwise than the database has it; null: as if it were not there. */
export interface Overlaid {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** What one transaction does: all of it in this order, or nothing. */
export interface JournalStep {
  /** The entry to add; none in a checkpoint on its own. */
  readonly entry: { readonly number: number; readonly bytes: Uint8Array } | undefined
  /** Of a checkpoint: entries to remove, and where those that are left begin. */
  readonly removed: readonly NumberSpan[]
  readonly start: number | undefined
  /** Changes at their own keys. */
  readonly writes: readonly StoreWrite[]
}

export function firstNumberOf(epoch: number): number {
  return epoch * epochSpan
}

/** What the engine of that epoch would add next, as its entries from `start` on tell. */
export function numberAfter(epoch: number, start: number, numbers: readonly number[]): number {
  const first = firstNumberOf(epoch)
  let next = start >= first && start < first + epochSpan ? start : first
  for (const number of numbers) if (number >= next && number < first + epochSpan) next = number + 1
  return next
}

export class Journal {
  /** Values are views of entries. */
  #overlay = new OrderedMap()
  #spans: NumberSpan[] = []
  #next: number
  #entryCount = 0
  #entryBytes = 0
  /** Numbers of entries that can't be read any more. */
  readonly damaged: readonly number[]

  /** Of the engine of `epoch`, with the entries that engines before it have left, ascending. */
  constructor(epoch: number, entries: readonly JournalEntry[]) {
    this.#next = firstNumberOf(epoch)
    const damaged: number[] = []
    for (const { number, value } of entries) {
      if (!(value instanceof Uint8Array)) continue
      this.#count(number, value.length)
      if (!isWhole(value)) damaged.push(number)
      else applyEntry(this.#overlay, value)
    }
    this.damaged = damaged
  }

  get entryCount(): number {
    return this.#entryCount
  }

  /** What the transaction of a commit does. */
  commit(writes: readonly StoreWrite[]): JournalStep {
    const isCheckpoint = this.#entryCount >= entryCountMax || this.#entryBytes >= entryBytesMax
    const { packed, placed } = divide(writes, this.#overlay)
    const number = this.#next
    const entry = { number, bytes: encodeEntry(packed) }
    if (!isCheckpoint) return { entry, removed: [], start: undefined, writes: placed }
    return { entry, removed: this.#spans, start: number, writes: [...overlaidWrites(this.#overlay), ...placed] }
  }

  /** What a transaction without a commit does to put everything in its place. */
  checkpoint(): JournalStep {
    return { entry: undefined, removed: this.#spans, start: this.#next, writes: overlaidWrites(this.#overlay) }
  }

  /** The transaction is complete. Steps are told in the order of their transactions. */
  done({ entry, start, removed }: JournalStep): void {
    if (start !== undefined) {
      const last = removed.at(-1)?.last ?? -1
      this.#overlay = new OrderedMap()
      this.#spans = this.#spans.filter((span) => span.last > last)
      this.#entryCount = 0
      this.#entryBytes = 0
    }
    if (entry === undefined) return
    this.#next = entry.number + 1
    this.#count(entry.number, entry.bytes.length)
    applyEntry(this.#overlay, entry.bytes)
  }

  /** What reads of the range have to see otherwise, in their order; arrays of their own. */
  overlaid({ from, to, reverse = false }: StoreRange): Overlaid[] {
    if (this.#overlay.size === 0) return []
    return this.#overlay.range({ from, to, reverse }).map(({ key, value }) => ({
      key: key.slice(), value: value === deleted ? null : value.slice(),
    }))
  }

  #count(number: number, byteCount: number): void {
    this.#entryCount++
    this.#entryBytes += byteCount
    const last = this.#spans.at(-1)
    if (last !== undefined && Math.floor(last.last / epochSpan) === Math.floor(number / epochSpan)) {
      this.#spans[this.#spans.length - 1] = { first: last.first, last: number }
    } else this.#spans.push({ first: number, last: number })
  }
}

/** Packed writes without a value's bytes: `elsewhere`. */
interface PackedWrite {
  readonly key: Uint8Array
  readonly value: Uint8Array | null | 'elsewhere'
}

function divide(
  writes: readonly StoreWrite[], overlay: OrderedMap,
): { readonly packed: readonly PackedWrite[]; readonly placed: readonly StoreWrite[] } {
  const isLarge = (value: Uint8Array | null) => value !== null && value.length > packedValueBytesMax
  let packedBytes = 0
  for (const { value } of writes) if (value !== null && !isLarge(value)) packedBytes += value.length
  const isBulk = writes.length > packedCountMax || packedBytes > packedBytesMax
  const packed: PackedWrite[] = []
  const placed: StoreWrite[] = []
  for (const write of writes) {
    const { key, value } = write
    if (!isBulk && !isLarge(value)) packed.push(write)
    else {
      placed.push(write)
      // It must not be hidden by what the journal has of it.
      const isHidden = overlay.get(key) !== undefined || (!isBulk && packed.some((other) => compareKeys(other.key, key) === 0))
      if (isHidden) packed.push({ key, value: 'elsewhere' })
    }
  }
  return { packed, placed }
}

function overlaidWrites(overlay: OrderedMap): StoreWrite[] {
  const all: StoreEntry[] = overlay.range({ from: Uint8Array.of(), to: new Uint8Array(256).fill(0xff) })
  return all.map(({ key, value }) => ({ key, value: value === deleted ? null : value }))
}

// An entry: a CRC-32C of what follows; then for each write the size of its key in a byte, the key, the size of its value or
// a mark in four, the value.

function encodeEntry(writes: readonly PackedWrite[]): Uint8Array {
  let size = 4
  for (const { key, value } of writes) size += 5 + key.length + (value instanceof Uint8Array ? value.length : 0)
  const bytes = new Uint8Array(size)
  let at = 4
  for (const { key, value } of writes) {
    bytes[at++] = key.length
    bytes.set(key, at)
    at += key.length
    setU32(bytes, at, value === null ? deletedMark : value === 'elsewhere' ? elsewhereMark : value.length)
    at += 4
    if (!(value instanceof Uint8Array)) continue
    bytes.set(value, at)
    at += value.length
  }
  setU32(bytes, 0, crc32c(bytes, 4))
  return bytes
}

function isWhole(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && getU32(bytes, 0) === crc32c(bytes, 4)
}

function applyEntry(overlay: OrderedMap, bytes: Uint8Array): void {
  for (let at = 4; at < bytes.length;) {
    const keyEnd = at + 1 + (bytes[at] as number)
    const key = bytes.subarray(at + 1, keyEnd)
    const mark = getU32(bytes, keyEnd)
    at = keyEnd + 4
    if (mark === elsewhereMark) overlay.delete(key)
    else if (mark === deletedMark) overlay.set(key, deleted)
    else {
      overlay.set(key, bytes.subarray(at, at + mark))
      at += mark
    }
  }
}
