// Chance as the core sees it.

export interface Random {
  /** A number in [0, 1), for jitter and choice; not for secrets. */
  next(): number
  /** `count` random bytes, unpredictable on a real platform: identities are made of them. */
  bytes(count: number): Uint8Array
}
