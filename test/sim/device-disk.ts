// The database of a simulated browser: three stores that outlive every engine, with the fence that a real one has. Each
// opening raises the epoch, behind the commits that were under way; a commit of an earlier opening is refused from then on.
// Commits of all openings go one after the other. Which losses there are:
//
// - the death of an engine: its commit under way is there as a whole or not at all, what was not begun is not there;
// - a power cut: the same, and of the commits that were relaxed and not followed by a strict one, the last may be lost.

import { PocketError } from '../../core/errors.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type {
  CommitOptions, CommitOutcome, ReadOutcome, Store, StoreRange, StoreWrite,
} from '../../core/ports/store.ts'
import { keyAfter } from '../../core/storage/keys.ts'
import type { DeviceStores } from '../../web-client/store/device-stores.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import { createSimStore, type SimStore, type SimStoreFaults } from './sim-store.ts'

export const storeNames = ['device', 'outbox', 'replica'] as const
export type StoreName = (typeof storeNames)[number]

export interface DiskOpening {
  readonly stores: DeviceStores
  readonly process: SimProcess
}

/** What a planted bug does to the disk. */
export interface DiskMishap {
  /** Commits of every opening are taken. */
  readonly isUnfenced?: boolean
  /** Stands between an engine and one of its stores. */
  readonly wrapStore?: (store: Store, name: StoreName, clock: Clock) => Store
  readonly faults?: Partial<SimStoreFaults>
}

interface Opening {
  readonly epoch: number
  readonly process: SimProcess
  readonly lost: (error: PocketError) => void
  isOver: boolean
}

interface Job {
  /** None: the disk's own. */
  readonly opening: Opening | undefined
  readonly writes: readonly StoreWrite[]
  readonly isRelaxed: boolean
  readonly answer: (outcome: CommitOutcome) => void
}

interface Read {
  readonly opening: Opening
  readonly range: StoreRange
  readonly answer: (outcome: ReadOutcome) => void
}

export class DeviceDisk {
  readonly #random: SimRandom
  readonly #mishap: DiskMishap
  readonly #slots: ReadonlyMap<StoreName, Slot>
  #epoch = 0
  readonly counts = { openings: 0, fenced: 0, killedInCommit: 0, powerCuts: 0, relaxedLost: 0 }

