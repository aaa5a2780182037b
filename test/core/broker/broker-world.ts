// A broker over a memory store and a simulated clock, with members that write down what they are told. Time only moves
// when a test says so; `settle` runs everything that is ready.

import { Broker, type BrokerDeps } from '../../../core/broker/broker.ts'
import type {
  Answer, Delivery, MemberSink, Membership, PublishReceipt, Subscribed, SubscribeRequest,
} from '../../../core/broker/door.ts'
import { ByteWriter, bytesToText, textToBytes } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import { defaultLimits, type Limits } from '../../../core/limits.ts'
import type { MessageHeaders, StoredMessage } from '../../../core/model/message.ts'
import type { Position, StartPolicy } from '../../../core/model/position.ts'
import { silentLog } from '../../../core/ports/log.ts'
import type { Store, StoreEntry, StoreWrite } from '../../../core/ports/store.ts'
import type {
  GroupDescription, GroupOptions, LeaseRange, TopicDescription, TopicOptions,
} from '../../../core/protocol/frames.ts'
import { encodeMessage } from '../../../core/record/message-codec.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { kindRange, type keyKinds } from '../../../core/storage/keys.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom } from '../../sim/sim-random.ts'

export interface OutMessage extends Partial<MessageHeaders> {
  readonly body: string
}

/** A message as a member got it. */
export interface Held {
  readonly body: string
  readonly message: StoredMessage
  readonly attempt: number
  readonly range: LeaseRange
}

export class TestMember implements MemberSink {
  isWritable = true
  membership: Membership | undefined
  readonly deliveries: Delivery[] = []
  readonly held: Held[] = []
  readonly gaps: { queueId: number; expected: Position; next: Position }[] = []
  readonly resets: { queueId: number; position: Position }[] = []
  readonly revocations: PocketError[] = []
  readonly memberId: Uint8Array
  readonly topic: string

  constructor(memberId: Uint8Array, topic: string) {
    this.memberId = memberId
    this.topic = topic
  }

  get bodies(): string[] {
    return this.held.map(({ body }) => body)
  }

  deliver(delivery: Delivery): void {
    this.deliveries.push(delivery)
    if (delivery.record.length === 0) return
    const batch = RecordBatch.open(delivery.record)
    for (let index = 0; index < batch.messageCount; index++) {
      const message = batch.messageAt(index, this.topic, delivery.queueId)
      const range = { queueId: delivery.queueId, leaseId: delivery.leaseId, offset: message.offset, count: 1 }
      this.held.push({ body: bytesToText(message.body), message, attempt: delivery.attempt, range })
    }
  }

  gap(queueId: number, expected: Position, next: Position): void {
    this.gaps.push({ queueId, expected, next })
  }

  reset(queueId: number, position: Position): void {
    this.resets.push({ queueId, position })
  }

  revoked(reason: PocketError): void {
    this.revocations.push(reason)
  }
}

export interface WorldOptions {
  readonly limits?: Partial<Limits>
  readonly storeBytes?: number
  readonly autoCreateTopics?: boolean
}

/** Options that name only some. */
export function topicOptions(options: Partial<TopicOptions>): TopicOptions {
  return {
    queueCount: undefined, messageType: undefined, retentionMs: undefined, retentionBytes: undefined,
    cleanupPolicy: undefined, ttlMs: undefined, tracePermille: undefined, durability: undefined, ...options,
  }
}

/** Options that name only some. */
export function groupOptions(options: Partial<GroupOptions>): GroupOptions {
  return {
    attemptCountMax: undefined, retry: undefined, exhausted: undefined, isPaused: undefined, inFlightMax: undefined,
    inFlightPerMemberMax: undefined, ...options,
  }
}

/** Eight bytes that differ per number. */
export function idBytes(number: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setUint32(4, number)
  return bytes
}

