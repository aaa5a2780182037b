// Opens the LMDB environment of a folder for lmdb-store.ts: the folder, the one process that may have it, the options,
// what is checked first, and a text for every way in which it fails.
//
// How the `lmdb` package is used, and why (measured on Node 20.20, 2 cores, ext4; a commit is 30 KB and four of 60 B):
// - `overlappingSync: false`: a promise resolves after the sync, and no reader sees what is not synced.
// - `eventTurnBatching: false` and one `batch()` per commit, then an empty one: the second passes `txnStartThreshold`,
//   which starts the writing thread at once and not a turn of the event loop later. 0.5 ms a commit alone, either way;
//   in an event loop whose turns take 1 ms, 1.1 ms instead of 2.1 ms.
// - `batchStartThreshold` out of reach: the thread starts when all of a commit is there, so it is one transaction.
// - No `noMemInit` (other memory of the process would get into the file), no `useWritemap` (twice as slow synced), the
//   page size of the system (8 and 16 KiB changed nothing).
// - LMDB's map is never full: the package maps anew at twice the size when it is used up. So the map is made large
//   enough beforehand, and lmdb-store.ts keeps the bound.

import {
  accessSync, closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readSync, realpathSync,
  statfsSync, statSync,
} from 'node:fs'
import { constants as systemConstants } from 'node:os'
import { dirname, join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { PocketError } from '../core/errors.ts'
import { createSlabCopier } from './byte-slab.ts'
import { checkReaders, claimFolder, heldError, releaseFolder, writeOwner } from './lmdb-owner.ts'

export type LmdbDatabase = RootDatabase<Uint8Array, Uint8Array>

const { errno } = systemConstants

/** LMDB's names. Nobody else may open the lock file: closing it would end the locks of the whole process on it. */
const dataFileName = 'data.mdb'
const lockFileName = 'lock.mdb'

/** Room to begin with. */
const newStoreBytes = 1024 * 1024

/** LMDB's own errors (lmdb.h); the system's are positive, as in errno. */
export const lmdbCodes = {
  CORRUPTED: -30796,
  VERSION_MISMATCH: -30794,
  INVALID: -30793,
  MAP_FULL: -30792,
} as const

/** The number of an error of the package, LMDB's or the system's. */
export function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown }).code
  return typeof code === 'number' ? code : undefined
}

/** Room on the disk for this process; Infinity where the file system does not say. */
export function diskFree(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch {
    return Infinity
  }
}

export interface OpenDatabase {
  /** The real path. */
  readonly folder: string
  readonly database: LmdbDatabase
}

/** Opens, and takes the folder for this process; see openLmdbStore for what it throws. */
export function openDatabase(path: string, mapSizeBytes: number): OpenDatabase {
  const folder = openFolder(path)
  claimFolder(folder)
  let database: LmdbDatabase | undefined
  try {
    checkFiles(folder)
    if (addressesLeft() < mapBytes(mapSizeBytes)) throw unmappableError(folder, mapSizeBytes)
    database = openLmdb(folder, mapSizeBytes)
    checkWhole(folder, database)
    // A read registers this process among LMDB's readers; two that open at once see each other, and both give up.
    database.doesExist(new Uint8Array(1))
    database.readerCheck()
    checkReaders(folder, database.readerList())
    writeOwner(folder)
    syncFolder(folder)
    syncFolder(dirname(folder))
    return { folder, database }
  } catch (cause) {
    void database?.close()
    releaseFolder(folder)
    throw openingError(folder, mapSizeBytes, cause)
  }
}

export interface LmdbStats {
  /** Pages that hold data or LMDB's own books. */
  readonly usedBytes: number
  /** All pages that were ever in use: what the file has at least. */
  readonly fileBytes: number
  readonly lastTxnId: number
}

/** What `getStats()` gives, as far as it is used. */
interface PageStats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

/** 6 µs: counters of the meta page, no walk. */
export function lmdbStats(database: LmdbDatabase): LmdbStats {
  const stats = database.getStats() as PageStats & { lastPageNumber: number; lastTxnId: number; free: PageStats }
  return {
    usedBytes: (pageCount(stats) + pageCount(stats.free) + metaPageCount) * stats.pageSize,
    fileBytes: (stats.lastPageNumber + 1) * stats.pageSize,
    lastTxnId: stats.lastTxnId,
  }
}

const metaPageCount = 2

function pageCount({ treeBranchPageCount, treeLeafPageCount, overflowPages }: PageStats): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages
}

function openFolder(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    if (!statSync(path).isDirectory()) throw Object.assign(new Error('not a directory'), { code: 'ENOTDIR' })
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return realpathSync(path)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOTDIR' || code === 'EEXIST') {
      const text = `${path} cannot be a store's folder, as there is a file in its place: name another folder`
      throw new PocketError('BAD_ARGUMENT', text, { cause })
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') throw notPermittedError(path, cause)
    const text = `the store's folder ${path} cannot be made or read: ${String(cause)}`
    throw new PocketError('STORE_FAILED', text, { cause })
  }
}

/** Writes a key into LMDB's buffer and gives the position after it. */
function writeKey(key: Uint8Array, target: Uint8Array, start: number): number {
  target.set(key, start)
  return start + key.length
}

