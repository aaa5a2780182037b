// Waiting in simulated time: promises of the code under test settle in microtasks, everything else moves with the
// clock.

import type { SimClock } from '../sim/sim-clock.ts'

/** Lets promises that are settled tell those who wait for them. */
export function microtasks(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Does all that there is to do now, without time passing. */
export async function settle(clock: SimClock): Promise<void> {
  do {
    clock.runUntilIdle()
    await microtasks()
  } while (!clock.isIdle)
}

/** Lets time pass, with promises settling on the way. */
export async function pass(clock: SimClock, byMs: number): Promise<void> {
  await settle(clock)
  const untilMs = clock.monotonic() + byMs
  while ((clock.nextTimerMs ?? Infinity) <= untilMs) {
    clock.advance(Math.max(0, must(clock.nextTimerMs) - clock.monotonic()))
    await settle(clock)
  }
  clock.advance(untilMs - clock.monotonic())
  await settle(clock)
}

/** The outcome of a promise, letting as much time pass as it takes, but not more than `withinMs`. */
export async function until<T>(clock: SimClock, promise: Promise<T>, withinMs = 600_000): Promise<T> {
  let isSettled = false
  const note = () => {
    isSettled = true
  }
  promise.then(note, note)
  const lastMs = clock.monotonic() + withinMs
  await settle(clock)
  while (!isSettled) {
    const nextMs = clock.nextTimerMs
    if (nextMs === undefined) throw new Error('nothing is left to happen, and the promise is still pending')
    if (nextMs > lastMs) throw new Error(`still pending after ${withinMs} ms`)
    clock.advance(nextMs - clock.monotonic())
    await settle(clock)
  }
  return promise
}

function must(value: number | undefined): number {
  if (value === undefined) throw new Error('no timer')
  return value
}
