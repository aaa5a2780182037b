// Time of a simulated run as its script sees it: passes turn by turn, with all promises settling in between.

import type { SimClock } from './sim-clock.ts'

const stepCountMax = 3_000_000

export class SimSteps {
  readonly #clock: SimClock
  readonly #waitMsMax: number
  stepCount = 0

  /** Nothing that is waited for may take longer than so many simulated milliseconds. */
  constructor(clock: SimClock, waitMsMax: number) {
    this.#clock = clock
    this.#waitMsMax = waitMsMax
  }

  async pass(byMs: number): Promise<void> {
    const untilMs = this.#clock.monotonic() + byMs
    await this.#stepUntil(untilMs, () => false)
    this.#clock.advance(untilMs - this.#clock.monotonic())
    await new Promise<void>(afterPromises)
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.#stepUntil(this.#clock.monotonic() + this.#waitMsMax, () => isSettled)
    if (!isSettled) throw new Error(`what the world waits for did not come within ${this.#waitMsMax} simulated ms`)
    return promise
  }

  #stepUntil(untilMs: number, isOver: () => boolean): Promise<void> {
    const clock = this.#clock
    return new Promise((resolve, reject) => {
      // Bare callbacks: a promise a turn would cost more than many a turn.
      const step = (): void => {
        try {
          if (isOver() || (clock.isIdle && (clock.nextTimerMs ?? Infinity) > untilMs)) return resolve()
          if (++this.stepCount > stepCountMax) throw new Error(`no end after ${stepCountMax} turns`)
          clock.step()
          afterPromises(step)
        } catch (error) {
          reject(error as Error)
        }
      }
      afterPromises(step)
    })
  }
}

/** Calls `run` when no promise can settle any more: a tick comes after all microtasks, those made meanwhile included. */
function afterPromises(run: () => void): void {
  process.nextTick(() => void settled.then(run))
}

const settled = Promise.resolve()
