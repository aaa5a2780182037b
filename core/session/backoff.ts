// How long to wait before trying again: exponential with full jitter, so that clients that lost the same relay do not
// come back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

import type { Random } from '../ports/random.ts'

const firstDelayMsMax = 200
const delayMsMax = 30_000

/** Milliseconds to wait after so many failures in a row, from 1: evenly from 0 to 0.2 s, doubling up to 30 s. */
export function backoffDelayMs(failureCount: number, random: Random): number {
  const ceilingMs = Math.min(delayMsMax, firstDelayMsMax * 2 ** Math.min(failureCount - 1, 32))
  return Math.floor(random.next() * ceilingMs)
}
