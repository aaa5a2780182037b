// The index service's entries: where a producer's batch went (to find a message by its id, and to answer a resend with
// its places), and where a key's messages are. Both are made from a record alone, so they go when the record goes.

import { ByteReader, ByteWriter } from '../bytes.ts'
import type { Limits } from '../limits.ts'
import type { StoreWrite } from '../ports/store.ts'
import { MessageScanner } from '../record/message-codec.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import { idIndexKey, keyIndexKey } from './keys.ts'

/** Value of an id index entry: which record holds (part of) the batch. */
export interface BatchPlace {
  readonly topicId: number
  readonly baseSequence: number
  readonly recordLastOffset: number
}

export function decodeBatchPlace(value: Uint8Array): BatchPlace {
  const reader = new ByteReader(value)
  return { topicId: reader.varint(), baseSequence: reader.varint(), recordLastOffset: reader.varint() }
}

export class MessageIndex {
  readonly #scanner: MessageScanner
  readonly #writer = new ByteWriter(32)

  constructor(limits: Limits) {
    this.#scanner = new MessageScanner(limits, 'stored')
  }

  /** Adds the id index entries of a record, or their removal. */
  indexIds(topicId: number, queueId: number, record: RecordBatch, writes: StoreWrite[], remove = false): void {
    for (let index = 0; index < record.sliceCount; index++) {
      const slice = record.sliceAt(index)
      const lastSequence = slice.baseSequence + slice.batchCount - 1
      const writer = this.#writer
      writer.varint(topicId)
      writer.varint(slice.baseSequence)
      writer.varint(record.lastOffset)
      writes.push({
        key: idIndexKey(slice.producerId, slice.producerEpoch, lastSequence, queueId),
        value: remove ? emptied(writer) : writer.finish(),
      })
    }
  }

  /** Adds one key index entry per key and message, or their removal. */
  indexKeys(topicId: number, queueId: number, record: RecordBatch, writes: StoreWrite[], remove = false): void {
    const scanner = this.#scanner
    scanner.reset(record.bytes, record.messageStart(0), record.bytes.length)
    for (let index = 0; index < record.messageCount; index++) {
      scanner.next()
      for (const keyHash of scanner.keyHashes) {
        writes.push({
          key: keyIndexKey(topicId, keyHash, record.storedMs, queueId, record.offsetAt(index)),
          value: remove ? null : noValue,
        })
      }
    }
  }
}

const noValue = new Uint8Array(0)

function emptied(writer: ByteWriter): null {
  writer.finish()
  return null
}
