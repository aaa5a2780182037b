// Assertions: what must hold, or the program has a bug. Expected failures are not asserted, they carry a
// code (errors.ts). Imports nothing.

/** Thrown for a bug in PocketMQ itself, never for bad input or a failing environment. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Throws an {@link AssertionError} unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** Returns `value`, which must not be null or undefined. */
export function must<T>(value: T | null | undefined, message: string): T {
  if (value === null || value === undefined) throw new AssertionError(message)
  return value
}

/** Marks a branch that the types exclude; a `switch` over a union ends with it. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`)
}
