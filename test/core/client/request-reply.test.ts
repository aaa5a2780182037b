// Requests and replies against a relay that carries them as the test says.

import { afterEach, describe, expect, test } from 'vitest'
import { bytesToText, ByteWriter, textToBytes } from '../../../core/bytes.ts'
import type { ConsumeOptions, Message, PushConsumer, Reply, RequestOptions } from '../../../core/client/api.ts'
import { bytes, json, text } from '../../../core/client/codec.ts'
import { fixedLimits } from '../../../core/limits.ts'
import type { MessageHeaders } from '../../../core/model/message.ts'
import { requestProperties } from '../../../core/model/message.ts'
import { decodeMessage, encodeMessage } from '../../../core/record/message-codec.ts'
import { type Script, type ScriptedLine, someWelcome } from '../../support/scripted-relay.ts'
import { PublishBook } from './publish-book.ts'
import { deliverOf } from './records.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'

const { correlationId: correlationKey, replyTo: replyToKey } = requestProperties

function messageOf(body: string, headers: Partial<MessageHeaders> = {}): Uint8Array {
  const writer = new ByteWriter()
  encodeMessage(writer, new ByteWriter(), 0, { bornMs: 1, ...headers }, textToBytes(body))
  return writer.finish()
}

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))
afterEach(() => {
  expect(unhandled.splice(0)).toEqual([])
})

