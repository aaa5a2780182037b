// A group that is moved while its members are connected: nothing of before is handed out any more. And clients that were
// stopped for a while, whose leases have ended without their knowing.

import { describe, expect, test } from 'vitest'
import type { Message, PushConsumer } from '../../../core/client/api.ts'
import { text } from '../../../core/client/codec.ts'
import { errorCodes } from '../../../core/error-codes.ts'
import type { Script, ScriptedLine } from '../../support/scripted-relay.ts'
import { deliverOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

const done = ({ requestId }: { requestId: number }, line: ScriptedLine) => line.send('DONE', { requestId, failures: [] })

const agreeable: Script = {
  SUBSCRIBE: ({ requestId, subscriptionId }, line) =>
    line.send('SUBSCRIBED', { requestId, subscriptionId, messageType: 'NORMAL', leaseMs: 60_000, positions: [] }),
  UNSUBSCRIBE: done,
  ACK: done,
  RETRY: done,
  EXTEND: done,
}

async function consuming(script: Script = {}): Promise<{ world: ScriptedWorld; consumer: PushConsumer<string> }> {
  const world = await ScriptedWorld.connected({ ...agreeable, ...script })
  const consumer = world.client.topic('orders', { codec: text }).consume({ group: 'till', prefetch: 8 })
  await world.until(consumer.subscribed)
  return { world, consumer }
}

async function take(world: ScriptedWorld, iterator: AsyncIterator<Message<string>>): Promise<Message<string>> {
  const { value } = await world.until(iterator.next())
  return value as Message<string>
}

const reset = (world: ScriptedWorld, queueId: number) =>
  world.relay.line.send('RESET', { subscriptionId: 1, queueId, position: { epoch: 1, offset: 0 } })

describe('a reset', () => {
  test('drops what is ahead of the application, aborts what it has, and leaves other queues alone', async () => {
    const { world, consumer } = await consuming()
    const { line } = world.relay
    line.send('DELIVER', deliverOf(['a', 'b', 'c']))
    const others = deliverOf(['p', 'q'], { queueId: 1 })
    line.send('DELIVER', others)
    line.send('DELIVER', deliverOf(['d'], { baseOffset: 3 }))
    const iterator = consumer[Symbol.asyncIterator]()
    const a = await take(world, iterator)
    reset(world, 0)
    await world.settle()
    expect(a.signal.aborted).toBe(true)
    const p = await take(world, iterator)
    expect([p.value, p.signal.aborted]).toEqual(['p', false])
    const again = deliverOf(['a again'])
    line.send('DELIVER', again)
    expect((await take(world, iterator)).value).toBe('q')
    expect((await take(world, iterator)).value).toBe('a again')
    await world.pass(70_000)
    // Only what is held still is extended.
    const extended = new Set(line.heard('EXTEND').flatMap(({ ranges }) => ranges.map(({ leaseId }) => leaseId)))
    expect([...extended].toSorted()).toEqual([others.leaseId, again.leaseId])
  })

  test.each(['CLUSTERING', 'BROADCASTING'] as const)('makes room for as much as it drops, %s', async (mode) => {
    const world = await ScriptedWorld.connected(agreeable)
    const consumer = world.client.topic('orders').consume({ group: 'till', mode, prefetch: 8, prefetchBytes: 100 })
    await world.until(consumer.subscribed)
    const { line } = world.relay
    const lease = mode === 'BROADCASTING' ? { leaseId: 0 } : {}
    const deliveries = [
      deliverOf(['1', '2', '3', '4'], lease), deliverOf(['5', '6', '7', '8'], { baseOffset: 4, ...lease }),
    ]
    for (const delivery of deliveries) line.send('DELIVER', delivery)
    await world.settle()
    const granted = () => line.heard('CREDIT').reduce(
      (sum, { messageCount, byteCount }) => [sum[0] + messageCount, sum[1] + byteCount] as const,
      [0, 0] as readonly [number, number],
    )
    expect(granted()).toEqual([8, 100])
    reset(world, 0)
    await world.settle()
    expect(granted()).toEqual([16, 100 + deliveries.reduce((sum, { record }) => sum + record.length, 0)])
  })

  test('does not let a handler have what comes from before, and an ack of it is stale', async () => {
    const stale = errorCodes.RECEIPT_STALE.number
    const { world, consumer } = await consuming({
      ACK: ({ requestId }, line) => line.send('DONE', { requestId, failures: [{ index: 0, code: stale }] }),
    })
    const got: string[] = []
    let finish = () => {}
    void consumer.run(({ value }) => {
      got.push(value)
      return new Promise((resolve) => (finish = resolve))
    })
    world.relay.line.send('DELIVER', deliverOf(['a', 'b', 'c']))
    await world.settle()
    reset(world, 0)
    await world.settle()
    finish()
    await world.settle()
    expect(got).toEqual(['a'])
    expect(world.errors.map(({ code }) => code)).toEqual(['RECEIPT_STALE'])
    await world.until(consumer.close())
    expect(world.relay.line.heard('RETRY')).toEqual([])
  })

  test('of a BROADCASTING reader goes on where it is told, without a gap', async () => {
    const world = await ScriptedWorld.connected(agreeable)
    const consumer = world.client.topic('orders', { codec: text }).consume({ group: 'till', mode: 'BROADCASTING' })
    await world.until(consumer.subscribed)
    const { line } = world.relay
    line.send('DELIVER', deliverOf(['a', 'b', 'c'], { leaseId: 0, baseOffset: 10 }))
    const iterator = consumer[Symbol.asyncIterator]()
    await take(world, iterator)
    line.send('GAP', { subscriptionId: 1, queueId: 0, expected: { epoch: 1, offset: 13 }, next: { epoch: 1, offset: 20 } })
    reset(world, 0)
    await world.settle()
    expect(consumer.positions().get(0)).toEqual({ epoch: 1, offset: 0 })
    line.send('DELIVER', deliverOf(['x'], { leaseId: 0 }))
    expect((await take(world, iterator)).value).toBe('x')
    expect(world.gaps).toEqual([])
    world.network.cut()
    await world.pass(1_000)
    expect(world.relay.line.heard('SUBSCRIBE')[0]?.positions).toEqual([{ queueId: 0, position: { epoch: 1, offset: 1 } }])
  })

  test('takes from a simple consumer what it has received and what is on its way', async () => {
    const open: { requestId: number; line: ScriptedLine }[] = []
    const world = await ScriptedWorld.connected({
      ...agreeable, RECEIVE: ({ requestId }, line) => void open.push({ requestId, line }),
    })
    const consumer = world.client.topic('orders', { codec: text }).receiver({ group: 'till' })
    await world.until(consumer.subscribed)
    const { line } = world.relay
    const answer = (bodies: readonly string[]) =>
      line.send('RECEIVED', { requestId: open.shift()?.requestId ?? 0, messageCount: bodies.length })
    const first = watch(consumer.receive())
    await world.settle()
    line.send('DELIVER', deliverOf(['a']))
    answer(['a'])
    await world.settle()
    const second = watch(consumer.receive())
    await world.settle()
    line.send('DELIVER', deliverOf(['b'], { baseOffset: 1 }))
    line.send('DELIVER', deliverOf(['p'], { queueId: 1 }))
    reset(world, 0)
    answer(['b', 'p'])
    await world.settle()
    expect(first.value?.[0]?.signal.aborted).toBe(true)
    expect(second.value?.map(({ value }) => value)).toEqual(['p'])
    const third = watch(consumer.receive())
    await world.settle()
    line.send('DELIVER', deliverOf(['a'], { attempt: 1 }))
    answer(['a'])
    await world.settle()
    expect(third.value?.map(({ value }) => value)).toEqual(['a'])
  })
})

describe('a client that was stopped for longer than its leases', () => {
  test('hands out nothing of what it had ahead', async () => {
    const { world, consumer } = await consuming()
    world.relay.line.send('DELIVER', deliverOf(['a', 'b', 'c']))
    const iterator = consumer[Symbol.asyncIterator]()
    const a = await take(world, iterator)
    world.stopClient(60_000)
    const next = watch(iterator.next())
    await Promise.resolve()
    expect(a.signal.aborted).toBe(true)
    world.relay.line.send('DELIVER', deliverOf(['b'], { attempt: 2, baseOffset: 1 }))
    await world.settle()
    expect(next.value?.value).toMatchObject({ value: 'b', attempt: 2 })
  })

  test('does not go on with its handler', async () => {
    const { world, consumer } = await consuming()
    const got: string[] = []
    let finish = () => {}
    void consumer.run(({ value }) => {
      got.push(value)
      return new Promise((resolve) => (finish = resolve))
    })
    world.relay.line.send('DELIVER', deliverOf(['a', 'b', 'c']))
    await world.settle()
    world.stopClient(60_000)
    finish()
    await world.settle()
    expect(got).toEqual(['a'])
  })

  test('nor one whose machine was asleep, so that only the wall clock went on', async () => {
    const { world, consumer } = await consuming()
    world.relay.line.send('DELIVER', deliverOf(['a', 'b', 'c']))
    const iterator = consumer[Symbol.asyncIterator]()
    await take(world, iterator)
    world.clock.jumpWall(60_000)
    const next = watch(iterator.next())
    await world.settle()
    expect(next.outcome).toBe('pending')
  })

  test.each([59_999, 4_999])('stopped for less, %i ms, it goes on', async (stoppedMs) => {
    const { world, consumer } = await consuming()
    world.relay.line.send('DELIVER', deliverOf(['a', 'b', 'c']))
    const iterator = consumer[Symbol.asyncIterator]()
    await take(world, iterator)
    world.stopClient(stoppedMs)
    expect((await take(world, iterator)).value).toBe('b')
    world.clock.jumpWall(-100_000)
    expect((await take(world, iterator)).value).toBe('c')
  })
})
