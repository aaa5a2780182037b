// `pocketmq group list|describe|configure|pause|resume|reset|settle|delete`.

import type { Command } from 'commander'
import type { Client, From, GroupDetail, GroupSettings } from '../../core/client/api.ts'
import type { ExhaustedPolicy } from '../../core/model/topic.ts'
import { asClientCommand, type ClientCommandOptions, reportFailure, runWithClient } from './client-command.ts'
import { confirm, faultOfYes } from './confirm.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { formatFields, formatJson, formatTable, write } from './output.ts'
import {
  formatCount, formatDuration, given, parseCount, parseDurationMs, parseDurationsMs, parseResetTarget, parseWord,
} from './values.ts'

interface ListOptions extends ClientCommandOptions {
  readonly containing?: string
}

interface ConfigureOptions extends ClientCommandOptions {
  readonly maxAttempts?: number
  readonly retrySchedule?: readonly number[]
  readonly retryFirst?: number
  readonly retryFactor?: number
  readonly retryMax?: number
  readonly exhausted?: ExhaustedPolicy
  readonly maxInFlight?: number
  readonly maxInFlightPerMember?: number
}

interface SettleOptions extends ClientCommandOptions {
  readonly how: 'retry' | 'dead-letter'
}

interface DeleteOptions extends ClientCommandOptions {
  readonly yes?: string
}

interface ResetOptions extends ClientCommandOptions {
  readonly to: From | { readonly offset: number }
  readonly queue?: number
}

/** Adds `group` to the program. */
export function registerGroupCommand(program: Command, context: CommandContext = createProcessContext()): void {
  const group = program.command('group').description('list, describe, configure, pause, reset and delete consumer groups')

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
    'group configure till --retry-first 5s --retry-max 2h',
    'group configure packers --exhausted hold --max-in-flight 100',
  ])
    .description('set how often and when the group tries a message again; makes the group if it is new')
    .argument('<group>', 'its name')
    .option('--max-attempts <count>', 'deliveries of a message before it becomes a dead letter', parseCount(1))
    .option('--retry-schedule <durations>', 'delay before attempt 2, 3, …, joined by commas', parseDurationsMs)
    .option('--retry-first <duration>', 'instead: the delay before attempt 2, growing from there', parseDurationMs)
    .option('--retry-factor <factor>', 'by this factor each time (default: 2)', parseCount(1))
    .option('--retry-max <duration>', 'up to this', parseDurationMs)
    .option('--exhausted <what>', 'FIFO, after the last attempt: dead-letter, or hold the message and its message group',
      parseWord('dead-letter', 'hold'))
    .option('--max-in-flight <count>', 'messages of a topic out at once, over all members; 0 is no bound', parseCount(0))
    .option('--max-in-flight-per-member <count>', 'the same per member', parseCount(0))
    .action(async (name: string, options: ConfigureOptions) => {
      const fault = retryFaultOf(options)
      if (fault !== undefined) context.setExitCode(reportFailure(context, options, new UsageError(fault)))
      else {
        await runWithClient(context, options, async (client) => {
          const detail = await client.admin.configureGroup(name, settingsOf(options))
          await write(context, options.json === true ? formatJson(detail) : formatSettings(detail))
        })
      }
    })

  for (const [verb, paused] of [['pause', true], ['resume', false]] as const) {
    asClientCommand(group.command(verb), [`group ${verb} till`])
      .description(paused ? 'hand out nothing to a group; what is out goes on' : 'hand out messages again')
      .argument('<group>', 'its name')
      .action((name: string, options: ClientCommandOptions) => runWithClient(context, options, async (client) => {
        await client.admin.describeGroup(name)
        const detail = await client.admin.configureGroup(name, { paused })
        await write(context, options.json === true ? formatJson(detail) : `${name} is ${paused ? 'paused' : 'resumed'}\n`)
      }))
  }

  asClientCommand(group.command('settle'), ['group settle packers orders --how retry'])
    .description('FIFO messages that are held after their last attempt: try them again, or bury them')
    .argument('<group>', 'its name')
    .argument('<topic>', 'the topic')
    .requiredOption('--how <how>', 'retry: from attempt 1; dead-letter: they go to the dead letters',
      parseWord('retry', 'dead-letter'))
    .action((name: string, topic: string, options: SettleOptions) => runWithClient(context, options, async (client) => {
      const heldBefore = countHeld(await client.admin.describeGroup(name), topic)
      const detail = await client.admin.settleHeld(name, topic, options.how)
      await write(context, options.json === true
        ? formatJson(detail)
        : `${formatCount(heldBefore)} held messages of ${name} on ${topic}: ${options.how}\n`)
    }))

  asClientCommand(group.command('delete'), ['group delete till', 'group delete till --yes till'])
    .description('delete a group and its progress on every topic; its dead letters stay')
    .argument('<group>', 'its name')
    .option('--yes <group>', 'delete without asking; must repeat the name')
    .action(async (name: string, options: DeleteOptions) => {
      const fault = faultOfYes(name, options.yes, 'group')
      if (fault !== undefined) context.setExitCode(reportFailure(context, options, new UsageError(fault)))
      else await runWithClient(context, options, (client, signal) => deleteGroup(context, client, name, options, signal))
    })

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

