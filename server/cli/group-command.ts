// `pocketmq group list|describe|configure|reset`.

import type { Command } from 'commander'
import type { From, GroupDetail } from '../../core/client/api.ts'
import { asClientCommand, type ClientCommandOptions, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { formatFields, formatJson, formatTable, write } from './output.ts'
import { formatCount, formatDuration, given, parseCount, parseDurationsMs, parseResetTarget } from './values.ts'

interface ListOptions extends ClientCommandOptions {
  readonly containing?: string
}

interface ConfigureOptions extends ClientCommandOptions {
  readonly maxAttempts?: number
  readonly retrySchedule?: readonly number[]
}

interface ResetOptions extends ClientCommandOptions {
  readonly to: From | { readonly offset: number }
  readonly queue?: number
}

/** Adds `group` to the program. */
export function registerGroupCommand(program: Command, context: CommandContext = createProcessContext()): void {
  const group = program.command('group').description('list, describe, configure and reset consumer groups')

  asClientCommand(group.command('list'), ['group list', 'group list --containing till --json'])
    .description('list the groups and their backlog')
    .option('--containing <text>', 'only those with this in their name')
    .action((options: ListOptions) => runWithClient(context, options, async (client) => {
      const groups = await client.admin.listGroups(given({ containing: options.containing }))
      await write(context, options.json === true ? formatJson(groups) : formatGroups(groups))
    }))

  asClientCommand(group.command('describe'), ['group describe till', 'group describe till --json'])
    .description('show a group’s settings, members and progress')
    .argument('<group>', 'its name')
    .action((name: string, options: ClientCommandOptions) => runWithClient(context, options, async (client) => {
      const detail = await client.admin.describeGroup(name)
      await write(context, options.json === true ? formatJson(detail) : formatGroup(detail))
    }))

  asClientCommand(group.command('configure'), [
    'group configure till --max-attempts 5',
    'group configure till --retry-schedule 1s,5s,30s,5m',
  ])
    .description('set how often and when the group tries a message again; makes the group if it is new')
    .argument('<group>', 'its name')
    .option('--max-attempts <count>', 'deliveries of a message before it becomes a dead letter', parseCount(1))
    .option('--retry-schedule <durations>', 'delay before attempt 2, 3, …, joined by commas', parseDurationsMs)
    .action((name: string, options: ConfigureOptions) => runWithClient(context, options, async (client) => {
      const { maxAttempts, retrySchedule } = options
      const detail = await client.admin.configureGroup(name, given({ maxAttempts, retrySchedule }))
      await write(context, options.json === true ? formatJson(detail) : formatSettings(detail))
    }))

  asClientCommand(group.command('reset'), [
    'group reset till orders --to earliest',
    'group reset till orders --to "10m ago"',
    'group reset till orders --to offset:1200 --queue 3',
  ])
    .description('move a group’s progress on a topic: messages come again, or are passed over; leases held end')
    .argument('<group>', 'its name')
    .argument('<topic>', 'the topic')
    .requiredOption('--to <target>', 'earliest, latest, a time, or offset:N', parseResetTarget)
    .option('--queue <queueId>', 'only this queue; offset:N needs one', parseCount(0))
    .action((name: string, topic: string, options: ResetOptions) => runWithClient(context, options, async (client) => {
      if (isOffset(options.to) && options.queue === undefined) throw new UsageError('--to offset:N needs --queue')
      const bounds = given({ queueId: options.queue })
      const detail = await client.admin.resetGroup(name, topic, { to: options.to, ...bounds })
      const queues = detail.queues.filter((queue) => queue.topic === topic)
      const backlog = formatCount(queues.reduce((sum, queue) => sum + queue.backlog, 0))
      await write(context, options.json === true
        ? formatJson(detail)
        : `${name} on ${topic} now has a backlog of ${backlog}\n\n${formatProgress(queues)}`)
    }))
}

function isOffset(to: ResetOptions['to']): boolean {
  return typeof to === 'object' && 'offset' in to
}

function formatGroups(
  groups: readonly { readonly group: string; readonly memberCount: number; readonly backlog: number }[],
): string {
  if (groups.length === 0) return 'no groups\n'
  return formatTable(
    [{ title: 'group' }, { title: 'members', align: 'right' }, { title: 'backlog', align: 'right' }],
    groups.map((summary) => [summary.group, formatCount(summary.memberCount), formatCount(summary.backlog)]),
  )
}

function formatGroup(detail: GroupDetail): string {
  const members = detail.members.length === 0 ? 'no members are connected\n' : formatMembers(detail)
  const progress = detail.queues.length === 0 ? 'no progress on any topic\n' : formatProgress(detail.queues)
  return `${formatSettings(detail)}\n${members}\n${progress}`
}

function formatSettings(detail: GroupDetail): string {
  return formatFields([
    ['group', detail.group],
    ['max attempts', String(detail.maxAttempts)],
    ['retry schedule', detail.retryScheduleMs.map(formatDuration).join(' ') || '-'],
  ])
}

function formatMembers(detail: GroupDetail): string {
  return formatTable(
    [
      { title: 'member' }, { title: 'topic' }, { title: 'mode' }, { title: 'filter' }, { title: 'client' },
      { title: 'peer' }, { title: 'in flight', align: 'right' },
    ],
    detail.members.map((member) => [
      member.memberId, member.topic, member.mode, member.filter, member.clientName || member.clientId, member.peer,
      formatCount(member.inFlight),
    ]),
  )
}

function formatProgress(queues: GroupDetail['queues']): string {
  const titles = ['queue', 'ack floor', 'next', 'max offset', 'in flight', 'retrying', 'backlog'] as const
  return formatTable(
    [{ title: 'topic' }, ...titles.map((title) => ({ title, align: 'right' as const }))],
    queues.map((queue) => [
      queue.topic,
      ...[queue.queueId, queue.ackFloor, queue.nextOffset, queue.maxOffset].map(String),
      ...[queue.inFlight, queue.waitingForRetry, queue.backlog].map(formatCount),
    ]),
  )
}
