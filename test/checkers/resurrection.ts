// No resurrection: a message whose ack was confirmed is done with. The group never gets it again, whatever crashes,
// unless it was moved.

import { placeName, type Violation } from './history.ts'
import type { Grant } from './lease-book.ts'

/** Deliveries of messages that the group had consumed. */
export function findResurrections(grants: readonly Grant[]): Violation[] {
  return grants
    .filter(({ before }) => before?.isConsumed === true)
    .map((grant) => ({
      message: placeName(grant),
      text: `${placeName(grant)} went to ${grant.member} of ${grant.group} after ${grant.before?.member} had consumed it`,
    }))
}
