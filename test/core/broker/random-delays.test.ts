// Random work from a seed against delayed messages: they are scheduled and taken back while reads and commits are slow
// and memory holds only some of them; time passes, the wall clock jumps, the broker crashes in the middle of everything
// and comes back. Then all is let become due, and what was promised is held against what is in the queues. A failing
// seed is printed with what failed.

import { describe, expect, it } from 'vitest'
import { Broker } from '../../../core/broker/broker.ts'
import type { PublishReceipt } from '../../../core/broker/door.ts'
import { bytesToText } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import { defaultLimits } from '../../../core/limits.ts'
import { formatRecallHandle } from '../../../core/model/message.ts'
import { silentLog } from '../../../core/ports/log.ts'
import type {
  CommitOutcome, ReadOutcome, Store, StoreEntry, StoreRange, StoreSpace, StoreWrite,
} from '../../../core/ports/store.ts'
import type { DelayedMessage, TopicDescription } from '../../../core/protocol/frames.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { KeyReader, keyKinds, kindRange } from '../../../core/storage/keys.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom, type SimRandom } from '../../sim/sim-random.ts'
import { createSimStore, type SimStore } from '../../sim/sim-store.ts'
import { encodeMessages, idBytes } from './broker-world.ts'

const seedCount = Number(process.env.RANDOM_DELAY_SEEDS ?? 60)
const stepCount = 150
const producerCount = 3

/** A message as the model knows it. */
interface Sent {
  readonly topic: string
  readonly body: string
  readonly messageId: string
  /** By the wall clock of the broker; 0 where it is at once, or not known as no answer came. */
  deliverMs: number
  /** Whether the broker said that it has it. */
  isAcked: boolean
  /** Whether the broker said that it was taken back; 'unknown' where it was asked and never answered. */
  recalled: 'no' | 'yes' | 'unknown'
  /** Messages of its batch. */
  readonly batchCount: number
  /** How often it was asked for. */
  recallCount: number
  /** Its topic was deleted. */
  isDeleted: boolean
}

/** A message as it is in a queue. */
interface Stored {
  readonly body: string
  readonly messageId: string
  readonly deliverMs: number | undefined
  readonly storedMs: number
  readonly queue: string
}

/** Wall time in whole milliseconds, as real clocks give it, while timers come in between. */
class WholeClock extends SimClock {
  override now(): number {
    return Math.floor(super.now())
  }
}

/** Reads what there is when it is asked, and says so later: the oldest that a store may give. */
class LateStore implements Store {
  readonly #inner: Store
  readonly #clock: SimClock
  readonly #lateMs: () => number
  #lastDueMs = 0

