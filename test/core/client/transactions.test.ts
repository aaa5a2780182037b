// Transactions against a relay that keeps to the rules of the protocol, and refuses and loses what the test says.

import { afterEach, describe, expect, test } from 'vitest'
import type {
  Topic, Transaction, TransactionOptions, TransactionProducer, TransactionVerdict, UnresolvedTransaction,
} from '../../../core/client/api.ts'
import { bytes, text } from '../../../core/client/codec.ts'
import type { ErrorCode } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import { parseRecallHandle } from '../../../core/model/message.ts'
import type { UpstreamName } from '../../../core/protocol/frames.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { type Script, someWelcome } from '../../support/scripted-relay.ts'
import { ScriptedWorld, watch } from './scripted-world.ts'
import { TransactionBook } from './transaction-book.ts'

interface Shop {
  readonly world: ScriptedWorld
  readonly book: TransactionBook
  readonly producer: TransactionProducer
  readonly orders: Topic<string>
  readonly bills: Topic<string>
}

async function opened(options: Partial<TransactionOptions> = {}, script: Script = {}): Promise<Shop> {
  const book = new TransactionBook()
  const world = await ScriptedWorld.connected({ ...book.script, ...script })
  return { world, book, ...shopOf(world, options) }
}

function shopOf(world: ScriptedWorld, options: Partial<TransactionOptions> = {}): Pick<Shop, 'producer' | 'orders' | 'bills'> {
  const producer = world.client.transactions({ producerGroup: 'shop', check: () => 'unknown', ...options })
  const orders = world.client.topic('orders', { codec: text })
  return { producer, orders, bills: world.client.topic('bills', { codec: text }) }
}

/** Names of frames of each transport message of the newest connection, but for the greeting. */
function talk(world: ScriptedWorld): UpstreamName[][] {
  return world.relay.line.messages.map((frames) => frames.map(({ name }) => name))
    .filter((names) => !names.includes('HELLO') && !names.includes('REGISTER_PRODUCER'))
}

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))
afterEach(() => {
  expect(unhandled.splice(0)).toEqual([])
})

