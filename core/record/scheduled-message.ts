// A message that waits for its time, and one that goes on its way when the time has come: the same message with its
// place in the batch and its time of delivery made anew. Body and texts are copied as they are, never decoded.

import { ByteReader, varintSize } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { flagDelay, flagDeliver } from './message-codec.ts'

/** By how many bytes a scheduled message may be longer than the one it is made of. */
export const scheduledGrowthMax = 16

/**
 * The message at `[start, end)` of `source`, size prefix included, with a sequence delta of 0 and with `deliverMs` in
 * place of its delay or time of delivery; 0 leaves it without either. Throws BAD_FRAME where those bytes are no message.
 */
export function scheduledMessage(source: Uint8Array, start: number, end: number, deliverMs: number): Uint8Array {
  const target = new Uint8Array(end - start + scheduledGrowthMax)
  return target.slice(0, writeScheduledMessage(target, 0, source, start, end, deliverMs))
}

/** Writes what {@link scheduledMessage} gives, at `at` of `target`, which has room for it; gives where it ends. */
export function writeScheduledMessage(
  target: Uint8Array, at: number, source: Uint8Array, start: number, end: number, deliverMs: number,
): number {
  const reader = new ByteReader(source, start, end)
  if (reader.varint() !== reader.remaining) throw new PocketError('BAD_FRAME', 'a message does not end where it should')
  const flags = reader.u8()
  reader.varint()
  const bornMs = reader.varint()
  if (flags & flagDelay) reader.varint()
  if (flags & flagDeliver) reader.varint()
  const rest = reader.raw(reader.remaining)
  const size = 2 + varintSize(bornMs) + (deliverMs === 0 ? 0 : varintSize(deliverMs)) + rest.length
  let to = writeVarint(target, at, size)
  target[to++] = (flags & ~(flagDelay | flagDeliver)) | (deliverMs === 0 ? 0 : flagDeliver)
  target[to++] = 0
  to = writeVarint(target, to, bornMs)
  if (deliverMs !== 0) to = writeVarint(target, to, deliverMs)
  target.set(rest, to)
  return to + rest.length
}

function writeVarint(target: Uint8Array, at: number, value: number): number {
  let left = value
  let to = at
  for (; left >= 0x80; left = Math.floor(left / 0x80)) target[to++] = (left % 0x80) | 0x80
  target[to++] = left
  return to
}
