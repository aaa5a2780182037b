// Sending: many at a time beside packed batches put by hand, and one at a time beside one strict transaction.

import { bareIdb, barePort, type Case, inTab, pocketmq, type Scenario } from '../scenario.ts'

const bodyBytes = 100
const inFlightCounts = [256, 1_024, 4_096]

export const send: Scenario = {
  name: 'send',
  title: 'durable sends of 100 B from one tab, acknowledged after a strict commit',
  figures: ['messagesPerSecond', 'p50Ms', 'p99Ms'],
  cases: ({ sendCount }) => inFlightCounts.flatMap((inFlightCount): Case[] => [
    {
      system: pocketmq,
      load: `${inFlightCount} in flight`,
      measure: (stage) => inTab(stage, async (tab) => {
        await tab.call('connect', 'send')
        const topic = `send-${inFlightCount}-${stage.round}`
        const warmupCount = Math.ceil(sendCount / 5)
        const spec = { topic, count: sendCount, warmupCount, inFlightCount, bodyBytes }
        const { p50Ms, p99Ms, totalMs } = await stage.profiled(`send-${inFlightCount}`, () => tab.call('sendFlow', spec))
        return { messagesPerSecond: sendCount / totalMs * 1_000, p50Ms, p99Ms }
      }),
    },
    {
      system: bareIdb,
      load: `${inFlightCount} to a batch`,
      measure: (stage) => inTab(stage, async (tab) => {
        await tab.call('bareOpen', 'bare')
        const batchCount = Math.max(1, Math.min(300, Math.floor(sendCount / inFlightCount)))
        const { p50Ms, p99Ms, totalMs } = await tab.call('bareAppend', batchCount, inFlightCount * bodyBytes)
        return { messagesPerSecond: batchCount * inFlightCount / totalMs * 1_000, p50Ms, p99Ms }
      }),
    },
  ]),
}

export const loneSend: Scenario = {
  name: 'lone-send',
  title: 'a send of 100 B at a time',
  figures: ['p50Ms', 'p99Ms'],
  cases: ({ loneCount }) => [
    {
      system: pocketmq,
      load: 'send',
      measure: (stage) => inTab(stage, async (tab) => {
        await tab.call('connect', 'send')
        return stage.profiled('lone-send', () => tab.call('sendLone', `lone-${stage.round}`, loneCount, bodyBytes))
      }),
    },
    {
      system: bareIdb,
      load: 'strict transaction',
      measure: (stage) => inTab(stage, async (tab) => {
        await tab.call('bareOpen', 'bare')
        return tab.call('bareAppend', loneCount, bodyBytes)
      }),
    },
    {
      system: bareIdb,
      load: 'asked by the page',
      measure: (stage) => inTab(stage, async (tab) => {
        await tab.call('bareOpen', 'bare')
        return tab.call('barePut', loneCount, bodyBytes)
      }),
    },
    {
      system: barePort,
      load: 'round trip',
      measure: (stage) => inTab(stage, async (tab) => {
        await tab.call('bareOpen', 'bare')
        return tab.call('bareEcho', loneCount * 5)
      }),
    },
  ],
}