function openLmdb(folder: string, mapSizeBytes: number): LmdbDatabase {
  const copyValue = createSlabCopier()
  const options = {
    path: folder,
    // Else a folder whose name has a dot is taken for a file.
    noSubdir: false,
    // Bytes as they are, and copied out by us: the package's own copies take three times as long.
    keyEncoder: { writeKey, readKey: createSlabCopier() },
    encoder: {
      encode: (value: Uint8Array) => value,
      decode: (value: Uint8Array, size: number) => copyValue(value, 0, size),
    },
    overlappingSync: false,
    eventTurnBatching: false,
    txnStartThreshold: 1,
    batchStartThreshold: Number.MAX_SAFE_INTEGER,
    mapSize: mapBytes(mapSizeBytes),
    // Free pages that LMDB keeps in a sorted list, where finding and adding one costs time by the list's length. With its own
    // bounds (50,000 and 75,000) a million delayed messages due at scattered times fell behind by seconds.
    maxFreeSpaceToLoad: 4_000,
    maxFreeSpaceToRetain: 6_000,
    permissionsMode: 0o600,
  } as const
  return open(options)
}

/**
 * What LMDB would refuse, refused before it: when it fails to open, 3.5.6 of the package uses memory that it has freed
 * (openEnv and closeEnv in env.cpp), which may kill the process instead of saying why.
 */
function checkFiles(folder: string): void {
  for (const name of [dataFileName, lockFileName]) {
    const path = join(folder, name)
    if (existsSync(path)) accessSync(path, constants.R_OK | constants.W_OK)
  }
  const data = join(folder, dataFileName)
  if (existsSync(data) && statSync(data).size > 0) checkMetaPages(folder, data)
  else if (diskFree(folder) < newStoreBytes) throw noRoomError(folder)
}

/** The two pages a store begins with, as in mdb.c: 24 bytes of page header, then MDB_meta. */
function checkMetaPages(folder: string, data: string): void {
  const descriptor = openSync(data, 'r')
  try {
    const page = Buffer.alloc(52)
    readSync(descriptor, page, 0, page.length, 0)
    const pageBytes = page.readUInt32LE(48)
    for (const position of [0, pageBytes]) {
      const size = readSync(descriptor, page, 0, page.length, position)
      if (size === page.length && page.readUInt32LE(24) === 0xbeefc0de && page.readUInt32LE(28) === 2) continue
      throw damagedError(folder, new Error(`${dataFileName} does not begin as an LMDB file of data version 2`))
    }
  } finally {
    closeSync(descriptor)
  }
}

/** Addresses that the map takes: above the bound on data, as free pages do not always fit what is written. */
function mapBytes(mapSizeBytes: number): number {
  return Math.ceil(mapSizeBytes * 1.25)
}

/** Addresses that "ulimit -v" leaves this process; Infinity without a limit, or where the platform does not say. */
function addressesLeft(): number {
  try {
    const limit = /^Max address space +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    const usedKib = /^VmSize:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    return limit === undefined ? Infinity : Number(limit) - Number(usedKib) * 1024
  } catch {
    return Infinity
  }
}

/** LMDB maps the file and trusts it: past the end of a file that was cut off, reading kills the process. */
function checkWhole(folder: string, database: LmdbDatabase): void {
  const { fileBytes } = lmdbStats(database)
  const { size } = statSync(join(folder, dataFileName))
  if (size >= fileBytes) return
  throw damagedError(folder, new Error(`${dataFileName} has ${size} bytes where ${fileBytes} are in use`))
}

/** Makes sure that the folder's files are found again after a power cut. */
function syncFolder(folder: string): void {
  try {
    const descriptor = openSync(folder, 'r')
    try {
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (cause) {
    // Windows opens no folders, and a parent need not be readable.
    const code = (cause as NodeJS.ErrnoException).code
    if (code !== 'EPERM' && code !== 'EACCES' && code !== 'EISDIR' && code !== 'EINVAL') throw cause
  }
}

/** The same, and of errors of Node, which have a name as `code` and the number beside it, below zero. */
function errnoOf(error: unknown): number | undefined {
  const number = (error as { errno?: unknown }).errno
  return typeof number === 'number' ? -number : codeOf(error)
}

function openingError(folder: string, mapSizeBytes: number, cause: unknown): PocketError {
  if (cause instanceof PocketError) return cause
  switch (errnoOf(cause)) {
    case lmdbCodes.INVALID:
    case lmdbCodes.VERSION_MISMATCH:
    case lmdbCodes.CORRUPTED:
      return damagedError(folder, cause)
    case errno.EPERM:
    case errno.EACCES:
    case errno.EROFS:
      return notPermittedError(folder, cause)
    case errno.ENOSPC:
    case errno.EDQUOT:
      return noRoomError(folder, cause)
    case errno.ENOMEM:
      return unmappableError(folder, mapSizeBytes, cause)
    default:
      // EAGAIN as text: another process holds the lock of this process's own number, from another container.
      if (String(cause).includes('temporarily')) return heldError(folder, 'a process of another container', cause)
      return new PocketError('STORE_FAILED', `the store ${folder} cannot be opened: ${String(cause)}`, { cause })
  }
}

function noRoomError(folder: string, cause?: unknown): PocketError {
  return new PocketError('STORE_FULL', `no room on the disk of ${folder} to open the store: make some`, { cause })
}

function unmappableError(folder: string, mapSizeBytes: number, cause?: unknown): PocketError {
  const text = `the store ${folder} cannot be mapped: set mapSizeBytes below ${mapSizeBytes}, or raise "ulimit -v"`
  return new PocketError('STORE_FAILED', text, { cause })
}

function damagedError(folder: string, cause: unknown): PocketError {
  const text = `the store ${folder} is damaged, or not a store: keep a copy, then put a backup in its place or name ` +
    `another folder (${cause instanceof Error ? cause.message : String(cause)})`
  return new PocketError('STORE_FAILED', text, { cause })
}

function notPermittedError(path: string, cause: unknown): PocketError {
  const text = `no permission to read and write ${path}: give it to the user of this process, or name another folder`
  return new PocketError('STORE_FAILED', text, { cause })
}
