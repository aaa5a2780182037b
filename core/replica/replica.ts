// A copy of topics that someone follows: applies changes as they come, in the layout of the relay's own store, so that
// what it holds is what the relay holds. Where it stands is read from what it holds; nothing else is kept.

import { bytesToText } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import type { Position } from '../model/position.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import type { Change } from '../protocol/frames.ts'
import { RecordBatch } from '../record/record-batch.ts'
import { decodeQueueState, decodeTopic } from '../storage/catalog.ts'
import {
  groupKey, KeyReader, keyKinds, kindRange, progressKey, queueStateKey, recordKey, recordRange, topicKey, topicRange,
} from '../storage/keys.ts'
import { compareKeys } from '../storage/ordered-map.ts'
import { lastOffsetOf } from '../storage/queue-log.ts'
import { commitAlone, readAll, readRange } from '../storage/reads.ts'

const chunkBytes = 1 << 20
/** Kinds of keys that begin with a topic's id, of those a replica has. */
const kindsOfTopics = [keyKinds.queueState, keyKinds.record, keyKinds.progress] as const

interface CopiedQueue {
  epoch: number
  minOffset: number
  /** Where it goes on. */
  offset: number
}

interface CopiedTopic {
  readonly topicId: number
  readonly queues: Map<number, CopiedQueue>
}

export class Replica {
  readonly #store: Store
  readonly #topics = new Map<string, CopiedTopic>()

  private constructor(store: Store) {
    this.#store = store
  }

  /** Goes on with what a store holds. Throws RECORD_DAMAGED where its configuration can't be read. */
  static async open(store: Store): Promise<Replica> {
    const replica = new Replica(store)
    for await (const { key, value } of readAll(store, kindRange(keyKinds.topic), chunkBytes)) {
      const { topicId } = decodeTopic(value)
      const copied: CopiedTopic = { topicId, queues: new Map() }
      replica.#topics.set(bytesToText(key.subarray(1)), copied)
      for await (const state of readAll(store, topicRange(keyKinds.queueState, topicId), chunkBytes)) {
        const reader = new KeyReader(state.key)
        reader.u32()
        const queueId = reader.u16()
        const { epoch, minOffset } = decodeQueueState(state.value)
        const [last] = await readRange(store, { ...recordRange(topicId, queueId, 0), reverse: true, countMax: 1 })
        copied.queues.set(queueId, { epoch, minOffset, offset: last === undefined ? minOffset : lastOffsetOf(last.key) + 1 })
      }
    }
    return replica
  }

  /** Where to follow on from, by topic and queue. */
  positions(): ReadonlyMap<string, ReadonlyMap<number, Position>> {
    return new Map([...this.#topics].map(([name, { queues }]) => {
      return [name, new Map([...queues].map(([queueId, { epoch, offset }]) => [queueId, { epoch, offset }]))]
    }))
  }

  /**
   * Applies changes that came together, in one commit. One call at a time. Throws RECORD_DAMAGED, before anything is
   * written, for a record that fails its checksum, and STORE_FAILED or STORE_FULL as the store says.
   */
  async apply(changes: readonly Change[]): Promise<void> {
    const writes: StoreWrite[] = []
    for (const change of changes) await this.#apply(change, writes)
    if (writes.length > 0) await commitAlone(this.#store, writes)
  }

  async #apply({ kind, topic, queueId, offset, group, value }: Change, writes: StoreWrite[]): Promise<void> {
    switch (kind) {
      case 'topic': {
        const { topicId } = decodeTopic(value)
        const known = this.#topics.get(topic)
        if (known !== undefined && known.topicId !== topicId) await this.#forget(topic, known, writes)
        if (known?.topicId !== topicId) this.#topics.set(topic, { topicId, queues: new Map() })
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
        const known = queues.get(queueId) ?? { epoch, minOffset: 0, offset: Infinity }
        // What was deleted before the log's begin; what the log does not have any more, or has anew.
        if (minOffset > known.minOffset) await this.#deleteRecords(topicId, queueId, 0, minOffset, writes)
        if (offset < known.offset) await this.#deleteRecords(topicId, queueId, offset, Infinity, writes)
        writes.push({ key: queueStateKey(topicId, queueId), value })
        queues.set(queueId, { epoch, minOffset, offset: Math.max(minOffset, Math.min(known.offset, offset)) })
        return
      }
      case 'record': {
        const record = RecordBatch.open(value)
        writes.push({ key: recordKey(topicId, queueId, offset), value })
        const queue = queues.get(queueId)
        if (queue === undefined) throw new PocketError('BAD_FRAME', `a record of queue ${queueId} of '${topic}' before its log`)
        if (record.lastOffset !== offset) throw new PocketError('RECORD_DAMAGED', 'a record is not at its own offset')
        queue.offset = Math.max(queue.offset, offset + 1)
        return
      }
      case 'record-deleted':
        writes.push({ key: recordKey(topicId, queueId, offset), value: null })
        return
      case 'progress':
        writes.push({ key: progressKey(topicId, queueId, group), value })
        return
      case 'progress-deleted':
        writes.push({ key: progressKey(topicId, queueId, group), value: null })
    }
  }

  /** Deletes records that end in `[from, to)`, those that the same changes brought among them. */
  async #deleteRecords(topicId: number, queueId: number, from: number, to: number, writes: StoreWrite[]): Promise<void> {
    if (from >= to) return
    const range = { ...recordRange(topicId, queueId, from) }
    if (to !== Infinity) range.to = recordKey(topicId, queueId, to)
    for await (const { key } of readAll(this.#store, range, chunkBytes)) writes.push({ key, value: null })
    for (const { key, value } of [...writes]) {
      if (value === null || !isWithin(key, range)) continue
      writes.push({ key, value: null })
    }
  }

  async #forget(topic: string, { topicId }: CopiedTopic, writes: StoreWrite[]): Promise<void> {
    this.#topics.delete(topic)
    writes.push({ key: topicKey(topic), value: null })
    for (const kind of kindsOfTopics) {
      const range = topicRange(kind, topicId)
      for await (const { key } of readAll(this.#store, range, chunkBytes)) writes.push({ key, value: null })
      for (const { key, value } of [...writes]) if (value !== null && isWithin(key, range)) writes.push({ key, value: null })
    }
  }
}

function isWithin(key: Uint8Array, { from, to }: { readonly from: Uint8Array; readonly to: Uint8Array }): boolean {
  return compareKeys(key, from) >= 0 && compareKeys(key, to) < 0
}
