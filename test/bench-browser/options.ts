// The command line of the browser's benchmark. A bad flag is one line on stderr and exit code 2.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fullPace, type Pace, quickPace, type Scenario } from './scenario.ts'
import { scenarios } from './scenarios/index.ts'

const roundCountMax = 100

export interface Options {
  readonly pace: Pace
  readonly scenarios: readonly Scenario[]
  /** Where the JSON goes; absolute. */
  readonly jsonFile: string | undefined
  /** Where CPU profiles of the engine go; absolute. */
  readonly profileFolder: string | undefined
}

/** What to do: run with options, or end with a text and an exit code. */
export type Parsed = { readonly options: Options } | { readonly exitCode: 0 | 2; readonly text: string }

/** Reads the arguments after the program's name. */
export function parseOptions(args: readonly string[]): Parsed {
  let text = ''
  const names = scenarios.map(({ name }) => name)
  const command = new Command('npm run bench:browser --')
    .description('Measures PocketMQ in Chromium beside bare IndexedDB and bare postMessage.')
    .option('--quick', 'one short round; the figures are rough', false)
    .addOption(
      new Option('--only <scenario>', 'these scenarios only, with commas between; may be repeated')
        .choices(names)
        // `choices` brings a parser of its own, which keeps the last value alone.
        .argParser(collectScenarios),
    )
    .option('--rounds <count>', `how often each case is measured (default: ${fullPace.roundCount})`, parseRounds)
    .option('--json <file>', 'write all figures, of each round too, to this file', parsePath)
    .option('--profiles <folder>', 'write CPU profiles of the engine into this folder; slows it', parsePath)
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
    .configureOutput({ writeOut: (part) => (text += part), writeErr: (part) => (text += part) })
    .exitOverride()
  try {
    command.parse([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return { exitCode: error.exitCode === 0 ? 0 : 2, text }
  }
  const { quick, only, rounds, json, profiles } = command.opts<{
    quick: boolean
    only?: Scenario[]
    rounds?: number
    json?: string
    profiles?: string
  }>()
  const pace = quick ? quickPace : fullPace
  return {
    options: {
      pace: { ...pace, roundCount: rounds ?? pace.roundCount },
      scenarios: only ?? scenarios,
      jsonFile: json,
      profileFolder: profiles,
    },
  }
}

function collectScenarios(value: string, earlier: readonly Scenario[] | undefined): Scenario[] {
  const names = scenarios.map(({ name }) => name).join(', ')
  const found = value.split(',').map((part) => {
    const scenario = scenarios.find(({ name }) => name === part.trim())
    if (scenario === undefined) throw new InvalidArgumentError(`'${part.trim()}' is none of ${names}.`)
    return scenario
  })
  return [...(earlier ?? []), ...found]
}

function parseRounds(value: string): number {
  const count = Number(value)
  if (!Number.isInteger(count) || count < 1 || count > roundCountMax) {
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${roundCountMax}.`)
  }
  return count
}

function parsePath(value: string): string {
  const path = resolve(value)
  if (!existsSync(dirname(path))) throw new InvalidArgumentError('The folder it lies in does not exist.')
  return path
}
