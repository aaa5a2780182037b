// Sends the messages of one topic handle: in order, as few batches as the turns allow, pipelined, and each exactly as
// often as the relay needs to hear of it. The relay recognises a resend by producer id, epoch and sequence.
//
//   send() ──> open batch ──turn ended──> queued ──room, link up──> unanswered ──PUBLISHED, in order──> receipts
//                                                                     │  ^  │
//                                     connection lost: sent again as is ┘  └─ refused: rejected, and what stands behind
//                                                                            it goes again under the next epoch from 0,
//                                                                            or is left to an owner who counts for itself

import { must } from '../assert.ts'
import { ByteWriter } from '../bytes.ts'
import { type ErrorCode, PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { ProducerId } from '../model/message.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { checkMessage, encodeMessage } from '../record/message-codec.ts'
import { producerIdToBytes, producerIdToText } from '../record/record-batch.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession, SessionParticipant, TurnParticipant } from '../session/client-session.ts'
import type { AnswerFrame } from '../session/requests.ts'
import { abortError, onAbort } from './abort.ts'
import type { Codec, SendOptions, SendReceipt } from './api.ts'
import type { HostProducerOptions } from './host-client.ts'
import {
  batchBytesAim, type BatchOwner, internalErrorsMax, kindOf, PublishBatch, publishFieldsBytesMax, type RejectSend,
  type ResolveSend, resolveWith,
} from './publish-batch.ts'
import type { PublishWindow, WindowUser } from './publish-window.ts'
import { asSendError, encodeBody, SendHeaders } from './send-options.ts'

/** `ready` waits while so much is unanswered. */
const roomMessageCount = 16_384
const roomBytes = 4 * 1024 * 1024
/** Beyond it `send` refuses: whoever does not wait for `ready` gets no more memory. */
const pendingBytesMax = 256 * 1024 * 1024
/** So long a store may be full before sends are rejected. */
const fullMsMax = 30_000

export interface ProducerDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
  readonly window: PublishWindow
}

export class Producer<T> implements SessionParticipant, TurnParticipant, WindowUser, BatchOwner<SendReceipt> {
  readonly #deps: ProducerDeps
  readonly #topic: string
  readonly #codec: Codec<T>
  #producerId: ProducerId
  #producerEpoch = 0
  #sequenceNext = 0
  readonly #host: HostProducerOptions | undefined
  readonly #writer = new ByteWriter(1024)
  readonly #scratch = new ByteWriter(256)
  readonly #headers: SendHeaders
  #open: PublishBatch<SendReceipt> | undefined
  #openKind = 0
  #queued: PublishBatch<SendReceipt>[] = []
  readonly #unanswered: PublishBatch<SendReceipt>[] = []
  #pendingCount = 0
  /** Of sealed batches. */
  #pendingBytes = 0
  #isTouched = false
  #isUp = false
  /** Set while the relay takes nothing for now. */
  #cancelPause: CancelTimer | undefined
  #end: PocketError | undefined
  #isStopped = false
  readonly #roomy = Promise.resolve()
  #roomWaiters: { readonly resolve: () => void; readonly reject: (error: PocketError) => void }[] = []
  #idleWaiters: (() => void)[] = []

  constructor(deps: ProducerDeps, topic: string, codec: Codec<T>, host?: HostProducerOptions) {
    this.#deps = deps
    this.#topic = topic
    this.#codec = codec
    this.#headers = new SendHeaders(deps.clock)
    this.#producerId = host?.identity.producerId ?? producerIdToText(deps.random.bytes(8))
    this.#producerEpoch = host?.identity.producerEpoch ?? 0
    this.#sequenceNext = host?.identity.sequenceNext ?? 0
    this.#host = host
    deps.session.join(this)
  }

