// Looks at the disk of a simulated relay beside its broker: when commits begin, what retention deletes, which bits were
// flipped and whether the damage is still there. It knows the map of the disk (core/storage/keys.ts) and changes nothing,
// but flips a bit when asked to.

import { bytesToText } from '../../core/bytes.ts'
import { isSystemTopic } from '../../core/model/names.ts'
import type { CommitOutcome, Store, StoreWrite } from '../../core/ports/store.ts'
import { RecordBatch } from '../../core/record/record-batch.ts'
import { decodeTopic } from '../../core/storage/catalog.ts'
import { KeyReader, keyKinds, kindRange, recordRange } from '../../core/storage/keys.ts'
import type { DamagedThing, RelayEvent, RelayEventOf } from '../checkers/relay-history.ts'
import { overriding } from './overriding.ts'
import { nameIn } from './sim-message.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimStore } from './sim-store.ts'

export interface StoreTapDeps {
  readonly nowMs: () => number
  /** The relay's wall time. */
  readonly wallMs: () => number
  readonly noted: (event: RelayEvent) => void
}

/** A record that a commit deletes. */
interface Deletion {
  readonly key: Uint8Array
  readonly event: Omit<RelayEventOf<'trimmed'>, 'kind' | 'atMs'>
}

/** What nearly every commit writes. */
const commonKinds: ReadonlySet<number> = new Set([
  keyKinds.queueState, keyKinds.record, keyKinds.progress, keyKinds.producer, keyKinds.idIndex, keyKinds.keyIndex,
])

const damageable: Readonly<Partial<Record<number, DamagedThing>>> = {
  [keyKinds.record]: 'record', [keyKinds.progress]: 'progress', [keyKinds.queueState]: 'queue state',
}

export class StoreTap {
  readonly #deps: StoreTapDeps
  readonly #topicNames = new Map<number, string>()
  /** Flips that are still there, by their keys, with the damaged values. */
  readonly #flips = new Map<string, { readonly flip: number; readonly key: Uint8Array; readonly value: Uint8Array }>()
  #flipCount = 0
  #store: SimStore | undefined
  /** What the commit under way does, until it is known whether it did. */
  #pending: readonly Deletion[] = []
  #answeredStartMs: number | undefined
  /** Called once, when the next commit begins that writes what few commits do: dead letters, deletions, configuration. */
  rareCommitBegins: (() => void) | undefined

  constructor(deps: StoreTapDeps) {
    this.#deps = deps
  }

  /** When the turn began whose effects are told now. */
  get turnMs(): number {
    return this.#answeredStartMs ?? this.#deps.nowMs()
  }

  topicName(topicId: number): string {
    return this.#topicNames.get(topicId) ?? `topic ${topicId}`
  }

