// Liveness: once everything works again and nobody sends any more, the world comes to rest: everybody is connected, every
// send is answered, every message consumed, every reader at the end.

import type { Violation } from './history.ts'

/** What is left to do. */
export interface Rest {
  readonly relayIsUp: boolean
  readonly clients: readonly {
    readonly name: string
    readonly isDead: boolean
    readonly link: string
    readonly unansweredCount: number
    readonly heldCount: number
  }[]
  readonly groups: readonly {
    readonly group: string
    readonly topic: string
    readonly queueId: number
    readonly backlog: number
    readonly inFlight: number
  }[]
  readonly readers: readonly {
    readonly name: string
    readonly topic: string
    readonly queueId: number
    readonly offset: number
    readonly maxOffset: number
  }[]
  /** What else is not done, in words: messages that are not due, transactions that are not ended. */
  readonly pending?: readonly string[]
}

/** What has not come to rest. */
export function findStuck({ relayIsUp, clients, groups, readers, pending = [] }: Rest): Violation[] {
  const left: string[] = [...pending]
  if (!relayIsUp) left.push('the relay is not up')
  for (const { name, isDead, link, unansweredCount, heldCount } of clients) {
    if (isDead) left.push(`${name} is not back`)
    else if (link !== 'connected') left.push(`${name} is ${link}`)
    if (unansweredCount > 0) left.push(`${unansweredCount} sends of ${name} are not answered`)
    if (heldCount > 0) left.push(`${name} holds ${heldCount} messages`)
  }
  for (const { group, topic, queueId, backlog, inFlight } of groups) {
    if (backlog > 0) left.push(`${group} has ${backlog} messages of ${topic}/${queueId} before it`)
    if (inFlight > 0) left.push(`${group} has ${inFlight} messages of ${topic}/${queueId} in flight`)
  }
  for (const { name, topic, queueId, offset, maxOffset } of readers) {
    if (offset < maxOffset) left.push(`${name} reads ${topic}/${queueId} at ${offset} of ${maxOffset}`)
  }
  return left.map((text) => ({ message: '', text }))
}
