// One publisher, many subscribers, each on a connection of its own, each to get every message. How many messages the
// publisher keeps under way decides much: few starve a system that packs many into a frame, many drown one that does
// not. So the window is found in the warm-up by one rule for all: as many as the system delivers in half a second.

import { Flow } from '../flow.ts'
import { startStopwatch } from '../stopwatch.ts'
import { openMany, topicName } from './scenario.ts'
import type { Figures } from '../figures.ts'
import type { Scenario, ServedLoad } from './scenario.ts'

const windowCountMin = 4
const windowCountMax = 1000
/** Bounds what a server must hold for slow readers, all connections together. */
const windowBytesMax = 64 * 2 ** 20
/** The publisher sends again when this part of the window has arrived, in one turn. */
const refillShare = 0.25

export const fanOut50 = createFanOut('fan-out-50', 50)
export const fanOut1000 = createFanOut('fan-out-1000', 1000)

function createFanOut(name: 'fan-out-50' | 'fan-out-1000', subscriberCount: number): Scenario {
  return {
    name,
    title: `fan-out: 1 publisher, ${subscriberCount} subscribers on connections of their own; per delivered message`,
    bodySizes: [100, 1024],
    figures: ['messagesPerSecond', 'serverMicros', 'windowCount', 'rssMib', 'loadPercent'],
    anchors: [
      { system: 'nats', figure: 'messagesPerSecond' },
      { system: 'ws', figure: 'messagesPerSecond' },
    ],
    measure: (load) => measure(load, subscriberCount),
  }
}

async function measure({ client, server, job, pace, body }: ServedLoad, subscriberCount: number): Promise<Figures> {
  const { bodyBytes } = job
  const flow = new Flow({
    deliveriesPerSend: subscriberCount,
    acknowledges: false,
    bodyBytes,
    drainMsMax: pace.drainMsMax,
  })
  const windowCountLimit = Math.min(windowCountMax, Math.floor(windowBytesMax / (subscriberCount * bodyBytes)))
  let windowCount = 0
  let refillAt = Number.POSITIVE_INFINITY

  await client.prepare?.(topicName, 'broadcast')
  const onMessage = (length: number): void => {
    flow.countDelivered(length)
    if (flow.deliveredCount >= refillAt) refill()
  }
  const subscribe = (): Promise<void> =>
    client.openConsumer({ topic: topicName, delivery: 'broadcast', onMessage, onFailed: flow.fail })
  await openMany(subscriberCount, subscribe)
  const producer = await client.openProducer({
    topic: topicName,
    delivery: 'broadcast',
    body,
    onAcknowledged: () => {},
    onFailed: flow.fail,
  })
  await findWindow()
  const stopwatch = startStopwatch(server.pid)
  const sentCount = await flow.run(pace.measureMs, refill)
  return { ...stopwatch.stop(sentCount * subscriberCount), windowCount }

  /** Sends until a window's worth is under way. Bodies arrive evenly enough that the total stands for each reader. */
  function refill(): void {
    const arrivedCount = flow.deliveredCount / subscriberCount
    while (flow.isSending && flow.sentCount - arrivedCount < windowCount) {
      producer.send()
      flow.countSent()
    }
    const outstandingCount = windowCount * (1 - refillShare)
    refillAt = Math.ceil((flow.sentCount - outstandingCount) * subscriberCount)
  }

  /** Doubles the window as long as the system turns it over in half the warm-up's time, or up to the limit. */
  async function findWindow(): Promise<void> {
    const turnOverMsMax = pace.warmUpMs / 2
    windowCount = Math.min(windowCountMin, windowCountLimit)
    // The first step runs code that is not compiled yet, and says nothing of the speed.
    await flow.run(pace.warmUpMs / 8, refill)
    for (let turnOverMs = 0; turnOverMs * 2 < turnOverMsMax && windowCount < windowCountLimit; ) {
      windowCount = Math.min(windowCount * 2, windowCountLimit)
      const startedAt = performance.now()
      const sentCount = await flow.run(pace.warmUpMs / 8, refill)
      turnOverMs = ((performance.now() - startedAt) / sentCount) * windowCount
    }
  }
}