describe('request', () => {
  interface Asking {
    readonly world: ScriptedWorld
    readonly book: PublishBook
    readonly ask: (body: string, options?: RequestOptions<string>) => ReturnType<typeof watch<Reply<string>>>
    /** Replies to the request of that place in the log. */
    readonly answer: (index: number, body: string, headers?: Partial<MessageHeaders>) => void
  }

  async function asking(script: Script = {}): Promise<Asking> {
    const book = new PublishBook()
    const world = await ScriptedWorld.connected({ PUBLISH: book.hear, ...script })
    const topic = world.client.topic('quotes', { codec: text })
    return {
      world,
      book,
      ask: (body, options) => watch(topic.request<string>(body, options)),
      answer: (index, body, headers) => {
        const correlationId = book.log[index]?.headers.properties?.get(correlationKey) ?? ''
        world.relay.line.send('REPLIED', { correlationId, message: messageOf(body, headers) })
      },
    }
  }

  test('is a message with the way back in its properties, delivered for as long as somebody waits', async () => {
    const { world, book, ask } = await asking()
    ask('how much?', { timeout: '5s', tag: 'eur', keys: ['k'], properties: { region: 'eu' }, messageGroup: 'g', priority: 3 })
    await world.settle()
    const { headers, body } = book.log[0] as (typeof book.log)[number]
    expect(body).toBe('how much?')
    expect(headers).toMatchObject({ ttlMs: 5_000, tag: 'eur', keys: ['k'], messageGroup: 'g', priority: 3 })
    const [hello] = world.relay.line.heard('HELLO')
    expect(Object.fromEntries(headers.properties ?? [])).toEqual({
      region: 'eu', [replyToKey]: hello?.clientId, [correlationKey]: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
    })
  })

  test('resolves with the reply, each with its own', async () => {
    const { world, ask, answer } = await asking()
    const asked = ['a', 'b', 'c'].map((body) => ask(body))
    await world.settle()
    answer(2, 'to c', { tag: 't', keys: ['k'], properties: new Map([['p', 'v']]) })
    answer(0, 'to a')
    await world.settle()
    expect(asked.map(({ outcome }) => outcome)).toEqual(['ok', 'pending', 'ok'])
    expect(asked[2]?.value).toMatchObject({ value: 'to c', tag: 't', keys: ['k'] })
    expect(asked[2]?.value?.properties).toEqual(new Map([['p', 'v']]))
    expect(asked[0]?.value).toMatchObject({ value: 'to a', tag: undefined, keys: [], properties: new Map() })
    expect(bytesToText(asked[0]?.value?.body ?? new Uint8Array(0))).toBe('to a')
  })

  test('takes the first reply; later ones, and those to nobody, are dropped', async () => {
    const { world, ask, answer } = await asking()
    const asked = ask('a')
    await world.settle()
    answer(0, 'first')
    answer(0, 'second')
    world.relay.line.send('REPLIED', { correlationId: 'nobody', message: messageOf('x') })
    await world.settle()
    expect(asked.value?.value).toBe('first')
    expect(world.errors).toEqual([])
    expect(world.client.link).toBe('connected')
  })

  test('rejects with TIMEOUT when its time is over, and a late reply is dropped', async () => {
    const { world, book, ask, answer } = await asking()
    const asked = ask('a', { timeout: '3s' })
    await world.pass(2_999)
    expect(asked.outcome).toBe('pending')
    await world.pass(1)
    expect(asked.outcome).toBe('TIMEOUT')
    answer(0, 'late')
    // Nobody even looks at it.
    const correlationId = book.log[0]?.headers.properties?.get(correlationKey) ?? ''
    world.relay.line.send('REPLIED', { correlationId, message: Uint8Array.of(200, 1, 2) })
    await world.settle()
    expect([asked.outcome, world.relay.lines.length]).toEqual(['TIMEOUT', 1])
    expect(world.client.link).toBe('connected')
  })

  test('goes on over a lost connection under the same client id', async () => {
    const { world, book, ask, answer } = await asking()
    const asked = ask('a')
    await world.settle()
    world.network.cut()
    await world.pass(1_000)
    expect(new Set(world.relay.lines.flatMap((line) => line.heard('HELLO').map(({ clientId }) => clientId))).size).toBe(1)
    answer(0, 'after all')
    await world.settle()
    expect(asked.value?.value).toBe('after all')
    expect(book.log).toHaveLength(1)
  })

  test('rejects as its send does', async () => {
    const { world, ask } = await asking({ PUBLISH: ({ requestId }, line) => line.refuse(requestId, 'TOPIC_NOT_FOUND') })
    const asked = ask('a')
    await world.settle()
    expect(asked.outcome).toBe('TOPIC_NOT_FOUND')
  })

  test('that nobody waits for any more is not sent', async () => {
    const book = new PublishBook()
    const world = new ScriptedWorld({ PUBLISH: book.hear }, {}, { isDown: true })
    const topic = world.client.topic('quotes', { codec: text })
    const aborting = new AbortController()
    const asked = [watch(topic.request('a', { timeout: 500 })), watch(topic.request('b', { signal: aborting.signal }))]
    const other = watch(topic.send('c'))
    await world.pass(500)
    aborting.abort()
    await world.settle()
    expect(asked.map(({ outcome }) => outcome)).toEqual(['TIMEOUT', 'ABORTED'])
    world.network.isDown = false
    await world.pass(30_000)
    expect(other.outcome).toBe('ok')
    expect(book.bodies).toEqual(['c'])
  })

  test('with a signal that is aborted already is not sent', async () => {
    const { world, book, ask } = await asking()
    expect(ask('a', { signal: AbortSignal.abort() })).toBeDefined()
    await world.settle()
    expect(book.log).toEqual([])
  })

  test('ends with the client', async () => {
    const { world, ask } = await asking()
    const asked = ask('a')
    await world.settle()
    await world.until(world.client.close())
    expect(asked.outcome).toBe('CLOSED')
    expect(ask('b')).toBeDefined()
    await world.settle()
    expect(world.clock.nextTimerMs).toBeUndefined()
  })

  test('reads the reply by its own codec, and says when it cannot', async () => {
    const { world, book, answer } = await asking()
    const topic = world.client.topic('quotes', { codec: text })
    const asked = [
      watch(topic.request('a', { replyCodec: json<{ price: number }>() })), watch(topic.request('b', { replyCodec: json() })),
    ]
    await world.settle()
    answer(0, '{"price":5}')
    answer(1, 'rubbish')
    await world.settle()
    expect(asked[0]?.value?.value).toEqual({ price: 5 })
    expect(asked[1]?.outcome).toBe('BAD_ARGUMENT')
    expect(book.log).toHaveLength(2)
  })

  test('survives a reply that is no message: the connection ends, and another may bring it whole', async () => {
    const { world, book, ask, answer } = await asking()
    const asked = ask('a')
    await world.settle()
    const correlationId = book.log[0]?.headers.properties?.get(correlationKey) ?? ''
    world.relay.line.send('REPLIED', { correlationId, message: Uint8Array.of(200, 1, 2) })
    await world.pass(1_000)
    expect(world.relay.lines).toHaveLength(2)
    answer(0, 'whole')
    await world.settle()
    expect(asked.value?.value).toBe('whole')
  })

  test.each([
    [{ timeout: 0 }], [{ timeout: 'soon' as '1s' }], [{ timeout: fixedLimits.ttlMsMax + 1 }], [{ timeout: 1e300 }],
    [{ properties: { a: 1 as unknown as string } }], [{ tag: 5 as unknown as string }],
    [{ properties: Object.fromEntries(Array.from({ length: 127 }, (_, index) => [`p${index}`, 'v'])) }],
  ])('with %j is refused before anything is sent', async (options) => {
    const { world, book, ask } = await asking()
    const asked = ask('a', options)
    await world.settle()
    expect(asked.outcome).toBe('BAD_ARGUMENT')
    expect(book.log).toEqual([])
    expect(world.clock.nextTimerMs).toBeGreaterThan(1_000)
  })

  test.each([[{ timeout: 1 }], [{ timeout: fixedLimits.ttlMsMax }], [
    { properties: Object.fromEntries(Array.from({ length: 126 }, (_, index) => [`p${index}`, 'v'])) },
  ]])('with what is just allowed is sent', async (options) => {
    const { world, book, ask } = await asking()
    ask('a', options)
    await world.settle()
    expect(book.log).toHaveLength(1)
  })
})

