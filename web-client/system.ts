// Time and chance of a browser for the core's ports. The one place of the web client that asks the platform for them.
// Timers belong into workers: those of a hidden page run once a second, or once a minute.

import type { Clock } from '../core/ports/clock.ts'
import type { Random } from '../core/ports/random.ts'

/** What `setTimeout` takes at most; more would fire at once. */
const timeoutMsMax = 2 ** 31 - 1

export function createBrowserClock(): Clock {
  const deferred = createDeferred()
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimer,
    defer: deferred,
  }
}

export function createBrowserRandom(): Random {
  return {
    next: () => Math.random(),
    bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  }
}

/** So many turns may follow each other before the browser's own tasks get theirs. */
const turnsInRowMax = 16

/**
 * What is deferred runs when the current work has ended, as a microtask: a message on its way through the engine takes
 * several such turns, and tasks of their own would cost it more than the work itself. After some in a row the next turn is
 * a task, a message to oneself, without the 4 ms that nested timeouts are held back.
 */
function createDeferred(): (run: () => void) => void {
  const { port1, port2 } = new MessageChannel()
  let waiting: (() => void)[] = []
  let turnsInRow = 0
  const turn = (): void => {
    const runs = waiting
    waiting = []
    // One that throws must not take the others with it.
    for (const run of runs) {
      try {
        run()
      } catch (error) {
        reportError(error)
      }
    }
  }
  port1.onmessage = () => {
    turnsInRow = 0
    turn()
  }
  return (run) => {
    if (waiting.push(run) > 1) return
    // This message ends the row, whether or not the row comes that far. Not sent for each row: a row is mostly short.
    if (turnsInRow++ === turnsInRowMax / 2) port2.postMessage(undefined)
    if (turnsInRow <= turnsInRowMax) queueMicrotask(turn)
  }
}

function setTimer(delayMs: number, fire: () => void): () => void {
  const dueMs = performance.now() + delayMs
  let timeout = arm()

  function arm(): ReturnType<typeof setTimeout> {
    return setTimeout(check, Math.min(Math.max(Math.ceil(dueMs - performance.now()), 0), timeoutMsMax))
  }

  // Browsers round their clocks, and may be early by a fraction.
  function check(): void {
    if (performance.now() < dueMs) timeout = arm()
    else fire()
  }

  return () => clearTimeout(timeout)
}
