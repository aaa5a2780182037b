// The limit of LMDB as a store of delayed messages: one key per message in order of time, read by range when due, and
// moved into one record of the queue in a synced commit. No broker, no network.

import { setTimeout as delay } from 'node:timers/promises'
import { open } from 'lmdb'
import { join } from 'node:path'
import type { RootDatabase } from 'lmdb'

import { delayedFigures, dueAfterMs } from '../scenarios/delayed.ts'
import { limitBatchCount } from './disk.ts'
import { startStopwatch } from '../stopwatch.ts'
import type { Figures } from '../figures.ts'
import type { Load } from '../job.ts'

const delayedKind = 0
const queueKind = 1
/** Kind, milliseconds and index, each of 4 bytes. */
const keySize = 12
const leadMs = 500
/** Bounds what one commit moves. */
const movedCountMax = 4096

export async function measureDelayed({ job, pace, body }: Load, stride: number): Promise<Figures> {
  const path = join(job.folder, 'lmdb')
  const store = open<Buffer, Buffer>({ path, overlappingSync: false, encoding: 'binary', keyEncoding: 'binary' })
  const message = Buffer.from(body)
  const { backlogCount } = pace

  const scheduling = startStopwatch(undefined)
  for (let first = 0; first < backlogCount; first += limitBatchCount) {
    const end = Math.min(first + limitBatchCount, backlogCount)
    await store.batch(() => {
      for (let index = first; index < end; index++) {
        void store.put(keyOf(delayedKind, dueAfterMs(index, backlogCount, stride), index), message)
      }
    })
  }
  const scheduled = scheduling.stop(backlogCount)

  // What is due when counts from here, so that no time has to be guessed for the scheduling.
  const firstDueMs = Date.now() + leadMs
  await delay(leadMs)
  const firing = startStopwatch(undefined)
  const latenessMs: number[] = []
  while (latenessMs.length < backlogCount) {
    const keys = await moveDue(store, Date.now() - firstDueMs)
    const nowMs = Date.now()
    for (const key of keys) latenessMs.push(nowMs - firstDueMs - dueOf(key))
    if (keys.length === 0) await delay(1)
  }
  const fired = firing.stop(backlogCount)
  await store.close()
  return delayedFigures(scheduled, fired, latenessMs)
}

/** Moves what is due after so many milliseconds; returns its keys when it is synced. */
async function moveDue(store: RootDatabase<Buffer, Buffer>, afterMs: number): Promise<readonly Buffer[]> {
  const keys: Buffer[] = []
  const bodies: Buffer[] = []
  const [start, end] = [keyOf(delayedKind, 0, 0), keyOf(delayedKind, afterMs + 1, 0)]
  for (const { key, value } of store.getRange({ start, end, limit: movedCountMax })) {
    keys.push(key)
    bodies.push(value)
  }
  const [first] = keys
  if (first === undefined) return keys
  const queueKey = Buffer.from(first)
  queueKey.writeUInt32BE(queueKind, 0)
  await store.batch(() => {
    for (const key of keys) void store.remove(key)
    void store.put(queueKey, Buffer.concat(bodies))
  })
  return keys
}

function keyOf(kind: number, afterMs: number, index: number): Buffer {
  const key = Buffer.alloc(keySize)
  key.writeUInt32BE(kind, 0)
  key.writeUInt32BE(afterMs, 4)
  key.writeUInt32BE(index, 8)
  return key
}

function dueOf(key: Buffer): number {
  return key.readUInt32BE(4)
}
