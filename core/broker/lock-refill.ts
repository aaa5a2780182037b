// Finds again what waits behind the cut of a message group's line, by reading the log from there: when a group that was
// stuck has moved, and nobody of it is out.

import type { RecordBatch } from '../record/record-batch.ts'
import type { LogCursor } from './log-cursor.ts'
import type { LockLine, MessageGroupLocks } from './message-group-locks.ts'

/** Lists so many of a line at once. */
const listedMax = 256

export interface RefillBounds {
  /** Messages from here on are not passed yet, and not in a line. */
  readonly cursor: number
  /** Looks at so many records before others have their turn. */
  readonly recordCountMax: number
  /** How many may be listed of a line, beside the one that is out then. */
  readonly room: number
  /** Whether a message is still to be delivered. */
  readonly passes: (record: RecordBatch, index: number) => boolean
  /** The next of a line, which is out from now on. */
  readonly out: (offset: number, groupHash: number, record: RecordBatch) => void
}

export class LockRefill {
  readonly #locks: MessageGroupLocks
  readonly #log: LogCursor

  constructor(locks: MessageGroupLocks, log: LogCursor) {
    this.#locks = locks
    this.#log = log
  }

  get isReading(): boolean {
    return this.#log.isReading
  }

  /** Goes on with the lines that are short. True where that is to be continued, in another turn. */
  run(bounds: RefillBounds): boolean {
    let looked = 0
    for (let line = this.#locks.short; line !== undefined; line = this.#locks.short) {
      if (looked++ >= bounds.recordCountMax) return true
      if (!this.#look(line, bounds)) return false
    }
    return false
  }

  /** One record, or gap, of a line; false where the store is asked first. */
  #look(line: LockLine, { cursor, room, passes, out }: RefillBounds): boolean {
    const locks = this.#locks
    const from = line.cutOffset
    const end = () => {
      locks.refill(line, [], -1)
      locks.release(line.groupHash)
      return true
    }
    if (from >= cursor) return end()
    const view = this.#log.look(from)
    if (view.kind === 'waiting') return false
    if (view.kind === 'end') return end()
    if (view.kind === 'gap') {
      locks.refill(line, [], view.next)
      return true
    }
    const { record } = view
    const found: number[] = []
    const countMax = 1 + Math.max(0, Math.min(room, listedMax))
    let index = record.indexFrom(from)
    for (; index < record.messageCount && found.length < countMax; index++) {
      if (record.groupHashAt(index) !== line.groupHash) continue
      if (record.offsetAt(index) >= cursor) break
      if (passes(record, index)) found.push(record.offsetAt(index))
    }
    const next = index < record.messageCount ? record.offsetAt(index) : record.lastOffset + 1
    locks.refill(line, found, next >= cursor ? -1 : next)
    if (found.length > 0) out(locks.release(line.groupHash) as number, line.groupHash, record)
    else if (line.cutOffset < 0) locks.release(line.groupHash)
    return true
  }
}
