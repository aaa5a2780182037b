// Builds the sample application with bundlers that are no dependency of this repository, and lets two tabs of Chromium talk
// in what came out. Installs them into a temporary directory, so it needs the network and takes minutes; the bundlers of
// every day are tested in test/packaging/. What each application has to write is the README's, and here in the code.
//
//   node tools/try-bundlers.mjs [vite7] [esbuild] [rspack] [next]        default: all

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process, { argv, execPath, platform, stdout } from 'node:process'
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'
import { chromiumLaunch, findChromium } from './browsers.mjs'
import { ensureInstalled, fail, isMain } from './ensure-installed.mjs'
import { makePlace, packPackage, serveFiles, strictPolicy, talkAcrossTabs, writeApp } from './sample-app.mjs'

/**
 * @typedef {{ origin: string, close: () => Promise<void> }} Served
 * @typedef {{ name: string, packages: readonly string[], policy?: 'lax', serve: Serve }} Way `lax`: not the strict policy
 * @typedef {(app: string, archive: string) => Promise<Served>} Serve
 */

/** @type {Readonly<Record<string, readonly Way[]>>} */
const waysByBundler = {
  vite7: [
    {
      name: 'Vite 7, build',
      packages: ['vite@7.3.8'],
      async serve(app, archive) {
        writeApp(app, archive)
        const { build } = await load(app, 'vite/dist/node/index.js')
        await build({ root: app, configFile: false, logLevel: 'error' })
        return serveFiles(join(app, 'dist'))
      },
    },
    {
      name: "Vite 7, development server, optimizeDeps: { exclude: ['pocketmq'] }",
      packages: ['vite@7.3.8'],
      async serve(app, archive) {
        writeApp(app, archive)
        const { createServer } = await load(app, 'vite/dist/node/index.js')
        const server = await createServer({
          root: app,
          configFile: false,
          logLevel: 'error',
          // Or it moves the client away from its worker.
          optimizeDeps: { exclude: ['pocketmq'] },
          server: { port: 0, host: '127.0.0.1', hmr: false, watch: null, headers: { 'content-security-policy': strictPolicy } },
        })
        await server.listen()
        return { origin: `http://localhost:${server.httpServer.address().port}`, close: () => server.close() }
      },
    },
  ],
  esbuild: [
    {
      name: 'esbuild, the worker as a second entry and its address as workerUrl',
      packages: ['esbuild@0.28.0'],
      async serve(app, archive) {
        writeApp(app, archive, { options: ", workerUrl: '/mq-worker.js'" })
        const { build } = await load(app, 'esbuild/lib/main.js')
        const outdir = join(app, 'dist')
        await build({
          absWorkingDir: app,
          entryPoints: { main: './main.js', 'mq-worker': 'pocketmq/worker' },
          bundle: true, format: 'esm', splitting: true, minify: true, outdir, logLevel: 'error',
        })
        cpSync(join(app, 'index.html'), join(outdir, 'index.html'))
        return serveFiles(outdir)
      },
    },
  ],
  rspack: [
    {
      name: 'Rspack, build',
      packages: ['@rspack/core@1.7.0'],
      async serve(app, archive) {
        writeApp(app, archive)
        const { rspack } = await load(app, '@rspack/core/dist/index.js')
        const out = join(app, 'dist')
        const compiler = rspack({ context: app, mode: 'production', entry: './main.js', output: { path: out, publicPath: '/' } })
        await new Promise((resolve, reject) => {
          compiler.run((/** @type {Error | null} */ error, /** @type {any} */ stats) => {
            if (error !== null) reject(error)
            else if (stats.hasErrors()) reject(new Error(stats.toString('errors-only')))
            else resolve(undefined)
          })
        })
        cpSync(join(app, 'index.html'), join(out, 'index.html'))
        return serveFiles(out)
      },
    },
  ],
  next: ['--turbopack', '--webpack'].map((flag) => ({
    name: `Next 16, next build ${flag}`,
    packages: ['next@16.4.6', 'react@19.3.1', 'react-dom@19.3.1'],
    // Next writes scripts into its documents, which the strict policy is against.
    policy: 'lax',
    async serve(/** @type {string} */ app, /** @type {string} */ archive) {
      writeApp(app, archive)
      writeNextApp(app)
      const next = join(app, 'node_modules/next/dist/bin/next')
      const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
      const builder = spawn(execPath, [next, 'build', flag], { cwd: app, env, stdio: ['ignore', 'ignore', 'inherit'] })
      const [code] = await once(builder, 'exit')
      if (code !== 0) throw new Error(`next build ended with ${code}`)
      const server = spawn(execPath, [next, 'start', '--port', '0', '--hostname', '127.0.0.1'], {
        cwd: app, env, stdio: ['ignore', 'pipe', 'inherit'],
      })
      let told = ''
      for await (const text of server.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
        told += text
        if (/Ready/.test(told)) break
      }
      const port = /:(\d+)/.exec(told)?.[1]
      return {
        origin: `http://localhost:${port}`,
        async close() {
          server.kill()
          await once(server, 'exit')
        },
      }
    },
  })),
}

