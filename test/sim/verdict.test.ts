// What judges a run is shown evidence that is in order, evidence of each kind of broken promise, and faults that excuse
// what follows from them.

import { expect, test } from 'vitest'
import { defaultLimits } from '../../core/limits.ts'
import type { Found, HistoryEvent } from '../checkers/history.ts'
import type { RelayEvent, SettleVerb } from '../checkers/relay-history.ts'
import { type Evidence, judge } from './verdict.ts'
import type { GroupRole, WorldPlan } from './world-plan.ts'

const role: GroupRole = {
  group: 'till', topic: 'plain', how: 'iterate', filter: '*', attemptCountMax: 3, retryScheduleMs: [200],
  isFussy: false, isMoved: false, isSql: false,
}
const plan: WorldPlan = {
  topics: [{ topic: 'plain', queueCount: 1, messageType: 'NORMAL', retentionMs: 0, retentionBytes: 0 }],
  groups: [role],
  roles: [],
  limits: defaultLimits,
  latencyMs: [0, 0],
  commitLatencyMs: [0, 0],
  workMs: 0,
  hasOperator: false,
  hasZombie: false,
  hasDelays: false,
  hasTransactions: false,
}
const message = 'plain:anna.0:0:a'
const found: Found = { topic: 'plain', queueId: 0, offset: 7, messageId: 'c0ffee0000000000-0-0' }
const held = { message, group: 'till', member: 'till/anna', attempt: 1 } as const
const history: readonly HistoryEvent[] = [
  { kind: 'sent', message, topic: 'plain' },
  { kind: 'acknowledged', message, found },
  { kind: 'delivered', ...held, found },
  { kind: 'acking', ...held },
  { kind: 'consumed', message, group: 'till', member: 'till/anna' },
]

const leased = (atMs: number, leaseId: number, attempt: number): RelayEvent => ({
  kind: 'leased', atMs, grantedMs: atMs, membership: 0, queueId: 0, leaseId, attempt, leaseMs: 4_000, offsets: [7], byteCount: 90,
})
const settled = (atMs: number, verb: SettleVerb, leaseId: number): RelayEvent[] => [
  { kind: 'settling', atMs, settlement: atMs, membership: 0, verb, receipts: [{ queueId: 0, leaseId, offset: 7, count: 1 }] },
  { kind: 'settled', atMs, settlement: atMs, refused: [] },
]
const joined: readonly RelayEvent[] = [
  { kind: 'opened', atMs: 0 },
  { kind: 'joined', atMs: 0, membership: 0, member: 'anna', group: 'till', topic: 'plain', isLeasing: true },
  { kind: 'credited', atMs: 0, membership: 0, messageCount: 100, byteCount: 100_000 },
]
const relayHistory: readonly RelayEvent[] = [...joined, leased(10, 1, 1), ...settled(20, 'ack', 1)]
const whole: Evidence = {
  plan, history, relayHistory,
  log: { messages: [{ message, ...found }], deadLetters: new Map() },
  wereLate: false,
}
const checkersOf = (evidence: Partial<Evidence>): string[] => {
  return judge({ ...whole, ...evidence }).findings.map(({ checker }) => checker)
}
const withStored = (...stored: readonly (Partial<Found> & { message?: string })[]): Evidence['log'] => {
  return { messages: stored.map((other) => ({ message, ...found, ...other })), deadLetters: new Map() }
}

test('accepts a message that was sent, stored once where its receipt says, and consumed', () => {
  expect(judge(whole)).toEqual({ findings: [], grantCount: 1 })
})

