// One queue's log: appends gather during a turn and are sealed into records with the turn's commit; recent records stay
// in memory for live readers, older ones are read from the store. It decides nothing about who may read what. Where
// messages go one by one (COMPACT topics, dead letters), records at rest are rewritten, and holes are no loss.
//
//   append … append  ->  seal  ->  (commit)  ->  committed
//      pending            tail, pinned            tail, evictable

import { assert } from '../assert.ts'
import { toPocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import type { Position } from '../model/position.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import { encodeRecordBatch, RecordBatch, type RecordSlice, selectFromRecord } from '../record/record-batch.ts'
import { encodeQueueState, type QueueState } from './catalog.ts'
import { KeyReader, queueStateKey, recordKey, recordRange } from './keys.ts'
import type { MessageIndex } from './message-index.ts'
import { readRange } from './reads.ts'
import type { CachedRecord, TailCache } from './tail-cache.ts'

/** Rewritten records that are remembered one by one, for those who have read ahead. */
const rewritesKept = 64

/** What a read of stored records gave. Damaged records are left out and counted: their offsets are a hole. */
export interface StoredRecords {
  readonly records: readonly RecordBatch[]
  /** Last offsets of damaged records among them, ascending. */
  readonly damaged: readonly number[]
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
  /** Whether offsets without a message are by design, and no loss. */
  readonly mayHaveHoles: boolean
  readonly #deps: QueueLogDeps
  readonly #epochOffset: number
  #epoch: number
  #minOffset: number
  #maxOffset: number
  #storedBytes: number
  #lastStoredMs: number
  #recordsEnd: number
  #removedCount: number
  #compactedOffset: number
  #tombstoneOffset: number

  /** When the oldest whole record was stored, once retention has looked. */
  headStoredMs: number | undefined

  #pending: RecordSlice[] = []
  #pendingCount = 0
  #pendingHasKeys = false
  /** Ascending by offset, nothing else between one and the next; those before `#tailFirst` were evicted. */
  #tail: RecordBatch[] = []
  /** Their places in the cache. */
  #cached: CachedRecord[] = []
  #tailFirst = 0
  #rewriteCount = 0
  /** Last offsets that the newest of the rewritten records had. */
  #rewritten: number[] = []

  constructor(topicId: number, queueId: number, state: QueueState, deps: QueueLogDeps, mayHaveHoles = false) {
    this.topicId = topicId
    this.queueId = queueId
    this.mayHaveHoles = mayHaveHoles
    this.#deps = deps
    this.#epoch = state.epoch
    this.#epochOffset = state.epochOffset
    this.#minOffset = state.minOffset
    this.#maxOffset = state.maxOffset
    this.#storedBytes = state.storedBytes
    this.#lastStoredMs = state.lastStoredMs
    this.#recordsEnd = state.recordsEnd
    this.#removedCount = state.removedCount
    this.#compactedOffset = state.compactedOffset
    this.#tombstoneOffset = state.tombstoneOffset
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

  /** Behind the newest record at rest. */
  get recordsEnd(): number {
    return this.#recordsEnd
  }

  /** Messages kept. */
  get messageCount(): number {
    return Math.max(0, this.#maxOffset - this.#minOffset - this.#removedCount)
  }

  /** For every message below, older ones of its key are gone. */
  get compactedOffset(): number {
    return Math.max(this.#compactedOffset, this.#minOffset)
  }

  /** Of the messages below, those that only removed their key are gone. */
  get tombstoneOffset(): number {
    return Math.max(this.#tombstoneOffset, this.#minOffset)
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
      recordsEnd: this.#recordsEnd,
      removedCount: this.#removedCount,
      compactedOffset: this.#compactedOffset,
      tombstoneOffset: this.#tombstoneOffset,
    }
  }

  position(offset: number): Position {
    return { epoch: this.#epoch, offset }
  }

  /**
   * Takes messages in; gives the offset of the first. They are stored with the turn's commit, as of `notBeforeMs` at
   * least: a time that has come, though the wall clock may go back before the turn ends.
   */
  append(slice: RecordSlice, hasKeys: boolean, notBeforeMs = 0): number {
    const offset = this.#maxOffset
    this.#lastStoredMs = Math.max(this.#lastStoredMs, notBeforeMs)
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
      this.#cached.push(tailCache.added(this, record))
    }
    assert(baseOffset === this.#maxOffset, 'sealed records end at the max offset')
    this.#recordsEnd = this.#maxOffset
    this.#pending = []
    this.#pendingCount = 0
    this.#pendingHasKeys = false
    this.writeState(writes)
  }

  writeState(writes: StoreWrite[]): void {
    writes.push({ key: queueStateKey(this.topicId, this.queueId), value: encodeQueueState(this.state) })
  }

  /** The record that `offset` lies in, if it is in memory. Where messages may be missing, that one may be too. */
  recordInMemory(offset: number): RecordBatch | undefined {
    const record = this.recordFromInMemory(offset)
    return record !== undefined && record.baseOffset <= offset ? record : undefined
  }

  /** The record that `offset` lies in, or else the next one, where what is in between is known to be nothing. */
  recordFromInMemory(offset: number): RecordBatch | undefined {
    const first = this.#tail[this.#tailFirst]
    if (first === undefined || offset < first.baseOffset) return undefined
    return this.#tail[this.#tailIndexFrom(offset)]
  }

  /** Index of the first record in memory that ends at `offset` or later; behind the last where none does. */
  #tailIndexFrom(offset: number): number {
    const tail = this.#tail
    let low = this.#tailFirst
    let high = tail.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((tail[middle] as RecordBatch).lastOffset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** First offset in memory at or after `offset`; the max offset where there is none. */
  nextInMemory(offset: number): number {
    const record = this.#tail[this.#tailIndexFrom(offset)]
    return record === undefined ? this.#maxOffset - this.#pendingCount : Math.max(offset, record.baseOffset)
  }

  /** Gives up the oldest record in memory; the tail cache calls it, never for what is not committed. */
  evictOldest(): void {
    this.#tailFirst++
    // Not `shift()` each time: moving a long array for every small record would cost more than the record.
    if (this.#tailFirst >= 64 && this.#tailFirst * 2 >= this.#tail.length) {
      this.#tail = this.#tail.slice(this.#tailFirst)
      this.#cached = this.#cached.slice(this.#tailFirst)
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
      const damaged: number[] = []
      let through = from - 1
      let byteCount = 0
      for (const { key, value } of outcome.entries) {
        byteCount += value.length
        const lastOffset = lastOffsetOf(key)
        through = lastOffset
        try {
          const record = RecordBatch.open(value)
          assert(record.lastOffset === lastOffset, 'a record stands at its own key')
          assert(record.isWhole || this.mayHaveHoles, 'a record has all its messages')
          records.push(record)
        } catch (cause) {
          damaged.push(lastOffset)
          this.#deps.damaged(this, lastOffset, cause)
        }
      }
      this.#deps.storeRead?.(byteCount)
      answer({ records, damaged, atEnd: outcome.entries.length === 0, through })
    })
  }

  /** Forgets records up to and including `lastOffset`, of so many messages and bytes; the caller writes their removal. */
  trim(lastOffset: number, messageCount: number, bytes: number): void {
    const span = Math.max(0, lastOffset + 1 - this.#minOffset)
    this.#minOffset += span
    this.headStoredMs = undefined
    this.#storedBytes = Math.max(0, this.#storedBytes - bytes)
    // A damaged record among them does not say how many messages it had: they were not counted as removed.
    const isEmpty = this.#minOffset >= this.#maxOffset
    this.#removedCount = isEmpty ? 0 : Math.max(0, this.#removedCount - Math.max(0, span - messageCount))
  }

  // ── holes ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Keeps of a durable record only the messages at the indexes `kept`, ascending, at rest with this turn's commit and in
   * memory at once; the others' index entries go too. `previousEnd` is behind the record before it, for where nothing is
   * kept of it. Whoever calls it takes its turn among those who change records at rest, and calls `rewritesDurable` after.
   */
  rewrite(record: RecordBatch, kept: readonly number[], previousEnd: number, writes: StoreWrite[]): void {
    assert(this.mayHaveHoles && kept.length < record.messageCount, 'messages go one by one where that is by design')
    const left = kept.length === 0 ? undefined : RecordBatch.view(selectFromRecord(record, kept))
    this.#deps.index.removeOthers(this.topicId, this.queueId, record, kept, writes)
    if (left?.lastOffset !== record.lastOffset) {
      writes.push({ key: recordKey(this.topicId, this.queueId, record.lastOffset), value: null })
    }
    if (left !== undefined) writes.push({ key: recordKey(this.topicId, this.queueId, left.lastOffset), value: left.bytes })
    if (record.lastOffset + 1 === this.#recordsEnd) this.#recordsEnd = left === undefined ? previousEnd : left.lastOffset + 1
    this.#storedBytes = Math.max(0, this.#storedBytes - record.bytes.length + (left?.bytes.length ?? 0))
    this.#removedCount += record.messageCount - kept.length
    this.headStoredMs = undefined
    this.#replaceInMemory(record.lastOffset, left)
    this.#noteRewrite(record.lastOffset)
  }

  #replaceInMemory(lastOffset: number, left: RecordBatch | undefined): void {
    const index = this.#tailIndexFrom(lastOffset)
    if (this.#tail[index]?.lastOffset !== lastOffset) return
    this.#deps.tailCache.replaced(this.#cached[index] as CachedRecord, left)
    if (left !== undefined) this.#tail[index] = left
    else {
      this.#tail.splice(index, 1)
      this.#cached.splice(index, 1)
    }
  }

  /** The rewriting of these records is durable: what was read until now may be from before it. */
  rewritesDurable(lastOffsets: readonly number[]): void {
    for (const lastOffset of lastOffsets) this.#noteRewrite(lastOffset)
  }

  #noteRewrite(lastOffset: number): void {
    this.#rewriteCount++
    this.#rewritten.push(lastOffset)
    if (this.#rewritten.length > rewritesKept) this.#rewritten = this.#rewritten.slice(rewritesKept >> 1)
  }

  /** Grows with each rewriting, see `wasRewritten`. */
  get rewriteCount(): number {
    return this.#rewriteCount
  }

  /** Whether a record that ended in `[from, to]` may have been rewritten since `rewriteCount` was `since`. */
  wasRewritten(since: number, from: number, to: number): boolean {
    const count = this.#rewriteCount - since
    if (count === 0) return false
    if (count > this.#rewritten.length) return true
    return this.#rewritten.slice(-count).some((lastOffset) => lastOffset >= from && lastOffset <= to)
  }

  /** Behind the last record at rest that ends before `lastOffset`; 0 where there is none. */
  async readEndBefore(lastOffset: number): Promise<number> {
    const { from } = recordRange(this.topicId, this.queueId, 0)
    const to = recordKey(this.topicId, this.queueId, lastOffset)
    const [previous] = await readRange(this.#deps.store, { from, to, reverse: true, countMax: 1 })
    return previous === undefined ? 0 : lastOffsetOf(previous.key) + 1
  }

  /** Every message below has had the older ones of its key removed. Stored with the state. */
  compactedTo(offset: number): void {
    this.#compactedOffset = Math.max(this.#compactedOffset, offset)
  }

  /** Every message below that only removed its key is gone. Stored with the state. */
  tombstonesRemovedTo(offset: number): void {
    assert(offset <= this.compactedOffset, 'a key is removed before the message that says so')
    this.#tombstoneOffset = Math.max(this.#tombstoneOffset, offset)
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
