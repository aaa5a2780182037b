// The broker: the door through which sessions publish, consume, query and administer, and the turn that makes it
// durable. It is synchronous and knows no connection; what it decides in one turn is committed as one, and told after.
// This file puts its rooms together; what they do is theirs.

import { ByteWriter } from '../bytes.ts'
import { type PocketError, toPocketError } from '../errors.ts'
import { checkLimits, type Limits, retryScheduleMs } from '../limits.ts'
import { deadLetterTopicOf, traceTopic } from '../model/names.ts'
import type { RetryPolicy } from '../model/topic.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Store, StoreSpace, StoreWrite } from '../ports/store.ts'
import type {
  DelayedMessage, GroupDescription, GroupSummary, Timeline, TopicDescription, TopicSummary, TransactionSummary,
} from '../protocol/frames.ts'
import { progressKey } from '../storage/keys.ts'
import { MessageIndex } from '../storage/message-index.ts'
import { encodeProgress } from '../storage/progress.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import { commitAlone } from '../storage/reads.ts'
import { type Damage, recover, type Recovered } from '../storage/recovery.ts'
import { TailCache } from '../storage/tail-cache.ts'
import { Admin } from './admin.ts'
import { Answering } from './answering.ts'
import { BroadcastPositions } from './broadcast-positions.ts'
import { Compaction } from './compaction.ts'
import { DeadLetterMoves } from './dead-letter-moves.ts'
import { DeadLetters } from './dead-letters.ts'
import { Delays } from './delays.ts'
import { describeBroker } from './descriptions.ts'
import type {
  Answer, BrokerDoor, Cancellable, ConfigureGroupRequest, ConfigureTopicRequest, CreateTopicRequest, DeadLettersMoved,
  DeadLettersRequest, EndTransactionRequest, FollowerSink, Following, FollowRequest, FoundMessage, ListDelayedRequest,
  ListGroupsRequest, ListTopicsRequest, ListTransactionsRequest, MemberSink, PrepareRequest, ProducerSink, PublishReceipt,
  PublishRequest, PullRequest, PullResult, QueryRequest, QueryTraceRequest, RecallRequest, ResetGroupRequest,
  SettleHeldRequest, Subscribed, SubscribeRequest, TransactionEnded,
} from './door.ts'
import { Followers } from './followers.ts'
import type { GroupQueue } from './group-queue.ts'
import type { GroupSubscription } from './group-subscription.ts'
import { Housekeeping } from './housekeeping.ts'
import { OwnProducer } from './own-producer.ts'
import { Publisher } from './publisher.ts'
import type { Batch } from './publishing.ts'
import { Queries } from './queries.ts'
import { BroadcastMember, Pull, type ReaderDeps } from './reader.ts'
import { Registry } from './registry.ts'
import { Rewriting } from './rewriting.ts'
import { Scrub } from './scrub.ts'
import { BrokerCounters, type BrokerStats } from './stats.ts'
import { Subscribing } from './subscribing.ts'
import { Timelines } from './timelines.ts'
import { Timers } from './timers.ts'
import type { Topic } from './topic.ts'
import { Tracing } from './tracing.ts'
import { Transactions } from './transactions.ts'
import { Turn } from './turn.ts'

/** Receipts of one boot of the broker come from a range of their own. */
const leaseIdsPerBoot = 2 ** 32