describe('a transaction', () => {
  test('travels in one go, a part for each topic and the end behind them', async () => {
    const { world, book, producer, orders, bills } = await opened()
    await world.settle()
    const transaction = producer.begin()
    const sends = [
      transaction.send(orders, 'o1'), transaction.send(bills, 'b1'), transaction.send(orders, 'o2', { tag: 't' }),
    ]
    const committed = watch(transaction.commit())
    await world.settle()
    expect(talk(world)).toEqual([['PREPARE', 'PREPARE', 'END_TRANSACTION']])
    expect(book.prepares.map(({ topic, baseSequence, messageCount, producerGroup, checkAfterMs }) =>
      [topic, baseSequence, messageCount, producerGroup, checkAfterMs])).toEqual([
      ['orders', 0, 2, 'shop', 0], ['bills', 2, 1, 'shop', 0],
    ])
    expect(book.ends).toMatchObject([{ outcome: 'commit', messageCount: 3, producerGroup: 'shop' }])
    const { transactionId } = transaction
    expect(transactionId).toMatch(/^[0-9a-f]{16}$/)
    const ids = [0, 2, 1].map((sequence) => `${transactionId}-0-${sequence}`)
    expect((await world.until(Promise.all(sends))).map(({ messageId }) => messageId)).toEqual(ids)
    const others = { queueId: 2, epoch: 1, deliverMs: undefined, recallHandle: undefined }
    expect(committed.value).toEqual({
      transactionId,
      duplicate: false,
      messages: [
        { messageId: ids[0], topic: 'orders', offset: 0, ...others },
        { messageId: ids[1], topic: 'bills', offset: 0, ...others },
        { messageId: ids[2], topic: 'orders', offset: 1, ...others },
      ],
    })
    expect(book.bodies).toEqual(['o1', 'o2', 'b1'])
  })

  test('counts its sequences over all turns', async () => {
    const { world, book, producer, orders, bills } = await opened({ checkAfter: '20s' })
    const transaction = producer.begin()
    for (const body of ['a', 'b', 'c']) {
      await world.until(Promise.all([transaction.send(orders, body), transaction.send(bills, body)]))
    }
    await world.until(transaction.commit())
    expect(book.prepares.map(({ baseSequence, checkAfterMs }) => [baseSequence, checkAfterMs])).toEqual(
      [0, 1, 2, 3, 4, 5].map((sequence) => [sequence, 20_000]),
    )
    expect(book.bodies).toEqual(['a', 'a', 'b', 'b', 'c', 'c'])
  })

  test('has times and handles for its delayed messages', async () => {
    const { world, producer, orders } = await opened()
    const transaction = producer.begin()
    for (const deliverAt of [0, 7_000, 0, 8_000]) void transaction.send(orders, 'x', { deliverAt })
    const { messages } = await world.until(transaction.commit())
    expect(messages.map(({ offset, deliverMs }) => [offset, deliverMs])).toEqual([
      [0, undefined], [undefined, 7_000], [2, undefined], [undefined, 8_000],
    ])
    expect(parseRecallHandle(messages[3]?.recallHandle ?? '')).toMatchObject({ deliverMs: 8_000, sequence: 3 })
  })

  test('rolled back leaves nothing', async () => {
    const { world, book, producer, orders } = await opened()
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'a'))
    await world.until(transaction.rollback())
    expect(book.ends).toMatchObject([{ outcome: 'rollback', messageCount: 1 }])
    expect([book.log, book.open.size]).toEqual([[], 0])
  })

  test('without messages, or with none that was sent, ends without the relay', async () => {
    const { world, producer, orders } = await opened()
    await world.settle()
    expect(await world.until(producer.begin().commit())).toMatchObject({ duplicate: false, messages: [] })
    await world.until(producer.begin().rollback())
    const transaction = producer.begin()
    const sent = watch(transaction.send(orders, 'a'))
    await world.until(transaction.rollback())
    await world.settle()
    expect(sent.outcome).toBe('TRANSACTION_FINISHED')
    expect(talk(world)).toEqual([])
  })

  test('ends once: the same again gives the same, the other is refused', async () => {
    const { world, book, producer, orders } = await opened()
    const good = producer.begin()
    void good.send(orders, 'a')
    const receipt = await world.until(good.commit())
    expect(await world.until(good.commit())).toBe(receipt)
    await expect(world.until(good.rollback())).rejects.toMatchObject({ code: 'TRANSACTION_FINISHED' })
    const bad = producer.begin()
    await world.until(bad.send(orders, 'b'))
    await world.until(Promise.all([bad.rollback(), bad.rollback()]))
    await world.until(bad.rollback())
    await expect(world.until(bad.commit())).rejects.toMatchObject({ code: 'TRANSACTION_FINISHED' })
    for (const transaction of [good, bad]) {
      await expect(world.until(transaction.send(orders, 'c'))).rejects.toMatchObject({ code: 'TRANSACTION_FINISHED' })
    }
    expect(book.ends).toHaveLength(2)
  })

  test('many at once do not mix', async () => {
    const { world, book, producer, orders } = await opened()
    const receipts = await world.until(Promise.all(Array.from({ length: 50 }, (_, index) =>
      producer.run(async (transaction) => {
        void transaction.send(orders, `${index}.0`)
        await transaction.send(orders, `${index}.1`)
        void transaction.send(orders, `${index}.2`)
        return index
      }))))
    expect(receipts).toEqual(Array.from({ length: 50 }, (_, index) => index))
    expect(book.log).toHaveLength(150)
    for (let index = 0; index < 150; index += 3) {
      expect(book.bodies.slice(index, index + 3).map((body) => body.split('.')[1])).toEqual(['0', '1', '2'])
    }
  })

  test('larger than a frame travels in several parts', async () => {
    const { world, book, producer } = await opened()
    const blobs = world.client.topic('blobs', { codec: bytes })
    const transaction = producer.begin()
    for (let index = 0; index < 9; index++) void transaction.send(blobs, new Uint8Array(100_000))
    await world.until(transaction.commit())
    expect(book.prepares.map(({ baseSequence, messageCount }) => [baseSequence, messageCount])).toEqual(
      [[0, 2], [2, 2], [4, 2], [6, 2], [8, 1]],
    )
    expect(book.log).toHaveLength(9)
  })

  test('is taken apart for a relay with smaller limits than were known when it was made', async () => {
    const book = new TransactionBook()
    const world = new ScriptedWorld(book.script, {}, { isDown: true })
    world.relay.welcome = { ...someWelcome, batchMessageCountMax: 3, frameBytesMax: 100_000, bodyBytesMax: 50_000 }
    const { producer, orders } = shopOf(world)
    const transaction = producer.begin()
    for (let index = 0; index < 8; index++) void transaction.send(orders, String(index))
    const committed = watch(transaction.commit())
    world.network.isDown = false
    await world.pass(30_000)
    expect(committed.outcome).toBe('ok')
    expect(book.prepares.map(({ baseSequence, messageCount }) => [baseSequence, messageCount])).toEqual([[0, 3], [3, 3], [6, 2]])
    expect(book.bodies).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
  })
})

