// The record batch: the unit of disk, wire and delivery (DESIGN: one commit's messages of one queue are one record,
// from however many producers). The bytes on disk are the bytes a consumer is sent; a filtered or partial delivery is
// the same format with fewer messages. All integers little-endian.
//
//   0   u32  CRC-32C of everything after it
//   4   u8   format version, 1
//   5   u8   flags: 1 message group hashes present, 2 offset deltas present (a selection or a compacted record: it has
//            holes), 4 times to live present
//   6   u16  slice count
//   8   u53  base offset
//   16  u53  stored time, milliseconds since 1970
//   24  u32  epoch of the queue's log
//   28  u32  message count
//   32  u32  last offset less base offset
//   36  slices, 28 bytes each: 8 bytes producer id, u32 producer epoch, u53 base sequence, u32 batch count, u32 first
//       index
//       u32[]  tag hash of each message
//       u32[]  position of each message in the message area
//       u32[]  message group hash of each message, with flag 1
//       u32[]  time to live of each message in milliseconds, 0 for none, with flag 4
//       u32[]  offset less base offset of each message, with flag 2
//       messages, as in message-codec.ts

import { assert } from '../assert.ts'
import { ByteWriter, getU32, getU53, setU32, setU53 } from '../bytes.ts'
import { crc32c } from '../crc32c.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { MessageId, ProducerId, StoredMessage } from '../model/message.ts'
import { decodeMessage } from './message-codec.ts'

const formatVersion = 1
const flagGroupHashes = 1
const flagOffsetDeltas = 2
const flagTtls = 4
const flagsKnown = flagGroupHashes | flagOffsetDeltas | flagTtls
const headerSize = 36
const sliceSize = 28
const cellSize = 4
/** A size prefix, flags, sequence and born time. */
const messageSizeMin = 4

/** A run of messages from one batch of one producer, still in the bytes they came in. */
export interface RecordSlice {
  /** Eight bytes. */
  readonly producerId: Uint8Array
  readonly producerEpoch: number
  /** Sequence of the first message of the producer's batch, which may have gone to several queues. */
  readonly baseSequence: number
  /** Messages of the whole producer batch. */
  readonly batchCount: number
  readonly source: Uint8Array
  /** Where each message begins and ends in `source`, size prefix included. At least one. */
  readonly starts: readonly number[]
  readonly ends: readonly number[]
  readonly tagHashes: readonly number[]
  /** Message group hashes, where the topic is FIFO. */
  readonly groupHashes: readonly number[] | undefined
  /** Times to live in milliseconds, 0 for none; their own or their topic's. Undefined where no message has one. */
  readonly ttls: readonly number[] | undefined
}

export interface RecordHead {
  readonly epoch: number
  readonly baseOffset: number
  readonly storedMs: number
}

/**
 * Makes a record of consecutive offsets out of slices of scanned messages. The messages are copied here, and nowhere
 * else until a socket takes them.
 */
