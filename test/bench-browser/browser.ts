// Chromium on a profile that lies on the disk, its tabs, and what it tells of the heaps of pages and workers.

import { existsSync, readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import puppeteer, { type Browser, type CDPSession, type Page } from 'puppeteer-core'
import { chromiumLaunch, findChromium } from '../../tools/browsers.mjs'
import type { BenchPage } from './pages/bench-page.ts'

export interface BenchTab {
  /** Calls a function of the page. */
  call<K extends keyof BenchPage>(name: K, ...args: Parameters<BenchPage[K]>): Promise<Awaited<ReturnType<BenchPage[K]>>>
  /** Bytes in use after a collection. */
  heapBytes(): Promise<number>
  close(): Promise<void>
}

export class BenchBrowser {
  readonly #browser: Browser
  readonly #url: string

  private constructor(browser: Browser, url: string) {
    this.#browser = browser
    this.#url = url
  }

  /** Starts it on a profile; `url` is the page of its tabs. */
  static async start(profileFolder: string, url: string): Promise<BenchBrowser> {
    const path = findChromium()
    if (path === undefined) throw new Error('no Chromium found: run tools/ensure-browser.mjs, or name one in POCKETMQ_CHROMIUM')
    const browser = await puppeteer.launch({
      ...chromiumLaunch(path), userDataDir: profileFolder, protocolTimeout: 600_000,
      handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false,
    })
    return new BenchBrowser(browser, url)
  }

  version(): Promise<string> {
    return this.#browser.version()
  }

  async openTab(): Promise<BenchTab> {
    const page = await this.#browser.newPage()
    const thrown: unknown[] = []
    page.on('pageerror', (error) => thrown.push(error))
    await page.goto(this.#url)
    await page.waitForFunction(() => 'probe' in window)
    return new ProbedTab(page, thrown)
  }

  /** Of the shared worker whose script's address holds `part`: bytes in use after a collection. */
  async workerHeapBytes(part = 'worker'): Promise<number> {
    const session = await this.#workerSession(part)
    const usedBytes = await heapBytesOf(session)
    await session.detach()
    return usedBytes
  }

  /** Writes CPU profiles of the shared worker, which `work` may start, and of the pages while it runs. */
  async profiled<T>(folder: string, name: string, work: () => Promise<T>): Promise<T> {
    const working = work()
    const worker = await this.#workerSession('worker')
    const pages = await Promise.all((await this.#browser.pages()).map((page) => page.createCDPSession()))
    const sessions = [worker, ...pages]
    await Promise.all(sessions.map((session) => session.send('Profiler.enable')))
    await Promise.all(sessions.map((session) => session.send('Profiler.start')))
    const result = await working
    await Promise.all(sessions.map(async (session, at) => {
      const { profile } = await session.send('Profiler.stop')
      const of = at === 0 ? 'engine' : `page-${at}`
      await writeFile(join(folder, `${name}-${of}.cpuprofile`), JSON.stringify(profile))
      await session.detach()
    }))
    return result
  }

  async #workerSession(part: string): Promise<CDPSession> {
    const target = await this.#browser.waitForTarget(
      (candidate) => candidate.type() === 'shared_worker' && candidate.url().includes(part) && !candidate.url().includes('bare'),
    )
    return target.createCDPSession()
  }

  async stop(): Promise<void> {
    await this.#browser.close()
  }

  /** For the moment before this process exits. */
  kill(): void {
    this.#browser.process()?.kill('SIGKILL')
  }
}

class ProbedTab implements BenchTab {
  readonly #page: Page
  readonly #thrown: unknown[]

  constructor(page: Page, thrown: unknown[]) {
    this.#page = page
    this.#thrown = thrown
  }

  async call<K extends keyof BenchPage>(
    name: K, ...args: Parameters<BenchPage[K]>
  ): Promise<Awaited<ReturnType<BenchPage[K]>>> {
    if (this.#thrown.length > 0) throw new Error(`the page threw: ${String(this.#thrown[0])}`)
    return this.#page.evaluate((name, args) => {
      const { probe } = window as unknown as { probe: Record<string, (...args: unknown[]) => unknown> }
      return probe[name]?.(...args)
    }, name, args as unknown[]) as Promise<Awaited<ReturnType<BenchPage[K]>>>
  }

  async heapBytes(): Promise<number> {
    const session = await this.#page.createCDPSession()
    const usedBytes = await heapBytesOf(session)
    await session.detach()
    return usedBytes
  }

  close(): Promise<void> {
    return this.#page.close()
  }
}

async function heapBytesOf(session: CDPSession): Promise<number> {
  // Twice: what the first one's finalizers let go.
  await session.send('HeapProfiler.collectGarbage')
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  return usedSize
}

/** What Chromium keeps IndexedDB in, by the looks of a profile that was used. */
export function backendOf(profileFolder: string): 'LevelDB' | 'SQLite' | 'unknown' {
  const folder = join(profileFolder, 'Default/IndexedDB')
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : []
  if (names.some((name) => name.endsWith('.leveldb'))) return 'LevelDB'
  return names.length > 0 ? 'SQLite' : 'unknown'
}
