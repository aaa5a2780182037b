// What the client's types accept and what they refuse. The compiler is the judge (`npm run types`): an accepted use
// that does not compile is an error, and so is an expected error that does not come. Nothing here is executed.

import { describe, expectTypeOf, test } from 'vitest'
import {
  bytes, type Change, type ChangeBatch, type Client, type Codec, type CommittedMessage, type ConnectOptions, connect,
  type Duration, type ErrorCode, type Follower, json, type Message, PocketError, type Position, type PullConsumer,
  type PushConsumer, type Reply, type RetryPolicy, type SendReceipt, type SimpleConsumer, text, type Timeline, type Topic,
  type Transaction, type TransactionProducer, type TransactionReceipt, type UnresolvedTransaction,
} from '../../server/connect.ts'

interface Order {
  readonly id: string
  readonly total: number
}

declare const client: Client

/** Compiled and never called. */
function onlyTypes(_uses: () => unknown): void {}

describe('connect', () => {
  test('gives a client', () => {
    expectTypeOf(connect).returns.resolves.toEqualTypeOf<Client>()
    expectTypeOf(connect).parameter(1).toEqualTypeOf<ConnectOptions | undefined>()
  })

  test('takes a token or a way to get one', () => {
    onlyTypes(() => connect('ws://localhost', { auth: 'token' }))
    onlyTypes(() => connect(new URL('ws://localhost'), { auth: ({ reason, signal }) => `${reason} ${signal.aborted}` }))
    onlyTypes(() => connect('ws://localhost', { auth: async () => 'token', connectTimeout: '5s' }))
    onlyTypes(() => connect('ws://localhost', { requestTimeout: 1_000 }))
    // @ts-expect-error -- a token is text
    onlyTypes(() => connect('ws://localhost', { auth: 5 }))
    // @ts-expect-error -- misspelled
    onlyTypes(() => connect('ws://localhost', { tokn: 'x' }))
    // @ts-expect-error -- a duration has a unit
    onlyTypes(() => connect('ws://localhost', { connectTimeout: '5' }))
    // @ts-expect-error -- the address is needed
    onlyTypes(() => connect())
  })
})

describe('a topic', () => {
  test('has the type of its values, for sending and for reading', () => {
    onlyTypes(() => {
      const topic = client.topic<Order>('orders')
      expectTypeOf(topic).toEqualTypeOf<Topic<Order>>()
      expectTypeOf(topic.send).parameter(0).toEqualTypeOf<Order>()
      expectTypeOf(topic.send).returns.resolves.toEqualTypeOf<SendReceipt>()
      expectTypeOf(topic.consume({ group: 'g' })).toEqualTypeOf<PushConsumer<Order>>()
      expectTypeOf(topic.receiver({ group: 'g' })).toEqualTypeOf<SimpleConsumer<Order>>()
      expectTypeOf(topic.pull({ queueId: 0 })).toEqualTypeOf<PullConsumer<Order>>()
    })
  })

  test('without a type takes anything and gives unknown', () => {
    onlyTypes(() => {
      expectTypeOf(client.topic('orders')).toEqualTypeOf<Topic<unknown>>()
      expectTypeOf<Message<unknown>['value']>().toBeUnknown()
    })
  })

  test('takes its type from its codec', () => {
    onlyTypes(() => {
      expectTypeOf(client.topic('t', { codec: text })).toEqualTypeOf<Topic<string>>()
      expectTypeOf(client.topic('t', { codec: bytes })).toEqualTypeOf<Topic<Uint8Array>>()
      expectTypeOf(client.topic('t', { codec: json<Order>() })).toEqualTypeOf<Topic<Order>>()
    })
    const dates: Codec<Date> = {
      name: 'date',
      encode: (date) => new TextEncoder().encode(date.toISOString()),
      decode: (body) => new Date(new TextDecoder().decode(body)),
    }
    onlyTypes(() => expectTypeOf(client.topic('t', { codec: dates })).toEqualTypeOf<Topic<Date>>())
  })

  test('refuses values of another type, and codecs for one', () => {
    onlyTypes(() => {
      const topic = client.topic<Order>('orders')
      void topic.send({ id: 'a', total: 1 }, { tag: 'paid', keys: ['a'], messageGroup: 'a', properties: { a: 'b' } })
      const { signal } = new AbortController()
      void topic.send({ id: 'a', total: 1 }, { properties: new Map([['a', 'b']]), signal })
      // @ts-expect-error -- total is missing
      void topic.send({ id: 'a' })
      // @ts-expect-error -- no order
      void topic.send('a')
      // @ts-expect-error -- the codec is for text
      client.topic<Order>('orders', { codec: text })
      // @ts-expect-error -- properties are texts
      void topic.send({ id: 'a', total: 1 }, { properties: { a: 1 } })
      // @ts-expect-error -- keys are many
      void topic.send({ id: 'a', total: 1 }, { keys: 'a' })
      // @ts-expect-error -- one tag
      void topic.send({ id: 'a', total: 1 }, { tag: ['a'] })
    })
  })
})

