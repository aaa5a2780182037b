// A Store (core/ports/store.ts) in a folder on disk, over LMDB. A commit is one LMDB transaction, in another thread:
// pages written, `fdatasync`, then the meta page through an O_DSYNC descriptor; only then is it visible and answered.
// How the folder is opened, and with which options, is in lmdb-open.ts.

import { constants } from 'node:os'
import { performance } from 'node:perf_hooks'
import { assert, must } from '../core/assert.ts'
import { PocketError } from '../core/errors.ts'
import { type Log, silentLog } from '../core/ports/log.ts'
import type {
  CommitOutcome, ReadOutcome, Store, StoreEntry, StoreRange, StoreSpace, StoreWrite,
} from '../core/ports/store.ts'
import { checkWrites } from '../core/storage/store-writes.ts'
import { codeOf, diskFree, type LmdbDatabase, lmdbCodes, lmdbStats, openDatabase } from './lmdb-open.ts'
import { releaseFolder } from './lmdb-owner.ts'

const mebibyte = 1024 * 1024
const mapSizeBytesDefault = 256 * 1024 * mebibyte

const { errno } = constants

/** Values that reads of one turn of the event loop give at most, before sockets have their turn again. */
const readBytesPerTurn = 4 * mebibyte

/**
 * Room that is left on the disk, so that LMDB hardly ever meets a full one while it writes (see `lmdbErrorTextMax`),
 * and what is kept beyond that for deletes.
 */
const diskFloorBytes = mebibyte / 4
const diskReserveBytes = mebibyte

/** How old what is known of the room may be, and below how much it is asked anew for every commit. */
const roomAgeMsMax = 1000
const roomTightBytes = 64 * mebibyte

/**
 * LMDB 3.5.6 prints the text of a failed write into 100 bytes of memory with `sprintf` (mdb_page_flush in mdb.c). A
 * longer text has overwritten something: such a process goes on at its peril, so the outcome is then `unknown`.
 */
const lmdbErrorTextMax = 99

export interface LmdbStoreOptions {
  /** Folder of the store, made where it is missing. One process has it at a time. */
  readonly path: string
  /** Most bytes the data takes, in pages; beyond it commits are not written. 256 GiB, reserved as addresses only. */
  readonly mapSizeBytes?: number
  readonly log?: Log
}

/**
 * Opens the store of a folder. Throws PocketError: BAD_ARGUMENT where the path cannot be a folder, STORE_FULL without
 * room to begin, STORE_FAILED where it is not permitted, in use by another process or damaged; the text says what to
 * do.
 *
 * LMDB prints some failures on standard error besides, and its package on the console.
 */
export function openLmdbStore({ path, mapSizeBytes = mapSizeBytesDefault, log = silentLog }: LmdbStoreOptions): Store {
  assert(Number.isSafeInteger(mapSizeBytes) && mapSizeBytes > 0, 'mapSizeBytes is a whole number above 0')
  const { folder, database } = openDatabase(path, mapSizeBytes)
  return new LmdbStore(folder, database, mapSizeBytes, log)
}

/** A commit on its way: what is needed when it ends. */
interface Commit {
  readonly writes: readonly StoreWrite[]
  readonly needBytes: number
  readonly answer: (outcome: CommitOutcome) => void
}

interface PendingRead {
  readonly range: StoreRange
  readonly answer: (outcome: ReadOutcome) => void
}

interface Room {
  readonly usedBytes: number
  /** Pages in the file that hold nothing any more. */
  readonly reusableBytes: number
  readonly diskFreeBytes: number
  readonly askedAtMs: number
}

class LmdbStore implements Store {
  readonly #folder: string
  readonly #database: LmdbDatabase
  readonly #mapSizeBytes: number
  readonly #log: Log
  #commit: Commit | null = null
  readonly #reads: PendingRead[] = []
  #isReading = false
  /** The LMDB transaction whose outcome was answered last: what readers may see. 32 bits, as the package gives it. */
  #shownTxn: number
  #lastTxn = 0
  #room: Room
  #writtenSinceRoom = 0
  /** Why nothing works any more: closed, or a commit ended `unknown`. */
  #end: PocketError | null = null
  #closing: Promise<void> | null = null
  #commitEnded: () => void = () => {}

