// The checkers of what a relay did at its door: each is shown a history that keeps its promise and one that breaks it.

import { describe, expect, test } from 'vitest'
import { findWrongAttempts } from './attempts.ts'
import { findOverdrafts } from './credit.ts'
import { findWrongEpochs } from './epochs.ts'
import { findLockBreaks } from './fifo-lock.ts'
import { LeaseBook } from './lease-book.ts'
import { findEarlyRetries, findOverlaps } from './leases.ts'
import { findProducerFaults } from './producers.ts'
import { ProgressWatch } from './progress.ts'
import { findStaleReceipts } from './receipts.ts'
import type { RelayEvent, SettleVerb } from './relay-history.ts'
import { findResurrections } from './resurrection.ts'

const memberGraceMs = 1_000
const place = { group: 'till', topic: 'orders' } as const

const opened = (atMs: number): RelayEvent => ({ kind: 'opened', atMs })
const gone = (atMs: number): RelayEvent => ({ kind: 'gone', atMs })
const jumped = (atMs: number, byMs: number): RelayEvent => ({ kind: 'wall-jumped', atMs, byMs })
const joined = (atMs: number, membership: number, member: string): RelayEvent =>
  ({ kind: 'joined', atMs, membership, member, ...place, isLeasing: true })
const detached = (atMs: number, membership: number): RelayEvent => ({ kind: 'detached', atMs, membership })
const left = (atMs: number, membership: number): RelayEvent => ({ kind: 'left', atMs, membership })
const leased = (
  atMs: number, membership: number, leaseId: number, offset: number, { attempt = 1, leaseMs = 5_000, queueId = 0 } = {},
): RelayEvent => {
  const terms = { queueId, leaseId, attempt, leaseMs, offsets: [offset], byteCount: 100 }
  return { kind: 'leased', atMs, grantedMs: atMs, membership, ...terms }
}

let settlementCount = 0
/** A request and, unless it got lost, its answer. */
function settled(
  atMs: number, membership: number, verb: SettleVerb, leaseId: number, offset: number,
  { delayMs, leaseMs, answer = 'done' }: {
    delayMs?: number
    leaseMs?: number
    answer?: 'done' | 'refused' | 'lost'
  } = {},
): RelayEvent[] {
  const settlement = settlementCount++
  const receipts = [{ queueId: 0, leaseId, offset, count: 1 }]
  const terms = { ...(delayMs === undefined ? {} : { delayMs }), ...(leaseMs === undefined ? {} : { leaseMs }) }
  const asked: RelayEvent = { kind: 'settling', atMs, settlement, membership, verb, receipts, ...terms }
  const refused = answer === 'refused' ? [0] : []
  return answer === 'lost' ? [asked] : [asked, { kind: 'settled', atMs, settlement, refused }]
}

const start = [opened(0), joined(0, 1, 'anna'), joined(0, 2, 'ben')]

function bookOf(...events: readonly RelayEvent[]): LeaseBook {
  return LeaseBook.of([...start, ...events], {
    memberGraceMs,
    attemptCountMaxOf: () => 3,
    retryDelayMsOf: () => 200,
    // Even offsets are one message group, odd ones another.
    predecessorOf: (_topic, _queueId, offset) => (offset < 2 ? undefined : offset - 2),
  })
}

