// The checkers of places, logs and disks, of rest and of effort: each is shown what keeps its promise and what breaks it.

import { describe, expect, test } from 'vitest'
import { findFalseReports, findGarbled, findUnreported } from './damage.ts'
import { type DeadLetter, findFalseDeadLetters } from './dead-letters.ts'
import { findSilentGaps, findUntrueGaps } from './gaps.ts'
import type { Found, History, HistoryEvent, MessageName } from './history.ts'
import type { Grant } from './lease-book.ts'
import { findStuck, type Rest } from './liveness.ts'
import { findDisagreements } from './offset-agreement.ts'
import { GoneOffsets, type RelayEvent, type RelayEventOf } from './relay-history.ts'
import { findEarlyDeletions } from './retention.ts'
import { findLogFaults } from './stored-log.ts'
import { type Effort, findVacuity } from './vacuity.ts'

const at = (offset: number, queueId = 0): Found => ({ topic: 'orders', queueId, offset, messageId: `c0ffee-0-${offset}` })
const sent = (message: MessageName): HistoryEvent => ({ kind: 'sent', message, topic: 'orders' })
const acknowledged = (message: MessageName, found?: Found): HistoryEvent => ({ kind: 'acknowledged', message, found })
const delivered = (message: MessageName, found: Found, member = 'anna'): HistoryEvent =>
  ({ kind: 'delivered', message, group: 'till', member, attempt: 0, found })
const gap = (expected: number, next: number, epochs: readonly [number, number] = [1, 1]): HistoryEvent => ({
  kind: 'gap', reader: 'anna', topic: 'orders', queueId: 0,
  expected: { epoch: epochs[0], offset: expected },
  next: { epoch: epochs[1], offset: next },
})
const goneOffsets = (from: number, to: number): GoneOffsets => {
  const gone = new GoneOffsets()
  gone.add('orders', 0, from, to)
  return gone
}

describe('offset agreement', () => {
  const history = [sent('a'), acknowledged('a', at(0)), delivered('a', at(0))]

  test('accepts receipts, deliveries and a log that say the same', () => {
    expect(findDisagreements(history, [{ message: 'a', ...at(0) }])).toEqual([])
  })

  test.each<[string, History, Found]>([
    ['two messages at one place', [...history, delivered('b', at(0))], at(0)],
    ['a delivery at another place than the receipt says', [...history, delivered('a', at(1))], at(0)],
    ['a query that finds it elsewhere', [...history, { kind: 'looked-up', message: 'a', found: at(2) }], at(0)],
    ['a log that has it in another queue', history, at(0, 1)],
    ['a log that has it under another id', history, { ...at(0), messageId: 'c0ffee-1-0' }],
  ])('finds %s', (_, seen, found) => {
    expect(findDisagreements(seen, [{ message: 'a', ...found }])).not.toEqual([])
  })
})

describe('the log', () => {
  const history: History = [
    sent('a'), acknowledged('a'), sent('b'), acknowledged('b'), sent('c'), { kind: 'refused', message: 'c', code: 'FORBIDDEN' },
  ]
  const faults = (messages: readonly MessageName[], isGone = false): unknown[] => {
    const stored = messages.map((message, offset) => ({ message, ...at(offset) }))
    return findLogFaults(history, stored, { producerOf: () => 'anna', isGone: () => isGone })
  }

  test('accepts what was acknowledged, once and in order, and what the disk lost', () => {
    expect(faults(['a', 'b'])).toEqual([])
    expect(faults(['b'], true)).toEqual([])
  })

  test('finds a message that a query by its id did not find, unless the disk lost it', () => {
    const lookedUp: History = [...history, { kind: 'looked-up', message: 'a', found: undefined }]
    const stored = [{ message: 'a', ...at(0) }, { message: 'b', ...at(1) }]
    expect(findLogFaults(lookedUp, stored, { producerOf: () => 'anna', isGone: () => false })).toHaveLength(1)
    expect(findLogFaults(lookedUp, stored, { producerOf: () => 'anna', isGone: () => true })).toEqual([])
  })

  test.each<[string, readonly MessageName[]]>([
    ['is not in it', ['a']],
    ['is in it twice', ['a', 'b', 'b']],
    ['was never sent', ['a', 'b', 'x']],
    ['was refused', ['a', 'b', 'c']],
    ['lies behind a later one', ['b', 'a']],
  ])('finds a message that %s', (_, messages) => {
    expect(faults(messages)).toHaveLength(1)
  })
})

