// Progress: what a relay says a group has consumed, all below the ack floor, was consumed: acked by a member, dead after
// its attempts, kept away by the filter, or gone from the disk. And where all is consumed for certain it is at the end.

import type { Violation } from './history.ts'
import type { LeaseBook } from './lease-book.ts'
import { progressGroupOf, type RelayEvent, type RelayEventOf } from './relay-history.ts'

export interface ProgressOptions {
  /** Messages that are not the group's to consume: filtered out, or gone from the disk. */
  readonly isPassedOver: (group: string, topic: string, queueId: number, offset: number) => boolean
}

/** How far the checks have come in one queue. */
interface Pointers {
  /** All below may be consumed. */
  possible: number
  /** All below is consumed for certain. */
  certain: number
}

/** A message that was counted as consumed, as far as has been heard. */
interface Unfounded {
  readonly atMs: number
  readonly violation: Violation
  readonly isDone: () => boolean
}

/** Watches the reports of progress, beside the book that hears the same history: each event after the book has. */
export class ProgressWatch {
  readonly #violations: Violation[] = []
  readonly #book: LeaseBook
  readonly #options: ProgressOptions
  readonly #pointers = new Map<string, Pointers>()
  readonly #resets = new Map<number, RelayEventOf<'resetting'>>()
  /** Told at this moment: a lease that began and ended in the turn of the report may be told behind it. */
  #unfounded: readonly Unfounded[] = []
  /** By queue: that its ack floor is lower than it has to be, as far as the last report goes. */
  readonly #low = new Map<string, Violation>()

  constructor(book: LeaseBook, options: ProgressOptions) {
    this.#book = book
    this.#options = options
  }

  /**
   * What is wrong, if nothing more is heard. That a floor is low counts only where the last report of a queue says so, as
   * that one was made at rest: what waits behind others of its message group may be lost from sight for a while, and until
   * it is found again the floor is one that is known for certain to be low enough.
   */
  get violations(): readonly Violation[] {
    return [...this.#violations, ...this.#unfounded.map(({ violation }) => violation), ...this.#low.values()]
  }

  hear(event: RelayEvent): void {
    this.#settle(event.atMs)
    switch (event.kind) {
      case 'progress':
        return this.#progress(event)
      case 'resetting':
        this.#resets.set(event.reset, event)
        return
      case 'reset': {
        const asked = this.#resets.get(event.reset)
        if (asked === undefined) return
        this.#resets.delete(event.reset)
        for (const { queueId, offset } of event.queues) {
          const key = keyOf(asked.group, asked.topic, queueId)
          this.#pointers.set(key, { possible: offset, certain: offset })
          this.#low.delete(key)
        }
        return
      }
      case 'damage-reported': {
        const group = progressGroupOf(event.what)
        if (group === undefined) return
        const key = keyOf(group, event.topic, event.queueId)
        this.#pointers.delete(key)
        this.#low.delete(key)
        break
      }
      default:
    }
  }

  #settle(nowMs: number): void {
    if (this.#unfounded.length === 0) return
    for (const { atMs, violation } of this.#unfounded) if (atMs < nowMs) this.#violations.push(violation)
    this.#unfounded = this.#unfounded.filter(({ atMs, isDone }) => atMs >= nowMs && !isDone())
  }

  #progress({ atMs, group, topic, queueId, ackFloor, nextOffset }: RelayEventOf<'progress'>): void {
    const book = this.#book
    const key = keyOf(group, topic, queueId)
    this.#low.delete(key)
    // While a reset is under way, and after one whose end nobody knows, the floor may be anywhere.
    const isMoving = [...this.#resets.values()].some((reset) => reset.group === group && reset.topic === topic)
    if (isMoving || book.isLost(group, topic, queueId)) return
    const pointers = this.#pointers.get(key) ?? { possible: 0, certain: 0 }
    this.#pointers.set(key, pointers)
    const found = (text: string): Violation => {
      return { message: key, text: `${group} on ${topic}/${queueId} at ${atMs.toFixed(1)} ms: ${text}` }
    }
    if (ackFloor > nextOffset) {
      this.#violations.push(found(`its ack floor ${ackFloor} is beyond ${nextOffset}, the next it is to get`))
    }
    for (; pointers.possible < ackFloor; pointers.possible++) {
      const offset = pointers.possible
      const isDone = book.mayBeDone(group, topic, queueId, offset, atMs) ||
        this.#options.isPassedOver(group, topic, queueId, offset)
      if (isDone) continue
      this.#unfounded = [...this.#unfounded, {
        atMs,
        violation: found(`its ack floor is ${ackFloor}, and nobody consumed ${offset}`),
        isDone: () => book.mayBeDone(group, topic, queueId, offset, atMs),
      }]
    }
    while (book.isConsumed(group, topic, queueId, pointers.certain)) pointers.certain++
    const isAllConsumed = pointers.certain >= nextOffset
    if (ackFloor < pointers.certain && isAllConsumed) {
      this.#low.set(key, found(`its ack floor is ${ackFloor}, and all below ${pointers.certain} is consumed`))
    }
  }
}

function keyOf(group: string, topic: string, queueId: number): string {
  return `${group} ${topic}/${queueId}`
}
