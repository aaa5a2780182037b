// Messages that may be delivered at once, out of turn: given back, due again, or next in their message group. In the
// order in which they became free.

import type { RecordBatch } from '../record/record-batch.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { WaitRuns } from './wait-runs.ts'

export interface FreeMessage {
  readonly offset: number
  /** Those it has had. */
  readonly attempts: number
  readonly groupHash: number
  /** The record it is in, where that is at hand. */
  record: RecordBatch | undefined
  /** The log's count of rewritten records when that was found. */
  rewriteCount: number
}

/** All are made here, so that they are of one shape. */
export function freeMessage(offset: number, attempts: number, groupHash: number, record?: RecordBatch): FreeMessage {
  return { offset, attempts, groupHash, record, rewriteCount: 0 }
}

/** Looks at so many messages for one whose record is in memory, while that of the first is fetched. */
const lookedAtMax = 256

export class FreeMessages {
  #messages: FreeMessage[] = []

  get count(): number {
    return this.#messages.length
  }

  /** The lowest offset; Infinity where there is none. */
  get floor(): number {
    let floor = Infinity
    for (const { offset } of this.#messages) floor = Math.min(floor, offset)
    return floor
  }

  at(index: number): FreeMessage {
    return this.#messages[index] as FreeMessage
  }

  /** Index of one of the first whose record is at hand, which it then has; -1 where none is. `missing` is told of the others. */
  firstAtHand(log: QueueLog, missing: (message: FreeMessage) => void): number {
    const end = Math.min(this.#messages.length, lookedAtMax)
    for (let index = 0; index < end; index++) {
      const message = this.#messages[index] as FreeMessage
      if (log.mayHaveHoles && isOutdated(message, log)) message.record = undefined
      message.record ??= log.recordInMemory(message.offset)
      if (message.record !== undefined) return index
      missing(message)
    }
    return -1
  }

  add(message: FreeMessage): void {
    this.#messages.push(message)
  }

  /** Those from `start` to before `end` are free no longer. */
  remove(start: number, end: number): FreeMessage[] {
    return this.#messages.splice(start, end - start)
  }

  /** False where the message is not among them any more. */
  removeOne(message: FreeMessage): boolean {
    const index = this.#messages.indexOf(message)
    if (index < 0) return false
    this.#messages.splice(index, 1)
    return true
  }

  /** Takes out all with at least so many attempts. */
  takeOver(attemptsMin: number): FreeMessage[] {
    const taken = this.#messages.filter(({ attempts }) => attempts >= attemptsMin)
    if (taken.length > 0) this.#messages = this.#messages.filter(({ attempts }) => attempts < attemptsMin)
    return taken
  }

  clear(): void {
    this.#messages = []
  }

  /** Adds them to what is stored. */
  store(runs: WaitRuns): void {
    for (const { offset, attempts, groupHash } of this.#messages) {
      runs.add(offset, attempts, 0, 0, 'again', groupHash)
    }
  }
}

/** Whether the record that was found may have been rewritten since, without the message. */
function isOutdated({ record, rewriteCount }: FreeMessage, log: QueueLog): boolean {
  return record !== undefined && log.wasRewritten(rewriteCount, record.baseOffset, record.lastOffset)
}
