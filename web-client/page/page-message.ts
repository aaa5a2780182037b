// A message in the page's hands: its fields as they came, its body a view of the delivery's buffer, its value decoded when
// first read. Settling goes to the consumer it came from.

import type { Codec, Duration, ReplyOptions } from '../../core/client/api.ts'
import { durationToMs } from '../../core/client/duration.ts'
import { PocketError } from '../../core/errors.ts'
import type { PackedMessages, PortMessageFields } from '../port/port-protocol.ts'
import type { WebMessage } from './web-api.ts'

/** What can be done with messages of one consumer, by handle. */
export interface PageCustody {
  settle(handle: number, verb: 'ack' | 'retry', delayMs: number | undefined): Promise<void>
  extend(handle: number, lease: Duration): Promise<void>
  reply(handle: number, body: Uint8Array, options: Omit<ReplyOptions, 'codec'>): Promise<void>
  signal(handle: number): AbortSignal
}

const noKeys: readonly string[] = []
const noProperties: ReadonlyMap<string, string> = new Map()

export class PageMessage<T> implements WebMessage<T> {
  readonly body: Uint8Array
  readonly topic: string
  /** Settled, by the application or for it. */
  isSettled = false
  readonly #fields: PortMessageFields
  readonly #codec: Codec<T>
  readonly #custody: PageCustody | undefined
  readonly #handle: number
  #value: { readonly decoded: T } | undefined
  #acking: Promise<void> | undefined

  constructor(
    fields: PortMessageFields, body: Uint8Array, topic: string, codec: Codec<T>, custody: PageCustody | undefined, handle: number,
  ) {
    this.#fields = fields
    this.body = body
    this.topic = fields.topic ?? topic
    this.#codec = codec
    this.#custody = custody
    this.#handle = handle
  }

  get messageId() {
    return this.#fields.messageId
  }

  get queueId() {
    return this.#fields.queueId
  }

  get epoch() {
    return this.#fields.epoch
  }

  get offset() {
    return this.#fields.offset
  }

  get tag() {
    return this.#fields.tag
  }

  get keys() {
    return this.#fields.keys ?? noKeys
  }

  get messageGroup() {
    return this.#fields.messageGroup
  }

  get properties() {
    return this.#fields.properties ?? noProperties
  }

  get bornMs() {
    return this.#fields.bornMs
  }

  get storedMs() {
    return this.#fields.storedMs
  }

  get deliverMs() {
    return this.#fields.deliverMs
  }

  get priority() {
    return this.#fields.priority
  }

  get ttlMs() {
    return this.#fields.ttlMs
  }

  get attempt() {
    return this.#fields.attempt
  }

  get pending() {
    return this.#fields.pending === true
  }

  get value(): T {
    if (this.#value === undefined) {
      try {
        this.#value = { decoded: this.#codec.decode(this.body) }
      } catch (cause) {
        if (cause instanceof PocketError && cause.code === 'VALUE_INVALID') throw cause
        throw new PocketError('BAD_ARGUMENT', `the body of message ${this.messageId} is not ${this.#codec.name}`, { cause })
      }
    }
    return this.#value.decoded
  }

  get signal(): AbortSignal {
    return this.#custody?.signal(this.#handle) ?? new AbortController().signal
  }

  ack(): Promise<void> {
    if (this.#custody === undefined) return Promise.resolve()
    if (this.#acking === undefined) {
      if (this.isSettled) return settledAlready()
      this.isSettled = true
      this.#acking = this.#custody.settle(this.#handle, 'ack', undefined)
    }
    return this.#acking
  }

  retry({ after }: { readonly after?: Duration } = {}): Promise<void> {
    if (this.#custody === undefined) return Promise.resolve()
    if (this.isSettled) return settledAlready()
    try {
      const delayMs = after === undefined ? undefined : durationToMs(after, 'after')
      this.isSettled = true
      return this.#custody.settle(this.#handle, 'retry', delayMs)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async extend(lease: Duration): Promise<void> {
    if (this.isSettled) return settledAlready()
    await this.#custody?.extend(this.#handle, lease)
  }

  async reply(value: unknown, { codec, ...options }: ReplyOptions = {}): Promise<void> {
    const custody = this.#custody
    if (custody === undefined) throw new PocketError('BAD_ARGUMENT', 'only a message of a consumer can be replied to')
    await custody.reply(this.#handle, (codec ?? this.#codec as Codec<unknown>).encode(value), options)
  }

  toJSON(): object {
    const { topic, keys, value } = this
    return { ...this.#fields, topic, keys, value, properties: Object.fromEntries(this.properties) }
  }
}

function settledAlready(): Promise<never> {
  return Promise.reject(new PocketError('RECEIPT_STALE', 'the message was acked or given back before'))
}

/** The messages of a pack, in order. */
export function unpack<T>(
  { fields, bodies, sizes }: PackedMessages, topic: string, codec: Codec<T>, custody?: PageCustody, firstHandle = 0,
): PageMessage<T>[] {
  let position = 0
  return fields.map((one, at) => {
    const body = bodies.subarray(position, position += sizes[at] as number)
    return new PageMessage(one, body, topic, codec, custody, firstHandle + at)
  })
}
