// The lock of a message group: while one of its messages is out, or waits to come again, no later one is handed out to
// the same consumer group. It is free when the message is consumed, or dead after its last attempt.

import { placeName, type Violation } from './history.ts'
import type { Grant } from './lease-book.ts'

/** Messages handed out before an earlier one of their message group was done with. */
export function findLockBreaks(grants: readonly Grant[]): Violation[] {
  return grants
    .filter(({ blockedBy }) => blockedBy !== undefined)
    .map((grant) => ({
      message: placeName(grant),
      text: `${placeName(grant)} went to ${grant.member} of ${grant.group} while ${grant.blockedBy}, ` +
        'the one before it in its message group, was not done with',
    }))
}
