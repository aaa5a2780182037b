// What all scenarios of a queue share: a producer that always has so many sends in flight, and a consumer of a group
// that acks each message.

import { Flow } from '../flow.ts'
import { Latencies } from '../latency.ts'
import { startStopwatch } from '../stopwatch.ts'
import { topicName } from './scenario.ts'
import type { Figures } from '../figures.ts'
import type { ServedLoad } from './scenario.ts'

export interface QueueUse {
  readonly inFlightCount: number
  /** Whether there is a consumer; without one the answers to the sends are the end of it. */
  readonly consumes: boolean
  /** Whether messages arrive in the order of sending; only then publish-to-deliver times can be told. */
  readonly keepsOrder: boolean
  /** Of how many messages one passes the consumer's filter. Default 1: all do. */
  readonly sendsPerDelivery?: number
}

/** Figures per message sent. */
export async function measureQueue({ client, server, job, pace, body }: ServedLoad, use: QueueUse): Promise<Figures> {
  const { bodyBytes } = job
  const { inFlightCount, consumes, keepsOrder, sendsPerDelivery = 1 } = use
  const deliveriesPerSend = consumes ? 1 : 0
  const { drainMsMax } = pace
  const flow = new Flow({ deliveriesPerSend, sendsPerDelivery, acknowledges: true, bodyBytes, drainMsMax })
  const latencies = new Latencies({ sampleEvery: 16 })
  await client.prepare?.(topicName, 'queue')
  if (consumes) {
    await client.openConsumer({
      topic: topicName,
      delivery: 'queue',
      onMessage: (length) => {
        if (keepsOrder) latencies.delivered(flow.deliveredCount)
        flow.countDelivered(length)
      },
      onFailed: flow.fail,
    })
  }
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
    if (keepsOrder) latencies.sent(flow.sentCount)
    producer.send()
    flow.countSent()
  }

  function fillWindow(): void {
    for (let count = 0; count < inFlightCount && flow.isSending; count++) send()
  }
}