test.each<[string, Partial<Evidence>]>([
  ['that is not in the log', { log: withStored() }],
  ['stored twice', { log: withStored({}, { offset: 8 }) }],
  ['stored elsewhere than its receipt says', { log: withStored({ queueId: 1 }) }],
  ['refused and stored', { history: [...history, { kind: 'refused', message, code: 'FORBIDDEN' }] }],
  ['stored and never sent', { log: withStored({}, { message: 'plain:anna.0:9:a', offset: 8 }) }],
  ['never consumed', { history: history.slice(0, 2) }],
  ['delivered again for no reason', { history: [...history, { kind: 'delivered', ...held, attempt: 2, found }] }],
  ['handed out again after it was consumed', { relayHistory: [...relayHistory, leased(9_000, 2, 2)] }],
  ['handed out twice at a time', { relayHistory: [...joined, leased(10, 1, 1), leased(20, 2, 2)] }],
  ['that came again too early', { relayHistory: [...joined, leased(10, 1, 1), ...settled(20, 'retry', 1), leased(30, 2, 2)] }],
  ['that came more often than it may', {
    relayHistory: [...joined, leased(10, 1, 1), leased(5_000, 2, 2), leased(10_000, 3, 3), leased(15_000, 4, 4)],
  }],
  ['sent beyond the credit', { relayHistory: [...joined.slice(0, 2), leased(10, 1, 1)] }],
  ['acked under a receipt that was over', {
    relayHistory: [...joined, leased(10, 1, 1), leased(5_000, 2, 2), ...settled(5_010, 'ack', 1)],
  }],
  ['that progress passed over', {
    relayHistory: [...joined, {
      kind: 'progress', atMs: 9, group: 'till', topic: 'plain', queueId: 0, ackFloor: 8, nextOffset: 8,
    }],
  }],
  ['that was not as it was sent', { history: [...history, { kind: 'garbled', reader: 'till', message, text: 'its tag is x' }] }],
  ['that came before it was due', {
    history: [
      { kind: 'scheduled', message, dueMs: 500 },
      ...history.map((event) => (event.kind === 'delivered' ? { ...event, storedMs: 499 } : event)),
    ],
  }],
  ['that was recalled and came', {
    history: [...history, { kind: 'recalling', message }, { kind: 'recalled', message }],
  }],
  ['that came though its recall missed it, and was never consumed', {
    history: [...history.slice(0, 2), { kind: 'recalling', message }, { kind: 'recall-missed', message }],
  }],
  ['of a transaction that nobody committed', {
    history: [{ kind: 'sent', message, topic: 'plain', transaction: 'order' }, ...history.slice(1)],
  }],
  ['of which a false gap was told', {
    history: [...history, {
      kind: 'gap', reader: 'till/anna', topic: 'plain', queueId: 0,
      expected: { epoch: 1, offset: 7 },
      next: { epoch: 1, offset: 8 },
    }],
  }],
])('finds a message %s', (_, broken) => {
  expect(checkersOf(broken)).not.toEqual([])
})

test('excuses a delivery under a lost lease only where clients were late', () => {
  const late: readonly HistoryEvent[] = [
    ...history,
    { kind: 'delivered', ...held, member: 'till/ben', attempt: 2 },
    { kind: 'lease-lost', ...held, member: 'till/ben', attempt: 2 },
  ]
  expect(checkersOf({ history: late })).not.toEqual([])
  expect(checkersOf({ history: late, wereLate: true })).toEqual([])
})

test('excuses that a message does not come of which nobody knows whether its recall was done', () => {
  const unclear: readonly HistoryEvent[] = [...history.slice(0, 2), { kind: 'recalling', message }]
  expect(checkersOf({ history: unclear, relayHistory: joined, log: withStored() })).toEqual([])
})

test('takes the messages of a committed transaction as those of others, and asks for all of them', () => {
  const committed: readonly HistoryEvent[] = [
    { kind: 'sent', message, topic: 'plain', transaction: 'order' },
    { kind: 'ending', transaction: 'order', outcome: 'commit' },
    { kind: 'ended', transaction: 'order', outcome: 'commit' },
    ...history.slice(1),
  ]
  expect(checkersOf({ history: committed })).toEqual([])
  expect(checkersOf({ history: committed, log: withStored() })).toContain('transactions')
})

test('excuses the loss of what a damaged record held, and asks that somebody says so', () => {
  const flipped: RelayEvent = {
    kind: 'flipped', atMs: 30, flip: 0, what: 'record', topic: 'plain', queueId: 0, fromOffset: 7, toOffset: 7,
    messages: [message],
  }
  const reported: RelayEvent = { kind: 'damage-reported', atMs: 40, what: 'record', topic: 'plain', queueId: 0, toOffset: 7 }
  const lost = { history: history.slice(0, 2), log: withStored() }
  expect(checkersOf({ ...lost, relayHistory: [...joined, flipped, reported] })).toEqual([])
  expect(checkersOf({ ...lost, relayHistory: [...joined, flipped] })).toEqual(['damage is reported'])
})

test('excuses what a group that was moved forwards did not consume', () => {
  const moved = { plan: { ...plan, groups: [{ ...role, isMoved: true }] }, history: history.slice(0, 2) }
  const reset = (offset: number): readonly RelayEvent[] => [
    ...joined,
    { kind: 'resetting', atMs: 5, reset: 1, group: 'till', topic: 'plain', queueId: undefined },
    { kind: 'reset', atMs: 6, reset: 1, queues: [{ queueId: 0, offset }] },
  ]
  expect(checkersOf({ ...moved, relayHistory: reset(8) })).toEqual([])
  expect(checkersOf({ ...moved, relayHistory: reset(7) })).toEqual(['no loss (till)'])
})

test('takes a dead letter for consumed, and judges it', () => {
  const letter = { message, offset: 0, origin: found, attempt: 3 }
  const evidence = (attempt: number): Partial<Evidence> => ({
    history: history.slice(0, 2),
    relayHistory: [...joined, leased(10, 1, 1), leased(5_000, 2, 2), leased(10_000, 3, 3)],
    log: { ...withStored({}), messages: [{ message, ...found }], deadLetters: new Map([['till', [{ ...letter, attempt }]]]) },
  })
  expect(checkersOf(evidence(3))).toEqual([])
  expect(checkersOf(evidence(2))).toEqual(['dead letters (till)'])
})
