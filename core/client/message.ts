// A message in the application's hands: a lazy view of its record, with the topic's codec and the lease it came under.

import { PocketError } from '../errors.ts'
import { MessageView } from '../record/message-view.ts'
import type { Codec, Duration, Message } from './api.ts'
import type { Delivery } from './delivery.ts'
import { durationToMs } from './duration.ts'

/** Where messages come from. */
export interface MessageSource<T> {
  readonly topic: string
  readonly codec: Codec<T>
  /** Undefined where messages come without a lease. */
  readonly custody: Custody | undefined
}

/** What can be done with a leased message: by index in its delivery. */
export interface Custody {
  ack(delivery: Delivery, index: number): void
  ackHeard(delivery: Delivery, index: number): Promise<void>
  retry(delivery: Delivery, index: number, delayMs: number | undefined): Promise<void>
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

  get value(): T {
    if (this.#value === undefined) {
      const { codec } = this.#source
      try {
        this.#value = { decoded: codec.decode(this.body) }
      } catch (cause) {
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
    if (custody === undefined) return Promise.resolve()
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

  /** The handler returned: acks what it has not settled itself, without a promise. */
  handled(): void {
    if (this.#state !== open) return
    this.#state = acked
    this.#source.custody?.ack(this.#delivery, this.#index)
  }

  /** The handler threw: retries what it has not settled itself. A failure of that is reported. */
  failed(): void {
    if (this.#state !== open) return
    this.#state = retried
    void this.#source.custody?.retry(this.#delivery, this.#index, undefined)
  }

  toJSON(): object {
    const { messageId, topic, queueId, offset, tag, keys, messageGroup, bornMs, storedMs, attempt, value } = this
    const properties = Object.fromEntries(this.properties)
    return { messageId, topic, queueId, offset, tag, keys, messageGroup, properties, bornMs, storedMs, attempt, value }
  }
}

function settledAlready(): PocketError {
  return new PocketError('RECEIPT_STALE', 'the message was acked or given back before')
}