describe('leases do not overlap', () => {
  test.each<[string, readonly RelayEvent[]]>([
    ['ended by itself', [leased(10, 1, 1, 0), leased(5_010, 2, 2, 0, { attempt: 2 })]],
    ['was given back', [leased(10, 1, 1, 0), ...settled(20, 1, 'release', 1, 0), leased(20, 2, 2, 0)]],
    ['ended as its member left', [leased(10, 1, 1, 0), left(20, 1), leased(20, 2, 2, 0, { attempt: 2 })]],
    ['ended with the grace of its member', [leased(10, 1, 1, 0), detached(20, 1), leased(1_020, 2, 2, 0, { attempt: 2 })]],
    ['ended as its member did not come back after a restart', [
      leased(10, 1, 1, 0), gone(20), opened(100), joined(100, 3, 'ben'), leased(1_100, 3, 2, 0, { attempt: 2 }),
    ]],
    ['ended early as the wall clock had been moved forwards before a restart', [
      leased(10, 1, 1, 0), jumped(15, 60_000), gone(20), opened(100), joined(100, 3, 'ben'), leased(101, 3, 2, 0, { attempt: 2 }),
    ]],
    ['may have been given back just before the relay died', [
      leased(10, 1, 1, 0), ...settled(20, 1, 'retry', 1, 0, { delayMs: 0, answer: 'lost' }), gone(25), opened(100),
      joined(100, 3, 'ben'), leased(101, 3, 2, 0, { attempt: 2 }),
    ]],
    ['was void, as the group was moved', [
      leased(10, 1, 1, 0), { kind: 'resetting', atMs: 20, reset: 1, ...place, queueId: undefined },
      { kind: 'reset', atMs: 20, reset: 1, queues: [{ queueId: 0, offset: 0 }] }, leased(21, 2, 2, 0),
    ]],
    ['was of another queue', [leased(10, 1, 1, 0), leased(11, 2, 2, 0, { queueId: 1 })]],
  ])('accepts a message handed out again when the lease before %s', (_, events) => {
    expect(findOverlaps(bookOf(...events).grants)).toEqual([])
  })

  test.each<[string, readonly RelayEvent[]]>([
    ['holds', [leased(10, 1, 1, 0), leased(5_009, 2, 2, 0, { attempt: 2 })]],
    ['was extended', [
      leased(10, 1, 1, 0), ...settled(4_000, 1, 'extend', 1, 0, { leaseMs: 5_000 }), leased(5_010, 2, 2, 0, { attempt: 2 }),
    ]],
    ['is of a member in its grace', [leased(10, 1, 1, 0), detached(20, 1), leased(900, 2, 2, 0, { attempt: 2 })]],
    ['is of a member that came back in time', [
      leased(10, 1, 1, 0), detached(20, 1), joined(900, 3, 'anna'), leased(1_100, 2, 2, 0, { attempt: 2 }),
    ]],
    ['outlived a restart', [
      leased(10, 1, 1, 0), gone(20), opened(100), joined(100, 3, 'anna'), joined(100, 4, 'ben'),
      leased(4_000, 4, 2, 0, { attempt: 2 }),
    ]],
    ['was not given back, as that was refused', [
      leased(10, 1, 1, 0), ...settled(20, 1, 'retry', 1, 0, { delayMs: 0, answer: 'refused' }),
      leased(30, 2, 2, 0, { attempt: 2 }),
    ]],
  ])('finds a message handed out again while the lease before %s', (_, events) => {
    expect(findOverlaps(bookOf(...events).grants)).toHaveLength(1)
  })
})

describe('retries wait', () => {
  const retried = (backMs: number, delayMs?: number): LeaseBook => {
    const terms = delayMs === undefined ? {} : { delayMs }
    return bookOf(leased(10, 1, 1, 0), ...settled(20, 1, 'retry', 1, 0, terms), leased(backMs, 2, 2, 0, { attempt: 2 }))
  }

  test('accepts a message that comes again after its delay, or after the schedule’s', () => {
    expect(findEarlyRetries(retried(520, 500).grants)).toEqual([])
    expect(findEarlyRetries(retried(220).grants)).toEqual([])
  })

  test('finds one that comes again before', () => {
    expect(findEarlyRetries(retried(519, 500).grants)).toHaveLength(1)
    expect(findEarlyRetries(retried(219).grants)).toHaveLength(1)
  })

  test('takes a retry sent again, whose first try died with the relay, for what it may have done', () => {
    const book = bookOf(
      leased(10, 1, 1, 0), ...settled(20, 1, 'retry', 1, 0, { delayMs: 300, answer: 'lost' }), gone(25), opened(100),
      joined(110, 3, 'anna'), ...settled(120, 3, 'retry', 1, 0, { delayMs: 300, answer: 'refused' }),
      leased(330, 3, 2, 0, { attempt: 2 }),
    )
    expect([...findEarlyRetries(book.grants), ...findOverlaps(book.grants)]).toEqual([])
  })
})

