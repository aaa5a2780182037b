// Damage: a flipped bit is found and reported, as what it is and where it is, and nothing else is. What applications see
// is as it was sent: never silent wrong data.

import { eventsOf, type History, type Violation } from './history.ts'
import { type RelayEventOf, relayEventsOf, type RelayHistory } from './relay-history.ts'

type Flip = RelayEventOf<'flipped'>

/** Messages that were not as they had been sent. */
export function findGarbled(history: History): Violation[] {
  return eventsOf(history, 'garbled').map(({ reader, message, text }) => ({ message, text: `${reader} got ${message}: ${text}` }))
}

/** Reports of damage where there is none. */
export function findFalseReports(history: RelayHistory): Violation[] {
  const violations: Violation[] = []
  const flips: Flip[] = []
  for (const event of history) {
    // One that was mended since may have been read before.
    if (event.kind === 'flipped') flips.push(event)
    if (event.kind !== 'damage-reported' || flips.some((flip) => isReportOf(event, flip))) continue
    const text = `${event.what} of ${event.topic}/${event.queueId} was reported as damaged, and is whole`
    violations.push({ message: '', text })
  }
  return violations
}

/** Damage that is on the disk at the end, when all of it was read, and that nobody reported. */
export function findUnreported(history: RelayHistory): Violation[] {
  const mended = new Set(relayEventsOf(history, 'mended').map(({ flip }) => flip))
  const reports = relayEventsOf(history, 'damage-reported')
  return relayEventsOf(history, 'flipped')
    .filter((flip) => !mended.has(flip.flip))
    .filter((flip) => !reports.some((report) => report.atMs >= flip.atMs && isReportOf(report, flip)))
    .map(({ what, topic, queueId, toOffset, group }) => ({
      message: '',
      text: `a bit of the ${what} ${group ?? toOffset} of ${topic}/${queueId} was flipped, and nobody said so`,
    }))
}

function isReportOf({ what, topic, queueId, toOffset }: RelayEventOf<'damage-reported'>, flip: Flip): boolean {
  if (topic !== flip.topic || queueId !== flip.queueId) return false
  switch (flip.what) {
    case 'record':
      return what.startsWith('record') && toOffset === flip.toOffset
    case 'progress':
      return what === `progress of group '${flip.group}'`
    case 'queue state':
      // Of a queue without records nothing tells the epoch that the progress of its groups belongs to.
      return what === 'queue state' || what.endsWith('is of another log')
  }
}
