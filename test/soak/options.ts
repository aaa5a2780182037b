// The command line of the soak. A bad flag is one line on stderr and exit code 2.

import { Command, CommanderError, InvalidArgumentError } from 'commander'

const minutesMax = 24 * 60

export interface SoakOptions {
  /** What is measured. */
  readonly minutes: number
  /** Before it: the charts' rings hold five minutes, and code is compiled. */
  readonly warmupMinutes: number
  /** Between two looks at the heaps. */
  readonly everySeconds: number
}

/** What to do: run with options, or end with a text and an exit code. */
export type Parsed = { readonly options: SoakOptions } | { readonly exitCode: 0 | 2; readonly text: string }

/** Reads the arguments after the program's name. */
export function parseOptions(args: readonly string[]): Parsed {
  let text = ''
  const command = new Command('npm run soak --')
    .description('Keeps demo and console busy in Chromium, over a real relay, and says whether their memory stays as it is.')
    .option('--minutes <count>', 'how long is measured', wholeNumber(minutesMax), 10)
    .option('--warmup <minutes>', 'before that, until the rings of the charts are full', wholeNumber(minutesMax), 6)
    .option('--every <seconds>', 'between two looks at the heaps, each after a forced collection', wholeNumber(3_600), 30)
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
  const { minutes, warmup, every } = command.opts<{ minutes: number; warmup: number; every: number }>()
  return { options: { minutes, warmupMinutes: warmup, everySeconds: every } }
}

function wholeNumber(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw new InvalidArgumentError(`Takes a whole number from 1 to ${most.toLocaleString('en-US')}.`)
    }
    return value
  }
}
