// `pocketmq delayed list|recall`: messages that wait for their time.

import type { Command } from 'commander'
import type { DelayedInfo } from '../../core/client/admin-api.ts'
import { asClientCommand, type ClientCommandOptions, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { bodyPreview, messageJson } from './message-view.ts'
import { formatJson, formatTable, write } from './output.ts'
import { formatTime, given, parseCount } from './values.ts'

interface ListOptions extends ClientCommandOptions {
  readonly topic?: string
  readonly after?: string
  readonly max?: number
}

const previewLengthMax = 40

/** Adds `delayed` to the program. */
export function registerDelayedCommand(program: Command, context: CommandContext = createProcessContext()): void {
  const delayed = program.command('delayed').description('list delayed messages, and take them back')

  asClientCommand(delayed.command('list'), ['delayed list', 'delayed list --topic reminders --max 20 --json'])
    .description('show delayed messages in the order they are due')
    .option('--topic <topic>', 'only those of this topic')
    .option('--after <handle>', 'behind this recall handle, the last of the page before')
    .option('--max <count>', 'at most so many (default: 64)', parseCount(1))
    .action((options: ListOptions) => runWithClient(context, options, async (client) => {
      const { topic, after, max } = options
      const messages = await client.admin.listDelayed(given({ topic, after, max }))
      await write(context, options.json === true
        ? formatJson(messages.map((delayed) => ({ ...delayed, message: messageJson(delayed.message) })))
        : formatDelayed(messages))
    }))

  asClientCommand(delayed.command('recall'), ['delayed recall reminders mi4k2v8x~9f0c2d4e6a8b1357-0-41'])
    .description('take back a delayed message before it is due')
    .argument('<topic>', 'its topic')
    .argument('<handle>', 'its recall handle, from its receipt or from the list')
    .action((topic: string, handle: string, options: ClientCommandOptions) => {
      return runWithClient(context, options, async (client) => {
        await client.admin.recall(topic, handle)
        await write(context, options.json === true ? formatJson({ topic, recalled: handle }) : `recalled ${handle}\n`)
      })
    })
}

function formatDelayed(messages: readonly DelayedInfo[]): string {
  if (messages.length === 0) return 'no delayed messages\n'
  return formatTable(
    ['due', 'topic', 'tag', 'recall handle', 'body'].map((title) => ({ title })),
    messages.map(({ deliverMs, topic, recallHandle, message }) => [
      formatTime(deliverMs), topic, message.tag ?? '-', recallHandle, bodyPreview(message.body, previewLengthMax),
    ]),
  )
}
