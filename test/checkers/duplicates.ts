// Duplicates: at least once means that a message may come again, but only for a reason. The reasons are: the
// application asked for it, its lease was lost, or a process died before the ack was answered.

import { type EventOf, eventsOf, type History, type MessageName, type Violation } from './history.ts'

export interface DuplicateCount {
  /** Deliveries beyond the first of each message. */
  readonly redeliveryCount: number
  /** Those for which the history holds no reason. */
  readonly unjustified: readonly Violation[]
}

interface Delivery {
  readonly event: EventOf<'delivered'>
  isConsumed: boolean
  /** Whether something happened after which the message may come again. */
  isExcused: boolean
}

/** Counts the redeliveries of `group`, and judges each. */
export function countDuplicates(history: History, group: string): DuplicateCount {
  return countRedeliveries(history, group, () => '')
}

/** The same for BROADCASTING, where each member reads for itself, resumes by itself, and no reason is a good one. */
export function countReaderDuplicates(history: History, group: string): DuplicateCount {
  return countRedeliveries(history, group, (member) => member)
}

/** `readerOf` says whose deliveries belong together. */
function countRedeliveries(history: History, group: string, readerOf: (member: string) => string): DuplicateCount {
  const lostLeases = new Set(eventsOf(history, 'lease-lost').map(leaseNameOf))
  const readers = new Map<string, Map<MessageName, Delivery>>()
  let redeliveryCount = 0
  const unjustified: Violation[] = []

  for (const event of history) {
    if (event.kind === 'killed') {
      for (const deliveries of readers.values()) {
        for (const delivery of deliveries.values()) excuseByDeath(delivery, event.member)
      }
    }
    if (!('group' in event) || event.group !== group) continue
    const reader = readerOf(event.member)
    let lastByMessage = readers.get(reader)
    if (lastByMessage === undefined) readers.set(reader, lastByMessage = new Map())
    const last = lastByMessage.get(event.message)
    if (event.kind === 'delivered') {
      if (last !== undefined) redeliveryCount++
      const fault = last === undefined ? undefined : faultOf(last)
      if (fault !== undefined) unjustified.push({ message: event.message, text: `${describe(event)} again: ${fault}` })
      const isExcused = lostLeases.size > 0 && lostLeases.has(leaseNameOf(event))
      lastByMessage.set(event.message, { event, isConsumed: false, isExcused })
    } else if (last !== undefined && last.event.member === event.member) {
      if (event.kind === 'consumed') last.isConsumed = true
      if (event.kind === 'retried') last.isExcused = true
    }
  }
  return { redeliveryCount, unjustified }
}

/** The relay's death excuses what was not consumed by then; a member's death excuses its own. */
function excuseByDeath(delivery: Delivery, member: string | undefined): void {
  if (delivery.event.attempt === 0 || delivery.isConsumed) return
  if (member === undefined || member === delivery.event.member) delivery.isExcused = true
}

function faultOf({ event, isConsumed, isExcused }: Delivery): string | undefined {
  if (isConsumed) return `${event.member} had consumed attempt ${event.attempt}`
  return isExcused ? undefined : `nothing had happened to attempt ${event.attempt} at ${event.member}`
}

function describe(event: EventOf<'delivered'>): string {
  return `${event.member} of ${event.group} saw ${event.message}, attempt ${event.attempt},`
}

function leaseNameOf(event: EventOf<'delivered'> | EventOf<'lease-lost'>): string {
  return `${event.group}\n${event.member}\n${event.message}\n${event.attempt}`
}