export interface BrokerDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits: Limits
  /** Whether a topic that nobody created comes to be when it is published or subscribed to. */
  readonly autoCreateTopics: boolean
  /** Of groups that name none; default: RocketMQ's schedule. */
  readonly retry?: RetryPolicy
  /**
   * Opens once all is read: what opening has to write is of the first turn, for whose commit all that is told waits. Where
   * that fails, `failed` says so instead of `open`.
   */
  readonly opensEarly?: boolean
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
  readonly #admin: Admin
  readonly #publisher: Publisher
  readonly #subscribing: Subscribing
  readonly #positions: BroadcastPositions
  readonly #deadLetters: DeadLetters
  readonly #deadLetterMoves: DeadLetterMoves
  readonly #delays: Delays
  readonly #transactions: Transactions
  readonly #tracing: Tracing
  readonly #timelines: Timelines
  readonly #followers: Followers
  readonly #housekeeping: Housekeeping
  readonly #progressWriter = new ByteWriter(1024)
  #awake = new Set<Dispatcher>()
  #progressed = new Map<GroupQueue, string>()
  #leaseIdNext: number
  #commitStartMs = 0

  /** Opens the store: reads all but the messages, checks the tails, reports damage. Throws STORE_FAILED or STORE_FULL. */
  static async open(deps: BrokerDeps): Promise<Broker> {
    checkLimits(deps.limits)
    const recovered = await recover(deps)
    if (deps.opensEarly !== true) await commitAlone(deps.store, recovered.writes)
    const broker = new Broker(deps, recovered)
    if (deps.opensEarly === true) for (const { key, value } of recovered.writes) broker.#turn.write(key, value)
    return broker
  }

  private constructor(deps: BrokerDeps, recovered: Recovered) {
    const { store, clock, random, log, limits } = deps
    const { counters } = this
    this.#deps = deps
    this.damages = recovered.damages
    counters.damagedRecords = recovered.damages.length
    this.#leaseIdNext = recovered.header.bootCount * leaseIdsPerBoot
    const timers = new Timers(clock)
    this.#timers = timers
    this.#tailCache = new TailCache(limits)
    const queries = new Queries(store, limits)
    const index = new MessageIndex(limits)
    const turn = new Turn({
      store,
      clock,
      prepare: (writes) => this.#prepare(writes),
      committed: (writeCount) => this.#committed(writeCount),
      released: () => deps.released?.(),
      failed: (error) => this.#failed(error),
    })
    this.#turn = turn
    const answering = new Answering(turn)
    const readFailed = (error: Error) => this.#failed(error)
    const producer = new OwnProducer(random)
    const rewriting = new Rewriting(turn)
    this.#deadLetters = new DeadLetters({
      clock, log, timers, producer, readFailed,
      publish: (group, batch) => this.#publishDeadLetter(group, batch),
    })
    const registry = new Registry(recovered, {
      clock, random, limits, turn,
      autoCreateTopics: deps.autoCreateTopics,
      defaultGroupConfig: {
        attemptCountMax: limits.attemptCountMax,
        retry: deps.retry ?? { kind: 'schedule', delaysMs: retryScheduleMs },
        exhausted: 'dead-letter',
        isPaused: false,
        inFlightMax: 0,
        inFlightPerMemberMax: 0,
      },
      subscriptionDeleted: (subscription) => this.#forgetSubscription(subscription),
      queueLogDeps: {
        store, limits, index,
        tailCache: this.#tailCache,
        damaged: (...found) => this.#damaged(...found),
        storeRead: (byteCount) => {
          counters.storeReads++
          counters.storeReadBytes += byteCount
        },
      },
      subscriptionDeps: (group, topic) => ({
        limits, turn, timers, counters,
        config: () => registry.groupConfig(group),
        isPriority: topic.isPriority,
        isRelaxed: () => topic.isRelaxed,
        clock,
        wake: (subscription) => this.#wake(subscription),
      }),
      groupQueueDeps: (group, topic, subscription) => ({
        limits, clock, timers, counters, readFailed, group,
        config: () => registry.groupConfig(group),
        trace: () => (topic.config.tracePermille > 0 ? this.#tracing : undefined),
        nextLeaseId: () => this.#leaseIdNext++,
        progressed: (queue) => this.#noteProgress(queue, group),
        wake: () => this.#wake(subscription()),
        dead: (queue, offset, attempts) => this.#bury(subscription(), topic.name, queue, offset, attempts),
      }),
    })
    this.#registry = registry
    this.#tracing = new Tracing({
      clock, random, log, counters,
      topicById: (topicId) => registry.topicById(topicId),
      traceTopic: () => registry.traceTopic(),
      appended: () => this.#wakeTopic(registry.topic(traceTopic)),
    })
    this.#timelines = new Timelines({ registry, queries, turn, answering, clock })
    this.#delays = new Delays({
      store, clock, limits, log, turn, timers, registry, answering, queries, counters, readFailed,
      tracing: this.#tracing,
      publisher: () => this.#publisher,
    })
    this.#publisher = new Publisher({
      clock, limits, turn, registry, answering, queries, counters, delays: this.#delays, tracing: this.#tracing,
    })
    const positions = new BroadcastPositions({ limits, clock, turn, isRelaxed: (topicId) => this.#isRelaxed(topicId) })
    this.#positions = positions
    this.#subscribing = new Subscribing({
      limits, turn, registry, answering, queries, positions,
      readerDeps: (topic) => this.#readerDeps(topic),
      gapFound: () => counters.gaps++,
    })
    this.#transactions = new Transactions({
      store, clock, random, log, limits, timers, turn, answering, registry, counters, readFailed,
      publisher: this.#publisher,
    })
    this.#deadLetterMoves = new DeadLetterMoves({
      store, log, turn, registry, queries, answering, rewriting, producer, counters,
      publisher: this.#publisher,
      moved: (topic) => this.#wakeTopic(topic),
    })
    this.#followers = new Followers({
      limits, turn, registry, answering, counters, readFailed,
      rewrite: (queue, group) => this.#noteProgress(queue, group),
    })
    this.#admin = new Admin({
      registry, queries, turn, answering, positions,
      topicDeleted: (topic) => this.#topicDeleted(topic),
    })
    registry.restore(recovered)
    positions.restore(recovered.topics)
    this.#delays.restore(recovered)
    this.#transactions.restore(recovered.transactions)
    this.#noteSpace(store.space())
    this.#housekeeping = new Housekeeping(recovered.deletedTopicIds, {
      rewriting,
      compaction: new Compaction({ store, clock, limits, log, registry, rewriting, counters }),
      scrub: new Scrub({ store, registry, startAt: producer.share, damaged: (...found) => this.#damaged(...found) }),
      store, clock, limits, log, index, timers, turn, registry, counters, readFailed, positions,
      trimmed: (topic) => this.#wakeTopic(topic),
    })
  }

  // ── the door; what each of these does is in its room ──────────────────────────────────────────────────────────

  publish(request: PublishRequest, answer: Answer<PublishReceipt>, clientId: string): void {
    this.#publisher.publish(request, answer, clientId)
  }

  subscribe(request: SubscribeRequest, sink: MemberSink, answer: Answer<Subscribed>): void {
    this.#subscribing.subscribe(request, sink, answer)
  }

  pull(request: PullRequest, answer: Answer<PullResult>): Cancellable {
    return this.#subscribing.pull(request, answer)
  }

  follow(request: FollowRequest, sink: FollowerSink, answer: Answer<Following>): void {
    this.#followers.follow(request, sink, answer)
  }

  prepare(request: PrepareRequest, answer: Answer<void>): void {
    this.#transactions.prepare(request, answer)
  }

  endTransaction(request: EndTransactionRequest, answer: Answer<TransactionEnded>): void {
    this.#transactions.end(request, answer)
  }

  registerProducer(producerGroup: string, sink: ProducerSink): Cancellable {
    return this.#transactions.registerProducer(producerGroup, sink)
  }

  listTransactions(
    request: ListTransactionsRequest, answer: Answer<{ transactions: readonly TransactionSummary[]; more: boolean }>,
  ): void {
    this.#transactions.list(request, answer)
  }

  recall(request: RecallRequest, answer: Answer<{ messageId: string }>): void {
    this.#delays.recall(request, answer)
  }

  listDelayed(request: ListDelayedRequest, answer: Answer<{ messages: readonly DelayedMessage[]; more: boolean }>): void {
    this.#delays.list(request, answer)
  }

  query(request: QueryRequest, answer: Answer<readonly FoundMessage[]>): void {
    this.#admin.query(request, answer)
  }

  queryTrace(request: QueryTraceRequest, answer: Answer<readonly Timeline[]>): void {
    this.#timelines.query(request, answer)
  }

  createTopic(request: CreateTopicRequest, answer: Answer<TopicDescription>): void {
    this.#admin.createTopic(request, answer)
  }

  configureTopic(request: ConfigureTopicRequest, answer: Answer<TopicDescription>): void {
    this.#admin.configureTopic(request, answer)
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

  deleteGroup(group: string, answer: Answer<void>): void {
    this.#admin.deleteGroup(group, answer)
  }

  settleHeld(request: SettleHeldRequest, answer: Answer<GroupDescription>): void {
    this.#admin.settleHeld(request, answer)
  }

  resendDeadLetters(request: DeadLettersRequest, answer: Answer<DeadLettersMoved>): void {
    this.#deadLetterMoves.resend(request, answer)
  }

  purgeDeadLetters(request: DeadLettersRequest, answer: Answer<DeadLettersMoved>): void {
    this.#deadLetterMoves.purge(request, answer)
  }

  stats(): BrokerStats {
    const { usedBytes, freeBytes } = this.#deps.store.space()
    return describeBroker({
      registry: this.#registry,
      counters: this.counters,
      openTransactionCount: this.#transactions.openCount,
      tailCacheBytes: this.#tailCache.byteCount,
      storeUsedBytes: usedBytes,
      storeFreeBytes: freeBytes,
    })
  }

  /** Clients' messages are taken: the store has more free room than its reserve. */
  get hasRoom(): boolean {
    return this.#publisher.hasRoom
  }

  // ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #noteSpace(space: StoreSpace): void {
    const publisher = this.#publisher
    const hadRoom = publisher.hasRoom
    publisher.noteSpace(space)
    if (publisher.hasRoom === hadRoom) return
    const { freeBytes } = space
    this.#deps.log.info(hadRoom ? 'no room for messages: publishes are refused' : 'room for messages again', { freeBytes })
  }

  #prepare(writes: StoreWrite[]): void {
    this.counters.turns++
    const { clock, store } = this.#deps
    this.#noteSpace(store.space())
    const nowMs = clock.now()
    this.#delays.fire(nowMs, writes)
    this.#transactions.seal(nowMs, writes)
    for (const topic of this.#publisher.takeDirty()) {
      const before = writes.length
      for (const log of topic.queues) log.seal(nowMs, writes)
      topic.producers.seal()
      if (topic.isRelaxed) this.#turn.relax(writes.length - before)
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
      if (this.#isRelaxed(topicId)) this.#turn.relax(1)
    }
    this.#progressed.clear()
    this.#positions.seal(writes)
    const before = writes.length
    this.#tracing.seal(nowMs, writes)
    if (this.#registry.topics.get(traceTopic)?.isRelaxed === true) this.#turn.relax(writes.length - before)
    this.#followers.dispatch(writes)
    this.#commitStartMs = clock.monotonic()
  }

  #isRelaxed(topicId: number): boolean {
    return this.#registry.topicById(topicId)?.isRelaxed ?? false
  }

  #committed(writeCount: number): void {
    const { counters } = this
    counters.commits++
    counters.commitWrites += writeCount
    counters.commitMs.observe(this.#deps.clock.monotonic() - this.#commitStartMs)
    this.#tailCache.committed()
    this.#delays.committed()
  }

  #publishDeadLetter(group: string, batch: Batch): void {
    const name = deadLetterTopicOf(group)
    const topic = this.#registry.topics.get(name) ??
      this.#registry.createTopic(name, this.#registry.topicConfig({ queueCount: 1 }))
    this.#publisher.store(topic, batch)
    this.counters.deadLetters++
  }

  #bury(subscription: GroupSubscription, topic: string, queue: GroupQueue, offset: number, attempts: number): void {
    subscription.deadLetters++
    this.#deadLetters.bury(subscription.group, topic, queue, offset, attempts)
  }

  #readerDeps(topic: Topic): ReaderDeps {
    return {
      limits: this.#deps.limits,
      turn: this.#turn,
      timers: this.#timers,
      clock: this.#deps.clock,
      isRelaxed: () => topic.isRelaxed,
      wake: (reader) => this.#wake(reader),
      counters: this.counters,
      readFailed: (error) => this.#failed(error),
      left: (reader) => {
        if (reader instanceof Pull) topic.pulls.delete(reader)
        else if (reader instanceof BroadcastMember && topic.broadcastMembers.delete(reader)) {
          topic.messagesOutBefore += reader.messagesOut
          topic.bytesOutBefore += reader.bytesOut
          this.#registry.readerLeft(reader.request.group)
        }
        this.#awake.delete(reader)
      },
    }
  }

  /** Nothing of a deleted topic is written any more; its data goes once the deletion is durable. */
  #topicDeleted(topic: Topic): void {
    this.#publisher.forget(topic)
    this.#positions.forgetTopic(topic.topicId)
    for (const subscription of topic.subscriptions.values()) this.#forgetSubscription(subscription)
    this.#turn.after(() => this.#housekeeping.topicDeleted(topic.topicId))
  }

  #forgetSubscription(subscription: GroupSubscription): void {
    this.#awake.delete(subscription)
    for (const queue of subscription.queues) this.#progressed.delete(queue)
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
    this.#publisher.drain()
    this.#delays.stop()
    this.#housekeeping.stop()
    await this.#turn.idle()
  }

  /** Stops at once; what is not durable is not told. The store stays open, as it is its opener's. Repeating it does nothing. */
  close(): void {
    this.#halt()
  }
}
