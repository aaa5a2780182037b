// The device's storage gives out, is deleted or is damaged under the engine: it is told, others are unharmed, and it goes on.

import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createProfile } from './support/browsers.ts'
import {
  expectSound, historyOf, namesFrom, namesOf, openClient, patience, untilConsumed, untilLives, untilSeen,
} from './support/clients.ts'
import { inEachBrowser } from './support/in-each-browser.ts'
import { servePages } from './support/pages.ts'

inEachBrowser((room) => {
  const { open } = room

  test('a database that is deleted under the engine is told loudly, and tabs go on with a new one', async () => {
    const [first, second] = await Promise.all([open({ tab: 'A' }), open({ tab: 'B' })])
    await first.call('consume', 'work', { topic: 'jobs', group: 'workers' })
    await first.call('send', 'jobs', ['before'])
    await untilSeen(first, 'work', 1)
    await second.page.evaluate(() => new Promise((resolve) => {
      const request = indexedDB.deleteDatabase('pocketmq:default')
      request.onsuccess = request.onerror = resolve
    }))
    await Promise.all([first, second].map((tab) => untilLives(tab, 2)))
    await second.call('send', 'jobs', ['after'])
    expect(namesOf(await untilSeen(first, 'work', 2))).toEqual(['before', 'after'])
    expect(await second.call('status')).toMatchObject({ storage: 'indexeddb', engine: 'running', storageLoss: 'emptied' })
    for (const tab of [first, second]) await expect.poll(() => tab.call('events'), patience).toContain('error STORE_FAILED')
  })

  // Only the DevTools protocol of Chromium sets a quota for one origin.
  test.runIf(room.browserName === 'Chromium')('on a full device sends wait, and others work on', async () => {
    const blank = await room.context.newPage()
    await blank.goto(room.pages.urlOf('blank'))
    const session = await room.context.newCDPSession(blank)
    // Before anything is kept: what it knows of the room, the browser believes for a while.
    await session.send('Storage.overrideQuotaForOrigin', { origin: room.pages.origin, quotaSize: 24 * 1024 * 1024 })
    const [first, second] = await Promise.all([open({ tab: 'A' }), open({ tab: 'B' })])
    await first.call('send', 'jobs', namesFrom('small', 20))
    await first.call('startSending', {
      topic: 'large', prefix: 'large', count: 200, countPerTurn: 1, options: { paddingBytes: 200_000 },
    })
    // As the status says it.
    await expect.poll(async () => {
      const { usedBytes = 0, quotaBytes = Infinity } = await first.call('status')
      return quotaBytes - usedBytes
    }, patience).toBe(0)
    expect(await first.call('status')).toMatchObject({ engine: 'running', storage: 'indexeddb' })
    await second.call('consume', 'work', { topic: 'jobs', group: 'workers' })
    await untilSeen(second, 'work', 20)
    await untilConsumed(second, 'workers')
    const { acknowledged, failures } = await first.call('sendingCounts', 'large')
    expect(failures).toBe(0)
    expect(acknowledged).toBeGreaterThan(0)
    expect(acknowledged).toBeLessThan(200)
    expect((await second.call('stored', 'large')).length).toBe(acknowledged)
    await session.send('Storage.overrideQuotaForOrigin', { origin: room.pages.origin })
    await expect.poll(async () => (await first.call('sendingCounts', 'large')).acknowledged, { timeout: 45_000 }).toBe(200)
    expect(await second.call('stored', 'large')).toEqual(namesFrom('large', 200))
    expectSound(await historyOf([first]), 'workers', { isMeant: ({ topic }) => topic === 'jobs' })
  })
})

test('Chromium: a database that was damaged on the disk is begun anew, the page says so, and the device goes on', async () => {
  const [pages, profile] = await Promise.all([servePages(), createProfile()])
  let context = await profile.open()
  const before = await openClient(context, pages, { tab: 'A' })
  await before.call('send', 'jobs', namesFrom('before', 50))
  await context.close()
  const folder = join(profile.directory, 'Default', 'IndexedDB')
  const damaged: string[] = []
  for (const name of await readdir(folder, { recursive: true })) {
    if (!/MANIFEST|\.log$|\.ldb$|\.db$|sqlite/.test(name)) continue
    damaged.push(name)
    await writeFile(join(folder, name), 'this is no database')
  }
  expect(damaged.length).toBeGreaterThan(0)
  context = await profile.open()
  const after = await openClient(context, pages, { tab: 'B' })
  await after.call('send', 'jobs', ['after'])
  expect(await after.call('stored', 'jobs')).toEqual(['after'])
  expect(await after.call('status')).toMatchObject({ engine: 'running', storage: 'indexeddb', storageLoss: 'emptied' })
  await context.close()
  await Promise.all([profile.remove(), pages.close()])
})
