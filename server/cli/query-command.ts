// `pocketmq query`: stored messages, found by id, by key or by time, without consuming them.

import type { Command } from 'commander'
import type { Client, Message } from '../../core/client/api.ts'
import { PocketError } from '../../core/errors.ts'
import { asClientCommand, type ClientCommandOptions, reportFailure, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { findCountDefault, findPages } from './found-pages.ts'
import { bodyPreview, messageJson, messagePage } from './message-view.ts'
import { formatJson, formatTable, write } from './output.ts'
import { formatTime, given, parseCount, parseTime } from './values.ts'

interface Options extends ClientCommandOptions {
  readonly id?: string
  readonly key?: string
  readonly from?: Date
  readonly to?: Date
  readonly max: number
}

const previewLengthMax = 60

/** Adds `query` to the program. */
export function registerQueryCommand(program: Command, context: CommandContext = createProcessContext()): void {
  asClientCommand(program.command('query'), [
    'query --id 9f0c2d4e6a8b1357-0-41',
    'query orders --key 42',
    'query orders --from "10m ago" --to now --max 20 --json',
  ])
    .description('find stored messages by id, key or time, without consuming them')
    .argument('[topic]', 'the topic; needed for all but --id')
    .option('--id <messageId>', 'the message of this id')
    .option('--key <key>', 'messages with this key; --from and --to narrow it')
    .option('--from <time>', 'stored at or after', (text: string) => parseTime(text))
    .option('--to <time>', 'stored before', (text: string) => parseTime(text))
    .option('--max <count>', 'the oldest of them, at most so many', parseCount(1), findCountDefault)
    .action(async (topic: string | undefined, options: Options) => {
      const fault = faultOf(topic, options)
      if (fault !== undefined) context.setExitCode(reportFailure(context, options, new UsageError(fault)))
      else await runWithClient(context, options, (client) => query(context, client, topic, options))
    })
}

function faultOf(topic: string | undefined, options: Options): string | undefined {
  if (options.id !== undefined) {
    return options.key === undefined && options.from === undefined && options.to === undefined
      ? undefined
      : '--id stands alone'
  }
  if (topic === undefined) return 'name the topic, or ask for one message with --id'
  if (options.from !== undefined && options.to !== undefined && options.to <= options.from) return '--to is not later than --from'
  return options.key === undefined && options.from === undefined ? 'ask by --id, --key or --from' : undefined
}

async function query(
  context: CommandContext, client: Client, topic: string | undefined, options: Options,
): Promise<void> {
  const messages = await find(client, topic, options)
  if (options.id !== undefined) {
    const message = messages[0]
    if (message === undefined) throw new PocketError('MESSAGE_NOT_FOUND', `no stored message has the id ${options.id}`)
    await write(context, options.json === true ? formatJson(messageJson(message)) : messagePage(message))
  } else {
    await write(context, options.json === true ? formatJson(messages.map(messageJson)) : formatMessages(messages))
  }
}

async function find(
  client: Client, topic: string | undefined, options: Options,
): Promise<readonly Message<Uint8Array>[]> {
  const { id, key, from, to, max } = options
  if (id !== undefined) {
    const message = await client.admin.findById(id)
    return message === undefined ? [] : [message]
  }
  const name = topic as string
  return findPages(max, (page) => {
    if (key !== undefined) return client.admin.findByKey(name, key, { ...given({ from, to }), ...page })
    return client.admin.findByTime(name, { from: from as Date, ...given({ to }), ...page })
  })
}

function formatMessages(messages: readonly Message<Uint8Array>[]): string {
  if (messages.length === 0) return 'no messages\n'
  return formatTable(
    ['stored', 'place', 'message id', 'tag', 'keys', 'body'].map((title) => ({ title })),
    messages.map((message) => [
      formatTime(message.storedMs), `${message.topic}/${message.queueId}@${message.offset}`, message.messageId,
      message.tag ?? '-', message.keys.join(', ') || '-', bodyPreview(message.body, previewLengthMax),
    ]),
  )
}
