// One pipelined producer with 1,000 sends in flight, one consumer of a group that acks each message.

import { Flow } from '../flow.ts'
import { Latencies } from '../latency.ts'
import { startStopwatch } from '../stopwatch.ts'
import { topicName } from './scenario.ts'
import type { Figures } from '../figures.ts'
import type { Scenario, ServedLoad } from './scenario.ts'

const inFlightCount = 1000

export const durableQueue: Scenario = {
  name: 'durable-queue',
  title: `durable queue: 1 producer with ${inFlightCount} sends in flight, 1 group consumer acking each message`,
  bodySizes: [100, 1024],
  figures: ['messagesPerSecond', 'serverMicros', 'p50Ms', 'p99Ms', 'rssMib', 'loadPercent'],
  anchors: [
    { system: 'jetstream', figure: 'messagesPerSecond' },
    { system: 'redis-streams', figure: 'messagesPerSecond' },
  ],
  measure,
}

async function measure({ client, server, job, pace, body }: ServedLoad): Promise<Figures> {
  const { bodyBytes } = job
  const flow = new Flow({ deliveriesPerSend: 1, acknowledges: true, bodyBytes, drainMsMax: pace.drainMsMax })
  const latencies = new Latencies({ sampleEvery: 16 })
  await client.prepare?.(topicName, 'queue')
  await client.openConsumer({
    topic: topicName,
    delivery: 'queue',
    onMessage: (length) => {
      latencies.delivered(flow.deliveredCount)
      flow.countDelivered(length)
    },
    onFailed: flow.fail,
  })
  const producer = await client.openProducer({
    topic: topicName,
    delivery: 'queue',
    body,
    onAcknowledged: () => {
      flow.countAcknowledged()
      if (flow.isSending) send()
    },
    onFailed: flow.fail,
  })

  await flow.run(pace.warmUpMs, fillWindow)
  latencies.clear()
  const stopwatch = startStopwatch(server.pid)
  const sentCount = await flow.run(pace.measureMs, fillWindow)
  return { ...stopwatch.stop(sentCount), ...latencies.figures() }

  function send(): void {
    latencies.sent(flow.sentCount)
    producer.send()
    flow.countSent()
  }

  function fillWindow(): void {
    for (let count = 0; count < inFlightCount && flow.isSending; count++) send()
  }
}
