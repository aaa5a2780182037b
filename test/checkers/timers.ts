// Timers: a scheduled message never comes early, by the relay's own wall clock, and one that was recalled never comes.
// That it comes at all is for `findLost` to say.

import { eventsOf, type History, type MessageName, type Violation } from './history.ts'

/** Messages that were in their queues before they were due. */
export function findEarlyMessages(history: History): Violation[] {
  const dueTimes = new Map(eventsOf(history, 'scheduled').map(({ message, dueMs }) => [message, dueMs]))
  const violations: Violation[] = []
  for (const { message, storedMs, member } of eventsOf(history, 'delivered')) {
    const dueMs = dueTimes.get(message)
    if (dueMs === undefined || storedMs === undefined || storedMs >= dueMs) continue
    violations.push({ message, text: `${member} got ${message} ${dueMs - storedMs} ms before it was due` })
  }
  return violations
}

/** Messages that came although they had been recalled. `stored` are those in the log at the end. */
export function findRecalledMessages(history: History, stored: readonly { readonly message: MessageName }[]): Violation[] {
  const recalled = new Set(eventsOf(history, 'recalled').map(({ message }) => message))
  const seen = [...eventsOf(history, 'delivered'), ...stored].map(({ message }) => message)
  return [...new Set(seen)]
    .filter((message) => recalled.has(message))
    .map((message) => ({ message, text: `${message} was recalled, and came` }))
}
