// Reading and writing bytes: one growing writer and one bounded cursor, shared by wire and disk. Integers are
// little-endian; varints are LEB128, at most 53 bits, as every count and offset is a safe integer. The reader is
// total: past the end or over a bound it throws PocketError BAD_FRAME and never reads outside its range. The writer
// writes nothing that the reader would refuse: a number that does not fit is BAD_ARGUMENT.

import { PocketError } from './errors.ts'

const textEncoder = new TextEncoder()
// A byte order mark is a character like others: bytes that were text once are the same text again.
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const twoTo28 = 268_435_456
const twoTo32 = 4_294_967_296
/** Up to here a text is put together and taken apart by hand, as calling the platform costs more than such a text. */
const shortTextSizeMax = 24
/** A writer does not keep more than so much for later. */
const keptCapacityMax = 4_096

/** UTF-8 bytes of a text. What is not well-formed UTF-16 becomes U+FFFD. */
export function textToBytes(text: string): Uint8Array {
  const length = text.length
  if (length > shortTextSizeMax) return textEncoder.encode(text)
  // Names of groups and topics, mostly, as parts of keys.
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index)
    if (unit >= 0x80) return textEncoder.encode(text)
    bytes[index] = unit
  }
  return bytes
}

/** Bytes that a text takes as UTF-8; throws BAD_ARGUMENT where half a surrogate pair is in it, which has no UTF-8. */
export function textSize(text: string): number {
  let size = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    if (unit < 0xd800 || unit > 0xdfff) size += unit < 0x800 ? 1 : 2
    else if (isPairAt(text, index)) {
      size += 2
      index++
    } else throw new PocketError('BAD_ARGUMENT', 'a text holds half a character (a lone surrogate)')
  }
  return size
}

function isPairAt(text: string, index: number): boolean {
  const low = text.charCodeAt(index + 1)
  return text.charCodeAt(index) < 0xdc00 && low >= 0xdc00 && low < 0xe000
}

/** The text of UTF-8 bytes; throws BAD_FRAME where they are not UTF-8. */
export function bytesToText(bytes: Uint8Array): string {
  return textAt(bytes, 0, bytes.length)
}

/** The beginning of `text`, in whole characters, that takes at most `bytesMax` bytes of UTF-8. */
export function clipText(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text
  return text.slice(0, textEncoder.encodeInto(text, new Uint8Array(bytesMax)).read)
}

function textAt(source: Uint8Array, start: number, end: number): string {
  if (end - start > shortTextSizeMax) return decodeText(source.subarray(start, end))
  let text = ''
  let index = start
  for (; index + 4 <= end; index += 4) {
    const a = source[index] as number
    const b = source[index + 1] as number
    const c = source[index + 2] as number
    const d = source[index + 3] as number
    if ((a | b | c | d) >= 0x80) return decodeText(source.subarray(start, end))
    text += String.fromCharCode(a, b, c, d)
  }
  for (; index < end; index++) {
    const byte = source[index] as number
    if (byte >= 0x80) return decodeText(source.subarray(start, end))
    text += String.fromCharCode(byte)
  }
  return text
}

function decodeText(bytes: Uint8Array): string {
  try {
    return textDecoder.decode(bytes)
  } catch (cause) {
    throw new PocketError('BAD_FRAME', 'text is not UTF-8', { cause })
  }
}

/** Bytes that a varint of `value` takes. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value < twoTo28) return 4
  if (value < 2 ** 35) return 5
  if (value < 2 ** 42) return 6
  return value < 2 ** 49 ? 7 : 8
}

/** Bytes of their own. Not `slice()`, which on Node's Buffers copies nothing and so pins the chunk of the socket. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

export function bytesEqual(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false
  return true
}

/** Joins chunks into one array; a single chunk is returned as it is. */
export function concatBytes(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0] as Uint8Array
  let size = 0
  for (const chunk of chunks) size += chunk.length
  const joined = new Uint8Array(size)
  let position = 0
  for (const chunk of chunks) {
    joined.set(chunk, position)
    position += chunk.length
  }
  return joined
}

// The four below are for formats of fixed layout: whoever calls them has checked the bounds. By hand and not through a
// DataView, as making one costs more than it saves on short bytes.

/** The unsigned 32-bit integer at `at`. */
export function getU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>> 0
}

export function setU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

/** The 64-bit integer at `at`; it is a safe one only where it was written by {@link setU53}. */
export function getU53(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at + 4) * twoTo32 + getU32(bytes, at)
}

export function setU53(bytes: Uint8Array, at: number, value: number): void {
  setU32(bytes, at, value % twoTo32)
  setU32(bytes, at + 4, Math.floor(value / twoTo32))
}

/** A growing byte array. It allocates when first written to, and keeps little once emptied. */
export class ByteWriter {
  readonly #capacity: number
  #bytes: Uint8Array = nothing
  /** What is written and not given away lies in `#bytes[#start, #end)`. */
  #start = 0
  #end = 0
  /** What was written the time before, which is what to expect the next time. */
  #expected = 0

