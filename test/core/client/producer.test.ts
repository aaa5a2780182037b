// Producers against a relay that only knows the de-duplication rule.

import { describe, expect, test } from 'vitest'
import type { SendOptions, SendReceipt, Topic } from '../../../core/client/api.ts'
import { bytes, text } from '../../../core/client/codec.ts'
import { closeCodes } from '../../../core/model/close-codes.ts'
import { parseMessageId, parseRecallHandle } from '../../../core/model/message.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { someWelcome } from '../../support/scripted-relay.ts'
import { PublishBook } from './publish-book.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

interface ProducerWorld {
  readonly world: ScriptedWorld
  readonly book: PublishBook
  readonly topic: Topic<string>
}

async function producing(): Promise<ProducerWorld> {
  const book = new PublishBook()
  const world = await ScriptedWorld.connected({ PUBLISH: book.hear })
  return { world, book, topic: world.client.topic('orders', { codec: text }) }
}

function offsets(receipts: readonly SendReceipt[]): (number | undefined)[] {
  return receipts.map(({ offset }) => offset)
}

const counts = (book: PublishBook) => book.publishes.map(({ messageCount }) => messageCount)

describe('batches', () => {
  test('the sends of one turn go as one, and nothing waits for more to come', async () => {
    const { world, book, topic } = await producing()
    const first = Promise.all([topic.send('a'), topic.send('b'), topic.send('c')])
    expect(topic.inFlightCount).toBe(3)
    world.clock.runTurn()
    world.clock.runTurn()
    expect(counts(book)).toEqual([3])
    expect(offsets(await world.until(first))).toEqual([0, 1, 2])
    expect(topic.inFlightCount).toBe(0)
    expect(world.clock.monotonic()).toBe(0)
  })

  test('later turns do not wait for the answers of earlier ones', async () => {
    const { world, book, topic } = await producing()
    const gives: (() => void)[] = []
    book.answer = (give) => gives.push(give)
    const sends: Promise<SendReceipt>[] = []
    for (const body of ['a', 'b', 'c']) {
      sends.push(topic.send(body))
      await world.settle()
    }
    expect(book.bodies).toEqual(['a', 'b', 'c'])
    for (const give of gives) give()
    expect(offsets(await world.until(Promise.all(sends)))).toEqual([0, 1, 2])
  })

  test('a message says who it is, when it was made, and what the sender says of it', async () => {
    const { world, book, topic } = await producing()
    const receipt = await world.until(topic.send('hello', {
      tag: 'paid', keys: ['k1', 'k2'], messageGroup: 'g', properties: { region: 'eu' },
    }))
    expect(receipt).toEqual({
      messageId: book.log[0]?.messageId, queueId: 0, offset: 0, epoch: 1, duplicate: false, durability: 'strict',
    })
    expect(receipt.messageId).toMatch(/^[0-9a-f]{16}-0-0$/)
    const second = await world.until(topic.send('again', { properties: new Map([['a', 'b']]) }))
    expect(second.messageId).toBe(receipt.messageId.replace(/0$/, '1'))
  })

  test('a message says when it is due, how urgent it is and how long it lives', async () => {
    const { world, book, topic } = await producing()
    const samples: [SendOptions, object][] = [
      [{ delay: '1.5h', ttl: '40d' }, { delayMs: 5_400_000, ttlMs: 3_456_000_000 }],
      [{ delay: '40d' }, { delayMs: 3_456_000_000 }],
      [{ delay: 0, priority: 0 }, { delayMs: 0, priority: 0 }],
      [{ deliverAt: new Date(1_795_000_000_000), ttl: 1 }, { deliverMs: 1_795_000_000_000, ttlMs: 1 }],
      [{ deliverAt: 1_795_000_000_000.5, priority: 9 }, { deliverMs: 1_795_000_000_001, priority: 9 }],
      [{ deliverAt: new Date(-5) }, { deliverMs: 0 }],
      [{ deliverAt: Number.MAX_SAFE_INTEGER }, { deliverMs: Number.MAX_SAFE_INTEGER }],
    ]
    await world.until(Promise.all(samples.flatMap(([options]) => [topic.send('a', options), topic.send('plain')])))
    const expected = samples.flatMap(([, headers]) => [headers, {}])
    expect(book.log.map(({ headers }) => headers)).toEqual(
      expected.map((headers) => ({ bornMs: expect.any(Number) as number, ...headers })),
    )
  })

  test('messages with and without a priority or a delay share none either, as one that is refused takes all along', async () => {
    const { world, book, topic } = await producing()
    const options: SendOptions[] = [{}, { tag: 'a' }, { priority: 1 }, { priority: 2 }, { delay: 5 }, { deliverAt: 5 }, {}]
    await world.until(Promise.all(options.map((own) => topic.send('a', own))))
    expect(counts(book)).toEqual([2, 2, 2, 1])
  })

  test('messages with and without a group do not share one, as a topic refuses either kind', async () => {
    const { world, book, topic } = await producing()
    book.judge = ({ baseSequence }) => (baseSequence === 1 ? { refuse: 'MESSAGE_TYPE_MISMATCH' } : 'take')
    const outcomes = [
      watch(topic.send('a')), watch(topic.send('b', { messageGroup: 'g' })), watch(topic.send('c')),
    ]
    await world.settle()
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['ok', 'MESSAGE_TYPE_MISMATCH', 'ok'])
    expect(book.bodies).toEqual(['a', 'c'])
  })

  test('are bounded in bytes and in number', async () => {
    const { world, book } = await producing()
    const topic = world.client.topic('large', { codec: bytes })
    await world.until(Promise.all(Array.from({ length: 5 }, () => topic.send(new Uint8Array(100_000)))))
    expect(counts(book)).toEqual([2, 2, 1])
    const many = Array.from({ length: 16_385 }, () => topic.send(new Uint8Array(1)))
    await world.until(Promise.all(many))
    expect(counts(book).slice(3)).toEqual([16_384, 1])
  })

  test('the places of a batch that went to several queues are told in message order', async () => {
    const { world, topic, book } = await producing()
    book.judge = () => 'ignore'
    const sends = Promise.all(['a', 'b', 'c', 'd'].map((body) => topic.send(body)))
    await world.settle()
    world.relay.line.send('PUBLISHED', {
      requestId: book.publishes[0]?.requestId ?? 0,
      duplicate: false,
      isRelaxed: false,
      storedMs: 1,
      segments: [
        { queueId: 2, epoch: 7, offset: 40, count: 1 },
        { queueId: 0, epoch: 8, offset: 5, count: 2 },
        { queueId: 2, epoch: 7, offset: 41, count: 1 },
      ],
      scheduled: [],
    })
    const places = (await world.until(sends)).map(({ queueId, offset, epoch }) => [queueId, epoch, offset])
    expect(places).toEqual([[2, 7, 40], [0, 8, 5], [0, 8, 6], [2, 7, 41]])
  })
})