describe('what may not be sent', () => {
  const spoiling: [string, (shop: Shop, transaction: Transaction) => Promise<unknown>, ErrorCode][] = [
    ['a foreign topic', (_shop, transaction) => transaction.send({ name: 'orders' } as Topic<string>, 'x'), 'BAD_ARGUMENT'],
    ['no topic', (_shop, transaction) => transaction.send(undefined as unknown as Topic<string>, 'x'), 'BAD_ARGUMENT'],
    ['a bad tag', ({ orders }, transaction) => transaction.send(orders, 'x', { tag: 'a|b' }), 'BAD_NAME'],
    ['no JSON', ({ world }, transaction) => transaction.send(world.client.topic('a'), () => {}), 'BAD_ARGUMENT'],
    ['two delays', ({ orders }, transaction) => transaction.send(orders, 'x', { delay: 1, deliverAt: 1 }), 'BAD_ARGUMENT'],
    ['a large body', ({ world }, transaction) => {
      const blobs = world.client.topic('blobs', { codec: bytes })
      return transaction.send(blobs, new Uint8Array(someWelcome.bodyBytesMax + 1))
    }, 'MESSAGE_TOO_LARGE'],
    ['an aborted signal', ({ orders }, transaction) => transaction.send(orders, 'x', { signal: AbortSignal.abort() }), 'ABORTED'],
  ]

  test.each(spoiling)('%s spoils the transaction: it can only be rolled back', async (_what, send, code) => {
    const shop = await opened()
    const { world, book, producer, orders } = shop
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'good'))
    await expect(world.until(send(shop, transaction))).rejects.toMatchObject({ code })
    await expect(world.until(transaction.commit())).rejects.toMatchObject({ code })
    await expect(world.until(transaction.send(orders, 'more'))).rejects.toMatchObject({ code })
    await world.until(transaction.rollback())
    expect(book.ends.map(({ outcome }) => outcome)).toEqual(['rollback'])
    expect(book.log).toEqual([])
  })

  test('is bounded in number and in bytes', async () => {
    const { world, book, producer, orders } = await opened()
    const { transactionMessageCountMax } = fixedLimits
    const transaction = producer.begin()
    for (let index = 0; index < transactionMessageCountMax; index++) void transaction.send(orders, 'x')
    await world.until(transaction.commit())
    expect(book.log).toHaveLength(transactionMessageCountMax)
    const tooMany = producer.begin()
    const sends = Array.from({ length: transactionMessageCountMax + 1 }, () => watch(tooMany.send(orders, 'x')))
    await world.settle()
    expect(sends.slice(-2).map(({ outcome }) => outcome)).toEqual(['ok', 'LIMIT_EXCEEDED'])
    await expect(world.until(tooMany.commit())).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    const tooMuch = producer.begin()
    const blobs = world.client.topic('blobs', { codec: bytes })
    const { frameBytesMax, bodyBytesMax } = someWelcome
    for (let left = frameBytesMax; left > 0; left -= bodyBytesMax) void tooMuch.send(blobs, new Uint8Array(bodyBytesMax))
    await expect(world.until(tooMuch.send(blobs, new Uint8Array(1)))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  })

  test('is told by commit, though nobody waited for the send', async () => {
    const { world, producer, orders } = await opened()
    const transaction = producer.begin()
    void transaction.send(orders, 'x', { tag: ' ' })
    await expect(world.until(transaction.commit())).rejects.toMatchObject({ code: 'BAD_NAME' })
  })

  test('a send given up while it is on its way spoils it too; once it commits, the end alone tells', async () => {
    const { world, book, producer, orders } = await opened()
    book.answer = (give) => world.clock.setTimer(100, give)
    const aborting = new AbortController()
    const spoiled = producer.begin()
    const sent = watch(spoiled.send(orders, 'a', { signal: aborting.signal }))
    await world.pass(50)
    aborting.abort()
    const refused = watch(spoiled.commit())
    await world.pass(1_000)
    expect([sent.outcome, refused.outcome]).toEqual(['ABORTED', 'ABORTED'])
    const late = new AbortController()
    const committing = producer.begin()
    const other = watch(committing.send(orders, 'b', { signal: late.signal }))
    const committed = watch(committing.commit())
    await world.pass(50)
    late.abort()
    await world.pass(1_000)
    expect([other.outcome, committed.outcome, committed.value?.messages.length]).toEqual(['ABORTED', 'ok', 1])
    expect(book.bodies).toEqual(['b'])
  })
})

