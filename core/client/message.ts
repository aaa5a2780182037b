// A message in the application's hands: a lazy view of its record, with the topic's codec and the lease it came under.

import { PocketError } from '../errors.ts'
import { MessageView } from '../record/message-view.ts'
import type { Codec, Duration, Message, ReplyOptions } from './api.ts'
import type { Delivery } from './delivery.ts'
import { durationToMs } from './duration.ts'

/** Where messages come from. */
export interface MessageSource<T> {
  readonly topic: string
  readonly codec: Codec<T>
  /** Undefined where messages come without a lease. */
  readonly custody: Custody | undefined
  readonly replies: Replies
  /** Told, where messages come without a lease, that the application is done with one. */
  readonly consumed?: ((message: ReceivedMessage<T>) => void) | undefined
}

/** Brings replies to those who asked. */
export interface Replies {
  reply(
    properties: ReadonlyMap<string, string>, codec: Codec<unknown>, value: unknown, options: ReplyOptions | undefined,
  ): Promise<void>
}

/** What can be done with a leased message: by index in its delivery. */
export interface Custody {
  ack(delivery: Delivery, index: number): void
  ackHeard(delivery: Delivery, index: number): Promise<void>
  retry(delivery: Delivery, index: number, delayMs: number | undefined): Promise<void>
  release(delivery: Delivery, index: number): void
  extend(delivery: Delivery, index: number, leaseMs: number): Promise<void>
}

const open = 0
const acked = 1
const retried = 2

const neverAborted = new AbortController().signal

export class ReceivedMessage<T> extends MessageView implements Message<T> {
  readonly #source: MessageSource<T>
  readonly #delivery: Delivery
  readonly #index: number
  #state = open
  #settling: Promise<void> | undefined
  #value: { readonly decoded: T } | undefined

  constructor(source: MessageSource<T>, delivery: Delivery, index: number) {
    super(delivery.record, index)
    this.#source = source
    this.#delivery = delivery
    this.#index = index
  }

  get topic(): string {
    return this.#source.topic
  }

  get queueId(): number {
    return this.#delivery.queueId
  }

  get attempt(): number {
    return this.#delivery.attempt
  }

  /** Sent by this device and not at the relay yet: queue id and offset mean nothing. It comes again once it is. */
  get pending(): boolean {
    return this.#delivery.isPending
  }

  /** Of the queue's log, for positions. */
  get epoch(): number {
    return this.#delivery.next.epoch
  }

  get value(): T {
    if (this.#value === undefined) {
      const { codec } = this.#source
      try {
        this.#value = { decoded: codec.decode(this.body) }
      } catch (cause) {
        if (cause instanceof PocketError && cause.code === 'VALUE_INVALID') throw cause
        throw new PocketError('BAD_ARGUMENT', `the body of message ${this.messageId} is not ${codec.name}`, { cause })
      }
    }
    return this.#value.decoded
  }

  get signal(): AbortSignal {
    return this.#delivery.leaseId === 0 ? neverAborted : this.#delivery.signal
  }

  ack(): Promise<void> {
    const { custody } = this.#source
    if (custody === undefined) {
      this.handled()
      return Promise.resolve()
    }
    if (this.#state === open) {
      this.#state = acked
      this.#settling = custody.ackHeard(this.#delivery, this.#index)
    } else if (this.#state === retried) return Promise.reject(settledAlready())
    return this.#settling ?? Promise.resolve()
  }

  retry({ after }: { readonly after?: Duration } = {}): Promise<void> {
    const { custody } = this.#source
    if (custody === undefined) return Promise.resolve()
    if (this.#state !== open) return Promise.reject(settledAlready())
    let delayMs: number | undefined
    try {
      delayMs = after === undefined ? undefined : durationToMs(after, 'after')
    } catch (error) {
      return Promise.reject(error)
    }
    this.#state = retried
    return custody.retry(this.#delivery, this.#index, delayMs)
  }

  extend(lease: Duration): Promise<void> {
    const { custody } = this.#source
    if (custody === undefined) return Promise.resolve()
    if (this.#state !== open) return Promise.reject(settledAlready())
    try {
      return custody.extend(this.#delivery, this.#index, durationToMs(lease, 'lease'))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  reply(value: unknown, options?: ReplyOptions): Promise<void> {
    const { replies, codec } = this.#source
    return replies.reply(this.properties, options?.codec ?? codec as Codec<unknown>, value, options)
  }

  /** For hosts: the application behind them never saw it. It goes back as if it had not been delivered. */
  release(): void {
    if (this.#state !== open) return
    this.#state = retried
    this.#source.custody?.release(this.#delivery, this.#index)
  }

  /** The handler returned: acks what it has not settled itself, without a promise. */
  handled(): void {
    if (this.#state !== open) return
    this.#state = acked
    const { custody, consumed } = this.#source
    custody?.ack(this.#delivery, this.#index)
    consumed?.(this)
  }

  /** The handler threw: retries what it has not settled itself. A failure of that is reported. */
  failed(): void {
    if (this.#state !== open) return
    this.#state = retried
    const { custody, consumed } = this.#source
    void custody?.retry(this.#delivery, this.#index, undefined)
    consumed?.(this)
  }

  toJSON(): object {
    const { messageId, topic, queueId, offset, tag, keys, messageGroup, bornMs, storedMs, attempt, value } = this
    const { deliverMs, priority, ttlMs } = this
    const properties = Object.fromEntries(this.properties)
    return {
      messageId, topic, queueId, offset, tag, keys, messageGroup, properties,
      bornMs, storedMs, deliverMs, priority, ttlMs, attempt, value,
    }
  }
}

function settledAlready(): PocketError {
  return new PocketError('RECEIPT_STALE', 'the message was acked or given back before')
}
