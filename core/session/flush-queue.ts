// Connections with something to send. What one turn of the broker brings for a connection leaves as one message: the
// broker's `released` hook flushes all of them at once. A deferred flush stands behind it, so that frames which no
// turn releases (PONG, WELCOME, refusals) leave soon as well, and nothing ever stays in an outbox.

import type { Clock } from '../ports/clock.ts'

/** Something with an outbox. `flush` must not throw. */
export interface Flushable {
  flush(): void
}

export class FlushQueue {
  readonly #clock: Clock
  #dirty: Flushable[] = []
  #isScheduled = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Will be flushed with the next release or at the end of this turn; until then it must not be added again. */
  add(connection: Flushable): void {
    this.#dirty.push(connection)
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.defer(() => {
      this.#isScheduled = false
      this.flushAll()
    })
  }

  /** Flushes all that were added, in order; what they add meanwhile is for the next time. */
  flushAll(): void {
    if (this.#dirty.length === 0) return
    const dirty = this.#dirty
    this.#dirty = []
    for (const connection of dirty) connection.flush()
  }
}
