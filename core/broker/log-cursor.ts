// Reading a queue forwards from any offset, whether its records are in memory or only in the store. A cursor holds what
// it has read ahead, and says when it waits for the store or when messages are gone.

import type { RecordBatch } from '../record/record-batch.ts'
import type { QueueLog } from '../storage/queue-log.ts'

/** What stands at an offset. */
export type LogView =
  | { readonly kind: 'record'; readonly record: RecordBatch }
  /** Nothing is written there yet. */
  | { readonly kind: 'end' }
  /** The store was asked; `ready` is called when it has answered. */
  | { readonly kind: 'waiting' }
  /** The messages before `next` are gone: deleted by retention, or damaged. */
  | { readonly kind: 'gap'; readonly next: number }

const end: LogView = { kind: 'end' }
const waiting: LogView = { kind: 'waiting' }
const none: readonly RecordBatch[] = []

export class LogCursor {
  readonly log: QueueLog
  readonly #chunkBytes: number
  /** Called after an answer of the store changed what `look` gives. */
  readonly #ready: () => void
  readonly #failed: (error: Error) => void
  #ahead: readonly RecordBatch[] = none
  #aheadIndex = 0
  /** Offsets from here to there and not in `#ahead` were looked for in the store and are not there. */
  #searchedFrom = 0
  #searchedTo = 0
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
    if (offset < this.#lookedAt) this.#forget()
    this.#lookedAt = offset
    if (offset >= log.maxOffset) {
      this.#forget()
      return end
    }
    if (offset < log.minOffset) return { kind: 'gap', next: log.minOffset }
    const inMemory = log.recordInMemory(offset)
    if (inMemory !== undefined) {
      this.#forget()
      return { kind: 'record', record: inMemory }
    }
    for (; this.#aheadIndex < this.#ahead.length; this.#aheadIndex++) {
      const record = this.#ahead[this.#aheadIndex] as RecordBatch
      if (record.lastOffset < offset) continue
      if (record.baseOffset <= offset) return { kind: 'record', record }
      if (this.#searchedFrom <= offset) return { kind: 'gap', next: record.baseOffset }
      break
    }
    if (offset >= this.#searchedFrom && offset < this.#searchedTo) {
      return { kind: 'gap', next: Math.min(this.#searchedTo, log.nextInMemory(offset)) }
    }
    this.#read(offset)
    return waiting
  }

  /** What was read is not needed, or not known, any more: the next look that needs the store asks it anew. */
  #forget(): void {
    this.#ahead = none
    this.#searchedFrom = 0
    this.#searchedTo = 0
  }

  #read(offset: number): void {
    if (this.#reading) return
    this.#reading = true
    // From there on the store may not have them yet; by the time it answers they may have left the memory.
    const storedTo = this.log.nextInMemory(offset)
    this.log.readStored(offset, this.#chunkBytes, (result) => {
      this.#reading = false
      if (result instanceof Error) {
        this.#failed(result)
        return
      }
      this.#ahead = result.records
      this.#aheadIndex = 0
      this.#searchedFrom = offset
      this.#searchedTo = result.atEnd ? storedTo : result.through + 1
      this.#ready()
    })
  }
}
