// Retention: what is deleted was too old by the relay's own clock, or more than its queue may hold. Nothing younger goes.

import type { Violation } from './history.ts'
import { relayEventsOf, type RelayHistory } from './relay-history.ts'

export interface RetentionRule {
  /** 0: for ever. */
  readonly retentionMs: number
  /** What one queue may hold; 0: no bound. */
  readonly queueBytesMax: number
}

/** Deletions that the rule of their topic does not call for. `ruleOf` knows no rule for a topic that keeps everything. */
export function findEarlyDeletions(
  history: RelayHistory, ruleOf: (topic: string) => RetentionRule | undefined,
): Violation[] {
  const violations: Violation[] = []
  for (const { topic, queueId, fromOffset, toOffset, storedMs, nowMs, queueBytes } of relayEventsOf(history, 'trimmed')) {
    const { retentionMs, queueBytesMax } = ruleOf(topic) ?? { retentionMs: 0, queueBytesMax: 0 }
    const isOld = retentionMs > 0 && storedMs < nowMs - retentionMs
    const isTooMuch = queueBytesMax > 0 && queueBytes > queueBytesMax
    if (isOld || isTooMuch) continue
    const text = `${topic}/${queueId}@${fromOffset}..${toOffset} were deleted, ${nowMs - storedMs} ms old of ${retentionMs}, ` +
      `with ${queueBytes} bytes of ${queueBytesMax} in the queue`
    violations.push({ message: `${topic}/${queueId}@${fromOffset}`, text })
  }
  return violations
}
