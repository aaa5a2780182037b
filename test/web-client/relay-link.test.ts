// A device's outbox and copies against a real broker: what is stored goes out once and in order, whatever ends meanwhile,
// and what was copied is read with and without a connection.

import { describe, expect, test } from 'vitest'
import { text } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import { authenticateAnybody } from '../../core/session/auth.ts'
import { copiedTopicKey, outboxBatchKey, queueStateKey, recordKey, topicKey } from '../../core/storage/keys.ts'
import type { OutboxSend } from '../../web-client/engine/relay-link.ts'
import { bodyOf, collect, DeviceWorld } from './device-world.ts'

const codeOf = (promise: Promise<unknown>) => promise.then(() => 'none', (error: PocketError) => error.code)
const numbers = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index}`)

describe('the outbox', () => {
  test('stores what is sent offline, and sends it once there is a relay, in order per producer', async () => {
    const world = await DeviceWorld.open()
    world.goOffline()
    await world.relay.pass(10)
    const a = world.producer('orders', { producerId: '00000000000000aa' })
    const b = world.producer('orders', { producerId: '00000000000000bb' })
    const sends = [...world.send(a, ['a0', 'a1']), ...world.send(b, ['b0'])]
    await world.relay.settle()
    const more = world.send(a, ['a2'])
    const stored = await world.until(Promise.all(sends.map((send) => send.stored)))
    expect(stored.map(({ messageId }) => messageId)).toContain('00000000000000aa-0-1')
    expect(stored.every(({ duplicate }) => !duplicate)).toBe(true)
    await world.until(Promise.all(more.map((send) => send.stored)))
    expect(world.link.status.outboxCount).toBe(4)
    world.goOnline()
    world.link.nudge()
    const receipts = await world.until(Promise.all([...sends, ...more].map((send) => send.relayed)))
    expect(receipts.every(({ offset, duplicate }) => offset !== undefined && !duplicate)).toBe(true)
    const found = await world.atRelay('orders')
    expect(found).toHaveLength(receipts.length)
    for (const { queueId } of found) {
      const ofA = found.filter((message) => message.queueId === queueId && message.text.startsWith('a'))
      expect(ofA.map(({ text }) => text)).toEqual(ofA.map(({ text }) => text).sort())
    }
    await world.relay.pass(1_000)
    expect(world.link.status).toMatchObject({ link: 'connected', outboxCount: 0, outboxBytes: 0 })
    expect(world.outbox.peek({ from: outboxBatchKey(0), to: outboxBatchKey(1e9) })).toEqual([])
  })

  test('goes on by itself after the engine died, without any page, and under the same ids', async () => {
    const world = await DeviceWorld.open()
    world.goOffline()
    const sends = world.send(world.producer('orders'), numbers('m', 20))
    const stored = await world.until(Promise.all(sends.map((send) => send.stored)))
    world.crash()
    world.goOnline()
    await world.reopen()
    await world.relay.pass(2_000)
    const found = await world.atRelay('orders')
    expect(found.map(({ messageId }) => messageId).sort()).toEqual(stored.map(({ messageId }) => messageId).sort())
    expect(world.link.status.outboxCount).toBe(0)
  })

  test('recognises what a page sends again, also after the engine died, and stores it once', async () => {
    const world = await DeviceWorld.open()
    world.goOffline()
    const first = world.send(world.producer('orders'), ['m0', 'm1'])
    await world.until(Promise.all(first.map((send) => send.stored)))
    await world.restart()
    const again = world.producer('orders')
    const sends = world.send(again, ['m0', 'm1', 'm2'])
    expect(await world.until(Promise.all(sends.map((send) => send.stored)))).toEqual([
      { messageId: '00000000000000aa-0-0', duplicate: true },
      { messageId: '00000000000000aa-0-1', duplicate: true },
      { messageId: '00000000000000aa-0-2', duplicate: false },
    ])
    world.goOnline()
    const receipts = await world.until(Promise.all(sends.map((send) => send.relayed)))
    expect(receipts.map(({ messageId }) => messageId)).toEqual([0, 1, 2].map((sequence) => `00000000000000aa-0-${sequence}`))
    expect((await world.atRelay('orders')).map(({ text }) => text).sort()).toEqual(['m0', 'm1', 'm2'])
    // Long relayed.
    await world.restart()
    const late = world.send(world.producer('orders', { sequenceNext: 2 }), ['m2'])
    expect(await world.until((late[0] as (typeof late)[0]).relayed)).toMatchObject({ duplicate: true, offset: undefined })
    expect(await world.atRelay('orders')).toHaveLength(3)
  })

  test('takes out what the relay refuses for good, tells it, and the rest goes on under the next epoch', async () => {
    const world = await DeviceWorld.open()
    const admin = await world.relay.connect()
    await world.until(admin.admin.createTopic('orders', { messageType: 'NORMAL', queueCount: 1 }))
    world.goOffline()
    const producer = world.producer('orders')
    const good = world.send(producer, ['m0'])
    const bad = world.send(producer, ['bad'], { messageGroup: 'none here' })
    const rest = world.send(producer, ['m1', 'm2'])
    await world.until(Promise.all([...good, ...bad, ...rest].map((send) => send.stored)))
    world.goOnline()
    expect(await world.until(codeOf((bad[0] as (typeof bad)[0]).relayed))).toBe('MESSAGE_TYPE_MISMATCH')
    const receipts = await world.until(Promise.all([...good, ...rest].map((send) => send.relayed)))
    expect(receipts.map(({ messageId }) => messageId))
      .toEqual(['00000000000000aa-0-0', '00000000000000aa-1-0', '00000000000000aa-1-1'])
    expect(world.refusals).toMatchObject([{ topic: 'orders', messageIds: ['00000000000000aa-0-1'] }])
    expect((await world.atRelay('orders')).map(({ text }) => text)).toEqual(['m0', 'm1', 'm2'])
    // The page counts on from what it was told, in either way.
    await world.restart()
    const [old] = world.send(world.producer('orders', { sequenceNext: 3 }), ['m2', 'm3'])
    const [now] = world.send(world.producer('orders', { producerEpoch: 1, sequenceNext: 1 }), ['m2', 'm3'])
    const [refused] = world.send(world.producer('orders', { sequenceNext: 1 }), ['bad'])
    expect(await world.until(old?.stored as Promise<unknown>)).toEqual({ messageId: '00000000000000aa-1-1', duplicate: true })
    expect(await world.until(now?.stored as Promise<unknown>)).toEqual({ messageId: '00000000000000aa-1-1', duplicate: true })
    expect(await world.until(codeOf(refused?.relayed as Promise<unknown>))).toBe('MESSAGE_TYPE_MISMATCH')
    await world.relay.pass(1_000)
    expect((await world.atRelay('orders')).map(({ text }) => text)).toEqual(['m0', 'm1', 'm2', 'm3'])
  })

  test('refuses what is over its bound, and takes more once the relay has some', async () => {
    const world = await DeviceWorld.open({ outboxBytesMax: 4_000 })
    world.goOffline()
    const producer = world.producer('orders')
    const large = 'x'.repeat(1_500)
    const [one] = world.send(producer, [large])
    await world.until(one?.stored as Promise<unknown>)
    const [two] = world.send(producer, [large])
    await world.until(two?.stored as Promise<unknown>)
    const [three] = world.send(producer, [large])
    expect(await codeOf(three?.stored as Promise<unknown>)).toBe('STORE_FULL')
    world.goOnline()
    await world.until(two?.relayed as Promise<unknown>)
    const [four] = world.send(producer, ['small'])
    expect(await world.until(four?.relayed as Promise<unknown>)).toMatchObject({ messageId: '00000000000000aa-0-2' })
  })

  test('says so when the device is full, and nothing stands before what comes next', async () => {
    const world = await DeviceWorld.open()
    world.goOffline()
    const producer = world.producer('orders')
    world.outbox.faults.capacityBytes = 100
    const refused = world.send(producer, ['m0', 'm1'])
    expect(await world.until(Promise.all(refused.map((send) => codeOf(send.stored))))).toEqual(['STORE_FULL', 'STORE_FULL'])
    world.outbox.faults.capacityBytes = Infinity
    const [send] = world.send(producer, ['m2'])
    expect(await world.until(send?.stored as Promise<unknown>)).toEqual({ messageId: '00000000000000aa-0-0', duplicate: false })
    world.goOnline()
    await world.until(send?.relayed as Promise<unknown>)
    expect((await world.atRelay('orders')).map(({ text }) => text)).toEqual(['m2'])
  })

  test('takes nothing behind a refusal until an owner that is told of it later opens the producer anew', async () => {
    const world = await DeviceWorld.open()
    world.goOffline()
    const told: string[] = []
    const tell = (what: string) => (result: unknown) => void told.push(`${what} ${(result as PocketError).code ?? 'stored'}`)
    const follow = (send: OutboxSend | undefined, what: string) => send?.stored.then(tell(what), tell(what))
    const producer = world.producer('orders', {}, () => told.push('stopped'))
    follow(world.send(producer, ['m0'])[0], 'm0')
    // Too large: refused at once, and told behind what came before.
    follow(world.send(producer, ['x'.repeat(2 ** 21)])[0], 'bad')
    expect(producer.isStopped).toBe(true)
    await world.relay.pass(100)
    expect(told).toEqual(['m0 stored', 'stopped', 'bad MESSAGE_TOO_LARGE'])
    // The engine dies before the page hears of any of it: numbers are as they were.
    await world.restart()
    const again = world.send(world.producer('orders'), ['m0', 'm1'])
    const stored = await world.until(Promise.all(again.map((send) => send.stored)))
    expect(stored.map(({ duplicate }) => duplicate)).toEqual([true, false])
    // A commit that fails stops it too, with all that waited.
    const full = world.producer('orders', { sequenceNext: 2 }, () => told.push('stopped again'))
    world.outbox.faults.capacityBytes = 100
    const refused = world.send(full, ['m2', 'm3'])
    expect(await world.until(Promise.all(refused.map((send) => codeOf(send.stored))))).toEqual(['STORE_FULL', 'STORE_FULL'])
    expect(full.isStopped).toBe(true)
    expect(told.at(-1)).toBe('stopped again')
    world.outbox.faults.capacityBytes = Infinity
    const [next] = world.send(world.producer('orders', { sequenceNext: 2 }), ['m4'])
    expect(await world.until(next?.stored as Promise<unknown>)).toEqual({ messageId: '00000000000000aa-0-2', duplicate: false })
  })

  test('skips a damaged batch, tells it, and sends the others', async () => {
    const world = await DeviceWorld.open()
    world.goOffline()
    const producer = world.producer('orders')
    for (const text of ['m0', 'm1', 'm2']) {
      await world.until(Promise.all(world.send(producer, [text]).map((send) => send.stored)))
    }
    const entries = world.outbox.peek({ from: outboxBatchKey(0), to: outboxBatchKey(1e9) })
    world.crash()
    world.outbox.flipBit(entries[1]?.key)
    world.goOnline()
    await world.reopen()
    expect(world.errors.map(({ code }) => code)).toContain('RECORD_DAMAGED')
    await world.relay.pass(3_000)
    expect((await world.atRelay('orders')).map(({ text }) => text).sort()).toEqual(['m0', 'm2'])
    expect(world.outbox.peek({ from: outboxBatchKey(0), to: outboxBatchKey(1e9) })).toHaveLength(1)
    expect(world.link.status.outboxCount).toBe(0)
  })

  test('sends again what the relay had not answered when it died', async () => {
    const world = await DeviceWorld.open()
    const producer = world.producer('orders')
    const sends = world.send(producer, numbers('m', 10))
    await world.until(Promise.all(sends.map((send) => send.stored)))
    world.relay.stopBroker()
    const more = world.send(producer, numbers('n', 5))
    await world.until(Promise.all(more.map((send) => send.stored)))
    await world.relay.startBroker()
    await world.until(Promise.all([...sends, ...more].map((send) => send.relayed)))
    expect(await world.atRelay('orders')).toHaveLength(15)
  })

  test('closes a producer once its sends are stored', async () => {
    const world = await DeviceWorld.open()
    world.goOffline()
    const producer = world.producer('orders')
    const [send] = world.send(producer, ['m0'])
    let isStored = false
    send?.stored.then(() => {
      isStored = true
    })
    await world.until(producer.close())
    expect(isStored).toBe(true)
    expect(await codeOf(producer.send(bodyOf('late')).stored)).toBe('CLOSED')
  })
})

describe('copies', () => {
  const consume = (world: DeviceWorld, options: Partial<Parameters<DeviceWorld['link']['broadcast']>[1]> = {}) =>
    world.link.broadcast('news', { group: 'readers', mode: 'BROADCASTING', ...options })

  interface News {
    readonly world: DeviceWorld
    readonly publish: (texts: readonly string[], tag?: string) => Promise<void>
  }

  async function relayWithNews(): Promise<News> {
    const world = await DeviceWorld.open()
    const client = await world.relay.connect()
    await world.until(client.admin.createTopic('news', { queueCount: 1 }))
    const topic = client.topic<string>('news', { codec: text })
    return {
      world,
      publish: async (texts, tag) => {
        await world.until(Promise.all(texts.map((each) => topic.send(each, tag === undefined ? {} : { tag }))))
        await world.relay.pass(100)
      },
    }
  }

  test('begin at the latest, and give what comes from then on', async () => {
    const { world, publish } = await relayWithNews()
    await publish(['before'])
    const consumer = consume(world)
    const { texts } = collect(consumer)
    await world.until(consumer.subscribed)
    await world.relay.pass(100)
    await publish(['m0', 'm1'])
    await publish(['m2'])
    expect(texts).toEqual(['m0', 'm1', 'm2'])
    expect([...consumer.positions().values()]).toMatchObject([{ offset: 4 }])
    expect(world.gaps).toEqual([])
  })

  test('begin at the earliest where asked, and go back where they began later', async () => {
    const { world, publish } = await relayWithNews()
    await publish(['m0', 'm1'])
    const latest = consume(world)
    const { texts } = collect(latest)
    await world.until(latest.subscribed)
    await world.relay.pass(100)
    await publish(['m2'])
    const earliest = consume(world, { group: 'others', from: 'earliest' })
    const { texts: all } = collect(earliest)
    await world.until(earliest.subscribed)
    await world.relay.pass(1_000)
    await publish(['m3'])
    expect(all).toEqual(['m0', 'm1', 'm2', 'm3'])
    expect(texts).toEqual(['m2', 'm3'])
    expect(world.gaps).toEqual([])
  })

  test('are read on while offline, and a group goes on where it was after the engine died', async () => {
    const { world, publish } = await relayWithNews()
    await publish(['m0', 'm1', 'm2', 'm3'])
    const first = consume(world, { from: 'earliest' })
    const iterator = first[Symbol.asyncIterator]()
    const taken = [await world.until(iterator.next()), await world.until(iterator.next())]
    expect(taken.map(({ value }) => new TextDecoder().decode(value?.body))).toEqual(['m0', 'm1'])
    void iterator.next()
    await world.relay.pass(500)
    world.relay.network.isDown = true
    await world.restart()
    const second = consume(world)
    const { texts } = collect(second)
    await world.until(second.subscribed)
    await world.relay.pass(500)
    // The third was in hand.
    expect(texts).toEqual(['m2', 'm3'])
    const other = consume(world, { group: 'others', from: 'earliest' })
    const { texts: all } = collect(other)
    await world.relay.pass(500)
    expect(all).toEqual(['m0', 'm1', 'm2', 'm3'])
    world.goOnline()
    world.link.nudge()
    await publish(['m4'])
    await world.relay.pass(1_000)
    expect(texts).toEqual(['m2', 'm3', 'm4'])
    expect(all.slice(4)).toEqual(['m4'])
    expect(world.gaps).toEqual([])
  })

  test('give what passes the filter, and stand behind what does not', async () => {
    const { world, publish } = await relayWithNews()
    const tags = consume(world, { group: 'tags', from: 'earliest', filter: 'a || b' })
    const sql = consume(world, { group: 'sql', from: 'earliest', filter: { sql: `TAGS = 'c'` } })
    const [ofTags, ofSql] = [collect(tags), collect(sql)]
    await publish(['a0'], 'a')
    await publish(['c0', 'c1'], 'c')
    await publish(['b0'], 'b')
    await publish(['d0'], 'd')
    await world.relay.pass(1_000)
    expect(ofTags.texts).toEqual(['a0', 'b0'])
    expect(ofSql.texts).toEqual(['c0', 'c1'])
    for (const consumer of [tags, sql]) expect([...consumer.positions().values()]).toMatchObject([{ offset: 5 }])
    expect(world.gaps).toEqual([])
  })

  test('echo what this device sends, at once and marked, and give it again from the relay', async () => {
    const { world } = await relayWithNews()
    const consumer = consume(world, { echo: true })
    const { texts, messages } = collect(consumer)
    await world.until(consumer.subscribed)
    await world.relay.pass(100)
    world.goOffline()
    const [send] = world.send(world.producer('news'), ['mine'])
    const { messageId } = await world.until(send?.stored as OutboxStored)
    await world.relay.settle()
    expect(texts).toEqual(['(mine)'])
    expect(messages[0]?.messageId).toBe(messageId)
    expect([...consumer.positions().values()]).toMatchObject([{ offset: 0 }])
    world.goOnline()
    world.link.nudge()
    await world.relay.pass(2_000)
    expect(texts).toEqual(['(mine)', 'mine'])
    expect(messages[1]?.messageId).toBe(messageId)
  })

  test.each([
    ['the topic', topicKey('news')], ['where it begins', copiedTopicKey('news')], ['a queue', queueStateKey(1, 0)],
  ])('are made anew where what they keep of %s is damaged, and readers go on', async (_, key) => {
    const { world, publish } = await relayWithNews()
    const first = consume(world, { from: 'earliest' })
    const { texts } = collect(first)
    await publish(['m0', 'm1'])
    await world.relay.pass(1_000)
    expect(texts).toEqual(['m0', 'm1'])
    world.crash()
    expect(world.replica.flipBit(key)).toBe(true)
    await world.reopen()
    expect(world.errors.map(({ code }) => code)).toContain('RECORD_DAMAGED')
    const second = consume(world, { from: 'earliest' })
    const again = collect(second)
    await publish(['m2'])
    await world.relay.pass(1_000)
    expect(again.texts.at(-1)).toBe('m2')
    expect(world.gaps).toEqual([])
  })

  test('skip a damaged record, tell of a gap, and go on behind it', async () => {
    const { world, publish } = await relayWithNews()
    const first = consume(world, { group: 'first', from: 'earliest' })
    await world.until(first.subscribed)
    for (const each of ['m0', 'm1', 'm2']) await publish([each])
    await world.relay.pass(500)
    world.crash()
    expect(world.replica.flipBit(recordKey(1, 0, 1))).toBe(true)
    world.relay.network.isDown = true
    await world.reopen()
    const { texts } = collect(consume(world, { from: 'earliest' }))
    await world.relay.pass(500)
    expect(texts).toEqual(['m0', 'm2'])
    expect(world.gaps).toMatchObject([{ expected: { offset: 1 }, next: { offset: 2 } }])
    expect(world.errors.map(({ code }) => code)).toContain('RECORD_DAMAGED')
  })

  test('drop the oldest when there is too much, and who is behind hears of a gap', async () => {
    const { world, publish } = await relayWithNews()
    await world.restart({ replicaBytesMax: 20_000 })
    const consumer = consume(world, { from: 'earliest' })
    await world.until(consumer.subscribed)
    await world.relay.pass(100)
    await world.until(consumer.close())
    for (const text of numbers('m', 30)) await publish([`${text} ${'x'.repeat(1_000)}`])
    await world.relay.pass(1_000)
    const late = consume(world, { from: 'earliest' })
    const { texts } = collect(late)
    await world.relay.pass(1_000)
    expect(texts.length).toBeLessThan(20)
    expect(texts.length).toBeGreaterThan(5)
    expect(texts.at(-1)?.startsWith('m29')).toBe(true)
    expect(world.gaps).toHaveLength(1)
    expect(world.gaps[0]).toMatchObject({ topic: 'news', group: 'readers', expected: { offset: 0 } })
  })
})

describe('the link', () => {
  test('asks for another token for as long as one is refused', async () => {
    const tokens: string[] = []
    const world = await DeviceWorld.open({
      token: () => {
        tokens.push(tokens.length < 3 ? 'old' : 'new')
        return tokens.at(-1) as string
      },
    }, {
      authenticate: (token, _context, answer) => {
        if (token === 'old') answer(new PocketError('UNAUTHENTICATED', 'the token has expired'))
        else authenticateAnybody(token, _context, answer)
      },
    })
    const [send] = world.send(world.producer('orders'), ['m0'])
    await world.relay.pass(1)
    expect(world.link.status).toMatchObject({ link: 'waiting', linkError: { code: 'UNAUTHENTICATED' } })
    await world.until(send?.relayed as Promise<unknown>)
    expect(tokens).toEqual(['old', 'old', 'old', 'new'])
    expect(world.link.status.link).toBe('connected')
    expect(world.link.status.linkError).toBeUndefined()
  })

  test('never gives up its first connection, and tries at once when it is nudged', async () => {
    const world = await DeviceWorld.open()
    world.goOffline()
    await world.restart()
    await world.relay.pass(600_000)
    expect(world.link.status.link).not.toBe('closed')
    world.goOnline()
    await world.relay.settle()
    expect(world.link.status.link).toBe('waiting')
    world.link.nudge()
    await world.relay.settle()
    expect(world.link.status.link).toBe('connected')
  })

  test('notices soon after a nudge that its connection is half open', async () => {
    const world = await DeviceWorld.open()
    await world.relay.pass(100)
    world.relay.network.mute()
    const dialCount = world.relay.network.dialCount
    world.link.nudge()
    await world.relay.pass(6_000)
    expect(world.relay.network.dialCount).toBe(dialCount + 1)
    expect(world.link.status.link).toBe('connected')
    world.link.nudge()
    await world.relay.pass(6_000)
    expect(world.relay.network.dialCount).toBe(dialCount + 1)
  })

  test('goes on when the relay made the topic anew: the outbox under the next epoch, a reader behind a gap', async () => {
    const world = await DeviceWorld.open()
    const client = await world.relay.connect()
    await world.until(client.admin.createTopic('news', { queueCount: 1 }))
    const consumer = world.link.broadcast('news', { group: 'readers', mode: 'BROADCASTING' })
    const { texts } = collect(consumer)
    await world.until(consumer.subscribed)
    const producer = world.producer('news')
    await world.until(Promise.all(world.send(producer, ['m0', 'm1']).map((send) => send.relayed)))
    await world.relay.pass(100)
    await world.until(client.admin.deleteTopic('news'))
    await world.until(client.admin.createTopic('news', { queueCount: 1 }))
    const [send] = world.send(producer, ['m2'])
    expect(await world.until(send?.stored as Promise<unknown>)).toMatchObject({ messageId: '00000000000000aa-0-2' })
    expect(await world.until(send?.relayed as Promise<unknown>)).toMatchObject({ messageId: '00000000000000aa-1-0', offset: 0 })
    await world.relay.pass(1_000)
    expect(texts).toEqual(['m0', 'm1', 'm2'])
    expect(world.gaps).toMatchObject([{ topic: 'news', expected: { offset: 2 }, next: { offset: 0 } }])
  })

  test('takes another name where the relay has a newer epoch of its producer', async () => {
    const world = await DeviceWorld.open()
    const newer = world.send(world.producer('orders', { producerEpoch: 5 }), ['m0'])
    await world.until(Promise.all(newer.map((send) => send.relayed)))
    await world.restartEmpty()
    const [send] = world.send(world.producer('orders', { producerEpoch: 4 }), ['m1'])
    const { messageId } = await world.until(send?.relayed as Promise<{ readonly messageId: string }>)
    expect(messageId).toMatch(/-0-0$/)
    expect(messageId.startsWith('00000000000000aa')).toBe(false)
    expect((await world.atRelay('orders')).map(({ text: body }) => body).sort()).toEqual(['m0', 'm1'])
  })

  test('deletes with one commit what was answered, and stores with one what was sent in a turn', async () => {
    const world = await DeviceWorld.open()
    await world.relay.pass(100)
    const before = world.outbox.counts.durable
    const producers = ['01', '02', '03'].map((end) => world.producer('orders', { producerId: `00000000000000${end}` }))
    const sends = producers.flatMap((producer) => world.send(producer, ['m0', 'm1']))
    await world.until(Promise.all(sends.map((send) => send.relayed)))
    await world.relay.pass(1_000)
    expect(world.outbox.counts.durable - before).toBe(2)
  })
})

type OutboxStored = Promise<{ readonly messageId: string; readonly duplicate: boolean }>
