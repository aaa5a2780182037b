// The journal of an IndexedDB store in real browsers: whatever was committed, in whatever mixture of small and large
// values, reads find it as a plain map would, and so does the next engine, wherever the journal stood when the last ended.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '../../core/ports/log.ts'
import type { CommitOutcome, ReadOutcome, Store, StoreEntry, StoreRange, StoreWrite } from '../../core/ports/store.ts'
import { OrderedMap } from '../../core/storage/ordered-map.ts'
import type { DeviceStores } from '../../web-client/store/device-stores.ts'
import { openDeviceStores } from '../../web-client/store/idb-open.ts'
import { createBrowserClock } from '../../web-client/system.ts'
import { deleteDatabases, withoutGetAllRecords } from './store-faults.ts'

const clock = createBrowserClock()

let name: string
let stores: DeviceStores

beforeEach(() => {
  name = `journal-${Math.random()}`
})

afterEach(async () => {
  await stores.close()
  await deleteDatabases(name)
})

/** A generator of numbers below `bound` that a seed decides. */
function dice(seed: number): (bound: number) => number {
  let state = seed >>> 0
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * bound)
  }
}

const commit = (store: Store, writes: readonly StoreWrite[]): Promise<CommitOutcome> =>
  new Promise((resolve) => store.commit(writes, resolve))

async function read(store: Store, range: StoreRange): Promise<readonly StoreEntry[]> {
  const outcome = await new Promise<ReadOutcome>((resolve) => store.read(range, resolve))
  if (outcome.kind === 'failed') throw outcome.cause
  return outcome.entries
}

const plain = (entries: readonly StoreEntry[]) => entries.map(({ key, value }) => `${key}: ${value.length} ${value[0]}`)

describe.each([
  ['as it is', () => globalThis.indexedDB],
  ['without getAllRecords', () => withoutGetAllRecords(globalThis.indexedDB)],
])('IndexedDB %s', (_, factory) => {
  test.each([1, 2, 3])('reads as a map does, over many commits and engines (seed %i)', async (seed) => {
    const roll = dice(seed)
    const open = () => openDeviceStores({ name, clock, log: silentLog, indexedDB: factory(), lost: () => {} })
    const model = new OrderedMap()
    const keyOf = () => Uint8Array.of(1 + roll(3), roll(40))
    const sizes = [0, 1, 20, 4_096, 4_097, 9_000]
    stores = await open()
    for (let life = 0; life < 4; life++) {
      for (let at = 0; at < 150; at++) {
        const count = roll(12) === 0 ? 100 : 1 + roll(5)
        const writes = Array.from({ length: count }, (): StoreWrite => {
          const value = roll(4) === 0 ? null : new Uint8Array(sizes[roll(sizes.length)] as number).fill(roll(256))
          return { key: keyOf(), value }
        })
        const committed = commit(stores.device, writes)
        // Asked before the commit has ended, it sees the map before or after, and nothing in between.
        const before = plain(model.range({ from: Uint8Array.of(1), to: Uint8Array.of(9) }))
        const during = roll(4) === 0 ? read(stores.device, { from: Uint8Array.of(1), to: Uint8Array.of(9) }) : undefined
        expect(await committed).toEqual({ kind: 'durable' })
        for (const { key, value } of writes) {
          if (value === null) model.delete(key)
          else model.set(key, value)
        }
        if (during !== undefined) {
          const after = plain(model.range({ from: Uint8Array.of(1), to: Uint8Array.of(9) }))
          expect([before, after]).toContainEqual(plain(await during))
        }
        const [from, to] = [keyOf(), keyOf()]
        const bounds = [{}, { countMax: 1 }, { countMax: 7 }, { bytesMax: 5_000 }][roll(4)]
        const range = { from, to, reverse: roll(2) === 0, ...bounds }
        expect(plain(await read(stores.device, range))).toEqual(plain(model.range(range)))
        // A moment in which the store may tidy up.
        if (roll(40) === 0) await new Promise((resolve) => setTimeout(resolve, 10))
      }
      await stores.close()
      stores = await open()
    }
    const all = { from: Uint8Array.of(0), to: Uint8Array.of(255) }
    expect(plain(await read(stores.device, all))).toEqual(plain(model.range(all)))
  })
})
