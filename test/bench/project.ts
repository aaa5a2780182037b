// Where things are: the project's folder, wherever the runner put the compiled bench, and a folder for durable
// data on a real disk.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tmpdir } from 'node:os'

/** The folder of the package `pocketmq`, looked for upwards from this file and from the current folder. */
export function findProjectFolder(): string {
  for (const start of [dirname(fileURLToPath(import.meta.url)), process.cwd()]) {
    for (let folder = start; ; folder = dirname(folder)) {
      const file = join(folder, 'package.json')
      if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name === 'pocketmq') {
        return folder
      }
      if (dirname(folder) === folder) break
    }
  }
  throw new Error('run the bench inside the PocketMQ project')
}

export interface DataFolder {
  readonly path: string
  /** Set when no real disk was found: synced figures are then not those of a disk. */
  readonly inMemory: boolean
  /** Removes the folder and all in it. */
  remove(): void
}

/** A new folder for what the servers store: in the system's temporary folder unless that lies in memory. */
export function createDataFolder(projectFolder: string): DataFolder {
  const candidates = [tmpdir(), join(projectFolder, 'node_modules', '.cache')]
  const parent = candidates.find((folder) => !isInMemory(folder)) ?? tmpdir()
  mkdirSync(parent, { recursive: true })
  const path = mkdtempSync(join(parent, 'pocketmq-bench-'))
  return {
    path,
    inMemory: isInMemory(path),
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  }
}

// The file systems of Linux that live in memory, by their magic numbers (statfs(2)): tmpfs and ramfs.
const inMemoryTypes: ReadonlySet<number> = new Set([0x0102_1994, 0x8584_58f6])

function isInMemory(folder: string): boolean {
  return existsSync(folder) && process.platform === 'linux' && inMemoryTypes.has(statfsSync(folder).type)
}
