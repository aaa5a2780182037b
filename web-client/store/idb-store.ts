// A Store (core/ports/store.ts) in one object store of an IndexedDB database. A commit is one readwrite transaction,
// durable when its `complete` event comes; a read is one readonly transaction, or a part of one where several reads are
// asked in a turn. No promise on these paths: a transaction ends by itself when nobody asks anything of it in its events.

import { assert } from '../../core/assert.ts'
import { PocketError } from '../../core/errors.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Log } from '../../core/ports/log.ts'
import type {
  CommitOptions, CommitOutcome, ReadOutcome, Store, StoreRange, StoreSpace, StoreWrite,
} from '../../core/ports/store.ts'
import { checkWrites } from '../../core/storage/store-writes.ts'
import type { IdbConnection } from './idb-connection.ts'
import { epochKey, nameOf, replacedError, type StoreName } from './idb-database.ts'
import { createValueSize, RangeRead } from './idb-range-read.ts'
import type { StorageRoom } from './storage-room.ts'

export interface IdbStoreOptions {
  readonly connection: IdbConnection
  readonly storeName: StoreName
  readonly room: StorageRoom
  readonly clock: Clock
  readonly log: Log
}

export function createIdbStore(options: IdbStoreOptions): Store {
  return new IdbStore(options)
}

interface Commit {
  readonly writes: readonly StoreWrite[]
  readonly bytes: number
  readonly durability: 'strict' | 'relaxed'
  readonly answer: (outcome: CommitOutcome) => void
  isRetry: boolean
}

interface Read {
  readonly range: StoreRange
  readonly answer: (outcome: ReadOutcome) => void
  outcome: ReadOutcome | null
}

class IdbStore implements Store {
  readonly #connection: IdbConnection
  readonly #name: StoreName
  readonly #room: StorageRoom
  readonly #clock: Clock
  readonly #log: Log
  readonly #valueSize = createValueSize()
  #commit: Commit | null = null
  /** Asked and not answered, in order. */
  readonly #reads: Read[] = []
  /** Of `#reads`, those of this turn. */
  #unsent: Read[] = []
  #closing: Promise<void> | null = null
  #ended: () => void = () => {}

  constructor({ connection, storeName, room, clock, log }: IdbStoreOptions) {
    this.#connection = connection
    this.#name = storeName
    this.#room = room
    this.#clock = clock
    this.#log = log
  }

  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void {
    const read: Read = { range, answer, outcome: null }
    if (this.#closing !== null) read.outcome = { kind: 'failed', cause: closedError() }
    this.#reads.push(read)
    if (this.#unsent.push(read) > 1) return
    queueMicrotask(() => {
      const reads = this.#unsent
      this.#unsent = []
      this.#sendReads(reads.filter((read) => read.outcome === null), false)
      this.#answerReads()
    })
  }

  commit(
    writes: readonly StoreWrite[], answer: (outcome: CommitOutcome) => void, { isRelaxed = false }: CommitOptions = {},
  ): void {
    assert(this.#commit === null, 'a commit is in flight already')
    const bytes = checkWrites(writes)
    const commit: Commit = { writes, bytes, durability: isRelaxed ? 'relaxed' : 'strict', answer, isRetry: false }
    this.#commit = commit
    if (this.#closing !== null) this.#clock.defer(() => this.#endCommit(commit, notWritten(closedError())))
    else this.#sendCommit(commit)
  }

  space(): StoreSpace {
    return this.#room.space()
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#ended = () => {
        if (this.#commit === null && this.#reads.length === 0) resolve()
      }
      this.#ended()
    })
    return this.#closing
  }

  // ── commits ───────────────────────────────────────────────────────────────────────────────────────────────────

  #sendCommit(commit: Commit): void {
    this.#connection.withDatabase(
      (db) => this.#write(db, commit),
      (error) => this.#endCommit(commit, notWritten(error)),
    )
  }

  #write(db: IDBDatabase, commit: Commit): void {
    let transaction: IDBTransaction
    try {
      transaction = db.transaction(this.#name, 'readwrite', { durability: commit.durability })
    } catch (cause) {
      return this.#unbegun(db, commit, cause)
    }
    const attempt = new CommitAttempt(transaction, this.#connection.epoch)
    const watched = this.#connection.watch((error) => this.#endUnknown(commit, error))
    transaction.addEventListener('complete', () => {
      watched()
      this.#connection.worked(db)
      this.#room.wrote(commit.bytes)
      this.#endCommit(commit, { kind: 'durable' })
    })
    transaction.addEventListener('abort', () => {
      watched()
      this.#aborted(db, commit, attempt)
    })
    attempt.write(commit.writes)
  }

  #aborted(db: IDBDatabase, commit: Commit, { state, failure, transaction }: CommitAttempt): void {
    const cause = failure ?? transaction.error ?? new DOMException('the transaction was aborted', 'AbortError')
    if (state === 'replaced') {
      const error = replacedError()
      this.#connection.finish(error)
      return this.#endCommit(commit, notWritten(error))
    }
    if (nameOf(cause) === 'QuotaExceededError') {
      void this.#room.isFull()
      const error = new PocketError('STORE_FULL', 'the browser gives this origin no more room', { cause })
      return this.#endCommit(commit, { kind: 'not-written', reason: 'full', cause: error })
    }
    if (!isCut(cause)) return this.#endCommit(commit, notWritten(cause))
    // Cut off while it was being committed: the browser may have done it all and not been able to say so.
    if (state === 'committing') return this.#endUnknown(commit, cause)
    this.#unbegun(db, commit, cause)
  }