describe('a lost connection', () => {
  test('brings the same batches again, in order, byte for byte', async () => {
    const { world, book, topic } = await producing()
    book.judge = () => 'ignore'
    const sends: Promise<SendReceipt>[] = []
    for (const body of ['a', 'b', 'c']) {
      sends.push(topic.send(body))
      await world.settle()
    }
    const first = book.publishes.splice(0)
    world.network.cut()
    book.judge = () => 'take'
    expect(offsets(await world.until(Promise.all(sends)))).toEqual([0, 1, 2])
    const batches = (publishes: typeof first) => publishes.map(({ requestId: _, sentMs: __, ...batch }) => batch)
    expect(batches(book.publishes)).toEqual(batches(first))
  })

  test('after the batch was stored gives no second copy', async () => {
    const { world, book, topic } = await producing()
    book.answer = () => {}
    const send = topic.send('a')
    await world.settle()
    world.network.cut()
    book.answer = (give) => give()
    const receipt = await world.until(send)
    expect(receipt).toMatchObject({ duplicate: true, offset: undefined, messageId: book.log[0]?.messageId })
    expect(book.bodies).toEqual(['a'])
  })

  test('holds what is sent meanwhile until there is another', async () => {
    const { world, book, topic } = await producing()
    world.network.isDown = true
    world.network.cut()
    const send = topic.send('a')
    await world.pass(60_000)
    expect(topic.inFlightCount).toBe(1)
    world.network.isDown = false
    await world.until(send)
    expect(book.bodies).toEqual(['a'])
  })

  test('what was made before the first connection keeps to the limits of the relay found then', async () => {
    const book = new PublishBook()
    const world = new ScriptedWorld({ PUBLISH: book.hear })
    world.relay.welcome = { ...someWelcome, frameBytesMax: 40_000, batchMessageCountMax: 3 }
    const topic = world.client.topic('orders', { codec: bytes })
    const sends = [10_000, 20_000, 10, 10, 10, 10, 10].map((size) => topic.send(new Uint8Array(size), { tag: 't' }))
    expect(offsets(await world.until(Promise.all(sends)))).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(Math.max(...counts(book))).toBeLessThanOrEqual(3)
    expect(Math.max(...book.publishes.map(({ messages }) => messages.length))).toBeLessThan(40_000)
  })
})

