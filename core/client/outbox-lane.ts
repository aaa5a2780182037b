// One producer of one topic in a device's outbox: gathers what is sent into batches, and sends what is stored to the
// relay, in order, pipelined, under a name that the relay knows it by. It goes on without whoever sent.
//
//   append ──turn──> entry ──stored──> pending ──parts, room, link up──> unanswered ──PUBLISHED, in order──> over
//                                                                          │   ^
//                          refused, or forgotten: a new name is stored ────┘   └── then what is left goes again
//
// Sequences on the wire are ordinals less the base of the current name, so a new name costs one small write.

import { must } from '../assert.ts'
import { ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { formatMessageId, type MessageHeaders, type MessageId } from '../model/message.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { encodeMessage } from '../record/message-codec.ts'
import { producerIdToBytes, producerIdToText } from '../record/record-batch.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession, SessionParticipant } from '../session/client-session.ts'
import type { AnswerFrame } from '../session/requests.ts'
import {
  encodeLane, type LaneName, laneNameCountMax, type LaneRefusal, laneRefusalCountMax, type LaneState,
} from '../storage/outbox-values.ts'
import type { SendReceipt } from './api.ts'
import { OutboxEntry, type OutboxSend } from './outbox-entry.ts'
import {
  batchBytesAim, type BatchOwner, internalErrorsMax, PublishBatch, publishFieldsBytesMax, resolveWith,
} from './publish-batch.ts'
import type { PublishWindow, WindowUser } from './publish-window.ts'

/** Messages that the relay refused for good; they are gone from the outbox. Told again where the engine died meanwhile. */
export interface OutboxRefusal {
  readonly topic: string
  readonly messageIds: readonly MessageId[]
  readonly error: PocketError
}

/** A connection to the relay, when there is one to come. */
export interface OutboxLink {
  readonly session: ClientSession
  readonly window: PublishWindow
}

/** The outbox, as its lanes see it. */
export interface LaneHost {
  readonly clock: Clock
  readonly random: Random
  /** An entry is sealed: store it. */
  add(lane: OutboxLane, entry: OutboxEntry): void
  /** The lane's state has changed; `saved` is called once it is durable. */
  save(lane: OutboxLane, saved: () => void): void
  /** Reads the messages of an entry; undefined where they are damaged. */
  load(entry: OutboxEntry, loaded: (messages: Uint8Array | undefined) => void): void
  /** The relay has decided on all of an entry. */
  over(entry: OutboxEntry): void
  refused(refusal: OutboxRefusal): void
}

/** What one PUBLISH has: an entry, or a part of it. */
interface Part {
  readonly batch: PublishBatch<SendReceipt>
  /** Ordinal of its first message. */
  readonly base: number
  readonly isDamaged: boolean
}

export class OutboxLane implements SessionParticipant, WindowUser, BatchOwner<SendReceipt> {
  readonly laneNumber: number
  readonly topic: string
  readonly #host: LaneHost
  readonly #writer = new ByteWriter(1024)
  readonly #scratch = new ByteWriter(256)
  /** As stored. */
  #names: readonly LaneName[]
  #refusals: readonly LaneRefusal[]
  /** To be stored; nothing is sent meanwhile. */
  #change: { readonly names: readonly LaneName[]; readonly refusals: readonly LaneRefusal[] } | undefined
  /** Ordinal behind what is stored, behind what is in the commit under way, and behind all. */
  #next: number
  #nextInCommit: number
  #assigned: number
  updatedMs: number
  #open: OutboxEntry | undefined
  /** Sealed, and not stored. */
  readonly #sealed: OutboxEntry[] = []
  /** Stored, and not over. */
  readonly #pending: OutboxEntry[] = []
  /** Of them, those that parts were made of. */
  #preparedCount = 0
  #prepared: Part[] = []
  #unanswered: Part[] = []
  #isLoading = false
  #link: OutboxLink | undefined
  #isJoined = false
  #isUp = false
  #cancelPause: CancelTimer | undefined

  constructor(host: LaneHost, laneNumber: number, { topic, next, updatedMs, names, refusals }: LaneState) {
    this.#host = host
    this.laneNumber = laneNumber
    this.topic = topic
    this.#names = names
    this.#refusals = refusals
    this.#next = next
    this.#nextInCommit = next
    this.#assigned = next
    this.updatedMs = updatedMs
  }

  get name(): LaneName {
    return must(this.#names.at(-1), 'a lane has a name')
  }

  get names(): readonly LaneName[] {
    return this.#names
  }

  /** Ordinal behind all that was appended, stored or not. */
  get assigned(): number {
    return this.#assigned
  }

  get isIdle(): boolean {
    return this.#pending.length === 0 && this.#sealed.length === 0 && this.#open === undefined
  }

  /** As it is to be stored now. */
  encode(): Uint8Array {
    const { topic, updatedMs } = this
    const { names, refusals } = this.#change ?? { names: this.#names, refusals: this.#refusals }
    return encodeLane({ topic, next: this.#nextInCommit, updatedMs, names, refusals })
  }

  // ── gathering ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Adds a message behind all others. Checked before. */
  append(headers: MessageHeaders, body: Uint8Array, kind: number): OutboxSend {
    const isFull = this.#open !== undefined && (this.#open.kind !== kind ||
      this.#open.messageCount >= fixedLimits.batchMessageCountMax || this.#writer.length + body.length > batchBytesAim)
    if (isFull) this.seal()
    this.#open ??= new OutboxEntry(this.#assigned, kind)
    const entry = this.#open
    const index = entry.messageCount
    encodeMessage(this.#writer, this.#scratch, index, headers, body)
    entry.messageCount++
    this.#assigned++
    return entry.follow(index, '', false)
  }

  /** A message that was appended before. */
  again(ordinal: number): OutboxSend {
    const entries = [...this.#pending, ...this.#sealed, ...(this.#open === undefined ? [] : [this.#open])]
    const entry = entries.find(({ base, end }) => ordinal >= base && ordinal < end)
    const messageId = this.idOf(ordinal)
    const index = ordinal - (entry?.base ?? 0)
    if (entry?.isSettledAt(index) === false) return entry.follow(index, messageId, true)
    const refusal = this.#refusals.find(({ from, to }) => ordinal >= from && ordinal < to)
    const none = { queueId: undefined, offset: undefined, epoch: undefined, deliverMs: undefined, recallHandle: undefined }
    const relayed: Promise<SendReceipt> = refusal === undefined
      ? Promise.resolve({ messageId, ...none, duplicate: true })
      : Promise.reject(new PocketError(refusal.code, 'the relay refused the message before'))
    relayed.catch(ignore)
    return { stored: Promise.resolve({ messageId, duplicate: true }), relayed }
  }

  /** What a message is called, or was called when it was settled. */
  idOf(ordinal: number): MessageId {
    const name = this.#names.findLast(({ base }) => base <= ordinal) ?? this.name
    const { producerId, producerEpoch, base } = name
    return formatMessageId({ producerId, producerEpoch, sequence: Math.max(0, ordinal - base) })
  }

  /** Ends the batch. */
  seal(): void {
    const entry = this.#open
    if (entry === undefined) return
    this.#open = undefined
    entry.messages = this.#writer.finish()
    entry.byteCount = entry.messages.length
    this.#sealed.push(entry)
    this.#host.add(this, entry)
  }

  // ── what the store says ───────────────────────────────────────────────────────────────────────────────────────

  /** An entry goes into the next commit, those before it with it or earlier. */
  committing(entry: OutboxEntry): void {
    this.#nextInCommit = entry.end
    this.updatedMs = entry.storedMs
  }

  /** The first of the sealed is durable. */
  stored(entry: OutboxEntry): void {
    this.#sealed.shift()
    this.#next = entry.end
    entry.settleStored((index) => this.idOf(entry.base + index))
    this.restore(entry)
  }

  /** An entry that is in the store, behind those told before. */
  restore(entry: OutboxEntry): void {
    entry.isStored = true
    this.#next = Math.max(this.#next, entry.end)
    this.#nextInCommit = Math.max(this.#nextInCommit, entry.end)
    this.#assigned = Math.max(this.#assigned, entry.end)
    this.#pending.push(entry)
    this.#join()
    this.pump()
  }

  /** An entry of a former life that has messages the relay refused: whoever was to hear of it may not have. */
  tellRefusals(entry: OutboxEntry): void {
    for (const { from, to, code } of this.#refusals) {
      const messageIds: MessageId[] = []
      for (let ordinal = Math.max(from, entry.base); ordinal < Math.min(to, entry.end); ordinal++) {
        messageIds.push(this.idOf(ordinal))
      }
      const error = new PocketError(code, 'the relay refused it before the engine ended')
      if (messageIds.length > 0) this.#host.refused({ topic: this.topic, messageIds, error })
    }
  }

  /** The commit failed: nothing that waits is stored. Gives what is not to be stored any more. */
  rollBack(error: PocketError): readonly OutboxEntry[] {
    this.seal()
    const entries = this.#sealed.splice(0)
    this.#assigned = this.#next
    this.#nextInCommit = this.#next
    for (const entry of entries) entry.rejectStored(error)
    return entries
  }

  // ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends over this link from now on; undefined: over none. */
  carry(link: OutboxLink | undefined): void {
    if (this.#isJoined) this.#link?.session.leave(this)
    this.#detach()
    this.#link = link
    this.#join()
  }

  #join(): void {
    const { session } = this.#link ?? {}
    if (this.#isJoined || session === undefined || this.#pending.length === 0) return
    this.#isJoined = true
    session.join(this)
  }

  /** Nothing is on its way any more. */
  #detach(): void {
    this.#isJoined = false
    this.#isUp = false
    this.#cancelPause?.()
    this.#cancelPause = undefined
    for (const { batch } of this.#unanswered) this.#link?.session.forgetRequest(batch.requestId)
    for (const { batch, isDamaged } of this.#unanswered) if (!isDamaged) this.#link?.window.give(batch.byteCount)
    this.#unanswered = []
    this.#prepared = []
    this.#preparedCount = 0
  }

  get #isHeld(): boolean {
    return !this.#isUp || this.#change !== undefined || this.#cancelPause !== undefined ||
      this.#link?.session.isDraining === true
  }

  pump(): void {
    const link = this.#link
    while (link !== undefined && !this.#isHeld) {
      const part = this.#prepared[0]
      if (part === undefined) {
        if (!this.#prepare(link.session)) return
      } else {
        if (!part.isDamaged && !link.window.take(part.batch.byteCount, this)) return
        this.#prepared.shift()
        this.#unanswered.push(part)
        this.#publish(part)
        if (part.isDamaged) this.#settleInOrder()
      }
    }
  }

  /** Makes parts of the next entry; false where there is none, or its messages have to be read first. */
  #prepare(session: ClientSession): boolean {
    const entry = this.#pending[this.#preparedCount]
    if (entry === undefined || this.#isLoading) return false
    const { messages } = entry
    if (messages === undefined && !entry.isDamaged) {
      this.#isLoading = true
      this.#host.load(entry, (read) => {
        this.#isLoading = false
        if (read === undefined) entry.isDamaged = true
        else entry.messages = read
        this.pump()
      })
      return false
    }
    this.#preparedCount++
    const whole = new PublishBatch<SendReceipt>(this, this.topic)
    for (let index = 0; index < entry.messageCount; index++) {
      const settle = (outcome: SendReceipt | PocketError) => entry.settle(index, outcome)
      whole.enlist(settle, settle)
    }
    if (messages === undefined) {
      whole.outcome = new PocketError('RECORD_DAMAGED', 'messages in the outbox fail their checksum')
      this.#prepared.push({ batch: whole, base: entry.base, isDamaged: true })
      return true
    }
    whole.seal(messages)
    // What is on the wire is kept there; a resend after a restart reads it again.
    let settledCount = 0
    while (settledCount < entry.messageCount && entry.isSettledAt(settledCount)) whole.drop(settledCount++)
    const { batchMessageCountMax, frameBytesMax } = session.limits
    let base = entry.base + settledCount
    for (const batch of whole.fitted(batchMessageCountMax, frameBytesMax - publishFieldsBytesMax)) {
      this.#prepared.push({ batch, base, isDamaged: false })
      base += batch.messageCount
    }
    return true
  }

  #publish({ batch, base, isDamaged }: Part): void {
    const link = this.#link
    const { producerId, producerEpoch, base: nameBase } = this.name
    batch.place = { producerId, producerEpoch, baseSequence: base - nameBase }
    if (isDamaged || link === undefined) return
    const { session } = link
    const { clock } = this.#host
    if (batch.requestId !== 0) session.forgetRequest(batch.requestId)
    batch.requestId = session.openRequest(batch)
    batch.outcome = undefined
    if (batch.messages.length + publishFieldsBytesMax > session.limits.frameBytesMax) {
      const text = `${batch.messages.length} bytes; the relay takes at most ${session.limits.frameBytesMax} in a frame`
      return clock.defer(() => session.refuseRequest(batch.requestId, new PocketError('MESSAGE_TOO_LARGE', text)))
    }
    session.send('PUBLISH', {
      requestId: batch.requestId,
      topic: this.topic,
      producerId: producerIdToBytes(producerId),
      producerEpoch,
      baseSequence: base - nameBase,
      messageCount: batch.messageCount,
      sentMs: Math.floor(clock.now()),
      messages: noBytes,
    }, batch.messages)
  }

  /** Sends again what has no answer, or was refused because of what stands before it. */
  #publishAgain(): void {
    if (this.#isHeld) return
    for (const part of this.#unanswered) {
      if (part.batch.outcome === undefined || part.batch.outcome instanceof PocketError) this.#publish(part)
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
    for (const { batch } of this.#unanswered) batch.requestId = 0
  }

  /** The link is over; what is in the outbox waits for another. */
  ended(): void {
    this.#detach()
    this.#link = undefined
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
    while (this.#cancelPause === undefined && this.#change === undefined) {
      const head = this.#unanswered[0]
      const outcome = head?.batch.outcome
      if (head === undefined || outcome === undefined) break
      if (outcome instanceof PocketError) this.#refused(head, outcome)
      else {
        this.#remove(head)
        resolveWith(head.batch, outcome as FrameFields<'PUBLISHED'>)
        this.#endEntries()
      }
    }
  }

  /** Takes entries out of which nothing is left. */
  #endEntries(): void {
    while (this.#pending[0]?.isOver === true) {
      this.#host.over(must(this.#pending.shift(), 'there is a first'))
      this.#preparedCount = Math.max(0, this.#preparedCount - 1)
    }
    if (this.#pending.length > 0 || !this.#isJoined) return
    this.#link?.session.leave(this)
    this.#isJoined = false
    this.#isUp = false
  }

  #refused(head: Part, error: PocketError): void {
    const { code, retryable } = error
    const { batch, base } = head
    const isPassing = (retryable && (code !== 'INTERNAL' || batch.refusalCount < internalErrorsMax)) || code === 'UNAUTHENTICATED'
    if (isPassing) return this.#pause(batch, error)
    const { producerId, producerEpoch, base: nameBase } = this.name
    const next = { producerId, producerEpoch: producerEpoch + 1 }
    const isForgotten = (code === 'PRODUCER_UNKNOWN' || code === 'SEQUENCE_GAP') && base > nameBase
    if (isForgotten) return this.#rename({ ...next, base }, undefined, () => {})
    if (code === 'PRODUCER_FENCED') {
      // Somebody has the name; the messages are not there under it.
      const fresh = producerIdToText(this.#host.random.bytes(8))
      return this.#rename({ producerId: fresh, producerEpoch: 0, base }, undefined, () => {})
    }
    const end = base + batch.messageCount
    const messageIds = Array.from({ length: batch.messageCount }, (_, index) => this.idOf(base + index))
    this.#rename({ ...next, base: end }, { from: base, to: end, code }, () => {
      // The link may have ended meanwhile, and the part with it.
      if (this.#unanswered[0] === head) this.#remove(head)
      for (const entry of this.#pending) {
        for (let ordinal = Math.max(base, entry.base); ordinal < Math.min(end, entry.end); ordinal++) {
          entry.settle(ordinal - entry.base, error)
        }
      }
      this.#host.refused({ topic: this.topic, messageIds, error })
      this.#endEntries()
    })
  }

  /** What is not settled goes on under another name, once that is stored: it must be the same after a restart. */
  #rename(name: LaneName, refusal: LaneRefusal | undefined, renamed: () => void): void {
    const refusals = refusal === undefined ? this.#refusals : [...this.#refusals, refusal].slice(-laneRefusalCountMax)
    const change = { names: [...this.#names, name].slice(-laneNameCountMax), refusals }
    this.#change = change
    this.#host.save(this, () => {
      this.#change = undefined
      this.#names = change.names
      this.#refusals = change.refusals
      renamed()
      // What was refused behind the head was refused under the name of before.
      for (const { batch, isDamaged } of this.#unanswered) {
        if (!isDamaged && batch.outcome instanceof PocketError) batch.outcome = undefined
      }
      this.#publishAgain()
      this.#settleInOrder()
      this.pump()
    })
  }

  /** The relay takes nothing for now. What was sent behind it is refused as well, for the gap. */
  #pause(batch: PublishBatch<SendReceipt>, error: PocketError): void {
    const { clock, random } = this.#host
    const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(++batch.refusalCount, random)
    this.#cancelPause = clock.setTimer(delayMs, () => {
      this.#cancelPause = undefined
      this.#publishAgain()
      this.pump()
    })
  }

  #remove({ batch, isDamaged }: Part): void {
    this.#unanswered.shift()
    if (!isDamaged) this.#link?.window.give(batch.byteCount)
  }
}

const noBytes = new Uint8Array(0)

function ignore(): void {}
