// Where reading starts, from what an application says.

import { PocketError } from '../errors.ts'
import type { Position, StartPolicy } from '../model/position.ts'
import type { From } from './api.ts'

/** Throws BAD_ARGUMENT where it is no start. */
export function startPolicyOf(from: From): StartPolicy {
  if (from === 'earliest' || from === 'latest') return { kind: from }
  const timestampMs = from instanceof Date ? from.getTime() : (from as { readonly timestampMs?: unknown }).timestampMs
  if (typeof timestampMs !== 'number' || !Number.isSafeInteger(timestampMs) || timestampMs < 0) {
    const text = `'from' is ${describe(from)}; write 'earliest', 'latest', a Date or { timestampMs }`
    throw new PocketError('BAD_ARGUMENT', text)
  }
  return { kind: 'timestamp', timestampMs }
}

/** The same position without anything else that was passed along; throws BAD_ARGUMENT where it is none. */
export function checkedPosition({ epoch, offset }: Position): Position {
  if (isWhole(epoch) && epoch <= 0xffff_ffff && isWhole(offset)) return { epoch, offset }
  throw new PocketError('BAD_ARGUMENT', `{ epoch: ${String(epoch)}, offset: ${String(offset)} } is no position`)
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function describe(value: unknown): string {
  return value instanceof Date ? 'an invalid Date' : JSON.stringify(value) ?? typeof value
}