  /** A store that is listened at. */
  of(store: SimStore): Store {
    this.#store = store
    return overriding<Store>(store, {
      commit: (writes, answer) => {
        // What is committed in the breath of another commit's answer belongs to the same turn.
        const startMs = this.turnMs
        this.#pending = this.#deletionsIn(writes)
        if (this.rareCommitBegins !== undefined && writes.some((write) => this.#isRare(write))) {
          this.rareCommitBegins()
          this.rareCommitBegins = undefined
        }
        store.commit(writes, (outcome) => {
          this.settle()
          this.#answer(startMs, outcome, answer)
        })
      },
    })
  }

  /** The commit under way has ended, or its store has. What it did is told if it is done on the disk. */
  settle(): void {
    const { noted, nowMs } = this.#deps
    const atMs = nowMs()
    for (const { key, event } of this.#pending) {
      if (this.#valueOf(key) === undefined) noted({ kind: 'trimmed', atMs, ...event })
    }
    this.#pending = []
    for (const [name, { flip, key, value }] of this.#flips) {
      if (this.#valueOf(key) === value) continue
      this.#flips.delete(name)
      noted({ kind: 'mended', atMs, flip })
    }
  }

  /** Flips a bit of something that can be damaged. False where there is nothing. */
  flipBit(random: SimRandom): boolean {
    const store = this.#store
    if (store === undefined) return false
    const kind = random.pick([keyKinds.record, keyKinds.record, keyKinds.progress, keyKinds.queueState])
    const entries = store.peek(kindRange(kind)).filter(({ key }) => !this.#flips.has(textOf(key)))
    if (entries.length === 0) return false
    const { key, value } = random.pick(entries)
    const reader = new KeyReader(key)
    const topic = this.topicName(reader.u32())
    const queueId = reader.u16()
    const isRecord = kind === keyKinds.record
    const record = isRecord ? openRecord(value) : undefined
    if (isRecord && record === undefined) return false
    const flip = this.#flipCount++
    const what = damageable[kind] as DamagedThing
    const group = kind === keyKinds.progress ? { group: bytesToText(reader.rest()) } : {}
    const place = { fromOffset: record?.baseOffset ?? 0, toOffset: record?.lastOffset ?? -1 }
    const messages = record === undefined ? [] : namesIn(record, topic, queueId)
    this.#deps.noted({ kind: 'flipped', atMs: this.#deps.nowMs(), flip, what, topic, queueId, ...group, ...place, messages })
    store.flipBit(key)
    this.#flips.set(textOf(key), { flip, key, value: this.#valueOf(key) as Uint8Array })
    return true
  }

  #answer(startMs: number, outcome: CommitOutcome, answer: (outcome: CommitOutcome) => void): void {
    this.#answeredStartMs = startMs
    answer(outcome)
    this.#answeredStartMs = undefined
  }

  #isRare({ key, value }: StoreWrite): boolean {
    const [kind = 0] = key
    if (!commonKinds.has(kind)) return true
    return kind === keyKinds.record && (value === null || isSystemTopic(this.topicName(new KeyReader(key).u32())))
  }

  /** Topics are learned on the way. */
  #deletionsIn(writes: readonly StoreWrite[]): Deletion[] {
    const deletions: Deletion[] = []
    for (const { key, value } of writes) {
      if (key[0] === keyKinds.topic && value !== null) {
        this.#topicNames.set(decodeTopic(value).topicId, bytesToText(key.subarray(1)))
      }
      if (key[0] === keyKinds.record && value === null) {
        const deletion = this.#deletion(key, writes, deletions)
        if (deletion !== undefined) deletions.push(deletion)
      }
    }
    return deletions
  }

  #deletion(key: Uint8Array, writes: readonly StoreWrite[], before: readonly Deletion[]): Deletion | undefined {
    const reader = new KeyReader(key)
    const topicId = reader.u32()
    const queueId = reader.u16()
    const lastOffset = reader.u53()
    const value = this.#valueOf(key)
    if (value === undefined) return undefined
    const record = openRecord(value)
    const topic = this.topicName(topicId)
    const range = recordRange(topicId, queueId, 0)
    let queueBytes = 0
    for (const entry of this.#store?.peek(range) ?? []) queueBytes += entry.value.length
    // What is stored with the same commit counted when it was decided; what it deletes before this one is gone by then.
    for (const write of writes) if (isWithin(write.key, range)) queueBytes += write.value?.length ?? 0
    for (const deletion of before) {
      if (isWithin(deletion.key, range)) queueBytes -= this.#valueOf(deletion.key)?.length ?? 0
    }
    return {
      key,
      event: {
        topic, queueId, queueBytes,
        fromOffset: record?.baseOffset ?? lastOffset,
        toOffset: lastOffset,
        messages: record === undefined ? [] : namesIn(record, topic, queueId),
        // A damaged record tells no time, and goes with a younger one.
        storedMs: record?.storedMs ?? 0,
        nowMs: this.#deps.wallMs(),
      },
    }
  }

  #valueOf(key: Uint8Array): Uint8Array | undefined {
    const after = new Uint8Array(key.length + 1)
    after.set(key)
    return this.#store?.peek({ from: key, to: after })[0]?.value
  }
}

function isWithin(key: Uint8Array, { from }: { readonly from: Uint8Array }): boolean {
  // Kind, topic and queue.
  for (let index = 0; index < 7; index++) if (key[index] !== from[index]) return false
  return true
}

function openRecord(value: Uint8Array): RecordBatch | undefined {
  try {
    return RecordBatch.open(value)
  } catch {
    return undefined
  }
}

function namesIn(record: RecordBatch, topic: string, queueId: number): string[] {
  return Array.from({ length: record.messageCount }, (_, index) => {
    return nameIn(bytesToText(record.messageAt(index, topic, queueId).body))
  })
}

function textOf(key: Uint8Array): string {
  return key.join()
}
