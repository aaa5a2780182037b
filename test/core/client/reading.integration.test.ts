// Broadcasting, receiving and pulling over the real broker, and what it tells of messages and groups.

import { describe, expect, test } from 'vitest'
import type { Client, Message, PullOptions, Topic } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { ClientWorld } from './client-world.ts'
import { watch } from './scripted-world.ts'

interface Connected {
  readonly world: ClientWorld
  readonly client: Client
  readonly topic: Topic<string>
}

/** A topic `feed` of so many queues, whose messages go away when older than 10 minutes. */
async function connected(queueCount = 1): Promise<Connected> {
  const world = await ClientWorld.open()
  const client = await world.connect()
  await world.until(client.admin.createTopic('feed', { queueCount, retention: '10m' }))
  return { world, client, topic: client.topic('feed', { codec: text }) }
}

async function sendAll({ world, topic }: Connected, bodies: readonly string[], options = {}): Promise<void> {
  for (const body of bodies) await world.until(topic.send(body, options))
}

const bodiesOf = (messages: readonly Message<string>[] | undefined) => messages?.map(({ value }) => value)

describe('BROADCASTING', () => {
  test('every member gets all from where it began', async () => {
    const context = await connected(4)
    const { world, topic } = context
    await sendAll(context, ['old'])
    const got: string[][] = [[], [], []]
    for (const [index, own] of got.entries()) {
      const from = index === 2 ? 'earliest' : 'latest'
      const consumer = topic.consume({ group: 'all', mode: 'BROADCASTING', from })
      void consumer.run(({ value }) => void own.push(value))
      await world.until(consumer.subscribed)
    }
    await sendAll(context, ['a', 'b', 'c'])
    await world.settle()
    expect(got).toEqual([['a', 'b', 'c'], ['a', 'b', 'c'], ['old', 'a', 'b', 'c']])
  })

  test('goes on without loss or repeat over broken connections and a relay that restarts', async () => {
    const context = await connected(2)
    const { world, topic } = context
    const got: string[] = []
    const consumer = topic.consume({ group: 'all', mode: 'BROADCASTING', from: 'earliest', prefetch: 4 })
    void consumer.run(async ({ value }) => {
      got.push(value)
      await undefined
    })
    const bodies = Array.from({ length: 60 }, (_, index) => String(index))
    for (const [index, body] of bodies.entries()) {
      const send = topic.send(body)
      if (index % 7 === 3) world.network.cut()
      if (index === 30) {
        world.stopBroker()
        await world.startBroker()
      }
      await world.until(send)
    }
    await world.pass(60_000)
    expect(got.toSorted((left, right) => Number(left) - Number(right))).toEqual(bodies)
    expect(world.gaps).toEqual([])
  })

  test('resumes from positions that were kept', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, ['a', 'b', 'c'])
    const first = topic.consume({ group: 'all', mode: 'BROADCASTING', from: 'earliest' })
    const iterator = first[Symbol.asyncIterator]()
    expect((await world.until(iterator.next())).value?.value).toBe('a')
    const positions = first.positions()
    await world.until(first.close())
    const second = topic.consume({ group: 'all', mode: 'BROADCASTING', positions })
    const got: string[] = []
    void second.run(({ value }) => void got.push(value))
    await world.settle()
    expect(got).toEqual(['b', 'c'])
  })

  test('a reader that comes back after retention is told of the gap', async () => {
    const context = await connected()
    const { world, client } = context
    await sendAll(context, ['a', 'b', 'c'])
    const reader = (await world.connect()).topic('feed', { codec: text })
    const consumer = reader.consume({ group: 'all', mode: 'BROADCASTING', from: 'earliest' })
    const got: string[] = []
    void consumer.run(({ value }) => void got.push(value))
    await world.settle()
    const positions = consumer.positions()
    await world.until(consumer.close())
    // Retention keeps the newest record.
    await sendAll(context, ['d', 'e'])
    await world.pass(20 * 60_000)
    await sendAll(context, ['f'])
    const { queues } = await world.until(client.admin.describeTopic('feed'))
    expect(queues[0]?.minOffset).toBe(4)
    const again = reader.consume({ group: 'all', mode: 'BROADCASTING', positions })
    void again.run(({ value }) => void got.push(value))
    await world.settle()
    expect(got).toEqual(['a', 'b', 'c', 'e', 'f'])
    expect(world.gaps).toMatchObject([
      { topic: 'feed', group: 'all', queueId: 0, expected: { offset: 3 }, next: { offset: 4 } },
    ])
  })
})

