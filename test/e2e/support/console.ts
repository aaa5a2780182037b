// The console in a real Chromium, served by a relay as operators have it: the page of a relay in memory, a client of the
// same relay for what the test does behind its back, and what pages threw.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import type { Client } from '../../../core/index.ts'
import type { RelayConfig } from '../../../server/config.ts'
import { connect } from '../../../server/connect.ts'
import { type Relay, startRelay } from '../../../server/relay.ts'
import { buildPages } from '../../../tools/build-pages.mjs'
import { launchChromium } from './browsers.ts'
import { desktop } from './page-looks.ts'

export interface ConsoleBox {
  /** Where its build lies. */
  readonly pagesFolder: string
  readonly relay: Relay
  /** Of the same relay, for what the test does beside the page. */
  readonly mq: Client
  /** Opens the console at `#/<path>`; resolves when that page is shown, or the form to sign in. */
  open(path?: string, shown?: 'page' | 'sign-in'): Promise<Page>
  /** Types the word that a confirmation asks for, and goes on. */
  confirm(page: Page, word: string): Promise<void>
  /** The rows of a table, by its test id. */
  rows(page: Page, testId: string): Locator
}

/** A relay and a browser profile of its own for each test; one browser and one build for all of a file. */
export function setUpConsole(config: Partial<RelayConfig> = {}, token?: string): ConsoleBox {
  let pagesFolder: string
  let browser: Browser
  let relay: Relay
  let mq: Client
  let context: BrowserContext
  const thrown: string[] = []

  beforeAll(async () => {
    pagesFolder = mkdtempSync(join(tmpdir(), 'pocketmq-console-'))
    await buildPages({ buildId: 'test', outDir: pagesFolder, only: 'console' })
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(pagesFolder, { recursive: true, force: true })
  })
  beforeEach(async () => {
    relay = await startRelay({ port: 0, isInMemory: true, ...config }, { pagesFolder })
    mq = await connect(relay.url, { name: 'test', ...(token === undefined ? {} : { auth: token }) })
    context = await browser.newContext({ viewport: desktop, locale: 'en-US' })
    context.on('weberror', (error) => thrown.push(String(error.error().stack)))
    context.on('console', (message) => {
      // Blocked by the pages' policy, or failed in a way nobody looked at.
      if (message.type() === 'error') thrown.push(message.text())
    })
  })
  afterEach(async () => {
    await context.close()
    await mq.close()
    await relay.close()
    expect(thrown.splice(0), 'what pages threw').toEqual([])
  })

  return {
    get pagesFolder() {
      return pagesFolder
    },
    get relay() {
      return relay
    },
    get mq() {
      return mq
    },
    async open(path = 'overview', shown = 'page') {
      const page = await context.newPage()
      await page.goto(`${relay.httpUrl}/console/#/${path}`)
      const [name = ''] = path.split(/[/?]/)
      await page.getByTestId(shown === 'page' ? `page-${name}` : 'token').waitFor()
      return page
    },
    async confirm(page, word) {
      const go = page.getByTestId('confirm-go')
      await go.waitFor()
      expect(await go.isDisabled()).toBe(true)
      await page.getByTestId('confirm-word').fill(word)
      await go.click()
      await page.getByTestId('confirm').waitFor({ state: 'detached' })
    },
    rows: (page, testId) => page.getByTestId(testId).locator('tbody tr'),
  }
}
