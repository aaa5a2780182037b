// The delayed messages that are due next, in memory; the rest is read from the store, chunk by chunk, before it is
// needed. What holds: every message that waits and is due before the horizon is here, whether it came from the store or
// was scheduled a moment ago. So what is first here is first of all, and what is not here before the horizon is nowhere.
//
//   due: in memory  │ horizon │  only in the store
//   ────────────────┼─────────┼──────────────────────────────>  time, then producer, sequence and topic
//     fires first   │         │ a chunk moves the horizon on; too many in memory move it back
//
// A read sees no commit that is under way or comes after it, and perhaps one that ends before its answer. So what was
// decided behind the horizon in turns that were not durable when it was asked is kept until it is answered, and wins.

import { bytesEqual, copyBytes } from '../bytes.ts'
import { PocketError, toPocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Store, StoreEntry, StoreRange } from '../ports/store.ts'
import { compareDelayed, DelayedEntry, delayedTimeOf, openDelayed } from '../storage/delayed.ts'
import { keyAfter, keyKinds, kindRange } from '../storage/keys.ts'
import { compareKeys } from '../storage/ordered-map.ts'
import { DueList } from './due-list.ts'

const allKeys = kindRange(keyKinds.delayed)
/** Beside `delayedAheadCountMax`: bytes of keys and values in memory. One message alone may be more. */
const aheadBytesMax = 32 << 20
/** What an entry in memory may keep beside its own bytes. */
const spareBytesMax = 128
/** Fewer in memory and more are read: what is due within the next tenth of a second, where much is. */
const aheadCountLow = 4_096
/** One read of the store: some milliseconds of work at most. */
const chunkCountMax = 2_048
const chunkBytesMax = 1 << 20
/** Recalls that are looked up at once. */
const lookupCountMax = 256

export interface DelayedWindowDeps {
  readonly store: Store
  readonly limits: Pick<Limits, 'delayedAheadCountMax'>
  readonly isStopped: () => boolean
  /** Messages came from the store. */
  readonly loaded: () => void
  /** Told of each entry that is damaged; it stays in the store. */
  readonly damaged: (deliverMs: number, cause: unknown) => void
  readonly readFailed: (error: Error) => void
}

/** What a turn decided. */
interface Changes {
  /** Behind the horizon when it was decided. */
  added: DelayedEntry[]
  /** Keys of what was fired, dropped or taken back; one that went never comes again. */
  gone: Uint8Array[]
}

interface Lookup {
  readonly place: DelayedEntry
  /** Told what waits there, or why that cannot be known. */
  readonly answer: (found: DelayedEntry | undefined | Error) => void
}

/** A chunk on its way. */
interface Chunk {
  readonly from: Uint8Array
  /** What was scheduled behind it meanwhile was more than is kept: it counts up to here only. */
  ceiling: Uint8Array | undefined
  /** The horizon went back: there would be a hole. */
  isStale: boolean
}

export class DelayedWindow {
  readonly #deps: DelayedWindowDeps
  readonly #due = new DueList()
  /** Undefined where everything is in memory. */
  #horizon: Uint8Array | undefined = allKeys.from
  #horizonMs = 0

  #turn = 1
  #durableTurn = 0
  #hasChanged = false
  #current: Changes = { added: [], gone: [] }
  #committing: Changes | undefined
  /** Of turns that became durable while a read was under way. */
  #kept: Changes[] = []
  #keptCount = 0

  #readCount = 0
  #chunk: Chunk | undefined
  #lookups: Lookup[] = []

  constructor(deps: DelayedWindowDeps) {
    this.#deps = deps
  }

  /** The one that is due next; undefined where none is, or where it is still being read. */
  get first(): DelayedEntry | undefined {
    return this.#due.first
  }

  /** Messages in memory. */
  get count(): number {
    return this.#due.count
  }

  // ── what a turn decides; it is to be among that turn's writes ──────────────────────────────────────────────────

  /** A message was scheduled. The value may share its memory with others': where it is kept for long it is copied. */
  add(entry: DelayedEntry): void {
    entry.turn = this.#turn
    this.#hasChanged = true
    if (!this.#isInside(entry)) {
      this.#current.added.push(entry)
      return
    }
    this.#due.add(ownedEntry(entry))
    this.#shrink()
  }

  /** Takes the first away, for good. There must be one. */
  take(): DelayedEntry {
    const entry = this.#due.shift()
    this.#current.gone.push(entry.key)
    this.#hasChanged = true
    return entry
  }

