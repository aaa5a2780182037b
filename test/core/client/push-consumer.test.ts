// Push consumers against a relay that delivers and answers as the test says.

import { afterEach, describe, expect, test, vi } from 'vitest'
import type { ConsumeOptions, Message, PushConsumer } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import type { ErrorCode } from '../../../core/errors.ts'
import { errorCodes } from '../../../core/error-codes.ts'
import { tagHashOf } from '../../../core/model/filter.ts'
import type { FrameFields, UpstreamName } from '../../../core/protocol/frames.ts'
import type { Script, ScriptedLine } from '../../support/scripted-relay.ts'
import { type DeliverOptions, deliverOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

const subscribedOf = ({ requestId, subscriptionId }: { requestId: number; subscriptionId: number }) => ({
  requestId, subscriptionId, messageType: 'NORMAL', leaseMs: 60_000, positions: [],
}) as const

/** Takes every subscription and settles whatever it is asked to. */
const agreeable: Script = {
  SUBSCRIBE: (frame, line) => line.send('SUBSCRIBED', subscribedOf(frame)),
  UNSUBSCRIBE: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
  ACK: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
  RETRY: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
  EXTEND: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
}

interface ConsumerWorld {
  readonly world: ScriptedWorld
  readonly consumer: PushConsumer<string>
  readonly deliver: (bodies: readonly string[], options?: DeliverOptions) => FrameFields<'DELIVER'>
}

async function consuming(options: Partial<ConsumeOptions> = {}, script: Script = {}): Promise<ConsumerWorld> {
  const world = await ScriptedWorld.connected({ ...agreeable, ...script })
  const consumer = world.client.topic('orders', { codec: text }).consume({ group: 'till', ...options })
  await world.until(consumer.subscribed)
  const deliver = (bodies: readonly string[], options: DeliverOptions = {}) => {
    const frame = deliverOf(bodies, options)
    world.relay.line.send('DELIVER', frame)
    return frame
  }
  return { world, consumer, deliver }
}

/** Settlements as the relay heard them, without the ids of requests. */
function heard(line: ScriptedLine, ...names: UpstreamName[]): unknown[] {
  return line.frames.filter(({ name }) => names.includes(name)).map((frame) => {
    const { requestId: _, subscriptionId: _s, ...rest } = frame as unknown as Record<string, unknown>
    return rest
  })
}

/** Takes messages until there are so many, or the consumer ends. */
async function take(world: ScriptedWorld, consumer: PushConsumer<string>, count: number): Promise<Message<string>[]> {
  const iterator = consumer[Symbol.asyncIterator]()
  const messages: Message<string>[] = []
  while (messages.length < count) {
    const result = await world.until(iterator.next())
    if (result.done === true) break
    messages.push(result.value)
  }
  return messages
}

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))
afterEach(() => {
  expect(unhandled.splice(0)).toEqual([])
})

describe('subscribing', () => {
  test('says what it wants, and gives credit for its window', async () => {
    const { world } = await consuming({ filter: 'paid || new', lease: '30s', prefetch: 50, prefetchBytes: 1_000 })
    expect(heard(world.relay.line, 'SUBSCRIBE', 'CREDIT')).toEqual([
      expect.objectContaining({
        group: 'till', topic: 'orders', mode: 'CLUSTERING', filter: 'new || paid', start: { kind: 'earliest' },
        leaseMs: 30_000, positions: [],
      }),
      { name: 'CREDIT', messageCount: 50, byteCount: 1_000 },
    ])
  })

  test('BROADCASTING begins at the latest unless it is told otherwise', async () => {
    const { world } = await consuming({ mode: 'BROADCASTING' })
    expect(world.relay.line.heard('SUBSCRIBE')[0]).toMatchObject({ mode: 'BROADCASTING', start: { kind: 'latest' } })
  })

  test('refused for good ends the consumer with the code, and the error event tells if nobody listens', async () => {
    const world = await ScriptedWorld.connected({
      ...agreeable,
      SUBSCRIBE: ({ requestId }, line) => line.refuse(requestId, 'SUBSCRIPTION_CONFLICT'),
    })
    const consumer = world.client.topic('orders').consume({ group: 'till' })
    const subscribed = watch(consumer.subscribed)
    await world.settle()
    expect(subscribed.outcome).toBe('SUBSCRIPTION_CONFLICT')
    expect(world.errors.map(({ code }) => code)).toEqual(['SUBSCRIPTION_CONFLICT'])
    await expect(consumer[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'SUBSCRIPTION_CONFLICT' })
    await expect(consumer.run(() => {})).rejects.toMatchObject({ code: 'SUBSCRIPTION_CONFLICT' })
    await world.until(consumer.close())
  })

  test('refused for now is tried again', async () => {
    let refusals = 3
    const { world } = await consuming({}, {
      SUBSCRIBE: (frame, line) => {
        if (refusals-- > 0) line.refuse(frame.requestId, 'OVERLOADED', 500)
        else line.send('SUBSCRIBED', subscribedOf(frame))
      },
    })
    expect(world.relay.line.heard('SUBSCRIBE')).toHaveLength(4)
    expect(world.clock.monotonic()).toBeGreaterThanOrEqual(1_500)
  })

  test.each([
    [{ group: 'a b' }, 'BAD_NAME'],
    [{ filter: 'a ||' }, 'BAD_FILTER'],
    [{ lease: 'soon' as '1s' }, 'BAD_ARGUMENT'],
    [{ prefetch: 0 }, 'BAD_ARGUMENT'],
    [{ positions: new Map([[0, { epoch: 1, offset: 1.5 }]]) }, 'BAD_ARGUMENT'],
    [{ positions: new Map([[-1, { epoch: 1, offset: 1 }]]) }, 'BAD_ARGUMENT'],
    [{ from: new Date(Number.NaN) }, 'BAD_ARGUMENT'],
  ])('%j is refused on the spot', async (options, code) => {
    const world = await ScriptedWorld.connected(agreeable)
    const consume = () => world.client.topic('orders').consume({ group: 'till', ...options })
    expect(consume).toThrow(expect.objectContaining({ code }))
  })
})

