// Changing records at rest: one at a time per log, so that what one has read none other changes before it is done. For
// retention, compaction and moved dead letters.

import type { StoreWrite } from '../ports/store.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { Turn } from './turn.ts'

/** A record, and the indexes of those of its messages that stay, ascending. */
export interface Rewrite {
  readonly record: RecordBatch
  readonly kept: readonly number[]
  /** Behind the record before it. It counts only where nothing is kept of the log's newest. */
  readonly previousEnd: number
}

/** Where a log is to begin, beside the rewriting of what lies before it. */
export interface Trim {
  readonly to: number
  /** Damaged records before it, and their bytes. */
  readonly damagedKeys: readonly Uint8Array[]
  readonly damagedBytes: number
}

export class Rewriting {
  readonly #turn: Turn
  /** Ends of the work that came last, by log. */
  readonly #lasts = new Map<QueueLog, Promise<void>>()

  constructor(turn: Turn) {
    this.#turn = turn
  }

  /** Runs `work` when all that was asked for before on this log is done. */
  async exclusively<T>(log: QueueLog, work: () => Promise<T>): Promise<T> {
    const before = this.#lasts.get(log)
    let end = (): void => {}
    const last = new Promise<void>((resolve) => (end = resolve))
    this.#lasts.set(log, last)
    await before
    try {
      return await work()
    } finally {
      if (this.#lasts.get(log) === last) this.#lasts.delete(log)
      end()
    }
  }

  /** Rewrites records of a log with this turn's commit, and trims it, where that is asked. Gives how many messages went. */
  apply(log: QueueLog, rewrites: readonly Rewrite[], trim?: Trim): number {
    const writes: StoreWrite[] = []
    let removedCount = 0
    // From the newest on, as each may end the log where the one before it ends.
    for (const { record, kept, previousEnd } of rewrites.toSorted((a, b) => b.record.lastOffset - a.record.lastOffset)) {
      log.rewrite(record, kept, previousEnd, writes)
      removedCount += record.messageCount - kept.length
    }
    if (trim !== undefined) {
      for (const key of trim.damagedKeys) writes.push({ key, value: null })
      log.trim(trim.to - 1, 0, trim.damagedBytes)
    }
    log.writeState(writes)
    for (const { key, value } of writes) this.#turn.write(key, value)
    this.#turn.after(() => log.rewritesDurable(rewrites.map(({ record }) => record.lastOffset)))
    return removedCount
  }

  /** Resolves when all that was applied so far is durable; never where the broker stops before. */
  durable(): Promise<void> {
    return new Promise((resolve) => this.#turn.after(resolve))
  }
}
