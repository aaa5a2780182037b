// The order of things: scenario by scenario and size by size, round by round, system by system within a round, so
// that a drift of the machine hits all systems alike. Each case has a fresh server and a fresh load process.

import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { median } from './stats.ts'
import { runJob } from './load-process.ts'
import { scenarios } from './scenarios/index.ts'
import { startServer } from './server-process.ts'
import type { Children } from './children.ts'
import type { FigureName, Figures } from './figures.ts'
import type { Job, ScenarioName } from './job.ts'
import type { Options } from './options.ts'
import type { Scenario } from './scenarios/scenario.ts'
import type { System } from './systems/system.ts'

/** One row of a table. */
export interface Result {
  readonly scenario: ScenarioName
  readonly system: string
  readonly bodyBytes: number
  /** Of each round that succeeded, in order. */
  readonly rounds: readonly Figures[]
  /** The median of each figure over the rounds. */
  readonly figures: Figures
  /** Of each round that failed. */
  readonly failures: readonly string[]
}

export interface RunContext {
  readonly options: Options
  /** Those that can be measured here. */
  readonly systems: readonly System[]
  readonly dataFolder: string
  readonly children: Children
  /** Says what is being done, before it is done. */
  readonly onProgress: (step: string, doneCount: number, totalCount: number) => void
}

interface Case {
  readonly scenario: Scenario
  readonly bodyBytes: number
  readonly system: System
}

export async function runAll(context: RunContext): Promise<Result[]> {
  const { options, systems, onProgress } = context
  const groups = listGroups(options, systems)
  const { roundCount } = options.pace
  const totalCount = groups.flat().length * roundCount
  const backlogs = new Backlogs(context)
  const results: Result[] = []
  let doneCount = 0
  for (const group of groups) {
    const outcomes = group.map((item) => ({ item, rounds: [] as Figures[], failures: [] as string[] }))
    for (let round = 1; round <= roundCount; round++) {
      for (const { item, rounds, failures } of outcomes) {
        const { scenario, bodyBytes, system } = item
        onProgress(`${scenario.name} · ${bodyBytes} B · ${system.title} · round ${round}`, doneCount, totalCount)
        try {
          rounds.push(await measureCase(context, backlogs, item))
        } catch (error) {
          failures.push(error instanceof Error ? error.message : String(error))
        }
        doneCount += 1
      }
    }
    for (const { item, rounds, failures } of outcomes) {
      const { scenario, bodyBytes, system } = item
      const figures = medianFigures(rounds)
      results.push({ scenario: scenario.name, system: system.name, bodyBytes, rounds, figures, failures })
    }
  }
  return results
}

/** The cases that take turns with each other, group by group. */
function listGroups(options: Options, systems: readonly System[]): Case[][] {
  return scenarios
    .filter((scenario) => options.scenarios.includes(scenario.name))
    .flatMap((scenario) => {
      const taking = systems.filter((system) => system.scenarios.includes(scenario.name))
      const sizes = options.isQuick ? scenario.bodySizes.slice(0, 1) : scenario.bodySizes
      return sizes.map((bodyBytes) => taking.map((system) => ({ scenario, bodyBytes, system })))
    })
}

async function measureCase(context: RunContext, backlogs: Backlogs, item: Case): Promise<Figures> {
  const { scenario, bodyBytes, system } = item
  const folder = scenario.readsBacklog ? await backlogs.provide(system) : makeFolder(context, 'case')
  try {
    return await runOnce(context, system, folder, { task: 'measure', scenario: scenario.name, bodyBytes })
  } finally {
    if (!scenario.readsBacklog) rmSync(folder, { recursive: true, force: true })
  }
}

/** Starts the server where there is one, lets a load process do the job, and stops the server. */
async function runOnce(
  { options, children }: RunContext,
  system: System,
  folder: string,
  work: Pick<Job, 'task' | 'scenario' | 'bodyBytes'>,
): Promise<Figures> {
  const job: Job = { ...work, system: system.name, pace: options.pace, folder }
  if (system.kind === 'limit') return runJob(job, children)
  const server = await startServer(system, folder, children)
  try {
    return await runJob({ ...job, server: server.address }, children)
  } finally {
    await server.stop()
  }
}

/** The stored backlogs, one folder a system, filled when first asked for and read by all rounds. */
class Backlogs {
  readonly #context: RunContext
  readonly #folderBySystem = new Map<string, string>()

  constructor(context: RunContext) {
    this.#context = context
  }

  async provide(system: System): Promise<string> {
    const known = this.#folderBySystem.get(system.name)
    if (known !== undefined) return known
    const folder = makeFolder(this.#context, `backlog-${system.name}`)
    await runOnce(this.#context, system, folder, { task: 'fill', scenario: 'catch-up', bodyBytes: 100 })
    this.#folderBySystem.set(system.name, folder)
    return folder
  }
}

function makeFolder({ dataFolder }: RunContext, name: string): string {
  const folder = join(dataFolder, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return folder
}

function medianFigures(rounds: readonly Figures[]): Figures {
  const names = new Set(rounds.flatMap((figures) => Object.keys(figures) as FigureName[]))
  return Object.fromEntries(
    [...names].map((name) => [name, median(rounds.flatMap((figures) => figures[name] ?? []))]),
  )
}
