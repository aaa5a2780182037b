// Delayed messages, requests and transactions over the real broker, in simulated time, with the network and the relay
// breaking in between.

import { describe, expect, test } from 'vitest'
import type { Client, Message, Topic } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { ClientWorld } from './client-world.ts'
import { watch } from './scripted-world.ts'

interface Connected {
  readonly world: ClientWorld
  readonly client: Client
  readonly topic: Topic<string>
  /** Bodies as they come, with the time at which they came. */
  readonly got: string[]
  readonly messages: Message<string>[]
}

async function connected(options: Parameters<typeof ClientWorld.open>[0] = {}): Promise<Connected> {
  const world = await ClientWorld.open(options)
  const client = await world.connect()
  const topic = client.topic('orders', { codec: text })
  const got: string[] = []
  const messages: Message<string>[] = []
  const consumer = topic.consume({ group: 'till' })
  void consumer.run((message) => {
    got.push(message.value)
    messages.push(message)
  })
  await world.until(consumer.subscribed)
  return { world, client, topic, got, messages }
}

describe('a delayed message', () => {
  test('comes when it is due, not before, and says when that was', async () => {
    const { world, topic, got, messages } = await connected()
    const startMs = world.clock.now()
    const receipts = await world.until(Promise.all([
      topic.send('late', { delay: '5s' }), topic.send('now'), topic.send('past', { deliverAt: startMs - 1 }),
      topic.send('soon', { deliverAt: new Date(startMs + 2_000) }),
    ]))
    await world.pass(1_900)
    expect(got.toSorted()).toEqual(['now', 'past'])
    await world.pass(200)
    expect(got[2]).toBe('soon')
    await world.pass(2_800)
    expect(got).toHaveLength(3)
    await world.pass(200)
    expect(got[3]).toBe('late')
    const late = messages[3] as Message<string>
    expect(receipts.map(({ deliverMs }) => deliverMs !== undefined)).toEqual([true, false, false, true])
    expect(late).toMatchObject({ messageId: receipts[0]?.messageId, deliverMs: receipts[0]?.deliverMs, attempt: 1 })
    expect(late.storedMs).toBeGreaterThanOrEqual(startMs + 5_000)
    expect(receipts[3]).toMatchObject({ queueId: undefined, offset: undefined, deliverMs: startMs + 2_000 })
  })

  test('outlives the relay and the connection, and comes once', async () => {
    const { world, topic, got } = await connected()
    const sent = watch(topic.send('late', { delay: '1m' }))
    await world.settle()
    world.network.cut()
    await world.pass(10_000)
    expect(sent.outcome).toBe('ok')
    world.stopBroker()
    await world.pass(10_000)
    await world.startBroker()
    await world.pass(120_000)
    expect(got).toEqual(['late'])
  })

  test('is listed, and taken back by its handle before it is due, once', async () => {
    const { world, client, topic, got } = await connected()
    const receipts = await world.until(Promise.all([1, 3, 2].map((minutes) =>
      topic.send(`in ${minutes}`, { delay: `${minutes}m`, tag: 't' }))))
    const listed = await world.until(client.admin.listDelayed())
    expect(listed.map(({ message }) => new TextDecoder().decode(message.value))).toEqual(['in 1', 'in 2', 'in 3'])
    expect(listed[1]).toMatchObject({
      topic: 'orders', recallHandle: receipts[2]?.recallHandle, message: { messageId: receipts[2]?.messageId, tag: 't' },
    })
    expect(await world.until(client.admin.listDelayed({ topic: 'orders', after: listed[0]?.recallHandle as string, max: 1 })))
      .toMatchObject([{ deliverMs: listed[1]?.deliverMs }])
    expect(await world.until(client.admin.listDelayed({ topic: 'orders', max: 2 }))).toHaveLength(2)
    expect((await world.until(client.admin.describeTopic('orders'))).delayedCount).toBe(3)
    const handle = receipts[2]?.recallHandle as string
    await world.until(topic.recall(handle))
    await expect(world.until(topic.recall(handle))).rejects.toMatchObject({ code: 'MESSAGE_NOT_FOUND' })
    await world.until(client.admin.recall('orders', receipts[1]?.recallHandle as string))
    await world.pass(600_000)
    expect(got).toEqual(['in 1'])
    const late = world.until(topic.recall(receipts[0]?.recallHandle as string))
    await expect(late).rejects.toMatchObject({ code: 'RECALL_TOO_LATE' })
    expect(await world.until(client.admin.listDelayed())).toEqual([])
  })

  test('further ahead than the relay allows is refused, and takes no other with it', async () => {
    const { world, topic, got } = await connected({ limits: { delayMsMax: 10_000 } })
    const sent = [
      topic.send('a'), topic.send('b', { delay: 10_000 }), topic.send('c', { delay: 10_001 }),
      topic.send('d', { delay: fixedLimits.delayMsMax + 1 }), topic.send('e'),
    ].map(watch)
    await world.pass(20_000)
    // What the relay refuses takes along what is delayed beside it.
    expect(sent.map(({ outcome }) => outcome)).toEqual(['ok', 'BAD_ARGUMENT', 'BAD_ARGUMENT', 'BAD_ARGUMENT', 'ok'])
    await world.until(topic.send('b', { delay: 10_000 }))
    await world.pass(20_000)
    expect(got).toEqual(['a', 'e', 'b'])
  })
})

