// Order: within a message group, a consumer group sees messages in the order in which they were sent. A message may
// come again before its successor has come, never after: its successor is not delivered until it was consumed.

import { deliveriesTo, eventsOf, type History, type MessageName, type Violation } from './history.ts'

/** Deliveries to `group` of a message after a later one of its message group, which one producer must have sent. */
export function findOrderViolations(history: History, group: string): Violation[] {
  return findStepsBack(history, group, () => '')
}

/** The same for BROADCASTING, where each member reads for itself. */
export function findReaderOrderViolations(history: History, group: string): Violation[] {
  return findStepsBack(history, group, (member) => member)
}

/** `readerOf` says whose deliveries are one sequence. */
function findStepsBack(history: History, group: string, readerOf: (member: string) => string): Violation[] {
  const placeByMessage = new Map<MessageName, { messageGroup: string; index: number }>()
  for (const [index, { message, messageGroup }] of eventsOf(history, 'sent').entries()) {
    if (messageGroup !== undefined && !placeByMessage.has(message)) placeByMessage.set(message, { messageGroup, index })
  }
  const violations: Violation[] = []
  const furthest = new Map<string, { message: MessageName; index: number }>()
  for (const { message, member } of deliveriesTo(history, group)) {
    const place = placeByMessage.get(message)
    if (place === undefined) continue
    const sequence = `${readerOf(member)}\n${place.messageGroup}`
    const before = furthest.get(sequence)
    if (before === undefined || place.index >= before.index) furthest.set(sequence, { message, index: place.index })
    else violations.push({ message, text: `${group} saw ${message} of ${place.messageGroup} after ${before.message}` })
  }
  return violations
}
