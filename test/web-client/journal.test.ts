// The journal of a store, as values: what a transaction is to do, what reads see, and where a fence goes. What browsers make
// of it is tested in test/browser.

import { describe, expect, test } from 'vitest'
import type { StoreWrite } from '../../core/ports/store.ts'
import { firstNumberOf, Journal, type JournalEntry, type JournalStep, numberAfter } from '../../web-client/store/journal.ts'

const key = (byte: number) => Uint8Array.of(byte)
const put = (byte: number, size: number): StoreWrite => ({ key: key(byte), value: new Uint8Array(size).fill(byte) })
const all = { from: Uint8Array.of(), to: Uint8Array.of(255) }
const seen = (journal: Journal) => journal.overlaid(all).map(({ key, value }) => [key[0], value?.length ?? null])

function commit(journal: Journal, ...writes: readonly StoreWrite[]): JournalStep {
  const step = journal.commit(writes)
  journal.done(step)
  return step
}

const entryOf = ({ entry }: JournalStep): JournalEntry => ({ number: entry?.number ?? -1, value: entry?.bytes })

describe('commits', () => {
  test('pack small values into one entry, and put large ones where they belong', () => {
    const journal = new Journal(1, [])
    const step = commit(journal, put(1, 100), put(2, 5_000), { key: key(3), value: null })
    expect(step.entry?.number).toBe(firstNumberOf(1))
    expect(step.writes.map(({ key }) => key[0])).toEqual([2])
    expect(seen(journal)).toEqual([[1, 100], [3, null]])
  })

  test('are seen only when they are done, and may be tried again under the same number', () => {
    const journal = new Journal(1, [])
    const first = journal.commit([put(1, 1)])
    expect(seen(journal)).toEqual([])
    expect(journal.commit([put(1, 1)]).entry?.number).toBe(first.entry?.number)
  })

  test('of many writes are put where they belong, and uncover what the journal hid', () => {
    const journal = new Journal(1, [])
    commit(journal, put(7, 10))
    const writes = Array.from({ length: 100 }, (_, at) => put(at, 20))
    const step = commit(journal, ...writes)
    expect(step.writes).toEqual(writes)
    expect(seen(journal)).toEqual([])
    expect(seen(new Journal(2, [entryOf(step)]))).toEqual([])
  })

  test('that write a key twice leave the later value, large or small', () => {
    const journal = new Journal(1, [])
    commit(journal, put(1, 10), put(1, 5_000), put(2, 5_000), put(2, 10))
    expect(seen(journal)).toEqual([[2, 10]])
  })
})

describe('the next engine', () => {
  test('sees what was committed, without an entry that is damaged', () => {
    const journal = new Journal(1, [])
    const entries = [commit(journal, put(1, 10)), commit(journal, put(2, 20)), commit(journal, put(3, 30))].map(entryOf)
    const [, second] = entries
    const bytes = second?.value as Uint8Array
    bytes[8] = (bytes[8] as number) ^ 1
    const next = new Journal(2, entries)
    expect(seen(next)).toEqual([[1, 10], [3, 30]])
    expect(next.damaged).toEqual([second?.number])
  })

  test('passes over fences, and clears away entries without them', () => {
    const old = new Journal(1, [])
    const entries = [commit(old, put(1, 10)), commit(old, put(2, 20))].map(entryOf)
    const next = new Journal(2, [...entries, { number: firstNumberOf(1) + 2, value: 2 }])
    commit(next, put(3, 30))
    const step = next.checkpoint()
    expect(step.removed).toEqual([
      { first: firstNumberOf(1), last: firstNumberOf(1) + 1 }, { first: firstNumberOf(2), last: firstNumberOf(2) },
    ])
    expect(step.start).toBe(firstNumberOf(2) + 1)
    expect(step.writes.map(({ key }) => key[0])).toEqual([1, 2, 3])
    next.done(step)
    expect(seen(next)).toEqual([])
    expect(next.entryCount).toBe(0)
  })
})

test('a commit clears the journal when that has grown, and its own entry stays', () => {
  const journal = new Journal(1, [])
  let step = commit(journal, put(1, 10))
  for (let count = 1; step.start === undefined; count++) {
    expect(count).toBeLessThan(1_000)
    step = commit(journal, put(1 + count % 100, 10))
  }
  expect(step.removed).toEqual([{ first: firstNumberOf(1), last: (step.entry?.number ?? 0) - 1 }])
  expect(step.start).toBe(step.entry?.number)
  expect(journal.entryCount).toBe(1)
})

test('the fence goes where the engine before would write next, whatever was cleared away', () => {
  const first = firstNumberOf(3)
  expect(numberAfter(3, 0, [])).toBe(first)
  expect(numberAfter(3, first + 5, [])).toBe(first + 5)
  expect(numberAfter(3, firstNumberOf(2) + 1, [firstNumberOf(2) + 1, firstNumberOf(2) + 2, first, first + 1])).toBe(first + 2)
})
