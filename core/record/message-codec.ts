// One message as bytes: made by the producer, checked once by the broker, stored and delivered as it arrived.
//
//   varint  size of what follows
//   u8      flags: 1 tag, 2 keys, 4 message group, 8 properties, 16 delay, 32 delivery time, 64 priority,
//           128 time to live
//   varint  sequence, relative to the producer batch's base sequence
//   varint  born time, milliseconds since 1970
//   [varint delay, or varint delivery time] [u8 priority] [varint time to live]     times in milliseconds
//   [text tag] [varint count, text…: keys] [text message group] [varint count, (text name, text value)…: properties]
//   body    the rest

import { assert } from '../assert.ts'
import { ByteReader, type ByteWriter, bytesToText, textSize, varintSize } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { hash32 } from '../hash.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { noTagHash } from '../model/filter.ts'
import type { MessageHeaders } from '../model/message.ts'
import { checkKey, checkMessageGroup, checkPropertyName, checkTag } from '../model/names.ts'

export const flagTag = 1
export const flagKeys = 2
export const flagMessageGroup = 4
export const flagProperties = 8
export const flagDelay = 16
export const flagDeliver = 32
export const flagPriority = 64
export const flagTtl = 128
const flagsDelay = flagDelay | flagDeliver
const flagsNumeric = flagDelay | flagDeliver | flagPriority | flagTtl
/** Flags, sequence and born time take a byte each at least. */
const contentSizeMin = 3

const { keyCountMax, propertyCountMax, propertiesBytesMax, delayMsMax, ttlMsMax, priorityMax } = fixedLimits
/** What is stored may hold more than a client may send, as the broker adds to dead letters. */
const storedPropertyCountMax = propertyCountMax + fixedLimits.brokerPropertyCountMax
const storedPropertiesBytesMax = propertiesBytesMax + fixedLimits.brokerPropertiesBytesMax

/**
 * Throws BAD_NAME, BAD_ARGUMENT or MESSAGE_TOO_LARGE unless headers and body may be sent. What passes here passes the
 * broker's {@link MessageScanner}, and nothing else does.
 */
export function checkMessage(headers: MessageHeaders, bodySize: number, bodyBytesMax: number): void {
  if (bodySize > bodyBytesMax) {
    throw new PocketError('MESSAGE_TOO_LARGE', `the body has ${bodySize} bytes; at most ${bodyBytesMax} are allowed`)
  }
  const { tag, keys, messageGroup, properties, bornMs } = headers
  if (!Number.isSafeInteger(bornMs) || bornMs < 0) throw new PocketError('BAD_ARGUMENT', `bornMs is ${bornMs}`)
  checkNumbers(headers)
  if (messageGroup !== undefined) checkMessageGroup(messageGroup)
  let size = tag === undefined ? 0 : checkTag(tag)
  if (keys !== undefined) {
    if (keys.length > keyCountMax) throw tooMany('keys', keys.length, keyCountMax)
    for (const key of keys) size += checkKey(key)
  }
  if (properties !== undefined) {
    if (properties.size > propertyCountMax) throw tooMany('properties', properties.size, propertyCountMax)
    for (const [name, value] of properties) size += checkPropertyName(name) + textSize(value)
  }
  if (size > propertiesBytesMax) throw headersTooLarge(size, propertiesBytesMax)
}

/** Throws BAD_ARGUMENT unless delay, delivery time, priority and time to live may be sent. */
function checkNumbers({ delayMs, deliverMs, priority, ttlMs }: MessageHeaders): void {
  if (delayMs !== undefined && deliverMs !== undefined) throw bothDelays()
  if (delayMs !== undefined && !isWhole(delayMs, 0, delayMsMax)) throw badDelay(delayMs)
  if (deliverMs !== undefined && !isWhole(deliverMs, 0, Number.MAX_SAFE_INTEGER)) {
    throw new PocketError('BAD_ARGUMENT', `deliverMs is ${deliverMs}; it is a time in milliseconds since 1970`)
  }
  if (priority !== undefined && !isWhole(priority, 0, priorityMax)) throw badPriority(priority)
  if (ttlMs !== undefined && !isWhole(ttlMs, 1, ttlMsMax)) throw badTtl(ttlMs)
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max
}