  /** `capacity` is what it begins with, in bytes. */
  constructor(capacity = 256) {
    this.#capacity = capacity
  }

  /** Bytes written and not given away. */
  get length(): number {
    return this.#end - this.#start
  }

  u8(value: number): void {
    if ((value & 0xff) !== value) throw unfit(value, 8)
    this.#reserve(1)
    this.#bytes[this.#end++] = value
  }

  u16(value: number): void {
    if ((value & 0xffff) !== value) throw unfit(value, 16)
    this.#reserve(2)
    this.#bytes[this.#end++] = value
    this.#bytes[this.#end++] = value >>> 8
  }

  u32(value: number): void {
    if (value >>> 0 !== value) throw unfit(value, 32)
    this.#reserve(4)
    setU32(this.#bytes, this.#end, value)
    this.#end += 4
  }

  /** A safe integer of up to 53 bits in eight bytes. */
  u53(value: number): void {
    if (!isU53(value)) throw unfit(value, 53)
    this.#reserve(8)
    setU53(this.#bytes, this.#end, value)
    this.#end += 8
  }

  varint(value: number): void {
    const isSmall = value >>> 0 === value
    if (!isSmall && !isU53(value)) throw unfit(value, 53)
    this.#reserve(8)
    const bytes = this.#bytes
    let end = this.#end
    if (!isSmall) {
      // Four groups of seven bits at once: arithmetic on integers is several times faster than on floats.
      const high = Math.floor(value / twoTo28)
      const low = value - high * twoTo28
      bytes[end++] = (low & 0x7f) | 0x80
      bytes[end++] = ((low >>> 7) & 0x7f) | 0x80
      bytes[end++] = ((low >>> 14) & 0x7f) | 0x80
      bytes[end++] = (low >>> 21) | 0x80
      value = high
    }
    while (value >= 0x80) {
      bytes[end++] = (value & 0x7f) | 0x80
      value >>>= 7
    }
    bytes[end++] = value
    this.#end = end
  }

  /** Bytes with no length before them. */
  raw(bytes: Uint8Array): void {
    const size = bytes.length
    this.#reserve(size)
    // Ids are the most of it, and calling `set` costs more than eight bytes do.
    if (size <= 16) for (let index = 0; index < size; index++) this.#bytes[this.#end + index] = bytes[index] as number
    else this.#bytes.set(bytes, this.#end)
    this.#end += size
  }

  /** Takes over what `other` holds and leaves it empty. */
  append(other: ByteWriter): void {
    this.raw(other.#bytes.subarray(other.#start, other.#end))
    other.#end = other.#start
  }

  /** A varint length and the bytes. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  /** A varint length and the text's UTF-8; throws BAD_ARGUMENT where that is over `bytesMax`. */
  text(text: string, bytesMax: number = Number.MAX_SAFE_INTEGER): void {
    const length = text.length
    if (length > bytesMax) throw tooLong(length, bytesMax)
    this.#reserve(length * 3 + 8)
    const bytes = this.#bytes
    if (length < 0x80) {
      const start = this.#end + 1
      let index = 0
      for (; index < length; index++) {
        const unit = text.charCodeAt(index)
        if (unit >= 0x80) break
        bytes[start + index] = unit
      }
      if (index === length) {
        bytes[this.#end] = length
        this.#end = start + length
        return
      }
    }
    // The size stands before the text and is known after it: the text goes behind the longest size it can have.
    const room = varintSize(length * 3)
    const start = this.#end + room
    const size = textEncoder.encodeInto(text, bytes.subarray(start)).written
    if (size > bytesMax) throw tooLong(size, bytesMax)
    this.varint(size)
    if (this.#end < start) bytes.copyWithin(this.#end, start, start + size)
    this.#end += size
  }

  /** What was written so far: a view that the next write may leave behind. */
  get written(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end)
  }

  /** Sets the four bytes at `position`, which were written before. */
  patchU32(position: number, value: number): void {
    if (value >>> 0 !== value) throw unfit(value, 32)
    setU32(this.#bytes, this.#start + position, value)
  }

  /** Takes back what was written behind the first `length` bytes. */
  truncate(length: number): void {
    this.#end = this.#start + Math.min(length, this.length)
  }

  /** What was written, from the beginning of a buffer that nobody else has; the writer starts again. */
  finish(): Uint8Array {
    const bytes = this.#bytes
    // A large buffer that is nearly full is not copied but let go.
    const isLetGo = this.#isLarge && this.#start === 0 && this.#end * 4 >= bytes.length * 3
    const written = isLetGo ? bytes.subarray(0, this.#end) : bytes.slice(this.#start, this.#end)
    this.#end = this.#start
    this.#slim(written.length)
    return written
  }

  /**
   * What was written, given away without a copy; the writer goes on behind it. For what soon leaves: such a view shares
   * its buffer with its neighbours, so it may not be transferred, and while it is kept they are.
   */
  handOver(): Uint8Array {
    const written = this.#bytes.subarray(this.#start, this.#end)
    this.#start = this.#end
    this.#slim(written.length)
    return written
  }

  /** Whether the buffer is too large to keep while nothing is in it. */
  get #isLarge(): boolean {
    return this.#bytes.length > Math.max(this.#capacity, keptCapacityMax)
  }

  #slim(length: number): void {
    // An eighth more, so that what is a little longer still fits.
    this.#expected = length + (length >>> 3)
    if (!this.#isLarge) return
    this.#bytes = nothing
    this.#start = 0
    this.#end = 0
  }

  #reserve(count: number): void {
    if (count > this.#bytes.length - this.#end) this.#grow(count)
  }

  #grow(count: number): void {
    const length = this.length
    const needed = length + count
    const grown = new Uint8Array(Math.max(this.#capacity, this.#expected, length > 0 ? needed * 2 : needed))
    grown.set(this.#bytes.subarray(this.#start, this.#end))
    this.#bytes = grown
    this.#start = 0
    this.#end = length
  }
}

/** A cursor over `bytes[position, end)`. Every method throws BAD_FRAME rather than read past `end`. */
export class ByteReader {
  readonly source: Uint8Array
  #position: number
  #end: number

  constructor(source: Uint8Array, position = 0, end = source.length) {
    this.source = source
    this.#position = position
    this.#end = end
  }

  get position(): number {
    return this.#position
  }

  get remaining(): number {
    return this.#end - this.#position
  }

  u8(): number {
    const at = this.#take(1)
    return this.source[at] as number
  }

  u16(): number {
    const at = this.#take(2)
    return (this.source[at] as number) | ((this.source[at + 1] as number) << 8)
  }

  u32(): number {
    return getU32(this.source, this.#take(4))
  }

  u53(): number {
    const value = getU53(this.source, this.#take(8))
    if (value > Number.MAX_SAFE_INTEGER) throw new PocketError('BAD_FRAME', 'an integer is over 53 bits')
    return value
  }

  varint(): number {
    const source = this.source
    const end = this.#end
    let at = this.#position
    let value = 0
    let scale = 1
    // Eight times seven bits are three more than a safe integer has.
    for (let count = 0; count < 8; count++) {
      if (at >= end) throw new PocketError('BAD_FRAME', 'bytes end too early')
      const byte = source[at++] as number
      if (byte < 0x80) {
        value += byte * scale
        if (value > Number.MAX_SAFE_INTEGER) break
        this.#position = at
        return value
      }
      value += (byte & 0x7f) * scale
      scale *= 0x80
    }
    throw new PocketError('BAD_FRAME', 'a varint is over 53 bits')
  }

  /** A view of the next `count` bytes, not a copy. */
  raw(count: number): Uint8Array {
    const at = this.#take(count)
    return this.source.subarray(at, at + count)
  }

  /** A varint length of at most `sizeMax`, and a view of so many bytes. */
  bytes(sizeMax: number): Uint8Array {
    return this.raw(this.#size(sizeMax))
  }

  /** A varint length of at most `sizeMax`, and so many bytes of UTF-8. */
  text(sizeMax: number): string {
    const size = this.#size(sizeMax)
    const at = this.#take(size)
    return textAt(this.source, at, at + size)
  }

  /**
   * A varint count of at most `countMax`, checked against what can still follow, given that an item takes at least
   * `itemSizeMin` bytes, before anything is allocated.
   */
  count(countMax: number, itemSizeMin = 1): number {
    const count = this.varint()
    if (count > countMax) throw new PocketError('BAD_FRAME', `a list of ${count} where at most ${countMax} are allowed`)
    if (count * itemSizeMin > this.remaining) throw new PocketError('BAD_FRAME', 'a list is longer than its frame')
    return count
  }

  skip(count: number): void {
    this.#take(count)
  }

  /** Lets only the next `count` bytes be read, until `widen` is given what this returns. */
  narrow(count: number): number {
    if (count > this.remaining) throw new PocketError('BAD_FRAME', 'bytes end too early')
    const outerEnd = this.#end
    this.#end = this.#position + count
    return outerEnd
  }

  widen(outerEnd: number): void {
    this.#end = outerEnd
  }

  #size(sizeMax: number): number {
    const size = this.varint()
    if (size > sizeMax) throw new PocketError('BAD_FRAME', `${size} bytes where at most ${sizeMax} are allowed`)
    return size
  }

  /** Moves over the next `count` bytes and gives where they start. */
  #take(count: number): number {
    const at = this.#position
    if (count > this.#end - at) throw new PocketError('BAD_FRAME', 'bytes end too early')
    this.#position = at + count
    return at
  }
}

const nothing = new Uint8Array(0)

function isU53(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function unfit(value: number, bits: number): PocketError {
  return new PocketError('BAD_ARGUMENT', `${value} is not a whole number of at most ${bits} bits`)
}

function tooLong(size: number, bytesMax: number): PocketError {
  return new PocketError('BAD_ARGUMENT', `a text of ${size} bytes where at most ${bytesMax} are allowed`)
}
