// Opens what an engine keeps on this device. It opens whatever happens: a database that can't be opened is tried again,
// then another is begun beside it, and in the end memory serves; what was lost by it is logged and told.

import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Log } from '../../core/ports/log.ts'
import { createMemoryStore } from '../../core/storage/memory-store.ts'
import { errorToWire } from '../port/errors.ts'
import { createBallast } from './ballast.ts'
import type { DeviceStores, StorageLoss } from './device-stores.ts'
import { IdbConnection } from './idb-connection.ts'
import {
  type DatabaseOptions, isOutOfReach, nameOf, openDatabase, type OpenedDatabase, openFenced, type StoreName,
} from './idb-database.ts'
import { type Directory, type DirectoryEntry, openDirectory } from './idb-directory.ts'
import { createIdbStore } from './idb-store.ts'
import { StorageRoom } from './storage-room.ts'

/** Waits between the tries to open a database. */
const retryDelaysMs = [50, 200, 1000]

const timeoutMsDefault = 30_000

export interface OpenDeviceStoresOptions {
  /** Of the engine; its databases are `pocketmq:<name>` and beside it. */
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  /**
   * The stores can't go on; called once. ENGINE_REPLACED: another engine has opened them. STORE_FAILED: they were deleted,
   * the browser has cut them off for good, or the outcome of a commit is unknown; they may be opened again.
   */
  readonly lost: (error: PocketError) => void
  /** Why nothing may be kept; then all is in memory. */
  readonly memoryOnly?: PocketError | undefined
  /** The platform's `indexedDB`, or another's. */
  readonly indexedDB?: IDBFactory | undefined
  /** The platform's `navigator.storage`, or another's. */
  readonly storage?: Pick<StorageManager, 'estimate'> | undefined
  /** The platform's `caches`, or another's. */
  readonly caches?: CacheStorage | undefined
  /** How long IndexedDB may take to open a database, or to end a transaction: 30 s by default. */
  readonly timeoutMs?: number
}

/**
 * Opens, and shuts out every engine that had them open before. Throws STORE_FULL alone: to go on in memory would hide what
 * the device has kept.
 */
export async function openDeviceStores(options: OpenDeviceStoresOptions): Promise<DeviceStores> {
  const { name, log, memoryOnly } = options
  if (memoryOnly !== undefined) return openMemoryStores(options, memoryOnly)
  try {
    const factory = options.indexedDB ?? globalThis.indexedDB
    // In some private windows and old web views it is null.
    if (!factory) throw new PocketError('STORE_FAILED', 'this browser has no IndexedDB here')
    return await new Opening(options, factory).open()
  } catch (error) {
    if (nameOf(error) === 'QuotaExceededError') {
      throw new PocketError('STORE_FULL', 'the browser gives this origin no room to open what it has kept', { cause: error })
    }
    log.error('storage-in-memory', { name, error: String(error) })
    return openMemoryStores(options, new PocketError('STORE_FAILED', toPocketError(error).message, { cause: error }))
  }
}

/** Stores whose content ends with the engine. */
function openMemoryStores({ clock }: OpenDeviceStoresOptions, error: PocketError): DeviceStores {
  const [device, outbox, replica] = [createMemoryStore({ clock }), createMemoryStore({ clock }), createMemoryStore({ clock })]
  return {
    kind: 'memory',
    error: errorToWire(error),
    losses: [],
    device,
    outbox,
    replica,
    epoch: 1,
    close: async () => void await Promise.all([device.close(), outbox.close(), replica.close()]),
  }
}

class Opening {
  readonly #options: OpenDeviceStoresOptions
  readonly #factory: IDBFactory
  readonly #losses: StorageLoss[] = []
  readonly #room: StorageRoom

  constructor(options: OpenDeviceStoresOptions, factory: IDBFactory) {
    this.#options = options
    this.#factory = factory
    const { name, clock, storage = globalThis.navigator?.storage, caches = globalThis.caches } = options
    this.#room = new StorageRoom({ storage, clock, ballast: createBallast(name, caches) })
  }

  async open(): Promise<DeviceStores> {
    // All at once: a browser that has just started takes its time for the first of them.
    const room = this.#room.look()
    const early = this.#openEarly()
    const directory = await this.#openDirectory()
    let isKept = false
    try {
      const known = await this.#readDirectory(directory)
      // Before the first write: what a browser knows of the room it may believe for half a minute.
      await room
      await this.#room.begin(known === undefined)
      const opened = await this.#openDatabase(known, early)
      const isKnown = known?.database === opened.entry.database && known.generation === opened.entry.generation
      const written = this.#writeDirectory(directory, opened.entry)
      // Only the epoch is new, which the database has too: nobody has to wait for that.
      if (!isKnown) await written
      isKept = true
      return this.#stores(opened.fenced, opened.entry, written)
    } finally {
      if (!isKept) directory?.close()
    }
  }

