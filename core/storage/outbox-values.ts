// What a device's outbox holds, as sealed values: batches of messages on their way to the relay, and the lanes they go
// in. A lane is one producer of one topic. Its messages are counted by *ordinals*, whatever they are called on the wire:
// a name (producer id, epoch) says with `base` which ordinal has its sequence 0.

import { ByteWriter } from '../bytes.ts'
import { errorCodeOf, errorCodes } from '../error-codes.ts'
import type { ErrorCode } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { ProducerId } from '../model/message.ts'
import { producerIdToBytes, producerIdToText } from '../record/record-batch.ts'
import { openValue, sealValue } from './sealed.ts'

const version = 1
/** One for all: every use leaves it empty. */
const writer = new ByteWriter(1024)

/** More of either are not kept. */
export const laneNameCountMax = 16
export const laneRefusalCountMax = 64

/** Under which producer id and epoch messages of a lane go, and which ordinal is sequence 0. */
export interface LaneName {
  readonly producerId: ProducerId
  readonly producerEpoch: number
  readonly base: number
}

/** Ordinals `[from, to)` that the relay refused for good. */
export interface LaneRefusal {
  readonly from: number
  readonly to: number
  readonly code: ErrorCode
}

export interface LaneState {
  readonly topic: string
  /** Ordinal of the next message. */
  readonly next: number
  /** When a message was last added. */
  readonly updatedMs: number
  /** The current one last; each goes for ordinals from its base up to that of the one behind it. */
  readonly names: readonly LaneName[]
  readonly refusals: readonly LaneRefusal[]
}

export function encodeLane({ topic, next, updatedMs, names, refusals }: LaneState): Uint8Array {
  return sealValue(version, (w) => {
    w.text(topic)
    w.varint(next)
    w.varint(updatedMs)
    w.varint(names.length)
    for (const name of names) writeName(w, name)
    w.varint(refusals.length)
    for (const { from, to, code } of refusals) {
      w.varint(from)
      w.varint(to)
      w.u16(errorCodes[code].number)
    }
  }, writer)
}

/** Throws RECORD_DAMAGED. */
export function decodeLane(bytes: Uint8Array): LaneState {
  const reader = openValue(version, bytes)
  const topic = reader.text(fixedLimits.systemTopicNameLengthMax)
  const next = reader.varint()
  const updatedMs = reader.varint()
  const names: LaneName[] = []
  for (let count = reader.count(laneNameCountMax); count > 0; count--) {
    names.push({ producerId: producerIdToText(reader.raw(8)), producerEpoch: reader.u32(), base: reader.varint() })
  }
  const refusals: LaneRefusal[] = []
  for (let count = reader.count(laneRefusalCountMax); count > 0; count--) {
    refusals.push({ from: reader.varint(), to: reader.varint(), code: errorCodeOf(reader.u16()) })
  }
  return { topic, next, updatedMs, names, refusals }
}

/** Messages that were stored together. Topic and name are the lane's of then, so that it can be made anew from them. */
export interface OutboxBatch {
  readonly laneNumber: number
  readonly topic: string
  readonly name: LaneName
  /** Ordinal of the first message. */
  readonly base: number
  readonly messageCount: number
  readonly storedMs: number
  /** As encoded for the wire. */
  readonly messages: Uint8Array
}

export function encodeOutboxBatch(batch: OutboxBatch): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(batch.laneNumber)
    w.text(batch.topic)
    writeName(w, batch.name)
    w.varint(batch.base)
    w.varint(batch.messageCount)
    w.varint(batch.storedMs)
    w.raw(batch.messages)
  }, writer)
}

/** Its messages are a view of `bytes`. Throws RECORD_DAMAGED. */
export function decodeOutboxBatch(bytes: Uint8Array): OutboxBatch {
  const reader = openValue(version, bytes)
  return {
    laneNumber: reader.varint(),
    topic: reader.text(fixedLimits.systemTopicNameLengthMax),
    name: { producerId: producerIdToText(reader.raw(8)), producerEpoch: reader.u32(), base: reader.varint() },
    base: reader.varint(),
    messageCount: reader.varint(),
    storedMs: reader.varint(),
    messages: reader.raw(reader.remaining),
  }
}

function writeName(w: ByteWriter, { producerId, producerEpoch, base }: LaneName): void {
  w.raw(producerIdToBytes(producerId))
  w.u32(producerEpoch)
  w.varint(base)
}
