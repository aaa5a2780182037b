// Serves pages of test/e2e/pages/ from their sources with Vite's dev server, as an application's developer has them, and
// opens tabs on them. A page offers its test functions as `window.probe`.

import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { createServer, type Plugin } from 'vite'
import { insecureHost } from './browsers.ts'

const root = join(import.meta.dirname, '../../..')

export interface PageServer {
  /** `http://localhost:…`: a secure context. */
  readonly origin: string
  /** The same pages without a secure context; `launchChromium` resolves the name. */
  readonly insecureOrigin: string
  /** Address of the page that runs `test/e2e/pages/<page>.ts`. */
  urlOf(page: string, query?: Readonly<Record<string, string>>): string
  close(): Promise<void>
}

/** `/pages/<page>` is an empty document with that page's script. */
export async function servePages(options: { readonly define?: Readonly<Record<string, string>> } = {}): Promise<PageServer> {
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    appType: 'custom',
    define: { ...options.define },
    plugins: [documents()],
    // A reload in the middle of a test, because a dependency was found late, would be a fault of the test.
    optimizeDeps: { include: ['comlink', 'idb'], entries: ['test/e2e/pages/*.ts'] },
    cacheDir: join(root, 'node_modules/.vite-e2e'),
    server: { port: 0, host: '127.0.0.1', hmr: false, watch: null, allowedHosts: [insecureHost] },
  })
  await server.listen()
  const address = server.httpServer?.address()
  const { port } = address as AddressInfo
  const origin = `http://localhost:${port}`
  return {
    origin,
    insecureOrigin: `http://${insecureHost}:${port}`,
    urlOf: (page, query = {}) => `${origin}/pages/${page}?${new URLSearchParams(query).toString()}`,
    close: () => server.close(),
  }
}

function documents(): Plugin {
  return {
    name: 'e2e-documents',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const page = /^\/pages\/([a-z0-9-]+)(\?|$)/.exec(request.url ?? '')?.[1]
        if (page === undefined) {
          next()
          return
        }
        response.setHeader('content-type', 'text/html')
        response.end(page === 'blank'
          ? '<!doctype html><title>blank</title>'
          : `<!doctype html><title>${page}</title><script type="module" src="/test/e2e/pages/${page}.ts"></script>`)
      })
    },
  }
}

export interface Tab<Probe> {
  readonly page: Page
  /** Calls a function of the page's probe with plain data. */
  call<K extends keyof Probe>(
    name: K, ...args: Probe[K] extends (...args: infer A) => unknown ? A : never
  ): Promise<Probe[K] extends (...args: never[]) => infer R ? Awaited<R> : never>
  close(): Promise<void>
  reload(): Promise<void>
}

/** Opens a tab and waits until its probe is there. What the page throws fails the next call. */
export async function openTab<Probe>(context: BrowserContext, url: string): Promise<Tab<Probe>> {
  const page = await context.newPage()
  const thrown: Error[] = []
  page.on('pageerror', (error) => {
    // Firefox reports what it could not load in the same way as what a page threw.
    if (!error.message.startsWith('Loading Worker from')) thrown.push(error)
  })
  const ready = () => page.waitForFunction(() => 'probe' in window)
  await page.goto(url)
  await ready()
  return {
    page,
    async call(name, ...args) {
      if (thrown.length > 0) throw new Error(`the page threw: ${String(thrown[0]?.stack)}`)
      return page.evaluate(
        ([name, args]) => {
          const { probe } = window as unknown as { probe: Record<string, (...args: unknown[]) => unknown> }
          return probe[name as string]?.(...args as unknown[])
        },
        [name, args] as const,
      ) as never
    },
    close: () => page.close(),
    async reload() {
      await page.reload()
      await ready()
    },
  }
}
