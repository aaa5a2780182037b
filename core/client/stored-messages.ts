// Messages that were not delivered but found, read or shown: in the application's hands, without a lease.

import { RecordBatch } from '../record/record-batch.ts'
import { Delivery } from './delivery.ts'
import { type MessageSource, ReceivedMessage } from './message.ts'

/** All messages of a record. Throws RECORD_DAMAGED where it is none. */
export function messagesOf<T>(source: MessageSource<T>, queueId: number, bytes: Uint8Array): ReceivedMessage<T>[] {
  const record = RecordBatch.view(bytes)
  const next = { epoch: record.epoch, offset: record.lastOffset + 1 }
  const frame = { subscriptionId: 0, queueId, leaseId: 0, attempt: 0, leaseMs: 0, next, record: bytes }
  const delivery = new Delivery(frame, record, 0)
  return Array.from({ length: record.messageCount }, (_, index) => new ReceivedMessage(source, delivery, index))
}