  /** Messages sent and not answered, those that wait for their turn included. */
  get inFlightCount(): number {
    return this.#pendingCount
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  send(value: T, options?: SendOptions): Promise<SendReceipt> {
    try {
      this.#append(value, options)
    } catch (cause) {
      return Promise.reject(asSendError(cause))
    }
    const promise = new Promise<SendReceipt>(this.#enlist)
    if (options?.signal !== undefined) this.#watch(options.signal, promise)
    if (!this.#isTouched) {
      this.#isTouched = true
      this.#deps.session.touch(this)
    }
    return promise
  }

  ready({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#end !== undefined) return Promise.reject(this.#end)
    if (this.#hasRoom(1)) return this.#roomy
    if (signal?.aborted) return Promise.reject(abortError(signal))
    return new Promise((resolve, reject) => {
      const waiter = {
        resolve: () => {
          stopListening()
          resolve()
        },
        reject: (error: PocketError) => {
          stopListening()
          reject(error)
        },
      }
      const stopListening = onAbort(signal, (error) => {
        this.#roomWaiters = this.#roomWaiters.filter((other) => other !== waiter)
        reject(error)
      })
      this.#roomWaiters.push(waiter)
    })
  }

  /** No further `send`; resolves when all before it are answered. */
  close(): Promise<void> {
    this.#end ??= new PocketError('CLOSED', 'the client is closed')
    for (const { reject } of this.#roomWaiters.splice(0)) reject(this.#end)
    if (this.#pendingCount === 0) {
      this.#deps.session.leave(this)
      return Promise.resolve()
    }
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  // ── gathering ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Writes a message behind the others of this turn. Throws where it may not be sent. */
  #append(value: T, options: SendOptions | undefined): void {
    if (this.#end !== undefined) throw this.#end
    const headers = this.#headers.of(options)
    const body = encodeBody(this.#codec, value)
    checkMessage(headers, body.length, this.#deps.session.limits.bodyBytesMax)
    if (this.#pendingBytes > pendingBytesMax) {
      const text = `${this.#pendingBytes} bytes wait to be sent to '${this.#topic}'; wait for ready() between sends`
      throw new PocketError('OVERLOADED', text)
    }
    const batch = this.#batchFor(kindOf(headers), body.length)
    encodeMessage(this.#writer, this.#scratch, batch.messageCount, headers, body)
  }

  #batchFor(kind: number, bodySize: number): PublishBatch<SendReceipt> {
    const open = this.#open
    if (open !== undefined) {
      const isFull = open.messageCount >= fixedLimits.batchMessageCountMax ||
        this.#writer.length + bodySize > batchBytesAim
      if (!isFull && this.#openKind === kind) return open
      this.seal()
    }
    this.#open = new PublishBatch(this, this.#topic)
    this.#openKind = kind
    return this.#open
  }

  /** Runs inside `new Promise`, right after `#append`: one function for all messages. */
  readonly #enlist = (resolve: ResolveSend<SendReceipt>, reject: RejectSend): void => {
    this.#pendingCount++
    must(this.#open, 'a message was appended').enlist(resolve, reject)
  }

  #watch(signal: AbortSignal, promise: Promise<SendReceipt>): void {
    const batch = must(this.#open, 'a message was appended')
    const index = batch.messageCount - 1
    const stopListening = onAbort(signal, (error) => batch.giveUp(index, error))
    promise.then(stopListening, stopListening)
  }

  /** Ends the batch: what is sent from here on goes into another. */
  seal(): void {
    const open = this.#open
    if (open === undefined) return
    open.seal(this.#writer.finish())
    this.#pendingBytes += open.byteCount
    this.#queued.push(open)
    this.#open = undefined
  }

  turnEnded(): void {
    this.#isTouched = false
    this.seal()
    this.pump()
  }

  // ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends what is queued, as far as there is room. */
  pump(): void {
    const { session, window } = this.#deps
    if (!this.#isUp || this.#cancelPause !== undefined || session.isDraining) return
    const { batchMessageCountMax, frameBytesMax } = session.limits
    let batch = this.#queued[0]
    while (batch !== undefined && window.take(batch.byteCount, this)) {
      this.#queued.shift()
      const parts = batch.fitted(batchMessageCountMax, frameBytesMax - publishFieldsBytesMax)
      this.#replaced(batch, parts)
      for (const part of parts) {
        this.#place(part)
        this.#unanswered.push(part)
        this.#publish(part)
      }
      batch = this.#queued[0]
    }
  }

  /** What was taken apart, or has lost messages that were given up, counts as its parts do. */
  #replaced(batch: PublishBatch<SendReceipt>, parts: readonly PublishBatch<SendReceipt>[]): void {
    if (parts[0] === batch) return
    let byteCount = 0
    let messageCount = 0
    for (const part of parts) {
      byteCount += part.byteCount
      messageCount += part.messageCount
    }
    this.#pendingCount -= batch.messageCount - messageCount
    this.#pendingBytes -= batch.byteCount - byteCount
    this.#deps.window.give(batch.byteCount - byteCount)
    this.#settled()
  }

  /** Gives a batch its place in the producer's sequence. */
  #place(batch: PublishBatch<SendReceipt>): void {
    batch.place = {
      producerId: this.#producerId,
      producerEpoch: this.#producerEpoch,
      baseSequence: this.#sequenceNext,
    }
    this.#sequenceNext += batch.messageCount
  }

  #publish(batch: PublishBatch<SendReceipt>): void {
    const { session, clock } = this.#deps
    const { messageCount, messages } = batch
    const { producerId, producerEpoch, baseSequence } = must(batch.place, 'a batch has its place before it is sent')
    if (batch.requestId !== 0) session.forgetRequest(batch.requestId)
    batch.requestId = session.openRequest(batch)
    batch.outcome = undefined
    if (messages.length + publishFieldsBytesMax > session.limits.frameBytesMax) {
      // The relay would end the connection. It was made when another was there, with other limits.
      const text = `${messages.length} bytes; the relay takes at most ${session.limits.frameBytesMax} in a frame`
      return clock.defer(() => session.refuseRequest(batch.requestId, new PocketError('MESSAGE_TOO_LARGE', text)))
    }
    session.send('PUBLISH', {
      requestId: batch.requestId,
      topic: this.#topic,
      producerId: producerIdToBytes(producerId),
      producerEpoch,
      baseSequence,
      messageCount,
      sentMs: Math.floor(clock.now()),
      messages: noBytes,
    }, messages)
  }

  /** Sends again what has no answer, or was refused because of what stands before it. */
  #publishAgain(): void {
    for (const batch of this.#unanswered) {
      if (batch.outcome === undefined || batch.outcome instanceof PocketError) this.#publish(batch)
    }
  }

  linked(): void {
    this.#isUp = true
    this.#publishAgain()
    this.pump()
  }

  unlinked(): void {
    this.#isUp = false
    this.#cancelPause?.()
    this.#cancelPause = undefined
    for (const batch of this.#unanswered) batch.requestId = 0
  }

  ended(error: PocketError): void {
    this.#isUp = false
    this.#end ??= error
    this.#cancelPause?.()
    this.seal()
    const batches = [...this.#unanswered.splice(0), ...this.#queued.splice(0)]
    for (const batch of batches) batch.rejectAll(error)
    this.#pendingCount = 0
    this.#pendingBytes = 0
    for (const { reject } of this.#roomWaiters.splice(0)) reject(error)
    this.#settled()
  }

  // ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────

  batchAnswered(batch: PublishBatch<SendReceipt>, answer: AnswerFrame | PocketError): void {
    batch.requestId = 0
    const isRight = answer instanceof PocketError || answer.name === 'PUBLISHED'
    batch.outcome = isRight ? answer : new PocketError('BAD_FRAME', `PUBLISH was answered with ${answer.name}`)
    this.#settleInOrder()
  }

  /** A refusal is judged when all before it are answered: then everything behind it is known not to be stored. */
  #settleInOrder(): void {
    while (this.#cancelPause === undefined) {
      const head = this.#unanswered[0]
      const outcome = head?.outcome
      if (head === undefined || outcome === undefined) break
      if (outcome instanceof PocketError) this.#refused(head, outcome)
      else {
        this.#remove(head)
        // Nothing else was let in.
        resolveWith(head, outcome as FrameFields<'PUBLISHED'>)
      }
    }
    this.#settled()
  }

  /** The first of the unanswered was refused. */
  #refused(head: PublishBatch<SendReceipt>, error: PocketError): void {
    const { code, retryable } = error
    if (retryable && this.#isPassing(head, code)) return this.#pause(head, error)
    const isForgotten = code === 'PRODUCER_UNKNOWN' || code === 'SEQUENCE_GAP'
    if (isForgotten && must(head.place, 'it was sent').baseSequence > 0) {
      // The relay has lost the producer's state, or messages it had acknowledged. This batch is not there.
      return this.#renumber()
    }
    this.#remove(head)
    head.rejectAll(error)
    if (code === 'PRODUCER_FENCED') this.#producerId = producerIdToText(this.#deps.random.bytes(8))
    // Its number is free again: an owner who counts for itself goes on from there.
    else if (this.#host !== undefined) return this.#stop(this.#host)
    this.#renumber()
  }

  /** A bug, or a full store, may last: then whoever sends has to know. */
  #isPassing(head: PublishBatch<SendReceipt>, code: ErrorCode): boolean {
    if (code === 'INTERNAL') return head.refusalCount < internalErrorsMax
    if (code !== 'STORE_FULL') return true
    const nowMs = this.#deps.clock.monotonic()
    if (head.fullSinceMs === 0) head.fullSinceMs = Math.max(nowMs, 1)
    return nowMs - head.fullSinceMs < fullMsMax
  }

  /** The relay takes nothing for now. What was sent behind it is refused as well, for the gap. */
  #pause(head: PublishBatch<SendReceipt>, error: PocketError): void {
    const { clock, random } = this.#deps
    const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(++head.refusalCount, random)
    this.#cancelPause = clock.setTimer(delayMs, () => {
      this.#cancelPause = undefined
      this.#publishAgain()
      this.pump()
    })
  }

  /** All that is not known to be stored goes again under the next epoch, where the relay expects sequence 0. */
  #renumber(): void {
    this.#producerEpoch++
    this.#sequenceNext = 0
    if (this.#host !== undefined) {
      this.#host.renumbered({ producerId: this.#producerId, producerEpoch: this.#producerEpoch, sequenceNext: 0 })
      return this.#stop(this.#host)
    }
    for (const batch of this.#unanswered) {
      if (batch.outcome !== undefined && !(batch.outcome instanceof PocketError)) continue
      this.#place(batch)
      if (this.#isUp) this.#publish(batch)
      else batch.outcome = undefined
    }
  }

  /** Leaves what is not answered to its owner. */
  #stop(host: HostProducerOptions): void {
    const { session, window } = this.#deps
    for (const { requestId, byteCount } of this.#unanswered.splice(0)) {
      if (requestId !== 0) session.forgetRequest(requestId)
      window.give(byteCount)
    }
    this.#queued = []
    this.#open = undefined
    this.#writer.finish()
    this.#pendingCount = 0
    this.#pendingBytes = 0
    this.#isStopped = true
    this.#end ??= new PocketError('CLOSED', 'something was refused: open the producer anew')
    host.stopped()
  }

  #remove(head: PublishBatch<SendReceipt>): void {
    this.#unanswered.shift()
    this.#pendingCount -= head.messageCount
    this.#pendingBytes -= head.byteCount
    this.#deps.window.give(head.byteCount)
  }

  /** Fewer are pending than before. */
  #settled(): void {
    if (this.#roomWaiters.length > 0 && this.#hasRoom(0.75)) {
      for (const { resolve } of this.#roomWaiters.splice(0)) resolve()
    }
    if (this.#pendingCount > 0) return
    if (this.#end !== undefined) this.#deps.session.leave(this)
    for (const resolve of this.#idleWaiters.splice(0)) resolve()
  }

  #hasRoom(share: number): boolean {
    return this.#pendingCount < roomMessageCount * share &&
      this.#pendingBytes + this.#writer.length < roomBytes * share
  }
}

const noBytes = new Uint8Array(0)
