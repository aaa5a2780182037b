// A Store on a disk that does what real ones do at their worst. Which faults there are, each off unless asked for:
//
// - latency of reads and commits, and commits that are slow beyond it;
// - a crash, by `crash()`: this store never answers again, and the commit in flight is kept whole or lost whole;
// - a torn commit: the crash keeps a first part of its writes, as a store without atomic commits would (planted bug);
// - a lying disk: commits are answered `durable`, and a crash loses the last of them (planted bug);
// - a failed sync: the commit ends `unknown`, kept whole or lost whole, and this store fails from then on;
// - a commit refused with an error, and a full disk, by a capacity in bytes: `not-written`;
// - failed reads;
// - flipped bits in stored values, by chance after a commit or by `flipBit()`.
//
// What was on the disk is taken up by `reopen()`. Driven by the clock and the generator it is given, so it repeats.

import { assert, must } from '../../core/assert.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type {
  CommitOutcome, ReadOutcome, Store, StoreEntry, StoreRange, StoreSpace, StoreWrite,
} from '../../core/ports/store.ts'
import { OrderedMap } from '../../core/storage/ordered-map.ts'
import { checkWrites } from '../../core/storage/store-writes.ts'
import { ByteSlab } from './byte-slab.ts'
import type { SimRandom } from './sim-random.ts'

/** Chances are 0 to 1 and drawn for every commit or read; times are ranges in milliseconds. */
export interface SimStoreFaults {
  readLatencyMs: readonly [least: number, most: number]
  commitLatencyMs: readonly [least: number, most: number]
  slowCommitChance: number
  slowCommitMs: readonly [least: number, most: number]
  failedReadChance: number
  failedSyncChance: number
  refusedCommitChance: number
  /** Keys and values; a commit that would grow beyond it is not written. */
  capacityBytes: number
  bitFlipChance: number
  /** How much of a commit in flight a crash leaves: all or nothing, or a first part of its writes. */
  crashKeeps: 'all-or-nothing' | 'a-part'
  /** So many of the last commits answered `durable` are at the mercy of a crash. */
  lyingSyncCommitCount: number
}

export const noFaults: Readonly<SimStoreFaults> = {
  readLatencyMs: [0, 0],
  commitLatencyMs: [0, 0],
  slowCommitChance: 0,
  slowCommitMs: [1_000, 5_000],
  failedReadChance: 0,
  failedSyncChance: 0,
  refusedCommitChance: 0,
  capacityBytes: Infinity,
  bitFlipChance: 0,
  crashKeeps: 'all-or-nothing',
  lyingSyncCommitCount: 0,
}

/** How often each thing happened, over all openings of the disk: a test asks whether its faults have struck at all. */
export interface SimStoreCounts {
  durable: number
  slow: number
  failedReads: number
  failedSyncs: number
  refused: number
  full: number
  flippedBits: number
  crashes: number
  keptInFlight: number
  lostInFlight: number
  torn: number
  lostDurable: number
}

export interface SimStoreOptions {
  readonly clock: Clock
  readonly random: SimRandom
  readonly faults?: Partial<SimStoreFaults>
}

interface Disk {
  readonly map: OrderedMap
  readonly slab: ByteSlab
  readonly clock: Clock
  readonly random: SimRandom
  readonly faults: SimStoreFaults
  readonly counts: SimStoreCounts
  /** What to write to take back each commit that the disk only claims to have; the latest last. */
  readonly unsynced: StoreWrite[][]
}

/** A store on an empty disk. */
export function createSimStore({ clock, random, faults = {} }: SimStoreOptions): SimStore {
  const counts: SimStoreCounts = {
    durable: 0, slow: 0, failedReads: 0, failedSyncs: 0, refused: 0, full: 0, flippedBits: 0, crashes: 0,
    keptInFlight: 0, lostInFlight: 0, torn: 0, lostDurable: 0,
  }
  const map = new OrderedMap()
  return new SimStore({ map, slab: new ByteSlab(), clock, random, faults: { ...noFaults, ...faults }, counts, unsynced: [] })
}

