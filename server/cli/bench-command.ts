// `pocketmq bench`: how fast is the relay at that url? Two passes over a topic of its own, which it deletes: a
// pipelined producer with one group consumer that acks each message, then single messages for the latency. For the
// comparison with other systems see `npm run bench`.

import type { Command } from 'commander'
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Client, Topic } from '../../core/client/api.ts'
import { bytes } from '../../core/client/codec.ts'
import { asClientCommand, type ClientCommandOptions, runWithClient } from './client-command.ts'
import { type CommandContext, createProcessContext } from './context.ts'
import { formatJson, formatTable, write } from './output.ts'
import { Progress } from './progress.ts'
import { formatBytes, formatCount, parseCount, parseSizeBytes } from './values.ts'

interface Options extends ClientCommandOptions {
  readonly messages: number
  readonly size: number
  readonly queues: number
  readonly samples: number
  readonly progress?: boolean
}

/** Times in milliseconds. */
interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
}

interface BenchResult {
  readonly messageCount: number
  readonly bodyBytes: number
  readonly queueCount: number
  readonly publishedPerSecond: number
  readonly consumedPerSecond: number
  readonly sendToReceipt: Latency
  readonly sendToDelivery: Latency
}


/** Adds `bench` to the program. */
export function registerBenchCommand(program: Command, context: CommandContext = createProcessContext()): void {
  asClientCommand(program.command('bench'), ['bench', 'bench --messages 500000 --size 1KiB --json'])
    .description('measure a relay: publish and consume at full speed, then the latency of single messages')
    .option('--messages <count>', 'messages of the fast pass', parseCount(1), 100_000)
    .option('--size <bytes>', 'size of a body, e.g. 100 or 1KiB', parseSizeBytes, 100)
    .option('--queues <count>', 'queues of the topic', parseCount(1), 8)
    .option('--samples <count>', 'messages of the latency pass, one at a time', parseCount(1), 500)
    .option('--progress', 'show progress even where stderr is no terminal')
    .action((options: Options) => runWithClient(context, options, async (client, signal) => {
      const result = await bench(context, client, options, signal)
      if (result !== undefined) await write(context, options.json === true ? formatJson(result) : formatResult(result))
    }))
}

async function bench(
  context: CommandContext, client: Client, options: Options, signal: AbortSignal,
): Promise<BenchResult | undefined> {
  const name = `pocketmq-bench-${randomBytes(4).toString('hex')}`
  const group = name
  const progress = new Progress(context, options.progress)
  await client.admin.createTopic(name, { queueCount: options.queues, messageType: 'NORMAL' })
  try {
    const topic = client.topic(name, { codec: bytes })
    const rates = await measureThroughput(topic, group, options, progress, signal)
    const latency = await measureLatency(topic, group, options, progress, signal)
    return {
      messageCount: options.messages, bodyBytes: options.size, queueCount: options.queues, ...rates, ...latency,
    }
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  } finally {
    progress.clear()
    await client.admin.deleteTopic(name)
    await client.admin.deleteGroup(group)
  }
}

async function measureThroughput(
  topic: Topic<Uint8Array>, group: string, options: Options, progress: Progress, signal: AbortSignal,
) {
  const body = randomBytes(options.size)
  await using consumer = topic.consume({ group, signal, prefetch: 8_192 })
  await consumer.subscribed
  const startedMs = performance.now()
  let storedCount = 0
  let consumedCount = 0

  const consumed = new Promise<number>((resolve, reject) => {
    consumer.run((message) => {
      // Left un-awaited by the count below: the rate is that of messages handled, acks ride along.
      consumedCount++
      progress.update(() => `stored ${formatCount(storedCount)}, consumed ${formatCount(consumedCount)}`)
      if (consumedCount === options.messages) resolve(performance.now())
      return message.body.length === options.size ? undefined : Promise.reject(new Error('a body of another size'))
    }).then(() => reject(new Error('the consumer ended early')), reject)
  })
  // Looked at below, after the sends.
  consumed.catch(() => undefined)

  let lastSend: Promise<unknown> = Promise.resolve()
  for (let count = options.messages; count > 0; count--) {
    await topic.ready({ signal })
    signal.throwIfAborted()
    lastSend = topic.send(body).then(() => storedCount++)
    // The last one's failure is told below, by then those before it have failed alike.
    lastSend.catch(() => undefined)
  }
  await lastSend
  const publishedMs = performance.now()
  const consumedMs = await consumed
  return {
    publishedPerSecond: (options.messages / (publishedMs - startedMs)) * 1000,
    consumedPerSecond: (options.messages / (consumedMs - startedMs)) * 1000,
  }
}

async function measureLatency(
  topic: Topic<Uint8Array>, group: string, options: Options, progress: Progress, signal: AbortSignal,
) {
  const body = randomBytes(options.size)
  await using consumer = topic.consume({ group, signal })
  await consumer.subscribed
  const messages = consumer[Symbol.asyncIterator]()
  const receiptMs: number[] = []
  const deliveryMs: number[] = []
  for (let sample = 0; sample < options.samples; sample++) {
    const startedMs = performance.now()
    const receipt = topic.send(body).then(() => receiptMs.push(performance.now() - startedMs))
    // One that is refused never comes.
    const [next] = await Promise.all([messages.next(), receipt])
    if (next.done === true) signal.throwIfAborted()
    else {
      deliveryMs.push(performance.now() - startedMs)
      await next.value.ack()
    }
    progress.update(() => `latency: ${formatCount(sample)} of ${formatCount(options.samples)}`)
  }
  return { sendToReceipt: latencyOf(receiptMs), sendToDelivery: latencyOf(deliveryMs) }
}

function latencyOf(samplesMs: number[]): Latency {
  samplesMs.sort((left, right) => left - right)
  const lastIndex = samplesMs.length - 1
  const quantile = (share: number) => samplesMs[Math.min(lastIndex, Math.floor(samplesMs.length * share))] as number
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99) }
}

function formatResult(result: BenchResult): string {
  const milliseconds = ({ p50Ms, p99Ms }: Latency) => `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`
  return formatTable([{ title: 'measured' }, { title: 'result' }], [
    ['messages', `${formatCount(result.messageCount)} of ${formatBytes(result.bodyBytes)}`],
    ['queues', String(result.queueCount)],
    ['published and synced', `${formatCount(result.publishedPerSecond)} msg/s`],
    ['consumed', `${formatCount(result.consumedPerSecond)} msg/s`],
    ['send to receipt', milliseconds(result.sendToReceipt)],
    ['send to delivery', milliseconds(result.sendToDelivery)],
  ])
}
