// The checksum of every stored record, against the vectors of RFC 3720 appendix B.4 and a bit-by-bit reference.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { textToBytes } from '../../core/bytes.ts'
import { crc32c } from '../../core/crc32c.ts'

const ascending = Uint8Array.from({ length: 32 }, (_, index) => index)

/** An iSCSI SCSI Read (10) command PDU. */
const readCommand = Uint8Array.from(Buffer.from(
  '01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000',
  'hex',
))

test.each([
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['32 ascending bytes', ascending, 0x46dd794e],
  ['32 descending bytes', ascending.toReversed(), 0x113fdb5c],
  ['an iSCSI read command', readCommand, 0xd9963a56],
  ['the check value of the polynomial', textToBytes('123456789'), 0xe3069283],
  ['nothing', new Uint8Array(0), 0],
])('is that of RFC 3720 for %s', (_, bytes, checksum) => {
  expect(crc32c(bytes)).toBe(checksum)
})

function reference(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

test('is that of the reference for any bytes, also of a part of them', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(40), fc.nat(40), (bytes, start, cut) => {
    const from = Math.min(start, bytes.length)
    const to = Math.max(from, bytes.length - cut)
    expect(crc32c(bytes)).toBe(reference(bytes))
    expect(crc32c(bytes, from, to)).toBe(reference(bytes.subarray(from, to)))
  }))
})

test('changes with every single bit', () => {
  const checksum = crc32c(readCommand)
  for (let bit = 0; bit < readCommand.length * 8; bit++) {
    const flipped = readCommand.slice()
    flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7))
    expect(crc32c(flipped)).not.toBe(checksum)
  }
})
