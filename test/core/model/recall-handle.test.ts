// Recall handles: what names a delayed message to who takes it back.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fixedLimits } from '../../../core/limits.ts'
import { formatMessageId, formatRecallHandle, parseRecallHandle } from '../../../core/model/message.ts'

test('hold the time and the id, and no more than the wire takes', () => {
  const hexDigit = fc.constantFrom(...'0123456789abcdef')
  fc.assert(fc.property(
    fc.maxSafeNat(), fc.string({ unit: hexDigit, minLength: 16, maxLength: 16 }), fc.nat(0xffff_ffff), fc.maxSafeNat(),
    (deliverMs, producerId, producerEpoch, sequence) => {
      const id = { producerId, producerEpoch, sequence }
      const recallHandle = formatRecallHandle(deliverMs, formatMessageId(id))
      expect(parseRecallHandle(recallHandle)).toEqual({ deliverMs, ...id })
      expect(recallHandle.length).toBeLessThanOrEqual(fixedLimits.recallHandleBytesMax)
    },
  ))
})

test.each([
  '', '~', 'z', '0102030405060708-0-1', '~0102030405060708-0-1', 'z~0102030405060708-0', 'Z~0102030405060708-0-1',
  '0z~0102030405060708-0-1', 'zzzzzzzzzzz~0102030405060708-0-1', '-z~0102030405060708-0-1', 'z~0102030405060708-0-1 ',
  'z~z~0102030405060708-0-1', `z~0102030405060708-0-${'9'.repeat(17)}`, 'x'.repeat(1_000_000),
])('%# is none', (text) => {
  expect(() => parseRecallHandle(text)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
})
