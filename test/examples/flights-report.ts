// The example's closing table: what was counted, beside what follows from the data set alone.

import { formatTable } from '../../server/cli/output.ts'
import { formatCount } from '../../server/cli/values.ts'
import { countDuplicates, countReaderDuplicates, type DuplicateCount } from '../checkers/duplicates.ts'
import { eventsOf, type History, type Violation } from '../checkers/history.ts'
import { findLost, type IsMeant } from '../checkers/no-loss.ts'
import { findOrderViolations, findReaderOrderViolations } from '../checkers/order.ts'
import { findPhantoms } from '../checkers/phantom.ts'
import { type Flight, tagOf } from './flights-data.ts'

export interface Audience {
  readonly group: string
  readonly mode: 'CLUSTERING' | 'BROADCASTING'
  /** The flights it should get. */
  readonly isMeant: (flight: Flight) => boolean
}

export interface Report {
  readonly text: string
  /** Whether every line is as the data set says. */
  readonly isRight: boolean
}

interface Line {
  readonly what: string
  readonly counted: number
  readonly expected: number
}

/** What one audience saw, judged. */
interface Verdict {
  readonly consumed: Line
  readonly phantoms: readonly Violation[]
  readonly misorders: readonly Violation[]
  readonly duplicates: DuplicateCount
}

/** `storedCount` is what the topic gained, by the offsets of its queues. */
export function reportFlights(
  flights: readonly Flight[], history: History, storedCount: number, audiences: readonly Audience[],
): Report {
  const verdicts = audiences.map((audience) => judge(flights, history, audience))
  const phantoms = verdicts.flatMap((verdict) => verdict.phantoms)
  const unjustified = verdicts.flatMap((verdict) => verdict.duplicates.unjustified)
  const misorders = verdicts.flatMap((verdict) => verdict.misorders)
  const originCount = new Set(flights.map((flight) => flight.origin)).size
  const lines: readonly Line[] = [
    { what: 'sent and acknowledged', counted: eventsOf(history, 'acknowledged').length, expected: flights.length },
    { what: 'stored', counted: storedCount, expected: flights.length },
    ...verdicts.map((verdict) => verdict.consumed),
    { what: 'delivered without being sent, or with another tag', counted: phantoms.length, expected: 0 },
    { what: 'duplicates without a reason', counted: unjustified.length, expected: 0 },
    { what: `order violations, ${originCount} origins`, counted: misorders.length, expected: 0 },
  ]
  const wrongCount = lines.filter((line) => line.counted !== line.expected).length
  const details = [...phantoms, ...unjustified, ...misorders].slice(0, 10).map(({ text }) => `  ${text}\n`)
  const closing = wrongCount === 0 ? 'Everything adds up.' : `${wrongCount} of ${lines.length} lines are wrong.`
  return {
    text: `${formatLines(lines)}\n${tellDuplicates(history, verdicts)}\n${details.join('')}${closing}`,
    isRight: wrongCount === 0,
  }
}

function judge(flights: readonly Flight[], history: History, { group, mode, isMeant }: Audience): Verdict {
  const meant = flights.filter(isMeant)
  const isMeantName: IsMeant = ({ message }) => {
    const flight = flights[Number(message)]
    return flight !== undefined && isMeant(flight)
  }
  const isReader = mode === 'BROADCASTING'
  const filtered = meant.length < flights.length ? ', filtered' : ''
  const lostCount = findLost(history, group, isMeantName).length
  const unsentCount = meant.length - eventsOf(history, 'acknowledged').filter(({ message }) => {
    return isMeant(flights[Number(message)] as Flight)
  }).length
  return {
    consumed: {
      what: `${isReader ? 'read' : 'consumed'} by ${group} (${mode}${filtered})`,
      counted: meant.length - unsentCount - lostCount,
      expected: meant.length,
    },
    phantoms: findPhantoms(history, group, isMeantName),
    misorders: isReader ? findReaderOrderViolations(history, group) : findOrderViolations(history, group),
    duplicates: isReader ? countReaderDuplicates(history, group) : countDuplicates(history, group),
  }
}

function formatLines(lines: readonly Line[]): string {
  return formatTable(
    [{ title: '' }, { title: 'counted', align: 'right' }, { title: 'by the data', align: 'right' }, { title: '' }],
    lines.map(({ what, counted, expected }) => {
      return [what, formatCount(counted), formatCount(expected), counted === expected ? 'ok' : 'WRONG']
    }),
  )
}

/** Duplicates are no fault: at least once means that what was in hand when something died comes again. */
function tellDuplicates(history: History, verdicts: readonly Verdict[]): string {
  const count = verdicts.reduce((sum, { duplicates }) => sum + duplicates.redeliveryCount, 0)
  const deaths = eventsOf(history, 'killed').map((event) => event.member ?? 'the relay')
  if (count === 0) return 'No message came twice.\n'
  return `${formatCount(count)} duplicates: messages in hand, not acked yet, when ${deaths.join(' or ')} was killed.\n`
}

/** All flights, or the delayed ones. */
export const everyFlight = (): boolean => true
export const isDelayed = (flight: Flight): boolean => tagOf(flight) === 'delayed'
