// What a power cut may take: of a queue the last part, and nothing out of its middle.

import { eventsOf, type History, type Violation } from './history.ts'
import type { StoredMessage } from './offset-agreement.ts'

/** Messages whose place was told and that are not stored any more, though one behind them in their queue is. */
export function findHoles(history: History, stored: readonly StoredMessage[]): Violation[] {
  const furthest = new Map<string, number>()
  const names = new Set(stored.map(({ message }) => message))
  for (const { topic, queueId, offset } of stored) {
    const queue = `${topic}/${queueId}`
    furthest.set(queue, Math.max(offset, furthest.get(queue) ?? -1))
  }
  return eventsOf(history, 'acknowledged').flatMap(({ message, found }) => {
    if (found === undefined || names.has(message)) return []
    const queue = `${found.topic}/${found.queueId}`
    if (found.offset > (furthest.get(queue) ?? -1)) return []
    return [{ message, text: `${message} is gone from ${queue}@${found.offset}, and ${furthest.get(queue)} is there` }]
  })
}
