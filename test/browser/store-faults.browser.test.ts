// The IndexedDB stores on bad days, in real browsers: an engine that another has replaced, connections that are cut,
// databases that are deleted, damaged, emptied, blocked or full.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { PocketError } from '../../core/errors.ts'
import type { CommitOptions, CommitOutcome, ReadOutcome, Store, StoreEntry } from '../../core/ports/store.ts'
import type { DeviceStores } from '../../web-client/store/device-stores.ts'
import { type OpenDeviceStoresOptions, openDeviceStores } from '../../web-client/store/idb-open.ts'
import { createBrowserClock } from '../../web-client/system.ts'
import {
  type Changes, changedFactory, createKeptLog, deleteDatabase, deleteDatabases, type KeptLog, withMembers,
} from './store-faults.ts'

const clock = createBrowserClock()

let name: string
let log: KeptLog
let lost: ReturnType<typeof vi.fn<(error: PocketError) => void>>
let opened: DeviceStores[]

beforeEach(() => {
  name = `faults-${Math.random()}`
  log = createKeptLog()
  lost = vi.fn()
  opened = []
})

afterEach(async () => {
  await Promise.all(opened.map((stores) => stores.close()))
  await deleteDatabases(name)
})

async function open(options: Partial<OpenDeviceStoresOptions> = {}): Promise<DeviceStores> {
  const stores = await openDeviceStores({ name, clock, log, lost, ...options })
  opened.push(stores)
  return stores
}

const openChanged = (changes: Changes): Promise<DeviceStores> => open({ indexedDB: changedFactory(indexedDB, changes) })

const commit = (store: Store, byte: number, options?: CommitOptions): Promise<CommitOutcome> =>
  new Promise((resolve) => store.commit([{ key: Uint8Array.of(byte), value: Uint8Array.of(byte) }], resolve, options))

async function keys(store: Store): Promise<number[]> {
  const outcome = await new Promise<ReadOutcome>((resolve) =>
    store.read({ from: Uint8Array.of(0), to: Uint8Array.of(255) }, resolve))
  if (outcome.kind === 'failed') throw outcome.cause
  return outcome.entries.map(({ key }: StoreEntry) => key[0] as number)
}

/** Keeps the object store to itself with a transaction that goes on until it is released, as a frozen tab's would. */
async function hold(storeName: string): Promise<() => void> {
  const db = await new Promise<IDBDatabase>((resolve) => {
    const request = indexedDB.open(`pocketmq:${name}`)
    request.addEventListener('success', () => resolve(request.result))
  })
  const store = db.transaction(storeName, 'readwrite').objectStore(storeName)
  let isHeld = true
  await new Promise<void>((held) => {
    const next = (): void => {
      store.get(0).addEventListener('success', () => {
        held()
        if (isHeld) next()
      })
    }
    next()
  })
  return () => {
    isHeld = false
    db.close()
  }
}

/** Notes the size of the buffer that is cloned. */
function changedWrite(store: IDBObjectStore, method: 'add' | 'put', bufferBytes: number[]) {
  return {
    [method]: (value: Uint8Array, key: IDBValidKey) => {
      bufferBytes.push(value.buffer.byteLength)
      return store[method](value, key)
    },
  }
}

const durable = { kind: 'durable' }
const withCode = (code: string) => expect.objectContaining({ code }) as PocketError

