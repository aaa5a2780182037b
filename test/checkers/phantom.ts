// No phantoms: nobody sees what nobody sent, and no group sees what is not meant for it.

import type { IsMeant } from './no-loss.ts'
import type { EventOf, History, MessageName, Violation } from './history.ts'

/** Deliveries to `group` of messages that had not been sent by then, or that are not meant for it. */
export function findPhantoms(history: History, group: string, isMeant: IsMeant = () => true): Violation[] {
  const violations: Violation[] = []
  const sentByMessage = new Map<MessageName, EventOf<'sent'>>()
  for (const event of history) {
    if (event.kind === 'sent') sentByMessage.set(event.message, event)
    if (event.kind !== 'delivered' || event.group !== group) continue
    const { message } = event
    const sent = sentByMessage.get(message)
    if (sent === undefined) violations.push({ message, text: `${group} saw ${message}, which was not sent` })
    else if (!isMeant(sent)) violations.push({ message, text: `${group} saw ${message}, which is not meant for it` })
  }
  return violations
}
