// Memory: whether the engine's heap stays as it is under traffic, and what a subscription costs the page.

import { inTab, pocketmq, type Scenario } from '../scenario.ts'

/** The first is left out: until then caches fill and code is compiled. */
const sliceCount = 10

export const memory: Scenario = {
  name: 'memory',
  title: 'heaps after a collection: of the engine under traffic (sent, stored, consumed, acknowledged), of the page',
  figures: ['heapMib', 'grownKib', 'bytesPerMessage', 'subscriptionBytes'],
  cases: ({ trafficCount, subscriptionCount }) => [
    {
      system: pocketmq,
      load: `${trafficCount.toLocaleString('en-US')} messages`,
      measure: (stage) => inTab(stage, async (tab) => {
        const browser = await stage.browser()
        const topic = `traffic-${stage.round}`
        await tab.call('connect', `memory-${stage.round}`)
        await tab.call('startConsuming', topic, 'workers')
        const count = Math.ceil(trafficCount / sliceCount)
        const heaps: number[] = []
        for (let slice = 0; slice < sliceCount; slice++) {
          await tab.call('traffic', { topic, count, inFlightCount: 1_024, bodyBytes: 100 })
          heaps.push(await browser.workerHeapBytes())
        }
        const grownBytes = slopeOf(heaps.slice(sliceCount / 5)) * (sliceCount - 1)
        return {
          heapMib: (heaps.at(-1) as number) / 2 ** 20,
          grownKib: grownBytes / 1_024,
          bytesPerMessage: grownBytes / (count * (sliceCount - 1)),
        }
      }),
    },
    {
      system: pocketmq,
      load: `${subscriptionCount} subscriptions`,
      measure: (stage) => inTab(stage, async (tab) => {
        await tab.call('connect', `subscriptions-${stage.round}`)
        // The first ones bring code and tables with them.
        await tab.call('subscribe', 'first', Math.ceil(subscriptionCount / 5))
        const before = await tab.heapBytes()
        await tab.call('subscribe', 'then', subscriptionCount)
        return { subscriptionBytes: (await tab.heapBytes() - before) / subscriptionCount }
      }),
    },
  ],
}

/** Of the straight line nearest to the values, a step: one high or low value moves it little. */
function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  let above = 0
  let below = 0
  for (const [at, value] of values.entries()) {
    above += (at - middle) * value
    below += (at - middle) ** 2
  }
  return above / below
}
