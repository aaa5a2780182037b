// Time and chance of Node for the core's ports. The one place of the relay that asks the platform for them.

import { randomFillSync } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Clock } from '../core/ports/clock.ts'
import type { Random } from '../core/ports/random.ts'

/** What `setTimeout` takes at most; more would fire at once. */
const timeoutMsMax = 2 ** 31 - 1

/** Wall time, monotonic time, timers and turns of this process. */
export function createSystemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimer,
    // The check phase of the event loop: after the sockets that are ready, before it waits.
    defer: (run) => void setImmediate(run),
  }
}

/** `Math.random` for choices, the operating system's generator for identities. */
export function createSystemRandom(): Random {
  return {
    next: () => Math.random(),
    bytes: (count) => randomFillSync(new Uint8Array(count)),
  }
}

function setTimer(delayMs: number, fire: () => void): () => void {
  const dueMs = performance.now() + delayMs
  let timeout = arm()

  function arm(): NodeJS.Timeout {
    const waitMs = Math.ceil(dueMs - performance.now())
    return setTimeout(check, Math.min(Math.max(waitMs, 0), timeoutMsMax))
  }

  // Node counts whole milliseconds of its own, rounded down, and may be up to one early.
  function check(): void {
    if (performance.now() < dueMs) timeout = arm()
    else fire()
  }

  return () => clearTimeout(timeout)
}