describe('consumers', () => {
  test('give messages of the topic’s type', () => {
    onlyTypes(async () => {
      const topic = client.topic<Order>('orders')
      for await (const message of topic.consume({ group: 'till', filter: 'paid', lease: '30s', prefetch: 10 })) {
        expectTypeOf(message).toEqualTypeOf<Message<Order>>()
        expectTypeOf(message.value.total).toBeNumber()
        expectTypeOf(message.tag).toEqualTypeOf<string | undefined>()
        expectTypeOf(message.ack()).resolves.toBeVoid()
      }
      for await (const messages of topic.pull({ queueId: 0, from: { epoch: 1, offset: 2 } })) {
        expectTypeOf(messages).toEqualTypeOf<readonly Message<Order>[]>()
      }
      expectTypeOf(await topic.receiver({ group: 'g' }).receive({ max: 3 })).toEqualTypeOf<readonly Message<Order>[]>()
      expectTypeOf(topic.consume({ group: 'g' }).positions()).toEqualTypeOf<ReadonlyMap<number, Position>>()
    })
  })

  test('take handlers with and without promises', () => {
    onlyTypes(() => {
      const consumer = client.topic<Order>('orders').consume({ group: 'till' })
      void consumer.run((message) => {
        expectTypeOf(message.value).toEqualTypeOf<Order>()
      })
      void consumer.run(async ({ value }) => void value.total, { concurrency: 4 })
      // @ts-expect-error -- what a handler gives is not looked at
      void consumer.run((message) => message.value.total)
      // @ts-expect-error -- a number
      void consumer.run(() => {}, { concurrency: '4' })
    })
  })

  test('need a group, and know their modes and starts', () => {
    onlyTypes(() => {
      const topic = client.topic<Order>('orders')
      const positions = new Map([[0, { epoch: 1, offset: 0 }]])
      topic.consume({ group: 'g', mode: 'BROADCASTING', from: new Date(), positions })
      topic.consume({ group: 'g', from: { timestampMs: 5 } })
      // @ts-expect-error -- no group
      topic.consume({})
      // @ts-expect-error -- no such mode
      topic.consume({ group: 'g', mode: 'SHARED' })
      // @ts-expect-error -- no such start
      topic.consume({ group: 'g', from: 'now' })
      // @ts-expect-error -- a receiver shares; it has no mode
      topic.receiver({ group: 'g', mode: 'BROADCASTING' })
      // @ts-expect-error -- a queue is needed
      topic.pull({})
    })
  })

  test('end with the block they are made in', () => {
    onlyTypes(async () => {
      await using own = await connect('ws://localhost')
      await using consumer = own.topic('orders').consume({ group: 'g' })
      await using receiver = own.topic('orders').receiver({ group: 'g' })
      await using reader = own.topic('orders').pull({ queueId: 0 })
      return [consumer, receiver, reader]
    })
  })
})

describe('what is sent', () => {
  test('may be delayed, prioritised and bounded in time', () => {
    onlyTypes(() => {
      const topic = client.topic<Order>('orders')
      const order = { id: 'a', total: 1 }
      void topic.send(order, { delay: '3d', priority: 9, ttl: 1_000 })
      void topic.send(order, { deliverAt: new Date() })
      void topic.send(order, { deliverAt: 1_795_000_000_000 })
      // @ts-expect-error -- a time is no text
      void topic.send(order, { deliverAt: '2026-11-22' })
      // @ts-expect-error -- a delay is no time
      void topic.send(order, { delay: new Date() })
      // @ts-expect-error -- a number
      void topic.send(order, { priority: 'high' })
      expectTypeOf<SendReceipt['deliverMs']>().toEqualTypeOf<number | undefined>()
      expectTypeOf<SendReceipt['recallHandle']>().toEqualTypeOf<string | undefined>()
      expectTypeOf(topic.recall('h')).resolves.toBeVoid()
    })
  })

  test('may ask for a reply, whose type is said or that of a codec', () => {
    onlyTypes(() => {
      const topic = client.topic<Order>('orders')
      const order = { id: 'a', total: 1 }
      expectTypeOf(topic.request(order)).resolves.toEqualTypeOf<Reply<unknown>>()
      expectTypeOf(topic.request<number>(order, { timeout: '5s' })).resolves.toEqualTypeOf<Reply<number>>()
      expectTypeOf(topic.request(order, { replyCodec: text })).resolves.toEqualTypeOf<Reply<string>>()
      // @ts-expect-error -- a request is not delayed
      void topic.request(order, { delay: '1s' })
      // @ts-expect-error -- its time to live is its timeout
      void topic.request(order, { ttl: '1s' })
      // @ts-expect-error -- no order
      void topic.request('a')
    })
    onlyTypes((message?: Message<Order>) => {
      expectTypeOf(message?.reply(5)).toEqualTypeOf<Promise<void> | undefined>()
      void message?.reply('x', { tag: 't', codec: json<unknown>() })
      // @ts-expect-error -- a reply is not delayed
      void message?.reply('x', { delay: 5 })
    })
  })
})