export class BrokerWorld {
  readonly clock = new SimClock()
  readonly random = createSimRandom(7)
  /** As the next opening takes them. */
  limits: Limits
  readonly store: Store
  readonly failures: PocketError[] = []
  broker!: Broker
  readonly #autoCreateTopics: boolean
  readonly #sequences = new Map<string, number>()
  #memberCount = 0

  private constructor({ limits, storeBytes = Infinity, autoCreateTopics = true }: WorldOptions) {
    this.limits = { ...defaultLimits, ...limits }
    this.store = createMemoryStore({ clock: this.clock, capacityBytes: storeBytes })
    this.#autoCreateTopics = autoCreateTopics
  }

  static async open(options: WorldOptions = {}): Promise<BrokerWorld> {
    const world = new BrokerWorld(options)
    await world.reopen()
    return world
  }

  /** A new broker on the same store, as after a crash: nothing in memory survives. */
  async reopen(): Promise<void> {
    this.broker?.close()
    const deps: BrokerDeps = {
      store: this.store,
      clock: this.clock,
      random: this.random,
      log: silentLog,
      limits: this.limits,
      autoCreateTopics: this.#autoCreateTopics,
      failed: (error) => this.failures.push(error),
    }
    this.broker = await this.#finished(Broker.open(deps))
  }

  /** Runs everything that is ready, promises included, without moving time. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 50; quiet++) {
      this.clock.runUntilIdle()
      await Promise.resolve()
    }
  }

  async advance(ms: number): Promise<void> {
    await this.settle()
    // In steps, so that what awaits the store on the way comes to its end before more time passes.
    for (let leftMs = ms; leftMs > 0; leftMs -= 1_000) {
      this.clock.advance(Math.min(leftMs, 1_000))
      await this.settle()
    }
  }

  createTopic(topic: string, options: Partial<TopicOptions> = {}): Promise<TopicDescription> {
    return this.must((answer) => this.broker.createTopic({ topic, options: topicOptions(options) }, answer))
  }

  configureGroup(group: string, options: Partial<GroupOptions>): Promise<GroupDescription> {
    return this.must((answer) => this.broker.configureGroup({ group, options: groupOptions(options) }, answer))
  }

  describeGroup(group: string): Promise<GroupDescription> {
    return this.must((answer) => this.broker.describeGroup(group, answer))
  }

  /** Sends one batch as the next of a producer, one producer per topic and number. */
  async publish(topic: string, messages: readonly (string | OutMessage)[], producer = 1): Promise<PublishReceipt> {
    const outcome = await this.tryPublish(topic, messages, producer)
    if (outcome instanceof PocketError) throw outcome
    return outcome
  }

  async tryPublish(
    topic: string, messages: readonly (string | OutMessage)[], producer = 1,
    place: { readonly epoch?: number; readonly baseSequence?: number } = {},
  ): Promise<PublishReceipt | PocketError> {
    const key = `${topic}/${producer}`
    const baseSequence = place.baseSequence ?? this.#sequences.get(key) ?? 0
    const outcome = await this.ask<PublishReceipt>((answer) =>
      this.broker.publish({
        topic,
        producerId: idBytes(producer),
        producerEpoch: place.epoch ?? 0,
        baseSequence,
        messageCount: messages.length,
        sentMs: this.clock.now(),
        messages: encodeMessages(messages, this.clock.now()),
      }, answer, `c${producer}`)
    )
    if (!(outcome instanceof PocketError)) this.#sequences.set(key, baseSequence + messages.length)
    return outcome
  }