describe('a message with a time to live', () => {
  test('is not delivered after it', async () => {
    const { world, client, topic, got } = await connected()
    await world.until(client.topic('later', { codec: text }).send('x', { ttl: 5_000 }))
    await world.pass(5_001)
    const late: string[] = []
    void client.topic('later', { codec: text }).consume({ group: 'till' }).run(({ value }) => void late.push(value))
    await world.until(topic.send('y', { ttl: '5s' }))
    await world.pass(1_000)
    expect([late, got]).toEqual([[], ['y']])
  })
})

describe('priorities', () => {
  test('go first', async () => {
    const world = await ClientWorld.open()
    const client = await world.connect()
    await world.until(client.admin.createTopic('work', { messageType: 'PRIORITY', queueCount: 10 }))
    const topic = client.topic('work', { codec: text })
    const priorities = [0, 5, 9, 1, 9, 0]
    await world.until(Promise.all(priorities.map((priority) => topic.send(String(priority), { priority }))))
    const got: string[] = []
    void topic.consume({ group: 'till', prefetch: 1 }).run(({ value }) => {
      got.push(value)
      return new Promise((resolve) => world.clock.setTimer(10, () => resolve()))
    })
    await world.pass(1_000)
    expect(got).toEqual(['9', '9', '5', '1', '0', '0'])
  })
})

describe('a request', () => {
  interface Asking {
    readonly world: ClientWorld
    readonly asker: Client
    readonly topic: Topic<string>
    readonly handled: string[]
  }

  /** Two workers, each of which answers what it gets. */
  async function asking(
    answer: (message: Message<string>) => unknown = (message) => message.reply(`to ${message.value}`),
  ): Promise<Asking> {
    const world = await ClientWorld.open()
    const asker = await world.connect()
    const handled: string[] = []
    for (let index = 0; index < 2; index++) {
      const worker = await world.connect()
      const consumer = worker.topic('quotes', { codec: text }).consume({ group: 'workers' })
      void consumer.run(async (message) => {
        handled.push(message.value)
        await answer(message)
      }, { concurrency: 10 })
      await world.until(consumer.subscribed)
    }
    return { world, asker, topic: asker.topic('quotes', { codec: text }), handled }
  }

  test('gets its own reply, however many there are', async () => {
    const { world, topic, handled } = await asking()
    const asked = Array.from({ length: 100 }, (_, index) => topic.request<string>(`q${index}`))
    const replies = await world.until(Promise.all(asked))
    expect(replies.map(({ value }) => value)).toEqual(asked.map((_, index) => `to q${index}`))
    expect(handled).toHaveLength(100)
  })

  test('gets it after a reconnect of who asked and of who answers', async () => {
    const context = await asking((message) => new Promise((resolve) => {
      context.world.clock.setTimer(4_000, () => resolve(message.reply('after all')))
    }))
    const { world, topic, handled } = context
    const asked = watch(topic.request<string>('q'))
    await world.pass(1_000)
    world.network.cut()
    await world.pass(10_000)
    expect(asked.value?.value).toBe('after all')
    expect(handled).toEqual(['q'])
  })

  test('that nobody answers in time is over, and is delivered to nobody after it', async () => {
    const world = await ClientWorld.open()
    const client = await world.connect()
    const topic = client.topic('quotes', { codec: text })
    const asked = watch(topic.request('q', { timeout: '2s' }))
    await world.pass(2_100)
    expect(asked.outcome).toBe('TIMEOUT')
    const got: string[] = []
    void topic.consume({ group: 'workers' }).run(({ value }) => void got.push(value))
    await world.pass(10_000)
    expect(got).toEqual([])
  })

  test('of who has gone can’t be answered', async () => {
    const failures: string[] = []
    const context = await asking(async (message) => {
      await new Promise<void>((resolve) => context.world.clock.setTimer(1_000, resolve))
      await message.reply('late').catch(({ code }: { code: string }) => failures.push(code))
    })
    const { world, asker, topic } = context
    void topic.request('q').catch(() => {})
    await world.pass(500)
    await world.until(asker.close())
    await world.pass(5_000)
    expect(failures).toEqual(['REQUESTER_GONE'])
  })
})
