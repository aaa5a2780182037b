// Bugs that a test puts into the simulated world, to know that its checkers would find them. Each stands for a mistake
// that the broker, its store or a transport could really make. They are switched on by name and never by a seed.

import { ByteWriter } from '../../core/bytes.ts'
import type { CommitOutcome, ReadOutcome, Store, StoreEntry, StoreRange, StoreWrite } from '../../core/ports/store.ts'
import { keyKinds } from '../../core/storage/keys.ts'
import { decodeProgress, encodeProgress, type StoredProgress } from '../../core/storage/progress.ts'
import type { Mishap } from './sim-network.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimStore, SimStoreFaults } from './sim-store.ts'

export interface PlantedBug {
  /** What is wrong, for people. */
  readonly text: string
  /** Set for the whole run. */
  readonly diskFaults?: Partial<SimStoreFaults>
  /** Stands between broker and disk. */
  readonly wrapStore?: (store: SimStore, random: SimRandom) => Store
  readonly mishapOf?: (random: SimRandom) => (direction: 'up' | 'down', bytes: Uint8Array) => Mishap
}

const bugs = {
  'ack-before-sync': {
    text: 'the store says durable before it is: a crash loses the last commits',
    diskFaults: { lyingSyncCommitCount: 3 },
  },
  'torn-commit': {
    text: 'a commit is not atomic: a crash leaves a first part of it',
    diskFaults: { crashKeeps: 'a-part' },
  },
  'producers-forgotten': {
    text: 'the sequences of producers are lost at a restart',
    wrapStore: (store) => hiding(store, ({ key }) => (key[0] === keyKinds.producer ? undefined : key)),
  },
  'leases-forgotten': {
    text: 'what is leased when the relay restarts counts as consumed',
    wrapStore: (store) => rewritingProgress(store, (progress) => ({ ...progress, leases: [] })),
  },
  'attempts-forgotten': {
    text: 'attempts begin again when the relay restarts',
    wrapStore: (store) => rewritingProgress(store, (progress) => ({
      ...progress,
      leases: progress.leases.map((lease) => ({ ...lease, attempt: 1 })),
      waits: progress.waits.map((wait) => ({ ...wait, attempts: 1 })),
    })),
  },
  'ack-not-written': {
    text: 'some progress is answered as durable and not written',
    wrapStore: (store, random) => committing(store, (writes) => {
      return writes.filter(({ key }) => key[0] !== keyKinds.progress || !random.chance(0.2))
    }),
  },
  'queue-state-not-written': {
    text: 'the state of a queue is not written with its records',
    wrapStore: (store, random) => committing(store, (writes) => {
      return writes.filter(({ key }) => key[0] !== keyKinds.queueState || !random.chance(0.2))
    }),
  },
  'frame-repeated': {
    text: 'the transport delivers a message twice',
    mishapOf: (random) => (direction) => (direction === 'down' && random.chance(0.01) ? 'repeat' : 'none'),
  },
  'frame-overtakes': {
    text: 'the transport lets a message overtake another',
    mishapOf: (random) => (direction) => (direction === 'down' && random.chance(0.1) ? 'swap' : 'none'),
  },
  'frame-swallowed': {
    text: 'the transport loses a message and keeps the connection',
    mishapOf: (random) => (direction) => (direction === 'up' && random.chance(0.01) ? 'swallow' : 'none'),
  },
} satisfies Record<string, PlantedBug>

export type PlantedBugName = keyof typeof bugs

export const plantedBugs: Readonly<Record<PlantedBugName, PlantedBug>> = bugs

export function isPlantedBugName(name: string): name is PlantedBugName {
  return Object.hasOwn(bugs, name)
}

class WrappedStore implements Store {
  readonly #store: SimStore

  constructor(store: SimStore) {
    this.#store = store
  }

  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void {
    this.#store.read(range, answer)
  }

  commit(writes: readonly StoreWrite[], answer: (outcome: CommitOutcome) => void): void {
    this.#store.commit(writes, answer)
  }

  space(): ReturnType<Store['space']> {
    return this.#store.space()
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}

/** A store in which entries are missing or changed when they are read. */
function reading(store: SimStore, change: (entry: StoreEntry) => StoreEntry | undefined): Store {
  const wrapped = new WrappedStore(store)
  wrapped.read = (range, answer) => store.read(range, (outcome) => {
    if (outcome.kind === 'failed') return answer(outcome)
    answer({ kind: 'entries', entries: outcome.entries.flatMap((entry) => change(entry) ?? []) })
  })
  return wrapped
}

function hiding(store: SimStore, keyOf: (entry: StoreEntry) => Uint8Array | undefined): Store {
  return reading(store, (entry) => (keyOf(entry) === undefined ? undefined : entry))
}

function rewritingProgress(store: SimStore, change: (progress: StoredProgress) => StoredProgress): Store {
  const writer = new ByteWriter(1024)
  return reading(store, (entry) => {
    if (entry.key[0] !== keyKinds.progress) return entry
    return { key: entry.key, value: encodeProgress(change(decodeProgress(entry.value)), writer) }
  })
}

function committing(store: SimStore, change: (writes: readonly StoreWrite[]) => readonly StoreWrite[]): Store {
  const wrapped = new WrappedStore(store)
  wrapped.commit = (writes, answer) => store.commit(change(writes), answer)
  return wrapped
}
