// Taking messages in: one walk over a batch checks every message, finds its queue and what the index needs; then all of
// it is appended, or nothing. Whether it is a resend is judged before.

import { PocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import type { PublishSegment } from '../protocol/frames.ts'
import { MessageScanner } from '../record/message-codec.ts'
import type { RecordSlice } from '../record/record-batch.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { PublishRequest } from './door.ts'
import type { Topic } from './topic.ts'

/** A slice while it grows. */
interface OpenSlice extends RecordSlice {
  readonly starts: number[]
  readonly ends: number[]
  readonly tagHashes: number[]
  readonly groupHashes: number[] | undefined
  hasKeys: boolean
}

/** A batch that was checked and has not been appended. */
export interface CheckedBatch {
  readonly slices: ReadonlyMap<QueueLog, OpenSlice>
  /** The queue of each message where there is more than one, in message order. */
  readonly routes: readonly QueueLog[]
  readonly messageCount: number
}

export class BatchReader {
  readonly #scanner: MessageScanner

  /** For batches of clients, or for the broker's own, which add properties to messages that may be full of them. */
  constructor(limits: Limits, origin: 'sent' | 'stored' = 'sent') {
    this.#scanner = new MessageScanner(limits, origin)
  }

  /** Checks a batch for `topic`. Throws BAD_FRAME, BAD_NAME, MESSAGE_TOO_LARGE or MESSAGE_TYPE_MISMATCH. */
  read(topic: Topic, request: PublishRequest): CheckedBatch {
    const { messages, messageCount } = request
    if (messageCount < 1 || messageCount > fixedLimits.batchMessageCountMax) {
      throw new PocketError(
        'BAD_FRAME',
        `a batch of ${messageCount} messages; 1 to ${fixedLimits.batchMessageCountMax} are allowed`,
      )
    }
    const { isFifo } = topic
    const slices = new Map<QueueLog, OpenSlice>()
    const routes: QueueLog[] = []
    const scanner = this.#scanner
    scanner.reset(messages, 0, messages.length)
    let log = isFifo ? undefined : topic.nextQueue()
    let slice = log === undefined ? undefined : openSlice(slices, log, request, isFifo)
    for (let index = 0; index < messageCount; index++) {
      scanner.next()
      if (scanner.sequenceDelta !== index) throw new PocketError('BAD_FRAME', 'sequences of a batch do not follow each other')
      if (scanner.hasMessageGroup !== isFifo) throw typeMismatch(topic)
      if (isFifo) {
        log = topic.queueOfGroup(scanner.messageGroupHash)
        slice = slices.get(log) ?? openSlice(slices, log, request, isFifo)
        slice.groupHashes?.push(scanner.messageGroupHash)
        routes.push(log)
      }
      const open = slice as OpenSlice
      open.starts.push(scanner.start)
      open.ends.push(scanner.end)
      open.tagHashes.push(scanner.tagHash)
      if (scanner.keyHashes.length > 0) open.hasKeys = true
    }
    if (!scanner.atEnd) throw new PocketError('BAD_FRAME', 'a batch has more bytes than messages')
    return { slices, routes, messageCount }
  }
}

/** Appends a checked batch; gives where its messages went, in message order. */
export function appendBatch(batch: CheckedBatch): PublishSegment[] {
  const nextOffsets = new Map<QueueLog, number>()
  for (const [log, slice] of batch.slices) nextOffsets.set(log, log.append(slice, slice.hasKeys))
  if (batch.slices.size === 1) {
    const [[log, offset]] = [...nextOffsets] as [[QueueLog, number]]
    return [{ queueId: log.queueId, epoch: log.epoch, offset, count: batch.messageCount }]
  }
  const segments: { queueId: number; epoch: number; offset: number; count: number }[] = []
  for (const log of batch.routes) {
    const offset = nextOffsets.get(log) as number
    nextOffsets.set(log, offset + 1)
    const last = segments.at(-1)
    if (last !== undefined && last.queueId === log.queueId) last.count++
    else segments.push({ queueId: log.queueId, epoch: log.epoch, offset, count: 1 })
  }
  return segments
}

function openSlice(
  slices: Map<QueueLog, OpenSlice>, log: QueueLog, request: PublishRequest, isFifo: boolean,
): OpenSlice {
  const slice: OpenSlice = {
    producerId: request.producerId,
    producerEpoch: request.producerEpoch,
    baseSequence: request.baseSequence,
    batchCount: request.messageCount,
    source: request.messages,
    starts: [],
    ends: [],
    tagHashes: [],
    groupHashes: isFifo ? [] : undefined,
    hasKeys: false,
  }
  slices.set(log, slice)
  return slice
}

function typeMismatch(topic: Topic): PocketError {
  return new PocketError(
    'MESSAGE_TYPE_MISMATCH',
    topic.isFifo
      ? `topic '${topic.name}' is FIFO: every message needs a message group`
      : `topic '${topic.name}' is NORMAL: its messages have no message group`,
  )
}
