// Every store there is, against the contract of core/ports/store.ts.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMemoryStore } from '../../core/storage/memory-store.ts'
import { openLmdbStore } from '../../server/lmdb-store.ts'
import { createSystemClock } from '../../server/system.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { createSimRandom } from '../sim/sim-random.ts'
import { createSimStore, type SimStoreFaults } from '../sim/sim-store.ts'
import { storeContract, type StoreHarness } from './store-contract.ts'

storeContract('memory, in the event loop', () => ({
  store: createMemoryStore({ clock: createSystemClock() }),
  turn: eventLoopTurn,
}))

storeContract('memory, in simulated time', () => {
  const clock = new SimClock()
  return {
    store: createMemoryStore({ clock }),
    turn: async () => {
      clock.step()
    },
  }
})

storeContract('simulated, without faults', () => simHarness({}))

storeContract('simulated, with latency and slow commits', () =>
  simHarness({ readLatencyMs: [0, 3], commitLatencyMs: [0, 9], slowCommitChance: 0.1 }))

storeContract('LMDB', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pocketmq-store.contract-'))
  return {
    store: openLmdbStore({ path: folder }),
    turn: eventLoopTurn,
    reopen: async () => openLmdbStore({ path: folder }),
    dispose: async () => rmSync(folder, { recursive: true }),
  }
})

function simHarness(faults: Partial<SimStoreFaults>): StoreHarness {
  const clock = new SimClock()
  let store = createSimStore({ clock, random: createSimRandom(1), faults })
  return {
    store,
    turn: async () => {
      clock.step()
    },
    reopen: async () => {
      store = store.reopen()
      return store
    },
  }
}

function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
