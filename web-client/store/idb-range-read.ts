// Reads one range of an object store within a transaction that is given, in chunks, so that no more is fetched than a
// little beyond what was asked for. With `getAllRecords` where the browser has it (Chromium 141, Firefox 153), else with
// `getAll` beside `getAllKeys` forwards and a cursor backwards. What the journal has of the range goes before what is there.

import type { ReadOutcome, StoreEntry, StoreRange } from '../../core/ports/store.ts'
import { compareKeys } from '../../core/storage/ordered-map.ts'
import type { Overlaid } from './journal.ts'

/** About what one chunk brings, and most entries of it. */
const chunkBytes = 4 * 1024 * 1024
const chunkCountMax = 4096
/** Entries of a first chunk, at most: of a kind that was never read, and of others, whose sizes are a guess. */
const unknownCountMax = 4
/** What the former are taken for, at worst. */
const unknownBytes = 128 * 1024
const firstCountMax = 32
/** A chunk has at most so many times the entries that came before. */
const growth = 8

/**
 * How large values are taken to be before one is known, by the first byte of their keys: values of one kind are alike. Each
 * read leaves what it saw for the next; 0 is nothing yet. Fetching too little costs another request, too much costs memory
 * and time: a record may have 256 KiB, a position 20 B.
 */
export interface ValueSize {
  readonly guessBytes: Float64Array
}

export function createValueSize(): ValueSize {
  return { guessBytes: new Float64Array(256) }
}

/** What TypeScript's declarations do not have yet. */
interface RecordSource {
  getAllRecords?(options: {
    readonly query: IDBKeyRange
    readonly count: number
    readonly direction: IDBCursorDirection
  }): IDBRequest<readonly { readonly key: IDBValidKey; readonly value: unknown }[]>
}

export class RangeRead {
  readonly #store: IDBObjectStore
  readonly #range: StoreRange
  readonly #valueSize: ValueSize
  readonly #countMax: number
  readonly #bytesMax: number
  readonly #overlaidIn: (range: StoreRange) => readonly Overlaid[]
  readonly #answer: (outcome: ReadOutcome) => void
  /** What the journal has, from the first answer on: no commit completes between that and the last. */
  #overlaid: readonly Overlaid[] | null = null
  #overlaidAt = 0
  readonly #entries: StoreEntry[] = []
  #bytes = 0
  /** The key read last: where the next chunk goes on. */
  #last: IDBValidKey | null = null

  /** `answer` is called once, unless the transaction is aborted before. */
  constructor(
    store: IDBObjectStore, range: StoreRange, valueSize: ValueSize,
    overlaidIn: (range: StoreRange) => readonly Overlaid[], answer: (outcome: ReadOutcome) => void,
  ) {
    this.#store = store
    this.#range = range
    this.#valueSize = valueSize
    this.#countMax = range.countMax ?? Infinity
    this.#bytesMax = range.bytesMax ?? Infinity
    this.#overlaidIn = overlaidIn
    this.#answer = answer
  }

  start(): void {
    if (this.#countMax <= 0) this.#done()
    else this.#next()
  }

  #next(): void {
    const query = this.#queryLeft()
    if (query === null) return this.#exhausted()
    const count = this.#chunkCount()
    const direction = this.#range.reverse === true ? 'prev' : 'next'
    const records = this.#store as unknown as RecordSource
    if (records.getAllRecords !== undefined) {
      const request = records.getAllRecords({ query, count, direction })
      request.onsuccess = () => {
        for (const { key, value } of request.result) if (!this.#take(key, value)) return
        this.#took(request.result.length, count)
      }
    } else if (direction === 'next') {
      const keys = this.#store.getAllKeys(query, count)
      const values = this.#store.getAll(query, count)
      values.onsuccess = () => {
        for (const [index, key] of keys.result.entries()) if (!this.#take(key, values.result[index])) return
        this.#took(keys.result.length, count)
      }
    } else {
      const request = this.#store.openCursor(query, direction)
      request.onsuccess = () => {
        const cursor = request.result
        if (cursor === null) this.#exhausted()
        else if (this.#take(cursor.key, cursor.value)) cursor.continue()
      }
    }
  }

  /** True where more is wanted; else the read is answered. */
  #take(key: IDBValidKey, value: unknown): boolean {
    if (!(value instanceof Uint8Array) || !(key instanceof ArrayBuffer)) {
      this.#answer({ kind: 'failed', cause: new TypeError('an entry of the database is no bytes') })
      return false
    }
    this.#last = key
    const bytes = new Uint8Array(key)
    if (!this.#takeOverlaid(bytes)) return false
    const overlaid = this.#overlaid?.[this.#overlaidAt]
    if (overlaid === undefined || compareKeys(overlaid.key, bytes) !== 0) return this.#push(bytes, value)
    this.#overlaidAt++
    return overlaid.value === null || this.#push(overlaid.key, overlaid.value)
  }

  /** Takes what the journal alone has, up to a key of the database or to the end. As `#take`. */
  #takeOverlaid(before: Uint8Array | undefined): boolean {
    const overlaid = this.#overlaid ??= this.#overlaidIn(this.#range)
    const sign = this.#range.reverse === true ? -1 : 1
    for (; this.#overlaidAt < overlaid.length; this.#overlaidAt++) {
      const { key, value } = overlaid[this.#overlaidAt] as Overlaid
      if (before !== undefined && compareKeys(key, before) * sign >= 0) break
      if (value !== null && !this.#push(key, value)) return false
    }
    return true
  }

  #push(key: Uint8Array, value: Uint8Array): boolean {
    this.#entries.push({ key, value })
    this.#bytes += value.length
    if (this.#entries.length < this.#countMax && this.#bytes < this.#bytesMax) return true
    this.#done()
    return false
  }

  #took(count: number, asked: number): void {
    if (count < asked) this.#exhausted()
    else this.#next()
  }

  #exhausted(): void {
    if (this.#takeOverlaid(undefined)) this.#done()
  }

  #done(): void {
    if (this.#entries.length > 0) this.#valueSize.guessBytes[this.#kind] = this.#meanBytes()
    this.#answer({ kind: 'entries', entries: this.#entries })
  }

  /** What is left of the range; null where nothing can be. */
  #queryLeft(): IDBKeyRange | null {
    const { from, to, reverse = false } = this.#range
    const [lower, upper] = this.#last === null ? [from, to] : reverse ? [from, this.#last] : [this.#last, to]
    const isLowerOpen = this.#last !== null && !reverse
    try {
      return IDBKeyRange.bound(lower as BufferSource, upper as BufferSource, isLowerOpen, true)
    } catch {
      // Bounds that are equal, or the wrong way round.
      return null
    }
  }

  #chunkCount(): number {
    const wantedBytes = Math.min(this.#bytesMax - this.#bytes, chunkBytes)
    const { length } = this.#entries
    const guessBytes = length === 0 ? this.#valueSize.guessBytes[this.#kind] as number : this.#meanBytes()
    const knownMax = length > 0 ? length * growth : guessBytes > 0 ? firstCountMax : unknownCountMax
    const wantedCount = Math.ceil(wantedBytes / (guessBytes === 0 ? unknownBytes : guessBytes))
    return Math.max(Math.min(wantedCount, knownMax, chunkCountMax, this.#countMax - length), 1)
  }

  get #kind(): number {
    return this.#range.from[0] ?? 0
  }

  #meanBytes(): number {
    return Math.max(this.#bytes / this.#entries.length, 1)
  }
}
