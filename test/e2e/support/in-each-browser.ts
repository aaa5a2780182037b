// The same tests in each browser of this machine, with a profile of its own for each test, and the pages they open.

import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest'
import type { ClientPageOptions } from '../pages/client.ts'
import { hasFirefox, launchChromium, launchFirefox } from './browsers.ts'
import { type ClientTab, openClient } from './clients.ts'
import { type PageServer, servePages } from './pages.ts'

const browsers = [
  { browserName: 'Chromium', isThere: true, launch: launchChromium },
  { browserName: 'Firefox', isThere: hasFirefox, launch: launchFirefox },
] as const

/** What a test has in its browser. Read it when the test runs. */
export interface BrowserRoom {
  readonly browserName: 'Chromium' | 'Firefox'
  readonly browser: Browser
  /** This test's profile. */
  readonly context: BrowserContext
  readonly pages: PageServer
  /** A tab with a client, in this test's profile or another's. */
  open(options: ClientPageOptions, device?: BrowserContext): Promise<ClientTab>
}

/** Declares the tests once for each browser. */
export function inEachBrowser(declareTests: (room: BrowserRoom) => void): void {
  let pages: PageServer
  beforeAll(async () => {
    pages = await servePages()
  })
  afterAll(() => pages.close())

  for (const { browserName, isThere, launch } of browsers) {
    // Firefox is tested where it is installed; Chromium has to be.
    describe.runIf(isThere)(browserName, () => {
      let browser: Browser
      let context: BrowserContext
      beforeAll(async () => {
        browser = await launch()
      })
      afterAll(() => browser.close())
      beforeEach(async () => {
        context = await browser.newContext()
      })
      afterEach(() => context.close())

      declareTests({
        browserName,
        get browser() {
          return browser
        },
        get context() {
          return context
        },
        get pages() {
          return pages
        },
        open: (options, device = context) => openClient(device, pages, options),
      })
    })
  }
}
