// Receipts: one names one delivery for ever. After it, its ack, retry or extension is refused and hits nothing else.

import type { Violation } from './history.ts'
import type { LeaseBook } from './lease-book.ts'

/** Lease ids given twice, and receipts of what was over that were taken all the same. */
export function findStaleReceipts({ reusedLeaseIds, staleAcceptances }: LeaseBook): Violation[] {
  const reused = reusedLeaseIds.map(({ leaseId, group }) => `lease ${leaseId} was given to ${group} a second time`)
  const stale = staleAcceptances.map(({ member, group, topic, verb, receipt: { queueId, leaseId, offset, count } }) => {
    return `${verb} of ${member} of ${group} took effect on ${topic}/${queueId}@${offset}+${count} ` +
      `under lease ${leaseId}, under which nothing was held`
  })
  return [...reused, ...stale].map((text) => ({ message: '', text }))
}
