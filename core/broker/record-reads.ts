// Reading the records of single messages of a queue from the store: those that were delivered long ago and come again.
// One read serves all that wait for the same record, as thousands of messages may come again together.

import type { RecordBatch } from '../record/record-batch.ts'
import type { QueueLog } from '../storage/queue-log.ts'

interface RecordRead {
  readonly offset: number
  readonly answer: (found: RecordBatch | Error) => void
}

export class RecordReads {
  readonly #log: QueueLog
  /** Asked for, one record at a time. */
  readonly #reads: RecordRead[] = []

  constructor(log: QueueLog) {
    this.#log = log
  }

  /** The stored record that has the message at `offset`; a RangeError where that is gone. */
  read(offset: number, answer: (found: RecordBatch | Error) => void): void {
    this.#reads.push({ offset, answer })
    if (this.#reads.length === 1) this.#readNext()
  }

  #readNext(): void {
    const [next] = this.#reads
    if (next === undefined) return
    this.#log.readStored(next.offset, 1, (result) => {
      const record = result instanceof Error ? undefined : result.records[0]
      const isWithin = (offset: number) => record !== undefined && record.baseOffset <= offset && offset <= record.lastOffset
      const reads = this.#reads
      let count = 1
      while (count < reads.length && isWithin((reads[count] as RecordRead).offset)) count++
      const answered = reads.splice(0, count)
      this.#readNext()
      for (const { offset, answer } of answered) {
        if (result instanceof Error) answer(result)
        else if (record !== undefined && record.indexOf(offset) >= 0) answer(record)
        else answer(new RangeError(`offset ${offset} is gone`))
      }
    })
  }
}