export function encodeRecordBatch(head: RecordHead, slices: readonly RecordSlice[]): Uint8Array {
  let messageCount = 0
  let messageBytes = 0
  let hasGroupHashes = false
  let hasTtls = false
  for (const { starts, ends, groupHashes, ttls } of slices) {
    assert(starts.length > 0, 'a slice has messages')
    messageCount += starts.length
    for (let index = 0; index < starts.length; index++) {
      messageBytes += (ends[index] as number) - (starts[index] as number)
    }
    if (groupHashes !== undefined) hasGroupHashes = true
    if (ttls !== undefined) hasTtls = true
  }
  assert(messageCount > 0 && messageCount <= fixedLimits.batchMessageCountMax, 'a record has messages, within bounds')
  const columnSize = messageCount * cellSize
  const tagColumn = headerSize + slices.length * sliceSize
  const positionColumn = tagColumn + columnSize
  const groupColumn = positionColumn + columnSize
  const ttlColumn = hasGroupHashes ? groupColumn + columnSize : groupColumn
  const messageArea = hasTtls ? ttlColumn + columnSize : ttlColumn
  const flags = (hasGroupHashes ? flagGroupHashes : 0) | (hasTtls ? flagTtls : 0)
  const bytes = new Uint8Array(messageArea + messageBytes)
  writeHeader(bytes, head, flags, slices.length, messageCount, messageCount - 1)
  let message = 0
  let target = messageArea
  for (let index = 0; index < slices.length; index++) {
    const slice = slices[index] as RecordSlice
    writeSlice(bytes, index, slice, message)
    const { source, starts, ends, tagHashes, groupHashes, ttls } = slice
    let stretchStart = starts[0] as number
    let stretchEnd = stretchStart
    for (let at = 0; at < starts.length; at++, message++) {
      const start = starts[at] as number
      if (start !== stretchEnd) {
        bytes.set(source.subarray(stretchStart, stretchEnd), target)
        target += stretchEnd - stretchStart
        stretchStart = start
      }
      setU32(bytes, tagColumn + message * cellSize, tagHashes[at] as number)
      setU32(bytes, positionColumn + message * cellSize, target - messageArea + start - stretchStart)
      if (hasGroupHashes) setU32(bytes, groupColumn + message * cellSize, groupHashes?.[at] ?? 0)
      if (hasTtls) setU32(bytes, ttlColumn + message * cellSize, ttls?.[at] ?? 0)
      stretchEnd = ends[at] as number
    }
    bytes.set(source.subarray(stretchStart, stretchEnd), target)
    target += stretchEnd - stretchStart
  }
  setU32(bytes, 0, crc32c(bytes, 4))
  return bytes
}

function writeHeader(
  bytes: Uint8Array, head: RecordHead, flags: number, sliceCount: number, messageCount: number, lastOffsetDelta: number,
): void {
  bytes[4] = formatVersion
  bytes[5] = flags
  bytes[6] = sliceCount
  bytes[7] = sliceCount >>> 8
  setU53(bytes, 8, head.baseOffset)
  setU53(bytes, 16, head.storedMs)
  setU32(bytes, 24, head.epoch)
  setU32(bytes, 28, messageCount)
  setU32(bytes, 32, lastOffsetDelta)
}

function writeSlice(
  bytes: Uint8Array, index: number,
  slice: Pick<RecordSlice, 'producerId' | 'producerEpoch' | 'baseSequence' | 'batchCount'>, firstIndex: number,
): void {
  const at = headerSize + index * sliceSize
  bytes.set(slice.producerId, at)
  setU32(bytes, at + 8, slice.producerEpoch)
  setU53(bytes, at + 12, slice.baseSequence)
  setU32(bytes, at + 20, slice.batchCount)
  setU32(bytes, at + 24, firstIndex)
}

/** What a record says of a slice, without the messages. */
export interface SliceHead {
  readonly producerId: Uint8Array
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly batchCount: number
  readonly firstIndex: number
}

/**
 * A record batch as it lies in memory: a checked view, no message is decoded before it is asked for. Header, slices and
 * columns are checked when it is made, so an accessor cannot leave the bytes, whoever made them.
 */
export class RecordBatch {
  readonly bytes: Uint8Array
  readonly messageCount: number
  readonly sliceCount: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly storedMs: number
  readonly epoch: number
  readonly #flags: number
  readonly #columns: number
  readonly #messageArea: number
  /** The slice whose message ids were last asked for: most likely the next one's too. */
  #idSlice = -1
  #idPrefix = ''

