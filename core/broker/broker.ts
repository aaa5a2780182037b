// The broker: the door through which sessions publish, consume, query and administer, and the turn that makes it
// durable. It is synchronous and knows no connection; what it decides in one turn is committed as one, and told after.

import { ByteWriter, copyBytes } from '../bytes.ts'
import { PocketError, toPocketError } from '../errors.ts'
import { checkLimits, type Limits, retryScheduleMs } from '../limits.ts'
import { parseTagFilter } from '../model/filter.ts'
import { checkGroupName, checkTopicName, deadLetterTopicOf, isSystemTopic } from '../model/names.ts'
import type { Position } from '../model/position.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import type {
  GroupDescription, GroupSummary, PublishSegment, TopicDescription, TopicSummary,
} from '../protocol/frames.ts'
import { progressKey } from '../storage/keys.ts'
import { MessageIndex } from '../storage/message-index.ts'
import { encodeProgress } from '../storage/progress.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import { type Damage, recover, type Recovered } from '../storage/recovery.ts'
import { TailCache } from '../storage/tail-cache.ts'
import { Admin } from './admin.ts'
import { Answering } from './answering.ts'
import { DeadLetters } from './dead-letters.ts'
import { describeBroker } from './descriptions.ts'
import type {
  Answer, BrokerDoor, Cancellable, ConfigureGroupRequest, CreateTopicRequest, FoundMessage, ListGroupsRequest,
  ListTopicsRequest, MemberSink, PublishReceipt, PublishRequest, PullRequest, PullResult, QueryRequest,
  ResetGroupRequest, Subscribed, SubscribeRequest,
} from './door.ts'
import type { GroupQueue } from './group-queue.ts'
import type { GroupSubscription } from './group-subscription.ts'
import { Housekeeping } from './housekeeping.ts'
import { judgeSequence } from './producers.ts'
import { appendBatch, BatchReader } from './publishing.ts'
import { Queries, resumeOffset } from './queries.ts'
import { BroadcastMember, Pull, type ReaderDeps } from './reader.ts'
import { Registry } from './registry.ts'
import { BrokerCounters, type BrokerStats } from './stats.ts'
import { Timers } from './timers.ts'
import type { Topic } from './topic.ts'
import { Turn } from './turn.ts'

/** Receipts of one boot of the broker come from a range of their own. */
const leaseIdsPerBoot = 2 ** 32
const storeFullRetryMs = 1_000

export interface BrokerDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits: Limits
  /** Whether a topic that nobody created comes to be when it is published or subscribed to. */
  readonly autoCreateTopics: boolean
  /** Of groups that name none; default: RocketMQ's. */
  readonly retryScheduleMs?: readonly number[]
  /** What one turn tells has been told: time to flush connections. */
  readonly released?: () => void
  /** The store failed. Nothing is answered any more; the broker is to be closed and opened anew. */
  readonly failed?: (error: PocketError) => void
}

/** Something that hands out messages when woken. */
interface Dispatcher {
  dispatch(): void
}

export class Broker implements BrokerDoor {
  /** What was found damaged at opening. */
  readonly damages: readonly Damage[]
  readonly counters = new BrokerCounters()
  readonly #deps: BrokerDeps
  readonly #turn: Turn
  readonly #timers: Timers
  readonly #tailCache: TailCache
  readonly #registry: Registry
  readonly #queries: Queries
  readonly #answering: Answering
  readonly #admin: Admin
  readonly #batches: BatchReader
  readonly #ownBatches: BatchReader
  readonly #deadLetters: DeadLetters
  readonly #housekeeping: Housekeeping
  readonly #progressWriter = new ByteWriter(1024)
  #dirtyTopics = new Set<Topic>()
  #awake = new Set<Dispatcher>()
  #progressed = new Map<GroupQueue, string>()
  #leaseIdNext: number
  #commitStartMs = 0
  #freeBytes = Infinity
  /** What publishes may add: what the store last said is free, less the reserve, and less what was added since. */
  #roomBytes = Infinity
  #turnBytes = 0
  #isDraining = false

  /** Opens the store: reads all but the messages, checks the tails, reports damage. Throws STORE_FAILED or STORE_FULL. */
  static async open(deps: BrokerDeps): Promise<Broker> {
    checkLimits(deps.limits)
    return new Broker(deps, await recover(deps))
  }