  /** The database that it most likely is, if it exists. */
  #openEarly(): Promise<IDBDatabase> {
    const database = this.#database(defaultDatabaseOf(this.#options.name))
    const early = openDatabase(database, (_, transaction) => transaction.abort())
    early.catch(() => {})
    return early
  }

  async #writeDirectory(directory: Directory | undefined, entry: DirectoryEntry): Promise<void> {
    try {
      await directory?.write(entry)
    } catch (error) {
      this.#options.log.error('storage-directory-failed', { name: this.#options.name, error: String(error) })
    }
    directory?.close()
  }

  /** Undefined where it can't be had: what it would tell is then not known. */
  async #openDirectory(): Promise<Directory | undefined> {
    try {
      return await this.#retried(() => openDirectory(this.#database(`pocketmq:${this.#options.name}:directory`)))
    } catch (error) {
      this.#options.log.error('storage-directory-failed', { name: this.#options.name, error: String(error) })
      return undefined
    }
  }

  async #readDirectory(directory: Directory | undefined): Promise<DirectoryEntry | undefined> {
    try {
      return await directory?.read()
    } catch (error) {
      this.#options.log.error('storage-directory-failed', { name: this.#options.name, error: String(error) })
      return undefined
    }
  }

  async #openDatabase(
    known: DirectoryEntry | undefined, openedEarly: Promise<IDBDatabase>,
  ): Promise<{ fenced: OpenedDatabase; entry: DirectoryEntry }> {
    const usual = defaultDatabaseOf(this.#options.name)
    const database = known?.database ?? usual
    // For the first try.
    let early: Promise<IDBDatabase> | undefined = openedEarly
    if (database !== usual) {
      early.then((db) => db.close(), () => {})
      early = undefined
    }
    const open = () => {
      const opening = openFenced(this.#database(database), epochMin, newGeneration, early)
      early = undefined
      return opening
    }
    const epochMin = known?.epoch ?? 0
    const damaged = known?.damaged ?? []
    try {
      const fenced = await this.#retried(open)
      if (known !== undefined && known.generation !== fenced.generation) this.#lost({ reason: 'emptied', database })
      return { fenced, entry: entryOf(fenced, database, damaged) }
    } catch (error) {
      // A fresh one would hide what is there and can be opened later.
      if (isOutOfReach(error)) throw error
      this.#lost({ reason: 'damaged', database, error: errorToWire(error) })
      const fresh = `pocketmq:${this.#options.name}:${newGeneration()}`
      const fenced = await openFenced(this.#database(fresh), epochMin, newGeneration)
      return { fenced, entry: entryOf(fenced, fresh, [...damaged, database]) }
    }
  }

  #stores({ journals, ...fenced }: OpenedDatabase, { database }: DirectoryEntry, written: Promise<void>): DeviceStores {
    const { clock, log, lost } = this.#options
    const connection = new IdbConnection({ ...this.#database(database), clock, log, lost }, fenced)
    const open = (storeName: StoreName) =>
      createIdbStore({ connection, storeName, journal: journals[storeName], room: this.#room, clock, log })
    const [device, outbox, replica] = [open('device'), open('outbox'), open('replica')]
    log.info('storage-opened', { database, epoch: fenced.epoch, isNew: fenced.isNew })
    return {
      kind: 'indexeddb',
      error: undefined,
      losses: this.#losses,
      device,
      outbox,
      replica,
      generation: fenced.generation,
      epoch: fenced.epoch,
      close: async () => {
        await Promise.all([device.close(), outbox.close(), replica.close(), written])
        connection.close()
      },
    }
  }

  #database(database: string): DatabaseOptions {
    const { clock, timeoutMs = timeoutMsDefault } = this.#options
    return { factory: this.#factory, database, clock, timeoutMs }
  }

  #lost(loss: StorageLoss): void {
    this.#losses.push(loss)
    const { reason, database, error } = loss
    this.#options.log.error('storage-lost', { reason, database, error: error?.message })
  }

  async #retried<T>(open: () => Promise<T>): Promise<T> {
    for (const delayMs of retryDelaysMs) {
      try {
        return await open()
      } catch (error) {
        // Who waited that long once need not wait three times more; and what is forbidden stays so.
        if (error instanceof PocketError && error.code === 'TIMEOUT') throw error
        if (['SecurityError', 'VersionError', 'TypeError'].includes(nameOf(error))) throw error
        if (nameOf(error) === 'QuotaExceededError') await this.#room.isFull()
        this.#options.log.info('storage-retry', { name: this.#options.name, error: String(error) })
        await new Promise<void>((resolve) => this.#options.clock.setTimer(delayMs, resolve))
      }
    }
    return open()
  }
}

function defaultDatabaseOf(name: string): string {
  return `pocketmq:${name}`
}

function entryOf({ generation, epoch }: OpenedDatabase, database: string, damaged: readonly string[]): DirectoryEntry {
  return { database, generation, epoch, damaged }
}

/** Not `crypto.randomUUID`, which pages without TLS do not have. */
function newGeneration(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