describe('refusals', () => {
  test.each(['TOPIC_NOT_FOUND', 'MESSAGE_TYPE_MISMATCH', 'LIMIT_EXCEEDED', 'FORBIDDEN'] as const)(
    'of a part for good (%s) reject its sends and the commit behind it; a rollback ends it', async (code) => {
      const { world, book, producer, orders, bills } = await opened()
      book.judge = (request) => ('topic' in request && request.topic === 'bills' ? { refuse: code } : 'take')
      const transaction = producer.begin()
      const sends = [watch(transaction.send(orders, 'o')), watch(transaction.send(bills, 'b'))]
      const committed = watch(transaction.commit())
      await world.settle()
      expect(sends.map(({ outcome }) => outcome)).toEqual(['ok', code])
      expect(committed.outcome).toBe(code)
      expect(book.log).toEqual([])
      await world.until(transaction.rollback())
      expect([...book.ended.values()].map(({ outcome }) => outcome)).toEqual(['rollback'])
    },
  )

  test('of a part for now are tried again, and the end after it', async () => {
    const { world, book, producer, orders, bills } = await opened()
    let refusals = 3
    book.judge = () => (refusals-- > 0 ? { refuse: 'STORE_FULL', retryAfterMs: 300 } : 'take')
    const transaction = producer.begin()
    void transaction.send(orders, 'o')
    void transaction.send(bills, 'b')
    const receipt = await world.until(transaction.commit())
    expect(world.clock.monotonic()).toBeGreaterThanOrEqual(300)
    expect(receipt).toMatchObject({ duplicate: false, messages: [{ topic: 'orders' }, { topic: 'bills' }] })
    expect(book.bodies).toEqual(['o', 'b'])
  })

  test('of the end for now are tried again', async () => {
    const { world, book, producer, orders } = await opened()
    let refusals = 3
    book.judge = (request) => ('outcome' in request && refusals-- > 0 ? { refuse: 'OVERLOADED', retryAfterMs: 300 } : 'take')
    const transaction = producer.begin()
    void transaction.send(orders, 'o')
    await world.until(transaction.commit())
    expect([book.ends.length, book.prepares.length, book.bodies]).toEqual([4, 1, ['o']])
  })

  test('of an end that overtook its parts at the relay are no failure', async () => {
    const { world, book, producer, orders } = await opened()
    let isEarly = true
    book.judge = (request) => {
      if (!('outcome' in request) || !isEarly) return 'take'
      isEarly = false
      return { refuse: 'TRANSACTION_NOT_FOUND' }
    }
    book.answer = (give) => world.clock.setTimer(10, give)
    const transaction = producer.begin()
    void transaction.send(orders, 'o')
    await world.until(transaction.commit())
    expect(book.ends).toHaveLength(2)
    expect(book.bodies).toEqual(['o'])
  })

  test('of the end for good leave the rollback', async () => {
    const { world, book, producer, orders } = await opened()
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'o'))
    book.judge = (request) => ('outcome' in request && request.outcome === 'commit' ? { refuse: 'FORBIDDEN' } : 'take')
    await expect(world.until(transaction.commit())).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(world.until(transaction.commit())).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await world.until(transaction.rollback())
    expect(book.ended.size).toBe(1)
  })

  test('with INTERNAL do not go on for ever', async () => {
    const { world, book, producer, orders } = await opened()
    book.judge = () => ({ refuse: 'INTERNAL' })
    const transaction = producer.begin()
    await expect(world.until(transaction.send(orders, 'o'))).rejects.toMatchObject({ code: 'INTERNAL' })
    await expect(world.until(transaction.rollback())).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  test('of a transaction that a check has ended: the same end is its end, the other is refused', async () => {
    const { world, book, producer, orders } = await opened()
    const ended = async (outcome: 'commit' | 'rollback') => {
      const transaction = producer.begin()
      await world.until(transaction.send(orders, outcome))
      book.endByCheck(transaction.transactionId, outcome)
      return transaction
    }
    const committed = await ended('commit')
    expect(await world.until(committed.commit())).toMatchObject({ duplicate: true, messages: [{ topic: 'orders' }] })
    await expect(world.until((await ended('commit')).rollback())).rejects.toMatchObject({ code: 'TRANSACTION_FINISHED' })
    await world.until((await ended('rollback')).rollback())
    const lost = await ended('rollback')
    await expect(world.until(lost.commit())).rejects.toMatchObject({ code: 'TRANSACTION_FINISHED' })
    await expect(world.until(lost.rollback())).rejects.toMatchObject({ code: 'TRANSACTION_FINISHED' })
    const late = await ended('rollback')
    await expect(world.until(late.send(orders, 'late'))).rejects.toMatchObject({ code: 'TRANSACTION_FINISHED' })
    await expect(world.until(late.commit())).rejects.toMatchObject({ code: 'TRANSACTION_FINISHED' })
    expect(book.bodies).toEqual(['commit', 'commit'])
  })

  test('a rollback of what the relay has forgotten is done', async () => {
    const { world, book, producer, orders } = await opened()
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'a'))
    book.judge = () => ({ refuse: 'TRANSACTION_NOT_FOUND' })
    await world.until(transaction.rollback())
  })
})