/** Appends one message, which {@link checkMessage} let pass. `scratch` is any other writer; it is left empty. */
export function encodeMessage(
  writer: ByteWriter, scratch: ByteWriter, sequenceDelta: number, headers: MessageHeaders, body: Uint8Array,
): void {
  const { tag, keys, messageGroup, properties, bornMs } = headers
  const { delayMs, deliverMs, priority, ttlMs } = headers
  // Both writers may hold other messages, so nothing may fail half-way.
  assert(Number.isSafeInteger(sequenceDelta) && sequenceDelta >= 0, 'a sequence delta is a count')
  assert(Number.isSafeInteger(bornMs) && bornMs >= 0, 'a born time was checked before')
  const hasKeys = keys !== undefined && keys.length > 0
  const hasProperties = properties !== undefined && properties.size > 0
  const flags = (tag === undefined ? 0 : flagTag) | (hasKeys ? flagKeys : 0) |
    (messageGroup === undefined ? 0 : flagMessageGroup) | (hasProperties ? flagProperties : 0) |
    (delayMs === undefined ? 0 : flagDelay) | (deliverMs === undefined ? 0 : flagDeliver) |
    (priority === undefined ? 0 : flagPriority) | (ttlMs === undefined ? 0 : flagTtl)
  if (flags === 0) {
    writer.varint(1 + varintSize(sequenceDelta) + varintSize(bornMs) + body.length)
    writer.u8(flags)
    writer.varint(sequenceDelta)
    writer.varint(bornMs)
    writer.raw(body)
    return
  }
  if (flags & flagsNumeric) assert(hasFitNumbers(headers), 'delay, priority and time to live were checked before')
  scratch.u8(flags)
  scratch.varint(sequenceDelta)
  scratch.varint(bornMs)
  if (delayMs !== undefined) scratch.varint(delayMs)
  if (deliverMs !== undefined) scratch.varint(deliverMs)
  if (priority !== undefined) scratch.u8(priority)
  if (ttlMs !== undefined) scratch.varint(ttlMs)
  if (tag !== undefined) scratch.text(tag)
  if (hasKeys) {
    scratch.varint(keys.length)
    for (const key of keys) scratch.text(key)
  }
  if (messageGroup !== undefined) scratch.text(messageGroup)
  if (hasProperties) {
    scratch.varint(properties.size)
    for (const [name, value] of properties) {
      scratch.text(name)
      scratch.text(value)
    }
  }
  writer.varint(scratch.length + body.length)
  writer.append(scratch)
  writer.raw(body)
}

/** Whether the numbers beside the born time can be written; whether they may be sent is {@link checkMessage}'s to say. */
function hasFitNumbers({ delayMs = 0, deliverMs = 0, priority = 0, ttlMs = 0 }: MessageHeaders): boolean {
  return isWhole(delayMs, 0, Number.MAX_SAFE_INTEGER) && isWhole(deliverMs, 0, Number.MAX_SAFE_INTEGER) &&
    isWhole(priority, 0, 0xff) && isWhole(ttlMs, 0, Number.MAX_SAFE_INTEGER)
}

export interface DecodedMessage {
  readonly headers: MessageHeaders
  readonly sequenceDelta: number
  /** A view into the source, not a copy. */
  readonly body: Uint8Array
}

/**
 * Reads the message whose size prefix is at `position` and which ends at `end`, or before it where no end is given.
 * Throws BAD_FRAME where it is none.
 */