  /** Takes away one that was found, for good. */
  remove(entry: DelayedEntry): void {
    if (this.#isInside(entry)) this.#due.remove(entry)
    this.#current.gone.push(entry.key)
    this.#hasChanged = true
  }

  /** The first cannot be delivered: it stays in the store, and is out of the way until that is opened again. */
  skip(): void {
    this.#due.shift()
  }

  /** The turn's commit begins. */
  sealed(): void {
    if (!this.#hasChanged) return
    this.#hasChanged = false
    this.#committing = this.#current
    this.#current = { added: [], gone: [] }
    this.#turn++
  }

  /** The turn's commit is durable. */
  committed(): void {
    const changes = this.#committing
    if (changes === undefined) return
    this.#committing = undefined
    this.#durableTurn = this.#turn - 1
    if (this.#readCount === 0) return
    this.#kept.push({ added: changes.added, gone: changes.gone.filter((key) => !isBefore(key, this.#horizon)) })
    this.#keptCount += changes.added.length
    if (this.#keptCount > this.#deps.limits.delayedAheadCountMax) this.#keepFewer()
  }

  // ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The message that waits at a place, or 'stored' where only the store can tell. */
  find(place: DelayedEntry): DelayedEntry | 'stored' | undefined {
    if (this.#isInside(place)) return this.#due.find(place)
    const all = this.#changes()
    if (all.some(({ gone }) => gone.some((key) => isSameKey(key, place.key)))) return undefined
    return all.flatMap(({ added }) => added.filter(({ key }) => isSameKey(key, place.key))).at(-1) ?? 'stored'
  }

  /** Finds what `find` could not; answers later, with what waits there then. */
  lookUp(place: DelayedEntry, answer: Lookup['answer']): void {
    this.#lookups.push({ place, answer })
    this.fill()
  }

  // ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Reads on where memory has room. One round of reads at a time, a chunk as the last of it. */
  fill(): void {
    if (this.#readCount > 0 || this.#deps.isStopped()) return
    for (const lookup of this.#lookups.splice(0, lookupCountMax)) {
      const { key } = lookup.place
      this.#read({ from: key, to: keyAfter(key), countMax: 1 }, (found) => this.#lookedUp(lookup, found))
    }
    if (this.#hasRoom && this.#horizon !== undefined) this.#readChunk(this.#horizon)
  }

  get #hasRoom(): boolean {
    const countMax = Math.min(aheadCountLow, Math.max(1, Math.floor(this.#deps.limits.delayedAheadCountMax / 2)))
    return this.#due.count < countMax && this.#due.byteCount < aheadBytesMax / 2
  }

  #read(range: StoreRange, use: (found: readonly StoreEntry[] | Error) => void): void {
    this.#readCount++
    this.#deps.store.read(range, (outcome) => {
      if (this.#deps.isStopped()) return
      if (outcome.kind === 'entries') use(outcome.entries)
      else use(new PocketError('STORE_FAILED', 'the store cannot be read', { cause: outcome.cause }))
      if (--this.#readCount > 0) return
      this.#kept = []
      this.#keptCount = 0
      this.fill()
    })
  }

  /** What was decided since the lookup was asked for wins over what was read. */
  #lookedUp({ place, answer }: Lookup, found: readonly StoreEntry[] | Error): void {
    const known = this.find(place)
    if (known !== 'stored') return answer(known)
    if (found instanceof Error) return answer(found)
    const [entry] = found
    if (entry === undefined) return answer(undefined)
    try {
      answer(openDelayed(entry.key, entry.value))
    } catch (cause) {
      answer(toPocketError(cause))
    }
  }

  #readChunk(from: Uint8Array): void {
    const countMax = Math.max(1, Math.min(chunkCountMax, Math.floor(this.#deps.limits.delayedAheadCountMax / 4)))
    const chunk: Chunk = { from, ceiling: undefined, isStale: false }
    this.#chunk = chunk
    this.#read({ from, to: allKeys.to, countMax, bytesMax: chunkBytesMax }, (found) => {
      this.#chunk = undefined
      if (found instanceof Error) return this.#deps.readFailed(found)
      if (chunk.isStale) return
      this.#merge(chunk, found, chunkEnd(found, countMax))
      this.#deps.loaded()
    })
  }

  /** Takes in what a chunk brought of `[from, end)`, and what was decided of it meanwhile; all of it if `end` is undefined. */
  #merge({ from, ceiling }: Chunk, entries: readonly StoreEntry[], chunkEndKey: Uint8Array | undefined): void {
    const end = isBefore(ceiling, chunkEndKey) ? ceiling : chunkEndKey
    const isOfChunk = (key: Uint8Array) => !isBefore(key, from) && isBefore(key, end)
    const changed = new Map<string, DelayedEntry | undefined>()
    for (const { added } of this.#changes()) {
      for (const entry of added) if (isOfChunk(entry.key)) changed.set(keyText(entry.key), entry)
    }
    for (const { gone } of this.#changes()) {
      for (const key of gone) if (isOfChunk(key)) changed.set(keyText(key), undefined)
    }
    for (const { key, value } of entries) {
      if (!isBefore(key, end)) break
      if (changed.size > 0 && changed.has(keyText(key))) continue
      try {
        this.#due.add(openDelayed(key, value))
      } catch (cause) {
        this.#deps.damaged(delayedTimeOf(key), cause)
      }
    }
    for (const entry of changed.values()) if (entry !== undefined) this.#due.add(ownedEntry(entry))
    this.#setHorizon(end)
    this.#shrink()
  }

  #setHorizon(horizon: Uint8Array | undefined): void {
    this.#horizon = horizon
    this.#horizonMs = horizon === undefined ? Infinity : delayedTimeOf(horizon)
  }

  #isInside({ key, deliverMs }: DelayedEntry): boolean {
    return deliverMs < this.#horizonMs || (deliverMs === this.#horizonMs && isBefore(key, this.#horizon))
  }

  /** Where there is too much in memory, what is due last goes back behind the horizon. */
  #shrink(): void {
    const due = this.#due
    const { delayedAheadCountMax } = this.#deps.limits
    if (due.count <= delayedAheadCountMax && (due.byteCount <= aheadBytesMax || due.count === 1)) return
    const countKept = Math.max(1, Math.floor(delayedAheadCountMax * 0.75))
    let entry: DelayedEntry | undefined
    while (due.count > countKept || (due.byteCount > aheadBytesMax * 0.75 && due.count > 1)) {
      entry = due.pop()
      // The next read may not see it yet.
      if (entry.turn > this.#durableTurn) this.#current.added.push(entry)
    }
    if (entry === undefined) return
    this.#setHorizon(entry.key)
    if (this.#chunk !== undefined) this.#chunk.isStale = true
  }

  /** A slow read, and much scheduled meanwhile: of that the half that is due first is kept, and the chunk ends there. */
  #keepFewer(): void {
    const added = this.#kept.flatMap((changes) => changes.added).sort(compareDelayed)
    const gone = this.#kept.flatMap((changes) => changes.gone)
    const [cut] = added.splice(added.length >>> 1)
    if (this.#chunk !== undefined && cut !== undefined && isBefore(cut.key, this.#chunk.ceiling)) this.#chunk.ceiling = cut.key
    this.#kept = [{ added, gone }]
    this.#keptCount = added.length
  }

  /** Oldest first. */
  #changes(): Changes[] {
    return [...this.#kept, ...(this.#committing === undefined ? [] : [this.#committing]), this.#current]
  }
}

/** Where a chunk ends; undefined where nothing is behind it. */
function chunkEnd(entries: readonly StoreEntry[], countMax: number): Uint8Array | undefined {
  const last = entries.at(-1)
  const byteCount = entries.reduce((sum, { value }) => sum + value.length, 0)
  return last === undefined || (entries.length < countMax && byteCount < chunkBytesMax) ? undefined : keyAfter(last.key)
}

/** Whether `key` comes before `end`; undefined is the end of all. */
function isBefore(key: Uint8Array | undefined, end: Uint8Array | undefined): boolean {
  return key !== undefined && (end === undefined || compareKeys(key, end) < 0)
}

/** The same, which keeps no others' bytes in memory. */
function ownedEntry(entry: DelayedEntry): DelayedEntry {
  const { key, deliverMs, value, turn } = entry
  if (value.buffer.byteLength - value.length <= spareBytesMax) return entry
  return new DelayedEntry(key, deliverMs, copyBytes(value), turn)
}

/** Compared with thousands for every recall: most differ in the last byte of the time or of the sequence. */
function isSameKey(left: Uint8Array, right: Uint8Array): boolean {
  return left[8] === right[8] && left[28] === right[28] && bytesEqual(left, right)
}

/** A key as the key of a map. */
function keyText(key: Uint8Array): string {
  return String.fromCharCode(...key)
}