async function deleteGroup(
  context: CommandContext, client: Client, name: string, options: DeleteOptions, signal: AbortSignal,
): Promise<void> {
  const { queues, members } = await client.admin.describeGroup(name)
  const topicCount = new Set(queues.map(({ topic }) => topic)).size
  const consequence = `the group’s progress on ${formatCount(topicCount)} topics and ends ${formatCount(members.length)} members`
  if (options.yes === undefined) await confirm(context, name, 'group', consequence, signal)
  await client.admin.deleteGroup(name)
  await write(context, options.json === true ? formatJson({ group: name, deleted: true }) : `deleted group ${name}\n`)
}

function retryFaultOf({ retrySchedule, retryFirst, retryFactor, retryMax }: ConfigureOptions): string | undefined {
  const isExponential = retryFirst !== undefined || retryFactor !== undefined || retryMax !== undefined
  if (!isExponential) return undefined
  if (retrySchedule !== undefined) return '--retry-schedule and --retry-first exclude each other'
  return retryFirst === undefined || retryMax === undefined
    ? 'exponential retries need both --retry-first and --retry-max; --retry-factor is up to you' : undefined
}

function settingsOf(options: ConfigureOptions): GroupSettings {
  const { maxAttempts, exhausted, maxInFlight, maxInFlightPerMember, retrySchedule, retryFirst, retryMax } = options
  const retry = retryFirst === undefined || retryMax === undefined
    ? retrySchedule
    : { first: retryFirst, max: retryMax, ...given({ factor: options.retryFactor }) }
  return given({ maxAttempts, retry, exhausted, maxInFlight, maxInFlightPerMember })
}

function countHeld({ queues }: GroupDetail, topic: string): number {
  return queues.reduce((sum, queue) => sum + (queue.topic === topic ? queue.held : 0), 0)
}

function isOffset(to: ResetOptions['to']): boolean {
  return typeof to === 'object' && 'offset' in to
}

function formatGroups(
  groups: Awaited<ReturnType<Client['admin']['listGroups']>>,
): string {
  if (groups.length === 0) return 'no groups\n'
  return formatTable(
    [{ title: 'group' }, { title: 'members', align: 'right' }, { title: 'backlog', align: 'right' }, { title: 'state' }],
    groups.map(({ group, memberCount, backlog, paused }) => [
      group, formatCount(memberCount), formatCount(backlog), paused ? 'paused' : '-',
    ]),
  )
}

function formatGroup(detail: GroupDetail): string {
  const members = detail.members.length === 0 ? 'no members are connected\n' : formatMembers(detail)
  const progress = detail.queues.length === 0 ? 'no progress on any topic\n' : formatProgress(detail.queues)
  return `${formatSettings(detail, paceOf(detail))}\n${members}\n${progress}`
}

function formatSettings(detail: GroupDetail, pace: readonly (readonly [string, string])[] = []): string {
  return formatFields([
    ['group', detail.group],
    ['max attempts', String(detail.maxAttempts)],
    ['retry schedule', formatRetry(detail.retry)],
    ...(detail.exhausted === 'hold' ? [['after the last', 'held, with its message group'] as const] : []),
    ...(detail.maxInFlight === 0 ? [] : [['max in flight', formatCount(detail.maxInFlight)] as const]),
    ...(detail.maxInFlightPerMember === 0 ? [] : [['per member', formatCount(detail.maxInFlightPerMember)] as const]),
    ...(detail.paused ? [['paused', 'yes; group resume goes on'] as const] : []),
    ...pace,
  ])
}

/** What it does now, once it has done anything. */
function paceOf({ deliveredPerSecond, ackedPerSecond, queues }: GroupDetail): [string, string][] {
  const oldestMs = Math.min(...queues.flatMap(({ oldestStoredMs, backlog }) => {
    return backlog > 0 && oldestStoredMs > 0 ? [oldestStoredMs] : []
  }))
  const fields: [string, string][] = []
  if (deliveredPerSecond > 0 || ackedPerSecond > 0) {
    fields.push(['rate', `${deliveredPerSecond.toFixed(1)} delivered/s, ${ackedPerSecond.toFixed(1)} acked/s`])
  }
  if (oldestMs !== Infinity) {
    const lagS = Math.max(0, Math.floor((Date.now() - oldestMs) / 1000))
    fields.push(['lag', `${formatDuration(lagS * 1000)}, the age of the oldest message not consumed`])
  }
  return fields
}

function formatRetry(retry: GroupDetail['retry']): string {
  if (retry.kind === 'schedule') return retry.delaysMs.map(formatDuration).join(' ') || '-'
  return `${formatDuration(retry.firstMs)}, then ${retry.factor} times as long, at most ${formatDuration(retry.maxMs)}`
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
  const isHolding = queues.some(({ held }) => held > 0)
  const titles = [
    'queue', 'ack floor', 'next', 'max offset', 'in flight', 'retrying', ...(isHolding ? ['held'] : []), 'backlog',
  ]
  return formatTable(
    [{ title: 'topic' }, ...titles.map((title) => ({ title, align: 'right' as const }))],
    queues.map((queue) => [
      queue.topic,
      ...[queue.queueId, queue.ackFloor, queue.nextOffset, queue.maxOffset].map(String),
      ...[queue.inFlight, queue.waitingForRetry, ...(isHolding ? [queue.held] : []), queue.backlog].map(formatCount),
    ]),
  )
}
