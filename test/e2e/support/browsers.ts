// Starts the browsers of this machine for tests with several real tabs. Which ones are there, tools/browsers.mjs knows;
// Chromium has to be, `npm test` installs it.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, firefox } from 'playwright-core'
import puppeteer, { type Browser as PuppeteerBrowser } from 'puppeteer-core'
import { chromiumLaunch, findChromium, findFirefox, firefoxLaunch } from '../../../tools/browsers.mjs'

export const hasFirefox: boolean = findFirefox() !== undefined

/** A name for this machine that browsers don't take for safe. Chromium alone is told where it is. */
export const insecureHost = 'insecure.test'

/** What Puppeteer switches off, and tests of the page's life need. */
const lifecycleFlags = [
  '--disable-back-forward-cache', '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
]

interface ChromiumOptions {
  readonly flags?: readonly string[]
}

function chromiumOptions({ flags = [] }: ChromiumOptions): ReturnType<typeof chromiumLaunch> {
  const path = findChromium()
  if (path === undefined) throw new Error('no Chromium found: run tools/ensure-browser.mjs, or name one in POCKETMQ_CHROMIUM')
  const options = chromiumLaunch(path)
  return { ...options, args: [...options.args, `--host-resolver-rules=MAP ${insecureHost} 127.0.0.1`, ...flags] }
}

/** `browser.newContext()` is a profile in memory that its pages share; contexts don't see each other. */
export function launchChromium(options: ChromiumOptions = {}): Promise<Browser> {
  return chromium.launch(chromiumOptions(options))
}

/** Stock Firefox over WebDriver BiDi. */
export function launchFirefox(): Promise<Browser> {
  return firefox.launch(firefoxLaunch(findFirefox() ?? 'no Firefox found'))
}

export interface Profile {
  readonly directory: string
  /** Starts the browser on it; one at a time. */
  open(): Promise<BrowserContext>
  remove(): Promise<void>
}

/** A profile on disk that outlives its browser: what is acknowledged must be there after a kill. */
export async function createProfile(browserName: 'Chromium' | 'Firefox' = 'Chromium'): Promise<Profile> {
  const directory = await mkdtemp(join(tmpdir(), 'pocketmq-profile-'))
  return {
    directory,
    async open() {
      if (browserName === 'Firefox') {
        return firefox.launchPersistentContext(directory, firefoxLaunch(findFirefox() ?? 'no Firefox found'))
      }
      // A killed browser leaves them behind, and the next would take it for running.
      const marks = ['SingletonLock', 'SingletonCookie', 'SingletonSocket']
      await Promise.all(marks.map((name) => rm(join(directory, name), { force: true })))
      return chromium.launchPersistentContext(directory, chromiumOptions({}))
    },
    remove: () => rm(directory, { recursive: true, force: true, maxRetries: 5 }),
  }
}

/** Chromium by Puppeteer, with back/forward cache, hidden pages and freezing as users have them. Playwright shows all pages. */
export function launchLifelike(options: ChromiumOptions = {}): Promise<PuppeteerBrowser> {
  return puppeteer.launch({ ...chromiumOptions(options), ignoreDefaultArgs: lifecycleFlags })
}
