// How much of one connection's publishes may wait for a commit, so that a fast producer can't fill the relay's memory:
// its own share, and its part in what all connections have in hand together.

import type { SessionCounters } from './session-counters.ts'

/** What a publish holds in memory besides its bytes. */
const overheadBytes = 256
/** What all connections may have in hand, as a multiple of one's share; beyond it every publisher is slowed. */
const sharesInAll = 16

export class PublishBudget {
  readonly #shareBytes: number
  readonly #counters: SessionCounters
  #heldBytes = 0
  #isSpent = false

  /** `shareBytes` is `Limits.publishBytesInFlightMax`. */
  constructor(shareBytes: number, counters: SessionCounters) {
    this.#shareBytes = shareBytes
    this.#counters = counters
  }

  hold(messageBytes: number): void {
    this.#heldBytes += messageBytes + overheadBytes
    this.#counters.publishBytesInHand += messageBytes + overheadBytes
  }

  release(messageBytes: number): void {
    this.#heldBytes -= messageBytes + overheadBytes
    this.#counters.publishBytesInHand -= messageBytes + overheadBytes
  }

  /** Whether no more publishes should be read for now: from the whole share on, until half of it is answered. */
  get isSpent(): boolean {
    const isCrowded = this.#counters.publishBytesInHand > this.#shareBytes * sharesInAll && this.#heldBytes > 0
    this.#isSpent = isCrowded || this.#heldBytes > (this.#isSpent ? this.#shareBytes / 2 : this.#shareBytes)
    return this.#isSpent
  }
}
