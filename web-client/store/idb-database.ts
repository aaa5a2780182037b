// One IndexedDB database as PocketMQ lays it out, and how it is opened: object stores without key paths, keys are bytes.
// `meta` says which database this is and which engine may write to it. Whoever opens it raises the epoch, and puts a fence
// into the journal of every object store (journal.ts), so that each commit finds out without asking for more.

import { type IDBPTransaction, wrap } from 'idb'
import { PocketError } from '../../core/errors.ts'
import type { Clock } from '../../core/ports/clock.ts'
import { firstNumberOf, type JournalEntry, numberAfter } from './journal.ts'

export const storeNames = ['device', 'outbox', 'replica'] as const
export type StoreName = (typeof storeNames)[number]

const metaName = 'meta'
const allNames = [...storeNames, metaName]

/**
 * Under this key each object store has the number of its journal's first entry; the entries stand under their numbers.
 * Numbers sort before all bytes, so no range of bytes has them.
 */
export const journalStartKey = 0

/** Layout of a database; another one gets another name and is filled by copying, so that no deploy waits for another. */
const layoutVersion = 1

/** What `meta` has under the key `marker`, written when the database is made. */
interface Marker {
  readonly generation: string
  readonly layout: number
}

export interface DatabaseOptions {
  readonly factory: IDBFactory
  readonly database: string
  readonly clock: Pick<Clock, 'setTimer'>
  readonly timeoutMs: number
}

/** A database that was opened and is fenced by `epoch`. */
export interface FencedDatabase {
  readonly db: IDBDatabase
  readonly epoch: number
  /** Names this database among all that ever had its name. */
  readonly generation: string
  /** It did not exist before. */
  readonly isNew: boolean
}

/** And what the engines before have left in the journals, ascending; fences are among it. */
export interface OpenedDatabase extends FencedDatabase {
  readonly journals: Readonly<Record<StoreName, readonly JournalEntry[]>>
}

/** Its data is out of reach now and not lost: a try later, or another build, may open it. */
export function isOutOfReach(error: unknown): boolean {
  if (error instanceof PocketError) return error.code === 'TIMEOUT'
  return ['QuotaExceededError', 'SecurityError', 'VersionError', 'InvalidStateError', 'TypeError'].includes(nameOf(error))
}

export function nameOf(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.name : ''
}

/**
 * Opens the database, makes it where it is missing, and shuts out every engine before. Throws what IndexedDB says. `early`:
 * it is being opened already; an AbortError there says that it is missing.
 */
export async function openFenced(
  options: DatabaseOptions, epochMin: number, newGeneration: () => string, early?: Promise<IDBDatabase>,
): Promise<OpenedDatabase> {
  let isNew = false
  const existing = await early?.catch((error: unknown) => {
    if (nameOf(error) !== 'AbortError') throw error
  })
  const db = existing ?? await openDatabase(options, (db, transaction) => {
    isNew = true
    for (const name of allNames) db.createObjectStore(name)
    const marker: Marker = { generation: newGeneration(), layout: layoutVersion }
    transaction.objectStore(metaName).put(marker, 'marker')
  })
  try {
    const transaction = wrap(db).transaction(allNames, 'readwrite', { durability: 'strict' })
    try {
      return { db, isNew, ...await withTimeout(options, raiseEpoch(transaction, epochMin)) }
    } catch (error) {
      abort(transaction)
      throw error
    }
  } catch (error) {
    db.close()
    throw error
  }
}

