// Attempts: the count that comes with a message never goes back nor stands still, whatever dies in between, so that
// a message that always fails becomes a dead letter in the end.

import { deliveriesTo, type History, type MessageName, type Violation } from './history.ts'

/** Deliveries to `group` whose attempt is not above that of the delivery before. */
export function findAttemptsNotCounted(history: History, group: string): Violation[] {
  const violations: Violation[] = []
  const attempts = new Map<MessageName, number>()
  for (const { message, attempt } of deliveriesTo(history, group)) {
    const before = attempts.get(message) ?? 0
    if (attempt <= before) {
      violations.push({ message, text: `${group} saw ${message} as attempt ${attempt} after attempt ${before}` })
    }
    attempts.set(message, attempt)
  }
  return violations
}
