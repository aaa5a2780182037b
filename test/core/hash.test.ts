// The hash is part of the format: it is stored with every tag and key, and chooses the queue of a message group. What
// is pinned here never changes, or stored tags stop matching and message groups move to other queues.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { textToBytes } from '../../core/bytes.ts'
import { hash32 } from '../../core/hash.ts'

test.each([
  ['', 0xab3e7c0b],
  ['a', 0x1a80b1b3],
  ['on-time', 0xa151b0d8],
  ['delayed', 0x5fe5caca],
  ['JFK', 0x130b337e],
  ['order-4711', 0x44505bd9],
  ['äöü €', 0xb473ba73],
  ['😀', 0x3303a80a],
])('of %j is pinned', (text, pinned) => {
  expect(hash32(textToBytes(text)).toString(16)).toBe(pinned.toString(16))
})

/** FNV-1a and fmix32 again, from their papers, in arbitrary precision. */
function reference(bytes: Uint8Array): number {
  const mask = 0xffff_ffffn
  let hash = 2_166_136_261n
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 16_777_619n) & mask
  hash = ((hash ^ (hash >> 16n)) * 0x85eb_ca6bn) & mask
  hash = ((hash ^ (hash >> 13n)) * 0xc2b2_ae35n) & mask
  return Number(hash ^ (hash >> 16n))
}

test('is FNV-1a with a final avalanche, for any bytes and any part of them', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(20), (bytes, start) => {
    const from = Math.min(start, bytes.length)
    expect(hash32(bytes)).toBe(reference(bytes))
    expect(hash32(bytes, from)).toBe(reference(bytes.subarray(from)))
  }))
})

test('spreads similar names evenly over few queues', () => {
  for (const queueCount of [2, 8, 10, 1024]) {
    const counts = new Array<number>(queueCount).fill(0)
    const nameCount = queueCount * 500
    for (let index = 0; index < nameCount; index++) {
      const queue = hash32(textToBytes(`customer-${index}`)) % queueCount
      counts[queue] = (counts[queue] as number) + 1
    }
    // Six standard deviations of a fair throw.
    const slack = 6 * Math.sqrt(500)
    expect(Math.min(...counts)).toBeGreaterThan(500 - slack)
    expect(Math.max(...counts)).toBeLessThan(500 + slack)
  }
})
