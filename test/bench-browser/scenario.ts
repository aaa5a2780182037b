// What a scenario of the browser's benchmark is: cases that take turns with each other, and what they may use.

import type { BenchBrowser, BenchTab } from './browser.ts'

export type ScenarioName = 'send' | 'lone-send' | 'tab-to-tab' | 'catch-up' | 'cold-start' | 'memory'

/** How much of everything; the full pace is what targets speak of. */
export interface Pace {
  readonly roundCount: number
  readonly sendCount: number
  readonly loneCount: number
  readonly spacedCount: number
  readonly catchUpCount: number
  readonly storedCount: number
  readonly trafficCount: number
  readonly subscriptionCount: number
}

export const fullPace: Pace = {
  roundCount: 3, sendCount: 300_000, loneCount: 300, spacedCount: 500, catchUpCount: 500_000, storedCount: 1_000_000,
  trafficCount: 2_000_000, subscriptionCount: 500,
}
export const quickPace: Pace = {
  roundCount: 1, sendCount: 60_000, loneCount: 100, spacedCount: 100, catchUpCount: 100_000, storedCount: 200_000,
  trafficCount: 200_000, subscriptionCount: 200,
}
/** For the test that the benchmark still runs. */
export const tinyPace: Pace = {
  roundCount: 1, sendCount: 500, loneCount: 5, spacedCount: 5, catchUpCount: 500, storedCount: 2_000, trafficCount: 1_000,
  subscriptionCount: 5,
}

export type FigureName =
  | 'messagesPerSecond' | 'p50Ms' | 'p99Ms' | 'firstMs' | 'heapMib' | 'grownKib' | 'bytesPerMessage' | 'subscriptionBytes'
export type Figures = Readonly<Partial<Record<FigureName, number>>>

export const figureHeadings: Readonly<Record<FigureName, { readonly heading: string; readonly decimals: number }>> = {
  messagesPerSecond: { heading: 'msg/s', decimals: 0 },
  p50Ms: { heading: 'p50 ms', decimals: 2 },
  p99Ms: { heading: 'p99 ms', decimals: 2 },
  firstMs: { heading: 'first ms', decimals: 0 },
  heapMib: { heading: 'engine heap MiB', decimals: 2 },
  grownKib: { heading: 'grown KiB', decimals: 0 },
  bytesPerMessage: { heading: 'B/message', decimals: 2 },
  subscriptionBytes: { heading: 'page B/subscription', decimals: 0 },
}

/** One browser on one profile, for all rounds of a scenario. */
export interface Stage {
  readonly pace: Pace
  readonly round: number
  /** Runs, or is started. */
  browser(): Promise<BenchBrowser>
  /** The next `browser()` is a new process on the same profile. */
  stopBrowser(): Promise<void>
  /** A relay in a process of its own with a topic of so many messages of 100 bytes, the same for all rounds. */
  filledRelay(topic: string, messageCount: number): Promise<string>
  /** Runs `work`; where profiles were asked for, with one of the shared worker, which it may start. */
  profiled<T>(name: string, work: () => Promise<T>): Promise<T>
}

export interface Case {
  readonly system: string
  /** Of several cases of a system. */
  readonly load: string
  measure(stage: Stage): Promise<Figures>
}

export interface Scenario {
  readonly name: ScenarioName
  readonly title: string
  readonly figures: readonly FigureName[]
  cases(pace: Pace): readonly Case[]
  /** Before the first round. */
  prepare?(stage: Stage): Promise<void>
}

/** Opens a tab for the time of `work`. */
export async function inTab<T>(stage: Stage, work: (tab: BenchTab) => Promise<T>): Promise<T> {
  const tab = await (await stage.browser()).openTab()
  try {
    return await work(tab)
  } finally {
    await tab.close()
  }
}

export const pocketmq = 'PocketMQ'
export const bareIdb = 'bare IndexedDB'
export const barePort = 'bare postMessage'
