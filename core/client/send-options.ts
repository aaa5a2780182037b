// What senders say of a message, checked for callers without types: they would otherwise send what can't be read.

import { PocketError } from '../errors.ts'
import type { SendOptions } from './api.ts'

/** Throws BAD_ARGUMENT unless tag, message group and keys are texts. */
export function checkTexts({ tag, keys, messageGroup }: SendOptions): void {
  if (tag !== undefined && typeof tag !== 'string') throw new PocketError('BAD_ARGUMENT', 'the tag is no text')
  if (messageGroup !== undefined && typeof messageGroup !== 'string') {
    throw new PocketError('BAD_ARGUMENT', 'the message group is no text')
  }
  if (keys !== undefined && !(Array.isArray(keys) && keys.every((key) => typeof key === 'string'))) {
    throw new PocketError('BAD_ARGUMENT', 'the keys are no list of texts')
  }
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