export function decodeMessage(source: Uint8Array, position: number, end?: number): DecodedMessage {
  const reader = new ByteReader(source, position, end ?? source.length)
  const flags = enterMessage(reader, end !== undefined)
  const sequenceDelta = reader.varint()
  const bornMs = reader.varint()
  if (flags === 0) {
    const headers = {
      delayMs: undefined, deliverMs: undefined, priority: undefined, ttlMs: undefined,
      tag: undefined, keys: undefined, messageGroup: undefined, properties: undefined, bornMs,
    }
    return { headers, sequenceDelta, body: reader.raw(reader.remaining) }
  }
  if ((flags & flagsDelay) === flagsDelay) throw unreadable('two times of delivery')
  // Evaluated in this order, which is that of the bytes.
  const headers: MessageHeaders = {
    delayMs: flags & flagDelay ? inBounds(reader.varint(), 'delay', 0, delayMsMax) : undefined,
    deliverMs: flags & flagDeliver ? reader.varint() : undefined,
    priority: flags & flagPriority ? inBounds(reader.u8(), 'priority', 0, priorityMax) : undefined,
    ttlMs: flags & flagTtl ? inBounds(reader.varint(), 'time to live', 1, ttlMsMax) : undefined,
    tag: flags & flagTag ? reader.text(fixedLimits.tagBytesMax) : undefined,
    keys: flags & flagKeys ? readKeys(reader) : undefined,
    messageGroup: flags & flagMessageGroup ? reader.text(fixedLimits.messageGroupBytesMax) : undefined,
    properties: flags & flagProperties ? readProperties(reader) : undefined,
    bornMs,
  }
  return { headers, sequenceDelta, body: reader.raw(reader.remaining) }
}

/** Stands behind the flags afterwards, bounded to the message; gives the flags. */
function enterMessage(reader: ByteReader, fillsRange: boolean): number {
  const size = reader.varint()
  if (fillsRange && size !== reader.remaining) {
    throw new PocketError('BAD_FRAME', 'a message does not end where it should')
  }
  reader.narrow(size)
  return reader.u8()
}

function inBounds(value: number, what: string, min: number, max: number): number {
  if (value < min || value > max) throw unreadable(`a ${what} of ${value}`)
  return value
}

function unreadable(what: string): PocketError {
  return new PocketError('BAD_FRAME', `a message has ${what}`)
}

function readKeys(reader: ByteReader): string[] {
  const keys: string[] = []
  for (let count = reader.count(keyCountMax); count > 0; count--) keys.push(reader.text(fixedLimits.keyBytesMax))
  return keys
}

function readProperties(reader: ByteReader): Map<string, string> {
  const properties = new Map<string, string>()
  for (let count = reader.count(storedPropertyCountMax, 2); count > 0; count--) {
    const name = reader.text(fixedLimits.keyBytesMax)
    properties.set(name, reader.text(storedPropertiesBytesMax))
  }
  return properties
}

/**
 * Walks over encoded messages as the broker does when they arrive: checks every length, name and bound, and leaves
 * what the index needs in its fields. One scanner is reused for all messages, as this is the hottest loop of a relay.
 */
export class MessageScanner {
  /** Fields of the message that `next` went over. */
  start = 0
  end = 0
  /** Where its body begins, which goes to its end. */
  bodyStart = 0
  sequenceDelta = 0
  tagHash = noTagHash
  hasMessageGroup = false
  messageGroupHash = 0
  /** Hashes of its keys; empty for most. */
  keyHashes: readonly number[] = noKeys
  /** 0 also where it has none. */
  delayMs = 0
  /** 0 also where it has none. */
  deliverMs = 0
  hasPriority = false
  priority = 0
  /** 0 where it has none. */
  ttlMs = 0

  readonly #bodyBytesMax: number
  readonly #propertyCountMax: number
  readonly #propertiesBytesMax: number
  #source: Uint8Array = new Uint8Array(0)
  #position = 0
  #end = 0
  /** Whether the fields of headers are as in a message without any, so that they need not be cleared for the next one. */
  #isPlain = true

