// Connections joined in memory: a client and a relay in one process, tests, the simulation. Passes the same contract
// as sockets do; everything arrives through `clock.defer`, so a simulated clock orders it. A single chunk is handed
// over without a copy: both sides read the same bytes, and neither may write to them.

import { concatBytes } from '../bytes.ts'
import { defaultLimits } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'
import type { Connection, ConnectionHandler, Dialler } from '../ports/transport.ts'

/** What is told when no connection came about, as WebSocket does (RFC 6455 §7.4.1); it is never sent. */
const abnormalClosure = 1006

export interface InProcessOptions {
  readonly clock: Clock
  /** Takes the accepted end, which is open already, and says who hears what arrives there. */
  readonly accept: (connection: Connection) => ConnectionHandler
  /** High-water mark of each end, in bytes: `drained` comes below half of it. Default: `Limits.sendBufferBytesMax`. */
  readonly sendBufferBytesMax?: number
  /** What both ends call the other, for logs. */
  readonly peer?: string
}

/** A {@link Dialler} whose connections are accepted in the same process. */
export interface InProcessListener extends Dialler {
  /** Refuses what is dialled from now on; open connections stay. Calling it again does nothing. */
  close(): void
}

export function createInProcessListener(options: InProcessOptions): InProcessListener {
  const peer = options.peer ?? 'in-process'
  let isListening = true
  let dialCount = 0
  return {
    dial(handler) {
      dialCount++
      return createInProcessPair(handler, {
        ...options,
        peer: `${peer} ${dialCount}`,
        isRefused: () => !isListening,
      })
    },
    close() {
      isListening = false
    },
  }
}

/**
 * Joins two ends and returns the dialling one. `options.accept` is called with the other end in a later turn, then
 * `handler.opened`; neither happens when the dialling end is closed before, or `isRefused` says so then.
 */
export function createInProcessPair(
  handler: ConnectionHandler,
  options: InProcessOptions & { readonly isRefused?: () => boolean },
): Connection {
  const { clock, accept, sendBufferBytesMax = defaultLimits.sendBufferBytesMax, peer = 'in-process' } = options
  const dialling = new InProcessEnd(clock, sendBufferBytesMax, peer)
  const accepted = new InProcessEnd(clock, sendBufferBytesMax, peer)
  dialling.join(accepted)
  accepted.join(dialling)
  dialling.hear(handler)
  clock.defer(() => {
    if (dialling.isEnding) return
    if (options.isRefused?.() === true) {
      dialling.end(abnormalClosure, 'nobody listens')
      return
    }
    accepted.open()
    accepted.hear(accept(accepted))
    dialling.open()
    handler.opened?.()
  })
  return dialling
}

interface Ending {
  readonly code: number
  readonly reason: string
}

/** One end. `#inbox` holds what the far end sent and `#handler` has not heard. */
class InProcessEnd implements Connection {
  readonly peer: string
  readonly #clock: Clock
  readonly #sendBufferBytesMax: number
  /** Itself until the two are joined. */
  #far: InProcessEnd = this
  #handler: ConnectionHandler | undefined
  #inbox: Uint8Array[] = []
  #inboxBytes = 0
  /** How this end ends: told once the inbox is empty. */
  #ending: Ending | undefined
  #isOpen = false
  #isClosed = false
  #isTold = false
  #isPaused = false
  #isDeliveryDue = false
  #wasAboveMark = false
  #isDrainDue = false

  constructor(clock: Clock, sendBufferBytesMax: number, peer: string) {
    this.#clock = clock
    this.#sendBufferBytesMax = sendBufferBytesMax
    this.peer = peer
  }

  join(far: InProcessEnd): void {
    this.#far = far
  }

  hear(handler: ConnectionHandler): void {
    this.#handler = handler
  }

  open(): void {
    this.#isOpen = true
  }

  get isEnding(): boolean {
    return this.#ending !== undefined
  }

  /** The far end, or nobody, ended it: what has arrived is delivered first. */
  end(code: number, reason: string): void {
    if (this.#ending !== undefined) return
    this.#ending = { code, reason }
    this.#scheduleDelivery()
  }

  get bufferedBytes(): number {
    return this.#far.#inboxBytes
  }

  send(chunks: readonly Uint8Array[]): void {
    const far = this.#far
    if (!this.#isOpen || this.#isClosed || far.#ending !== undefined) return
    const bytes = concatBytes(chunks)
    far.#inbox.push(bytes)
    far.#inboxBytes += bytes.length
    if (far.#inboxBytes >= this.#sendBufferBytesMax) this.#wasAboveMark = true
    far.#scheduleDelivery()
  }

  pause(): void {
    if (!this.#isClosed) this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#scheduleDelivery()
  }

  close(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#isPaused = false
    // Nothing more is heard after one's own close, as with sockets.
    this.#inbox = []
    this.#inboxBytes = 0
    this.#ending = { code, reason }
    this.#scheduleDelivery()
    this.#far.end(code, reason)
  }

  #scheduleDelivery(): void {
    if (this.#isDeliveryDue || this.#isTold) return
    this.#isDeliveryDue = true
    this.#clock.defer(() => {
      this.#isDeliveryDue = false
      this.#deliver()
    })
  }

  /** Tells the handler what is there now; what arrives meanwhile waits for the next turn, so that others get theirs. */
  #deliver(): void {
    const handler = this.#handler
    if (handler === undefined || this.#isTold) return
    const arrived = this.#inbox
    this.#inbox = []
    let heardCount = 0
    try {
      if (this.#isDrainDue) {
        this.#isDrainDue = false
        if (this.#ending === undefined) handler.drained?.()
      }
      while (heardCount < arrived.length && !this.#isPaused && !this.#isClosed) {
        const bytes = arrived[heardCount] as Uint8Array
        heardCount++
        this.#inboxBytes -= bytes.length
        handler.message(bytes)
      }
    } finally {
      // In `finally`, so that a handler that throws loses only its own message.
      if (heardCount < arrived.length && !this.#isClosed) this.#inbox = arrived.slice(heardCount).concat(this.#inbox)
      if (this.#inbox.length > 0 && !this.#isPaused) this.#scheduleDelivery()
      this.#far.#noteDrain()
    }
    if (this.#ending !== undefined && this.#inbox.length === 0 && !this.#isPaused) {
      this.#isTold = true
      this.#isClosed = true
      handler.closed(this.#ending.code, this.#ending.reason)
    }
  }

  #noteDrain(): void {
    if (!this.#wasAboveMark || this.bufferedBytes > this.#sendBufferBytesMax / 2) return
    this.#wasAboveMark = false
    this.#isDrainDue = true
    this.#scheduleDelivery()
  }
}