describe('reply', () => {
  const agreeable: Script = {
    SUBSCRIBE: ({ requestId, subscriptionId }, line) =>
      line.send('SUBSCRIBED', { requestId, subscriptionId, messageType: 'NORMAL', leaseMs: 60_000, positions: [] }),
    ACK: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
    REPLY: ({ requestId }, line) => line.send('DONE', { requestId, failures: [] }),
  }
  const asked = new Map([[replyToKey, 'client'], [correlationKey, 'request']])

  async function delivered(
    script: Script = {}, options: Partial<ConsumeOptions> = {}, properties: ReadonlyMap<string, string> = asked,
  ): Promise<{ world: ScriptedWorld; message: Message<string>; consumer: PushConsumer<string> }> {
    const world = await ScriptedWorld.connected({ ...agreeable, ...script })
    const consumer = world.client.topic('quotes', { codec: text }).consume({ group: 'till', ...options })
    await world.until(consumer.subscribed)
    const leaseId = options.mode === 'BROADCASTING' ? { leaseId: 0 } : {}
    world.relay.line.send('DELIVER', deliverOf(['how much?'], { headers: [{ properties }], ...leaseId }))
    const { value: message } = await world.until(consumer[Symbol.asyncIterator]().next())
    return { world, message: message as Message<string>, consumer }
  }

  const heardReplies = (line: ScriptedLine) =>
    line.heard('REPLY').map(({ replyTo, correlationId, message }) => {
      const { headers, body } = decodeMessage(message, 0, message.length)
      return { replyTo, correlationId, headers, body: bytesToText(body) }
    })

  test.each(['CLUSTERING', 'BROADCASTING'] as const)('goes straight to who asked, %s', async (mode) => {
    const { world, message } = await delivered({}, { mode })
    await world.until(message.reply('5', { tag: 't', keys: ['k'], properties: { p: 'v' } }))
    expect(heardReplies(world.relay.line)).toEqual([{
      replyTo: 'client', correlationId: 'request', body: '5',
      headers: expect.objectContaining({ tag: 't', keys: ['k'], properties: new Map([['p', 'v']]) }) as object,
    }])
    expect(world.relay.line.heard('ACK')).toEqual([])
  })

  test('is encoded by the topic’s codec, or by another', async () => {
    const { world, message } = await delivered()
    await world.until(message.reply('text'))
    await world.until(message.reply({ price: 5 }, { codec: json<unknown>() }))
    expect(heardReplies(world.relay.line).map(({ body }) => body)).toEqual(['text', '{"price":5}'])
  })

  test('goes out again after a reconnect', async () => {
    const { world, message } = await delivered({ REPLY() {} })
    const replied = watch(message.reply('5'))
    await world.settle()
    world.network.cut()
    world.relay.script = agreeable
    await world.pass(1_000)
    expect(replied.outcome).toBe('ok')
    expect(heardReplies(world.relay.line)).toHaveLength(1)
  })

  test('waits for a requester that takes nothing just now, but not for ever', async () => {
    let refusals = 3
    const overloaded: Script = {
      REPLY: ({ requestId }, line) => {
        if (refusals-- > 0) line.refuse(requestId, 'OVERLOADED', 1_000)
        else line.send('DONE', { requestId, failures: [] })
      },
    }
    const { world, message } = await delivered(overloaded)
    const replied = watch(message.reply('5'))
    await world.pass(10_000)
    expect(replied.outcome).toBe('ok')
    refusals = Infinity
    const hopeless = watch(message.reply('6'))
    await world.pass(2_000)
    expect(hopeless.outcome).toBe('pending')
    await world.pass(28_001)
    expect(hopeless.outcome).toBe('OVERLOADED')
  })

  test('to who is gone rejects, or is told by the error event if nobody waits for it', async () => {
    const { world, message } = await delivered({ REPLY: ({ requestId }, line) => line.refuse(requestId, 'REQUESTER_GONE') })
    await expect(world.until(message.reply('5'))).rejects.toMatchObject({ code: 'REQUESTER_GONE' })
    expect(world.errors).toEqual([])
    void message.reply('5')
    await world.settle()
    expect(world.errors.map(({ code }) => code)).toEqual(['REQUESTER_GONE'])
  })

  test.each([
    [new Map()], [new Map([[replyToKey, 'client']])], [new Map([[correlationKey, 'request']])],
  ])('to what is no request rejects', async (properties) => {
    const { world, message } = await delivered({}, {}, properties)
    await expect(world.until(message.reply('5'))).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    expect(world.relay.line.heard('REPLY')).toEqual([])
  })

  test('of what can’t be sent rejects', async () => {
    const { world, message } = await delivered({}, {}, asked)
    const reply = (value: unknown, options?: Parameters<typeof message.reply>[1]) => world.until(message.reply(value, options))
    await expect(reply(undefined, { codec: json<unknown>() })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    await expect(reply('x', { tag: 'a|b' })).rejects.toMatchObject({ code: 'BAD_NAME' })
    await expect(reply('x', { keys: 'k' as unknown as string[] })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    const codec = bytes as unknown as ReturnType<typeof json<unknown>>
    const { bodyBytesMax } = someWelcome
    await expect(reply(new Uint8Array(bodyBytesMax + 1), { codec })).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    await reply(new Uint8Array(bodyBytesMax), { codec })
    expect(world.relay.line.heard('REPLY')).toHaveLength(1)
  })

  test('to addresses that no client made rejects', async () => {
    const { world, message } = await delivered({}, {}, new Map([[replyToKey, 'x'.repeat(65)], [correlationKey, 'request']]))
    await expect(world.until(message.reply('5'))).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    expect(world.client.link).toBe('connected')
  })
})
