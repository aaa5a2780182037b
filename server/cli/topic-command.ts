// `pocketmq topic create|configure|list|describe|delete`.

import type { Command } from 'commander'
import type { Client, TopicDetail, TopicInfo, TopicSettings } from '../../core/client/api.ts'
import { asClientCommand, type ClientCommandOptions, reportFailure, runWithClient } from './client-command.ts'
import { confirm, faultOfYes } from './confirm.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { formatFields, formatJson, formatTable, write } from './output.ts'
import {
  formatBytes, formatCount, formatDuration, given, parseCount, parseDurationMs, parseShare, parseSizeBytes,
  parseWord,
} from './values.ts'

interface ConfigureOptions extends ClientCommandOptions {
  readonly retention?: number
  readonly retentionBytes?: number
  readonly ttl?: number
  readonly trace?: number
  readonly durability?: 'strict' | 'relaxed'
}

interface CreateOptions extends ConfigureOptions {
  readonly queues?: number
  readonly type?: 'NORMAL' | 'FIFO' | 'PRIORITY'
  readonly compact?: boolean
}

interface ListOptions extends ClientCommandOptions {
  readonly containing?: string
}

interface DeleteOptions extends ClientCommandOptions {
  readonly yes?: string
}

const retentionMeaning = 'delete messages older than this, e.g. 72h; 0 keeps all'
const retentionBytesMeaning = 'delete the oldest above this size, e.g. 10GiB; 0 is no bound'
const ttlMeaning = 'deliver messages for so long that name no time of their own; 0 is for ever'
const traceMeaning = 'share of messages that are traced, 0 to 1'
const durabilityMeaning = 'strict: answer when synced, or relaxed: before, where the store can (a relay’s always syncs)'
const parseDurability = parseWord('strict', 'relaxed')

