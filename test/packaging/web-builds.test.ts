// The packed package in applications as others build them, in Chromium under a strict content security policy: two tabs
// must talk with the engine in a shared worker, in a worker of a tab, and in a page. More bundlers: tools/try-bundlers.mjs.

import { cpSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { build, createServer } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import webpack from 'webpack'
import { makePlace, packPackage, serveFiles, strictPolicy, talkAcrossTabs, writeApp } from '../../tools/sample-app.mjs'
import { launchChromium } from '../e2e/support/browsers.ts'

interface Served {
  readonly origin: string
  close(): Promise<void>
}

const hosts = ['shared', 'leader', 'inline']
const place = makePlace()
let browser: Browser
let archive: string

beforeAll(async () => {
  archive = packPackage(place.directory)
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  place.remove()
})

async function expectTalk(url: string, host: string): Promise<void> {
  expect(await talkAcrossTabs(browser, `${url}/?host=${host}`)).toEqual({
    titles: [`${host}, strict`, `${host}, strict`],
    lists: [['hello from 0', 'hello from 1'], ['hello from 0', 'hello from 1']],
    complaints: [],
  })
}

describe.each<[string, (app: string) => Promise<Served>]>([
  ['built by Vite', buildWithVite],
  ["served by Vite's development server", serveWithVite],
  ['built by webpack', buildWithWebpack],
  ['without a bundler', serveUnbundled],
  ['without a bundler, the worker copied elsewhere', serveWithWorkerElsewhere],
])('an application %s', (name, serve) => {
  let served: Served

  beforeAll(async () => {
    served = await serve(join(place.directory, name.replaceAll(/\W+/g, '-')))
  })
  afterAll(() => served?.close())

  test.each(hosts)('has tabs that talk over a host that is %s', (host) => expectTalk(served.origin, host))
})

describe.each([
  ['Vite', buildWithVite],
  ['webpack', buildWithWebpack],
])('an application built by %s', (name, serve) => {
  test('may make the worker itself, of a file of its own', async () => {
    const own = ", worker: (name) => new SharedWorker(new URL('./own-worker.js', import.meta.url), { type: 'module', name })"
    const served = await serve(join(place.directory, `own-${name}`), own)
    try {
      await expectTalk(served.origin, 'shared')
    } finally {
      await served.close()
    }
  })
})

async function buildWithVite(app: string, options = ''): Promise<Served> {
  writeApp(app, archive, { options })
  await build({ root: app, configFile: false, logLevel: 'error' })
  return serveFiles(join(app, 'dist'))
}

async function serveWithVite(app: string): Promise<Served> {
  writeApp(app, archive)
  const server = await createServer({
    root: app,
    configFile: false,
    logLevel: 'error',
    server: {
      port: 0, host: '127.0.0.1', hmr: false, watch: null, headers: { 'content-security-policy': strictPolicy },
    },
  })
  await server.listen()
  const address = server.httpServer?.address() as AddressInfo
  return { origin: `http://localhost:${address.port}`, close: () => server.close() }
}

async function buildWithWebpack(app: string, options = ''): Promise<Served> {
  writeApp(app, archive, { options })
  const out = join(app, 'dist')
  const compiler = webpack({
    context: app,
    mode: 'production',
    entry: './main.js',
    output: { path: out, publicPath: '/' },
    // What is small already takes it most of a minute to make smaller.
    optimization: { minimize: false },
    performance: false,
  })
  if (compiler === null) throw new Error('webpack made no compiler')
  const report = await new Promise<string>((resolve, reject) => {
    compiler.run((error, stats) => {
      compiler.close(() => {})
      if (error !== null) reject(error)
      else resolve(stats?.hasErrors() === true || stats?.hasWarnings() === true ? stats.toString('errors-warnings') : '')
    })
  })
  expect(report).toBe('')
  cpSync(join(app, 'index.html'), join(out, 'index.html'))
  return serveFiles(out)
}

async function serveUnbundled(app: string): Promise<Served> {
  writeApp(app, archive, { door: '/node_modules/pocketmq/dist/web/index.js' })
  return serveFiles(app)
}

async function serveWithWorkerElsewhere(app: string): Promise<Served> {
  writeApp(app, archive, { door: '/mq/index.js', options: ", workerUrl: '/mq-worker.js'" })
  const web = join(app, 'node_modules/pocketmq/dist/web')
  for (const name of ['index.js', 'inline.js']) cpSync(join(web, name), join(app, 'mq', name))
  cpSync(join(web, 'worker.js'), join(app, 'mq-worker.js'))
  return serveFiles(app)
}