describe('no resurrection', () => {
  const acked = [leased(10, 1, 1, 0), ...settled(20, 1, 'ack', 1, 0)]

  test('accepts a message that comes again before its ack was confirmed, or after the group was moved', () => {
    const lost = [leased(10, 1, 1, 0), ...settled(20, 1, 'ack', 1, 0, { answer: 'lost' })]
    const unclear = [...lost, gone(25), opened(100), joined(100, 3, 'ben')]
    expect(findResurrections(bookOf(...unclear, leased(5_100, 3, 2, 0, { attempt: 2 })).grants)).toEqual([])
    const moved: RelayEvent[] = [
      { kind: 'resetting', atMs: 30, reset: 1, ...place, queueId: 0 },
      { kind: 'reset', atMs: 31, reset: 1, queues: [{ queueId: 0, offset: 0 }] },
    ]
    expect(findResurrections(bookOf(...acked, ...moved, leased(40, 2, 2, 0)).grants)).toEqual([])
  })

  test('accepts one whose progress was damaged', () => {
    const damage: RelayEvent = {
      kind: 'damage-reported', atMs: 90, what: "progress of group 'till'", topic: 'orders', queueId: 0, toOffset: undefined,
    }
    const book = bookOf(...acked, gone(50), damage, opened(100), joined(100, 3, 'ben'), leased(110, 3, 2, 0))
    expect(findResurrections(book.grants)).toEqual([])
  })

  test.each<[string, readonly RelayEvent[]]>([
    ['later', []],
    ['after a restart', [gone(30), opened(100), joined(100, 2, 'ben')]],
  ])('finds a consumed message that comes again %s', (_, events) => {
    expect(findResurrections(bookOf(...acked, ...events, leased(9_000, 2, 2, 0, { attempt: 2 })).grants)).toHaveLength(1)
  })
})

describe('attempts at the relay', () => {
  const wrong = (...events: readonly RelayEvent[]): unknown[] => findWrongAttempts(bookOf(...events).grants, () => 3)
  const again = (attempt: number): RelayEvent => leased(6_000, 2, 2, 0, { attempt })

  test('accepts one more each time, and the same after a release', () => {
    expect(wrong(leased(10, 1, 1, 0), again(2))).toEqual([])
    expect(wrong(leased(10, 1, 1, 0), ...settled(20, 1, 'release', 1, 0), again(1))).toEqual([])
  })

  test('accepts a hole where a delivery may have died with the relay', () => {
    expect(wrong(leased(10, 1, 1, 0), gone(20), opened(30), joined(30, 2, 'ben'), again(3))).toEqual([])
  })

  test('finds attempts that stand still, leave one out, or go beyond the bound', () => {
    expect(wrong(leased(10, 1, 1, 0), again(1))).toHaveLength(1)
    expect(wrong(leased(10, 1, 1, 0), again(3))).toHaveLength(1)
    expect(wrong(leased(10, 1, 1, 0, { attempt: 2 }))).toHaveLength(1)
    expect(wrong(leased(10, 1, 1, 0), leased(6_000, 2, 2, 0, { attempt: 2 }), leased(12_000, 2, 3, 0, { attempt: 3 }),
      leased(18_000, 2, 4, 0, { attempt: 4 }))).toHaveLength(1)
  })
})