describe('a lost connection', () => {
  test.each(['before', 'after'] as const)('%s the relay heard: parts and end go out again, and count once', async (when) => {
    const { world, book, producer, orders, bills } = await opened()
    if (when === 'before') book.judge = () => 'ignore'
    book.answer = () => {}
    const transaction = producer.begin()
    const sends = [watch(transaction.send(orders, 'o')), watch(transaction.send(bills, 'b'))]
    const committed = watch(transaction.commit())
    await world.settle()
    world.network.cut()
    book.judge = () => 'take'
    book.answer = (give) => give()
    await world.pass(1_000)
    expect(talk(world)).toEqual([])
    expect(world.relay.line.messages.flat().map(({ name }) => name)).toEqual(
      ['HELLO', 'REGISTER_PRODUCER', 'PREPARE', 'PREPARE', 'END_TRANSACTION'],
    )
    expect([committed.outcome, committed.value?.duplicate]).toEqual(['ok', when === 'after'])
    expect(sends.map(({ outcome }) => outcome)).toEqual(['ok', 'ok'])
    expect(book.bodies).toEqual(['o', 'b'])
  })

  test('does not undo a rollback', async () => {
    const { world, book, producer, orders } = await opened()
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'o'))
    book.judge = () => 'ignore'
    const rolledBack = watch(transaction.rollback())
    await world.settle()
    world.network.cut()
    book.judge = () => 'take'
    await world.pass(1_000)
    expect([rolledBack.outcome, book.open.size]).toEqual(['ok', 0])
    expect(world.relay.line.heard('PREPARE')).toEqual([])
  })

  test('lets transactions go on that are not decided', async () => {
    const { world, book, producer, orders } = await opened()
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'a'))
    world.network.cut()
    const sent = watch(transaction.send(orders, 'b'))
    await world.pass(1_000)
    expect(sent.outcome).toBe('ok')
    await world.until(transaction.commit())
    expect(book.bodies).toEqual(['a', 'b'])
    expect(book.prepares.map(({ baseSequence }) => baseSequence)).toEqual([0, 1])
  })

  test('while the relay drains keeps what is new for the next connection', async () => {
    const { world, book, producer, orders } = await opened()
    world.relay.line.send('STOPPING', { retryAfterMs: 10 })
    await world.settle()
    const committed = watch(producer.run((transaction) => transaction.send(orders, 'a')))
    await world.settle()
    expect(book.prepares).toEqual([])
    world.relay.line.close(4000)
    await world.pass(5_000)
    expect([committed.outcome, book.bodies]).toEqual(['ok', ['a']])
  })
})

describe('run', () => {
  test('commits when its work is done, and gives what that gave', async () => {
    const { world, book, producer, orders } = await opened()
    const result = await world.until(producer.run(async (transaction) => {
      await transaction.send(orders, 'a')
      return 'done'
    }))
    expect([result, book.bodies]).toEqual(['done', ['a']])
  })

  test('rolls back when its work throws, and throws that on', async () => {
    const { world, book, producer, orders } = await opened()
    const failure = new Error('no stock')
    await expect(world.until(producer.run(async (transaction) => {
      await transaction.send(orders, 'a')
      throw failure
    }))).rejects.toBe(failure)
    expect([book.log, [...book.ended.values()].map(({ outcome }) => outcome)]).toEqual([[], ['rollback']])
  })

  test('leaves a transaction alone that its work has ended', async () => {
    const { world, book, producer, orders } = await opened()
    await world.until(producer.run(async (transaction) => {
      void transaction.send(orders, 'a')
      await transaction.commit()
    }))
    await world.until(producer.run(async (transaction) => {
      await transaction.send(orders, 'b')
      void transaction.rollback()
    }))
    expect(book.ends.map(({ outcome }) => outcome)).toEqual(['commit', 'rollback'])
    expect(book.bodies).toEqual(['a'])
  })

  test('rolls back when the commit fails', async () => {
    const { world, book, producer, orders, bills } = await opened()
    book.judge = (request) => ('topic' in request && request.topic === 'bills' ? { refuse: 'FORBIDDEN' } : 'take')
    const work = (transaction: Transaction) => {
      void transaction.send(orders, 'a')
      void transaction.send(bills, 'b')
    }
    await expect(world.until(producer.run(work))).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect([...book.ended.values()].map(({ outcome }) => outcome)).toEqual(['rollback'])
  })
})

