// Judges a simulated run: gives each checker its part of the evidence, and leaves out what a fault excuses.

import { findAttemptsNotCounted, findWrongAttempts } from '../checkers/attempts.ts'
import { findOverdrafts } from '../checkers/credit.ts'
import { findFalseReports, findGarbled, findUnreported } from '../checkers/damage.ts'
import { type DeadLetter, findFalseDeadLetters } from '../checkers/dead-letters.ts'
import { countDuplicates, countReaderDuplicates } from '../checkers/duplicates.ts'
import { findWrongEpochs } from '../checkers/epochs.ts'
import { findLockBreaks } from '../checkers/fifo-lock.ts'
import { findSilentGaps, findUntrueGaps } from '../checkers/gaps.ts'
import {
  eventsOf, type Found, type History, type HistoryEvent, isSamePlace, type MessageName, placeName, type Violation,
} from '../checkers/history.ts'
import { LeaseBook } from '../checkers/lease-book.ts'
import { findEarlyRetries, findOverlaps } from '../checkers/leases.ts'
import { findLost, type IsMeant } from '../checkers/no-loss.ts'
import { findDisagreements, type StoredMessage } from '../checkers/offset-agreement.ts'
import { findOrderViolations, findReaderOrderViolations } from '../checkers/order.ts'
import { findPhantoms } from '../checkers/phantom.ts'
import { findProducerFaults } from '../checkers/producers.ts'
import { ProgressWatch } from '../checkers/progress.ts'
import { findStaleReceipts } from '../checkers/receipts.ts'
import { GoneOffsets, progressGroupOf, relayEventsOf, type RelayHistory } from '../checkers/relay-history.ts'
import { findResurrections } from '../checkers/resurrection.ts'
import { findEarlyDeletions } from '../checkers/retention.ts'
import { findLogFaults } from '../checkers/stored-log.ts'
import { findEarlyMessages, findRecalledMessages } from '../checkers/timers.ts'
import { findTransactionFaults } from '../checkers/transactions.ts'
import { sequenceOf, tagOf } from './sim-message.ts'
import { readerGroupOf, readerName } from './sim-reader.ts'
import type { GroupRole, WorldPlan } from './world-plan.ts'

export interface Evidence {
  readonly plan: WorldPlan
  readonly history: History
  readonly relayHistory: RelayHistory
  /** What the log held at the end; undefined where it was not read. */
  readonly log: StoredLog | undefined
  /**
   * Whether clients were given messages late, frozen or behind a slow path: they take from their sockets what is long
   * another's, and cannot know.
   */
  readonly wereLate: boolean
}

export interface StoredLog {
  /** In the order of their offsets, queue by queue. */
  readonly messages: readonly StoredMessage[]
  readonly deadLetters: ReadonlyMap<string, readonly DeadLetter[]>
}

export interface Finding {
  readonly checker: string
  readonly violations: readonly Violation[]
}

/** The reader that reads the log at the end, as the history calls it. */
export const inspector = 'inspector'

export interface Verdict {
  /** What was promised and not kept; empty when all is well. */
  readonly findings: readonly Finding[]
  /** Messages that the relay handed out under leases. */
  readonly grantCount: number
}

export function judge(evidence: Evidence): Verdict {
  return new Judge(evidence).run()
}

/** Largest body with name and headers. */
const messageBytesMax = 6_000 + 500

class Judge {
  readonly #evidence: Evidence
  readonly #gone: GoneOffsets
  /** Where each message was first seen, and which message was seen where. */
  readonly #foundByMessage = new Map<MessageName, Found>()
  readonly #messageByPlace = new Map<string, MessageName>()
  /** Names of messages that the disk lost. */
  readonly #goneMessages: Set<MessageName>
  /** Names of messages that were recalled, or may have been. */
  readonly #takenBack: Set<MessageName>
  /** What members of each group saw, and each reader; events that concern everybody are in all of them. */
  readonly #views: ReadonlyMap<string, readonly HistoryEvent[]>
  readonly #findings: Finding[] = []