describe('gaps', () => {
  const none = new GoneOffsets()

  test('accepts a reader that gets message after message, or is told of what is gone', () => {
    expect(findSilentGaps([delivered('a', at(0)), delivered('b', at(1))], 'anna', none)).toEqual([])
    expect(findSilentGaps([delivered('a', at(0)), gap(1, 5), delivered('b', at(5))], 'anna', none)).toEqual([])
  })

  test('accepts a reader that begins behind what is gone', () => {
    expect(findSilentGaps([delivered('a', at(3))], 'anna', goneOffsets(0, 2))).toEqual([])
    expect(findSilentGaps([delivered('a', at(3))], 'anna', goneOffsets(0, 1))).toHaveLength(1)
  })

  test('finds a message left out, and one that comes again', () => {
    expect(findSilentGaps([delivered('a', at(0)), delivered('b', at(2))], 'anna', none)).toHaveLength(1)
    expect(findSilentGaps([delivered('a', at(0)), delivered('a', at(0))], 'anna', none)).toHaveLength(1)
    expect(findSilentGaps([delivered('a', at(0)), gap(1, 5), delivered('b', at(2))], 'anna', none)).toHaveLength(1)
  })

  test('accepts a gap of what is gone, and one of nothing where the epoch moved', () => {
    expect(findUntrueGaps([gap(1, 3)], goneOffsets(1, 2))).toEqual([])
    expect(findUntrueGaps([gap(3, 3, [1, 2])], none)).toEqual([])
  })

  test('finds a gap of what is there, and one of nothing in the same epoch', () => {
    expect(findUntrueGaps([gap(1, 3)], goneOffsets(1, 1))).toHaveLength(1)
    expect(findUntrueGaps([gap(3, 3)], none)).toHaveLength(1)
  })
})

describe('retention', () => {
  const trimmed = (storedMs: number, queueBytes: number): RelayEvent => ({
    kind: 'trimmed', atMs: 0, topic: 'orders', queueId: 0, fromOffset: 0, toOffset: 3, messages: [],
    storedMs, queueBytes,
    nowMs: 10_000,
  })
  const early = (event: RelayEvent, retentionMs: number, queueBytesMax: number): unknown[] =>
    findEarlyDeletions([event], () => ({ retentionMs, queueBytesMax }))

  test('accepts the deletion of what is too old, or too much', () => {
    expect(early(trimmed(4_999, 0), 5_000, 0)).toEqual([])
    expect(early(trimmed(9_000, 101), 0, 100)).toEqual([])
  })

  test('finds the deletion of what is younger and fits, or of a topic that keeps everything', () => {
    expect(early(trimmed(5_000, 0), 5_000, 0)).toHaveLength(1)
    expect(early(trimmed(9_000, 100), 0, 100)).toHaveLength(1)
    expect(findEarlyDeletions([trimmed(0, 1_000)], () => undefined)).toHaveLength(1)
  })
})

describe('damage', () => {
  const flipped: RelayEventOf<'flipped'> = {
    kind: 'flipped', atMs: 10, flip: 0, what: 'record', topic: 'orders', queueId: 0, fromOffset: 2, toOffset: 4, messages: [],
  }
  const reported = (what: string, toOffset?: number): RelayEvent =>
    ({ kind: 'damage-reported', atMs: 20, what, topic: 'orders', queueId: 0, toOffset })
  const progress: RelayEvent = { ...flipped, what: 'progress', group: 'till' }
  const state: RelayEvent = { ...flipped, what: 'queue state' }

  test.each<[string, RelayEvent, RelayEvent]>([
    ['record', flipped, reported('record', 4)],
    ['record at the tail', flipped, reported('record at the tail', 4)],
    ['progress', progress, reported("progress of group 'till'")],
    ['queue state', state, reported('queue state')],
  ])('accepts a damaged %s that is reported', (_, flip, report) => {
    expect(findFalseReports([flip, report])).toEqual([])
    expect(findUnreported([flip, report])).toEqual([])
  })

  test('accepts damage that was overwritten before anybody read it', () => {
    expect(findUnreported([flipped, { kind: 'mended', atMs: 15, flip: 0 }])).toEqual([])
  })

  test('finds damage that nobody reports, and a report of what is whole', () => {
    expect(findUnreported([flipped])).toHaveLength(1)
    expect(findUnreported([flipped, reported('record', 5)])).toHaveLength(1)
    expect(findFalseReports([reported('record', 4), flipped])).toHaveLength(1)
    expect(findFalseReports([flipped, reported('record', 5)])).toHaveLength(1)
    expect(findFalseReports([progress, reported("progress of group 'desk'")])).toHaveLength(1)
  })

  test('finds a message that is not as it was sent', () => {
    expect(findGarbled([sent('a'), delivered('a', at(0))])).toEqual([])
    expect(findGarbled([{ kind: 'garbled', reader: 'anna', message: 'a', text: 'its tag is x' }])).toHaveLength(1)
  })
})