describe('lock of message groups', () => {
  const first = leased(10, 1, 1, 0)

  test.each<[string, readonly RelayEvent[]]>([
    ['was consumed', [first, ...settled(20, 1, 'ack', 1, 0), leased(21, 2, 2, 2)]],
    ['may have been consumed just before the relay died', [
      first, ...settled(20, 1, 'ack', 1, 0, { answer: 'lost' }), gone(25), opened(30), joined(30, 3, 'ben'), leased(31, 3, 2, 2),
    ]],
    ['failed its last attempt', [
      first, leased(6_000, 1, 2, 0, { attempt: 2 }), leased(12_000, 1, 3, 0, { attempt: 3 }),
      ...settled(12_010, 1, 'retry', 3, 0), leased(12_020, 2, 4, 2),
    ]],
    ['is of another message group', [first, leased(21, 2, 2, 1)]],
  ])('accepts a message whose predecessor %s', (_, events) => {
    expect(findLockBreaks(bookOf(...events).grants)).toEqual([])
  })

  test.each<[string, readonly RelayEvent[]]>([
    ['is out', [first, leased(21, 2, 2, 2)]],
    ['waits for its retry', [first, ...settled(20, 1, 'retry', 1, 0), leased(21, 2, 2, 2)]],
    ['lost its lease', [first, leased(6_000, 2, 2, 2)]],
    ['was not delivered at all', [leased(21, 2, 2, 2)]],
  ])('finds a message handed out while its predecessor %s', (_, events) => {
    expect(findLockBreaks(bookOf(...events).grants)).toHaveLength(1)
  })

  test('looks for the predecessor behind those that are gone', () => {
    const book = (offset: number): LeaseBook => LeaseBook.of([...start, first, leased(20, 2, 2, offset)], {
      memberGraceMs,
      attemptCountMaxOf: () => 3,
      retryDelayMsOf: () => 200,
      predecessorOf: (_topic, _queueId, at) => (at === 0 ? undefined : at - 1),
      isGone: (_topic, _queueId, at) => at === 1,
    })
    expect(findLockBreaks(book(2).grants)).toMatchObject([{ text: expect.stringContaining('while 0,') }])
  })
})

describe('receipts', () => {
  const over = [leased(10, 1, 1, 0), leased(6_000, 2, 2, 0, { attempt: 2 })]

  test('accepts a late ack that is refused, and one that is sent again and agreed to again', () => {
    expect(findStaleReceipts(bookOf(...over, ...settled(6_010, 1, 'ack', 1, 0, { answer: 'refused' })))).toEqual([])
    const twice = [...settled(20, 1, 'ack', 1, 0), ...settled(30, 1, 'ack', 1, 0)]
    expect(findStaleReceipts(bookOf(leased(10, 1, 1, 0), ...twice))).toEqual([])
  })

  test.each<SettleVerb>(['ack', 'retry', 'extend'])('finds a late %s that is taken', (verb) => {
    expect(findStaleReceipts(bookOf(...over, ...settled(6_010, 1, verb, 1, 0)))).toHaveLength(1)
  })

  test('finds a lease id that is given twice, but not a delivery that is repeated', () => {
    expect(findStaleReceipts(bookOf(leased(10, 1, 1, 0), leased(20, 1, 1, 0)))).toEqual([])
    expect(findStaleReceipts(bookOf(leased(10, 1, 1, 0), leased(20, 2, 1, 4)))).toHaveLength(1)
  })
})

