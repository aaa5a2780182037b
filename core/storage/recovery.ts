// Opening a store: reads everything but the messages, looks at each log's tail, and says what is damaged. It deletes
// only a torn tail, which nobody was told of; whatever else is broken stays where it is and is reported, so that a
// person can look at it. An epoch moves on only where messages were lost.

import { bytesToText, ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { type GroupConfig, mayHaveHoles } from '../model/topic.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Store, StoreEntry, StoreWrite } from '../ports/store.ts'
import { RecordBatch } from '../record/record-batch.ts'
import {
  type BroadcastPosition, decodeBroadcastPosition, decodeGroup, decodeProducerState, decodeQueueState, decodeStoreHeader,
  decodeTopic, encodeQueueState, encodeStoreHeader, type ProducerState, type QueueState, type StoreHeader, type TopicRecord,
} from './catalog.ts'
import { type RecoveredTransactions, recoverTransactions } from './half-messages.ts'
import { recoverDelayedCounts } from './delayed.ts'
import { type KeyKind, KeyReader, keyKinds, kindRange, queueStateKey, recordRange, storeKey } from './keys.ts'
import { decodeProgress, encodeProgress, type StoredProgress } from './progress.ts'
import { lastOffsetOf } from './queue-log.ts'
import { readAhead, readAll, type ReadAhead } from './reads.ts'

/** The newest records of a queue that are checked at opening; the rest is checked when it is read. */
const tailRecordsChecked = 8
/** Fewer where they are large: each is read and summed. */
const tailBytesChecked = 128 * 1024
/** So many queues' tails are asked for at once. */
const tailsReadAhead = 16
const scanChunkBytes = 1 << 20

export interface Damage {
  readonly what: string
  readonly topic: string
  readonly queueId: number
  /** First and last offset lost, where it is messages. */
  readonly fromOffset?: number
  readonly toOffset?: number
}

export interface RecoveredTopic extends TopicRecord {
  readonly name: string
  readonly queues: readonly QueueState[]
  readonly producers: { readonly producerId: Uint8Array; readonly state: ProducerState }[]
  readonly progress: { readonly group: string; readonly queueId: number; readonly stored: StoredProgress }[]
  readonly broadcastPositions: {
    readonly queueId: number; readonly group: string; readonly consumerName: string; readonly state: BroadcastPosition
  }[]
}

export interface Recovered {
  readonly header: StoreHeader
  readonly topics: readonly RecoveredTopic[]
  readonly groups: ReadonlyMap<string, GroupConfig>
  readonly transactions: RecoveredTransactions
  /** Delayed messages that wait, by topic id. */
  readonly delayedCounts: ReadonlyMap<number, number>
  /** Topics whose catalog entry is damaged: their names stay taken. */
  readonly damagedTopics: ReadonlySet<string>
  /** Deleted topics whose data is not all gone. */
  readonly deletedTopicIds: readonly number[]
  readonly damages: readonly Damage[]
  /** To be committed before anything that follows from the rest is told. */
  readonly writes: readonly StoreWrite[]
}

/** A new log's epoch: random, so that no log of an earlier store, or of a deleted topic, has the same. */
export function newEpoch(random: Random): number {
  const bytes = random.bytes(4)
  return (new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) || 1) >>> 0
}

export function nextEpoch(epoch: number): number {
  return (epoch + 1) >>> 0 || 1
}

/** Whether `earlier` is the epoch that `epoch` went on from: offsets kept their meaning, some messages were lost. */
export function isEpochBefore(earlier: number, epoch: number): boolean {
  return nextEpoch(earlier) === epoch
}

/** A topic while it is put together. */
type OpenTopic = RecoveredTopic & { readonly queues: QueueState[] }

export interface RecoveryDeps {
  readonly store: Store
  readonly random: Random
  readonly log: Log
}

const kindsReadAhead: readonly KeyKind[] = [
  keyKinds.store, keyKinds.topic, keyKinds.group, keyKinds.queueState, keyKinds.progress, keyKinds.producer,
  keyKinds.broadcastPosition, keyKinds.deletedTopic, keyKinds.transactionPart, keyKinds.endedTransactions,
  keyKinds.delayedCount,
]

export async function recover(deps: RecoveryDeps): Promise<Recovered> {
  return new Recovery(deps).run()
}

