// What a store may be asked to write (ports/store.ts), checked by every store before it begins: a commit that breaks
// these is a bug of its caller, and half of it must not be written.

import { assert } from '../assert.ts'
import type { StoreWrite } from '../ports/store.ts'

export const storeKeyBytesMax = 255
export const storeValueBytesMax = 16 * 1024 * 1024

/** Bytes of all keys and values of a commit; asserts the bounds of each. */
export function checkWrites(writes: readonly StoreWrite[]): number {
  let bytes = 0
  for (const { key, value } of writes) {
    assert(key.length >= 1 && key.length <= storeKeyBytesMax, 'a key has 1 to 255 bytes')
    bytes += key.length
    if (value !== null) {
      assert(value.length <= storeValueBytesMax, 'a value has at most 16 MiB')
      bytes += value.length
    }
  }
  return bytes
}
