// All times a broker waits for, in one indexed heap over one timer of the clock. Times are monotonic milliseconds;
// nothing fires early, and what is due at the same time fires in the order it was asked for.

import type { CancelTimer, Clock } from '../ports/clock.ts'

/** A wait that can be taken back. */
export interface Wait {
  readonly atMs: number
  readonly fire: () => void
  readonly order: number
  /** Place in the heap; -1 once fired or cancelled. */
  index: number
}

export class Timers {
  readonly #clock: Clock
  readonly #heap: Wait[] = []
  #armedAtMs = Infinity
  #orderNext = 0
  #cancelTimer: CancelTimer | undefined
  #stopped = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls `fire` once, at or after `atMs`; never once stopped. */
  at(atMs: number, fire: () => void): Wait {
    const wait: Wait = { atMs, fire, order: this.#orderNext++, index: this.#stopped ? -1 : this.#heap.length }
    if (this.#stopped) return wait
    this.#heap.push(wait)
    this.#up(wait)
    this.#arm()
    return wait
  }

  /** Takes a wait back; one that has fired or was taken back already is left alone. */
  cancel(wait: Wait | undefined): void {
    if (wait === undefined || wait.index < 0) return
    this.#remove(wait)
  }

  get isStopped(): boolean {
    return this.#stopped
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
    // Whoever waited may still take it back.
    for (const wait of this.#heap) wait.index = -1
    this.#heap.length = 0
  }

  #arm(): void {
    const first = this.#heap[0]
    if (first === undefined || this.#stopped || first.atMs >= this.#armedAtMs) return
    this.#cancelTimer?.()
    this.#armedAtMs = first.atMs
    this.#cancelTimer = this.#clock.setTimer(Math.max(0, first.atMs - this.#clock.monotonic()), this.#fireDue)
  }

  readonly #fireDue = (): void => {
    this.#armedAtMs = Infinity
    const nowMs = this.#clock.monotonic()
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= nowMs; first = this.#heap[0]) {
      this.#remove(first)
      first.fire()
    }
    this.#arm()
  }

  #remove(wait: Wait): void {
    const last = this.#heap.pop() as Wait
    const index = wait.index
    wait.index = -1
    if (last === wait) return
    last.index = index
    this.#heap[index] = last
    this.#up(last)
    this.#down(last)
  }

  #up(wait: Wait): void {
    const heap = this.#heap
    let index = wait.index
    while (index > 0) {
      const parent = heap[(index - 1) >>> 1] as Wait
      if (isBefore(parent, wait)) break
      heap[index] = parent
      ;[parent.index, index] = [index, parent.index]
    }
    heap[index] = wait
    wait.index = index
  }

  #down(wait: Wait): void {
    const heap = this.#heap
    let index = wait.index
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Wait, heap[child] as Wait)) child++
      const smaller = heap[child] as Wait
      if (isBefore(wait, smaller)) break
      heap[index] = smaller
      smaller.index = index
      index = child
    }
    heap[index] = wait
    wait.index = index
  }
}

function isBefore(left: Wait, right: Wait): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order)
}
