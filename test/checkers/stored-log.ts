// The log at the end: it holds what was acknowledged, once, nothing that was refused or never sent, and each producer's
// messages in the order in which it sent them.

import { eventsOf, type History, type MessageName, placeName, type Violation } from './history.ts'
import type { StoredMessage } from './offset-agreement.ts'

export interface StoredLogOptions {
  /** Whose messages keep their order in a queue. */
  readonly producerOf: (message: MessageName) => string
  /** Messages that the disk lost, by retention or damage. */
  readonly isGone: (message: MessageName) => boolean
}

/** `stored` has the messages of each queue in the order of their offsets. */
export function findLogFaults(
  history: History, stored: readonly StoredMessage[], { producerOf, isGone }: StoredLogOptions,
): Violation[] {
  const violations: Violation[] = []
  const report = (message: MessageName, text: string): void => {
    violations.push({ message, text })
  }
  const orders = new Map(eventsOf(history, 'sent').map(({ message }, index) => [message, index]))
  const refusals = new Map(eventsOf(history, 'refused').map(({ message, code }) => [message, code]))
  const places = new Map<MessageName, string>()
  const furthest = new Map<string, number>()
  for (const found of stored) {
    const { message, topic, queueId } = found
    const place = placeName(found)
    const before = places.get(message)
    if (before !== undefined) report(message, `${message} is stored twice: at ${before} and at ${place}`)
    places.set(message, place)
    const order = orders.get(message)
    if (order === undefined) {
      report(message, `${place} holds ${message}, which was not sent`)
      continue
    }
    const code = refusals.get(message)
    if (code !== undefined) report(message, `${message}, refused with ${code}, lies at ${place}`)
    const sequence = `${topic}/${queueId} ${producerOf(message)}`
    if (order < (furthest.get(sequence) ?? -1)) report(message, `${message} lies behind a later one of its producer at ${place}`)
    furthest.set(sequence, order)
  }
  for (const { message } of eventsOf(history, 'acknowledged')) {
    const isLost = !places.has(message) && !isGone(message)
    if (isLost) report(message, `${message} was acknowledged and is not in the log`)
  }
  for (const { message, found } of eventsOf(history, 'looked-up')) {
    const isMissing = found === undefined && !isGone(message)
    if (isMissing) report(message, `${message} was acknowledged and could not be found by its id`)
  }
  return violations
}
