// Records as a relay delivers them, from a few words.

import { ByteWriter, textToBytes } from '../../../core/bytes.ts'
import { noTagHash, tagHashOf } from '../../../core/model/filter.ts'
import type { MessageHeaders } from '../../../core/model/message.ts'
import type { FrameFields } from '../../../core/protocol/frames.ts'
import { encodeMessage } from '../../../core/record/message-codec.ts'
import { encodeRecordBatch, producerIdToBytes, RecordBatch, selectFromRecord } from '../../../core/record/record-batch.ts'

export interface RecordOptions {
  readonly baseOffset?: number
  readonly epoch?: number
  readonly storedMs?: number
  /** Sixteen hex digits. */
  readonly producerId?: string
  readonly producerEpoch?: number
  readonly baseSequence?: number
  /** Headers per message; a born time is added. */
  readonly headers?: readonly Partial<MessageHeaders>[]
  /** Stored under these hashes of tags instead of the right ones. */
  readonly tagHashes?: readonly number[]
  /** Only the messages at these indexes, as a filter leaves them. */
  readonly only?: readonly number[]
}

export function recordOf(bodies: readonly string[], options: RecordOptions = {}): Uint8Array {
  const { baseOffset = 0, epoch = 1, storedMs = 2_000, headers = [], only } = options
  const { producerId = '0102030405060708', producerEpoch = 3, baseSequence = 10 } = options
  const writer = new ByteWriter()
  const scratch = new ByteWriter()
  const starts: number[] = []
  const ends: number[] = []
  const tagHashes: number[] = []
  bodies.forEach((body, index) => {
    const own = headers[index] ?? {}
    starts.push(writer.length)
    encodeMessage(writer, scratch, index, { bornMs: 1_000, ...own }, textToBytes(body))
    ends.push(writer.length)
    tagHashes.push(options.tagHashes?.[index] ?? (own.tag === undefined ? noTagHash : tagHashOf(own.tag)))
  })
  const bytes = encodeRecordBatch({ epoch, baseOffset, storedMs }, [{
    producerId: producerIdToBytes(producerId),
    producerEpoch,
    baseSequence,
    batchCount: bodies.length,
    source: writer.finish(),
    starts,
    ends,
    tagHashes,
    groupHashes: undefined,
    ttls: undefined,
  }])
  return only === undefined ? bytes : selectFromRecord(RecordBatch.view(bytes), only)
}

export interface DeliverOptions extends RecordOptions {
  readonly subscriptionId?: number
  readonly queueId?: number
  readonly leaseId?: number
  readonly attempt?: number
  readonly leaseMs?: number
}

let leaseIdNext = 1

/** A DELIVER frame; a lease of its own unless `leaseId` says otherwise. */
export function deliverOf(bodies: readonly string[], options: DeliverOptions = {}): FrameFields<'DELIVER'> {
  const { subscriptionId = 1, queueId = 0, leaseId = leaseIdNext++, attempt = 1, leaseMs = 60_000 } = options
  const { baseOffset = 0, epoch = 1 } = options
  return {
    subscriptionId,
    queueId,
    leaseId,
    attempt: leaseId === 0 ? 0 : attempt,
    leaseMs,
    next: { epoch, offset: baseOffset + bodies.length },
    record: bodies.length === 0 ? new Uint8Array(0) : recordOf(bodies, options),
  }
}
