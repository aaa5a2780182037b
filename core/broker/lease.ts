// A lease: messages of one record, handed to one member under one id until they are acked, given back, or the time is
// over. A whole lease acked at once, the common case, costs no more than one comparison.

import type { RecordBatch } from '../record/record-batch.ts'
import type { OffsetRun } from '../storage/progress.ts'
import type { Wait } from './timers.ts'

/** Who holds leases; a member of a group, present or gone for a moment. */
export interface LeaseHolder {
  readonly memberId: Uint8Array
  /** Who it was when it last was here; undefined before it came back after a restart. */
  readonly details: { readonly clientId: string } | undefined
  /** Messages held, over all queues. */
  inFlightCount: number
}

/** What became of an offset of a lease's span. `gone` is also where there never was a message of it. */
const gone = 1
/** Marks for {@link Lease.settle}. */
export const isAcked = 2
export const wentBack = gone

export class Lease {
  readonly leaseId: number
  readonly holder: LeaseHolder
  /** Which delivery of its messages this is, from 1. */
  readonly attempt: number
  readonly firstOffset: number
  /** Offsets from first to last, holes included. */
  readonly span: number
  /** Messages not yet settled. */
  remaining: number
  /** Monotonic. */
  deadlineMs = 0
  /** What it was last given for. */
  leaseMs = 0
  /** When it was given first; monotonic. */
  startMs = 0
  wait: Wait | undefined
  /** Whether any of its messages went back, so that its end is not all acks. */
  wentBack = false
  /** One byte per offset of the span: 0 where a message is held, else what became of it. Made when first needed. */
  #settled: Uint8Array | undefined
  /** Message group hashes by offset less first, in FIFO topics. */
  readonly #groupHashes: Uint32Array | undefined

  private constructor(
    leaseId: number, holder: LeaseHolder, attempt: number, firstOffset: number, span: number, count: number,
    settled: Uint8Array | undefined, groupHashes: Uint32Array | undefined,
  ) {
    this.leaseId = leaseId
    this.holder = holder
    this.attempt = attempt
    this.firstOffset = firstOffset
    this.span = span
    this.remaining = count
    this.#settled = settled
    this.#groupHashes = groupHashes
  }

  /** A lease on the messages at `indexes` of `record`, ascending. */
  static of(
    leaseId: number, holder: LeaseHolder, attempt: number, record: RecordBatch, indexes: readonly number[],
    withGroups: boolean,
  ): Lease {
    const firstOffset = record.offsetAt(indexes[0] as number)
    const span = record.offsetAt(indexes.at(-1) as number) - firstOffset + 1
    let settled: Uint8Array | undefined
    if (span !== indexes.length) {
      settled = new Uint8Array(span).fill(gone)
      for (const index of indexes) settled[record.offsetAt(index) - firstOffset] = 0
    }
    let groupHashes: Uint32Array | undefined
    if (withGroups) {
      groupHashes = new Uint32Array(span)
      for (const index of indexes) groupHashes[record.offsetAt(index) - firstOffset] = record.groupHashAt(index)
    }
    return new Lease(leaseId, holder, attempt, firstOffset, span, indexes.length, settled, groupHashes)
  }

  /** A lease as it was stored. */
  static restore(leaseId: number, holder: LeaseHolder, attempt: number, runs: readonly OffsetRun[]): Lease {
    const firstOffset = (runs[0] as OffsetRun).offset
    const last = runs.at(-1) as OffsetRun
    const span = last.offset + last.count - firstOffset
    const settled = new Uint8Array(span).fill(gone)
    const groupHashes = new Uint32Array(span)
    let count = 0
    for (const run of runs) {
      settled.fill(0, run.offset - firstOffset, run.offset - firstOffset + run.count)
      groupHashes.fill(run.groupHash, run.offset - firstOffset, run.offset - firstOffset + run.count)
      count += run.count
    }
    return new Lease(leaseId, holder, attempt, firstOffset, span, count, settled, groupHashes)
  }

