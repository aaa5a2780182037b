// Each checker is shown a history that keeps its promise and one that breaks it.

import { describe, expect, test } from 'vitest'
import { findAttemptsNotCounted } from './attempts.ts'
import { countDuplicates, countReaderDuplicates } from './duplicates.ts'
import type { History, HistoryEvent, MessageName } from './history.ts'
import { findLost } from './no-loss.ts'
import { findOrderViolations, findReaderOrderViolations } from './order.ts'
import { findPhantoms } from './phantom.ts'

const sent = (message: MessageName, messageGroup?: string, topic = 'orders'): HistoryEvent =>
  ({ kind: 'sent', message, topic, messageGroup })
const acknowledged = (message: MessageName): HistoryEvent => ({ kind: 'acknowledged', message })
const delivered = (message: MessageName, attempt = 1, member = 'anna', group = 'till'): HistoryEvent =>
  ({ kind: 'delivered', message, group, member, attempt })
const acking = (message: MessageName, attempt = 1, member = 'anna'): HistoryEvent =>
  ({ kind: 'acking', message, group: 'till', member, attempt })
const consumed = (message: MessageName, member = 'anna', group = 'till'): HistoryEvent =>
  ({ kind: 'consumed', message, group, member })
const retried = (message: MessageName, member = 'anna'): HistoryEvent =>
  ({ kind: 'retried', message, group: 'till', member })
const leaseLost = (message: MessageName, attempt = 1, member = 'anna'): HistoryEvent =>
  ({ kind: 'lease-lost', message, group: 'till', member, attempt })
const disconnected = (member = 'anna'): HistoryEvent => ({ kind: 'disconnected', member })
const killed = (member?: string): HistoryEvent =>
  (member === undefined ? { kind: 'killed' } : { kind: 'killed', member })

const whole: History = [sent(1), acknowledged(1), delivered(1), consumed(1)]

describe('no loss', () => {
  test('accepts a history in which every acknowledged message is consumed', () => {
    expect(findLost([...whole, sent(2)], 'till')).toEqual([])
  })

  test('finds an acknowledged message that was never delivered', () => {
    expect(findLost([...whole, sent(2), acknowledged(2)], 'till')).toMatchObject([{ message: 2 }])
  })

  test('finds an acknowledged message that was delivered and not consumed', () => {
    expect(findLost([sent(1), acknowledged(1), delivered(1)], 'till')).toMatchObject([{ message: 1 }])
  })

  const inHand = [sent(1), acknowledged(1), delivered(1)]

  test('accepts a message whose ack may have taken effect just before the relay or its member died', () => {
    expect(findLost([...inHand, acking(1), killed(), leaseLost(1)], 'till')).toEqual([])
    expect(findLost([...inHand, acking(1), killed('anna')], 'till')).toEqual([])
  })

  test('accepts a message whose ack may have taken effect just before its member lost the connection', () => {
    expect(findLost([...inHand, acking(1), disconnected(), leaseLost(1)], 'till')).toEqual([])
  })

  test.each([
    ['was acked by a member that kept its connection', [acking(1), disconnected('ben'), leaseLost(1)]],
    ['was acked without a connection', [disconnected(), acking(1), leaseLost(1)]],
    ['was in hand when its member died', [killed('anna')]],
    ['was acked while the relay was dead', [killed(), acking(1), leaseLost(1)]],
    ['lost its lease in a quiet hour', [acking(1), leaseLost(1), killed()]],
    ['was acked by a member that lives', [acking(1), killed('ben')]],
    ['came again after an unclear ack', [acking(1), killed(), leaseLost(1), delivered(1, 2)]],
    ['came again after its member died', [acking(1), killed('anna'), delivered(1, 2, 'ben')]],
  ])('finds a message that %s and was never consumed', (_, events) => {
    expect(findLost([...inHand, ...events], 'till')).toMatchObject([{ message: 1 }])
  })

  test('finds a message that only another group consumed', () => {
    expect(findLost(whole, 'kitchen')).toMatchObject([{ message: 1 }])
  })

  test('asks of a group only what is meant for it', () => {
    const history = [...whole, sent(2, undefined, 'prices'), acknowledged(2)]
    expect(findLost(history, 'till', ({ topic }) => topic === 'orders')).toEqual([])
  })

  test('takes a message without a lease as consumed when it was seen', () => {
    expect(findLost([sent(1), acknowledged(1), delivered(1, 0)], 'till')).toEqual([])
  })
})

describe('phantom', () => {
  test('accepts deliveries of what was sent, acknowledged or not', () => {
    expect(findPhantoms([...whole, sent(2), delivered(2)], 'till')).toEqual([])
  })

  test('finds a delivery of a message that nobody sent', () => {
    expect(findPhantoms([...whole, delivered(7)], 'till')).toMatchObject([{ message: 7 }])
  })

  test('finds a delivery before the send', () => {
    expect(findPhantoms([delivered(1), sent(1)], 'till')).toMatchObject([{ message: 1 }])
  })

  test('finds a delivery of what the filter should have kept away', () => {
    expect(findPhantoms(whole, 'till', () => false)).toMatchObject([{ message: 1 }])
  })
})

