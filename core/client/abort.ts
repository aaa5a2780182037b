// Waiting that a caller's AbortSignal can end.

import { PocketError } from '../errors.ts'

/** Throws ABORTED, with the signal's reason as cause, if it is aborted already. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

export function abortError(signal: AbortSignal): PocketError {
  return new PocketError('ABORTED', 'the caller’s signal was aborted', { cause: signal.reason })
}

/** Calls `aborted` once when the signal is, at once if it is already. The function given ends the wait. */
export function onAbort(signal: AbortSignal | undefined, aborted: (error: PocketError) => void): () => void {
  if (signal === undefined) return nothing
  const listener = () => aborted(abortError(signal))
  if (signal.aborted) {
    listener()
    return nothing
  }
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}

function nothing(): void {}