  constructor(inner: Store, clock: SimClock, lateMs: () => number) {
    this.#inner = inner
    this.#clock = clock
    this.#lateMs = lateMs
  }

  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, this.#clock.monotonic() + this.#lateMs())
    const dueMs = this.#lastDueMs
    this.#inner.read(range, (outcome) => this.#clock.setTimer(dueMs - this.#clock.monotonic(), () => answer(outcome)))
  }

  commit(writes: readonly StoreWrite[], answer: (outcome: CommitOutcome) => void): void {
    this.#inner.commit(writes, answer)
  }

  space(): StoreSpace {
    return this.#inner.space()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

class DelayWork {
  readonly clock = new WholeClock()
  readonly random: SimRandom
  readonly sent: Sent[] = []
  readonly problems: string[] = []
  readonly deletedTopics = new Set<string>()
  store: SimStore
  broker!: Broker
  crashes = 0
  jumps = 0
  recalls = { done: 0, missing: 0, late: 0 }
  lists = 0
  readonly #limits
  readonly #readMs: number
  readonly #sequences = new Map<string, { epoch: number; next: number }>()
  #life = 0
  /** The latest that the wall clock was before its last jump. */
  #latestMs = 0
  #bodyCount = 0

  constructor(seed: number) {
    this.random = createSimRandom(seed)
    const isSlow = this.random.chance(0.6)
    this.store = createSimStore({
      clock: this.clock,
      random: this.random.fork('store'),
      faults: isSlow
        ? { commitLatencyMs: [0, this.random.pick([1, 10, 50])] }
        : {},
    })
    this.#readMs = isSlow ? this.random.pick([2, 30, 200]) : 0
    const delayedAheadCountMax = this.random.pick([1, 2, 3, 8, 20, 1_000])
    this.#limits = { ...defaultLimits, delayedAheadCountMax, queueCountDefault: 2, readChunkBytes: 300 }
  }

  async open(): Promise<void> {
    this.#life++
    this.broker?.close()
    if (this.#life > 1) this.store = this.store.reopen()
    const lateness = this.random.fork(`reads ${this.#life}`)
    const store = new LateStore(this.store, this.clock, () => lateness.between(0, this.#readMs))
    this.broker = await this.#finished(Broker.open({
      store, clock: this.clock, random: this.random.fork(`broker ${this.#life}`), log: silentLog,
      limits: this.#limits, autoCreateTopics: true,
      failed: (error) => this.problems.push(`failed: ${error.message}`),
    }))
  }

  async step(): Promise<void> {
    const dice = this.random.next()
    if (dice < 0.4) this.#publish()
    else if (dice < 0.6) this.#recall()
    else if (dice < 0.85) await this.pass(this.random.pick([0, 1, 3, 20, 100]) * this.random.next())
    else if (dice < 0.9) await this.pass(this.random.below(3_000))
    else if (dice < 0.93) this.#jump()
    else if (dice < 0.95) await this.#list()
    else if (dice < 0.957) this.#deleteTopic()
    else if (dice < 0.985) await this.#crash()
    else await this.quiet()
  }

  /** Lets time pass in small steps, with what awaits the store in between. */
  async pass(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= 50) {
      this.clock.advance(Math.min(50, leftMs))
      await turnPromises()
    }
    await turnPromises()
  }

  /** Until everything that was asked is answered. */
  async quiet(): Promise<void> {
    await this.pass(1_000)
  }

  #publish(): void {
    const topic = this.random.pick(['n', 'n', 'f', 'p', 'c'])
    const producer = this.random.below(producerCount)
    const key = `${topic}/${producer}`
    const place = this.#sequences.get(key) ?? { epoch: 0, next: 0 }
    const count = 1 + this.random.below(this.random.pick([1, 3, 8]))
    const nowMs = this.clock.now()
    const sameMs = this.random.below(500)
    const messages = Array.from({ length: count }, () => {
      const body = `${this.#bodyCount++}`
      const when = this.random.pick(['now', 'delay', 'deliver', 'same', 'far'] as const)
      return {
        body,
        ...(topic === 'f' ? { messageGroup: `g${this.random.below(3)}` } : {}),
        ...(topic === 'p' ? { priority: this.random.below(10) } : {}),
        ...(topic === 'c' ? { keys: [`k${body}`] } : {}),
        ...(when === 'delay' ? { delayMs: 1 + this.random.below(300) } : {}),
        ...(when === 'deliver' ? { deliverMs: nowMs - 5 + this.random.below(1_000) } : {}),
        ...(when === 'same' ? { delayMs: 10 + sameMs } : {}),
        ...(when === 'far' ? { delayMs: 1_000 + this.random.below(30_000) } : {}),
      }
    })
    const producerId = idBytes(1_000 * (this.deletedTopics.size + 1) + producer + 10 * 'nfpc'.indexOf(topic))
    const hex = Buffer.from(producerId).toString('hex')
    const sent = messages.map(({ body }, index): Sent => ({
      topic, body, messageId: `${hex}-${place.epoch}-${place.next + index}`, deliverMs: 0, isAcked: false, recalled: 'no',
      recallCount: 0, isDeleted: false, batchCount: count,
    }))
    this.sent.push(...sent)
    const life = this.#life
    this.#sequences.set(key, { ...place, next: place.next + count })
    this.broker.publish({
      topic, producerId, producerEpoch: place.epoch, baseSequence: place.next, messageCount: count, sentMs: nowMs,
      messages: encodeMessages(messages, nowMs),
    }, (outcome) => {
      if (life !== this.#life) this.problems.push('an answer of an earlier life')
      if (outcome instanceof PocketError) this.problems.push(`publish: ${outcome.code} ${outcome.message}`)
      else noteReceipt(sent, outcome)
    }, 'c')
  }

  #recall(): void {
    const open = this.sent.filter(({ isAcked, deliverMs, topic }) => isAcked && deliverMs > 0 && !this.deletedTopics.has(topic))
    if (open.length === 0) return
    const recent = this.random.chance(0.5) ? open.slice(-10) : open
    const chosen = this.random.pick(recent)
    const wasRecalled = chosen.recalled
    chosen.recallCount++
    const isDue = chosen.deliverMs <= this.#wallMax
    if (chosen.recalled === 'no') chosen.recalled = 'unknown'
    const recallHandle = formatRecallHandle(chosen.deliverMs, chosen.messageId)
    this.broker.recall({ topic: chosen.topic, recallHandle }, (outcome) => {
      if (!(outcome instanceof PocketError)) {
        if (outcome.messageId !== chosen.messageId) this.problems.push('recalled another message')
        if (wasRecalled === 'yes') this.problems.push(`recalled ${chosen.body} twice`)
        chosen.recalled = 'yes'
        this.recalls.done++
        return
      }
      // Another request may have done it before this one.
      if (chosen.recalled === 'unknown' && chosen.recallCount === 1) chosen.recalled = 'no'
      if (outcome.code === 'RECALL_TOO_LATE') this.recalls.late++
      else if (outcome.code === 'MESSAGE_NOT_FOUND') {
        this.recalls.missing++
        if (chosen.recallCount === 1 && !isDue) this.problems.push(`${chosen.body} waits and was not found`)
      } else if (outcome.code !== 'TOPIC_NOT_FOUND') this.problems.push(`recall: ${outcome.code}`)
    })
  }

  /** What is due by then may have fired, wherever the wall clock is now. */
  get #wallMax(): number {
    return Math.max(this.#latestMs, this.clock.now())
  }

  #jump(): void {
    this.jumps++
    this.#latestMs = this.#wallMax
    this.clock.jumpWall(this.random.pick([-5_000, -200, -20, 20, 200, 5_000]))
  }

  /** At rest the listing and the counts are what the model says. */
  async #list(): Promise<void> {
    await this.quiet()
    this.lists++
    const before = await this.#counts()
    const listed = await this.list()
    const waiting = this.sent.filter((sent) =>
      sent.isAcked && sent.recalled === 'no' && sent.deliverMs > this.#wallMax && !this.deletedTopics.has(sent.topic))
    const ids = new Set(listed.map((message) => idOf(message)))
    for (const { messageId, body } of waiting) if (!ids.has(messageId)) this.problems.push(`${body} waits and is not listed`)
    const times = listed.map(({ deliverMs }) => deliverMs)
    if (times.some((time, index) => time < (times[index - 1] ?? 0))) this.problems.push('the list is out of order')
    const counts = new Map<string, number>()
    for (const { topic } of listed) counts.set(topic, (counts.get(topic) ?? 0) + 1)
    // Some may have fired meanwhile.
    for (const [topic, count] of await this.#counts()) {
      const found = counts.get(topic) ?? 0
      if (found >= count && found <= (before.get(topic) as number)) continue
      this.problems.push(`${topic} lists ${found} delayed messages and counts ${before.get(topic)}, then ${count}`)
    }
  }

  async #counts(): Promise<Map<string, number>> {
    const counts = new Map<string, number>()
    for (const topic of ['n', 'f', 'p', 'c']) {
      if (this.deletedTopics.has(topic)) continue
      const { delayedCount } = await this.#must<TopicDescription>((answer) => this.broker.describeTopic(topic, answer))
      counts.set(topic, delayedCount)
    }
    return counts
  }

  /** All that waits, page by page. */
  async list(): Promise<DelayedMessage[]> {
    const all: DelayedMessage[] = []
    for (let after = '';;) {
      const { messages, more } = await this.#must<{ messages: readonly DelayedMessage[]; more: boolean }>((answer) =>
        this.broker.listDelayed({ topic: '', after, countMax: 7 }, answer))
      all.push(...messages)
      if (!more) return all
      after = messages.at(-1)?.recallHandle as string
    }
  }

  #deleteTopic(): void {
    if (this.deletedTopics.size > 0) return
    this.deletedTopics.add('c')
    this.broker.deleteTopic('c', () => {})
    for (const sent of this.sent) if (sent.topic === 'c') sent.isDeleted = true
    this.#sequences.clear()
  }

  async #crash(): Promise<void> {
    this.crashes++
    this.store.crash()
    await this.open()
    // What was not answered may be there or not: the producers go on under the next epoch.
    for (const [key, { epoch }] of this.#sequences) this.#sequences.set(key, { epoch: epoch + 1, next: 0 })
  }

  /** No more faults, and time enough for everything to become due. */
  async end(): Promise<void> {
    await this.quiet()
    if (this.random.chance(0.5)) await this.#crash()
    for (let passedMs = 0; passedMs < 60_000; passedMs += 2_000) {
      this.clock.advance(2_000)
      await turnPromises()
    }
    await this.quiet()
  }

  /** What is in the queues, in the order of each. */
  async stored(): Promise<Stored[]> {
    const found: Stored[] = []
    for (const { key, value } of await this.entries(keyKinds.record)) {
      const reader = new KeyReader(key)
      const topicId = reader.u32()
      const queue = `${topicId}/${reader.u16()}`
      const record = RecordBatch.open(value)
      for (let index = 0; index < record.messageCount; index++) {
        const { body, messageId, deliverMs, delayMs, storedMs } = record.messageAt(index, '', 0)
        if (delayMs !== undefined) this.problems.push('a delay is in a queue')
        found.push({ body: bytesToText(body), messageId, deliverMs, storedMs, queue })
      }
    }
    return found
  }

  async entries(kind: (typeof keyKinds)[keyof typeof keyKinds]): Promise<readonly StoreEntry[]> {
    return this.#finished(new Promise((resolve) => {
      this.store.read(kindRange(kind), (outcome) => resolve(outcome.kind === 'entries' ? outcome.entries : []))
    }))
  }

  async #must<T>(call: (answer: (outcome: T | PocketError) => void) => void): Promise<T> {
    const outcome = await this.#finished(new Promise<T | PocketError>((resolve) => call(resolve)))
    if (outcome instanceof PocketError) throw outcome
    return outcome
  }

  async #finished<T>(promise: Promise<T>): Promise<T> {
    let isDone = false
    void promise.finally(() => (isDone = true)).catch(() => {})
    for (let spin = 0; !isDone; spin++) {
      if (spin > 20_000) throw new Error('no answer came')
      this.clock.advance(spin % 4 === 3 ? 1 : 0)
      await turnPromises()
    }
    return promise
  }
}

