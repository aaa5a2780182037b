// Following a log as an application holds it: types. The maker is follower.ts.

import type { Position } from '../model/position.ts'
import type { Change } from '../protocol/frames.ts'

export type { Change } from '../protocol/frames.ts'

export interface FollowOptions {
  /** Topics to follow; those that don't exist yet are followed from when they do. */
  readonly topics: readonly string[]
  /** Up to where the follower has applied each queue: by topic, by queue id. Without one, from the first message kept. */
  readonly positions?: ReadonlyMap<string, ReadonlyMap<number, Position>>
  /** Groups, and their progress on these topics, too. Default false. */
  readonly withProgress?: boolean
  readonly signal?: AbortSignal
}

/** Changes that belong together, in the order to apply them. */
export interface ChangeBatch {
  readonly changes: readonly Change[]
  /** Number of the relay's commit up to which the copy is whole once these are applied, if `isCurrent`. */
  readonly sequence: number
  /** Nothing else has happened at the relay up to that commit. */
  readonly isCurrent: boolean
  /** Messages still to come. */
  readonly lag: number
}

/**
 * The changes, as they come. What was taken from the iterator and applied is said by asking for the next one: no more
 * than a bounded number of bytes is ahead of it. After a reconnect it goes on by itself where it was.
 */
export interface Follower extends AsyncIterable<ChangeBatch>, AsyncDisposable {
  /** Up to where changes were taken, those in hand included, to resume by `positions` later. */
  positions(): ReadonlyMap<string, ReadonlyMap<number, Position>>
  /** As of the last batch taken. */
  readonly lag: number
  /** Ends the iteration. */
  close(): Promise<void>
}
