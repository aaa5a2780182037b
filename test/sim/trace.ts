// What happened in a simulated run: a hash over all of it, by which two runs of a seed are compared, and the last lines
// for people. Lines are put into words only when somebody reads them.

import { crc32c } from '../../core/crc32c.ts'
import { textToBytes } from '../../core/bytes.ts'

type Detail = string | number | undefined

export class Trace {
  #hash = 0x811c9dc5
  #count = 0
  readonly #lineCountMax: number
  readonly #lines: { readonly atMs: number; readonly what: string; readonly details: readonly Detail[] }[] = []

  /** Keeps the last so many lines. */
  constructor(lineCountMax: number) {
    this.#lineCountMax = Math.max(1, lineCountMax)
  }

  /** Notes that `what` happened. Details count in the hash. */
  add(atMs: number, what: string, ...details: readonly Detail[]): void {
    this.#mix(Math.round(atMs * 1_000))
    this.#mixText(what)
    for (const detail of details) {
      if (typeof detail === 'number') this.#mix(detail)
      else if (detail !== undefined) this.#mixText(detail)
    }
    this.#lines[this.#count++ % this.#lineCountMax] = { atMs, what, details }
  }

  /** Notes bytes that a process received: they count in the hash as a whole. */
  addBytes(atMs: number, what: string, to: string, bytes: Uint8Array): void {
    this.add(atMs, what, to, bytes.length, crc32c(bytes))
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  /** How many things were noted. */
  get count(): number {
    return this.#count
  }

  /** The last lines, oldest first. */
  tail(): string[] {
    const count = Math.min(this.#count, this.#lineCountMax)
    return Array.from({ length: count }, (_, index) => {
      const line = this.#lines[(this.#count - count + index) % this.#lineCountMax]
      if (line === undefined) return ''
      const parts = [line.atMs.toFixed(3).padStart(11), line.what, ...line.details]
      return parts.filter((part) => part !== undefined).join(' ')
    })
  }

  #mix(value: number): void {
    const low = value | 0
    const high = Math.floor(value / 2 ** 32) | 0
    this.#hash = Math.imul(this.#hash ^ low ^ Math.imul(high, 0x9e3779b1), 0x01000193)
    this.#hash ^= this.#hash >>> 15
  }

  #mixText(text: string): void {
    const bytes = text.length < 64 ? undefined : textToBytes(text)
    if (bytes !== undefined) return this.#mix(crc32c(bytes))
    for (let index = 0; index < text.length; index++) {
      this.#hash = Math.imul(this.#hash ^ text.charCodeAt(index), 0x01000193)
    }
  }
}
