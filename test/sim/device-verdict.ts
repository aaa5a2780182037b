// Holds the histories of a simulated device against its promises, with the checkers of test/checkers.

import type { Home } from '../../web-client/port/port-protocol.ts'
import { findAttemptsNotCounted } from '../checkers/attempts.ts'
import { findKeptHolds, findOverlappingHolds, type HoldEvent } from '../checkers/device-holds.ts'
import { countDuplicates, countReaderDuplicates } from '../checkers/duplicates.ts'
import { findHoles } from '../checkers/device-losses.ts'
import { eventsOf, type History, type HistoryEvent, type MessageName, type Violation } from '../checkers/history.ts'
import { LeaseBook } from '../checkers/lease-book.ts'
import { findOverlaps, findEarlyRetries } from '../checkers/leases.ts'
import { findLost, type IsMeant } from '../checkers/no-loss.ts'
import { findDisagreements, type StoredMessage } from '../checkers/offset-agreement.ts'
import { findOrderViolations, findReaderOrderViolations } from '../checkers/order.ts'
import { findPhantoms } from '../checkers/phantom.ts'
import type { RelayEvent } from '../checkers/relay-history.ts'
import { findResurrections } from '../checkers/resurrection.ts'
import { findLogFaults } from '../checkers/stored-log.ts'
import type { DevicePlan } from './device-plan.ts'
import { boardOf } from './device-reader.ts'
import { sequenceOf, tagOf } from './sim-message.ts'
import type { Finding } from './verdict.ts'

export interface DeviceEvidence {
  readonly plan: DevicePlan
  readonly histories: Readonly<Record<Home, History>>
  readonly holds: readonly HoldEvent[]
  readonly relayHistory: readonly RelayEvent[]
  /** Before the end, so that relaxed topics may have lost something that was seen. */
  readonly wasPowerCut: boolean
  /** What is stored at each home at the end; undefined where the run did not come so far. */
  readonly logs: Readonly<Record<Home, readonly StoredMessage[]>> | undefined
}

/** In which a tab that stands still without a word is found out, and what it held has come to others. */
export const keptMsMax = 28_000
/** The default of groups whose schedule nobody looks at here. */
const retryScheduleMs = [200, 1_000] as const

export function judgeDevice({ plan, histories, holds, relayHistory, wasPowerCut, logs }: DeviceEvidence): Finding[] {
  const findings: Finding[] = []
  const relaxedTopics = new Set(plan.topics.filter(({ durability }) => durability === 'relaxed').map(({ topic }) => topic))
  const isRelaxed = (topic: string): boolean => relaxedTopics.has(topic)
  const find = (checker: string, violations: readonly Violation[]): void => {
    if (violations.length > 0) findings.push({ checker, violations })
  }
  for (const { group, topic, how, filter } of plan.groups) {
    const own = viewOf(histories[topic.home], group)
    const held = withoutLostLeases(own)
    const isAtRisk = wasPowerCut && topic.durability === 'relaxed'
    const isMeant: IsMeant = (sent) => sent.topic === topic.topic && (filter === '*' || tagOf(String(sent.message)) !== 'c')
    find(`no phantoms (${group})`, findPhantoms(own, group, isMeant))
    if (isAtRisk) continue
    find(`no loss (${group})`, findLost(how === 'run' ? withAcksTaken(own) : own, group, isMeant))
    // A runner is not told whether its leases held.
    if (how === 'run') continue
    find(`attempts grow (${group})`, findAttemptsNotCounted(held, group))
    // What reached a tab late, as it stood still, was with another meanwhile.
    find(`no unjustified duplicates (${group})`, countDuplicates(held, group).unjustified)
    find(`order (${group})`, findOrderViolations(held, group))
  }
  for (const role of plan.roles) {
    for (const topic of role.reads) {
      const group = boardOf(role.name, topic)
      const own = viewOf(histories[topic.home], group)
      const isRead: IsMeant = (sent) => sent.topic === topic.topic
      find(`no loss (${group})`, findLost(own, group, isRead))
      find(`no phantoms (${group})`, findPhantoms(own, group, isRead))
      find(`no duplicates (${group})`, countReaderDuplicates(own, group).unjustified)
      find(`order (${group})`, findReaderOrderViolations(own, group))
      const gaps = eventsOf(own, 'gap').filter(({ reader }) => reader.startsWith(`${group}/`))
      find(`no gaps (${group})`, gaps.map(({ reader, queueId, expected, next }) => {
        const [from, to] = [expected, next].map(({ epoch, offset }) => `${epoch}@${offset}`)
        return { message: '', text: `${reader} was told of a gap in queue ${queueId} from ${from} to ${to}` }
      }))
    }
  }
  find('tabs do not hold alike', findOverlappingHolds(holds))
  find('who stands still keeps nothing', findKeptHolds(holds, { home: 'device', boundMs: keptMsMax }))
  for (const home of ['device', 'relay'] as const) {
    const history = histories[home]
    find(`as sent (${home})`, eventsOf(history, 'garbled').map(({ reader, message, text }) => {
      return { message, text: `${reader} saw ${message}: ${text}` }
    }))
    const log = logs?.[home]
    if (log === undefined) continue
    find(`the log (${home})`, findLogFaults(history, log, {
      producerOf: (message) => sequenceOf(String(message)),
      isGone: (message) => isRelaxed(topicOf(message)),
    }))
    const isSure = ({ message }: { readonly message: MessageName }): boolean => !wasPowerCut || !isRelaxed(topicOf(message))
    const sure = history.filter((event) => !('message' in event) || isSure(event))
    find(`offset agreement (${home})`, findDisagreements(sure, log.filter(isSure)))
    if (!wasPowerCut) find(`a last part is lost (${home})`, findHoles(history, log))
  }
  const book = LeaseBook.of(relayHistory, {
    memberGraceMs: plan.limits.memberGraceMs,
    attemptCountMaxOf: () => Infinity,
    retryDelayMsOf: (_group, attempt) => retryScheduleMs[Math.min(attempt, retryScheduleMs.length) - 1] ?? 0,
  })
  find('leases do not overlap (relay)', findOverlaps(book.grants))
  find('retries wait (relay)', findEarlyRetries(book.grants))
  find('no resurrection (relay)', findResurrections(book.grants))
  return findings
}

function topicOf(message: MessageName): string {
  return String(message).split(':')[0] ?? ''
}

/** What concerns a group: its own, and what belongs to nobody. */
function viewOf(history: History, group: string): History {
  return history.filter((event) => {
    if ('group' in event) return event.group === group
    if (event.kind === 'gap') return event.reader.startsWith(`${group}/`)
    return true
  })
}

/** Without deliveries whose lease turned out to be lost. */
function withoutLostLeases(history: History): History {
  type LeaseEvent = Extract<HistoryEvent, { kind: 'lease-lost' | 'delivered' }>
  const nameOf = ({ group, member, message, attempt }: LeaseEvent): string => `${group} ${member} ${message} ${attempt}`
  const lost = new Set(eventsOf(history, 'lease-lost').map(nameOf))
  return history.filter((event) => event.kind !== 'delivered' || !lost.has(nameOf(event)))
}

/** For handlers that are run, whose acks nobody hears of. */
function withAcksTaken(history: History): History {
  return history.map((event) => (event.kind === 'acking' ? { ...event, kind: 'consumed' } : event))
}