describe('credit', () => {
  const credited = (messageCount: number, byteCount: number): RelayEvent =>
    ({ kind: 'credited', atMs: 1, membership: 1, messageCount, byteCount })
  const overdrafts = (...events: readonly RelayEvent[]): unknown[] => findOverdrafts([...start, ...events], 500)

  test('accepts what was allowed, by credit or by asking, and bytes beyond it by one message', () => {
    expect(overdrafts(credited(1, 100), leased(10, 1, 1, 0))).toEqual([])
    expect(overdrafts(credited(2, 1), leased(10, 1, 1, 0))).toEqual([])
    expect(overdrafts({ kind: 'asked', atMs: 1, membership: 1, messageCountMax: 1 }, leased(10, 1, 1, 0))).toEqual([])
  })

  test('finds a message too many, and bytes far beyond what was allowed', () => {
    expect(overdrafts(credited(1, 10_000), leased(10, 1, 1, 0), leased(11, 1, 2, 1))).toHaveLength(1)
    const read: RelayEvent = {
      kind: 'read', atMs: 10, membership: 1, queueId: 0, messageCount: 3, byteCount: 5_000, next: { epoch: 1, offset: 3 },
    }
    expect(overdrafts(credited(10, 100), read)).toHaveLength(1)
  })

  test('does not carry what was asked for over to the next question', () => {
    const asked = { kind: 'asked', atMs: 1, membership: 1, messageCountMax: 1 } as const
    const answered = { kind: 'answered', atMs: 5, membership: 1, messageCount: 0 } as const
    expect(overdrafts(asked, answered, leased(10, 1, 1, 0))).toHaveLength(1)
  })
})

describe('progress', () => {
  const told = (atMs: number, ackFloor: number, nextOffset = 10): RelayEvent =>
    ({ kind: 'progress', atMs, ...place, queueId: 0, ackFloor, nextOffset })
  const violations = (...events: readonly RelayEvent[]): readonly unknown[] => {
    const book = bookOf()
    const watch = new ProgressWatch(book, { isPassedOver: (_group, _topic, _queueId, offset) => offset === 1 })
    for (const event of events) {
      book.hear(event)
      watch.hear(event)
    }
    return watch.violations
  }
  const acked = [leased(10, 1, 1, 0), ...settled(20, 1, 'ack', 1, 0)]

  test('accepts an ack floor up to what was acked or passed over', () => {
    expect(violations(...acked, told(30, 1))).toEqual([])
    expect(violations(...acked, told(30, 2))).toEqual([])
    expect(violations(leased(10, 1, 1, 0), ...settled(20, 1, 'ack', 1, 0, { answer: 'lost' }), gone(25), told(30, 1))).toEqual([])
  })

  test('finds an ack floor beyond what anybody acked', () => {
    expect(violations(...acked, told(30, 3))).toHaveLength(1)
    expect(violations(leased(10, 1, 1, 0), told(30, 1))).toHaveLength(1)
    expect(violations(...acked, told(30, 1, 0))).toHaveLength(1)
  })

  test('finds an ack floor that fell behind where all is consumed', () => {
    expect(violations(...acked, told(30, 1), gone(40), opened(50), told(60, 0, 1))).toHaveLength(1)
    expect(violations(...acked, told(30, 1), gone(40), opened(50), told(60, 0, 2))).toEqual([])
  })

  test('lets an ack floor be low for a while, but not at the end', () => {
    expect(violations(...acked, told(30, 0, 1), told(40, 1, 1))).toEqual([])
    expect(violations(...acked, told(30, 1, 1), told(40, 0, 1))).toHaveLength(1)
    expect(violations(...acked, told(30, 0, 1), told(40, 0, 1))).toHaveLength(1)
  })

  test('hears out what was told with it: a last attempt that began and ended in the turn of the report', () => {
    const begun = [leased(10, 1, 1, 0, { attempt: 2 }), ...settled(20, 1, 'retry', 1, 0), left(300, 1)]
    const last = (atMs: number): RelayEvent => leased(atMs, 1, 2, 0, { attempt: 3 })
    expect(violations(...begun, told(310, 1), last(310), told(400, 1))).toEqual([])
    expect(violations(...begun, told(310, 1), last(320), told(400, 1))).toHaveLength(1)
    expect(violations(...begun, told(310, 1), told(400, 1))).toHaveLength(1)
  })

  test('lets the group be moved, but no further than it was', () => {
    const moved: RelayEvent[] = [
      { kind: 'resetting', atMs: 30, reset: 1, ...place, queueId: 0 },
      { kind: 'reset', atMs: 31, reset: 1, queues: [{ queueId: 0, offset: 5 }] },
    ]
    expect(violations(...acked, ...moved, told(40, 5))).toEqual([])
    expect(violations(...acked, ...moved, told(40, 6))).toHaveLength(1)
    expect(violations(...acked, moved[0] as RelayEvent, told(40, 6))).toEqual([])
  })
})

