// No loss: what was acknowledged is consumed, by every group it is meant for.

import { type EventOf, eventsOf, type History, type MessageName, type Violation } from './history.ts'

/** Whether a message is meant for the group, e.g. by topic or filter. */
export type IsMeant = (sent: EventOf<'sent'>) => boolean

interface Delivery {
  readonly event: EventOf<'delivered'>
  /** The application called `ack`. */
  isAcking: boolean
  /** The relay or the connection died after that: whether the ack took effect is unknown until it is answered. */
  isUnclear: boolean
  /** The message need not come again. */
  isFinished: boolean
}

/**
 * Messages that were acknowledged and meant for `group`, and that it never finished. A reader without leases has
 * finished a message when it has seen it. An ack whose answer died with the relay or the member may have taken effect:
 * such a message counts as finished unless it came again.
 */
export function findLost(history: History, group: string, isMeant: IsMeant = () => true): Violation[] {
  const meant = new Set(eventsOf(history, 'sent').filter(isMeant).map((event) => event.message))
  const finished = findFinished(history, group)
  return eventsOf(history, 'acknowledged')
    .filter((event) => meant.has(event.message) && !finished.has(event.message))
    .map(({ message }) => ({ message, text: `${message} was acknowledged and never consumed by ${group}` }))
}

function findFinished(history: History, group: string): Set<MessageName> {
  const consumed = new Set<MessageName>()
  const lastDeliveries = new Map<MessageName, Delivery>()
  for (const event of history) {
    if (event.kind === 'killed') {
      for (const delivery of lastDeliveries.values()) killed(delivery, event.member)
    } else if (event.kind === 'disconnected') {
      for (const delivery of lastDeliveries.values()) disconnected(delivery, event.member)
    } else if ('group' in event && event.group === group) {
      const last = lastDeliveries.get(event.message)
      if (event.kind === 'consumed') consumed.add(event.message)
      if (event.kind === 'delivered') {
        const isFinished = event.attempt === 0
        lastDeliveries.set(event.message, { event, isAcking: false, isUnclear: false, isFinished })
      } else if (last !== undefined && 'attempt' in event && event.attempt === last.event.attempt) {
        if (event.kind === 'acking') last.isAcking = true
        if (event.kind === 'lease-lost' && last.isUnclear) last.isFinished = true
      }
    }
  }
  for (const [message, delivery] of lastDeliveries) if (delivery.isFinished) consumed.add(message)
  return consumed
}

/** A dead member asks no more. The relay is asked again, and says that the lease is no more if the ack took effect. */
function killed(delivery: Delivery, member: string | undefined): void {
  if (!delivery.isAcking) return
  if (member === undefined) delivery.isUnclear = true
  else if (member === delivery.event.member) delivery.isFinished = true
}

/** The member asks again, as after the relay's death. */
function disconnected(delivery: Delivery, member: string): void {
  if (delivery.isAcking && member === delivery.event.member) delivery.isUnclear = true
}
