// One group's progress in one queue: what it has not been given, what is leased, what waits for a retry, what is locked
// behind an earlier message of its message group. It decides what a member gets next; who gets it is the
// subscription's business. Nothing here knows of connections.
//
//   log ──cursor──> locked (FIFO: an earlier one of its message group is out) ──┐
//     └───────────> leased <── free <───────────────────────────────────────────┘
//                     │  ▲       ▲
//               acked │  └───────┤ time over, given back
//                     ▼          │
//                   (gone)    waiting for its retry time ──attempts over──> dead letter

import { must } from '../assert.ts'
import { PocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { TagFilter } from '../model/filter.ts'
import type { Position } from '../model/position.ts'
import type { GroupConfig } from '../model/topic.ts'
import type { Clock } from '../ports/clock.ts'
import { type RecordBatch, selectFromRecord } from '../record/record-batch.ts'
import type { StoredLease, StoredLockQueue, StoredProgress, StoredWait } from '../storage/progress.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { Delivery } from './door.ts'
import { isAcked, Lease, type LeaseHolder, wentBack } from './lease.ts'
import { LogCursor } from './log-cursor.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers, Wait } from './timers.ts'

/** Looks at so many records before it lets others have their turn. */
const recordsPerTakeMax = 64
/** Looks at so many free messages for one whose record is in memory, while that of the first is fetched. */
const freeLookedAtMax = 256
/** Leases that ended by ack are remembered, so that an ack sent again after a lost answer is no error. */
const finishedLeasesKept = 1024

export interface GroupQueueDeps {
  readonly limits: Limits
  readonly clock: Clock
  readonly timers: Timers
  readonly counters: BrokerCounters
  readonly config: () => GroupConfig
  readonly nextLeaseId: () => number
  /** The progress must be written with this turn's commit. */
  readonly progressed: (queue: GroupQueue) => void
  /** There may be something to take now. */
  readonly wake: () => void
  /** All attempts of a message failed; `settleDead` is to be called when it is among the dead letters. */
  readonly dead: (queue: GroupQueue, offset: number, attempts: number) => void
  readonly readFailed: (error: Error) => void
}

/** What a member can take. */
export interface Demand {
  readonly messageCountMax: number
  readonly byteCountMax: number
  readonly leaseMs: number
  readonly holder: LeaseHolder
}

export type Taken =
  | { readonly kind: 'delivery'; readonly delivery: Delivery }
  | { readonly kind: 'gap'; readonly expected: Position; readonly next: Position }
  | { readonly kind: 'nothing' }

/** A message that may be delivered at once, out of turn. `attempts` counts those it has had. */
interface FreeMessage {
  readonly offset: number
  readonly attempts: number
  readonly groupHash: number
  record?: RecordBatch
}

interface RetryWait {
  readonly attempts: number
  readonly groupHash: number
  /** Monotonic; 0 while it is becoming a dead letter. */
  readonly visibleMs: number
  readonly delayMs: number
  readonly wait: Wait | undefined
}

const nothing: Taken = { kind: 'nothing' }

export class GroupQueue {
  readonly log: QueueLog
  readonly isFifo: boolean
  readonly #deps: GroupQueueDeps
  readonly #logCursor: LogCursor
  #cursor: number
  readonly #leases = new Map<number, Lease>()
  readonly #finished = new Set<number>()
  /** Ascending by the time they became free. */
  #free: FreeMessage[] = []
  readonly #retries = new Map<number, RetryWait>()
  /** Message groups with a message out, and what waits behind it, ascending. */
  readonly #locks = new Map<number, number[]>()
  #leasedCount = 0
  #lockedCount = 0
  #fetching = false
  /** Messages whose records are asked for, one record at a time. */
  #reads: { readonly offset: number; readonly answer: (found: RecordBatch | Error) => void }[] = []

  constructor(log: QueueLog, isFifo: boolean, cursor: number, deps: GroupQueueDeps) {
    this.log = log
    this.isFifo = isFifo
    this.#deps = deps
    this.#cursor = cursor
    this.#logCursor = new LogCursor(log, deps.limits.readChunkBytes, deps.wake, deps.readFailed)
  }

  /** Next offset never delivered. */
  get cursor(): number {
    return this.#cursor
  }

  /** Whether it waits for the store, and wakes its members when that has answered. */
  get isReading(): boolean {
    return this.#fetching || this.#logCursor.isReading
  }

  get inFlightCount(): number {
    return this.#leasedCount
  }

  get retryCount(): number {
    return this.#retries.size
  }

  get lockedCount(): number {
    return this.#lockedCount
  }

  /** Messages that were looked at and are not consumed. */
  get outstandingCount(): number {
    return this.#leasedCount + this.#free.length + this.#retries.size + this.#lockedCount
  }

  /** Messages stored and not consumed. What the filter will leave out is not known yet and counts. */
  get backlog(): number {
    return this.log.maxOffset - Math.max(this.#cursor, this.log.minOffset) + this.outstandingCount
  }

  /** Every message below is consumed. */
  get ackFloor(): number {
    let floor = this.#cursor
    for (const lease of this.#leases.values()) floor = Math.min(floor, lease.firstHeld)
    for (const free of this.#free) floor = Math.min(floor, free.offset)
    for (const offset of this.#retries.keys()) floor = Math.min(floor, offset)
    for (const offsets of this.#locks.values()) floor = Math.min(floor, offsets[0] ?? floor)
    return floor
  }

  // ── taking ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What comes next for a member, leased to it. */
  take(demand: Demand, filter: TagFilter): Taken {
    const again = this.#takeFree(demand)
    if (again !== undefined) return again
    for (let looked = 0; looked < recordsPerTakeMax; looked++) {
      const room = this.#deps.limits.outstandingPerQueueMax - this.outstandingCount
      if (room <= 0) return nothing
      const view = this.#logCursor.look(this.#cursor)
      if (view.kind === 'gap') {
        const expected = this.log.position(this.#cursor)
        this.#cursor = view.next
        this.#deps.progressed(this)
        return { kind: 'gap', expected, next: this.log.position(view.next) }
      }
      if (view.kind !== 'record') return nothing
      const indexes = this.#choose(view.record, Math.min(demand.messageCountMax, room), demand.byteCountMax, filter)
      this.#deps.progressed(this)
      if (indexes.length > 0) return { kind: 'delivery', delivery: this.#lease(view.record, indexes, 1, demand) }
    }
    // Nothing matched so far; go on in another turn, so that a long filtered stretch holds up nobody.
    this.#deps.wake()
    return nothing
  }

  /** Moves the cursor over a record, and gives the indexes of the messages to deliver now. */
  #choose(record: RecordBatch, countMax: number, byteCountMax: number, filter: TagFilter): number[] {
    const indexes: number[] = []
    let byteCount = 0
    let index = record.indexFrom(this.#cursor)
    const passAll = filter.tags === undefined
    for (; index < record.messageCount && indexes.length < countMax; index++) {
      if (!passAll && !filter.accepts(record.tagHashAt(index))) continue
      if (this.isFifo) {
        const groupHash = record.groupHashAt(index)
        const behind = this.#locks.get(groupHash)
        if (behind !== undefined) {
          if (this.outstandingCount >= this.#deps.limits.outstandingPerQueueMax) break
          behind.push(record.offsetAt(index))
          this.#lockedCount++
          continue
        }
        if (indexes.length > 0 && byteCount >= byteCountMax) break
        this.#locks.set(groupHash, [])
      } else if (indexes.length > 0 && byteCount >= byteCountMax) break
      byteCount += record.messageEnd(index) - record.messageStart(index)
      indexes.push(index)
    }
    this.#cursor = index < record.messageCount ? record.offsetAt(index) : record.lastOffset + 1
    return indexes
  }

  #lease(record: RecordBatch, indexes: readonly number[], attempt: number, demand: Demand): Delivery {
    const lease = Lease.of(this.#deps.nextLeaseId(), demand.holder, attempt, record, indexes, this.isFifo)
    this.#leases.set(lease.leaseId, lease)
    this.#leasedCount += lease.remaining
    demand.holder.inFlightCount += lease.remaining
    this.#arm(lease, demand.leaseMs)
    return this.#deliveryOf(lease, record, indexes, demand.leaseMs)
  }

  #deliveryOf(lease: Lease, record: RecordBatch, indexes: readonly number[], leaseMs: number): Delivery {
    return {
      queueId: this.log.queueId,
      leaseId: lease.leaseId,
      attempt: lease.attempt,
      leaseMs,
      next: this.log.position(this.#cursor),
      record: selectFromRecord(record, indexes),
      messageCount: indexes.length,
    }
  }

  /** A run of free messages from one record, of the same attempt, as one lease. */
  #takeFree(demand: Demand): Taken | undefined {
    this.#dropGone()
    const free = this.#free
    let first = 0
    let record: RecordBatch | undefined
    const lookedAtEnd = Math.min(free.length, freeLookedAtMax)
    for (; first < lookedAtEnd; first++) {
      record = this.#recordOf(free[first] as FreeMessage)
      if (record !== undefined) break
    }
    if (record === undefined) return undefined
    const { attempts } = free[first] as FreeMessage
    const indexes: number[] = []
    let byteCount = 0
    let end = first
    for (; end < free.length && indexes.length < demand.messageCountMax; end++) {
      const message = free[end] as FreeMessage
      if (message.attempts !== attempts || message.offset > record.lastOffset) break
      const index = message.offset - record.baseOffset
      if (index <= (indexes.at(-1) ?? -1)) break
      if (indexes.length > 0 && byteCount >= demand.byteCountMax) break
      byteCount += record.messageEnd(index) - record.messageStart(index)
      indexes.push(index)
    }
    free.splice(first, end - first)
    this.#deps.progressed(this)
    return { kind: 'delivery', delivery: this.#lease(record, indexes, attempts + 1, demand) }
  }

  /** The record of a free message; where it must be read from the store first, it is asked for and undefined given. */
  #recordOf(message: FreeMessage): RecordBatch | undefined {
    const record = message.record ?? this.log.recordInMemory(message.offset)
    if (record === undefined && !this.#fetching) {
      this.#fetching = true
      this.readMessage(message.offset, (found) => {
        this.#fetching = false
        if (found instanceof RangeError) this.#forget(message)
        else if (found instanceof Error) this.#deps.readFailed(found)
        else message.record = found
        this.#deps.wake()
      })
    }
    return record
  }

  /** The stored record that holds `offset`; a RangeError where it is gone. */
  readMessage(offset: number, answer: (found: RecordBatch | Error) => void): void {
    this.#reads.push({ offset, answer })
    if (this.#reads.length === 1) this.#readNext()
  }

  /** One read serves all that wait for the same record: thousands of messages may end together. */
  #readNext(): void {
    const [next] = this.#reads
    if (next === undefined) return
    this.log.readStored(next.offset, 1, (result) => {
      const record = result instanceof Error ? undefined : result.records[0]
      const isHeld = (offset: number) => record !== undefined && record.baseOffset <= offset && offset <= record.lastOffset
      const reads = this.#reads
      let count = 1
      while (count < reads.length && isHeld((reads[count] as { offset: number }).offset)) count++
      const answered = reads.splice(0, count)
      this.#readNext()
      for (const { offset, answer } of answered) {
        if (result instanceof Error) answer(result)
        else answer(record !== undefined && isHeld(offset) ? record : new RangeError(`offset ${offset} is gone`))
      }
    })
  }

  /** Free messages that retention took away count as consumed. */
  #dropGone(): void {
    const free = this.#free
    let count = 0
    // What is unlocked on the way joins at the end, and may be gone too.
    for (; count < free.length && (free[count] as FreeMessage).offset < this.log.minOffset; count++) {
      this.#unlock((free[count] as FreeMessage).groupHash)
    }
    if (count === 0) return
    free.splice(0, count)
    this.#deps.progressed(this)
  }

  /** A message that waited is damaged, or was deleted meanwhile: it counts as consumed, and others may follow. */
  #forget(message: FreeMessage): void {
    const index = this.#free.indexOf(message)
    if (index < 0) return
    this.#free.splice(index, 1)
    this.#unlock(message.groupHash)
    this.#deps.progressed(this)
  }

  // ── settling ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Consumed. False where nothing in the range is held under that lease. */
  ack(leaseId: number, offset: number, count: number): boolean {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return this.#finished.has(leaseId)
    const unlock = this.isFifo ? (at: number) => this.#unlock(lease.groupHashOf(at)) : undefined
    const settled = lease.settle(offset, count, unlock, isAcked)
    this.#deps.counters.ackedMessages += settled
    this.#settled(lease, settled)
    if (lease.remaining === 0 && !lease.wentBack) this.#remember(leaseId)
    return settled > 0 || lease.wasAcked(offset, count)
  }

  /**
   * Given back. `delayMs` undefined takes the group's schedule; `counted` false makes the attempt not have been. Gives
   * how many messages that were: 0 where nothing in the range is held under that lease.
   */
  giveBack(leaseId: number, offset: number, count: number, delayMs: number | undefined, counted: boolean): number {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return 0
    const settled = lease.settle(offset, count, (at) => this.#again(lease, at, delayMs, counted), wentBack)
    if (settled > 0) lease.wentBack = true
    this.#settled(lease, settled)
    return settled
  }

  /** The lease ends `leaseMs` from now. It is one deadline for all its messages. */
  extend(leaseId: number, offset: number, count: number, leaseMs: number): boolean {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined || !lease.holdsAny(offset, count)) return false
    this.#arm(lease, leaseMs)
    this.#deps.progressed(this)
    return true
  }

  /** Gives back all a member holds here, at once. */
  giveBackAll(holder: LeaseHolder, counted: boolean): void {
    for (const lease of [...this.#leases.values()]) {
      if (lease.holder === holder) this.giveBack(lease.leaseId, lease.firstOffset, lease.span, 0, counted)
    }
  }

  /** The delivery of a lease over again: what is still held of it; undefined where it has ended. */
  redeliver(leaseId: number, answer: (delivery: Delivery | undefined) => void): void {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return answer(undefined)
    const deliver = (record: RecordBatch) => {
      if (!this.#leases.has(leaseId)) return answer(undefined)
      const indexes: number[] = []
      for (const run of lease.runs()) {
        for (let at = 0; at < run.count; at++) indexes.push(run.offset + at - record.baseOffset)
      }
      const leaseMs = Math.max(0, Math.floor(lease.deadlineMs - this.#deps.clock.monotonic()))
      answer(indexes.length === 0 ? undefined : this.#deliveryOf(lease, record, indexes, leaseMs))
    }
    const record = this.log.recordInMemory(lease.firstOffset)
    if (record !== undefined) deliver(record)
    else this.readMessage(lease.firstOffset, (found) => (found instanceof Error ? answer(undefined) : deliver(found)))
  }

  /** Whether anything is held under that lease. */
  isLeased(leaseId: number): boolean {
    return this.#leases.has(leaseId)
  }

  /** Whether a message has had its last attempt and is not among the dead letters yet. */
  isDead(offset: number): boolean {
    return this.#retries.get(offset)?.visibleMs === 0
  }

  /** A dead letter is stored: the message is done with. */
  settleDead(offset: number): void {
    const retry = this.#retries.get(offset)
    if (retry === undefined) return
    this.#retries.delete(offset)
    this.#unlock(retry.groupHash)
    this.#deps.progressed(this)
    this.#deps.wake()
  }

  /** Starts over at `offset`: nothing is leased or waits, whatever was. */
  reset(offset: number): void {
    for (const lease of this.#leases.values()) {
      this.#deps.timers.cancel(lease.wait)
      lease.holder.inFlightCount -= lease.remaining
    }
    for (const retry of this.#retries.values()) this.#deps.timers.cancel(retry.wait)
    this.#leases.clear()
    this.#finished.clear()
    this.#retries.clear()
    this.#locks.clear()
    this.#free = []
    this.#leasedCount = 0
    this.#lockedCount = 0
    this.#cursor = offset
    this.#deps.progressed(this)
    this.#deps.wake()
  }

  #settled(lease: Lease, count: number): void {
    if (count === 0) return
    this.#leasedCount -= count
    lease.holder.inFlightCount -= count
    if (lease.remaining === 0) {
      this.#deps.timers.cancel(lease.wait)
      this.#leases.delete(lease.leaseId)
    }
    this.#deps.progressed(this)
    this.#deps.wake()
  }

  #remember(leaseId: number): void {
    this.#finished.add(leaseId)
    if (this.#finished.size > finishedLeasesKept) {
      this.#finished.delete(must(this.#finished.values().next().value, 'a set that is over its size has a first'))
    }
  }

  #arm(lease: Lease, leaseMs: number): void {
    const { clock, timers } = this.#deps
    timers.cancel(lease.wait)
    lease.leaseMs = leaseMs
    lease.deadlineMs = clock.monotonic() + leaseMs
    lease.wait = timers.at(lease.deadlineMs, () => this.#expire(lease))
  }

  #expire(lease: Lease): void {
    this.#deps.counters.expiredLeases++
    this.giveBack(lease.leaseId, lease.firstOffset, lease.span, 0, true)
  }

  /** A message comes back from a lease: it waits, is free at once, or has had its last attempt. */
  #again(lease: Lease, offset: number, delayMs: number | undefined, counted: boolean): void {
    const groupHash = lease.groupHashOf(offset)
    const attempts = counted ? lease.attempt : lease.attempt - 1
    const config = this.#deps.config()
    if (attempts >= config.attemptCountMax) {
      this.#retries.set(offset, { attempts, groupHash, visibleMs: 0, delayMs: 0, wait: undefined })
      this.#deps.dead(this, offset, attempts)
      return
    }
    const schedule = config.retryScheduleMs
    const waitMs = delayMs ?? schedule[Math.min(attempts - 1, schedule.length - 1)] ?? 0
    if (waitMs === 0) this.#setFree({ offset, attempts, groupHash })
    else this.#waitForRetry(offset, attempts, groupHash, waitMs)
  }

  #waitForRetry(offset: number, attempts: number, groupHash: number, delayMs: number): void {
    const visibleMs = this.#deps.clock.monotonic() + delayMs
    const wait = this.#deps.timers.at(visibleMs, () => {
      this.#retries.delete(offset)
      this.#setFree({ offset, attempts, groupHash })
      this.#deps.wake()
    })
    this.#retries.set(offset, { attempts, groupHash, visibleMs, delayMs, wait })
  }

  #setFree(message: FreeMessage): void {
    this.#free.push(message)
  }

  /** The message that held a message group's lock is done with: the next one is free. */
  #unlock(groupHash: number): void {
    if (!this.isFifo) return
    const behind = this.#locks.get(groupHash)
    if (behind === undefined) return
    const next = behind.shift()
    if (next === undefined) {
      this.#locks.delete(groupHash)
      return
    }
    this.#lockedCount--
    this.#setFree({ offset: next, attempts: 0, groupHash })
  }

  // ── storing ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** What a restart needs; deadlines become wall time. */
  toStored(): StoredProgress {
    const { clock } = this.#deps
    const wallLessMonotonicMs = clock.now() - clock.monotonic()
    const toWallMs = (monotonicMs: number) => Math.max(0, Math.ceil(monotonicMs + wallLessMonotonicMs))
    const leases: StoredLease[] = []
    for (const lease of this.#leases.values()) {
      leases.push({
        leaseId: lease.leaseId,
        memberId: lease.holder.memberId,
        attempt: lease.attempt,
        deadlineMs: toWallMs(lease.deadlineMs),
        leaseMs: Math.ceil(lease.leaseMs),
        runs: lease.runs(),
      })
    }
    const waits = new WaitRuns(this.isFifo)
    for (const { offset, attempts, groupHash } of this.#free) waits.add(offset, attempts, 0, 0, groupHash)
    for (const [offset, { attempts, groupHash, visibleMs, delayMs }] of this.#retries) {
      waits.add(offset, attempts, visibleMs === 0 ? 0 : toWallMs(visibleMs), Math.ceil(delayMs), groupHash)
    }
    const locked: StoredLockQueue[] = []
    for (const [groupHash, offsets] of this.#locks) if (offsets.length > 0) locked.push({ groupHash, offsets })
    return { epoch: this.log.epoch, cursor: this.#cursor, leases, waits: waits.sorted(), locked }
  }

  /** Goes on where a stored progress of the same epoch stood. `holderOf` gives the member, present again or not. */
  restore(stored: StoredProgress, holderOf: (memberId: Uint8Array) => LeaseHolder): void {
    if (stored.epoch !== this.log.epoch) throw new PocketError('OFFSET_OUT_OF_RANGE', 'progress of another epoch')
    const nowMs = this.#deps.clock.now()
    this.#cursor = stored.cursor
    for (const { groupHash, offsets } of stored.locked) {
      this.#locks.set(groupHash, [...offsets])
      this.#lockedCount += offsets.length
    }
    for (const kept of stored.leases) {
      const lease = Lease.restore(kept.leaseId, holderOf(kept.memberId), kept.attempt, kept.runs)
      this.#leases.set(lease.leaseId, lease)
      this.#leasedCount += lease.remaining
      lease.holder.inFlightCount += lease.remaining
      if (this.isFifo) for (const run of kept.runs) this.#lockOf(run.groupHash)
      // Never longer than was allowed to begin with: the wall clock may have gone back since.
      this.#arm(lease, Math.min(Math.max(0, kept.deadlineMs - nowMs), kept.leaseMs))
    }
    for (const run of stored.waits) for (let at = 0; at < run.count; at++) this.#restoreWait(run.offset + at, run, nowMs)
  }

  #restoreWait(offset: number, { attempts, groupHash, visibleMs, delayMs }: StoredWait, nowMs: number): void {
    const { config } = this.#deps
    if (this.isFifo) this.#lockOf(groupHash)
    if (attempts >= config().attemptCountMax) {
      this.#retries.set(offset, { attempts, groupHash, visibleMs: 0, delayMs: 0, wait: undefined })
      this.#deps.dead(this, offset, attempts)
    } else if (visibleMs <= nowMs) {
      this.#setFree({ offset, attempts, groupHash })
    } else {
      this.#waitForRetry(offset, attempts, groupHash, Math.min(visibleMs - nowMs, delayMs))
    }
  }

  #lockOf(groupHash: number): void {
    if (!this.#locks.has(groupHash)) this.#locks.set(groupHash, [])
  }
}

/** Gathers messages that wait into runs: those of one lease mostly wait alike. */
class WaitRuns {
  readonly #isFifo: boolean
  readonly #runs: (StoredWait & { count: number })[] = []

  constructor(isFifo: boolean) {
    this.#isFifo = isFifo
  }

  add(offset: number, attempts: number, visibleMs: number, delayMs: number, groupHash: number): void {
    const last = this.#isFifo ? undefined : this.#runs.at(-1)
    const isNext = last !== undefined && last.offset + last.count === offset && last.attempts === attempts &&
      last.visibleMs === visibleMs && last.delayMs === delayMs
    if (isNext) last.count++
    else this.#runs.push({ offset, count: 1, attempts, visibleMs, delayMs, groupHash })
  }

  sorted(): StoredWait[] {
    return this.#runs.sort((left, right) => left.offset - right.offset)
  }
}
