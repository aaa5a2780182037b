// What groups can do, over the real broker: SQL filters, pauses, resets under connected members, dead letters, held
// messages, bounds, positions kept at the relay, traces.

import { describe, expect, test } from 'vitest'
import type { Client, ConsumeOptions, Message, PushConsumer, Topic } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { deadLetterProperties } from '../../../core/model/message.ts'
import { ClientWorld } from './client-world.ts'
import { watch } from './scripted-world.ts'

interface Connected {
  readonly world: ClientWorld
  readonly client: Client
  readonly topic: Topic<string>
}

async function connected(options: Parameters<typeof ClientWorld.open>[0] = {}, queueCount = 1): Promise<Connected> {
  const world = await ClientWorld.open(options)
  const client = await world.connect()
  await world.until(client.admin.createTopic('orders', { queueCount }))
  return { world, client, topic: client.topic('orders', { codec: text }) }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index))

async function sendAll({ world, topic }: Connected, bodies: readonly string[]): Promise<void> {
  await world.until(Promise.all(bodies.map((body) => topic.send(body))))
}

function collect(consumer: PushConsumer<string>): string[] {
  const got: string[] = []
  void consumer.run(({ value }) => void got.push(value))
  return got
}

describe('SQL filters', () => {
  test('let through what they say, in all ways of reading, and progress moves past the rest', async () => {
    const { world, client, topic } = await connected()
    const filter = { sql: `region IN ('eu', 'uk') AND price > 10 OR TAGS = 'vip'` }
    const sends = numbers(100).map((body, index) => topic.send(body, {
      properties: { region: index % 2 === 0 ? 'eu' : 'us', price: String(index % 20) }, ...(index === 99 ? { tag: 'vip' } : {}),
    }))
    await world.until(Promise.all(sends))
    const expected = numbers(100).filter((_, index) => (index % 2 === 0 && index % 20 > 10) || index === 99)
    const pushed = collect(topic.consume({ group: 'a', filter }))
    const broadcast = collect(topic.consume({ group: 'b', filter, mode: 'BROADCASTING', from: 'earliest' }))
    const received = await world.until(topic.receiver({ group: 'c', filter }).receive({ max: 100 }))
    const pulled: string[] = []
    const pull = async () => {
      for await (const batch of topic.pull({ queueId: 0, filter, untilEnd: true })) {
        pulled.push(...batch.map(({ value }) => value))
      }
    }
    await world.until(pull())
    await world.pass(1_000)
    expect([pushed, broadcast, received.map(({ value }) => value), pulled]).toEqual([expected, expected, expected, expected])
    const { queues, members } = await world.until(client.admin.describeGroup('a'))
    expect(queues).toMatchObject([{ backlog: 0 }])
    expect(members).toMatchObject([{ filterKind: 'SQL92', consumerName: '' }])
  })

  test.each([
    ['price >'], ['price = = 5'], ['a = '.repeat(40)], ['('.repeat(500)],
  ])('that say nothing are refused: %s', async (sql) => {
    const { world, topic } = await connected()
    const consumer = topic.consume({ group: 'a', filter: { sql } })
    await expect(world.until(consumer.subscribed)).rejects.toMatchObject({
      code: 'BAD_FILTER', message: expect.stringMatching(/column \d+/) as string,
    })
    const next = topic.pull({ queueId: 0, filter: { sql } })[Symbol.asyncIterator]().next()
    await expect(world.until(next)).rejects.toMatchObject({ code: 'BAD_FILTER' })
  })
})

