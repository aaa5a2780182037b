// How much of the logs' newest records stays in memory, over all queues: the oldest go first.
// Records of a commit that is not durable are pinned, as the store cannot be asked for them yet.

import type { Limits } from '../limits.ts'
import type { RecordBatch } from '../record/record-batch.ts'

/** What a record in memory weighs besides its bytes: its view and its places in lists. */
const recordOverheadBytes = 256

interface CachedLog {
  evictOldest(): void
}

/** A record's place in the cache, kept by its log. */
export interface CachedRecord {
  /** Undefined once the log has given it up by itself. */
  log: CachedLog | undefined
  byteCount: number
}

export class TailCache {
  readonly #limits: Limits
  /** In the order they were appended, which within a log is offset order. */
  #records: CachedRecord[] = []
  /** Records before this index were evicted. */
  #first = 0
  /** Records before this index are durable. */
  #durableEnd = 0
  #byteCount = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  get byteCount(): number {
    return this.#byteCount
  }

  added(log: CachedLog, record: RecordBatch): CachedRecord {
    const cached = { log, byteCount: record.bytes.length + recordOverheadBytes }
    this.#records.push(cached)
    this.#byteCount += cached.byteCount
    return cached
  }

  /** A record was rewritten where it is, or its log has given it up. */
  replaced(cached: CachedRecord, record: RecordBatch | undefined): void {
    const byteCount = record === undefined ? 0 : record.bytes.length + recordOverheadBytes
    this.#byteCount += byteCount - cached.byteCount
    cached.byteCount = byteCount
    if (record === undefined) cached.log = undefined
  }

  /** Everything added so far is durable; the oldest records beyond the bound are let go. */
  committed(): void {
    this.#durableEnd = this.#records.length
    while (this.#byteCount > this.#limits.tailCacheBytesMax && this.#first < this.#durableEnd) {
      const { log, byteCount } = this.#records[this.#first++] as CachedRecord
      log?.evictOldest()
      this.#byteCount -= byteCount
    }
    if (this.#first > 1024 && this.#first * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#first)
      this.#durableEnd -= this.#first
      this.#first = 0
    }
  }
}
