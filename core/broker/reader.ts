// Reading by position, without a group's progress: BROADCASTING members, which get every message of a topic, and pulls,
// which ask for some of one queue. The reader's place is its own business; the broker only serves from it.

import { PocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import type { MessageFilter } from '../filter/message-filter.ts'
import type { Position } from '../model/position.ts'
import type { Clock } from '../ports/clock.ts'
import type { QueuePosition } from '../protocol/frames.ts'
import { type RecordBatch, selectFromRecord } from '../record/record-batch.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type {
  Answer, Cancellable, MemberSink, Membership, PullRequest, PullResult, RangeFailure, SubscribeRequest,
} from './door.ts'
import { LogCursor } from './log-cursor.ts'
import { RateMeter } from './rate-meter.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers, Wait } from './timers.ts'
import type { Turn } from './turn.ts'

/** Records of one queue and reader in one turn, before others have theirs. */
const recordsPerTurnMax = 256
/** A reader whose filter takes nothing is told where it stands at least every so many messages. */
const silentProgressMax = 10_000

export interface ReaderDeps {
  readonly limits: Limits
  readonly turn: Turn
  readonly timers: Timers
  readonly clock: Clock
  /** Whether the topic is relaxed now. */
  readonly isRelaxed: () => boolean
  readonly wake: (reader: Reader) => void
  readonly counters: BrokerCounters
  readonly readFailed: (error: Error) => void
  /** The reader is over and can be forgotten. */
  readonly left: (reader: Reader) => void
}

export interface BroadcastDeps extends ReaderDeps {
  /** The member says where it stands, and may. */
  readonly keepPositions: (positions: readonly QueuePosition[]) => void
  readonly isPaused: () => boolean
}

/** Something that reads a topic's logs and is asked to go on when there is more. */
export interface Reader {
  /** Sends what there is and may be sent. */
  dispatch(): void
  /** The topic is gone. */
  revoke(reason: PocketError): void
}

interface ReaderQueue {
  readonly cursor: LogCursor
  /** Where it began, or was moved to: nothing below is its place any more. */
  startOffset: number
  offset: number
  /** Messages passed over by the filter since the client was last told where it stands. */
  silentCount: number
}

export class BroadcastMember implements Reader {
  readonly request: SubscribeRequest
  readonly membership: Membership
  /** Delivered to this member. */
  messagesOut = 0
  bytesOut = 0
  readonly #delivered: RateMeter
  readonly #deps: BroadcastDeps
  readonly #filter: MessageFilter
  readonly #sink: MemberSink
  readonly #queues: readonly ReaderQueue[]
  #creditMessageCount = 0
  #creditByteCount = 0
  /** Delivered in this turn: what the socket will be given before it can say that it is full. */
  #turnByteCount = 0
  #left = false
  #queueTurn = 0

