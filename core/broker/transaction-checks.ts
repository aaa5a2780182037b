// Checks: a producer group is asked what became of a transaction that has been silent for a while, any live producer of
// it in turn. It knows when to ask whom, and how fast; what an answer does is not its business.
//
//   scheduled ── time ──> due ── a producer takes it ──> scheduled ── … ── after the last ──> given up
//                          └── nobody is there, or has room: it stays due ── too old ──────────────┘

import type { Limits } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'
import { MessageScanner } from '../record/message-codec.ts'
import { encodeRecordBatch } from '../record/record-batch.ts'
import type { HalfMessages } from '../storage/half-messages.ts'
import type { Cancellable, ProducerSink, TransactionCheck } from './door.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers } from './timers.ts'
import type { Transaction } from './transaction.ts'
import type { Turn } from './turn.ts'

/** Transactions of one group that are asked about at once, and about so many bytes of them; then there is a pause. */
export const checkBurstCount = 64
const burstBytes = 1 << 20
const burstPauseMs = 50
/** The pause after which those are asked again who had no room. */
const refusedPauseMs = 1_000

export interface TransactionChecksDeps {
  readonly clock: Clock
  readonly limits: Limits
  readonly timers: Timers
  readonly turn: Turn
  readonly counters: BrokerCounters
  /** Calls `use` with all messages of a transaction, at once where they are in memory; never where they are damaged. */
  readonly withParts: (transaction: Transaction, use: (parts: readonly HalfMessages[]) => void) => void
  /** A producer was asked: the state of the transaction is to be stored. */
  readonly asked: (transaction: Transaction, parts: readonly HalfMessages[]) => void
  /** Nobody has said what became of it. */
  readonly giveUp: (transaction: Transaction) => void
}

interface ProducerGroup {
  readonly name: string
  readonly producers: ProducerSink[]
  /** Who is asked next. */
  turn: number
  /** Transactions that are not ended. */
  openCount: number
  /** Those to ask about, the longest due first. */
  readonly due: Set<Transaction>
  /** Somebody is being asked, or has just been. */
  isAsking: boolean
  /** Whoever was asked last had no room. */
  isRefused: boolean
  pause: ReturnType<Timers['at']> | undefined
}

export class TransactionChecks {
  readonly #deps: TransactionChecksDeps
  readonly #groups = new Map<string, ProducerGroup>()
  readonly #scanner: MessageScanner

  constructor(deps: TransactionChecksDeps) {
    this.#deps = deps
    this.#scanner = new MessageScanner(deps.limits, 'stored')
  }

  // ── transactions ──────────────────────────────────────────────────────────────────────────────────────────────

  /** A transaction began, or was found at opening. */
  opened({ producerGroup }: Transaction): void {
    this.#group(producerGroup).openCount++
  }

  /** It has ended. */
  closed(transaction: Transaction): void {
    this.cancel(transaction)
    const group = this.#group(transaction.producerGroup)
    group.openCount--
    this.#dropIfIdle(group)
  }

  /** Asks about it so much later, and not before. */
  schedule(transaction: Transaction, waitMs: number): void {
    transaction.checkWaitMs = waitMs
    transaction.nextCheckMs = this.#deps.clock.now() + waitMs
    this.#arm(transaction, waitMs)
  }

  /** Asks about it as was planned before a restart. */
  resume(transaction: Transaction): void {
    const { nextCheckMs, checkWaitMs } = transaction
    // Never later than was meant: the wall clock may have gone back since.
    this.#arm(transaction, Math.min(Math.max(0, nextCheckMs - this.#deps.clock.now()), checkWaitMs))
  }

  /** Asks no more about it until it is scheduled again. */
  cancel(transaction: Transaction): void {
    transaction.checkRound++
    this.#deps.timers.cancel(transaction.wait)
    transaction.wait = undefined
    this.#groups.get(transaction.producerGroup)?.due.delete(transaction)
  }

  #arm(transaction: Transaction, waitMs: number): void {
    const { clock, timers } = this.#deps
    this.cancel(transaction)
    const atMs = Math.min(clock.monotonic() + waitMs, transaction.untilMs)
    transaction.wait = timers.at(atMs, () => this.#fire(transaction))
  }

  #fire(transaction: Transaction): void {
    const { clock, limits, timers, giveUp } = this.#deps
    transaction.wait = undefined
    if (clock.monotonic() >= transaction.untilMs || transaction.checkCount >= limits.transactionCheckCountMax) {
      this.cancel(transaction)
      return giveUp(transaction)
    }
    // While nobody can be asked, its age still counts.
    transaction.wait = timers.at(transaction.untilMs, () => this.#fire(transaction))
    const group = this.#group(transaction.producerGroup)
    group.due.add(transaction)
    this.#ask(group)
  }

