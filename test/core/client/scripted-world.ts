// One client and a relay that does as the test says, in simulated time.

import { createClient } from '../../../core/client/client.ts'
import type { Client, ClientEvents, ClientOptions } from '../../../core/client/api.ts'
import type { PocketError } from '../../../core/errors.ts'
import type { CancelTimer, Clock } from '../../../core/ports/clock.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { FlakyDialler } from '../../support/flaky-dialler.ts'
import { type Script, ScriptedRelay } from '../../support/scripted-relay.ts'
import { pass, settle, until } from '../../support/sim-wait.ts'

/** The clock of a process that can be stopped for a while: time goes on, and its timers fire as late. */
class StoppableClock implements Clock {
  readonly #clock: SimClock
  #stoppedMs = 0

  constructor(clock: SimClock) {
    this.#clock = clock
  }

  stopFor(stoppedMs: number): void {
    this.#stoppedMs += stoppedMs
  }

  now(): number {
    return this.#clock.now() + this.#stoppedMs
  }

  monotonic(): number {
    return this.#clock.monotonic() + this.#stoppedMs
  }

  setTimer(delayMs: number, fire: () => void): CancelTimer {
    return this.#clock.setTimer(delayMs, fire)
  }

  defer(run: () => void): void {
    this.#clock.defer(run)
  }
}

export class ScriptedWorld {
  readonly clock = new SimClock()
  /** The client's. */
  readonly #clientClock = new StoppableClock(this.clock)
  readonly relay: ScriptedRelay
  readonly network: FlakyDialler
  readonly client: Client
  readonly errors: PocketError[] = []
  readonly gaps: ClientEvents['gap'][] = []

  /** The client dials at once; with `isDown` in vain, until the network is up. */
  constructor(script: Script = {}, options: ClientOptions = {}, { seed = 1, isDown = false } = {}) {
    this.relay = new ScriptedRelay(this.clock, script)
    this.network = new FlakyDialler(this.relay.dialler, this.clock)
    this.network.isDown = isDown
    const random = createSimRandom(seed)
    this.client = createClient({ dialler: this.network, clock: this.#clientClock, random }, options)
    this.client.on('error', (error) => this.errors.push(error))
    this.client.on('gap', (gap) => this.gaps.push(gap))
  }

  static async connected(script: Script = {}, options: ClientOptions = {}): Promise<ScriptedWorld> {
    const world = new ScriptedWorld(script, options)
    await world.until(world.client.connected)
    return world
  }

  /** The client's process is stopped, with whatever it was about to do; nothing of it runs meanwhile. */
  stopClient(forMs: number): void {
    this.#clientClock.stopFor(forMs)
  }

  settle(): Promise<void> {
    return settle(this.clock)
  }

  pass(byMs: number): Promise<void> {
    return pass(this.clock, byMs)
  }

  until<T>(promise: Promise<T>, withinMs?: number): Promise<T> {
    return until(this.clock, promise, withinMs)
  }
}

/** `ok` and the value, or the code of the error; `pending` as long as neither is there. */
export function watch<T>(promise: Promise<T>): { outcome: string; value: T | undefined } {
  const watched: { outcome: string; value: T | undefined } = { outcome: 'pending', value: undefined }
  promise.then(
    (value) => {
      watched.outcome = 'ok'
      watched.value = value
    },
    (error: PocketError) => {
      watched.outcome = error.code
    },
  )
  return watched
}
