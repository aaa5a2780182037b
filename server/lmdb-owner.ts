// Who has a store's folder: LMDB itself lets several processes write, and two relays on one log would each overwrite
// what the other acknowledged. Two guards. The owner file names the holder, so that a second relay is refused before it
// touches anything. And LMDB's reader table, which works by locks of the operating system that end with their process,
// decides where the file cannot: copied folders, other containers, two relays that start at once.

import { readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { PocketError } from '../core/errors.ts'

const ownerFileName = 'owner.json'

/** A process, told apart from a later one of the same number. Empty where the platform does not tell. */
interface ProcessIdentity {
  readonly pid: number
  readonly bootId: string
  /** Clock ticks from boot to the process's start. */
  readonly startTicks: string
  /** The space its number belongs to: a container has its own. */
  readonly pidSpace: string
}

interface OwnerRecord extends ProcessIdentity {
  readonly host: string
  readonly since: string
}

/** Folders that this process has open, by real path; on `globalThis` as a process may load this module twice. */
const openFolders = ((globalThis as Record<symbol, unknown>)[Symbol.for('pocketmq.openFolders')] ??=
  new Set()) as Set<string>

/**
 * Takes `folder` (a real path) for this process, or throws STORE_FAILED naming who has it. Not final before
 * {@link checkReaders} agreed and {@link writeOwner} was called.
 */
export function claimFolder(folder: string): void {
  if (openFolders.has(folder)) throw heldError(folder, 'this very process')
  const owner = readOwner(folder)
  if (owner !== null && owner.pid !== process.pid && isRunning(owner)) {
    throw heldError(folder, `process ${owner.pid} on ${owner.host}, since ${owner.since}`)
  }
  openFolders.add(folder)
}

/** Throws STORE_FAILED where LMDB's reader table, given as LMDB prints it, shows another living process. */
export function checkReaders(folder: string, readerList: string): void {
  for (const [, pid] of readerList.matchAll(/^ *(\d+) +[0-9a-f]+ /gm)) {
    if (Number(pid) !== process.pid) throw heldError(folder, `process ${pid}`)
  }
}

/** Writes down that this process has the folder. */
export function writeOwner(folder: string): void {
  const owner: OwnerRecord = { ...ownIdentity(), host: hostname(), since: new Date().toISOString() }
  const path = join(folder, ownerFileName)
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(owner)}\n`)
  renameSync(draft, path)
}

/** Gives the folder up; the owner file goes if it is this process's. */
export function releaseFolder(folder: string): void {
  openFolders.delete(folder)
  const owner = readOwner(folder)
  if (owner?.pid === process.pid && owner.startTicks === ownIdentity().startTicks) {
    rmSync(join(folder, ownerFileName), { force: true })
  }
}

/** That the folder is in use; `holder` says by whom, as far as is known. */
export function heldError(folder: string, holder: string, cause?: unknown): PocketError {
  const text = `the store ${folder} is in use by ${holder}: stop that one first, or give this one another folder`
  return new PocketError('STORE_FAILED', text, { cause })
}

function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, bootId: bootId(), startTicks: startTicks('self'), pidSpace: pidSpace() }
}

/** Whether exactly that process is alive. In doubt it is not: the reader table decides then. */
function isRunning(owner: OwnerRecord): boolean {
  if (owner.startTicks === '' || owner.bootId !== bootId() || owner.pidSpace !== pidSpace()) return false
  return startTicks(String(owner.pid)) === owner.startTicks
}

function readOwner(folder: string): OwnerRecord | null {
  try {
    return JSON.parse(readFileSync(join(folder, ownerFileName), 'utf8')) as OwnerRecord
  } catch {
    // Not there, or cut off by a crash: it is information only.
    return null
  }
}

function bootId(): string {
  return readProc(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
}

/** Field 22 of proc(5)'s stat; the name in field 2 may hold spaces and brackets. A zombie holds nothing any more. */
function startTicks(process: string): string {
  return readProc(() => {
    const stat = readFileSync(`/proc/${process}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '')
  })
}

function pidSpace(): string {
  return readProc(() => readlinkSync('/proc/self/ns/pid'))
}

function readProc(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
