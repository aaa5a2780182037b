// The one error class. A code decides what a caller does next; the text is for people. The table of codes stands apart, in
// error-codes.ts. Imports types alone.

import type { ErrorCode, RetryableCode } from './error-codes.ts'

export type { ErrorCode } from './error-codes.ts'

/** As the table of codes has it, which the types see to. */
const retryableCodes: Readonly<Record<RetryableCode, true>> = {
  OVERLOADED: true,
  STORE_FULL: true,
  STORE_FAILED: true,
  RELAY_STOPPING: true,
  INTERNAL: true,
  CONNECTION_LOST: true,
  CONNECTION_REFUSED: true,
  TIMEOUT: true,
  ENGINE_LOST: true,
}

export interface PocketErrorOptions {
  readonly cause?: unknown
  /** How long to wait before trying again, where the relay knows. */
  readonly retryAfterMs?: number | undefined
}

/**
 * Every expected failure, at every public door. `code` decides; `retryable` says whether the same call can succeed
 * later; `cause` keeps what lies beneath.
 */
export class PocketError extends Error {
  override readonly name = 'PocketError'
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options: PocketErrorOptions = {}) {
    // It takes the cause, where there is one.
    super(message, options)
    this.code = code
    this.retryAfterMs = options.retryAfterMs
  }

  get retryable(): boolean {
    return this.code in retryableCodes
  }

  toJSON(): { code: ErrorCode; message: string; retryable: boolean } {
    return { code: this.code, message: this.message, retryable: this.retryable }
  }
}

/** Any thrown value as a {@link PocketError}; what is not one already becomes INTERNAL with the value as cause. */
export function toPocketError(value: unknown): PocketError {
  if (value instanceof PocketError) return value
  return new PocketError('INTERNAL', value instanceof Error ? value.message : String(value), { cause: value })
}
