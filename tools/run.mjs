// Runs a TypeScript program of this repository: `node tools/run.mjs server/main.ts topic list`. The program is
// bundled into one plain module (bundle.mjs) and imported into this very process, so it runs at V8's full speed,
// with this process's id, signals and exit code. A bundle is kept until a source changes: starting again is instant.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { hashFiles } from './build.mjs'
import { ensureInstalled, fail, root } from './ensure-installed.mjs'

/** Files and directories that a program can be made of. */
const sources = ['core', 'server', 'web-client', 'test', 'package.json', 'package-lock.json', 'tools/bundle.mjs']

const [entryArgument, ...args] = process.argv.slice(2)
if (entryArgument === undefined) fail('usage: node tools/run.mjs FILE.ts [ARGUMENT ...]')
const entry = resolve(entryArgument)
if (!existsSync(entry)) fail(`no such file: ${entryArgument}`)
ensureInstalled()

const cache = join(root, 'node_modules', '.cache', 'pocketmq')
const name = relative(root, entry).replace(/\.ts$/, '').replace(/[^\w]+/g, '-')
const bundle = join(cache, hashFiles([...sources, relative(root, entry)]).slice(0, 16), `${name}.mjs`)
if (!existsSync(bundle)) {
  // In a process of its own: the bundler's memory must not count in a program that measures itself.
  const bundler = fileURLToPath(new URL('./bundle.mjs', import.meta.url))
  const result = spawnSync(process.execPath, [bundler, entry, bundle], { cwd: root, stdio: ['ignore', 2, 2] })
  if (result.status !== 0) fail(`could not bundle ${entryArgument}; the reason is above`)
}

process.argv = [process.execPath, entry, ...args]
process.setSourceMapsEnabled(true)
await import(pathToFileURL(bundle).href)
