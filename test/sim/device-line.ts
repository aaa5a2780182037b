// The line between a page and an engine in the simulated browser: what is posted arrives in order, cloned as a port clones
// it, after a while that the seed decides. While the receiver is frozen it waits, and a dead one never hears it. Each
// message is a task of its own, with all promises settling in between, as in an event loop.

import type { EnginePort } from '../../web-client/port/engine-port.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import type { Trace } from './trace.ts'

export interface Latency {
  /** May be changed at any time. */
  lineMs: readonly [least: number, most: number]
}

export type LineDirection = 'to-engine' | 'to-page'

/** What a planted bug makes of a message that is posted: usually it posts the same. */
export type LineMishap = (
  direction: LineDirection, message: unknown, post: (direction: LineDirection, message: unknown) => void,
) => void

export interface SimLineOptions {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly trace: Trace
  readonly latency: Latency
  readonly page: SimProcess
  readonly engine: SimProcess
  readonly mishap?: LineMishap | undefined
}

/** Tasks of one source for one process: each after its delay, never before the one before it, one to a turn. */
export class SimTasks {
  readonly #clock: SimClock
  readonly #process: SimProcess
  readonly #waiting: (() => void)[] = []
  readonly #due: (() => void)[] = []
  #dueMs = 0
  #isRunning = false
  #isHeld = false

  constructor(clock: SimClock, process: SimProcess) {
    this.#clock = clock
    this.#process = process
  }

  add(delayMs: number, task: () => void): void {
    this.#dueMs = Math.max(this.#dueMs, this.#clock.monotonic() + delayMs)
    this.#waiting.push(task)
    this.#clock.setTimer(this.#dueMs - this.#clock.monotonic(), () => {
      // Not always this one: what is due at the same time may differ by a rounding.
      const next = this.#waiting.shift() as () => void
      this.#process.run(() => {
        this.#due.push(next)
        this.#go()
      })
    })
  }

  /** Holds back what is due, or lets it go. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld
    if (!isHeld) this.#go()
  }

  #go(): void {
    if (this.#isRunning || this.#isHeld || this.#due.length === 0) return
    this.#isRunning = true
    this.#process.defer(() => {
      this.#isRunning = false
      if (this.#isHeld) return
      this.#due.shift()?.()
      this.#go()
    })
  }
}

export class SimLine {
  readonly page: LineEnd
  readonly engine: LineEnd

  constructor(options: SimLineOptions) {
    this.page = new LineEnd(options, 'to-page')
    this.engine = new LineEnd(options, 'to-engine')
    this.page.far = this.engine
    this.engine.far = this.page
  }
}

export class LineEnd implements EnginePort {
  far: LineEnd | undefined
  readonly #options: SimLineOptions
  readonly #direction: LineDirection
  readonly #process: SimProcess
  readonly #tasks: SimTasks
  readonly #listeners = new Set<(message: unknown) => void>()
  #isCut = false

  /** The end where messages of that direction arrive. */
  constructor(options: SimLineOptions, direction: LineDirection) {
    this.#options = options
    this.#direction = direction
    this.#process = direction === 'to-page' ? options.page : options.engine
    this.#tasks = new SimTasks(options.clock, this.#process)
    // What comes before the first listener waits for it.
    this.#tasks.hold(true)
  }

  post(message: unknown, transfer: Transferable[] = []): void {
    const { far } = this
    if (this.#isCut || this.#process.isDead || far === undefined) return
    const { mishap } = this.#options
    if (mishap === undefined) return far.#arrive(structuredClone(message, { transfer: transfer as never[] }))
    mishap(far.#direction, message, (direction, posted) => {
      const end = direction === far.#direction ? far : this
      end.#arrive(structuredClone(posted))
    })
  }

  listen(listener: (message: unknown) => void): () => void {
    const own = (message: unknown): void => listener(message)
    this.#listeners.add(own)
    this.#tasks.hold(false)
    return () => this.#listeners.delete(own)
  }

  /** Nothing goes through here any more, either way. */
  close(): void {
    this.#isCut = true
    this.#listeners.clear()
  }

  #arrive(message: unknown): void {
    const { random, latency } = this.#options
    this.#tasks.add(random.between(...latency.lineMs), () => this.#hear(message))
  }

  #hear(message: unknown): void {
    if (this.#isCut) return
    const { clock, trace } = this.#options
    const { kind, type, consumer, producer } = message as { kind?: string; type?: string; consumer?: number; producer?: number }
    trace.add(clock.monotonic(), this.#direction, this.#process.name, kind ?? type, consumer ?? producer)
    for (const listener of [...this.#listeners]) listener(message)
  }
}
