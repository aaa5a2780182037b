// Device topics through pages: the whole way, page to engine to page, without a browser.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { WebMessage } from '../../web-client/page/web-api.ts'
import { InlineWorld } from './inline-world.ts'

describe('device topics', () => {
  let world: InlineWorld
  beforeEach(async () => {
    world = new InlineWorld()
    await world.start()
  })
  afterEach(() => world.close())

  test('a message sent in one tab arrives in another, with all that goes with it', async () => {
    const sender = world.page().client
    const receiver = world.page().client
    const orders = receiver.topic<{ id: number }>('orders').consume({ group: 'till', filter: 'paid' })
    await orders.subscribed
    const topic = sender.topic<{ id: number }>('orders')
    await topic.send({ id: 1 }, { tag: 'shipped' })
    const receipt = await topic.send({ id: 2 }, { tag: 'paid', keys: ['k'], properties: { colour: 'red' } })
    expect(receipt).toMatchObject({ storedAt: 'device', queueId: 0, offset: 1, duplicate: false })
    for await (const message of orders) {
      expect(message.value).toEqual({ id: 2 })
      expect(message).toMatchObject({ tag: 'paid', keys: ['k'], offset: 1, attempt: 1, messageId: receipt.messageId })
      expect(message.properties.get('colour')).toBe('red')
      await message.ack()
      break
    }
    expect((await sender.admin.describeGroup('till')).queues).toMatchObject([{ backlog: 0, inFlight: 0 }])
  })

  test('ten thousand messages of one turn arrive in order, once', async () => {
    const { client } = world.page()
    const topic = client.topic<number>('numbers')
    const got: number[] = []
    const running = world.page().client.topic<number>('numbers').consume({ group: 'g' })
    void running.run((message) => void got.push(message.value))
    const receipts = await Promise.all(Array.from({ length: 10_000 }, (_, index) => topic.send(index)))
    expect(receipts.map(({ offset }) => offset)).toEqual(Array.from({ length: 10_000 }, (_, index) => index))
    await vi.waitFor(() => expect(got.length).toBe(10_000), 10_000)
    expect(got).toEqual(Array.from({ length: 10_000 }, (_, index) => index))
    await running.close()
  })

  test('what a tab held goes to another when it vanishes', async () => {
    const first = world.page()
    const topic = first.client.topic<string>('jobs')
    const holding = first.client.topic<string>('jobs').consume({ group: 'workers' })
    const held = (async () => {
      for await (const message of holding) return message
      return undefined
    })
    await topic.send('work')
    const iterator = holding[Symbol.asyncIterator]()
    const { value } = await iterator.next()
    expect(value?.attempt).toBe(1)
    void held
    first.vanish()
    const second = world.page().client.topic<string>('jobs').consume({ group: 'workers' })
    const { value: again } = await second[Symbol.asyncIterator]().next()
    expect(again).toMatchObject({ value: 'work', attempt: 2 })
    await again?.ack()
  })

  test('sends are stored once, in order, when the engine dies in the middle', async () => {
    const { client } = world.page()
    const topic = client.topic<number>('numbers')
    const receipts: Promise<unknown>[] = []
    for (let index = 0; index < 400; index++) {
      receipts.push(topic.send(index))
      if (index % 40 === 20) await undefined
      if (index === 150 || index === 300) {
        await receipts[index - 60]
        world.kill()
        void world.start()
      }
    }
    await Promise.all(receipts)
    const got: number[] = []
    for await (const batch of client.topic<number>('numbers').pull({ queueId: 0, untilEnd: true })) {
      got.push(...batch.map(({ value }) => value))
    }
    expect(got).toEqual(Array.from({ length: 400 }, (_, index) => index))
  })

  test('what a topic refuses is refused alone, wherever it stands, and the others are stored once and in order', async () => {
    const { client } = world.page()
    await client.admin.createTopic('numbers', { messageType: 'NORMAL', queueCount: 1 })
    const topic = client.topic<number>('numbers')
    const isRefused = (index: number): boolean => index % 7 === 3
    const sends: Promise<unknown>[] = []
    for (let index = 0; index < 200; index++) {
      const send = topic.send(index, isRefused(index) ? { messageGroup: 'none here' } : {})
      sends.push(send)
      send.catch(() => {})
      if (index % 20 === 5) await undefined
      if (index === 120) {
        await sends[60]
        world.kill()
        void world.start()
      }
    }
    const outcomes = await Promise.allSettled(sends)
    for (const [index, outcome] of outcomes.entries()) {
      if (isRefused(index)) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'MESSAGE_TYPE_MISMATCH' } })
      else expect(outcome).toMatchObject({ status: 'fulfilled' })
    }
    const got: number[] = []
    for await (const message of client.topic<number>('numbers').consume({ group: 'g' })) {
      if (got.push(message.value) === outcomes.filter(({ status }) => status === 'fulfilled').length) break
    }
    expect(got).toEqual(Array.from({ length: 200 }, (_, index) => index).filter((index) => !isRefused(index)))
  })

  test('a consumer goes on with the next engine', async () => {
    const { client } = world.page()
    const topic = client.topic<number>('numbers')
    const got: WebMessage<number>[] = []
    const consumer = client.topic<number>('numbers').consume({ group: 'g' })
    void consumer.run((message) => void got.push(message))
    await topic.send(1)
    await vi.waitFor(() => expect(got.length).toBe(1))
    world.kill()
    await world.start()
    await topic.send(2)
    await vi.waitFor(() => expect(got.map(({ value }) => value)).toContain(2), 10_000)
  })

  test('requests, receivers, retries, dead letters, delays and admin work in a page as in Node', async () => {
    const a = world.page().client
    const b = world.page().client
    const answering = b.topic<string>('questions').consume({ group: 'oracle' })
    void answering.run(async (message) => message.reply(`${message.value}!`))
    expect((await a.topic<string>('questions').request<string>('why')).value).toBe('why!')

    await a.admin.configureGroup('picky', { maxAttempts: 2, retry: ['0ms'] })
    const jobs = a.topic<string>('jobs')
    const receiver = b.topic<string>('jobs').receiver({ group: 'picky' })
    await jobs.send('bad', { keys: ['x'] })
    for (let attempt = 1; attempt <= 2; attempt++) {
      const [message] = await receiver.receive({ max: 1, wait: '5s' })
      expect(message?.attempt).toBe(attempt)
      await message?.retry({ after: 0 })
    }
    await vi.waitFor(async () => expect(
      (await a.admin.deadLetters('picky')).map(({ body }) => new TextDecoder().decode(body)),
    ).toEqual(['"bad"']))
    const [found] = await a.admin.findByKey('jobs', 'x')
    expect(await a.admin.findByKey('jobs', 'x', { after: found as WebMessage<Uint8Array> })).toEqual([])

    const { recallHandle, deliverMs } = await jobs.send('later', { delay: '1h' })
    expect(deliverMs).toBeGreaterThan(Date.now())
    expect(await a.admin.listDelayed({ topic: 'jobs' })).toMatchObject([{ recallHandle }])
    await jobs.recall(recallHandle as string)
    await expect(jobs.recall(recallHandle as string)).rejects.toMatchObject({ code: 'MESSAGE_NOT_FOUND' })
    await receiver.close()
    await answering.close()
  })

  test('a transaction commits as a whole, and another tab is asked about one whose tab has gone', async () => {
    const dying = world.page()
    const living = world.page()
    const asked: string[] = []
    const check = async () => 'commit' as const
    const producer = dying.client.transactions({ producerGroup: 'payers', check, checkAfter: '100ms' })
    await producer.registered
    const whole = await producer.run(async (transaction) => {
      await transaction.send(dying.client.topic('paid'), 1)
      await transaction.send(dying.client.topic('shipped'), 2)
    })
    expect(whole).toBeUndefined()
    const left = producer.begin()
    await left.send(dying.client.topic('paid'), 3)
    dying.vanish()
    const other = living.client.transactions({
      producerGroup: 'payers',
      check: async ({ transactionId, messages }) => {
        asked.push(`${transactionId} ${messages.length}`)
        return 'commit'
      },
    })
    await other.registered
    const got: unknown[] = []
    for await (const message of living.client.topic('paid').consume({ group: 'g' })) {
      got.push(message.value)
      await message.ack()
      if (got.length === 2) break
    }
    expect(got).toEqual([1, 3])
    expect(asked).toEqual([`${left.transactionId} 1`])
  })

  test('bad input gives the code it has in Node', async () => {
    const { client } = world.page()
    expect(() => client.topic('x', { home: 'relay' })).not.toThrow()
    await expect(client.topic('x', { home: 'relay' }).send(1)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    await expect(client.topic('').send(1)).rejects.toMatchObject({ code: 'BAD_NAME' })
    await expect(client.topic('x').consume({ group: 'g', filter: '||' }).subscribed).rejects.toMatchObject({ code: 'BAD_FILTER' })
    await expect(client.topic('x').send(1n as never)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    await expect(client.admin.describeTopic('missing')).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    const schema = {
      '~standard': {
        version: 1 as const, vendor: 'test',
        validate: (value: unknown) => (typeof value === 'number' ? { value } : { issues: [{ message: 'no number' }] }),
      },
    }
    await expect(client.topic<number>('x', { schema }).send('1' as never)).rejects.toMatchObject({ code: 'VALUE_INVALID' })
  })

  test('status is one object until something changes', async () => {
    const { client } = world.page()
    await client.connected
    const status = client.getSnapshot()
    expect(client.getSnapshot()).toBe(status)
    expect(status).toMatchObject({ engine: 'running', host: 'inline', link: 'none', storage: 'memory' })
    const seen: string[] = []
    client.subscribe(() => seen.push(client.getSnapshot().engine))
    world.kill()
    expect(client.getSnapshot()).not.toBe(status)
    expect(seen).toEqual(['lost'])
  })
})
