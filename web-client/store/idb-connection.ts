// The engine's one connection to its database, shared by its three stores. A browser may cut it at any time (Safari on
// every trip to the background): then it is opened again, once, and nothing is lost by it. It ends for good when another
// engine has opened the database, someone deletes it, or opening it again fails; who owns the engine is told once.
//
//   open ──cut──> reopening ──same database, same epoch──> open
//    │                │
//    └──versionchange─┴──else──> ended

import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Log } from '../../core/ports/log.ts'
import { type DatabaseOptions, type FencedDatabase, reopenFenced } from './idb-database.ts'

export interface ConnectionOptions extends DatabaseOptions {
  readonly clock: Clock
  readonly log: Log
  /** The connection has ended and will not come back. Not called after `close`. */
  readonly lost: (error: PocketError) => void
}

/** Something that waits for IndexedDB's answer. */
interface Watched {
  sinceMs: number
  readonly expire: (error: PocketError) => void
}

interface Waiting {
  readonly run: (db: IDBDatabase) => void
  readonly refuse: (error: PocketError) => void
}

export class IdbConnection {
  readonly #options: ConnectionOptions
  readonly #fenced: Omit<FencedDatabase, 'db' | 'isNew'>
  /** Null while it is being opened again, and after the end. */
  #db: IDBDatabase | null = null
  #end: PocketError | null = null
  /** Whether anything has worked since it was opened. Else opening it again and again would help nobody. */
  #hasWorked = true
  #waiting: Waiting[] = []
  readonly #watched = new Set<Watched>()
  #isWatching = false

  constructor(options: ConnectionOptions, { db, epoch, generation }: FencedDatabase) {
    this.#options = options
    this.#fenced = { epoch, generation }
    this.#use(db)
  }

  get epoch(): number {
    return this.#fenced.epoch
  }

  /** Why nothing works any more; null while it does. */
  get end(): PocketError | null {
    return this.#end
  }

  /** Calls `run` with the open database: now, or when it is open again; or `refuse`, always later. */
  withDatabase(run: (db: IDBDatabase) => void, refuse: (error: PocketError) => void): void {
    const end = this.#end
    if (end !== null) this.#options.clock.defer(() => refuse(end))
    else if (this.#db !== null) run(this.#db)
    else this.#waiting.push({ run, refuse })
  }

  /** A transaction of `db` has gone through. */
  worked(db: IDBDatabase): void {
    if (db === this.#db) this.#hasWorked = true
  }

  /** `db` turned out to be cut. It is opened again, unless that has been done without use. */
  cut(db: IDBDatabase, cause: unknown): void {
    if (db !== this.#db) return
    this.#db = null
    this.#forget(db)
    if (!this.#hasWorked) return this.finish(toStoreFailed(cause))
    this.#hasWorked = false
    this.#options.log.info('storage-reopening', { database: this.#options.database, cause: String(cause) })
    reopenFenced(this.#options, this.#fenced).then((reopened) => this.#reopened(reopened), (error: unknown) => {
      this.finish(toStoreFailed(error))
    })
  }

  /** Ends the connection, and tells. */
  finish(error: PocketError): void {
    if (this.#end !== null) return
    this.#end = error
    this.#options.log.error('storage-ended', { database: this.#options.database, code: error.code, message: error.message })
    this.#release(error)
    this.#options.clock.defer(() => this.#options.lost(error))
  }

  /** Ends the connection without telling. Transactions in flight are to be over. */
  close(): void {
    if (this.#end !== null) return
    this.#end = new PocketError('CLOSED', 'the store is closed')
    this.#release(this.#end)
  }

  /**
   * Calls `expire` where nobody says within the timeout, more or less, that the answer came. Gives how to say it. One
   * timer for all: a commit is not to pay for one.
   */
  watch(expire: (error: PocketError) => void): () => void {
    const watched: Watched = { sinceMs: this.#options.clock.monotonic(), expire }
    this.#watched.add(watched)
    this.#watchOn()
    return () => void this.#watched.delete(watched)
  }

  #use(db: IDBDatabase): void {
    this.#db = db
    // Whoever asks waits until this connection is closed.
    db.onversionchange = ({ newVersion }) => {
      this.finish(newVersion === null
        ? new PocketError('STORE_FAILED', `the database ${db.name} is being deleted`)
        : new PocketError('ENGINE_REPLACED', `a newer build upgrades the database ${db.name}`))
    }
    db.onclose = () => this.cut(db, new PocketError('STORE_FAILED', `the browser closed the database ${db.name}`))
  }

  #forget(db: IDBDatabase): void {
    db.onversionchange = null
    db.onclose = null
    db.close()
  }

  #reopened(db: IDBDatabase): void {
    if (this.#end !== null) return db.close()
    this.#use(db)
    this.#options.log.info('storage-reopened', { database: db.name })
    for (const { run, refuse } of this.#waiting.splice(0)) this.withDatabase(run, refuse)
  }

  #release(error: PocketError): void {
    const db = this.#db
    this.#db = null
    if (db !== null) this.#forget(db)
    for (const { refuse } of this.#waiting.splice(0)) this.#options.clock.defer(() => refuse(error))
  }

  #watchOn(): void {
    if (this.#isWatching || this.#watched.size === 0) return
    this.#isWatching = true
    const { clock, timeoutMs } = this.#options
    const dueMs = clock.monotonic() + timeoutMs
    clock.setTimer(timeoutMs, () => {
      this.#isWatching = false
      const nowMs = clock.monotonic()
      // Far too late: this worker was frozen or the machine asleep, and answers may wait behind this timer.
      const wasAsleep = nowMs - dueMs > timeoutMs / 2
      for (const watched of [...this.#watched]) {
        if (wasAsleep) watched.sinceMs = nowMs
        else if (nowMs - watched.sinceMs >= timeoutMs) {
          this.#watched.delete(watched)
          watched.expire(new PocketError('TIMEOUT', `the database did not answer within ${timeoutMs} ms`))
        }
      }
      this.#watchOn()
    })
  }
}

function toStoreFailed(cause: unknown): PocketError {
  if (cause instanceof PocketError && cause.code !== 'TIMEOUT') return cause
  return new PocketError('STORE_FAILED', `the database can't be used: ${toPocketError(cause).message}`, { cause })
}
