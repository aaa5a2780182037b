// Scratch.
import { test } from 'vitest'
import { launchChromium } from './support/browsers.ts'
import { openClient } from './support/clients.ts'
import { servePages } from './support/pages.ts'
test('dbg', async () => {
  const pages = await servePages(); const b = await launchChromium(); const context = await b.newContext()
      const blank = await context.newPage()
      await blank.goto(pages.urlOf('blank'))
      const session = await context.newCDPSession(blank)
      await session.send('Storage.overrideQuotaForOrigin', { origin: pages.origin, quotaSize: 24 * 1024 * 1024 })
  const tab = await openClient(context, pages, { tab: 'A', host: 'leader' })
  tab.page.on('console', (m) => console.log(Date.now() % 100000, m.text()))
  tab.page.on('worker', (w) => console.log('worker', w.url()))
      await new Promise((r) => setTimeout(r, 1000))
      await tab.call('startSending', {
        topic: 'large', prefix: 'large', count: 200, countPerTurn: 1, options: { paddingBytes: 200_000 },
      })
  let sent = false
  for (let i = 0; i < 24; i++) {
    await new Promise((r) => setTimeout(r, 1000))
    if (i === 5) await session.send('Storage.overrideQuotaForOrigin', { origin: pages.origin })
    if (i > 5 && !sent) sent = await tab.call('send', 'jobs', ['again']).then(() => true, (e) => { console.log(String(e).slice(0, 100)); return false })
    if (i === 4) console.log(JSON.stringify(await tab.call('status')))
    console.log(Date.now() % 100000, JSON.stringify([await tab.call('sendingCounts', 'large'), await tab.call('events'), await blank.evaluate(async () => [(await navigator.storage.estimate()).usageDetails, (await (await caches.open('pocketmq:default')).keys()).map((k) => k.url)])]))
  }
  await b.close(); await pages.close()
})