describe('messages', () => {
  test('come in order, with all they carry', async () => {
    const { world, consumer, deliver } = await consuming()
    const frame = deliver(['a', 'b'], {
      baseOffset: 5, queueId: 3, attempt: 2,
      headers: [{ tag: 't', keys: ['k'], messageGroup: 'g', properties: new Map([['p', 'v']]) }],
    })
    const [a, b] = await take(world, consumer, 2)
    expect(a?.value).toBe('a')
    expect({ ...JSON.parse(JSON.stringify(a)) as object }).toEqual({
      messageId: '0102030405060708-3-10', topic: 'orders', queueId: 3, offset: 5, tag: 't', keys: ['k'],
      messageGroup: 'g', properties: { p: 'v' }, bornMs: 1_000, storedMs: 2_000, attempt: 2, value: 'a',
    })
    expect(b).toMatchObject({ messageId: '0102030405060708-3-11', tag: undefined, keys: [], offset: 6 })
    expect(frame.leaseId).toBeGreaterThan(0)
  })

  test('whose body the codec can not read say so when the value is asked for', async () => {
    const world = await ScriptedWorld.connected(agreeable)
    const consumer = world.client.topic('orders').consume({ group: 'till' })
    await world.until(consumer.subscribed)
    world.relay.line.send('DELIVER', deliverOf(['{"a":1}', 'rubbish']))
    const iterator = consumer[Symbol.asyncIterator]()
    const good = await world.until(iterator.next())
    const bad = await world.until(iterator.next())
    expect(good.value?.value).toEqual({ a: 1 })
    expect(good.value?.value).toBe(good.value?.value)
    const { value: message } = bad as IteratorYieldResult<Message<unknown>>
    const failure = { code: 'BAD_ARGUMENT', cause: expect.any(SyntaxError) as unknown }
    expect(() => message.value).toThrow(expect.objectContaining(failure))
    expect(message.body.length).toBe(7)
  })

  test('with another tag of the same hash are not shown, and acked', async () => {
    const { world, consumer, deliver } = await consuming({ filter: 'paid' })
    const hash = tagHashOf('paid')
    const headers = [{ tag: 'paid' }, { tag: 'other' }, {}, { tag: 'paid' }]
    deliver(['a', 'b', 'c', 'd'], { headers, tagHashes: [hash, hash, hash, hash] })
    const messages = await take(world, consumer, 2)
    expect(messages.map(({ value }) => value)).toEqual(['a', 'd'])
    await world.settle()
    expect(heard(world.relay.line, 'ACK')).toEqual([
      { name: 'ACK', ranges: [expect.objectContaining({ offset: 1, count: 2 })] },
    ])
  })

  test('of a filtered record are acked in one range, holes and all', async () => {
    const { world, consumer, deliver } = await consuming()
    const { leaseId } = deliver(['a', 'b', 'c', 'd', 'e'], { only: [0, 2, 4] })
    for (const message of await take(world, consumer, 3)) void message.ack()
    await world.settle()
    expect(heard(world.relay.line, 'ACK')).toEqual([
      { name: 'ACK', ranges: [{ queueId: 0, leaseId, offset: 0, count: 5 }] },
    ])
  })
})

