// The simulated disk: that its faults are what they are said to be, and that a seed repeats them.

import { expect, test } from 'vitest'
import type { CommitOutcome, ReadOutcome, Store, StoreEntry, StoreWrite } from '../../core/ports/store.ts'
import { SimClock } from './sim-clock.ts'
import { createSimRandom } from './sim-random.ts'
import { createSimStore, type SimStore, type SimStoreFaults } from './sim-store.ts'

const keyCount = 8

interface Disk {
  readonly clock: SimClock
  store: SimStore
}

test('a crash in the middle of a commit keeps all of it or nothing', () => {
  const kept = new Set<number>()
  for (let seed = 0; seed < 40; seed++) {
    const disk = newDisk(seed, { commitLatencyMs: [5, 10] })
    const { clock } = disk
    let answers = 0
    disk.store.commit(round(1), () => answers++)
    clock.advance(3)
    disk.store.crash()
    clock.advance(100)
    expect(answers).toBe(0)
    disk.store = disk.store.reopen()
    kept.add(readAll(disk).length)
  }
  expect([...kept].sort()).toEqual([0, keyCount])
})

test('what was answered durable survives every crash', () => {
  for (let seed = 0; seed < 20; seed++) {
    const disk = newDisk(seed, { commitLatencyMs: [0, 10] })
    const random = createSimRandom(seed).fork('crashes')
    let durable = 0
    for (let crash = 0; crash < 5; crash++) {
      const commitNext = (): void =>
        disk.store.commit(round(durable + 1), (outcome) => {
          expect(outcome.kind).toBe('durable')
          durable++
          commitNext()
        })
      commitNext()
      disk.clock.advance(random.between(0, 60))
      disk.store.crash()
      disk.store = disk.store.reopen()
      const numbers = new Set(readAll(disk).map(({ value }) => value[0]))
      expect(numbers.size).toBeLessThanOrEqual(1)
      const [found = 0] = numbers
      expect([durable, durable + 1]).toContain(found)
      durable = found
    }
  }
})

test('a torn commit leaves a first part of its writes', () => {
  const kept = new Set<number>()
  for (let seed = 0; seed < 60; seed++) {
    const disk = newDisk(seed, { commitLatencyMs: [5, 10], crashKeeps: 'a-part' })
    disk.store.commit(round(1), () => {})
    disk.store.crash()
    disk.store = disk.store.reopen()
    const entries = readAll(disk)
    expect(entries.map(({ key }) => key[0])).toEqual(Array.from({ length: entries.length }, (_, index) => index))
    kept.add(entries.length)
  }
  expect(kept.size).toBeGreaterThan(5)
})

test('a lying disk loses the last commits that it called durable, and never one before them', () => {
  const found = new Set<number>()
  for (let seed = 0; seed < 40; seed++) {
    const disk = newDisk(seed, { lyingSyncCommitCount: 3 })
    for (let number = 1; number <= 10; number++) expect(commit(disk, round(number)).kind).toBe('durable')
    expect(readAll(disk)[0]?.value[0]).toBe(10)
    disk.store.crash()
    disk.store = disk.store.reopen()
    const numbers = new Set(readAll(disk).map(({ value }) => value[0]))
    expect(numbers.size).toBe(1)
    for (const number of numbers) found.add(number ?? 0)
  }
  expect([...found].sort((left, right) => left - right)).toEqual([7, 8, 9, 10])
})

test('a failed sync ends unknown: all or nothing is there later, and the store is of no use until then', () => {
  const kept = new Set<number>()
  for (let seed = 0; seed < 20; seed++) {
    const disk = newDisk(seed, { failedSyncChance: 1 })
    expect(commit(disk, round(1)).kind).toBe('unknown')
    expect(read(disk.store, disk.clock).kind).toBe('failed')
    expect(commit(disk, round(2)).kind).toBe('not-written')
    disk.store = disk.store.reopen()
    kept.add(readAll(disk).length)
  }
  expect([...kept].sort()).toEqual([0, keyCount])
})

test('a full disk takes nothing that makes it fuller, and takes deletes', () => {
  const disk = newDisk(1, { capacityBytes: 1_000 })
  const [key, otherKey] = [Uint8Array.of(1), Uint8Array.of(2)]
  expect(commit(disk, [{ key, value: new Uint8Array(900) }]).kind).toBe('durable')
  const tooMuch = commit(disk, [{ key: otherKey, value: new Uint8Array(200) }])
  expect(tooMuch).toMatchObject({ kind: 'not-written', reason: 'full' })
  expect(disk.store.space()).toEqual({ usedBytes: 901, freeBytes: 99 })
  expect(commit(disk, [{ key, value: new Uint8Array(700) }]).kind).toBe('durable')
  expect(commit(disk, [{ key, value: null }, { key: otherKey, value: new Uint8Array(900) }]).kind).toBe('durable')
  disk.store.faults.capacityBytes = 10
  expect(commit(disk, [{ key: otherKey, value: null }]).kind).toBe('durable')
  expect(disk.store.counts).toMatchObject({ full: 1, durable: 4 })
})

