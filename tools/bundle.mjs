// Bundles one TypeScript program and its relative imports into a single module for run.mjs: packages stay imports,
// and `import.meta` keeps speaking of the source file, not of the bundle.
// Usage: node bundle.mjs ENTRY.ts OUTPUT.mjs

import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { argv, pid } from 'node:process'
import { pathToFileURL } from 'node:url'
import { build, transformWithOxc } from 'vite'
import { root } from './ensure-installed.mjs'

const bundleAgeMsMax = 24 * 3600 * 1000

const [, , entry, output] = argv
if (entry === undefined || output === undefined) throw new Error('usage: node bundle.mjs ENTRY.ts OUTPUT.mjs')

// Built aside and moved into place, so that two programs that start at once never see half a file. The place is as
// deep as the final one: source maps hold relative paths.
const cache = dirname(dirname(output))
const scratch = join(cache, `scratch-${pid}`)

await build({
  root,
  configFile: false,
  logLevel: 'warn',
  plugins: [sourceImportMeta()],
  ssr: { target: 'node', external: true },
  build: {
    ssr: entry,
    target: 'node20.19',
    outDir: scratch,
    emptyOutDir: true,
    sourcemap: true,
    minify: false,
    rolldownOptions: {
      output: { entryFileNames: basename(output), codeSplitting: false },
    },
  },
})
mkdirSync(dirname(output), { recursive: true })
renameSync(join(scratch, `${basename(output)}.map`), `${output}.map`)
renameSync(join(scratch, basename(output)), output)
rmSync(scratch, { recursive: true })
removeOldBundles()

/** Replaces `import.meta.url`, `.filename` and `.dirname` by those of the source. @returns {import('vite').Plugin} */
function sourceImportMeta() {
  return {
    name: 'source-import-meta',
    enforce: 'pre',
    transform(code, id) {
      if (id.startsWith('\0') || !code.includes('import.meta.')) return null
      const define = {
        'import.meta.url': JSON.stringify(pathToFileURL(id).href),
        'import.meta.filename': JSON.stringify(id),
        'import.meta.dirname': JSON.stringify(dirname(id)),
      }
      return transformWithOxc(code, id, { define, sourcemap: true })
    },
  }
}

function removeOldBundles() {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name)
    // Another program that starts right now may have removed it already.
    const changedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity
    if (Date.now() - changedMs > bundleAgeMsMax) rmSync(path, { recursive: true, force: true })
  }
}
