// Messages of one producer, or of one transaction, that travel together: gathered during a turn, sealed into bytes, kept
// until they are answered, so that they can be sent again as they were. Their promises are settled here, in message order.

import { must } from '../assert.ts'
import { ByteWriter } from '../bytes.ts'
import type { PocketError } from '../errors.ts'
import type { MessageHeaders, MessageId, ProducerId } from '../model/message.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { decodeMessage, encodeMessage } from '../record/message-codec.ts'
import type { AnswerFrame, AnswerHandler } from '../session/requests.ts'
import type { SendReceipt } from './api.ts'
import { Places } from './places.ts'

/** A batch is closed when it has about so much: the relay's records are as large. */
export const batchBytesAim = 256 * 1024
/** A bug of the relay that a batch brings about every time must not hold up the producer for ever. */
export const internalErrorsMax = 5
/** Fields of a PUBLISH beside the messages. */
export const publishFieldsBytesMax = 1024

export type ResolveSend<R> = (receipt: R) => void
export type RejectSend = (error: PocketError) => void

/** Who is told that a batch has its answer. */
export interface BatchOwner<R> {
  batchAnswered(batch: PublishBatch<R>, outcome: AnswerFrame | PocketError): void
}

/** `R`: what a sender gets. */
export class PublishBatch<R> implements AnswerHandler {
  readonly topic: string
  readonly #owner: BatchOwner<R>
  readonly #resolves: ResolveSend<R>[] = []
  readonly #rejects: RejectSend[] = []
  /** Encoded messages, once sealed. */
  messages: Uint8Array = noBytes
  byteCount = 0
  /** Undefined before it is sent for the first time; from then on its messages do not change. */
  place: { readonly producerId: ProducerId; readonly producerEpoch: number; readonly baseSequence: number } | undefined
  requestId = 0
  /** Its answer, kept until those before it have theirs. */
  outcome: AnswerFrame | PocketError | undefined
  refusalCount = 0
  /** When it was refused first for want of room, by the monotonic clock; 0 where it was not. */
  fullSinceMs = 0
  /** Indexes of messages whose senders gave up before it was sent. */
  #dropped: Set<number> | undefined

  constructor(owner: BatchOwner<R>, topic: string) {
    this.#owner = owner
    this.topic = topic
  }

  /** Messages in it, those given up included. */
  get messageCount(): number {
    return this.#resolves.length
  }

  /** Adds the one who waits for the message that was written last. */
  enlist(resolve: ResolveSend<R>, reject: RejectSend): void {
    this.#resolves.push(resolve)
    this.#rejects.push(reject)
  }

  seal(messages: Uint8Array): void {
    this.messages = messages
    this.byteCount = messages.length
  }

  /** Its sender stops waiting; a message that was not sent yet never is. */
  giveUp(index: number, error: PocketError): void {
    this.#rejects[index]?.(error)
    if (this.place === undefined) this.drop(index)
  }

  /** A message that was not sent yet never is. */
  drop(index: number): void {
    this.#dropped ??= new Set()
    this.#dropped.add(index)
  }

  /**
   * It, or what it has to become before it can be sent: without the messages given up, in parts that keep to the
   * relay's limits. Only before it is sent.
   */
  fitted(messageCountMax: number, byteCountMax: number): readonly PublishBatch<R>[] {
    const fits = this.messageCount <= messageCountMax && (this.byteCount <= byteCountMax || this.messageCount === 1)
    if (fits && this.#dropped === undefined) return [this]
    const parts: PublishBatch<R>[] = []
    const writer = new ByteWriter(Math.min(this.byteCount, byteCountMax) + 64)
    const scratch = new ByteWriter()
    let part: PublishBatch<R> | undefined
    const close = () => {
      if (part === undefined) return
      part.seal(writer.finish())
      parts.push(part)
      part = undefined
    }
    let position = 0
    for (let index = 0; index < this.messageCount; index++) {
      const { headers, body } = decodeMessage(this.messages, position)
      position = body.byteOffset - this.messages.byteOffset + body.length
      if (this.#dropped?.has(index)) continue
      const isFull = part !== undefined &&
        (part.messageCount >= messageCountMax || writer.length + body.length + headersBytesMax > byteCountMax)
      if (isFull) close()
      part ??= new PublishBatch(this.#owner, this.topic)
      encodeMessage(writer, scratch, part.messageCount, headers, body)
      part.enlist(this.#resolves[index] as ResolveSend<R>, this.#rejects[index] as RejectSend)
    }
    close()
    return parts
  }

  // ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────

  answered(frame: AnswerFrame): void {
    this.#owner.batchAnswered(this, frame)
  }

  refused(error: PocketError): void {
    this.#owner.batchAnswered(this, error)
  }

  /** Tells each sender, in message order, what it gets. */
  resolveAll(receiptOf: (messageId: MessageId, index: number) => R): void {
    const { producerId, producerEpoch, baseSequence } = must(this.place, 'only a batch that was sent is answered')
    const prefix = `${producerId}-${producerEpoch}-`
    const resolves = this.#resolves
    for (let index = 0; index < resolves.length; index++) {
      const resolve = resolves[index] as ResolveSend<R>
      resolve(receiptOf(prefix + (baseSequence + index), index))
    }
  }

  rejectAll(error: PocketError): void {
    for (const reject of this.#rejects) reject(error)
  }
}

/** More than tag, keys, group and properties of one message take. */
const headersBytesMax = 24 * 1024
const noBytes = new Uint8Array(0)

/** Tells each sender where its message is. */
export function resolveWith(batch: PublishBatch<SendReceipt>, answer: FrameFields<'PUBLISHED'>): void {
  const { duplicate } = answer
  const durability = answer.isRelaxed ? 'relaxed' as const : 'strict' as const
  const places = new Places(answer.segments, answer.scheduled)
  batch.resolveAll((messageId) => {
    places.next()
    const { queueId, offset, epoch, deliverMs } = places
    return { messageId, queueId, offset, epoch, duplicate, durability, deliverMs, recallHandle: places.recallHandleOf(messageId) }
  })
}

const kindMessageGroup = 1
const kindPriority = 2
const kindScheduled = 4

/** What a topic or the relay may refuse, and the whole batch with it, as bits: messages of different kinds share none. */
export function kindOf({ messageGroup, priority, delayMs, deliverMs }: MessageHeaders): number {
  return (messageGroup === undefined ? 0 : kindMessageGroup) | (priority === undefined ? 0 : kindPriority) |
    (delayMs === undefined && deliverMs === undefined ? 0 : kindScheduled)
}

export function isScheduledKind(kind: number): boolean {
  return (kind & kindScheduled) !== 0
}
