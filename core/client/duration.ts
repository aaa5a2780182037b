// Durations as people write them.

import { PocketError } from '../errors.ts'
import type { Duration } from './api.ts'

const form = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Whole milliseconds, rounded up; throws BAD_ARGUMENT, naming `what`, where it is no duration. */
export function durationToMs(duration: Duration, what: string): number {
  const match = typeof duration === 'string' ? form.exec(duration) : null
  const ms = typeof duration === 'number' ? duration : Number(match?.[1]) * (unitMs[match?.[2] ?? ''] ?? Number.NaN)
  const wholeMs = Math.ceil(ms)
  if (!Number.isSafeInteger(wholeMs) || wholeMs < 0) {
    throw new PocketError(
      'BAD_ARGUMENT',
      `${what} is ${JSON.stringify(duration)}; write milliseconds, or a number with ms, s, m, h or d, such as '30s'`,
    )
  }
  return wholeMs
}
