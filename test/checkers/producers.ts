// Idempotent producers: per topic and producer, batches are taken in the order of their sequences without gaps, under
// epochs that never go back, and what is called a duplicate was there before. Batches that were taken without an answer,
// as the relay died, are made up for by the duplicates they are called later.

import type { Violation } from './history.ts'
import { relayEventsOf, type RelayHistory } from './relay-history.ts'

interface Producer {
  epoch: number
  /** Next sequence in that epoch. */
  next: number
}

/** Batches taken out of order, out of an earlier epoch, or twice. */
export function findProducerFaults(history: RelayHistory): Violation[] {
  const violations: Violation[] = []
  const producers = new Map<string, Producer>()
  const published = relayEventsOf(history, 'published').sort((left, right) => left.order - right.order)
  for (const { topic, producerId, producerEpoch, baseSequence, count, isDuplicate } of published) {
    const key = `${producerId} on ${topic}`
    const known = producers.get(key) ?? { epoch: -1, next: 0 }
    producers.set(key, known)
    const batch = `${key}: epoch ${producerEpoch}, ${baseSequence}+${count}`
    const report = (why: string): void => {
      violations.push({ message: key, text: `${batch} ${why}` })
    }
    if (producerEpoch < known.epoch) {
      // A resend of what was taken under an earlier epoch is refused too: its sender is not the producer any more.
      report(`was taken after epoch ${known.epoch} had begun`)
      continue
    }
    if (producerEpoch > known.epoch) {
      known.epoch = producerEpoch
      known.next = 0
    }
    if (isDuplicate) known.next = Math.max(known.next, baseSequence + count)
    else if (baseSequence < known.next) report(`was stored again; ${known.next} was next`)
    else if (baseSequence > known.next) report(`was stored, and ${known.next} before it was not`)
    if (!isDuplicate) known.next = baseSequence + count
  }
  return violations
}
