// `pocketmq send`: one message from an argument or a file, or a stream of lines from a file or stdin.

import type { Command } from 'commander'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { SendOptions, SendReceipt, Topic } from '../../core/client/api.ts'
import { bytes } from '../../core/client/codec.ts'
import { type PocketError, toPocketError } from '../../core/errors.ts'
import { asClientCommand, type ClientCommandOptions, reportFailure, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { UsageError } from './failure.ts'
import { formatJsonLine, write } from './output.ts'
import { Progress } from './progress.ts'
import {
  collect, collectProperty, formatCount, formatTime, given, parseCount, parseDurationMs, parseFuture,
} from './values.ts'

interface Options extends ClientCommandOptions {
  readonly file?: string
  readonly lines?: string | true
  readonly tag?: string
  readonly key?: readonly string[]
  readonly group?: string
  readonly property?: ReadonlyMap<string, string>
  readonly delay?: number
  readonly at?: Date
  readonly priority?: number
  readonly ttl?: number
  readonly count?: number
  readonly progress?: boolean
}

/** Adds `send` to the program. */
export function registerSendCommand(program: Command, context: CommandContext = createProcessContext()): void {
  asClientCommand(program.command('send'), [
    'send orders \'{"id":42}\' --tag paid --key 42',
    'send orders --file order.json',
    'send reminders \'{"id":42}\' --delay 30m',
    'send alarms fire --priority 9 --ttl 10m',
    'send flights --lines flights.ndjson --group DTW',
    'seq 1000 | pocketmq send numbers --progress',
  ])
    .description('send a message, or one per line of a file or of stdin')
    .argument('<topic>', 'where to')
    .argument('[body]', 'the body; without it stdin is read, one message per line')
    .option('--file <path>', 'the body is the content of this file; - is stdin')
    .option('--lines [path]', 'one message per line of this file, or of stdin')
    .option('--tag <tag>', 'the one word consumers filter by')
    .option('--key <key>', 'a word it is found by; may be repeated', collect)
    .option('--group <messageGroup>', 'its message group, which a FIFO topic needs')
    .option('--property <name=value>', 'a property; may be repeated', collectProperty)
    .option('--delay <duration>', 'deliver it so long after it reached the relay', parseDurationMs)
    .option('--at <time>', 'deliver it at this time: ISO, or +30m', (text: string) => parseFuture(text))
    .option('--priority <number>', '0 to 9, higher first; for a PRIORITY topic', parseCount(0))
    .option('--ttl <duration>', 'deliver it for so long', parseDurationMs)
    .option('--count <count>', 'send the one body so many times', parseCount(1))
    .option('--progress', 'show progress even where stderr is no terminal')
    .action(async (name: string, body: string | undefined, options: Options) => {
      const fault = faultOf(body, options)
      if (fault !== undefined) context.setExitCode(reportFailure(context, options, new UsageError(fault)))
      else {
        await runWithClient(context, options, (client, signal) => {
          return send(context, client.topic(name, { codec: bytes }), body, options, signal)
        })
      }
    })
}

function faultOf(body: string | undefined, options: Options): string | undefined {
  const sources = [body, options.file, options.lines].filter((source) => source !== undefined)
  if (sources.length > 1) return 'a body, --file and --lines exclude each other'
  if (options.delay !== undefined && options.at !== undefined) return '--delay and --at exclude each other'
  if (options.count !== undefined && body === undefined && options.file === undefined) {
    return '--count repeats one body: give it as an argument or with --file'
  }
  return undefined
}

async function send(
  context: CommandContext, topic: Topic<Uint8Array>, body: string | undefined, options: Options, signal: AbortSignal,
): Promise<void> {
  const sender = new Sender(context, topic, options, signal)
  if (body !== undefined || options.file !== undefined) {
    const content = body === undefined ? await readBody(context, options.file as string) : Buffer.from(body)
    for (let count = options.count ?? 1; count > 0 && !signal.aborted; count--) await sender.send(content)
  } else {
    if (options.lines === undefined && context.input.isTTY === true) {
      context.errors.write('One message per line; Ctrl-D ends.\n')
    }
    const input = typeof options.lines === 'string' ? createReadStream(options.lines) : context.input
    for await (const line of linesOf(input, signal)) await sender.send(Buffer.from(line))
  }
  await sender.finish()
}

async function readBody(context: CommandContext, path: string): Promise<Uint8Array> {
  if (path !== '-') return readFile(path).catch((error: Error) => rejectPath(Object.assign(error, { path })))
  const chunks: Buffer[] = []
  for await (const chunk of context.input) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks)
}

