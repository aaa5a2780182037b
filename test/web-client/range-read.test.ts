// How much a read fetches from IndexedDB at once: the size of values is a guess until some were read, and a wrong one must
// not bring a whole log into memory.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ReadOutcome } from '../../core/ports/store.ts'
import { createValueSize, RangeRead, type ValueSize } from '../../web-client/store/idb-range-read.ts'

interface Bound {
  readonly lower: Uint8Array | ArrayBuffer
  readonly isLowerOpen: boolean
}

beforeEach(() => {
  vi.stubGlobal('IDBKeyRange', {
    bound: (lower: Uint8Array, _upper: Uint8Array, isLowerOpen: boolean): Bound => ({ lower, isLowerOpen }),
  })
})
afterEach(() => {
  vi.unstubAllGlobals()
})

/** Keys of one kind, numbered; all values have one size. Notes how many entries each request asks for. */
function storeOf(kind: number, entryCount: number, valueBytes: number) {
  const counts: number[] = []
  const getAllRecords = ({ query, count }: { readonly query: Bound; readonly count: number }) => {
    counts.push(count)
    const lower = new Uint8Array(query.lower)
    const from = lower.length < 2 ? 0 : (lower[1] as number) * 256 + (lower[2] as number) + (query.isLowerOpen ? 1 : 0)
    const to = Math.min(from + count, entryCount)
    const result = Array.from({ length: Math.max(to - from, 0) }, (_, at) => ({
      key: new Uint8Array([kind, (from + at) >> 8, from + at]).buffer, value: new Uint8Array(valueBytes),
    }))
    const request = { result, onsuccess: (): void => {} }
    queueMicrotask(() => request.onsuccess())
    return request
  }
  return { counts, store: { getAllRecords } as unknown as IDBObjectStore, kind }
}

function read({ store, kind }: ReturnType<typeof storeOf>, size: ValueSize, bytesMax: number): Promise<number> {
  const range = { from: new Uint8Array([kind]), to: new Uint8Array([kind + 1]), bytesMax }
  return new Promise((resolve) => {
    new RangeRead(store, range, size, () => [], (outcome: ReadOutcome) => {
      resolve(outcome.kind === 'entries' ? outcome.entries.length : -1)
    }).start()
  })
}

const mebibyte = 1024 * 1024

test('small values of one kind say nothing of those of another', async () => {
  const size = createValueSize()
  const states = storeOf(4, 500, 20)
  expect(await read(states, size, mebibyte)).toBe(500)
  const records = storeOf(5, 500, 256 * 1024)
  expect(await read(records, size, mebibyte)).toBe(4)
  expect(records.counts).toEqual([4])
})

test('many small entries take few requests', async () => {
  const states = storeOf(6, 5_000, 20)
  expect(await read(states, createValueSize(), mebibyte)).toBe(5_000)
  expect(states.counts.length).toBeLessThan(6)
})

test('where values of a kind have grown, the first chunk is bounded all the same', async () => {
  const size = createValueSize()
  await read(storeOf(5, 100, 20), size, mebibyte)
  const grown = storeOf(5, 5_000, 64 * 1024)
  await read(grown, size, mebibyte)
  expect(Math.max(...grown.counts)).toBeLessThanOrEqual(32)
})
