// One soak: a relay in a process of its own, Chromium on a profile of its own, both pages at work, and a look at what they
// weigh every now and then.

import { setTimeout as sleep } from 'node:timers/promises'
import puppeteer from 'puppeteer-core'
import { chromiumLaunch, findChromium } from '../../tools/browsers.mjs'
import { RelayProcess } from '../support/relay-process.ts'
import { BusyPages, type Look } from './busy-pages.ts'

/** The demo is looked after so often, and the console's next page opened. */
const workMs = 500
const visitMs = 30_000

export interface SoakSpec {
  readonly warmupMs: number
  readonly measuredMs: number
  /** Between two looks. */
  readonly everyMs: number
  /** For the browser's profile. */
  readonly dataFolder: string
  readonly onProgress: (elapsedMs: number, packedCount: number, look: Look | undefined) => void
}

export interface SoakOutcome {
  readonly browser: string
  /** Orders that the demo packed and showed in the measured time. */
  readonly packedCount: number
  readonly looks: readonly Look[]
}

export async function runSoak({ warmupMs, measuredMs, everyMs, dataFolder, onProgress }: SoakSpec): Promise<SoakOutcome> {
  const path = findChromium()
  if (path === undefined) throw new Error('no Chromium found: run tools/ensure-browser.mjs, or name one in POCKETMQ_CHROMIUM')
  await using relay = await RelayProcess.start()
  const browser = await puppeteer.launch({ ...chromiumLaunch(path), userDataDir: dataFolder, protocolTimeout: 120_000 })
  try {
    const pages = await BusyPages.open(browser, relay.url.replace(/^ws/, 'http'))
    const looks: Look[] = []
    const startedMs = performance.now()
    let packedBefore: number | undefined
    let lookMs = startedMs + warmupMs
    let visitedMs = startedMs
    for (;;) {
      const nowMs = performance.now()
      if (nowMs >= startedMs + warmupMs + measuredMs) break
      await pages.work()
      if (nowMs - visitedMs >= visitMs) {
        visitedMs = nowMs
        await pages.visit()
      }
      const packedCount = await pages.packedCount()
      if (nowMs >= lookMs) {
        packedBefore ??= packedCount
        lookMs += everyMs
        looks.push(await pages.look())
      }
      onProgress(nowMs - startedMs, packedCount, looks.at(-1))
      await sleep(workMs)
    }
    const packedCount = await pages.packedCount() - (packedBefore ?? 0)
    return { browser: await browser.version(), packedCount, looks }
  } finally {
    await browser.close()
  }
}