async function turnPromises(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await Promise.resolve()
}

function noteReceipt(sent: readonly Sent[], { segments, scheduled }: PublishReceipt): void {
  let index = 0
  let waiting = 0
  for (const { epoch, count } of segments) {
    for (const end = index + count; index < end; index++) {
      const message = sent[index] as Sent
      message.isAcked = true
      if (epoch === 0) message.deliverMs = scheduled[waiting++] as number
    }
  }
  if (index !== sent.length || waiting !== scheduled.length) throw new Error('a receipt that does not fit its batch')
}

function idOf({ record, topic }: DelayedMessage): string {
  return RecordBatch.open(record).messageAt(0, topic, 0).messageId
}

describe('random work with delayed messages', () => {
  it(`fires each once, never early, in order, over ${seedCount} seeds`, async () => {
    const sums = { fired: 0, crashes: 0, jumps: 0, done: 0, missing: 0, late: 0, lists: 0, deleted: 0 }
    const first = Number(process.env.RANDOM_DELAY_SEED ?? 1)
    for (let seed = first; seed < first + seedCount; seed++) {
      const work = new DelayWork(seed)
      await work.open()
      for (const [topic, options] of Object.entries({
        n: {}, f: { messageType: 'FIFO' }, p: { messageType: 'PRIORITY' }, c: { cleanupPolicy: 'COMPACT' },
      } as const)) {
        const none = {
          queueCount: undefined, messageType: undefined, retentionMs: undefined, retentionBytes: undefined,
          cleanupPolicy: undefined, ttlMs: undefined, tracePermille: undefined, durability: undefined,
        }
        work.broker.createTopic({ topic, options: { ...none, ...options } }, () => {})
      }
      await work.quiet()
      for (let step = 0; step < stepCount; step++) await work.step()
      await work.end()
      const at = `seed ${seed}`
      expect(work.problems, at).toEqual([])
      const stored = await work.stored()
      const timesStored = new Map<string, number>()
      for (const { messageId } of stored) timesStored.set(messageId, (timesStored.get(messageId) ?? 0) + 1)
      for (const { messageId, body, isAcked, recalled, isDeleted } of work.sent) {
        const times = timesStored.get(messageId) ?? 0
        if (times > 1) expect.fail(`${at}: ${body} is there ${times} times`)
        if (isAcked && recalled === 'no' && !isDeleted && times === 0) expect.fail(`${at}: ${body} is lost`)
        if (recalled === 'yes' && times > 0) expect.fail(`${at}: ${body} was taken back and is there`)
      }
      const early = stored.filter(({ deliverMs, storedMs }) => deliverMs !== undefined && storedMs < deliverMs)
      expect(early.map(({ body }) => body), `${at}: early`).toEqual([])
      const fired = stored.filter(({ messageId, deliverMs }) => {
        const sent = work.sent.find((message) => message.messageId === messageId)
        return sent !== undefined && sent.deliverMs > 0 && deliverMs !== undefined
      })
      if (work.jumps === 0) expect(outOfOrder(fired), `${at}: out of order`).toEqual([])
      // Nothing is left that was only needed while messages waited.
      for (const kind of [keyKinds.delayed, keyKinds.delayedCount]) {
        expect((await work.entries(kind)).length, `${at}: keys of kind ${kind}`).toBe(0)
      }
      const sentById = new Map(work.sent.map((sent) => [sent.messageId, sent]))
      // Of a larger batch that was not answered it is not known what was delayed.
      const isKnown = (messageId: string) => {
        const { isAcked, batchCount } = sentById.get(messageId) as Sent
        return isAcked || batchCount === 1
      }
      const isTimed = ({ messageId, deliverMs }: Stored) => {
        const sent = sentById.get(messageId) as Sent
        return deliverMs !== undefined && (sent.deliverMs > 0 || sent.batchCount === 1)
      }
      const timedIds = (await work.entries(keyKinds.dueTime)).map(({ key }) => idOfKey(key)).filter(isKnown)
      const timed = stored.filter(isTimed).map(({ messageId }) => messageId).filter(isKnown)
      expect(timedIds.toSorted(), `${at}: times by id`).toEqual(timed.toSorted())
      sums.fired += fired.length
      sums.crashes += work.crashes
      sums.jumps += work.jumps
      sums.done += work.recalls.done
      sums.missing += work.recalls.missing
      sums.late += work.recalls.late
      sums.lists += work.lists
      sums.deleted += work.deletedTopics.size
    }
    for (const [what, sum] of Object.entries(sums)) expect(sum, what).toBeGreaterThan(seedCount / 10)
  }, 120_000)
})

function idOfKey(key: Uint8Array): string {
  const reader = new KeyReader(key)
  return `${Buffer.from(reader.raw(8)).toString('hex')}-${reader.u32()}-${reader.u53()}`
}

/** Messages that came into their queue before one that was due earlier. */
function outOfOrder(fired: readonly Stored[]): string[] {
  const lastIn = new Map<string, number>()
  return fired.flatMap(({ body, queue, deliverMs = 0 }) => {
    const before = lastIn.get(queue) ?? 0
    lastIn.set(queue, Math.max(before, deliverMs))
    return deliverMs < before ? [`${queue}: ${body}`] : []
  })
}
