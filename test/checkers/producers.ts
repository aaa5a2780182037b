// Idempotent producers: per topic and producer, batches are taken in the order of their sequences without gaps, under
// epochs that never go back, and what is called a duplicate was there before. What was never answered, as the relay died,
// may have been taken or not.

import type { Violation } from './history.ts'
import { type RelayEventOf, relayEventsOf, type RelayHistory } from './relay-history.ts'

interface Producer {
  /** The latest epoch that anything was taken under. */
  epoch: number
  /** By epoch: the next sequence, at least and at most. */
  readonly next: Map<number, { certain: number; possible: number }>
}

type Outcome = 'taken' | 'duplicate' | 'refused' | 'unknown'

/** Batches taken out of order, out of an earlier epoch, or twice. */
export function findProducerFaults(history: RelayHistory): Violation[] {
  const violations: Violation[] = []
  const outcomes = new Map<number, Outcome>()
  for (const event of history) {
    if (event.kind === 'published') outcomes.set(event.order, event.isDuplicate ? 'duplicate' : 'taken')
    if (event.kind === 'publish-refused') outcomes.set(event.order, 'refused')
  }
  const producers = new Map<string, Producer>()
  for (const batch of relayEventsOf(history, 'publishing')) {
    const key = `${batch.producerId} on ${batch.topic}`
    const producer = producers.get(key) ?? { epoch: -1, next: new Map() }
    producers.set(key, producer)
    const fault = take(producer, batch, outcomes.get(batch.order) ?? 'unknown')
    const name = `${key}: epoch ${batch.producerEpoch}, ${batch.baseSequence}+${batch.count}`
    if (fault !== undefined) violations.push({ message: key, text: `${name} ${fault}` })
  }
  return violations
}

/** What is wrong with what became of a batch. */
function take(producer: Producer, batch: RelayEventOf<'publishing'>, outcome: Outcome): string | undefined {
  const { producerEpoch: epoch, baseSequence, count } = batch
  if (outcome === 'refused') return undefined
  const next = producer.next.get(epoch) ?? { certain: 0, possible: 0 }
  producer.next.set(epoch, next)
  const end = baseSequence + count
  if (outcome === 'unknown') {
    if (baseSequence <= next.possible) next.possible = Math.max(next.possible, end)
    return undefined
  }
  // A resend of what was taken under an earlier epoch is refused too: its sender is not the producer any more.
  if (epoch < producer.epoch) return `was taken after epoch ${producer.epoch} had begun`
  producer.epoch = epoch
  const { certain, possible } = next
  next.certain = Math.max(certain, end)
  next.possible = Math.max(possible, end)
  if (outcome === 'duplicate') return end > possible ? `was called a duplicate, and ${possible} was next` : undefined
  if (baseSequence < certain) return `was stored again; ${certain} was next`
  if (baseSequence > possible) return `was stored, and ${possible} before it was not`
  return undefined
}
