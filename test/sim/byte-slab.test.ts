// Bytes that are cut from one piece of memory must be as separate as if each had its own.

import { expect, test } from 'vitest'
import { ByteSlab } from './byte-slab.ts'

test('a copy has the bytes of the original, and goes its own way', () => {
  const slab = new ByteSlab()
  const original = Uint8Array.of(1, 2, 3)
  const [first, second] = [slab.copy(original), slab.copy(original)]
  original[0] = 9
  first.fill(7)
  expect([...first, ...second]).toEqual([7, 7, 7, 1, 2, 3])
  expect(slab.copy(new Uint8Array(0))).toHaveLength(0)
})

test('chunks are joined in their order', () => {
  expect([...new ByteSlab().concat([Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)])]).toEqual([1, 2, 3])
})

test('however many and however large, none overlaps another', () => {
  const slab = new ByteSlab()
  const copies = Array.from({ length: 300 }, (_, index) => slab.copy(new Uint8Array(index * 37).fill(index)))
  for (const [index, copied] of copies.entries()) {
    expect(copied).toHaveLength(index * 37)
    expect(copied.every((byte) => byte === index % 256)).toBe(true)
  }
})
