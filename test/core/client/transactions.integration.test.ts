// Transactions over the real broker: visible together or not at all, whoever dies in between.

import { describe, expect, test } from 'vitest'
import type { Client, Topic, TransactionProducer, TransactionVerdict } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { ClientWorld } from './client-world.ts'
import { watch } from './scripted-world.ts'

interface Shop {
  readonly world: ClientWorld
  readonly client: Client
  readonly producer: TransactionProducer
  readonly orders: Topic<string>
  readonly bills: Topic<string>
  readonly got: string[]
}

async function opened(
  verdict: TransactionVerdict = 'unknown', options: Parameters<typeof ClientWorld.open>[0] = {},
): Promise<Shop> {
  const world = await ClientWorld.open(options)
  const client = await world.connect()
  const got: string[] = []
  const reader = await world.connect()
  for (const name of ['orders', 'bills']) {
    const consumer = reader.topic(name, { codec: text }).consume({ group: 'till' })
    void consumer.run(({ value }) => void got.push(value))
    await world.until(consumer.subscribed)
  }
  const producer = client.transactions({ producerGroup: 'shop', check: () => verdict })
  await world.until(producer.registered)
  const topics = { orders: client.topic('orders', { codec: text }), bills: client.topic('bills', { codec: text }) }
  return { world, client, producer, ...topics, got }
}

describe('a transaction', () => {
  test('is seen when it is committed, over all its topics', async () => {
    const { world, client, producer, orders, bills, got } = await opened()
    const transaction = producer.begin()
    await world.until(Promise.all([transaction.send(orders, 'o1', { keys: ['k'] }), transaction.send(bills, 'b1')]))
    await world.pass(1_000)
    expect(got).toEqual([])
    expect(await world.until(client.admin.listTransactions())).toMatchObject([
      { transactionId: transaction.transactionId, producerGroup: 'shop', messageCount: 2, topics: ['orders', 'bills'] },
    ])
    void transaction.send(orders, 'o2')
    const receipt = await world.until(transaction.commit())
    await world.settle()
    expect(got.toSorted()).toEqual(['b1', 'o1', 'o2'])
    expect(await world.until(client.admin.listTransactions())).toEqual([])
    expect(receipt.messages.map(({ topic }) => topic)).toEqual(['orders', 'bills', 'orders'])
    const [first] = receipt.messages
    expect(await world.until(client.admin.findById(first?.messageId as string))).toMatchObject({
      topic: 'orders', queueId: first?.queueId, offset: first?.offset, keys: ['k'],
    })
  })

  test('rolled back is never seen', async () => {
    const { world, client, producer, orders, got } = await opened()
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'o'))
    await world.until(transaction.rollback())
    await world.pass(100_000)
    expect([got, await world.until(client.admin.listTransactions())]).toEqual([[], []])
  })

  test('may hold delayed messages, which wait on after the commit and can be taken back', async () => {
    const { world, producer, orders, got } = await opened()
    const transaction = producer.begin()
    void transaction.send(orders, 'now')
    void transaction.send(orders, 'later', { delay: '10s' })
    void transaction.send(orders, 'never', { delay: '10s' })
    const { messages } = await world.until(transaction.commit())
    expect(messages.map(({ offset, deliverMs }) => [offset === undefined, deliverMs === undefined])).toEqual(
      [[false, true], [true, false], [true, false]],
    )
    await world.until(orders.recall(messages[2]?.recallHandle as string))
    await world.pass(20_000)
    expect(got).toEqual(['now', 'later'])
  })

  test('with a part that the relay refuses is not committed in part', async () => {
    const { world, client, producer, orders, got } = await opened()
    await world.until(client.admin.createTopic('steps', { messageType: 'FIFO' }))
    const steps = client.topic('steps', { codec: text })
    const failed = watch(producer.run((transaction) => {
      void transaction.send(orders, 'o')
      void transaction.send(steps, 'without a message group')
    }))
    await world.pass(1_000)
    expect(failed.outcome).toBe('MESSAGE_TYPE_MISMATCH')
    expect(got).toEqual([])
    expect(await world.until(client.admin.listTransactions())).toEqual([])
  })

  test('goes on over lost connections and a relay that starts anew', async () => {
    const { world, producer, orders, bills, got } = await opened()
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'o1'))
    world.network.cut()
    await world.until(transaction.send(bills, 'b1'))
    world.stopBroker()
    void transaction.send(orders, 'o2')
    const committed = watch(transaction.commit())
    await world.pass(1_000)
    await world.startBroker()
    await world.pass(60_000)
    expect(committed.value?.messages.map(({ topic, offset }) => [topic, offset !== undefined])).toEqual(
      [['orders', true], ['bills', true], ['orders', true]],
    )
    expect(got.toSorted()).toEqual(['b1', 'o1', 'o2'])
  })
})