describe('a relay with lower limits', () => {
  test('is not sent what would make it end the connection', async () => {
    const book = new PublishBook()
    const world = new ScriptedWorld({ PUBLISH: book.hear })
    world.relay.welcome = { ...someWelcome, frameBytesMax: 40_000 }
    const topic = world.client.topic('orders', { codec: bytes })
    const outcomes = [10, 50_000, 20].map((size) => watch(topic.send(new Uint8Array(size))))
    await world.pass(1_000)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['ok', 'MESSAGE_TOO_LARGE', 'ok'])
    expect(topic.inFlightCount).toBe(0)
  })

  test('that comes after another gets no larger frames than it takes', async () => {
    const { world, book } = await producing()
    book.judge = () => 'ignore'
    const topic = world.client.topic('orders', { codec: bytes })
    const large = watch(topic.send(new Uint8Array(50_000)))
    await world.settle()
    const small = watch(topic.send(new Uint8Array(10)))
    await world.settle()
    world.relay.welcome = { ...someWelcome, frameBytesMax: 40_000 }
    book.judge = () => 'take'
    book.publishes.length = 0
    world.network.cut()
    await world.pass(1_000)
    expect([large.outcome, small.outcome]).toEqual(['MESSAGE_TOO_LARGE', 'ok'])
    expect(Math.max(...book.publishes.map(({ messages }) => messages.length))).toBeLessThan(40_000)
  })
})

