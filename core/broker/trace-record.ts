// What a trace message holds: things that happened in one turn to messages of one queue, as runs of offsets. Its body,
// and how it is found: by a key per block of offsets that it speaks of.

import { ByteReader, type ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { hash32 } from '../hash.ts'
import { fixedLimits } from '../limits.ts'

const version = 1

/** Messages are sampled, and traces are found, by so many offsets together. */
export const traceBlockSize = 64

// Their places are stored: add at the end.
const kinds = ['stored', 'delivered', 'acked', 'retried', 'expired', 'held', 'dead'] as const
export type TraceRunKind = (typeof kinds)[number]

/** Something that happened to the messages `offset` to `offset + count - 1` of a queue. */
export interface TraceRun {
  readonly kind: TraceRunKind
  readonly offset: number
  readonly count: number
  /** Wall time of the broker. */
  readonly atMs: number
  /** From arrival to store, from delivery to its end. */
  readonly costMs: number
  /** Stored: when the client sent it, by its own clock; 0 where the broker made it. */
  readonly sentMs: number
  readonly group: string
  readonly clientId: string
  readonly attempt: number
  readonly delayMs: number
}

export interface TraceRecord {
  readonly topic: string
  readonly topicId: number
  readonly queueId: number
  readonly epoch: number
  readonly runs: readonly TraceRun[]
}

/** The key of trace messages that speak of a block of a queue. */
export function traceKeyOf(topicId: number, queueId: number, offset: number): string {
  return `${topicId}.${queueId}.${Math.floor(offset / traceBlockSize)}`
}

const cells = new Uint8Array(12)
const cellView = new DataView(cells.buffer)

/** Whether messages around `offset` are traced: the same answer at every stage, without a look into the message. */
export function isSampled(topicId: number, queueId: number, offset: number, permille: number): boolean {
  if (permille >= 1000) return true
  if (permille <= 0) return false
  cellView.setUint32(0, topicId)
  cellView.setUint16(4, queueId)
  cellView.setUint32(6, Math.floor(offset / traceBlockSize) % 2 ** 32)
  return hash32(cells) % 1000 < permille
}

export function encodeTraceRecord(record: TraceRecord, writer: ByteWriter): void {
  const { runs } = record
  const texts = new Map<string, number>([['', 0]])
  for (const { group, clientId } of runs) {
    if (!texts.has(group)) texts.set(group, texts.size)
    if (!texts.has(clientId)) texts.set(clientId, texts.size)
  }
  let baseMs = Number.MAX_SAFE_INTEGER
  for (const { atMs } of runs) baseMs = Math.min(baseMs, atMs)
  writer.u8(version)
  writer.text(record.topic)
  writer.varint(record.topicId)
  writer.varint(record.queueId)
  writer.varint(record.epoch)
  writer.varint(texts.size - 1)
  for (const text of texts.keys()) if (text !== '') writer.text(text)
  writer.varint(baseMs)
  writer.varint(runs.length)
  for (const run of runs) {
    writer.u8(kinds.indexOf(run.kind))
    writer.varint(run.offset)
    writer.varint(run.count)
    writer.varint(run.atMs - baseMs)
    writer.varint(run.costMs)
    writer.varint(run.sentMs)
    writer.varint(texts.get(run.group) as number)
    writer.varint(texts.get(run.clientId) as number)
    writer.varint(run.attempt)
    writer.varint(run.delayMs)
  }
}

/** Throws RECORD_DAMAGED or BAD_FRAME where the body of a trace message is none. */
export function decodeTraceRecord(body: Uint8Array): TraceRecord {
  const reader = new ByteReader(body)
  if (reader.u8() !== version) throw new PocketError('RECORD_DAMAGED', 'a trace has an unknown version')
  const topic = reader.text(fixedLimits.systemTopicNameLengthMax)
  const topicId = reader.varint()
  const queueId = reader.varint()
  const epoch = reader.varint()
  const texts = ['']
  for (let count = reader.count(fixedLimits.batchMessageCountMax); count > 0; count--) {
    texts.push(reader.text(fixedLimits.textBytesMax))
  }
  const baseMs = reader.varint()
  const runs: TraceRun[] = []
  for (let count = reader.count(fixedLimits.batchMessageCountMax, 10); count > 0; count--) {
    runs.push({
      kind: kinds[reader.u8()] ?? unknownKind(),
      offset: reader.varint(),
      count: reader.varint(),
      atMs: baseMs + reader.varint(),
      costMs: reader.varint(),
      sentMs: reader.varint(),
      group: texts[reader.varint()] ?? '',
      clientId: texts[reader.varint()] ?? '',
      attempt: reader.varint(),
      delayMs: reader.varint(),
    })
  }
  return { topic, topicId, queueId, epoch, runs }
}

function unknownKind(): never {
  throw new PocketError('RECORD_DAMAGED', 'a trace tells of something unknown')
}
