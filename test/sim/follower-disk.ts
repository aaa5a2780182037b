// The disk of a follower in the simulated world, which outlives its processes, and what a disk holds as the checker of
// copies compares it.

import { crc32c } from '../../core/crc32c.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { StoreEntry } from '../../core/ports/store.ts'
import { decodeTopic } from '../../core/storage/catalog.ts'
import { groupKey, keyAfter, KeyReader, keyKinds, topicKey, topicRange } from '../../core/storage/keys.ts'
import type { AppliedChange, LogState } from '../checkers/copies.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import { createSimStore, type SimStore } from './sim-store.ts'

/** The disk of a follower, for one process after the other. */
export class FollowerDisk {
  /** What was applied, by all of them. */
  readonly applied: AppliedChange[] = []
  #store: SimStore
  #process: SimProcess | undefined

  constructor(clock: SimClock, random: SimRandom) {
    const diskClock: Clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      setTimer: (delayMs, fire) => (this.#process ?? clock).setTimer(delayMs, fire),
      defer: (run) => (this.#process ?? clock).defer(run),
    }
    this.#store = createSimStore({ clock: diskClock, random, faults: { commitLatencyMs: [0.1, 10], readLatencyMs: [0.05, 2] } })
  }

  get store(): SimStore {
    return this.#store
  }

  /** A store for `process`, on what the one before it left. */
  openFor(process: SimProcess): SimStore {
    if (this.#process !== undefined) {
      this.#store.crash()
      this.#store = this.#store.reopen()
    }
    this.#process = process
    return this.#store
  }
}

const copiedKinds = [keyKinds.queueState, keyKinds.record, keyKinds.progress] as const

/** What a disk holds of topics and groups, in the form in which the checker of copies compares it. */
export function stateOf(store: SimStore, topics: readonly string[], groups: readonly string[]): LogState {
  const valueAt = (key: Uint8Array): Uint8Array | undefined => store.peek({ from: key, to: keyAfter(key) })[0]?.value
  const messages: LogState['messages'][number][] = []
  const progress = new Map<string, string>()
  const note = (name: string, value: Uint8Array | undefined): void => {
    if (value !== undefined) progress.set(name, contentName(value))
  }
  for (const group of groups) note(`group ${group}`, valueAt(groupKey(group)))
  for (const topic of topics) {
    const value = valueAt(topicKey(topic))
    note(`topic ${topic}`, value)
    if (value === undefined) continue
    const { topicId } = decodeTopic(value)
    const entriesOf = (kind: (typeof copiedKinds)[number]): readonly StoreEntry[] => store.peek(topicRange(kind, topicId))
    for (const entry of entriesOf(keyKinds.queueState)) note(`queue ${topic} ${entry.key.join()}`, entry.value)
    for (const entry of entriesOf(keyKinds.progress)) note(`progress ${topic} ${entry.key.join()}`, entry.value)
    for (const entry of entriesOf(keyKinds.record)) {
      const reader = new KeyReader(entry.key)
      reader.u32()
      const queueId = reader.u16()
      messages.push({ topic, queueId, offset: reader.u53(), messageId: contentName(entry.value) })
    }
  }
  return { messages, progress }
}

function contentName(value: Uint8Array): string {
  return `${value.length} bytes ${crc32c(value).toString(16)}`
}
