// What a histogram that only grows has counted lately: the quantiles of the last ten seconds, from what it held then.

import type { Histogram } from '../core/broker/stats.ts'

const windowMs = 10_000
/** What it held is noted so often at most: that bounds the notes. */
const noteMs = 1_000

export class RecentQuantiles {
  readonly #histogram: Histogram
  readonly #monotonic: () => number
  /** In order; the first is the last of those that are older than the window. */
  #notes: { readonly atMs: number; readonly counts: readonly number[] }[]

  constructor(histogram: Histogram, monotonic: () => number) {
    this.#histogram = histogram
    this.#monotonic = monotonic
    this.#notes = [{ atMs: monotonic(), counts: [...histogram.counts] }]
  }

  /**
   * The values below which such shares lie of what was counted since ten seconds ago, or since the look before where that
   * is longer ago; 0 where nothing was. Within a bucket values are taken for spread evenly; what is over the last bound is
   * that bound.
   */
  look(shares: readonly number[]): readonly number[] {
    const nowMs = this.#monotonic()
    const notes = this.#notes
    while (notes.length > 1 && nowMs - (notes[1]?.atMs ?? nowMs) >= windowMs) notes.shift()
    const before = notes[0]?.counts ?? []
    const { bounds, counts } = this.#histogram
    const recent = counts.map((count, index) => count - (before[index] ?? 0))
    if (nowMs - (notes.at(-1)?.atMs ?? 0) >= noteMs) notes.push({ atMs: nowMs, counts: [...counts] })
    return shares.map((share) => quantile(bounds, recent, share))
  }
}

function quantile(bounds: readonly number[], counts: readonly number[], share: number): number {
  const wanted = counts.reduce((sum, count) => sum + count, 0) * share
  let seen = 0
  for (let index = 0; index < bounds.length; index++) {
    const count = counts[index] ?? 0
    const [from, to] = [index === 0 ? 0 : bounds[index - 1] as number, bounds[index] as number]
    if (count > 0 && seen + count >= wanted) return from + (to - from) * (wanted - seen) / count
    seen += count
  }
  return wanted === 0 ? 0 : bounds.at(-1) as number
}
