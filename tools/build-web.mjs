// Builds dist/web/: the doors for pages as plain modules, and the engine as files of its own, each small and with all it
// needs in it, so that the worker may be bundled, or be copied beside a page as it is. build.mjs runs it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { argv } from 'node:process'
import { build } from 'vite'
import { isMain, root } from './ensure-installed.mjs'

/** Door -> its source. */
export const webDoors = {
  index: 'web-client/index.ts',
  react: 'web-client/react.ts',
  handled: 'web-client/handled-messages.ts',
}
/** The engine as a worker, and as what a page loads where there are no workers. */
const engines = { worker: 'web-client/worker.ts', inline: 'web-client/hosts/inline-host.ts' }

/** As old as the shared workers that run modules everywhere. */
const target = 'es2022'
/** Where the sources name the worker; bundlers must find the three tokens together in what is published, too. */
const workerUrl = /new URL\('\.\.\/worker\.ts', import\.meta\.url\)/g
const workerMark = 'POCKETMQ_WORKER_URL'

/**
 * @param {{ buildId: string, outDir?: string }} options `buildId` tells one build from another: pages and workers of two
 * deploys meet in one browser.
 */
export async function buildWeb({ buildId, outDir = join(root, 'dist/web') }) {
  /** @type {import('vite').InlineConfig} */
  const common = {
    root,
    configFile: false,
    logLevel: 'warn',
    // See web-client/hosts/build.ts.
    define: { POCKETMQ_BUILD: JSON.stringify(buildId) },
  }
  /** @type {import('vite').BuildOptions} */
  const output = { target, outDir, sourcemap: true, reportCompressedSize: false }
  await build({
    ...common,
    plugins: [publishedNeighbours()],
    build: {
      ...output,
      emptyOutDir: true,
      minify: false,
      // A library: what is imported later stays as it is written, with no preloading that belongs to applications.
      lib: { entry: webDoors, formats: ['es'] },
      rolldownOptions: { external: ['react'], output: { entryFileNames: '[name].js' } },
    },
  })
  // Each with the whole engine in it, and apart from the doors: what the two have in common would else be a third file
  // that pages load, with all that only the engine wants of it.
  for (const [name, source] of Object.entries(engines)) {
    await build({
      ...common,
      build: {
        ...output,
        emptyOutDir: false,
        minify: false,
        lib: { entry: { [name]: source }, formats: ['es'] },
        rolldownOptions: {
          // Licenses stay; marks for bundlers are of no use in what is minified already.
          output: { entryFileNames: '[name].js', codeSplitting: false, minify: true, comments: { annotation: false } },
        },
      },
    })
  }
}

/**
 * Keeps the engine out of the page's build: what is published names the files beside it.
 * @returns {import('vite').Plugin}
 */
function publishedNeighbours() {
  return {
    name: 'published-neighbours',
    enforce: 'pre',
    resolveId: (id) => (id === './inline-host.ts' ? { id: './inline.js', external: true } : null),
    transform(code) {
      const marked = code.replaceAll(workerUrl, workerMark)
      return marked === code ? null : { code: marked, map: null }
    },
    renderChunk: (code) => (code.includes(workerMark)
      ? { code: code.replaceAll(workerMark, "new URL('./worker.js', import.meta.url)"), map: null }
      : null),
  }
}

if (isMain(import.meta.url)) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  await buildWeb({ buildId: `${version}+${(argv[2] ?? 'local').slice(0, 12)}` })
}