  groupHashOf(offset: number): number {
    return this.#groupHashes?.[offset - this.firstOffset] ?? 0
  }

  /**
   * Settles the messages in `[offset, offset + count)` that are still held, as `mark` says; `each`, where given, is told
   * of every one.
   * Gives how many there were.
   */
  settle(offset: number, count: number, each: ((offset: number) => void) | undefined, mark: number): number {
    const from = Math.max(offset, this.firstOffset)
    const to = Math.min(offset + count, this.firstOffset + this.span)
    if (to <= from) return 0
    if (each === undefined && this.#settled === undefined && to - from === this.span) {
      const all = this.remaining
      this.remaining = 0
      return all
    }
    this.#settled ??= new Uint8Array(this.span)
    const settled = this.#settled
    let found = 0
    for (let at = from - this.firstOffset; at < to - this.firstOffset; at++) {
      if (settled[at] !== 0) continue
      settled[at] = mark
      found++
      each?.(this.firstOffset + at)
    }
    this.remaining -= found
    return found
  }

  /** Whether any of `[offset, offset + count)` was acked before: an ack sent again, whose answer was lost. */
  wasAcked(offset: number, count: number): boolean {
    const from = Math.max(offset, this.firstOffset) - this.firstOffset
    const to = Math.min(offset + count, this.firstOffset + this.span) - this.firstOffset
    for (let at = from; at < to; at++) if (this.#settled?.[at] === isAcked) return true
    return false
  }

  /** Whether anything in `[offset, offset + count)` is still held. */
  holdsAny(offset: number, count: number): boolean {
    const from = Math.max(offset, this.firstOffset) - this.firstOffset
    const to = Math.min(offset + count, this.firstOffset + this.span) - this.firstOffset
    if (this.#settled === undefined) return this.remaining > 0 && to > from
    for (let at = from; at < to; at++) if (this.#settled[at] === 0) return true
    return false
  }

  /** What is still held of `[offset, offset + count)`, as runs, whatever the message groups. */
  heldRuns(offset: number, count: number): { offset: number; count: number }[] {
    const from = Math.max(offset, this.firstOffset)
    const to = Math.min(offset + count, this.firstOffset + this.span)
    const settled = this.#settled
    if (settled === undefined) return this.remaining > 0 && to > from ? [{ offset: from, count: to - from }] : []
    const runs: { offset: number; count: number }[] = []
    let start = -1
    for (let at = from; at < to; at++) {
      const isHeld = settled[at - this.firstOffset] === 0
      if (isHeld && start < 0) start = at
      if (!isHeld && start >= 0) {
        runs.push({ offset: start, count: at - start })
        start = -1
      }
    }
    if (start >= 0) runs.push({ offset: start, count: to - start })
    return runs
  }

  /** First offset still held. */
  get firstHeld(): number {
    const settled = this.#settled
    if (settled === undefined) return this.firstOffset
    return this.firstOffset + Math.max(0, settled.indexOf(0))
  }

  /** What is still held, as runs; in FIFO topics a run is one message. */
  runs(): OffsetRun[] {
    const settled = this.#settled
    const hashes = this.#groupHashes
    if (settled === undefined && hashes === undefined) {
      return [{ offset: this.firstOffset, count: this.span, groupHash: 0 }]
    }
    const runs: OffsetRun[] = []
    for (let at = 0; at < this.span; at++) {
      if (settled !== undefined && settled[at] !== 0) continue
      const start = at
      const groupHash = hashes?.[at] ?? 0
      while (groupHash === 0 && at + 1 < this.span && (settled?.[at + 1] ?? 0) === 0 && (hashes?.[at + 1] ?? 0) === 0) at++
      runs.push({ offset: this.firstOffset + start, count: at - start + 1, groupHash })
    }
    return runs
  }
}
