// The map of the disk: every persisted key, with its value. Kinds are frozen: add, never reuse. Numbers in keys are
// big-endian, so that byte order is number order.
//
//   1                                               store: format version, boot count
//   2  topic name                                   topic: id, configuration (catalog.ts)
//   3  group name                                   group: configuration (catalog.ts)
//   4  topic id, queue id                           queue state: epoch, offsets, size (queue-state.ts)
//   5  topic id, queue id, last offset              record batch (record/record-batch.ts); by last offset, so that one
//                                                   forward read from any offset starts at the record that holds it
//   6  topic id, queue id, group name               progress of a group in a queue (progress.ts)
//   7  topic id, producer id                        idempotent producer: epoch, last sequence (producer-state.ts)
//   8  producer id, epoch, last sequence, topic id, queue id
//                                                   id index: a producer batch's place (message-index.ts)
//   9  topic id, key hash, stored time, queue, offset  key index; no value
//   10 topic id                                     a deleted topic whose data is not all gone yet
//   11 due time, producer id, epoch, sequence, topic id  a delayed message (delayed.ts), in the order they are due
//   12 producer id, epoch, sequence, topic id, due time  a message with a time of delivery, by its id; no value; it goes
//                                                   when the message goes (delayed.ts)
//   13 transaction number, part, transaction id     a part of a transaction that is not ended (half-messages.ts); by
//                                                   number first, as ids are random and would touch a page each
//   14 transaction number, part                     the messages of that part, where they are large
//   15 topic id, queue id, size and group name, size and consumer name
//                                                   where a BROADCASTING consumer stands (catalog.ts)
//   16 number                                       transactions that ended in one turn, in the order they did
//   17 topic id                                     how many of its delayed messages wait
//   18 producer id, epoch, sequence, topic id, queue id  id index of what came late; value as of kind 8
//   19 lane number                                  a producer whose messages go through a device's outbox (outbox-values.ts)
//   20 batch number                                 messages in the outbox, in the order they were stored (outbox-values.ts)
//   21 topic name                                   from where on a copy has the queues of a topic (copied-topic.ts)

import { assert } from '../assert.ts'
import { textToBytes } from '../bytes.ts'

const twoTo32 = 4_294_967_296

export const keyKinds = {
  store: 1,
  topic: 2,
  group: 3,
  queueState: 4,
  record: 5,
  progress: 6,
  producer: 7,
  idIndex: 8,
  keyIndex: 9,
  deletedTopic: 10,
  delayed: 11,
  dueTime: 12,
  transactionPart: 13,
  halfMessages: 14,
  broadcastPosition: 15,
  endedTransactions: 16,
  delayedCount: 17,
  lateIndex: 18,
  outboxLane: 19,
  outboxBatch: 20,
  copiedTopic: 21,
} as const

export type KeyKind = (typeof keyKinds)[keyof typeof keyKinds]

/** Writes big-endian numbers behind a kind. Byte by byte: a DataView costs more than a whole key. */
class KeyWriter {
  readonly bytes: Uint8Array
  #position = 1

  constructor(kind: KeyKind, size: number) {
    this.bytes = new Uint8Array(1 + size)
    this.bytes[0] = kind
  }