export class SimStore implements Store {
  readonly #disk: Disk
  #state: 'open' | 'closing' | 'failed' | 'gone' = 'open'
  #commit: { readonly writes: readonly StoreWrite[]; readonly isTried: boolean } | null = null
  readonly #reads: (() => void)[] = []
  #lastReadDueMs = 0
  #isReopened = false
  #closing: Promise<void> | null = null
  #settled: () => void = () => {}

  /** For {@link createSimStore} and `reopen()`. */
  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** May be changed at any time; what is under way keeps the latency it drew. */
  get faults(): SimStoreFaults {
    return this.#disk.faults
  }

  get counts(): Readonly<SimStoreCounts> {
    return this.#disk.counts
  }

  /** Whether a commit is under way, so that a test can crash in the middle of it. */
  get isCommitting(): boolean {
    return this.#commit !== null
  }

  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void {
    const { clock, random, faults } = this.#disk
    const isOpen = this.#state === 'open'
    this.#reads.push(() => answer(isOpen ? this.#readNow(range) : failedRead(this.#state)))
    // Never before the read that was asked before it.
    this.#lastReadDueMs = Math.max(this.#lastReadDueMs, clock.monotonic() + random.between(...faults.readLatencyMs))
    this.#after(this.#lastReadDueMs - clock.monotonic(), () => must(this.#reads.shift(), 'a read is left')())
  }

