// 1,000 messages a second, one at a time: how long a message takes when nothing is to be gained from batching.

import { Flow } from '../flow.ts'
import { Latencies } from '../latency.ts'
import { startStopwatch } from '../stopwatch.ts'
import { topicName } from './scenario.ts'
import type { Delivery } from '../systems/system.ts'
import type { Figures } from '../figures.ts'
import type { Scenario, ServedLoad } from './scenario.ts'

/** The time between two sends. */
export const lightLoadIntervalMs = 1

/** The systems without a queue; there a message goes to the one subscriber, here to the one member of a group. */
const broadcasting: ReadonlySet<string> = new Set(['ws', 'socket.io', 'nats', 'redis-pubsub'])

export const lightLoad: Scenario = {
  name: 'light-load',
  title: 'light load: 1,000 msg/s, publish to deliver, 1 producer, 1 consumer',
  bodySizes: [100],
  figures: ['p50Ms', 'p99Ms', 'serverMicros', 'rssMib'],
  anchors: [{ system: 'ws', figure: 'p50Ms' }],
  measure,
}

async function measure({ client, server, job, pace, body }: ServedLoad): Promise<Figures> {
  const { bodyBytes } = job
  const flow = new Flow({ deliveriesPerSend: 1, acknowledges: false, bodyBytes, drainMsMax: pace.drainMsMax })
  const latencies = new Latencies({ sampleEvery: 1 })
  const delivery: Delivery = broadcasting.has(job.system) ? 'broadcast' : 'queue'
  await client.prepare?.(topicName, delivery)
  await client.openConsumer({
    topic: topicName,
    delivery,
    onMessage: (length) => {
      latencies.delivered(flow.deliveredCount)
      flow.countDelivered(length)
    },
    onFailed: flow.fail,
  })
  const producer = await client.openProducer({
    topic: topicName,
    delivery,
    body,
    onAcknowledged: () => {},
    onFailed: flow.fail,
  })

  await run(pace.warmUpMs)
  latencies.clear()
  const stopwatch = startStopwatch(server.pid)
  const sentCount = await run(pace.measureMs)
  return { ...stopwatch.stop(sentCount), ...latencies.figures() }

  /** Sends one message each millisecond; the timer's own lateness is made up for, so that the rate holds. */
  async function run(durationMs: number): Promise<number> {
    const startedAt = performance.now()
    let dueCount = 0
    const timer = setInterval(() => {
      const elapsedMs = performance.now() - startedAt
      for (; flow.isSending && dueCount * lightLoadIntervalMs <= elapsedMs; dueCount++) {
        latencies.sent(flow.sentCount)
        producer.send()
        flow.countSent()
      }
    }, lightLoadIntervalMs)
    try {
      return await flow.run(durationMs, () => {})
    } finally {
      clearInterval(timer)
    }
  }
}
