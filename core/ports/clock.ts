// Time as the core sees it. An adapter wraps the platform's clock; the simulation brings its own.

/** Ends a timer; calling it again, or after it fired, does nothing. */
export type CancelTimer = () => void

export interface Clock {
  /** Wall time in whole milliseconds since 1970. It may jump, also backwards. */
  now(): number
  /** Milliseconds that never go backwards; only differences mean anything. */
  monotonic(): number
  /** Calls `fire` once, at least `delayMs` of monotonic time from now, never synchronously. */
  setTimer(delayMs: number, fire: () => void): CancelTimer
  /**
   * Calls `run` once, soon: after what the platform has ready in this turn of its event loop (further bytes of other
   * sockets), and before it waits. What is written in one turn is sent and committed together.
   */
  defer(run: () => void): void
}
