// Store reads as promises, for the cold paths: opening, queries, retention. The hot paths use the callbacks.

import { PocketError } from '../errors.ts'
import type { Store, StoreEntry, StoreRange, StoreWrite } from '../ports/store.ts'

/** One range read; throws STORE_FAILED with the store's cause. */
export function readRange(store: Store, range: StoreRange): Promise<readonly StoreEntry[]> {
  return new Promise((resolve, reject) => {
    store.read(range, (outcome) => {
      if (outcome.kind === 'entries') resolve(outcome.entries)
      else reject(new PocketError('STORE_FAILED', 'the store cannot be read', { cause: outcome.cause }))
    })
  })
}

/** Every entry of a range, so that no read holds much at once: `chunkBytes` of values, and `chunkCount` of them. */
export async function* readAll(
  store: Store, range: { from: Uint8Array; to: Uint8Array }, chunkBytes: number, chunkCount?: number,
  ahead?: ReadAhead,
): AsyncGenerator<StoreEntry> {
  for await (const entries of readChunks(store, range, chunkBytes, chunkCount, ahead)) yield* entries
}

const chunkCountDefault = 10_000

/** What was asked for before it is needed. */
export type ReadAhead = Promise<readonly StoreEntry[]>

/** The first chunk of a range, asked for before it is needed: several at once cost the way to the disk once. */
export function readAhead(
  store: Store, range: Pick<StoreRange, 'from' | 'to' | 'reverse'>, chunkBytes: number, chunkCount = chunkCountDefault,
): ReadAhead {
  const ahead = readRange(store, { ...range, bytesMax: chunkBytes, countMax: chunkCount })
  // Whoever comes to need it hears of the failure.
  ahead.catch(() => {})
  return ahead
}

/**
 * The entries of a range in chunks, for those who walk over many: each `yield` of a generator is some promises. `ahead`:
 * the first chunk, as `readAhead` gave it.
 */
export async function* readChunks(
  store: Store, range: { from: Uint8Array; to: Uint8Array }, chunkBytes: number, chunkCount = chunkCountDefault,
  ahead?: ReadAhead,
): AsyncGenerator<readonly StoreEntry[]> {
  let from = range.from
  let first = ahead
  for (;;) {
    const entries = await (first ?? readRange(store, { from, to: range.to, bytesMax: chunkBytes, countMax: chunkCount }))
    first = undefined
    const last = entries.at(-1)
    if (last === undefined) return
    yield entries
    // It stopped at neither bound: there was no more.
    if (entries.length < chunkCount && entries.reduce((sum, { value }) => sum + value.length, 0) < chunkBytes) return
    // The smallest key after `last.key` is the same with a zero byte behind it.
    from = new Uint8Array(last.key.length + 1)
    from.set(last.key)
  }
}

/** One commit outside the broker's turns: only before the broker runs. Throws STORE_FAILED or STORE_FULL. */
export function commitAlone(store: Store, writes: readonly StoreWrite[]): Promise<void> {
  return new Promise((resolve, reject) => {
    store.commit(writes, (outcome) => {
      if (outcome.kind === 'durable') resolve()
      else if (outcome.kind === 'not-written' && outcome.reason === 'full') {
        reject(new PocketError('STORE_FULL', 'the store has no room', { cause: outcome.cause }))
      } else reject(new PocketError('STORE_FAILED', 'the store cannot be written', { cause: outcome.cause }))
    })
  })
}
