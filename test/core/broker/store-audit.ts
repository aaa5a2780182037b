// Holds everything that a store says about messages against the records themselves: sizes, counts and ends of the queue
// states, and both indexes, entry by entry. What it gives is what is wrong, in words.

import { defaultLimits } from '../../../core/limits.ts'
import { MessageScanner } from '../../../core/record/message-codec.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { decodeQueueState } from '../../../core/storage/catalog.ts'
import { openDelayed } from '../../../core/storage/delayed.ts'
import { KeyReader, keyIndexKey, keyKinds } from '../../../core/storage/keys.ts'
import { idKeysOf } from '../../../core/storage/message-index.ts'
import { lastOffsetOf } from '../../../core/storage/queue-log.ts'
import type { BrokerWorld } from './broker-world.ts'

interface Sums {
  bytes: number
  messageCount: number
  end: number
}

/** All that does not fit together in the store of a world that is at rest, where no delayed message waits. */
export async function auditStore(world: BrokerWorld): Promise<string[]> {
  const wrong: string[] = []
  const sums = new Map<string, Sums>()
  const keyEntries = new Set<string>()
  const idEntries = new Set<string>()
  const scanner = new MessageScanner(defaultLimits, 'stored')
  for (const { key, value } of await world.entries(keyKinds.record)) {
    const reader = new KeyReader(key)
    const topicId = reader.u32()
    const queueId = reader.u16()
    const record = RecordBatch.open(value)
    if (record.lastOffset !== lastOffsetOf(key)) wrong.push(`record ${record.lastOffset} stands at ${lastOffsetOf(key)}`)
    const log = `${topicId}/${queueId}`
    const sum = sums.get(log) ?? { bytes: 0, messageCount: 0, end: 0 }
    if (record.baseOffset < sum.end) wrong.push(`records of ${log} overlap at ${record.baseOffset}`)
    sums.set(log, {
      bytes: sum.bytes + value.length,
      messageCount: sum.messageCount + record.messageCount,
      end: record.lastOffset + 1,
    })
    scanner.reset(record.bytes, record.messageStart(0), record.bytes.length)
    for (let index = 0; index < record.messageCount; index++) {
      scanner.next()
      for (const hash of scanner.keyHashes) {
        keyEntries.add(keyIndexKey(topicId, hash, record.storedMs, queueId, record.offsetAt(index)).join())
      }
    }
    for (let slice = 0; slice < record.sliceCount; slice++) {
      for (const idKey of idKeysOf(topicId, queueId, record, record.sliceAt(slice))) idEntries.add(idKey.join())
    }
  }
  for (const { key, value } of await world.entries(keyKinds.queueState)) {
    const reader = new KeyReader(key)
    const log = `${reader.u32()}/${reader.u16()}`
    const { storedBytes, minOffset, maxOffset, removedCount, recordsEnd } = decodeQueueState(value)
    const { bytes, messageCount, end } = sums.get(log) ?? { bytes: 0, messageCount: 0, end: 0 }
    if (storedBytes !== bytes) wrong.push(`${log} says ${storedBytes} bytes and has ${bytes}`)
    if (maxOffset - minOffset - removedCount !== messageCount) {
      wrong.push(`${log} says ${minOffset} to ${maxOffset} less ${removedCount} and has ${messageCount} messages`)
    }
    if (end > 0 && recordsEnd !== end) wrong.push(`${log} says that records end at ${recordsEnd}, not ${end}`)
  }
  wrong.push(...differences('key index', keyEntries, await world.entries(keyKinds.keyIndex)))
  for (const { key, value } of await world.entries(keyKinds.delayed)) idEntries.add(openDelayed(key, value).dueTimeKey.join())
  const ids = await Promise.all([keyKinds.idIndex, keyKinds.lateIndex, keyKinds.dueTime].map((kind) => world.entries(kind)))
  wrong.push(...differences('id index', idEntries, ids.flat()))
  return wrong
}

function differences(what: string, expected: ReadonlySet<string>, entries: readonly { readonly key: Uint8Array }[]): string[] {
  const found = new Set(entries.map(({ key }) => key.join()))
  return [
    ...[...expected].filter((key) => !found.has(key)).map((key) => `${what} misses ${key}`),
    ...[...found].filter((key) => !expected.has(key)).map((key) => `${what} has ${key}, which leads nowhere`),
  ]
}
