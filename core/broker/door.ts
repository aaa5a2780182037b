// The broker's door as sessions see it: requests, answers and what a member of a group is told. Types only.
//
// An `Answer` is called once, never before the call returns, and only when what it says is durable. If the broker
// fails, answers that were not given never are: the connections end instead.

import type { PocketError } from '../errors.ts'
import type { Position, StartPolicy } from '../model/position.ts'
import type { FilterKind } from '../filter/message-filter.ts'
import type { ConsumeMode, MessageType } from '../model/topic.ts'
import type {
  Change, DelayedMessage, DownstreamName, FrameFields, GroupDescription, GroupSummary, LeaseRange, PublishSegment,
  QueuePosition, Timeline, TopicDescription, TopicSummary, TransactionSummary, UpstreamName,
} from '../protocol/frames.ts'

export type Answer<T> = (outcome: T | PocketError) => void

type Request<N extends UpstreamName> = Omit<FrameFields<N>, 'requestId'>
type Result<N extends DownstreamName> = Omit<FrameFields<N>, 'requestId'>

export type PublishRequest = Request<'PUBLISH'>
export type PullRequest = Request<'PULL'>
export type QueryRequest = Request<'QUERY'>
export type CreateTopicRequest = Request<'CREATE_TOPIC'>
export type ListTopicsRequest = Request<'LIST_TOPICS'>
export type ListGroupsRequest = Request<'LIST_GROUPS'>
export type ConfigureGroupRequest = Request<'CONFIGURE_GROUP'>
export type ResetGroupRequest = Request<'RESET_GROUP'>
export type ConfigureTopicRequest = Request<'CONFIGURE_TOPIC'>
export type SettleHeldRequest = Request<'SETTLE_HELD'>
export type DeadLettersRequest = Request<'RESEND_DEAD_LETTERS'>
export type DeadLettersMoved = Result<'DEAD_LETTERS'>
export type RecallRequest = Request<'RECALL'>
export type ListDelayedRequest = Request<'LIST_DELAYED'>
export type PrepareRequest = Request<'PREPARE'>
export type EndTransactionRequest = Request<'END_TRANSACTION'>
export type TransactionEnded = Result<'TRANSACTION_ENDED'>
export type TransactionCheck = FrameFields<'CHECK_TRANSACTION'>
export type ListTransactionsRequest = Request<'LIST_TRANSACTIONS'>
export type QueryTraceRequest = Request<'QUERY_TRACE'>
export type FollowRequest = Omit<Request<'FOLLOW'>, 'subscriptionId'>

export interface PublishReceipt {
  /** Known already: a resend of a batch that was stored before. */
  readonly duplicate: boolean
  /** Its topic is relaxed. Of a duplicate: by now, as a topic that becomes strict makes all that it holds so. */
  readonly isRelaxed: boolean
  readonly storedMs: number
  /** In message order; those of delayed messages have epoch 0. */
  readonly segments: readonly PublishSegment[]
  /** When each delayed message is due, in message order. */
  readonly scheduled: readonly number[]
}

export interface SubscribeRequest {
  /** Eight bytes the client made up; the same id resumes the same membership, leases included. */
  readonly memberId: Uint8Array
  readonly group: string
  readonly topic: string
  readonly mode: ConsumeMode
  readonly filterKind: FilterKind
  readonly filter: string
  readonly start: StartPolicy
  /** 0 takes the default. */
  readonly leaseMs: number
  readonly positions: readonly QueuePosition[]
  /** Who keeps the positions of a BROADCASTING member: with `broker`, under its `consumerName`. */
  readonly positionKeeper: 'client' | 'broker'
  readonly consumerName: string
  /** For people and listings. */
  readonly clientId: string
  readonly clientName: string
  readonly peer: string
}

export interface Subscribed {
  readonly membership: Membership
  readonly messageType: MessageType
  readonly leaseMs: number
  readonly positions: readonly QueuePosition[]
}

export interface Delivery {
  readonly queueId: number
  /** 0 without a lease. */
  readonly leaseId: number
  readonly attempt: number
  readonly leaseMs: number
  readonly next: Position
  /** A record batch; empty where only `next` is news. */
  readonly record: Uint8Array
  readonly messageCount: number
}

/** What a member is told, in order, and only after it is durable. */
export interface MemberSink {
  /** Whether deliveries may come now; the session says false while its socket is over its high-water mark. */
  readonly isWritable: boolean
  deliver(delivery: Delivery): void
  gap(queueId: number, expected: Position, next: Position): void
  /** The group was moved: what was delivered of the queue is void. */
  reset(queueId: number, position: Position): void
  /** The membership is over; nothing follows. */
  revoked(reason: PocketError): void
}

export interface RangeFailure {
  /** Index of the range in the request. */
  readonly index: number
  readonly error: PocketError
}

export interface ReceiveRequest {
  /**
   * A repeated id after a reconnect is answered with the messages of the first try, as far as their lease lasts. 0 is
   * never a repeat.
   */
  readonly attemptId: number
  readonly messageCountMax: number
  /** 0 takes the subscription's. */
  readonly leaseMs: number
  readonly waitMs: number
}