  constructor(evidence: Evidence) {
    this.#evidence = evidence
    const { history, relayHistory, log } = evidence
    this.#gone = GoneOffsets.of(relayHistory)
    this.#takenBack = new Set(eventsOf(history, 'recalling').map(({ message }) => message))
    for (const { message } of eventsOf(history, 'recall-missed')) this.#takenBack.delete(message)
    this.#goneMessages = new Set()
    for (const event of relayHistory) {
      if (event.kind !== 'trimmed' && event.kind !== 'flipped') continue
      for (const message of event.messages) this.#goneMessages.add(message)
    }
    for (const event of history) {
      if ((event.kind === 'acknowledged' || event.kind === 'delivered') && event.found) this.#see(event.message, event.found)
    }
    for (const { message, ...found } of log?.messages ?? []) this.#see(message, found)
    this.#views = this.#split()
  }

  run(): Verdict {
    const { plan, history, relayHistory } = this.#evidence
    for (const role of plan.groups) this.#judgeGroup(role)
    this.#judgeReaders()
    const grantCount = this.#judgeLeases()
    this.#judgeLog()
    this.#find('retention', findEarlyDeletions(relayHistory, (topic) => {
      const found = plan.topics.find((candidate) => candidate.topic === topic)
      if (found === undefined) return undefined
      return { retentionMs: found.retentionMs, queueBytesMax: Math.floor(found.retentionBytes / found.queueCount) }
    }))
    this.#find('credit', findOverdrafts(relayHistory, messageBytesMax))
    this.#find('idempotent producers', findProducerFaults(relayHistory))
    this.#find('no silent wrong data', findGarbled(history))
    this.#find('no false report of damage', findFalseReports(relayHistory))
    this.#find('epochs', findWrongEpochs(relayHistory))
    this.#find('true gaps', findUntrueGaps(history, this.#gone))
    return { findings: this.#findings, grantCount }
  }

  #split(): Map<string, HistoryEvent[]> {
    const { plan, history } = this.#evidence
    const readers = plan.roles.flatMap(({ name, readers }) => readers.map((role) => readerName(name, role)))
    const views = new Map<string, HistoryEvent[]>()
    for (const name of [...plan.groups.map(({ group }) => group), ...readers]) views.set(name, [])
    const all = [...views.values()]
    for (const event of history) {
      if (!('group' in event)) for (const view of all) view.push(event)
      else (views.get(event.group) ?? views.get(event.member))?.push(event)
    }
    return views
  }

  #see(message: MessageName, found: Found): void {
    const before = this.#foundByMessage.get(message)
    if (before === undefined) this.#foundByMessage.set(message, found)
    // Whoever was first there is known from then.
    else if (isSamePlace(before, found)) return
    const place = placeName(found)
    if (!this.#messageByPlace.has(place)) this.#messageByPlace.set(place, message)
  }

  #find(checker: string, violations: readonly Violation[]): void {
    if (violations.length > 0) this.#findings.push({ checker, violations })
  }

  // ── what applications saw ─────────────────────────────────────────────────────────────────────────────────────

  #judgeGroup(role: GroupRole): void {
    const { log, wereLate } = this.#evidence
    const { group } = role
    const own = this.#views.get(group) ?? []
    const wasSkipped = role.isMoved ? this.#skippedBy(group) : () => false
    const held = withoutLostLeases(own)
    const isMeant: IsMeant = ({ topic, message }) => {
      return topic === role.topic && (role.filter === '*' || tagOf(String(message)) !== 'c')
    }
    const dead = new Set(log?.deadLetters.get(group)?.map(({ message }) => message))
    const isExpected: IsMeant = (sent) => {
      return isMeant(sent) && !dead.has(sent.message) && !this.#goneMessages.has(sent.message) &&
        !this.#takenBack.has(sent.message) && !wasSkipped(sent.message)
    }
    this.#find(`no loss (${group})`, findLost(role.how === 'run' ? withAcksTaken(own) : own, group, isExpected))
    this.#find(`no phantoms (${group})`, findPhantoms(own, group, isMeant))
    // A runner is not told whether its leases held; and a group that was moved, or lost its place, sees messages again.
    if (role.how === 'run' || role.isMoved || this.#lostPlace(group)) return
    this.#find(`attempts grow (${group})`, findAttemptsNotCounted(held, group))
    this.#find(`no unjustified duplicates (${group})`, countDuplicates(wereLate ? held : own, group).unjustified)
    this.#find(`order (${group})`, findOrderViolations(held, group))
  }

  /** Whether a part of the group's progress was damaged. */
  #lostPlace(group: string): boolean {
    return this.#evidence.relayHistory.some((event) => {
      return event.kind === 'damage-reported' && progressGroupOf(event.what) === group
    })
  }

  /** Tells whether the group was moved past a message. */
  #skippedBy(group: string): (message: MessageName) => boolean {
    const { relayHistory } = this.#evidence
    const done = new Map(relayEventsOf(relayHistory, 'reset').map((reset) => [reset.reset, reset]))
    const moves = relayEventsOf(relayHistory, 'resetting').filter((reset) => reset.group === group)
    return (message) => {
      const found = this.#foundByMessage.get(message)
      return found !== undefined && moves.some(({ reset, topic, queueId }) => {
        if (topic !== found.topic || (queueId ?? found.queueId) !== found.queueId) return false
        const outcome = done.get(reset)
        // Where nobody knows the end of it, it may have gone anywhere.
        if (outcome === undefined) return true
        return outcome.queues.some((queue) => queue.queueId === found.queueId && queue.offset > found.offset)
      })
    }
  }

  #judgeReaders(): void {
    for (const { name, readers } of this.#evidence.plan.roles) {
      for (const role of readers) {
        const reader = readerName(name, role)
        const group = readerGroupOf(role)
        const isRead: IsMeant = ({ topic, message }) => {
          if (topic !== role.topic || this.#goneMessages.has(message) || this.#takenBack.has(message)) return false
          return role.how === 'broadcast' || this.#foundByMessage.get(message)?.queueId === role.queueId
        }
        const own = this.#views.get(reader) ?? []
        this.#find(`no loss (${reader})`, findLost(own, group, isRead))
        this.#find(`no silent gap (${reader})`, findSilentGaps(own, reader, this.#gone))
        this.#find(`no phantoms (${reader})`, findPhantoms(own, group, ({ topic }) => topic === role.topic))
        // Who is told of a gap backwards, as the log was lost twice, reads some of it again.
        const isSetBack = eventsOf(own, 'gap').some((gap) => gap.reader === reader && gap.next.offset < gap.expected.offset)
        if (!isSetBack) this.#find(`no duplicates (${reader})`, countReaderDuplicates(own, group).unjustified)
        if (!isSetBack) this.#find(`order (${reader})`, findReaderOrderViolations(own, group))
      }
    }
  }

  // ── what the relay did ────────────────────────────────────────────────────────────────────────────────────────

  #judgeLeases(): number {
    const { plan, relayHistory } = this.#evidence
    const roles = new Map(plan.groups.map((role) => [role.group, role]))
    const predecessors = this.#predecessors()
    const attemptCountMaxOf = (group: string): number => roles.get(group)?.attemptCountMax ?? Infinity
    const book = new LeaseBook({
      memberGraceMs: plan.limits.memberGraceMs,
      attemptCountMaxOf,
      retryDelayMsOf: (group, attempt) => {
        const schedule = roles.get(group)?.retryScheduleMs ?? [0]
        return schedule[Math.min(attempt, schedule.length) - 1] ?? 0
      },
      predecessorOf: (topic, queueId, offset) => predecessors.get(placeName({ topic, queueId, offset })),
      isGone: (topic, queueId, offset) => this.#gone.has(topic, queueId, offset),
    })
    const progress = new ProgressWatch(book, {
      isPassedOver: (group, topic, queueId, offset) => {
        if (this.#gone.has(topic, queueId, offset)) return true
        if (roles.get(group)?.filter === '*') return false
        const message = this.#messageByPlace.get(placeName({ topic, queueId, offset }))
        return message === undefined || tagOf(String(message)) === 'c'
      },
    })
    for (const event of relayHistory) {
      book.hear(event)
      progress.hear(event)
    }
    const { grants } = book
    this.#find('leases do not overlap', findOverlaps(grants))
    this.#find('retries wait', findEarlyRetries(grants))
    this.#find('no resurrection', findResurrections(grants))
    this.#find('attempts', findWrongAttempts(grants, attemptCountMaxOf))
    this.#find('lock of message groups', findLockBreaks(grants))
    this.#find('receipts', findStaleReceipts(book))
    this.#find('progress', progress.violations)
    for (const [group, letters] of this.#evidence.log?.deadLetters ?? []) {
      if (this.#lostPlace(group)) continue
      this.#find(`dead letters (${group})`, findFalseDeadLetters(this.#evidence.history, grants, letters, {
        group,
        attemptCountMax: attemptCountMaxOf(group),
        foundOf: (message) => this.#foundByMessage.get(message),
      }))
    }
    return grants.length
  }

  /** By place: the offset of the message before it in its message group. */
  #predecessors(): ReadonlyMap<string, number> {
    const offsets = new Map<string, Found[]>()
    for (const { message, messageGroup } of eventsOf(this.#evidence.history, 'sent')) {
      const found = messageGroup === undefined ? undefined : this.#foundByMessage.get(message)
      if (found === undefined) continue
      const key = `${found.topic}/${found.queueId} ${messageGroup}`
      const known = offsets.get(key)
      if (known === undefined) offsets.set(key, [found])
      else known.push(found)
    }
    const predecessors = new Map<string, number>()
    for (const founds of offsets.values()) {
      founds.sort((left, right) => left.offset - right.offset)
      for (let index = 1; index < founds.length; index++) {
        predecessors.set(placeName(founds[index] as Found), (founds[index - 1] as Found).offset)
      }
    }
    return predecessors
  }

  // ── what is stored ────────────────────────────────────────────────────────────────────────────────────────────

  #judgeLog(): void {
    const { history, relayHistory, log } = this.#evidence
    this.#find('timers', findEarlyMessages(history))
    const inLog = [...log?.messages ?? [], ...[...this.#goneMessages].map((message) => ({ message }))]
    if (log !== undefined) this.#find('transactions', findTransactionFaults(history, inLog))
    this.#find('recalls', findRecalledMessages(history, log?.messages ?? []))
    this.#find('offset agreement', findDisagreements(history, log?.messages ?? []))
    if (log === undefined) return
    this.#find('the log', findLogFaults(history, log.messages, {
      producerOf: (message) => sequenceOf(String(message)),
      isGone: (message) => this.#goneMessages.has(message) || this.#takenBack.has(message),
    }))
    this.#find('no silent gap (inspector)', findSilentGaps(history, inspector, this.#gone))
    this.#find('damage is reported', findUnreported(relayHistory))
  }
}

/** Without deliveries whose lease turned out to be lost. */
function withoutLostLeases(history: History): History {
  type LeaseEvent = Extract<HistoryEvent, { kind: 'lease-lost' | 'delivered' }>
  const nameOf = ({ group, member, message, attempt }: LeaseEvent): string => `${group} ${member} ${message} ${attempt}`
  const lost = new Set(eventsOf(history, 'lease-lost').map(nameOf))
  if (lost.size === 0) return history
  return history.filter((event) => event.kind !== 'delivered' || !lost.has(nameOf(event)))
}

/** For handlers that are run, whose acks nobody hears of. */
function withAcksTaken(history: History): History {
  return history.map((event) => (event.kind === 'acking' ? { ...event, kind: 'consumed' } : event))
}
