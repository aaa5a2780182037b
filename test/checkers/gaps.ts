// Gaps: a reader gets each message of a queue after the one before it, or is told which are gone; and what it is told to
// be gone was deleted as too old or too many, or was damaged.

import { eventsOf, type History, type MessageName, type Violation } from './history.ts'
import type { GoneOffsets } from './relay-history.ts'

/**
 * Offsets that `reader`, which began at the first message kept, reads for itself and filters nothing, passed over without
 * being told of a gap. What was gone when it began is no gap.
 */
export function findSilentGaps(history: History, reader: string, gone: GoneOffsets): Violation[] {
  const violations: Violation[] = []
  const nextByQueue = new Map<string, number>()
  for (const event of history) {
    if (event.kind === 'gap' && event.reader === reader) {
      nextByQueue.set(`${event.topic}/${event.queueId}`, event.next.offset)
      continue
    }
    if (event.kind !== 'delivered' || event.member !== reader || event.found === undefined) continue
    const { topic, queueId, offset } = event.found
    const key = `${topic}/${queueId}`
    const next = nextByQueue.get(key) ?? firstKept(gone, topic, queueId, offset)
    if (offset !== next) {
      violations.push({ message: event.message, text: `${reader} got ${key}@${offset}, where ${next} was next` })
    }
    nextByQueue.set(key, offset + 1)
  }
  return violations
}

/** The first offset up to `most` that is not gone. */
function firstKept(gone: GoneOffsets, topic: string, queueId: number, most: number): number {
  let offset = 0
  while (offset < most && gone.has(topic, queueId, offset)) offset++
  return offset
}

/**
 * Messages of which anybody was told that they are gone, and that are not. A gap of no messages is right where the log
 * goes on under another epoch: something was lost, though not between what this reader had and what it gets.
 */
export function findUntrueGaps(history: History, gone: GoneOffsets): Violation[] {
  const violations: Violation[] = []
  for (const { reader, topic, queueId, expected, next } of eventsOf(history, 'gap')) {
    const report = (message: MessageName, text: string): void => {
      violations.push({ message, text: `${reader} was told of a gap in ${topic}/${queueId}: ${text}` })
    }
    if (next.offset <= expected.offset && next.epoch === expected.epoch) {
      report('', `from ${expected.offset} to ${next.offset}, in the same epoch`)
    }
    for (let offset = expected.offset; offset < next.offset; offset++) {
      if (!gone.has(topic, queueId, offset)) report(`${topic}/${queueId}@${offset}`, `${offset} is not gone`)
    }
  }
  return violations
}
