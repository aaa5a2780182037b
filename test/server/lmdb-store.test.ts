// What is LMDB's own beyond the store contract: one process at a time, crashes of real processes, full and failing
// disks, damaged files. Tests that need a tool or rights which are missing are skipped.

import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { PocketError } from '../../core/errors.ts'
import type { CommitOutcome, ReadOutcome, Store, StoreEntry, StoreWrite } from '../../core/ports/store.ts'
import { openLmdbStore } from '../../server/lmdb-store.ts'
import { createSimRandom } from '../sim/sim-random.ts'
import { type LmdbChildLine, recordKey, recordValue } from './lmdb-child.ts'

const runProgram = fileURLToPath(new URL('../../tools/run.mjs', import.meta.url))
const childProgram = fileURLToPath(new URL('./lmdb-child.ts', import.meta.url))
const straceCommand = ['strace', '-f', '-qq', '--seccomp-bpf']
const hasStrace = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0
const hasProc = existsSync('/proc/self/limits')
const isRoot = process.getuid?.() === 0

const scratch = mkdtempSync(join(tmpdir(), 'pocketmq-lmdb-'))
/** A disk of 16 MiB, in memory. */
const mountPoint = mkdtempSync(join(scratch, 'mount-'))
const canMount = isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', mountPoint]).status === 0
let folderCount = 0
const children = new Set<ChildProcessWithoutNullStreams>()
const stores = new Set<Store>()

beforeAll(() => {
  // Bundles the child once, before tests run it against the clock.
  spawnSync(process.execPath, [runProgram, childProgram])
})

afterEach(async () => {
  for (const child of children) {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  children.clear()
  for (const store of stores) await store.close()
  stores.clear()
})

afterAll(() => {
  if (canMount) spawnSync('umount', [mountPoint])
  rmSync(scratch, { recursive: true })
})

describe('one process at a time', () => {
  test('a second process is refused while the first lives, and told who it is', async () => {
    const folder = newFolder()
    const holder = await startHolder(folder)
    expect(() => openLmdbStore({ path: folder })).toThrow(`in use by process ${holder.pid}`)
    const second = childLines(startChild(['hold', folder]))
    expect(await second.next()).toMatchObject({ value: { refused: expect.stringContaining(`process ${holder.pid}`) } })
  })

  test('a process stopped in the middle of a commit holds its store, and nobody waits for it', async () => {
    const folder = newFolder()
    const holder = startChild(['write', folder, '3000000'])
    const lines = childLines(holder)
    for (let count = 0; count < 5; count++) await lines.next()
    // Nearly all of its time is in commits, which hold LMDB's lock for writers.
    holder.kill('SIGSTOP')
    const second = childLines(startChild(['hold', folder]))
    const refused = expect.stringContaining(`process ${holder.pid} on `)
    expect(await second.next()).toMatchObject({ value: { refused } })
    holder.kill('SIGCONT')
  })

  test('after kill -9 of the holder the store opens', async () => {
    const folder = newFolder()
    const holder = await startHolder(folder)
    await kill(holder)
    expect(existsSync(join(folder, 'owner.json'))).toBe(true)
    const store = openStore(folder)
    expect(await commit(store, [{ key: Uint8Array.of(1), value: Uint8Array.of(1) }])).toEqual({ kind: 'durable' })
  })

  test('without the owner file LMDB itself still tells of the other process', async () => {
    const folder = newFolder()
    const holder = await startHolder(folder)
    rmSync(join(folder, 'owner.json'))
    expect(() => openLmdbStore({ path: folder })).toThrow(`in use by process ${holder.pid}`)
    // The refused opening has left the holder its locks: a third one is refused as well.
    const third = childLines(startChild(['hold', folder]))
    expect(await third.next()).toMatchObject({ value: { refused: expect.stringContaining('in use') } })
  })

  test('of processes that open at once, at most one gets the store', async () => {
    for (let round = 0; round < 3; round++) {
      const folder = newFolder()
      const starting = Array.from({ length: 3 }, () => childLines(startChild(['hold', folder])).next())
      const lines = (await Promise.all(starting)).map(({ value }) => value)
      expect(lines.filter((line) => line === 'open').length).toBeLessThanOrEqual(1)
    }
  })

  test('the same process is refused too, until it has closed', async () => {
    const folder = newFolder()
    const store = openStore(folder)
    expect(() => openLmdbStore({ path: folder })).toThrow('in use by this very process')
    await store.close()
    expect(existsSync(join(folder, 'owner.json'))).toBe(false)
    openStore(folder)
  })
})

describe('opening', () => {
  test('makes the folder, also below others and with a dot in its name', async () => {
    const folder = join(newFolder(), 'a', 'relay.data')
    const store = openStore(folder)
    expect(await commit(store, [{ key: Uint8Array.of(1), value: Uint8Array.of(1) }])).toEqual({ kind: 'durable' })
    expect(statSync(join(folder, 'data.mdb')).mode & 0o777).toBe(0o600)
  })

  test('a file in place of the folder is a bad argument', () => {
    const path = newFolder()
    writeFileSync(path, 'text')
    expect(openError(path)).toMatchObject({ code: 'BAD_ARGUMENT', message: expect.stringContaining('another folder') })
    expect(openError(join(path, 'below'))).toMatchObject({ code: 'BAD_ARGUMENT' })
  })

  // Root may write everywhere.
  test.skipIf(isRoot)('a folder that may not be written is told by name', () => {
    const folder = newFolder()
    mkdirSync(folder, { mode: 0o500 })
    expect(openError(folder)).toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('permission') })
  })

  test('a file that is no store, or of which the end is missing, is refused and kept', async () => {
    const folder = newFolder()
    const store = openStore(folder)
    for (let number = 0; number < 20; number++) {
      await commit(store, [{ key: Uint8Array.of(number), value: new Uint8Array(10_000) }])
    }
    await store.close()
    const data = join(folder, 'data.mdb')
    const size = statSync(data).size
    truncateSync(data, size - 8_192)
    expect(openError(folder)).toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('damaged') })
    writeFileSync(data, 'this is no database at all'.repeat(1_000))
    expect(openError(folder)).toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('damaged') })
    expect(readFileSync(data, 'utf8')).toContain('this is no database')
  })

  // The limit is read from /proc, which Linux alone has.
  test.skipIf(!hasProc)('a map beyond "ulimit -v" is refused with advice', async () => {
    const folder = newFolder()
    const limited = ['sh', '-c', 'ulimit -v 60000000 && exec "$0" "$@"']
    const lines = childLines(startChild(['hold', folder], limited))
    expect(await lines.next()).toMatchObject({ value: { refused: expect.stringContaining('ulimit -v') } })
  })

  test('a failed opening leaves the folder free', async () => {
    const folder = newFolder()
    mkdirSync(folder)
    writeFileSync(join(folder, 'data.mdb'), 'x'.repeat(10_000))
    expect(openError(folder)).toMatchObject({ code: 'STORE_FAILED' })
    rmSync(join(folder, 'data.mdb'))
    openStore(folder)
  })
})