describe('settling', () => {
  test('acks of one turn are one frame, in as few ranges as can be, in whatever order they come', async () => {
    const { world, consumer, deliver } = await consuming()
    const first = deliver(['a', 'b', 'c', 'd', 'e', 'f'])
    const second = deliver(['g'], { queueId: 1 })
    const [a, b, c, , e, f, g] = await take(world, consumer, 7)
    const acks = Promise.all([e, a, f, c, g, b].map((message) => message?.ack()))
    await world.until(acks)
    expect(heard(world.relay.line, 'ACK')).toEqual([{
      name: 'ACK',
      ranges: [
        { queueId: 0, leaseId: first.leaseId, offset: 0, count: 3 },
        { queueId: 0, leaseId: first.leaseId, offset: 4, count: 2 },
        { queueId: 1, leaseId: second.leaseId, offset: 0, count: 1 },
      ],
    }])
  })

  test('an ack resolves when the relay has it; a second one changes nothing', async () => {
    const held: (() => void)[] = []
    const { world, consumer, deliver } = await consuming({}, {
      ACK: ({ requestId }, line) => held.push(() => line.send('DONE', { requestId, failures: [] })),
    })
    deliver(['a'])
    const [message] = await take(world, consumer, 1)
    const ack = watch(message?.ack() as Promise<void>)
    await world.settle()
    const again = watch(message?.ack() as Promise<void>)
    await world.settle()
    expect([ack.outcome, again.outcome]).toEqual(['pending', 'pending'])
    for (const give of held) give()
    await world.settle()
    expect([ack.outcome, again.outcome]).toEqual(['ok', 'ok'])
    expect(world.relay.line.heard('ACK')).toHaveLength(1)
    await expect(message?.retry()).rejects.toMatchObject({ code: 'RECEIPT_STALE' })
  })

  test('retries go by the schedule or after a delay of their own', async () => {
    const { world, consumer, deliver } = await consuming()
    const { leaseId } = deliver(['a', 'b', 'c', 'd'])
    const [a, b, c, d] = await take(world, consumer, 4)
    const retries = [a?.retry(), b?.retry({ after: '5s' }), c?.retry(), d?.retry({ after: '5s' })]
    await world.until(Promise.all(retries))
    const range = (offset: number) => ({ queueId: 0, leaseId, offset, count: 1 })
    expect(heard(world.relay.line, 'RETRY')).toEqual([
      { name: 'RETRY', how: 'schedule', delayMs: 0, ranges: [range(0), range(2)] },
      { name: 'RETRY', how: 'after', delayMs: 5_000, ranges: [range(1), range(3)] },
    ])
    await expect(a?.ack()).rejects.toMatchObject({ code: 'RECEIPT_STALE' })
    await expect(a?.retry()).rejects.toMatchObject({ code: 'RECEIPT_STALE' })
    await expect(b?.extend('1s')).rejects.toMatchObject({ code: 'RECEIPT_STALE' })
  })

  test('a bad delay rejects and leaves the message as it is', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a'])
    const [message] = await take(world, consumer, 1)
    await expect(message?.retry({ after: 'later' as '1s' })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    await world.until(message?.ack() as Promise<void>)
  })

  const failing = (code: ErrorCode, ...indexes: number[]): Script => ({
    ACK: ({ requestId }, line) =>
      line.send('DONE', { requestId, failures: indexes.map((index) => ({ index, code: errorCodes[code].number })) }),
  })

  test('an ack that came too late rejects, and only the ones of that lease', async () => {
    const { world, consumer, deliver } = await consuming({}, failing('RECEIPT_STALE', 1))
    deliver(['a'])
    deliver(['b'])
    const outcomes = (await take(world, consumer, 2)).map((message) => watch(message.ack()))
    await world.settle()
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['ok', 'RECEIPT_STALE'])
    expect(world.errors).toEqual([])
  })

  test('an ack nobody waits for that came too late is told by the error event, once', async () => {
    const { world, consumer, deliver } = await consuming({}, failing('RECEIPT_STALE', 0))
    deliver(['a', 'b'])
    for (const message of await take(world, consumer, 2)) void message.ack()
    await world.settle()
    expect(world.errors.map(({ code }) => code)).toEqual(['RECEIPT_STALE'])
  })

  test('a stale ack ends the lease: the signal of its messages aborts and the rest is not shown', async () => {
    const { world, consumer, deliver } = await consuming({}, failing('RECEIPT_STALE', 0))
    deliver(['a', 'b', 'c'])
    deliver(['d'])
    const [a, b] = await take(world, consumer, 2)
    const onAbort = vi.fn()
    b?.signal.addEventListener('abort', onAbort)
    a?.ack().catch(() => {})
    await world.settle()
    expect(onAbort).toHaveBeenCalledOnce()
    expect(b?.signal.reason).toMatchObject({ code: 'RECEIPT_STALE' })
    const [next] = await take(world, consumer, 1)
    expect(next?.value).toBe('d')
  })

  test('a settlement refused for now goes out again, and then resolves', async () => {
    let refusals = 2
    const { world, consumer, deliver } = await consuming({}, {
      ACK: ({ requestId }, line) => {
        if (refusals-- > 0) line.refuse(requestId, 'OVERLOADED', 100)
        else line.send('DONE', { requestId, failures: [] })
      },
    })
    deliver(['a'])
    const [message] = await take(world, consumer, 1)
    await world.until(message?.ack() as Promise<void>)
    expect(world.relay.line.heard('ACK')).toHaveLength(3)
  })

  test('a settlement refused for good rejects with the code', async () => {
    const { world, consumer, deliver } = await consuming({}, {
      RETRY: ({ requestId }, line) => line.refuse(requestId, 'FORBIDDEN'),
    })
    deliver(['a'])
    const [message] = await take(world, consumer, 1)
    await expect(world.until(message?.retry() as Promise<void>)).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })

  test('more ranges than a frame holds go in several, and the acks wait for the last', async () => {
    const requestIds: number[] = []
    const { world, consumer, deliver } = await consuming({ prefetch: 20_000 }, {
      ACK: ({ requestId }) => requestIds.push(requestId),
    })
    for (let queueId = 0; queueId < 2; queueId++) deliver(Array.from({ length: 5_000 }, () => 'x'), { queueId })
    const messages = await take(world, consumer, 10_000)
    // Every other one: nothing joins.
    const acks = messages.filter((_, index) => index % 2 === 0).map((message) => message.ack())
    const [first, last] = [watch(acks[0] as Promise<void>), watch(acks.at(-1) as Promise<void>)]
    await world.settle()
    const { line } = world.relay
    const ranges = line.heard('ACK').flatMap((frame) => frame.ranges)
    expect(ranges).toHaveLength(5_000)
    expect(Math.max(...line.heard('ACK').map((frame) => frame.ranges.length))).toBeLessThanOrEqual(2_048)
    expect(requestIds).toHaveLength(3)
    line.send('DONE', { requestId: requestIds[0] ?? 0, failures: [] })
    await world.settle()
    expect([first.outcome, last.outcome]).toEqual(['pending', 'pending'])
    line.send('DONE', { requestId: requestIds[1] ?? 0, failures: [] })
    await world.settle()
    expect([first.outcome, last.outcome]).toEqual(['ok', 'pending'])
    const failures = [{ index: 0, code: errorCodes.RECEIPT_STALE.number }]
    line.send('DONE', { requestId: requestIds[2] ?? 0, failures })
    await world.settle()
    expect(last.outcome).toBe('RECEIPT_STALE')
  })
})