describe('filters and positions', () => {
  test('are tags or SQL', () => {
    onlyTypes(() => {
      const topic = client.topic<Order>('orders')
      topic.consume({ group: 'g', filter: { sql: 'a > 5' } })
      topic.receiver({ group: 'g', filter: 'a || b' })
      topic.pull({ queueId: 0, filter: { sql: 'a > 5' } })
      // @ts-expect-error -- no such language
      topic.consume({ group: 'g', filter: { jsonpath: '$.a' } })
      // @ts-expect-error -- tags are one text
      topic.consume({ group: 'g', filter: ['a', 'b'] })
    })
  })

  test('are kept by the application or by the relay', () => {
    onlyTypes(() => {
      const topic = client.topic<Order>('orders')
      topic.consume({ group: 'g', mode: 'BROADCASTING', positionKeeper: 'relay', name: 'north' })
      // @ts-expect-error -- the application's words, not those of the wire
      topic.consume({ group: 'g', mode: 'BROADCASTING', positionKeeper: 'broker', name: 'north' })
      // @ts-expect-error -- a receiver has no positions
      topic.receiver({ group: 'g', positionKeeper: 'relay' })
    })
  })
})

describe('transactions', () => {
  test('take topics with their values, and tell where messages went', () => {
    onlyTypes(async () => {
      await using producer = client.transactions({
        producerGroup: 'shop',
        check: (transaction) => {
          expectTypeOf(transaction).toEqualTypeOf<UnresolvedTransaction>()
          expectTypeOf(transaction.messages).toEqualTypeOf<readonly Message<Uint8Array>[]>()
          return 'commit'
        },
      })
      expectTypeOf(producer).toEqualTypeOf<TransactionProducer>()
      const transaction = producer.begin()
      expectTypeOf(transaction).toEqualTypeOf<Transaction>()
      const orders = client.topic<Order>('orders')
      expectTypeOf((await transaction.send(orders, { id: 'a', total: 1 }, { delay: '1s' })).messageId).toBeString()
      expectTypeOf(transaction.commit()).resolves.toEqualTypeOf<TransactionReceipt>()
      expectTypeOf<TransactionReceipt['messages']>().toEqualTypeOf<readonly CommittedMessage[]>()
      expectTypeOf(transaction.rollback()).resolves.toBeVoid()
      expectTypeOf(producer.run(async () => 5)).resolves.toBeNumber()
      // @ts-expect-error -- no order
      void transaction.send(orders, 'a')
      // @ts-expect-error -- a topic, not its name
      void transaction.send('orders', { id: 'a', total: 1 })
    })
  })

  test('need a group and who answers checks', () => {
    onlyTypes(() => {
      client.transactions({ producerGroup: 'shop', check: async () => 'unknown', checkAfter: '1m' })
      client.transactions({
        producerGroup: 'shop',
        check: async ({ messages }) => (messages.length > 1 ? 'commit' : 'rollback'),
      })
      client.transactions({ producerGroup: 'shop', check: ({ messages }) => (messages.length > 1 ? 'commit' : 'rollback') })
      // @ts-expect-error -- nobody answers
      client.transactions({ producerGroup: 'shop' })
      // @ts-expect-error -- no group
      client.transactions({ check: () => 'commit' })
      // @ts-expect-error -- no such verdict
      client.transactions({ producerGroup: 'shop', check: () => 'maybe' })
      // @ts-expect-error -- a verdict is needed
      client.transactions({ producerGroup: 'shop', check: () => {} })
    })
  })
})