/** Adds `topic` to the program. */
export function registerTopicCommand(program: Command, context: CommandContext = createProcessContext()): void {
  const topic = program.command('topic').description('create, configure, list, describe and delete topics')

  asClientCommand(topic.command('create'), [
    'topic create orders',
    'topic create flights --type FIFO --queues 8 --retention 7d',
    'topic create alarms --type PRIORITY --ttl 10m',
    'topic create prices --compact',
    'topic create cursors --durability relaxed',
  ])
    .description('create a topic; the same settings again are no error')
    .argument('<topic>', 'its name')
    .option('--queues <count>', 'number of queues (the relay decides if not given)', parseCount(1))
    .option('--type <type>', 'NORMAL, FIFO: order within a message group, or PRIORITY: a queue for each of 0 to 9',
      parseWord('NORMAL', 'FIFO', 'PRIORITY'))
    .option('--compact', 'keep only the last message of each key')
    .option('--retention <duration>', retentionMeaning, parseDurationMs)
    .option('--retention-bytes <size>', retentionBytesMeaning, parseSizeBytes)
    .option('--ttl <duration>', ttlMeaning, parseDurationMs)
    .option('--trace <share>', traceMeaning, parseShare)
    .option('--durability <word>', durabilityMeaning, parseDurability)
    .action((name: string, options: CreateOptions) => runWithClient(context, options, async (client) => {
      const detail = await client.admin.createTopic(name, settingsOf(options))
      await write(context, options.json === true ? formatJson(detail) : `${describeSettings(detail)}\n`)
    }))

  asClientCommand(topic.command('configure'), ['topic configure orders --retention 30d', 'topic configure orders --trace 1'])
    .description('change a topic while it is in use; queues, type and compaction stay as it was made')
    .argument('<topic>', 'its name')
    .option('--retention <duration>', retentionMeaning, parseDurationMs)
    .option('--retention-bytes <size>', retentionBytesMeaning, parseSizeBytes)
    .option('--ttl <duration>', ttlMeaning, parseDurationMs)
    .option('--trace <share>', traceMeaning, parseShare)
    .option('--durability <word>', durabilityMeaning, parseDurability)
    .action((name: string, options: ConfigureOptions) => runWithClient(context, options, async (client) => {
      const settings = settingsOf(options)
      if (Object.keys(settings).length === 0) throw new UsageError('nothing to change: name a setting, see --help')
      const detail = await client.admin.configureTopic(name, settings)
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
      const fault = faultOfYes(name, options.yes, 'topic')
      if (fault !== undefined) {
        context.setExitCode(reportFailure(context, options, new UsageError(fault)))
        return
      }
      await runWithClient(context, options, (client, signal) => deleteTopic(context, client, name, options, signal))
    })
}

function settingsOf(options: CreateOptions): TopicSettings {
  const { queues: queueCount, type: messageType, compact, retention, retentionBytes, ttl, trace, durability } = options
  const cleanupPolicy = compact === true ? 'COMPACT' as const : undefined
  return given({ queueCount, messageType, cleanupPolicy, retention, retentionBytes, ttl, trace, durability })
}

async function deleteTopic(
  context: CommandContext, client: Client, name: string, options: DeleteOptions, signal: AbortSignal,
): Promise<void> {
  const detail = await client.admin.describeTopic(name)
  if (options.yes === undefined) await confirm(context, name, 'topic', consequenceOf(detail), signal)
  await client.admin.deleteTopic(name)
  const messageCount = countMessages(detail)
  await write(context, options.json === true
    ? formatJson({ topic: name, deleted: true, messageCount })
    : `deleted ${name} and its ${formatCount(messageCount)} messages\n`)
}

function consequenceOf(detail: TopicDetail): string {
  const groups = detail.groups.length === 0 ? '' : ` and the progress of ${detail.groups.length} groups`
  return `${formatCount(countMessages(detail))} messages${groups}`
}

function countMessages(detail: TopicDetail): number {
  return detail.queues.reduce((sum, queue) => sum + queue.maxOffset - queue.minOffset, 0)
}

function formatTopics(
  topics: readonly (TopicInfo & { readonly messageCount: number; readonly delayedCount: number })[],
): string {
  if (topics.length === 0) return 'no topics\n'
  return formatTable(
    [
      { title: 'topic' }, { title: 'type' }, { title: 'queues', align: 'right' }, { title: 'messages', align: 'right' },
      { title: 'delayed', align: 'right' }, { title: 'retention' },
    ],
    topics.map((info) => [
      info.topic, info.messageType, formatCount(info.queueCount), formatCount(info.messageCount),
      formatCount(info.delayedCount), formatRetention(info),
    ]),
  )
}

function formatTopic(detail: TopicDetail): string {
  const storedBytes = detail.queues.reduce((sum, queue) => sum + queue.storedBytes, 0)
  const settings = formatFields([
    ['topic', detail.topic],
    ['type', detail.messageType],
    ['messages', `${formatCount(countMessages(detail))} (${formatBytes(storedBytes)})`],
    ...(detail.delayedCount === 0 ? [] : [['delayed', formatCount(detail.delayedCount)] as const]),
    ['retention', formatRetention(detail)],
    ...(detail.ttlMs === 0 ? [] : [['delivered for', formatDuration(detail.ttlMs)] as const]),
    ...(detail.trace === 0 ? [] : [['traced', `${detail.trace * 100} %`] as const]),
    ['durability', detail.durability],
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
  const ttl = info.ttlMs === 0 ? '' : `, delivered for ${formatDuration(info.ttlMs)}`
  const trace = info.trace === 0 ? '' : `, ${info.trace * 100} % traced`
  const durability = info.durability === 'strict' ? '' : `, ${info.durability}`
  return `topic ${info.topic}: ${info.messageType}, ${queues}, retention ${formatRetention(info)}${ttl}${trace}${durability}`
}

function formatRetention({ retentionMs, retentionBytes, cleanupPolicy }: TopicInfo): string {
  const bounds = [
    ...(retentionMs === 0 ? [] : [formatDuration(retentionMs)]),
    ...(retentionBytes === 0 ? [] : [formatBytes(retentionBytes)]),
  ]
  if (cleanupPolicy === 'COMPACT') bounds.unshift('last of each key')
  return bounds.join(', ') || 'for ever'
}
