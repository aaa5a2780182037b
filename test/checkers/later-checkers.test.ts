// The checkers of timers, transactions and copies: each is shown what keeps its promise and what breaks it.

import { describe, expect, test } from 'vitest'
import { findCopyFaults, findHastyProgress, type LogState } from './copies.ts'
import type { History, HistoryEvent, MessageName } from './history.ts'
import { findEarlyMessages, findRecalledMessages } from './timers.ts'
import { findTransactionFaults } from './transactions.ts'

const delivered = (message: MessageName, storedMs = 0): HistoryEvent =>
  ({ kind: 'delivered', message, group: 'till', member: 'anna', attempt: 1, storedMs })

describe('timers', () => {
  const scheduled: HistoryEvent = { kind: 'scheduled', message: 'a', dueMs: 500 }

  test('accepts a message that comes when it is due or later, and one that was not scheduled', () => {
    expect(findEarlyMessages([scheduled, delivered('a', 500), delivered('b', 1)])).toEqual([])
  })

  test('finds a message that comes before it is due', () => {
    expect(findEarlyMessages([scheduled, delivered('a', 499)])).toMatchObject([{ message: 'a' }])
  })

  test('finds a message that was recalled and came, to anybody or into the log', () => {
    const recalled: HistoryEvent = { kind: 'recalled', message: 'a' }
    expect(findRecalledMessages([scheduled, recalled], [{ message: 'b' }])).toEqual([])
    expect(findRecalledMessages([scheduled, recalled, delivered('a', 600)], [])).toMatchObject([{ message: 'a' }])
    expect(findRecalledMessages([scheduled, recalled], [{ message: 'a' }])).toMatchObject([{ message: 'a' }])
  })
})

describe('transactions', () => {
  const sent = (message: MessageName): HistoryEvent => ({ kind: 'sent', message, topic: 'orders', transaction: 't' })
  const ending = (outcome: 'commit' | 'rollback'): HistoryEvent => ({ kind: 'ending', transaction: 't', outcome })
  const ended = (outcome: 'commit' | 'rollback'): HistoryEvent => ({ kind: 'ended', transaction: 't', outcome })
  const both = [sent('a'), sent('b')]
  const faults = (history: History, ...stored: MessageName[]): unknown[] =>
    findTransactionFaults(history, stored.map((message) => ({ message })))

  test('accepts a commit of which all is there, and a rollback of which nothing is', () => {
    expect(faults([...both, ending('commit'), delivered('a'), ended('commit'), delivered('b')], 'a', 'b')).toEqual([])
    expect(faults([...both, ending('rollback'), ended('rollback')])).toEqual([])
  })

  test('accepts all or nothing where nobody heard the end', () => {
    expect(faults([...both, ending('commit')], 'a', 'b')).toEqual([])
    expect(faults([...both, ending('commit')])).toEqual([])
    expect(faults(both)).toEqual([])
  })

  test('does not ask for what was refused', () => {
    const refused: HistoryEvent = { kind: 'refused', message: 'b', code: 'STORE_FULL' }
    expect(faults([...both, refused, ending('commit'), ended('commit')], 'a')).toEqual([])
  })

  test.each<[string, History, readonly MessageName[]]>([
    ['a message that is seen before the commit', [...both, delivered('a'), ending('commit'), ended('commit')], ['a', 'b']],
    ['a message of a transaction that was rolled back', [...both, ending('rollback'), ended('rollback'), delivered('a')], []],
    ['a message that is stored though nobody committed', both, ['a', 'b']],
    ['a committed message that is missing', [...both, ending('commit'), ended('commit')], ['a']],
    ['a transaction of which a part is there', [...both, ending('commit')], ['a']],
    ['a transaction that ended in two ways', [...both, ending('commit'), ended('commit'), ended('rollback')], []],
  ])('finds %s', (_, history, stored) => {
    expect(faults(history, ...stored)).not.toEqual([])
  })
})

describe('copies', () => {
  const message = { topic: 'orders', queueId: 0, offset: 0, messageId: 'c0ffee-0-0' }
  const state: LogState = { messages: [message], progress: new Map([['till orders/0', 'at 1']]) }

  test('accepts a copy that is the same', () => {
    expect(findCopyFaults(state, structuredClone(state))).toEqual([])
  })

  test.each<[string, LogState]>([
    ['a message', { ...state, messages: [] }],
    ['the same message', { ...state, messages: [{ ...message, messageId: 'c0ffee-0-1' }] }],
    ['it once', { ...state, messages: [message, message] }],
    ['progress', { ...state, progress: new Map() }],
    ['the same progress', { ...state, progress: new Map([['till orders/0', 'at 0']]) }],
    ['no other progress', { ...state, progress: new Map([...state.progress, ['desk orders/0', 'at 0']]) }],
  ])('finds a copy that does not have %s', (_, copy) => {
    expect(findCopyFaults(state, copy)).toHaveLength(1)
  })

  test('finds progress that comes before the messages it speaks of', () => {
    const messages = { kind: 'messages', queue: 'orders/0', next: 5 } as const
    const progress = { kind: 'progress', queue: 'orders/0', next: 5 } as const
    expect(findHastyProgress([messages, progress])).toEqual([])
    expect(findHastyProgress([progress, messages])).toHaveLength(1)
  })
})
