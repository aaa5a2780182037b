// Reading what nobody reads: all records of all logs, a little with each sweep, round and round, so that damage is found
// while there may still be a copy of what it hit. It changes nothing, and tells each damage once.

import type { Store } from '../ports/store.ts'
import { RecordBatch } from '../record/record-batch.ts'
import { recordRange } from '../storage/keys.ts'
import { lastOffsetOf, type QueueLog } from '../storage/queue-log.ts'
import { readRange } from '../storage/reads.ts'
import type { Registry } from './registry.ts'

/** Read with one sweep: at one in 10 s that is 8 GiB a day. */
const sweepBytes = 1 << 20
/** What a read of the store counts for at least. */
const readBytesMin = 4096
/** Damages remembered, so that they are not told with every round. */
const toldCountMax = 10_000

export interface ScrubDeps {
  readonly store: Store
  readonly registry: Registry
  /** Where among the logs it begins, from 0 to 1: not always the same, as a relay may be started anew often. */
  readonly startAt: number
  readonly damaged: (log: QueueLog, lastOffset: number, cause: unknown) => void
}

export class Scrub {
  readonly #deps: ScrubDeps
  /** Logs of this round that are to be read. */
  #logs: QueueLog[] = []
  /** Where it is in the first of them; undefined at its beginning. */
  #offset: number | undefined
  readonly #told = new Set<string>()

  constructor(deps: ScrubDeps) {
    this.#deps = deps
  }

  /** Reads on. */
  async run(): Promise<void> {
    if (this.#logs.length === 0) this.#newRound()
    for (let leftBytes = sweepBytes; leftBytes > 0;) {
      const log = this.#logs[0]
      // Where there is little, once in a sweep is enough.
      if (log === undefined) return
      const byteCount = log.storedBytes === 0 ? 0 : await this.#check(log, leftBytes)
      if (log.storedBytes > 0) leftBytes -= Math.max(byteCount, readBytesMin)
      if (byteCount > 0) continue
      this.#logs.shift()
      this.#offset = undefined
    }
  }

  #newRound(): void {
    const { registry, startAt } = this.#deps
    const logs = [...registry.topics.values()].flatMap(({ queues }) => queues)
    const first = Math.floor(startAt * logs.length)
    this.#logs = [...logs.slice(first), ...logs.slice(0, first)]
  }

  /** Reads some records of a log; gives their bytes, 0 where there are no more. */
  async #check(log: QueueLog, bytesMax: number): Promise<number> {
    let end = Math.max(this.#offset ?? 0, log.minOffset)
    let byteCount = 0
    const range = { ...recordRange(log.topicId, log.queueId, end), bytesMax, countMax: 1_024 }
    const { registry, store } = this.#deps
    const entries = await readRange(store, range)
    // A topic that was deleted meanwhile goes bit by bit.
    if (registry.topicById(log.topicId) === undefined) return 0
    for (const { key, value } of entries) {
      byteCount += value.length
      const lastOffset = lastOffsetOf(key)
      const flaw = flawOf(value, lastOffset, log.mayHaveHoles ? undefined : end)
      // What retention has deleted meanwhile is nobody's loss.
      if (flaw !== undefined && end >= log.minOffset) this.#tell(log, lastOffset, flaw)
      end = lastOffset + 1
    }
    this.#offset = end
    return byteCount
  }

  #tell(log: QueueLog, lastOffset: number, flaw: unknown): void {
    const name = `${log.topicId}/${log.queueId}/${lastOffset}`
    if (this.#told.has(name) || this.#told.size >= toldCountMax) return
    this.#told.add(name)
    this.#deps.damaged(log, lastOffset, flaw)
  }
}

/** What is wrong with a stored record, or with what lies before it, where that is to begin at `from`. */
function flawOf(value: Uint8Array, lastOffset: number, from: number | undefined): unknown {
  try {
    const record = RecordBatch.open(value)
    if (record.lastOffset !== lastOffset) return new Error('a record does not stand at its own key')
    if (from !== undefined && record.baseOffset > from) return new Error(`messages from offset ${from} on are missing`)
    return undefined
  } catch (cause) {
    return cause
  }
}
