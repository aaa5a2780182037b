// The pages of the benchmark as an application ships them: built by Vite for production over the package's own modules of
// dist/web, and served by Vite. Isolated from other origins, which makes their clocks fine.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Plugin, preview } from 'vite'

export interface ServedPages {
  readonly url: string
  close(): Promise<void>
}

/** Builds into `folder`; `isReadable`: from the sources, with the names that a CPU profile should show. */
export async function servePages(projectFolder: string, folder: string, isReadable = false): Promise<ServedPages> {
  const tools = await import(pathToFileURL(join(projectFolder, 'tools/build.mjs')).href) as { ensureWebBuilt(): void }
  tools.ensureWebBuilt()
  const root = join(projectFolder, 'test/bench-browser/pages')
  const shared = { root, configFile: false, logLevel: 'warn' } as const
  await build({
    ...shared,
    plugins: isReadable ? [] : [publishedDoor(join(projectFolder, 'dist/web/index.js'))],
    worker: { format: 'es' },
    build: { outDir: folder, emptyOutDir: true, target: 'es2022', reportCompressedSize: false, minify: !isReadable },
  })
  const server = await preview({
    ...shared,
    build: { outDir: folder },
    preview: {
      port: 0,
      host: '127.0.0.1',
      headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
    },
  })
  const address = server.httpServer.address()
  if (address === null || typeof address === 'string') throw new Error('the pages are served nowhere')
  return { url: `http://localhost:${address.port}/`, close: () => server.close() }
}

/** The page names the source, whose types it has; what is measured is what users get. */
function publishedDoor(path: string): Plugin {
  return {
    name: 'published-door',
    enforce: 'pre',
    resolveId: (source) => (source.endsWith('/web-client/index.ts') ? path : null),
  }
}