  // ── producers ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Checks that are due come soon after, never before this returns. */
  register(producerGroup: string, sink: ProducerSink): Cancellable {
    const group = this.#group(producerGroup)
    group.producers.push(sink)
    // It may have the room that others had not.
    if (group.pause !== undefined) this.#endPause(group)
    this.#ask(group)
    let isCancelled = false
    return {
      cancel: () => {
        if (isCancelled) return
        isCancelled = true
        group.producers.splice(group.producers.indexOf(sink), 1)
        this.#dropIfIdle(group)
      },
    }
  }

  #group(name: string): ProducerGroup {
    const known = this.#groups.get(name)
    if (known !== undefined) return known
    const group = {
      name, producers: [], turn: 0, openCount: 0, due: new Set<Transaction>(), isAsking: false, isRefused: false,
      pause: undefined,
    }
    this.#groups.set(name, group)
    return group
  }

  #dropIfIdle(group: ProducerGroup): void {
    if (group.openCount > 0 || group.producers.length > 0) return
    this.#deps.timers.cancel(group.pause)
    this.#groups.delete(group.name)
  }

  // ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────

  #ask(group: ProducerGroup): void {
    if (group.isAsking || group.due.size === 0 || group.producers.length === 0) return
    group.isAsking = true
    // Once everything is durable that the check shows.
    this.#deps.turn.after(() => this.#askSome(group))
  }

  #askSome(group: ProducerGroup): void {
    const { clock, timers, turn, withParts } = this.#deps
    for (const transaction of burstOf(group.due)) {
      group.due.delete(transaction)
      const round = ++transaction.checkRound
      let isNow = true
      withParts(transaction, (parts) => {
        const hand = () => {
          if (transaction.checkRound === round) this.#handOver(group, transaction, parts)
        }
        // Within the effects of a turn, so that it is sent with them.
        if (isNow) hand()
        else turn.after(hand)
      })
      isNow = false
    }
    group.pause = timers.at(clock.monotonic() + burstPauseMs, () => {
      if (!group.isRefused) return this.#endPause(group)
      group.pause = timers.at(clock.monotonic() + refusedPauseMs, () => this.#endPause(group))
    })
  }

  #endPause(group: ProducerGroup): void {
    this.#deps.timers.cancel(group.pause)
    group.pause = undefined
    group.isAsking = false
    group.isRefused = false
    this.#ask(group)
  }

  /** To the next producer in turn that takes it. */
  #handOver(group: ProducerGroup, transaction: Transaction, parts: readonly HalfMessages[]): void {
    const { counters, limits, asked } = this.#deps
    // One that is asked may leave, with others of its connection.
    const producers = [...group.producers]
    if (producers.length > 0) {
      const check = this.#checkOf(transaction, parts)
      const round = transaction.checkRound
      for (let index = 0; index < producers.length; index++) {
        const at = (group.turn + index) % producers.length
        if (!(producers[at] as ProducerSink).check(check)) continue
        group.turn = at + 1
        group.isRefused = false
        counters.transactionChecks++
        transaction.checkCount++
        // The answer may have come within the call.
        if (transaction.checkRound !== round) return
        this.schedule(transaction, limits.transactionCheckMs)
        return asked(transaction, parts)
      }
      group.isRefused = true
    }
    group.due.add(transaction)
  }

  #checkOf(transaction: Transaction, parts: readonly HalfMessages[]): TransactionCheck {
    const { transactionId, producerGroup, checkCount, preparedMs } = transaction
    return {
      transactionId,
      producerGroup,
      checkCount: checkCount + 1,
      preparedMs,
      messages: parts.map((part) => ({ topic: part.target.topic, record: this.#recordOf(transaction, part) })),
    }
  }

  /** Messages of a part as a record, though they are in no queue: offsets are their sequences. */
  #recordOf({ transactionId, preparedMs }: Transaction, part: HalfMessages): Uint8Array {
    const { baseSequence, messageCount, messages } = part
    const scanner = this.#scanner
    const starts: number[] = []
    const ends: number[] = []
    const tagHashes: number[] = []
    scanner.reset(messages, 0, messages.length)
    for (let index = 0; index < messageCount; index++) {
      scanner.next()
      starts.push(scanner.start)
      ends.push(scanner.end)
      tagHashes.push(scanner.tagHash)
    }
    return encodeRecordBatch({ epoch: 0, baseOffset: baseSequence, storedMs: preparedMs }, [{
      producerId: transactionId,
      producerEpoch: 0,
      baseSequence,
      batchCount: messageCount,
      source: messages,
      starts, ends, tagHashes,
      groupHashes: undefined,
      ttls: undefined,
    }])
  }
}

/** The transactions that are asked about at once. */
function burstOf(due: ReadonlySet<Transaction>): Transaction[] {
  const burst: Transaction[] = []
  let byteCount = 0
  for (const transaction of due) {
    byteCount += transaction.byteCount
    if (burst.length >= checkBurstCount || (burst.length > 0 && byteCount > burstBytes)) break
    burst.push(transaction)
  }
  return burst
}
