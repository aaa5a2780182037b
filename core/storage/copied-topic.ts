// From where on a copy has the queues of a topic: it may have begun behind the log's begin, or have dropped its oldest
// records to save room. Written with whatever changes it. A small sealed value, one mirrored pair of functions.

import { ByteWriter } from '../bytes.ts'
import { fixedLimits } from '../limits.ts'
import { openValue, sealValue } from './sealed.ts'

const version = 1
/** One for all: every use leaves it empty. */
const writer = new ByteWriter(256)

export interface CopiedQueueState {
  readonly queueId: number
  readonly epoch: number
  /** First offset that the copy has, or will have. */
  readonly from: number
  /** Of the records that it has. */
  readonly byteCount: number
  /** Records were dropped to save room. */
  readonly isTrimmed: boolean
}

export function encodeCopiedTopic(queues: readonly CopiedQueueState[]): Uint8Array {
  return sealValue(version, (w) => {
    w.varint(queues.length)
    for (const { queueId, epoch, from, byteCount, isTrimmed } of queues) {
      w.u16(queueId)
      w.u32(epoch)
      w.varint(from)
      w.varint(byteCount)
      w.u8(isTrimmed ? 1 : 0)
    }
  }, writer)
}

/** Throws RECORD_DAMAGED. */
export function decodeCopiedTopic(bytes: Uint8Array): CopiedQueueState[] {
  const reader = openValue(version, bytes)
  const queues: CopiedQueueState[] = []
  for (let count = reader.count(fixedLimits.queueCountMax); count > 0; count--) {
    queues.push({
      queueId: reader.u16(), epoch: reader.u32(), from: reader.varint(), byteCount: reader.varint(), isTrimmed: reader.u8() === 1,
    })
  }
  return queues
}
