// What one connection is sent: frames are collected per turn and leave as few messages as can be, and the room in the
// connection's buffer decides whether deliveries may come, whether reading goes on, and when a reader is too slow.

import type { Limits } from '../limits.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Connection } from '../ports/transport.ts'
import { FrameOutbox } from '../protocol/codec.ts'
import type { DownstreamName, FrameFields } from '../protocol/frames.ts'
import type { Flushable, FlushQueue } from './flush-queue.ts'
import type { SessionCounters } from './session-counters.ts'

/** A turn's frames go out in messages of about this size, so that none comes near the largest a client takes. */
const messageBytesAim = 512 * 1024

export interface SessionOutputDeps {
  readonly connection: Connection
  readonly clock: Clock
  readonly limits: Pick<Limits, 'sendBufferBytesMax' | 'slowReaderMs'>
  readonly flushQueue: FlushQueue
  readonly counters: SessionCounters
  /** Room again, after `isWritable` was false. */
  readonly roomy: () => void
  /** The buffer is so far over its mark that no more should be asked for, or has come down again. */
  readonly flooded: (isFlooded: boolean) => void
  /** The reader did not come below the mark in time. */
  readonly tooSlow: (reason: string) => void
  /** A bug: nothing is thrown out of `flush`. */
  readonly crashed: (thrown: unknown) => void
}

export class SessionOutput implements Flushable {
  readonly #deps: SessionOutputDeps
  readonly #outbox = new FrameOutbox()
  #isDirty = false
  #isEnded = false
  #isFlooded = false
  /** Somebody was told that there is no room, and not yet that there is again. */
  #isStarving = false
  #cancelSlowWatch: CancelTimer | undefined

  constructor(deps: SessionOutputDeps) {
    this.#deps = deps
  }

  /** Adds a frame to what this turn sends. */
  add<N extends DownstreamName>(name: N, fields: FrameFields<N>, payload?: Uint8Array): void {
    if (this.#isEnded) return
    const outbox = this.#outbox
    if (payload !== undefined && outbox.byteCount + payload.length > messageBytesAim) this.#send()
    outbox.add(name, fields, payload)
    if (!this.#isDirty) {
      this.#isDirty = true
      this.#deps.flushQueue.add(this)
    }
    if (outbox.byteCount >= messageBytesAim) this.#send()
  }

  flush(): void {
    this.#isDirty = false
    if (this.#isEnded) return
    try {
      this.#send()
      this.#weigh()
    } catch (error) {
      this.#deps.crashed(error)
    }
  }

  /** Sends what there is; nothing after that. */
  end(): void {
    if (this.#isEnded) return
    this.#send()
    this.#isEnded = true
    this.#cancelSlowWatch?.()
  }

  /** Whether less is held for the connection than the mark. */
  get hasRoom(): boolean {
    const heldBytes = this.#outbox.byteCount + this.#deps.connection.bufferedBytes
    return !this.#isEnded && heldBytes < this.#deps.limits.sendBufferBytesMax
  }

  /** Whether deliveries may come now. Asking and being told no means to be told when there is room. */
  get isWritable(): boolean {
    if (this.#isEnded) return false
    if (this.hasRoom) return true
    this.#isStarving = true
    return false
  }

  /** The connection's buffer is below half of the mark. */
  drained(): void {
    if (this.#isEnded) return
    this.#cancelSlowWatch?.()
    this.#cancelSlowWatch = undefined
    if (this.#isFlooded) {
      this.#isFlooded = false
      this.#deps.flooded(false)
    }
    this.#feed()
  }

  #send(): void {
    const { byteCount } = this.#outbox
    if (byteCount === 0) return
    const { connection, counters } = this.#deps
    counters.transportMessagesOut++
    counters.bytesOut += byteCount
    connection.send(this.#outbox.take())
  }

  #weigh(): void {
    const { clock, connection, limits } = this.#deps
    const { bufferedBytes } = connection
    if (bufferedBytes < limits.sendBufferBytesMax) return this.#feed()
    this.#cancelSlowWatch ??= clock.setTimer(limits.slowReaderMs, () => this.#judge())
    // Deliveries stop at the mark by themselves; what goes on growing beyond it are answers to requests.
    if (bufferedBytes >= 2 * limits.sendBufferBytesMax && !this.#isFlooded) {
      this.#isFlooded = true
      this.#deps.flooded(true)
    }
  }

  #feed(): void {
    if (!this.#isStarving || !this.isWritable) return
    this.#isStarving = false
    this.#deps.roomy()
  }

  #judge(): void {
    this.#cancelSlowWatch = undefined
    if (this.#isEnded) return
    const { clock, connection, counters, limits } = this.#deps
    const { sendBufferBytesMax, slowReaderMs } = limits
    const { bufferedBytes } = connection
    if (bufferedBytes >= sendBufferBytesMax) {
      counters.slowReaders++
      this.#deps.tooSlow(`${bufferedBytes} bytes not taken within ${slowReaderMs} ms; resume from your position`)
    } else if (bufferedBytes <= sendBufferBytesMax / 2) {
      // A transport that did not say so.
      this.drained()
    } else {
      // It takes what it is sent, if slowly.
      this.#cancelSlowWatch = clock.setTimer(slowReaderMs, () => this.#judge())
    }
  }
}
