// A copy of topics that someone follows: applies changes as they come, in the layout of the relay's own store, so that
// what it holds is what the relay holds. Where it stands is read from what it holds. A copy may begin later than its log,
// and may drop its oldest records to save room: from where on it has each queue is kept beside (storage/copied-topic.ts).

import { bytesToText } from '../bytes.ts'
import { PocketError, toPocketError } from '../errors.ts'
import type { Position } from '../model/position.ts'
import type { CleanupPolicy } from '../model/topic.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import type { Change } from '../protocol/frames.ts'
import { RecordBatch } from '../record/record-batch.ts'
import { isDeadLetterTopic } from '../model/names.ts'
import { decodeQueueState, decodeTopic, type TopicRecord } from '../storage/catalog.ts'
import { type CopiedQueueState, decodeCopiedTopic, encodeCopiedTopic } from '../storage/copied-topic.ts'
import {
  copiedTopicKey, groupKey, keyAfter, KeyReader, keyKinds, kindRange, progressKey, queueStateKey, recordKey, recordRange,
  topicKey, topicRange,
} from '../storage/keys.ts'
import { compareKeys } from '../storage/ordered-map.ts'
import { lastOffsetOf } from '../storage/queue-log.ts'
import { commitAlone, readAll, readRange } from '../storage/reads.ts'

const chunkBytes = 1 << 20
/** Kinds of keys that begin with a topic's id, of those a replica has. */
const kindsOfTopics = [keyKinds.queueState, keyKinds.record, keyKinds.progress, keyKinds.broadcastPosition] as const

interface CopiedQueue {
  epoch: number
  minOffset: number
  /** First offset that it has, or will have. */
  from: number
  /** Where it goes on. */
  offset: number
  /** Of its records. */
  byteCount: number
  isTrimmed: boolean
  /** Stored time of its oldest record, once it was looked at. */
  headMs: number | undefined
}

interface CopiedTopic {
  readonly topicId: number
  /** Messages go without a trace where that is the point, so holes are no gaps. */
  hasHoles: boolean
  readonly queues: Map<number, CopiedQueue>
}

/** What was known of some topics, to go back to where a commit failed. */
interface StateBefore {
  readonly byteCount: number
  readonly copies: readonly {
    readonly topic: string
    readonly starts: ReadonlyMap<number, Position> | undefined
    readonly copied: CopiedTopic | undefined
  }[]
}

/** A copied topic, as a reader sees it. */
export interface TopicCopy {
  readonly topicId: number
  readonly hasHoles: boolean
  readonly queues: ReadonlyMap<number, QueueCopy>
}

/** What the copy has of a queue: `[from, offset)` under `epoch`. */
export interface QueueCopy {
  readonly epoch: number
  /** Where the log itself begins, as last told. */
  readonly minOffset: number
  readonly from: number
  readonly offset: number
  readonly isTrimmed: boolean
}

export class Replica {
  readonly #store: Store
  readonly #topics = new Map<string, CopiedTopic>()
  /** Where copies begin, for queues that were not told of yet. */
  readonly #starts = new Map<string, ReadonlyMap<number, Position>>()
  /** Of all records. */
  #byteCount = 0

  private constructor(store: Store) {
    this.#store = store
  }

  /**
   * Goes on with what a store holds. Where configuration can't be read, it tells `damaged` and has that copied anew;
   * without one it throws RECORD_DAMAGED.
   */
  static async open(store: Store, damaged: (error: PocketError) => void = rethrow): Promise<Replica> {
    const replica = new Replica(store)
    const begun = new Map<string, readonly CopiedQueueState[]>()
    for await (const { key, value } of readAll(store, kindRange(keyKinds.copiedTopic), chunkBytes)) {
      begun.set(bytesToText(key.subarray(1)), attempt(() => decodeCopiedTopic(value), damaged) ?? [])
    }
    for await (const { key, value } of readAll(store, kindRange(keyKinds.topic), chunkBytes)) {
      const name = bytesToText(key.subarray(1))
      const topic = attempt(() => decodeTopic(value), damaged)
      if (topic !== undefined) await replica.#restore(name, topic, begun.get(name) ?? [], damaged)
      else if (!begun.has(name)) begun.set(name, [])
      if (topic !== undefined) begun.delete(name)
    }
    for (const [name, queues] of begun) {
      replica.#starts.set(name, new Map(queues.map(({ queueId, epoch, from }) => [queueId, { epoch, offset: from }])))
    }
    return replica
  }

