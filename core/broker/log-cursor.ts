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
  /** Offsets below this and not in `#ahead` were looked for in the store and are not there. */
  #searchedFrom = 0
  #searchedTo = 0
  #reading = false

  constructor(log: QueueLog, chunkBytes: number, ready: () => void, failed: (error: Error) => void) {
    this.log = log
    this.#chunkBytes = chunkBytes
    this.#ready = ready
    this.#failed = failed
  }

  /** What stands at `offset`. */
  look(offset: number): LogView {
    const log = this.log
    if (offset >= log.maxOffset) return end
    if (offset < log.minOffset) return { kind: 'gap', next: log.minOffset }
    const inMemory = log.recordInMemory(offset)
    if (inMemory !== undefined) {
      this.#ahead = none
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

  #read(offset: number): void {
    if (this.#reading) return
    this.#reading = true
    const maxOffset = this.log.maxOffset
    this.log.readStored(offset, this.#chunkBytes, (result) => {
      this.#reading = false
      if (result instanceof Error) {
        this.#failed(result)
        return
      }
      this.#ahead = result.records
      this.#aheadIndex = 0
      this.#searchedFrom = offset
      this.#searchedTo = result.atEnd ? maxOffset : result.through + 1
      this.#ready()
    })
  }
}
