// One transaction that is not ended: what is known of it in memory. Messages of its newest parts may be here, so that a
// commit need not read them; those of older parts are in the store alone. It decides nothing.

import { fixedLimits } from '../limits.ts'
import { producerIdToText } from '../record/record-batch.ts'
import type { HalfMessages, PartHead, RecoveredTransaction, TopicName, TransactionName } from '../storage/half-messages.ts'
import type { Wait } from './timers.ts'

/** What a part takes at most in a CHECK_TRANSACTION frame beside its messages, and each of them. */
const partOverhead = 96 + fixedLimits.topicNameLengthMax
const messageOverhead = 8

const noTargets: readonly TopicName[] = []

export class Transaction implements TransactionName, PartHead {
  /** What it is stored under. */
  readonly number: number
  /** What it is known by in memory: {@link transactionKeyOf}. */
  readonly key: string
  readonly producerGroup: string
  /** When its first part came. Wall time. */
  readonly preparedMs: number
  /** When it is rolled back, whatever happens. Monotonic. */
  readonly untilMs: number
  targets = noTargets
  messageCount = 0
  byteCount = 0
  partCount = 0
  /** Parts before this one are in the store alone. */
  firstInMemory = 0
  /** The others. */
  parts: HalfMessages[] = []
  /** Parts that are in the store, or on their way with a commit. */
  sealedCount = 0
  /** Messages of some part stand apart from it. */
  hasApart = false
  /** Some part cannot be read: it may be rolled back, and nothing else. */
  isDamaged = false
  /** `committing`: its messages are being read; what is asked of it meanwhile waits. */
  state: 'open' | 'committing' | 'ended' = 'open'
  waiting: (() => void)[] | undefined

  /** Checks that were handed to a producer. */
  checkCount = 0
  /** When the next one is due, in wall time, and the time that was to pass until then. */
  nextCheckMs = 0
  checkWaitMs = 0
  wait: Wait | undefined
  /** Grows whenever what was going on about a check is void. */
  checkRound = 0

  constructor(key: string, head: Pick<Transaction, 'number' | 'producerGroup' | 'preparedMs'>, untilMs: number) {
    this.number = head.number
    this.key = key
    this.producerGroup = head.producerGroup
    this.preparedMs = head.preparedMs
    this.untilMs = untilMs
  }

  /** Made when it is asked for: a hundred thousand small arrays would take more room than all else. */
  get transactionId(): Uint8Array {
    const bytes = new Uint8Array(8)
    for (let pair = 0; pair < 4; pair++) {
      const unit = this.key.charCodeAt(pair)
      bytes[pair * 2] = unit >>> 8
      bytes[pair * 2 + 1] = unit
    }
    return bytes
  }

  /** Its id as 16 hex digits, for people. */
  get text(): string {
    return producerIdToText(this.transactionId)
  }

  /** Takes over what a store held. */
  restore(stored: RecoveredTransaction): void {
    this.targets = stored.targets
    this.messageCount = stored.messageCount
    this.byteCount = stored.byteCount
    this.partCount = stored.partCount
    this.firstInMemory = stored.partCount
    this.sealedCount = stored.partCount
    this.hasApart = stored.hasApart
    this.isDamaged = stored.isDamaged
    this.checkCount = stored.checkCount
    this.nextCheckMs = stored.nextCheckMs
    this.checkWaitMs = stored.checkWaitMs
  }

  /** `alone`: its target as a list, shared by all that have no other. */
  add(part: HalfMessages, isApart: boolean, alone: readonly TopicName[]): void {
    // Most have one: an array that grows takes room for many more.
    if (this.parts.length === 0) this.parts = [part]
    else this.parts.push(part)
    this.partCount++
    this.messageCount += part.messageCount
    this.byteCount += part.messages.length
    if (isApart) this.hasApart = true
    const { topicId } = part.target
    if (this.targets.length === 0) this.targets = alone
    else if (!this.targets.some((target) => target.topicId === topicId)) this.targets = [...this.targets, part.target]
  }

  /** Bytes that its messages take in memory. */
  get bytesInMemory(): number {
    return this.parts.reduce((sum, { messages }) => sum + messages.length, 0)
  }
}

/** A key for maps: eight bytes in four characters, made much faster than a text of hex digits. Its order is the bytes'. */
export function transactionKeyOf(bytes: Uint8Array): string {
  return String.fromCharCode(pairAt(bytes, 0), pairAt(bytes, 2), pairAt(bytes, 4), pairAt(bytes, 6))
}

function pairAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

/** Bytes of a frame that brings a whole transaction to a producer; it may be less, never more. */
export function checkFrameBytes(partCount: number, messageCount: number, byteCount: number): number {
  return partOverhead * (partCount + 1) + messageOverhead * messageCount + byteCount
}
