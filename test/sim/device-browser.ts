// The simulated browser around pages and engines: what the hosts of web-client/hosts do with workers and locks, in as many
// words as the simulation needs. One engine has the lock; a tab's death frees the tab's lock, of which the engine hears
// after a while; an engine's death frees the engine's, of which pages hear; then the next one is started. A thief takes
// the lock from an engine that still runs.

import { PocketError } from '../../core/errors.ts'
import type { Attach, AttachEvents } from '../../web-client/hosts/attach.ts'
import { portVersion } from '../../web-client/port/port-protocol.ts'
import type { DeviceDisk } from './device-disk.ts'
import { SimEngine } from './device-engine.ts'
import { type Latency, type LineMishap, SimLine, SimTasks } from './device-line.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimNetwork } from './sim-network.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import type { Trace } from './trace.ts'

export interface BrowserMishap {
  /** Called for each line between a page and an engine. */
  readonly lineMishap?: (page: SimProcess) => LineMishap
  /** Pages are not told that their engine is gone. */
  readonly isLossUntold?: boolean
}

export interface DeviceBrowserDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly trace: Trace
  readonly network: SimNetwork
  readonly disk: DeviceDisk
  readonly mishap: BrowserMishap
  /** An engine has come to its end, or lost its right to write. */
  readonly engineLost: () => void
  /** The connection to the relay broke. */
  readonly unlinked: () => void
  readonly bug: (text: string) => void
}

/** A page's place in the browser. */
export interface Seat {
  readonly tabId: string
  readonly process: SimProcess
  /** Said just before the page hears that its engine is gone. */
  readonly losing: () => void
  readonly events: AttachEvents
  readonly tasks: SimTasks
  line: SimLine | undefined
  engine: SimEngine | undefined
}

/** Latencies of Chromium (facts: an engine's death is seen in 3 to 5 ms, a tab's in 130 to 160), and beyond. */
const engineDeathMs: readonly [number, number] = [1, 20]
const tabDeathMs: readonly [number, number] = [1, 200]
const startMs: readonly [number, number] = [5, 300]
/** A robbed engine learns within so long that it has no lock, if it doesn't run into the fence before. */
const robbedMs: readonly [number, number] = [0, 3_000]

export class DeviceBrowser {
  readonly latency: Latency = { lineMs: [0.02, 1] }
  readonly #deps: DeviceBrowserDeps
  readonly #random: SimRandom
  readonly #seats = new Set<Seat>()
  readonly #engines = new Set<SimEngine>()
  #holder: SimEngine | undefined
  #isStarting = false
  #hasPower = true
  #tabCount = 0
  readonly counts = { engines: 0, kills: 0, ends: 0, failures: 0, steals: 0 }

  constructor(deps: DeviceBrowserDeps) {
    this.#deps = deps
    this.#random = deps.random.fork('browser')
  }

  /** The engine with the lock, if it serves. */
  get engine(): SimEngine | undefined {
    return this.#holder?.isOpen === true ? this.#holder : undefined
  }

  get seats(): ReadonlySet<Seat> {
    return this.#seats
  }

