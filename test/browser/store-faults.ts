// IndexedDB as browsers have it on bad days: the real one, with a fault put before it. And small hands for the tests of
// the store: log lines kept, databases deleted.

import type { Log, LogFields } from '../../core/ports/log.ts'

/** `target` with some members replaced; everything else goes to the real object. */
export function withMembers<T extends object>(target: T, members: Readonly<Record<string, unknown>>): T {
  return new Proxy(target, {
    get(_, name) {
      if (typeof name === 'string' && Object.hasOwn(members, name)) return members[name]
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (_, name, value) => Reflect.set(target, name, value),
  })
}

/** Hands out databases whose object stores, transactions or opening are as `change` makes them. */
export interface Changes {
  /** Instead of opening: what to throw in the request, or null to open. */
  readonly failOpen?: (database: string) => DOMException | null
  readonly transaction?: (
    transaction: IDBTransaction, mode: IDBTransactionMode, names: string | Iterable<string>,
  ) => IDBTransaction
  readonly objectStore?: (store: IDBObjectStore) => IDBObjectStore
  /** Sees the real database each time that one is opened. */
  readonly opened?: (db: IDBDatabase) => void
}

export function changedFactory(factory: IDBFactory, changes: Changes): IDBFactory {
  return withMembers(factory, {
    open: (database: string, version: number) => {
      const failure = changes.failOpen?.(database) ?? null
      if (failure !== null) return failedRequest(failure)
      const request = factory.open(database, version)
      return withMembers(request, {
        get result() {
          return changedDatabase(request.result, changes)
        },
        addEventListener: (type: string, listener: (event: Event) => void) => {
          request.addEventListener(type, (event) => {
            if (type === 'success') changes.opened?.(request.result)
            listener(event)
          })
        },
      })
    },
  })
}

function changedDatabase(db: IDBDatabase, changes: Changes): IDBDatabase {
  return withMembers(db, {
    transaction: (names: string | string[], mode: IDBTransactionMode = 'readonly', options?: IDBTransactionOptions) => {
      const real = db.transaction(names, mode, options)
      const transaction = changes.transaction?.(real, mode, names) ?? real
      const changeStore = changes.objectStore
      // What opens a database wraps what it gets, which a stand-in does not survive.
      if (changeStore === undefined || Array.isArray(names)) return transaction
      return withMembers(transaction, { objectStore: (name: string) => changeStore(real.objectStore(name)) })
    },
  })
}

function failedRequest(error: DOMException): IDBOpenDBRequest {
  const request = new EventTarget()
  setTimeout(() => request.dispatchEvent(new Event('error')))
  return Object.assign(request, { error }) as unknown as IDBOpenDBRequest
}

/** As Safari has it, and Chromium before 141. */
export function withoutGetAllRecords(factory: IDBFactory): IDBFactory {
  return changedFactory(factory, { objectStore: (store) => withMembers(store, { getAllRecords: undefined }) })
}

export interface KeptLog extends Log {
  readonly lines: readonly { readonly level: string; readonly event: string; readonly fields: LogFields | undefined }[]
  /** Lines of an event. */
  of(event: string): readonly (LogFields | undefined)[]
}

export function createKeptLog(): KeptLog {
  const lines: { level: string; event: string; fields: LogFields | undefined }[] = []
  const keep = (level: string) => (event: string, fields?: LogFields) => void lines.push({ level, event, fields })
  return {
    lines,
    error: keep('error'),
    info: keep('info'),
    debug: keep('debug'),
    of: (event) => lines.filter((line) => line.event === event).map(({ fields }) => fields),
  }
}

/** Every database of an engine of that name. */
export async function deleteDatabases(name: string): Promise<void> {
  const databases = await indexedDB.databases()
  const own = databases.flatMap(({ name: database }) => database?.startsWith(`pocketmq:${name}`) ? [database] : [])
  await Promise.all(own.map(deleteDatabase))
}

export function deleteDatabase(database: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(database)
    request.addEventListener('success', () => resolve())
    request.addEventListener('error', () => reject(request.error))
  })
}
