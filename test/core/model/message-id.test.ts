// A message id says who sent the message when: producer, epoch and sequence.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { formatMessageId, parseMessageId } from '../../../core/model/message.ts'
import { producerIdToBytes, producerIdToText } from '../../../core/record/record-batch.ts'

const producerId = fc.uint8Array({ minLength: 8, maxLength: 8 })

test('a message id is the producer’s sixteen hex digits, its epoch and the sequence', () => {
  const parts = { producerId: '00ff0123456789ab', producerEpoch: 3, sequence: 1_234 }
  expect(formatMessageId(parts)).toBe('00ff0123456789ab-3-1234')
  expect(parseMessageId('00ff0123456789ab-3-1234')).toEqual(parts)
})

test('ids come back as they were', () => {
  fc.assert(fc.property(producerId, fc.nat(0xffff_ffff), fc.maxSafeNat(), (bytes, producerEpoch, sequence) => {
    const parts = { producerId: producerIdToText(bytes), producerEpoch, sequence }
    expect(parseMessageId(formatMessageId(parts))).toEqual(parts)
    expect(producerIdToBytes(parts.producerId)).toEqual(bytes)
  }))
})

test.each([
  '', 'x', '00ff0123456789ab', '00ff0123456789ab-3', '00FF0123456789AB-3-1', '00ff0123456789a-3-1',
  '00ff0123456789abc-3-1',
  '00ff0123456789ab-03-1', '00ff0123456789ab-3-01', '00ff0123456789ab--1-1', '00ff0123456789ab-4294967296-1',
  '00ff0123456789ab-3-9007199254740992', '00ff0123456789ab-3-99999999999999999', ' 00ff0123456789ab-3-1',
  '00ff0123456789ab-3-1\n',
])('%j is no message id', (text) => {
  expect(() => parseMessageId(text)).toThrow(PocketError)
  expect(() => parseMessageId(text)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
})

test('a long text that is no id is refused without being repeated in full', () => {
  expect(() => parseMessageId('z'.repeat(100_000))).toThrow(/^'z{64}' is not/)
})