describe('receiving', () => {
  test('waits for messages, gives them under a lease, and has them back when it ends', async () => {
    const context = await connected()
    const { world, topic } = context
    await using receiver = topic.receiver({ group: 'till', lease: '10s' })
    const got = watch(receiver.receive({ wait: '20s' }))
    await world.pass(5_000)
    expect(got.outcome).toBe('pending')
    await sendAll(context, ['a', 'b'])
    await world.settle()
    expect(bodiesOf(got.value)?.[0]).toBe('a')
    const rest = watch(receiver.receive({ wait: '20s' }))
    await world.settle()
    const all = [...got.value ?? [], ...rest.value ?? []]
    expect(bodiesOf(all)).toEqual(['a', 'b'])
    await world.until(all[0]?.ack() as Promise<void>)
    await world.pass(10_000)
    expect(all[1]?.signal.aborted).toBe(true)
    const again = await world.until(receiver.receive({ wait: '1s' }))
    expect(again.map(({ value, attempt }) => `${value} ${attempt}`)).toEqual(['b 2'])
    await expect(world.until(all[1]?.ack() as Promise<void>)).rejects.toMatchObject({ code: 'RECEIPT_STALE' })
    await world.until(again[0]?.ack() as Promise<void>)
    expect(await world.until(receiver.receive({ wait: '1s' }))).toEqual([])
    await world.until(receiver.close())
  })

  test('gets the same messages when the connection broke before it had them', async () => {
    const context = await connected()
    const { world, topic } = context
    const receiver = topic.receiver({ group: 'till', lease: '60s' })
    await world.until(receiver.subscribed)
    await world.until(Promise.all([topic.send('a'), topic.send('b')]))
    const got = watch(receiver.receive({ max: 2, wait: '10s' }))
    // The relay answers while the network breaks.
    for (let turn = 0; turn < 6; turn++) world.clock.runTurn()
    world.network.cut()
    await world.pass(3_000)
    expect(got.value?.map(({ value, attempt }) => `${value} ${attempt}`)).toEqual(['a 1', 'b 1'])
    await world.until(Promise.all(got.value?.map((message) => message.ack()) ?? []))
  })
})

describe('pulling', () => {
  const pull = async ({ world, topic }: Connected, options: PullOptions): Promise<string[]> => {
    const got: string[] = []
    const read = async () => {
      for await (const messages of topic.pull(options)) got.push(...messages.map(({ value }) => value))
    }
    await world.until(read())
    return got
  }

  test('reads a queue from anywhere to its end', async () => {
    const context = await connected()
    const { world } = context
    await sendAll(context, ['a', 'b', 'c'], { tag: 'x' })
    await world.pass(10_000)
    const middleMs = world.clock.now()
    await sendAll(context, ['d', 'e'], { tag: 'y' })
    expect(await pull(context, { queueId: 0, untilEnd: true })).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(await pull(context, { queueId: 0, untilEnd: true, from: { timestampMs: middleMs } })).toEqual(['d', 'e'])
    expect(await pull(context, { queueId: 0, untilEnd: true, filter: 'y' })).toEqual(['d', 'e'])
    expect(await pull(context, { queueId: 0, untilEnd: true, from: 'latest' })).toEqual([])
    const { queues } = await world.until(context.client.admin.describeTopic('feed'))
    const epoch = queues[0]?.epoch ?? 0
    expect(await pull(context, { queueId: 0, untilEnd: true, from: { epoch, offset: 3 } })).toEqual(['d', 'e'])
    await expect(pull(context, { queueId: 7, untilEnd: true })).rejects.toMatchObject({ code: 'QUEUE_NOT_FOUND' })
  })

  test('waits for what comes, over broken connections', async () => {
    const context = await connected()
    const { world, topic } = context
    const got: string[] = []
    const reader = topic.pull({ queueId: 0 })
    const reading = (async () => {
      for await (const messages of reader) got.push(...messages.map(({ value }) => value))
    })()
    for (let round = 0; round < 5; round++) {
      await sendAll(context, [`${round}`])
      await world.pass(30_000)
      world.network.cut()
    }
    await world.pass(60_000)
    expect(got).toEqual(['0', '1', '2', '3', '4'])
    await reader.close()
    await world.until(reading)
  })
})

describe('what the relay knows', () => {
  test('messages are found by id, key and time', async () => {
    const { world, client, topic } = await connected(3)
    const receipt = await world.until(topic.send('a', { keys: ['k1', 'k2'] }))
    await world.pass(1_000)
    await world.until(topic.send('b', { keys: ['k2'] }))
    const found = await world.until(client.admin.findById(receipt.messageId))
    expect(found).toMatchObject({ queueId: receipt.queueId, offset: receipt.offset, keys: ['k1', 'k2'] })
    expect(await world.until(client.admin.findById('0000000000000000-0-0'))).toBeUndefined()
    const byKey = await world.until(client.admin.findByKey('feed', 'k2'))
    expect(byKey.map(({ value }) => new TextDecoder().decode(value))).toEqual(['a', 'b'])
    const byTime = await world.until(client.admin.findByTime('feed', { from: new Date(world.clock.now() - 500) }))
    expect(byTime.map(({ value }) => new TextDecoder().decode(value))).toEqual(['b'])
  })

  test('groups show their members, and can be sent back', async () => {
    const context = await connected()
    const { world, client, topic } = context
    await sendAll(context, ['a', 'b', 'c'])
    const got: string[] = []
    const consumer = topic.consume({ group: 'till' })
    void consumer.run(({ value }) => void got.push(value))
    await world.settle()
    const { members, queues } = await world.until(client.admin.describeGroup('till'))
    expect(members).toMatchObject([{ topic: 'feed', mode: 'CLUSTERING', filter: '*', inFlight: 0 }])
    expect(queues).toMatchObject([{ topic: 'feed', queueId: 0, ackFloor: 3, backlog: 0 }])
    await world.until(client.admin.resetGroup('till', 'feed', { to: { offset: 1 }, queueId: 0 }))
    await world.settle()
    expect(got).toEqual(['a', 'b', 'c', 'b', 'c'])
    await world.until(client.admin.resetGroup('till', 'feed', { to: 'earliest' }))
    await world.settle()
    expect(got).toHaveLength(8)
    expect((await world.until(client.admin.listGroups())).map(({ group }) => group)).toEqual(['till'])
    expect((await world.until(client.admin.listTopics())).map(({ topic }) => topic)).toEqual(['feed'])
  })
})
