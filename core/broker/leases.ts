// The leases of one group on one queue: given, extended, settled, over. It knows who holds what until when; what becomes
// of messages that come back is their queue's business.

import { must } from '../assert.ts'
import type { Clock } from '../ports/clock.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import type { StoredLease } from '../storage/progress.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import { Lease, type LeaseHolder } from './lease.ts'
import type { Timers } from './timers.ts'
import type { TracedKind, Tracing } from './tracing.ts'

/** Leases that ended by ack are remembered, so that an ack sent again after a lost answer is no error. */
const finishedKept = 1024

export interface LeasesDeps {
  readonly log: QueueLog
  readonly clock: Clock
  readonly timers: Timers
  readonly group: string
  readonly trace: () => Tracing | undefined
  readonly nextLeaseId: () => number
  /** The time of a lease is over. */
  readonly over: (lease: Lease) => void
}

export class Leases {
  readonly #deps: LeasesDeps
  readonly #leases = new Map<number, Lease>()
  readonly #finished = new Set<number>()
  #messageCount = 0

  constructor(deps: LeasesDeps) {
    this.#deps = deps
  }

  /** Messages held. */
  get messageCount(): number {
    return this.#messageCount
  }

  /** The lowest offset held; Infinity where there is none. */
  get floor(): number {
    let floor = Infinity
    for (const lease of this.#leases.values()) floor = Math.min(floor, lease.firstHeld)
    return floor
  }

  /** Undefined once nothing of it is held. */
  get(leaseId: number): Lease | undefined {
    return this.#leases.get(leaseId)
  }

  /** Whether a lease ended, not long ago, with all of it acked. */
  wasAcked(leaseId: number): boolean {
    return this.#finished.has(leaseId)
  }

  /** A list of its own, so that leases can end on the way. */
  of(holder: LeaseHolder): Lease[] {
    return [...this.#leases.values()].filter((lease) => lease.holder === holder)
  }

  /** A lease on messages of a record; with `hasGroups` it remembers their message groups. */
  give(
    record: RecordBatch, indexes: readonly number[], attempt: number, holder: LeaseHolder, leaseMs: number, hasGroups: boolean,
  ): Lease {
    const lease = Lease.of(this.#deps.nextLeaseId(), holder, attempt, record, indexes, hasGroups)
    this.#add(lease)
    this.arm(lease, leaseMs)
    lease.startMs = lease.deadlineMs - leaseMs
    this.note('delivered', lease, lease.firstOffset, lease.span, 0)
    return lease
  }

  #add(lease: Lease): void {
    this.#leases.set(lease.leaseId, lease)
    this.#messageCount += lease.remaining
    lease.holder.inFlightCount += lease.remaining
  }

  /** It ends `leaseMs` from now. */
  arm(lease: Lease, leaseMs: number): void {
    const { clock, over, timers } = this.#deps
    timers.cancel(lease.wait)
    lease.leaseMs = leaseMs
    lease.deadlineMs = clock.monotonic() + leaseMs
    lease.wait = timers.at(lease.deadlineMs, () => over(lease))
  }

  /** So many of its messages are held no longer; with the last of them it ends. */
  settled(lease: Lease, count: number): void {
    this.#messageCount -= count
    lease.holder.inFlightCount -= count
    if (lease.remaining > 0) return
    this.#deps.timers.cancel(lease.wait)
    this.#leases.delete(lease.leaseId)
    if (!lease.wentBack) this.#remember(lease.leaseId)
  }

  #remember(leaseId: number): void {
    this.#finished.add(leaseId)
    if (this.#finished.size > finishedKept) {
      this.#finished.delete(must(this.#finished.values().next().value, 'a set that is over its size has a first'))
    }
  }

  /** Something happens to what is held of a range of a lease: called before it does, for its trace. */
  note(kind: TracedKind, lease: Lease, offset: number, count: number, delayMs: number): void {
    const { clock, group, log, trace } = this.#deps
    const tracing = trace()
    if (tracing === undefined) return
    const costMs = clock.monotonic() - lease.startMs
    const clientId = lease.holder.details?.clientId ?? ''
    for (const run of lease.heldRuns(offset, count)) {
      tracing.note(kind, log, run.offset, run.count, group, clientId, lease.attempt, costMs, delayMs)
    }
  }

  /** All are void, finished ones too. */
  clear(): void {
    for (const lease of this.#leases.values()) {
      this.#deps.timers.cancel(lease.wait)
      lease.holder.inFlightCount -= lease.remaining
    }
    this.#leases.clear()
    this.#finished.clear()
    this.#messageCount = 0
  }

  /** `toWallMs` turns a monotonic time into wall time. */
  toStored(toWallMs: (monotonicMs: number) => number): StoredLease[] {
    const stored: StoredLease[] = []
    for (const lease of this.#leases.values()) {
      stored.push({
        leaseId: lease.leaseId,
        memberId: lease.holder.memberId,
        attempt: lease.attempt,
        deadlineMs: toWallMs(lease.deadlineMs),
        leaseMs: Math.ceil(lease.leaseMs),
        runs: lease.runs(),
      })
    }
    return stored
  }

  restore({ leaseId, attempt, runs, deadlineMs, leaseMs }: StoredLease, holder: LeaseHolder): void {
    const lease = Lease.restore(leaseId, holder, attempt, runs)
    this.#add(lease)
    // Never longer than was allowed to begin with: the wall clock may have gone back since.
    this.arm(lease, Math.min(Math.max(0, deadlineMs - this.#deps.clock.now()), leaseMs))
    lease.startMs = lease.deadlineMs - leaseMs
  }
}