  u8(value: number): this {
    this.bytes[this.#position++] = value
    return this
  }

  u16(value: number): this {
    this.bytes[this.#position++] = value >>> 8
    this.bytes[this.#position++] = value
    return this
  }

  u32(value: number): this {
    this.bytes[this.#position++] = value >>> 24
    this.bytes[this.#position++] = value >>> 16
    return this.u16(value)
  }

  u53(value: number): this {
    return this.u32(Math.floor(value / twoTo32)).u32(value % twoTo32)
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#position)
    this.#position += bytes.length
    return this
  }
}

export function storeKey(): Uint8Array {
  return new KeyWriter(keyKinds.store, 0).bytes
}

export function topicKey(topic: string): Uint8Array {
  return nameKey(keyKinds.topic, topic)
}

export function groupKey(group: string): Uint8Array {
  return nameKey(keyKinds.group, group)
}

function nameKey(kind: KeyKind, name: string): Uint8Array {
  const bytes = textToBytes(name)
  return new KeyWriter(kind, bytes.length).raw(bytes).bytes
}

export function queueStateKey(topicId: number, queueId: number): Uint8Array {
  return new KeyWriter(keyKinds.queueState, 6).u32(topicId).u16(queueId).bytes
}

export function recordKey(topicId: number, queueId: number, lastOffset: number): Uint8Array {
  return new KeyWriter(keyKinds.record, 14).u32(topicId).u16(queueId).u53(lastOffset).bytes
}

export function progressKey(topicId: number, queueId: number, group: string): Uint8Array {
  const name = textToBytes(group)
  return new KeyWriter(keyKinds.progress, 6 + name.length).u32(topicId).u16(queueId).raw(name).bytes
}

export function producerKey(topicId: number, producerId: Uint8Array): Uint8Array {
  return new KeyWriter(keyKinds.producer, 12).u32(topicId).raw(producerId).bytes
}

export function idIndexKey(
  producerId: Uint8Array, producerEpoch: number, lastSequence: number, topicId: number, queueId: number,
): Uint8Array {
  return new KeyWriter(keyKinds.idIndex, 26).raw(producerId).u32(producerEpoch).u53(lastSequence).u32(topicId).u16(queueId).bytes
}

export function keyIndexKey(
  topicId: number, keyHash: number, storedMs: number, queueId: number, offset: number,
): Uint8Array {
  return new KeyWriter(keyKinds.keyIndex, 26).u32(topicId).u32(keyHash).u53(storedMs).u16(queueId).u53(offset).bytes
}

export function deletedTopicKey(topicId: number): Uint8Array {
  return new KeyWriter(keyKinds.deletedTopic, 4).u32(topicId).bytes
}

export function transactionPartKey(number: number, part: number, transactionId: Uint8Array): Uint8Array {
  return new KeyWriter(keyKinds.transactionPart, 20).u53(number).u32(part).raw(transactionId).bytes
}

export function halfMessagesKey(number: number, part: number): Uint8Array {
  return new KeyWriter(keyKinds.halfMessages, 12).u53(number).u32(part).bytes
}

/** The first `partCount` parts of a transaction. */
export function transactionPartRange(number: number, partCount: number): { from: Uint8Array; to: Uint8Array } {
  const before = (part: number) => new KeyWriter(keyKinds.transactionPart, 12).u53(number).u32(part).bytes
  return { from: before(0), to: before(partCount) }
}

export function halfMessagesRange(number: number, partCount: number): { from: Uint8Array; to: Uint8Array } {
  return { from: halfMessagesKey(number, 0), to: halfMessagesKey(number, partCount) }
}

export function endedTransactionsKey(number: number): Uint8Array {
  return new KeyWriter(keyKinds.endedTransactions, 8).u53(number).bytes
}

export function delayedKey(
  deliverMs: number, producerId: Uint8Array, producerEpoch: number, sequence: number, topicId: number,
): Uint8Array {
  return new KeyWriter(keyKinds.delayed, 32).u53(deliverMs).raw(producerId).u32(producerEpoch).u53(sequence)
    .u32(topicId).bytes
}

export function dueTimeKey(
  producerId: Uint8Array, producerEpoch: number, sequence: number, topicId: number, deliverMs: number,
): Uint8Array {
  return new KeyWriter(keyKinds.dueTime, 32).raw(producerId).u32(producerEpoch).u53(sequence).u32(topicId)
    .u53(deliverMs).bytes
}

export function delayedCountKey(topicId: number): Uint8Array {
  return new KeyWriter(keyKinds.delayedCount, 4).u32(topicId).bytes
}

export function lateIndexKey(
  producerId: Uint8Array, producerEpoch: number, sequence: number, topicId: number, queueId: number,
): Uint8Array {
  return new KeyWriter(keyKinds.lateIndex, 26).raw(producerId).u32(producerEpoch).u53(sequence).u32(topicId)
    .u16(queueId).bytes
}

export function broadcastPositionKey(topicId: number, queueId: number, group: string, consumerName: string): Uint8Array {
  const [groupBytes, nameBytes] = [textToBytes(group), textToBytes(consumerName)]
  return new KeyWriter(keyKinds.broadcastPosition, 8 + groupBytes.length + nameBytes.length).u32(topicId).u16(queueId)
    .u8(groupBytes.length).raw(groupBytes).u8(nameBytes.length).raw(nameBytes).bytes
}

export function outboxLaneKey(laneNumber: number): Uint8Array {
  return new KeyWriter(keyKinds.outboxLane, 8).u53(laneNumber).bytes
}

export function outboxBatchKey(batchNumber: number): Uint8Array {
  return new KeyWriter(keyKinds.outboxBatch, 8).u53(batchNumber).bytes
}

export function copiedTopicKey(topic: string): Uint8Array {
  return nameKey(keyKinds.copiedTopic, topic)
}

/** Every key of a kind: `[from, to)`. */
export function kindRange(kind: KeyKind): { from: Uint8Array; to: Uint8Array } {
  return { from: Uint8Array.of(kind), to: Uint8Array.of(kind + 1) }
}

/** Every key of a kind that begins with a topic's id. */
export function topicRange(kind: KeyKind, topicId: number): { from: Uint8Array; to: Uint8Array } {
  return { from: new KeyWriter(kind, 4).u32(topicId).bytes, to: afterPrefix(new KeyWriter(kind, 4).u32(topicId).bytes) }
}

/** Records of a queue that hold `offset` or later ones. */
export function recordRange(topicId: number, queueId: number, offset: number): { from: Uint8Array; to: Uint8Array } {
  const prefix = new KeyWriter(keyKinds.record, 6).u32(topicId).u16(queueId).bytes
  return { from: recordKey(topicId, queueId, offset), to: afterPrefix(prefix) }
}

/** Batches of a producer's epoch that end at `sequence` or later. */
export function idIndexRange(
  producerId: Uint8Array, producerEpoch: number, sequence: number,
): { from: Uint8Array; to: Uint8Array } {
  const prefix = new KeyWriter(keyKinds.idIndex, 12).raw(producerId).u32(producerEpoch).bytes
  return { from: idIndexKey(producerId, producerEpoch, sequence, 0, 0), to: afterPrefix(prefix) }
}

/** Due times of a producer's messages with sequences in `[first, last]`. */
export function dueTimeRange(
  producerId: Uint8Array, producerEpoch: number, first: number, last: number,
): { from: Uint8Array; to: Uint8Array } {
  const end = dueTimeKey(producerId, producerEpoch, last, 0xffff_ffff, Number.MAX_SAFE_INTEGER)
  return { from: dueTimeKey(producerId, producerEpoch, first, 0, 0), to: keyAfter(end) }
}

/** Places of a producer's messages that came late, with sequences in `[first, last]`. */
export function lateIndexRange(
  producerId: Uint8Array, producerEpoch: number, first: number, last: number,
): { from: Uint8Array; to: Uint8Array } {
  const end = lateIndexKey(producerId, producerEpoch, last, 0xffff_ffff, 0xffff)
  return { from: lateIndexKey(producerId, producerEpoch, first, 0, 0), to: keyAfter(end) }
}

/** Messages of a topic with a key's hash, stored in `[fromMs, toMs)`; of those stored at `fromMs` only what is behind `after`. */
export function keyIndexRange(
  topicId: number, keyHash: number, fromMs: number, toMs: number,
  after?: { readonly queueId: number; readonly offset: number },
): { from: Uint8Array; to: Uint8Array } {
  const from = after === undefined
    ? keyIndexKey(topicId, keyHash, fromMs, 0, 0)
    : keyAfter(keyIndexKey(topicId, keyHash, fromMs, after.queueId, after.offset))
  return { from, to: keyIndexKey(topicId, keyHash, toMs, 0, 0) }
}

/** The smallest key after `key`: the same with a zero byte behind it. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

/** The first key after every key that begins with `prefix`. */
function afterPrefix(prefix: Uint8Array): Uint8Array {
  const next = prefix.slice()
  for (let index = next.length - 1; index >= 0; index--) {
    const byte = next[index] as number
    if (byte < 0xff) {
      next[index] = byte + 1
      return next.subarray(0, index + 1)
    }
  }
  return Uint8Array.of(0xff)
}

/** Reads the numbers of a key back, in the order they were written. */
export class KeyReader {
  readonly #bytes: Uint8Array
  #position = 1

  constructor(key: Uint8Array) {
    this.#bytes = key
  }

  u8(): number {
    assert(this.#position < this.#bytes.length, 'a key is long enough')
    return this.#bytes[this.#position++] as number
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8()
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16()
  }

  u53(): number {
    return this.u32() * twoTo32 + this.u32()
  }

  raw(count: number): Uint8Array {
    this.#position += count
    return this.#bytes.subarray(this.#position - count, this.#position)
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#position)
  }
}
