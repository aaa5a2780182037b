// Where reading starts, from what an application says.

import { PocketError } from '../errors.ts'
import type { StartPolicy } from '../model/position.ts'
import type { From } from './api.ts'

/** Throws BAD_ARGUMENT where it is no start. */
export function startPolicyOf(from: From): StartPolicy {
  if (from === 'earliest' || from === 'latest') return { kind: from }
  const timestampMs = from instanceof Date ? from.getTime() : (from as { readonly timestampMs?: unknown }).timestampMs
  if (typeof timestampMs !== 'number' || !Number.isSafeInteger(timestampMs) || timestampMs < 0) {
    throw new PocketError('BAD_ARGUMENT', `'from' is ${describe(from)}; write 'earliest', 'latest', a Date or { timestampMs }`)
  }
  return { kind: 'timestamp', timestampMs }
}

function describe(value: unknown): string {
  return value instanceof Date ? 'an invalid Date' : JSON.stringify(value) ?? typeof value
}