describe('checks', () => {
  /** A transaction that some other producer of the group has left behind. */
  const leftBehind = (book: TransactionBook, transactionId = '00000000000000ab') => {
    const half = (body: string, index: number) =>
      ({ topic: 'orders', body, messageId: `${transactionId}-0-${index}`, deliverMs: 0 })
    book.open.set(transactionId, ['a', 'b'].map(half))
    return transactionId
  }

  test.each([
    ['commit', ['a', 'b']], ['rollback', []],
  ] as const)('are answered with %s, as the application says', async (verdict, log) => {
    const asked: UnresolvedTransaction[] = []
    const { world, book, producer } = await opened({
      check: (transaction) => {
        asked.push(transaction)
        return verdict
      },
    })
    await world.until(producer.registered)
    const transactionId = leftBehind(book)
    book.check(world.relay.line, transactionId, 3)
    await world.settle()
    expect(asked).toMatchObject([{ transactionId, checkCount: 3, preparedMs: 5 }])
    expect(asked[0]?.messages.map(({ topic, messageId, value }) => [topic, messageId, new TextDecoder().decode(value)])).toEqual([
      ['orders', `${transactionId}-0-0`, 'a'], ['orders', `${transactionId}-0-1`, 'b'],
    ])
    expect(book.ends).toMatchObject([{ outcome: verdict, messageCount: 2, producerGroup: 'shop' }])
    expect(book.bodies).toEqual(log)
  })

  test('that the application cannot answer are left unanswered, and what it threw is told', async () => {
    const verdicts: (() => TransactionVerdict)[] = [
      () => 'unknown',
      () => {
        throw new TypeError('no database')
      },
      () => 'yes' as TransactionVerdict,
    ]
    const { world, book } = await opened({ check: () => (verdicts.shift() as () => TransactionVerdict)() })
    const transactionId = leftBehind(book)
    for (let round = 1; round <= 3; round++) {
      book.check(world.relay.line, transactionId, round)
      await world.settle()
    }
    expect(book.ends).toEqual([])
    expect(world.errors.map(({ code }) => code)).toEqual(['HANDLER_FAILED', 'BAD_ARGUMENT'])
    expect(world.errors[0]?.cause).toBeInstanceOf(TypeError)
  })

  test('come to the application one at a time for a transaction, and not too many at once', async () => {
    let atOnce = 0
    let most = 0
    const asked: string[] = []
    const { world, book } = await opened({
      check: async ({ transactionId }): Promise<TransactionVerdict> => {
        asked.push(transactionId)
        most = Math.max(most, ++atOnce)
        await new Promise<void>((resolve) => world.clock.setTimer(1_000, resolve))
        atOnce--
        return 'commit'
      },
    })
    const ids = Array.from({ length: 100 }, (_, index) => leftBehind(book, index.toString(16).padStart(16, '0')))
    for (let round = 0; round < 3; round++) for (const id of ids) book.check(world.relay.line, id)
    await world.pass(500)
    expect(atOnce).toBe(32)
    await world.pass(10_000)
    expect(most).toBe(32)
    expect(asked).toEqual(ids)
    expect(book.log).toHaveLength(200)
  })

  test('about a transaction that is open here are not answered; what is decided is said again', async () => {
    const asked: string[] = []
    const { world, book, producer, orders } = await opened({
      check: ({ transactionId }) => {
        asked.push(transactionId)
        return 'rollback'
      },
    })
    const transaction = producer.begin()
    await world.until(transaction.send(orders, 'a'))
    book.check(world.relay.line, transaction.transactionId)
    await world.settle()
    expect([asked, book.ends]).toEqual([[], []])
    book.judge = () => ({ refuse: 'OVERLOADED', retryAfterMs: 60_000 })
    const committed = watch(transaction.commit())
    await world.settle()
    book.judge = () => 'take'
    book.check(world.relay.line, transaction.transactionId)
    await world.settle()
    expect([committed.outcome, book.bodies, asked]).toEqual(['ok', ['a'], []])
  })

  test('whose answer got lost are answered again; a verdict that came too late is told', async () => {
    const { world, book } = await opened({ check: () => 'commit' })
    const transactionId = leftBehind(book)
    book.judge = () => 'ignore'
    book.check(world.relay.line, transactionId)
    await world.settle()
    world.network.cut()
    book.judge = () => 'take'
    await world.pass(1_000)
    expect(book.bodies).toEqual(['a', 'b'])
    const other = leftBehind(book, '00000000000000cd')
    book.judge = (request) => ('outcome' in request ? { refuse: 'TRANSACTION_FINISHED' } : 'take')
    book.check(world.relay.line, other)
    await world.settle()
    expect(world.errors.map(({ code }) => code)).toEqual(['TRANSACTION_FINISHED'])
  })

  test('whose transaction has grown while the application thought it over are asked again, and nobody hears of it', async () => {
    const { world, book } = await opened({ check: () => 'commit' })
    const transactionId = leftBehind(book)
    book.check(world.relay.line, transactionId)
    book.open.get(transactionId)?.push({ topic: 'orders', body: 'c', messageId: `${transactionId}-0-2`, deliverMs: 0 })
    await world.settle()
    expect(book.ends.map(({ messageCount }) => messageCount)).toEqual([2])
    expect([world.errors, book.bodies]).toEqual([[], []])
    book.check(world.relay.line, transactionId, 2)
    await world.settle()
    expect([world.errors, book.bodies]).toEqual([[], ['a', 'b', 'c']])
  })

  test('for other groups, or that make no sense, reach nobody', async () => {
    let askedCount = 0
    const { world, book } = await opened({
      check: () => {
        askedCount++
        return 'commit'
      },
    })
    const check = {
      transactionId: new Uint8Array(8), producerGroup: 'other', checkCount: 1, preparedMs: 1, messages: [],
    }
    world.relay.line.send('CHECK_TRANSACTION', check)
    await world.settle()
    expect(world.client.link).toBe('connected')
    const messages = [{ topic: 'orders', record: Uint8Array.of(1, 2, 3) }]
    world.relay.line.send('CHECK_TRANSACTION', { ...check, producerGroup: 'shop', messages })
    await world.pass(1_000)
    expect([askedCount, world.relay.lines.length, world.client.link]).toEqual([0, 2, 'connected'])
    book.check(world.relay.line, leftBehind(book))
    await world.settle()
    expect(askedCount).toBe(1)
  })
})