  constructor(clock: Clock, random: SimRandom, mishap: DiskMishap = {}) {
    this.#random = random
    this.#mishap = mishap
    this.#slots = new Map(storeNames.map((name) => [name, new Slot(this, createSimStore({
      clock, random: random.fork(name), faults: mishap.faults ?? {},
    }))]))
  }

  slot(name: StoreName): Slot {
    return this.#slots.get(name) as Slot
  }

  /** Whether a commit of the process is under way in that store. */
  isCommitting(process: SimProcess): boolean {
    return [...this.#slots.values()].some(({ current }) => current?.opening?.process === process)
  }

  /** Opens the stores for an engine, behind all commits that were begun. `lost`: they can't go on. */
  open(process: SimProcess, lost: (error: PocketError) => void): Promise<DeviceStores> {
    this.counts.openings++
    return new Promise((resolve) => {
      let waitCount = this.#slots.size
      const reached = (): void => {
        if (--waitCount > 0) return
        for (const slot of this.#slots.values()) slot.mend()
        const opening = { epoch: ++this.#epoch, process, lost, isOver: false }
        process.run(() => resolve(this.#storesOf(opening)))
      }
      for (const slot of this.#slots.values()) slot.barrier(reached)
    })
  }

  /** An engine died: what it had not begun is not written. */
  processDied(process: SimProcess): void {
    for (const slot of this.#slots.values()) {
      if (slot.current?.opening?.process === process && this.#random.chance(0.5)) {
        this.counts.killedInCommit++
        slot.crash()
      }
    }
  }

  /** The machine has no current any more. Every process is dead by now. */
  powerCut(): void {
    this.counts.powerCuts++
    for (const slot of this.#slots.values()) {
      slot.crash()
      this.counts.relaxedLost += slot.loseRelaxed(this.#random)
    }
  }

  isCurrent({ epoch }: Opening): boolean {
    if (epoch === this.#epoch || this.#mishap.isUnfenced === true) return true
    this.counts.fenced++
    return false
  }

  #storesOf(opening: Opening): DeviceStores {
    const store = (name: StoreName): Store => {
      const own = new OpenedStore(this.slot(name), opening)
      return this.#mishap.wrapStore?.(own, name, opening.process) ?? own
    }
    return {
      kind: 'indexeddb', error: undefined, epoch: opening.epoch,
      device: store('device'), outbox: store('outbox'), replica: store('replica'),
      close: async () => {
        opening.isOver = true
      },
    }
  }
}

/** One store of the disk, whoever has it open. */
export class Slot {
  readonly #disk: DeviceDisk
  #store: SimStore
  readonly #queue: (Job | (() => void))[] = []
  readonly #reads = new Set<Read>()
  /** What to write to take back each relaxed commit that no strict one has followed; the latest last. */
  #relaxed: StoreWrite[][] = []
  current: Job | undefined
  #hasFailed = false

  constructor(disk: DeviceDisk, store: SimStore) {
    this.#disk = disk
    this.#store = store
  }

  get faults(): SimStoreFaults {
    return this.#store.faults
  }

  get store(): SimStore {
    return this.#store
  }

  barrier(reached: () => void): void {
    this.#queue.push(reached)
    this.#next()
  }

  commit(job: Job): void {
    this.#queue.push(job)
    this.#next()
  }

  read(read: Read): void {
    this.#reads.add(read)
    this.#ask(read)
  }

  /** A store that failed works again for the next opening. */
  mend(): void {
    if (!this.#hasFailed) return
    this.#hasFailed = false
    this.#replace()
  }

  /** The commit under way is kept whole or lost whole, and nobody hears of it. */
  crash(): void {
    this.#store.crash()
    this.current = undefined
    this.#hasFailed = false
    this.#replace()
    this.#next()
  }

  /** What of the relaxed commits is gone: a last part of them. */
  loseRelaxed(random: SimRandom): number {
    const lost = this.#relaxed.slice(this.#relaxed.length - random.below(this.#relaxed.length + 1)).reverse().flat()
    this.#relaxed = []
    if (lost.length > 0) this.#queue.unshift({ opening: undefined, writes: lost, isRelaxed: false, answer: () => {} })
    this.#next()
    return lost.length
  }

  #replace(): void {
    this.#store = this.#store.reopen()
    for (const read of this.#reads) this.#ask(read)
  }

  #ask(read: Read): void {
    const store = this.#store
    store.read(read.range, (outcome) => {
      if (!this.#reads.delete(read)) return
      read.opening.process.run(() => read.answer(outcome))
    })
  }

  #next(): void {
    while (this.current === undefined) {
      const job = this.#queue.shift()
      if (job === undefined) return
      if (typeof job === 'function') job()
      else this.#begin(job)
    }
  }

  #begin(job: Job): void {
    const { opening, writes, isRelaxed } = job
    if (opening?.process.isDead === true || opening?.isOver === true) return
    if (opening !== undefined && !this.#disk.isCurrent(opening)) {
      const cause = new PocketError('ENGINE_LOST', 'another engine has opened the database')
      opening.process.defer(() => {
        job.answer({ kind: 'not-written', reason: 'error', cause })
        opening.lost(cause)
      })
      return
    }
    this.current = job
    const undo = isRelaxed ? this.#undoOf(writes) : undefined
    this.#store.commit(writes, (outcome) => {
      this.current = undefined
      if (outcome.kind === 'durable') {
        if (undo === undefined) this.#relaxed = []
        else this.#relaxed.push(undo)
      }
      if (outcome.kind === 'unknown') this.#hasFailed = true
      opening?.process.run(() => {
        job.answer(outcome)
        if (outcome.kind === 'unknown') opening.lost(new PocketError('STORE_FAILED', 'a commit ended and nobody knows how'))
      })
      this.#next()
    })
  }

  #undoOf(writes: readonly StoreWrite[]): StoreWrite[] {
    return writes.map(({ key }) => {
      const [before] = this.#store.peek({ from: key, to: keyAfter(key), countMax: 1 })
      return { key: new Uint8Array(key), value: before === undefined ? null : new Uint8Array(before.value) }
    })
  }
}

/** A store as one opening has it. */
class OpenedStore implements Store {
  readonly #slot: Slot
  readonly #opening: Opening

  constructor(slot: Slot, opening: Opening) {
    this.#slot = slot
    this.#opening = opening
  }

  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void {
    this.#slot.read({ opening: this.#opening, range, answer })
  }

  commit(
    writes: readonly StoreWrite[], answer: (outcome: CommitOutcome) => void, { isRelaxed = false }: CommitOptions = {},
  ): void {
    this.#slot.commit({ opening: this.#opening, writes, isRelaxed, answer })
  }

  space() {
    return this.#slot.store.space()
  }

  async close(): Promise<void> {}
}
