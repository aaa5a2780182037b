// Time that passes only when a test says so, for everything that takes a Clock. Deterministic: timers fire in the order
// of their due times, then of their making; deferred runs in the order in which they were asked for. A turn is what one
// turn of a real event loop is: the timers that are due, then what was deferred by then. Callbacks that throw end the
// run with their error.

import type { CancelTimer, Clock } from '../../core/ports/clock.ts'

/** Turns at one moment before it is taken for a loop that never ends. */
const turnsPerMomentMax = 1_000_000

export interface SimClockOptions {
  /** Wall time at the start: 2026-01-01 by default. */
  readonly startMs?: number
}

interface Timer {
  readonly dueMs: number
  readonly order: number
  readonly fire: () => void
  isCancelled: boolean
}

export class SimClock implements Clock {
  #monotonicMs = 0
  #wallMs: number
  #order = 0
  #deferred: (() => void)[] = []
  /** A binary heap, the next timer first. */
  readonly #timers: Timer[] = []

  constructor({ startMs = Date.UTC(2026, 0, 1) }: SimClockOptions = {}) {
    this.#wallMs = startMs
  }

  now(): number {
    return this.#wallMs + this.#monotonicMs
  }

  monotonic(): number {
    return this.#monotonicMs
  }

  setTimer(delayMs: number, fire: () => void): CancelTimer {
    const timer: Timer = {
      dueMs: this.#monotonicMs + Math.max(0, delayMs),
      order: this.#order++,
      fire,
      isCancelled: false,
    }
    this.#push(timer)
    return () => {
      timer.isCancelled = true
    }
  }

  defer(run: () => void): void {
    this.#deferred.push(run)
  }

  /** Moves the wall clock, also backwards, as an operator or a time server does. Timers do not notice. */
  jumpWall(byMs: number): void {
    this.#wallMs += byMs
  }

  /** When the next timer is due, in monotonic time; undefined without timers. */
  get nextTimerMs(): number | undefined {
    return this.#peek()?.dueMs
  }

  /** Whether anything is left to do at this moment. */
  get isIdle(): boolean {
    return this.#deferred.length === 0 && (this.nextTimerMs ?? Infinity) > this.#monotonicMs
  }

  /** Runs all that there is to do without time passing. */
  runUntilIdle(): void {
    for (let turns = 0; !this.isIdle; turns++) {
      if (turns === turnsPerMomentMax) throw new Error(`no end of work at ${this.#monotonicMs} ms`)
      this.runTurn()
    }
  }

  /** Lets so much time pass, and does in order all that falls due on the way. */
  advance(byMs: number): void {
    const untilMs = this.#monotonicMs + byMs
    this.runUntilIdle()
    for (let nextMs = this.nextTimerMs; nextMs !== undefined && nextMs <= untilMs; nextMs = this.nextTimerMs) {
      this.#monotonicMs = Math.max(this.#monotonicMs, nextMs)
      this.runUntilIdle()
    }
    this.#monotonicMs = untilMs
  }

  /** Does what is left at this moment, or else goes on to the next timer. False when there is none. */
  step(): boolean {
    if (this.isIdle) {
      const nextMs = this.nextTimerMs
      if (nextMs === undefined) return false
      this.#monotonicMs = nextMs
    }
    this.runTurn()
    return true
  }

  /** One turn: the timers that are due at its beginning, then what is deferred by then. */
  runTurn(): void {
    const newTimersFrom = this.#order
    for (let timer = this.#peek(); timer !== undefined; timer = this.#peek()) {
      if (timer.dueMs > this.#monotonicMs || timer.order >= newTimersFrom) break
      this.#pop()
      timer.fire()
    }
    const deferred = this.#deferred
    this.#deferred = []
    for (const run of deferred) run()
  }

  #peek(): Timer | undefined {
    while (this.#timers[0]?.isCancelled === true) this.#pop()
    return this.#timers[0]
  }

  #push(timer: Timer): void {
    const timers = this.#timers
    let index = timers.push(timer) - 1
    while (index > 0) {
      const parent = (index - 1) >>> 1
      if (isBefore(timers[parent] as Timer, timer)) break
      timers[index] = timers[parent] as Timer
      index = parent
    }
    timers[index] = timer
  }

  #pop(): void {
    const timers = this.#timers
    const moved = timers.pop()
    if (moved === undefined || timers.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= timers.length) break
      if (child + 1 < timers.length && isBefore(timers[child + 1] as Timer, timers[child] as Timer)) child++
      if (isBefore(moved, timers[child] as Timer)) break
      timers[index] = timers[child] as Timer
      index = child
    }
    timers[index] = moved
  }
}

function isBefore(left: Timer, right: Timer): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.order < right.order)
}