  /** How a page of that process gets to its engine. */
  attachOf(process: SimProcess, losing: () => void): Attach {
    return (_options, events) => {
      const { clock } = this.#deps
      const tabId = `tab-${++this.#tabCount}`
      const tasks = new SimTasks(clock, process)
      const seat: Seat = { tabId, process, losing, events, tasks, line: undefined, engine: undefined }
      this.#seats.add(seat)
      this.#take(seat)
      this.#start()
      return { tabId, isLeader: false, close: async () => this.#leave(seat) }
    }
  }

  /** The page's process ended: crashed, closed, reloaded. */
  tabDied(process: SimProcess): void {
    for (const seat of [...this.#seats]) if (seat.process === process) this.#leave(seat)
  }

  seatOf(process: SimProcess): Seat | undefined {
    return [...this.#seats].find((seat) => seat.process === process)
  }

  // ── engines ───────────────────────────────────────────────────────────────────────────────────────────────────

  kill(): boolean {
    const engine = this.#holder
    if (engine === undefined || engine.process.isDead) return false
    this.counts.kills++
    engine.kill(this.#random.chance(0.5))
    this.#died(engine)
    return true
  }

  /** In order, as for a newer build. */
  retire(): boolean {
    const engine = this.engine
    if (engine === undefined) return false
    this.counts.ends++
    this.#end(engine, new PocketError('ENGINE_LOST', 'the engine made room'))
    return true
  }

  /** Takes the lock from an engine that runs, or stands still: for a while there are two. */
  steal(): boolean {
    const engine = this.engine
    if (engine === undefined) return false
    const { clock, engineLost, trace } = this.#deps
    this.counts.steals++
    trace.add(clock.monotonic(), engine.process.name, 'is robbed')
    this.#holder = undefined
    engineLost()
    this.#tellLost(engine, new PocketError('ENGINE_LOST', 'the engine hangs'))
    this.#start()
    clock.setTimer(this.#random.between(...robbedMs), () => {
      engine.process.run(() => this.#end(engine, new PocketError('ENGINE_LOST', 'the engine was taken for dead')))
    })
    return true
  }

  /** Everything is off: all that runs dies, and is told nothing. Pages are the world's to kill. */
  powerCut(): void {
    this.#hasPower = false
    for (const engine of [...this.#engines]) {
      engine.kill(true)
      this.#died(engine)
    }
    this.#deps.disk.powerCut()
  }

  powerOn(): void {
    this.#hasPower = true
    this.#start()
  }

  thaw(): void {
    for (const { process } of this.#engines) process.thaw()
  }

  #start(): void {
    if (this.#isStarting || this.#holder !== undefined || !this.#hasPower) return
    this.#isStarting = true
    const { clock, random, trace, network, disk, unlinked, bug } = this.#deps
    clock.setTimer(this.#random.between(...startMs), () => {
      this.#isStarting = false
      if (this.#holder !== undefined || this.#seats.size === 0 || !this.#hasPower) return
      const number = ++this.counts.engines
      const engine = new SimEngine({
        clock, trace, network, disk, number, bug,
        random: random.fork(`engine ${number}`),
        opened: () => {
          trace.add(clock.monotonic(), engine.process.name, 'up')
          for (const seat of this.#seats) this.#take(seat)
        },
        failed: (failed, error) => {
          this.counts.failures++
          // As the host does it: what the stores' failure ended is not waited for.
          this.#end(failed, error)
        },
        unlinked: () => {
          if (!engine.process.isDead) unlinked()
        },
      })
      this.#holder = engine
      this.#engines.add(engine)
    })
  }

  #end(engine: SimEngine, error: PocketError): void {
    engine.end(error, () => this.#died(engine))
  }

  #died(engine: SimEngine): void {
    this.#engines.delete(engine)
    this.#deps.engineLost()
    if (this.#holder === engine) this.#holder = undefined
    this.#tellLost(engine, new PocketError('ENGINE_LOST', 'the engine died'))
    this.#start()
  }

  // ── tabs ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The engine that runs, if any, serves the page. */
  #take(seat: Seat): void {
    const engine = this.engine
    if (engine === undefined || seat.engine !== undefined) return
    const { clock, trace, random, mishap } = this.#deps
    seat.engine = engine
    const line = new SimLine({
      clock, trace, latency: this.latency, page: seat.process, engine: engine.process,
      random: random.fork(`line ${seat.tabId} ${engine.process.name}`),
      mishap: mishap.lineMishap?.(seat.process),
    })
    const status = engine.statusWithOneMore()
    engine.seat(line, seat.tabId)
    seat.tasks.add(this.#random.between(...this.latency.lineMs), () => {
      if (seat.engine !== engine) return
      seat.line = line
      seat.events.attached(line.page, {
        kind: 'welcome', portVersion, build: 'simulated', instanceId: engine.process.name, host: 'shared', status,
      })
    })
  }

  #tellLost(engine: SimEngine, error: PocketError): void {
    const { mishap } = this.#deps
    for (const seat of this.#seats) {
      if (seat.engine !== engine) continue
      seat.tasks.add(this.#random.between(...engineDeathMs), () => {
        if (seat.engine !== engine) return
        const { line } = seat
        line?.page.close()
        seat.line = undefined
        seat.engine = undefined
        seat.losing()
        if (line !== undefined && mishap.isLossUntold !== true) seat.events.lost(error)
        this.#take(seat)
      })
    }
  }

  #leave(seat: Seat): void {
    if (!this.#seats.delete(seat)) return
    const { engine, line, tabId } = seat
    line?.page.close()
    seat.engine = undefined
    seat.line = undefined
    if (engine === undefined) return
    this.#deps.clock.setTimer(this.#random.between(...tabDeathMs), () => engine.gone(tabId))
  }
}
