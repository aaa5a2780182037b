// A Store (core/ports/store.ts) in one object store of an IndexedDB database. A commit is one readwrite transaction,
// durable when its `complete` event comes: mostly one request, an entry of the journal (journal.ts). A read is one readonly
// transaction, or a part of one where several reads are asked in a turn. No promise on these paths: a transaction ends by
// itself when nobody asks anything of it in its events.

import { assert } from '../../core/assert.ts'
import { PocketError } from '../../core/errors.ts'
import type { CancelTimer, Clock } from '../../core/ports/clock.ts'
import type { Log } from '../../core/ports/log.ts'
import type {
  CommitOptions, CommitOutcome, ReadOutcome, Store, StoreRange, StoreSpace, StoreWrite,
} from '../../core/ports/store.ts'
import { checkWrites } from '../../core/storage/store-writes.ts'
import type { IdbConnection } from './idb-connection.ts'
import { journalStartKey, nameOf, replacedError, type StoreName } from './idb-database.ts'
import { createValueSize, RangeRead } from './idb-range-read.ts'
import { Journal, type JournalEntry, type JournalStep, quietEntryCount } from './journal.ts'
import type { StorageRoom } from './storage-room.ts'

export interface IdbStoreOptions {
  readonly connection: IdbConnection
  readonly storeName: StoreName
  /** What engines before have left in its journal. */
  readonly journal: readonly JournalEntry[]
  readonly room: StorageRoom
  readonly clock: Clock
  readonly log: Log
}

/** Nothing was committed for so long: a moment to put things in their places. */
const quietMs = 4

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
  readonly #journal: Journal
  readonly #valueSize = createValueSize()
  #cancelQuiet: CancelTimer | null = null
  /** When the last commit became durable. */
  #committedMs = 0
  #commit: Commit | null = null
  /** Asked and not answered, in order. */
  readonly #reads: Read[] = []
  /** Of `#reads`, those of this turn. */
  #unsent: Read[] = []
  #closing: Promise<void> | null = null
  #ended: () => void = () => {}

  constructor({ connection, storeName, journal, room, clock, log }: IdbStoreOptions) {
    this.#connection = connection
    this.#name = storeName
    this.#room = room
    this.#clock = clock
    this.#log = log
    this.#journal = new Journal(connection.epoch, journal)
    for (const number of this.#journal.damaged) log.error('damage-found', { what: 'journal entry', store: storeName, number })
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
    this.#cancelQuiet?.()
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
    const step = this.#journal.commit(commit.writes)
    const attempt = new CommitAttempt(transaction)
    const watched = this.#connection.watch((error) => this.#endUnknown(commit, error))
    transaction.addEventListener('complete', () => {
      watched()
      this.#connection.worked(db)
      this.#room.wrote(commit.bytes)
      this.#journal.done(step)
      this.#endCommit(commit, { kind: 'durable' })
    })
    transaction.addEventListener('abort', () => {
      watched()
      this.#aborted(db, commit, attempt)
    })
    attempt.write(step)
  }

  #aborted(db: IDBDatabase, commit: Commit, { state, failure, transaction }: CommitAttempt): void {
    const cause = failure ?? transaction.error ?? new DOMException('the transaction was aborted', 'AbortError')
    // The number of its entry was taken: by the fence of another engine.
    if (nameOf(cause) === 'ConstraintError') {
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
    if (outcome.kind === 'durable') this.#awaitQuiet()
  }

  // ── checkpoints ───────────────────────────────────────────────────────────────────────────────────────────────

  /** One timer at a time: a commit is not to pay for one. */
  #awaitQuiet(): void {
    this.#committedMs = this.#clock.monotonic()
    if (this.#cancelQuiet === null && this.#journal.entryCount >= quietEntryCount) this.#watchQuiet()
  }

  #watchQuiet(): void {
    this.#cancelQuiet = this.#clock.setTimer(quietMs, () => {
      this.#cancelQuiet = null
      if (this.#closing !== null) return
      const isQuiet = this.#commit === null && this.#clock.monotonic() - this.#committedMs >= quietMs
      if (isQuiet) this.#connection.withDatabase((db) => this.#checkpoint(db), () => {})
      else this.#watchQuiet()
    })
  }

  /** Where it fails everything stays in the journal, for the next one. Commits are made behind it. */
  #checkpoint(db: IDBDatabase): void {
    // What is being committed is not in the journal yet, and would be gone from it unseen.
    if (this.#commit !== null || this.#closing !== null) return
    let transaction: IDBTransaction
    try {
      transaction = db.transaction(this.#name, 'readwrite', { durability: 'relaxed' })
    } catch {
      return
    }
    const step = this.#journal.checkpoint()
    transaction.addEventListener('complete', () => this.#journal.done(step))
    new CommitAttempt(transaction).write(step)
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
    const overlaidIn = (range: StoreRange) => this.#journal.overlaid(range)
    for (const read of reads) {
      new RangeRead(store, read.range, this.#valueSize, overlaidIn, (outcome) => {
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

/** One transaction that tries to write a step of the journal. It is told to commit at once, with no answer awaited. */
class CommitAttempt {
  readonly transaction: IDBTransaction
  /** `committing`: the browser has been told to commit; until then an abort leaves nothing behind. */
  state: 'writing' | 'committing' = 'writing'
  /** What went wrong here, where the browser was not to blame. */
  failure: unknown = null

  constructor(transaction: IDBTransaction) {
    this.transaction = transaction
  }

  write({ entry, removed, start, writes }: JournalStep): void {
    const { transaction } = this
    try {
      const store = transaction.objectStore(transaction.objectStoreNames[0] as string)
      // First, as everything else stands or falls with it: where there is one already, the transaction is aborted.
      if (entry !== undefined) {
        const added = store.add(entry.bytes, entry.number)
        // Firefox does not tell it in the transaction's error.
        added.onerror = () => {
          if (nameOf(added.error) === 'ConstraintError') this.failure = added.error
        }
      }
      for (const { key, value } of writes) {
        if (value === null) store.delete(key as BufferSource)
        else store.put(ownBytes(value), key as BufferSource)
      }
      for (const { first, last } of removed) store.delete(IDBKeyRange.bound(first, last))
      if (start !== undefined) store.put(start, journalStartKey)
      this.state = 'committing'
      transaction.commit()
    } catch (cause) {
      // What can't be cloned, or has no room for its clone, is told here, with a part of the writes made.
      this.failure = cause
      try {
        transaction.abort()
      } catch {
        // It was aborted before: its event comes.
      }
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
