// One group's progress in one queue: what it has not been given, what is leased, what waits for a retry, what is locked
// behind an earlier message of its message group. It decides what a member gets next; who gets it is the
// subscription's business. Nothing here knows of connections.
//
//   log ──cursor──> locked (FIFO: an earlier one of its message group is out) ──┐
//     └───────────> leased <── free <───────────────────────────────────────────┘
//                     │  ▲       ▲
//               acked │  └───────┤ time over, given back
//                     ▼          │
//                   (gone)    waiting for its retry time ──attempts over──> dead letter, or held (FIFO, by choice)
//
// A message whose time to live is over, or that is not in its record any more, goes from wherever it is to (gone).

import { PocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { MessageFilter } from '../filter/message-filter.ts'
import { type GroupConfig, retryDelayMs } from '../model/topic.ts'
import type { Clock } from '../ports/clock.ts'
import { type RecordBatch, selectFromRecord } from '../record/record-batch.ts'
import type { StoredProgress, StoredWait } from '../storage/progress.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import { type Demand, later, nothing, type Taken } from './demand.ts'
import type { Delivery } from './door.ts'
import { type FreeMessage, freeMessage, FreeMessages } from './free-messages.ts'
import { isAcked, type Lease, type LeaseHolder, wentBack } from './lease.ts'
import { Leases } from './leases.ts'
import { LockRefill } from './lock-refill.ts'
import { LogCursor } from './log-cursor.ts'
import { MessageGroupLocks } from './message-group-locks.ts'
import { OldestMessage } from './oldest-message.ts'
import { RecordReads } from './record-reads.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers } from './timers.ts'
import type { TracedKind, Tracing } from './tracing.ts'
import { WaitRuns } from './wait-runs.ts'
import { WaitingMessages } from './waiting-messages.ts'

/** Looks at so many records before it lets others have their turn. */
const recordsPerTakeMax = 64
/** A message group whose head has not moved for so long does not keep others waiting when there is no more room. */
const stuckMs = 5_000
/** Drops so many runs of free messages that are gone before it lets others have their turn. */
const goneRunsPerTakeMax = 1024

export interface GroupQueueDeps {
  readonly limits: Limits
  readonly clock: Clock
  readonly timers: Timers
  readonly counters: BrokerCounters
  readonly group: string
  readonly config: () => GroupConfig
  /** Where to note what happens; undefined while the topic is not traced. */
  readonly trace: () => Tracing | undefined
  readonly nextLeaseId: () => number
  /** The progress must be written with this turn's commit. */
  readonly progressed: (queue: GroupQueue) => void
  /** There may be something to take now. */
  readonly wake: () => void
  /** All attempts of a message failed; `settleDead` is to be called when it is among the dead letters. */
  readonly dead: (queue: GroupQueue, offset: number, attempts: number) => void
  readonly readFailed: (error: Error) => void
}

export class GroupQueue {
  readonly log: QueueLog
  readonly isFifo: boolean
  readonly #deps: GroupQueueDeps
  readonly #logCursor: LogCursor
  #cursor: number
  readonly #leases: Leases
  readonly #free = new FreeMessages()
  readonly #waiting: WaitingMessages
  readonly #locks = new MessageGroupLocks()
  readonly #refill: LockRefill
  readonly #reads: RecordReads
  #fetching = false
  /** Min offset of the log when what waits was last held against it. */
  #minOffsetSeen: number
  readonly #oldest: OldestMessage

  constructor(log: QueueLog, isFifo: boolean, cursor: number, deps: GroupQueueDeps) {
    this.log = log
    this.isFifo = isFifo
    this.#deps = deps
    this.#cursor = cursor
    this.#minOffsetSeen = log.minOffset
    this.#logCursor = new LogCursor(log, deps.limits.readChunkBytes, deps.wake, deps.readFailed)
    this.#reads = new RecordReads(log)
    this.#refill = new LockRefill(this.#locks, new LogCursor(log, deps.limits.readChunkBytes, deps.wake, deps.readFailed))
    this.#oldest = new OldestMessage(log, deps.readFailed)
    const { clock, group, nextLeaseId, timers, trace } = deps
    this.#leases = new Leases({ log, clock, timers, group, trace, nextLeaseId, over: (lease) => this.#expire(lease) })
    this.#waiting = new WaitingMessages({
      log, isFifo, clock, timers,
      config: deps.config,
      counters: deps.counters,
      reads: this.#reads,
      readFailed: deps.readFailed,
      dead: (offset, attempts) => deps.dead(this, offset, attempts),
      due: (messages) => {
        for (const message of messages) this.#free.add(message)
        deps.wake()
      },
      gone: (offset) => this.#endWait(offset),
    })
  }

  /** Next offset never delivered. */
  get cursor(): number {
    return this.#cursor
  }

  /** Whether it waits for the store, and wakes its members when that has answered. */
  get isReading(): boolean {
    return this.#fetching || this.#logCursor.isReading || this.#refill.isReading
  }

  get inFlightCount(): number {
    return this.#leases.messageCount
  }

  /** Waiting for their retry time, or on their way to the dead letters. */
  get retryCount(): number {
    return this.#waiting.count - this.#waiting.heldCount
  }

  /** Kept, as their attempts are over. */
  get heldCount(): number {
    return this.#waiting.heldCount
  }

  /** Behind an earlier message of their message group. */
  get lockedCount(): number {
    return this.#locks.listedCount + this.#locks.cutCount
  }

  /** Messages that were looked at, are not consumed, and are known one by one. */
  get outstandingCount(): number {
    return this.#leases.messageCount + this.#free.count + this.#waiting.count + this.#locks.listedCount
  }

  /** Messages stored and not consumed. What the filter will leave out, or is over, is not known yet and counts. */
  get backlog(): number {
    const { maxOffset, minOffset, messageCount } = this.log
    return Math.min(maxOffset - Math.max(this.#cursor, minOffset), messageCount) + this.outstandingCount + this.#locks.cutCount
  }

  /** Every message below is consumed. */
  get ackFloor(): number {
    return Math.min(this.#cursor, this.#leases.floor, this.#free.floor, this.#waiting.floor, this.#locks.floor)
  }

  /**
   * When the oldest message that is not consumed was stored; 0 where there is none, or it is not known. With `asks` it is
   * looked for, for the next time.
   */
  oldestStoredMs(asks = false): number {
    return this.#oldest.storedMs(this.ackFloor, asks)
  }

  // ── taking ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What comes next for a member, leased to it. */
  take(demand: Demand, filter: MessageFilter): Taken {
    if (this.#locks.short !== undefined) this.#refillLines(filter)
    const again = this.#takeFree(demand)
    if (again !== undefined) return again
    for (let looked = 0; looked < recordsPerTakeMax; looked++) {
      const room = this.#deps.limits.outstandingPerQueueMax - this.outstandingCount
      if (room <= 0) {
        if (this.#makeRoom()) continue
        return this.#nothing
      }
      const view = this.#logCursor.look(this.#cursor)
      if (view.kind === 'gap') {
        const expected = this.log.position(this.#cursor)
        this.#cursor = view.next
        this.#deps.progressed(this)
        return { kind: 'gap', expected, next: this.log.position(view.next) }
      }
      if (view.kind === 'end' && view.next > this.#cursor) {
        // What was left is gone by design.
        this.#cursor = view.next
        this.#deps.progressed(this)
      }
      if (view.kind !== 'record') return this.#nothing
      const indexes = this.#choose(view.record, Math.min(demand.messageCountMax, room), demand.byteCountMax, filter)
      this.#deps.progressed(this)
      if (indexes.length > 0) return { kind: 'delivery', delivery: this.#lease(view.record, indexes, 1, demand) }
    }
    // Nothing matched so far; go on in another turn, so that a long filtered stretch holds up nobody.
    this.#deps.wake()
    return later
  }

  get #nothing(): Taken {
    return this.isReading ? later : nothing
  }

  /** Moves the cursor over a record, and gives the indexes of the messages to deliver now. */
  #choose(record: RecordBatch, countMax: number, byteCountMax: number, filter: MessageFilter): number[] {
    const indexes: number[] = []
    let byteCount = 0
    let index = record.indexFrom(this.#cursor)
    const expiryMs = this.#expiryMs(record)
    const passAll = filter.passesAll && expiryMs === 0
    for (; index < record.messageCount && indexes.length < countMax; index++) {
      if (!passAll && !this.#passes(record, index, filter, expiryMs)) continue
      if (this.isFifo) {
        const groupHash = record.groupHashAt(index)
        const line = this.#locks.lineOf(groupHash)
        if (line !== undefined) {
          if (line.cutOffset < 0 && this.outstandingCount >= this.#deps.limits.outstandingPerQueueMax) break
          this.#locks.join(line, record.offsetAt(index))
          continue
        }
        if (indexes.length > 0 && byteCount >= byteCountMax) break
        this.#locks.lock(groupHash)
      } else if (indexes.length > 0 && byteCount >= byteCountMax) break
      byteCount += record.messageEnd(index) - record.messageStart(index)
      indexes.push(index)
    }
    this.#cursor = index < record.messageCount ? record.offsetAt(index) : record.lastOffset + 1
    return indexes
  }

  /**
   * No more may be outstanding. Message groups of which nothing has moved for a while give up the places behind their head,
   * so that others go on. False where there is none yet.
   */
  #makeRoom(): boolean {
    if (!this.isFifo) return false
    const { clock, timers, wake, progressed } = this.#deps
    const nowMs = clock.monotonic()
    if (nowMs - this.#locks.markedMs < stuckMs) return false
    const isCut = this.#locks.cutStuck()
    if (isCut) progressed(this)
    this.#locks.mark(nowMs)
    timers.at(nowMs + stuckMs, wake)
    return isCut
  }

  /** Looks for what comes next of message groups that were cut and have moved. */
  #refillLines(filter: MessageFilter): void {
    const hasMore = this.#refill.run({
      cursor: this.#cursor,
      recordCountMax: recordsPerTakeMax,
      room: this.#deps.limits.outstandingPerQueueMax - this.outstandingCount,
      passes: (record, index) => this.#passes(record, index, filter, this.#expiryMs(record)),
      out: (offset, groupHash, record) => this.#free.add(freeMessage(offset, 0, groupHash, record)),
    })
    this.#deps.progressed(this)
    if (hasMore) this.#deps.wake()
  }

  #passes(record: RecordBatch, index: number, filter: MessageFilter, expiryMs: number): boolean {
    if (!filter.passesAll && !filter.accepts(record, index)) return false
    if (expiryMs === 0 || !record.isExpiredAt(index, expiryMs)) return true
    this.#deps.counters.expiredUnreadMessages++
    return false
  }

  /** The time to hold times to live against; 0 where no message of the record has one. */
  #expiryMs(record: RecordBatch): number {
    return record.hasTtl ? this.#deps.clock.now() : 0
  }

  #lease(record: RecordBatch, indexes: readonly number[], attempt: number, { holder, leaseMs }: Demand): Delivery {
    const lease = this.#leases.give(record, indexes, attempt, holder, leaseMs, this.isFifo)
    return this.#deliveryOf(lease, record, indexes, leaseMs)
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
    this.#dropBelowMin()
    const free = this.#free
    for (let runs = 0; runs < goneRunsPerTakeMax; runs++) {
      const first = free.firstAtHand(this.log, this.#fetch)
      if (first < 0) return undefined
      const { attempts, record } = free.at(first) as FreeMessage & { record: RecordBatch }
      const expiryMs = this.#expiryMs(record)
      const indexes: number[] = []
      let gone: FreeMessage[] | undefined
      const { baseOffset, isWhole } = record
      let byteCount = 0
      let end = first
      for (let before = baseOffset - 1; end < free.count && indexes.length < demand.messageCountMax; end++) {
        const message = free.at(end)
        if (message.attempts !== attempts || message.offset <= before || message.offset > record.lastOffset) break
        before = message.offset
        const index = isWhole ? message.offset - baseOffset : record.indexOf(message.offset)
        if (index < 0 || (expiryMs > 0 && record.isExpiredAt(index, expiryMs))) {
          if (index >= 0) this.#deps.counters.expiredUnreadMessages++
          gone ??= []
          gone.push(message)
          continue
        }
        if (indexes.length > 0 && byteCount >= demand.byteCountMax) break
        byteCount += record.messageEnd(index) - record.messageStart(index)
        indexes.push(index)
      }
      free.remove(first, end)
      if (gone !== undefined) for (const { groupHash } of gone) this.#unlock(groupHash, record)
      this.#deps.progressed(this)
      if (indexes.length > 0) return { kind: 'delivery', delivery: this.#lease(record, indexes, attempts + 1, demand) }
    }
    this.#deps.wake()
    return later
  }

  /** Asks the store for the record of a free message, one at a time. */
  readonly #fetch = (message: FreeMessage): void => {
    if (this.#fetching) return
    this.#fetching = true
    const { rewriteCount } = this.log
    this.readMessage(message.offset, (found) => {
      this.#fetching = false
      if (found instanceof RangeError) this.#forget(message)
      else if (found instanceof Error) this.#deps.readFailed(found)
      else {
        message.record = found
        message.rewriteCount = rewriteCount
      }
      this.#deps.wake()
    })
  }

  /** The stored record that has the message at `offset`; a RangeError where that is gone. */
  readMessage(offset: number, answer: (found: RecordBatch | Error) => void): void {
    this.#reads.read(offset, answer)
  }

  /** Messages that wait, and that retention took away, count as consumed. */
  #dropBelowMin(): void {
    const { minOffset } = this.log
    if (minOffset !== this.#minOffsetSeen) {
      this.#minOffsetSeen = minOffset
      for (const offset of this.#waiting.offsetsOf('held')) if (offset < minOffset) this.#endWait(offset)
    }
    const free = this.#free
    let count = 0
    // What is unlocked on the way joins at the end, and may be gone too.
    for (; count < free.count && free.at(count).offset < minOffset; count++) this.#unlock(free.at(count).groupHash)
    if (count === 0) return
    free.remove(0, count)
    this.#deps.progressed(this)
  }

  /** A message that was free is damaged, or was deleted meanwhile: it counts as consumed, and others may follow. */
  #forget(message: FreeMessage): void {
    if (!this.#free.removeOne(message)) return
    this.#unlock(message.groupHash)
    this.#deps.progressed(this)
  }

  // ── settling ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Consumed. False where nothing in the range is held under that lease. */
  ack(leaseId: number, offset: number, count: number): boolean {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return this.#leases.wasAcked(leaseId)
    this.#leases.note('acked', lease, offset, count, 0)
    const unlock = this.isFifo ? (at: number) => this.#unlock(lease.groupHashOf(at)) : undefined
    const settled = lease.settle(offset, count, unlock, isAcked)
    this.#deps.counters.ackedMessages += settled
    this.#settled(lease, settled)
    return settled > 0 || lease.wasAcked(offset, count)
  }

  /**
   * Given back, or `isOver` where the lease's time is. `delayMs` undefined takes the group's schedule; `counted` false
   * makes the attempt not have been. Gives how many messages that were: 0 where nothing in the range is held under that
   * lease.
   */
  giveBack(
    leaseId: number, offset: number, count: number, delayMs: number | undefined, counted: boolean, isOver = false,
  ): number {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return 0
    const { attemptCountMax, retry } = this.#deps.config()
    const attempts = counted ? lease.attempt : lease.attempt - 1
    const isExhausted = attempts >= attemptCountMax
    const waitMs = isExhausted ? 0 : (delayMs ?? retryDelayMs(retry, attempts))
    if (isOver) this.#leases.note('expired', lease, offset, count, 0)
    else if (!isExhausted) this.#leases.note('retried', lease, offset, count, waitMs)
    if (isExhausted) this.#leases.note(this.#waiting.exhaustedKind, lease, offset, count, 0)
    const waiting: FreeMessage[] = []
    const settled = lease.settle(offset, count, (at) => {
      const message = freeMessage(at, attempts, lease.groupHashOf(at))
      if (isExhausted) this.#waiting.exhaust(message)
      else if (waitMs === 0) this.#free.add(message)
      else waiting.push(message)
    }, wentBack)
    if (waiting.length > 0) this.#waiting.retry(waiting, waitMs)
    if (settled > 0) lease.wentBack = true
    this.#settled(lease, settled)
    return settled
  }

  /** The lease ends `leaseMs` from now. It is one deadline for all its messages. */
  extend(leaseId: number, offset: number, count: number, leaseMs: number): boolean {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined || !lease.holdsAny(offset, count)) return false
    this.#leases.arm(lease, leaseMs)
    this.#deps.progressed(this)
    return true
  }

  /** Gives back all a member holds here, at once. */
  giveBackAll(holder: LeaseHolder, isOver: boolean): void {
    for (const lease of this.#leases.of(holder)) {
      this.giveBack(lease.leaseId, lease.firstOffset, lease.span, 0, true, isOver)
    }
  }

  /** The delivery of a lease over again: what is still held of it; undefined where it has ended. */
  redeliver(leaseId: number, answer: (delivery: Delivery | undefined) => void): void {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return answer(undefined)
    const deliver = (record: RecordBatch) => {
      if (this.#leases.get(leaseId) === undefined) return answer(undefined)
      const expiryMs = this.#expiryMs(record)
      const indexes: number[] = []
      for (const run of lease.heldRuns(lease.firstOffset, lease.span)) {
        for (let offset = run.offset; offset < run.offset + run.count; offset++) {
          const index = record.indexOf(offset)
          const isExpired = index >= 0 && expiryMs > 0 && record.isExpiredAt(index, expiryMs)
          if (index >= 0 && !isExpired) indexes.push(index)
          else this.#dropLeased(lease, offset, isExpired)
        }
      }
      const leaseMs = Math.max(0, Math.floor(lease.deadlineMs - this.#deps.clock.monotonic()))
      answer(indexes.length === 0 ? undefined : this.#deliveryOf(lease, record, indexes, leaseMs))
    }
    const record = this.log.recordInMemory(lease.firstOffset)
    if (record !== undefined) deliver(record)
    else this.readMessage(lease.firstOffset, (found) => (found instanceof Error ? answer(undefined) : deliver(found)))
  }

  /** A leased message that may not be shown to anybody any more counts as consumed. */
  #dropLeased(lease: Lease, offset: number, isExpired: boolean): void {
    if (isExpired) this.#deps.counters.expiredUnreadMessages++
    lease.wentBack = true
    this.#settled(lease, lease.settle(offset, 1, (at) => this.#unlock(lease.groupHashOf(at)), wentBack))
  }

  /** Whether anything is held under that lease. */
  isLeased(leaseId: number): boolean {
    return this.#leases.get(leaseId) !== undefined
  }

  /** Whether a message has had its last attempt and is not among the dead letters yet. */
  isDead(offset: number): boolean {
    return this.#waiting.fateOf(offset) === 'dead'
  }

  /** A dead letter is stored: the message is done with. */
  settleDead(offset: number): void {
    if (this.isDead(offset)) this.#endWait(offset)
  }

  /** Decides on what is held: attempts start over at once, or it becomes a dead letter. */
  settleHeld(how: 'retry' | 'dead-letter'): void {
    for (const offset of this.#waiting.offsetsOf('held')) {
      const message = this.#waiting.take(offset) as FreeMessage
      this.#noteOne(how === 'retry' ? 'retried' : 'dead', message)
      if (how === 'retry') this.#free.add(freeMessage(offset, 0, message.groupHash))
      else this.#waiting.bury(message)
      this.#deps.progressed(this)
    }
    this.#deps.wake()
  }

  /** The group's configuration has changed: what has had all its attempts by the new one is not delivered again. */
  configured(): void {
    const { attemptCountMax } = this.#deps.config()
    const over = this.#free.takeOver(attemptCountMax)
    for (const offset of this.#waiting.offsetsOf('again', attemptCountMax)) over.push(this.#waiting.take(offset) as FreeMessage)
    for (const message of over) {
      this.#noteOne(this.#waiting.exhaustedKind, message)
      this.#waiting.exhaust(message)
      this.#deps.progressed(this)
    }
    this.#deps.wake()
  }

  /** Starts over at `offset`: nothing is leased or waits, whatever was. */
  reset(offset: number): void {
    this.#leases.clear()
    this.#free.clear()
    this.#waiting.clear()
    this.#locks.clear()
    this.#cursor = offset
    this.#deps.progressed(this)
    this.#deps.wake()
  }

  #settled(lease: Lease, count: number): void {
    if (count === 0) return
    this.#leases.settled(lease, count)
    this.#deps.progressed(this)
    this.#deps.wake()
  }

  #expire(lease: Lease): void {
    this.#deps.counters.expiredLeases++
    this.giveBack(lease.leaseId, lease.firstOffset, lease.span, 0, true, true)
  }

  /** Something happens to a message that nobody holds. */
  #noteOne(kind: TracedKind, { offset, attempts }: FreeMessage): void {
    this.#deps.trace()?.note(kind, this.log, offset, 1, this.#deps.group, '', attempts, 0, 0)
  }

  /** What waited is done with. */
  #endWait(offset: number): void {
    const message = this.#waiting.take(offset)
    if (message === undefined) return
    this.#unlock(message.groupHash)
    this.#deps.progressed(this)
    this.#deps.wake()
  }

  /** The message that held a message group's lock is done with: the next one is free. It may be in `record` too. */
  #unlock(groupHash: number, record?: RecordBatch): void {
    if (!this.isFifo) return
    const offset = this.#locks.release(groupHash)
    if (offset === undefined) {
      if (this.#locks.short !== undefined) this.#deps.wake()
      return
    }
    const isAtHand = record !== undefined && record.indexOf(offset) >= 0
    this.#free.add(freeMessage(offset, 0, groupHash, isAtHand ? record : undefined))
  }

  // ── storing ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** What a restart needs; deadlines become wall time. */
  toStored(): StoredProgress {
    const { clock } = this.#deps
    const wallLessMonotonicMs = clock.now() - clock.monotonic()
    const toWallMs = (monotonicMs: number) => Math.max(0, Math.ceil(monotonicMs + wallLessMonotonicMs))
    const waits = new WaitRuns(this.isFifo)
    this.#free.store(waits)
    this.#waiting.store(waits, toWallMs)
    return {
      epoch: this.log.epoch,
      cursor: this.#cursor,
      leases: this.#leases.toStored(toWallMs),
      waits: waits.sorted(),
      locked: this.#locks.toStored(),
    }
  }

  /** Goes on where a stored progress of the same epoch stood. `holderOf` gives the member, present again or not. */
  restore(stored: StoredProgress, holderOf: (memberId: Uint8Array) => LeaseHolder): void {
    if (stored.epoch !== this.log.epoch) throw new PocketError('OFFSET_OUT_OF_RANGE', 'progress of another epoch')
    const nowMs = this.#deps.clock.now()
    this.#cursor = stored.cursor
    this.#locks.restore(stored.locked)
    for (const kept of stored.leases) {
      this.#leases.restore(kept, holderOf(kept.memberId))
      if (this.isFifo) for (const run of kept.runs) this.#locks.lock(run.groupHash)
    }
    for (const run of stored.waits) this.#restoreWaits(run, nowMs)
  }

  #restoreWaits({ offset, count, attempts, groupHash, visibleMs, delayMs, fate }: StoredWait, nowMs: number): void {
    if (this.isFifo) this.#locks.lock(groupHash)
    const messages = Array.from({ length: count }, (_, index) => freeMessage(offset + index, attempts, groupHash))
    if (fate === 'dead') for (const message of messages) this.#waiting.bury(message)
    else if (fate === 'held') for (const message of messages) this.#waiting.hold(message)
    else if (attempts >= this.#deps.config().attemptCountMax) for (const message of messages) this.#waiting.exhaust(message)
    else if (visibleMs <= nowMs) for (const message of messages) this.#free.add(message)
    else this.#waiting.retry(messages, Math.min(visibleMs - nowMs, delayMs))
  }
}
