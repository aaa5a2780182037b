// Waiting that ends when a signal says so.

import { onAbort } from '../../core/client/abort.ts'

/** What `work` gives; rejects with ABORTED where the signal comes first. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const stop = onAbort(signal, reject)
    work.then(resolve, reject).finally(stop)
  })
}
