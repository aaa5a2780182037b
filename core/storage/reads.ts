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
): AsyncGenerator<StoreEntry> {
  for await (const entries of readChunks(store, range, chunkBytes, chunkCount)) yield* entries
}

/** The entries of a range in chunks, for those who walk over many: each `yield` of a generator is some promises. */
export async function* readChunks(
  store: Store, range: { from: Uint8Array; to: Uint8Array }, chunkBytes: number, chunkCount = 10_000,
): AsyncGenerator<readonly StoreEntry[]> {
  let from = range.from
  for (;;) {
    const entries = await readRange(store, { from, to: range.to, bytesMax: chunkBytes, countMax: chunkCount })
    const last = entries.at(-1)
    if (last === undefined) return
    yield entries
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
