// The limit of LMDB as a synced store: one record per batch of messages, one commit in flight, no broker, no network.

import { open } from 'lmdb'
import { join } from 'node:path'
import type { RootDatabase } from 'lmdb'

import { inOrder, scattered } from '../scenarios/delayed.ts'
import { limitBatchCount } from './disk.ts'
import { measureDelayed } from './lmdb-delayed.ts'
import { startStopwatch } from '../stopwatch.ts'
import type { BareLimit } from './system.ts'
import type { Figures } from '../figures.ts'
import type { Load } from '../job.ts'

export const lmdb: BareLimit = {
  kind: 'limit',
  name: 'lmdb',
  title: 'LMDB',
  durability: `synced (overlappingSync: false), ${limitBatchCount} messages a record and commit; delayed ones a record each`,
  scenarios: ['durable-queue', 'catch-up', 'open', 'delayed', 'delayed-scattered'],
  packages: ['lmdb'],
  fill,
  measures: {
    'durable-queue': measureCommits,
    'catch-up': measureRangeRead,
    open: measureOpen,
    delayed: (load) => measureDelayed(load, inOrder),
    'delayed-scattered': (load) => measureDelayed(load, scattered),
  },
}

async function measureCommits({ job, pace, body }: Load): Promise<Figures> {
  const store = openStore(job.folder)
  const batch = createBatch(body)
  let key = 0
  const commit = async (durationMs: number): Promise<number> => {
    const firstKey = key
    for (const endsAt = performance.now() + durationMs; performance.now() < endsAt; ) await store.put(key++, batch)
    return (key - firstKey) * limitBatchCount
  }
  await commit(pace.warmUpMs)
  const stopwatch = startStopwatch(undefined)
  const figures = stopwatch.stop(await commit(pace.measureMs))
  await store.close()
  return figures
}

async function fill({ job, pace, body }: Load): Promise<void> {
  const store = openStore(job.folder)
  const batch = createBatch(body)
  const batchCount = Math.ceil(pace.backlogCount / limitBatchCount)
  await store.transaction(() => {
    for (let key = 0; key < batchCount; key++) void store.put(key, batch)
  })
  await store.close()
}

async function measureRangeRead({ job, pace }: Load): Promise<Figures> {
  const store = openStore(job.folder)
  const stopwatch = startStopwatch(undefined)
  let messageCount = 0
  for (const { value } of store.getRange()) {
    // As a reader would take the record apart: a view of each message.
    for (let start = 0; start < value.length; start += job.bodyBytes) {
      messageCount += value.subarray(start, start + job.bodyBytes).length === job.bodyBytes ? 1 : 0
    }
  }
  const figures = stopwatch.stop(messageCount)
  if (messageCount < pace.backlogCount) throw new Error(`only ${messageCount} messages were there to read`)
  await store.close()
  return figures
}

async function measureOpen({ job }: Load): Promise<Figures> {
  const startedAt = performance.now()
  const store = openStore(job.folder)
  const [first] = store.getRange({ limit: 1 })
  if (first === undefined) throw new Error('the store is empty')
  const openMs = performance.now() - startedAt
  const rssMib = process.memoryUsage.rss() / 2 ** 20
  await store.close()
  return { openMs, rssMib }
}

function openStore(folder: string): RootDatabase<Buffer, number> {
  return open<Buffer, number>({ path: join(folder, 'lmdb'), overlappingSync: false, encoding: 'binary' })
}

function createBatch(body: Uint8Array): Buffer {
  return Buffer.concat(Array.from({ length: limitBatchCount }, () => body))
}