describe('kill -9 in the middle of commits', () => {
  test('loses nothing that was answered durable, and keeps commits whole', async () => {
    const random = createSimRandom(11)
    const folder = newFolder()
    for (let round = 0; round < 5; round++) {
      const child = startChild(['write', folder, '30000'])
      const killAfter = 1 + random.below(150)
      let lastDurable = -1
      for await (const line of childLines(child)) {
        if (typeof line === 'object' && 'record' in line) {
          expect(line.outcome).toBe('durable')
          lastDurable = line.record
          // Goes on reading: what it said before it died counts.
          if (line.record === killAfter) child.kill('SIGKILL')
        }
      }
      expect(lastDurable).toBeGreaterThanOrEqual(killAfter)
      await expectRecords(folder, lastDurable, 30_000)
    }
  }, 60_000)
})

describe('a full disk', () => {
  test('beyond mapSizeBytes commits are not written, deleting makes room, and what was durable is there', async () => {
    const folder = newFolder()
    const store = openStore(folder, 2 * 1024 * 1024)
    await fillAndEmpty(store, folder)
  })

  // Only root may mount a disk.
  test.skipIf(!canMount)('on a disk of 16 MiB likewise', async () => {
    const folder = join(mountPoint, 'store')
    const store = openStore(folder)
    const durableCount = await fillAndEmpty(store, folder)
    expect(durableCount).toBeGreaterThan(100)
  })

  // Only root may mount a disk.
  test.skipIf(!canMount)('commits fail while others fill the disk, and no longer', async () => {
    const folder = join(mountPoint, 'other')
    const filler = join(mountPoint, 'filler')
    rmSync(join(mountPoint, 'store'), { recursive: true, force: true })
    const store = openStore(folder)
    expect(await commit(store, record(1, 50_000))).toEqual({ kind: 'durable' })
    spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k'])
    for (let number = 2; number < 12; number++) {
      expect(await commit(store, record(number, 50_000))).toMatchObject({ kind: 'not-written', reason: 'full' })
    }
    expect(store.space().freeBytes).toBeLessThan(1024 * 1024)
    rmSync(filler)
    expect(await commit(store, record(12, 50_000))).toEqual({ kind: 'durable' })
    await store.close()
    expect((await readAll(openStore(folder))).map(({ key }) => key[4])).toEqual([1, 12])
  })

  /** Fills a store, deletes half, writes again, opens it anew; gives how many records fitted. */
  async function fillAndEmpty(store: Store, folder: string): Promise<number> {
    const durable: number[] = []
    let number = 0
    for (;;) {
      const outcome = await commit(store, record(number, 50_000))
      if (outcome.kind !== 'durable') {
        expect(outcome).toMatchObject({ kind: 'not-written', reason: 'full' })
        break
      }
      durable.push(number++)
    }
    expect(await commit(store, record(number, 50_000))).toMatchObject({ reason: 'full' })
    expect((await readAll(store)).map(({ key }) => numberOf(key))).toEqual(durable)

    const deleted = durable.splice(0, Math.ceil(durable.length / 2))
    const deletes = deleted.map((number) => ({ key: recordKey(1, number), value: null }))
    expect(await commit(store, deletes)).toEqual({ kind: 'durable' })
    for (let count = 0; count < deleted.length / 4; count++) {
      expect(await commit(store, record(number, 50_000))).toEqual({ kind: 'durable' })
      durable.push(number++)
    }
    await store.close()
    const reopened = openStore(folder)
    const entries = await readAll(reopened)
    expect(entries.map(({ key }) => numberOf(key))).toEqual(durable)
    for (const { key, value } of entries) expect(value[49_999]).toBe((numberOf(key) * 7) & 0xff)
    await reopened.close()
    return deleted.length
  }
})