describe('a refusal', () => {
  test('rejects the batch alone; those behind it go again under the next epoch', async () => {
    const { world, book, topic } = await producing()
    book.judge = ({ producerEpoch, baseSequence }) =>
      producerEpoch === 0 && baseSequence === 1 ? { refuse: 'FORBIDDEN' } : 'take'
    const outcomes: { outcome: string; value: SendReceipt | undefined }[] = []
    const gives: (() => void)[] = []
    book.answer = (give) => gives.push(give)
    for (const body of ['a', 'b', 'c', 'd']) {
      outcomes.push(watch(topic.send(body)))
      await world.settle()
    }
    book.answer = (give) => give()
    for (const give of gives) give()
    await world.settle()
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['ok', 'FORBIDDEN', 'ok', 'ok'])
    expect(book.bodies).toEqual(['a', 'c', 'd'])
    expect(outcomes.flatMap(({ value }) => value?.messageId ?? [])).toEqual(book.log.map(({ messageId }) => messageId))
    expect(book.log.map(({ messageId }) => messageId.slice(16))).toEqual(['-0-0', '-1-0', '-1-1'])
    await world.until(topic.send('e'))
    expect(book.log.at(-1)?.messageId.slice(16)).toBe('-1-2')
  })

  test('is judged only when what was sent before it is answered', async () => {
    const { world, book, topic } = await producing()
    const held: (() => void)[] = []
    book.answer = (give) => (book.publishes.length === 1 ? held.push(give) : give())
    book.judge = ({ baseSequence }) => (baseSequence === 1 ? { refuse: 'FORBIDDEN' } : 'take')
    const outcomes: { outcome: string }[] = []
    for (const body of ['a', 'b', 'c']) {
      outcomes.push(watch(topic.send(body)))
      await world.settle()
    }
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['pending', 'pending', 'pending'])
    for (const give of held) give()
    await world.settle()
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['ok', 'FORBIDDEN', 'ok'])
    expect(book.bodies).toEqual(['a', 'c'])
  })

  test('that says later is tried again, in order and under the same sequences', async () => {
    const { world, book, topic } = await producing()
    let isFull = true
    book.judge = () => (isFull ? { refuse: 'STORE_FULL', retryAfterMs: 1_000 } : 'take')
    const first = topic.send('a')
    await world.settle()
    const second = topic.send('b')
    await world.pass(20_000)
    expect(topic.inFlightCount).toBe(2)
    const tries = book.publishes.length
    expect(tries).toBeGreaterThan(2)
    expect(tries).toBeLessThan(50)
    isFull = false
    expect(offsets(await world.until(Promise.all([first, second])))).toEqual([0, 1])
    expect(book.log.map(({ messageId }) => messageId.slice(16))).toEqual(['-0-0', '-0-1'])
  })

  test('for want of room is rejected when there was none for half a minute, and what comes later is tried again', async () => {
    const { world, book, topic } = await producing()
    let isFull = true
    book.judge = () => (isFull ? { refuse: 'STORE_FULL', retryAfterMs: 1_000 } : 'take')
    const first = watch(topic.send('a'))
    await world.settle()
    const second = watch(topic.send('b'))
    await world.pass(25_000)
    expect(first.outcome).toBe('pending')
    await world.pass(15_000)
    expect([first.outcome, second.outcome]).toEqual(['STORE_FULL', 'pending'])
    isFull = false
    await world.pass(10_000)
    expect(second.outcome).toBe('ok')
    expect(book.bodies).toEqual(['b'])
  })

  test('with a bug of the relay is not tried for ever', async () => {
    const { world, book, topic } = await producing()
    book.judge = ({ producerEpoch }) => (producerEpoch === 0 ? { refuse: 'INTERNAL' } : 'take')
    const poison = watch(topic.send('a'))
    await world.settle()
    const next = watch(topic.send('b'))
    await world.pass(120_000)
    expect([poison.outcome, next.outcome]).toEqual(['INTERNAL', 'ok'])
    expect(book.bodies).toEqual(['b'])
  })

  test('because the relay forgot the producer is answered with the next epoch', async () => {
    const { world, book, topic } = await producing()
    await world.until(topic.send('a'))
    book.forgetProducers()
    const receipt = await world.until(topic.send('b'))
    expect(receipt.messageId).toMatch(/-1-0$/)
    expect(book.bodies).toEqual(['a', 'b'])
  })

  test('because of a gap at the head is answered with the next epoch, and is not endless', async () => {
    const { world, book, topic } = await producing()
    await world.until(topic.send('a'))
    book.judge = () => ({ refuse: 'SEQUENCE_GAP' })
    const outcome = watch(topic.send('b'))
    await world.settle()
    expect(outcome.outcome).toBe('SEQUENCE_GAP')
    book.judge = () => 'take'
    await world.until(topic.send('c'))
    expect(book.bodies).toEqual(['a', 'c'])
  })

  test('because the producer was fenced gives it a new identity', async () => {
    const { world, book, topic } = await producing()
    await world.until(topic.send('a'))
    book.judge = ({ producerEpoch }) => (producerEpoch === 0 ? { refuse: 'PRODUCER_FENCED' } : 'take')
    const outcome = watch(topic.send('b'))
    await world.settle()
    expect(outcome.outcome).toBe('PRODUCER_FENCED')
    await world.until(topic.send('c'))
    const [first, second] = book.log.map(({ messageId }) => messageId.slice(0, 16))
    expect(second).not.toBe(first)
  })
})