describe('credit', () => {
  test('is granted again in steps of half the window, by number', async () => {
    const { world, consumer, deliver } = await consuming({ prefetch: 10 })
    deliver(Array.from({ length: 10 }, (_, index) => String(index)))
    const grants = () => world.relay.line.heard('CREDIT').slice(1).map(({ messageCount }) => messageCount)
    await take(world, consumer, 4)
    await world.settle()
    expect(grants()).toEqual([])
    await take(world, consumer, 1)
    await world.settle()
    expect(grants()).toEqual([5])
    await take(world, consumer, 5)
    await world.settle()
    expect(grants()).toEqual([5, 5])
  })

  test('is granted again in steps of half the window, by bytes', async () => {
    const { world, consumer, deliver } = await consuming({ prefetchBytes: 20_000 })
    const sizes = [0, 1, 2].map((queueId) => deliver(['x'.repeat(6_000)], { queueId }).record.length)
    const grants = () => world.relay.line.heard('CREDIT').slice(1).map(({ byteCount }) => byteCount)
    await take(world, consumer, 2)
    await world.settle()
    // What a delivery took is free when the next one is asked for.
    expect(grants()).toEqual([])
    await take(world, consumer, 1)
    await world.settle()
    expect(grants()).toEqual([(sizes[0] ?? 0) + (sizes[1] ?? 0)])
  })

  test('starts again after a reconnect with the room that is left', async () => {
    const { world, consumer, deliver } = await consuming({ prefetch: 10 })
    deliver(['a', 'b', 'c', 'd'])
    await take(world, consumer, 1)
    world.network.cut()
    await world.pass(1_000)
    expect(world.relay.lines).toHaveLength(2)
    expect(world.relay.line.heard('CREDIT').map(({ messageCount }) => messageCount)).toEqual([7])
  })
})

