// How transactions ended, for a while: an END that is sent again gets the same answer, and a PREPARE that comes too late
// is not taken for a new transaction. What ended in one turn is stored as one entry, in the order of time; entries go
// from the oldest on, by their time or as there are too many. Where messages went is in the store alone.

import type { Limits } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import {
  encodeEnded, type EndedAs, type EndedTransaction, readEnded, type RecoveredEnded,
} from '../storage/half-messages.ts'
import { endedTransactionsKey } from '../storage/keys.ts'
import type { Timers } from './timers.ts'
import { transactionKeyOf } from './transaction.ts'
import type { Turn } from './turn.ts'

/** One entry holds no more. */
const entryCountMax = 1_024
const entrySegmentCountMax = 16_384
/** What is over may stay so much longer, so that not every turn of the past costs one of its own. */
const expireMs = 1_000

export interface EndedTransactionsDeps {
  readonly store: Store
  readonly clock: Clock
  readonly limits: Limits
  readonly timers: Timers
  readonly turn: Turn
  readonly readFailed: (error: Error) => void
}

/** Transactions that are remembered and forgotten together. */
interface Entry {
  readonly number: number
  /** Monotonic. */
  readonly untilMs: number
  readonly keys: readonly string[]
}

/** How transactions ended: one for all of an entry that ended alike. */
interface Ending {
  readonly endedAs: EndedAs
  readonly producerGroup: string
  /** Of their entry. */
  readonly number: number
}

/** An entry that is not sealed. */
interface OpenEntry {
  readonly number: number
  readonly keys: string[]
  readonly transactions: EndedTransaction[]
  segmentCount: number
  ending: Ending
}

export class EndedTransactions {
  readonly #deps: EndedTransactionsDeps
  readonly #endings = new Map<string, Ending>()
  /** The oldest first. */
  readonly #entries = new Set<Entry>()
  /** Of this turn. */
  #fresh: OpenEntry[] = []
  #numberNext = 0
  #isExpiring = false

  constructor(deps: EndedTransactionsDeps) {
    this.#deps = deps
  }

  /** Takes over what a store held. */
  restore(ended: readonly RecoveredEnded[], numberNext: number): void {
    const { clock, limits: { transactionRetentionMs } } = this.#deps
    const nowMs = clock.now()
    this.#numberNext = numberNext
    for (const { number, endedMs, transactions } of ended) {
      // Never longer than was meant: the wall clock may have gone back since.
      const leftMs = Math.min(Math.max(0, endedMs + transactionRetentionMs - nowMs), transactionRetentionMs)
      const keys = transactions.map(({ transactionId }) => transactionKeyOf(transactionId))
      transactions.forEach(({ endedAs, producerGroup }, index) => {
        this.#endings.set(keys[index] as string, { endedAs, producerGroup, number })
      })
      this.#entries.add({ number, untilMs: clock.monotonic() + leftMs, keys })
    }
    const writes: StoreWrite[] = []
    this.#shrink(writes)
    for (const { key } of writes) this.#deps.turn.write(key, null)
    this.#expireLater()
  }

  /** How a transaction ended; undefined where that is not known. */
  find(key: string): Readonly<Ending> | undefined {
    return this.#endings.get(key)
  }

  /** Remembers how a transaction ended, with this turn's commit. */
  add(key: string, ended: EndedTransaction): void {
    const { endedAs, producerGroup, segments, scheduled } = ended
    let entry = this.#fresh.at(-1)
    if (entry === undefined || entry.keys.length >= entryCountMax || entry.segmentCount >= entrySegmentCountMax) {
      const number = this.#numberNext++
      entry = { number, keys: [], transactions: [], segmentCount: 0, ending: { endedAs, producerGroup, number } }
      this.#fresh.push(entry)
    }
    const { number, ending } = entry
    if (ending.endedAs !== endedAs || ending.producerGroup !== producerGroup) entry.ending = { endedAs, producerGroup, number }
    entry.keys.push(key)
    entry.transactions.push(ended)
    entry.segmentCount += segments.length + scheduled.length
    this.#endings.set(key, entry.ending)
    this.#deps.turn.touch()
  }

  /** Reads where the messages of a transaction went whose end is durable; undefined where that is not known any more. */
  read(key: string, answer: (ended: EndedTransaction | undefined) => void): void {
    const ending = this.#endings.get(key)
    if (ending === undefined) return answer(undefined)
    readEnded(this.#deps.store, ending.number, (outcome) => {
      if (outcome instanceof Error) return this.#deps.readFailed(outcome)
      answer(outcome?.find(({ transactionId }) => transactionKeyOf(transactionId) === key))
    })
  }

  /** Adds what ended in this turn to its writes. */
  seal(nowMs: number, writes: StoreWrite[]): void {
    if (this.#fresh.length === 0) return
    const { clock, limits } = this.#deps
    const untilMs = clock.monotonic() + limits.transactionRetentionMs
    for (const { number, keys, transactions } of this.#fresh) {
      writes.push({ key: endedTransactionsKey(number), value: encodeEnded(nowMs, transactions) })
      this.#entries.add({ number, untilMs, keys })
    }
    this.#fresh = []
    this.#shrink(writes)
    this.#expireLater()
  }

  /** Forgets the oldest while there are too many. */
  #shrink(writes: StoreWrite[]): void {
    for (const entry of this.#entries) {
      if (this.#endings.size <= this.#deps.limits.transactionsEndedMax) return
      this.#forget(entry, writes)
    }
  }

  #forget(entry: Entry, writes: StoreWrite[]): void {
    this.#entries.delete(entry)
    for (const key of entry.keys) this.#endings.delete(key)
    writes.push({ key: endedTransactionsKey(entry.number), value: null })
  }

  #expireLater(): void {
    const { timers } = this.#deps
    const oldest = this.#entries.values().next().value
    if (oldest === undefined || this.#isExpiring) return
    this.#isExpiring = true
    timers.at(oldest.untilMs + expireMs, () => {
      this.#isExpiring = false
      this.#expire()
    })
  }

  #expire(): void {
    const { clock, turn } = this.#deps
    const writes: StoreWrite[] = []
    for (const entry of this.#entries) {
      if (entry.untilMs > clock.monotonic()) break
      this.#forget(entry, writes)
    }
    for (const { key } of writes) turn.write(key, null)
    this.#expireLater()
  }
}