  /** Joins a group with plenty of credit, unless told otherwise. */
  async join(
    topic: string,
    options: Partial<Omit<SubscribeRequest, 'topic' | 'start'>> & {
      readonly start?: StartPolicy
      readonly credit?: number
      readonly member?: TestMember
    } = {},
  ): Promise<TestMember> {
    const { credit = 1_000_000, member: returning, ...request } = options
    const member = returning ?? new TestMember(request.memberId ?? idBytes(1000 + this.#memberCount++), topic)
    const subscribed = await this.must<Subscribed>((answer) =>
      this.broker.subscribe({
        group: 'g', mode: 'CLUSTERING', filterKind: 'TAG', filter: '*', positionKeeper: 'client', consumerName: '',
        start: { kind: 'earliest' }, leaseMs: 0, positions: [],
        clientId: 'c', clientName: 'test', peer: 'here', ...request, topic, memberId: member.memberId,
      }, member, answer)
    )
    member.membership = subscribed.membership
    if (credit > 0) subscribed.membership.credit(credit, 1 << 30)
    await this.settle()
    return member
  }

  ack(member: TestMember, held: readonly Held[]) {
    return this.must<readonly { index: number; error: PocketError }[]>((answer) =>
      (member.membership as Membership).ack(held.map(({ range }) => range), answer)
    )
  }

  retry(member: TestMember, held: readonly Held[], how: 'schedule' | 'after' | 'release', delayMs = 0) {
    return this.must<readonly { index: number; error: PocketError }[]>((answer) =>
      (member.membership as Membership).retry(held.map(({ range }) => range), how, delayMs, answer)
    )
  }

  /** All that is stored under one kind of key. */
  async entries(kind: (typeof keyKinds)[keyof typeof keyKinds]): Promise<readonly StoreEntry[]> {
    let entries: readonly StoreEntry[] | undefined
    this.store.read(kindRange(kind), (outcome) => {
      if (outcome.kind === 'entries') entries = outcome.entries
    })
    await this.settle()
    if (entries === undefined) throw new Error('the store cannot be read')
    return entries
  }

  /** Changes the store behind the broker's back. */
  async write(writes: readonly StoreWrite[]): Promise<void> {
    let kind = ''
    this.store.commit(writes, (outcome) => (kind = outcome.kind))
    await this.settle()
    if (kind !== 'durable') throw new Error(`the store cannot be written: ${kind}`)
  }

  /** Calls something with an answer, runs what is ready, and gives the outcome. */
  ask<T>(call: (answer: Answer<T>) => void): Promise<T | PocketError> {
    return this.#finished(new Promise<T | PocketError>((resolve) => call(resolve)))
  }

  async must<T>(call: (answer: Answer<T>) => void): Promise<T> {
    const outcome = await this.ask(call)
    if (outcome instanceof PocketError) throw outcome
    return outcome
  }

  /** Awaits a promise while running the simulated clock's ready work. */
  async #finished<T>(promise: Promise<T>): Promise<T> {
    let done = false
    const settled = promise.finally(() => (done = true))
    settled.catch(() => {})
    for (let spin = 0; !done && spin < 100_000; spin++) {
      this.clock.runUntilIdle()
      await Promise.resolve()
    }
    if (!done) throw new Error('the world is idle and no answer came')
    return settled
  }
}

export function encodeMessages(messages: readonly (string | OutMessage)[], bornMs: number): Uint8Array {
  const writer = new ByteWriter()
  const scratch = new ByteWriter()
  messages.forEach((message, index) => {
    const { body, ...headers } = typeof message === 'string' ? { body: message } : message
    encodeMessage(writer, scratch, index, { bornMs, ...headers }, textToBytes(body))
  })
  return writer.finish()
}

/**
 * From now on a commit begins so many turns after it was asked for, promises included: what is read meanwhile is as it was
 * before. One that has not begun when the broker is opened anew never does.
 */
export function slowCommits(world: BrokerWorld, turnCount: number): void {
  const { clock, store } = world
  const commit = store.commit.bind(store)
  const reopen = world.reopen.bind(world)
  let life = 0
  world.reopen = () => {
    life++
    return reopen()
  }
  store.commit = (writes, answer) => {
    const asked = life
    let left = turnCount
    const wait = () => {
      if (life !== asked) return
      if (left-- > 0) void Promise.resolve().then(() => clock.defer(wait))
      else commit(writes, answer)
    }
    wait()
  }
}
