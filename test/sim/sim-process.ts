// A process of the simulated world: its view of time, which stands still for it while it is frozen and ends when it
// dies. Whatever wants to be heard by the process, its timers and the network, goes through `run`. While it is frozen
// the world's time goes on: on waking it finds its timers overdue and its sockets full, as after SIGSTOP or a sleep.

import type { CancelTimer, Clock } from '../../core/ports/clock.ts'
import type { SimClock } from './sim-clock.ts'

export class SimProcess implements Clock {
  readonly name: string
  readonly #world: SimClock
  #state: 'running' | 'frozen' | 'dead' = 'running'
  #wallOffsetMs = 0
  #overdue: (() => void)[] = []

  constructor(world: SimClock, name: string) {
    this.#world = world
    this.name = name
  }

  get isFrozen(): boolean {
    return this.#state === 'frozen'
  }

  get isDead(): boolean {
    return this.#state === 'dead'
  }

  /** How far the machine's wall clock is from the world's. */
  get wallOffsetMs(): number {
    return this.#wallOffsetMs
  }

  now(): number {
    return Math.floor(this.#world.now()) + this.#wallOffsetMs
  }

  monotonic(): number {
    return this.#world.monotonic()
  }

  setTimer(delayMs: number, fire: () => void): CancelTimer {
    let isCancelled = false
    const cancel = this.#world.setTimer(delayMs, () => {
      this.run(() => {
        if (!isCancelled) fire()
      })
    })
    return () => {
      isCancelled = true
      cancel()
    }
  }

  defer(run: () => void): void {
    this.#world.defer(() => this.run(run))
  }

  /** Lets the process do something: now, on waking, or never. */
  run(work: () => void): void {
    if (this.#state === 'running') work()
    else if (this.#state === 'frozen') this.#overdue.push(work)
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen'
  }

  /** Goes on with what fell due meanwhile, in order. */
  thaw(): void {
    if (this.#state !== 'frozen') return
    this.#world.defer(() => {
      if (this.#state !== 'frozen') return
      this.#state = 'running'
      const overdue = this.#overdue
      this.#overdue = []
      for (const work of overdue) this.run(work)
    })
  }

  /** Nothing runs any more. */
  kill(): void {
    this.#state = 'dead'
    this.#overdue = []
  }

  /** Moves this machine's wall clock, also backwards. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs
  }
}
