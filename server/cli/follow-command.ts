// `pocketmq follow`: every change of some topics, as a follower hears of it, a line each.

import type { Command } from 'commander'
import type { Change } from '../../core/client/follower-api.ts'
import { RecordBatch } from '../../core/record/record-batch.ts'
import { asClientCommand, type ClientCommandOptions, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { formatJsonLine, write } from './output.ts'
import { formatBytes, formatCount } from './values.ts'

interface Options extends ClientCommandOptions {
  readonly progress?: boolean
  readonly untilCurrent?: boolean
}

/** Adds `follow` to the program. */
export function registerFollowCommand(program: Command, context: CommandContext = createProcessContext()): void {
  asClientCommand(program.command('follow'), ['follow orders', 'follow orders payments --progress --until-current --json'])
    .description('print every change of topics: their logs, configuration, and what groups have consumed')
    .argument('<topics...>', 'which')
    .option('--progress', 'groups and their progress too')
    .option('--until-current', 'end when there is nothing more')
    .action((topics: readonly string[], options: Options) => runWithClient(context, options, async (client, signal) => {
      await using follower = client.follow({ topics, withProgress: options.progress === true, signal })
      for await (const batch of follower) {
        for (const change of batch.changes) {
          await write(context, options.json === true ? formatJsonLine(jsonOf(change)) : lineOf(change), signal)
        }
        if (options.json !== true && batch.isCurrent) await write(context, `current as of commit ${batch.sequence}\n`, signal)
        if (options.json !== true && !batch.isCurrent) await write(context, `${formatCount(batch.lag)} messages behind\n`, signal)
        if (signal.aborted || (batch.isCurrent && options.untilCurrent === true)) break
      }
    }))
}

function jsonOf({ kind, topic, queueId, offset, group, value }: Change): object {
  return { kind, topic, queueId, offset, group, valueBase64: Buffer.from(value).toString('base64') }
}

function lineOf({ kind, topic, queueId, offset, group, value }: Change): string {
  const of = group === '' ? topic : topic === '' ? group : `${group} on ${topic}`
  switch (kind) {
    case 'record': {
      const { messageCount, baseOffset, lastOffset } = RecordBatch.view(value)
      const count = `${formatCount(messageCount)} message${messageCount === 1 ? '' : 's'}`
      return `record            ${topic}/${queueId}@${baseOffset}–${lastOffset}  ${count}, ${formatBytes(value.length)}\n`
    }
    case 'record-deleted':
      return `record-deleted    ${topic}/${queueId}@${offset}\n`
    case 'log':
    case 'progress':
    case 'progress-deleted':
      return `${kind.padEnd(16)}  ${of}/${queueId}\n`
    default:
      return `${kind.padEnd(16)}  ${of}\n`
  }
}