describe('leases', () => {
  test('are extended for what is held and what is prefetched, for as long as it takes', async () => {
    const { world, consumer, deliver } = await consuming()
    const { leaseId } = deliver(['a', 'b'])
    const [message] = await take(world, consumer, 1)
    await world.pass(5 * 60_000)
    const extensions = world.relay.line.heard('EXTEND')
    expect(extensions.length).toBeGreaterThanOrEqual(5)
    expect(extensions.length).toBeLessThanOrEqual(20)
    expect(extensions[0]).toMatchObject({ leaseMs: 60_000, ranges: [{ queueId: 0, leaseId, offset: 0, count: 2 }] })
    expect(message?.signal.aborted).toBe(false)
  })

  test('are not extended once everything is settled', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a', 'b'])
    const [a, b] = await take(world, consumer, 2)
    void a?.ack()
    void b?.retry()
    await world.pass(5 * 60_000)
    expect(world.relay.line.heard('EXTEND')).toEqual([])
  })

  test('that came with little time left are extended at once', async () => {
    const { world, deliver } = await consuming()
    deliver(['a'], { leaseMs: 3_000 })
    await world.pass(100)
    expect(world.relay.line.heard('EXTEND')).toHaveLength(1)
  })

  test('of many deliveries are extended by one request', async () => {
    const { world, deliver } = await consuming()
    for (let queueId = 0; queueId < 8; queueId++) deliver(['a'], { queueId })
    await world.pass(25_000)
    expect(world.relay.line.heard('EXTEND').map(({ ranges }) => ranges.length)).toEqual([8])
  })

  test('of a message the application does nothing with run out after 15 minutes', async () => {
    const { world, consumer, deliver } = await consuming()
    const { leaseId } = deliver(['a', 'b', 'c'])
    const [message] = await take(world, consumer, 1)
    await world.pass(15 * 60_000 - 10_000)
    expect(message?.signal.aborted).toBe(false)
    await world.pass(120_000)
    expect(message?.signal.aborted).toBe(true)
    // What it never saw goes back uncounted.
    expect(heard(world.relay.line, 'RETRY')).toEqual([
      { name: 'RETRY', how: 'release', delayMs: 0, ranges: [{ queueId: 0, leaseId, offset: 1, count: 2 }] },
    ])
    const extendCount = world.relay.line.heard('EXTEND').length
    await world.pass(600_000)
    expect(world.relay.line.heard('EXTEND')).toHaveLength(extendCount)
  })

  test('of an application that wakes up after all do not cost it its credit', async () => {
    const { world, consumer, deliver } = await consuming({ prefetch: 4 })
    deliver(['a', 'b', 'c', 'd'])
    await take(world, consumer, 1)
    await world.pass(20 * 60_000)
    const grants = () => world.relay.line.heard('CREDIT').slice(1).map(({ messageCount }) => messageCount)
    expect(grants()).toEqual([])
    const next = watch(consumer[Symbol.asyncIterator]().next())
    await world.settle()
    expect(grants()).toEqual([4])
    deliver(['e'])
    await world.settle()
    expect(next.value?.value?.value).toBe('e')
  })

  test('that the relay says are over abort the signal, and the rest is not shown', async () => {
    const { world, consumer, deliver } = await consuming({}, {
      EXTEND: ({ requestId }, line) =>
        line.send('DONE', { requestId, failures: [{ index: 0, code: errorCodes.RECEIPT_STALE.number }] }),
    })
    deliver(['a', 'b'])
    const [a] = await take(world, consumer, 1)
    await world.pass(30_000)
    expect(a?.signal.aborted).toBe(true)
    deliver(['c'])
    expect((await take(world, consumer, 1)).map(({ value }) => value)).toEqual(['c'])
    expect(world.errors).toEqual([])
  })

  test('end by themselves when nothing extends them in time', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a', 'b'])
    const [a] = await take(world, consumer, 1)
    world.network.isDown = true
    world.network.cut()
    await world.pass(59_900)
    expect(a?.signal.aborted).toBe(false)
    await world.pass(200)
    expect(a?.signal.aborted).toBe(true)
  })

  test('asked for by the application are as long as it says', async () => {
    const { world, consumer, deliver } = await consuming()
    const { leaseId } = deliver(['a', 'b'])
    const [, b] = await take(world, consumer, 2)
    await world.until(b?.extend('10m') as Promise<void>)
    expect(heard(world.relay.line, 'EXTEND')).toEqual([
      { name: 'EXTEND', leaseMs: 600_000, ranges: [{ queueId: 0, leaseId, offset: 1, count: 1 }] },
    ])
    await world.pass(400_000)
    expect(world.relay.line.heard('EXTEND')).toHaveLength(1)
  })
})

