// One pipelined producer with 1,000 sends in flight, one consumer of a group that acks each message.

import { measureQueue } from './queue-flow.ts'
import type { Scenario } from './scenario.ts'

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
  measure: (load) => measureQueue(load, { inFlightCount, consumes: true, keepsOrder: true }),
}
