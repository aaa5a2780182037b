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

/** Watches the reports of progress, beside the book that hears the same history: each event after the book has. */
export class ProgressWatch {
  readonly violations: Violation[] = []
  readonly #book: LeaseBook
  readonly #options: ProgressOptions
  readonly #pointers = new Map<string, Pointers>()
  readonly #resets = new Map<number, RelayEventOf<'resetting'>>()

  constructor(book: LeaseBook, options: ProgressOptions) {
    this.#book = book
    this.#options = options
  }

  hear(event: RelayEvent): void {
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
          this.#pointers.set(keyOf(asked.group, asked.topic, queueId), { possible: offset, certain: offset })
        }
        return
      }
      case 'damage-reported': {
        const group = progressGroupOf(event.what)
        if (group !== undefined) this.#pointers.delete(keyOf(group, event.topic, event.queueId))
        break
      }
      default:
    }
  }

  #progress({ atMs, group, topic, queueId, ackFloor, nextOffset }: RelayEventOf<'progress'>): void {
    const book = this.#book
    // While a reset is under way, and after one whose end nobody knows, the floor may be anywhere.
    const isMoving = [...this.#resets.values()].some((reset) => reset.group === group && reset.topic === topic)
    if (isMoving || book.isLost(group, topic, queueId)) return
    const key = keyOf(group, topic, queueId)
    const pointers = this.#pointers.get(key) ?? { possible: 0, certain: 0 }
    this.#pointers.set(key, pointers)
    const report = (text: string): void => {
      this.violations.push({ message: key, text: `${group} on ${topic}/${queueId} at ${atMs.toFixed(1)} ms: ${text}` })
    }
    if (ackFloor > nextOffset) report(`its ack floor ${ackFloor} is beyond ${nextOffset}, the next it is to get`)
    for (; pointers.possible < ackFloor; pointers.possible++) {
      const offset = pointers.possible
      const isDone = book.mayBeDone(group, topic, queueId, offset, atMs) ||
        this.#options.isPassedOver(group, topic, queueId, offset)
      if (!isDone) report(`its ack floor is ${ackFloor}, and nobody consumed ${offset}`)
    }
    while (book.isConsumed(group, topic, queueId, pointers.certain)) pointers.certain++
    // Where messages wait behind others of their message group, the floor may be one that is known for certain to be low
    // enough; where all is consumed there is none.
    const isAllConsumed = pointers.certain >= nextOffset
    if (ackFloor < pointers.certain && isAllConsumed) {
      report(`its ack floor is ${ackFloor}, and all below ${pointers.certain} is consumed`)
    }
  }
}

function keyOf(group: string, topic: string, queueId: number): string {
  return `${group} ${topic}/${queueId}`
}
