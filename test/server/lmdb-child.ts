// A process of its own for lmdb-store.test.ts, which kills it, stops it or spoils its system calls.
//   hold FOLDER            opens the store, says `open`, and stays
//   write FOLDER BYTES [COUNT]  commits one numbered record after the other and says each outcome when it is answered
// Says one LmdbChildLine after the other on standard output, each written before anything else happens.

import { writeSync } from 'node:fs'
import process from 'node:process'
import type { CommitOutcome, Store, StoreWrite } from '../../core/ports/store.ts'
import { openLmdbStore } from '../../server/lmdb-store.ts'

export type LmdbChildLine =
  | 'open'
  | 'end'
  | { readonly refused: string }
  | { readonly record: number; readonly outcome: CommitOutcome['kind']; readonly reason?: string }

/** Record `number` of the child: a large value, and in the same commit a counter and a small value. */
export function recordWrites(number: number, valueBytes: number): StoreWrite[] {
  return [
    { key: recordKey(1, number), value: recordValue(number, valueBytes) },
    { key: Uint8Array.of(2), value: recordKey(0, number) },
    { key: recordKey(3, number), value: Uint8Array.of(number & 0xff) },
  ]
}

export function recordKey(kind: number, number: number): Uint8Array {
  const key = new Uint8Array(5)
  key[0] = kind
  new DataView(key.buffer).setUint32(1, number)
  return key
}

export function recordValue(number: number, valueBytes: number): Uint8Array {
  return new Uint8Array(valueBytes).fill(number * 7)
}

const [, , command, folder, valueBytes, count] = process.argv
if (folder !== undefined && (command === 'hold' || command === 'write')) {
  try {
    const store = openLmdbStore({ path: folder })
    say('open')
    if (command === 'write') writeRecords(store, Number(valueBytes), count === undefined ? Infinity : Number(count))
    // Stays until it is killed.
    else setInterval(() => {}, 60_000)
  } catch (error) {
    say({ refused: String(error) })
  }
}

function writeRecords(store: Store, valueBytes: number, count: number, number = 0): void {
  store.commit(recordWrites(number, valueBytes), (outcome) => {
    say({ record: number, outcome: outcome.kind, ...('reason' in outcome && { reason: outcome.reason }) })
    if (outcome.kind === 'durable' && number + 1 < count) return writeRecords(store, valueBytes, count, number + 1)
    void store.close().then(() => say('end'))
  })
}

function say(line: LmdbChildLine): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}
