// Sessions over the real broker, fed with every frame there is, in any order and with any fields: plausible, arbitrary,
// or cut and flipped bytes. Whatever comes, no bug is met, every request is answered at most once and under its own id,
// and another client of the same relay is served as if nothing were.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Broker } from '../../../core/broker/broker.ts'
import { defaultLimits } from '../../../core/limits.ts'
import type { Log } from '../../../core/ports/log.ts'
import { encodeFrame } from '../../../core/protocol/codec.ts'
import { authenticateAnybody } from '../../../core/session/auth.ts'
import { FlushQueue } from '../../../core/session/flush-queue.ts'
import { ReplyRouter } from '../../../core/session/reply-router.ts'
import { ServerSession } from '../../../core/session/server-session.ts'
import { SessionCounters } from '../../../core/session/session-counters.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import type { FrameName } from '../../../core/protocol/frames.ts'
import { type AnyFields, encodeAny, frameSpecs } from '../../support/frames.ts'
import { encodeMessages } from '../../support/messages.ts'
import { FakeConnection, groupOptions, hello, messagesOf, publish, subscribe, topicOptions } from './session-world.ts'

const dueMs = new SimClock().now() + 600_000
const delayedMessage = encodeMessages([{ headers: { bornMs: 1, deliverMs: dueMs }, body: new Uint8Array(3) }])
/** With how many messages they have; most batches say so rightly. */
const batches = new Map([[messagesOf(1), 1], [messagesOf(2), 2], [delayedMessage, 1]])
const recallHandle = `${dueMs.toString(36)}~0000000000000000-0-0`

/** Without PUBLISH the others find nothing: it comes more often. */
const upstreamSpecs = frameSpecs
  .filter(({ direction, name }) => direction === 'upstream' && name !== 'HELLO')
  .flatMap((spec) => new Array<typeof spec>(spec.name === 'PUBLISH' ? 8 : 1).fill(spec))

/** Values by which frames meet each other: names, numbers and batches that exist. */
const plausible: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  topic: fc.constantFrom('orders', 'orders', '__proto__', '%DLQ%till', 'missing', 'bad name', ''),
  group: fc.constantFrom('till', 'till', '__proto__', 'other', 'bad name'),
  filterKind: fc.constantFrom('TAG', 'TAG', 'SQL92'),
  filter: fc.constantFrom('*', '*', 'paid', 'paid || ', '', "TAGS = 'paid'", 'a >'),
  subscriptionId: fc.nat(2),
  queueId: fc.nat(2),
  memberId: fc.constantFrom(new Uint8Array(8), new Uint8Array(8).fill(1)),
  producerId: fc.constantFrom(new Uint8Array(8), new Uint8Array(8).fill(1)),
  producerEpoch: fc.nat(1),
  baseSequence: fc.nat(3),
  messageCount: fc.constantFrom(0, 1, 2, 3, 100),
  messages: fc.constantFrom(...batches.keys(), new Uint8Array(0), new Uint8Array([1, 2, 3])),
  transactionId: fc.constantFrom(new Uint8Array(8), new Uint8Array(8).fill(1)),
  producerGroup: fc.constantFrom('shop', 'shop', 'other', '', 'bad name'),
  checkAfterMs: fc.constantFrom(0, 0, 1_000, 2 ** 40),
  outcome: fc.constantFrom('commit', 'commit', 'rollback'),
  recallHandle: fc.constantFrom(recallHandle, recallHandle, '', '~', 'zzz~0000000000000000-0-0'),
  messageIds: fc.constantFrom([], [], ['0000000000000000-0-0'], ['no id']),
  options: fc.constantFrom(topicOptions({}), groupOptions({})).map((options) => ({ ...topicOptions({}), ...options })),
  replyTo: fc.constantFrom('c-1', 'c-1', '', 'nobody'),
  message: fc.constantFrom(messagesOf(1), messagesOf(1), messagesOf(2), new Uint8Array(0)),
  topics: fc.constantFrom(['orders'], ['orders', 'missing'], ['__proto__'], []),
  positionKeeper: fc.constantFrom('client', 'broker'),
  consumerName: fc.constantFrom('', 'till-7', 'bad name'),
  positions: fc.constantFrom([]),
  byteCount: fc.constantFrom(0, 1, 1_000_000),
  ranges: fc.array(
    fc.record({ queueId: fc.nat(2), leaseId: fc.nat(3).map((n) => 2 ** 32 + n), offset: fc.nat(3), count: fc.nat(3) }),
    { maxLength: 4 },
  ),
  leaseMs: fc.constantFrom(0, 1_000, 60_000),
  waitMs: fc.constantFrom(0, 10, 50_000),
  messageCountMax: fc.constantFrom(0, 1, 100),
  delayMs: fc.constantFrom(0, 10),
  start: fc.constantFrom({ kind: 'earliest' }, { kind: 'latest' }, { kind: 'timestamp', timestampMs: 0 }),
  to: fc.constantFrom({ kind: 'earliest' }, { kind: 'latest' }, { kind: 'position', position: { epoch: 1, offset: 1 } }),
}

