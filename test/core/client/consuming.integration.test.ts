// Producers and push consumers over the real broker: sharing, retries, dead letters, order, leases, lost connections.

import { describe, expect, test } from 'vitest'
import type { Client, Message, PushConsumer, Topic } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { ClientWorld } from './client-world.ts'
import { watch } from './scripted-world.ts'

interface Connected {
  readonly world: ClientWorld
  readonly client: Client
  readonly topic: Topic<string>
}

async function connected(options: Parameters<typeof ClientWorld.open>[0] = {}): Promise<Connected> {
  const world = await ClientWorld.open(options)
  const client = await world.connect()
  return { world, client, topic: client.topic('orders', { codec: text }) }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index))

async function sendAll(
  { world }: Connected, topic: Topic<string>, bodies: readonly string[], messageGroup?: string,
): Promise<void> {
  const options = messageGroup === undefined ? {} : { messageGroup }
  await world.until(Promise.all(bodies.map((body) => topic.send(body, options))))
}

async function backlogOf({ world, client }: Connected, group: string): Promise<number> {
  const { queues } = await world.until(client.admin.describeGroup(group))
  return queues.reduce((sum, { backlog }) => sum + backlog, 0)
}

/** Writes down `body` or `body attempt` of each message and acks it. */
function collect(consumer: PushConsumer<string>, into: string[], withAttempt = false): Promise<void> {
  return consumer.run(({ value, attempt }) => void into.push(withAttempt ? `${value} ${attempt}` : value))
}

describe('a clustering group', () => {
  test('consumes everything once, and has no backlog then', async () => {
    const context = await connected()
    const { world, client, topic } = context
    await sendAll(context, topic, numbers(500))
    const got: string[] = []
    const consumer = topic.consume({ group: 'till' })
    const run = watch(collect(consumer, got))
    await world.pass(1_000)
    expect(got.toSorted((left, right) => Number(left) - Number(right))).toEqual(numbers(500))
    expect(await backlogOf(context, 'till')).toBe(0)
    await world.until(consumer.close())
    expect(run.outcome).toBe('ok')
    await world.until(client.close())
    expect(world.errors).toEqual([])
    expect(client.link).toBe('closed')
  })

  test('shares among its members', async () => {
    const context = await connected()
    const { world, topic } = context
    const got: string[][] = [[], [], []]
    for (const own of got) {
      const other = (await world.connect()).topic('orders', { codec: text })
      void collect(other.consume({ group: 'till', prefetch: 50 }), own)
    }
    await world.settle()
    for (let round = 0; round < 20; round++) {
      await sendAll(context, topic, numbers(30).map((body) => `${round}.${body}`))
    }
    await world.pass(1_000)
    expect(new Set(got.flat()).size).toBe(600)
    expect(got.flat()).toHaveLength(600)
    for (const own of got) expect(own.length).toBeGreaterThan(0)
  })

  test('gets what passes its filter, and has consumed the rest', async () => {
    const context = await connected()
    const { world, topic } = context
    const tags = ['paid', 'new', 'shipped']
    const sends = numbers(90).map((body, index) => topic.send(body, { tag: tags[index % 3] as string }))
    await world.until(Promise.all(sends))
    const got: string[] = []
    void topic.consume({ group: 'till', filter: 'paid || shipped' }).run(({ tag }) => void got.push(tag ?? ''))
    await world.pass(1_000)
    expect(got).toHaveLength(60)
    expect(got.filter((tag) => tag === 'paid')).toHaveLength(30)
    expect(got.filter((tag) => tag === 'shipped')).toHaveLength(30)
    expect(await backlogOf(context, 'till')).toBe(0)
  })

  test('with members of different filters is refused', async () => {
    const { world, topic } = await connected()
    const first = topic.consume({ group: 'till', filter: 'a' })
    await world.until(first.subscribed)
    const second = topic.consume({ group: 'till', filter: 'b' })
    await expect(world.until(second.subscribed)).rejects.toMatchObject({ code: 'SUBSCRIPTION_CONFLICT' })
  })

  test('begins where it is told: at the latest it sees only what comes after', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, topic, ['old'])
    const got: string[] = []
    const consumer = topic.consume({ group: 'late', from: 'latest' })
    void collect(consumer, got)
    await world.until(consumer.subscribed)
    await sendAll(context, topic, ['new'])
    await world.settle()
    expect(got).toEqual(['new'])
  })

  test('goes on where it stood after all its members were away', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, topic, ['a', 'b'])
    const got: string[] = []
    const first = topic.consume({ group: 'till' })
    void collect(first, got)
    await world.pass(100)
    await world.until(first.close())
    await sendAll(context, topic, ['c'])
    void collect(topic.consume({ group: 'till', from: 'latest' }), got)
    await world.pass(100)
    expect(got.toSorted()).toEqual(['a', 'b', 'c'])
  })
})

