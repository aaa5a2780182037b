// The README's example for the browser, as it stands: in two tabs with no server, and on two devices with a relay.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { createServer, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRelay } from '../../server/relay.ts'
import { launchChromium } from './support/browsers.ts'

const root = join(import.meta.dirname, '../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
/** A cold start on a busy machine takes its time. */
const patient = { timeout: 20_000 }
const example = /<!-- web-example[^>]*-->\n```js\n(.*?)```/s.exec(readme)?.[1] ?? ''

describe('the example for the browser', () => {
  let server: ViteDevServer
  let browser: Browser
  let origin: string

  beforeAll(async () => {
    server = await createServer({
      root,
      configFile: false,
      logLevel: 'error',
      appType: 'custom',
      resolve: { alias: { 'pocketmq/web': join(root, 'web-client/index.ts') } },
      optimizeDeps: { include: ['comlink', 'idb'], entries: ['web-client/*.ts'] },
      cacheDir: join(root, 'node_modules/.vite-e2e'),
      server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
      plugins: [{
        name: 'readme-example',
        resolveId: (id) => (id === '/example.js' ? id : undefined),
        load: (id) => (id === '/example.js' ? example : undefined),
        configureServer(vite) {
          vite.middlewares.use((request, response, next) => {
            if (!/^\/(\?|$)/.test(request.url ?? '')) {
              next()
              return
            }
            response.setHeader('content-type', 'text/html')
            response.end('<!doctype html><title>chat</title><form><input name="text"><button>Send</button></form><ol></ol>' +
              '<script type="module" src="/example.js"></script>')
          })
        },
      }],
    })
    await server.listen()
    origin = (server.resolvedUrls?.local[0] ?? '').replace(/\/$/, '')
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.close()
  })

  async function open(context: BrowserContext, query = ''): Promise<Page> {
    const page = await context.newPage()
    await page.goto(`${origin}/${query}`)
    // Before, the form would do what forms do without a script.
    await expect.poll(() => page.evaluate(() => typeof document.querySelector('form')?.onsubmit), patient).toBe('function')
    return page
  }

  async function say(page: Page, text: string): Promise<void> {
    await page.fill('input', text)
    await page.click('button')
    await expect.poll(() => page.title(), patient).toBe('stored: device')
    await page.evaluate(() => {
      document.title = 'chat'
    })
  }

  const linesOf = (page: Page): Promise<string[]> => page.locator('li').allTextContents()

  test('is short', () => {
    expect(example.split('\n').filter((line) => line.trim() !== '').length).toBeLessThan(30)
  })

  test('exchanges ordered, tagged messages between two tabs with no server', async () => {
    const context = await browser.newContext()
    const first = await open(context)
    await say(first, 'one')
    const second = await open(context, '#urgent')
    const third = await open(context)
    await say(first, '!two')
    await say(third, 'three')
    await expect.poll(() => linesOf(first), patient).toEqual(['one', '!two', 'three'])
    await expect.poll(() => linesOf(second), patient).toEqual(['!two'])
    await expect.poll(() => linesOf(third), patient).toEqual(['one', '!two', 'three'])
    await third.reload()
    await say(first, 'four')
    await expect.poll(() => linesOf(third), patient).toEqual(['one', '!two', 'three', 'four'])
    await context.close()
  })

  test('reaches another device over a relay, what was sent offline too', async () => {
    await using relay = await startRelay({ port: 0, isInMemory: true, origins: ['*'] })
    const query = `?relay=${encodeURIComponent(relay.url)}`
    const [here, there] = [await browser.newContext(), await browser.newContext()]
    const first = await open(here, query)
    const second = await open(there, query)
    await say(first, 'from here')
    await expect.poll(() => linesOf(second), patient).toEqual(['from here'])
    await say(second, 'from there')
    await expect.poll(() => linesOf(first), patient).toEqual(['from here', 'from there'])
    await Promise.all([here.close(), there.close()])
  })
})