describe('following', () => {
  test('gives changes in batches', () => {
    onlyTypes(async () => {
      await using follower = client.follow({ topics: ['orders'], withProgress: true })
      expectTypeOf(follower).toEqualTypeOf<Follower>()
      for await (const batch of follower) {
        expectTypeOf(batch).toEqualTypeOf<ChangeBatch>()
        expectTypeOf(batch.changes).toEqualTypeOf<readonly Change[]>()
      }
      client.follow({ topics: ['orders'], positions: follower.positions() })
      // @ts-expect-error -- topics are many
      client.follow({ topics: 'orders' })
      // @ts-expect-error -- positions are by topic and queue
      client.follow({ topics: ['orders'], positions: new Map([[0, { epoch: 1, offset: 0 }]]) })
    })
  })
})

describe('administration', () => {
  test('takes settings in the application’s words', () => {
    onlyTypes(() => {
      const { admin } = client
      void admin.createTopic('t', { messageType: 'PRIORITY', cleanupPolicy: 'COMPACT', ttl: '1d', trace: 0.5 })
      void admin.configureGroup('g', { retry: ['1s', 5_000], exhausted: 'hold', paused: true, maxInFlight: 5 })
      void admin.configureGroup('g', { retry: { first: '1s', max: '1h' } })
      void admin.settleHeld('g', 't', 'dead-letter')
      // @ts-expect-error -- no such type
      void admin.createTopic('t', { messageType: 'DELAY' })
      // @ts-expect-error -- a share
      void admin.createTopic('t', { trace: '50%' })
      // @ts-expect-error -- how long at most?
      void admin.configureGroup('g', { retry: { first: '1s' } })
      // @ts-expect-error -- no such way
      void admin.settleHeld('g', 't', 'forget')
      // @ts-expect-error -- a trace is of an id, or of a key in a topic
      void admin.trace({ key: 'k' })
    })
  })

  test('gives what there is', () => {
    onlyTypes(async () => {
      const { admin } = client
      const group = await admin.describeGroup('g')
      expectTypeOf(group.retry).toEqualTypeOf<RetryPolicy>()
      expectTypeOf(group.deliveredPerSecond).toBeNumber()
      expectTypeOf((await admin.listGroups())[0]?.paused).toEqualTypeOf<boolean | undefined>()
      expectTypeOf((await admin.describeTopic('t')).trace).toBeNumber()
      expectTypeOf(await admin.trace({ messageId: 'm' })).toEqualTypeOf<readonly Timeline[]>()
      expectTypeOf(await admin.deadLetters('g')).toEqualTypeOf<readonly Message<Uint8Array>[]>()
      expectTypeOf(await admin.resendDeadLetters('g')).toBeNumber()
      expectTypeOf((await admin.listDelayed({ topic: 't', max: 5 }))[0]?.deliverMs).toEqualTypeOf<number | undefined>()
      expectTypeOf((await admin.listTransactions())[0]?.topics).toEqualTypeOf<readonly string[] | undefined>()
    })
  })
})

describe('messages', () => {
  test('can be read and not written', () => {
    onlyTypes((message?: Message<Order>) => {
      // @ts-expect-error -- a message is as it was stored
      if (message !== undefined) message.tag = 'other'
      // @ts-expect-error -- so are its properties
      message?.properties.set('a', 'b')
    })
  })

  test('are retried after a duration', () => {
    expectTypeOf<'5s' | '1.5h' | 20>().toExtend<Duration>()
    onlyTypes((message?: Message<Order>) => {
      void message?.retry()
      void message?.retry({ after: '5s' })
      void message?.extend(1_000)
      // @ts-expect-error -- an option, so that it has a name
      void message?.retry('5s')
      // @ts-expect-error -- no unit of that name
      void message?.extend('5 minutes')
    })
  })
})

describe('events and errors', () => {
  test('have their details', () => {
    onlyTypes(() => {
      client.on('gap', ({ queueId, expected, next }) => {
        expectTypeOf(queueId).toBeNumber()
        expectTypeOf(expected).toEqualTypeOf<Position>()
        expectTypeOf(next).toEqualTypeOf<Position>()
      })
      client.on('link', ({ state, error }) => {
        expectTypeOf(state).toEqualTypeOf<'connecting' | 'connected' | 'waiting' | 'closed'>()
        expectTypeOf(error).toEqualTypeOf<PocketError | undefined>()
      })
      client.on('error', ({ code }) => expectTypeOf(code).toEqualTypeOf<ErrorCode>())
      // @ts-expect-error -- no such event
      client.on('close', () => {})
    })
  })

  test('carry a code that a switch can tell', () => {
    onlyTypes((error?: unknown) => {
      if (!(error instanceof PocketError)) return
      // @ts-expect-error -- no such code
      if (error.code === 'NO_SUCH_CODE') return
      expectTypeOf(error.retryable).toBeBoolean()
    })
  })
})