describe('a message that fails', () => {
  test('comes back by the schedule with its attempts counted, then is a dead letter', async () => {
    const context = await connected()
    const { world, client, topic } = context
    await world.until(client.admin.configureGroup('till', { maxAttempts: 3, retry: ['1s', '5s'] }))
    await sendAll(context, topic, ['bad'])
    const attempts: string[] = []
    const consumer = topic.consume({ group: 'till' })
    void consumer.run(({ attempt }) => {
      attempts.push(`${attempt} at ${world.clock.monotonic()}`)
      throw new Error('no')
    })
    const startMs = world.clock.monotonic()
    await world.pass(30_000)
    expect(attempts.map((attempt) => Number(attempt.split(' at ')[1]) - startMs)).toEqual([0, 1_000, 6_000])
    expect(world.errors.map(({ code }) => code)).toEqual(['HANDLER_FAILED', 'HANDLER_FAILED', 'HANDLER_FAILED'])
    const dead: Message<string>[] = []
    const undertaker = client.topic('%DLQ%till', { codec: text }).consume({ group: 'undertaker' })
    void undertaker.run((message) => void dead.push(message))
    await world.pass(1_000)
    expect(dead.map(({ value }) => value)).toEqual(['bad'])
    expect(dead[0]?.properties.get('DLQ_ORIGIN_TOPIC')).toBe('orders')
    expect(await backlogOf(context, 'till')).toBe(0)
  })

  test('may ask for a delay of its own', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, topic, ['a'])
    const got: string[] = []
    void topic.consume({ group: 'till' }).run((message) => {
      got.push(`${message.attempt}`)
      if (message.attempt === 1) void message.retry({ after: '42s' })
    })
    await world.pass(41_900)
    expect(got).toEqual(['1'])
    await world.pass(200)
    expect(got).toEqual(['1', '2'])
  })
})

describe('FIFO', () => {
  test('delivers a message group in order, the next when the one before is acked, others flow past', async () => {
    const context = await connected()
    const { world, client } = context
    await world.until(client.admin.createTopic('steps', { messageType: 'FIFO', queueCount: 1 }))
    const topic = client.topic('steps', { codec: text })
    await sendAll(context, topic, ['a1', 'a2', 'a3'], 'a')
    await sendAll(context, topic, ['b1', 'b2'], 'b')
    const got: string[] = []
    const held: Message<string>[] = []
    void topic.consume({ group: 'till' }).run((message) => {
      got.push(message.value)
      if (message.value !== 'a1') return undefined
      held.push(message)
      return new Promise(() => {})
    }, { concurrency: 10 })
    await world.pass(1_000)
    expect(got).toEqual(['a1', 'b1', 'b2'])
    await world.until(held[0]?.ack() as Promise<void>)
    await world.settle()
    expect(got).toEqual(['a1', 'b1', 'b2', 'a2', 'a3'])
  })

  test('refuses a message without a group, and a NORMAL topic one with', async () => {
    const { world, client, topic } = await connected()
    await world.until(client.admin.createTopic('steps', { messageType: 'FIFO' }))
    const outcomes = [
      watch(client.topic('steps').send(1)), watch(client.topic('steps').send(1, { messageGroup: 'g' })),
      watch(topic.send('a', { messageGroup: 'g' })), watch(topic.send('a')),
    ]
    await world.settle()
    const codes = outcomes.map(({ outcome }) => outcome)
    expect(codes).toEqual(['MESSAGE_TYPE_MISMATCH', 'ok', 'MESSAGE_TYPE_MISMATCH', 'ok'])
  })
})

describe('leases', () => {
  test('of a member that is gone go to another when its grace time is over', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, topic, numbers(10))
    const lazy = await world.connect()
    const consumer = lazy.topic('orders', { codec: text }).consume({ group: 'till' })
    const iterator = consumer[Symbol.asyncIterator]()
    const first = await world.until(iterator.next())
    expect(first.done).toBe(false)
    await world.until(lazy.close())
    const got: string[] = []
    void collect(topic.consume({ group: 'till' }), got, true)
    await world.pass(10_000)
    expect(got).toHaveLength(10)
    // What it had seen counts as an attempt, what it had only prefetched does not.
    expect(got.filter((entry) => entry.endsWith(' 2'))).toHaveLength(1)
  })

  test('are kept while a handler takes longer than they are', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, topic, ['slow'])
    const got: string[] = []
    let finish = () => {}
    void topic.consume({ group: 'till', lease: '10s' }).run(({ attempt }) => {
      got.push(`start ${attempt}`)
      return new Promise((resolve) => (finish = resolve))
    })
    void collect((await world.connect()).topic('orders', { codec: text }).consume({ group: 'till', lease: '10s' }), got)
    await world.pass(120_000)
    expect(got).toEqual(['start 1'])
    finish()
    await world.settle()
    expect(await backlogOf(context, 'till')).toBe(0)
    expect(world.errors).toEqual([])
  })
})

