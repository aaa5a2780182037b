// What judges a run is shown evidence that is in order, and evidence of each kind of broken promise.

import { expect, test } from 'vitest'
import type { SendReceipt } from '../../core/client/api.ts'
import type { HistoryEvent } from '../checkers/history.ts'
import { type Evidence, judge, type StoredMessage } from './verdict.ts'

const messageId = 'c0ffee0000000000-0-0' as SendReceipt['messageId']
const receipt: SendReceipt = { messageId, queueId: 0, offset: 7, epoch: 1, duplicate: false }
const stored: StoredMessage = { message: 'plain:anna:0:a', messageId, topic: 'plain', queueId: 0, offset: 7 }
const { message } = stored
const held = { message, group: 'till', member: 'till/anna', attempt: 1 } as const
const history: readonly HistoryEvent[] = [
  { kind: 'sent', message, topic: 'plain' },
  { kind: 'acknowledged', message },
  { kind: 'delivered', ...held },
  { kind: 'acking', ...held },
  { kind: 'consumed', message, group: 'till', member: 'till/anna' },
]
const whole: Evidence = {
  history,
  receipts: new Map([[message, receipt]]),
  refused: new Map(),
  groups: ['till'],
  readers: [],
  stored: [stored],
  wereFrozen: false,
}

test('accepts a message that was sent, stored once where its receipt says, and consumed', () => {
  expect(judge(whole)).toEqual([])
})

test.each<[string, Partial<Evidence>]>([
  ['not in the log', { stored: [] }],
  ['stored twice', { stored: [stored, { ...stored, offset: 8 }] }],
  ['stored elsewhere than its receipt says', { stored: [{ ...stored, queueId: 1 }] }],
  ['stored under another id', { stored: [{ ...stored, messageId: 'c0ffee0000000000-0-1' }] }],
  ['refused and stored', { refused: new Map([[message, 'FORBIDDEN']]) }],
  ['stored and never sent', { stored: [stored, { ...stored, message: 'plain:anna:9:a', offset: 8 }] }],
  ['stored behind a later one of its producer', {
    history: [...history, { kind: 'sent', message: 'plain:anna:1:a', topic: 'plain' }],
    stored: [{ ...stored, message: 'plain:anna:1:a', offset: 6 }, stored],
  }],
  ['never consumed', { history: history.slice(0, 2) }],
  ['delivered again for no reason', { history: [...history, { kind: 'delivered', ...held, attempt: 2 }] }],
  ['not read by a reader', {
    readers: ['client0'],
    history: [...history, { kind: 'sent', message: 'steps:x', topic: 'steps' }, { kind: 'acknowledged', message: 'steps:x' }],
  }],
])('finds a message that was %s', (_, broken) => {
  expect(judge({ ...whole, ...broken })).not.toEqual([])
})

test('excuses a delivery under a lost lease only where clients were frozen', () => {
  const late: readonly HistoryEvent[] = [
    ...history,
    { kind: 'delivered', ...held, member: 'till/ben', attempt: 2 },
    { kind: 'lease-lost', ...held, member: 'till/ben', attempt: 2 },
  ]
  expect(judge({ ...whole, history: late })).not.toEqual([])
  expect(judge({ ...whole, history: late, wereFrozen: true })).toEqual([])
})
