// What a push consumer holds ahead of its application, in the order of arrival, and the room it has for more. Room that
// becomes free is granted to the relay in steps of half the window, so that credit costs a frame now and then.

import type { Position } from '../model/position.ts'
import { Delivery } from './delivery.ts'

export interface GapNotice {
  readonly kind: 'gap'
  readonly queueId: number
  readonly expected: Position
  readonly next: Position
}

/** The filter took nothing of a stretch of the queue: the reader stands further on. */
export interface ProgressNotice {
  readonly kind: 'progress'
  readonly queueId: number
  readonly next: Position
}

export type Notice = GapNotice | ProgressNotice

export interface PrefetchWindow {
  readonly messageCount: number
  readonly byteCount: number
}

export interface PrefetchBufferDeps {
  readonly window: PrefetchWindow
  /** Room has become free. */
  readonly freed: (messageCount: number, byteCount: number) => void
  /** A notice has come to the head: everything before it was taken. */
  readonly noticed: (notice: Notice) => void
  /** All of a delivery was taken. */
  readonly finished: (delivery: Delivery) => void
}

export class PrefetchBuffer {
  readonly #deps: PrefetchBufferDeps
  readonly #countStep: number
  readonly #byteStep: number
  #current: Delivery | undefined
  /** Behind the current one; the head is an index, as shifting costs. */
  #waiting: (Delivery | Notice)[] = []
  #head = 0
  #heldBytes = 0
  #freedCount = 0
  #freedBytes = 0

  constructor(deps: PrefetchBufferDeps) {
    this.#deps = deps
    this.#countStep = Math.ceil(deps.window.messageCount / 2)
    this.#byteStep = Math.ceil(deps.window.byteCount / 2)
  }

  /** The delivery that messages are being taken from. */
  get current(): Delivery | undefined {
    return this.#current
  }

  /** Of a delivery, the first `knownCount` messages are not handed out. */
  add(item: Delivery | Notice, knownCount = 0): void {
    this.#waiting.push(item)
    if (!(item instanceof Delivery)) return
    this.#heldBytes += item.record.bytes.length
    item.takenCount = knownCount
    this.#free(knownCount)
  }

  /** Nothing of it is wanted: it makes room at once. */
  pass(delivery: Delivery): void {
    this.#heldBytes += delivery.record.bytes.length
    this.#forget(delivery)
    this.#grantSome()
  }

  /** The delivery to take the next message from, at its `takenCount`; undefined where there is none. */
  head(): Delivery | undefined {
    for (;;) {
      const current = this.#current
      if (current !== undefined) {
        if (current.untakenCount > 0) return current
        this.#current = undefined
        this.#finish(current)
      }
      const item = this.#waiting[this.#head]
      if (item === undefined) return undefined
      this.#head++
      if (this.#head === this.#waiting.length || this.#head >= 1024) {
        this.#waiting = this.#waiting.slice(this.#head)
        this.#head = 0
      }
      if (item instanceof Delivery) this.#current = item
      else this.#deps.noticed(item)
    }
  }

  /** The next message of `delivery`, which is the head, is taken: gives its index. */
  take(delivery: Delivery): number {
    const index = delivery.takenCount++
    this.#free(1)
    return index
  }

  /** Nothing more of it is handed out. */
  skip(delivery: Delivery): void {
    const { untakenCount } = delivery
    delivery.takenCount += untakenCount
    this.#free(untakenCount)
  }

  /** Nothing of a queue is handed out or noticed any more, as if it had not come. */
  drop(queueId: number): void {
    const kept: (Delivery | Notice)[] = []
    for (const item of [this.#current, ...this.#waiting.slice(this.#head)]) {
      if (item === undefined) continue
      if (item.queueId !== queueId) {
        if (item !== this.#current) kept.push(item)
      } else if (item instanceof Delivery) this.#forget(item)
    }
    if (this.#current?.queueId === queueId) this.#current = undefined
    this.#waiting = kept
    this.#head = 0
    this.#grantSome()
  }

  /** What the relay may be granted on a new connection, where credit begins at nothing. */
  restart(): PrefetchWindow {
    this.#freedCount = 0
    this.#freedBytes = 0
    const { messageCount, byteCount } = this.#deps.window
    let heldCount = this.#current?.untakenCount ?? 0
    for (const delivery of this.#waitingDeliveries()) heldCount += delivery.untakenCount
    return {
      messageCount: Math.max(0, messageCount - heldCount),
      byteCount: Math.max(0, byteCount - this.#heldBytes),
    }
  }

  /** Empties it; gives the deliveries that were not taken to the end. */
  drain(): Delivery[] {
    const left = this.#current === undefined ? [] : [this.#current]
    left.push(...this.#waitingDeliveries())
    this.#current = undefined
    this.#waiting = []
    this.#head = 0
    this.#heldBytes = 0
    return left.filter((delivery) => delivery.untakenCount > 0)
  }

  #waitingDeliveries(): Delivery[] {
    return this.#waiting.slice(this.#head).filter((item) => item instanceof Delivery)
  }

  #finish(delivery: Delivery): void {
    this.#forget(delivery)
    this.#deps.finished(delivery)
    this.#grantSome()
  }

  /** Its bytes, and what was not taken of it, make room. */
  #forget(delivery: Delivery): void {
    const size = delivery.record.bytes.length
    this.#heldBytes -= size
    this.#freedBytes += size
    // Those given back not before: an application that is stuck would only be sent them again.
    this.#freedCount += delivery.untakenCount + delivery.releasedCount
  }

  #free(messageCount: number): void {
    this.#freedCount += messageCount
    if (this.#freedCount >= this.#countStep) this.#grant()
  }

  #grantSome(): void {
    if (this.#freedBytes >= this.#byteStep || this.#freedCount >= this.#countStep) this.#grant()
  }

  #grant(): void {
    const messageCount = this.#freedCount
    const byteCount = this.#freedBytes
    this.#freedCount = 0
    this.#freedBytes = 0
    this.#deps.freed(messageCount, byteCount)
  }
}