describe('what may not be sent', () => {
  test.each([
    ['a body over the limit', 'x'.repeat(someWelcome.bodyBytesMax + 1), {}, 'MESSAGE_TOO_LARGE'],
    ['a tag with a separator', 'a', { tag: 'a|b' }, 'BAD_NAME'],
    ['a blank key', 'a', { keys: [' '] }, 'BAD_NAME'],
    ['a message group that is too long', 'a', { messageGroup: 'g'.repeat(64) }, 'BAD_NAME'],
    ['a property that is no text', 'a', { properties: { n: 5 as unknown as string } }, 'BAD_ARGUMENT'],
    ['keys that are no list', 'a', { keys: 'abc' as unknown as string[] }, 'BAD_ARGUMENT'],
    ['an aborted signal', 'a', { signal: AbortSignal.abort() }, 'ABORTED'],
    ['a delay over its bound', 'a', { delay: '961h' as const }, 'BAD_ARGUMENT'],
    ['a delay that is none', 'a', { delay: 'soon' as unknown as number }, 'BAD_ARGUMENT'],
    ['a delay and a time of delivery', 'a', { delay: 0, deliverAt: 0 }, 'BAD_ARGUMENT'],
    ['a time of delivery that is none', 'a', { deliverAt: new Date(Number.NaN) }, 'BAD_ARGUMENT'],
    ['a time of delivery that is no number', 'a', { deliverAt: '2030-01-01' as unknown as Date }, 'BAD_ARGUMENT'],
    ['a time of delivery without end', 'a', { deliverAt: Number.POSITIVE_INFINITY }, 'BAD_ARGUMENT'],
    ['a priority over its bound', 'a', { priority: 10 }, 'BAD_ARGUMENT'],
    ['a priority below 0', 'a', { priority: -1 }, 'BAD_ARGUMENT'],
    ['a priority that is no number', 'a', { priority: '1' as unknown as number }, 'BAD_ARGUMENT'],
    ['a time to live of 0', 'a', { ttl: 0 }, 'BAD_ARGUMENT'],
    ['a time to live over its bound', 'a', { ttl: 40 * 86_400_000 + 1 }, 'BAD_ARGUMENT'],
  ])('%s rejects at once, and disturbs no other', async (_what, body, options, code) => {
    const { world, book, topic } = await producing()
    const before = watch(topic.send('before'))
    const bad = watch(topic.send(body, options))
    const after = watch(topic.send('after'))
    await world.settle()
    expect([before.outcome, bad.outcome, after.outcome]).toEqual(['ok', code, 'ok'])
    expect(book.bodies).toEqual(['before', 'after'])
  })

  test('a value its codec can not encode', async () => {
    const { world, topic } = await producing()
    const json = world.client.topic('json')
    expect(watch(json.send(undefined)).outcome).toBe('pending')
    await expect(world.until(json.send(undefined))).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    const failure = { code: 'BAD_ARGUMENT', cause: expect.any(TypeError) as unknown }
    await expect(world.until(json.send(1n))).rejects.toMatchObject(failure)
    expect(topic.inFlightCount).toBe(0)
  })
})

describe('a signal', () => {
  test('drops what was not sent yet, and nothing else', async () => {
    const { world, book, topic } = await producing()
    world.network.isDown = true
    world.network.cut()
    await world.settle()
    const aborts = [new AbortController(), new AbortController()]
    const outcomes = [
      watch(topic.send('a')),
      watch(topic.send('b', { signal: aborts[0]?.signal as AbortSignal, tag: 'x' })),
      watch(topic.send('c')),
    ]
    await world.settle()
    outcomes.push(watch(topic.send('d', { signal: aborts[1]?.signal as AbortSignal })))
    await world.settle()
    for (const abort of aborts) abort.abort()
    await world.settle()
    world.network.isDown = false
    await world.pass(60_000)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['ok', 'ABORTED', 'ok', 'ABORTED'])
    expect(book.bodies).toEqual(['a', 'c'])
    expect(topic.inFlightCount).toBe(0)
    await world.until(topic.send('e'))
    expect(book.bodies).toEqual(['a', 'c', 'e'])
  })

  test('only ends the waiting for what is on its way', async () => {
    const { world, book, topic } = await producing()
    const gives: (() => void)[] = []
    book.answer = (give) => gives.push(give)
    const abort = new AbortController()
    const outcome = watch(topic.send('a', { signal: abort.signal }))
    await world.settle()
    abort.abort(new Error('enough'))
    await world.settle()
    expect(outcome.outcome).toBe('ABORTED')
    for (const give of gives) give()
    await world.settle()
    expect(book.bodies).toEqual(['a'])
    expect(topic.inFlightCount).toBe(0)
  })
})

