// The peers' packages live apart in peers/, so that installing PocketMQ stays small. The bench installs them when
// it needs them, and loads them from there. Types of what is used stand in the systems' files: the project must
// compile without the peers.

import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

import { findProjectFolder } from './project.ts'

const run = promisify(execFile)

/** Installs what peers/package-lock.json names, unless it is there. Throws with a one-line reason where npm fails. */
export async function installPeers(report: (line: string) => void): Promise<void> {
  const folder = peersFolder()
  const stampFile = join(folder, 'node_modules', '.bench-stamp')
  const stamp = createHash('sha256').update(readFileSync(join(folder, 'package-lock.json'))).digest('hex')
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return
  report('installing the peers (test/bench/peers) …')
  try {
    // One package of the NATS client asks for Node 22 and works on 20: errors only.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    await run('npm', args, { cwd: folder, shell: process.platform === 'win32' })
  } catch (error) {
    const text = (error as { stderr?: string }).stderr ?? String(error)
    throw new Error(`npm ci failed: ${text.trim().split('\n')[0]}`, { cause: error })
  }
  writeFileSync(stampFile, stamp)
}

/** Loads one of the peers' packages. `Module` states the part of it that the caller uses. */
export async function loadPeer<Module>(name: string): Promise<Module> {
  const resolved = createRequire(join(peersFolder(), 'package.json')).resolve(name)
  return (await import(pathToFileURL(resolved).href)) as Module
}

/** The version of a package as the lockfile of the peers or of the project pins it. */
export function pinnedVersion(name: string): string {
  for (const folder of [peersFolder(), findProjectFolder()]) {
    const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version?: string }>
    }
    const version = lock.packages[`node_modules/${name}`]?.version
    if (version !== undefined) return version
  }
  return 'unknown'
}

function peersFolder(): string {
  return join(findProjectFolder(), 'test', 'bench', 'peers')
}
