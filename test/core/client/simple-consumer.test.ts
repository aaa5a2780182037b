// Simple consumers against a relay that answers receives as the test says.

import { describe, expect, test } from 'vitest'
import type { Message, SimpleConsumer } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { errorCodes } from '../../../core/error-codes.ts'
import { tagHashOf } from '../../../core/model/filter.ts'
import type { FrameFields } from '../../../core/protocol/frames.ts'
import type { Script, ScriptedLine } from '../../support/scripted-relay.ts'
import { deliverOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

type Receive = FrameFields<'RECEIVE'>

const done = ({ requestId }: { requestId: number }, line: ScriptedLine) =>
  line.send('DONE', { requestId, failures: [] })

const agreeable: Script = {
  SUBSCRIBE: ({ requestId, subscriptionId }, line) =>
    line.send('SUBSCRIBED', { requestId, subscriptionId, messageType: 'NORMAL', leaseMs: 60_000, positions: [] }),
  UNSUBSCRIBE: done,
  ACK: done,
  RETRY: done,
  EXTEND: done,
}

interface ReceiverWorld {
  readonly world: ScriptedWorld
  readonly consumer: SimpleConsumer<string>
  /** Receives that the relay has heard and not answered. */
  readonly open: { readonly receive: Receive; readonly line: ScriptedLine }[]
}

async function receiving(script: Script = {}, filter = '*'): Promise<ReceiverWorld> {
  const open: ReceiverWorld['open'] = []
  const world = await ScriptedWorld.connected({
    ...agreeable,
    RECEIVE: (receive, line) => {
      open.push({ receive, line })
    },
    ...script,
  })
  const consumer = world.client.topic('orders', { codec: text }).receiver({ group: 'till', filter })
  await world.until(consumer.subscribed)
  return { world, consumer, open }
}

/** Answers the oldest open receive with a delivery of these bodies, or with nothing. */
function answer(
  { open }: ReceiverWorld, bodies: readonly string[], delivery: Partial<FrameFields<'DELIVER'>> = {},
): FrameFields<'DELIVER'> {
  const { receive, line } = open.shift() as ReceiverWorld['open'][number]
  const frame = { ...deliverOf(bodies), ...delivery }
  if (bodies.length > 0) line.send('DELIVER', frame)
  line.send('RECEIVED', { requestId: receive.requestId, messageCount: bodies.length })
  return frame
}

const bodiesOf = (messages: readonly Message<string>[] | undefined) => messages?.map(({ value }) => value)

describe('receive', () => {
  test('asks with what the caller wants, and gives what came', async () => {
    const context = await receiving()
    const { world, consumer, open } = context
    const got = watch(consumer.receive({ max: 5, wait: '3s', lease: '20s' }))
    await world.settle()
    expect(open[0]?.receive).toMatchObject({ messageCountMax: 5, waitMs: 3_000, leaseMs: 20_000 })
    answer(context, ['a', 'b'], { attempt: 2 })
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['a', 'b'])
    expect(got.value?.[0]?.attempt).toBe(2)
    await world.until(Promise.all(got.value?.map((message) => message.ack()) ?? []))
    expect(world.relay.line.heard('ACK')).toHaveLength(1)
  })

  test('gives an empty list when its wait is over', async () => {
    const context = await receiving()
    const { world, consumer } = context
    const got = watch(consumer.receive({ wait: '3s' }))
    await world.pass(3_000)
    answer(context, [])
    await world.settle()
    expect(got.value).toEqual([])
  })

  test('asks again when the relay waits less long than the caller', async () => {
    const context = await receiving()
    const { world, consumer, open } = context
    const got = watch(consumer.receive({ wait: '30s' }))
    await world.pass(20_000)
    const first = open[0]?.receive.attemptId
    answer(context, [])
    await world.settle()
    expect(open[0]?.receive).toMatchObject({ waitMs: 10_000 })
    expect(open[0]?.receive.attemptId).not.toBe(first)
    answer(context, ['a'])
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['a'])
  })

  test('calls that come together are answered one after the other', async () => {
    const context = await receiving()
    const { world, consumer, open } = context
    const gots = [watch(consumer.receive()), watch(consumer.receive()), watch(consumer.receive())]
    await world.settle()
    for (const body of ['a', 'b', 'c']) {
      expect(open).toHaveLength(1)
      answer(context, [body])
      await world.settle()
    }
    expect(gots.map(({ value }) => bodiesOf(value))).toEqual([['a'], ['b'], ['c']])
  })

  test('waits for the subscription', async () => {
    const world = new ScriptedWorld({ ...agreeable })
    const consumer = world.client.topic('orders', { codec: text }).receiver({ group: 'till' })
    const got = watch(consumer.receive({ wait: 0 }))
    world.relay.script = {
      ...agreeable,
      RECEIVE: ({ requestId }, line) => line.send('RECEIVED', { requestId, messageCount: 0 }),
    }
    await world.settle()
    expect(got.value).toEqual([])
  })

  test('leaves out what only has the same hash of a tag, and acks it', async () => {
    const context = await receiving({}, 'paid')
    const { world, consumer } = context
    const got = watch(consumer.receive())
    await world.settle()
    const headers = [{ tag: 'other' }, { tag: 'paid' }]
    const hash = tagHashOf('paid')
    answer(context, ['a', 'b'], deliverOf(['a', 'b'], { headers, tagHashes: [hash, hash] }))
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['b'])
    expect(world.relay.line.heard('ACK').flatMap(({ ranges }) => ranges)).toMatchObject([{ offset: 0, count: 1 }])
  })

  test('refused for now is asked again, refused for good rejects', async () => {
    const { world, consumer, open } = await receiving()
    const got = watch(consumer.receive())
    await world.settle()
    open[0]?.line.refuse(open.shift()?.receive.requestId ?? 0, 'OVERLOADED', 100)
    await world.pass(1_000)
    expect(open).toHaveLength(1)
    open[0]?.line.refuse(open.shift()?.receive.requestId ?? 0, 'FORBIDDEN')
    await world.settle()
    expect(got.outcome).toBe('FORBIDDEN')
  })

  test('that no relay answers ends with TIMEOUT', async () => {
    const { world, consumer } = await receiving()
    const got = watch(consumer.receive({ wait: '5s' }))
    await world.pass(34_000)
    expect(got.outcome).toBe('pending')
    await world.pass(2_000)
    expect(got.outcome).toBe('TIMEOUT')
  })

  test.each([
    [{ max: 0 }, 'BAD_ARGUMENT'],
    [{ max: 1.5 }, 'BAD_ARGUMENT'],
    [{ wait: 'long' as '1s' }, 'BAD_ARGUMENT'],
    [{ signal: AbortSignal.abort() }, 'ABORTED'],
  ])('%o rejects', async (options, code) => {
    const { world, consumer, open } = await receiving()
    const got = watch(consumer.receive(options))
    await world.settle()
    expect(got.outcome).toBe(code)
    expect(open).toEqual([])
  })
})

