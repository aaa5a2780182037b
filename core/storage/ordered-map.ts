// A map of byte keys in unsigned byte order, for stores in memory. Two levels: leaves of up to 256 keys, in a list. A
// search is two binary searches; an append is a push; any other change moves at most 256 pointers, and once in some
// hundred changes the list's own (a million keys: 4,000). Keeps the arrays it is given, copies nothing.

import type { StoreEntry, StoreRange } from '../ports/store.ts'

const leafKeyCountMax = 256

interface Leaf {
  readonly keys: Uint8Array[]
  readonly values: Uint8Array[]
}

/** Negative, zero or positive: the order of unsigned bytes, and of length where one begins the other. */
export function compareKeys(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    const difference = (left[index] as number) - (right[index] as number)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

export class OrderedMap {
  /** In order, none of them empty. */
  readonly #leaves: Leaf[] = []
  #size = 0
  #bytes = 0

  /** How many keys there are. */
  get size(): number {
    return this.#size
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const leaf = this.#leaves[this.#leafIndex(key)]
    if (leaf === undefined) return undefined
    const index = lowerBound(leaf.keys, key)
    return isAt(leaf, index, key) ? leaf.values[index] : undefined
  }

  /** Sets a value and gives the one before, if any. */
  set(key: Uint8Array, value: Uint8Array): Uint8Array | undefined {
    const last = this.#leaves.at(-1)
    if (last === undefined || compareKeys(last.keys.at(-1) as Uint8Array, key) < 0) {
      if (last === undefined || last.keys.length === leafKeyCountMax) {
        this.#leaves.push({ keys: [key], values: [value] })
      } else {
        last.keys.push(key)
        last.values.push(value)
      }
      this.#count(1, key.length + value.length)
      return undefined
    }
    const leafIndex = this.#leafIndex(key)
    const leaf = this.#leaves[leafIndex] as Leaf
    const index = lowerBound(leaf.keys, key)
    if (isAt(leaf, index, key)) {
      const previous = leaf.values[index] as Uint8Array
      leaf.values[index] = value
      this.#count(0, value.length - previous.length)
      return previous
    }
    leaf.keys.splice(index, 0, key)
    leaf.values.splice(index, 0, value)
    if (leaf.keys.length > leafKeyCountMax) {
      const half = leafKeyCountMax / 2
      this.#leaves.splice(leafIndex + 1, 0, { keys: leaf.keys.splice(half), values: leaf.values.splice(half) })
    }
    this.#count(1, key.length + value.length)
    return undefined
  }

  /** Removes a key and gives its value, if it was there. */
  delete(key: Uint8Array): Uint8Array | undefined {
    const leafIndex = this.#leafIndex(key)
    const leaf = this.#leaves[leafIndex]
    if (leaf === undefined) return undefined
    const index = lowerBound(leaf.keys, key)
    if (!isAt(leaf, index, key)) return undefined
    const previous = leaf.values[index] as Uint8Array
    leaf.keys.splice(index, 1)
    leaf.values.splice(index, 1)
    this.#count(-1, -key.length - previous.length)
    if (leaf.keys.length === 0) this.#leaves.splice(leafIndex, 1)
    else this.#join(leafIndex)
    return previous
  }

  /** The entries of a range, with the map's own arrays. */
  range(range: StoreRange): StoreEntry[] {
    const { from, to, reverse = false, countMax = Infinity, bytesMax = Infinity } = range
    const entries: StoreEntry[] = []
    if (countMax <= 0 || compareKeys(from, to) >= 0) return entries
    const step = reverse ? -1 : 1
    let leafIndex = this.#leafIndex(reverse ? to : from)
    let leaf = this.#leaves[leafIndex]
    if (leaf === undefined) return entries
    let index = lowerBound(leaf.keys, reverse ? to : from) - (reverse ? 1 : 0)
    let bytes = 0
    for (;;) {
      if (index < 0 || index >= leaf.keys.length) {
        leafIndex += step
        leaf = this.#leaves[leafIndex]
        if (leaf === undefined) return entries
        index = reverse ? leaf.keys.length - 1 : 0
      }
      const key = leaf.keys[index] as Uint8Array
      if (reverse ? compareKeys(key, from) < 0 : compareKeys(key, to) >= 0) return entries
      const value = leaf.values[index] as Uint8Array
      entries.push({ key, value })
      bytes += value.length
      if (entries.length >= countMax || bytes >= bytesMax) return entries
      index += step
    }
  }

  #count(keys: number, bytes: number): void {
    this.#size += keys
    this.#bytes += bytes
  }

  /** The leaf that has the key or would: the last one that begins at or before it, else the first. */
  #leafIndex(key: Uint8Array): number {
    let low = 0
    let high = this.#leaves.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareKeys((this.#leaves[middle] as Leaf).keys[0] as Uint8Array, key) <= 0) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  /** Moves a leaf that has become small into the one after it. */
  #join(leafIndex: number): void {
    const leaf = this.#leaves[leafIndex] as Leaf
    const next = this.#leaves[leafIndex + 1]
    if (next === undefined || leaf.keys.length + next.keys.length > leafKeyCountMax / 2) return
    next.keys.unshift(...leaf.keys)
    next.values.unshift(...leaf.values)
    this.#leaves.splice(leafIndex, 1)
  }
}

function isAt(leaf: Leaf, index: number, key: Uint8Array): boolean {
  const found = leaf.keys[index]
  return found !== undefined && compareKeys(found, key) === 0
}

/** Index of the first key that is not before `key`. */
function lowerBound(keys: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(keys[middle] as Uint8Array, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
