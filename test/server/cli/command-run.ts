// Runs one command of the CLI in this process, with streams that can be read and a Ctrl-C that can be pressed.

import { Command, CommanderError } from 'commander'
import { PassThrough, Readable } from 'node:stream'
import { registerBenchCommand } from '../../../server/cli/bench-command.ts'
import { registerConsumeCommand } from '../../../server/cli/consume-command.ts'
import type { CommandContext } from '../../../server/cli/context.ts'
import { registerDelayedCommand } from '../../../server/cli/delayed-command.ts'
import { registerDlqCommand } from '../../../server/cli/dlq-command.ts'
import { registerFollowCommand } from '../../../server/cli/follow-command.ts'
import { registerRequestCommand } from '../../../server/cli/request-command.ts'
import { registerTraceCommand } from '../../../server/cli/trace-command.ts'
import { registerRelayCommand } from '../../../server/cli/relay-command.ts'
import { registerTransactionCommand } from '../../../server/cli/transaction-command.ts'
import { exitCodes } from '../../../server/cli/exit-codes.ts'
import { registerGroupCommand } from '../../../server/cli/group-command.ts'
import { registerQueryCommand } from '../../../server/cli/query-command.ts'
import { registerSendCommand } from '../../../server/cli/send-command.ts'
import { registerTopicCommand } from '../../../server/cli/topic-command.ts'
import { connect } from '../../../server/connect.ts'

export interface RunOptions {
  /** What comes on stdin. */
  readonly input?: string | Readable
  /** Stdin is a terminal. */
  readonly isTerminal?: boolean
  /** Ctrl-C is pressed when this much has been printed. */
  readonly interruptAfter?: (output: string) => boolean
  readonly connect?: CommandContext['connect']
}

export interface RunResult {
  readonly output: string
  readonly errors: string
  readonly exitCode: number
}

/** `args` as behind `pocketmq`. */
export async function runCommand(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const output = new PassThrough()
  const errors = new PassThrough()
  const result = { output: '', errors: '', exitCode: exitCodes.ok as number, isEnded: false }
  let interrupt: ((exitCode: number) => void) | undefined
  output.setEncoding('utf8').on('data', (text: string) => {
    result.output += text
    if (options.interruptAfter?.(result.output) === true) interrupt?.(exitCodes.interrupted)
  })
  errors.setEncoding('utf8').on('data', (text: string) => {
    result.errors += text
    if (options.interruptAfter?.(result.errors) === true) interrupt?.(exitCodes.interrupted)
  })
  const input = typeof options.input === 'object' ? options.input : Readable.from([options.input ?? ''])
  const context: CommandContext = {
    connect: options.connect ?? connect,
    input: Object.assign(input, { isTTY: options.isTerminal === true }),
    output,
    errors,
    onInterrupt(press) {
      interrupt = press
      return () => {
        interrupt = undefined
      }
    },
    setExitCode(exitCode) {
      result.exitCode = exitCode
    },
    end(exitCode) {
      result.exitCode = exitCode
      result.isEnded = true
    },
  }
  try {
    await createProgram(context).parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    result.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
  }
  return result
}

function createProgram(context: CommandContext): Command {
  const program = new Command('pocketmq').exitOverride().configureOutput({
    writeOut: (text) => context.output.write(text),
    writeErr: (text) => context.errors.write(text),
  })
  for (const register of [
    registerTopicCommand, registerGroupCommand, registerSendCommand, registerConsumeCommand, registerQueryCommand,
    registerRequestCommand, registerDelayedCommand, registerDlqCommand, registerTransactionCommand, registerTraceCommand,
    registerRelayCommand,
    registerFollowCommand, registerBenchCommand,
  ]) {
    register(program, context)
  }
  return program
}
