// Retention where records are damaged: they go by their size like any other, and by age with a younger whole one.

import { expect, it } from 'vitest'
import type { StoreEntry } from '../../../core/ports/store.ts'
import type { TopicDescription } from '../../../core/protocol/frames.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld } from '../broker/broker-world.ts'

it('deletes a damaged record that is too much by itself, and no whole one in its place', async () => {
  const world = await BrokerWorld.open({ limits: { retentionSweepMs: 1_000, tailCacheBytesMax: 0 } })
  await world.createTopic('t', { queueCount: 1, retentionBytes: 2_800, retentionMs: 0 })
  for (let count = 0; count < 3; count++) await world.publish('t', ['x'.repeat(1_000)])
  const [{ key, value }] = (await world.entries(keyKinds.record)) as [StoreEntry]
  const damaged = value.slice()
  damaged[100] = 0
  await world.write([{ key, value: damaged }])
  await world.advance(1_500)
  const { queues } = await world.must<TopicDescription>((answer) => world.broker.describeTopic('t', answer))
  expect(queues).toMatchObject([{ minOffset: 1, maxOffset: 3 }])
})
