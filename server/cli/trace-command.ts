// `pocketmq trace`: what happened to a message, as one timeline.

import type { Command } from 'commander'
import type { Timeline, TraceEvent } from '../../core/client/admin-api.ts'
import type { Client } from '../../core/client/api.ts'
import { PocketError } from '../../core/errors.ts'
import { asClientCommand, type ClientCommandOptions, reportFailure, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { findCountDefault, findPages } from './found-pages.ts'
import { formatJson, formatTable, write } from './output.ts'
import { formatDuration, formatTime, given, parseCount, parseTime } from './values.ts'

interface Options extends ClientCommandOptions {
  readonly id?: string
  readonly key?: string
  readonly from?: Date
  readonly to?: Date
  readonly max: number
}

/** Adds `trace` to the program. */
export function registerTraceCommand(program: Command, context: CommandContext = createProcessContext()): void {
  asClientCommand(program.command('trace'), [
    'trace --id 9f0c2d4e6a8b1357-0-41',
    'trace orders --key 42',
    'topic configure orders --trace 1',
  ])
    .description('show what happened to a message: born, sent, stored, delivered, acked, retried, dead')
    .argument('[topic]', 'the topic; needed for --key')
    .option('--id <messageId>', 'the message of this id')
    .option('--key <key>', 'messages with this key; --from and --to narrow it')
    .option('--from <time>', 'stored at or after', (text: string) => parseTime(text))
    .option('--to <time>', 'stored before', (text: string) => parseTime(text))
    .option('--max <count>', 'the oldest of them, at most so many', parseCount(1), findCountDefault)
    .action(async (topic: string | undefined, options: Options) => {
      const fault = faultOf(topic, options)
      if (fault !== undefined) context.setExitCode(reportFailure(context, options, new UsageError(fault)))
      else await runWithClient(context, options, (client) => trace(context, client, topic, options))
    })
}

function faultOf(topic: string | undefined, { id, key }: Options): string | undefined {
  if ((id === undefined) === (key === undefined)) return 'ask by --id or by --key'
  return key !== undefined && topic === undefined ? '--key needs the topic' : undefined
}

async function trace(context: CommandContext, client: Client, topic: string | undefined, options: Options): Promise<void> {
  const { id, key, from, to, max } = options
  const timelines = id !== undefined ? await client.admin.trace({ messageId: id }) : await findPages(max, (page) => {
    return client.admin.trace({ topic: topic as string, key: key as string, ...given({ from, to }), ...page })
  })
  if (options.json === true) return write(context, formatJson(timelines))
  if (timelines.length === 0) throw new PocketError('MESSAGE_NOT_FOUND', `no stored message has ${id ?? `the key ${key}`}`)
  await write(context, timelines.map(formatTimeline).join('\n'))
}

function formatTimeline(timeline: Timeline): string {
  const { messageId, topic, queueId, offset, traceparent, isTraced, events } = timeline
  const lines = [`message ${messageId} at ${topic}/${queueId}@${offset}`]
  if (traceparent !== '') lines.push(`traceparent ${traceparent}`)
  const table = formatTable(
    ['time', 'what', 'took', 'attempt', 'group', 'client'].map((title) => ({ title })),
    events.map((event) => [
      formatTime(event.atMs), whatOf(event), costOf(event), event.attempt === 0 ? '-' : String(event.attempt),
      event.group || '-', event.clientId || '-',
    ]),
  )
  const hint = isTraced ? '' : `not traced; pocketmq topic configure ${topic} --trace 1 traces what comes from now on\n`
  return `${lines.join('\n')}\n\n${table}${hint}`
}

function whatOf({ kind, delayMs }: TraceEvent): string {
  return delayMs > 0 ? `${kind}, again after ${formatDuration(delayMs)}` : kind
}

function costOf({ kind, costMs }: TraceEvent): string {
  return kind === 'born' || kind === 'sent' || kind === 'delivered' ? '-' : formatDuration(costMs)
}