/** Lines as they come; an interruption ends them. */
async function* linesOf(input: NodeJS.ReadableStream, signal: AbortSignal): AsyncGenerator<string> {
  let failure: unknown
  const reader = createInterface({ input, crlfDelay: Infinity, signal })
  input.once('error', (error) => {
    failure = error
    reader.close()
  })
  yield* reader
  if (failure !== undefined) rejectPath(failure)
}

function rejectPath(error: unknown): never {
  const { code, path, message } = error as NodeJS.ErrnoException
  throw new UsageError(code === 'ENOENT' ? `there is no file ${path ?? ''}` : `cannot read ${path ?? 'it'}: ${message}`)
}

/** Sends pipelined, prints receipts in order, and stops at the first failure. */
class Sender {
  readonly #context: CommandContext
  readonly #topic: Topic<Uint8Array>
  readonly #options: Options
  readonly #headers: SendOptions
  readonly #progress: Progress
  readonly #signal: AbortSignal
  readonly #startedMs = Date.now()
  #sentCount = 0
  #storedCount = 0
  #last: Promise<void> = Promise.resolve()
  #receipt: SendReceipt | undefined
  #failure: PocketError | undefined

  constructor(context: CommandContext, topic: Topic<Uint8Array>, options: Options, signal: AbortSignal) {
    this.#context = context
    this.#topic = topic
    this.#options = options
    this.#signal = signal
    this.#progress = new Progress(context, options.progress)
    const { tag, key: keys, group: messageGroup, property: properties, delay, at: deliverAt, priority, ttl } = options
    this.#headers = given({ tag, keys, messageGroup, properties, delay, deliverAt, priority, ttl })
  }

  async send(body: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    await this.#topic.ready({ signal: this.#signal }).catch(this.#unlessInterrupted)
    if (this.#signal.aborted) return
    this.#sentCount++
    const answer = this.#topic.send(body, this.#headers)
    // Receipts print in the order of the sends; a failure is kept for the next send, or for finish().
    this.#last = Promise.all([answer, this.#last]).then(([receipt]) => this.#stored(receipt))
    this.#last.catch((error: unknown) => {
      this.#failure ??= toPocketError(error)
    })
  }

  /** Waits for all answers and tells the outcome. */
  async finish(): Promise<void> {
    const { json } = this.#options
    try {
      await Promise.race([this.#last, aborted(this.#signal)])
    } finally {
      this.#progress.clear()
      if (json !== true && this.#sentCount !== 1) this.#context.errors.write(`${this.#summary()}\n`)
    }
    const receipt = this.#receipt
    if (json !== true && this.#sentCount === 1 && receipt !== undefined) await write(this.#context, receiptLine(receipt))
  }

  readonly #unlessInterrupted = (error: unknown): void => {
    if (!this.#signal.aborted) throw error
  }

  async #stored(receipt: SendReceipt): Promise<void> {
    this.#storedCount++
    this.#receipt = receipt
    if (this.#options.json === true) await write(this.#context, formatJsonLine(receipt))
    this.#progress.update(() => this.#summary())
  }

  #summary(): string {
    const rate = this.#storedCount / Math.max((Date.now() - this.#startedMs) / 1000, 0.001)
    const stored = formatCount(this.#storedCount)
    const of = this.#storedCount === this.#sentCount ? '' : ` of ${formatCount(this.#sentCount)}`
    return `stored ${stored}${of} ${this.#storedCount === 1 ? 'message' : 'messages'}, ${formatCount(rate)}/s`
  }
}

/** Resolves when it is; without an end where it never is. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function receiptLine(receipt: SendReceipt): string {
  if (receipt.deliverMs !== undefined) {
    return `stored ${receipt.messageId}, due ${formatTime(receipt.deliverMs)}; recall handle ${receipt.recallHandle ?? '-'}\n`
  }
  const place = receipt.queueId === undefined ? '' : ` in queue ${receipt.queueId} at offset ${receipt.offset}`
  return `stored ${receipt.messageId}${place}${receipt.duplicate ? ' (a duplicate)' : ''}\n`
}
