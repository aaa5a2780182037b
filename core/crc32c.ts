// CRC-32C (Castagnoli, RFC 3720 appendix B.4), sliced by eight: the checksum of every stored record.
// Imports nothing.

const tables = createTables()

function createTables(): readonly Uint32Array[] {
  const first = new Uint32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    first[byte] = crc >>> 0
  }
  const all = [first]
  for (let slice = 1; slice < 8; slice++) {
    const previous = all[slice - 1] as Uint32Array
    const table = new Uint32Array(256)
    for (let byte = 0; byte < 256; byte++) {
      const crc = previous[byte] as number
      table[byte] = (crc >>> 8) ^ (first[crc & 0xff] as number)
    }
    all.push(table)
  }
  return all
}

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as unknown as [
  Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array,
]

/** Checksum of `bytes[start, end)`, an unsigned 32-bit integer. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = -1
  let index = start
  for (const stop = end - 7; index < stop; index += 8) {
    const low = crc ^
      (bytes[index]! | (bytes[index + 1]! << 8) | (bytes[index + 2]! << 16) | (bytes[index + 3]! << 24))
    crc = t7[low & 0xff]! ^ t6[(low >>> 8) & 0xff]! ^ t5[(low >>> 16) & 0xff]! ^ t4[low >>> 24]! ^
      t3[bytes[index + 4]!]! ^ t2[bytes[index + 5]!]! ^ t1[bytes[index + 6]!]! ^ t0[bytes[index + 7]!]!
  }
  for (; index < end; index++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[index]!) & 0xff]!
  return (crc ^ -1) >>> 0
}