  private constructor(bytes: Uint8Array) {
    if (bytes.length < headerSize) throw damaged('is too short')
    if (bytes[4] !== formatVersion) throw damaged(`has format version ${String(bytes[4])}`)
    this.bytes = bytes
    this.#flags = bytes[5] as number
    this.sliceCount = (bytes[6] as number) | ((bytes[7] as number) << 8)
    this.baseOffset = getU53(bytes, 8)
    this.storedMs = getU53(bytes, 16)
    this.epoch = getU32(bytes, 24)
    this.messageCount = getU32(bytes, 28)
    this.lastOffset = this.baseOffset + getU32(bytes, 32)
    const columnCount = this.#offsetColumn + (this.isWhole ? 0 : 1)
    this.#columns = headerSize + this.sliceCount * sliceSize
    this.#messageArea = this.#columns + this.messageCount * cellSize * columnCount
    const canBe = (this.#flags & ~flagsKnown) === 0 &&
      this.messageCount >= 1 && this.messageCount <= fixedLimits.batchMessageCountMax &&
      this.sliceCount >= 1 && this.sliceCount <= this.messageCount && this.#messageArea <= bytes.length &&
      this.lastOffset <= fixedLimits.offsetMax && this.storedMs <= Number.MAX_SAFE_INTEGER
    if (!canBe) throw damaged('has a header that cannot be')
    this.#checkSlices()
    this.#checkPositions()
    this.#checkOffsets()
    this.#checkTtls()
  }

  /**
   * A view of bytes that this process made or checked before, or that a peer sent over a connection, which has
   * checksums of its own. Throws RECORD_DAMAGED unless it holds together; messages are checked as they are decoded.
   */
  static view(bytes: Uint8Array): RecordBatch {
    return new RecordBatch(bytes)
  }

  /** A view of bytes from a disk; throws RECORD_DAMAGED unless the checksum holds too. */
  static open(bytes: Uint8Array): RecordBatch {
    const batch = new RecordBatch(bytes)
    if (getU32(bytes, 0) !== crc32c(bytes, 4)) throw damaged('fails its checksum')
    return batch
  }

  get hasGroupHashes(): boolean {
    return (this.#flags & flagGroupHashes) !== 0
  }

  /** Whether times to live are kept; where not, no message has one. */
  get hasTtl(): boolean {
    return (this.#flags & flagTtls) !== 0
  }

  /** Whether every offset from base to last is here; a selection and a compacted record may have holes. */
  get isWhole(): boolean {
    return (this.#flags & flagOffsetDeltas) === 0
  }

  offsetAt(index: number): number {
    this.#checkIndex(index)
    return this.isWhole ? this.baseOffset + index : this.baseOffset + this.#cell(this.#offsetColumn, index)
  }

  /** Index of the first message at or after `offset`; `messageCount` if there is none. */
  indexFrom(offset: number): number {
    if (this.isWhole) return Math.max(0, Math.min(offset - this.baseOffset, this.messageCount))
    let low = 0
    let high = this.messageCount
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.offsetAt(middle) < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Index of the message at `offset`; -1 where the record has no such message. */
  indexOf(offset: number): number {
    const index = this.indexFrom(offset)
    return index < this.messageCount && this.offsetAt(index) === offset ? index : -1
  }

  tagHashAt(index: number): number {
    this.#checkIndex(index)
    return this.#cell(0, index)
  }

  /** 0 where the record has none. */
  groupHashAt(index: number): number {
    this.#checkIndex(index)
    return this.hasGroupHashes ? this.#cell(2, index) : 0
  }

  /** Milliseconds from the stored time on for which the message is delivered; 0 is without end. */
  ttlAt(index: number): number {
    this.#checkIndex(index)
    return this.hasTtl ? this.#cell(this.#ttlColumn, index) : 0
  }

  /** Whether its time to live is over: so much time went by since it was stored, or more. */
  isExpiredAt(index: number, nowMs: number): boolean {
    const ttlMs = this.ttlAt(index)
    return ttlMs !== 0 && nowMs - this.storedMs >= ttlMs
  }

  sliceAt(slice: number): SliceHead {
    assert(slice >= 0 && slice < this.sliceCount, 'a slice of the record')
    const at = headerSize + slice * sliceSize
    return {
      producerId: this.bytes.subarray(at, at + 8),
      producerEpoch: getU32(this.bytes, at + 8),
      baseSequence: getU53(this.bytes, at + 12),
      batchCount: getU32(this.bytes, at + 20),
      firstIndex: getU32(this.bytes, at + 24),
    }
  }

  /** The slice that the message at `index` belongs to. */
  sliceOf(index: number): SliceHead {
    this.#checkIndex(index)
    return this.sliceAt(this.#sliceIndexOf(index))
  }

  /** The encoded message, size prefix included: a view, not a copy. */
  messageBytesAt(index: number): Uint8Array {
    return this.bytes.subarray(this.messageStart(index), this.messageEnd(index))
  }

  /** Decodes one message; its body is a view. Throws RECORD_DAMAGED or BAD_FRAME where its bytes are none. */
  messageAt(index: number, topic: string, queueId: number): StoredMessage {
    const { headers, body, sequenceDelta } = decodeMessage(this.bytes, this.messageStart(index), this.messageEnd(index))
    return {
      messageId: this.#messageId(index, sequenceDelta),
      topic,
      queueId,
      offset: this.offsetAt(index),
      tag: headers.tag,
      keys: headers.keys,
      messageGroup: headers.messageGroup,
      properties: headers.properties,
      bornMs: headers.bornMs,
      delayMs: headers.delayMs,
      deliverMs: headers.deliverMs,
      priority: headers.priority,
      ttlMs: headers.ttlMs,
      storedMs: this.storedMs,
      body,
    }
  }

  messageStart(index: number): number {
    this.#checkIndex(index)
    return this.#messageArea + this.#cell(1, index)
  }

  messageEnd(index: number): number {
    return index + 1 < this.messageCount ? this.messageStart(index + 1) : this.bytes.length
  }

  #messageId(index: number, sequenceDelta: number): MessageId {
    const slice = this.#sliceIndexOf(index)
    const at = headerSize + slice * sliceSize
    if (slice !== this.#idSlice) {
      const producerId = producerIdToText(this.bytes.subarray(at, at + 8))
      this.#idPrefix = `${producerId}-${getU32(this.bytes, at + 8)}-`
      this.#idSlice = slice
    }
    if (sequenceDelta >= getU32(this.bytes, at + 20)) throw damaged('has a message that is not of its batch')
    return `${this.#idPrefix}${getU53(this.bytes, at + 12) + sequenceDelta}`
  }

  #sliceIndexOf(index: number): number {
    let low = 0
    let high = this.sliceCount - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (getU32(this.bytes, headerSize + middle * sliceSize + 24) <= index) low = middle
      else high = middle - 1
    }
    return low
  }

  get #ttlColumn(): number {
    return this.hasGroupHashes ? 3 : 2
  }

  /** The last of the columns, where it is there. */
  get #offsetColumn(): number {
    return this.#ttlColumn + (this.hasTtl ? 1 : 0)
  }

  #cell(column: number, index: number): number {
    return getU32(this.bytes, this.#columns + (column * this.messageCount + index) * cellSize)
  }

  /** An index outside would read another column: that is a bug of the caller, not damage. */
  #checkIndex(index: number): void {
    assert(index >= 0 && index < this.messageCount, 'a message of the record')
  }

