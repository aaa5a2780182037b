// Planted bugs of what a broker keeps on its disk: things that are not written, written apart from what they belong to,
// read wrongly or not checked.

import { bytesToText, ByteWriter, setU32 } from '../../core/bytes.ts'
import { crc32c } from '../../core/crc32c.ts'
import { deadLetterTopicOf } from '../../core/model/names.ts'
import type { CommitOutcome, Store, StoreEntry, StoreWrite } from '../../core/ports/store.ts'
import { decodeQueueState, decodeTopic, encodeQueueState } from '../../core/storage/catalog.ts'
import { KeyReader, keyKinds } from '../../core/storage/keys.ts'
import { decodeProgress, encodeProgress, type StoredProgress } from '../../core/storage/progress.ts'
import { overriding } from './overriding.ts'
import type { PlantedBug } from './planted-bug.ts'

export const plantedStores = {
  'ack-before-sync': {
    text: 'the store says durable before it is: a crash loses the last commits',
    diskFaults: { lyingSyncCommitCount: 3 },
  },
  'torn-commit': {
    text: 'a commit is not atomic: a crash leaves a first part of it',
    diskFaults: { crashKeeps: 'a-part' },
  },
  'commit-answered-early': {
    text: 'a commit is answered when the one before it is durable',
    plant: () => ({ wrapStore: (store, clock) => answeringEarly(store, (run) => clock.defer(run)) }),
  },
  'producers-forgotten': {
    text: 'the sequences of producers are lost at a restart',
    plant: () => ({ wrapStore: (store) => reading(store, (entry) => (entry.key[0] === keyKinds.producer ? undefined : entry)) }),
  },
  'delayed-forgotten': {
    text: 'messages that are not due are lost at a restart',
    plant: () => ({ wrapStore: (store) => reading(store, (entry) => (entry.key[0] === keyKinds.delayed ? undefined : entry)) }),
  },
  'transactions-forgotten': {
    text: 'half messages are lost at a restart',
    plant: () => ({
      wrapStore: (store) => reading(store, (entry) => (entry.key[0] === keyKinds.transactionPart ? undefined : entry)),
    }),
  },
  'receipts-reused': {
    text: 'lease ids begin again when the relay restarts',
    plant: () => ({ wrapStore: (store) => reading(store, (entry) => (entry.key[0] === keyKinds.store ? undefined : entry)) }),
  },
  'leases-forgotten': {
    text: 'what is leased when the relay restarts counts as consumed',
    plant: () => ({ wrapStore: (store) => rewritingProgress(store, (progress) => ({ ...progress, leases: [] })) }),
  },
  'attempts-forgotten': {
    text: 'attempts begin again when the relay restarts',
    plant: () => ({
      wrapStore: (store) => rewritingProgress(store, (progress) => ({
        ...progress,
        leases: progress.leases.map((lease) => ({ ...lease, attempt: 1 })),
        waits: progress.waits.map((wait) => ({ ...wait, attempts: 1 })),
      })),
    }),
  },
  'locks-forgotten': {
    text: 'the lock of a message group is released when the relay restarts',
    plant: () => ({
      wrapStore: (store) => rewritingProgress(store, (progress) => ({
        ...progress,
        leases: progress.leases.map((lease) => ({ ...lease, runs: lease.runs.map((run) => ({ ...run, groupHash: 0 })) })),
        waits: progress.waits.map((wait) => ({ ...wait, groupHash: 0 })),
      })),
    }),
  },
  'ack-not-written': {
    text: 'some progress is answered as durable and not written',
    plant: (random) => ({
      wrapStore: (store) => committing(store, (writes) => {
        return writes.filter(({ key }) => key[0] !== keyKinds.progress || !random.chance(0.2))
      }),
    }),
  },
  'progress-of-another-queue': {
    text: 'progress is sometimes written under the number of the next queue',
    plant: (random) => ({
      wrapStore: (store) => committing(store, (writes) => writes.map((write) => {
        return write.key[0] === keyKinds.progress && random.chance(0.1) ? underNextQueue(write) : write
      })),
    }),
  },
  'queue-state-not-written': {
    text: 'the state of a queue is not written with its records',
    plant: (random) => ({
      wrapStore: (store) => committing(store, (writes) => {
        return writes.filter(({ key }) => key[0] !== keyKinds.queueState || !random.chance(0.2))
      }),
    }),
  },
  'dead-letter-not-written': {
    text: 'a message whose attempts are over is done with, and its dead letter is not stored',
    plant: () => ({
      wrapStore: (store) => {
        const isDeadLetter = deadLetterRecords(store)
        return isDeadLetter.watching(committing(store, (writes) => writes.filter((write) => !isDeadLetter(write))))
      },
    }),
  },
  'dead-letter-apart': {
    text: 'a dead letter is stored in a commit of its own, before the one that ends the message in its queue',
    plant: () => ({
      wrapStore: (store) => {
        const isDeadLetter = deadLetterRecords(store)
        return isDeadLetter.watching(overriding<Store>(store, {
          commit: (writes, answer) => {
            if (!writes.some(isDeadLetter)) return store.commit(writes, answer)
            store.commit(writes.filter(({ key }) => key[0] !== keyKinds.progress), (outcome) => {
              if (outcome.kind !== 'durable') return answer(outcome)
              store.commit(writes.filter(({ key }) => key[0] === keyKinds.progress), answer)
            })
          },
        }))
      },
    }),
  },
  'checksums-not-checked': {
    text: 'what is read from the disk is taken as it is',
    plant: () => ({
      wrapStore: (store) => reading(store, (entry) => (isSealed(entry) ? resealed(entry) : entry)),
    }),
  },
  'epoch-not-moved': {
    text: 'a loss that is found at opening does not move the epoch of the log',
    plant: () => ({
      wrapStore: (store) => reading(store, (entry) => {
        return entry.key[0] === keyKinds.queueState ? asIfLostBefore(entry) : entry
      }),
    }),
  },
} satisfies Record<string, PlantedBug>

