// Publish-to-deliver times without a look into the bodies: every system here delivers one producer's messages in
// the order of sending, so the n-th delivery answers the n-th send.

import { percentile } from './stats.ts'
import type { Figures } from './figures.ts'

/** Takes a time of every `sampleEvery`-th message, a power of two, so that a fast flow is not slowed by the clock. */
export class Latencies {
  readonly #mask: number
  readonly #sentAtByIndex = new Map<number, number>()
  #milliseconds: number[] = []

  constructor({ sampleEvery }: { readonly sampleEvery: number }) {
    this.#mask = sampleEvery - 1
  }

  /** Call before the send, with its index from 0. */
  sent(index: number): void {
    if ((index & this.#mask) === 0) this.#sentAtByIndex.set(index, performance.now())
  }

  /** Call on the delivery, with its index from 0. */
  delivered(index: number): void {
    if ((index & this.#mask) !== 0) return
    const sentAt = this.#sentAtByIndex.get(index)
    if (sentAt === undefined) return
    this.#sentAtByIndex.delete(index)
    this.#milliseconds.push(performance.now() - sentAt)
  }

  /** Adds a time that was taken elsewhere. */
  add(milliseconds: number): void {
    this.#milliseconds.push(milliseconds)
  }

  /** Forgets what was measured so far: the warm-up. */
  clear(): void {
    this.#milliseconds = []
  }

  figures(): Figures {
    if (this.#milliseconds.length === 0) return {}
    return { p50Ms: percentile(this.#milliseconds, 0.5), p99Ms: percentile(this.#milliseconds, 0.99) }
  }
}
