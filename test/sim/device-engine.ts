// An engine of the simulated browser: a worker's process with the real engine over the simulated disk, network and lines.
// It opens, serves tabs, fails when its stores do, and dies without a word or in order.

import { must } from '../../core/assert.ts'
import { type PocketError, toPocketError } from '../../core/errors.ts'
import type { Log } from '../../core/ports/log.ts'
import type { EngineLife, EngineTab } from '../../web-client/engine/engine.ts'
import { openEngine } from '../../web-client/engine/engine.ts'
import type { EngineStatus } from '../../web-client/port/port-protocol.ts'
import type { DeviceDisk } from './device-disk.ts'
import type { SimLine } from './device-line.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimNetwork } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import type { Trace } from './trace.ts'

export interface SimEngineDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly trace: Trace
  readonly network: SimNetwork
  readonly disk: DeviceDisk
  readonly number: number
  /** It serves from now on. */
  readonly opened: (engine: SimEngine) => void
  /** It can't go on; it is to be ended in order. */
  readonly failed: (engine: SimEngine, error: PocketError) => void
  /** Its connection to the relay is not up any more. */
  readonly unlinked: () => void
  readonly bug: (text: string) => void
}

/** How long an engine may take to end in order. */
const endMsMax = 2_000

/** What may fail when stores or the relay do, and is told to people. */
const expectedErrors: ReadonlySet<string> = new Set([
  'relay', 'store-failed', 'the outbox was not written', 'a topic is not copied', 'commit failed',
])

export class SimEngine {
  readonly process: SimProcess
  readonly #deps: SimEngineDeps
  #life: EngineLife | undefined
  readonly #tabs = new Map<string, EngineTab>()
  #isEnding = false

  constructor(deps: SimEngineDeps) {
    this.#deps = deps
    const { clock, number } = deps
    this.process = new SimProcess(clock, `engine#${number}`)
    this.#open().catch((error: unknown) => this.#failed(toPocketError(error)))
  }

  get isOpen(): boolean {
    return this.#life !== undefined && !this.#isEnding && !this.process.isDead
  }

  get isEnding(): boolean {
    return this.#isEnding
  }

  statusWithOneMore(): EngineStatus {
    return must(this.#life, 'a tab is seated with an engine that runs').statusWithOneMore()
  }

  seat(line: SimLine, tabId: string): void {
    this.process.run(() => {
      if (this.#life !== undefined && !this.#isEnding) this.#tabs.set(tabId, this.#life.accept(line.engine, tabId))
    })
  }

  /** The tab's lock is free. */
  gone(tabId: string): void {
    this.process.run(() => {
      const tab = this.#tabs.get(tabId)
      this.#tabs.delete(tabId)
      tab?.gone()
    })
  }

  /** Nothing runs any more; nobody is told. */
  kill(isLost: boolean): void {
    const { process } = this
    if (process.isDead) return
    const { clock, trace, network, disk } = this.#deps
    trace.add(clock.monotonic(), process.name, 'dies')
    process.kill()
    network.processDied(process, isLost)
    disk.processDied(process)
  }

  /** Ends in order, as far as it comes in time; then it is dead. */
  end(error: PocketError, ended: () => void): void {
    if (this.#isEnding || this.process.isDead) return
    this.#isEnding = true
    const { clock, trace } = this.#deps
    trace.add(clock.monotonic(), this.process.name, 'ends', error.code)
    let isOver = false
    const over = (): void => {
      if (isOver || this.process.isDead) return
      isOver = true
      this.kill(false)
      ended()
    }
    this.process.run(() => {
      void Promise.resolve(this.#life?.close(error)).then(() => this.process.defer(over), (thrown: unknown) => {
        this.#deps.bug(`the engine could not be closed: ${String((thrown as Error).stack)}`)
        over()
      })
    })
    clock.setTimer(endMsMax, over)
  }

  async #open(): Promise<void> {
    const { network, disk, random, opened } = this.#deps
    const { process } = this
    const failed = (error: PocketError): void => this.#failed(error)
    const stores = await disk.open(process, failed)
    this.#life = await openEngine({
      stores, clock: process, random, log: this.#log(), dial: () => network.diallerOf(process), failed,
    })
    if (!this.#isEnding && !process.isDead) opened(this)
  }

  #failed(error: PocketError): void {
    if (this.#isEnding || this.process.isDead) return
    const { clock, trace, failed, bug } = this.#deps
    trace.add(clock.monotonic(), this.process.name, 'fails', error.code, error.message)
    if (isInternal(error.code, error.message)) bug(`the engine failed: ${String(error.stack)}`)
    // A moment later, as a host does it: what is to be said of the failure is said by then.
    this.process.defer(() => failed(this, error))
  }

  #log(): Log {
    const { clock, trace, bug, unlinked } = this.#deps
    return {
      error: (event, fields = {}) => {
        const text = `${event} ${JSON.stringify(fields)}`
        trace.add(clock.monotonic(), this.process.name, text)
        const isBug = isInternal(String(fields['code']), String(fields['reason']))
        if (isBug || !expectedErrors.has(event)) bug(`the engine logged: ${text}`)
      },
      info: () => {},
      debug: (event, fields) => {
        if (event === 'relay link' && fields?.['state'] !== 'connected') unlinked()
      },
    }
  }
}

/** A bug, unless it is what the simulated disk said. */
function isInternal(code: string, text: string): boolean {
  return code === 'INTERNAL' && !text.startsWith('simulated:')
}