  /** Nothing was written. Where the connection was cut, once more over another. */
  #unbegun(db: IDBDatabase, commit: Commit, cause: unknown): void {
    if (commit.isRetry || !isCut(cause)) {
      this.#clock.defer(() => this.#endCommit(commit, notWritten(cause)))
      return
    }
    commit.isRetry = true
    this.#connection.cut(db, cause)
    this.#sendCommit(commit)
  }

  #endUnknown(commit: Commit, cause: unknown): void {
    this.#endCommit(commit, { kind: 'unknown', cause })
    this.#connection.finish(new PocketError('STORE_FAILED', 'a commit ended and nobody knows how', { cause }))
  }

  #endCommit(commit: Commit, outcome: CommitOutcome): void {
    // A timeout came first.
    if (this.#commit !== commit) return
    this.#commit = null
    if (outcome.kind !== 'durable') {
      this.#log.error('commit failed', { store: this.#name, outcome: outcome.kind, cause: String(outcome.cause) })
    }
    commit.answer(outcome)
    this.#ended()
  }

  // ── reads ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #sendReads(reads: readonly Read[], isRetry: boolean): void {
    if (reads.length === 0) return
    this.#connection.withDatabase((db) => this.#readFrom(db, reads, isRetry), (error) => this.#failReads(reads, error))
  }

  #readFrom(db: IDBDatabase, reads: readonly Read[], isRetry: boolean): void {
    const failed = (cause: unknown): void => {
      const left = reads.filter((read) => read.outcome === null)
      if (isRetry || !isCut(cause)) return this.#failReads(left, cause)
      this.#connection.cut(db, cause)
      this.#sendReads(left, true)
    }
    let transaction: IDBTransaction
    try {
      transaction = db.transaction(this.#name, 'readonly')
    } catch (cause) {
      this.#clock.defer(() => failed(cause))
      return
    }
    const watched = this.#connection.watch((error) => {
      this.#failReads(reads.filter((read) => read.outcome === null), error)
      this.#connection.finish(new PocketError('STORE_FAILED', 'a read got no answer', { cause: error }))
    })
    transaction.addEventListener('complete', watched)
    transaction.addEventListener('abort', () => {
      watched()
      failed(transaction.error ?? new DOMException('the transaction was aborted', 'AbortError'))
    })
    const store = transaction.objectStore(this.#name)
    for (const read of reads) {
      new RangeRead(store, read.range, this.#valueSize, (outcome) => {
        this.#connection.worked(db)
        read.outcome = outcome
        this.#answerReads()
      }).start()
    }
  }

  #failReads(reads: readonly Read[], cause: unknown): void {
    for (const read of reads) read.outcome ??= { kind: 'failed', cause }
    this.#answerReads()
  }

  #answerReads(): void {
    for (;;) {
      const read = this.#reads[0]
      if (read === undefined || read.outcome === null) break
      this.#reads.shift()
      try {
        read.answer(read.outcome)
      } catch (error) {
        // What is thrown in an event of IndexedDB aborts the transaction, and with it the reads of others.
        reportError(error)
      }
    }
    if (this.#reads.length === 0) this.#ended()
  }
}

/** One transaction that tries to write a commit: checks the epoch, writes, and commits only where the epoch is its own. */
class CommitAttempt {
  readonly transaction: IDBTransaction
  readonly #epoch: number
  /** `committing`: the browser has been told to commit; until then an abort leaves nothing behind. */
  state: 'writing' | 'committing' | 'replaced' = 'writing'
  /** What went wrong here, where the browser was not to blame. */
  failure: unknown = null

  constructor(transaction: IDBTransaction, epoch: number) {
    this.transaction = transaction
    this.#epoch = epoch
  }

  write(writes: readonly StoreWrite[]): void {
    const { transaction } = this
    const store = transaction.objectStore(transaction.objectStoreNames[0] as string)
    const check = store.get(epochKey)
    // Requests are answered in order, so that the writes below are on their way when this is answered.
    check.onsuccess = () => {
      if (check.result !== this.#epoch) {
        this.state = 'replaced'
        transaction.abort()
      } else {
        this.state = 'committing'
        transaction.commit()
      }
    }
    try {
      for (const { key, value } of writes) {
        if (value === null) store.delete(key as BufferSource)
        else store.put(ownBytes(value), key as BufferSource)
      }
    } catch (cause) {
      // What can't be cloned, or has no room for its clone, is told here, with a part of the writes made.
      this.failure = cause
      transaction.abort()
    }
  }
}

/** Cloning a view of a large buffer clones the whole buffer. */
function ownBytes(value: Uint8Array): Uint8Array {
  return value.byteLength === value.buffer.byteLength && value.constructor === Uint8Array ? value : new Uint8Array(value)
}

/** The connection is gone, not only this transaction. */
function isCut(cause: unknown): boolean {
  return ['InvalidStateError', 'UnknownError', 'AbortError'].includes(nameOf(cause))
}

function notWritten(cause: unknown): CommitOutcome {
  return { kind: 'not-written', reason: 'error', cause }
}

function closedError(): PocketError {
  return new PocketError('CLOSED', 'the store is closed')
}
