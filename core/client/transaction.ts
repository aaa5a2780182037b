// One transaction: half messages that are stored part by part, and its end. Parts and end are sent in one go and not one
// after the other: the end names the number of messages, so the relay refuses it as long as a part is missing. All of it is
// sent again on each connection until it is answered; the relay knows what it has.
//
//   send() ──> open parts ──turn ended──> queued ──room, link up──> unanswered ──DONE──> stored
//   commit(), rollback() ──> END_TRANSACTION behind them ──TRANSACTION_ENDED──> over
//   a part refused for good: spoiled, can only be rolled back

import { must } from '../assert.ts'
import { ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { formatMessageId } from '../model/message.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { FrameFields, TransactionOutcome } from '../protocol/frames.ts'
import { checkMessage, encodeMessage } from '../record/message-codec.ts'
import { producerIdToBytes } from '../record/record-batch.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession, TurnParticipant } from '../session/client-session.ts'
import type { AnswerFrame } from '../session/requests.ts'
import { onAbort } from './abort.ts'
import type { CommittedMessage, SendOptions, Topic, Transaction, TransactionReceipt } from './api.ts'
import { Places } from './places.ts'
import { type BatchOwner, PublishBatch } from './publish-batch.ts'
import type { PublishWindow, WindowUser } from './publish-window.ts'
import { asSendError, encodeBody, type SendHeaders } from './send-options.ts'
import { codecOf } from './topic.ts'

/** A part is closed when it has about so much. */
const partBytesAim = 256 * 1024
/** Fields of a PREPARE beside the messages. */
const prepareFieldsBytesMax = 1024
/** A bug of the relay that a request brings about every time must not hold up the application for ever. */
const internalErrorsMax = 5

export interface TransactionHost {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
  readonly window: PublishWindow
  readonly headers: SendHeaders
  readonly producerGroup: string
  /** 0 leaves it to the relay. */
  readonly checkAfterMs: number
  /** Something is to be sent for it: it is told of the link from now on. */
  readonly begun: (transaction: HalfTransaction) => void
  /** Nothing is left to do for it. */
  readonly over: (transaction: HalfTransaction) => void
}

/** Half messages of one topic and turn. */
interface OpenPart {
  readonly batch: PublishBatch<number>
  readonly writer: ByteWriter
}

/** A message; its sequence once it is stored. */
interface Sent {
  readonly topic: string
  sequence: number
}

/** How the transaction is to end, and who waits for it. */
interface Ending {
  readonly outcome: TransactionOutcome
  readonly promise: Promise<TransactionReceipt>
  readonly resolve: (receipt: TransactionReceipt) => void
  readonly reject: (error: PocketError) => void
  /** 0 while it is not on the wire. */
  requestId: number
  /** It was sent before all parts were known to be stored. */
  isEarly: boolean
  refusalCount: number
}

export class HalfTransaction implements Transaction, TurnParticipant, WindowUser, BatchOwner<number> {
  readonly transactionId: string
  readonly #host: TransactionHost
  readonly #scratch = new ByteWriter(256)
  readonly #open = new Map<string, OpenPart>()
  #queued: PublishBatch<number>[] = []
  #unanswered: PublishBatch<number>[] = []
  /** Messages that were given their place, which is all that are on the wire or were. */
  #sequenceNext = 0
  /** In the order of the sends. */
  readonly #sent: Sent[] = []
  /** Of the bodies. */
  #byteCount = 0
  #isUp = false
  #isTouched = false
  #cancelPause: CancelTimer | undefined
  #ending: Ending | undefined
  /** Why it can only be rolled back. */
  #spoiled: PocketError | undefined
  /** Why nothing can be done with it any more. */
  #end: PocketError | undefined

  constructor(host: TransactionHost, transactionId: string) {
    this.#host = host
    this.transactionId = transactionId
  }

  /** Settles with the commit or rollback that is under way or done; undefined before. */
  get ending(): Promise<unknown> | undefined {
    return this.#ending?.promise
  }

  send<T>(topic: Topic<T>, value: T, options?: SendOptions): Promise<{ readonly messageId: string }> {
    const promise = this.#send(topic, value, options)
    // Commit tells it too, so nobody has to wait here.
    promise.catch(ignore)
    return promise
  }

  commit(): Promise<TransactionReceipt> {
    if (this.#ending?.outcome === 'commit') return this.#ending.promise
    const refusal = this.#ending === undefined ? this.#end ?? this.#spoiled : finished('rollback')
    return refusal === undefined ? this.#endWith('commit') : Promise.reject(refusal)
  }

  async rollback(): Promise<void> {
    if (this.#ending?.outcome === 'commit') throw finished('commit')
    if (this.#ending === undefined) {
      if (this.#end !== undefined) throw this.#end
      this.#dropAll(finished('rollback'))
    }
    await (this.#ending?.promise ?? this.#endWith('rollback'))
  }

  /** The producer is closed: what is not decided yet never is by this client. */
  abandon(error: PocketError): void {
    if (this.#ending === undefined) this.#finish(error)
  }

  #messageIdOf(sequence: number): string {
    return formatMessageId({ producerId: this.transactionId, producerEpoch: 0, sequence })
  }

  async #send<T>(topic: Topic<T>, value: T, options: SendOptions | undefined): Promise<{ readonly messageId: string }> {
    let stopListening = ignore
    try {
      const batch = this.#append(topic, value, options)
      const sent: Sent = { topic: topic.name, sequence: 0 }
      this.#sent.push(sent)
      await new Promise<void>((resolve, reject) => {
        batch.enlist((sequence) => {
          sent.sequence = sequence
          resolve()
        }, reject)
        stopListening = onAbort(options?.signal, (error) => {
          if (this.#ending === undefined) this.#spoiled ??= error
          reject(error)
        })
      })
      return { messageId: this.#messageIdOf(sent.sequence) }
    } catch (cause) {
      const error = asSendError(cause)
      // Once the end is under way, it alone says what became of the message.
      if (this.#ending === undefined) this.#spoiled ??= error
      throw error
    } finally {
      stopListening()
    }
  }

  // ── gathering ─────────────────────────────────────────────────────────────────────────────────────────────────

  #append<T>(topic: Topic<T>, value: T, options: SendOptions | undefined): PublishBatch<number> {
    if (this.#ending !== undefined) throw finished(this.#ending.outcome)
    const refusal = this.#end ?? this.#spoiled
    if (refusal !== undefined) throw refusal
    const { headers, session, begun } = this.#host
    const codec = codecOf(topic)
    const head = headers.of(options)
    const body = encodeBody(codec, value)
    checkMessage(head, body.length, session.limits.bodyBytesMax)
    const { transactionMessageCountMax } = fixedLimits
    if (this.#sent.length >= transactionMessageCountMax) {
      throw new PocketError('LIMIT_EXCEEDED', `a transaction has at most ${transactionMessageCountMax} messages`)
    }
    this.#byteCount += body.length
    if (this.#byteCount > session.limits.frameBytesMax) {
      // A check brings all of it in one frame. The relay's own bound is tighter.
      throw new PocketError('LIMIT_EXCEEDED', `a transaction of ${this.#byteCount} bytes is too large`)
    }
    const { batch, writer } = this.#partFor(topic.name, body.length)
    encodeMessage(writer, this.#scratch, batch.messageCount, head, body)
    if (this.#sent.length === 0) begun(this)
    this.#touch()
    return batch
  }

  #partFor(topic: string, bodySize: number): OpenPart {
    const open = this.#open.get(topic)
    if (open !== undefined) {
      if (open.writer.length + bodySize <= partBytesAim) return open
      this.#seal(open)
    }
    const part = { batch: new PublishBatch(this, topic), writer: new ByteWriter(1024) }
    this.#open.set(topic, part)
    return part
  }

  #seal({ batch, writer }: OpenPart): void {
    batch.seal(writer.finish())
    this.#queued.push(batch)
  }

  #touch(): void {
    if (this.#isTouched) return
    this.#isTouched = true
    this.#host.session.touch(this)
  }

  turnEnded(): void {
    this.#isTouched = false
    for (const part of this.#open.values()) this.#seal(part)
    this.#open.clear()
    this.pump()
  }

  // ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends what is queued, as far as there is room, and the end behind it. */
  pump(): void {
    const { session, window } = this.#host
    if (!this.#isUp || this.#cancelPause !== undefined || this.#end !== undefined) return
    const { batchMessageCountMax, frameBytesMax } = session.limits
    for (let batch = this.#queued[0]; batch !== undefined; batch = this.#queued[0]) {
      if (session.isDraining || !window.take(batch.byteCount, this)) return
      this.#queued.shift()
      let byteCount = 0
      for (const part of batch.fitted(batchMessageCountMax, frameBytesMax - prepareFieldsBytesMax)) {
        part.place = { producerId: this.transactionId, producerEpoch: 0, baseSequence: this.#sequenceNext }
        this.#sequenceNext += part.messageCount
        byteCount += part.byteCount
        this.#unanswered.push(part)
        this.#prepare(part)
      }
      if (byteCount !== batch.byteCount) window.give(batch.byteCount - byteCount)
    }
    this.#sendEnd()
  }

  #prepare(part: PublishBatch<number>): void {
    const { session, clock, producerGroup, checkAfterMs } = this.#host
    const { topic, messageCount, messages } = part
    const { baseSequence } = must(part.place, 'a part has its place before it is sent')
    if (part.requestId !== 0) session.forgetRequest(part.requestId)
    const requestId = session.openRequest(part)
    part.requestId = requestId
    part.outcome = undefined
    if (messages.length + prepareFieldsBytesMax > session.limits.frameBytesMax) {
      // The relay would end the connection. It was made when another was there, with other limits.
      const text = `${messages.length} bytes; the relay takes at most ${session.limits.frameBytesMax} in a frame`
      return clock.defer(() => session.refuseRequest(requestId, new PocketError('MESSAGE_TOO_LARGE', text)))
    }
    const transactionId = producerIdToBytes(this.transactionId)
    session.send('PREPARE', {
      requestId, transactionId, producerGroup, checkAfterMs, topic, baseSequence, messageCount, messages: noBytes,
    }, messages)
  }

  get #hasUnsent(): boolean {
    return this.#open.size > 0 || this.#queued.length > 0
  }

  #sendEnd(): void {
    const ending = this.#ending
    if (ending === undefined || ending.requestId !== 0 || !this.#isUp || this.#cancelPause !== undefined) return
    if (this.#hasUnsent) return
    const { session, producerGroup } = this.#host
    ending.isEarly = this.#unanswered.length > 0
    ending.requestId = session.openRequest({
      answered: (frame) => {
        ending.requestId = 0
        if (frame.name === 'TRANSACTION_ENDED') this.#endAnswered(ending, frame)
        else this.#endRefused(ending, new PocketError('BAD_FRAME', `END_TRANSACTION was answered with ${frame.name}`))
      },
      refused: (error) => {
        ending.requestId = 0
        this.#endRefused(ending, error)
      },
    })
    session.send('END_TRANSACTION', {
      requestId: ending.requestId,
      transactionId: producerIdToBytes(this.transactionId),
      producerGroup,
      outcome: ending.outcome,
      messageCount: this.#sequenceNext,
    })
  }

  linked(): void {
    this.#isUp = true
    for (const part of this.#unanswered) this.#prepare(part)
    this.pump()
  }

  unlinked(): void {
    this.#isUp = false
    this.#cancelPause?.()
    this.#cancelPause = undefined
    for (const part of this.#unanswered) part.requestId = 0
    if (this.#ending !== undefined) this.#ending.requestId = 0
  }

  /** The relay asks what became of it: it says so again, if that is known. */
  checked(): void {
    if (this.#ending === undefined || this.#cancelPause === undefined) return
    this.#cancelPause()
    this.#resume()
  }

  // ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────

  batchAnswered(part: PublishBatch<number>, answer: AnswerFrame | PocketError): void {
    part.requestId = 0
    const isRight = answer instanceof PocketError || answer.name === 'DONE'
    part.outcome = isRight ? answer : new PocketError('BAD_FRAME', `PREPARE was answered with ${answer.name}`)
    this.#settleInOrder()
  }

  /** A refusal is judged when all before it are answered: then everything behind it is known not to be stored. */
  #settleInOrder(): void {
    while (this.#cancelPause === undefined) {
      const head = this.#unanswered[0]
      const outcome = head?.outcome
      if (head === undefined || outcome === undefined) break
      if (outcome instanceof PocketError) return this.#refused(head, outcome)
      this.#unanswered.shift()
      this.#stored(head)
    }
    // An end that was sent too early is sent again.
    if (this.#unanswered.length === 0) this.pump()
  }

  #stored(part: PublishBatch<number>): void {
    const { baseSequence } = must(part.place, 'only a part that was sent is stored')
    this.#host.window.give(part.byteCount)
    part.resolveAll((_messageId, index) => baseSequence + index)
  }

  #refused(head: PublishBatch<number>, error: PocketError): void {
    if (isWorthAnotherTry(error, head.refusalCount)) return this.#pause(error, ++head.refusalCount)
    const ending = this.#ending
    // It may have been committed by an earlier try whose answer was lost: the answer to the end tells. A commit of more
    // messages than there are is refused.
    if (ending !== undefined && !this.#hasUnsent) return this.#sendEnd()
    if (ending === undefined) this.#spoil(error)
    else this.#endFailed(ending, error)
  }

  /** From now on it can only be rolled back. */
  #spoil(error: PocketError): void {
    this.#spoiled ??= error
    this.#dropAll(error)
  }

  #endFailed(ending: Ending, error: PocketError): void {
    if (ending.requestId !== 0) this.#host.session.forgetRequest(ending.requestId)
    this.#ending = undefined
    if (ending.outcome === 'commit' && error.code !== 'TRANSACTION_FINISHED') this.#spoil(error)
    else this.#finish(error)
    ending.reject(error)
  }

  #endAnswered(ending: Ending, answer: FrameFields<'TRANSACTION_ENDED'>): void {
    const { outcome, duplicate, segments, scheduled } = answer
    if (outcome !== ending.outcome) return this.#endFailed(ending, finished(outcome))
    const { transactionId } = this
    if (outcome === 'commit') {
      for (const part of this.#unanswered.splice(0)) {
        if (part.requestId !== 0) this.#host.session.forgetRequest(part.requestId)
        this.#stored(part)
      }
    }
    ending.resolve({ transactionId, duplicate, messages: outcome === 'commit' ? this.#placed(segments, scheduled) : [] })
    this.#finish(finished(outcome))
  }

  /** Where each message went, in the order of the sends. */
  #placed(
    segments: FrameFields<'TRANSACTION_ENDED'>['segments'], scheduled: readonly number[],
  ): readonly CommittedMessage[] {
    const places = new Places(segments, scheduled)
    const sent = this.#sent.toSorted((left, right) => left.sequence - right.sequence)
    const committed = new Map(sent.map(({ topic, sequence }) => {
      places.next()
      const messageId = this.#messageIdOf(sequence)
      const { queueId, offset, epoch, deliverMs } = places
      const recallHandle = places.recallHandleOf(messageId)
      return [sequence, { messageId, topic, queueId, offset, epoch, deliverMs, recallHandle }]
    }))
    return this.#sent.map(({ sequence }) => must(committed.get(sequence), 'every message is there once'))
  }

  #endRefused(ending: Ending, error: PocketError): void {
    const { code } = error
    if (isWorthAnotherTry(error, ending.refusalCount)) return this.#pause(error, ++ending.refusalCount)
    if (ending.isEarly && (code === 'SEQUENCE_GAP' || code === 'TRANSACTION_NOT_FOUND')) {
      const head = this.#unanswered[0]
      if (head === undefined) return this.#sendEnd()
      if (head.outcome instanceof PocketError) this.#endFailed(ending, head.outcome)
      return
    }
    if (ending.outcome === 'rollback' && code === 'TRANSACTION_NOT_FOUND') {
      ending.resolve({ transactionId: this.transactionId, duplicate: true, messages: [] })
      return this.#finish(finished('rollback'))
    }
    this.#endFailed(ending, error)
  }

  /** The relay takes nothing for now; all that is not answered by then goes out once more. */
  #pause(error: PocketError, refusalCount: number): void {
    const { clock, random } = this.#host
    const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(refusalCount, random)
    this.#cancelPause?.()
    this.#cancelPause = clock.setTimer(delayMs, () => this.#resume())
  }

  #resume(): void {
    this.#cancelPause = undefined
    if (!this.#isUp) return
    for (const part of this.#unanswered) {
      if (part.outcome === undefined || part.outcome instanceof PocketError) this.#prepare(part)
    }
    this.#settleInOrder()
    this.pump()
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  #endWith(outcome: TransactionOutcome): Promise<TransactionReceipt> {
    let settle: Pick<Ending, 'resolve' | 'reject'> | undefined
    const promise = new Promise<TransactionReceipt>((resolve, reject) => {
      settle = { resolve, reject }
    })
    const { resolve, reject } = must(settle, 'a promise runs its executor at once')
    this.#ending = { outcome, promise, resolve, reject, requestId: 0, isEarly: false, refusalCount: 0 }
    const isKnownThere = outcome === 'commit' ? this.#sent.length > 0 : this.#sequenceNext > 0
    if (isKnownThere) this.#touch()
    else {
      resolve({ transactionId: this.transactionId, duplicate: false, messages: [] })
      this.#finish(finished(outcome))
    }
    return promise
  }

  /** Messages that are not known to be stored are not sent any more, and who waits for them gets `error`. */
  #dropAll(error: PocketError): void {
    const { session, window } = this.#host
    this.#cancelPause?.()
    this.#cancelPause = undefined
    const unanswered = this.#unanswered.splice(0)
    const dropped = [...unanswered, ...this.#queued.splice(0), ...[...this.#open.values()].map(({ batch }) => batch)]
    this.#open.clear()
    for (const part of unanswered) {
      if (part.requestId !== 0) session.forgetRequest(part.requestId)
      window.give(part.byteCount)
    }
    for (const part of dropped) part.rejectAll(error)
  }

  #finish(error: PocketError): void {
    if (this.#end !== undefined) return
    this.#end = error
    this.#dropAll(error)
    this.#ending?.reject(error)
    this.#host.over(this)
  }

  /** The session is over. */
  ended(error: PocketError): void {
    this.#isUp = false
    this.#finish(error)
  }
}

const noBytes = new Uint8Array(0)

function isWorthAnotherTry({ retryable, code }: PocketError, refusalCount: number): boolean {
  return retryable && (code !== 'INTERNAL' || refusalCount < internalErrorsMax)
}

function finished(outcome: TransactionOutcome): PocketError {
  return new PocketError('TRANSACTION_FINISHED', `the transaction is ${outcome === 'commit' ? 'committed' : 'rolled back'}`)
}

function ignore(): void {}