describe('a producer', () => {
  test('registers on every connection', async () => {
    const { world, producer } = await opened()
    await world.until(producer.registered)
    world.network.cut()
    await world.pass(1_000)
    expect(world.relay.lines.map((line) => line.heard('REGISTER_PRODUCER').map(({ producerGroup }) => producerGroup)))
      .toEqual([['shop'], ['shop']])
  })

  test('refused for now registers again; refused for good it says so, and produces all the same', async () => {
    let refusals = 2
    const { world, producer, orders, book } = await opened({}, {
      REGISTER_PRODUCER: ({ requestId }, line) => {
        if (refusals-- > 0) line.refuse(requestId, 'OVERLOADED', 100)
        else line.refuse(requestId, 'FORBIDDEN')
      },
    })
    const registered = watch(producer.registered)
    await world.pass(2_000)
    expect([registered.outcome, world.relay.line.heard('REGISTER_PRODUCER').length]).toEqual(['FORBIDDEN', 3])
    expect(world.errors.map(({ code }) => code)).toEqual(['FORBIDDEN'])
    await world.until(producer.run((transaction) => transaction.send(orders, 'a')))
    expect(book.bodies).toEqual(['a'])
  })

  test('is one per group and client, until it is closed', async () => {
    const { world, producer } = await opened()
    const again = () => world.client.transactions({ producerGroup: 'shop', check: () => 'unknown' })
    expect(again).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
    await world.until(producer.close())
    await world.settle()
    expect(world.relay.line.heard('UNREGISTER_PRODUCER')).toMatchObject([{ producerGroup: 'shop' }])
    const next = again()
    await world.until(next.registered)
    await world.until(producer.close())
    expect(again).toThrow()
  })

  test('closed begins nothing, leaves to others what is not decided, and waits for what is', async () => {
    let askedCount = 0
    const { world, book, producer, orders } = await opened({
      check: () => {
        askedCount++
        return 'commit'
      },
    })
    const open = producer.begin()
    await world.until(open.send(orders, 'open'))
    book.answer = (give) => world.clock.setTimer(500, give)
    const deciding = producer.begin()
    void deciding.send(orders, 'decided')
    const committed = watch(deciding.commit())
    const closed = watch(producer.close())
    expect(() => producer.begin()).toThrow(expect.objectContaining({ code: 'CLOSED' }))
    await world.pass(400)
    expect(closed.outcome).toBe('pending')
    await world.pass(200)
    expect([closed.outcome, committed.outcome]).toEqual(['ok', 'ok'])
    await expect(world.until(open.send(orders, 'more'))).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(world.until(open.commit())).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(world.until(open.rollback())).rejects.toMatchObject({ code: 'CLOSED' })
    book.check(world.relay.line, open.transactionId)
    await world.pass(1_000)
    expect([askedCount, book.bodies, [...book.open.keys()]]).toEqual([0, ['decided'], [open.transactionId]])
  })

  test('ends with its client: what is under way then rejects', async () => {
    const { world, book, producer, orders } = await opened()
    book.judge = () => 'ignore'
    const transaction = producer.begin()
    const outcomes = [watch(transaction.send(orders, 'a')), watch(transaction.commit()), watch(world.client.close())]
    await world.pass(29_999)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['pending', 'pending', 'pending'])
    await world.pass(1)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['CLOSED', 'CLOSED', 'ok'])
    expect(() => world.client.transactions({ producerGroup: 'till', check: () => 'unknown' })).toThrow()
    expect(world.clock.nextTimerMs).toBeUndefined()
  })

  test.each([
    [{ producerGroup: 'a b' }, 'BAD_NAME'], [{ producerGroup: '' }, 'BAD_NAME'],
    [{ producerGroup: 'x'.repeat(121) }, 'BAD_NAME'],
    [{ check: undefined as unknown as () => 'commit' }, 'BAD_ARGUMENT'],
    [{ checkAfter: 'soon' as '1s' }, 'BAD_ARGUMENT'],
    [{ checkAfter: fixedLimits.transactionCheckFirstMsMax + 1 }, 'BAD_ARGUMENT'], [{ checkAfter: 1e300 }, 'BAD_ARGUMENT'],
  ] as const)('with %j is refused on the spot', async (options, code) => {
    const world = await ScriptedWorld.connected(new TransactionBook().script)
    const make = () => shopOf(world, options)
    expect(make).toThrow(expect.objectContaining({ code }))
    // The name is free still.
    expect(shopOf(world, { producerGroup: 'x'.repeat(120), checkAfter: '1h' }).producer.producerGroup).toHaveLength(120)
  })
})

