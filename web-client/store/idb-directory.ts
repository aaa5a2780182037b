// A small database beside the large one that remembers, per engine, which database it uses and that it existed: without
// it nobody could tell a first start from a database that the browser threw away.

import { type DBSchema, type IDBPDatabase, wrap } from 'idb'
import { type DatabaseOptions, openDatabase, withTimeout } from './idb-database.ts'

/** What is remembered. */
export interface DirectoryEntry {
  /** The database in use. */
  readonly database: string
  readonly generation: string
  /** Of the opening before. */
  readonly epoch: number
  /** Databases that could not be opened any more. They stay, in case somebody can save them. */
  readonly damaged: readonly string[]
}

interface Schema extends DBSchema {
  readonly directory: { readonly key: 'entry'; readonly value: DirectoryEntry }
}

export interface Directory {
  read(): Promise<DirectoryEntry | undefined>
  /** Durable when it returns. */
  write(entry: DirectoryEntry): Promise<void>
  close(): void
}

export async function openDirectory(options: DatabaseOptions): Promise<Directory> {
  const opened = await openDatabase(options, (db) => void db.createObjectStore('directory'))
  const db = wrap(opened) as unknown as IDBPDatabase<Schema>
  return {
    read: () => withTimeout(options, db.get('directory', 'entry')),
    write: (entry) => withTimeout(options, put(db, entry)),
    close: () => db.close(),
  }
}

async function put(db: IDBPDatabase<Schema>, entry: DirectoryEntry): Promise<void> {
  const transaction = db.transaction('directory', 'readwrite', { durability: 'strict' })
  await Promise.all([transaction.store.put(entry, 'entry'), transaction.done])
}
