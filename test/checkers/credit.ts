// Credit: a relay sends a member no more than it allowed. A delivery may exceed the bytes by what one message has, as
// there must always be a way on. A `receive` brings its own allowance.

import type { Violation } from './history.ts'
import type { RelayHistory } from './relay-history.ts'

interface Allowance {
  readonly name: string
  messageCount: number
  byteCount: number
  askedCount: number
}

/** What a record has beside its messages, at most: its header, and per message a slice and its columns. */
const recordOverheadBytes = 64
const messageOverheadBytes = 64

/** Deliveries beyond what was allowed. `messageBytesMax` is the largest that one message can be. */
export function findOverdrafts(history: RelayHistory, messageBytesMax: number): Violation[] {
  const violations: Violation[] = []
  const allowances = new Map<number, Allowance>()
  for (const event of history) {
    if (event.kind === 'joined') {
      const name = `${event.member} of ${event.group}`
      allowances.set(event.membership, { name, messageCount: 0, byteCount: 0, askedCount: 0 })
      continue
    }
    const allowance = 'membership' in event ? allowances.get(event.membership) : undefined
    if (allowance === undefined) continue
    if (event.kind === 'credited') {
      allowance.messageCount += event.messageCount
      allowance.byteCount += event.byteCount
    } else if (event.kind === 'asked') {
      allowance.askedCount += event.messageCountMax
    } else if (event.kind === 'leased' || event.kind === 'read') {
      const count = event.kind === 'leased' ? event.offsets.length : event.messageCount
      // What is asked for is answered before what is credited.
      const asked = Math.min(count, allowance.askedCount)
      allowance.askedCount -= asked
      allowance.messageCount -= count - asked
      if (asked === 0) allowance.byteCount -= event.byteCount
      const { messageCount, byteCount, name } = allowance
      const beyondBytes = messageBytesMax + recordOverheadBytes + count * messageOverheadBytes
      if (messageCount >= 0 && byteCount >= -beyondBytes) continue
      const text = `${name} was sent ${count} messages in ${event.byteCount} bytes ` +
        `and had not allowed ${-Math.min(0, messageCount)} of them, ${-Math.min(0, byteCount)} bytes`
      violations.push({ message: '', text })
    } else if (event.kind === 'answered') allowance.askedCount = 0
  }
  return violations
}
