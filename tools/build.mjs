// Builds dist/: the modules (vite) and, for the package, their declarations (tsc). `node tools/build.mjs` makes
// both; `ensureBuilt()` makes the modules alone, and only when a source has changed since. The hash of the sources a
// build was made from stands in dist/.stamp.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execPath, stderr } from 'node:process'
import { ensureInstalled, fail, isMain, root } from './ensure-installed.mjs'

const dist = join(root, 'dist')
const stampPath = join(dist, '.stamp')

/** Files and directories whose contents decide what a build contains. */
const sources = ['core', 'server', 'package.json', 'package-lock.json', 'vite.config.ts', 'tsconfig.base.json']

/** Hash of the named files' paths and contents. @param {readonly string[]} paths relative to the root */
export function hashFiles(paths) {
  const hash = createHash('sha256')
  for (const path of listFiles(paths)) {
    const content = readFileSync(join(root, path))
    hash.update(`${path}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

/** @param {readonly string[]} paths files or directories @returns {string[]} files, sorted */
function listFiles(paths) {
  /** @type {string[]} */
  const files = []
  for (const path of paths) {
    if (path.endsWith('/node_modules')) continue
    const entries = readEntries(path)
    if (entries !== undefined) files.push(...listFiles(entries.map((name) => `${path}/${name}`)))
    else if (existsSync(join(root, path))) files.push(path)
  }
  return files.sort()
}

/** @param {string} path @returns {string[] | undefined} undefined when it is not a directory */
function readEntries(path) {
  try {
    return readdirSync(join(root, path))
  } catch {
    return undefined
  }
}

/** Builds the modules when they are older than the sources; ends the process when that fails. */
export function ensureBuilt() {
  const hash = hashFiles(sources)
  if (existsSync(join(dist, 'cli.js')) && readStamp() === hash) return
  stderr.write('Building PocketMQ ... ')
  const startedMs = Date.now()
  buildModules(hash)
  stderr.write(`done in ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`)
}

function readStamp() {
  return existsSync(stampPath) ? readFileSync(stampPath, 'utf8') : undefined
}

/** @param {string} hash of the sources */
function buildModules(hash) {
  // In a process of its own: the bundler's memory must not stay in a relay that starts next.
  run('vite/bin/vite.js', ['build', '--logLevel', 'warn'], 'vite build')
  writeFileSync(stampPath, hash)
}

function buildDeclarations() {
  run('typescript/bin/tsc', ['-p', 'tsconfig.build.json'], 'tsc')
}

/**
 * Runs a tool of node_modules with its output shown on stderr.
 * @param {string} script @param {readonly string[]} args @param {string} name
 */
function run(script, args, name) {
  const result = spawnSync(execPath, [join(root, 'node_modules', script), ...args], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })
  if (result.status !== 0) fail(`\`${name}\` failed; the reason is above`)
}

if (isMain(import.meta.url)) {
  ensureInstalled()
  buildModules(hashFiles(sources))
  buildDeclarations()
}