// Not every machine has strace, or lets it trace.
describe.skipIf(!hasStrace)('system calls, as strace sees and spoils them', () => {
  test('a commit is one sync and one synced meta page, and is answered after both', async () => {
    const folder = newFolder()
    const log = join(scratch, 'calls.log')
    const slow = 'inject=fdatasync,pwrite64:delay_exit=5000'
    const strace = [...straceCommand, '-e', 'trace=fdatasync,pwrite64,write', '-e', slow, '-o', log]
    const lines = await allLines(startChild(['write', folder, '30000', '10'], strace))
    expect(lines.filter((line) => typeof line === 'object' && 'record' in line)).toHaveLength(10)
    // Of a call that other threads' calls interrupt, strace prints the end on a line of its own: that line counts.
    const ended = readFileSync(log, 'utf8').split('\n').filter((line) => !line.includes('unfinished'))
    const events: string[] = []
    for (const line of ended) {
      if (/fdatasync(\(| resumed).*= 0/.test(line)) events.push('sync')
      // LMDB writes only its meta page in 128 bytes, through a descriptor that syncs.
      else if (/pwrite64(\(| resumed).*= 128\b/.test(line)) events.push('meta')
      else if (/write\(1, "\{.*record/.test(line)) events.push('answer')
    }
    expect(events).toEqual(Array.from({ length: 10 }, () => ['sync', 'meta', 'answer']).flat())
  }, 60_000)

  test.each([
    ['fdatasync:error=EIO:when=6', 'a sync fails'],
    ['pwrite64:error=EIO:when=9', 'a page is not written'],
    ['writev:error=EIO:when=2', 'pages are not written'],
  ])('with %s a commit ends unknown, and what was durable is there', async (fault) => {
    const folder = newFolder()
    // One thread, as strace counts calls by thread.
    const spoiled = ['-e', `trace=${fault.split(':')[0]}`, '-e', `inject=${fault}`]
    const strace = [...straceCommand, ...spoiled, '-o', '/dev/null']
    const lines = await allLines(startChild(['write', folder, '3000', '60'], strace, { UV_THREADPOOL_SIZE: '1' }))
    const outcomes = lines.flatMap((line) => (typeof line === 'object' && 'record' in line ? [line] : []))
    const last = outcomes.at(-1)
    expect(last).toMatchObject({ outcome: 'unknown' })
    expect(outcomes.length).toBeLessThan(60)
    expect(lines.at(-1)).toBe('end')
    await expectRecords(folder, outcomes.length - 2, 3_000)
  }, 60_000)
})

describe('reading', () => {
  test('many large reads leave turns of the event loop to others', async () => {
    const store = openStore(newFolder())
    await commit(store, Array.from({ length: 8 }, (_, index) => ({
      key: Uint8Array.of(index), value: new Uint8Array(2 * 1024 * 1024),
    })))
    let turns = 0
    let answered = 0
    const tick = (): void => {
      turns++
      if (answered < 20) setImmediate(tick)
    }
    setImmediate(tick)
    for (let count = 0; count < 20; count++) {
      store.read({ from: new Uint8Array(0), to: Uint8Array.of(255), bytesMax: 2 * 1024 * 1024 }, () => answered++)
    }
    await vi.waitFor(() => expect(answered).toBe(20))
    expect(turns).toBeGreaterThanOrEqual(10)
  })
})

function newFolder(): string {
  return join(scratch, `store-${folderCount++}`)
}

function openStore(folder: string, mapSizeBytes?: number): Store {
  const store = openLmdbStore({ path: folder, ...(mapSizeBytes !== undefined && { mapSizeBytes }) })
  stores.add(store)
  return store
}

function openError(path: string): PocketError {
  try {
    openStore(path)
  } catch (error) {
    if (error instanceof PocketError) return error
    throw error
  }
  throw new Error('it opened')
}

function commit(store: Store, writes: readonly StoreWrite[]): Promise<CommitOutcome> {
  return new Promise((resolve) => store.commit(writes, resolve))
}

function record(number: number, valueBytes: number): StoreWrite[] {
  return [{ key: recordKey(1, number), value: recordValue(number, valueBytes) }]
}

async function readAll(store: Store, kind = 1): Promise<readonly StoreEntry[]> {
  const range = { from: Uint8Array.of(kind), to: Uint8Array.of(kind + 1) }
  const outcome = await new Promise<ReadOutcome>((resolve) => store.read(range, resolve))
  if (outcome.kind === 'failed') throw outcome.cause
  return outcome.entries
}

function numberOf(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(1)
}

/** Opens what a child wrote: records 0 to `lastDurable` and perhaps some more, each commit whole. */
async function expectRecords(folder: string, lastDurable: number, valueBytes: number): Promise<void> {
  const store = openStore(folder)
  const records = await readAll(store, 1)
  expect(records.length).toBeGreaterThan(lastDurable)
  for (const [number, { key, value }] of records.entries()) {
    expect(numberOf(key)).toBe(number)
    expect(Buffer.compare(value, recordValue(number, valueBytes))).toBe(0)
  }
  const small = await readAll(store, 3)
  expect(small.map(({ key }) => numberOf(key))).toEqual(records.map(({ key }) => numberOf(key)))
  const [counter] = await readAll(store, 2)
  if (records.length > 0) expect(counter?.value).toSatisfy((value: Uint8Array) => numberOf(value) >= lastDurable)
  await store.close()
  stores.delete(store)
}

function startChild(
  args: readonly string[],
  wrapper: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): ChildProcessWithoutNullStreams {
  const [command = '', ...rest] = [...wrapper, process.execPath, runProgram, childProgram, ...args]
  const child = spawn(command, rest, { env: { ...process.env, ...env } })
  children.add(child)
  return child
}

async function startHolder(folder: string): Promise<ChildProcessWithoutNullStreams> {
  const holder = startChild(['hold', folder])
  expect(await childLines(holder).next()).toMatchObject({ value: 'open' })
  return holder
}

async function kill(child: ChildProcessWithoutNullStreams): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function* childLines(child: ChildProcessWithoutNullStreams): AsyncGenerator<LmdbChildLine, void> {
  // LMDB prints there what faults it meets: of interest only where the child says nothing.
  let errors = ''
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()))
  let count = 0
  for await (const line of createInterface(child.stdout)) {
    // Cut off when it was killed while it wrote.
    if (line.endsWith('}') || line.endsWith('"')) yield JSON.parse(line) as LmdbChildLine
    count++
  }
  if (count === 0) throw new Error(`the child said nothing but ${errors}`)
}

async function allLines(child: ChildProcessWithoutNullStreams): Promise<LmdbChildLine[]> {
  const lines: LmdbChildLine[] = []
  for await (const line of childLines(child)) lines.push(line)
  return lines
}
