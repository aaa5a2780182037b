// Hand-written twins of the frames that run per message when a browser sends or acks one by one. frames.ts says what
// they are; these do the same several times faster, as the objects have a fixed shape and each call a known target. A
// test compares every twin with its table entry, byte for byte and refusal for refusal.

import type { ByteReader, ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { FrameFields, FrameName, FrameOf, LeaseRange, PublishSegment } from './frames.ts'

const { systemTopicNameLengthMax, rangesPerFrameMax, batchMessageCountMax } = fixedLimits
const idSize = 8
const uint32Max = 0xffff_ffff

export type FrameWriter<N extends FrameName> = (writer: ByteWriter, fields: FrameFields<N>) => void
export type FrameReader<N extends FrameName> = (reader: ByteReader) => FrameOf<N>

export const hotWriters: { readonly [N in FrameName]?: FrameWriter<N> } = {
  PUBLISH(writer, fields) {
    writer.varint(fields.requestId)
    writer.text(fields.topic, systemTopicNameLengthMax)
    if (fields.producerId.length !== idSize) throw notWritten('a producer id', fields.producerId.length)
    writer.raw(fields.producerId)
    if (fields.producerEpoch > uint32Max) throw notWritten('a producer epoch', fields.producerEpoch)
    writer.varint(fields.producerEpoch)
    writer.varint(fields.baseSequence)
    writer.varint(fields.messageCount)
    writer.varint(fields.sentMs)
    writer.raw(fields.messages)
  },

  CREDIT(writer, fields) {
    writer.varint(fields.subscriptionId)
    writer.varint(fields.messageCount)
    writer.varint(fields.byteCount)
  },

  ACK(writer, fields) {
    const { ranges } = fields
    if (ranges.length > rangesPerFrameMax) throw notWritten('a list', ranges.length)
    writer.varint(fields.requestId)
    writer.varint(fields.subscriptionId)
    writer.varint(ranges.length)
    for (let index = 0; index < ranges.length; index++) {
      const range = ranges[index] as LeaseRange
      writer.varint(range.queueId)
      writer.varint(range.leaseId)
      writer.varint(range.offset)
      writer.varint(range.count)
    }
  },

  PUBLISHED(writer, fields) {
    const { segments, scheduled } = fields
    if (segments.length > batchMessageCountMax) throw notWritten('a list', segments.length)
    if (scheduled.length > batchMessageCountMax) throw notWritten('a list', scheduled.length)
    writer.varint(fields.requestId)
    writer.u8(fields.duplicate ? 1 : 0)
    writer.u8(fields.isRelaxed ? 1 : 0)
    writer.varint(fields.storedMs)
    writer.varint(segments.length)
    for (let index = 0; index < segments.length; index++) {
      const segment = segments[index] as PublishSegment
      writer.varint(segment.queueId)
      writer.u32(segment.epoch)
      writer.varint(segment.offset)
      writer.varint(segment.count)
    }
    writer.varint(scheduled.length)
    for (let index = 0; index < scheduled.length; index++) writer.varint(scheduled[index] as number)
  },

  DELIVER(writer, fields) {
    writer.varint(fields.subscriptionId)
    writer.varint(fields.queueId)
    writer.varint(fields.leaseId)
    writer.varint(fields.attempt)
    writer.varint(fields.leaseMs)
    writer.u32(fields.next.epoch)
    writer.varint(fields.next.offset)
    writer.raw(fields.record)
  },

  DONE(writer, fields) {
    const { failures } = fields
    if (failures.length > rangesPerFrameMax) throw notWritten('a list', failures.length)
    writer.varint(fields.requestId)
    writer.varint(failures.length)
    for (const { index, code } of failures) {
      writer.varint(index)
      writer.u16(code)
    }
  },
}

export const hotReaders: { readonly [N in FrameName]?: FrameReader<N> } = {
  PUBLISH: (reader) => ({
    name: 'PUBLISH',
    requestId: reader.varint(),
    topic: reader.text(systemTopicNameLengthMax),
    producerId: reader.raw(idSize),
    producerEpoch: readVarint32(reader),
    baseSequence: reader.varint(),
    messageCount: reader.varint(),
    sentMs: reader.varint(),
    messages: reader.raw(reader.remaining),
  }),

  CREDIT: (reader) => ({
    name: 'CREDIT',
    subscriptionId: reader.varint(),
    messageCount: reader.varint(),
    byteCount: reader.varint(),
  }),

  ACK: (reader) => ({
    name: 'ACK',
    requestId: reader.varint(),
    subscriptionId: reader.varint(),
    ranges: readRanges(reader),
  }),

  PUBLISHED: (reader) => ({
    name: 'PUBLISHED',
    requestId: reader.varint(),
    duplicate: readFlag(reader),
    isRelaxed: readFlag(reader),
    storedMs: reader.varint(),
    segments: readSegments(reader),
    scheduled: readScheduled(reader),
  }),

  DELIVER: (reader) => ({
    name: 'DELIVER',
    subscriptionId: reader.varint(),
    queueId: reader.varint(),
    leaseId: reader.varint(),
    attempt: reader.varint(),
    leaseMs: reader.varint(),
    next: { epoch: reader.u32(), offset: reader.varint() },
    record: reader.raw(reader.remaining),
  }),

  DONE: (reader) => ({ name: 'DONE', requestId: reader.varint(), failures: readFailures(reader) }),
}

function readRanges(reader: ByteReader): LeaseRange[] {
  const ranges: LeaseRange[] = []
  for (let count = reader.count(rangesPerFrameMax, 4); count > 0; count--) {
    ranges.push({
      queueId: reader.varint(),
      leaseId: reader.varint(),
      offset: reader.varint(),
      count: reader.varint(),
    })
  }
  return ranges
}

function readSegments(reader: ByteReader): PublishSegment[] {
  const segments: PublishSegment[] = []
  for (let count = reader.count(batchMessageCountMax, 7); count > 0; count--) {
    segments.push({ queueId: reader.varint(), epoch: reader.u32(), offset: reader.varint(), count: reader.varint() })
  }
  return segments
}

const noneScheduled: readonly number[] = []

function readScheduled(reader: ByteReader): readonly number[] {
  let count = reader.count(batchMessageCountMax, 1)
  if (count === 0) return noneScheduled
  const scheduled: number[] = []
  for (; count > 0; count--) scheduled.push(reader.varint())
  return scheduled
}

function readFailures(reader: ByteReader): FrameFields<'DONE'>['failures'] {
  const failures: { index: number; code: number }[] = []
  for (let count = reader.count(rangesPerFrameMax, 3); count > 0; count--) {
    failures.push({ index: reader.varint(), code: reader.u16() })
  }
  return failures
}

function readFlag(reader: ByteReader): boolean {
  const byte = reader.u8()
  if (byte > 1) throw new PocketError('BAD_FRAME', `a flag is ${byte}`)
  return byte === 1
}

function readVarint32(reader: ByteReader): number {
  const value = reader.varint()
  if (value > uint32Max) throw new PocketError('BAD_FRAME', `${value} is over 32 bits`)
  return value
}

function notWritten(what: string, value: number): PocketError {
  return new PocketError('BAD_ARGUMENT', `${what} of ${value} cannot be written`)
}
