// Chance that repeats: the same seed gives the same draws, on every machine. xoshiro128** (Blackman, Vigna), seeded by
// splitmix32. Not for secrets.

import { textToBytes } from '../../core/bytes.ts'
import { hash32 } from '../../core/hash.ts'
import type { Random } from '../../core/ports/random.ts'

export interface SimRandom extends Random {
  /** A whole number in [0, bound). */
  below(bound: number): number
  /** A number in [least, most). */
  between(least: number, most: number): number
  /** True with a probability of 0 to 1. It draws in every case, so that a changed probability moves nothing else. */
  chance(probability: number): boolean
  /** One of the items. */
  pick<T>(items: readonly T[]): T
  /**
   * A generator of its own for a part of the world. It depends on the seed and the name only, not on what was drawn
   * before: one more draw in one part changes nothing in another.
   */
  fork(name: string): SimRandom
}

/** A generator; of the seed, a whole number, 32 bits count. */
export function createSimRandom(seed: number): SimRandom {
  const draw32 = xoshiro128(seed)
  const next = (): number => draw32() / 2 ** 32
  const random: SimRandom = {
    next,
    bytes(count) {
      const bytes = new Uint8Array(count)
      for (let index = 0; index < count; index++) bytes[index] = draw32() >>> 24
      return bytes
    },
    below: (bound) => Math.floor(next() * bound),
    between: (least, most) => least + next() * (most - least),
    chance: (probability) => next() < probability,
    pick(items) {
      const item = items[random.below(items.length)]
      if (item === undefined) throw new Error('nothing to pick from')
      return item
    },
    fork: (name) => createSimRandom(hash32(textToBytes(`${seed}/${name}`))),
  }
  return random
}

/** Draws of 32 bits. */
function xoshiro128(seed: number): () => number {
  let splitmix = seed | 0
  const word = (): number => {
    splitmix = (splitmix + 0x9e3779b9) | 0
    let mixed = splitmix ^ (splitmix >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return mixed ^ (mixed >>> 15)
  }
  let [a, b, c, d] = [word(), word(), word(), word()]
  return () => {
    const product = Math.imul(b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9)
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = (d << 11) | (d >>> 21)
    return result >>> 0
  }
}