// ── what they are made of ───────────────────────────────────────────────────────────────────────────────────────────

/** A store in which entries are missing or changed when they are read. */
function reading(store: Store, change: (entry: StoreEntry) => StoreEntry | undefined): Store {
  return overriding<Store>(store, {
    read: (range, answer) => store.read(range, (outcome) => {
      if (outcome.kind === 'failed') return answer(outcome)
      answer({ kind: 'entries', entries: outcome.entries.flatMap((entry) => change(entry) ?? []) })
    }),
  })
}

function committing(store: Store, change: (writes: readonly StoreWrite[]) => readonly StoreWrite[]): Store {
  return overriding<Store>(store, { commit: (writes, answer) => store.commit(change(writes), answer) })
}

function rewritingProgress(store: Store, change: (progress: StoredProgress) => StoredProgress): Store {
  const writer = new ByteWriter(1024)
  return reading(store, (entry) => {
    if (entry.key[0] !== keyKinds.progress) return entry
    const progress = decoded(() => decodeProgress(entry.value))
    return progress === undefined ? entry : { key: entry.key, value: encodeProgress(change(progress), writer) }
  })
}

function underNextQueue({ key, value }: StoreWrite): StoreWrite {
  // Kind, topic (four bytes), queue (two bytes), group.
  const other = key.slice()
  other[6] = (key[6] as number) + 1
  return { key: other, value }
}

function isSealed({ key }: StoreEntry): boolean {
  return key[0] === keyKinds.record || key[0] === keyKinds.progress || key[0] === keyKinds.queueState
}

/** With the checksum that its bytes have, whatever they are. */
function resealed({ key, value }: StoreEntry): StoreEntry {
  const bytes = value.slice()
  setU32(bytes, 0, crc32c(bytes, 4))
  return { key, value: bytes }
}

function asIfLostBefore(entry: StoreEntry): StoreEntry {
  const state = decoded(() => decodeQueueState(entry.value))
  if (state === undefined) return entry
  return { key: entry.key, value: encodeQueueState({ ...state, epochOffset: state.maxOffset }) }
}

/** What could be damaged by another fault is left alone. */
function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch {
    return undefined
  }
}

/** Answers each commit when the one before it is durable. */
function answeringEarly(store: Store, defer: (run: () => void) => void): Store {
  const waiting: { readonly writes: readonly StoreWrite[]; readonly answer: (outcome: CommitOutcome) => void }[] = []
  const next = (): void => {
    const [first] = waiting
    if (first === undefined) return
    defer(() => first.answer({ kind: 'durable' }))
    store.commit(first.writes, () => {
      waiting.shift()
      next()
    })
  }
  return overriding<Store>(store, {
    commit: (writes, answer) => {
      waiting.push({ writes: writes.map(({ key, value }) => ({ key, value })), answer })
      if (waiting.length === 1) next()
    },
  })
}

interface DeadLetterRecords {
  /** Whether a write stores a record of a dead letter topic. */
  (write: StoreWrite): boolean
  /** Learns the ids of these topics from what passes. */
  watching(store: Store): Store
}

function deadLetterRecords(bare: Store): DeadLetterRecords {
  const topicIds = new Set<number>()
  const learn = (key: Uint8Array, value: Uint8Array | null): void => {
    if (key[0] !== keyKinds.topic || value === null || !bytesToText(key.subarray(1)).startsWith(deadLetterTopicOf(''))) return
    const topic = decoded(() => decodeTopic(value))
    if (topic !== undefined) topicIds.add(topic.topicId)
  }
  const isDeadLetter = ({ key, value }: StoreWrite): boolean => {
    return key[0] === keyKinds.record && value !== null && topicIds.has(new KeyReader(key).u32())
  }
  const watching = (store: Store): Store => overriding<Store>(store, {
    read: (range, answer) => bare.read(range, (outcome) => {
      if (outcome.kind === 'entries') for (const { key, value } of outcome.entries) learn(key, value)
      answer(outcome)
    }),
    commit: (writes, answer) => {
      for (const { key, value } of writes) learn(key, value)
      store.commit(writes, answer)
    },
  })
  return Object.assign(isDeadLetter, { watching })
}