describe('back-pressure', () => {
  test('ready resolves at once while there is room', async () => {
    const { world, topic } = await producing()
    const ready = watch(topic.ready())
    await world.settle()
    expect(ready.outcome).toBe('ok')
  })

  test('ready waits for room in numbers, and for some of it', async () => {
    const { world, book, topic } = await producing()
    const gives: (() => void)[] = []
    book.answer = (give) => gives.push(give)
    for (let sent = 0; sent < 16_384; sent++) {
      topic.send('x').catch(() => {})
      if (sent % 1_024 === 1_023) await world.settle()
    }
    const ready = watch(topic.ready())
    const abort = new AbortController()
    const impatient = watch(topic.ready({ signal: abort.signal }))
    await world.settle()
    expect(ready.outcome).toBe('pending')
    abort.abort()
    await world.settle()
    expect(impatient.outcome).toBe('ABORTED')
    gives.shift()?.()
    await world.settle()
    expect(ready.outcome).toBe('pending')
    for (const give of gives.splice(0, 4)) give()
    await world.settle()
    expect(ready.outcome).toBe('ok')
  })

  test('ready waits for room in bytes', async () => {
    const { world, book } = await producing()
    book.judge = () => 'ignore'
    const topic = world.client.topic('large', { codec: bytes })
    for (let sent = 0; sent < 5; sent++) topic.send(new Uint8Array(1_000_000)).catch(() => {})
    const ready = watch(topic.ready())
    await world.settle()
    expect(ready.outcome).toBe('pending')
  })

  test('no more bytes are on the wire than the relay takes, over all topics, and all arrive', async () => {
    const { world, book } = await producing()
    world.relay.welcome = { ...someWelcome, publishBytesInFlightMax: 250_000 }
    world.network.cut()
    await world.pass(1_000)
    const gives: (() => void)[] = []
    let inFlightBytes = 0
    let highest = 0
    book.answer = (give) => {
      const size = book.publishes.at(-1)?.messages.length ?? 0
      inFlightBytes += size
      highest = Math.max(highest, inFlightBytes)
      gives.push(() => {
        inFlightBytes -= size
        give()
      })
    }
    const sends: Promise<SendReceipt>[] = []
    for (const name of ['one', 'two', 'three']) {
      const topic = world.client.topic(name, { codec: bytes })
      for (let sent = 0; sent < 4; sent++) sends.push(topic.send(new Uint8Array(200_000)))
    }
    const all = watch(Promise.all(sends))
    while (all.outcome === 'pending') {
      await world.settle()
      gives.shift()?.()
    }
    expect(all.outcome).toBe('ok')
    expect(highest).toBeLessThanOrEqual(250_000)
    expect(book.publishes).toHaveLength(12)
  })

  test('whoever sends without end and without waiting is stopped', async () => {
    const world = new ScriptedWorld({}, {}, { isDown: true })
    const topic = world.client.topic('large', { codec: bytes })
    const body = new Uint8Array(1_000_000)
    let refusal: unknown
    let sentCount = 0
    while (refusal === undefined && sentCount < 1_000) {
      topic.send(body).catch((error: unknown) => (refusal = error))
      sentCount++
      await Promise.resolve()
      await Promise.resolve()
    }
    expect(refusal).toMatchObject({ code: 'OVERLOADED', retryable: true })
    expect(sentCount).toBeLessThan(300)
    world.client.close().catch(() => {})
    await world.pass(60_000)
  })

  test('a relay that stops gets nothing new', async () => {
    const { world, book, topic } = await producing()
    world.relay.line.send('STOPPING', { retryAfterMs: 1_000 })
    await world.settle()
    const send = topic.send('a')
    await world.settle()
    expect(book.publishes).toEqual([])
    world.relay.line.close(closeCodes.RELAY_STOPPING)
    await world.until(send)
    expect(book.bodies).toEqual(['a'])
  })
})

