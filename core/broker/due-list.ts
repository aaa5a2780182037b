// Delayed messages in the order they are due, for a few ten thousand of them: a list of short sorted leaves. Both ends
// and appending are cheap; anything else is two binary searches and moves at most a leaf.

import type { DelayedEntry } from '../storage/delayed.ts'
import { compareDelayed } from '../storage/delayed.ts'

const leafCountMax = 128

export class DueList {
  /** In order, none of them empty. */
  readonly #leaves: DelayedEntry[][] = []
  #count = 0
  #byteCount = 0

  get count(): number {
    return this.#count
  }

  /** Bytes of keys and values. */
  get byteCount(): number {
    return this.#byteCount
  }

  get first(): DelayedEntry | undefined {
    return this.#leaves[0]?.[0]
  }

  /** Puts an entry in its place; one with the same key is replaced, and given. */
  add(entry: DelayedEntry): DelayedEntry | undefined {
    const leaves = this.#leaves
    const last = leaves.at(-1)
    const order = last === undefined ? -1 : compareDelayed(last.at(-1) as DelayedEntry, entry)
    if (last === undefined || order < 0) {
      if (last === undefined || last.length === leafCountMax) leaves.push([entry])
      else last.push(entry)
      this.#note(1, entry.byteCount)
      return undefined
    }
    const leafIndex = this.#leafIndex(entry)
    const leaf = leaves[leafIndex] as DelayedEntry[]
    const index = lowerBound(leaf, entry)
    const found = leaf[index]
    if (found !== undefined && compareDelayed(found, entry) === 0) {
      leaf[index] = entry
      this.#note(0, entry.byteCount - found.byteCount)
      return found
    }
    leaf.splice(index, 0, entry)
    if (leaf.length > leafCountMax) leaves.splice(leafIndex + 1, 0, leaf.splice(leafCountMax / 2))
    this.#note(1, entry.byteCount)
    return undefined
  }

  /** The entry with the key of `like`. */
  find(like: DelayedEntry): DelayedEntry | undefined {
    const leaf = this.#leaves[this.#leafIndex(like)]
    const found = leaf?.[lowerBound(leaf, like)]
    return found !== undefined && compareDelayed(found, like) === 0 ? found : undefined
  }

  /** Takes out the entry with the key of `like`, if it is there. */
  remove(like: DelayedEntry): void {
    const leafIndex = this.#leafIndex(like)
    const leaf = this.#leaves[leafIndex]
    if (leaf === undefined) return
    const index = lowerBound(leaf, like)
    const found = leaf[index]
    if (found === undefined || compareDelayed(found, like) !== 0) return
    leaf.splice(index, 1)
    if (leaf.length === 0) this.#leaves.splice(leafIndex, 1)
    this.#note(-1, -found.byteCount)
  }

  /** Takes the first. There must be one. */
  shift(): DelayedEntry {
    const leaf = this.#leaves[0] as DelayedEntry[]
    const entry = leaf.shift() as DelayedEntry
    if (leaf.length === 0) this.#leaves.shift()
    this.#note(-1, -entry.byteCount)
    return entry
  }

  /** Takes the last. There must be one. */
  pop(): DelayedEntry {
    const leaf = this.#leaves.at(-1) as DelayedEntry[]
    const entry = leaf.pop() as DelayedEntry
    if (leaf.length === 0) this.#leaves.pop()
    this.#note(-1, -entry.byteCount)
    return entry
  }

  #note(count: number, bytes: number): void {
    this.#count += count
    this.#byteCount += bytes
  }

  /** The leaf that has the entry or would: the last one that begins at or before it, else the first. */
  #leafIndex(entry: DelayedEntry): number {
    let low = 0
    let high = this.#leaves.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareDelayed((this.#leaves[middle] as DelayedEntry[])[0] as DelayedEntry, entry) <= 0) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }
}

/** Index of the first entry that is not before `entry`. */
function lowerBound(leaf: readonly DelayedEntry[], entry: DelayedEntry): number {
  let low = 0
  let high = leaf.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareDelayed(leaf[middle] as DelayedEntry, entry) < 0) low = middle + 1
    else high = middle
  }
  return low
}
