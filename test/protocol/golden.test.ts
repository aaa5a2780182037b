// What a release sent and stored is read by every later one, and written in the same bytes.

import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../core/bytes.ts'
import { encodeFrame } from '../../core/protocol/codec.ts'
import type { FrameFields, FrameName } from '../../core/protocol/frames.ts'
import { decodeMessage, encodeMessage } from '../../core/record/message-codec.ts'
import { encodeRecordBatch, RecordBatch, selectFromRecord } from '../../core/record/record-batch.ts'
import { sliceOf } from '../support/messages.ts'
import { decodeAny, frameSpecs } from '../support/frames.ts'
import { fromHex, goldenExpiringRecord, goldenFrames, goldenMessages, goldenRecord, toHex } from './golden.ts'

const frames = frameSpecs.map((spec) => [spec.name, spec] as const)

describe('the golden bytes', () => {
  test.each(frames)('of %s are written', (name) => {
    const { fields, hex } = goldenFrames[name]
    expect(toHex(encodeFrame(name, fields as FrameFields<FrameName>))).toBe(toHex(fromHex(hex)))
  })

  test.each(frames)('of %s are read', (name, { direction }) => {
    const { fields, hex } = goldenFrames[name]
    expect(decodeAny(direction, fromHex(hex))).toEqual([{ ...fields, name }])
  })

  const messages = goldenMessages.map((message, index) => [index, message] as const)

  test.each(messages)('of message %d are written and read', (index, { headers, body, hex }) => {
    const writer = new ByteWriter()
    encodeMessage(writer, new ByteWriter(), index, headers, body)
    expect(toHex(writer.finish())).toBe(toHex(fromHex(hex)))
    expect(decodeMessage(fromHex(hex), 0, fromHex(hex).length)).toEqual({ headers, sequenceDelta: index, body })
  })

  const bornMs = 1_795_000_000_000
  const storedMs = bornMs + 123
  const firstBatch = {
    producerId: fromHex('a1b2c3d4e5f60718'),
    producerEpoch: 1,
    baseSequence: 70_000,
    messages: [
      { headers: { bornMs, messageGroup: 'customer-1' }, body: fromHex('30') },
      { headers: { bornMs, messageGroup: 'customer-8', tag: 'paid' }, body: fromHex('31') },
      { headers: { bornMs, messageGroup: 'customer-1' }, body: fromHex('30') },
      { headers: { bornMs, messageGroup: 'customer-9' }, body: fromHex('32') },
    ],
    indexes: [1, 3],
  }
  const secondBatch = {
    producerId: fromHex('ffeeddccbbaa9988'),
    producerEpoch: 0,
    baseSequence: 0,
    messages: [{ headers: { bornMs: bornMs + 1, messageGroup: 'customer-8' }, body: fromHex('3333') }],
    indexes: [0],
  }

  test('of a record are written', () => {
    const head = { epoch: 0x89abcdef, baseOffset: 1_000, storedMs }
    const whole = encodeRecordBatch(head, [sliceOf(firstBatch, true), sliceOf(secondBatch, true)])
    expect(toHex(whole)).toBe(toHex(fromHex(goldenRecord.whole)))
    expect(toHex(selectFromRecord(RecordBatch.open(whole), [0, 2]))).toBe(toHex(fromHex(goldenRecord.selection)))
  })

  test('of a record are read', () => {
    const whole = RecordBatch.open(fromHex(goldenRecord.whole))
    expect(whole).toMatchObject({ epoch: 0x89abcdef, baseOffset: 1_000, lastOffset: 1_002, storedMs })
    const messages = [0, 1, 2].map((index) => whole.messageAt(index, 'orders', 3))
    expect(messages).toEqual([
      {
        messageId: 'a1b2c3d4e5f60718-1-70001', topic: 'orders', queueId: 3, offset: 1_000, storedMs, bornMs,
        tag: 'paid', messageGroup: 'customer-8', body: fromHex('31'),
      },
      {
        messageId: 'a1b2c3d4e5f60718-1-70003', topic: 'orders', queueId: 3, offset: 1_001, storedMs, bornMs,
        messageGroup: 'customer-9', body: fromHex('32'),
      },
      {
        messageId: 'ffeeddccbbaa9988-0-0', topic: 'orders', queueId: 3, offset: 1_002, storedMs, bornMs: bornMs + 1,
        messageGroup: 'customer-8', body: fromHex('3333'),
      },
    ])
    const selection = RecordBatch.open(fromHex(goldenRecord.selection))
    expect(selection.isWhole).toBe(false)
    expect([0, 1].map((index) => selection.messageAt(index, 'orders', 3))).toEqual([messages[0], messages[2]])
  })

  test('of a record with times to live are written and read', () => {
    const messages = [
      { headers: { bornMs, ttlMs: 60_000 }, body: fromHex('30') },
      { headers: { bornMs, tag: 'paid' }, body: fromHex('31') },
      { headers: { bornMs, deliverMs: bornMs + 90_000, ttlMs: 3_456_000_000 }, body: fromHex('32') },
    ]
    const head = { epoch: 0x89abcdef, baseOffset: 1_000, storedMs }
    const written = encodeRecordBatch(head, [sliceOf({ ...firstBatch, messages, indexes: [0, 1, 2] }, false)])
    expect(toHex(written)).toBe(toHex(fromHex(goldenExpiringRecord.whole)))
    const whole = RecordBatch.open(fromHex(goldenExpiringRecord.whole))
    expect(toHex(selectFromRecord(whole, [0, 2]))).toBe(toHex(fromHex(goldenExpiringRecord.selection)))
    expect(messages.map((_, index) => whole.ttlAt(index))).toEqual([60_000, 0, 3_456_000_000])
    messages.forEach(({ headers, body }, index) => {
      expect(whole.messageAt(index, 'orders', 3)).toEqual({
        ...headers, body, messageId: `a1b2c3d4e5f60718-1-${70_000 + index}`,
        topic: 'orders', queueId: 3, offset: 1_000 + index, storedMs,
      })
    })
    const selection = RecordBatch.open(fromHex(goldenExpiringRecord.selection))
    expect([0, 1].map((index) => [selection.offsetAt(index), selection.ttlAt(index)]))
      .toEqual([[1_000, 60_000], [1_002, 3_456_000_000]])
  })
})
