// The message groups of a FIFO queue that have a message out: leased, free, waiting or held. No other message of theirs
// is delivered until that one is done with; what the cursor passes meanwhile waits in line behind it. A line whose head
// is stuck may be cut, so that it takes no room: then only where it goes on is known, and it must be read again. Knows
// offsets and hashes, no messages.
//
//   lock ──> line: [listed …] ──release──> the next is out … ──> unlocked
//                      │ cut                  ▲
//                      ▼                      │ refill
//                  (counted) ──release──> short: nobody is out, the log is to be read

import type { StoredLockQueue } from '../storage/progress.ts'

/** What waits behind the message of a message group that is out. */
export interface LockLine {
  readonly groupHash: number
  /** Ascending. Made when first needed, as most locks end with nobody behind them. */
  offsets: number[] | undefined
  /** From here on messages are not listed; -1 where all are. */
  cutOffset: number
  /** Messages not listed, as far as is known. */
  cutCount: number
  /** How often its head has changed, and how often it had when the lines were marked. */
  moves: number
  mark: number
}

export class MessageGroupLocks {
  readonly #lines = new Map<number, LockLine>()
  readonly #short = new Set<LockLine>()
  #listedCount = 0
  #cutCount = 0
  /** When the lines were marked last; monotonic. */
  #markedMs = -Infinity

  /** Messages listed in all lines: what takes room. */
  get listedCount(): number {
    return this.#listedCount
  }

  /** Messages behind cuts. */
  get cutCount(): number {
    return this.#cutCount
  }

  /** The lowest offset in a line; Infinity where there is none. */
  get floor(): number {
    let floor = Infinity
    for (const { offsets, cutOffset } of this.#lines.values()) {
      floor = Math.min(floor, offsets?.[0] ?? (cutOffset < 0 ? Infinity : cutOffset))
    }
    return floor
  }

  /** The line of a locked message group; undefined where it is not locked. */
  lineOf(groupHash: number): LockLine | undefined {
    return this.#lines.get(groupHash)
  }

  /** A message of the group is out. Locking what is locked changes nothing. */
  lock(groupHash: number): void {
    const line = this.#lines.get(groupHash)
    if (line === undefined) this.#lines.set(groupHash, newLine(groupHash))
    else this.#short.delete(line)
  }

  /** A message is to wait in a line, behind all that are in it. */
  join(line: LockLine, offset: number): void {
    if (line.cutOffset >= 0) {
      line.cutCount++
      this.#cutCount++
      return
    }
    if (line.offsets === undefined) line.offsets = [offset]
    else line.offsets.push(offset)
    this.#listedCount++
  }

  /**
   * The message that was out is done with: gives the next one, which is out from now on. Undefined ends the lock, unless
   * the line is cut: then it is short.
   */
  release(groupHash: number): number | undefined {
    const line = this.#lines.get(groupHash)
    if (line === undefined) return undefined
    const next = line.offsets?.shift()
    line.moves++
    if (next !== undefined) this.#listedCount--
    else if (line.cutOffset >= 0) this.#short.add(line)
    else this.#lines.delete(groupHash)
    return next
  }

  // ── lines that are stuck ──────────────────────────────────────────────────────────────────────────────────────

  /** Remembers where all lines stand, for {@link cutStuck}. */
  mark(nowMs: number): void {
    this.#markedMs = nowMs
    for (const line of this.#lines.values()) line.mark = line.moves
  }

  get markedMs(): number {
    return this.#markedMs
  }

  /** Cuts the lines whose head has not moved since they were marked. False where there is nothing to cut. */
  cutStuck(): boolean {
    const before = this.#listedCount
    for (const line of this.#lines.values()) if (line.moves === line.mark) this.#cut(line)
    return this.#listedCount < before
  }

  #cut(line: LockLine): void {
    const { offsets = [] } = line
    if (offsets.length === 0) return
    line.cutOffset = offsets[0] as number
    line.cutCount += offsets.length
    this.#cutCount += offsets.length
    this.#listedCount -= offsets.length
    line.offsets = undefined
  }

  /** A line of which nobody is out, and what comes next is to be looked for; undefined where there is none. */
  get short(): LockLine | undefined {
    return this.#short.size === 0 ? undefined : (this.#short.values().next().value as LockLine)
  }

  /** What was found of a line from its cut on, ascending, is listed; from `cutOffset` on it is still cut, unless that is -1. */
  refill(line: LockLine, found: readonly number[], cutOffset: number): void {
    for (const offset of found) (line.offsets ??= []).push(offset)
    this.#listedCount += found.length
    const cutCount = cutOffset < 0 ? 0 : Math.max(0, line.cutCount - found.length)
    this.#cutCount += cutCount - line.cutCount
    line.cutCount = cutCount
    line.cutOffset = cutOffset
    if (found.length > 0 || cutOffset < 0) this.#short.delete(line)
  }

  clear(): void {
    this.#lines.clear()
    this.#short.clear()
    this.#listedCount = 0
    this.#cutCount = 0
    this.#markedMs = -Infinity
  }

  toStored(): StoredLockQueue[] {
    const stored: StoredLockQueue[] = []
    for (const { groupHash, offsets = [], cutOffset, cutCount } of this.#lines.values()) {
      if (offsets.length > 0 || cutOffset >= 0) stored.push({ groupHash, offsets, cutOffset, cutCount })
    }
    return stored
  }

  /** Lines as they were stored; each whose message is out is to be locked then. */
  restore(stored: readonly StoredLockQueue[]): void {
    for (const { groupHash, offsets, cutOffset, cutCount } of stored) {
      const line = { ...newLine(groupHash), offsets: [...offsets], cutOffset, cutCount }
      this.#lines.set(groupHash, line)
      this.#listedCount += offsets.length
      this.#cutCount += cutCount
      if (offsets.length === 0) this.#short.add(line)
    }
  }
}

function newLine(groupHash: number): LockLine {
  return { groupHash, offsets: undefined, cutOffset: -1, cutCount: 0, moves: 0, mark: -1 }
}