test('a flipped bit is one bit of one value, and stays flipped', () => {
  const disk = newDisk(3, {})
  commit(disk, round(0))
  expect(disk.store.flipBit()).toBe(true)
  const values = (): number[] => readAll(disk).flatMap(({ value }) => [...value])
  const bits = (): number => values().reduce((sum, byte) => sum + bitCount(byte), 0)
  expect(bits()).toBe(1)
  disk.store.crash()
  disk.store = disk.store.reopen()
  expect(bits()).toBe(1)
  expect(disk.store.flipBit(Uint8Array.of(99))).toBe(false)
})

test('slow commits, refused commits, failed reads and flips by chance all happen, and are counted', () => {
  const disk = newDisk(4, {
    commitLatencyMs: [1, 2], slowCommitChance: 0.2, refusedCommitChance: 0.2, failedReadChance: 0.2, bitFlipChance: 0.2,
  })
  const kinds = new Set<string>()
  for (let number = 0; number < 100; number++) {
    kinds.add(commit(disk, round(number)).kind)
    kinds.add(read(disk.store, disk.clock).kind)
  }
  expect(kinds).toEqual(new Set(['durable', 'not-written', 'entries', 'failed']))
  const { slow, refused, failedReads, flippedBits } = disk.store.counts
  for (const count of [slow, refused, failedReads, flippedBits]) expect(count).toBeGreaterThan(5)
  expect(disk.clock.monotonic()).toBeGreaterThan(slow * 1_000)
})

test('a store that is in use, or that was opened again already, is not opened again', () => {
  const disk = newDisk(1, {})
  expect(() => disk.store.reopen()).toThrow('in use')
  disk.store.crash()
  disk.store.reopen()
  expect(() => disk.store.reopen()).toThrow('already')
})

test('whoever still calls a crashed store is not answered, and changes nothing', () => {
  const disk = newDisk(1, {})
  commit(disk, round(1))
  const crashed = disk.store
  crashed.crash()
  disk.store = crashed.reopen()
  let answers = 0
  crashed.read({ from: Uint8Array.of(0), to: Uint8Array.of(255) }, () => answers++)
  crashed.commit(round(9), () => answers++)
  disk.clock.advance(1_000)
  expect(answers).toBe(0)
  expect(readAll(disk)[0]?.value[0]).toBe(1)
})

test('the same seed gives the same run, another seed another', () => {
  expect(trace(1)).toEqual(trace(1))
  expect(trace(1)).not.toEqual(trace(2))
})

/** A run with every fault, as text. */
function trace(seed: number): string {
  const disk = newDisk(seed, {
    readLatencyMs: [0, 5], commitLatencyMs: [0, 9], slowCommitChance: 0.1, failedReadChance: 0.1,
    failedSyncChance: 0.05, refusedCommitChance: 0.1, bitFlipChance: 0.1, crashKeeps: 'a-part', lyingSyncCommitCount: 2,
  })
  const random = createSimRandom(seed).fork('workload')
  const lines: string[] = []
  for (let number = 0; number < 200; number++) {
    const { store, clock } = disk
    if (!store.isCommitting) {
      store.commit(round(number), ({ kind }) => {
        lines.push(`${clock.monotonic()} ${kind}`)
        if (kind === 'unknown') disk.store = store.reopen()
      })
    }
    store.read({ from: Uint8Array.of(0), to: Uint8Array.of(255) }, (outcome) => {
      const bytes = outcome.kind === 'entries' ? outcome.entries.map(({ value }) => value[0]).join() : ''
      lines.push(`${clock.monotonic()} ${outcome.kind} ${bytes}`)
    })
    clock.advance(random.between(0, 10))
    if (random.chance(0.1)) {
      disk.store.crash()
      disk.store = disk.store.reopen()
    }
  }
  return [...lines, JSON.stringify(disk.store.counts)].join('\n')
}

function newDisk(seed: number, faults: Partial<SimStoreFaults>): Disk {
  const clock = new SimClock()
  return { clock, store: createSimStore({ clock, random: createSimRandom(seed), faults }) }
}

/** Writes of which each has the same number as its value. */
function round(number: number): StoreWrite[] {
  return Array.from({ length: keyCount }, (_, index) => ({ key: Uint8Array.of(index), value: Uint8Array.of(number) }))
}

function commit({ clock, store }: Disk, writes: readonly StoreWrite[]): CommitOutcome {
  let outcome: CommitOutcome | undefined
  store.commit(writes, (answer) => (outcome = answer))
  while (outcome === undefined && clock.step());
  if (outcome === undefined) throw new Error('no answer')
  return outcome
}

function read(store: Store, clock: SimClock): ReadOutcome {
  let outcome: ReadOutcome | undefined
  store.read({ from: Uint8Array.of(0), to: Uint8Array.of(255) }, (answer) => (outcome = answer))
  while (outcome === undefined && clock.step());
  if (outcome === undefined) throw new Error('no answer')
  return outcome
}

function readAll({ clock, store }: Disk): readonly StoreEntry[] {
  const outcome = read(store, clock)
  if (outcome.kind === 'failed') throw outcome.cause
  return outcome.entries
}

function bitCount(byte: number): number {
  let count = 0
  for (let left = byte; left > 0; left >>>= 1) count += left & 1
  return count
}
