// Followers over the real broker: a copy that applies what it is told holds what the relay holds, over lost connections and
// a relay that starts anew.

import { expect, test } from 'vitest'
import type { ChangeBatch, Client, Follower, Topic } from '../../../core/client/api.ts'
import { bytes, text } from '../../../core/client/codec.ts'
import { Replica } from '../../../core/replica/replica.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { ClientWorld } from './client-world.ts'

interface Copying {
  readonly world: ClientWorld
  readonly client: Client
  readonly follower: Follower
  readonly replica: Replica
  /** What has arrived so far. */
  readonly counts: { changes: number; records: number; batches: number; isCurrent: boolean }
}

async function copying(options: Parameters<typeof ClientWorld.open>[0] = {}, topics = ['orders']): Promise<Copying> {
  const world = await ClientWorld.open(options)
  const client = await world.connect()
  const replica = await world.until(Replica.open(createMemoryStore({ clock: world.clock })))
  const follower = (await world.connect()).follow({ topics, positions: replica.positions(), withProgress: true })
  const counts = { changes: 0, records: 0, batches: 0, isCurrent: false }
  void (async () => {
    for await (const { changes, isCurrent } of follower) {
      await replica.apply(changes)
      counts.batches++
      counts.changes += changes.length
      counts.records += changes.filter(({ kind }) => kind === 'record').length
      counts.isCurrent = isCurrent
    }
  })()
  return { world, client, follower, replica, counts }
}

const endsOf = async (world: ClientWorld, client: Client, topic: string) => {
  const { queues } = await world.until(client.admin.describeTopic(topic))
  return new Map(queues.map(({ queueId, epoch, maxOffset }) => [queueId, { epoch, offset: maxOffset }]))
}

async function send(world: ClientWorld, topic: Topic<string>, count: number): Promise<void> {
  await world.until(Promise.all(Array.from({ length: count }, (_, index) => topic.send(String(index)))))
}

test('a follower comes to where the relay is, and its positions are those of its copy', async () => {
  const { world, client, follower, replica, counts } = await copying()
  const topic = client.topic('orders', { codec: text })
  await send(world, topic, 500)
  await world.pass(1_000)
  expect(counts.isCurrent).toBe(true)
  expect(follower.lag).toBe(0)
  expect(replica.positions().get('orders')).toEqual(await endsOf(world, client, 'orders'))
  expect(follower.positions()).toEqual(replica.positions())
})

test('it does not stall, however much goes through its window', async () => {
  const { world, client, follower, replica, counts } = await copying()
  const topic = client.topic('orders', { codec: bytes })
  const body = new Uint8Array(64 * 1024)
  for (let round = 0; round < 40; round++) {
    await world.until(Promise.all(Array.from({ length: 16 }, () => topic.send(body))))
    await world.settle()
  }
  // Small changes cost credit too: some ten thousand of progress.
  const consumer = topic.consume({ group: 'till', prefetch: 1 })
  void consumer.run(() => {})
  await world.pass(60_000)
  expect(counts.isCurrent).toBe(true)
  expect(follower.lag).toBe(0)
  expect(replica.positions().get('orders')).toEqual(await endsOf(world, client, 'orders'))
  expect(counts.records).toBeGreaterThan(100)
}, 60_000)

test('it goes on over lost connections, and over a relay that starts anew, without records coming twice', async () => {
  const { world, client, follower, replica, counts } = await copying()
  const topic = client.topic('orders', { codec: text })
  for (let round = 0; round < 30; round++) {
    await send(world, topic, 20)
    if (round % 3 === 0) world.network.cut()
    if (round % 10 === 5) {
      world.stopBroker()
      await world.pass(200)
      await world.startBroker()
    }
    await world.pass(100)
  }
  await world.pass(60_000)
  expect(counts.isCurrent).toBe(true)
  const ends = await endsOf(world, client, 'orders')
  expect(replica.positions().get('orders')).toEqual(ends)
  expect(follower.positions()).toEqual(replica.positions())
  expect([...ends.values()].reduce((sum, { offset }) => sum + offset, 0)).toBe(600)
})

test('it follows topics that come to be, are deleted, and come to be again', async () => {
  const { world, client, replica, counts } = await copying({}, ['orders', 'bills'])
  await world.pass(1_000)
  expect(counts.isCurrent).toBe(true)
  await send(world, client.topic('bills', { codec: text }), 10)
  await world.pass(1_000)
  expect([...replica.positions().keys()]).toEqual(['bills'])
  await world.until(client.admin.deleteTopic('bills'))
  await world.pass(1_000)
  expect([...replica.positions().keys()]).toEqual([])
  await send(world, client.topic('bills', { codec: text }), 3)
  await world.pass(1_000)
  expect(replica.positions().get('bills')).toEqual(await endsOf(world, client, 'bills'))
})

test('one that takes nothing holds no more than its window', async () => {
  const world = await ClientWorld.open()
  const client = await world.connect()
  const follower = (await world.connect()).follow({ topics: ['orders'] })
  const topic = client.topic('orders', { codec: bytes })
  for (let round = 0; round < 16; round++) {
    await world.until(Promise.all(Array.from({ length: 16 }, () => topic.send(new Uint8Array(64 * 1024)))))
  }
  await world.pass(10_000)
  // What was told at once was told with a small lag; when the window was full, it grew.
  let heldBytes = 0
  for await (const { changes, lag } of untilHere(world, follower)) {
    if (lag > 100) break
    for (const { value } of changes) heldBytes += value.length
  }
  expect(heldBytes).toBeGreaterThan(3 * 1024 * 1024)
  expect(heldBytes).toBeLessThan(6 * 1024 * 1024)
})

async function* untilHere(world: ClientWorld, follower: Follower): AsyncGenerator<ChangeBatch> {
  const iterator = follower[Symbol.asyncIterator]()
  for (;;) {
    const { value } = await world.until(iterator.next())
    if (value === undefined) return
    yield value
  }
}