describe('idempotent producers', () => {
  /** A batch of two messages. */
  type Batch = readonly [epoch: number, baseSequence: number, outcome: 'taken' | 'duplicate' | 'refused' | 'unknown']
  const faults = (...batches: readonly Batch[]): unknown[] => findProducerFaults(batches.flatMap((given, order): RelayEvent[] => {
    const [producerEpoch, baseSequence, outcome] = given
    const name = { topic: 'orders', producerId: 'p', producerEpoch, baseSequence, count: 2 }
    const asked: RelayEvent = { kind: 'publishing', atMs: 0, order, ...name }
    if (outcome === 'unknown') return [asked]
    if (outcome === 'refused') return [asked, { kind: 'publish-refused', atMs: 0, order }]
    return [asked, { kind: 'published', atMs: 0, order, isDuplicate: outcome === 'duplicate' }]
  }))

  test('accepts sequences without gaps, duplicates of them, and a new epoch', () => {
    expect(faults([0, 0, 'taken'], [0, 2, 'taken'], [0, 0, 'duplicate'], [1, 0, 'taken'])).toEqual([])
  })

  test('accepts either end of what was never answered', () => {
    expect(faults([0, 0, 'taken'], [0, 2, 'unknown'], [0, 2, 'taken'], [0, 4, 'taken'])).toEqual([])
    expect(faults([0, 0, 'taken'], [0, 2, 'unknown'], [0, 2, 'duplicate'], [0, 4, 'taken'])).toEqual([])
    expect(faults([0, 0, 'taken'], [0, 2, 'unknown'], [0, 2, 'unknown'], [0, 4, 'taken'])).toEqual([])
    expect(faults([0, 0, 'taken'], [1, 0, 'unknown'], [0, 2, 'taken'])).toEqual([])
  })

  test.each<[string, readonly Batch[]]>([
    ['stored twice', [[0, 0, 'taken'], [0, 0, 'taken']]],
    ['stored after a gap', [[0, 0, 'taken'], [0, 4, 'taken']]],
    ['stored after one that was refused', [[0, 0, 'taken'], [0, 2, 'refused'], [0, 4, 'taken']]],
    ['called a duplicate and never there', [[0, 0, 'taken'], [0, 2, 'duplicate']]],
    ['taken from an epoch that is over', [[0, 0, 'taken'], [1, 0, 'taken'], [0, 2, 'taken']]],
    ['taken as a duplicate from an epoch that is over', [[0, 0, 'taken'], [1, 0, 'taken'], [0, 0, 'duplicate']]],
  ])('finds a batch that was %s', (_, batches) => {
    expect(faults(...batches)).toHaveLength(1)
  })
})

describe('epochs', () => {
  const queue = { topic: 'orders', queueId: 0 } as const
  const epoch = (number: number): RelayEvent => ({ kind: 'epoch', atMs: 0, ...queue, epoch: number })
  const damaged = (what: string): RelayEvent => ({ kind: 'damage-reported', atMs: 0, ...queue, what, toOffset: 4 })

  test('accepts an epoch that moves on after a loss at the end, and one that stays without', () => {
    expect(findWrongEpochs([epoch(1), damaged('record at the tail'), epoch(2)])).toEqual([])
    expect(findWrongEpochs([epoch(1), damaged('record')])).toEqual([])
    expect(findWrongEpochs([epoch(1), damaged('record at the tail'), epoch(2), damaged('record at the tail')])).toEqual([])
  })

  test('finds an epoch that stays where it was after a loss, and one that moves for no reason', () => {
    expect(findWrongEpochs([epoch(1), damaged('record at the tail')])).toHaveLength(1)
    expect(findWrongEpochs([epoch(1), epoch(2)])).toHaveLength(1)
  })
})
