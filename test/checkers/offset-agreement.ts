// Offset agreement: a place in a queue is one message's for ever, and a message lies in one place: all receipts,
// deliveries, pulls and the log at the end say the same, across restarts.

import { eventsOf, type Found, type History, isSamePlace, type MessageName, placeName, type Violation } from './history.ts'

/** A message of the log, as it was read at the end. */
export interface StoredMessage extends Found {
  readonly message: MessageName
}

/** Places that two messages were seen at, and messages seen at two places or under two ids. */
export function findDisagreements(history: History, stored: readonly StoredMessage[]): Violation[] {
  const violations: Violation[] = []
  const messageByPlace = new Map<string, MessageName>()
  const foundByMessage = new Map<MessageName, Found>()
  /** Of these, the message was the first at its place: what says the same again needs no words. */
  const agreed = new Set<MessageName>()
  const note = (message: MessageName, found: Found, who: string, verb: string): void => {
    const before = foundByMessage.get(message)
    const isSame = before !== undefined && isSamePlace(before, found) && before.messageId === found.messageId
    if (isSame && agreed.has(message)) return
    const place = placeName(found)
    const other = messageByPlace.get(place)
    if (other === undefined) messageByPlace.set(place, message)
    else if (other !== message) {
      violations.push({ message, text: `${who} ${verb} ${message} at ${place}, where ${other} was seen` })
    }
    if (before === undefined) {
      foundByMessage.set(message, found)
      if (other === undefined) agreed.add(message)
    } else if (!isSame) {
      const was = `${placeName(before)} as ${before.messageId}`
      violations.push({ message, text: `${who} ${verb} ${message} at ${place} as ${found.messageId}; it was seen at ${was}` })
    }
  }
  for (const { message, found } of eventsOf(history, 'acknowledged')) {
    if (found !== undefined) note(message, found, 'a receipt', 'names')
  }
  for (const { message, found, member } of eventsOf(history, 'delivered')) {
    if (found !== undefined) note(message, found, member, 'got')
  }
  for (const { message, found } of eventsOf(history, 'looked-up')) {
    if (found !== undefined) note(message, found, 'a query', 'found')
  }
  for (const { message, ...found } of stored) note(message, found, 'the log', 'holds')
  return violations
}
