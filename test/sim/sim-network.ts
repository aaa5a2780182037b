// The simulated network: connections between processes that take their time, keep the order of what is sent over one of
// them, and break in every way that real ones do. What can happen to a link, each only when asked for:
//
// - `cut`: both ends are told, and what was on its way is lost;
// - `halfCut`: one end is told, the other hears nothing any more and finds out by itself: a client comes back on another
//   connection while the relay still takes the old one for alive;
// - `mute`: half open, in one direction or both: nothing arrives any more, and nobody is told;
// - `stall`: nothing arrives for a while, then all of it, as with a congested path;
// - `throttle`: so many bytes a second, as with a slow reader;
// - dials that are refused, and dials that are never answered;
// - the death of a process: its peers are told after what it had sent, or what it had sent is lost.
//
// Three more are no faults of a network but bugs that a test plants: it repeats, swaps or swallows messages.

import type { Connection, ConnectionHandler, Dialler } from '../../core/ports/transport.ts'
import { ByteSlab } from './byte-slab.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import type { Trace } from './trace.ts'

export interface SimNetworkOptions {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly trace: Trace
  /** One-way latency of each link is drawn between these. */
  readonly latencyMs: readonly [least: number, most: number]
  /** High-water mark of each end. */
  readonly sendBufferBytesMax: number
}

/** What a planted bug does to a message on its way. */
export type Mishap = 'none' | 'repeat' | 'swap' | 'swallow'

interface Listener {
  readonly process: SimProcess
  readonly accept: (connection: Connection) => ConnectionHandler
}

type Item =
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'close'; readonly code: number; readonly reason: string }

const abnormalClosure = 1006
/** How long a message is held up that others shall overtake: a planted bug. */
const overtakenMs = 50

export class SimNetwork {
  readonly options: SimNetworkOptions
  readonly links = new Set<Link>()
  /** What is on its way lies here. */
  readonly slab = new ByteSlab()
  /** How dials end. */
  dials: 'answered' | 'refused' | 'ignored' = 'answered'
  /** Planted bugs only. */
  mishapOf: (direction: 'up' | 'down', bytes: Uint8Array) => Mishap = () => 'none'
  readonly counts = { links: 0, messages: 0, cuts: 0, halfCuts: 0, mutes: 0, stalls: 0, throttles: 0, refusals: 0, mishaps: 0 }
  #listener: Listener | undefined

  constructor(options: SimNetworkOptions) {
    this.options = options
  }

  listen(listener: Listener): void {
    this.#listener = listener
  }

  /** New dials are refused; what is open stays. */
  stopListening(): void {
    this.#listener = undefined
  }

  diallerOf(process: SimProcess): Dialler {
    return { dial: (handler) => this.#dial(process, handler) }
  }

  /** Ends what the process had open. With `isLost` what it had sent is lost as well. */
  processDied(process: SimProcess, isLost: boolean): void {
    for (const link of [...this.links]) link.processDied(process, isLost)
  }

  #dial(process: SimProcess, handler: ConnectionHandler): Connection {
    const { clock, random } = this.options
    const link = new Link(this, process, random.between(...this.options.latencyMs), ++this.counts.links)
    const { client, server } = link
    client.handler = handler
    const { dials } = this
    if (dials === 'ignored') {
      this.counts.refusals++
      return client
    }
    clock.setTimer(link.latencyMs, () => {
      if (client.isClosed) return
      const listener = this.#listener
      if (listener === undefined || listener.process.isDead || dials === 'refused') {
        this.counts.refusals++
        client.end(abnormalClosure, 'refused')
        return
      }
      this.links.add(link)
      server.process = listener.process
      listener.process.run(() => {
        server.open()
        server.handler = listener.accept(server)
        server.hear()
        clock.setTimer(link.latencyMs, () => {
          process.run(() => {
            if (client.isClosed) return
            client.open()
            handler.opened?.()
            client.hear()
          })
        })
      })
    })
    return client
  }
}

export class Link {
  readonly network: SimNetwork
  readonly latencyMs: number
  readonly client: SimEnd
  readonly server: SimEnd

  constructor(network: SimNetwork, process: SimProcess, latencyMs: number, number: number) {
    this.network = network
    this.latencyMs = latencyMs
    this.client = new SimEnd(this, `${process.name}~${number}`, process)
    this.server = new SimEnd(this, `~${number}`, undefined)
  }

  far(end: SimEnd): SimEnd {
    return end === this.client ? this.server : this.client
  }

  /** Broken, and both ends hear of it; what was on its way is lost. */
  cut(): void {
    this.network.counts.cuts++
    for (const end of [this.client, this.server]) {
      end.isDeaf = true
      end.end(abnormalClosure, 'cut')
    }
  }

  /** Broken, and only one end hears of it. */
  halfCut(told: 'client' | 'server'): void {
    this.network.counts.halfCuts++
    this.client.isDeaf = true
    this.server.isDeaf = true
    const end = told === 'client' ? this.client : this.server
    end.end(abnormalClosure, 'cut')
  }

  /** Nothing arrives at the end, or ends, any more. */
  mute(direction: 'up' | 'down' | 'both'): void {
    this.network.counts.mutes++
    if (direction !== 'down') this.server.isDeaf = true
    if (direction !== 'up') this.client.isDeaf = true
  }

  /** Nothing arrives for so long. */
  stall(direction: 'up' | 'down', forMs: number): void {
    this.network.counts.stalls++
    const end = direction === 'up' ? this.server : this.client
    end.dueMs = Math.max(end.dueMs, this.network.options.clock.monotonic() + forMs)
  }

