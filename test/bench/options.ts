// The command line of the bench. A bad flag is one line on stderr and exit code 2.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { dirname, resolve } from 'node:path'
import { existsSync } from 'node:fs'

import { fullPace, quickPace, scenarioNames } from './job.ts'
import type { Pace, ScenarioName } from './job.ts'

const roundCountMax = 100

export interface Options {
  readonly pace: Pace
  readonly isQuick: boolean
  readonly scenarios: readonly ScenarioName[]
  readonly systems: readonly string[]
  /** Where the JSON goes; absolute. */
  readonly jsonFile?: string
}

/** What to do: run with options, or end with a text and an exit code. */
export type Parsed = { readonly options: Options } | { readonly exitCode: 0 | 2; readonly text: string }

/** Reads the arguments after the program's name. */
export function parseOptions(args: readonly string[], systemNames: readonly string[]): Parsed {
  let text = ''
  const command = new Command('npm run bench --')
    .description('Measures PocketMQ beside other systems and beside the limits of its parts.')
    .option('--quick', 'one short round with small bodies, in under a minute; the figures are rough', false)
    .addOption(
      new Option('--only <scenario>', 'these scenarios only, with commas between; may be repeated')
        .choices(scenarioNames)
        // `choices` brings a parser of its own, which keeps the last value alone.
        .argParser(collectScenarios),
    )
    .option('--systems <names>', `these systems only, with commas between: ${systemNames.join(', ')}`, parseSystems)
    .option('--rounds <count>', `how often each case is measured (default: ${fullPace.roundCount})`, parseRounds)
    .option('--json <file>', 'write all figures, of each round too, to this file', parseJsonFile)
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
  const { quick, only, systems, rounds, json } = command.opts<{
    quick: boolean
    only?: ScenarioName[]
    systems?: string[]
    rounds?: number
    json?: string
  }>()
  const pace = quick ? quickPace : fullPace
  return {
    options: {
      pace: { ...pace, roundCount: rounds ?? pace.roundCount },
      isQuick: quick,
      scenarios: only ?? scenarioNames,
      systems: systems ?? systemNames,
      ...(json !== undefined && { jsonFile: json }),
    },
  }

  function parseSystems(value: string): string[] {
    const names = value.split(',').map((name) => name.trim())
    const unknown = names.find((name) => !systemNames.includes(name))
    if (unknown !== undefined) throw new InvalidArgumentError(`'${unknown}' is none of ${systemNames.join(', ')}.`)
    return names
  }
}

function collectScenarios(value: string, earlier: readonly ScenarioName[] | undefined): ScenarioName[] {
  const names = value.split(',').map((part) => {
    const name = scenarioNames.find((candidate) => candidate === part.trim())
    if (name === undefined) throw new InvalidArgumentError(`'${part.trim()}' is none of ${scenarioNames.join(', ')}.`)
    return name
  })
  return [...(earlier ?? []), ...names]
}

function parseRounds(value: string): number {
  const count = Number(value)
  if (!Number.isInteger(count) || count < 1 || count > roundCountMax) {
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${roundCountMax}.`)
  }
  return count
}

function parseJsonFile(value: string): string {
  const file = resolve(value)
  if (!existsSync(dirname(file))) throw new InvalidArgumentError('Its folder does not exist.')
  return file
}
