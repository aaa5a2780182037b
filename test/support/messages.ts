// Messages and record slices for tests: arbitrary ones for properties, and the walk from encoded messages to the slices
// a broker makes of them.

import fc from 'fast-check'
import { ByteWriter } from '../../core/bytes.ts'
import { hash32 } from '../../core/hash.ts'
import { defaultLimits, fixedLimits } from '../../core/limits.ts'
import type { MessageHeaders } from '../../core/model/message.ts'
import { encodeMessage, MessageScanner } from '../../core/record/message-codec.ts'
import { encodeRecordBatch, RecordBatch, type RecordHead, type RecordSlice } from '../../core/record/record-batch.ts'

export interface SampleMessage {
  readonly headers: MessageHeaders
  readonly body: Uint8Array
}

const word = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'B', '7', '-', '_'), minLength: 1, maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('ä', '€', '😀', 'x'), minLength: 1, maxLength: 6 }),
)

/** Headers as a client may send them; of texts well inside the bounds. */
export const someHeaders: fc.Arbitrary<MessageHeaders> = fc.record(
  {
    bornMs: fc.oneof(fc.nat(), fc.constant(1_795_000_000_000), fc.maxSafeNat()),
    tag: word,
    keys: fc.array(word, { minLength: 1, maxLength: 4 }),
    messageGroup: word,
    properties: fc.array(fc.tuple(word, fc.string({ maxLength: 30 })), { minLength: 1, maxLength: 4 })
      .map((pairs) => new Map(pairs)),
    delay: fc.oneof(
      fc.record({ delayMs: fc.nat(fixedLimits.delayMsMax) }),
      fc.record({ deliverMs: fc.oneof(fc.nat(), fc.constant(1_795_000_060_000), fc.maxSafeNat()) }),
    ),
    priority: fc.nat(fixedLimits.priorityMax),
    ttlMs: fc.integer({ min: 1, max: fixedLimits.ttlMsMax }),
  },
  { requiredKeys: ['bornMs'] },
).map(({ delay, ...headers }) => ({ ...headers, ...delay }))

export const someMessage: fc.Arbitrary<SampleMessage> = fc.record({
  headers: someHeaders,
  body: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 100, maxLength: 300 })),
})

/** The messages of a producer's batch as they stand in a PUBLISH frame. */
export function encodeMessages(messages: readonly SampleMessage[]): Uint8Array {
  const writer = new ByteWriter()
  const scratch = new ByteWriter()
  messages.forEach(({ headers, body }, index) => encodeMessage(writer, scratch, index, headers, body))
  return writer.finish()
}

/** A batch of one producer, of which the messages at `indexes` went to one queue. */
export interface SampleBatch {
  readonly producerId: Uint8Array
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly messages: readonly SampleMessage[]
  readonly indexes: readonly number[]
}

export const someBatch: fc.Arbitrary<SampleBatch> = fc.record({
  producerId: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  producerEpoch: fc.nat(0xffff_ffff),
  baseSequence: fc.oneof(fc.nat(), fc.constant(2 ** 53 - 10_000)),
  messages: fc.array(someMessage, { minLength: 1, maxLength: 8 }),
}).chain((batch) =>
  fc.subarray(batch.messages.map((_, index) => index), { minLength: 1 }).map((indexes) => ({ ...batch, indexes })))

/** The slice that a broker makes of a batch. */
export function sliceOf(batch: SampleBatch, isFifo: boolean): RecordSlice {
  const source = encodeMessages(batch.messages)
  const scanner = new MessageScanner(defaultLimits)
  scanner.reset(source, 0, source.length)
  const places = batch.messages.map(() => {
    scanner.next()
    const { start, end, tagHash, messageGroupHash, ttlMs } = scanner
    return { start, end, tagHash, messageGroupHash, ttlMs }
  })
  const chosen = batch.indexes.map((index) => places[index] as (typeof places)[number])
  return {
    producerId: batch.producerId,
    producerEpoch: batch.producerEpoch,
    baseSequence: batch.baseSequence,
    batchCount: batch.messages.length,
    source,
    starts: chosen.map(({ start }) => start),
    ends: chosen.map(({ end }) => end),
    tagHashes: chosen.map(({ tagHash }) => tagHash),
    groupHashes: isFifo ? chosen.map(({ messageGroupHash }) => messageGroupHash) : undefined,
    ttls: chosen.some(({ ttlMs }) => ttlMs > 0) ? chosen.map(({ ttlMs }) => ttlMs) : undefined,
  }
}

/** What a record should say of each of its messages, in order. */
export interface ExpectedMessage extends SampleMessage {
  readonly messageId: string
  readonly tagHash: number
  readonly groupHash: number
  readonly ttlMs: number
  readonly slice: number
}

export interface SampleRecord {
  readonly head: RecordHead
  readonly isFifo: boolean
  readonly bytes: Uint8Array
  readonly batch: RecordBatch
  readonly expected: readonly ExpectedMessage[]
}

export const someRecord: fc.Arbitrary<SampleRecord> = fc.record({
  head: fc.record({
    epoch: fc.nat(0xffff_ffff),
    baseOffset: fc.oneof(fc.nat(), fc.constant(2 ** 53 - 10_000)),
    storedMs: fc.maxSafeNat(),
  }),
  isFifo: fc.boolean(),
  batches: fc.array(someBatch, { minLength: 1, maxLength: 5 }),
}).map(({ head, isFifo, batches }) => {
  const bytes = encodeRecordBatch(head, batches.map((batch) => sliceOf(batch, isFifo)))
  const expected = batches.flatMap((batch, slice) =>
    batch.indexes.map((index) => {
      const message = batch.messages[index] as SampleMessage
      const producerId = Buffer.from(batch.producerId).toString('hex')
      return {
        ...message,
        messageId: `${producerId}-${batch.producerEpoch}-${batch.baseSequence + index}`,
        tagHash: hashOf(message.headers.tag),
        groupHash: isFifo ? hashOf(message.headers.messageGroup) : 0,
        ttlMs: message.headers.ttlMs ?? 0,
        slice,
      }
    }))
  return { head, isFifo, bytes, batch: RecordBatch.open(bytes), expected }
})

function hashOf(text: string | undefined): number {
  return text === undefined ? 0 : hash32(Buffer.from(text))
}