  /** So many bytes a second at most, for so long. */
  throttle(direction: 'up' | 'down', bytesPerMs: number, forMs: number): void {
    this.network.counts.throttles++
    const end = direction === 'up' ? this.server : this.client
    end.bytesPerMs = bytesPerMs
    this.network.options.clock.setTimer(forMs, () => (end.bytesPerMs = Infinity))
  }

  processDied(process: SimProcess, isLost: boolean): void {
    for (const end of [this.client, this.server]) {
      if (end.process !== process) continue
      const far = this.far(end)
      end.isClosed = true
      if (isLost) {
        if (!far.isDeaf) far.end(abnormalClosure, 'reset')
      } else far.arrive({ kind: 'close', code: abnormalClosure, reason: 'gone' })
      this.network.links.delete(this)
    }
  }
}

export class SimEnd implements Connection {
  readonly peer: string
  handler: ConnectionHandler | undefined
  isClosed = false
  /** Nothing arrives here. */
  isDeaf = false
  /** Nothing arrives here before. */
  dueMs = 0
  /** What arrives here, at most. */
  bytesPerMs = Infinity
  readonly #link: Link
  #process: SimProcess | undefined
  /** What the trace calls it. */
  #traceName: string
  #isOpen = false
  #isPaused = false
  #isTold = false
  #inbox: Item[] = []
  /** Sent to here, in order, and not arrived. */
  readonly #underWay: Item[] = []
  /** Sent to here, and not heard. */
  #unheardBytes = 0
  #wasAboveMark = false

  constructor(link: Link, peer: string, process: SimProcess | undefined) {
    this.#link = link
    this.peer = peer
    this.#process = process
    this.#traceName = `${process?.name}${peer}`
  }

  get process(): SimProcess | undefined {
    return this.#process
  }

  set process(process: SimProcess | undefined) {
    this.#process = process
    this.#traceName = `${process?.name}${this.peer}`
  }

  get bufferedBytes(): number {
    return this.#link.far(this).#unheardBytes
  }

  open(): void {
    this.#isOpen = true
  }

  send(chunks: readonly Uint8Array[]): void {
    if (!this.#isOpen || this.isClosed) return
    const { options } = this.#link.network
    const bytes = this.#link.network.slab.concat(chunks)
    const far = this.#link.far(this)
    far.#unheardBytes += bytes.length
    if (far.#unheardBytes >= options.sendBufferBytesMax) this.#wasAboveMark = true
    far.arrive({ kind: 'message', bytes })
  }

  pause(): void {
    if (!this.isClosed) this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.process?.defer(() => this.hear())
  }

  close(code: number, reason: string): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#inbox = []
    this.#link.network.links.delete(this.#link)
    this.#link.far(this).arrive({ kind: 'close', code, reason })
    this.process?.defer(() => this.#tell(code, reason))
  }

  /** The connection is over here, whatever was on its way. */
  end(code: number, reason: string): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#inbox = []
    this.#link.network.links.delete(this.#link)
    this.process?.defer(() => this.#tell(code, reason))
  }

  /** Something was sent to here. */
  arrive(item: Item): void {
    const { clock, random } = this.#link.network.options
    const direction = this === this.#link.client ? 'down' : 'up'
    const mishap = item.kind === 'message' ? this.#link.network.mishapOf(direction, item.bytes) : 'none'
    if (mishap !== 'none') this.#link.network.counts.mishaps++
    if (mishap === 'swallow') return
    const earliestMs = clock.monotonic() + this.#link.latencyMs * random.between(0.8, 1.2)
    // Behind what was sent before; but whatever comes behind a message that is held up overtakes it.
    this.dueMs = Math.max(earliestMs, this.dueMs)
    if (item.kind === 'message' && this.bytesPerMs < Infinity) this.dueMs += item.bytes.length / this.bytesPerMs
    const isOvertaken = mishap === 'swap'
    if (!isOvertaken) this.#underWay.push(item)
    clock.setTimer(this.dueMs + (isOvertaken ? overtakenMs : 0) - clock.monotonic(), () => {
      // Not always this one: what is due at the same time may differ by a rounding, and order is a connection's promise.
      const arrived = isOvertaken ? item : (this.#underWay.shift() as Item)
      if (this.isDeaf || this.isClosed) return
      this.process?.run(() => {
        this.#inbox.push(arrived)
        if (mishap === 'repeat') this.#inbox.push(arrived)
        this.hear()
      })
    })
  }

  /** Hands over what has arrived. Only from the event loop. */
  hear(): void {
    const { handler } = this
    const { clock, trace } = this.#link.network.options
    while (handler !== undefined && !this.#isPaused && !this.isClosed && this.#inbox.length > 0) {
      const item = this.#inbox.shift() as Item
      if (item.kind === 'message') {
        this.#link.network.counts.messages++
        this.#unheardBytes -= item.bytes.length
        trace.addBytes(clock.monotonic(), 'net', this.#traceName, item.bytes)
        handler.message(item.bytes)
        this.#link.far(this).#noteDrain()
      } else {
        this.isClosed = true
        this.#link.network.links.delete(this.#link)
        this.#tell(item.code, item.reason)
      }
    }
  }

  #tell(code: number, reason: string): void {
    if (this.#isTold) return
    this.#isTold = true
    const { clock, trace } = this.#link.network.options
    trace.add(clock.monotonic(), 'net closed', this.#traceName, code, reason)
    this.handler?.closed(code, reason)
  }

  #noteDrain(): void {
    if (!this.#wasAboveMark || this.bufferedBytes > this.#link.network.options.sendBufferBytesMax / 2) return
    this.#wasAboveMark = false
    this.process?.defer(() => {
      if (!this.isClosed) this.handler?.drained?.()
    })
  }
}
