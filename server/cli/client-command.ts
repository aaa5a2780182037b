// A command that talks to a relay: its common options, and its life from connecting to the exit code.

import { type Command, Option } from 'commander'
import type { Client } from '../../core/client/api.ts'
import { type PocketError, toPocketError } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import type { CommandContext } from './context.ts'
import { failureOf, formatFailure } from './failure.ts'
import { formatJsonLine } from './output.ts'
import { given } from './values.ts'

export const defaultUrl = 'ws://127.0.0.1:7600'

/** Nobody wants to wait longer to learn that nothing listens there. */
const connectTimeout = '3s'

/** What an interrupted command may take to end in order. */
const interruptedCloseMsMax = 2_000

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
    .addHelpText('after', `\nExamples:\n${examples.map(commandLine).join('\n')}`)
}

/** Those that begin with another program name it themselves. */
function commandLine(example: string): string {
  return example.includes('| pocketmq ') ? `  $ ${example}` : `  $ pocketmq ${example}`
}

/** Connects, works, closes and sets the exit code. Never rejects: a failure is told in one line on stderr. */
export async function runWithClient(context: CommandContext, options: ClientCommandOptions, work: Work): Promise<void> {
  const stop = new AbortController()
  let interruptedBy: number | undefined
  let isLate = false
  const unwatch = context.onInterrupt((exitCode) => {
    interruptedBy = exitCode
    stop.abort()
  })
  try {
    const client = await connectForCommand(context, options, stop.signal)
    const trouble = tellTrouble(context, options, client)
    try {
      await work(client, stop.signal)
    } catch (thrown) {
      trouble.isToldBy(toPocketError(thrown))
      throw thrown
    } finally {
      isLate = !await closed(client, stop.signal)
    }
  } catch (thrown) {
    if (interruptedBy === undefined) context.setExitCode(reportFailure(context, options, thrown))
  } finally {
    unwatch()
    if (interruptedBy !== undefined) context.setExitCode(interruptedBy)
    if (interruptedBy !== undefined && isLate) {
      context.errors.write('pocketmq: interrupted; what was sent last may or may not be stored\n')
      context.end(interruptedBy)
    }
  }
}

/** In order; but who interrupts does not wait for answers that may never come: false then. */
async function closed(client: Client, stopSignal: AbortSignal): Promise<boolean> {
  const closing = client.close().then(() => true)
  const interrupted = new Promise<boolean>((resolve) => {
    const wait = () => void setTimeout(() => resolve(false), interruptedCloseMsMax).unref()
    if (stopSignal.aborted) wait()
    else stopSignal.addEventListener('abort', wait, { once: true })
  })
  return Promise.race([closing, interrupted])
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
function tellTrouble(
  context: CommandContext, { json }: ClientCommandOptions, client: Client,
): { isToldBy(failure: PocketError): void } {
  const tell = (text: string) => context.errors.write(`pocketmq: ${text}\n`)
  /** Not told yet: the command may fail with the same. */
  let pending: PocketError[] = []
  function tellErrors(): void {
    for (const { code, message } of pending.splice(0)) {
      if (json === true) context.errors.write(formatJsonLine({ error: { code, message } }))
      else tell(`${message} (${code})`)
    }
  }
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
  client.on('error', (error) => {
    if (pending.push(error) === 1) setTimeout(tellErrors, 0)
  })
  return {
    isToldBy(failure) {
      pending = pending.filter(({ code, message }) => code !== failure.code || message !== failure.message)
    },
  }
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