  private constructor(deps: BrokerDeps, recovered: Recovered) {
    const { store, clock, random, log, limits } = deps
    this.#deps = deps
    this.damages = recovered.damages
    this.counters.damagedRecords = recovered.damages.length
    this.#leaseIdNext = recovered.header.bootCount * leaseIdsPerBoot
    this.#timers = new Timers(clock)
    this.#tailCache = new TailCache(limits)
    this.#queries = new Queries(store, limits)
    this.#batches = new BatchReader(limits)
    this.#ownBatches = new BatchReader(limits, 'stored')
    const index = new MessageIndex(limits)
    this.#turn = new Turn({
      store,
      clock,
      prepare: (writes) => this.#prepare(writes),
      committed: (writeCount) => this.#committed(writeCount),
      released: () => deps.released?.(),
      failed: (error) => this.#failed(error),
    })
    this.#answering = new Answering(this.#turn)
    this.#deadLetters = new DeadLetters({
      clock, random, log,
      timers: this.#timers,
      publish: (group, request) => this.#publishDeadLetter(group, request),
      readFailed: (error) => this.#failed(error),
    })
    this.#registry = new Registry(recovered, {
      clock, random, limits,
      turn: this.#turn,
      autoCreateTopics: deps.autoCreateTopics,
      defaultGroupConfig: {
        attemptCountMax: limits.attemptCountMax,
        retryScheduleMs: deps.retryScheduleMs ?? retryScheduleMs,
      },
      queueLogDeps: {
        store, limits, index,
        tailCache: this.#tailCache,
        damaged: (...found) => this.#damaged(...found),
        storeRead: (byteCount) => {
          this.counters.storeReads++
          this.counters.storeReadBytes += byteCount
        },
      },
      subscriptionDeps: {
        limits,
        turn: this.#turn,
        timers: this.#timers,
        monotonic: () => clock.monotonic(),
        wake: (subscription) => this.#wake(subscription),
        counters: this.counters,
      },
      groupQueueDeps: (group, topic, subscription) => ({
        limits, clock,
        timers: this.#timers,
        counters: this.counters,
        config: () => this.#registry.groupConfig(group),
        nextLeaseId: () => this.#leaseIdNext++,
        progressed: (queue) => this.#noteProgress(queue, group),
        wake: () => this.#wake(subscription()),
        dead: (queue, offset, attempts) => this.#bury(subscription(), topic, queue, offset, attempts),
        readFailed: (error) => this.#failed(error),
      }),
    })
    this.#admin = new Admin({
      registry: this.#registry,
      queries: this.#queries,
      turn: this.#turn,
      answering: this.#answering,
      topicDeleted: (topic) => this.#topicDeleted(topic),
    })
    this.#registry.restore(recovered)
    this.#askRoom()
    this.#housekeeping = new Housekeeping(recovered.deletedTopicIds, {
      store, clock, limits, log, index,
      timers: this.#timers,
      turn: this.#turn,
      registry: this.#registry,
      counters: this.counters,
      trimmed: (topic) => this.#wakeTopic(topic),
      readFailed: (error) => this.#failed(error),
    })
  }

  // ── publishing ────────────────────────────────────────────────────────────────────────────────────────────────

  publish(request: PublishRequest, answer: Answer<PublishReceipt>): void {
    this.#answering.deciding(answer, () => {
      if (this.#isDraining) throw new PocketError('RELAY_STOPPING', 'the relay is stopping')
      const topic = this.#topicToPublish(request.topic)
      const { producerId, producerEpoch, baseSequence, messageCount } = request
      const producer = topic.producers.find(producerId)
      const verdict = judgeSequence(producer, producerEpoch, baseSequence, messageCount)
      switch (verdict) {
        case 'next':
          return this.#append(topic, request, answer)
        case 'duplicate':
          this.counters.duplicateMessages += messageCount
          return this.#turn.after(() => this.#answerDuplicate(topic, request, answer))
        case 'fenced':
          throw new PocketError(
            'PRODUCER_FENCED',
            `epoch ${producerEpoch} of the producer is over; ${producer?.epoch} has published`,
          )
        case 'unknown':
          throw new PocketError(
            'PRODUCER_UNKNOWN',
            'the state of this producer is not kept; go on under the next epoch from sequence 0',
          )
        case 'gap':
        case 'overlap':
          throw new PocketError(
            'SEQUENCE_GAP',
            `sequence ${baseSequence} of epoch ${producerEpoch} does not follow ${producer?.lastSequence ?? 'nothing'}`,
          )
      }
    }, () => this.counters.refusedBatches++)
  }

  #topicToPublish(name: string): Topic {
    const known = this.#registry.topics.get(name)
    if (known?.isSystem ?? isSystemTopic(name)) throw new PocketError('FORBIDDEN', `topic '${name}' is the broker's own`)
    return known ?? this.#topicOrNew(name)
  }

  #append(topic: Topic, request: PublishRequest, answer: Answer<PublishReceipt>): void {
    const { messageCount, messages: { length: byteCount } } = request
    if (this.#roomBytes <= 0) {
      const retryAfterMs = storeFullRetryMs
      throw new PocketError('STORE_FULL', 'the relay’s store has no room for messages', { retryAfterMs })
    }
    const segments = this.#appendChecked(topic, request, this.#batches)
    this.#roomBytes -= byteCount
    this.#turnBytes += byteCount
    this.counters.messagesIn += messageCount
    this.counters.bytesIn += byteCount
    this.counters.messageBytes.observe(byteCount / messageCount, messageCount)
    this.#turn.after(() => answer({ duplicate: false, storedMs: storedMsOf(topic, segments), segments }))
  }

  #appendChecked(topic: Topic, request: PublishRequest, batches: BatchReader) {
    const { producerId, producerEpoch, baseSequence, messageCount, messages } = request
    const segments = appendBatch(batches.read(topic, request))
    topic.producers.advance(producerId, producerEpoch, baseSequence + messageCount - 1)
    topic.messagesIn += messageCount
    topic.bytesIn += messages.length
    this.#dirtyTopics.add(topic)
    return segments
  }

  #answerDuplicate(topic: Topic, request: PublishRequest, answer: Answer<PublishReceipt>): void {
    const { producerId, producerEpoch, baseSequence, messageCount } = request
    // Bytes of the request are a transport's: kept beyond this call they are copied.
    this.#queries.segments(topic, copyBytes(producerId), producerEpoch, baseSequence, messageCount).then(
      (segments) => answer({ duplicate: true, storedMs: 0, segments }),
      (error: unknown) => answer(toPocketError(error)),
    )
  }

  #publishDeadLetter(group: string, request: Omit<PublishRequest, 'topic'>): void {
    const name = deadLetterTopicOf(group)
    const topic = this.#registry.topics.get(name) ??
      this.#registry.createTopic(name, this.#registry.topicConfig({ queueCount: 1 }))
    this.#appendChecked(topic, { ...request, topic: name }, this.#ownBatches)
    this.counters.deadLetters++
    this.#turn.touch()
  }

  #bury(subscription: GroupSubscription, topic: string, queue: GroupQueue, offset: number, attempts: number): void {
    subscription.deadLetters++
    this.#deadLetters.bury(subscription.group, topic, queue, offset, attempts)
  }

  // ── consuming ─────────────────────────────────────────────────────────────────────────────────────────────────

  subscribe(asked: SubscribeRequest, sink: MemberSink, answer: Answer<Subscribed>): void {
    // It is kept for as long as the member stays; the bytes it came in are not.
    const request = { ...asked, memberId: copyBytes(asked.memberId) }
    this.#answering.deciding(answer, () => {
      checkGroupName(request.group)
      const topic = this.#topicOrNew(request.topic)
      if (request.mode === 'BROADCASTING') return this.#subscribeBroadcast(topic, request, sink, answer)
      const known = topic.subscriptions.get(request.group)
      if (known !== undefined) return this.#join(topic, known, request, sink, answer)
      this.#answering.whenFound(this.#queries.startsOf(topic.queues, request.start), answer, (starts) => {
        this.#registry.checkPresent(topic)
        this.#registry.groupOrNew(request.group)
        this.#join(topic, this.#registry.subscriptionOrNew(request.group, topic, starts), request, sink, answer)
      })
    })
  }

  #join(
    topic: Topic, subscription: GroupSubscription, request: SubscribeRequest, sink: MemberSink, answer: Answer<Subscribed>,
  ): void {
    const filter = parseTagFilter(request.filter)
    const leaseMs = this.#leaseMsOf(request.leaseMs)
    const membership = subscription.join(request, filter, leaseMs, sink)
    const positions = subscription.queues.map(({ log, cursor }) => ({ queueId: log.queueId, position: log.position(cursor) }))
    this.#turn.after(() => answer({ membership, messageType: topic.config.messageType, leaseMs, positions }))
  }

  #subscribeBroadcast(topic: Topic, request: SubscribeRequest, sink: MemberSink, answer: Answer<Subscribed>): void {
    const filter = parseTagFilter(request.filter)
    const known = new Map(request.positions.map(({ queueId, position }) => [queueId, position]))
    this.#answering.whenFound(this.#queries.startsOf(topic.queues, request.start), answer, (starts) => {
      this.#registry.checkPresent(topic)
      const gaps: { log: QueueLog; expected: Position; offset: number }[] = []
      const places = topic.queues.map((log, index) => {
        const expected = known.get(log.queueId)
        if (expected === undefined) return { log, offset: starts[index] as number }
        const { offset, isGap } = resumeOffset(log, expected)
        if (isGap) gaps.push({ log, expected, offset })
        return { log, offset }
      })
      this.#registry.groupOrNew(request.group)
      const member = new BroadcastMember(request, filter, sink, places, this.#readerDeps(topic))
      topic.broadcastMembers.add(member)
      const positions = places.map(({ log, offset }) => ({ queueId: log.queueId, position: log.position(offset) }))
      const { membership } = member
      this.#turn.after(() => answer({ membership, messageType: topic.config.messageType, leaseMs: 0, positions }))
      for (const { log, expected, offset } of gaps) member.announceGap(log.queueId, expected, log.position(offset))
    })
  }

  pull(request: PullRequest, answer: Answer<PullResult>): Cancellable {
    let pull: Pull | undefined
    let isCancelled = false
    this.#answering.deciding(answer, () => {
      const topic = this.#registry.topic(request.topic)
      const log = topic.queues[request.queueId]
      if (log === undefined) {
        throw new PocketError('QUEUE_NOT_FOUND', `topic '${topic.name}' has queues 0 to ${topic.queues.length - 1}`)
      }
      const filter = parseTagFilter(request.filter)
      const begin = (offset: number, isGap: boolean) => {
        if (isCancelled) return
        this.#registry.checkPresent(topic)
        pull = new Pull(log, offset, filter, request, answer, this.#readerDeps(topic))
        topic.pulls.add(pull)
        if (isGap) this.counters.gaps++
      }
      if (request.start.kind === 'position') {
        const { offset, isGap } = resumeOffset(log, request.start.position)
        begin(offset, isGap)
      } else this.#answering.whenFound(this.#queries.startOf(log, request.start), answer, (offset) => begin(offset, false))
    })
    return {
      cancel: () => {
        isCancelled = true
        pull?.cancel()
      },
    }
  }

  #readerDeps(topic: Topic): ReaderDeps {
    return {
      limits: this.#deps.limits,
      turn: this.#turn,
      timers: this.#timers,
      monotonic: () => this.#deps.clock.monotonic(),
      wake: (reader) => this.#wake(reader),
      counters: this.counters,
      readFailed: (error) => this.#failed(error),
      left: (reader) => {
        if (reader instanceof Pull) topic.pulls.delete(reader)
        else if (reader instanceof BroadcastMember && topic.broadcastMembers.delete(reader)) {
          topic.messagesOutBefore += reader.messagesOut
          topic.bytesOutBefore += reader.bytesOut
        }
        this.#awake.delete(reader)
      },
    }
  }

  #leaseMsOf(leaseMs: number): number {
    const { leaseMsDefault, leaseMsMin, leaseMsMax } = this.#deps.limits
    if (leaseMs === 0) return leaseMsDefault
    if (leaseMs < leaseMsMin || leaseMs > leaseMsMax) {
      throw new PocketError('BAD_ARGUMENT', `a lease of ${leaseMs} ms; ${leaseMsMin} to ${leaseMsMax} are allowed`)
    }
    return leaseMs
  }

  // ── administering: see admin.ts ───────────────────────────────────────────────────────────────────────────────

  query(request: QueryRequest, answer: Answer<readonly FoundMessage[]>): void {
    this.#admin.query(request, answer)
  }

  createTopic(request: CreateTopicRequest, answer: Answer<TopicDescription>): void {
    this.#admin.createTopic(request, answer)
  }

  listTopics(request: ListTopicsRequest, answer: Answer<{ topics: readonly TopicSummary[]; more: boolean }>): void {
    this.#admin.listTopics(request, answer)
  }

  describeTopic(topic: string, answer: Answer<TopicDescription>): void {
    this.#admin.describeTopic(topic, answer)
  }

  deleteTopic(topic: string, answer: Answer<void>): void {
    this.#admin.deleteTopic(topic, answer)
  }

  configureGroup(request: ConfigureGroupRequest, answer: Answer<GroupDescription>): void {
    this.#admin.configureGroup(request, answer)
  }

  listGroups(request: ListGroupsRequest, answer: Answer<{ groups: readonly GroupSummary[]; more: boolean }>): void {
    this.#admin.listGroups(request, answer)
  }

  describeGroup(group: string, answer: Answer<GroupDescription>): void {
    this.#admin.describeGroup(group, answer)
  }

  resetGroup(request: ResetGroupRequest, answer: Answer<GroupDescription>): void {
    this.#admin.resetGroup(request, answer)
  }

  stats(): BrokerStats {
    const { usedBytes, freeBytes } = this.#deps.store.space()
    return describeBroker({
      registry: this.#registry,
      counters: this.counters,
      tailCacheBytes: this.#tailCache.byteCount,
      storeUsedBytes: usedBytes,
      storeFreeBytes: freeBytes,
    })
  }

  // ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #prepare(writes: StoreWrite[]): void {
    this.counters.turns++
    const { clock } = this.#deps
    this.#askRoom()
    const nowMs = clock.now()
    const dirtyTopics = this.#dirtyTopics
    this.#dirtyTopics = new Set()
    for (const topic of dirtyTopics) {
      for (const log of topic.queues) log.seal(nowMs, writes)
      topic.producers.seal()
      this.#wakeTopic(topic)
    }
    const awake = this.#awake
    this.#awake = new Set()
    for (const dispatcher of awake) dispatcher.dispatch()
    for (const [queue, group] of this.#progressed) {
      const { topicId, queueId } = queue.log
      writes.push({
        key: progressKey(topicId, queueId, group),
        value: encodeProgress(queue.toStored(), this.#progressWriter),
      })
    }
    this.#progressed.clear()
    this.#commitStartMs = clock.monotonic()
  }

  #committed(writeCount: number): void {
    const { counters } = this
    counters.commits++
    counters.commitWrites += writeCount
    counters.commitMs.observe(this.#deps.clock.monotonic() - this.#commitStartMs)
    this.#tailCache.committed()
  }

  /** The store's answer may be some seconds old: until it changes, what was added is counted here. */
  #askRoom(): void {
    const { store, limits } = this.#deps
    const { freeBytes } = store.space()
    if (freeBytes !== this.#freeBytes) this.#roomBytes = freeBytes - limits.storeReserveBytes - this.#turnBytes
    this.#freeBytes = freeBytes
    this.#turnBytes = 0
  }

  /** Nothing of a deleted topic is written any more; its data goes once the deletion is durable. */
  #topicDeleted(topic: Topic): void {
    this.#dirtyTopics.delete(topic)
    for (const subscription of topic.subscriptions.values()) {
      this.#awake.delete(subscription)
      for (const queue of subscription.queues) this.#progressed.delete(queue)
    }
    this.#turn.after(() => this.#housekeeping.topicDeleted(topic.topicId))
  }

  #wake(dispatcher: Dispatcher): void {
    this.#awake.add(dispatcher)
    this.#turn.touch()
  }

  #wakeTopic(topic: Topic): void {
    for (const subscription of topic.subscriptions.values()) this.#wake(subscription)
    for (const reader of topic.readers()) this.#wake(reader)
  }

  #noteProgress(queue: GroupQueue, group: string): void {
    this.#progressed.set(queue, group)
    this.#turn.touch()
  }

  #damaged(log: QueueLog, lastOffset: number, cause: unknown): void {
    this.counters.damagedRecords++
    const reason = cause instanceof Error ? cause.message : String(cause)
    this.#deps.log.error('damage-found', { what: 'record', topicId: log.topicId, queueId: log.queueId, lastOffset, reason })
  }

  /** The store is not to be trusted any more: nothing is told from now on. */
  #failed(error: Error): void {
    if (this.#timers.isStopped) return
    this.#halt()
    const failure = toPocketError(error)
    this.#deps.log.error('store-failed', { code: failure.code, reason: failure.message, cause: String(failure.cause) })
    this.#deps.failed?.(failure)
  }

  #halt(): void {
    this.#turn.stop()
    this.#timers.stop()
    this.#housekeeping.stop()
  }

  /** Takes no further messages, and resolves when all that came before is durable and told. Consuming goes on until then. */
  async drain(): Promise<void> {
    this.#isDraining = true
    this.#housekeeping.stop()
    await this.#turn.idle()
  }

  /** Stops at once; what is not durable is not told. The store stays open, as it is its opener's. Repeating it does nothing. */
  close(): void {
    this.#halt()
  }

  #topicOrNew(name: string): Topic {
    checkTopicName(name)
    return this.#registry.topicOrNew(name)
  }
}

/** When a batch was stored, for its receipt; where the wall clock went back, later than it says. */
function storedMsOf(topic: Topic, [first]: readonly PublishSegment[]): number {
  return topic.queues[first?.queueId ?? 0]?.lastStoredMs ?? 0
}
