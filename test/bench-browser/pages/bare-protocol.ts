// What the bare page and the bare worker say to each other, and the figures of calls one after the other.

import { percentile } from '../../bench/stats.ts'

export type BareRequest =
  | { readonly op: 'open'; readonly database: string }
  /** Posted back as it came. */
  | { readonly op: 'echo' }
  /** One strict transaction, then an answer. */
  | { readonly op: 'put'; readonly body: Uint8Array }
  /** One strict transaction, then the body to all other ports. */
  | { readonly op: 'forward'; readonly body: Uint8Array }
  /** Strict transactions, one after the other, each of one packed batch and a counter. */
  | { readonly op: 'append'; readonly batchCount: number; readonly batchBytes: number }
  /** Opens a database and reads its first record. */
  | { readonly op: 'first'; readonly database: string }

export interface Latencies {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly totalMs: number
}

/** Does `call` so many times, each when the one before is done. */
export async function inTurn(count: number, call: (at: number) => Promise<unknown>): Promise<Latencies> {
  const tookMs = new Float64Array(count)
  const startedMs = performance.now()
  for (let at = 0; at < count; at++) {
    const beganMs = performance.now()
    await call(at)
    tookMs[at] = performance.now() - beganMs
  }
  return latenciesOf(tookMs, performance.now() - startedMs)
}

export function latenciesOf(tookMs: ArrayLike<number>, totalMs: number): Latencies {
  return { p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99), totalMs }
}

/** Bytes that don't compress to nothing, as the disk would have it otherwise. */
export function noise(byteCount: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(byteCount)
  let state = 0x9e3779b9
  for (let at = 0; at < byteCount; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[at] = state
  }
  return bytes
}