describe('the end', () => {
  test('close waits for the answers', async () => {
    const { world, book, topic } = await producing()
    const gives: (() => void)[] = []
    book.answer = (give) => gives.push(give)
    const send = watch(topic.send('a'))
    const closed = watch(world.client.close())
    await world.settle()
    expect(closed.outcome).toBe('pending')
    const late = watch(topic.send('late'))
    await world.settle()
    expect(late.outcome).toBe('CLOSED')
    for (const give of gives) give()
    await world.settle()
    expect([send.outcome, closed.outcome, world.client.link]).toEqual(['ok', 'ok', 'closed'])
  })

  test('close does not wait longer than the request timeout', async () => {
    const { world, book, topic } = await producing()
    book.judge = () => 'ignore'
    const send = watch(topic.send('a'))
    const ready = watch(topic.ready())
    const closed = watch(world.client.close())
    await world.pass(29_000)
    expect(closed.outcome).toBe('pending')
    await world.pass(2_000)
    expect([send.outcome, ready.outcome, closed.outcome]).toEqual(['CLOSED', 'ok', 'ok'])
    expect(world.clock.nextTimerMs).toBeUndefined()
  })

  test('a stop code rejects everything with its error', async () => {
    const { world, book, topic } = await producing()
    book.judge = () => 'ignore'
    const sent = watch(topic.send('a'))
    await world.settle()
    world.relay.line.close(closeCodes.UNAUTHENTICATED, 'expired')
    const queued = watch(topic.send('b'))
    await world.settle()
    const late = watch(topic.send('c'))
    const ready = watch(topic.ready())
    await world.settle()
    const outcomes = [sent, queued, late, ready].map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED'])
    expect(topic.inFlightCount).toBe(0)
  })

  test('the signal of the client rejects everything with ABORTED', async () => {
    const abort = new AbortController()
    const world = await ScriptedWorld.connected({}, { signal: abort.signal })
    const send = watch(world.client.topic('orders').send('a'))
    await world.settle()
    abort.abort()
    await world.settle()
    expect([send.outcome, world.client.link]).toEqual(['ABORTED', 'closed'])
  })
})

