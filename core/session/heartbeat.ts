// Keeps one connection known to be alive, for either side: says when to send something, and when the other side has
// been silent for too long. Works in half beats and two flags, so that what is sent or heard costs no look at a clock.

import type { CancelTimer, Clock } from '../ports/clock.ts'

export interface HeartbeatOptions {
  readonly clock: Clock
  /** Each side sends something at least this often. */
  readonly heartbeatMs: number
  /**
   * Nothing was sent for half a beat, or nothing heard: say something that is answered. The side that only answers
   * leaves it out.
   */
  readonly ping?: () => void
  /** Nothing was heard for two beats. Called once, and last. */
  readonly lost: () => void
}

const silentHalfBeatsMax = 4

export class Heartbeat {
  readonly #options: HeartbeatOptions
  #hasSent = true
  #hasHeard = true
  #silentHalfBeats = 0
  #cancelTimer: CancelTimer | undefined
  #cancelProbe: CancelTimer | undefined

  /** Beats from now on, until `stop`. */
  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#arm()
  }

  /** Asks now, where something asks: whoever says nothing for `withinMs` is lost. */
  probe(withinMs: number): void {
    const { clock, ping, lost } = this.#options
    if (ping === undefined || this.#cancelTimer === undefined || this.#cancelProbe !== undefined) return
    this.#cancelProbe = clock.setTimer(withinMs, () => {
      this.stop()
      lost()
    })
    ping()
  }

  /** Something was sent. */
  sent(): void {
    this.#hasSent = true
  }

  /** Something arrived, whatever it was. */
  heard(): void {
    this.#hasHeard = true
    this.#cancelProbe?.()
    this.#cancelProbe = undefined
  }

  /** Repeating it does nothing. */
  stop(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#cancelProbe?.()
    this.#cancelProbe = undefined
  }

  #arm(): void {
    const { clock, heartbeatMs } = this.#options
    this.#cancelTimer = clock.setTimer(heartbeatMs / 2, () => this.#halfBeat())
  }

  #halfBeat(): void {
    const { ping, lost } = this.#options
    this.#silentHalfBeats = this.#hasHeard ? 0 : this.#silentHalfBeats + 1
    if (this.#silentHalfBeats >= silentHalfBeatsMax) {
      this.stop()
      lost()
      return
    }
    const isQuiet = !this.#hasSent || !this.#hasHeard
    this.#hasSent = false
    this.#hasHeard = false
    this.#arm()
    // Last, as it may end in `sent` or `stop`.
    if (isQuiet) ping?.()
  }
}
