// PocketErrors as plain data and back: what crosses a port keeps its code.

import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Outcome, WireError } from './port-protocol.ts'

export function errorToWire(thrown: unknown): WireError {
  const { code, message, retryAfterMs } = toPocketError(thrown)
  return { code, message, retryAfterMs }
}

export function wireToError({ code, message, retryAfterMs }: WireError): PocketError {
  return new PocketError(code, message, { retryAfterMs })
}

/** What `work` gives or throws, as data. */
export async function outcomeOf<T>(work: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await work() }
  } catch (thrown) {
    return { error: errorToWire(thrown) }
  }
}

/** The value; throws the error as it was on the other side. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if ('error' in outcome) throw wireToError(outcome.error)
  return outcome.value
}
