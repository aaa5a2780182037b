// A real quota that is really reached: what the IndexedDB store makes of it.

import { expect, test } from 'vitest'
import { cdp, server } from 'vitest/browser'
import { silentLog } from '../../core/ports/log.ts'
import type { CommitOutcome, ReadOutcome } from '../../core/ports/store.ts'
import { openDeviceStores } from '../../web-client/store/idb-open.ts'
import { createBrowserClock } from '../../web-client/system.ts'
import { deleteDatabases } from './store-faults.ts'

const mebibyte = 1024 * 1024
const all = { from: Uint8Array.of(0), to: Uint8Array.of(255) }

// Only Chromium's protocol can set a quota.
test.runIf(server.browser === 'chromium')('a commit beyond the quota is not written, whole, and told as full', async () => {
  const { usage = 0 } = await navigator.storage.estimate()
  await overrideQuota(usage + 6 * mebibyte)
  const stores = await openDeviceStores({ name: 'quota', clock: createBrowserClock(), log: silentLog, lost: () => {} })
  expect(stores.kind).toBe('indexeddb')
  try {
    const value = new Uint8Array(4 * mebibyte).map(() => Math.random() * 256)
    const commit = (bytes: Uint8Array): Promise<CommitOutcome> =>
      new Promise((resolve) =>
        stores.outbox.commit([{ key: Uint8Array.of(1), value: bytes }, { key: Uint8Array.of(2), value: bytes }], resolve))
    const before = Uint8Array.of(7)
    expect(await commit(before)).toEqual({ kind: 'durable' })
    // The browser believes for half a minute what it knew of the room; where that is so, the larger ones go through.
    let outcome = await commit(value)
    let last = before
    while (outcome.kind === 'durable') {
      last = value
      outcome = await commit(value)
    }
    expect(outcome).toMatchObject({ kind: 'not-written', reason: 'full', cause: { code: 'STORE_FULL' } })
    expect(stores.outbox.space().freeBytes).toBe(0)
    const read = await new Promise<ReadOutcome>((resolve) => stores.outbox.read(all, resolve))
    const kept = read.kind === 'entries' ? read.entries.map((entry) => entry.value.length) : read.cause
    expect(kept).toEqual([last.length, last.length])
    await overrideQuota()
    await expect.poll(async () => (await commit(before)).kind, { timeout: 40_000 }).toBe('durable')
  } finally {
    await overrideQuota()
    await stores.close()
    await deleteDatabases('quota')
  }
}, 90_000)

async function overrideQuota(quotaSize?: number): Promise<void> {
  const { origin } = location
  await cdp().send('Storage.overrideQuotaForOrigin', quotaSize === undefined ? { origin } : { origin, quotaSize })
}