describe('one engine at a time', () => {
  test('an engine that another has replaced writes nothing more, and is told', async () => {
    const [old, other] = [await open(), await open()]
    expect(other.epoch).toBeGreaterThan(old.epoch)
    for (const store of [old.device, old.outbox, old.replica]) {
      expect(await commit(store, 1)).toEqual({ kind: 'not-written', reason: 'error', cause: withCode('ENGINE_REPLACED') })
    }
    await vi.waitFor(() => expect(lost.mock.calls).toEqual([[withCode('ENGINE_REPLACED')]]))
    expect(await commit(other.outbox, 2)).toEqual(durable)
    for (const store of [other.device, other.outbox, other.replica]) expect(await keys(store)).not.toContain(1)
  })

  test('an engine that was replaced long ago writes nothing, whatever those after it have written and cleared away', async () => {
    const old = await open()
    expect(await commit(old.outbox, 1)).toEqual(durable)
    for (let life = 0; life < 3; life++) {
      const next = await open()
      // More than a journal keeps: everything is put in its place on the way.
      for (let at = 0; at < 300; at++) expect(await commit(next.outbox, 2 + at % 100)).toEqual(durable)
      await next.close()
    }
    expect(await commit(old.outbox, 200)).toMatchObject({ kind: 'not-written', cause: { code: 'ENGINE_REPLACED' } })
    expect(await commit(old.device, 200)).toMatchObject({ kind: 'not-written', cause: { code: 'ENGINE_REPLACED' } })
    expect(await keys((await open()).outbox)).toEqual(Array.from({ length: 101 }, (_, at) => at + 1))
  })

  test('a connection that was cut is not opened again once another engine has the database', async () => {
    const real: IDBDatabase[] = []
    const old = await openChanged({ opened: (db) => real.push(db) })
    await open()
    for (const db of real) db.close()
    await expect(keys(old.device)).rejects.toEqual(withCode('ENGINE_REPLACED'))
    expect(await commit(old.device, 1)).toMatchObject({ kind: 'not-written', cause: { code: 'ENGINE_REPLACED' } })
    await vi.waitFor(() => expect(lost).toHaveBeenCalledOnce())
  })

  test('the three stores share no key, and commit beside each other', async () => {
    const stores = await open()
    const outcomes = await Promise.all([commit(stores.device, 1), commit(stores.outbox, 2), commit(stores.replica, 3)])
    expect(outcomes).toEqual([durable, durable, durable])
    expect([await keys(stores.device), await keys(stores.outbox), await keys(stores.replica)]).toEqual([[1], [2], [3]])
  })

  test('deleting the database ends the stores at once, so that the deletion goes on; they can be opened anew', async () => {
    const stores = await open()
    expect(await commit(stores.device, 1)).toEqual(durable)
    await deleteDatabase(`pocketmq:${name}`)
    await vi.waitFor(() => expect(lost.mock.calls).toEqual([[withCode('STORE_FAILED')]]))
    expect(await commit(stores.device, 2)).toMatchObject({ kind: 'not-written', reason: 'error' })
    await expect(keys(stores.device)).rejects.toEqual(withCode('STORE_FAILED'))
    const anew = await open()
    expect(anew.losses).toMatchObject([{ reason: 'emptied' }])
    expect(await commit(anew.device, 3)).toEqual(durable)
  })

  test('a newer build that upgrades the database replaces the engine', async () => {
    const stores = await open()
    const upgraded = new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open(`pocketmq:${name}`, 2)
      request.addEventListener('success', () => resolve(request.result))
    })
    await vi.waitFor(() => expect(lost.mock.calls).toEqual([[withCode('ENGINE_REPLACED')]]))
    expect(await commit(stores.device, 1)).toMatchObject({ kind: 'not-written', cause: { code: 'ENGINE_REPLACED' } })
    const db = await upgraded
    db.close()
    // What the newer build made is not for this one, and it must not begin another beside it.
    expect(await open()).toMatchObject({ kind: 'memory', losses: [] })
  })
})

describe('a connection that is cut', () => {
  test('is opened again, and commits and reads go on as if nothing had been', async () => {
    const real: IDBDatabase[] = []
    const stores = await openChanged({ opened: (db) => real.push(db) })
    for (let round = 1; round <= 3; round++) {
      for (const db of real) db.close()
      expect(await commit(stores.outbox, round)).toEqual(durable)
      for (const db of real) db.close()
      expect(await keys(stores.outbox)).toHaveLength(round)
    }
    expect(log.of('storage-reopened').length).toBeGreaterThanOrEqual(6)
    expect(lost).not.toHaveBeenCalled()
  })

  test('before a commit is written is opened again, and the commit written once more', async () => {
    let abortCount = 0
    const stores = await openChanged({
      transaction: (transaction, mode, names) => {
        if (mode === 'readwrite' && names === 'outbox' && abortCount++ === 0) transaction.abort()
        return transaction
      },
    })
    expect(await commit(stores.outbox, 1)).toEqual(durable)
    expect(abortCount).toBe(2)
    expect(await keys(stores.outbox)).toEqual([1])
  })

  test('again and again without use ends the stores, and the commit is not written', async () => {
    let isBroken = false
    const stores = await openChanged({
      transaction: (transaction, mode, names) => {
        if (!isBroken || mode !== 'readwrite' || names !== 'outbox') return transaction
        transaction.abort()
        throw new DOMException('The database connection is closing.', 'InvalidStateError')
      },
    })
    expect(await commit(stores.outbox, 1)).toEqual(durable)
    isBroken = true
    expect(await commit(stores.outbox, 2)).toMatchObject({ kind: 'not-written', cause: { name: 'InvalidStateError' } })
    expect(await commit(stores.outbox, 3)).toMatchObject({ kind: 'not-written', reason: 'error' })
    await vi.waitFor(() => expect(lost.mock.calls).toEqual([[withCode('STORE_FAILED')]]))
  })

  test('while a commit is committed leaves its outcome unknown, and ends the stores', async () => {
    const stores = await openChanged({
      transaction: (transaction, mode, names) =>
        mode === 'readwrite' && names === 'outbox'
          ? withMembers(transaction, { commit: () => transaction.abort() })
          : transaction,
    })
    expect(await commit(stores.outbox, 1)).toMatchObject({ kind: 'unknown' })
    await vi.waitFor(() => expect(lost.mock.calls).toEqual([[withCode('STORE_FAILED')]]))
    expect(await commit(stores.outbox, 2)).toMatchObject({ kind: 'not-written', reason: 'error' })
    expect(await commit(stores.device, 2)).toMatchObject({ kind: 'not-written', reason: 'error' })
  })
})

