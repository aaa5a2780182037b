// Judges a simulated run by its history, its receipts and what the log holds at the end.

import type { SendReceipt } from '../../core/client/api.ts'
import { findAttemptsNotCounted } from '../checkers/attempts.ts'
import { countDuplicates, countReaderDuplicates } from '../checkers/duplicates.ts'
import { eventsOf, type History, type HistoryEvent, type Violation } from '../checkers/history.ts'
import { findLost, type IsMeant } from '../checkers/no-loss.ts'
import { findOrderViolations, findReaderOrderViolations } from '../checkers/order.ts'
import { findPhantoms } from '../checkers/phantom.ts'
import { type GroupRole, readerGroup, topicOfGroup } from './sim-client.ts'

/** A message as it lies in the log at the end. */
export interface StoredMessage {
  readonly message: string
  readonly messageId: string
  readonly topic: string
  readonly queueId: number
  readonly offset: number
}

export interface Evidence {
  readonly history: History
  readonly receipts: ReadonlyMap<string, SendReceipt>
  /** Name of a message and the code it was refused with. */
  readonly refused: ReadonlyMap<string, string>
  readonly groups: readonly GroupRole[]
  /** Members that read for themselves, all alive at the end. */
  readonly readers: readonly string[]
  readonly stored: readonly StoredMessage[]
  /** Whether clients were frozen: on waking they take from their sockets what is long another's, and cannot know. */
  readonly wereFrozen: boolean
}

export interface Finding {
  readonly checker: string
  readonly violations: readonly Violation[]
}

/** What was promised and not kept; empty when all is well. */
export function judge(evidence: Evidence): Finding[] {
  const { history, groups, readers, wereFrozen } = evidence
  const held = withoutLostLeases(history)
  const findings: Finding[] = []
  const find = (checker: string, violations: readonly Violation[]): void => {
    if (violations.length > 0) findings.push({ checker, violations })
  }
  for (const group of groups) {
    const isMeant: IsMeant = ({ topic, message }) => {
      return topic === topicOfGroup[group] && (group !== 'picky' || !String(message).endsWith(':c'))
    }
    find(`no loss (${group})`, findLost(group === 'runner' ? withAcksTaken(history) : history, group, isMeant))
    find(`no phantoms (${group})`, findPhantoms(history, group, isMeant))
    // A runner is not told whether its leases held.
    if (group === 'runner') continue
    find(`attempts grow (${group})`, findAttemptsNotCounted(held, group))
    find(`no unjustified duplicates (${group})`, countDuplicates(wereFrozen ? held : history, group).unjustified)
    find(`order (${group})`, findOrderViolations(held, group))
  }
  const isRead: IsMeant = ({ topic }) => topic === 'steps'
  for (const reader of readers) {
    const own = history.filter((event) => event.kind !== 'delivered' || event.member === reader)
    find(`no loss (${reader})`, findLost(own, readerGroup, isRead))
  }
  find(`no phantoms (${readerGroup})`, findPhantoms(history, readerGroup, isRead))
  find(`no duplicates (${readerGroup})`, countReaderDuplicates(history, readerGroup).unjustified)
  find(`order (${readerGroup})`, findReaderOrderViolations(history, readerGroup))
  find('the log holds what was acknowledged, once, where the receipts say', judgeLog(evidence))
  return findings
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

function judgeLog({ history, receipts, refused, stored }: Evidence): Violation[] {
  const violations: Violation[] = []
  const sent = new Set(eventsOf(history, 'sent').map(({ message }) => message))
  const places = new Map<string, StoredMessage>()
  const order = new Map<string, number>()
  const sentIndexes = new Map(eventsOf(history, 'sent').map(({ message }, index) => [message, index]))
  for (const found of stored) {
    const { message, topic, queueId, offset } = found
    const place = `${topic}/${queueId}@${offset}`
    const before = places.get(message)
    if (before !== undefined) {
      violations.push({ message, text: `${message} is stored twice: ${before.queueId}@${before.offset} and ${place}` })
    }
    places.set(message, found)
    if (!sent.has(message)) violations.push({ message, text: `${place} holds ${message}, which was not sent` })
    const code = refused.get(message)
    if (code !== undefined) violations.push({ message, text: `${message}, refused with ${code}, lies at ${place}` })
    // A producer's messages lie in a queue in the order in which it sent them.
    const sequence = `${topic}/${queueId} ${message.split(':')[1]}`
    const index = sentIndexes.get(message) ?? -1
    const isBehind = index < (order.get(sequence) ?? -1)
    if (isBehind) violations.push({ message, text: `${message} lies behind a later one at ${place}` })
    order.set(sequence, index)
  }
  for (const [message, { queueId, offset, messageId }] of receipts) {
    const found = places.get(message)
    if (found === undefined) violations.push({ message, text: `${message} was acknowledged and is not in the log` })
    else if (found.messageId !== messageId) {
      violations.push({ message, text: `${message} was acknowledged as ${messageId} and is ${found.messageId}` })
    } else if (offset !== undefined && (found.offset !== offset || found.queueId !== queueId)) {
      const [told, is] = [`${queueId}@${offset}`, `${found.queueId}@${found.offset}`]
      violations.push({ message, text: `${message} was acknowledged at ${told} and lies at ${is}` })
    }
  }
  return violations
}
