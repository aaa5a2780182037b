// Messages of a record, read part by part.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { MessageView } from '../../../core/record/message-view.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { recordOf } from '../client/records.ts'

const parts = [
  'messageId', 'bornMs', 'tag', 'keys', 'messageGroup', 'properties', 'body', 'offset', 'storedMs',
  'deliverMs', 'priority', 'ttlMs',
] as const

test('gives the same as decoding the message whole, in any order of reading', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'Z', '9', 'ä', '😀'), minLength: 1, maxLength: 40 })
  const headers = fc.record({
    bornMs: fc.maxSafeNat(),
    tag: text,
    keys: fc.array(text, { minLength: 1, maxLength: 4 }),
    messageGroup: text,
    properties: fc.array(fc.tuple(text, fc.string()), { minLength: 1, maxLength: 4 }).map((pairs) => new Map(pairs)),
    delay: fc.oneof(
      fc.record({ delayMs: fc.nat(fixedLimits.delayMsMax) }),
      fc.record({ deliverMs: fc.oneof(fc.constant(0), fc.maxSafeNat()) }),
    ),
    priority: fc.nat(fixedLimits.priorityMax),
    ttlMs: fc.integer({ min: 1, max: fixedLimits.ttlMsMax }),
  }, { requiredKeys: [] }).map(({ delay, ...others }) => ({ ...others, ...delay }))
  const samples = fc.array(fc.tuple(headers, fc.string({ maxLength: 60 })), { minLength: 1, maxLength: 5 })
  const order = fc.shuffledSubarray([...parts], { minLength: parts.length })
  fc.assert(fc.property(samples, order, (messages, order) => {
    const record = RecordBatch.open(
      recordOf(messages.map(([, body]) => body), { baseOffset: 7, headers: messages.map(([own]) => own) }),
    )
    for (let index = 0; index < messages.length; index++) {
      const expected = record.messageAt(index, 'orders', 0)
      const view = new MessageView(record, index)
      for (let round = 0; round < 2; round++) {
        for (const part of order) {
          const nothing = part === 'keys' ? [] : part === 'properties' ? new Map() : undefined
          expect([part, view[part]]).toEqual([part, expected[part] ?? nothing])
        }
      }
    }
  }))
})

describe('bytes that are no message', () => {
  test('give an error, every time they are asked, and never another', () => {
    const properties = new Map([['a', 'b']])
    const numbers = { deliverMs: 1_795_000_000_000, priority: 5, ttlMs: 60_000 }
    const headers = [{ tag: 'tag', keys: ['k'], messageGroup: 'g', properties, ...numbers }]
    const bytes = recordOf(['some body'], { headers })
    const messageArea = RecordBatch.view(bytes).messageStart(0)
    fc.assert(fc.property(fc.nat(bytes.length - messageArea - 1), fc.nat(255), (position, value) => {
      const damaged = bytes.slice()
      damaged[messageArea + position] = value
      const view = new MessageView(RecordBatch.view(damaged), 0)
      for (const part of [...parts, ...parts]) {
        try {
          void view[part]
        } catch (error) {
          expect(error).toBeInstanceOf(PocketError)
        }
      }
    }))
  })

  test.each([
    ['a delay and a time of delivery', [8, 48, 0, 1, 1, 1, 98, 98, 98]],
    ['a delay over its bound', [9, 16, 0, 1, 0x81, 0xc0, 0xf9, 0xef, 0x0c, 98]],
    ['a priority over its bound', [6, 64, 0, 1, 10, 98, 98]],
    ['a time to live of 0', [6, 128, 0, 1, 0, 98, 98]],
    ['a time to live over its bound', [9, 128, 0, 1, 0x81, 0xc0, 0xf9, 0xef, 0x0c, 98]],
    ['a delay that is not there', [3, 16, 0, 1]],
    ['a priority that is not there', [3, 64, 0, 1]],
  ])('with %s are damage to a view as to the decoder', (_, message) => {
    const bytes = recordOf(['body'])
    const record = RecordBatch.view(Uint8Array.from([...bytes.subarray(0, RecordBatch.view(bytes).messageStart(0)), ...message]))
    expect(() => new MessageView(record, 0).body).toThrow(expect.objectContaining({ code: 'RECORD_DAMAGED' }))
    expect(() => record.messageAt(0, 'orders', 0)).toThrow(expect.objectContaining({ code: 'BAD_FRAME' }))
  })

  test('do not become readable by asking twice', () => {
    const bytes = recordOf(['some body']).slice()
    bytes[RecordBatch.view(bytes).messageStart(0)] = 120
    const view = new MessageView(RecordBatch.view(bytes), 0)
    expect(() => view.body).toThrow(expect.objectContaining({ code: 'RECORD_DAMAGED' }))
    expect(() => view.body).toThrow(expect.objectContaining({ code: 'RECORD_DAMAGED' }))
    expect(() => view.tag).toThrow(expect.objectContaining({ code: 'RECORD_DAMAGED' }))
  })
})
