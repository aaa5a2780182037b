// Leases: a message that one member of a group holds is nobody else's, until the lease has ended by the relay's own
// clock, its member has left or has been gone for the grace time, or it was given back. Then it waits for its time.

import { placeName, type Violation } from './history.ts'
import type { Grant } from './lease-book.ts'

/** Times of years hold no smaller fractions of a millisecond. */
const roundingMs = 0.01

/** Messages handed out while another delivery of them, or the same member's, was still under lease. */
export function findOverlaps(grants: readonly Grant[]): Violation[] {
  return early(grants, false, 'still held it')
}

/** Messages that came again before the time they had been given back for. */
export function findEarlyRetries(grants: readonly Grant[]): Violation[] {
  return early(grants, true, 'had given it back for longer')
}

function early(grants: readonly Grant[], isBack: boolean, why: string): Violation[] {
  const violations: Violation[] = []
  for (const grant of grants) {
    const { before, grantedMs, group, member, attempt } = grant
    if (before === undefined || before.isConsumed || before.isBack !== isBack) continue
    if (grantedMs >= before.freeMs - roundingMs) continue
    const byMs = (before.freeMs - grantedMs).toFixed(1)
    const text = `${placeName(grant)} went to ${member} of ${group} as attempt ${attempt}, ` +
      `while ${before.member} ${why}: ${byMs} ms too early`
    violations.push({ message: placeName(grant), text })
  }
  return violations
}