describe('a transaction whose producer has died', () => {
  test.each([['commit', ['left behind']], ['rollback', []]] as const)(
    'is ended by another of the group, which says %s', async (verdict, seen) => {
      const { world, client, orders, got } = await opened(verdict)
      const dying = await world.connect()
      const producer = dying.transactions({ producerGroup: 'shop', check: () => 'unknown' })
      await world.until(producer.begin().send(dying.topic('orders', { codec: text }), 'left behind'))
      await world.until(dying.close())
      await world.pass(5_000)
      expect(got).toEqual([])
      await world.pass(60_000)
      expect(got).toEqual(seen)
      expect(await world.until(client.admin.listTransactions())).toEqual([])
      await world.until(orders.send('after'))
      await world.settle()
      expect(got.at(-1)).toBe('after')
    },
  )

  test('waits for one to come, is asked about, and is given up in the end', async () => {
    const { world, client, producer, orders, got } = await opened('unknown', { limits: { transactionCheckCountMax: 3 } })
    await world.until(producer.begin().send(orders, 'forgotten'))
    await world.until(producer.close())
    await world.pass(600_000)
    expect(await world.until(client.admin.listTransactions())).toMatchObject([{ checkCount: 0 }])
    const counts: number[] = []
    const next = client.transactions({
      producerGroup: 'shop',
      check: ({ checkCount, messages }) => {
        counts.push(checkCount)
        expect(messages.map(({ value }) => new TextDecoder().decode(value))).toEqual(['forgotten'])
        return 'unknown'
      },
    })
    await world.until(next.registered)
    await world.pass(600_000)
    expect(counts).toEqual([1, 2, 3])
    expect([got, await world.until(client.admin.listTransactions())]).toEqual([[], []])
  })

  test('is left alone as long as it is open here', async () => {
    const { world, producer, orders, got } = await opened('rollback')
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'slow'))
    await world.pass(60_000)
    await world.until(transaction.commit())
    await world.settle()
    expect(got).toEqual(['slow'])
  })
})

/** One seed: transactions of two clients over a network that breaks and a relay that starts anew, with checks that know. */
async function randomTransactions(
  seed: number,
): Promise<{ seen: string[]; told: Map<string, string>; sizes: Map<string, number> }> {
  const world = await ClientWorld.open({ seed, limits: { memberGraceMs: 120_000, transactionCheckFirstMs: 2_000 } })
  const random = world.random.fork('work')
  const told = new Map<string, string>()
  const sizes = new Map<string, number>()
  // As an application's own database: what it has decided stands there before it is told to the relay.
  const decided = new Map<string, TransactionVerdict>()
  const producers = await Promise.all([0, 1].map(async () => {
    const client = world.client()
    const producer = client.transactions({
      producerGroup: 'shop', check: ({ transactionId }) => decided.get(transactionId) ?? 'rollback',
    })
    return { producer, topics: ['orders', 'bills'].map((name) => client.topic(name, { codec: text })) }
  }))
  const seen: string[] = []
  const reader = world.client()
  for (const name of ['orders', 'bills']) {
    void reader.topic(name, { codec: text }).consume({ group: 'till', lease: '120s' }).run(({ value }) => void seen.push(value))
  }
  const works: Promise<void>[] = []
  for (let round = 0; round < 60; round++) {
    const { producer, topics } = random.pick(producers)
    works.push((async () => {
      const transaction = producer.begin()
      const { transactionId } = transaction
      const count = 1 + random.below(4)
      sizes.set(transactionId, count)
      for (let index = 0; index < count; index++) {
        const sent = transaction.send(random.pick(topics), transactionId)
        if (random.chance(0.3)) await sent
      }
      const outcome = random.chance(0.8) ? 'commit' : 'rollback'
      decided.set(transactionId, outcome)
      await transaction[outcome]()
      told.set(transactionId, outcome)
    })())
    if (random.chance(0.5)) await world.pass(random.below(200))
    if (random.chance(0.05)) world.network.cut()
    if (random.chance(0.03)) {
      world.stopBroker()
      await world.pass(random.below(1_000))
      await world.startBroker()
    }
  }
  await world.until(Promise.all(works))
  await world.pass(600_000)
  expect(world.errors).toEqual([])
  return { seen, told, sizes }
}

test.each(Array.from({ length: 12 }, (_, index) => index + 1))('seed %i: what was told is what is seen', async (seed) => {
  const { seen, told, sizes } = await randomTransactions(seed)
  expect(told.size).toBe(60)
  for (const [transactionId, outcome] of told) {
    const count = seen.filter((body) => body === transactionId).length
    expect([transactionId, outcome, count]).toEqual([transactionId, outcome, outcome === 'commit' ? sizes.get(transactionId) : 0])
  }
})
