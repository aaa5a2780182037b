// The order of things: scenario by scenario, each on a profile of its own; round by round, and case by case within a
// round, so that a drift of the machine hits PocketMQ and the bare limits alike.

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bytes, connect } from '../../server/connect.ts'
import { median } from '../bench/stats.ts'
import { RelayProcess } from '../support/relay-process.ts'
import { backendOf, BenchBrowser } from './browser.ts'
import type { Case, FigureName, Figures, Pace, Scenario, ScenarioName, Stage } from './scenario.ts'

/** One row of a table. */
export interface Result {
  readonly scenario: ScenarioName
  readonly system: string
  readonly load: string
  /** Of each round that succeeded, in order. */
  readonly rounds: readonly Figures[]
  /** The median of each figure over the rounds. */
  readonly figures: Figures
  /** Of each round that failed. */
  readonly failures: readonly string[]
}

export interface RunOptions {
  readonly pace: Pace
  readonly scenarios: readonly Scenario[]
  readonly pageUrl: string
  /** For profiles of the browser; on a disk. */
  readonly dataFolder: string
  /** Where CPU profiles of the engine go; absolute. */
  readonly profileFolder?: string | undefined
  /** All scenarios in one browser: done sooner, but each finds what those before have left. */
  readonly isShared?: boolean
  readonly onProgress: (step: string) => void
}

export interface Outcome {
  readonly results: readonly Result[]
  readonly browser: string
  readonly backend: string
}

export async function runAll(options: RunOptions): Promise<Outcome> {
  const results: Result[] = []
  let [browser, backend] = ['unknown', 'unknown']
  const { scenarios, isShared = false } = options
  for (const group of isShared ? [scenarios] : scenarios.map((scenario) => [scenario])) {
    const profile = join(options.dataFolder, `profile-${group[0]?.name ?? 'none'}`)
    mkdirSync(profile, { recursive: true })
    await using stage = new BrowserStage(options, profile)
    for (const scenario of group) results.push(...await runScenario(scenario, stage, options))
    browser = await (await stage.browser()).version()
    backend = backendOf(profile)
  }
  return { results, browser, backend }
}

async function runScenario(scenario: Scenario, stage: BrowserStage, { pace, onProgress }: RunOptions): Promise<Result[]> {
  onProgress(`${scenario.name} · getting ready`)
  await scenario.prepare?.(stage)
  const outcomes = scenario.cases(pace).map((item) => ({ item, rounds: [] as Figures[], failures: [] as string[] }))
  for (let round = 1; round <= pace.roundCount; round++) {
    stage.round = round
    for (const { item, rounds, failures } of outcomes) {
      onProgress(`${scenario.name} · ${item.system}, ${item.load} · round ${round}`)
      try {
        rounds.push(await item.measure(stage))
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error))
      }
    }
  }
  return outcomes.map(({ item, rounds, failures }) => resultOf(scenario, item, rounds, failures))
}

function resultOf({ name, figures }: Scenario, item: Case, rounds: readonly Figures[], failures: readonly string[]): Result {
  const known = figures.filter((figure) => rounds.some((round) => round[figure] !== undefined))
  const medians = known.map((figure): [FigureName, number] => [figure, median(rounds.flatMap((round) => round[figure] ?? []))])
  return { scenario: name, system: item.system, load: item.load, rounds, figures: Object.fromEntries(medians), failures }
}

class BrowserStage implements Stage, AsyncDisposable {
  readonly #options: RunOptions
  readonly #profile: string
  #browser: BenchBrowser | undefined
  #relay: RelayProcess | undefined
  readonly #kill = (): void => this.#browser?.kill()
  round = 0

  constructor(options: RunOptions, profile: string) {
    this.#options = options
    this.#profile = profile
    process.once('exit', this.#kill)
  }

  get pace(): Pace {
    return this.#options.pace
  }

  async browser(): Promise<BenchBrowser> {
    this.#browser ??= await BenchBrowser.start(this.#profile, this.#options.pageUrl)
    return this.#browser
  }

  async stopBrowser(): Promise<void> {
    const browser = this.#browser
    this.#browser = undefined
    await browser?.stop()
  }

  async filledRelay(topic: string, messageCount: number): Promise<string> {
    if (this.#relay !== undefined) return this.#relay.url
    const relay = await RelayProcess.start(['--allow-origin', '*'])
    this.#relay = relay
    await using client = await connect(relay.url)
    await client.admin.createTopic(topic, { queueCount: 1 })
    const target = client.topic(topic, { codec: bytes })
    const body = new Uint8Array(100).map((_, at) => at * 37)
    const receipts: Promise<unknown>[] = []
    for (let at = 0; at < messageCount; at++) {
      await target.ready()
      receipts.push(target.send(body))
    }
    await Promise.all(receipts)
    return relay.url
  }

  async profiled<T>(name: string, work: () => Promise<T>): Promise<T> {
    const { profileFolder } = this.#options
    if (profileFolder === undefined) return work()
    return (await this.browser()).profiled(profileFolder, `${name}-${this.round}`, work)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopBrowser()
    process.off('exit', this.#kill)
    await this.#relay?.[Symbol.asyncDispose]()
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 })
  }
}
