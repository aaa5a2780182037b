// Attempts: the count that comes with a message never goes back nor stands still, whatever dies in between, so that
// a message that always fails becomes a dead letter in the end.

import { deliveriesTo, type History, type MessageName, placeName, type Violation } from './history.ts'
import type { Grant } from './lease-book.ts'

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

/**
 * The same at the relay, exactly: each delivery counts one more than the one before, or as much where that was given back
 * unseen; more only where deliveries may have died with the relay; and none is beyond the group's bound.
 */
export function findWrongAttempts(grants: readonly Grant[], attemptCountMaxOf: (group: string) => number): Violation[] {
  const violations: Violation[] = []
  for (const grant of grants) {
    const { before, attempt, group, member } = grant
    const isBeyond = attempt > attemptCountMaxOf(group)
    const least = before === undefined ? 1 : before.attempt + (before.isReleased ? 0 : 1)
    const most = (before?.attempt ?? 0) + 1 + grant.reopenCount
    if (!isBeyond && attempt >= least && attempt <= most) continue
    const was = before === undefined ? 'nothing' : `attempt ${before.attempt}`
    const text = `${placeName(grant)} went to ${member} of ${group} as attempt ${attempt} after ${was}`
    violations.push({ message: placeName(grant), text })
  }
  return violations
}
