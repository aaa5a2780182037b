// A small application that uses `pocketmq/web` as a stranger would: the package packed and unpacked into its node_modules,
// a page that sends and lists messages, a server with a strict content security policy, and two tabs that must talk. For
// test/packaging/ and try-bundlers.mjs, which build the page in their ways.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, normalize } from 'node:path'
import { platform } from 'node:process'
import { ensureWebBuilt } from './build.mjs'
import { root } from './ensure-installed.mjs'

/** Scripts and workers of the page's own server, and nothing inline, evaluated, or of another origin. */
export const strictPolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; " +
  "img-src data:; base-uri 'none'; form-action 'self'"

/** What an application writes: imports, connects, sends, receives. The rest shows it and tells how it was run. */
const script = (/** @type {string} */ door, /** @type {string} */ options) => `
import { connect } from '${door}'

const host = new URLSearchParams(location.search).get('host') ?? 'auto'
const mq = await connect({ host${options} })
const greetings = mq.topic('greetings')

document.querySelector('form').onsubmit = (event) => {
  event.preventDefault()
  greetings.send(document.querySelector('input').value)
}
const policy = (() => { try { return new Function('return "lax"')() } catch { return 'strict' } })()
document.title = mq.getSnapshot().host + ', ' + policy
for await (const message of greetings.consume({ group: 'page', mode: 'BROADCASTING', from: 'earliest' })) {
  document.querySelector('ol').append(Object.assign(document.createElement('li'), { textContent: message.value }))
}
`

const document = (/** @type {string} */ source) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>starting</title><link rel="icon" href="data:,"></head>
<body><form><input><button>Send</button></form><ol></ol><script type="module" src="${source}"></script></body></html>
`

/** A directory of its own under the system's temporary one. */
export function makePlace() {
  const directory = mkdtempSync(join(tmpdir(), 'pocketmq-app-'))
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }) }
}

/** Packs what a release would hold of the modules for pages. @param {string} place @returns {string} the archive's path */
export function packPackage(place) {
  ensureWebBuilt()
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', place]
  const npm = platform === 'win32' ? 'npm.cmd' : 'npm'
  const report = execFileSync(npm, args, {
    cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], shell: platform === 'win32',
  })
  return join(place, JSON.parse(report)[0].filename)
}

/**
 * Writes the application. `door` is what it imports, `options` goes into its call of `connect`, `scriptUrl` is what its
 * document loads, which a build may make from `main.js`.
 * @param {string} directory
 * @param {string} archive of `packPackage`
 * @param {{ door?: string, options?: string, scriptUrl?: string }} [details]
 */
export function writeApp(directory, archive, { door = 'pocketmq/web', options = '', scriptUrl = '/main.js' } = {}) {
  const installed = join(directory, 'node_modules/pocketmq')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', archive, '--strip-components=1', '-C', installed])
  writeFileSync(join(directory, 'package.json'), '{ "name": "app", "private": true, "type": "module" }')
  writeFileSync(join(directory, 'main.js'), script(door, options))
  writeFileSync(join(directory, 'own-worker.js'), "import 'pocketmq/worker'\n")
  writeFileSync(join(directory, 'index.html'), document(scriptUrl))
}

const contentTypes = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.map': 'application/json' }

/**
 * Serves files with the strict policy; `/` is index.html. Close it when done.
 * @param {string} directory
 * @param {Readonly<Record<string, string>>} [more] path -> file that lies elsewhere
 */
export async function serveFiles(directory, more = {}) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const path = normalize(pathname === '/' ? '/index.html' : pathname)
    try {
      const content = readFileSync(more[path] ?? join(directory, path))
      const type = contentTypes[/** @type {keyof typeof contentTypes} */ (extname(path))] ?? 'application/octet-stream'
      response.writeHead(200, { 'content-type': type, 'content-security-policy': strictPolicy }).end(content)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    origin: `http://localhost:${address.port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/**
 * Opens the application in two tabs of a new profile; each sends, and both must list both. Gives what the pages told of
 * themselves, and everything that was complained of meanwhile.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 */
export async function talkAcrossTabs(browser, url) {
  const context = await browser.newContext()
  /** @type {string[]} */
  const complaints = []
  const open = async () => {
    const page = await context.newPage()
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`))
    await page.goto(url)
    return page
  }
  try {
    const pages = [await open(), await open()]
    const titles = []
    for (const page of pages) titles.push(await waitFor(() => page.title(), (title) => title !== 'starting', complaints))
    for (const [at, page] of pages.entries()) {
      await page.fill('input', `hello from ${at}`)
      await page.click('button')
      for (const reader of pages) {
        await waitFor(() => reader.locator('li').allTextContents(), (lines) => lines.length === at + 1, complaints)
      }
    }
    const lists = await Promise.all(pages.map((page) => page.locator('li').allTextContents()))
    return { titles, lists, complaints }
  } finally {
    await context.close()
  }
}

/**
 * @template T
 * @param {() => Promise<T>} look @param {(value: T) => boolean} isGood @param {readonly string[]} complaints
 * @returns {Promise<T>}
 */
async function waitFor(look, isGood, complaints) {
  const untilMs = Date.now() + 20_000
  for (;;) {
    const value = await look()
    if (isGood(value)) return value
    if (complaints.length > 0 || Date.now() > untilMs) {
      throw new Error(`waited in vain at ${JSON.stringify(value)}; ${complaints.join('; ')}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
