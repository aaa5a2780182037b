// Where reading starts, from what an application says; and the numbers it says.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
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

/** Gives positions by queue; throws BAD_ARGUMENT where they are none, or too many. */
export function checkPositions(positions: ReadonlyMap<number, Position>): ReadonlyMap<number, Position> {
  if (positions.size > fixedLimits.queueCountMax) {
    const text = `positions of ${positions.size} queues; a topic has at most ${fixedLimits.queueCountMax}`
    throw new PocketError('BAD_ARGUMENT', text)
  }
  for (const [queueId, position] of positions) {
    checkCount('a queueId of positions', queueId, 0)
    checkedPosition(position)
  }
  return positions
}

/** Throws BAD_ARGUMENT unless it is a whole number, and large enough. */
export function checkCount(what: string, count: number, least = 1): void {
  if (Number.isSafeInteger(count) && count >= least) return
  throw new PocketError('BAD_ARGUMENT', `${what} is ${count}; a whole number from ${least} on is allowed`)
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function describe(value: unknown): string {
  return value instanceof Date ? 'an invalid Date' : JSON.stringify(value) ?? typeof value
}
