// The durable queue with one thing more, each beside a control in the same round: the same relay without that thing.

import { measureQueue } from './queue-flow.ts'
import type { FigureName } from '../figures.ts'
import type { Scenario } from './scenario.ts'

const inFlightCount = 1000
const transactionInFlightCount = 256

/** The message groups that the producer goes around; as many as it has messages in flight. */
export const messageGroupCount = 1000
/** Of how many messages one passes the filter of `filtered-queue`. */
export const filterPassesOneIn = 10

const figures: readonly FigureName[] = ['messagesPerSecond', 'serverMicros', 'rssMib', 'loadPercent']
const anchors: Scenario['anchors'] = [{ system: 'pocketmq-plain', figure: 'messagesPerSecond' }]

export const transactions: Scenario = {
  name: 'transactions',
  title:
    `transactions of one message, half message and commit, ${transactionInFlightCount} in flight; no consumer. ` +
    'Plain: one send to a call, as many in flight',
  bodySizes: [100],
  figures,
  anchors,
  measure: (load) => measureQueue(load, { inFlightCount: transactionInFlightCount, consumes: false, keepsOrder: false }),
}

export const messageGroups: Scenario = {
  name: 'message-groups',
  title:
    `message groups: ${inFlightCount} sends in flight over ${messageGroupCount} groups of a FIFO topic, ` +
    '1 consumer acking each. Plain: no message groups',
  bodySizes: [100],
  figures,
  anchors,
  measure: (load) => measureQueue(load, { inFlightCount, consumes: true, keepsOrder: false }),
}

export const tracedQueue: Scenario = {
  name: 'traced-queue',
  title: 'traced queue: the durable queue with every message traced. Plain: none',
  bodySizes: [100],
  figures: ['messagesPerSecond', 'serverMicros', 'p50Ms', 'p99Ms', 'rssMib', 'loadPercent'],
  anchors,
  measure: (load) => measureQueue(load, { inFlightCount, consumes: true, keepsOrder: true }),
}

export const filteredQueue: Scenario = {
  name: 'filtered-queue',
  title:
    `filtered queue: ${inFlightCount} sends in flight, an SQL filter of 3 terms passes 1 in ${filterPassesOneIn} to the ` +
    'consumer; per message stored. Plain: a tag filter that passes the same',
  bodySizes: [100],
  figures,
  anchors,
  measure: (load) =>
    measureQueue(load, { inFlightCount, consumes: true, keepsOrder: false, sendsPerDelivery: filterPassesOneIn }),
}
