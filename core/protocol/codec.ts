// Frames to bytes and back. A transport message holds one frame after another: u8 type, u32 size, fields. Encoding
// goes into an outbox that sends all frames of a turn as one message; large payloads are passed on by reference.

import { assert } from '../assert.ts'
import { ByteReader, ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import {
  downstream,
  type DownstreamFrame,
  type FrameFields,
  type FrameName,
  unknownFrame,
  upstream,
  type UpstreamFrame,
} from './frames.ts'
import { hotReaders, hotWriters } from './hot-frames.ts'
import type { Field } from './schema.ts'

const frameHeadSize = 5
/** Below this a payload is copied behind its head: cheaper than another chunk in the transport. */
const referencedBytesMin = 1024

interface NamedFrame {
  readonly name: FrameName
}

interface FrameEntry {
  readonly name: FrameName
  readonly type: number
  readonly write: (writer: ByteWriter, fields: unknown) => void
  readonly read: (reader: ByteReader) => NamedFrame
  /** Whether the last field is all that is left of the frame. */
  readonly endsInRest: boolean
}

function tableOf(frames: Readonly<Record<string, { type: number; fields: unknown }>>): (FrameEntry | undefined)[] {
  const table: (FrameEntry | undefined)[] = new Array(256).fill(undefined)
  for (const [key, { type, fields }] of Object.entries(frames)) {
    const name = key as FrameName
    const declared = fields as Field<object>
    table[type] = {
      name,
      type,
      write: (hotWriters[name] as FrameEntry['write'] | undefined) ??
        ((writer, values) => declared.write(writer, values as object)),
      read: hotReaders[name] ?? ((reader) => Object.assign({ name }, declared.read(reader))),
      endsInRest: declared.form.endsWith(': rest }'),
    }
  }
  return table
}

const upstreamByType = tableOf(upstream)
const downstreamByType = tableOf(downstream)
const entriesByName = new Map<FrameName, FrameEntry>()
for (const entry of [...upstreamByType, ...downstreamByType]) if (entry) entriesByName.set(entry.name, entry)

/** Collects the frames of one turn for one connection. */
export class FrameOutbox {
  readonly #writer = new ByteWriter(1024)
  #chunks: Uint8Array[] = []
  #chunkBytes = 0

  /** Bytes collected so far. */
  get byteCount(): number {
    return this.#chunkBytes + this.#writer.length
  }

  get isEmpty(): boolean {
    return this.byteCount === 0
  }

  /**
   * Adds a frame. A `payload` takes the place of the frame's last field, `rest`, which is given empty, and may be
   * passed on by reference: it must not change afterwards. Throws BAD_ARGUMENT where a field is over its bound; then
   * nothing was added.
   */
  add<N extends FrameName>(name: N, fields: FrameFields<N>, payload?: Uint8Array): void {
    const entry = entriesByName.get(name) as FrameEntry
    assert(payload === undefined || entry.endsInRest, `${name} takes no payload`)
    const writer = this.#writer
    const before = writer.length
    writer.u8(entry.type)
    writer.u32(0)
    try {
      entry.write(writer, fields)
    } catch (error) {
      writer.truncate(before)
      throw error
    }
    const size = writer.length - before - frameHeadSize
    writer.patchU32(before + 1, size + (payload === undefined ? 0 : payload.length))
    if (payload === undefined) return
    if (payload.length < referencedBytesMin) {
      writer.raw(payload)
      return
    }
    const head = writer.handOver()
    this.#chunks.push(head, payload)
    this.#chunkBytes += head.length + payload.length
  }

  /** All that was added, as the chunks of one transport message; the outbox is empty again. */
  take(): readonly Uint8Array[] {
    const chunks = this.#chunks
    if (this.#writer.length > 0) chunks.push(this.#writer.handOver())
    if (chunks.length > 0) this.#chunks = []
    this.#chunkBytes = 0
    return chunks
  }
}

/** One frame as bytes of its own. Throws BAD_ARGUMENT where a field is over its bound. */
export function encodeFrame<N extends FrameName>(name: N, fields: FrameFields<N>): Uint8Array {
  const entry = entriesByName.get(name) as FrameEntry
  const writer = new ByteWriter()
  writer.u8(entry.type)
  writer.u32(0)
  entry.write(writer, fields)
  writer.patchU32(1, writer.length - frameHeadSize)
  return writer.finish()
}

/**
 * Calls `visit` with each frame of a transport message from a client. Byte fields are views of the message. Throws
 * BAD_FRAME; frames before the bad one were visited.
 */
export function decodeUpstream(message: Uint8Array, visit: (frame: UpstreamFrame) => void): void {
  decodeFrames(message, upstreamByType, visit as (frame: NamedFrame) => void)
}

/**
 * Calls `visit` with each frame of a transport message from a relay. Byte fields are views of the message. Throws
 * BAD_FRAME; frames before the bad one were visited.
 */
export function decodeDownstream(message: Uint8Array, visit: (frame: DownstreamFrame) => void): void {
  decodeFrames(message, downstreamByType, visit as (frame: NamedFrame) => void)
}

function decodeFrames(
  message: Uint8Array, table: readonly (FrameEntry | undefined)[], visit: (frame: NamedFrame) => void,
): void {
  if (message.length === 0) throw new PocketError('BAD_FRAME', 'an empty message')
  const reader = new ByteReader(plainBytes(message))
  while (reader.remaining > 0) {
    const type = reader.u8()
    const outerEnd = reader.narrow(reader.u32())
    const entry = table[type]
    if (entry === undefined) throw unknownFrame(type)
    const frame = entry.read(reader)
    if (reader.remaining > 0) throw new PocketError('BAD_FRAME', `${entry.name} has ${reader.remaining} bytes too many`)
    reader.widen(outerEnd)
    visit(frame)
  }
}

/** The bytes without what a platform adds: the `slice` of Node's Buffer is no copy, and who copies relies on one. */
function plainBytes(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}
