// One queue's log: appends gather during a turn and are sealed into records with the turn's commit; recent records stay
// in memory for live readers, older ones are read from the store. It decides nothing about who may read what.
//
//   append … append  ->  seal  ->  (commit)  ->  committed
//      pending            tail, pinned            tail, evictable

import { assert } from '../assert.ts'
import { toPocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import type { Position } from '../model/position.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import { encodeRecordBatch, RecordBatch, type RecordSlice } from '../record/record-batch.ts'
import { encodeQueueState, type QueueState } from './catalog.ts'
import { KeyReader, queueStateKey, recordKey, recordRange } from './keys.ts'
import type { MessageIndex } from './message-index.ts'
import type { TailCache } from './tail-cache.ts'

/** What a read of stored records gave. Damaged records are left out and counted: their offsets are a hole. */
export interface StoredRecords {
  readonly records: readonly RecordBatch[]
  /** Whether nothing is stored behind these. */
  readonly atEnd: boolean
  /** Offsets up to here were looked at, found or not. */
  readonly through: number
}

export interface QueueLogDeps {
  readonly store: Store
  readonly limits: Limits
  readonly index: MessageIndex
  readonly tailCache: TailCache
  /** Told once per damaged record found while reading. */
  readonly damaged: (log: QueueLog, lastOffset: number, cause: unknown) => void
  /** Told of each read of the store for a reader that is behind memory, and of the bytes it brought. */
  readonly storeRead?: (byteCount: number) => void
}

export class QueueLog {
  readonly topicId: number
  readonly queueId: number
  readonly #deps: QueueLogDeps
  readonly #epochOffset: number
  #epoch: number
  #minOffset: number
  #maxOffset: number
  #storedBytes: number
  #lastStoredMs: number

  /** When the oldest whole record was stored, once retention has looked. */
  headStoredMs: number | undefined

  #pending: RecordSlice[] = []
  #pendingCount = 0
  #pendingHasKeys = false
  /** Ascending by offset, without holes between each other; those before `#tailFirst` were evicted. */
  #tail: RecordBatch[] = []
  #tailFirst = 0

  constructor(topicId: number, queueId: number, state: QueueState, deps: QueueLogDeps) {
    this.topicId = topicId
    this.queueId = queueId
    this.#deps = deps
    this.#epoch = state.epoch
    this.#epochOffset = state.epochOffset
    this.#minOffset = state.minOffset
    this.#maxOffset = state.maxOffset
    this.#storedBytes = state.storedBytes
    this.#lastStoredMs = state.lastStoredMs
  }

  get epoch(): number {
    return this.#epoch
  }

  /** First offset kept. */
  get minOffset(): number {
    return this.#minOffset
  }

  /** Next offset to be written; what was appended in this turn counts. */
  get maxOffset(): number {
    return this.#maxOffset
  }

  get storedBytes(): number {
    return this.#storedBytes
  }

  /** When the newest record was stored. */
  get lastStoredMs(): number {
    return this.#lastStoredMs
  }

  get hasPending(): boolean {
    return this.#pendingCount > 0
  }

  get state(): QueueState {
    return {
      epoch: this.#epoch,
      minOffset: this.#minOffset,
      maxOffset: this.#maxOffset,
      epochOffset: this.#epochOffset,
      storedBytes: this.#storedBytes,
      lastStoredMs: this.#lastStoredMs,
    }
  }

  position(offset: number): Position {
    return { epoch: this.#epoch, offset }
  }

  /** Takes messages in; gives the offset of the first. They are stored with the turn's commit. */
  append(slice: RecordSlice, hasKeys: boolean): number {
    const offset = this.#maxOffset
    this.#pending.push(slice)
    this.#pendingCount += slice.starts.length
    this.#pendingHasKeys ||= hasKeys
    this.#maxOffset += slice.starts.length
    return offset
  }

  /** Turns what is pending into records, in memory and among the writes of the commit. */
  seal(nowMs: number, writes: StoreWrite[]): void {
    if (this.#pendingCount === 0) return
    const { index, limits, tailCache } = this.#deps
    this.#lastStoredMs = Math.max(this.#lastStoredMs, nowMs)
    let baseOffset = this.#maxOffset - this.#pendingCount
    for (const slices of portions(this.#pending, limits.recordBytesMax)) {
      const head = { epoch: this.#epoch, baseOffset, storedMs: this.#lastStoredMs }
      const record = RecordBatch.view(encodeRecordBatch(head, slices))
      baseOffset += record.messageCount
      this.#storedBytes += record.bytes.length
      writes.push({ key: recordKey(this.topicId, this.queueId, record.lastOffset), value: record.bytes })
      index.indexIds(this.topicId, this.queueId, record, writes)
      if (this.#pendingHasKeys) index.indexKeys(this.topicId, this.queueId, record, writes)
      this.#tail.push(record)
      tailCache.added(this, record)
    }
    assert(baseOffset === this.#maxOffset, 'sealed records end at the max offset')
    this.#pending = []
    this.#pendingCount = 0
    this.#pendingHasKeys = false
    this.writeState(writes)
  }

  writeState(writes: StoreWrite[]): void {
    writes.push({ key: queueStateKey(this.topicId, this.queueId), value: encodeQueueState(this.state) })
  }

  /** The record that holds `offset`, if it is in memory. */
  recordInMemory(offset: number): RecordBatch | undefined {
    const tail = this.#tail
    let low = this.#tailFirst
    let high = tail.length - 1
    if (high < low || offset < (tail[low] as RecordBatch).baseOffset) return undefined
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((tail[middle] as RecordBatch).lastOffset < offset) low = middle + 1
      else high = middle
    }
    const record = tail[low] as RecordBatch
    return offset <= record.lastOffset ? record : undefined
  }

  /** First offset in memory at or after `offset`; the max offset where there is none. */
  nextInMemory(offset: number): number {
    for (let index = this.#tailFirst; index < this.#tail.length; index++) {
      const record = this.#tail[index] as RecordBatch
      if (record.lastOffset >= offset) return Math.max(offset, record.baseOffset)
    }
    return this.#maxOffset - this.#pendingCount
  }

  /** Gives up the oldest record in memory; the tail cache calls it, never for what is not committed. */
  evictOldest(): void {
    this.#tailFirst++
    // Not `shift()` each time: moving a long array for every small record would cost more than the record.
    if (this.#tailFirst >= 64 && this.#tailFirst * 2 >= this.#tail.length) {
      this.#tail = this.#tail.slice(this.#tailFirst)
      this.#tailFirst = 0
    }
  }

  /**
   * Reads stored records from `offset` on, about `bytesMax` of them. Only what is durable is seen; the live end is in
   * memory. `answer` gets an error only where the store itself failed.
   */
  readStored(offset: number, bytesMax: number, answer: (result: StoredRecords | Error) => void): void {
    const from = Math.max(offset, this.#minOffset)
    const range = { ...recordRange(this.topicId, this.queueId, from), bytesMax, countMax: 4096 }
    this.#deps.store.read(range, (outcome) => {
      if (outcome.kind === 'failed') {
        answer(toPocketError(outcome.cause))
        return
      }
      const records: RecordBatch[] = []
      let through = from - 1
      let byteCount = 0
      for (const { key, value } of outcome.entries) {
        byteCount += value.length
        const lastOffset = lastOffsetOf(key)
        through = lastOffset
        try {
          const record = RecordBatch.open(value)
          assert(record.lastOffset === lastOffset && record.isWhole, 'a record stands at its own key')
          records.push(record)
        } catch (cause) {
          this.#deps.damaged(this, lastOffset, cause)
        }
      }
      this.#deps.storeRead?.(byteCount)
      answer({ records, atEnd: outcome.entries.length === 0, through })
    })
  }

  /** Forgets records up to and including `lastOffset`, of so many bytes; the caller writes their removal. */
  trim(lastOffset: number, bytes: number): void {
    this.#minOffset = Math.max(this.#minOffset, lastOffset + 1)
    this.headStoredMs = undefined
    this.#storedBytes = Math.max(0, this.#storedBytes - bytes)
  }

  /** Whether `position` can be read on from; where not, what is missing is announced as a gap. */
  holds(position: Position): boolean {
    return position.epoch === this.#epoch && position.offset >= this.#minOffset && position.offset <= this.#maxOffset
  }
}

/** The last offset of a record, from its key. */
export function lastOffsetOf(recordKeyBytes: Uint8Array): number {
  const reader = new KeyReader(recordKeyBytes)
  reader.u32()
  reader.u16()
  return reader.u53()
}

/** Cuts slices into runs of about `bytesMax`, and of no more messages and slices than a record can hold. */
function* portions(slices: readonly RecordSlice[], bytesMax: number): Generator<readonly RecordSlice[]> {
  let portion: RecordSlice[] = []
  let bytes = 0
  let count = 0
  for (const slice of slices) {
    const size = (slice.ends.at(-1) as number) - (slice.starts[0] as number)
    if (portion.length > 0 && (bytes + size > bytesMax || count + slice.starts.length > fixedLimits.batchMessageCountMax)) {
      yield portion
      portion = []
      bytes = 0
      count = 0
    }
    portion.push(slice)
    bytes += size
    count += slice.starts.length
  }
  if (portion.length > 0) yield portion
}
