// What may be forgotten, and when: records older than the topic's time, and the oldest while a queue is over its share
// of the topic's size. Also the data of deleted topics. It reads and says what to delete; the broker's turn commits it.

import type { Store, StoreWrite } from '../ports/store.ts'
import type { TopicConfig } from '../model/topic.ts'
import { RecordBatch } from '../record/record-batch.ts'
import { deletedTopicKey, KeyReader, keyKinds, recordRange, topicRange } from './keys.ts'
import { idKeysOf, type MessageIndex } from './message-index.ts'
import { lastOffsetOf, type QueueLog } from './queue-log.ts'
import { readChunks, readRange } from './reads.ts'

/** One commit removes about so much at most. */
const chunkBytes = 4 << 20
const chunkCount = 512
const writeCountMax = 16_384

export interface Trim {
  readonly writes: StoreWrite[]
  /** Offsets up to here go; -1 where nothing does. */
  readonly lastOffset: number
  readonly byteCount: number
  readonly messageCount: number
  readonly recordCount: number
  /** Whether there may be more to trim. */
  readonly more: boolean
}

/** The oldest records of a queue that its topic's configuration no longer keeps, one chunk of them. */
export async function findExpired(
  store: Store, index: MessageIndex, log: QueueLog, config: TopicConfig, nowMs: number,
): Promise<Trim> {
  const bytesMax = config.retentionBytes > 0 ? Math.floor(config.retentionBytes / config.queueCount) : Infinity
  const beforeMs = config.retentionMs > 0 ? nowMs - config.retentionMs : -Infinity
  const writes: StoreWrite[] = []
  let lastOffset = -1
  let byteCount = 0
  let messageCount = 0
  let recordCount = 0
  // A damaged record tells no time: by age it goes only together with a younger whole one.
  let damaged: { key: Uint8Array; size: number }[] = []
  // The newest record stays, so that a quiet topic's offsets and times remain readable.
  const isNewest = (offset: number) => offset + 1 >= log.recordsEnd
  const isEmpty = log.minOffset >= log.maxOffset
  const isWithinSize = log.storedBytes <= bytesMax
  // A sweep over many quiet queues reads nothing: the head's time was seen before.
  if (isEmpty || (isWithinSize && log.headStoredMs !== undefined && log.headStoredMs >= beforeMs)) {
    return { writes, lastOffset, byteCount, messageCount, recordCount, more: false }
  }
  const { from, to } = recordRange(log.topicId, log.queueId, log.minOffset)
  // The first alone, as it is most often too young, and all of a chunk must be copied and checked.
  const isYoung = async () => {
    const [head] = await readRange(store, { from, to, countMax: 1 })
    const record = head && openOrUndefined(head.value)
    if (record === undefined || record.storedMs < beforeMs) return false
    log.headStoredMs = record.storedMs
    return true
  }
  if (isWithinSize && (await isYoung())) return { writes, lastOffset, byteCount, messageCount, recordCount, more: false }
  for await (const entries of readChunks(store, { from, to }, chunkBytes)) {
    for (const { key, value } of entries) {
      const offset = lastOffsetOf(key)
      const record = openOrUndefined(value)
      const isOver = log.storedBytes - byteCount > bytesMax
      if (record === undefined) {
        damaged.push({ key, size: value.length })
        // What is too much needs no time told; so no whole record goes in its place.
        if (isNewest(offset) || !isOver) continue
      } else if (isNewest(offset) || !(record.storedMs < beforeMs || isOver)) {
        log.headStoredMs = record.storedMs
        return { writes, lastOffset, byteCount, messageCount, recordCount, more: false }
      }
      for (const { key: damagedKey, size } of damaged) {
        writes.push({ key: damagedKey, value: null })
        byteCount += size
      }
      damaged = []
      lastOffset = offset
      recordCount++
      if (record !== undefined) {
        writes.push({ key, value: null })
        index.indexIds(log.topicId, log.queueId, record, writes, true)
        index.indexKeys(log.topicId, log.queueId, record, writes, true)
        messageCount += record.messageCount
        byteCount += value.length
      }
      if (recordCount >= chunkCount || byteCount >= chunkBytes || writes.length >= writeCountMax) {
        return { writes, lastOffset, byteCount, messageCount, recordCount, more: true }
      }
    }
  }
  return { writes, lastOffset, byteCount, messageCount, recordCount, more: false }
}

/** One chunk of what is left of a deleted topic. The last chunk removes the reminder of it. */
export async function findOrphans(store: Store, topicId: number): Promise<{ writes: StoreWrite[]; more: boolean }> {
  const writes: StoreWrite[] = []
  const kinds = [
    keyKinds.record, keyKinds.keyIndex, keyKinds.queueState, keyKinds.progress, keyKinds.producer, keyKinds.broadcastPosition,
  ] as const
  for (const kind of kinds) {
    const entries = await readRange(store, { ...topicRange(kind, topicId), bytesMax: chunkBytes, countMax: chunkCount })
    for (const { key, value } of entries) {
      writes.push({ key, value: null })
      if (kind === keyKinds.record) removeIds(key, value, writes)
    }
    if (entries.length > 0) return { writes, more: true }
  }
  writes.push({ key: deletedTopicKey(topicId), value: null })
  return { writes, more: false }
}

function removeIds(key: Uint8Array, value: Uint8Array, writes: StoreWrite[]): void {
  const reader = new KeyReader(key)
  const topicId = reader.u32()
  const queueId = reader.u16()
  const record = openOrUndefined(value)
  // The index entries of a damaged record stay and lead nowhere, which a query sees.
  if (record === undefined) return
  for (let index = 0; index < record.sliceCount; index++) {
    for (const idKey of idKeysOf(topicId, queueId, record, record.sliceAt(index))) writes.push({ key: idKey, value: null })
  }
}

function openOrUndefined(value: Uint8Array): RecordBatch | undefined {
  try {
    return RecordBatch.open(value)
  } catch {
    return undefined
  }
}
