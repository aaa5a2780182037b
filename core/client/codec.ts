// The codecs that come with the client: what a topic's values look like as bytes.

import { bytesToText, textToBytes } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import type { Codec } from './api.ts'

/** JSON as UTF-8. What JSON leaves out (functions, `undefined`) can't be sent alone. */
export function json<T>(): Codec<T> {
  return {
    name: 'json',
    encode(value) {
      const text = JSON.stringify(value) as string | undefined
      if (text === undefined) throw new PocketError('BAD_ARGUMENT', `a ${typeof value} has no JSON form`)
      return textToBytes(text)
    },
    decode: (body) => JSON.parse(bytesToText(body)) as T,
  }
}

/** Text as UTF-8. */
export const text: Codec<string> = { name: 'text', encode: textToBytes, decode: bytesToText }

/** Bytes as they are. Sent bytes are copied; received ones are a view into a larger buffer. */
export const bytes: Codec<Uint8Array> = { name: 'bytes', encode: (value) => value, decode: (body) => body }
