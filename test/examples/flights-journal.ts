// The books of the example: what each process saw, and when. Times are of the machine's own monotonic clock, which
// all its processes share, so that the histories of several can be laid into one.

import { hrtime } from 'node:process'
import type { History, HistoryEvent, MessageName } from '../checkers/history.ts'

export type TimedEvent = HistoryEvent & { readonly atMs: number }

export function nowMs(): number {
  return Number(hrtime.bigint()) / 1e6
}

export class Journal {
  readonly #events: TimedEvent[] = []
  readonly #handled = new Map<string, Set<MessageName>>()
  #storedCount = 0

  /** Notes an event of this process. */
  note(event: HistoryEvent): void {
    this.add({ ...event, atMs: nowMs() })
  }

  /** Takes an event of any process. */
  add(event: TimedEvent): void {
    this.#events.push(event)
    if (event.kind === 'acknowledged') this.#storedCount++
    const isHandled = event.kind === 'acking' || (event.kind === 'delivered' && event.attempt === 0)
    if (isHandled) this.#handledBy(event.group).add(event.message)
  }

  /** Sends that were acknowledged. */
  get storedCount(): number {
    return this.#storedCount
  }

  /** Different messages a group has handled, or a reader has seen. */
  handledCount(group: string): number {
    return this.#handledBy(group).size
  }

  /** All events in order of time. */
  history(): History {
    return this.#events.toSorted((left, right) => left.atMs - right.atMs)
  }

  #handledBy(group: string): Set<MessageName> {
    const handled = this.#handled.get(group) ?? new Set()
    this.#handled.set(group, handled)
    return handled
  }
}
