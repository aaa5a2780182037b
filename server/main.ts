// The program `pocketmq`: puts its commands together and turns what they throw into exit codes. Wiring only.

import { Command, CommanderError } from 'commander'
import process from 'node:process'
import { registerBenchCommand } from './cli/bench-command.ts'
import { registerConsumeCommand } from './cli/consume-command.ts'
import { registerDelayedCommand } from './cli/delayed-command.ts'
import { registerDlqCommand } from './cli/dlq-command.ts'
import { registerFollowCommand } from './cli/follow-command.ts'
import { registerRequestCommand } from './cli/request-command.ts'
import { registerTraceCommand } from './cli/trace-command.ts'
import { registerRelayCommand } from './cli/relay-command.ts'
import { registerTransactionCommand } from './cli/transaction-command.ts'
import { exitCodes } from './cli/exit-codes.ts'
import { registerGroupCommand } from './cli/group-command.ts'
import { registerQueryCommand } from './cli/query-command.ts'
import { registerSendCommand } from './cli/send-command.ts'
import { registerServeCommand } from './cli/serve-command.ts'
import { registerTopicCommand } from './cli/topic-command.ts'
import { version } from './version.ts'

const program = new Command('pocketmq')
  .description('RocketMQ’s message model wherever JavaScript runs: a relay, and what talks to it')
  .version(version, '--version', 'print the version')
  .helpOption('--help', 'print this')
  .exitOverride()

registerServeCommand(program)
registerTopicCommand(program)
registerGroupCommand(program)
registerSendCommand(program)
registerConsumeCommand(program)
registerQueryCommand(program)
registerRequestCommand(program)
registerDelayedCommand(program)
registerDlqCommand(program)
registerTransactionCommand(program)
registerRelayCommand(program)
registerTraceCommand(program)
registerFollowCommand(program)
registerBenchCommand(program)
tellUsageErrors(program, program.name())

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Commander has told what is wrong, or printed what was asked for.
  process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
}

/** In one line, as every failure of the program is told, with what to do next. */
function tellUsageErrors(command: Command, path: string): void {
  command.configureOutput({
    outputError: (text, write) => {
      const what = text.trim().replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ').replace(/\.$/, '')
      write(`pocketmq: ${what}. \`${path} --help\` says how\n`)
    },
  })
  for (const sub of command.commands) tellUsageErrors(sub, `${path} ${sub.name()}`)
}
