// Reading: from tab to tab, from a relay into the device's copy, and after a cold start.

import { bareIdb, inTab, pocketmq, type Scenario } from '../scenario.ts'

/** A hundred a second: no message waits for the one before. */
const gapMs = 10

export const tabToTab: Scenario = {
  name: 'tab-to-tab',
  title: 'from send to the handler in another tab over a durable topic, 100 messages a second',
  figures: ['p50Ms', 'p99Ms'],
  cases: ({ spacedCount }) => [
    {
      system: pocketmq,
      load: 'durable topic',
      measure: (stage) => inTab(stage, (sender) => inTab(stage, async (listener) => {
        const topic = `tabs-${stage.round}`
        await sender.call('connect', 'tabs')
        await listener.call('connect', 'tabs')
        await listener.call('listen', topic)
        const aheadMs = await sender.call('clockAhead')
        const warmupCount = Math.ceil(spacedCount / 5)
        await sender.call('sendSpaced', topic, warmupCount, gapMs, aheadMs)
        await listener.call('heard', warmupCount)
        return stage.profiled('tab-to-tab', async () => {
          await sender.call('sendSpaced', topic, spacedCount, gapMs, aheadMs)
          return listener.call('heard', spacedCount)
        })
      })),
    },
    {
      system: bareIdb,
      load: 'postMessage, transaction, postMessage',
      measure: (stage) => inTab(stage, (sender) => inTab(stage, async (listener) => {
        await sender.call('bareOpen', 'bare')
        await listener.call('bareListen')
        const aheadMs = await sender.call('clockAhead')
        const warmupCount = Math.ceil(spacedCount / 5)
        await sender.call('bareSendSpaced', warmupCount, gapMs, aheadMs)
        await listener.call('heard', warmupCount)
        await sender.call('bareSendSpaced', spacedCount, gapMs, aheadMs)
        return listener.call('heard', spacedCount)
      })),
    },
  ],
}

export const catchUp: Scenario = {
  name: 'catch-up',
  title: 'from `connect` to having read a backlog of 100 B messages of a relay through the copy in IndexedDB',
  figures: ['messagesPerSecond'],
  async prepare(stage) {
    await stage.filledRelay('backlog', stage.pace.catchUpCount)
  },
  cases: ({ catchUpCount }) => [
    {
      system: pocketmq,
      load: 'BROADCASTING consumer',
      async measure(stage) {
        const relayUrl = await stage.filledRelay('backlog', catchUpCount)
        return inTab(stage, async (tab) => {
          const name = `copy-${stage.round}`
          const tookMs = await stage.profiled('catch-up', () => tab.call('catchUp', name, relayUrl, 'backlog', catchUpCount))
          return { messagesPerSecond: catchUpCount / tookMs * 1_000 }
        })
      },
    },
    {
      system: bareIdb,
      load: '1,000 to a batch',
      measure: (stage) => inTab(stage, async (tab) => {
        await tab.call('bareOpen', 'bare')
        const batchCount = Math.max(1, Math.min(200, Math.floor(catchUpCount / 1_000)))
        const { totalMs } = await tab.call('bareAppend', batchCount, 100_000)
        return { messagesPerSecond: batchCount * 1_000 / totalMs * 1_000 }
      }),
    },
  ],
}

export const coldStart: Scenario = {
  name: 'cold-start',
  title: 'in a new browser process: from `connect` to the first of the stored messages',
  figures: ['firstMs'],
  async prepare(stage) {
    const { storedCount } = stage.pace
    await inTab(stage, async (tab) => {
      await tab.call('connect', 'cold')
      const spec = { topic: 'stored', count: storedCount, warmupCount: 0, inFlightCount: 4_096, bodyBytes: 100 }
      await tab.call('sendFlow', spec)
      await tab.call('bareOpen', 'bare')
      await tab.call('bareAppend', Math.ceil(storedCount / 1_000), 100_000)
    })
  },
  cases: () => [
    {
      system: pocketmq,
      load: 'first delivery',
      async measure(stage) {
        await stage.stopBrowser()
        return inTab(stage, async (tab) => ({ firstMs: await tab.call('firstDelivery', 'cold', 'stored') }))
      },
    },
    {
      system: bareIdb,
      load: 'open, read one record',
      async measure(stage) {
        await stage.stopBrowser()
        return inTab(stage, async (tab) => ({ firstMs: await tab.call('bareFirst', 'bare') }))
      },
    },
  ],
}
