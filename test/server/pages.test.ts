// The demo and the console as a relay serves them: which addresses there are, how their files go out, and that no address
// leads anywhere else. With a folder of its own, whatever was built.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Relay, startRelay } from '../../server/relay.ts'

let folder: string
let relay: Relay

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pocketmq-pages-'))
  const pagesFolder = join(folder, 'pages')
  for (const [path, text] of [
    ['secret.js', 'not to be served'],
    ['pages/outside.js', 'not to be served either'],
    ['pages/other/index.html', 'no page that is known'],
    ['pages/demo/index.html', '<!doctype html>demo'],
    ['pages/demo/notes.unknown', 'of no known type'],
    ['pages/demo/assets/index-abc.js', 'export {}'],
    ['pages/demo/assets/index-abc.css', 'a{}'],
    ['pages/demo/assets/icon-abc.svg', '<svg/>'],
    ['pages/console/index.html', '<!doctype html>console'],
  ] as const) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  relay = await startRelay({ port: 0, isInMemory: true }, { pagesFolder })
})
afterEach(async () => {
  await relay.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
}

/** By hand: `fetch` would tidy the address. */
function ask(path: string, options: { readonly method?: string; readonly accept?: string } = {}): Promise<Answer> {
  const { method = 'GET', accept = '*/*' } = options
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port: relay.port, path, method, headers: { accept } }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    asked.on('error', reject).end()
  })
}

describe('the pages of a relay', () => {
  test('are the demo and the console, each below its address', async () => {
    expect(relay.pageNames).toEqual(['demo', 'console'])
    expect((await ask('/demo/')).text).toBe('<!doctype html>demo')
    expect((await ask('/console/?x=1')).text).toBe('<!doctype html>console')
    expect((await ask('/demo/index.html')).text).toBe('<!doctype html>demo')
  })

  test('are found from the root by a browser, with what it asked for, and from an address without its last slash', async () => {
    const accept = 'text/html,application/xhtml+xml'
    expect(await ask('/?room=a', { accept })).toMatchObject({ status: 302, headers: { location: '/demo/?room=a' } })
    expect(await ask('/console')).toMatchObject({ status: 302, headers: { location: '/console/' } })
    expect((await ask('/')).text).toContain('/demo/     a flash sale')
  })

  test.each([
    ['/demo/', 'text/html; charset=utf-8'],
    ['/demo/assets/index-abc.js', 'text/javascript; charset=utf-8'],
    ['/demo/assets/index-abc.css', 'text/css; charset=utf-8'],
    ['/demo/assets/icon-abc.svg', 'image/svg+xml'],
  ])('say what %s is', async (path, contentType) => {
    const { status, headers } = await ask(path)
    expect([status, headers['content-type'], headers['x-content-type-options']]).toEqual([200, contentType, 'nosniff'])
  })

  test('let browsers keep what is named by its contents, and nothing else', async () => {
    expect((await ask('/demo/assets/index-abc.js')).headers['cache-control']).toContain('immutable')
    expect((await ask('/demo/')).headers['cache-control']).toBe('no-cache')
  })

  test('allow no script but files of their own origin, and no frame around them', async () => {
    const policy = String((await ask('/demo/')).headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toMatch(/unsafe/)
  })

  test.each([
    '/secret.js', '/outside.js', '/other/', '/demo/notes.unknown', '/demo/../outside.js', '/demo/../../secret.js',
    '/demo/%2e%2e/outside.js', '/demo/..%2foutside.js', '/demo/..\\outside.js', '//demo/', '/demo//', '/demo/assets/',
    '/demo/%00',
  ])('are all there is: nothing at %s', async (path) => {
    const { status, text } = await ask(path)
    expect(status).toBe(404)
    expect(text).toContain('/demo/ or /console/')
  })

  test('answer HEAD without a body, and nothing but GET and HEAD', async () => {
    const head = await ask('/demo/', { method: 'HEAD' })
    expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '19', ''])
    expect((await ask('/demo/', { method: 'POST' })).status).toBe(405)
  })

  test('need not be there', async () => {
    await relay.close()
    relay = await startRelay({ port: 0, isInMemory: true }, { pagesFolder: join(folder, 'none') })
    expect(relay.pageNames).toEqual([])
    expect((await ask('/', { accept: 'text/html' })).status).toBe(200)
    const text = 'there is nothing at /demo/; try /healthz, /readyz or /metrics\n'
    expect(await ask('/demo/')).toMatchObject({ status: 404, text })
  })
})
