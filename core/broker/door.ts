// The broker's door as sessions see it: requests, answers and what a member of a group is told. Types only.
//
// An `Answer` is called once, never before the call returns, and only when what it says is durable. If the broker
// fails, answers that were not given never are: the connections end instead.

import type { PocketError } from '../errors.ts'
import type { Position, StartPolicy } from '../model/position.ts'
import type { ConsumeMode, MessageType } from '../model/topic.ts'
import type {
  FrameFields, GroupDescription, GroupSummary, LeaseRange, PublishSegment, QueuePosition, TopicDescription, TopicSummary,
  UpstreamName,
} from '../protocol/frames.ts'

export type Answer<T> = (outcome: T | PocketError) => void

type Request<N extends UpstreamName> = Omit<FrameFields<N>, 'requestId'>

export type PublishRequest = Request<'PUBLISH'>
export type PullRequest = Request<'PULL'>
export type QueryRequest = Request<'QUERY'>
export type CreateTopicRequest = Request<'CREATE_TOPIC'>
export type ListTopicsRequest = Request<'LIST_TOPICS'>
export type ListGroupsRequest = Request<'LIST_GROUPS'>
export type ConfigureGroupRequest = Request<'CONFIGURE_GROUP'>
export type ResetGroupRequest = Request<'RESET_GROUP'>

export interface PublishReceipt {
  /** Known already: a resend of a batch that was stored before. */
  readonly duplicate: boolean
  readonly storedMs: number
  readonly segments: readonly PublishSegment[]
}

export interface SubscribeRequest {
  /** Eight bytes the client made up; the same id resumes the same membership, leases included. */
  readonly memberId: Uint8Array
  readonly group: string
  readonly topic: string
  readonly mode: ConsumeMode
  readonly filter: string
  readonly start: StartPolicy
  /** 0 takes the default. */
  readonly leaseMs: number
  readonly positions: readonly QueuePosition[]
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

/** All a session may ask of a broker. Broker (broker.ts) is the implementation. */
export interface BrokerDoor {
  /** The room left in memory for publishes is the session's to guard (publishBytesInFlightMax). */
  publish(request: PublishRequest, answer: Answer<PublishReceipt>): void
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
}
