// The package's own worker under every host, with the real engine over IndexedDB: two tabs, a message, a reload.

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HostsClientPage } from './pages/hosts-client.ts'
import { launchChromium } from './support/browsers.ts'
import { openTab, type PageServer, servePages } from './support/pages.ts'

let pages: PageServer
let browser: Browser
beforeAll(async () => {
  [pages, browser] = await Promise.all([servePages(), launchChromium()])
})
afterAll(async () => {
  await browser.close()
  await pages.close()
})

const hosts = ['shared', 'leader', 'inline'] as const

test.each(hosts)('%s: two tabs exchange a message, and it outlives their reload', async (host) => {
  const context = await browser.newContext()
  const url = pages.urlOf('hosts-client')
  const [first, second] = [await openTab<HostsClientPage>(context, url), await openTab<HostsClientPage>(context, url)]
  expect(await first.call('open', host)).toBe(host)
  expect(await second.call('open', host)).toBe(host)
  await first.call('send', 'hello')
  expect(await second.call('receive', 'a')).toBe('hello')
  await second.close()
  await first.reload()
  await first.call('open', host)
  expect(await first.call('receive', 'b')).toBe('hello')
  await context.close()
})
