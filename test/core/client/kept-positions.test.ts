// BROADCASTING consumers whose positions the relay keeps: what they tell it, and when.

import { describe, expect, test } from 'vitest'
import type { ConsumeOptions, Message, PushConsumer } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { fixedLimits } from '../../../core/limits.ts'
import type { FrameFields } from '../../../core/protocol/frames.ts'
import type { Script } from '../../support/scripted-relay.ts'
import { type DeliverOptions, deliverOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

const starts: FrameFields<'SUBSCRIBED'>['positions'] = [
  { queueId: 0, position: { epoch: 1, offset: 0 } }, { queueId: 1, position: { epoch: 1, offset: 50 } },
]

/** Takes a reader to be where it says, or at the start. */
const agreeable: Script = {
  SUBSCRIBE: ({ requestId, subscriptionId, positions: asked }, line) => {
    const positions = starts.map((start) => asked.find(({ queueId }) => queueId === start.queueId) ?? start)
    line.send('SUBSCRIBED', { requestId, subscriptionId, messageType: 'NORMAL', leaseMs: 0, positions })
  },
  UNSUBSCRIBE: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
}

interface Reading {
  readonly world: ScriptedWorld
  readonly consumer: PushConsumer<string>
  readonly deliver: (bodies: readonly string[], options?: DeliverOptions) => void
  /** Reports of the newest connection: `queueId:offset …` of each. */
  readonly reports: () => string[]
}

async function reading(options: Partial<ConsumeOptions> = {}): Promise<Reading> {
  const world = await ScriptedWorld.connected(agreeable)
  const consumer = world.client.topic('orders', { codec: text }).consume({
    group: 'till', mode: 'BROADCASTING', positionKeeper: 'relay', name: 'north', ...options,
  })
  await world.until(consumer.subscribed)
  return {
    world,
    consumer,
    deliver: (bodies, delivery = {}) => world.relay.line.send('DELIVER', deliverOf(bodies, { leaseId: 0, ...delivery })),
    reports: () => world.relay.line.heard('POSITIONS').map(({ positions }) =>
      positions.map(({ queueId, position }) => `${queueId}:${position.offset}`).join(' ')),
  }
}

async function take(world: ScriptedWorld, iterator: AsyncIterator<Message<string>>): Promise<Message<string>> {
  const { value } = await world.until(iterator.next())
  return value as Message<string>
}

describe('who keeps positions', () => {
  test.each([
    [{ positionKeeper: 'relay', name: 'north-1_%|' }, { positionKeeper: 'broker', consumerName: 'north-1_%|' }],
    [{ positionKeeper: 'application', name: undefined }, { positionKeeper: 'client', consumerName: '' }],
    [{ positionKeeper: undefined, name: undefined }, { positionKeeper: 'client', consumerName: '' }],
    [{ name: 'x'.repeat(fixedLimits.consumerNameBytesMax) }, { positionKeeper: 'broker' }],
  ] as const)('is said when subscribing: %j', async (options, asked) => {
    const { world } = await reading(options as Partial<ConsumeOptions>)
    expect(world.relay.line.heard('SUBSCRIBE')).toMatchObject([asked])
  })

  test.each([
    [{ name: undefined }, 'BAD_ARGUMENT'],
    [{ positionKeeper: undefined, name: 'north' }, 'BAD_ARGUMENT'],
    [{ positionKeeper: 'application', name: 'north' }, 'BAD_ARGUMENT'],
    [{ positionKeeper: 'broker', name: 'north' }, 'BAD_ARGUMENT'],
    [{ mode: 'CLUSTERING' }, 'BAD_ARGUMENT'],
    [{ mode: undefined }, 'BAD_ARGUMENT'],
    [{ name: 'a b' }, 'BAD_NAME'],
    [{ name: '' }, 'BAD_NAME'],
    [{ name: 'x'.repeat(fixedLimits.consumerNameBytesMax + 1) }, 'BAD_NAME'],
    [{ name: 'x'.repeat(1_000_000) }, 'BAD_NAME'],
  ] as const)('%j is refused on the spot', async (options, code) => {
    await expect(reading(options as Partial<ConsumeOptions>)).rejects.toMatchObject({ code })
  })
})

describe('positions', () => {
  test('are told a little after their messages were handled, and only if they have changed', async () => {
    const { world, consumer, deliver, reports } = await reading()
    void consumer.run(() => {})
    deliver(['a', 'b'])
    deliver(['c'], { queueId: 1, baseOffset: 50 })
    await world.settle()
    expect(reports()).toEqual([])
    await world.pass(200)
    expect(reports()).toEqual(['0:2 1:51'])
    await world.pass(10_000)
    expect(reports()).toEqual(['0:2 1:51'])
    deliver(['d'], { baseOffset: 2 })
    await world.pass(200)
    expect(reports()).toEqual(['0:2 1:51', '0:3'])
  })

  test('are told five times a second at most', async () => {
    const { world, consumer, deliver, reports } = await reading()
    void consumer.run(() => {})
    for (let offset = 0; offset < 100; offset++) {
      deliver([String(offset)], { baseOffset: offset })
      await world.pass(20)
    }
    expect(reports().length).toBeGreaterThanOrEqual(9)
    expect(reports().length).toBeLessThanOrEqual(10)
  })

  test('do not pass a message that a handler is at work on', async () => {
    const { world, consumer, deliver, reports } = await reading()
    const finish = new Map<string, () => void>()
    void consumer.run(({ value }) => new Promise((resolve) => finish.set(value, resolve)), { concurrency: 3 })
    deliver(['a', 'b', 'c', 'd'])
    await world.pass(200)
    expect(reports()).toEqual([])
    finish.get('b')?.()
    finish.get('c')?.()
    await world.pass(200)
    expect(reports()).toEqual([])
    finish.get('a')?.()
    await world.pass(200)
    expect(reports()).toEqual(['0:3'])
  })

  test('pass a message whose handler threw: there is no second try', async () => {
    const { world, consumer, deliver, reports } = await reading()
    void consumer.run(() => {
      throw new Error('no')
    })
    deliver(['a'])
    await world.pass(200)
    expect(reports()).toEqual(['0:1'])
    expect(world.errors.map(({ code }) => code)).toEqual(['HANDLER_FAILED'])
  })

  test('pass a message of an iterator when the next is asked for, or when it is acked', async () => {
    const { world, consumer, deliver, reports } = await reading()
    const iterator = consumer[Symbol.asyncIterator]()
    deliver(['a', 'b', 'c'])
    await take(world, iterator)
    await world.pass(200)
    expect(reports()).toEqual([])
    const b = await take(world, iterator)
    await world.pass(200)
    expect(reports()).toEqual(['0:1'])
    await b.ack()
    await world.pass(200)
    expect(reports()).toEqual(['0:1', '0:2'])
    expect(consumer.positions().get(0)).toEqual({ epoch: 1, offset: 2 })
  })

  test('are told when the consumer is closed, before it leaves; what was in hand comes again', async () => {
    const { world, consumer, deliver } = await reading()
    deliver(['a', 'b', 'c'])
    const iterator = consumer[Symbol.asyncIterator]()
    for (const _ of ['a', 'b']) await take(world, iterator)
    await world.until(consumer.close())
    const said = world.relay.line.frames.map((frame) => frame.name)
    expect(said.indexOf('POSITIONS')).toBeLessThan(said.indexOf('UNSUBSCRIBE'))
    const consumed = { queueId: 0, position: { epoch: 1, offset: 1 } }
    expect(world.relay.line.heard('POSITIONS')).toMatchObject([{ positions: [consumed] }])
    await world.pass(1_000)
    expect(world.relay.line.heard('POSITIONS')).toHaveLength(1)
  })

  test('move over what the filter left out, and over gaps', async () => {
    const { world, consumer, deliver, reports } = await reading()
    void consumer.run(() => {})
    const { relay } = world
    deliver([], { baseOffset: 7 })
    await world.pass(200)
    const position = (offset: number) => ({ epoch: 1, offset })
    relay.line.send('GAP', { subscriptionId: 1, queueId: 0, expected: position(7), next: position(90) })
    await world.pass(200)
    expect(reports()).toEqual(['0:7', '0:90'])
  })

  test('are where a reconnect resumes: the relay keeps what it is told then; what is here already is shown once', async () => {
    const { world, consumer, deliver, reports } = await reading({ prefetch: 12 })
    deliver(['a', 'b', 'c', 'd'])
    const iterator = consumer[Symbol.asyncIterator]()
    for (const _ of ['a', 'b']) await take(world, iterator)
    world.network.cut()
    await world.pass(1_000)
    expect(world.relay.line.heard('SUBSCRIBE')[0]?.positions).toEqual([
      { queueId: 0, position: { epoch: 1, offset: 1 } }, { queueId: 1, position: { epoch: 1, offset: 50 } },
    ])
    deliver([], { baseOffset: 1 })
    deliver(['b', 'c'], { baseOffset: 1 })
    deliver(['d', 'e'], { baseOffset: 3 })
    const rest: string[] = []
    for (let count = 0; count < 3; count++) rest.push((await take(world, iterator)).value)
    expect(rest).toEqual(['c', 'd', 'e'])
    const waiting = watch(iterator.next())
    await world.pass(200)
    expect([waiting.outcome, reports()]).toEqual(['pending', ['0:5']])
    // What was sent for nothing makes room again: 10 were granted, as 2 were held; 3 came for nothing, 3 were taken.
    const granted = world.relay.line.heard('CREDIT').reduce((sum, { messageCount }) => sum + messageCount, 0)
    expect(granted).toBe(10 + 6)
  })

  test('are not told while there is no connection', async () => {
    const { world, consumer, deliver } = await reading()
    void consumer.run(() => {})
    deliver(['a'])
    await world.settle()
    world.network.isDown = true
    world.network.cut()
    await world.pass(5_000)
    world.network.isDown = false
    await world.pass(30_000)
    expect(world.relay.lines).toHaveLength(2)
    expect(world.relay.lines.map((line) => line.heard('POSITIONS').length)).toEqual([0, 0])
    expect(world.relay.line.heard('SUBSCRIBE')[0]?.positions[0]).toEqual({ queueId: 0, position: { epoch: 1, offset: 1 } })
  })

  test('go back when the group is reset, and what was in hand of before counts no more', async () => {
    const { world, consumer, deliver, reports } = await reading()
    const iterator = consumer[Symbol.asyncIterator]()
    deliver(['a', 'b', 'c'], { baseOffset: 10 })
    for (const _ of ['a', 'b']) await take(world, iterator)
    world.relay.line.send('RESET', { subscriptionId: 1, queueId: 0, position: { epoch: 1, offset: 5 } })
    await world.pass(200)
    expect(reports()).toEqual(['0:5'])
    expect(consumer.positions().get(0)).toEqual({ epoch: 1, offset: 5 })
    deliver(['x', 'y'], { baseOffset: 5 })
    expect((await take(world, iterator)).value).toBe('x')
    await take(world, iterator)
    await world.pass(200)
    expect(reports()).toEqual(['0:5', '0:6'])
  })
})

test('an application that keeps its positions itself tells the relay nothing', async () => {
  const options = { positionKeeper: 'application', name: undefined } as unknown as ConsumeOptions
  const { world, consumer, deliver, reports } = await reading(options)
  void consumer.run(() => {})
  deliver(['a'])
  await world.pass(1_000)
  await world.until(consumer.close())
  expect(reports()).toEqual([])
  expect(consumer.positions().get(0)).toEqual({ epoch: 1, offset: 1 })
})
