// Where a reader stands in a queue. An offset alone is not enough: when a log is lost or made anew its numbers mean
// other messages, and the epoch tells.

export interface Position {
  readonly epoch: number
  /** The next offset to read. */
  readonly offset: number
}

/** Where reading starts: a position, or one the broker finds. `timestamp`: the first message stored at or after it. */
export type StartPolicy =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'timestamp'; readonly timestampMs: number }
  | { readonly kind: 'position'; readonly position: Position }