  constructor(folder: string, database: LmdbDatabase, mapSizeBytes: number, log: Log) {
    this.#folder = folder
    this.#database = database
    this.#mapSizeBytes = mapSizeBytes
    this.#log = log
    this.#shownTxn = newestTxn(database)
    this.#room = this.#askRoom()
    log.info('store opened', { folder, ...this.space() })
    database.on('aftercommit', ({ txnId }: { txnId?: number }) => {
      if (txnId !== undefined) this.#lastTxn = txnId
    })
  }

  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void {
    this.#reads.push({ range, answer })
    this.#readSoon()
  }

  commit(writes: readonly StoreWrite[], answer: (outcome: CommitOutcome) => void): void {
    assert(this.#commit === null, 'a commit is in flight already')
    const commit: Commit = { writes, needBytes: neededBytes(writes, checkWrites(writes)), answer }
    this.#commit = commit
    const refusal = this.#refusal(commit)
    if (refusal !== null || writes.length === 0) {
      setImmediate(() => this.#endCommit(commit, refusal ?? { kind: 'durable' }))
      return
    }
    const database = this.#database
    const written = database.batch(() => {
      for (const { key, value } of writes) {
        if (value === null) void database.remove(key)
        else void database.put(key, value)
      }
    })
    void database.batch(() => {})
    written.then(() => this.#durable(commit), (failure: unknown) => this.#failed(commit, failure))
  }

  space(): StoreSpace {
    if (this.#end === null && performance.now() - this.#room.askedAtMs > roomAgeMsMax) this.#room = this.#askRoom()
    const { usedBytes, reusableBytes, diskFreeBytes } = this.#room
    const freeOnDisk = diskFreeBytes < diskFloorBytes ? 0 : diskFreeBytes + reusableBytes - diskReserveBytes
    return { usedBytes, freeBytes: Math.max(0, Math.min(this.#mapSizeBytes - usedBytes, freeOnDisk)) }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#commit !== null) await new Promise<void>((resolve) => (this.#commitEnded = resolve))
    for (const { range, answer } of this.#reads.splice(0)) answer(this.#readOne(range))
    this.#end ??= new PocketError('CLOSED', 'the store is closed')
    await this.#database.close()
    releaseFolder(this.#folder)
    this.#log.info('store closed', { folder: this.#folder })
  }

  #durable(commit: Commit): void {
    // A transaction that changed nothing (only deletes of what is not there) is not counted by LMDB.
    this.#shownTxn = commit.writes.some(({ value }) => value !== null) ? this.#lastTxn : newestTxn(this.#database)
    this.#writtenSinceRoom += commit.needBytes
    this.#endCommit(commit, { kind: 'durable' })
  }

  async #failed(commit: Commit, failure: unknown): Promise<void> {
    const cause = await causeOf(failure)
    const outcome = this.#failedOutcome(commit, cause)
    if (outcome.kind === 'unknown') {
      this.#end = new PocketError('STORE_FAILED', 'the store failed and must be opened again', { cause })
    }
    this.#log.error('commit failed', { folder: this.#folder, outcome: outcome.kind, cause: String(cause) })
    this.#endCommit(commit, outcome)
  }

  #failedOutcome(commit: Commit, cause: unknown): CommitOutcome {
    const code = codeOf(cause)
    const isFull = code === errno.ENOSPC || code === errno.EDQUOT || code === lmdbCodes.MAP_FULL ||
      // A write of which the disk took only a part is told as an I/O error.
      (code === errno.EIO && diskFree(this.#folder) < diskFloorBytes + commit.needBytes)
    if (!isFull || hasOverrunMemory(cause) || !this.#isAlive()) return { kind: 'unknown', cause }
    return { kind: 'not-written', reason: 'full', cause }
  }

  /** Whether LMDB works on: it refuses everything once the writing of a meta page, the last act of a commit, failed. */
  #isAlive(): boolean {
    try {
      this.#database.resetReadTxn()
      this.#database.doesExist(new Uint8Array(1))
      return true
    } catch {
      return false
    }
  }

  #endCommit(commit: Commit, outcome: CommitOutcome): void {
    this.#commit = null
    this.#commitEnded()
    if (this.#reads.length > 0) this.#readSoon()
    commit.answer(outcome)
  }

  /** Why a commit is not even tried, or null. */
  #refusal({ writes, needBytes }: Commit): CommitOutcome | null {
    const end = this.#end ?? (this.#closing === null ? null : new PocketError('CLOSED', 'the store is closed'))
    if (end !== null) return { kind: 'not-written', reason: 'error', cause: end }
    const { usedBytes, reusableBytes, diskFreeBytes } = this.#knownRoom()
    const onlyDeletes = writes.every(({ value }) => value === null)
    // Free pages in the file need not lie together, so the disk itself must have room for all of it.
    const hasDisk = diskFreeBytes >= diskFloorBytes + needBytes
    const keepsReserve = diskFreeBytes + reusableBytes / 2 >= diskReserveBytes + needBytes
    if (!hasDisk || !(keepsReserve || onlyDeletes)) {
      return full(`the disk of ${this.#folder} has ${diskFreeBytes} bytes left: too little for this write`)
    }
    if (usedBytes + needBytes > this.#mapSizeBytes && !onlyDeletes) {
      return full(`the store holds ${usedBytes} bytes of at most ${this.#mapSizeBytes}`)
    }
    return null
  }

  #knownRoom(): Room {
    const { usedBytes, diskFreeBytes, askedAtMs } = this.#room
    const leftBytes = Math.min(this.#mapSizeBytes - usedBytes, diskFreeBytes) - 2 * this.#writtenSinceRoom
    if (leftBytes < roomTightBytes || performance.now() - askedAtMs > roomAgeMsMax) this.#room = this.#askRoom()
    return this.#room
  }

  #askRoom(): Room {
    const { fileBytes, usedBytes } = lmdbStats(this.#database)
    this.#writtenSinceRoom = 0
    return {
      usedBytes,
      reusableBytes: Math.max(0, fileBytes - usedBytes),
      diskFreeBytes: diskFree(this.#folder),
      askedAtMs: performance.now(),
    }
  }

  #readSoon(): void {
    if (this.#isReading) return
    this.#isReading = true
    setImmediate(() => {
      this.#isReading = false
      this.#readNow()
    })
  }

  /** Answers in order what is asked by now, until the turn had its share or a read must wait for a commit's answer. */
  #readNow(): void {
    let bytes = 0
    for (let count = this.#reads.length; count > 0; count--) {
      const read = must(this.#reads[0], 'a read is left')
      if (bytes >= readBytesPerTurn) return this.#readSoon()
      const outcome = this.#readOne(read.range)
      // A commit that is synced and not answered yet may have been seen. Its answer is on its way.
      if (this.#commit !== null && this.#end === null && newestTxn(this.#database) !== this.#shownTxn) return
      this.#reads.shift()
      if (outcome.kind === 'entries') for (const { value } of outcome.entries) bytes += value.length
      read.answer(outcome)
    }
  }

  #readOne({ from, to, reverse = false, countMax = Infinity, bytesMax = Infinity }: StoreRange): ReadOutcome {
    if (this.#end !== null) return { kind: 'failed', cause: this.#end }
    const entries: StoreEntry[] = []
    if (countMax <= 0 || Buffer.compare(from, to) >= 0) return { kind: 'entries', entries }
    const first = from.length === 0 ? undefined : from
    const bounds = reverse
      ? { start: to, exclusiveStart: true, end: first, inclusiveEnd: true, reverse }
      : { start: first, end: to }
    try {
      let bytes = 0
      for (const { key, value } of this.#database.getRange(bounds as { start: Uint8Array; end: Uint8Array })) {
        entries.push({ key, value })
        bytes += value.length
        if (entries.length >= countMax || bytes >= bytesMax) break
      }
      return { kind: 'entries', entries }
    } catch (cause) {
      return { kind: 'failed', cause }
    }
  }
}

function full(text: string): CommitOutcome {
  return { kind: 'not-written', reason: 'full', cause: new PocketError('STORE_FULL', text) }
}

function newestTxn(database: LmdbDatabase): number {
  return lmdbStats(database).lastTxnId % 2 ** 32
}

/** Room a commit may take: its bytes, and pages for what lies beside them. Deletes are not counted. */
function neededBytes(writes: readonly StoreWrite[], writeBytes: number): number {
  let putCount = 0
  for (const { value } of writes) if (value !== null) putCount++
  return writeBytes + Math.min(putCount, 256) * 4096
}

/** What is beneath the package's "Commit failed (see commitError for details)", a promise that rejects. */
async function causeOf(failure: unknown): Promise<unknown> {
  const commitError = (failure as { commitError?: Promise<unknown> }).commitError
  if (commitError === undefined) return failure
  // It rejects in the same turn. Should it not, the failure is answered without it.
  const turnEnd = new Promise((resolve) => setImmediate(resolve, failure))
  return Promise.race([commitError.catch((cause: unknown) => cause), turnEnd])
}

function hasOverrunMemory(cause: unknown): boolean {
  const text = cause instanceof Error ? cause.message : ''
  const printed = text.indexOf('Attempting to write page')
  return printed >= 0 && text.length - printed > lmdbErrorTextMax
}