describe('a lost connection', () => {
  test('brings the same member back, with the acks that have no answer', async () => {
    const { world, consumer, deliver } = await consuming({}, { ACK() {} })
    const { leaseId } = deliver(['a', 'b', 'c'])
    const [a, b] = await take(world, consumer, 2)
    const sent = watch(a?.ack() as Promise<void>)
    await world.settle()
    world.network.cut()
    await world.settle()
    const gathered = watch(b?.ack() as Promise<void>)
    world.relay.script = agreeable
    await world.pass(1_000)
    expect([sent.outcome, gathered.outcome]).toEqual(['ok', 'ok'])
    const [first, second] = world.relay.lines
    expect(second?.heard('SUBSCRIBE')[0]?.memberId).toEqual(first?.heard('SUBSCRIBE')[0]?.memberId)
    expect(second === undefined ? [] : heard(second, 'ACK')).toEqual([
      { name: 'ACK', ranges: [{ queueId: 0, leaseId, offset: 0, count: 1 }] },
      { name: 'ACK', ranges: [{ queueId: 0, leaseId, offset: 1, count: 1 }] },
    ])
  })

  test('checks the leases it still holds; what is lost is not shown any more', async () => {
    const { world, consumer, deliver } = await consuming()
    const kept = deliver(['a', 'b'])
    deliver(['c', 'd'])
    const [a] = await take(world, consumer, 1)
    world.network.cut()
    world.relay.script = {
      ...agreeable,
      EXTEND: ({ requestId, ranges }, line) => {
        const failures = ranges.flatMap(({ leaseId }, index) =>
          leaseId === kept.leaseId ? [] : [{ index, code: errorCodes.RECEIPT_STALE.number }])
        line.send('DONE', { requestId, failures })
      },
    }
    await world.pass(1_000)
    expect(a?.signal.aborted).toBe(false)
    deliver(['e'])
    expect((await take(world, consumer, 2)).map(({ value }) => value)).toEqual(['b', 'e'])
  })

  test('for longer than the grace time holds prefetched messages back until their leases are known', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a', 'b', 'c'])
    await take(world, consumer, 1)
    world.network.isDown = true
    world.network.cut()
    await world.pass(4_000)
    expect((await take(world, consumer, 1)).map(({ value }) => value)).toEqual(['b'])
    await world.pass(2_000)
    const next = watch(consumer[Symbol.asyncIterator]().next())
    await world.settle()
    expect(next.outcome).toBe('pending')
    world.network.isDown = false
    await world.pass(31_000)
    expect(next.outcome).toBe('ok')
    expect(next.value?.value?.value).toBe('c')
  })

  test('when the subscription is refused afterwards ends the consumer', async () => {
    const { world, consumer } = await consuming()
    const ended = watch(consumer.run(() => {}))
    world.network.cut()
    world.relay.script = { SUBSCRIBE: ({ requestId }, line) => line.refuse(requestId, 'TOPIC_NOT_FOUND') }
    await world.pass(1_000)
    expect(ended.outcome).toBe('TOPIC_NOT_FOUND')
    expect(world.errors).toEqual([])
  })
})

describe('BROADCASTING', () => {
  const broadcast = { mode: 'BROADCASTING' } as const
  const bodiesOf = (messages: readonly Message<string>[]) => messages.map(({ value }) => value)

  test('needs no acks, and they do nothing', async () => {
    const { world, consumer, deliver } = await consuming(broadcast)
    deliver(['a'], { leaseId: 0 })
    const [message] = await take(world, consumer, 1)
    expect(message?.attempt).toBe(0)
    await world.until(Promise.all([message?.ack(), message?.retry(), message?.extend('1s')]))
    expect(message?.signal.aborted).toBe(false)
    await world.pass(120_000)
    expect(heard(world.relay.line, 'ACK', 'RETRY', 'EXTEND')).toEqual([])
  })

  test('knows what the application has taken, and resumes behind what it has received', async () => {
    const position = { epoch: 9, offset: 4 }
    const { world, consumer, deliver } = await consuming({ ...broadcast, positions: new Map([[1, position]]) })
    expect(world.relay.line.heard('SUBSCRIBE')[0]?.positions).toEqual([{ queueId: 1, position }])
    deliver(['a', 'b', 'c'], { leaseId: 0, baseOffset: 20 })
    // Nothing passed the filter for a while.
    world.relay.line.send('DELIVER', { ...deliverOf([], { leaseId: 0 }), next: { epoch: 1, offset: 50 } })
    deliver(['z'], { leaseId: 0, queueId: 1, baseOffset: 4, epoch: 9 })
    expect(bodiesOf(await take(world, consumer, 2))).toEqual(['a', 'b'])
    expect([...consumer.positions()]).toEqual([[1, { epoch: 9, offset: 4 }], [0, { epoch: 1, offset: 22 }]])
    world.network.cut()
    await world.pass(1_000)
    expect(world.relay.line.heard('SUBSCRIBE')[0]?.positions).toEqual([
      { queueId: 1, position: { epoch: 9, offset: 5 } }, { queueId: 0, position: { epoch: 1, offset: 50 } },
    ])
    expect(bodiesOf(await take(world, consumer, 2))).toEqual(['c', 'z'])
    expect(new Map(consumer.positions())).toEqual(new Map([
      [0, { epoch: 1, offset: 50 }], [1, { epoch: 9, offset: 5 }],
    ]))
  })

  test('that has received nothing yet resumes where the relay began, so that it misses nothing meanwhile', async () => {
    const positions = [{ queueId: 0, position: { epoch: 5, offset: 70 } }]
    const { world, consumer } = await consuming(broadcast, {
      SUBSCRIBE: (frame, line) => line.send('SUBSCRIBED', { ...subscribedOf(frame), positions }),
    })
    expect([...consumer.positions()]).toEqual([[0, { epoch: 5, offset: 70 }]])
    world.network.cut()
    await world.pass(1_000)
    expect(world.relay.line.heard('SUBSCRIBE')[0]?.positions).toEqual(positions)
  })

  test('tells of a gap when everything before it was taken', async () => {
    const { world, consumer, deliver } = await consuming(broadcast)
    deliver(['a'], { leaseId: 0 })
    const expected = { epoch: 1, offset: 1 }
    const next = { epoch: 2, offset: 8 }
    world.relay.line.send('GAP', { subscriptionId: 1, queueId: 0, expected, next })
    deliver(['b'], { leaseId: 0, baseOffset: 8, epoch: 2 })
    await world.settle()
    expect(world.gaps).toEqual([])
    expect(bodiesOf(await take(world, consumer, 2))).toEqual(['a', 'b'])
    expect(world.gaps).toEqual([{ topic: 'orders', group: 'till', queueId: 0, expected, next }])
  })

  test('tells of a gap at once when nothing waits before it', async () => {
    const { world } = await consuming(broadcast)
    const position = { epoch: 1, offset: 1 }
    world.relay.line.send('GAP', { subscriptionId: 1, queueId: 0, expected: position, next: position })
    await world.settle()
    expect(world.gaps).toHaveLength(1)
  })
})

