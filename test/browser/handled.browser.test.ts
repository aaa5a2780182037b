// handleOnce against real IndexedDB: the id and the effect are committed together or not at all.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createHandledStore, handleOnce } from '../../web-client/handled-messages.ts'

let name: string
let database: IDBDatabase

beforeEach(async () => {
  name = `handled-${crypto.randomUUID()}`
  database = await open(name)
})

afterEach(async () => {
  database.close()
  await answered(indexedDB.deleteDatabase(name))
})

function open(name: string, version = 1, upgrade = createHandledStore): Promise<IDBDatabase> {
  const request = indexedDB.open(name, version)
  request.onupgradeneeded = () => {
    if (!request.result.objectStoreNames.contains('stock')) request.result.createObjectStore('stock')
    upgrade(request.result)
  }
  return answered(request)
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Reads the stock, awaits that, and writes it: work that two at once would spoil. */
async function takeOne(transaction: IDBTransaction): Promise<void> {
  const stock = transaction.objectStore('stock')
  const left = (await answered(stock.get('tea')) as number | undefined) ?? 10
  stock.put(left - 1, 'tea')
}

const stockLeft = (): Promise<unknown> => answered(database.transaction('stock').objectStore('stock').get('tea'))
const keptIds = (storeName = 'pocketmq-handled'): Promise<IDBValidKey[]> =>
  answered(database.transaction(storeName).objectStore(storeName).getAllKeys())

const message = { messageId: 'm-1' }

describe('handleOnce', () => {
  test('does the work for a message it has not seen, and keeps the id', async () => {
    expect(await handleOnce(database, ['stock'], message, takeOne)).toBe(true)
    expect(await stockLeft()).toBe(9)
    expect(await keptIds()).toEqual(['m-1'])
  })

  test('does nothing for a message it has seen, and everything for another', async () => {
    await handleOnce(database, ['stock'], message, takeOne)
    expect(await handleOnce(database, ['stock'], message, takeOne)).toBe(false)
    expect(await stockLeft()).toBe(9)
    expect(await handleOnce(database, ['stock'], { messageId: 'm-2' }, takeOne)).toBe(true)
    expect(await stockLeft()).toBe(8)
  })

  test('knows a message still when the database was closed and opened again', async () => {
    await handleOnce(database, ['stock'], message, takeOne)
    database.close()
    database = await open(name)
    expect(await handleOnce(database, ['stock'], message, takeOne)).toBe(false)
    expect(await stockLeft()).toBe(9)
  })

  test('does the work once for two tabs that have the message at the same time', async () => {
    // A second connection is to IndexedDB what a second tab is.
    const other = await open(name)
    const done = await Promise.all([database, other, database, other].map((one) => handleOnce(one, ['stock'], message, takeOne)))
    expect(done.filter((isFirst) => isFirst)).toHaveLength(1)
    expect(await stockLeft()).toBe(9)
    other.close()
  })

  test('rolls everything back when the work throws, so that it may be done again', async () => {
    const failure = new Error('no tea today')
    const fail = async (transaction: IDBTransaction): Promise<void> => {
      await takeOne(transaction)
      throw failure
    }
    await expect(handleOnce(database, ['stock'], message, fail)).rejects.toBe(failure)
    expect(await stockLeft()).toBe(undefined)
    expect(await keptIds()).toEqual([])
    expect(await handleOnce(database, ['stock'], message, takeOne)).toBe(true)
  })

  test('throws what a write of the work was refused for, and keeps nothing', async () => {
    const addTwice = (transaction: IDBTransaction): void => {
      transaction.objectStore('stock').add(1, 'tea')
      transaction.objectStore('stock').add(1, 'tea')
    }
    await expect(handleOnce(database, ['stock'], message, addTwice)).rejects.toMatchObject({ name: 'ConstraintError' })
    expect(await stockLeft()).toBe(undefined)
    expect(await keptIds()).toEqual([])
  })

  test('does not take a message for handled whose work awaited something else, and so outlived its transaction', async () => {
    const dawdle = (transaction: IDBTransaction): Promise<void> => new Promise((resolve) => {
      transaction.addEventListener('complete', () => setTimeout(resolve))
    })
    await expect(handleOnce(database, ['stock'], message, dawdle)).rejects.toThrow(/awaited more than its transaction/)
    expect(await keptIds()).toEqual([])
    expect(await handleOnce(database, ['stock'], message, takeOne)).toBe(true)
  })

  test('forgets ids that are older than it was told to keep, and no others', async () => {
    const clock = vi.spyOn(Date, 'now')
    clock.mockReturnValue(1_000_000)
    await handleOnce(database, [], { messageId: 'old' }, () => {})
    clock.mockReturnValue(1_005_000)
    await handleOnce(database, [], { messageId: 'young' }, () => {})
    clock.mockReturnValue(1_010_000)
    await handleOnce(database, [], message, () => {}, { keptMs: 10_000 })
    expect(await keptIds()).toEqual(['m-1', 'old', 'young'])
    clock.mockReturnValue(1_010_001)
    await handleOnce(database, [], { messageId: 'm-2' }, () => {}, { keptMs: 10_000 })
    expect(await keptIds()).toEqual(['m-1', 'm-2', 'young'])
  })

  test('forgets many old ids in several transactions, so that none is slow', async () => {
    const clock = vi.spyOn(Date, 'now').mockReturnValue(0)
    for (let at = 0; at < 100; at++) await handleOnce(database, [], { messageId: `old-${at}` }, () => {})
    clock.mockReturnValue(10 * 24 * 3_600_000)
    await handleOnce(database, [], { messageId: 'new-1' }, () => {})
    expect(await keptIds()).toHaveLength(100 + 1 - 64)
    await handleOnce(database, [], { messageId: 'new-2' }, () => {})
    expect(await keptIds()).toEqual(['new-1', 'new-2'])
  })

  test('says what to do where the store of ids is missing', async () => {
    database.close()
    await answered(indexedDB.deleteDatabase(name))
    database = await open(name, 1, () => {})
    await expect(handleOnce(database, ['stock'], message, takeOne))
      .rejects.toThrow(/no object store 'pocketmq-handled'.*createHandledStore/)
  })

  test('keeps ids in a store of another name, which an upgrade adds to a database that is there', async () => {
    database.close()
    database = await open(name, 2, (upgraded) => {
      createHandledStore(upgraded)
      createHandledStore(upgraded, 'seen')
    })
    expect(await handleOnce(database, ['stock'], message, takeOne, { storeName: 'seen' })).toBe(true)
    expect(await handleOnce(database, ['stock'], message, takeOne, { storeName: 'seen' })).toBe(false)
    expect([await keptIds('seen'), await keptIds()]).toEqual([['m-1'], []])
  })
})
