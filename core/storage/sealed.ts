// Values with a checksum: small state records (queue states, progress, configuration) are sealed with the CRC-32C of
// what follows, as record batches carry their own. No store detects a flipped bit.

import { ByteReader, type ByteWriter } from '../bytes.ts'
import { crc32c } from '../crc32c.ts'
import { PocketError } from '../errors.ts'

/** Finishes `writer` as `u32 checksum, u8 version, fields`. */
export function sealValue(version: number, write: (writer: ByteWriter) => void, writer: ByteWriter): Uint8Array {
  writer.u32(0)
  writer.u8(version)
  write(writer)
  writer.patchU32(0, crc32c(writer.written, 4))
  return writer.finish()
}

/** A reader over the fields; throws RECORD_DAMAGED unless checksum and version hold. */
export function openValue(version: number, bytes: Uint8Array): ByteReader {
  const reader = new ByteReader(bytes)
  if (bytes.length < 5 || reader.u32() !== crc32c(bytes, 4)) {
    throw new PocketError('RECORD_DAMAGED', 'a stored value fails its checksum')
  }
  const found = reader.u8()
  if (found !== version) {
    throw new PocketError('RECORD_DAMAGED', `a stored value has version ${found}; this build reads ${version}`)
  }
  return reader
}