  commit(writes: readonly StoreWrite[], answer: (outcome: CommitOutcome) => void): void {
    assert(this.#commit === null, 'a commit is in flight already')
    checkWrites(writes)
    const { random, faults, counts } = this.#disk
    let latencyMs = random.between(...faults.commitLatencyMs)
    if (random.chance(faults.slowCommitChance)) {
      latencyMs += random.between(...faults.slowCommitMs)
      counts.slow++
    }
    const isOpen = this.#state === 'open'
    this.#commit = { writes, isTried: isOpen }
    this.#after(latencyMs, () => {
      const outcome = isOpen ? this.#commitNow(writes) : notWritten('error', `the store is ${this.#state}`)
      this.#commit = null
      answer(outcome)
    })
  }

  space(): StoreSpace {
    const usedBytes = this.#disk.map.bytes
    return { usedBytes, freeBytes: Math.max(0, this.faults.capacityBytes - usedBytes) }
  }

  close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closing'
    this.#closing ??= new Promise((resolve) => {
      this.#settled = resolve
      this.#settleClose()
    })
    return this.#closing
  }

  /** The process or the machine ends here. Nothing is answered any more, and whoever still calls is not heard. */
  crash(): void {
    if (this.#state === 'gone') return
    const { map, slab, random, counts, faults, unsynced } = this.#disk
    counts.crashes++
    const lostCount = random.below(unsynced.length + 1)
    for (const undo of unsynced.splice(unsynced.length - lostCount).reverse()) write(map, undo, slab)
    counts.lostDurable += lostCount
    unsynced.length = 0
    if (this.#commit?.isTried === true) {
      const { writes } = this.#commit
      const keptMax = faults.crashKeeps === 'a-part' ? random.below(writes.length + 1) : writes.length * random.below(2)
      // What is written later does not outlive what was written before.
      const keptCount = lostCount > 0 ? 0 : keptMax
      write(map, writes.slice(0, keptCount), slab)
      if (keptCount === writes.length) counts.keptInFlight++
      else if (keptCount === 0) counts.lostInFlight++
      else counts.torn++
    }
    this.#state = 'gone'
    this.#commit = null
  }

  /** A store on what is on the disk now. Only after a crash, a failure or a close. */
  reopen(): SimStore {
    assert(this.#state !== 'open' && this.#commit === null, 'the disk is in use')
    assert(!this.#isReopened, 'the disk was opened again already')
    this.#isReopened = true
    this.#state = 'gone'
    return new SimStore(this.#disk)
  }

  /** What is on the disk now, for whoever looks at it from outside; nothing is copied. */
  peek(range: StoreRange): readonly StoreEntry[] {
    return this.#disk.map.range(range)
  }

  /** Flips a bit of the value of `key`, or of any value. False where there is none with a bit in it. */
  flipBit(key?: Uint8Array): boolean {
    const { map, random, counts } = this.#disk
    const keys = key === undefined ? allKeys(map) : [key]
    const withBits = keys.filter((candidate) => (map.get(candidate)?.length ?? 0) > 0)
    if (withBits.length === 0) return false
    const chosen = random.pick(withBits)
    const value = new Uint8Array(must(map.get(chosen), 'the key is there'))
    const index = random.below(value.length)
    value[index] = (value[index] as number) ^ (1 << random.below(8))
    map.set(chosen, value)
    counts.flippedBits++
    return true
  }

  #after(delayMs: number, run: () => void): void {
    const guarded = (): void => {
      if (this.#state === 'gone') return
      run()
      this.#settleClose()
    }
    if (delayMs > 0) this.#disk.clock.setTimer(delayMs, guarded)
    else this.#disk.clock.defer(guarded)
  }

  #settleClose(): void {
    if (this.#commit === null && this.#reads.length === 0) this.#settled()
  }

  #readNow(range: StoreRange): ReadOutcome {
    const { map, slab, random, faults, counts } = this.#disk
    if (this.#state === 'failed') return failedRead(this.#state)
    if (random.chance(faults.failedReadChance)) {
      counts.failedReads++
      return { kind: 'failed', cause: new Error('simulated: the read failed') }
    }
    const entries = map.range(range)
    return { kind: 'entries', entries: entries.map(({ key, value }) => ({ key: slab.copy(key), value: slab.copy(value) })) }
  }

  #commitNow(writes: readonly StoreWrite[]): CommitOutcome {
    const { map, slab, random, faults, counts, unsynced } = this.#disk
    if (random.chance(faults.refusedCommitChance)) {
      counts.refused++
      return notWritten('error', 'simulated: refused')
    }
    if (faults.capacityBytes < Infinity && growth(map, writes) > Math.max(0, faults.capacityBytes - map.bytes)) {
      counts.full++
      return notWritten('full', `simulated: the disk holds ${faults.capacityBytes} bytes`)
    }
    if (random.chance(faults.failedSyncChance)) {
      counts.failedSyncs++
      if (random.chance(0.5)) write(map, writes, slab)
      this.#state = 'failed'
      return { kind: 'unknown', cause: new Error('simulated: the sync failed') }
    }
    if (faults.lyingSyncCommitCount > 0) unsynced.push(apply(map, writes, slab))
    else write(map, writes, slab)
    while (unsynced.length > faults.lyingSyncCommitCount) unsynced.shift()
    counts.durable++
    if (random.chance(faults.bitFlipChance)) this.flipBit()
    return { kind: 'durable' }
  }
}

function write(map: OrderedMap, writes: readonly StoreWrite[], slab: ByteSlab): void {
  for (const { key, value } of writes) {
    if (value === null) map.delete(key)
    else map.set(slab.copy(key), slab.copy(value))
  }
}

/** Writes, and gives the writes that would undo it. */
function apply(map: OrderedMap, writes: readonly StoreWrite[], slab: ByteSlab): StoreWrite[] {
  const undo: StoreWrite[] = []
  for (const { key, value } of writes) {
    const previous = value === null ? map.delete(key) : map.set(slab.copy(key), slab.copy(value))
    undo.push({ key: slab.copy(key), value: previous ?? null })
  }
  return undo.reverse()
}

/** By how many bytes a commit makes the map larger; below zero where it makes it smaller. */
function growth(map: OrderedMap, writes: readonly StoreWrite[]): number {
  const written = new OrderedMap()
  for (const { key, value } of writes) written.set(key, value ?? deleted)
  let bytes = 0
  for (const { key, value } of written.range({ from: firstKey, to: endKey })) {
    const before = map.get(key)
    if (before !== undefined) bytes -= key.length + before.length
    if (value !== deleted) bytes += key.length + value.length
  }
  return bytes
}

const deleted = new Uint8Array(0)
const firstKey = new Uint8Array(0)
const endKey = new Uint8Array(256).fill(0xff)

function allKeys(map: OrderedMap): Uint8Array[] {
  return map.range({ from: firstKey, to: endKey }).map(({ key }) => key)
}

function notWritten(reason: 'full' | 'error', text: string): CommitOutcome {
  return { kind: 'not-written', reason, cause: new Error(text) }
}

function failedRead(state: string): ReadOutcome {
  return { kind: 'failed', cause: new Error(`the store is ${state}`) }
}