  /** For messages as clients may send them; with `stored`, for those that a broker keeps or makes itself. */
  constructor(limits: Pick<Limits, 'bodyBytesMax'>, origin: 'sent' | 'stored' = 'sent') {
    const isStored = origin === 'stored'
    // A limit that was lowered since must not make what is stored unreadable.
    this.#bodyBytesMax = isStored ? Number.MAX_SAFE_INTEGER : limits.bodyBytesMax
    this.#propertyCountMax = isStored ? storedPropertyCountMax : propertyCountMax
    this.#propertiesBytesMax = isStored ? storedPropertiesBytesMax : propertiesBytesMax
  }

  /** Starts at `position` of `source`; messages end at `end`. */
  reset(source: Uint8Array, position: number, end: number): void {
    this.#source = source
    this.#position = position
    this.#end = end
  }

  get atEnd(): boolean {
    return this.#position === this.#end
  }

  get bodySize(): number {
    return this.end - this.bodyStart
  }

  get hasKeys(): boolean {
    return this.keyHashes.length > 0
  }

  /** Hash of its first key, by which a COMPACT topic knows it; 0 also where it has none. */
  get firstKeyHash(): number {
    return this.keyHashes[0] ?? 0
  }

  /** Goes over one message. Throws BAD_FRAME, BAD_NAME, BAD_ARGUMENT or MESSAGE_TOO_LARGE; then it must be reset. */
  next(): void {
    this.start = this.#position
    const size = this.#varint(this.#end)
    const end = this.#position + size
    if (end > this.#end) throw new PocketError('BAD_FRAME', 'a message ends after its frame')
    this.end = end
    if (size < contentSizeMin) throw new PocketError('BAD_FRAME', 'a message is too short')
    const flags = this.#source[this.#position++] as number
    this.sequenceDelta = this.#varint(end)
    this.#varint(end)
    if (!this.#isPlain) this.#clear()
    if (flags !== 0) {
      this.#isPlain = false
      if (flags & flagsNumeric) this.#numbers(flags, end)
      this.#headers(flags, end)
    }
    this.bodyStart = this.#position
    if (end - this.#position > this.#bodyBytesMax) {
      throw new PocketError('MESSAGE_TOO_LARGE', `a body has over ${this.#bodyBytesMax} bytes`)
    }
    this.#position = end
  }

  #clear(): void {
    this.tagHash = noTagHash
    this.hasMessageGroup = false
    this.messageGroupHash = 0
    this.keyHashes = noKeys
    this.delayMs = 0
    this.deliverMs = 0
    this.hasPriority = false
    this.priority = 0
    this.ttlMs = 0
    this.#isPlain = true
  }

  #numbers(flags: number, end: number): void {
    if ((flags & flagsDelay) === flagsDelay) throw bothDelays()
    if (flags & flagDelay) {
      this.delayMs = this.#varint(end)
      if (this.delayMs > delayMsMax) throw badDelay(this.delayMs)
    }
    // How far ahead it may be is the broker's to say, by its own clock.
    if (flags & flagDeliver) this.deliverMs = this.#varint(end)
    if (flags & flagPriority) {
      if (this.#position >= end) throw new PocketError('BAD_FRAME', 'a message is cut short')
      this.priority = this.#source[this.#position++] as number
      this.hasPriority = true
      if (this.priority > priorityMax) throw badPriority(this.priority)
    }
    if (flags & flagTtl) {
      this.ttlMs = this.#varint(end)
      if (this.ttlMs < 1 || this.ttlMs > ttlMsMax) throw badTtl(this.ttlMs)
    }
  }

  #headers(flags: number, end: number): void {
    let size = 0
    if (flags & flagTag) {
      const from = this.#label('tag', end, fixedLimits.tagBytesMax)
      this.#checkTagAt(from)
      this.tagHash = hash32(this.#source, from, this.#position)
      size += this.#position - from
    }
    if (flags & flagKeys) {
      const count = this.#varint(end)
      if (count > keyCountMax) throw tooMany('keys', count, keyCountMax)
      const hashes: number[] = []
      for (let index = 0; index < count; index++) {
        const from = this.#label('key', end, fixedLimits.keyBytesMax)
        hashes.push(hash32(this.#source, from, this.#position))
        size += this.#position - from
      }
      this.keyHashes = hashes
    }
    if (flags & flagMessageGroup) {
      const from = this.#label('message group', end, fixedLimits.messageGroupBytesMax)
      this.hasMessageGroup = true
      this.messageGroupHash = hash32(this.#source, from, this.#position)
    }
    if (flags & flagProperties) {
      const count = this.#varint(end)
      if (count > this.#propertyCountMax) throw tooMany('properties', count, this.#propertyCountMax)
      for (let index = 0; index < count; index++) {
        const from = this.#label('property name', end, fixedLimits.keyBytesMax)
        size += this.#position - from
        const valueSize = this.#varint(end)
        if (valueSize > end - this.#position) throw new PocketError('BAD_FRAME', 'a property ends after its message')
        // Proves that it is UTF-8, so that no consumer trips over it.
        bytesToText(this.#source.subarray(this.#position, this.#position + valueSize))
        this.#position += valueSize
        size += valueSize
      }
    }
    if (size > this.#propertiesBytesMax) throw headersTooLarge(size, this.#propertiesBytesMax)
  }

  /** What names.ts says of a tag beyond any label, of the one from `from` to here. */
  #checkTagAt(from: number): void {
    const source = this.#source
    const end = this.#position
    for (let index = from; index < end; index++) {
      if (source[index] === 0x7c) throw new PocketError('BAD_NAME', "a tag contains '|'")
    }
    if (source[from] === 0x20 || source[end - 1] === 0x20) {
      throw new PocketError('BAD_NAME', 'a tag begins or ends with a blank')
    }
  }

  /** Goes over a text with its size that is not blank and has no control characters; gives where it starts. */
  #label(what: string, end: number, bytesMax: number): number {
    const size = this.#varint(end)
    const source = this.#source
    const from = this.#position
    if (size > end - from) throw new PocketError('BAD_FRAME', `a ${what} ends after its message`)
    if (size > bytesMax) {
      throw new PocketError('BAD_NAME', `a ${what} has ${size} bytes; at most ${bytesMax} are allowed`)
    }
    const to = from + size
    let isBlank = true
    let bits = 0
    for (let index = from; index < to; index++) {
      const byte = source[index] as number
      if (byte < 0x20 || byte === 0x7f) throw new PocketError('BAD_NAME', `a ${what} has control characters`)
      if (byte !== 0x20) isBlank = false
      bits |= byte
    }
    if (isBlank) throw new PocketError('BAD_NAME', `a ${what} may not be blank`)
    if (bits >= 0x80) bytesToText(source.subarray(from, to))
    this.#position = to
    return from
  }

  #varint(end: number): number {
    const source = this.#source
    let at = this.#position
    let value = 0
    let scale = 1
    for (let count = 0; count < 8; count++) {
      if (at >= end) throw new PocketError('BAD_FRAME', 'a message is cut short')
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
}

const noKeys: readonly number[] = []

function bothDelays(): PocketError {
  return new PocketError('BAD_ARGUMENT', 'a message has a delay or a time of delivery, not both')
}

function badDelay(delayMs: number): PocketError {
  return new PocketError('BAD_ARGUMENT', `a delay of ${delayMs} ms; 0 to ${delayMsMax} (40 days) are allowed`)
}

function badPriority(priority: number): PocketError {
  return new PocketError('BAD_ARGUMENT', `a priority of ${priority}; 0 to ${priorityMax} are allowed`)
}

function badTtl(ttlMs: number): PocketError {
  return new PocketError('BAD_ARGUMENT', `a time to live of ${ttlMs} ms; 1 to ${ttlMsMax} (40 days) are allowed`)
}

function tooMany(what: string, count: number, countMax: number): PocketError {
  return new PocketError('BAD_ARGUMENT', `${count} ${what}; at most ${countMax} are allowed`)
}

function headersTooLarge(size: number, bytesMax: number): PocketError {
  return new PocketError(
    'MESSAGE_TOO_LARGE',
    `tag, keys and properties have ${size} bytes; at most ${bytesMax} are allowed`,
  )
}
