// What a filter asks of a message, found in its bytes in one walk: tag, keys and the few properties it names. Names are
// compared as bytes, values are only located, nothing is decoded and (but for several keys, which are joined) nothing is
// copied. The walk is total: it never leaves the message, whatever its bytes say. The layout is message-codec.ts's.

import { textToBytes } from '../bytes.ts'
import {
  flagDelay, flagDeliver, flagKeys, flagMessageGroup, flagPriority, flagProperties, flagTag, flagTtl,
} from '../record/message-codec.ts'
import { hasBytesAt } from './text-pattern.ts'

/** Names under which a filter finds the tag and the keys, which are RocketMQ's. Properties of these names are not seen. */
const tagName = 'TAGS'
const keysName = 'KEYS'
const blank = 0x20
const noBytes = new Uint8Array(0)
const flagsNumeric = flagDelay | flagDeliver | flagPriority | flagTtl

/** A value of the message that is being looked at, as UTF-8 in `source[start, end)`. */
export interface Field {
  readonly source: Uint8Array
  /** -1 where the message has no such value. */
  readonly start: number
  readonly end: number
}

interface OpenField extends Field {
  readonly name: Uint8Array
  source: Uint8Array
  start: number
  end: number
}

export class MessageFields {
  readonly #fieldsByName = new Map<string, OpenField>()
  readonly #all: OpenField[] = []
  /** Of these, those that are properties. */
  readonly #properties: OpenField[] = []
  #tag: OpenField | undefined
  #keys: OpenField | undefined
  /** Where several keys are put together; grows to what is needed, which is 8 KiB at most. */
  #joinedKeys = noBytes
  /** Behind the size that was read last. */
  #at = 0

  /** The value that a filter calls `name`; the same object for the same name. */
  field(name: string): Field {
    let field = this.#fieldsByName.get(name)
    if (field === undefined) {
      field = { name: textToBytes(name), source: noBytes, start: -1, end: -1 }
      this.#fieldsByName.set(name, field)
      this.#all.push(field)
      if (name === tagName) this.#tag = field
      else if (name === keysName) this.#keys = field
      else this.#properties.push(field)
    }
    return field
  }

  get fieldCount(): number {
    return this.#all.length
  }

  /**
   * Points the fields into the message whose size prefix is at `start` and which ends at `end`. False where it is no
   * message. Afterwards {@link clear}.
   */
  find(source: Uint8Array, start: number, end: number): boolean {
    const size = this.#size(source, start, end)
    let at = this.#at
    if (size !== end - at || size === 0) return false
    const flags = source[at++] as number
    // Sequence and born time.
    at = skipVarint(source, skipVarint(source, at, end), end)
    if ((flags & flagsNumeric) !== 0) {
      if ((flags & flagDelay) !== 0) at = skipVarint(source, at, end)
      if ((flags & flagDeliver) !== 0) at = skipVarint(source, at, end)
      if ((flags & flagPriority) !== 0) at++
      if ((flags & flagTtl) !== 0) at = skipVarint(source, at, end)
    }
    if ((flags & flagTag) !== 0) {
      const tagSize = this.#size(source, at, end)
      at = this.#at
      if (tagSize > end - at) return false
      if (this.#tag !== undefined) point(this.#tag, source, at, at + tagSize)
      at += tagSize
    }
    if ((flags & flagKeys) !== 0) {
      at = this.#findKeys(source, at, end)
    }
    if ((flags & flagMessageGroup) !== 0) {
      at = this.#size(source, at, end) + this.#at
    }
    if ((flags & flagProperties) !== 0 && this.#properties.length > 0) return this.#findProperties(source, at, end)
    return at <= end
  }

  /** Forgets the message, so that a filter which is kept does not keep a whole record. */
  clear(): void {
    const all = this.#all
    for (let index = 0; index < all.length; index++) {
      const field = all[index] as OpenField
      field.source = noBytes
      field.start = -1
    }
  }

  #findProperties(source: Uint8Array, from: number, end: number): boolean {
    const fields = this.#properties
    const count = this.#size(source, from, end)
    let at = this.#at
    for (let left = count; left > 0; left--) {
      const nameSize = this.#size(source, at, end)
      const nameAt = this.#at
      if (nameSize > end - nameAt) return false
      const valueSize = this.#size(source, nameAt + nameSize, end)
      at = this.#at
      if (valueSize > end - at) return false
      for (let index = 0; index < fields.length; index++) {
        const field = fields[index] as OpenField
        if (field.name.length !== nameSize || !hasBytesAt(source, nameAt, field.name)) continue
        // Of several of one name the last counts, as for who decodes the message.
        point(field, source, at, at + valueSize)
        break
      }
      at += valueSize
    }
    return at <= end
  }

  /** Goes over the keys and gives where they end, which is behind `end` where they are none. */
  #findKeys(source: Uint8Array, from: number, end: number): number {
    const count = this.#size(source, from, end)
    let at = this.#at
    const keysAt = at
    let joinedSize = -1
    for (let left = count; left > 0 && at <= end; left--) {
      const size = this.#size(source, at, end)
      at = this.#at + size
      joinedSize += size + 1
    }
    if (this.#keys === undefined || count === 0 || at > end) return at
    if (count === 1) point(this.#keys, source, at - joinedSize, at)
    else this.#joinKeys(this.#keys, source, keysAt, count, joinedSize, end)
    return at
  }

  #joinKeys(field: OpenField, source: Uint8Array, from: number, count: number, joinedSize: number, end: number): void {
    if (this.#joinedKeys.length < joinedSize) this.#joinedKeys = new Uint8Array(joinedSize)
    const joined = this.#joinedKeys
    let at = from
    let target = 0
    for (let index = 0; index < count; index++) {
      if (index > 0) joined[target++] = blank
      const size = this.#size(source, at, end)
      at = this.#at
      for (const keyEnd = at + size; at < keyEnd; at++) joined[target++] = source[at] as number
    }
    point(field, joined, 0, joinedSize)
  }

  /**
   * The size or count at `at`, and what is behind it in `#at`. What is longer than four bytes or ends behind `end` is
   * more than any message can hold.
   */
  #size(source: Uint8Array, at: number, end: number): number {
    let value = 0
    for (let shift = 0; shift < 28 && at < end; shift += 7) {
      const byte = source[at++] as number
      value |= (byte & 0x7f) << shift
      if (byte >= 0x80) continue
      this.#at = at
      return value
    }
    this.#at = end
    return tooMuch
  }
}

/** Larger than any message, and small enough to be added to a position. */
const tooMuch = 2 ** 30

function point(field: OpenField, source: Uint8Array, start: number, end: number): void {
  field.source = source
  field.start = start
  field.end = end
}

/** Behind the varint at `at`, or behind `end` where none ends before it. */
function skipVarint(source: Uint8Array, at: number, end: number): number {
  while (at < end) {
    if ((source[at++] as number) < 0x80) return at
  }
  return end + 1
}