async function raiseEpoch(
  transaction: IDBPTransaction<unknown, string[], 'readwrite'>, epochMin: number,
): Promise<Pick<OpenedDatabase, 'epoch' | 'generation' | 'journals'>> {
  const meta = transaction.objectStore(metaName)
  const written = transaction.done
  // Told through `done`; without this a failure before it is awaited counts as unhandled.
  written.catch(() => {})
  const [marker, known, starts] = await Promise.all([
    meta.get('marker'), meta.get('epoch'),
    Promise.all(storeNames.map((name) => transaction.objectStore(name).get(journalStartKey))),
  ])
  if (!isMarker(marker)) throw new PocketError('STORE_FAILED', `the database ${transaction.db.name} is not one of PocketMQ`)
  const epochBefore = typeof known === 'number' ? known : 0
  const epoch = Math.max(epochBefore, epochMin) + 1
  void meta.put(epoch, 'epoch').catch(() => {})
  const [device, outbox, replica] = await Promise.all(storeNames.map(async (name, at) => {
    const store = transaction.objectStore(name)
    const start = typeof starts[at] === 'number' ? starts[at] : 0
    // Key 0 is no entry.
    const range = IDBKeyRange.bound(Math.max(start, 1), Infinity)
    const [numbers, values] = epochBefore === 0 ? [[], []] : await Promise.all([store.getAllKeys(range), store.getAll(range)])
    const entries = numbers.map((number, at): JournalEntry => ({ number: number as number, value: values[at] as unknown }))
    if (epochBefore > 0) {
      // What the engine before would add next: it finds this there, whenever that may be.
      const fence = numberAfter(epochBefore, start, entries.map(({ number }) => number))
      void store.put(epoch, fence).catch(() => {})
    }
    const isEmpty = !entries.some(({ value }) => value instanceof Uint8Array)
    if (isEmpty) void store.put(firstNumberOf(epoch), journalStartKey).catch(() => {})
    return entries
  })) as [JournalEntry[], JournalEntry[], JournalEntry[]]
  transaction.commit()
  await written
  return { epoch, generation: marker.generation, journals: { device, outbox, replica } }
}

/** An opening that was given up must not shut out another engine later. */
function abort(transaction: IDBPTransaction<unknown, string[], 'readwrite'>): void {
  try {
    transaction.abort()
  } catch {
    // It has ended by itself.
  }
}

/** Opens a database again that this engine has fenced. Throws ENGINE_REPLACED or STORE_FAILED where it isn't its own. */
export async function reopenFenced(options: DatabaseOptions, fenced: Omit<FencedDatabase, 'db' | 'isNew'>): Promise<IDBDatabase> {
  const db = await openDatabase(options, (_, transaction) => transaction.abort())
  try {
    const transaction = wrap(db).transaction(metaName)
    const values = Promise.all([transaction.store.get('marker'), transaction.store.get('epoch'), transaction.done])
    const [marker, epoch] = await withTimeout(options, values)
    if (!isMarker(marker) || marker.generation !== fenced.generation) {
      throw new PocketError('STORE_FAILED', `the database ${db.name} was deleted and made anew`)
    }
    if (epoch !== fenced.epoch) throw replacedError()
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

export function replacedError(): PocketError {
  return new PocketError('ENGINE_REPLACED', 'another engine has opened the database; this one must not write any more')
}

/** Opens a database of version 1; `create` fills it where it is new. Throws TIMEOUT, or what IndexedDB says. */
export function openDatabase(
  { factory, database, clock, timeoutMs }: DatabaseOptions,
  create: (db: IDBDatabase, transaction: IDBTransaction) => void,
): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = factory.open(database, 1)
    let isLate = false
    const cancel = clock.setTimer(timeoutMs, () => {
      isLate = true
      reject(new PocketError('TIMEOUT', `the database ${database} did not open within ${timeoutMs} ms`))
    })
    request.addEventListener('upgradeneeded', () => {
      if (request.transaction !== null) create(request.result, request.transaction)
    })
    request.addEventListener('success', () => {
      cancel()
      // An open connection would stand in the way of whoever wants to delete the database.
      if (isLate) request.result.close()
      else resolve(request.result)
    })
    request.addEventListener('error', () => {
      cancel()
      reject(request.error ?? new PocketError('STORE_FAILED', `the database ${database} did not open`))
    })
  })
}

/** Throws TIMEOUT where IndexedDB does not answer: another tab's transaction may hold it up for as long as it likes. */
export async function withTimeout<T>({ database, clock, timeoutMs }: DatabaseOptions, promise: Promise<T>): Promise<T> {
  let cancel: () => void = () => {}
  const timeout = new Promise<never>((_, reject) => {
    cancel = clock.setTimer(timeoutMs, () => {
      reject(new PocketError('TIMEOUT', `the database ${database} did not answer within ${timeoutMs} ms`))
    })
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    cancel()
  }
}

function isMarker(value: unknown): value is Marker {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Marker>).generation === 'string'
}