  constructor(
    request: SubscribeRequest, filter: MessageFilter, sink: MemberSink, starts: readonly { log: QueueLog; offset: number }[],
    deps: BroadcastDeps,
  ) {
    this.request = request
    this.#deps = deps
    this.#filter = filter
    this.#sink = sink
    const wake = () => deps.wake(this)
    this.#delivered = new RateMeter(deps.clock.monotonic())
    this.#queues = starts.map(({ log, offset }) => ({
      cursor: new LogCursor(log, deps.limits.readChunkBytes, wake, deps.readFailed),
      startOffset: offset,
      offset,
      silentCount: 0,
    }))
    this.membership = this.#createMembership()
  }

  announceGap(queueId: number, expected: Position, next: Position): void {
    this.#deps.counters.gaps++
    this.#deps.turn.after(() => this.#sink.gap(queueId, expected, next), this.#deps.isRelaxed())
  }

  /** In thousandths of a message per second. */
  get deliveredPerSecond(): number {
    return this.#delivered.perSecondThousandths(this.#deps.clock.monotonic())
  }

  /** The group's configuration has changed. */
  configured(): void {
    this.#deps.wake(this)
  }

  /** Moves the reader in a queue, and tells: what was delivered of it is void. */
  reset(queueId: number, offset: number): void {
    const queue = this.#queues[queueId]
    if (queue === undefined || this.#left) return
    queue.startOffset = offset
    queue.offset = offset
    queue.silentCount = 0
    this.announceReset(queueId, queue.cursor.log.position(offset))
    this.#deps.wake(this)
  }

  announceReset(queueId: number, position: Position): void {
    this.#deps.turn.after(() => this.#sink.reset(queueId, position))
  }

  dispatch(): void {
    if (this.#left || this.#deps.isPaused()) return
    this.#turnByteCount = 0
    const before = this.messagesOut
    const first = this.#queueTurn++
    for (let step = 0; step < this.#queues.length; step++) {
      this.#dispatchQueue(this.#queues[(first + step) % this.#queues.length] as ReaderQueue)
    }
    if (this.messagesOut > before) this.#delivered.add(this.messagesOut - before, this.#deps.clock.monotonic())
  }

  #dispatchQueue(queue: ReaderQueue): void {
    const { log } = queue.cursor
    for (let count = 0; count < recordsPerTurnMax; count++) {
      if (this.#creditMessageCount <= 0 || this.#creditByteCount <= 0 || !this.#sink.isWritable) return
      if (this.#turnByteCount >= this.#deps.limits.sendBufferBytesMax) break
      const view = queue.cursor.look(queue.offset)
      if (view.kind === 'gap') {
        this.announceGap(log.queueId, log.position(queue.offset), log.position(view.next))
        queue.offset = view.next
      } else if (view.kind === 'record') {
        this.#deliver(queue, view.record)
      } else {
        if (view.kind === 'end') queue.offset = view.next
        return
      }
    }
    this.#deps.wake(this)
  }

  #deliver(queue: ReaderQueue, record: RecordBatch): void {
    const { clock, counters } = this.#deps
    const expiryMs = record.hasTtl ? clock.now() : 0
    const part = partFrom(record, queue.offset, this.#filter, expiryMs, this.#creditMessageCount, this.#creditByteCount)
    counters.expiredUnreadMessages += part.expiredCount
    queue.silentCount = part.messageCount > 0 ? 0 : queue.silentCount + part.next - queue.offset
    queue.offset = part.next
    if (part.messageCount === 0 && queue.silentCount < silentProgressMax) return
    queue.silentCount = 0
    const { log } = queue.cursor
    const delivery = {
      queueId: log.queueId,
      leaseId: 0,
      attempt: 0,
      leaseMs: 0,
      next: log.position(part.next),
      record: part.bytes,
      messageCount: part.messageCount,
    }
    this.#creditMessageCount -= part.messageCount
    this.#creditByteCount -= part.bytes.length
    this.#turnByteCount += part.bytes.length
    this.#deps.turn.after(() => this.#sink.deliver(delivery), this.#deps.isRelaxed())
    this.messagesOut += part.messageCount
    this.bytesOut += part.bytes.length
    counters.messagesOut += part.messageCount
    counters.bytesOut += part.bytes.length
  }

  revoke(reason: PocketError): void {
    if (this.#left) return
    this.#leave()
    this.#deps.turn.after(() => this.#sink.revoked(reason))
  }

  /**
   * Only a place among what it was delivered since it began or was moved is taken down: what a client said before it
   * heard of a reset would undo that.
   */
  #takePositions(positions: readonly QueuePosition[]): void {
    if (this.#left) return
    const taken = positions.filter(({ queueId, position: { epoch, offset } }) => {
      const queue = this.#queues[queueId]
      return queue !== undefined && epoch === queue.cursor.log.epoch && offset >= queue.startOffset && offset <= queue.offset
    })
    if (taken.length > 0) this.#deps.keepPositions(taken)
  }

  #leave(): void {
    if (this.#left) return
    this.#left = true
    this.#deps.left(this)
  }

  #createMembership(): Membership {
    const { turn } = this.#deps
    const nothingLeased = (ranges: readonly unknown[], answer: Answer<readonly RangeFailure[]>) => {
      const error = new PocketError('RECEIPT_STALE', 'a BROADCASTING member holds no leases')
      turn.after(() => answer(ranges.map((_, index) => ({ index, error }))))
    }
    return {
      credit: (messageCount, byteCount) => {
        this.#creditMessageCount += messageCount
        this.#creditByteCount += byteCount
        this.#deps.wake(this)
      },
      writable: () => this.#deps.wake(this),
      ack: nothingLeased,
      retry: (ranges, _how, _delayMs, answer) => nothingLeased(ranges, answer),
      extend: (ranges, _leaseMs, answer) => nothingLeased(ranges, answer),
      receive: (_request, answer) =>
        turn.after(() => answer(new PocketError('BAD_ARGUMENT', 'a BROADCASTING member cannot receive; it is delivered to'))),
      positions: (positions) => this.#takePositions(positions),
      leave: (answer) => {
        this.#leave()
        turn.after(() => answer(undefined))
      },
      detach: () => this.#leave(),
    }
  }
}

/** One pull: answered with what there is, or when something comes, or empty when its time is over. */
export class Pull implements Reader, Cancellable {
  readonly #deps: ReaderDeps
  readonly #request: PullRequest
  readonly #filter: MessageFilter
  readonly #answer: Answer<PullResult>
  readonly #cursor: LogCursor
  readonly #wait: Wait | undefined
  /** Where reading really began. */
  #from: number
  #offset: number
  readonly #byteCountMax: number
  #done = false
  readonly #records: Uint8Array[] = []
  #messageCount = 0
  #byteCount = 0

  constructor(
    log: QueueLog, offset: number, filter: MessageFilter, request: PullRequest, answer: Answer<PullResult>, deps: ReaderDeps,
  ) {
    this.#deps = deps
    this.#request = request
    this.#filter = filter
    this.#answer = answer
    this.#from = offset
    this.#offset = offset
    this.#byteCountMax = Math.min(request.byteCountMax, Math.floor(deps.limits.frameBytesMax / 2))
    // No more than can be answered: what is read beyond it would be read again by the next pull.
    const chunkBytes = Math.min(deps.limits.readChunkBytes, this.#byteCountMax)
    this.#cursor = new LogCursor(log, chunkBytes, () => deps.wake(this), (error) => {
      this.#finish(new PocketError('STORE_FAILED', 'the store cannot be read', { cause: error }))
      deps.readFailed(error)
    })
    const waitMs = Math.min(request.waitMs, deps.limits.waitMsMax)
    if (waitMs > 0) this.#wait = deps.timers.at(deps.clock.monotonic() + waitMs, () => this.#finish())
    deps.wake(this)
  }

  dispatch(): void {
    const byteCountMax = this.#byteCountMax
    const messageCountMax = Math.min(this.#request.messageCountMax, fixedLimits.batchMessageCountMax)
    for (let looked = 0; !this.#done; looked++) {
      // A filter may pass over everything there is in memory; others have their turn in between.
      if (looked >= recordsPerTurnMax) return this.#deps.wake(this)
      if (this.#messageCount >= messageCountMax || this.#byteCount >= byteCountMax) return this.#finish()
      const view = this.#cursor.look(this.#offset)
      if (view.kind === 'waiting') return
      if (view.kind === 'end') {
        this.#offset = view.next
        if (this.#messageCount > 0 || this.#request.waitMs === 0) this.#finish()
        return
      }
      if (view.kind === 'gap') {
        // What was found before the gap goes out first; the next pull starts at the gap and is told of it.
        if (this.#messageCount > 0) return this.#finish()
        this.#from = view.next
        this.#offset = view.next
        continue
      }
      this.#take(view.record, messageCountMax - this.#messageCount, byteCountMax - this.#byteCount)
    }
  }

  #take(record: RecordBatch, messageCountMax: number, byteCountMax: number): void {
    const { clock, counters } = this.#deps
    const expiryMs = record.hasTtl ? clock.now() : 0
    const part = partFrom(record, this.#offset, this.#filter, expiryMs, messageCountMax, byteCountMax)
    counters.expiredUnreadMessages += part.expiredCount
    this.#offset = part.next
    if (part.messageCount === 0) return
    this.#records.push(part.bytes)
    this.#messageCount += part.messageCount
    this.#byteCount += part.bytes.length
  }

  cancel(): void {
    if (this.#done) return
    this.#done = true
    this.#deps.timers.cancel(this.#wait)
    this.#deps.left(this)
  }

  revoke(reason: PocketError): void {
    this.#finish(reason)
  }

  #finish(error?: PocketError): void {
    if (this.#done) return
    this.cancel()
    const { log } = this.#cursor
    const result = error ?? {
      from: log.position(this.#from),
      next: log.position(this.#offset),
      minOffset: log.minOffset,
      maxOffset: log.maxOffset,
      records: this.#records,
    }
    this.#deps.counters.messagesOut += this.#messageCount
    this.#deps.counters.bytesOut += this.#byteCount
    this.#deps.turn.after(() => this.#answer(result), this.#deps.isRelaxed())
  }
}

const noBytes = new Uint8Array(0)

/** What a reader at `offset` gets of a record. */
interface RecordPart {
  readonly bytes: Uint8Array
  readonly messageCount: number
  /** Messages that would have passed in time. */
  readonly expiredCount: number
  /** The offset to go on from. */
  readonly next: number
}

/**
 * Messages of `record` from `offset` on that pass and are not over at `expiryMs` (0: none has a time to live), within the
 * bounds, but at least one. A reader that takes all of a record gets its bytes as they are, so that a thousand readers
 * share one copy.
 */
function partFrom(
  record: RecordBatch, offset: number, filter: MessageFilter, expiryMs: number, messageCountMax: number, byteCountMax: number,
): RecordPart {
  let index = record.indexFrom(offset)
  const passAll = filter.passesAll
  const fits = record.messageCount <= messageCountMax && record.bytes.length <= byteCountMax
  if (passAll && index === 0 && fits && expiryMs === 0) {
    return { bytes: record.bytes, messageCount: record.messageCount, expiredCount: 0, next: record.lastOffset + 1 }
  }
  const indexes: number[] = []
  let byteCount = 0
  let expiredCount = 0
  for (; index < record.messageCount && indexes.length < messageCountMax; index++) {
    if (!passAll && !filter.accepts(record, index)) continue
    if (expiryMs > 0 && record.isExpiredAt(index, expiryMs)) {
      expiredCount++
      continue
    }
    if (indexes.length > 0 && byteCount >= byteCountMax) break
    byteCount += record.messageEnd(index) - record.messageStart(index)
    indexes.push(index)
  }
  return {
    bytes: indexes.length === 0 ? noBytes : selectFromRecord(record, indexes),
    messageCount: indexes.length,
    expiredCount,
    next: index < record.messageCount ? record.offsetAt(index) : record.lastOffset + 1,
  }
}
