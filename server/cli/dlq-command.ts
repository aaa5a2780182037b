// `pocketmq dlq list|resend|purge`: messages whose attempts are over.

import type { Command } from 'commander'
import type { Client, Message } from '../../core/client/api.ts'
import { deadLetterProperties } from '../../core/model/message.ts'
import { asClientCommand, type ClientCommandOptions, reportFailure, runWithClient } from './client-command.ts'
import { confirm, faultOfYes } from './confirm.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { bodyPreview, messageJson } from './message-view.ts'
import { formatJson, formatTable, write } from './output.ts'
import { collect, formatCount, formatTime, given, parseCount } from './values.ts'

interface ListOptions extends ClientCommandOptions {
  readonly max?: number
}

interface MoveOptions extends ClientCommandOptions {
  readonly id?: readonly string[]
  readonly all?: boolean
}

interface PurgeOptions extends MoveOptions {
  readonly yes?: string
}

const previewLengthMax = 40

/** Adds `dlq` to the program. */
export function registerDlqCommand(program: Command, context: CommandContext = createProcessContext()): void {
  const dlq = program.command('dlq').description('dead letters of a group: list, put back, delete')

  asClientCommand(dlq.command('list'), ['dlq list till', 'dlq list till --max 20 --json'])
    .description('show a group’s dead letters, oldest first')
    .argument('<group>', 'whose')
    .option('--max <count>', 'at most so many (default: 64)', parseCount(1))
    .action((group: string, options: ListOptions) => runWithClient(context, options, async (client) => {
      const letters = await client.admin.deadLetters(group, given({ max: options.max }))
      await write(context, options.json === true ? formatJson(letters.map(messageJson)) : formatLetters(letters))
    }))

  asClientCommand(dlq.command('resend'), ['dlq resend till --id 9f0c2d4e6a8b1357-0-41', 'dlq resend till --all'])
    .description('put dead letters back into the topics they came from, as new messages')
    .argument('<group>', 'whose')
    .option('--id <messageId>', 'this one; may be repeated', collect)
    .option('--all', 'all of them')
    .action((group: string, options: MoveOptions) => move(context, options, async (client) => {
      const count = await client.admin.resendDeadLetters(group, given({ messageIds: options.id }))
      return { group, resent: count }
    }))

  asClientCommand(dlq.command('purge'), ['dlq purge till --id 9f0c2d4e6a8b1357-0-41', 'dlq purge till --all --yes till'])
    .description('delete dead letters')
    .argument('<group>', 'whose')
    .option('--id <messageId>', 'this one; may be repeated', collect)
    .option('--all', 'all of them')
    .option('--yes <group>', 'delete all without asking; must repeat the name')
    .action((group: string, options: PurgeOptions) => {
      const fault = faultOfYes(group, options.yes, 'group')
      return move(context, options, async (client, signal) => {
        if (options.id === undefined && options.yes === undefined) {
          await confirm(context, group, 'group', 'all dead letters of the group', signal)
        }
        const count = await client.admin.purgeDeadLetters(group, given({ messageIds: options.id }))
        return { group, purged: count }
      }, fault)
    })
}

async function move(
  context: CommandContext, options: MoveOptions,
  work: (client: Client, signal: AbortSignal) => Promise<Readonly<Record<string, string | number>>>, fault?: string,
): Promise<void> {
  const wrong = fault ?? ((options.id === undefined) === (options.all !== true) ? 'say which: --id, or --all' : undefined)
  if (wrong !== undefined) {
    context.setExitCode(reportFailure(context, options, new UsageError(wrong)))
    return
  }
  await runWithClient(context, options, async (client, signal) => {
    const moved = await work(client, signal)
    const [[verb, count] = ['', 0]] = Object.entries(moved).filter(([name]) => name !== 'group')
    await write(context, options.json === true ? formatJson(moved) : `${verb} ${formatCount(Number(count))} dead letters\n`)
  })
}

function formatLetters(letters: readonly Message<Uint8Array>[]): string {
  if (letters.length === 0) return 'no dead letters\n'
  const { originTopic, originQueueId, originOffset, attempts } = deadLetterProperties
  return formatTable(
    [
      { title: 'died' }, { title: 'message id' }, { title: 'from' }, { title: 'attempts', align: 'right' }, { title: 'tag' },
      { title: 'body' },
    ],
    letters.map(({ storedMs, messageId, properties, tag, body }) => [
      formatTime(storedMs), messageId,
      `${properties.get(originTopic) ?? '?'}/${properties.get(originQueueId) ?? '?'}@${properties.get(originOffset) ?? '?'}`,
      properties.get(attempts) ?? '-', tag ?? '-', bodyPreview(body, previewLengthMax),
    ]),
  )
}
