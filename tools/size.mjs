// Prints what a page downloads: each door of dist/web as an application's bundler would put it in, minified and gzipped,
// beside what it may be. Plain Node: `npm run size`; a test holds the figures to the bounds.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stdout } from 'node:process'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { ensureWebBuilt } from './build.mjs'
import { isMain, root } from './ensure-installed.mjs'

/** KiB of gzip. Raise one only with a reason in the changelog. */
export const sizeBounds = {
  'pocketmq/web': 12.5,
  'pocketmq/worker': 136,
  'pocketmq/react': 1,
  'pocketmq/handled': 1,
}

const doorFiles = { 'pocketmq/web': 'index.js', 'pocketmq/react': 'react.js', 'pocketmq/handled': 'handled.js' }

/** Bytes by door: of what is loaded at once, and of what is loaded later, if ever. */
export async function measureSizes() {
  ensureWebBuilt()
  const web = join(root, 'dist/web')
  /** @type {Record<string, { now: number, gzip: number, later: number }>} */
  const sizes = {}
  for (const [door, file] of Object.entries(doorFiles)) {
    const result = await build({
      root,
      configFile: false,
      logLevel: 'error',
      plugins: [{ name: 'worker-stays-outside', enforce: 'pre', transform: (code) => hideWorker(code) }],
      build: {
        write: false,
        minify: false,
        target: 'es2022',
        reportCompressedSize: false,
        // As a library, or the figure would hold Vite's own preloading, which an application has anyhow.
        lib: { entry: join(web, file), formats: ['es'] },
        // Applications' bundles have no marks for bundlers; libraries keep them.
        rolldownOptions: { external: ['react'], output: { minify: true, comments: { annotation: false } } },
      },
    })
    const { output } = /** @type {import('vite').Rolldown.RolldownOutput} */ (Array.isArray(result) ? result[0] : result)
    const chunks = output.flatMap((part) => (part.type === 'chunk' ? [part] : []))
    const entry = chunks.find((chunk) => chunk.isEntry)
    if (entry === undefined) throw new Error(`${door} has no entry`)
    const loaded = new Set([entry.fileName])
    for (const name of loaded) for (const next of chunks.find((chunk) => chunk.fileName === name)?.imports ?? []) loaded.add(next)
    const codeOf = (/** @type {boolean} */ isNow) => chunks
      .filter((chunk) => loaded.has(chunk.fileName) === isNow).map((chunk) => chunk.code).join('\n')
    sizes[door] = { now: codeOf(true).length, gzip: gzipSize(codeOf(true)), later: gzipSize(codeOf(false)) }
  }
  const worker = readFileSync(join(web, 'worker.js'))
  sizes['pocketmq/worker'] = { now: worker.length, gzip: gzipSize(worker), later: 0 }
  return sizes
}

/** @param {string} code */
function hideWorker(code) {
  const hidden = code.replaceAll(/new URL\('\.\.?\/worker\.js', import\.meta\.url\)/g, '"worker.js"')
  return hidden === code ? null : { code: hidden, map: null }
}

/** @param {string | Uint8Array} code */
function gzipSize(code) {
  return code.length === 0 ? 0 : gzipSync(code, { level: 9 }).length
}

if (isMain(import.meta.url)) {
  const kib = (/** @type {number} */ size) => (size / 1024).toFixed(1).padStart(7)
  stdout.write('KiB                minified     gzip    bound   later (gzip)\n')
  for (const [door, { now, gzip, later }] of Object.entries(await measureSizes())) {
    const bound = sizeBounds[/** @type {keyof typeof sizeBounds} */ (door)]
    stdout.write(`${door.padEnd(18)} ${kib(now)}  ${kib(gzip)}  ${String(bound).padStart(7)} ${later === 0 ? '' : kib(later)}\n`)
  }
}
