// Builds dist/: the modules for Node (vite), those for pages (build-web.mjs), the demo (build-pages.mjs) and,
// for the package, declarations (tsc). `node tools/build.mjs` makes all; `ensureBuilt()`, `ensureWebBuilt()` and
// `ensurePagesBuilt()` make the files of their side alone, and only when a source has changed since. The hash of the sources
// a build was made from stands in its .stamp.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execPath, stderr } from 'node:process'
import { ensureInstalled, fail, isMain, root } from './ensure-installed.mjs'

const dist = join(root, 'dist')
const stampPath = join(dist, '.stamp')
const webStampPath = join(dist, 'web/.stamp')
const pagesStampPath = join(dist, 'pages/.stamp')

/** Files and directories whose contents decide what a build contains. */
const sources = ['core', 'server', 'package.json', 'package-lock.json', 'vite.config.ts', 'tsconfig.base.json']
const webSources = ['core', 'web-client', 'package.json', 'package-lock.json', 'tools/build-web.mjs']
const pagesSources = ['core', 'web-client', 'demo', 'package.json', 'package-lock.json', 'tools/build-pages.mjs']

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
  if (existsSync(join(dist, 'cli.js')) && readStamp(stampPath) === hash) return
  timed('PocketMQ', () => buildModules(hash))
}

/** The same for what pages load. */
export function ensureWebBuilt() {
  const hash = hashFiles(webSources)
  if (existsSync(join(dist, 'web/worker.js')) && readStamp(webStampPath) === hash) return
  timed('PocketMQ for pages', () => buildWebModules(hash))
}

/** The same for the demo and the console. */
export function ensurePagesBuilt() {
  const hash = hashFiles(pagesSources)
  if (existsSync(join(dist, 'pages/demo/index.html')) && readStamp(pagesStampPath) === hash) return
  timed('the demo', () => buildPages(hash))
}

/** @param {string} what @param {() => void} work */
function timed(what, work) {
  stderr.write(`Building ${what} ... `)
  const startedMs = Date.now()
  work()
  stderr.write(`done in ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`)
}

/** @param {string} path */
function readStamp(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

/** @param {string} hash of the sources */
function buildModules(hash) {
  // Not by the bundler's `emptyOutDir`: these are other builds'.
  const others = new Set(['web', 'pages'])
  for (const name of readEntries('dist') ?? []) if (!others.has(name)) rmSync(join(dist, name), { recursive: true, force: true })
  // In a process of its own: the bundler's memory must not stay in a relay that starts next.
  run('vite/bin/vite.js', ['build', '--logLevel', 'warn'], 'vite build')
  writeFileSync(stampPath, hash)
}

/** @param {string} hash of the sources */
function buildWebModules(hash) {
  const result = spawnSync(execPath, [join(root, 'tools/build-web.mjs'), hash], { cwd: root, stdio: ['ignore', 2, 2] })
  if (result.status !== 0) fail('the build for pages failed; the reason is above')
  writeFileSync(webStampPath, hash)
}

/** @param {string} hash of the sources */
function buildPages(hash) {
  const result = spawnSync(execPath, [join(root, 'tools/build-pages.mjs'), hash], { cwd: root, stdio: ['ignore', 2, 2] })
  if (result.status !== 0) fail('the build of the demo failed; the reason is above')
  writeFileSync(pagesStampPath, hash)
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
  buildWebModules(hashFiles(webSources))
  buildPages(hashFiles(pagesSources))
  buildDeclarations()
}