describe('delayed messages', () => {
  test('have a time and a handle instead of a place; those beside them are told theirs', async () => {
    const world = await ScriptedWorld.connected({
      PUBLISH: ({ requestId }, line) =>
        line.send('PUBLISHED', {
          requestId, duplicate: false, isRelaxed: false, storedMs: 1, scheduled: [7_000, 8_000, 9_000],
          segments: [
            { queueId: 0, epoch: 0, offset: 0, count: 1 }, { queueId: 3, epoch: 2, offset: 40, count: 2 },
            { queueId: 0, epoch: 0, offset: 0, count: 2 }, { queueId: 1, epoch: 2, offset: 9, count: 1 },
          ],
        }),
    })
    const topic = world.client.topic('orders', { codec: text })
    const receipts = await world.until(Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((body) => topic.send(body, { delay: 5 }))))
    const places = receipts.map(({ queueId, offset, epoch, deliverMs }) => [queueId, offset, epoch, deliverMs])
    const delayed = (deliverMs: number) => [undefined, undefined, undefined, deliverMs]
    expect(places).toEqual([
      delayed(7_000), [3, 40, 2, undefined], [3, 41, 2, undefined], delayed(8_000), delayed(9_000), [1, 9, 2, undefined],
    ])
    expect(receipts[1]?.recallHandle).toBeUndefined()
    const handle = receipts[3]?.recallHandle ?? ''
    expect(parseRecallHandle(handle)).toEqual({ deliverMs: 8_000, ...parseMessageId(receipts[3]?.messageId ?? '') })
    expect(handle).toBe(`${(8_000).toString(36)}~${receipts[3]?.messageId}`)
  })

  test.each(['strict', 'relaxed'] as const)('and others are told that they are %s, as PUBLISHED says', async (durability) => {
    const world = await ScriptedWorld.connected({
      PUBLISH: ({ requestId }, line) =>
        line.send('PUBLISHED', {
          requestId, duplicate: false, isRelaxed: durability === 'relaxed', storedMs: 1, scheduled: [],
          segments: [{ queueId: 0, epoch: 1, offset: 0, count: 2 }],
        }),
    })
    const topic = world.client.topic('orders')
    const receipts = await world.until(Promise.all([topic.send('a'), topic.send('b')]))
    expect(receipts.map((receipt) => receipt.durability)).toEqual([durability, durability])
  })

  test('of a resend whose places are forgotten have neither', async () => {
    const world = await ScriptedWorld.connected({
      PUBLISH: ({ requestId }, line) =>
        line.send('PUBLISHED', { requestId, duplicate: true, isRelaxed: false, storedMs: 0, segments: [], scheduled: [] }),
    })
    const receipt = await world.until(world.client.topic('orders').send('a', { delay: '1h' }))
    expect(receipt).toEqual({
      messageId: expect.any(String) as string, duplicate: true, queueId: undefined, offset: undefined, epoch: undefined,
      deliverMs: undefined, recallHandle: undefined, durability: 'strict',
    })
  })
})

/** One seed: sends at random moments over a connection that breaks at random, to a relay that refuses at random. */
async function randomSends(seed: number): Promise<{ stored: string[]; resolved: string[]; rejected: string[] }> {
  const random = createSimRandom(seed)
  const book = new PublishBook()
  const world = new ScriptedWorld({ PUBLISH: book.hear }, {}, { seed })
  book.judge = (publish) => {
    if (book.knows(publish)) return 'take'
    if (random.chance(0.05)) return { refuse: 'STORE_FULL', retryAfterMs: 50 }
    if (random.chance(0.03)) return { refuse: 'FORBIDDEN' }
    return random.chance(0.05) ? 'ignore' : 'take'
  }
  book.answer = (give) => {
    if (random.chance(0.1)) return
    if (random.chance(0.5)) give()
    else world.clock.setTimer(1 + random.below(300), give)
  }
  const topic = world.client.topic('orders', { codec: text })
  const resolved: string[] = []
  const rejected: string[] = []
  const idsByBody = new Map<string, string>()
  for (let message = 0; message < 300; message++) {
    const body = String(message)
    topic.send(body).then(
      ({ messageId }) => {
        resolved.push(body)
        idsByBody.set(body, messageId)
      },
      () => rejected.push(body),
    )
    if (random.chance(0.3)) await world.pass(random.below(40))
    if (random.chance(0.02)) world.network.cut()
    if (random.chance(0.01)) world.relay.lines.at(-1)?.close(closeCodes.SLOW_READER)
  }
  // From here on the relay is well: everything must come to an end.
  book.judge = () => 'take'
  book.answer = (give) => give()
  world.network.cut()
  await world.pass(120_000)
  for (const { body, messageId } of book.log) {
    // The id in the receipt is the one under which the message is stored.
    expect([body, idsByBody.get(body)]).toEqual([body, messageId])
  }
  return { stored: book.bodies, resolved, rejected }
}

test.each(Array.from({ length: 40 }, (_, index) => index + 1))(
  'seed %i: over any number of broken connections nothing is lost, doubled or out of order',
  async (seed) => {
    const { stored, resolved, rejected } = await randomSends(seed)
    expect(resolved.length + rejected.length).toBe(300)
    expect(stored).toEqual([...stored].sort((left, right) => Number(left) - Number(right)))
    expect(new Set(stored).size).toBe(stored.length)
    expect(stored).toEqual(resolved)
    expect(stored.filter((body) => rejected.includes(body))).toEqual([])
  },
)
