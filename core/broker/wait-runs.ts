// What waits in a queue of a group, as it is stored: gathered into runs, as those of one lease mostly wait alike.

import type { StoredWait, WaitFate } from '../storage/progress.ts'

export class WaitRuns {
  readonly #isFifo: boolean
  readonly #runs: (StoredWait & { count: number })[] = []

  /** In FIFO topics each message is a run, as it has a message group of its own. */
  constructor(isFifo: boolean) {
    this.#isFifo = isFifo
  }

  /** One message more. Not as an object: most of them make no run of their own. */
  add(offset: number, attempts: number, visibleMs: number, delayMs: number, fate: WaitFate, groupHash: number): void {
    const last = this.#isFifo ? undefined : this.#runs.at(-1)
    const isNext = last !== undefined && last.offset + last.count === offset && last.attempts === attempts &&
      last.visibleMs === visibleMs && last.delayMs === delayMs && last.fate === fate
    if (isNext) last.count++
    else this.#runs.push({ offset, count: 1, attempts, visibleMs, delayMs, fate, groupHash })
  }

  /** Ascending by offset. */
  sorted(): StoredWait[] {
    return this.#runs.sort((left, right) => left.offset - right.offset)
  }
}