describe('running a handler', () => {
  test('acks what it returns from and retries what it throws at, and the error event says so', async () => {
    const { world, consumer, deliver } = await consuming()
    const { leaseId } = deliver(['a', 'b', 'c'])
    void consumer.run(({ value }) => {
      if (value === 'b') throw new Error('not this one')
    })
    await world.settle()
    expect(heard(world.relay.line, 'ACK', 'RETRY')).toEqual([
      {
        name: 'ACK',
        ranges: [{ queueId: 0, leaseId, offset: 0, count: 1 }, { queueId: 0, leaseId, offset: 2, count: 1 }],
      },
      { name: 'RETRY', how: 'schedule', delayMs: 0, ranges: [{ queueId: 0, leaseId, offset: 1, count: 1 }] },
    ])
    expect(world.errors).toMatchObject([{ code: 'HANDLER_FAILED', cause: { message: 'not this one' } }])
  })

  test('leaves a message alone that the handler settled itself', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a', 'b'])
    void consumer.run((message) => {
      void (message.value === 'a' ? message.retry({ after: '1s' }) : message.ack())
      if (message.value === 'b') throw new Error('after the ack')
    })
    await world.settle()
    expect(world.relay.line.heard('ACK').flatMap(({ ranges }) => ranges)).toHaveLength(1)
    expect(world.relay.line.heard('RETRY').map(({ how }) => how)).toEqual(['after'])
  })

  test('runs no more handlers at once than it may, and hands out in order', async () => {
    const { world, consumer, deliver } = await consuming()
    const started: string[] = []
    const ends = new Map<string, () => void>()
    void consumer.run(({ value }) => {
      started.push(value)
      return new Promise((resolve) => ends.set(value, resolve))
    }, { concurrency: 3 })
    deliver(['a', 'b', 'c', 'd', 'e'])
    await world.settle()
    expect(started).toEqual(['a', 'b', 'c'])
    ends.get('b')?.()
    await world.settle()
    expect(started).toEqual(['a', 'b', 'c', 'd'])
    for (const name of ['a', 'c', 'd']) ends.get(name)?.()
    await world.settle()
    ends.get('e')?.()
    await world.settle()
    const acked = world.relay.line.heard('ACK').flatMap(({ ranges }) => ranges)
    expect(acked.reduce((sum, { count }) => sum + count, 0)).toBe(5)
  })

  test('retries what an asynchronous handler rejects', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a'])
    void consumer.run(() => Promise.reject(new Error('no')))
    await world.settle()
    expect(world.relay.line.heard('RETRY')).toHaveLength(1)
    expect(world.errors.map(({ code }) => code)).toEqual(['HANDLER_FAILED'])
  })

  test('lets others have their turn when a synchronous handler takes its time', async () => {
    const { world, consumer, deliver } = await consuming()
    let clockMs = 0
    vi.spyOn(world.clock, 'monotonic').mockImplementation(() => clockMs)
    let handled = 0
    void consumer.run(() => {
      clockMs += 5
      handled++
    })
    deliver(Array.from({ length: 10 }, () => 'x'))
    while (handled === 0) world.clock.runTurn()
    expect(handled).toBeLessThan(5)
    await world.settle()
    expect(handled).toBe(10)
    expect(world.relay.line.heard('ACK').length).toBeGreaterThan(2)
  })

  test('that nobody awaits tells the error event when it is ended from outside', async () => {
    const { world, consumer } = await consuming()
    void consumer.run(() => {})
    world.relay.line.send('REVOKED', { subscriptionId: 1, code: errorCodes.TOPIC_NOT_FOUND.number, message: 'deleted' })
    await world.settle()
    expect(world.errors.map(({ code }) => code)).toEqual(['TOPIC_NOT_FOUND'])
  })

  test('is either that or iterating', async () => {
    const { world, consumer } = await consuming()
    void consumer.run(() => {})
    await expect(consumer.run(() => {})).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    await expect(consumer[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    await world.settle()
  })
})