/** A connection's place in a group. */
export interface Membership {
  credit(messageCount: number, byteCount: number): void
  /** The sink has become writable again. */
  writable(): void
  ack(ranges: readonly LeaseRange[], answer: Answer<readonly RangeFailure[]>): void
  retry(
    ranges: readonly LeaseRange[], how: 'schedule' | 'after' | 'release', delayMs: number,
    answer: Answer<readonly RangeFailure[]>,
  ): void
  extend(ranges: readonly LeaseRange[], leaseMs: number, answer: Answer<readonly RangeFailure[]>): void
  /** Answers with the number of messages delivered to the sink just before. */
  receive(request: ReceiveRequest, answer: Answer<number>): void
  /** Where a BROADCASTING member stands, for the broker to keep. */
  positions(positions: readonly QueuePosition[]): void
  /** Leaves for good: leases go back at once. */
  leave(answer: Answer<void>): void
  /** The connection broke: leases are kept for the grace time, for a return under the same member id. */
  detach(): void
}

export interface PullResult {
  /** Where reading began: later than the position asked for where messages are gone. */
  readonly from: Position
  readonly next: Position
  readonly minOffset: number
  readonly maxOffset: number
  readonly records: readonly Uint8Array[]
}

export interface FoundMessage {
  readonly topic: string
  readonly queueId: number
  /** A record batch with this one message. */
  readonly record: Uint8Array
}

/** A wait that its connection can take back when it ends. */
export interface Cancellable {
  cancel(): void
}

/** A connection that can say what became of the transactions of a producer group. */
export interface ProducerSink {
  /** False: it is not asked now, and it does not count. Its connection is full, or not to see messages of those topics. */
  check(check: TransactionCheck): boolean
}

/** What a follower is told, in order, and only after it is durable. */
export interface FollowerSink {
  readonly isWritable: boolean
  changes(sequence: number, isCurrent: boolean, lag: number, changes: readonly Change[]): void
  /** Nothing follows. */
  revoked(reason: PocketError): void
}

/** A follower's place at the broker. */
export interface Following {
  /** Number of the last commit as it began. */
  readonly sequence: number
  credit(changeCount: number, byteCount: number): void
  writable(): void
  leave(): void
}

/** All a session may ask of a broker. Broker (broker.ts) is the implementation. */
export interface BrokerDoor {
  /** The room left in memory for publishes is the session's to guard (publishBytesInFlightMax). */
  publish(request: PublishRequest, answer: Answer<PublishReceipt>, clientId: string): void
  /** A rejected subscription has no membership. `sink` may be told of deliveries right after the answer. */
  subscribe(request: SubscribeRequest, sink: MemberSink, answer: Answer<Subscribed>): void
  pull(request: PullRequest, answer: Answer<PullResult>): Cancellable
  query(request: QueryRequest, answer: Answer<readonly FoundMessage[]>): void
  createTopic(request: CreateTopicRequest, answer: Answer<TopicDescription>): void
  listTopics(request: ListTopicsRequest, answer: Answer<{ topics: readonly TopicSummary[]; more: boolean }>): void
  describeTopic(topic: string, answer: Answer<TopicDescription>): void
  deleteTopic(topic: string, answer: Answer<void>): void
  configureGroup(request: ConfigureGroupRequest, answer: Answer<GroupDescription>): void
  listGroups(request: ListGroupsRequest, answer: Answer<{ groups: readonly GroupSummary[]; more: boolean }>): void
  describeGroup(group: string, answer: Answer<GroupDescription>): void
  resetGroup(request: ResetGroupRequest, answer: Answer<GroupDescription>): void
  configureTopic(request: ConfigureTopicRequest, answer: Answer<TopicDescription>): void
  deleteGroup(group: string, answer: Answer<void>): void
  settleHeld(request: SettleHeldRequest, answer: Answer<GroupDescription>): void
  resendDeadLetters(request: DeadLettersRequest, answer: Answer<DeadLettersMoved>): void
  purgeDeadLetters(request: DeadLettersRequest, answer: Answer<DeadLettersMoved>): void
  recall(request: RecallRequest, answer: Answer<{ messageId: string }>): void
  listDelayed(request: ListDelayedRequest, answer: Answer<{ messages: readonly DelayedMessage[]; more: boolean }>): void
  prepare(request: PrepareRequest, answer: Answer<void>): void
  endTransaction(request: EndTransactionRequest, answer: Answer<TransactionEnded>): void
  /** Checks may come right after. Taking it back is synchronous. */
  registerProducer(producerGroup: string, sink: ProducerSink): Cancellable
  listTransactions(
    request: ListTransactionsRequest, answer: Answer<{ transactions: readonly TransactionSummary[]; more: boolean }>,
  ): void
  queryTrace(request: QueryTraceRequest, answer: Answer<readonly Timeline[]>): void
  follow(request: FollowRequest, sink: FollowerSink, answer: Answer<Following>): void
}