interface Sent {
  readonly name: FrameName
  readonly fields: AnyFields
  readonly isRequest: boolean
  /** How long nothing else happens then. */
  readonly pauseMs: number
}

/** A frame with arbitrary fields, most of which are made plausible. A request gets its id when it is sent. */
const someFrame: fc.Arbitrary<Sent> = fc.constantFrom(...upstreamSpecs).chain(({ name, someFields, form }) => {
  const isRequest = form.fields.some((field) => field.name === 'requestId')
  const overrides = form.fields.flatMap(({ name: field }) => {
    const values = plausible[field]
    return values === undefined ? [] : [[field, fc.option(values, { freq: 10, nil: undefined })] as const]
  })
  return fc.tuple(someFields, fc.record(Object.fromEntries(overrides)), fc.constantFrom(0, 0, 0, 1, 2_000)).map(
    ([fields, grounded, pauseMs]): Sent => {
      const chosen = Object.fromEntries(Object.entries(grounded).filter(([, value]) => value !== undefined))
      const count = batches.get(chosen.messages as Uint8Array<ArrayBuffer>)
      const messageCount = count !== undefined && chosen.messageCount !== 0 ? { messageCount: count } : {}
      return { name, fields: { ...fields, ...chosen, ...messageCount }, isRequest, pauseMs }
    },
  )
})

const transactionId = new Uint8Array(8)
const half = {
  transactionId, producerGroup: 'shop', checkAfterMs: 0, topic: 'orders', baseSequence: 0, messageCount: 1,
  messages: messagesOf(1),
}
const ended = { transactionId, producerGroup: 'shop', outcome: 'commit', messageCount: 1 }
const batch = {
  topic: 'orders', producerId: new Uint8Array(8), producerEpoch: 0, baseSequence: 0, messageCount: 1, sentMs: 0,
  messages: delayedMessage,
}

function sent(name: FrameName, fields: AnyFields): Sent {
  return { name, fields, isRequest: true, pauseMs: 0 }
}

/** What needs several frames that fit each other, and hardly comes about by chance; others may come in between. */
const stories: readonly (readonly Sent[])[] = [
  [sent('PREPARE', half), sent('END_TRANSACTION', ended)],
  [sent('PREPARE', half), sent('REGISTER_PRODUCER', { producerGroup: 'shop' })],
  [sent('PUBLISH', batch), sent('RECALL', { topic: 'orders', recallHandle })],
]

interface Damage {
  readonly at: number
  readonly flip: number
  readonly cutAt: number | undefined
}

/** One frame in sixty: damage mostly ends a connection. */
const someDamage: fc.Arbitrary<Damage | undefined> = fc.oneof(
  { weight: 60, arbitrary: fc.constant(undefined) },
  {
    weight: 1,
    arbitrary: fc.record({
      at: fc.nat(60),
      flip: fc.integer({ min: 1, max: 255 }),
      cutAt: fc.option(fc.nat(40), { nil: undefined }),
    }),
  },
)

type Step = [frame: Sent, damage: Damage | undefined]
const someStory = fc.constantFrom(...stories)

function isStep(chapter: Step | readonly Sent[]): chapter is Step {
  return !stories.includes(chapter as readonly Sent[])
}

function damaged(bytes: Uint8Array, damage: Damage | undefined): Uint8Array {
  if (damage === undefined) return bytes
  const copy = bytes.slice(0, damage.cutAt)
  const at = damage.at % Math.max(1, copy.length)
  if (copy.length > 0) copy[at] = (copy[at] as number) ^ damage.flip
  return copy
}

class FuzzWorld {
  readonly clock = new SimClock()
  readonly counters = new SessionCounters()
  readonly errors: string[] = []
  readonly #flushQueue = new FlushQueue(this.clock)
  readonly #replies = new ReplyRouter(defaultLimits)
  #broker: Broker | undefined