  async #restore(
    name: string, { topicId, config }: TopicRecord, begun: readonly CopiedQueueState[], damaged: (error: PocketError) => void,
  ): Promise<void> {
    const copied: CopiedTopic = { topicId, hasHoles: hasHoles(name, config.cleanupPolicy), queues: new Map() }
    this.#topics.set(name, copied)
    for await (const state of readAll(this.#store, topicRange(keyKinds.queueState, topicId), chunkBytes)) {
      const reader = new KeyReader(state.key)
      reader.u32()
      const queueId = reader.u16()
      const decoded = attempt(() => decodeQueueState(state.value), damaged)
      if (decoded === undefined) continue
      const { epoch, minOffset } = decoded
      const known = begun.find((queue) => queue.queueId === queueId)
      const { byteCount = 0, isTrimmed = false } = known ?? {}
      const from = Math.max(minOffset, known?.from ?? 0)
      const [last] = await readRange(this.#store, { ...recordRange(topicId, queueId, 0), reverse: true, countMax: 1 })
      const offset = last === undefined ? from : lastOffsetOf(last.key) + 1
      copied.queues.set(queueId, { epoch, minOffset, from, offset, byteCount, isTrimmed, headMs: undefined })
      this.#byteCount += byteCount
    }
    this.#starts.set(name, new Map(begun.map(({ queueId, epoch, from }) => [queueId, { epoch, offset: from }])))
  }

  /** Of all records of all topics. */
  get byteCount(): number {
    return this.#byteCount
  }

  /** What it has of a topic; undefined before it was told of it. */
  copyOf(topic: string): TopicCopy | undefined {
    return this.#topics.get(topic)
  }

  get topics(): readonly string[] {
    return [...new Set([...this.#topics.keys(), ...this.#starts.keys()])]
  }

  /** Where to follow on from, by topic and queue. */
  positions(): ReadonlyMap<string, ReadonlyMap<number, Position>> {
    const positions = new Map<string, ReadonlyMap<number, Position>>(this.#starts)
    for (const [name, { queues }] of this.#topics) {
      const starts = this.#starts.get(name) ?? new Map<number, Position>()
      positions.set(name, new Map([...starts, ...[...queues].map(([queueId, { epoch, offset }]) =>
        [queueId, { epoch, offset }] as const)]))
    }
    return positions
  }

  /**
   * Copies a topic that it does not copy yet: from these positions on, and queues without one from their begin. One call
   * at a time with `apply` and `trim`. Throws STORE_FAILED or STORE_FULL.
   */
  async begin(topic: string, positions: ReadonlyMap<number, Position>): Promise<void> {
    const queues = [...positions].map(([queueId, { epoch, offset }]) =>
      ({ queueId, epoch, from: offset, byteCount: 0, isTrimmed: false }))
    await commitAlone(this.#store, [{ key: copiedTopicKey(topic), value: encodeCopiedTopic(queues) }])
    this.#starts.set(topic, new Map(positions))
  }

  /**
   * Begins the copies of these queues of a known topic anew, at positions before what they have. One call at a time, as
   * above.
   */
  async rewind(topic: string, positions: ReadonlyMap<number, Position>): Promise<void> {
    const copied = this.#topics.get(topic)
    if (copied === undefined) return
    const before = this.#stateBefore([topic])
    try {
      const writes: StoreWrite[] = []
      for (const [queueId, { epoch, offset }] of positions) {
        const queue = copied.queues.get(queueId)
        if (queue === undefined || queue.epoch !== epoch || offset >= queue.from) continue
        await this.#deleteRecords(copied.topicId, queueId, queue, [0, Infinity], writes)
        queue.from = offset
        queue.offset = offset
        queue.headMs = undefined
      }
      if (writes.length > 0) await commitAlone(this.#store, [...writes, this.#stateOf(topic, copied)])
    } catch (error) {
      this.#takeBack(before)
      throw error
    }
  }

  /**
   * Drops the oldest records until at most `bytesMax` are left. True where some went. One call at a time with `apply` and
   * `begin`. Throws STORE_FAILED.
   */
  async trim(bytesMax: number): Promise<boolean> {
    let hasTrimmed = false
    while (this.#byteCount > bytesMax) {
      const oldest = await this.#oldestQueue()
      if (oldest === undefined) break
      const { topic, copied: { topicId }, queueId, queue, untilMs } = oldest
      const before = this.#stateBefore([topic])
      const range = recordRange(topicId, queueId, 0)
      const writes: StoreWrite[] = []
      let freedBytes = 0
      for (const { key, value } of await readRange(this.#store, { ...range, bytesMax: chunkBytes, countMax: 256 })) {
        const storedMs = storedMsOf(value)
        queue.headMs = storedMs
        if (writes.length > 0 && (this.#byteCount - freedBytes <= bytesMax || storedMs > untilMs)) break
        writes.push({ key, value: null })
        freedBytes += value.length
        queue.from = Math.max(queue.from, lastOffsetOf(key) + 1)
        queue.headMs = undefined
      }
      queue.isTrimmed = true
      // Where none are left the count was wrong; the store is right.
      this.#count(queue, writes.length === 0 ? -queue.byteCount : -Math.min(freedBytes, queue.byteCount))
      writes.push(this.#stateOf(topic, oldest.copied))
      try {
        await commitAlone(this.#store, writes)
      } catch (error) {
        this.#takeBack(before)
        throw error
      }
      hasTrimmed = true
    }
    return hasTrimmed
  }

  /** The queue with the oldest record, and up to when it is the oldest. */
  async #oldestQueue(): Promise<
    { topic: string; copied: CopiedTopic; queueId: number; queue: CopiedQueue; untilMs: number } | undefined
  > {
    const found: { topic: string; copied: CopiedTopic; queueId: number; queue: CopiedQueue; headMs: number }[] = []
    for (const [topic, copied] of this.#topics) {
      for (const [queueId, queue] of copied.queues) {
        if (queue.byteCount === 0) continue
        if (queue.headMs === undefined) {
          const [head] = await readRange(this.#store, { ...recordRange(copied.topicId, queueId, 0), countMax: 1 })
          queue.headMs = head === undefined ? 0 : storedMsOf(head.value)
        }
        found.push({ topic, copied, queueId, queue, headMs: queue.headMs })
      }
    }
    found.sort((left, right) => left.headMs - right.headMs)
    const [first, second] = found
    return first && { ...first, untilMs: second?.headMs ?? Infinity }
  }

  #count(queue: CopiedQueue, byteCount: number): void {
    queue.byteCount += byteCount
    this.#byteCount += byteCount
  }

  #stateOf(topic: string, { queues }: CopiedTopic): StoreWrite {
    const states: CopiedQueueState[] = [...queues].map(([queueId, { epoch, from, byteCount, isTrimmed }]) =>
      ({ queueId, epoch, from, byteCount, isTrimmed }))
    for (const [queueId, { epoch, offset: from }] of this.#starts.get(topic) ?? []) {
      if (!queues.has(queueId)) states.push({ queueId, epoch, from, byteCount: 0, isTrimmed: false })
    }
    return { key: copiedTopicKey(topic), value: encodeCopiedTopic(states) }
  }

  /**
   * Applies changes that came together, in one commit. One call at a time. Throws RECORD_DAMAGED, before anything is
   * written, for a record that fails its checksum, and STORE_FAILED or STORE_FULL as the store says.
   */
  async apply(changes: readonly Change[]): Promise<void> {
    const before = this.#stateBefore(new Set(changes.map(({ topic }) => topic)))
    try {
      const writes: StoreWrite[] = []
      const counted = new Set<string>()
      for (const change of changes) {
        await this.#apply(change, writes)
        if (change.kind === 'record' || change.kind === 'record-deleted' || change.kind === 'log') counted.add(change.topic)
      }
      for (const topic of counted) {
        const copied = this.#topics.get(topic)
        if (copied !== undefined) writes.push(this.#stateOf(topic, copied))
      }
      if (writes.length > 0) await commitAlone(this.#store, writes)
    } catch (error) {
      // The store has none of it, and following goes on from here.
      this.#takeBack(before)
      throw error
    }
  }

  #stateBefore(topics: Iterable<string>): StateBefore {
    const copies = [...topics].map((topic) => {
      const copied = this.#topics.get(topic)
      const queues = new Map([...copied?.queues ?? []].map(([queueId, queue]) => [queueId, { ...queue }]))
      return { topic, starts: this.#starts.get(topic), copied: copied && { ...copied, queues } }
    })
    return { byteCount: this.#byteCount, copies }
  }

  #takeBack({ byteCount, copies }: StateBefore): void {
    this.#byteCount = byteCount
    for (const { topic, starts, copied } of copies) {
      if (copied === undefined) this.#topics.delete(topic)
      else this.#topics.set(topic, copied)
      if (starts === undefined) this.#starts.delete(topic)
      else this.#starts.set(topic, starts)
    }
  }

  async #apply({ kind, topic, queueId, offset, group, value }: Change, writes: StoreWrite[]): Promise<void> {
    switch (kind) {
      case 'topic': {
        const { topicId, config } = decodeTopic(value)
        const known = this.#topics.get(topic)
        if (known !== undefined && known.topicId !== topicId) await this.#forget(topic, known, writes)
        const holes = hasHoles(topic, config.cleanupPolicy)
        if (known?.topicId === topicId) known.hasHoles = holes
        else this.#topics.set(topic, { topicId, hasHoles: holes, queues: new Map() })
        writes.push({ key: topicKey(topic), value })
        return
      }
      case 'topic-deleted': {
        const known = this.#topics.get(topic)
        if (known !== undefined) await this.#forget(topic, known, writes)
        return
      }
      case 'group':
        writes.push({ key: groupKey(group), value })
        return
      case 'group-deleted':
        writes.push({ key: groupKey(group), value: null })
        return
    }
    const copied = this.#topics.get(topic)
    if (copied === undefined) throw new PocketError('BAD_FRAME', `a change of topic '${topic}' before the topic`)
    const { topicId, queues } = copied
    switch (kind) {
      case 'log': {
        const { epoch, minOffset } = decodeQueueState(value)
        const known = queues.get(queueId)
        const { from = offset, offset: end = Infinity } = known ?? {}
        // What was deleted before the log's begin; what the log does not have any more, or has anew.
        if (minOffset > (known?.minOffset ?? 0)) await this.#deleteRecords(topicId, queueId, known, [0, minOffset], writes)
        if (offset < end) await this.#deleteRecords(topicId, queueId, known, [offset, Infinity], writes)
        writes.push({ key: queueStateKey(topicId, queueId), value })
        queues.set(queueId, {
          epoch,
          minOffset,
          from: Math.max(minOffset, Math.min(from, offset)),
          offset: Math.max(minOffset, Math.min(end, offset)),
          byteCount: known?.byteCount ?? 0,
          isTrimmed: known !== undefined && known.isTrimmed && offset > from,
          headMs: undefined,
        })
        return
      }
      case 'record': {
        const record = RecordBatch.open(value)
        const key = recordKey(topicId, queueId, offset)
        const queue = queues.get(queueId)
        if (queue === undefined) throw new PocketError('BAD_FRAME', `a record of queue ${queueId} of '${topic}' before its log`)
        if (record.lastOffset !== offset) throw new PocketError('RECORD_DAMAGED', 'a record is not at its own offset')
        if (offset < queue.offset) {
          // It takes the place of one that is there, unless that was dropped before.
          if (offset < queue.from) return
          await this.#uncount(key, queue, writes)
        }
        writes.push({ key, value })
        this.#count(queue, value.length)
        queue.offset = Math.max(queue.offset, offset + 1)
        return
      }
      case 'record-deleted': {
        const key = recordKey(topicId, queueId, offset)
        const queue = queues.get(queueId)
        if (queue !== undefined) await this.#uncount(key, queue, writes)
        writes.push({ key, value: null })
        return
      }
      case 'progress':
        writes.push({ key: progressKey(topicId, queueId, group), value })
        return
      case 'progress-deleted':
        writes.push({ key: progressKey(topicId, queueId, group), value: null })
    }
  }

  /** A record goes; counts what it had. */
  async #uncount(key: Uint8Array, queue: CopiedQueue, writes: readonly StoreWrite[]): Promise<void> {
    const written = writes.findLast((write) => compareKeys(write.key, key) === 0)
    const [stored] = written === undefined
      ? await readRange(this.#store, { from: key, to: keyAfter(key), countMax: 1 })
      : [written]
    if (stored?.value) this.#count(queue, -stored.value.length)
  }

  /** Deletes records that end in `[from, to)`, those that the same changes brought among them. */
  async #deleteRecords(
    topicId: number, queueId: number, queue: CopiedQueue | undefined, [from, to]: readonly [number, number], writes: StoreWrite[],
  ): Promise<void> {
    if (from >= to) return
    const range = { ...recordRange(topicId, queueId, from) }
    if (to !== Infinity) range.to = recordKey(topicId, queueId, to)
    const gone = new Set<string>()
    // The latest first, as it wins: what these changes wrote, and then what is stored and was not written again.
    for (const { key, value } of [...writes].reverse()) {
      if (!isWithin(key, range) || gone.has(String(key))) continue
      gone.add(String(key))
      if (value === null) continue
      writes.push({ key, value: null })
      if (queue !== undefined) this.#count(queue, -value.length)
    }
    for await (const { key, value } of readAll(this.#store, range, chunkBytes)) {
      if (gone.has(String(key))) continue
      writes.push({ key, value: null })
      if (queue !== undefined) this.#count(queue, -value.length)
    }
  }

  async #forget(topic: string, { topicId, queues }: CopiedTopic, writes: StoreWrite[]): Promise<void> {
    this.#topics.delete(topic)
    this.#starts.delete(topic)
    for (const queue of queues.values()) this.#count(queue, -queue.byteCount)
    writes.push({ key: topicKey(topic), value: null }, { key: copiedTopicKey(topic), value: null })
    for (const kind of kindsOfTopics) {
      const range = topicRange(kind, topicId)
      for await (const { key } of readAll(this.#store, range, chunkBytes)) writes.push({ key, value: null })
      for (const { key, value } of [...writes]) if (value !== null && isWithin(key, range)) writes.push({ key, value: null })
    }
  }
}

/** What `decode` gives; undefined where it threw, which is told. */
function attempt<T>(decode: () => T, damaged: (error: PocketError) => void): T | undefined {
  try {
    return decode()
  } catch (error) {
    damaged(toPocketError(error))
    return undefined
  }
}

function rethrow(error: PocketError): void {
  throw error
}

function hasHoles(topic: string, cleanupPolicy: CleanupPolicy): boolean {
  return cleanupPolicy === 'COMPACT' || isDeadLetterTopic(topic)
}

/** 0 where it can't be told: what is damaged goes first. */
function storedMsOf(value: Uint8Array): number {
  try {
    return RecordBatch.view(value).storedMs
  } catch {
    return 0
  }
}

function isWithin(key: Uint8Array, { from, to }: { readonly from: Uint8Array; readonly to: Uint8Array }): boolean {
  return compareKeys(key, from) >= 0 && compareKeys(key, to) < 0
}
