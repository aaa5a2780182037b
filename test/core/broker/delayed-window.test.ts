// What of the delayed messages is in memory: never more than the bounds, and always what is due first.

import { describe, expect, it } from 'vitest'
import { DelayedWindow } from '../../../core/broker/delayed-window.ts'
import type { ReadOutcome, Store, StoreRange, StoreWrite } from '../../../core/ports/store.ts'
import { DelayedEntry, delayedSizeMax, writeDelayed } from '../../../core/storage/delayed.ts'
import { delayedKey } from '../../../core/storage/keys.ts'
import { OrderedMap } from '../../../core/storage/ordered-map.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { encodeMessages, idBytes } from './broker-world.ts'

/** A store whose reads are answered when the test says so. */
class HeldStore implements Pick<Store, 'read'> {
  readonly map = new OrderedMap()
  readonly reads: { readonly range: StoreRange; readonly answer: (outcome: ReadOutcome) => void }[] = []
  entriesRead = 0

  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void {
    this.reads.push({ range, answer })
  }

  answerAll(): void {
    for (let read = this.reads.shift(); read !== undefined; read = this.reads.shift()) {
      const entries = this.map.range(read.range)
      this.entriesRead += entries.length
      read.answer({ kind: 'entries', entries })
    }
  }

  commit(writes: readonly StoreWrite[]): void {
    for (const { key, value } of writes) {
      if (value === null) this.map.delete(key)
      else this.map.set(key, value)
    }
  }
}

function entryOf(deliverMs: number, bodySize = 0): DelayedEntry {
  const source = encodeMessages([{ body: 'x'.repeat(bodySize), delayMs: 1 }], 0)
  const value = new Uint8Array(delayedSizeMax(source.length))
  const end = writeDelayed(value, 0, source, 0, source.length, deliverMs)
  return new DelayedEntry(delayedKey(deliverMs, idBytes(deliverMs), 0, 0, 1), deliverMs, value.slice(0, end), 0)
}

function windowOver(store: HeldStore, delayedAheadCountMax: number): DelayedWindow {
  const window = new DelayedWindow({
    store: store as unknown as Store,
    limits: { delayedAheadCountMax },
    isStopped: () => false,
    loaded: () => {},
    damaged: (_, cause) => {
      throw cause
    },
    readFailed: (error) => {
      throw error
    },
  })
  window.fill()
  store.answerAll()
  return window
}

function schedule(window: DelayedWindow, store: HeldStore, entries: readonly DelayedEntry[]): void {
  for (const entry of entries) window.add(entry)
  window.sealed()
  store.commit(entries)
  window.committed()
}

describe('delayed messages in memory', () => {
  it('are no more than the bound, however many are scheduled, and the first of all', () => {
    const random = createSimRandom(1)
    for (const countMax of [1, 5, 64]) {
      const store = new HeldStore()
      const window = windowOver(store, countMax)
      const times = Array.from({ length: 3_000 }, (_, index) => random.below(1_000_000) * 3_000 + index)
      for (let from = 0; from < times.length; from += 50) {
        schedule(window, store, times.slice(from, from + 50).map((time) => entryOf(time)))
        window.fill()
        store.answerAll()
        expect(window.count).toBeLessThanOrEqual(countMax)
      }
      for (const time of times.toSorted((left, right) => left - right)) {
        expect(window.first?.deliverMs).toBe(time)
        const { key } = window.take()
        window.sealed()
        store.commit([{ key, value: null }])
        window.committed()
        window.fill()
        store.answerAll()
      }
      expect([window.first, store.map.size]).toEqual([undefined, 0])
    }
  })

  it('are bounded in bytes too, but one is always there', () => {
    const store = new HeldStore()
    const window = windowOver(store, 1_000)
    const entries = Array.from({ length: 12 }, (_, index) => entryOf(1_000 + index, 4 << 20))
    schedule(window, store, entries)
    expect(window.count).toBeLessThan(9)
    schedule(window, store, [entryOf(1, 40 << 20)])
    expect([window.count, window.first?.deliverMs]).toEqual([1, 1])
    for (let fired = 0; fired <= 12; fired++) {
      expect(window.first?.deliverMs).toBe(fired === 0 ? 1 : 999 + fired)
      const { key } = window.take()
      window.sealed()
      store.commit([{ key, value: null }])
      window.committed()
      window.fill()
      store.answerAll()
    }
  })

  it('are not read while enough of them are there, nor where all of them are', () => {
    const store = new HeldStore()
    const window = windowOver(store, 8)
    schedule(window, store, [1, 2, 3].map((time) => entryOf(time)))
    window.fill()
    expect(store.reads.length).toBe(0)
    schedule(window, store, [4, 5, 6, 7, 8, 9].map((time) => entryOf(time)))
    expect(window.count).toBe(6)
    window.fill()
    expect(store.reads.length).toBe(0)
    for (let taken = 0; taken < 3; taken++) window.take()
    window.fill()
    expect(store.reads.length).toBe(1)
  })

  it('stay few while a read is slow and very many are scheduled behind them', () => {
    const store = new HeldStore()
    const window = windowOver(store, 16)
    schedule(window, store, Array.from({ length: 100 }, (_, index) => entryOf(100_000 + index)))
    while (window.count > 7) window.take()
    window.sealed()
    window.committed()
    window.fill()
    const [held] = store.reads.splice(0)
    const seen = store.map.range((held as { range: StoreRange }).range)
    for (let from = 0; from < 2_000; from += 20) {
      schedule(window, store, Array.from({ length: 20 }, (_, index) => entryOf(100_500 + ((from + index) * 7919) % 2_000)))
    }
    held?.answer({ kind: 'entries', entries: seen })
    store.answerAll()
    expect(window.count).toBeLessThanOrEqual(16)
    const fired: number[] = []
    for (let entry = window.first; entry !== undefined; entry = window.first) {
      fired.push(entry.deliverMs)
      const { key } = window.take()
      window.sealed()
      store.commit([{ key, value: null }])
      window.committed()
      window.fill()
      store.answerAll()
    }
    expect(fired).toEqual([...new Set(fired)].sort((left, right) => left - right))
    expect(fired.length).toBe(2_100 - 5)
  })

  it('keep no more memory than their own bytes, whatever batch they came in', () => {
    const store = new HeldStore()
    const window = windowOver(store, 100)
    const large = new Uint8Array(1 << 20)
    const { key, deliverMs, value } = entryOf(5)
    large.set(value, 1_000)
    schedule(window, store, [new DelayedEntry(key, deliverMs, large.subarray(1_000, 1_000 + value.length), 0)])
    expect(window.first?.value).toEqual(value)
    expect(window.first?.value.buffer.byteLength).toBeLessThan(1_000)
  })
})
