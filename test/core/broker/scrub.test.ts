// Damage that is found though nobody reads what it hit.

import { describe, expect, it } from 'vitest'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld } from './broker-world.ts'

async function filledWorld(topics = 1): Promise<BrokerWorld> {
  const world = await BrokerWorld.open({
    limits: { queueCountDefault: 1, tailCacheBytesMax: 0, retentionSweepMs: 1_000, retentionMsDefault: 100_000 },
  })
  for (let topic = 0; topic < topics; topic++) {
    for (let batch = 0; batch < 20; batch++) await world.publish(`t${topic}`, ['a', 'b', 'c'])
  }
  return world
}

async function damage(world: BrokerWorld, index: number): Promise<void> {
  const { key, value } = (await world.entries(keyKinds.record))[index] as { key: Uint8Array; value: Uint8Array }
  await world.write([{ key, value: value.map((byte, at) => (at === value.length - 1 ? byte ^ 4 : byte)) }])
}

const found = (world: BrokerWorld) => world.broker.counters.damagedRecords

describe('a sweep over what is stored', () => {
  it('finds nothing where nothing is wrong, while messages come and retention trims', async () => {
    const world = await filledWorld()
    for (let round = 0; round < 150; round++) {
      await world.advance(1_000)
      await world.publish('t0', ['x'])
    }
    expect(world.broker.counters.expiredRecords).toBeGreaterThan(20)
    expect(found(world)).toBe(0)
  })

  it('finds a flipped bit in any topic, and tells of it once', async () => {
    const world = await filledWorld(30)
    for (const index of [3, 170, 599]) await damage(world, index)
    await world.advance(60_000)
    expect(found(world)).toBe(3)
  })

  it('finds what is missing in the middle, but not what is gone by design', async () => {
    const world = await filledWorld()
    await world.createTopic('c', { cleanupPolicy: 'COMPACT', queueCount: 1 })
    for (let round = 0; round < 10; round++) await world.publish('c', [{ body: 'x', keys: [`${round % 2}`] }])
    await world.advance(70_000)
    expect(world.broker.stats().messageCount).toBe(62)
    expect(found(world)).toBe(0)
    const records = await world.entries(keyKinds.record)
    await world.write([0, 5, 6].map((index) => ({ key: (records[index] as { key: Uint8Array }).key, value: null })))
    await world.advance(10_000)
    expect(found(world)).toBe(2)
  })

  it('comes around in large logs too', async () => {
    const world = await filledWorld()
    for (let batch = 0; batch < 12; batch++) await world.publish('large', ['x'.repeat(900_000)])
    const at = (await world.entries(keyKinds.record)).length - 1
    await damage(world, at)
    await world.advance(5_000)
    const early = found(world)
    await world.advance(25_000)
    expect([early, found(world)]).toEqual([0, 1])
  })
})
