// Reading forwards while records leave the memory, readers go back, and the store answers late: nothing that is there is
// taken for a gap.

import { describe, expect, it } from 'vitest'
import type { StoreEntry } from '../../../core/ports/store.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { BrokerWorld } from './broker-world.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

async function filledWorld(tailCacheBytesMax: number): Promise<BrokerWorld> {
  const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax } })
  for (let batch = 0; batch < 10; batch++) await world.publish('t', numbers(batch * 10, batch * 10 + 10))
  return world
}

describe('a reader of records that are not in memory', () => {
  it.each([0, 15, 95])('goes back to %i of what it has read ahead', async (offset) => {
    const world = await filledWorld(0)
    const member = await world.join('t')
    member.held.length = 0
    const to = { kind: 'position', position: { epoch: 0, offset } } as const
    await world.must((answer) => world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to }, answer))
    await world.settle()
    expect(member.bodies).toEqual(numbers(offset, 100))
    expect(member.gaps).toEqual([])
  })

  it.each([{ mode: 'BROADCASTING' }, { mode: 'CLUSTERING' }] as const)(
    'goes on in a record that it took in part while it was in memory ($mode)', async ({ mode }) => {
      const world = await filledWorld(3_000)
      const member = await world.join('t', { mode, credit: 95 })
      expect(member.bodies).toEqual(numbers(0, 95))
      for (let batch = 10; batch < 20; batch++) await world.publish('t', numbers(batch * 10, batch * 10 + 10))
      member.membership?.credit(1_000, 1 << 20)
      await world.settle()
      expect(member.bodies).toEqual(numbers(0, 200))
      expect(member.gaps).toEqual([])
    },
  )

  it('gets what is committed while the store looks for messages that are lost', async () => {
    const world = await filledWorld(0)
    const { key } = (await world.entries(keyKinds.record))[9] as StoreEntry
    await world.write([{ key, value: null }])
    await world.reopen()
    const member = await world.join('t', { credit: 90 })
    member.membership?.credit(100, 1 << 20)
    await world.publish('t', ['100'])
    await world.settle()
    expect(member.bodies).toEqual([...numbers(0, 90), '100'])
    expect(member.gaps).toMatchObject([{ expected: { offset: 90 }, next: { offset: 100 } }])
  })
})
