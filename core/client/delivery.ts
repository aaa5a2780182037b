// One record in a consumer's hands: how much of it the application has taken, what it has settled, and the lease it is
// held under. Acks are kept as runs of indexes, so that a whole delivery acked in order costs one range.

import { PocketError } from '../errors.ts'
import type { Position } from '../model/position.ts'
import type { FrameFields, LeaseRange } from '../protocol/frames.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import type { SettlePromise } from './settle-promise.ts'

export class Delivery {
  readonly record: RecordBatch
  readonly queueId: number
  /** 0 without a lease. */
  readonly leaseId: number
  readonly attempt: number
  /** Where a BROADCASTING reader stands once all of it is taken. */
  readonly next: Position
  /** Messages handed to the application, or given back: those at indexes below. */
  takenCount = 0
  /** Of them, those given back that it never saw. */
  releasedCount = 0
  /** Messages that neither the application nor the consumer has settled. */
  openCount: number
  /** Monotonic; the lease has ended by then. */
  deadlineMs: number
  /** Acks that are not on the wire yet: the latest run of indexes `[start, end)`, and those before it, flat. */
  #ackStart = 0
  #ackEnd = 0
  #ackRuns: number[] | undefined
  /** What those who acked this turn wait for, if any does. */
  ackPromise: SettlePromise | undefined
  /** For the lease keeper: how far it was when last looked at, and since when it has not moved. */
  progressSeen = 0
  quietSinceMs: number
  /** A longer lease was asked for. */
  isExtending = false
  /** Its lease is left to run out. */
  isAbandoned = false
  /** Of this device, and not at the relay yet: it has no place. */
  isPending = false
  #isLost = false
  #abort: AbortController | undefined

  constructor(frame: FrameFields<'DELIVER'>, record: RecordBatch, nowMs: number) {
    this.record = record
    this.queueId = frame.queueId
    this.leaseId = frame.leaseId
    this.attempt = frame.attempt
    this.next = frame.next
    this.openCount = frame.leaseId === 0 ? 0 : record.messageCount
    this.deadlineMs = nowMs + frame.leaseMs
    this.quietSinceMs = nowMs
  }

  /** Messages not handed out. */
  get untakenCount(): number {
    return this.record.messageCount - this.takenCount
  }

  /** A number that grows whenever a message is taken or settled. */
  get progress(): number {
    return this.takenCount + this.record.messageCount - this.openCount
  }

  /** Notes an ack. True if it is the first since the ranges were taken. */
  ack(index: number): boolean {
    this.openCount--
    if (this.#ackEnd === index && index > 0) {
      this.#ackEnd = index + 1
      return false
    }
    const isFirst = this.#ackEnd === 0
    if (!isFirst) {
      this.#ackRuns ??= []
      this.#ackRuns.push(this.#ackStart, this.#ackEnd)
    }
    this.#ackStart = index
    this.#ackEnd = index + 1
    return isFirst
  }

  /** The acks noted since the last time, as few ranges. */
  takeAckRanges(): LeaseRange[] {
    const runs = this.#ackRuns
    const latest: [number, number] = [this.#ackStart, this.#ackEnd]
    this.#ackRuns = undefined
    this.#ackEnd = 0
    if (runs === undefined) return [this.range(...latest)]
    runs.push(...latest)
    const starts: number[] = []
    for (let at = 0; at < runs.length; at += 2) starts.push(at)
    starts.sort((left, right) => (runs[left] as number) - (runs[right] as number))
    const ranges: LeaseRange[] = []
    let start = runs[starts[0] as number] as number
    let end = start
    for (const at of starts) {
      if ((runs[at] as number) > end) {
        ranges.push(this.range(start, end))
        start = runs[at] as number
      }
      end = runs[at + 1] as number
    }
    ranges.push(this.range(start, end))
    return ranges
  }

  /** Messages at indexes `[start, end)` as the wire names them. */
  range(start: number, end: number): LeaseRange {
    const offset = this.record.offsetAt(start)
    const count = this.record.offsetAt(end - 1) - offset + 1
    return { queueId: this.queueId, leaseId: this.leaseId, offset, count }
  }

  get isLost(): boolean {
    return this.#isLost
  }

  /** The lease is over before all was settled: whoever works on a message of it should stop. */
  lose(): void {
    if (this.#isLost) return
    this.#isLost = true
    this.#abort?.abort(leaseEnded())
  }

  /** Aborted when the lease is lost. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#isLost) this.#abort.abort(leaseEnded())
    }
    return this.#abort.signal
  }
}

function leaseEnded(): PocketError {
  return new PocketError('RECEIPT_STALE', 'the lease has ended')
}