describe('order', () => {
  const sends = [sent(1, 'a'), sent(2, 'a'), sent(3, 'b')]

  test('accepts messages of different message groups in any order', () => {
    expect(findOrderViolations([...sends, delivered(3), delivered(1), delivered(2)], 'till')).toEqual([])
  })

  test('accepts a message that comes again before its successor', () => {
    expect(findOrderViolations([...sends, delivered(1), delivered(1, 2, 'ben'), delivered(2)], 'till')).toEqual([])
  })

  test('finds two messages of one message group the wrong way round', () => {
    expect(findOrderViolations([...sends, delivered(2), delivered(1)], 'till')).toMatchObject([{ message: 1 }])
  })

  test('finds a message that comes again after its successor, at another member too', () => {
    const history = [...sends, delivered(1), delivered(2), delivered(1, 2, 'ben')]
    expect(findOrderViolations(history, 'till')).toMatchObject([{ message: 1 }])
  })

  test('follows each reader of a BROADCASTING group by itself', () => {
    const apart = [...sends, delivered(1, 0), delivered(2, 0), delivered(1, 0, 'ben'), delivered(2, 0, 'ben')]
    expect(findReaderOrderViolations(apart, 'till')).toEqual([])
    expect(findReaderOrderViolations([...apart, delivered(1, 0, 'ben')], 'till')).toMatchObject([{ message: 1 }])
  })
})

describe('duplicates', () => {
  test('accepts one delivery of each message', () => {
    expect(countDuplicates([...whole, sent(2), delivered(2)], 'till')).toEqual({ redeliveryCount: 0, unjustified: [] })
  })

  test.each([
    ['the application retried it', retried(1)],
    ['its lease was lost', leaseLost(1)],
    ['the relay was killed', killed()],
    ['its member was killed', killed('anna')],
  ])('accepts a redelivery when %s', (_, reason) => {
    const history = [sent(1), delivered(1), reason, delivered(1, 2, 'ben')]
    expect(countDuplicates(history, 'till')).toEqual({ redeliveryCount: 1, unjustified: [] })
  })

  test('accepts a redelivery when the first member learns of its lost lease only later', () => {
    const history = [sent(1), delivered(1), delivered(1, 2, 'ben'), consumed(1, 'ben'), leaseLost(1)]
    expect(countDuplicates(history, 'till').unjustified).toEqual([])
  })

  test('finds a redelivery after another delivery’s lease was lost', () => {
    const history = [sent(1), delivered(1), leaseLost(1), delivered(1, 2, 'ben'), delivered(1, 3)]
    expect(countDuplicates(history, 'till').unjustified).toMatchObject([{ message: 1 }])
  })

  test('finds a redelivery for which nothing had happened', () => {
    const { redeliveryCount, unjustified } = countDuplicates([sent(1), delivered(1), delivered(1, 2)], 'till')
    expect(redeliveryCount).toBe(1)
    expect(unjustified).toMatchObject([{ message: 1 }])
  })

  test('finds a redelivery of a consumed message, whatever died since', () => {
    const history = [...whole, killed(), killed('anna'), delivered(1, 2, 'ben')]
    expect(countDuplicates(history, 'till').unjustified).toMatchObject([{ message: 1 }])
  })

  test('finds a redelivery that only the death of an uninvolved member preceded', () => {
    const history = [sent(1), delivered(1), killed('cleo'), delivered(1, 2, 'ben')]
    expect(countDuplicates(history, 'till').unjustified).toMatchObject([{ message: 1 }])
  })

  test('excuses one redelivery by one reason, not two', () => {
    const history = [sent(1), delivered(1), killed(), delivered(1, 2), delivered(1, 3)]
    expect(countDuplicates(history, 'till')).toMatchObject({ redeliveryCount: 2, unjustified: [{ message: 1 }] })
  })

  test('allows a BROADCASTING reader none, as it resumes from its position', () => {
    const history = [sent(1), delivered(1, 0), delivered(1, 0, 'ben'), killed(), delivered(1, 0, 'ben')]
    expect(countReaderDuplicates(history, 'till')).toMatchObject({ redeliveryCount: 1, unjustified: [{ message: 1 }] })
  })
})

describe('attempts', () => {
  test('accepts attempts that grow, with holes for deliveries that were lost on the way', () => {
    const history = [sent(1), delivered(1), retried(1), delivered(1, 2), killed(), delivered(1, 4)]
    expect(findAttemptsNotCounted(history, 'till')).toEqual([])
  })

  test('finds an attempt that starts again after a kill', () => {
    const history = [sent(1), delivered(1, 3), killed(), delivered(1, 1)]
    expect(findAttemptsNotCounted(history, 'till')).toMatchObject([{ message: 1 }])
  })

  test('finds an attempt that stands still', () => {
    const history = [sent(1), delivered(1, 2), retried(1), delivered(1, 2)]
    expect(findAttemptsNotCounted(history, 'till')).toMatchObject([{ message: 1 }])
  })
})