  #checkSlices(): void {
    let firstIndexMin = 0
    for (let slice = 0; slice < this.sliceCount; slice++) {
      const at = headerSize + slice * sliceSize
      const lastSequence = getU53(this.bytes, at + 12) + getU32(this.bytes, at + 20)
      const firstIndex = getU32(this.bytes, at + 24)
      const isInOrder = slice === 0 ? firstIndex === 0 : firstIndex >= firstIndexMin && firstIndex < this.messageCount
      if (!isInOrder || lastSequence > fixedLimits.offsetMax) throw damaged('has a slice that cannot be')
      firstIndexMin = firstIndex + 1
    }
  }

  #checkPositions(): void {
    const { bytes, messageCount } = this
    let at = this.#columns + messageCount * cellSize
    if (getU32(bytes, at) !== 0) throw damaged('does not begin with its first message')
    const areaSize = bytes.length - this.#messageArea
    let position = 0
    for (let index = 1; index < messageCount; index++) {
      at += cellSize
      const next = getU32(bytes, at)
      if (next - position < messageSizeMin) throw damaged('has messages out of order')
      position = next
    }
    if (areaSize - position < messageSizeMin) throw damaged('points outside itself')
  }

  #checkOffsets(): void {
    const span = this.lastOffset - this.baseOffset
    if (this.isWhole) {
      if (span !== this.messageCount - 1) throw damaged('has other offsets than messages')
      return
    }
    const column = this.#offsetColumn
    let previous = -1
    for (let index = 0; index < this.messageCount; index++) {
      const delta = this.#cell(column, index)
      if (index === 0 ? delta !== 0 : delta <= previous) throw damaged('has offsets out of order')
      previous = delta
    }
    if (previous !== span) throw damaged('has other offsets than messages')
  }

  #checkTtls(): void {
    if (!this.hasTtl) return
    for (let index = 0; index < this.messageCount; index++) {
      if (this.#cell(this.#ttlColumn, index) > fixedLimits.ttlMsMax) throw damaged('has a time to live that cannot be')
    }
  }
}

