// The IndexedDB store against the contract of core/ports/store.ts, in real browsers, and the same for one without the
// reads that only newer browsers have.

import { silentLog } from '../../core/ports/log.ts'
import { openDeviceStores } from '../../web-client/store/idb-open.ts'
import { createBrowserClock } from '../../web-client/system.ts'
import { storeContract, type StoreHarness } from '../contract/store-contract.ts'
import { deleteDatabases, withoutGetAllRecords } from './store-faults.ts'

const clock = createBrowserClock()

// 100,000 keys take half a minute where each is a record of LevelDB; the contract is the same with fewer.
const options = { manyKeyCount: 20_000 }

storeContract('IndexedDB', () => harness(globalThis.indexedDB), options)

storeContract('IndexedDB, without getAllRecords', () => harness(withoutGetAllRecords(globalThis.indexedDB)), options)

async function harness(indexedDB: IDBFactory): Promise<StoreHarness> {
  const name = `contract-${Math.random()}`
  const open = () => openDeviceStores({ name, clock, log: silentLog, indexedDB, lost: () => {} })
  let stores = await open()
  return {
    store: stores.outbox,
    turn: () => new Promise((resolve) => clock.defer(resolve)),
    reopen: async () => {
      await stores.close()
      stores = await open()
      return stores.outbox
    },
    dispose: async () => {
      await stores.close()
      await deleteDatabases(name)
    },
  }
}