describe('a network that breaks', () => {
  test('for a moment costs nothing: no message twice, none lost, acks kept', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, topic, numbers(20))
    const got: string[] = []
    const consumer = topic.consume({ group: 'till', prefetch: 8 })
    const iterator = consumer[Symbol.asyncIterator]()
    for (let count = 0; count < 20; count++) {
      const result = await world.until(iterator.next())
      if (result.done === true) break
      got.push(`${result.value.value} ${result.value.attempt}`)
      void result.value.ack()
      if (count % 4 === 1) {
        // Acks of before are on the wire or not; either way they must arrive in the end.
        if (count % 8 === 1) await world.settle()
        world.network.cut()
      }
    }
    await world.pass(1_000)
    const bodies = got.map((entry) => entry.split(' ')[0])
    expect(new Set(bodies).size).toBe(20)
    expect(await backlogOf(context, 'till')).toBe(0)
  })

  test('for longer than the grace time brings the messages back, and the old ones are not shown', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, topic, ['a', 'b', 'c'])
    const got: string[] = []
    const consumer = topic.consume({ group: 'till' })
    const iterator = consumer[Symbol.asyncIterator]()
    const first = await world.until(iterator.next())
    world.network.isDown = true
    world.network.cut()
    await world.pass(20_000)
    expect(first.value?.signal.aborted).toBe(false)
    world.network.isDown = false
    await world.pass(60_000)
    expect(first.value?.signal.aborted).toBe(true)
    for (let count = 0; count < 3; count++) {
      const result = await world.until(iterator.next())
      if (result.done === true) break
      got.push(`${result.value.value} ${result.value.attempt}`)
      void result.value.ack()
    }
    expect(got.toSorted()).toEqual(['a 2', 'b 2', 'c 2'])
    const late = watch(first.value?.ack() as Promise<void>)
    await world.settle()
    expect(late.outcome).toBe('RECEIPT_STALE')
  })

  test('and a relay that restarts lose nothing that was acknowledged', async () => {
    const context = await connected()
    const { world, topic } = context
    const got: string[] = []
    void collect(topic.consume({ group: 'till' }), got)
    const sends: Promise<unknown>[] = []
    for (let round = 0; round < 10; round++) {
      for (const body of numbers(20)) sends.push(topic.send(`${round}.${body}`))
      await world.pass(5)
      if (round % 3 === 1) {
        world.stopBroker()
        await world.pass(300)
        await world.startBroker()
      }
    }
    await world.until(Promise.all(sends))
    await world.pass(120_000)
    expect(new Set(got).size).toBe(200)
    expect(await backlogOf(context, 'till')).toBe(0)
  })

  test('a relay that drains is left and found again', async () => {
    const context = await connected()
    const { world, client, topic } = context
    const states: string[] = []
    client.on('link', ({ state }) => states.push(state))
    const got: string[] = []
    void collect(topic.consume({ group: 'till' }), got)
    await sendAll(context, topic, ['a'])
    await world.drainBroker(2_000)
    const send = watch(topic.send('b'))
    await world.startBroker()
    await world.pass(1_900)
    expect([client.link, send.outcome]).toEqual(['waiting', 'pending'])
    await world.pass(1_000)
    expect([client.link, send.outcome]).toEqual(['connected', 'ok'])
    expect(got).toEqual(['a', 'b'])
    expect(states).toEqual(['waiting', 'connecting', 'connected'])
  })
})

describe('topics and access', () => {
  test('a deleted topic ends its consumers with the code', async () => {
    const context = await connected()
    const { world, client, topic } = context
    await sendAll(context, topic, ['a'])
    const run = watch(collect(topic.consume({ group: 'till' }), []))
    await world.settle()
    await world.until(client.admin.deleteTopic('orders'))
    await world.settle()
    expect(run.outcome).toBe('TOPIC_NOT_FOUND')
  })

  test('system topics are not sent to', async () => {
    const { world, client } = await connected()
    await expect(world.until(client.topic('%DLQ%till').send('x'))).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })
})
