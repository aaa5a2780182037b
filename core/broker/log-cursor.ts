// Reading a queue forwards from any offset, whether its records are in memory or only in the store. A cursor holds what
// it has read ahead, and says when it waits for the store or when messages are gone. Where messages are missing by design
// it passes over that in silence; what is damaged it tells there too.

import type { RecordBatch } from '../record/record-batch.ts'
import type { QueueLog } from '../storage/queue-log.ts'

/** What stands at an offset. */
export type LogView =
  /** What the offset lies in, or what comes next, where nothing is missing in between. */
  | { readonly kind: 'record'; readonly record: RecordBatch }
  /** Nothing is written at `next` yet, and nothing is to be read before it. */
  | { readonly kind: 'end'; readonly next: number }
  /** The store was asked; `ready` is called when it has answered. */
  | { readonly kind: 'waiting' }
  /** The messages before `next` are gone: deleted by retention, or damaged. */
  | { readonly kind: 'gap'; readonly next: number }

const waiting: LogView = { kind: 'waiting' }
const none: readonly never[] = []

export class LogCursor {
  readonly log: QueueLog
  readonly #chunkBytes: number
  /** Called after an answer of the store changed what `look` gives. */
  readonly #ready: () => void
  readonly #failed: (error: Error) => void
  #ahead: readonly RecordBatch[] = none
  #aheadIndex = 0
  /** Last offsets of the damaged records between them. */
  #damaged: readonly number[] = none
  /** Offsets from here to there and not in `#ahead` were looked for in the store and are not there. */
  #searchedFrom = 0
  #searchedTo = 0
  /** The log's count of rewritten records, of which none since is among those searched. */
  #rewriteCount = 0
  /** Where the last look was: what lies before it in `#ahead` is passed. */
  #lookedAt = 0
  #reading = false

  constructor(log: QueueLog, chunkBytes: number, ready: () => void, failed: (error: Error) => void) {
    this.log = log
    this.#chunkBytes = chunkBytes
    this.#ready = ready
    this.#failed = failed
  }

  /** Whether the store was asked and has not answered. */
  get isReading(): boolean {
    return this.#reading
  }

  /** What stands at `offset`. */
  look(offset: number): LogView {
    const log = this.log
    if (offset < this.#lookedAt || this.#isOutdated) this.#forget()
    this.#lookedAt = offset
    if (offset < log.minOffset && offset < log.maxOffset) return { kind: 'gap', next: log.minOffset }
    for (let at = offset; ;) {
      if (at >= log.maxOffset) {
        this.#forget()
        return { kind: 'end', next: at }
      }
      const inMemory = log.recordFromInMemory(at)
      if (inMemory !== undefined) {
        if (at === offset) this.#forget()
        return { kind: 'record', record: inMemory }
      }
      const record = this.#recordAhead(at)
      if (record !== undefined) return { kind: 'record', record }
      if (at < this.#searchedFrom || at >= this.#searchedTo) {
        this.#read(offset, at)
        return waiting
      }
      // Nothing stands there: whether that is a loss is the log's to say.
      const next = this.#ahead[this.#aheadIndex]?.baseOffset ?? Math.min(this.#searchedTo, log.nextInMemory(at))
      if (!log.mayHaveHoles) return { kind: 'gap', next }
      const damaged = this.#damaged.find((lastOffset) => lastOffset >= at && lastOffset < next)
      if (damaged !== undefined) return { kind: 'gap', next: damaged + 1 }
      at = next
    }
  }

  /** Whether something of what was read was rewritten since. */
  get #isOutdated(): boolean {
    const { log } = this
    if (log.rewriteCount === this.#rewriteCount) return false
    const since = this.#rewriteCount
    this.#rewriteCount = log.rewriteCount
    return log.wasRewritten(since, this.#searchedFrom, this.#searchedTo)
  }

  #recordAhead(offset: number): RecordBatch | undefined {
    for (; this.#aheadIndex < this.#ahead.length; this.#aheadIndex++) {
      const record = this.#ahead[this.#aheadIndex] as RecordBatch
      if (record.lastOffset < offset) continue
      return record.baseOffset <= offset ? record : undefined
    }
    return undefined
  }

  /** What was read is not needed, or not known, any more: the next look that needs the store asks it anew. */
  #forget(): void {
    this.#ahead = none
    this.#aheadIndex = 0
    this.#damaged = none
    this.#searchedFrom = 0
    this.#searchedTo = 0
  }

  /** Asks the store for what is at `at` and behind it; from `offset` to there is known to be nothing. */
  #read(offset: number, at: number): void {
    if (this.#reading) return
    this.#reading = true
    // From there on the store may not have them yet; by the time it answers they may have left the memory.
    const { log } = this
    const storedTo = log.nextInMemory(at)
    const { rewriteCount } = log
    log.readStored(at, this.#chunkBytes, (result) => {
      this.#reading = false
      if (result instanceof Error) {
        this.#failed(result)
        return
      }
      const searchedTo = result.atEnd ? storedTo : result.through + 1
      if (log.wasRewritten(rewriteCount, at, searchedTo)) return this.#read(offset, at)
      this.#rewriteCount = log.rewriteCount
      this.#ahead = result.records
      this.#aheadIndex = 0
      this.#damaged = result.damaged
      this.#searchedFrom = offset
      this.#searchedTo = searchedTo
      this.#ready()
    })
  }
}