class Recovery {
  readonly #store: Store
  readonly #random: Random
  readonly #log: Log
  readonly #damages: Damage[] = []
  readonly #writes: StoreWrite[] = []
  readonly #progressWriter = new ByteWriter()
  /** Begun all at once: a store whose reads take a while, such as a browser's, would make each wait for the one before. */
  readonly #ahead = new Map<KeyKind, ReadAhead>()
  /** Ids of topics that left anything, those of damaged topics among them. */
  #topicIdMax = 0

  constructor({ store, random, log }: RecoveryDeps) {
    this.#store = store
    this.#random = random
    this.#log = log
  }

  async run(): Promise<Recovered> {
    for (const kind of kindsReadAhead) this.#ahead.set(kind, readAhead(this.#store, kindRange(kind), scanChunkBytes))
    const damagedTopics = new Set<string>()
    const topicsById = new Map<number, OpenTopic>()
    for await (const { key, value } of this.#all(keyKinds.topic)) {
      const name = bytesToText(key.subarray(1))
      const record = this.#decode(() => decodeTopic(value), 'topic configuration', name)
      if (record === undefined) damagedTopics.add(name)
      else topicsById.set(record.topicId, { name, ...record, queues: [], producers: [], progress: [], broadcastPositions: [] })
    }
    const groups = new Map<string, GroupConfig>()
    for await (const { key, value } of this.#all(keyKinds.group)) {
      const name = bytesToText(key.subarray(1))
      const config = this.#decode(() => decodeGroup(value), 'group configuration', name)
      if (config !== undefined) groups.set(name, config)
    }
    await this.#readQueues(topicsById)
    await this.#readProgress(topicsById)
    await this.#readProducers(topicsById)
    await this.#readBroadcastPositions(topicsById)
    const transactions = await recoverTransactions(this.#store, (what) => {
      this.#report({ what, topic: '', queueId: 0 })
    }, this.#ahead)
    for (const { targets } of transactions.open) {
      for (const { topicId } of targets) this.#topicIdMax = Math.max(this.#topicIdMax, topicId)
    }
    const delayedCounts = await recoverDelayedCounts(this.#store, this.#writes, (what) => {
      this.#report({ what, topic: '', queueId: 0 })
    }, this.#ahead)
    for (const topicId of delayedCounts.keys()) this.#topicIdMax = Math.max(this.#topicIdMax, topicId)
    const deletedTopicIds: number[] = []
    for await (const { key } of this.#all(keyKinds.deletedTopic)) deletedTopicIds.push(new KeyReader(key).u32())
    const header = await this.#openHeader(topicsById.keys(), deletedTopicIds)
    return {
      header,
      topics: [...topicsById.values()],
      groups,
      transactions,
      delayedCounts,
      damagedTopics,
      deletedTopicIds,
      damages: this.#damages,
      writes: this.#writes,
    }
  }

  #all(kind: KeyKind) {
    return readAll(this.#store, kindRange(kind), scanChunkBytes, undefined, this.#ahead.get(kind))
  }

  async #openHeader(topicIds: Iterable<number>, deletedTopicIds: readonly number[]): Promise<StoreHeader> {
    const [entry] = await this.#ahead.get(keyKinds.store) as readonly StoreEntry[]
    const found = entry && this.#decode(() => decodeStoreHeader(entry.value), 'store header', '')
    let topicIdMax = this.#topicIdMax
    for (const topicId of topicIds) topicIdMax = Math.max(topicIdMax, topicId)
    for (const topicId of deletedTopicIds) topicIdMax = Math.max(topicIdMax, topicId)
    const header = {
      // Where the count is lost, a random high one keeps old receipts from fitting.
      bootCount: found ? found.bootCount + 1 : entry ? 1 + (newEpoch(this.#random) % 1_000_000) : 1,
      topicIdNext: Math.max(found?.topicIdNext ?? 1, topicIdMax + 1),
    }
    this.#writes.push({ key: storeKey(), value: encodeStoreHeader(header) })
    return header
  }

  async #readQueues(topicsById: ReadonlyMap<number, OpenTopic>) {
    const states = new Map<string, QueueState>()
    for await (const { key, value } of this.#all(keyKinds.queueState)) {
      const reader = new KeyReader(key)
      const topicId = reader.u32()
      const queueId = reader.u16()
      this.#topicIdMax = Math.max(this.#topicIdMax, topicId)
      const topic = topicsById.get(topicId)?.name ?? ''
      const state = this.#decode(() => decodeQueueState(value), 'queue state', topic, queueId)
      if (state !== undefined) states.set(`${topicId}/${queueId}`, state)
    }
    const queues = [...topicsById.values()].flatMap((topic) =>
      Array.from({ length: topic.config.queueCount }, (_, queueId) => ({ topic, queueId })))
    for (let at = 0; at < queues.length; at += tailsReadAhead) {
      const some = queues.slice(at, at + tailsReadAhead)
      const tails = some.map(({ topic: { topicId }, queueId }) => this.#readTail(topicId, queueId))
      for (const [index, { topic, queueId }] of some.entries()) {
        const state = states.get(`${topic.topicId}/${queueId}`)
        topic.queues.push(await this.#recoverQueue(topic, queueId, state, await (tails[index] as ReadAhead)))
      }
    }
  }

  #readTail(topicId: number, queueId: number): ReadAhead {
    return readAhead(this.#store, { ...recordRange(topicId, queueId, 0), reverse: true }, tailBytesChecked, tailRecordsChecked)
  }

  /** Holds a queue's tail against its state. */
  async #recoverQueue(
    { name: topic, topicId, config }: OpenTopic, queueId: number, state: QueueState | undefined, tail: readonly StoreEntry[],
  ): Promise<QueueState> {
    const known = state ?? (await this.#rebuildState(topicId, queueId, mayHaveHoles(topic, config)))
    let lost = state === undefined && tail.length > 0
    let lastKept = -1
    for (const { key, value } of tail) {
      const lastOffset = lastOffsetOf(key)
      if (lastOffset >= known.maxOffset) {
        this.#log.info('torn-tail-cut', { topic, queueId, lastOffset })
        this.#writes.push({ key, value: null })
        continue
      }
      lastKept = Math.max(lastKept, lastOffset)
      try {
        RecordBatch.open(value)
      } catch {
        lost ||= lastOffset >= known.epochOffset
        this.#report({ what: 'record at the tail', topic, queueId, fromOffset: lastOffset, toOffset: lastOffset })
      }
    }
    const { recordsEnd } = known
    if (lastKept + 1 < recordsEnd && known.minOffset < recordsEnd) {
      lost ||= recordsEnd > known.epochOffset
      const fromOffset = Math.max(known.minOffset, lastKept + 1)
      this.#report({ what: 'messages missing at the tail', topic, queueId, fromOffset, toOffset: recordsEnd - 1 })
    }
    const recovered = lost ? { ...known, epoch: nextEpoch(known.epoch), epochOffset: known.maxOffset } : known
    if (lost || state === undefined) {
      this.#writes.push({ key: queueStateKey(topicId, queueId), value: encodeQueueState(recovered) })
    }
    return recovered
  }

  /** A queue's state out of its records, where the stored one is missing or damaged. */
  async #rebuildState(topicId: number, queueId: number, mayHaveHoles: boolean): Promise<QueueState> {
    const range = recordRange(topicId, queueId, 0)
    const fresh = emptyQueueState(this.#random)
    let last: RecordBatch | undefined
    let minOffset: number | undefined
    let maxOffset = 0
    let storedBytes = 0
    let removedCount = 0
    for await (const { key, value } of readAll(this.#store, range, scanChunkBytes)) {
      storedBytes += value.length
      const previousEnd = maxOffset
      // A damaged record takes its place too, so that its offsets are not given again. Readers will count it.
      maxOffset = lastOffsetOf(key) + 1
      try {
        last = RecordBatch.open(value)
        minOffset ??= last.baseOffset
        if (mayHaveHoles) removedCount += maxOffset - Math.max(previousEnd, minOffset) - last.messageCount
      } catch {
        minOffset ??= maxOffset - 1
      }
    }
    if (minOffset === undefined) return fresh
    const { epoch, storedMs } = last ?? { epoch: fresh.epoch, storedMs: 0 }
    return { ...fresh, epoch, minOffset, maxOffset, storedBytes, lastStoredMs: storedMs, recordsEnd: maxOffset, removedCount }
  }

  async #readProgress(topicsById: ReadonlyMap<number, OpenTopic>) {
    for await (const { key, value } of this.#all(keyKinds.progress)) {
      const reader = new KeyReader(key)
      const topic = topicsById.get(reader.u32())
      const queueId = reader.u16()
      const group = bytesToText(reader.rest())
      const queue = topic?.queues[queueId]
      if (topic === undefined || queue === undefined) continue
      const stored = this.#decode(() => decodeProgress(value), `progress of group '${group}'`, topic.name, queueId)
      const startOver: StoredProgress = { epoch: queue.epoch, cursor: queue.minOffset, leases: [], waits: [], locked: [] }
      if (stored === undefined) topic.progress.push({ group, queueId, stored: startOver })
      else if (stored.epoch === queue.epoch || isEpochBefore(stored.epoch, queue.epoch)) {
        const kept = { ...stored, epoch: queue.epoch }
        topic.progress.push({ group, queueId, stored: kept })
        // Written at once: by the next loss the epoch it had would be two back.
        if (stored.epoch !== queue.epoch) this.#writes.push({ key, value: encodeProgress(kept, this.#progressWriter) })
        if (stored.cursor > queue.maxOffset) topic.queues[queueId] = this.#reachingTo(stored.cursor, queue, topic, queueId)
      } else {
        this.#report({ what: `progress of group '${group}' is of another log`, topic: topic.name, queueId })
        topic.progress.push({ group, queueId, stored: startOver })
      }
    }
  }

  /** A rebuilt queue whose newest records are gone without a trace, but for a group that was given them. */
  #reachingTo(maxOffset: number, queue: QueueState, { name: topic, topicId }: TopicRecord & { name: string }, queueId: number) {
    const fromOffset = queue.maxOffset
    this.#report({ what: 'messages missing at the tail', topic, queueId, fromOffset, toOffset: maxOffset - 1 })
    const reaching = { ...queue, maxOffset, epochOffset: maxOffset, recordsEnd: maxOffset }
    this.#writes.push({ key: queueStateKey(topicId, queueId), value: encodeQueueState(reaching) })
    return reaching
  }

  async #readProducers(topicsById: ReadonlyMap<number, RecoveredTopic>) {
    for await (const { key, value } of this.#all(keyKinds.producer)) {
      const reader = new KeyReader(key)
      const topic = topicsById.get(reader.u32())
      if (topic === undefined) continue
      const state = this.#decode(() => decodeProducerState(value), 'producer state', topic.name)
      if (state !== undefined) topic.producers.push({ producerId: reader.raw(8), state })
    }
    for (const { producers } of topicsById.values()) producers.sort((left, right) => left.state.lastMs - right.state.lastMs)
  }

  async #readBroadcastPositions(topicsById: ReadonlyMap<number, RecoveredTopic>) {
    for await (const { key, value } of this.#all(keyKinds.broadcastPosition)) {
      const reader = new KeyReader(key)
      const topic = topicsById.get(reader.u32())
      const queueId = reader.u16()
      const group = bytesToText(reader.raw(reader.u8()))
      const consumerName = bytesToText(reader.raw(reader.u8()))
      if (topic === undefined || queueId >= topic.queues.length) continue
      const what = `position of consumer '${consumerName}' of group '${group}'`
      const state = this.#decode(() => decodeBroadcastPosition(value), what, topic.name, queueId)
      if (state !== undefined) topic.broadcastPositions.push({ queueId, group, consumerName, state })
    }
  }

  /** The value, or undefined and a report where it is damaged. */
  #decode<T>(decode: () => T, what: string, topic: string, queueId = 0): T | undefined {
    try {
      return decode()
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      this.#report({ what, topic, queueId })
      return undefined
    }
  }

  #report(damage: Damage): void {
    this.#damages.push(damage)
    this.#log.error('damage-found', { ...damage })
  }
}

/** A queue that holds nothing yet. */
export function emptyQueueState(random: Random): QueueState {
  return {
    epoch: newEpoch(random),
    minOffset: 0,
    maxOffset: 0,
    epochOffset: 0,
    storedBytes: 0,
    lastStoredMs: 0,
    recordsEnd: 0,
    removedCount: 0,
    compactedOffset: 0,
    tombstoneOffset: 0,
  }
}
