// Builds dist/pages/: the demo and the console, each a folder of static files with relative addresses, so that a relay or any
// static host may serve it. build.mjs runs it.

import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { argv } from 'node:process'
import { build } from 'vite'
import { isMain, root } from './ensure-installed.mjs'

/** Page -> the folder of its index.html. */
export const pages = { demo: 'demo/sale', console: 'demo/console' }

/**
 * @param {{ buildId: string, outDir?: string, only?: keyof typeof pages }} options `buildId` tells one build from another:
 * pages and workers of two deploys meet in one browser.
 */
export async function buildPages({ buildId, outDir = join(root, 'dist/pages'), only }) {
  rmSync(outDir, { recursive: true, force: true })
  for (const [name, source] of Object.entries(pages)) {
    if (only !== undefined && name !== only) continue
    await build({
      root: join(root, source),
      configFile: false,
      logLevel: 'warn',
      base: './',
      // See web-client/hosts/build.ts.
      define: { POCKETMQ_BUILD: JSON.stringify(buildId) },
      oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
      worker: { format: 'es' },
      build: {
        // As old as the shared workers that run modules everywhere.
        target: 'es2022',
        outDir: join(outDir, name),
        emptyOutDir: true,
        reportCompressedSize: false,
        // The pages' security policy lets in files of their own origin and nothing written into the page.
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
      },
    })
  }
}

if (isMain(import.meta.url)) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  await buildPages({ buildId: `${version}+${(argv[2] ?? 'local').slice(0, 12)}` })
}