describe('a group', () => {
  test('that is paused hands out nothing, until it is not', async () => {
    const context = await connected()
    const { world, client, topic } = context
    const got = collect(topic.consume({ group: 'till' }))
    await sendAll(context, ['a'])
    await world.settle()
    expect(await world.until(client.admin.configureGroup('till', { paused: true }))).toMatchObject({ paused: true })
    await sendAll(context, ['b'])
    await world.pass(60_000)
    expect(got).toEqual(['a'])
    expect(await world.until(client.admin.listGroups())).toMatchObject([{ group: 'till', paused: true, backlog: 1 }])
    await world.until(client.admin.configureGroup('till', { paused: false }))
    await world.pass(1_000)
    expect(got).toEqual(['a', 'b'])
  })

  test('has no more out than it may', async () => {
    const context = await connected()
    const { world, client, topic } = context
    await world.until(client.admin.configureGroup('till', { maxInFlight: 3 }))
    await sendAll(context, numbers(10))
    let atOnce = 0
    let most = 0
    let count = 0
    void topic.consume({ group: 'till' }).run(async () => {
      most = Math.max(most, ++atOnce)
      await new Promise<void>((resolve) => world.clock.setTimer(10, resolve))
      atOnce--
      count++
    }, { concurrency: 100 })
    await world.pass(5_000)
    expect([count, most]).toEqual([10, 3])
  })

  test('that is reset while members are connected begins anew at once, with nothing of before', async () => {
    const context = await connected({}, 2)
    const { world, client, topic } = context
    await sendAll(context, numbers(200))
    const got: Message<string>[] = []
    const consumer = topic.consume({ group: 'till', prefetch: 50 })
    const slow = new Set<() => void>()
    void consumer.run((message) => {
      got.push(message)
      return new Promise((resolve) => slow.add(resolve))
    }, { concurrency: 5 })
    await world.pass(1_000)
    expect(got).toHaveLength(5)
    await world.until(client.admin.resetGroup('till', 'orders', { to: 'latest' }))
    await world.settle()
    expect(got.map(({ signal }) => signal.aborted)).toEqual([true, true, true, true, true])
    for (const finish of slow) finish()
    await world.pass(120_000)
    expect(got).toHaveLength(5)
    await sendAll(context, ['new'])
    await world.pass(1_000)
    expect(got.slice(5).map(({ value }) => value)).toEqual(['new'])
    for (const finish of slow) finish()
    await world.pass(1_000)
    const again = since(got)
    await world.until(client.admin.resetGroup('till', 'orders', { to: 'earliest' }))
    await world.settle()
    for (let round = 0; round < 100; round++) {
      for (const finish of slow) finish()
      await world.pass(10)
    }
    expect(again().toSorted()).toEqual([...numbers(200), 'new'].toSorted())
    expect((await world.until(client.admin.describeGroup('till'))).queues.map(({ backlog }) => backlog)).toEqual([0, 0])
  })

  /** What comes from now on. */
  function since(got: readonly Message<string>[]): () => string[] {
    const from = got.length
    return () => got.slice(from).map(({ value }) => value)
  }

  test('that is deleted ends its members, and begins anew with the next', async () => {
    const context = await connected()
    const { world, client, topic } = context
    await sendAll(context, ['a'])
    const consumer = topic.consume({ group: 'till' })
    const got = collect(consumer)
    await world.pass(100)
    await world.until(client.admin.deleteGroup('till'))
    await world.settle()
    expect(world.errors.map(({ code }) => code)).toEqual(['GROUP_NOT_FOUND'])
    await expect(world.until(client.admin.describeGroup('till'))).rejects.toMatchObject({ code: 'GROUP_NOT_FOUND' })
    expect([got, collect(topic.consume({ group: 'till' }))]).toEqual([['a'], []])
    await world.pass(100)
    expect(await world.until(client.admin.describeGroup('till'))).toMatchObject({ queues: [{ ackFloor: 1 }] })
  })
})

describe('dead letters', () => {
  async function buried(count: number): Promise<Connected & { readonly got: string[] }> {
    const context = await connected()
    const { world, client, topic } = context
    await world.until(client.admin.configureGroup('till', { maxAttempts: 2, retry: { first: 100, factor: 2, max: '1s' } }))
    await sendAll(context, numbers(count))
    const got: string[] = []
    let isFailing = true
    const consumer = topic.consume({ group: 'till' })
    void consumer.run(({ value, attempt }) => {
      got.push(`${value}.${attempt}`)
      if (isFailing) throw new Error('no')
    })
    await world.pass(10_000)
    isFailing = false
    got.length = 0
    return { ...context, got }
  }

  test('are read, with where they came from', async () => {
    const { world, client } = await buried(300)
    const letters = await world.until(client.admin.deadLetters('till', { max: 1_000 }))
    const found = letters.map(({ value }) => new TextDecoder().decode(value))
    expect(found.toSorted()).toEqual(numbers(300).toSorted())
    expect(letters[0]?.properties.get(deadLetterProperties.originTopic)).toBe('orders')
    expect(letters[0]?.properties.get(deadLetterProperties.attempts)).toBe('2')
    expect(await world.until(client.admin.deadLetters('till'))).toHaveLength(64)
    expect(await world.until(client.admin.deadLetters('other'))).toEqual([])
  })

  test('are put back, those named or all, and are new messages then', async () => {
    const { world, client, got } = await buried(5)
    const letters = await world.until(client.admin.deadLetters('till'))
    const named = letters.slice(1, 3)
    const messageIds = named.map(({ messageId }) => messageId)
    expect(await world.until(client.admin.resendDeadLetters('till', { messageIds }))).toBe(2)
    await world.pass(1_000)
    expect(got.toSorted()).toEqual(named.map(({ value }) => `${new TextDecoder().decode(value)}.1`).toSorted())
    const again = world.until(client.admin.resendDeadLetters('till', { messageIds }))
    await expect(again).rejects.toMatchObject({ code: 'MESSAGE_NOT_FOUND' })
    expect(await world.until(client.admin.resendDeadLetters('till'))).toBe(3)
    await world.pass(1_000)
    expect(got).toHaveLength(5)
    expect(await world.until(client.admin.deadLetters('till'))).toEqual([])
  })

  test('are purged, however many', async () => {
    const { world, client, got } = await buried(2_500)
    expect(await world.until(client.admin.purgeDeadLetters('till', { messageIds: [] }))).toBe(0)
    expect(await world.until(client.admin.purgeDeadLetters('till'))).toBe(2_500)
    expect(await world.until(client.admin.deadLetters('till'))).toEqual([])
    await world.pass(1_000)
    expect(got).toEqual([])
  })

  test('are not made by a group that holds its message groups: they wait until they are settled', async () => {
    const world = await ClientWorld.open()
    const client = await world.connect()
    await world.until(client.admin.createTopic('steps', { messageType: 'FIFO', queueCount: 1 }))
    await world.until(client.admin.configureGroup('till', { maxAttempts: 1, exhausted: 'hold' }))
    const topic = client.topic('steps', { codec: text })
    for (const body of ['a1', 'b1', 'a2', 'b2']) await world.until(topic.send(body, { messageGroup: body.charAt(0) }))
    const got: string[] = []
    let isFailing = true
    void topic.consume({ group: 'till' }).run(({ value, attempt }) => {
      got.push(`${value}.${attempt}`)
      if (isFailing && value === 'a1') throw new Error('no')
    })
    await world.pass(60_000)
    expect(got).toEqual(['a1.1', 'b1.1', 'b2.1'])
    expect((await world.until(client.admin.describeGroup('till'))).queues).toMatchObject([{ held: 1 }])
    isFailing = false
    await world.until(client.admin.settleHeld('till', 'steps', 'retry'))
    await world.pass(1_000)
    expect(got.slice(3)).toEqual(['a1.1', 'a2.1'])
  })
})