/** One seed: transactions over a connection that breaks at random, to a relay that refuses and forgets to answer. */
async function randomTransactions(seed: number): Promise<{ book: TransactionBook; outcomes: Map<string, string> }> {
  const random = createSimRandom(seed)
  const book = new TransactionBook()
  const world = new ScriptedWorld(book.script, {}, { seed })
  book.judge = (request) => {
    if (random.chance(0.05)) return { refuse: 'STORE_FULL', retryAfterMs: 50 }
    if (random.chance(0.02) && 'topic' in request) return { refuse: 'FORBIDDEN' }
    return random.chance(0.05) ? 'ignore' : 'take'
  }
  book.answer = (give) => {
    if (random.chance(0.1)) return
    if (random.chance(0.5)) give()
    else world.clock.setTimer(1 + random.below(300), give)
  }
  const { producer, orders, bills } = shopOf(world)
  const outcomes = new Map<string, string>()
  for (let round = 0; round < 60; round++) {
    const transaction = producer.begin()
    const { transactionId } = transaction
    outcomes.set(transactionId, 'pending')
    const work = async () => {
      const count = random.below(5)
      for (let index = 0; index < count; index++) {
        const sent = transaction.send(random.chance(0.5) ? orders : bills, `${round}.${index}`)
        if (random.chance(0.3)) await sent
      }
      if (random.chance(0.2)) {
        await transaction.rollback()
        return 'rollback'
      }
      const { messages } = await transaction.commit()
      expect(messages).toHaveLength(count)
      return 'commit'
    }
    work().then((outcome) => outcomes.set(transactionId, outcome), () => outcomes.set(transactionId, 'failed'))
    if (random.chance(0.7)) await world.pass(random.below(60))
    if (random.chance(0.1)) world.network.cut()
  }
  book.judge = () => 'take'
  book.answer = (give) => give()
  world.network.cut()
  await world.pass(120_000)
  await world.until(world.client.close())
  return { book, outcomes }
}

test.each(Array.from({ length: 40 }, (_, index) => index + 1))(
  'seed %i: over any number of broken connections a transaction is all there or not at all, as it was told', async (seed) => {
    const { book, outcomes } = await randomTransactions(seed)
    expect([...outcomes.values()].filter((outcome) => outcome === 'pending')).toEqual([])
    expect(new Set(book.log.map(({ messageId }) => messageId)).size).toBe(book.log.length)
    for (const [transactionId, outcome] of outcomes) {
      const visible = book.log.filter(({ messageId }) => messageId.startsWith(transactionId))
      const ended = book.ended.get(transactionId)
      if (outcome === 'commit') expect(visible).toHaveLength(ended?.messages.length ?? 0)
      else expect(visible).toEqual([])
      if (outcome === 'rollback') expect(book.open.has(transactionId)).toBe(false)
    }
    expect([...outcomes.values()].filter((outcome) => outcome === 'commit').length).toBeGreaterThan(10)
  },
)
