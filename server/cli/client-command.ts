// A command that talks to a relay: its common options, and its life from connecting to the exit code.

import { type Command, Option } from 'commander'
import type { Client } from '../../core/client/api.ts'
import { toPocketError } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import type { CommandContext } from './context.ts'
import { failureOf, formatFailure } from './failure.ts'
import { given } from './values.ts'

export const defaultUrl = 'ws://127.0.0.1:7600'

/** Nobody wants to wait longer to learn that nothing listens there. */
const connectTimeout = '3s'

/** Options every such command has. */
export interface ClientCommandOptions {
  readonly url: string
  readonly token?: string
  readonly json?: boolean
}

/** What runs once connected. `signal` is aborted by Ctrl-C: come to an end and return. */
export type Work = (client: Client, signal: AbortSignal) => Promise<void>

/** Adds the common options, and examples below the help. */
export function asClientCommand(command: Command, examples: readonly string[]): Command {
  return command
    .addOption(new Option('--url <url>', 'the relay').env('POCKETMQ_URL').default(defaultUrl))
    .addOption(new Option('--token <token>', 'shown to the relay').env('POCKETMQ_TOKEN'))
    .option('--json', 'print JSON for programs')
    .addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ pocketmq ${example}`).join('\n')}`)
}

/** Connects, works, closes and sets the exit code. Never rejects: a failure is told in one line on stderr. */
export async function runWithClient(context: CommandContext, options: ClientCommandOptions, work: Work): Promise<void> {
  const stop = new AbortController()
  let interruptedBy: number | undefined
  const unwatch = context.onInterrupt((exitCode) => {
    interruptedBy = exitCode
    stop.abort()
  })
  try {
    await using client = await connectForCommand(context, options, stop.signal)
    tellTrouble(context, client)
    await work(client, stop.signal)
  } catch (thrown) {
    if (interruptedBy === undefined) context.setExitCode(reportFailure(context, options, thrown))
  } finally {
    unwatch()
    if (interruptedBy !== undefined) context.setExitCode(interruptedBy)
  }
}

async function connectForCommand(
  context: CommandContext, options: ClientCommandOptions, stopSignal: AbortSignal,
): Promise<Client> {
  // Once connected, Ctrl-C must not tear the client down: the command leaves its group first.
  const connecting = new AbortController()
  const abort = () => connecting.abort()
  stopSignal.addEventListener('abort', abort)
  try {
    return await context.connect(options.url, {
      name: 'pocketmq CLI',
      connectTimeout,
      signal: connecting.signal,
      ...given({ auth: options.token }),
    })
  } finally {
    stopSignal.removeEventListener('abort', abort)
  }
}

/** What happens beside the work: the link, gaps, failures nobody awaits. */
function tellTrouble(context: CommandContext, client: Client): void {
  const tell = (text: string) => context.errors.write(`pocketmq: ${text}\n`)
  let waiting = false
  client.on('link', ({ state, error }) => {
    if (state === 'waiting' && !waiting) {
      waiting = true
      tell(`connection lost${error === undefined ? '' : ` (${error.code})`}, trying again`)
    } else if (state === 'connected' && waiting) {
      waiting = false
      tell('connected again')
    }
  })
  client.on('gap', ({ topic, queueId, expected, next }) => {
    const position = ({ epoch, offset }: Position) => `offset ${offset} of epoch ${epoch}`
    tell(`messages are gone from ${topic}/${queueId}: after ${position(expected)} it goes on at ${position(next)}`)
  })
  client.on('error', (error) => tell(`${error.message} (${error.code})`))
}

/** Tells the failure and gives its exit code. */
export function reportFailure(
  context: CommandContext, options: { readonly url?: string; readonly json?: boolean }, thrown: unknown,
): number {
  const failure = failureOf(thrown, options.url ?? defaultUrl)
  if (options.json === true) {
    const { code, text, hint } = failure
    context.errors.write(`${JSON.stringify({ error: { code, message: text, hint } })}\n`)
  } else {
    context.errors.write(`${formatFailure(failure)}\n`)
    if (failure.code === 'INTERNAL') context.errors.write(`${toPocketError(thrown).stack ?? ''}\n`)
  }
  return failure.exitCode
}