describe('positions that the relay keeps', () => {
  const options = { group: 'boards', mode: 'BROADCASTING', positionKeeper: 'relay', name: 'north', from: 'earliest' } as const

  test('are where a consumer of the name goes on, on whichever client', async () => {
    const context = await connected({}, 3)
    const { world, client, topic } = context
    await sendAll(context, numbers(30))
    const first = topic.consume(options)
    const got = collect(first)
    await world.pass(1_000)
    expect(got).toHaveLength(30)
    await world.until(first.close())
    await sendAll(context, ['new'])
    const other = await world.connect()
    expect(await next(world, other.topic('orders', { codec: text }), options)).toEqual(['new'])
    const south = await next(world, topic, { ...options, name: 'south' })
    expect(south).toHaveLength(31)
    expect((await world.until(client.admin.describeGroup('boards'))).members).toEqual([])
  })

  test('outlive the death of client and relay, but for what was in hand', async () => {
    const context = await connected()
    const { world, topic } = context
    await sendAll(context, numbers(10))
    const dying = await world.connect()
    const iterator = dying.topic('orders', { codec: text }).consume(options)[Symbol.asyncIterator]()
    for (let count = 0; count < 6; count++) await world.until(iterator.next())
    await world.pass(1_000)
    world.stopBroker()
    await world.startBroker()
    await world.pass(10_000)
    // It is back, and has received all again; what counts is what it has consumed, whoever says that.
    world.network.cut()
    world.stopBroker()
    await world.startBroker()
    await world.pass(10_000)
    expect(await next(world, topic, options)).toEqual(numbers(10).slice(5))
  })

  /** What a consumer gets, until it is closed. */
  async function next(world: ClientWorld, topic: Topic<string>, from: ConsumeOptions): Promise<string[]> {
    const consumer = topic.consume(from)
    const got = collect(consumer)
    await world.pass(5_000)
    await world.until(consumer.close())
    return got
  }
})

test('a trace tells what happened to a message, by its id and by its key', async () => {
  const context = await connected()
  const { world, client, topic } = context
  await world.until(client.admin.configureTopic('orders', { trace: 1 }))
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const { messageId } = await world.until(topic.send('a', { keys: ['k'], properties: { traceparent } }))
  const seen: (string | undefined)[] = []
  void topic.consume({ group: 'till' }).run((message) => {
    seen.push(message.properties.get('traceparent'))
    if (message.attempt === 1) void message.retry({ after: '1s' })
  })
  await world.pass(10_000)
  expect(seen).toEqual([traceparent, traceparent])
  const [timeline] = await world.until(client.admin.trace({ messageId }))
  expect(timeline).toMatchObject({ topic: 'orders', messageId, traceparent, isTraced: true })
  const kinds = timeline?.events.map(({ kind }) => kind)
  expect(kinds).toEqual(expect.arrayContaining(['born', 'sent', 'stored', 'delivered', 'retried', 'acked']))
  expect(await world.until(client.admin.trace({ topic: 'orders', key: 'k' }))).toEqual([timeline])
  expect(watch(client.admin.trace({ messageId: `${messageId}1` }))).toBeDefined()
})
