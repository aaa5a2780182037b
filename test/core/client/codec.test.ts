// The codecs that come with the client.

import { expect, test } from 'vitest'
import { bytes, json, text } from '../../../core/client/codec.ts'

test('json takes what JSON takes, and gives it back', () => {
  const codec = json<unknown>()
  for (const value of [null, 0, '', 'ä€😀', [1, { a: [true] }], { __proto__: null, x: 1 }]) {
    expect(codec.decode(codec.encode(value))).toEqual(value)
  }
  expect(() => codec.encode(undefined)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
  expect(() => codec.decode(Uint8Array.of(0xff))).toThrow()
})

test('text is UTF-8', () => {
  expect([...text.encode('ä')]).toEqual([0xc3, 0xa4])
  expect(text.decode(text.encode('many words, and 😀 among them'))).toBe('many words, and 😀 among them')
  expect(() => text.decode(Uint8Array.of(0xff))).toThrow()
})

test('bytes are left as they are', () => {
  const body = Uint8Array.of(1, 2)
  expect(bytes.encode(body)).toBe(body)
  expect(bytes.decode(body)).toBe(body)
})
