// What the console weighs: what a browser downloads for it, how soon something is seen, and that an open console is as large
// after many minutes and many changes of page as it was before.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { CDPSession, Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { patience } from './support/clients.ts'
import { setUpConsole } from './support/console.ts'

const downloadBytesMax = 200 * 1024
const firstPaintMsMax = 1_000
/** As many beats as in ten minutes. */
const beatCount = 600

describe('the console', () => {
  const box = setUpConsole()

  test('is downloaded in less than 200 KiB', () => {
    const folder = join(box.pagesFolder, 'console')
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const sizes = files.map((file) => gzipSync(readFileSync(join(file.parentPath, file.name))).length)
    expect(files.length).toBeGreaterThan(2)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(downloadBytesMax)
  })

  test('is seen within a second, at best of five', async () => {
    const paintsMs: number[] = []
    for (let round = 0; round < 5; round++) {
      const page = await box.open()
      await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length > 0)
      paintsMs.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN))
      await page.close()
    }
    expect(Math.min(...paintsMs)).toBeLessThan(firstPaintMsMax)
  })

  test('is as large after ten minutes of live charts and many changes of page', { timeout: 120_000 }, async () => {
    const page = await box.open()
    const answers = { count: 0 }
    page.on('websocket', (socket) => socket.on('framereceived', () => answers.count++))
    await page.clock.install()
    await page.reload()
    await page.getByTestId('figure-topics').waitFor()
    const debug = await page.context().newCDPSession(page)
    // The charts' rings are full from here on.
    await beat(page, beatCount, answers)
    const before = await heapOf(debug)
    await beat(page, beatCount, answers)
    for (let round = 0; round < 20; round++) {
      await page.getByRole('link', { name: 'Settings', exact: true }).click()
      await page.getByTestId('page-settings').waitFor()
      await page.getByRole('link', { name: 'Overview', exact: true }).click()
      await page.getByTestId('figure-topics').waitFor()
    }
    const after = await heapOf(debug)
    expect(after.nodeCount, 'elements').toBeLessThan(before.nodeCount * 1.2 + 100)
    expect(after.heapBytes, 'bytes of JavaScript').toBeLessThan(before.heapBytes * 1.2 + 256 * 1024)
  })
})

/** Lets so many seconds go by, in each of which the overview asks the relay and is answered. */
async function beat(page: Page, count: number, answers: { count: number }): Promise<void> {
  for (let index = 0; index < count; index++) {
    const before = answers.count
    await page.clock.runFor(1_000)
    await expect.poll(() => answers.count, { ...patience, interval: 1 }).toBeGreaterThan(before)
  }
}

async function heapOf(debug: CDPSession): Promise<{ heapBytes: number; nodeCount: number }> {
  // Twice: what is finalised by the first is freed by the second.
  await debug.send('HeapProfiler.collectGarbage')
  await debug.send('HeapProfiler.collectGarbage')
  const { usedSize } = await debug.send('Runtime.getHeapUsage')
  const { nodes } = await debug.send('Memory.getDOMCounters')
  return { heapBytes: usedSize, nodeCount: nodes }
}