describe('dead letters', () => {
  const letter: DeadLetter = { message: 'a', offset: 0, origin: at(7), attempt: 3 }
  const grant = (attempt: number): Grant => ({
    group: 'till', ...at(7), member: 'anna', leaseId: attempt, attempt, grantedMs: attempt,
    before: undefined, blockedBy: undefined, reopenCount: 0, reopenCountAfter: 0,
  })
  const exhausted = [grant(1), grant(2), grant(3)]
  const faults = (
    letters: readonly DeadLetter[], grants: readonly Grant[] = exhausted, history: History = [sent('a')],
  ): unknown[] => findFalseDeadLetters(history, grants, letters, { group: 'till', attemptCountMax: 3, foundOf: () => at(7) })

  test('accepts a message that failed every attempt, there once, with where it was', () => {
    expect(faults([letter])).toEqual([])
  })

  test('accepts one whose last delivery may have died with the relay', () => {
    expect(faults([letter], [grant(1), { ...grant(2), reopenCountAfter: 1 }])).toEqual([])
  })

  test('finds one that is there twice, was consumed, or was not sent', () => {
    expect(faults([letter, { ...letter, offset: 1 }])).toHaveLength(1)
    const consumed: HistoryEvent = { kind: 'consumed', message: 'a', group: 'till', member: 'anna' }
    expect(faults([letter], exhausted, [sent('a'), consumed])).toHaveLength(1)
    expect(faults([letter], exhausted, [])).toHaveLength(1)
  })

  test('finds one that had attempts left, or says it was elsewhere, or counts wrongly', () => {
    expect(faults([letter], [grant(1), grant(2)])).toHaveLength(1)
    expect(faults([{ ...letter, origin: at(8) }], [...exhausted, { ...grant(3), offset: 8 }])).toHaveLength(1)
    expect(faults([{ ...letter, attempt: 2 }])).toHaveLength(1)
  })
})

describe('liveness', () => {
  const rest: Rest = {
    relayIsUp: true,
    clients: [{ name: 'anna', isDead: false, link: 'connected', unansweredCount: 0, heldCount: 0 }],
    groups: [{ group: 'till', topic: 'orders', queueId: 0, backlog: 0, inFlight: 0 }],
    readers: [{ name: 'board', topic: 'orders', queueId: 0, offset: 5, maxOffset: 5 }],
  }
  const [client] = rest.clients as [Rest['clients'][number]]
  const [group] = rest.groups as [Rest['groups'][number]]
  const [reader] = rest.readers as [Rest['readers'][number]]

  test('accepts a world at rest', () => {
    expect(findStuck(rest)).toEqual([])
  })

  test.each<[string, Partial<Rest>]>([
    ['a relay that is down', { relayIsUp: false }],
    ['a client that is dead', { clients: [{ ...client, isDead: true }] }],
    ['a client without a connection', { clients: [{ ...client, link: 'waiting' }] }],
    ['a send without an answer', { clients: [{ ...client, unansweredCount: 1 }] }],
    ['a message in somebody’s hand', { clients: [{ ...client, heldCount: 1 }] }],
    ['a group that is behind', { groups: [{ ...group, backlog: 1 }] }],
    ['a message in flight', { groups: [{ ...group, inFlight: 1 }] }],
    ['a reader that is behind', { readers: [{ ...reader, offset: 4 }] }],
    ['a message that is not due', { pending: ['a message is not due'] }],
  ])('finds %s', (_, stuck) => {
    expect(findStuck({ ...rest, ...stuck })).toHaveLength(1)
  })
})

describe('the vacuity guard', () => {
  const effort: Effort = {
    acknowledgedCount: 10, deliveredCount: 20, grantCount: 1, faultsChosen: ['relay-crash', 'cut'], faultsLanded: ['cut'],
  }

  test('accepts a run that tried something, and a calm one', () => {
    expect(findVacuity(effort)).toEqual([])
    expect(findVacuity({ ...effort, faultsChosen: [], faultsLanded: [] })).toEqual([])
  })

  test.each<[string, Partial<Effort>]>([
    ['nothing was sent', { acknowledgedCount: 9 }],
    ['nothing was delivered', { deliveredCount: 19 }],
    ['the relay handed out nothing', { grantCount: 0 }],
    ['no fault struck', { faultsLanded: [] }],
  ])('finds a run in which %s', (_, missing) => {
    expect(findVacuity({ ...effort, ...missing })).toHaveLength(1)
  })
})