describe('a caller that has gone', () => {
  test('gets ABORTED, and what the relay found for it goes back uncounted', async () => {
    const context = await receiving()
    const { world, consumer, open } = context
    const abort = new AbortController()
    const got = watch(consumer.receive({ signal: abort.signal }))
    await world.settle()
    abort.abort()
    const next = watch(consumer.receive())
    await world.settle()
    expect(got.outcome).toBe('ABORTED')
    expect(open).toHaveLength(1)
    const { leaseId } = answer(context, ['a', 'b'])
    await world.settle()
    expect(world.relay.line.heard('RETRY')).toMatchObject([
      { how: 'release', ranges: [{ leaseId, offset: 0, count: 2 }] },
    ])
    answer(context, ['c'])
    await world.settle()
    expect(bodiesOf(next.value)).toEqual(['c'])
  })

  test('before it was its turn is never asked for', async () => {
    const context = await receiving()
    const { world, consumer, open } = context
    const first = watch(consumer.receive())
    const abort = new AbortController()
    const second = watch(consumer.receive({ signal: abort.signal }))
    await world.settle()
    abort.abort()
    answer(context, ['a'])
    await world.settle()
    expect([first.outcome, second.outcome, open.length]).toEqual(['ok', 'ABORTED', 0])
  })
})

describe('leases', () => {
  test('are the application’s to extend, and abort the signal when they end', async () => {
    const context = await receiving()
    const { world, consumer } = context
    const got = watch(consumer.receive())
    await world.settle()
    answer(context, ['a', 'b'], { leaseMs: 10_000 })
    await world.settle()
    const [a] = got.value ?? []
    await world.pass(8_000)
    expect(world.relay.line.heard('EXTEND')).toEqual([])
    await world.until(a?.extend('10s') as Promise<void>)
    await world.pass(9_000)
    expect(a?.signal.aborted).toBe(false)
    await world.pass(2_000)
    expect(a?.signal.aborted).toBe(true)
  })
})

describe('a lost connection', () => {
  test('is followed by the same receive, which brings what was lost on the way', async () => {
    const context = await receiving()
    const { world, consumer, open } = context
    const got = watch(consumer.receive({ wait: '10s' }))
    await world.settle()
    const first = open.shift()
    const lost = deliverOf(['a', 'b'])
    first?.line.send('DELIVER', lost)
    await world.settle()
    world.network.cut()
    await world.pass(1_000)
    expect(open[0]?.receive.attemptId).toBe(first?.receive.attemptId)
    expect(open[0]?.receive.waitMs).toBeLessThan(10_000)
    answer(context, ['a', 'b'], lost)
    await world.settle()
    expect(bodiesOf(got.value)).toEqual(['a', 'b'])
    await world.until(Promise.all(got.value?.map((message) => message.ack()) ?? []))
  })

  test('does not bring a second time what the application has already', async () => {
    const context = await receiving()
    const { world, consumer, open } = context
    const held = watch(consumer.receive())
    await world.settle()
    const frame = answer(context, ['a'])
    await world.settle()
    const got = watch(consumer.receive({ wait: '60s' }))
    await world.settle()
    open.shift()
    world.network.cut()
    await world.pass(1_000)
    // The relay repeats all that the member holds.
    answer(context, ['a'], frame)
    await world.settle()
    expect(got.outcome).toBe('pending')
    answer(context, ['b'])
    await world.settle()
    expect([bodiesOf(held.value), bodiesOf(got.value)]).toEqual([['a'], ['b']])
  })
})

describe('the end', () => {
  test('leaves the group and rejects who waits', async () => {
    const { world, consumer } = await receiving()
    const outcomes = [watch(consumer.receive()), watch(consumer.receive())]
    await world.settle()
    await world.until(consumer.close())
    await world.settle()
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['CLOSED', 'CLOSED'])
    expect(world.relay.line.heard('UNSUBSCRIBE')).toHaveLength(1)
    await expect(consumer.receive()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(consumer.close()).toBe(consumer.close())
  })

  test('by the relay rejects with its code', async () => {
    const { world, consumer } = await receiving()
    const got = watch(consumer.receive())
    await world.settle()
    world.relay.line.send('REVOKED', { subscriptionId: 1, code: errorCodes.TOPIC_NOT_FOUND.number, message: 'gone' })
    await world.settle()
    expect(got.outcome).toBe('TOPIC_NOT_FOUND')
    await expect(consumer.receive()).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' })
  })
})
