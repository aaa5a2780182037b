// When the oldest message was stored that a group has not consumed in a queue. That may lie far behind what is in memory,
// and whoever asks does not wait: the store is asked meanwhile, and the next who asks is told.

import type { QueueLog } from '../storage/queue-log.ts'

export class OldestMessage {
  readonly #log: QueueLog
  readonly #readFailed: (error: Error) => void
  /** What is known, or asked for. */
  #known = { offset: -1, storedMs: 0 }

  constructor(log: QueueLog, readFailed: (error: Error) => void) {
    this.#log = log
    this.#readFailed = readFailed
  }

  /**
   * Stored time of the first message at or after `offset`; 0 where there is none. Where memory does not know it, what was
   * known before, or 0, and with `asks` the store is asked.
   */
  storedMs(offset: number, asks: boolean): number {
    const log = this.#log
    const from = Math.max(offset, log.minOffset)
    if (from >= log.maxOffset) return 0
    const storedMs = log.recordInMemory(from)?.storedMs
    if (storedMs !== undefined) this.#known = { offset: from, storedMs }
    else if (asks && this.#known.offset !== from) this.#ask(from)
    return this.#known.storedMs
  }

  #ask(offset: number): void {
    const asked = { offset, storedMs: this.#known.storedMs }
    this.#known = asked
    this.#log.readStored(offset, 1, (result) => {
      if (result instanceof Error) this.#readFailed(result)
      else asked.storedMs = result.records[0]?.storedMs ?? asked.storedMs
    })
  }
}
