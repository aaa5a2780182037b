// Offset agreement: a place in a queue is one message's for ever, and a message lies in one place: all receipts,
// deliveries, pulls and the log at the end say the same, across restarts.

import { eventsOf, type Found, type History, type MessageName, placeName, type Violation } from './history.ts'

/** A message of the log, as it was read at the end. */
export interface StoredMessage extends Found {
  readonly message: MessageName
}

/** Places that two messages were seen at, and messages seen at two places or under two ids. */
export function findDisagreements(history: History, stored: readonly StoredMessage[]): Violation[] {
  const violations: Violation[] = []
  const messageByPlace = new Map<string, MessageName>()
  const foundByMessage = new Map<MessageName, Found>()
  const note = (message: MessageName, found: Found, told: string): void => {
    const place = placeName(found)
    const other = messageByPlace.get(place)
    if (other === undefined) messageByPlace.set(place, message)
    else if (other !== message) violations.push({ message, text: `${told} ${message} at ${place}, where ${other} was seen` })
    const before = foundByMessage.get(message)
    if (before === undefined) foundByMessage.set(message, found)
    else if (placeName(before) !== place || before.messageId !== found.messageId) {
      const was = `${placeName(before)} as ${before.messageId}`
      violations.push({ message, text: `${told} ${message} at ${place} as ${found.messageId}; it was seen at ${was}` })
    }
  }
  for (const { message, found } of eventsOf(history, 'acknowledged')) {
    if (found !== undefined) note(message, found, 'a receipt names')
  }
  for (const { message, found, member } of eventsOf(history, 'delivered')) {
    if (found !== undefined) note(message, found, `${member} got`)
  }
  for (const { message, found } of eventsOf(history, 'looked-up')) if (found !== undefined) note(message, found, 'a query found')
  for (const { message, ...found } of stored) note(message, found, 'the log holds')
  return violations
}