/** Pages are rendered on the server too: the import is plain, `connect` is called in an effect. @param {string} app */
function writeNextApp(app) {
  mkdirSync(join(app, 'app'))
  writeFileSync(join(app, 'app/layout.jsx'), `
export const metadata = { title: 'starting', icons: 'data:,' }
export default function Layout({ children }) { return <html lang="en"><body>{children}</body></html> }
`)
  writeFileSync(join(app, 'app/page.jsx'), `
'use client'
import { useEffect, useState } from 'react'
import { connect } from 'pocketmq/web'
import { useMessages, useStatus } from 'pocketmq/react'

let connecting

export default function Page() {
  const [mq, setMq] = useState()
  useEffect(() => {
    connecting ??= connect({ host: new URLSearchParams(location.search).get('host') ?? 'auto' })
    connecting.then(setMq)
  }, [])
  return mq === undefined ? null : <Chat mq={mq} />
}

function Chat({ mq }) {
  const { host } = useStatus(mq)
  const [greetings] = useState(() => mq.topic('greetings'))
  const { messages } = useMessages(greetings, { group: 'page', from: 'earliest' })
  useEffect(() => { document.title = host + ', lax' }, [host])
  const send = (event) => { event.preventDefault(); greetings.send(event.target.elements.text.value) }
  return <>
    <form onSubmit={send}><input name="text" /><button>Send</button></form>
    <ol>{messages.map((message) => <li key={message.messageId}>{message.value}</li>)}</ol>
  </>
}
`)
}

/** A module of what was installed for one application. @param {string} app @param {string} path @returns {Promise<any>} */
async function load(app, path) {
  const module = await import(pathToFileURL(join(app, 'node_modules', path)).href)
  return module.default === undefined ? module : { ...module.default, ...module }
}

/** @param {string} app @param {readonly string[]} packages */
async function install(app, packages) {
  mkdirSync(app, { recursive: true })
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "private": true, "type": "module" }')
  const npm = platform === 'win32' ? 'npm.cmd' : 'npm'
  const child = spawn(npm, ['install', '--no-audit', '--no-fund', '--loglevel=error', ...packages], {
    cwd: app, stdio: ['ignore', 'ignore', 'inherit'], shell: platform === 'win32',
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`npm install ${packages.join(' ')} failed`)
}

/** @param {import('playwright-core').Browser} browser @param {Way} way @param {string} app @param {string} archive */
async function tryWay(browser, way, app, archive) {
  await install(app, way.packages)
  const served = await way.serve(app, archive)
  try {
    for (const host of ['shared', 'leader', 'inline']) {
      const { titles, complaints } = await talkAcrossTabs(browser, `${served.origin}/?host=${host}`)
      const expected = `${host}, ${way.policy ?? 'strict'}`
      if (titles.some((title) => title !== expected) || complaints.length > 0) {
        throw new Error(`expected ${expected}: ${titles.join(' and ')}; ${complaints.join('; ')}`)
      }
    }
  } finally {
    await served.close()
  }
}

if (isMain(import.meta.url)) {
  ensureInstalled()
  const names = argv.length > 2 ? argv.slice(2) : Object.keys(waysByBundler)
  const executable = findChromium() ?? fail('no Chromium found: run tools/ensure-browser.mjs')
  const place = makePlace()
  const browser = await chromium.launch(chromiumLaunch(executable))
  try {
    const archive = packPackage(place.directory)
    for (const [at, way] of names.flatMap((name) => waysByBundler[name] ?? fail(`no bundler '${name}'`)).entries()) {
      try {
        await tryWay(browser, way, join(place.directory, `app-${at}`), archive)
        stdout.write(`good    ${way.name}\n`)
      } catch (error) {
        process.exitCode = 1
        stdout.write(`failed  ${way.name}\n        ${error instanceof Error ? error.stack : String(error)}\n`)
      }
    }
  } finally {
    await browser.close()
    place.remove()
  }
}