describe('no room', () => {
  test('a commit that is refused for it is not written, the next may be', async () => {
    let isFull = true
    const error = new DOMException('no more', 'QuotaExceededError')
    const stores = await openChanged({
      transaction: (transaction, mode, names) =>
        isFull && mode === 'readwrite' && names === 'outbox'
          ? withMembers(transaction, { commit: () => transaction.abort(), error })
          : transaction,
    })
    expect(await commit(stores.outbox, 1)).toEqual({ kind: 'not-written', reason: 'full', cause: withCode('STORE_FULL') })
    expect(stores.outbox.space().freeBytes).toBe(0)
    isFull = false
    expect(await commit(stores.outbox, 2)).toEqual(durable)
    // What could be written may have used what was kept back for it.
    await expect.poll(() => stores.outbox.space().freeBytes, { timeout: 15_000 }).toBeGreaterThan(0)
    expect(await keys(stores.outbox)).toEqual([2])
    expect(lost).not.toHaveBeenCalled()
  })
})

describe('opening', () => {
  test('finds what was kept, under a higher epoch, and misses nothing', async () => {
    const first = await open()
    expect(first).toMatchObject({ kind: 'indexeddb', error: undefined, losses: [] })
    await commit(first.replica, 1)
    await first.close()
    const second = await open()
    expect(second).toMatchObject({ kind: 'indexeddb', error: undefined, losses: [] })
    expect(second.epoch).toBeGreaterThan(first.epoch)
    expect(await keys(second.replica)).toEqual([1])
    expect(log.of('storage-lost')).toEqual([])
  })

  test('says loudly that a database was emptied, once, and its epoch still rises', async () => {
    const first = await open()
    await commit(first.outbox, 1)
    await first.close()
    await deleteDatabase(`pocketmq:${name}`)
    const second = await open()
    expect(second.losses).toEqual([{ reason: 'emptied', database: `pocketmq:${name}` }])
    expect(log.of('storage-lost')).toHaveLength(1)
    expect(second.epoch).toBeGreaterThan(first.epoch)
    expect(await keys(second.outbox)).toEqual([])
    await second.close()
    expect((await open()).losses).toEqual([])
  })

  test('tries again where it fails, and loses nothing by it', async () => {
    const first = await open()
    await commit(first.outbox, 1)
    await first.close()
    let failCount = 0
    const second = await openChanged({
      failOpen: () => failCount++ < 2 ? new DOMException('busy', 'UnknownError') : null,
    })
    expect(second).toMatchObject({ kind: 'indexeddb', losses: [] })
    expect(await keys(second.outbox)).toEqual([1])
  })

  test('begins another database where one does not open any more, and goes on with it later', async () => {
    const first = await open()
    await first.close()
    let tryCount = 0
    const damaged = (database: string): DOMException | null => {
      if (database !== `pocketmq:${name}`) return null
      tryCount++
      return new DOMException('Internal error opening backing store for indexedDB.open.', 'UnknownError')
    }
    const second = await openChanged({ failOpen: damaged })
    expect(tryCount).toBe(4)
    expect(second).toMatchObject({ kind: 'indexeddb', error: undefined })
    expect(second.losses).toMatchObject([{ reason: 'damaged', database: `pocketmq:${name}` }])
    expect(log.of('storage-lost')).toHaveLength(1)
    expect(second.epoch).toBeGreaterThan(first.epoch)
    expect(await commit(second.outbox, 7)).toEqual(durable)
    await second.close()
    const third = await openChanged({ failOpen: damaged })
    expect(third.losses).toEqual([])
    expect(await keys(third.outbox)).toEqual([7])
  })

  test.each([
    ['everything fails', () => new DOMException('broken', 'UnknownError')],
    ['storage is forbidden', () => new DOMException('not here', 'SecurityError')],
  ])('goes on in memory where %s, and says so', async (_, failOpen) => {
    const stores = await openChanged({ failOpen })
    expect(stores).toMatchObject({ kind: 'memory', error: { code: 'STORE_FAILED' } })
    expect(log.of('storage-in-memory')).toHaveLength(1)
    expect(await commit(stores.outbox, 1)).toEqual(durable)
    expect(await keys(stores.outbox)).toEqual([1])
  })

  test('leaves a database alone for which there is no room now', async () => {
    const first = await open()
    await commit(first.outbox, 1)
    await first.close()
    // Nor does it go on in memory, which would hide what is there.
    const second = openChanged({ failOpen: () => new DOMException('full', 'QuotaExceededError') })
    await expect(second).rejects.toMatchObject({ code: 'STORE_FULL' })
    const third = await open()
    expect(third).toMatchObject({ kind: 'indexeddb', losses: [] })
    expect(await keys(third.outbox)).toEqual([1])
  })

  test('does not wait for ever for an IndexedDB that does not answer', async () => {
    const silent = withMembers(indexedDB, { open: () => new EventTarget() })
    const stores = await open({ indexedDB: silent, timeoutMs: 30 })
    expect(stores).toMatchObject({ kind: 'memory', error: { code: 'STORE_FAILED' } })
  })

  test('that is given up, as another holds the database, does not shut out later who has it', async () => {
    const first = await open()
    const release = await hold('replica')
    expect((await open({ timeoutMs: 200 })).kind).toBe('memory')
    release()
    expect(await commit(first.replica, 1)).toEqual(durable)
    expect(await keys(first.replica)).toEqual([1])
    expect((await open()).losses).toEqual([])
  })

  test('keeps nothing where it must not', async () => {
    const stores = await open({ memoryOnly: new PocketError('STORE_FAILED', 'no locks here') })
    expect(stores).toMatchObject({ kind: 'memory', error: { message: 'no locks here' } })
    expect((await indexedDB.databases()).filter((database) => database.name?.includes(name))).toEqual([])
  })
})

