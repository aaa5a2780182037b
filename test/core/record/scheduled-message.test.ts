// A scheduled message is the message that was sent, with its place and its time made anew and nothing else.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { decodeMessage, encodeMessage, MessageScanner } from '../../../core/record/message-codec.ts'
import { scheduledMessage } from '../../../core/record/scheduled-message.ts'
import { encodeMessages, type SampleMessage, someMessage } from '../../support/messages.ts'

function encode({ headers, body }: SampleMessage): Uint8Array {
  const writer = new ByteWriter()
  encodeMessage(writer, new ByteWriter(), 0, headers, body)
  return writer.finish()
}

/** Where each message of a batch begins and ends. */
function placesOf(batch: Uint8Array): { readonly start: number; readonly end: number }[] {
  const scanner = new MessageScanner({ bodyBytesMax: 10_000 })
  scanner.reset(batch, 0, batch.length)
  const places = []
  while (!scanner.atEnd) {
    scanner.next()
    places.push({ start: scanner.start, end: scanner.end })
  }
  return places
}

const someDeliverMs = fc.oneof(fc.constant(0), fc.nat(), fc.constant(1_795_000_060_000), fc.maxSafeNat())

describe('a scheduled message', () => {
  test('is what decoding it and encoding it with its time would give', () => {
    fc.assert(fc.property(fc.array(someMessage, { minLength: 1, maxLength: 5 }), someDeliverMs, (messages, deliverMs) => {
      const batch = encodeMessages(messages)
      placesOf(batch).forEach(({ start, end }, index) => {
        const { headers, body } = messages[index] as SampleMessage
        const { delayMs: _, deliverMs: __, ...others } = headers
        const expected = encode({ headers: deliverMs === 0 ? others : { ...others, deliverMs }, body })
        expect(scheduledMessage(batch, start, end, deliverMs)).toEqual(expected)
      })
    }))
  })

  test('stands for itself: it shares no bytes with its batch', () => {
    const batch = encodeMessages([{ headers: { bornMs: 1, delayMs: 5_000 }, body: new Uint8Array(3).fill(7) }])
    const scheduled = scheduledMessage(batch, 0, batch.length, 9_000)
    batch.fill(0)
    expect(decodeMessage(scheduled, 0, scheduled.length)).toEqual({
      headers: { bornMs: 1, deliverMs: 9_000 }, sequenceDelta: 0, body: new Uint8Array(3).fill(7),
    })
  })

  test('takes another time, again and again, and none in the end', () => {
    const sent = { headers: { bornMs: 1, delayMs: 0, priority: 2, ttlMs: 3, tag: 'a' }, body: Uint8Array.of(1, 2) }
    let bytes = encode(sent)
    for (const deliverMs of [1, 300, Number.MAX_SAFE_INTEGER, 5, 0]) {
      bytes = scheduledMessage(bytes, 0, bytes.length, deliverMs)
      expect(decodeMessage(bytes, 0, bytes.length).headers.deliverMs).toBe(deliverMs === 0 ? undefined : deliverMs)
    }
    const { delayMs: _, ...left } = sent.headers
    expect(bytes).toEqual(encode({ headers: left, body: sent.body }))
  })

  test('may be as large as a message can be, where a longer size takes a byte more', () => {
    for (const size of [120, 127, 128, 16_380, 16_384, fixedLimits.propertiesBytesMax]) {
      const sent = { headers: { bornMs: 1, delayMs: 1 }, body: new Uint8Array(size).fill(1) }
      const bytes = encode(sent)
      const deliverMs = 1_795_000_060_000
      const expected = encode({ headers: { bornMs: 1, deliverMs }, body: sent.body })
      expect(scheduledMessage(bytes, 0, bytes.length, deliverMs)).toEqual(expected)
    }
  })
})

describe('bytes that are no message', () => {
  test('get a coded refusal or make a message that says no more than they did, whatever they are', () => {
    const small = fc.uint8Array({ minLength: 1, maxLength: 30 }).map((bytes) => Uint8Array.of(bytes.length, ...bytes))
    fc.assert(fc.property(fc.oneof(small, fc.uint8Array({ maxLength: 30 })), (bytes) => {
      let scheduled: Uint8Array
      try {
        scheduled = scheduledMessage(bytes, 0, bytes.length, 1_795_000_060_000)
      } catch (error) {
        expect(error).toBeInstanceOf(PocketError)
        expect(error).toMatchObject({ code: 'BAD_FRAME' })
        return
      }
      expect(scheduled.length).toBeLessThanOrEqual(bytes.length + 8)
    }), { numRuns: 2_000 })
  })

  test.each([
    ['nothing', []],
    ['a size beyond the end', [5, 0, 0, 0]],
    ['a size before the end', [3, 0, 0, 0, 9]],
    ['no sequence', [1, 0]],
    ['a delay that is not there', [3, 16, 0, 0]],
    ['a time of delivery that is cut', [4, 32, 0, 0, 0x80]],
  ])('with %s are refused', (_, bytes) => {
    const source = Uint8Array.from(bytes)
    expect(() => scheduledMessage(source, 0, source.length, 1)).toThrow(expect.objectContaining({ code: 'BAD_FRAME' }))
  })
})