/**
 * A record with only the messages at `indexes` (ascending, at least one) of `batch`, offsets kept. Given all of them it
 * is the record itself, uncopied.
 */
export function selectFromRecord(batch: RecordBatch, indexes: readonly number[]): Uint8Array {
  const messageCount = indexes.length
  assert(messageCount > 0, 'something is selected')
  if (messageCount === batch.messageCount) return batch.bytes
  const heads: SliceHead[] = []
  const { sliceCount, hasGroupHashes, hasTtl } = batch
  let at = 0
  let messageBytes = 0
  for (let slice = 0; slice < sliceCount && at < messageCount; slice++) {
    const endIndex = slice + 1 < sliceCount ? batch.sliceAt(slice + 1).firstIndex : batch.messageCount
    const firstIndex = at
    while (at < messageCount && (indexes[at] as number) < endIndex) {
      messageBytes += batch.messageEnd(indexes[at] as number) - batch.messageStart(indexes[at] as number)
      at++
    }
    if (at > firstIndex) heads.push({ ...batch.sliceAt(slice), firstIndex })
  }
  const firstOffset = batch.offsetAt(indexes[0] as number)
  const lastOffset = batch.offsetAt(indexes[messageCount - 1] as number)
  const hasHoles = lastOffset - firstOffset !== messageCount - 1
  const ttlColumn = hasGroupHashes ? 3 : 2
  const offsetColumn = hasTtl ? ttlColumn + 1 : ttlColumn
  const columns = hasHoles ? offsetColumn + 1 : offsetColumn
  const columnArea = headerSize + heads.length * sliceSize
  const columnSize = messageCount * cellSize
  const messageArea = columnArea + columnSize * columns
  const bytes = new Uint8Array(messageArea + messageBytes)
  const flags = (hasGroupHashes ? flagGroupHashes : 0) | (hasHoles ? flagOffsetDeltas : 0) | (hasTtl ? flagTtls : 0)
  const head = { epoch: batch.epoch, baseOffset: firstOffset, storedMs: batch.storedMs }
  writeHeader(bytes, head, flags, heads.length, messageCount, lastOffset - firstOffset)
  heads.forEach((slice, index) => writeSlice(bytes, index, slice, slice.firstIndex))
  let target = messageArea
  let stretchStart = batch.messageStart(indexes[0] as number)
  let stretchEnd = stretchStart
  for (let index = 0; index < messageCount; index++) {
    const from = indexes[index] as number
    const start = batch.messageStart(from)
    if (start !== stretchEnd) {
      bytes.set(batch.bytes.subarray(stretchStart, stretchEnd), target)
      target += stretchEnd - stretchStart
      stretchStart = start
    }
    const cell = columnArea + index * cellSize
    setU32(bytes, cell, batch.tagHashAt(from))
    setU32(bytes, cell + columnSize, target - messageArea + start - stretchStart)
    if (hasGroupHashes) setU32(bytes, cell + 2 * columnSize, batch.groupHashAt(from))
    if (hasTtl) setU32(bytes, cell + ttlColumn * columnSize, batch.ttlAt(from))
    if (hasHoles) setU32(bytes, cell + offsetColumn * columnSize, batch.offsetAt(from) - firstOffset)
    stretchEnd = batch.messageEnd(from)
  }
  bytes.set(batch.bytes.subarray(stretchStart, stretchEnd), target)
  setU32(bytes, 0, crc32c(bytes, 4))
  return bytes
}

const hexDigits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Eight bytes as 16 hex digits. */
export function producerIdToText(bytes: Uint8Array): ProducerId {
  let text = ''
  for (let index = 0; index < 8; index++) text += hexDigits[bytes[index] as number] as string
  return text
}

export function producerIdToBytes(producerId: ProducerId): Uint8Array {
  const writer = new ByteWriter(8)
  for (let index = 0; index < 16; index += 2) writer.u8(Number.parseInt(producerId.slice(index, index + 2), 16))
  return writer.finish()
}

function damaged(what: string): PocketError {
  return new PocketError('RECORD_DAMAGED', `a record ${what}`)
}