describe('transactions', () => {
  test('that are held up by another for too long leave their outcome unknown', async () => {
    const stores = await open({ timeoutMs: 200 })
    const release = await hold('outbox')
    expect(await commit(stores.outbox, 1)).toMatchObject({ kind: 'unknown', cause: { code: 'TIMEOUT' } })
    await vi.waitFor(() => expect(lost.mock.calls).toEqual([[withCode('STORE_FAILED')]]))
    release()
  })

  test('are strict, and relaxed where that is asked for', async () => {
    const durabilities: string[] = []
    const stores = await openChanged({
      transaction: (transaction, mode, names) => {
        if (mode === 'readwrite' && names === 'device') durabilities.push(transaction.durability)
        return transaction
      },
    })
    expect(await commit(stores.device, 1)).toEqual(durable)
    expect(await commit(stores.device, 2, { isRelaxed: true })).toEqual(durable)
    expect(await commit(stores.device, 3, { isRelaxed: false })).toEqual(durable)
    expect(durabilities).toEqual(['strict', 'relaxed', 'strict'])
    expect(await keys(stores.device)).toEqual([1, 2, 3])
  })

  test('get a copy of a small view, and not the large buffer it is of', async () => {
    const bufferBytes: number[] = []
    const stores = await openChanged({
      objectStore: (store) => withMembers(store, {
        ...changedWrite(store, 'add', bufferBytes), ...changedWrite(store, 'put', bufferBytes),
      }),
    })
    const large = new Uint8Array(1_000_000)
    const value = large.subarray(500_000, 500_010)
    await new Promise((resolve) => stores.device.commit([{ key: Uint8Array.of(1), value }], resolve))
    expect(Math.max(...bufferBytes)).toBeLessThan(50)
    const placed = large.subarray(0, 5_000)
    await new Promise((resolve) => stores.device.commit([{ key: Uint8Array.of(2), value: placed }], resolve))
    expect(Math.max(...bufferBytes)).toBe(5_000)
  })

  test('of several reads survive an answer that throws', async () => {
    const reported = vi.fn()
    vi.stubGlobal('reportError', reported)
    try {
      const { device } = await open()
      await commit(device, 1)
      const bug = new Error('a bug of the caller')
      const range = { from: Uint8Array.of(0), to: Uint8Array.of(255) }
      device.read(range, () => {
        throw bug
      })
      expect(await keys(device)).toEqual([1])
      expect(reported.mock.calls).toEqual([[bug]])
    } finally {
      vi.unstubAllGlobals()
    }
  })
})