describe('the end', () => {
  test('gives back uncounted what was not shown, then leaves', async () => {
    const { world, consumer, deliver } = await consuming()
    const first = deliver(['a', 'b', 'c'])
    const second = deliver(['d'])
    const [a] = await take(world, consumer, 1)
    void a?.ack()
    await world.until(consumer.close())
    const { line } = world.relay
    expect(line.messages.at(-1)?.map(({ name }) => name)).toEqual(['RETRY', 'UNSUBSCRIBE'])
    expect(heard(line, 'ACK', 'RETRY')).toEqual([
      { name: 'ACK', ranges: [{ queueId: 0, leaseId: first.leaseId, offset: 0, count: 1 }] },
      {
        name: 'RETRY', how: 'release', delayMs: 0,
        ranges: [
          { queueId: 0, leaseId: first.leaseId, offset: 1, count: 2 },
          { queueId: 0, leaseId: second.leaseId, offset: 0, count: 1 },
        ],
      },
    ])
    expect(consumer.close()).toBe(consumer.close())
  })

  test('breaking out of a loop closes the consumer', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a', 'b'])
    const loop = async () => {
      for await (const message of consumer) {
        void message.ack()
        break
      }
    }
    await world.until(loop())
    expect(world.relay.line.heard('UNSUBSCRIBE')).toHaveLength(1)
    expect(await consumer[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined })
  })

  test('a loop that waits comes to its end', async () => {
    const { world, consumer } = await consuming()
    const waiting = watch(consumer[Symbol.asyncIterator]().next())
    const running = watch(consumer.close())
    await world.settle()
    expect(waiting.value).toEqual({ done: true, value: undefined })
    expect(running.outcome).toBe('ok')
  })

  test('the signal closes the consumer, and one aborted before never opens it', async () => {
    const abort = new AbortController()
    const { world, consumer } = await consuming({ signal: abort.signal })
    const ended = watch(consumer.run(() => {}))
    abort.abort()
    await world.settle()
    expect(ended.outcome).toBe('ok')
    const late = world.client.topic('orders').consume({ group: 'till', signal: AbortSignal.abort() })
    await world.settle()
    expect(await late[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined })
  })

  test('waits for the handlers that run, and what they settle counts', async () => {
    const { world, consumer, deliver } = await consuming()
    let end = () => {}
    const run = watch(consumer.run(() => new Promise((resolve) => (end = resolve))))
    deliver(['a', 'b'])
    await world.settle()
    const closed = watch(consumer.close())
    await world.pass(5_000)
    expect([closed.outcome, run.outcome]).toEqual(['pending', 'pending'])
    end()
    await world.settle()
    expect([closed.outcome, run.outcome]).toEqual(['ok', 'ok'])
    expect(world.relay.line.messages.at(-1)?.map(({ name }) => name)).toEqual(['ACK', 'RETRY', 'UNSUBSCRIBE'])
  })

  test('does not wait for a handler that waits for it', async () => {
    const { world, consumer, deliver } = await consuming()
    const run = watch(consumer.run(() => consumer.close()))
    deliver(['a'])
    await world.pass(11_000)
    expect(run.outcome).toBe('ok')
    await world.settle()
    // Its message went back with the membership.
    expect(world.errors.map(({ code }) => code)).toEqual(['CLOSED'])
  })

  test('settling afterwards rejects with CLOSED, and the signal is aborted', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a', 'b', 'c'])
    const [a, b, c] = await take(world, consumer, 3)
    await world.until(consumer.close())
    expect(a?.signal.aborted).toBe(true)
    await expect(a?.ack()).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(b?.retry()).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(c?.extend('1s')).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('without a connection does not wait for one', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a'])
    const [message] = await take(world, consumer, 1)
    world.network.isDown = true
    world.network.cut()
    await world.settle()
    const ack = watch(message?.ack() as Promise<void>)
    await world.settle()
    const closed = watch(consumer.close())
    await world.settle()
    expect([closed.outcome, ack.outcome]).toEqual(['ok', 'CLOSED'])
  })

  test('a revoked subscription ends it with the code', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a', 'b'])
    const [message] = await take(world, consumer, 1)
    world.relay.line.send('REVOKED', { subscriptionId: 1, code: errorCodes.TOPIC_NOT_FOUND.number, message: 'deleted' })
    await world.settle()
    expect(message?.signal.aborted).toBe(true)
    await expect(consumer[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
  })

  test('closing the client closes its consumers, and everything settles', async () => {
    const { world, consumer, deliver } = await consuming()
    deliver(['a'])
    const [message] = await take(world, consumer, 1)
    const next = watch(consumer[Symbol.asyncIterator]().next())
    await world.until(world.client.close())
    expect(next.value).toEqual({ done: true, value: undefined })
    await expect(message?.ack()).rejects.toMatchObject({ code: 'CLOSED' })
    const consume = () => world.client.topic('orders').consume({ group: 'g' })
    expect(consume).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    expect(world.clock.nextTimerMs).toBeUndefined()
  })
})
