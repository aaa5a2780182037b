// The checkers of a device are shown histories that keep their promise and such that break it.

import { describe, expect, test } from 'vitest'
import { findHoles } from './device-losses.ts'
import { findKeptHolds, findOverlappingHolds, type HoldEvent } from './device-holds.ts'

const joined = (tab: string, group = 'till', home = 'device'): HoldEvent => ({ kind: 'joined', atMs: 0, tab, group, home })
const took = (atMs: number, tab: string, message = 'm', group = 'till'): HoldEvent =>
  ({ kind: 'took', atMs, tab, group, message })
const letGo = (atMs: number, tab: string, message = 'm', group = 'till'): HoldEvent =>
  ({ kind: 'let-go', atMs, tab, group, message })
const life = (kind: 'frozen' | 'thawed' | 'died', atMs: number, tab: string): HoldEvent => ({ kind, atMs, tab })
const unsettled = (atMs: number, home = 'device'): HoldEvent => ({ kind: 'unsettled', atMs, home })
const end = (atMs: number): HoldEvent => ({ kind: 'thawed', atMs, tab: 'nobody' })

describe('holds of tabs do not overlap', () => {
  const both = [joined('a'), joined('b'), took(1, 'a')]

  test('accepts a message that comes to another tab once it was let go', () => {
    expect(findOverlappingHolds([...both, letGo(2, 'a'), took(3, 'b')])).toEqual([])
  })

  test('accepts a message that comes to the same tab again', () => {
    expect(findOverlappingHolds([...both, took(3, 'a')])).toEqual([])
  })

  test('accepts another message, and the same one in another group', () => {
    expect(findOverlappingHolds([...both, took(2, 'b', 'n'), took(3, 'b', 'm', 'kitchen')])).toEqual([])
  })

  test.each([
    ['stood still', life('frozen', 2, 'a')],
    ['died', life('died', 2, 'a')],
    ['lost its engine', unsettled(2)],
  ])('accepts a message of a tab that %s', (_, event) => {
    expect(findOverlappingHolds([...both, event, took(3, 'b')])).toEqual([])
  })

  test('accepts what another tab had on its way to it since before it stood still', () => {
    const events = [joined('a'), joined('b'), life('frozen', 0, 'b'), took(1, 'a'), life('thawed', 2, 'b'), took(2, 'b')]
    expect(findOverlappingHolds(events)).toEqual([])
  })

  test.each([
    ['nothing had happened', []],
    ['another tab stands still', [life('frozen', 2, 'c')]],
    ['the link to the relay broke', [unsettled(2, 'relay')]],
    ['another message was let go', [letGo(2, 'a', 'n')]],
  ])('finds a message that two tabs have, though %s', (_, events) => {
    expect(findOverlappingHolds([...both, ...events, took(4, 'b')])).toMatchObject([{ message: 'm' }])
  })
})

describe('who stands still keeps nothing', () => {
  const bounds = { home: 'device', boundMs: 100 }
  const frozen = [joined('a'), joined('b'), took(1, 'a'), life('frozen', 10, 'a')]

  test('accepts a message that moved on in time', () => {
    expect(findKeptHolds([...frozen, took(90, 'b'), end(200)], bounds)).toEqual([])
  })

  test.each([
    ['runs again in time', life('thawed', 90, 'a')],
    ['died', life('died', 90, 'a')],
    ['lost its engine', unsettled(90)],
  ])('accepts that a tab that %s keeps its message', (_, event) => {
    expect(findKeptHolds([...frozen, event, end(200)], bounds)).toEqual([])
  })

  test('accepts that nobody takes it where the others are not well', () => {
    expect(findKeptHolds([joined('a'), took(1, 'a'), life('frozen', 10, 'a'), end(200)], bounds)).toEqual([])
    expect(findKeptHolds([life('frozen', 0, 'b'), ...frozen, end(200)], bounds)).toEqual([])
    expect(findKeptHolds([...frozen, life('died', 50, 'b'), end(200)], bounds)).toEqual([])
  })

  test('accepts what was let go before, what is the relay’s, and a run that ends too soon', () => {
    const free = [joined('a'), joined('b'), took(1, 'a'), letGo(2, 'a'), life('frozen', 10, 'a'), end(200)]
    expect(findKeptHolds(free, bounds)).toEqual([])
    expect(findKeptHolds([...frozen, end(200)], { ...bounds, home: 'relay' })).toEqual([])
    expect(findKeptHolds([...frozen, end(105)], bounds)).toEqual([])
  })

  test('accepts that a tab takes what was on its way to it while it stood still, and another had it meanwhile', () => {
    const meanwhile = [took(2, 'b'), letGo(3, 'b')]
    const late = [took(5, 'a'), life('frozen', 6, 'a'), end(200)]
    const events = [joined('a'), joined('b'), life('frozen', 1, 'a'), ...meanwhile, life('thawed', 4, 'a'), ...late]
    expect(findKeptHolds(events, bounds)).toEqual([])
    const before = [joined('a'), joined('b'), ...meanwhile, life('frozen', 3, 'a'), life('thawed', 4, 'a'), ...late]
    expect(findKeptHolds(before, bounds)).toMatchObject([{ message: 'm' }])
  })

  test.each([
    ['nobody took', []],
    ['was taken too late', [took(150, 'b')]],
    ['only another group took', [took(50, 'b', 'm', 'kitchen')]],
    ['was another', [took(50, 'b', 'n')]],
  ])('finds a message that %s', (_, events) => {
    expect(findKeptHolds([...frozen, ...events, end(200)], bounds)).toMatchObject([{ message: 'm' }])
  })
})

describe('a power cut takes a last part', () => {
  const found = (offset: number) => ({ topic: 'drafts', queueId: 0, offset, messageId: String(offset) })
  const history = [0, 1, 2].map((offset) => ({ kind: 'acknowledged', message: offset, found: found(offset) }) as const)
  const stored = (...offsets: number[]) => offsets.map((offset) => ({ message: offset, ...found(offset) }))

  test('accepts all, some of the first, and nothing', () => {
    expect(findHoles(history, stored(0, 1, 2))).toEqual([])
    expect(findHoles(history, stored(0))).toEqual([])
    expect(findHoles(history, [])).toEqual([])
  })

  test('finds a hole', () => {
    expect(findHoles(history, stored(0, 2))).toMatchObject([{ message: 1 }])
  })
})
