// `pocketmq topic create|list|describe|delete`.

import type { Command } from 'commander'
import { createInterface } from 'node:readline/promises'
import type { Client, TopicDetail, TopicInfo, TopicSettings } from '../../core/client/api.ts'
import { asClientCommand, type ClientCommandOptions, reportFailure, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { formatFields, formatJson, formatTable, write } from './output.ts'
import {
  formatBytes, formatCount, formatDuration, given, parseCount, parseDurationMs, parseSizeBytes, parseWord,
} from './values.ts'

interface CreateOptions extends ClientCommandOptions {
  readonly queues?: number
  readonly type?: 'NORMAL' | 'FIFO'
  readonly retention?: number
  readonly retentionBytes?: number
}

interface ListOptions extends ClientCommandOptions {
  readonly containing?: string
}

interface DeleteOptions extends ClientCommandOptions {
  readonly yes?: string
}

/** Adds `topic` to the program. */
export function registerTopicCommand(program: Command, context: CommandContext = createProcessContext()): void {
  const topic = program.command('topic').description('create, list, describe and delete topics')

  asClientCommand(topic.command('create'), [
    'topic create orders',
    'topic create flights --type FIFO --queues 8 --retention 7d',
  ])
    .description('create a topic; the same settings again are no error')
    .argument('<topic>', 'its name')
    .option('--queues <count>', 'number of queues (the relay decides if not given)', parseCount(1))
    .option('--type <type>', 'NORMAL, or FIFO: order within a message group', parseWord('NORMAL', 'FIFO'))
    .option('--retention <duration>', 'delete messages older than this, e.g. 72h; 0 keeps all', parseDurationMs)
    .option('--retention-bytes <size>', 'delete the oldest above this size, e.g. 10GiB; 0 is no bound', parseSizeBytes)
    .action((name: string, options: CreateOptions) => runWithClient(context, options, async (client) => {
      const detail = await client.admin.createTopic(name, settingsOf(options))
      await write(context, options.json === true ? formatJson(detail) : `${describeSettings(detail)}\n`)
    }))

  asClientCommand(topic.command('list'), ['topic list', 'topic list --containing order --json'])
    .description('list the topics')
    .option('--containing <text>', 'only those with this in their name')
    .action((options: ListOptions) => runWithClient(context, options, async (client) => {
      const topics = await client.admin.listTopics(given({ containing: options.containing }))
      await write(context, options.json === true ? formatJson(topics) : formatTopics(topics))
    }))

  asClientCommand(topic.command('describe'), ['topic describe orders', 'topic describe orders --json'])
    .description('show a topic’s settings, queues and groups')
    .argument('<topic>', 'its name')
    .action((name: string, options: ClientCommandOptions) => runWithClient(context, options, async (client) => {
      const detail = await client.admin.describeTopic(name)
      await write(context, options.json === true ? formatJson(detail) : formatTopic(detail))
    }))

  asClientCommand(topic.command('delete'), ['topic delete orders', 'topic delete orders --yes orders'])
    .description('delete a topic, its messages, and every group’s progress on it')
    .argument('<topic>', 'its name')
    .option('--yes <topic>', 'delete without asking; must repeat the name')
    .action(async (name: string, options: DeleteOptions) => {
      if (options.yes !== undefined && options.yes !== name) {
        const wrong = new UsageError(`--yes says '${options.yes}', the topic is '${name}': nothing was deleted`)
        context.setExitCode(reportFailure(context, options, wrong))
        return
      }
      await runWithClient(context, options, (client, signal) => deleteTopic(context, client, name, options, signal))
    })
}

function settingsOf(options: CreateOptions): TopicSettings {
  const { queues: queueCount, type: messageType, retention, retentionBytes } = options
  return given({ queueCount, messageType, retention, retentionBytes })
}

async function deleteTopic(
  context: CommandContext, client: Client, name: string, options: DeleteOptions, signal: AbortSignal,
): Promise<void> {
  const detail = await client.admin.describeTopic(name)
  if (options.yes === undefined) await confirmDeletion(context, detail, signal)
  await client.admin.deleteTopic(name)
  const messageCount = countMessages(detail)
  await write(context, options.json === true
    ? formatJson({ topic: name, deleted: true, messageCount })
    : `deleted ${name} and its ${formatCount(messageCount)} messages\n`)
}

async function confirmDeletion(context: CommandContext, detail: TopicDetail, signal: AbortSignal): Promise<void> {
  if (context.input.isTTY !== true) {
    throw new UsageError(`nobody is here to confirm; delete with --yes ${detail.topic}`)
  }
  const groups = detail.groups.length === 0 ? '' : ` and the progress of ${detail.groups.length} groups`
  const terminal = createInterface({ input: context.input, output: context.errors })
  // A terminal in line mode takes Ctrl-C for itself.
  const interrupted = new Promise<never>((_, reject) => {
    terminal.once('SIGINT', () => {
      process.kill(process.pid, 'SIGINT')
      reject(new UsageError('interrupted: nothing was deleted'))
    })
  })
  try {
    const what = `${formatCount(countMessages(detail))} messages${groups}`
    const question = `This deletes ${what}. Type the topic’s name to go on: `
    const answer = (await Promise.race([terminal.question(question, { signal }), interrupted])).trim()
    if (answer !== detail.topic) throw new UsageError(`'${answer}' is not '${detail.topic}': nothing was deleted`)
  } finally {
    terminal.close()
  }
}

function countMessages(detail: TopicDetail): number {
  return detail.queues.reduce((sum, queue) => sum + queue.maxOffset - queue.minOffset, 0)
}

function formatTopics(topics: readonly (TopicInfo & { readonly messageCount: number })[]): string {
  if (topics.length === 0) return 'no topics\n'
  return formatTable(
    [
      { title: 'topic' }, { title: 'type' }, { title: 'queues', align: 'right' }, { title: 'messages', align: 'right' },
      { title: 'retention' },
    ],
    topics.map((info) => [
      info.topic, info.messageType, formatCount(info.queueCount), formatCount(info.messageCount), formatRetention(info),
    ]),
  )
}

function formatTopic(detail: TopicDetail): string {
  const storedBytes = detail.queues.reduce((sum, queue) => sum + queue.storedBytes, 0)
  const settings = formatFields([
    ['topic', detail.topic],
    ['type', detail.messageType],
    ['messages', `${formatCount(countMessages(detail))} (${formatBytes(storedBytes)})`],
    ['retention', formatRetention(detail)],
    ['groups', detail.groups.join(', ') || '-'],
  ])
  const queues = formatTable(
    [
      { title: 'queue', align: 'right' }, { title: 'epoch', align: 'right' }, { title: 'min offset', align: 'right' },
      { title: 'max offset', align: 'right' }, { title: 'messages', align: 'right' }, { title: 'size', align: 'right' },
    ],
    detail.queues.map((queue) => [
      String(queue.queueId), String(queue.epoch), String(queue.minOffset), String(queue.maxOffset),
      formatCount(queue.maxOffset - queue.minOffset), formatBytes(queue.storedBytes),
    ]),
  )
  return `${settings}\n${queues}`
}

function describeSettings(info: TopicInfo): string {
  const queues = `${info.queueCount} queue${info.queueCount === 1 ? '' : 's'}`
  return `topic ${info.topic}: ${info.messageType}, ${queues}, retention ${formatRetention(info)}`
}

function formatRetention({ retentionMs, retentionBytes }: TopicInfo): string {
  const bounds = [
    ...(retentionMs === 0 ? [] : [formatDuration(retentionMs)]),
    ...(retentionBytes === 0 ? [] : [formatBytes(retentionBytes)]),
  ]
  return bounds.join(', ') || 'for ever'
}
