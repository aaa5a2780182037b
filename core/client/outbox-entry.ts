// One batch in a device's outbox, and who waits for its messages: first to be stored here, then to be at the relay.

import type { PocketError } from '../errors.ts'
import type { MessageId } from '../model/message.ts'
import type { SendReceipt } from './api.ts'
import { isScheduledKind } from './publish-batch.ts'

export interface StoredReceipt {
  /** The one it will have at the relay, unless the relay refuses what stands before it, or has forgotten its producer. */
  readonly messageId: MessageId
  /** It was stored before: the sender sends it again. */
  readonly duplicate: boolean
}

/** A send through the outbox. Both promises may be left alone. */
export interface OutboxSend {
  /** Durable on this device. Rejects with what the device refused it for; then `relayed` rejects alike. */
  readonly stored: Promise<StoredReceipt>
  /** Durable at the relay. Rejects with what the relay refused it for; then it is gone from the outbox. */
  readonly relayed: Promise<SendReceipt>
}

interface Waiter<R> {
  readonly resolve: (value: R) => void
  readonly reject: (error: PocketError) => void
}

export class OutboxEntry {
  /** Ordinal of the first message in its lane. */
  readonly base: number
  readonly kind: number
  /** Its place in the store, once it has one. */
  number = -1
  messageCount = 0
  /** Encoded messages, once sealed; undefined while only the store has them. */
  messages: Uint8Array | undefined
  byteCount = 0
  storedMs = 0
  isStored = false
  /** The store gave bytes that fail their checksum. */
  isDamaged = false
  #settledCount = 0
  #isSettled: boolean[] | undefined
  readonly #stored: Waiter<MessageId>[][] = []
  readonly #relayed: Waiter<SendReceipt>[][] = []

  constructor(base: number, kind: number) {
    this.base = base
    this.kind = kind
  }

  /** Ordinal behind the last message. */
  get end(): number {
    return this.base + this.messageCount
  }

  /** Its messages are to be delivered later than they arrive. */
  get isScheduled(): boolean {
    return isScheduledKind(this.kind)
  }

  /** Whether the relay has decided on all of it. */
  get isOver(): boolean {
    return this.#settledCount === this.messageCount
  }

  isSettledAt(index: number): boolean {
    return this.#isSettled?.[index] === true
  }

  /** Someone waits for the message at `index`, which may be stored already. */
  follow(index: number, messageIdNow: MessageId, duplicate: boolean): OutboxSend {
    const stored = this.isStored
      ? Promise.resolve({ messageId: messageIdNow, duplicate })
      : new Promise<StoredReceipt>((resolve, reject) => {
        const waiter = { resolve: (messageId: MessageId) => resolve({ messageId, duplicate }), reject };
        (this.#stored[index] ??= []).push(waiter)
      })
    const relayed = new Promise<SendReceipt>((resolve, reject) => {
      (this.#relayed[index] ??= []).push({ resolve, reject })
    })
    stored.catch(ignore)
    relayed.catch(ignore)
    return { stored, relayed }
  }

  /** It is durable on the device. */
  settleStored(idOf: (index: number) => MessageId): void {
    this.isStored = true
    this.#stored.forEach((waiters, index) => {
      for (const { resolve } of waiters) resolve(idOf(index))
    })
    this.#stored.length = 0
  }

  /** It will not be stored. */
  rejectStored(error: PocketError): void {
    for (const waiters of [...this.#stored, ...this.#relayed]) for (const { reject } of waiters ?? []) reject(error)
    this.#stored.length = 0
    this.#relayed.length = 0
  }

  settle(index: number, outcome: SendReceipt | PocketError): void {
    if (this.isSettledAt(index)) return
    this.#isSettled ??= []
    this.#isSettled[index] = true
    this.#settledCount++
    for (const { resolve, reject } of this.#relayed[index] ?? []) {
      if ('code' in outcome) reject(outcome)
      else resolve(outcome)
    }
    this.#relayed[index] = []
  }

  /** The first `count` messages were settled in a former life. */
  skip(count: number): void {
    this.#isSettled ??= []
    for (let index = 0; index < count; index++) {
      if (this.#isSettled[index] !== true) this.#settledCount++
      this.#isSettled[index] = true
    }
  }
}

function ignore(): void {}
