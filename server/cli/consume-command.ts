// `pocketmq consume`: messages as they come, as a member of a group or, without one, as a mere reader.

import type { Command } from 'commander'
import type { Client, ConsumeOptions, From, Message, PushConsumer } from '../../core/client/api.ts'
import { bytes } from '../../core/client/codec.ts'
import { requestProperties } from '../../core/model/message.ts'
import type { ConsumeMode } from '../../core/model/topic.ts'
import { asClientCommand, type ClientCommandOptions, reportFailure, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { messageJson, messageLine } from './message-view.ts'
import { formatJsonLine, write } from './output.ts'
import { formatCount, given, parseCount, parseDurationMs, parseFrom, parseWord } from './values.ts'

/** Of those who only read along. BROADCASTING members need not agree on a filter. */
const readersGroup = 'pocketmq-cli'

interface Options extends ClientCommandOptions {
  readonly group?: string
  readonly filter?: string
  readonly sql?: string
  readonly name?: string
  readonly reply?: string
  readonly from?: From
  readonly mode?: ConsumeMode
  readonly limit?: number
  readonly idle?: number
  readonly lease?: number
  readonly ack: boolean
}

/** Adds `consume` to the program. */
export function registerConsumeCommand(program: Command, context: CommandContext = createProcessContext()): void {
  asClientCommand(program.command('consume'), [
    'consume orders',
    'consume orders --from earliest --idle 1s',
    'consume orders --group till --filter "paid || shipped" --json',
    'consume orders --sql "region = \'eu\' AND price > 10"',
    'consume prices --mode BROADCASTING --group boards --name board-7',
    'consume orders --group till --limit 1 --no-ack',
  ])
    .description('print messages as they come; Ctrl-C leaves the group')
    .argument('<topic>', 'where from')
    .option('--group <group>', 'consume as a member of this group; without it, read along without taking anything away')
    .option('--filter <tags>', 'only messages with these tags, joined by || (default: *)')
    .option('--sql <expression>', 'only messages whose properties fit this SQL92 expression')
    .option('--name <consumer>', 'BROADCASTING: the relay keeps our place under this name')
    .option('--reply <body>', 'answer messages that ask for a reply with this')
    .option('--from <start>', 'earliest, latest or a time: where a new group or a reader starts ' +
      '(default: earliest for a group, latest for a reader)', parseFrom)
    .option('--mode <mode>', 'CLUSTERING: members share the messages, or BROADCASTING: each gets all ' +
      '(default: CLUSTERING with a group)', parseWord('CLUSTERING', 'BROADCASTING'))
    .option('--limit <count>', 'stop after so many messages', parseCount(1))
    .option('--idle <duration>', 'stop when nothing came for so long', parseDurationMs)
    .option('--lease <duration>', 'how long a message stays with us before it goes to another member', parseDurationMs)
    .option('--ack', 'ack each message once it is printed (default)', true)
    .option('--no-ack', 'ack nothing: messages go back when this ends')
    .action(async (name: string, options: Options) => {
      const fault = faultOf(options)
      if (fault !== undefined) {
        context.setExitCode(reportFailure(context, options, new UsageError(fault)))
        return
      }
      await runWithClient(context, options, (client, signal) => consume(context, client, name, options, signal))
    })
}

function faultOf({ mode, group, filter, sql, name }: Options): string | undefined {
  if (mode === 'CLUSTERING' && group === undefined) return '--mode CLUSTERING needs a --group'
  if (filter !== undefined && sql !== undefined) return '--filter and --sql exclude each other'
  const isBroadcasting = mode === 'BROADCASTING' || (mode === undefined && group === undefined)
  return name !== undefined && !isBroadcasting ? '--name is for --mode BROADCASTING' : undefined
}

async function consume(
  context: CommandContext, client: Client, name: string, options: Options, signal: AbortSignal,
): Promise<void> {
  await using consumer = client.topic(name, { codec: bytes }).consume(consumeOptionsOf(options, signal))
  await unlessAborted(consumer.subscribed, signal)
  const counts = await printAll(context, consumer, options, signal)
  if (options.json !== true && context.errors.isTTY === true) {
    context.errors.write(`${formatCount(counts.printed)} messages${options.ack ? '' : ', none acked'}\n`)
  }
  if (counts.refusedAcks > 0) {
    const count = formatCount(counts.refusedAcks)
    context.errors.write(`pocketmq: ${count} leases had ended before their ack; those messages come again\n`)
  }
}

function consumeOptionsOf(options: Options, signal: AbortSignal): ConsumeOptions {
  const mode = options.mode ?? (options.group === undefined ? 'BROADCASTING' : 'CLUSTERING')
  return {
    group: options.group ?? readersGroup,
    mode,
    signal,
    ...given({
      filter: options.sql === undefined ? options.filter : { sql: options.sql },
      from: options.from,
      lease: options.lease,
    }),
    ...(options.name === undefined ? {} : { positionKeeper: 'relay' as const, name: options.name }),
    ...(options.limit === undefined ? {} : { prefetch: Math.min(options.limit, 1_000) }),
  }
}

async function printAll(
  context: CommandContext, consumer: PushConsumer<Uint8Array>, options: Options, signal: AbortSignal,
): Promise<{ printed: number; refusedAcks: number }> {
  const counts = { printed: 0, refusedAcks: 0 }
  const acks = new Set<Promise<void>>()
  const idle = new IdleTimer(options.idle, () => void consumer.close())
  try {
    for await (const message of consumer) {
      idle.stop()
      await write(context, options.json === true ? formatJsonLine(messageJson(message)) : messageLine(message), signal)
      counts.printed++
      if (options.reply !== undefined && message.properties.has(requestProperties.replyTo)) {
        await message.reply(Buffer.from(options.reply))
      }
      if (options.ack) track(acks, ackOf(message, counts))
      if (counts.printed === options.limit || signal.aborted) break
      idle.start()
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    idle.stop()
    await Promise.all(acks)
  }
  return counts
}

async function ackOf(message: Message<Uint8Array>, counts: { refusedAcks: number }): Promise<void> {
  try {
    await message.ack()
  } catch {
    counts.refusedAcks++
  }
}

function track(running: Set<Promise<void>>, work: Promise<void>): void {
  running.add(work)
  void work.then(() => running.delete(work))
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** Calls back when it was not stopped for `idleMs`; without a time, never. Runs from the start. */
class IdleTimer {
  readonly #idleMs: number | undefined
  readonly #expire: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(idleMs: number | undefined, expire: () => void) {
    this.#idleMs = idleMs
    this.#expire = expire
    this.start()
  }

  start(): void {
    if (this.#idleMs !== undefined) this.#timer = setTimeout(this.#expire, this.#idleMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
