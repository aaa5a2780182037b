// The client as a whole: its connection, its events, its options, its end.

import { describe, expect, test, vi } from 'vitest'
import type { ClientOptions } from '../../../core/client/api.ts'
import { createClient } from '../../../core/client/client.ts'
import { closeCodes } from '../../../core/model/close-codes.ts'
import type { Log } from '../../../core/ports/log.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { ScriptedRelay } from '../../support/scripted-relay.ts'
import { settle } from '../../support/sim-wait.ts'
import { deliverOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

describe('connecting', () => {
  test('resolves when the relay has let it in', async () => {
    const world = new ScriptedWorld()
    expect(world.client.link).toBe('connecting')
    const connected = watch(world.client.connected)
    await world.settle()
    expect([connected.outcome, world.client.link]).toEqual(['ok', 'connected'])
  })

  test('gives the token to the relay, fixed or fetched', async () => {
    const fixed = await ScriptedWorld.connected({}, { auth: 'fixed', name: 'shop' })
    expect(fixed.relay.line.heard('HELLO')).toMatchObject([{ token: 'fixed', clientName: 'shop' }])
    const fetched = await ScriptedWorld.connected({}, { auth: async ({ reason }) => `for ${reason}` })
    expect(fetched.relay.line.heard('HELLO')[0]?.token).toBe('for connect')
  })

  test('rejects with what the relay said', async () => {
    const world = new ScriptedWorld({
      HELLO(_frame, line) {
        line.refuse(0, 'UNAUTHENTICATED')
        line.close(closeCodes.UNAUTHENTICATED)
      },
    })
    const connected = world.until(world.client.connected)
    await expect(connected).rejects.toMatchObject({ code: 'UNAUTHENTICATED', retryable: false })
    expect(world.client.link).toBe('closed')
  })

  test('rejects when its time is over', async () => {
    const world = new ScriptedWorld({}, { connectTimeout: '3s' }, { isDown: true })
    const connected = watch(world.client.connected)
    await world.pass(2_900)
    expect(connected.outcome).toBe('pending')
    await world.pass(200)
    expect([connected.outcome, world.client.link]).toEqual(['CONNECTION_REFUSED', 'closed'])
    await world.until(world.client.close())
  })

  test('ends with its signal', async () => {
    const abort = new AbortController()
    const world = new ScriptedWorld({}, { signal: abort.signal }, { isDown: true })
    const connected = watch(world.client.connected)
    await world.settle()
    abort.abort(new Error('the page is closed'))
    await world.settle()
    expect([connected.outcome, world.client.link]).toEqual(['ABORTED', 'closed'])
    await expect(world.client.connected).rejects.toMatchObject({ cause: { message: 'the page is closed' } })
    expect(world.clock.nextTimerMs).toBeUndefined()
  })

  test.each([
    [{ name: 'x'.repeat(513) }],
    [{ connectTimeout: 'soon' as '1s' }],
    [{ requestTimeout: -1 }],
  ])('with bad options throws BAD_ARGUMENT', (options: ClientOptions) => {
    expect(() => new ScriptedWorld({}, options)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
  })

  test('a topic of a bad name throws BAD_NAME', async () => {
    const world = await ScriptedWorld.connected()
    expect(() => world.client.topic('no such name')).toThrow(expect.objectContaining({ code: 'BAD_NAME' }))
    expect(world.client.topic('__proto__').name).toBe('__proto__')
  })
})

describe('events', () => {
  test('tell of the link and why it is gone', async () => {
    const world = new ScriptedWorld()
    const states: string[] = []
    world.client.on('link', ({ state, error }) => states.push(error === undefined ? state : `${state} ${error.code}`))
    await world.settle()
    world.relay.line.close(closeCodes.SLOW_READER, 'too slow')
    await world.pass(1_000)
    await world.until(world.client.close())
    expect(states).toEqual(['connected', 'waiting CONNECTION_LOST', 'connecting', 'connected', 'closed'])
  })

  test('a listener that throws disturbs nobody', async () => {
    const errors: string[] = []
    const log: Log = { error: (event) => errors.push(event), info() {}, debug() {} }
    const clock = new SimClock()
    const relay = new ScriptedRelay(clock)
    const client = createClient({ dialler: relay.dialler, clock, random: createSimRandom(1), log })
    const heard = vi.fn()
    client.on('link', () => {
      throw new Error('mine')
    })
    client.on('link', heard)
    await settle(clock)
    expect(heard).toHaveBeenCalledOnce()
    expect(errors).toEqual(['a listener threw'])
  })

  test('a listener that was taken away hears nothing, one added twice hears twice', async () => {
    const world = new ScriptedWorld()
    const gone = vi.fn()
    const twice = vi.fn()
    world.client.on('link', gone)()
    world.client.on('link', twice)
    const remove = world.client.on('link', twice)
    await world.settle()
    remove()
    remove()
    world.relay.line.close(closeCodes.OVERLOADED)
    await world.settle()
    expect(gone).not.toHaveBeenCalled()
    expect(twice).toHaveBeenCalledTimes(3)
  })
})

describe('the end', () => {
  test('may be asked for again and again', async () => {
    const world = await ScriptedWorld.connected()
    expect(world.client.close()).toBe(world.client.close())
    await world.until(Promise.resolve(world.client[Symbol.asyncDispose]()))
    expect(world.relay.line.ending?.code).toBe(closeCodes.NORMAL)
    expect(world.clock.nextTimerMs).toBeUndefined()
  })

  test('comes with the block that the client was made in', async () => {
    let client: ScriptedWorld['client'] | undefined
    const world = await ScriptedWorld.connected()
    const block = async () => {
      await using own = world.client
      client = own
    }
    await world.until(block())
    expect(client?.link).toBe('closed')
  })

  test('settles everything that waits', async () => {
    const world = await ScriptedWorld.connected()
    const { client } = world
    const consumer = client.topic('orders').consume({ group: 'g' })
    const receiver = client.topic('orders').receiver({ group: 'g' })
    const outcomes = [
      client.topic('orders').send(1),
      consumer.subscribed,
      consumer.run(() => {}),
      receiver.receive(),
      receiver.subscribed,
      client.topic('orders').pull({ queueId: 0 })[Symbol.asyncIterator]().next(),
      client.admin.describeTopic('orders'),
    ].map((promise) => watch<unknown>(promise))
    await world.settle()
    const closed = watch(client.close())
    await world.pass(31_000)
    expect(closed.outcome).toBe('ok')
    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      'CLOSED', 'CLOSED', 'ok', 'CLOSED', 'CLOSED', 'ok', 'TIMEOUT',
    ])
    await expect(world.until(client.admin.listTopics())).rejects.toMatchObject({ code: 'CLOSED' })
    expect(() => client.topic('orders').receiver({ group: 'g' })).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    expect(() => client.topic('orders').pull({ queueId: 0 })).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    await expect(client.topic('orders').send(1)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(world.clock.nextTimerMs).toBeUndefined()
  })

  test('lets a handler that is still at work send', async () => {
    const world = await ScriptedWorld.connected({
      SUBSCRIBE: ({ requestId, subscriptionId }, line) =>
        line.send('SUBSCRIBED', { requestId, subscriptionId, messageType: 'NORMAL', leaseMs: 1_000, positions: [] }),
      UNSUBSCRIBE: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
      PUBLISH: ({ requestId }, line) =>
        line.send('PUBLISHED', { requestId, duplicate: false, isRelaxed: false, storedMs: 1, segments: [], scheduled: [] }),
    })
    const { client } = world
    const consumer = client.topic('orders').consume({ group: 'g' })
    await world.until(consumer.subscribed)
    let finish = () => {}
    const work = new Promise<void>((resolve) => (finish = resolve))
    let sent: ReturnType<typeof watch> | undefined
    void consumer.run(async () => {
      await work
      sent = watch(client.topic('results').send('done'))
    })
    world.relay.line.send('DELIVER', deliverOf(['"a"']))
    await world.settle()
    const closed = watch(client.close())
    await world.pass(1_000)
    finish()
    await world.pass(1_000)
    expect([sent?.outcome, closed.outcome]).toEqual(['ok', 'ok'])
  })
})
