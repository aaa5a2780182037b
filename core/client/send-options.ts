// What senders say of a message and its body, as the record room takes it. Checked for callers without types: they would
// otherwise send what can't be read.

import { PocketError } from '../errors.ts'
import type { MessageHeaders } from '../model/message.ts'
import type { Clock } from '../ports/clock.ts'
import { throwIfAborted } from './abort.ts'
import type { Codec, SendOptions } from './api.ts'
import { durationToMs } from './duration.ts'

/** Makes headers out of options: one object for all messages, to be encoded before the next. */
export class SendHeaders {
  readonly #clock: Clock
  readonly #headers: { -readonly [K in keyof MessageHeaders]: MessageHeaders[K] | undefined } = {
    tag: undefined, keys: undefined, messageGroup: undefined, properties: undefined, bornMs: 0,
    delayMs: undefined, deliverMs: undefined, priority: undefined, ttlMs: undefined,
  }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Throws BAD_ARGUMENT, or ABORTED where the signal is. Whether they may be sent is `checkMessage`'s to say. */
  of(options: SendOptions | undefined): MessageHeaders {
    const headers = this.#headers
    headers.bornMs = Math.floor(this.#clock.now())
    headers.tag = options?.tag
    headers.keys = options?.keys
    headers.messageGroup = options?.messageGroup
    headers.properties = undefined
    headers.delayMs = undefined
    headers.deliverMs = undefined
    headers.priority = options?.priority
    headers.ttlMs = undefined
    if (options !== undefined) {
      throwIfAborted(options.signal)
      checkTexts(options)
      if (options.delay !== undefined) headers.delayMs = durationToMs(options.delay, 'delay')
      if (options.deliverAt !== undefined) headers.deliverMs = timeToMs(options.deliverAt, 'deliverAt')
      if (options.ttl !== undefined) headers.ttlMs = durationToMs(options.ttl, 'ttl')
      if (options.properties !== undefined) headers.properties = propertiesOf(options.properties)
    }
    return headers as MessageHeaders
  }
}

/** What the codec makes of a value; throws what that throws, or BAD_ARGUMENT where it gives no bytes. */
export function encodeBody<T>(codec: Codec<T>, value: T): Uint8Array {
  const body = codec.encode(value)
  if (body instanceof Uint8Array) return body
  throw new PocketError('BAD_ARGUMENT', `codec ${codec.name} gave no bytes but ${typeof body}`)
}

/** Throws BAD_ARGUMENT unless tag, message group and keys are texts. */
function checkTexts({ tag, keys, messageGroup }: SendOptions): void {
  if (tag !== undefined && typeof tag !== 'string') throw new PocketError('BAD_ARGUMENT', 'the tag is no text')
  if (messageGroup !== undefined && typeof messageGroup !== 'string') {
    throw new PocketError('BAD_ARGUMENT', 'the message group is no text')
  }
  if (keys !== undefined && !(Array.isArray(keys) && keys.every((key) => typeof key === 'string'))) {
    throw new PocketError('BAD_ARGUMENT', 'the keys are no list of texts')
  }
}

/**
 * Milliseconds since 1970, rounded up, as nothing is to be early; what was before 1970 is past like anything else, 0.
 * Throws BAD_ARGUMENT, naming `what`, where it is no time.
 */
function timeToMs(time: Date | number, what: string): number {
  const ms = Math.ceil(time instanceof Date ? time.getTime() : typeof time === 'number' ? time : Number.NaN)
  if (Number.isNaN(ms) || ms > Number.MAX_SAFE_INTEGER) {
    throw new PocketError('BAD_ARGUMENT', `${what} is ${String(time)}; it is a Date, or milliseconds since 1970`)
  }
  return Math.max(0, ms)
}

/** The properties as a map; throws BAD_ARGUMENT where a value is no text. */
export function propertiesOf(properties: NonNullable<SendOptions['properties']>): ReadonlyMap<string, string> {
  const entries: ReadonlyMap<unknown, unknown> = properties instanceof Map
    ? properties
    : new Map(Object.entries(properties))
  for (const [name, value] of entries) {
    if (typeof name !== 'string' || typeof value !== 'string') {
      throw new PocketError('BAD_ARGUMENT', `the property '${String(name)}' is no text`)
    }
  }
  return entries as ReadonlyMap<string, string>
}

/** Whatever a codec threw, as the error of a send. */
export function asSendError(cause: unknown): PocketError {
  if (cause instanceof PocketError) return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  return new PocketError('BAD_ARGUMENT', `the message cannot be encoded: ${text}`, { cause })
}
