// 32-bit hashes of short byte strings: tags, keys and message groups. FNV-1a (draft-eastlake-fnv) with a final
// avalanche (murmur3's fmix32), as FNV alone spreads its low bits poorly over few queues. The numbers are stored
// and sent, so this function is part of the format: it never changes. Imports nothing.

/** Hash of `bytes[start, end)`, an unsigned 32-bit integer. */
export function hash32(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let hash = 0x811c9dc5
  for (let index = start; index < end; index++) {
    hash = Math.imul(hash ^ (bytes[index] as number), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