  async open(): Promise<void> {
    const { clock } = this
    const opening = Broker.open({
      clock,
      store: createMemoryStore({ clock }),
      random: createSimRandom(1),
      log: this.log,
      limits: { ...defaultLimits, queueCountDefault: 2 },
      autoCreateTopics: false,
      released: () => this.#flushQueue.flushAll(),
      failed: (error) => this.errors.push(`the broker failed: ${error.message}`),
    })
    void opening.then((broker) => (this.#broker = broker))
    while (this.#broker === undefined) await this.settle()
  }

  get log(): Log {
    return {
      error: (event, fields) => this.errors.push(`${event} ${JSON.stringify(fields)}`),
      info() {},
      debug() {},
    }
  }

  connect(): { connection: FakeConnection; session: ServerSession } {
    const connection = new FakeConnection()
    const { clock, counters, log } = this
    const session = new ServerSession(connection, {
      clock, counters, log,
      broker: this.#broker as Broker,
      limits: defaultLimits,
      relayId: 'relay',
      authenticate: authenticateAnybody,
      flushQueue: this.#flushQueue,
      replies: this.#replies,
      ended: () => {},
    })
    return { connection, session }
  }

  /** Runs what is ready; queries and starts by time go through promises, so it is done when nothing came for a while. */
  async settle(): Promise<void> {
    for (let idleRounds = 0; idleRounds < 3; idleRounds++) {
      if (!this.clock.isIdle) idleRounds = 0
      this.clock.runUntilIdle()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

const createOrders = encodeFrame('CREATE_TOPIC', {
  requestId: 1, topic: 'orders',
  options: topicOptions({ queueCount: 2, messageType: 'NORMAL' }),
})

test('sessions meet no bug, answer once, and leave others alone, whatever a client sends', async () => {
  const names = new Map<string, number>()
  await fc.assert(fc.asyncProperty(
    fc.array(fc.oneof({ weight: 20, arbitrary: fc.tuple(someFrame, someDamage) }, someStory), {
      minLength: 1, maxLength: 40, size: 'max',
    }),
    async (chapters) => {
      const steps = chapters.flatMap((chapter) =>
        isStep(chapter) ? [chapter] : chapter.map((frame): Step => [frame, undefined]))
      const world = new FuzzWorld()
      await world.open()
      const good = world.connect()
      good.session.message(hello())
      good.session.message(createOrders)
      await world.settle()
      const bad = world.connect()
      bad.session.message(hello())
      bad.session.message(subscribe({ requestId: 1, subscriptionId: 1 }))
      bad.session.message(encodeFrame('CREDIT', { subscriptionId: 1, messageCount: 1_000, byteCount: 1_000_000 }))
      const requestIds = new Set([1])
      for (const [index, [frame, damage]] of steps.entries()) {
        const { name, fields, isRequest, pauseMs } = frame
        const requestId = index + 2
        if (isRequest) requestIds.add(requestId)
        bad.session.message(damaged(encodeAny(name, isRequest ? { ...fields, requestId } : fields), damage))
        if (pauseMs > 0) {
          await world.settle()
          world.clock.advance(pauseMs)
        }
      }
      await world.settle()
      // Every wait is over by then, and so is every lease and retry of the first rounds.
      for (let count = 0; count < 5; count++) {
        world.clock.advance(15_000)
        bad.session.message(encodeFrame('PING', { nonce: count }))
        good.session.message(encodeFrame('PING', { nonce: count }))
        await world.settle()
      }
      const answers = bad.connection.frames.flatMap((answer) => ('requestId' in answer ? [answer.requestId] : []))
      // Damage may turn one request into another, or its id into another's.
      if (steps.every(([, damage]) => damage === undefined)) {
        const toRequests = answers.filter((requestId) => requestId !== 0).sort((left, right) => left - right)
        const answered = bad.connection.ending === undefined ? [...requestIds] : [...new Set(toRequests)]
        expect(toRequests, 'each request is answered once').toEqual(answered)
      }
      expect(world.counters.crashes).toBe(0)
      expect(world.errors).toEqual([])
      for (const { name } of bad.connection.frames) names.set(name, (names.get(name) ?? 0) + 1)

      const producerId = new Uint8Array(8).fill(9)
      good.session.message(encodeFrame('CREATE_TOPIC', {
        requestId: 2, topic: 'after',
        options: topicOptions({ queueCount: 1 }),
      }))
      good.session.message(publish({ requestId: 3, topic: 'after', producerId, messageCount: 2, messages: messagesOf(2) }))
      await world.settle()
      expect(good.connection.ending).toBeUndefined()
      expect(good.connection.frames.slice(-2)).toMatchObject([
        { name: 'TOPIC', requestId: 2 }, { name: 'PUBLISHED', requestId: 3, duplicate: false },
      ])
    },
  ), { numRuns: 300, seed: 20_261_122 })
  // The test proves nothing unless the frames were plausible enough to be answered.
  const reached = [
    'PUBLISHED', 'SUBSCRIBED', 'DELIVER', 'DONE', 'RECEIVED', 'PULLED', 'MESSAGES', 'TOPIC', 'GROUP', 'ERROR', 'RECALLED',
    'DELAYED', 'TRANSACTION_ENDED', 'CHECK_TRANSACTION', 'TRANSACTIONS', 'REPLIED', 'TRACE', 'FOLLOWING', 'CHANGES', 'REVOKED',
  ]
  expect([...names.keys()]).toEqual(expect.arrayContaining(reached))
}, 120_000)
