// `npm start`: installs what is missing, builds what is stale, and becomes the relay (`pocketmq serve`); arguments
// after `--` are passed on. The relay runs in this very process, so signals and exit codes are its own.

import { join } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { ensureBuilt, ensurePagesBuilt } from './build.mjs'
import { ensureInstalled, root } from './ensure-installed.mjs'

ensureInstalled()
ensureBuilt()
ensurePagesBuilt()

const cli = join(root, 'dist', 'cli.js')
process.argv = [process.execPath, cli, 'serve', ...process.argv.slice(2)]
process.setSourceMapsEnabled(true)
await import(pathToFileURL(cli).href)
