// The disk as the core sees it: ordered binary keys, range reads, atomic commits. Contract suite:
// test/contract/store-contract.ts, which every store passes.

/** One change of a commit; `value: null` deletes the key, and deleting what is not there is no error. */
export interface StoreWrite {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

export interface StoreEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Keys in `[from, to)` by unsigned byte order, ascending, or descending with `reverse`. */
export interface StoreRange {
  readonly from: Uint8Array
  readonly to: Uint8Array
  readonly reverse?: boolean
  /** At most so many entries. */
  readonly countMax?: number
  /** Stops after the entry with which the values reach so many bytes; at least one entry is given. */
  readonly bytesMax?: number
}

/**
 * How a commit ended. `durable`: all of it survives a crash and a power cut. `not-written`: none of it is or will be
 * there. `unknown`: all or nothing of it may be there after a reopening, and this store must not be used again.
 */
export type CommitOutcome =
  | { readonly kind: 'durable' }
  | { readonly kind: 'not-written'; readonly reason: 'full' | 'error'; readonly cause: unknown }
  | { readonly kind: 'unknown'; readonly cause: unknown }

export interface CommitOptions {
  /**
   * The commit ends `durable` once it survives a crash of this program, while a power cut may still take it. It is never
   * reordered: what a power cut leaves is all of the commits up to one of them. A store that knows no such difference
   * ignores it.
   */
  readonly isRelaxed?: boolean
}

export type ReadOutcome =
  | { readonly kind: 'entries'; readonly entries: readonly StoreEntry[] }
  | { readonly kind: 'failed'; readonly cause: unknown }

export interface StoreSpace {
  readonly usedBytes: number
  /** Room left, as far as the platform tells; Infinity where it does not. */
  readonly freeBytes: number
}

/**
 * A durable, ordered map with one writer.
 *
 * - A commit is atomic and isolated: a reader sees all of it or none, and none before it ended `durable`.
 * - The caller has at most one commit in flight. Within a commit a later write to the same key wins.
 * - Answers come by callback, once each, never before the call returns, and reads in the order they were asked.
 *   A callback and not a promise, so that one seed replays a world.
 * - Keys are 1 to 255 bytes, values up to 16 MiB. The store keeps no reference to what it was given after the
 *   answer; what it gives belongs to the caller and stays unchanged.
 * - The store does not detect a flipped bit; whoever reads checks (CRC-32C in every record).
 */
export interface Store {
  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void
  commit(writes: readonly StoreWrite[], answer: (outcome: CommitOutcome) => void, options?: CommitOptions): void
  /** Cheap, possibly some seconds old. */
  space(): StoreSpace
  /** Ends the store; a commit in flight is answered first. Calling it again does nothing. */
  close(): Promise<void>
}
