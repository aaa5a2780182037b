// THE wire: version, every frame with its direction and fields, in one transcription of PROTOCOL.md. Frame numbers,
// field orders and word lists are frozen once released; a test pins their hash to the protocol version. Frames that run
// per message have hand-written twins in hot-frames.ts.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import {
  change, clientId, connectionSummary, consumerName, delayedMessage, figure, filter, filterKind, group, groupConfig,
  groupOptions, groupSummary, leaseRanges, memberDescription, messageType, mode, position, positionKeeper,
  queueDescription, queuePosition, queueProgress, rate, recallHandle, remark, requestId, segment, setting, start,
  storedPlace, subscriptionId, timeline, topic, topicConfig, topicOptions, topicPosition, topicRecord, topicSegment, topicSummary,
  transactionId, transactionOutcome, transactionSummary, type leaseRange,
} from './fields.ts'
import {
  type Field, fixedBytes, flag, list, oneOf, optional, rest, sizedBytes, struct, text, u8, u16, u32, type ValueOf, varint,
  varint32,
} from './schema.ts'

/** The WebSocket subprotocol; its number moves only when HELLO and WELCOME themselves change. */
export const subprotocol = 'pocketmq.1'

/** Versions of the frames after HELLO that this build speaks. History at the end of PROTOCOL.md. */
export const protocolVersion = { min: 1, max: 1 } as const

function frame<const S extends Readonly<Record<string, Field<unknown>>>>(type: number, shape: S) {
  return { type, fields: struct(shape) }
}

// ── client to relay ───────────────────────────────────────────────────────────────────────────────────────────────

export const upstream = {
  /** First on every connection. Its layout never changes, so that any two versions can refuse each other in words. */
  HELLO: frame(1, {
    versionMin: u8,
    versionMax: u8,
    clientId,
    clientName: remark,
    token: text(fixedLimits.authTokenBytesMax),
  }),

  PING: frame(2, { nonce: u32 }),

  /** A producer's batch; `messages` as in core/record/message-codec.ts. Answer: PUBLISHED or ERROR. */
  PUBLISH: frame(3, {
    requestId,
    topic,
    producerId: fixedBytes(8),
    producerEpoch: varint32,
    baseSequence: varint,
    messageCount: varint,
    /** When the client sent it, by its clock; for traces. */
    sentMs: varint,
    messages: rest,
  }),

  /** Joins a group on a topic. `positions` resume a BROADCASTING reader. Answer: SUBSCRIBED or ERROR. */
  SUBSCRIBE: frame(4, {
    requestId,
    subscriptionId,
    memberId: fixedBytes(8),
    group,
    topic,
    mode,
    filterKind,
    filter,
    start,
    leaseMs: varint,
    positions: list(queuePosition, fixedLimits.queueCountMax),
    positionKeeper,
    consumerName,
  }),

  /** Leaves the group; leases held go back at once. Answer: DONE. */
  UNSUBSCRIBE: frame(5, { requestId, subscriptionId }),

  /** Allows the relay to deliver so much more. No answer. */
  CREDIT: frame(6, { subscriptionId, messageCount: varint, byteCount: varint }),

  /** Consumed. Answer: DONE once durable, naming the ranges whose lease had ended. */
  ACK: frame(7, { requestId, subscriptionId, ranges: leaseRanges }),

  /**
   * Not consumed: `schedule` by the group's retry schedule, `after` delayMs, `release` at once and without counting the
   * attempt. Answer: DONE.
   */
  RETRY: frame(8, {
    requestId,
    subscriptionId,
    ranges: leaseRanges,
    how: oneOf('schedule', 'after', 'release'),
    delayMs: varint,
  }),

  /** The leases end `leaseMs` from now. Answer: DONE. */
  EXTEND: frame(9, { requestId, subscriptionId, ranges: leaseRanges, leaseMs: varint }),

  /** Waits up to `waitMs` for messages of a subscription, under leases. Answer: DELIVER frames, then RECEIVED. */
  RECEIVE: frame(10, {
    requestId,
    subscriptionId,
    attemptId: varint,
    messageCountMax: varint,
    leaseMs: varint,
    waitMs: varint,
  }),

  /** Reads a queue from a position, without a group. Answer: PULLED. */
  PULL: frame(11, {
    requestId,
    topic,
    queueId: varint,
    start,
    filterKind,
    filter,
    messageCountMax: varint,
    byteCountMax: varint,
    waitMs: varint,
  }),

  /** Finds messages. Answer: MESSAGES. */
  QUERY: frame(12, {
    requestId,
    topic,
    messageId: optional(text(64)),
    key: optional(text(fixedLimits.keyBytesMax)),
    fromMs: varint,
    toMs: varint,
    after: optional(storedPlace),
    messageCountMax: varint,
  }),

  /** Answer: TOPIC. The same configuration again is no error. */
  CREATE_TOPIC: frame(13, { requestId, topic, options: topicOptions }),

  /** Names after `after`, in byte order, that contain `containing`. Answer: TOPICS. */
  LIST_TOPICS: frame(14, { requestId, after: topic, containing: topic, countMax: varint }),

  /** Answer: TOPIC. */
  DESCRIBE_TOPIC: frame(15, { requestId, topic }),

  /** Deletes the topic, its messages and every group's progress on it. Answer: DONE. */
  DELETE_TOPIC: frame(16, { requestId, topic }),

  /** Creates or changes a group's configuration. Answer: GROUP. */
  CONFIGURE_GROUP: frame(17, { requestId, group, options: groupOptions }),

  /** Names after `after`, in byte order, that contain `containing`. Answer: GROUPS. */
  LIST_GROUPS: frame(18, { requestId, after: group, containing: group, countMax: varint }),

  /** Answer: GROUP. */
  DESCRIBE_GROUP: frame(19, { requestId, group }),

  /** Moves a group's progress on a topic, in all queues or one; leases held end. Answer: GROUP. */
  RESET_GROUP: frame(20, { requestId, group, topic, queueId: optional(varint), to: start }),

  /** Changes what is named of a topic's configuration; queue count, message type and policy stay. Answer: TOPIC. */
  CONFIGURE_TOPIC: frame(21, { requestId, topic, options: topicOptions }),

  /** Deletes the group, its progress on every topic and its positions; its members are revoked. Answer: DONE. */
  DELETE_GROUP: frame(22, { requestId, group }),

  /** Messages of a FIFO group that have had all their attempts and are held: again, or buried. Answer: GROUP. */
  SETTLE_HELD: frame(23, { requestId, group, topic, how: oneOf('retry', 'dead-letter') }),

  /** Puts dead letters back where they came from, all or those named. Answer: DEAD_LETTERS. */
  RESEND_DEAD_LETTERS: frame(24, { requestId, group, messageIds: list(text(64), fixedLimits.deadLetterCountMax) }),

  /** Deletes dead letters, all or those named. Answer: DEAD_LETTERS. */
  PURGE_DEAD_LETTERS: frame(25, { requestId, group, messageIds: list(text(64), fixedLimits.deadLetterCountMax) }),

  /** Takes back a delayed message. Answer: RECALLED. */
  RECALL: frame(26, { requestId, topic, recallHandle }),

  /** Delayed messages of a topic, or of all (empty), in the order they are due, behind a handle. Answer: DELAYED. */
  LIST_DELAYED: frame(27, { requestId, topic, after: recallHandle, countMax: varint }),

  /**
   * A part of a transaction, stored and invisible. Sequences count over all parts; ids of its messages are made of the
   * transaction's id, epoch 0 and these. `checkAfterMs` 0 takes the relay's. Answer: DONE.
   */
  PREPARE: frame(28, {
    requestId,
    transactionId,
    producerGroup: group,
    checkAfterMs: varint,
    topic,
    baseSequence: varint,
    messageCount: varint,
    messages: rest,
  }),

  /** Makes all parts visible, or none. `messageCount` is of all parts. Answer: TRANSACTION_ENDED. */
  END_TRANSACTION: frame(29, {
    requestId, transactionId, producerGroup: group, outcome: transactionOutcome, messageCount: varint,
  }),

  /** This connection can say what became of transactions of a producer group. Answer: DONE. */
  REGISTER_PRODUCER: frame(30, { requestId, producerGroup: group }),

  /** Answer: DONE. */
  UNREGISTER_PRODUCER: frame(31, { requestId, producerGroup: group }),

  /** Transactions that are not ended, of one producer group or of all (empty), by id. Answer: TRANSACTIONS. */
  LIST_TRANSACTIONS: frame(32, { requestId, producerGroup: group, after: optional(transactionId), countMax: varint }),

  /** One encoded message, straight to the connection that asked. Answer: DONE. */
  REPLY: frame(33, { requestId, replyTo: clientId, correlationId: consumerName, message: rest }),

  /** What happened to messages found by id or key. Answer: TRACE. */
  QUERY_TRACE: frame(34, {
    requestId,
    topic,
    messageId: optional(text(64)),
    key: optional(text(fixedLimits.keyBytesMax)),
    fromMs: varint,
    toMs: varint,
    after: optional(storedPlace),
    messageCountMax: varint,
  }),

  /**
   * Follows every change of topics from where the follower stands: logs, and with `withProgress` groups and their
   * progress. Changes come against CREDIT; UNSUBSCRIBE ends it. Answer: FOLLOWING.
   */
  FOLLOW: frame(35, {
    requestId,
    subscriptionId,
    topics: list(topic, fixedLimits.followTopicCountMax),
    positions: list(topicPosition, fixedLimits.progressCountMax),
    withProgress: flag,
  }),

  /** Where a BROADCASTING member stands whose positions the relay keeps. No answer. */
  POSITIONS: frame(36, { subscriptionId, positions: list(queuePosition, fixedLimits.queueCountMax) }),

  /** The relay itself: version, settings in force, figures. Answer: RELAY. */
  DESCRIBE_RELAY: frame(37, { requestId }),

  /** Connections by client id, behind `after`, whose id, name or peer holds `containing`. Answer: CONNECTIONS. */
  LIST_CONNECTIONS: frame(38, {
    requestId, after: clientId, containing: text(fixedLimits.textBytesMax), countMax: varint,
  }),

  /** Ends the connections of a client, which does not come back by itself. Answer: DONE. */
  CLOSE_CONNECTION: frame(39, { requestId, clientId }),
} as const

// ── relay to client ───────────────────────────────────────────────────────────────────────────────────────────────

export const downstream = {
  /** Answer to HELLO: what was agreed, and the limits the client keeps to. */
  WELCOME: frame(64, {
    version: u8,
    relayId: text(64),
    heartbeatMs: varint,
    memberGraceMs: varint,
    bodyBytesMax: varint,
    frameBytesMax: varint,
    batchMessageCountMax: varint,
    publishBytesInFlightMax: varint,
    leaseMsMin: varint,
    leaseMsMax: varint,
    waitMsMax: varint,
  }),

  PONG: frame(65, { nonce: u32 }),

  /** A request failed; `requestId` 0 speaks of the connection, which then closes. */
  ERROR: frame(66, { requestId, code: u16, retryAfterMs: varint, message: remark }),

  /** The batch is durable. Segments are in message order; none where a duplicate's places are no longer known. */
  PUBLISHED: frame(67, {
    requestId,
    duplicate: flag,
    /** The topic is relaxed: a power cut may take it. */
    isRelaxed: flag,
    storedMs: varint,
    segments: list(segment, fixedLimits.batchMessageCountMax),
    /** When each of the delayed messages is due; their segments have epoch 0. */
    scheduled: list(varint, fixedLimits.batchMessageCountMax),
  }),

  SUBSCRIBED: frame(68, {
    requestId,
    subscriptionId,
    messageType,
    leaseMs: varint,
    positions: list(queuePosition, fixedLimits.queueCountMax),
  }),

  /**
   * A record for a subscription. With a lease: `leaseId` > 0 and `attempt` from 1. Without: `leaseId` 0, and `next` is
   * where the reader stands; `record` may then be empty.
   */
  DELIVER: frame(69, {
    subscriptionId,
    queueId: varint,
    leaseId: varint,
    attempt: varint,
    leaseMs: varint,
    next: position,
    record: rest,
  }),

  /** The request took effect, but for the failures: index of the range and code. */
  DONE: frame(70, {
    requestId,
    failures: list(struct({ index: varint, code: u16 }), fixedLimits.rangesPerFrameMax),
  }),

  /** Ends a RECEIVE; so many messages came in the DELIVER frames before it. */
  RECEIVED: frame(71, { requestId, messageCount: varint }),

  /** What was read from `from` on, which is later than asked for where messages are gone. */
  PULLED: frame(72, {
    requestId,
    from: position,
    next: position,
    minOffset: varint,
    maxOffset: varint,
    records: list(sizedBytes, fixedLimits.batchMessageCountMax),
  }),

  /** Messages between the two positions are gone; reading goes on at `next`. */
  GAP: frame(73, { subscriptionId, queueId: varint, expected: position, next: position }),

  /** `records` hold one message each. */
  MESSAGES: frame(74, {
    requestId,
    messages: list(struct({ topic, queueId: varint, record: sizedBytes }), fixedLimits.queryCountMax),
  }),

  TOPICS: frame(75, { requestId, topics: list(topicSummary, fixedLimits.listCountMax), more: flag }),

  TOPIC: frame(76, {
    requestId,
    topic,
    config: topicConfig,
    delayedCount: varint,
    queues: list(queueDescription, fixedLimits.queueCountMax),
    groups: list(group, fixedLimits.listCountMax),
  }),

  GROUPS: frame(77, { requestId, groups: list(groupSummary, fixedLimits.listCountMax), more: flag }),

  GROUP: frame(78, {
    requestId,
    group,
    config: groupConfig,
    rate,
    members: list(memberDescription, fixedLimits.listCountMax),
    queues: list(queueProgress, fixedLimits.progressCountMax),
  }),

  /** The relay ended a subscription, e.g. as its topic was deleted. */
  REVOKED: frame(79, { subscriptionId, code: u16, message: remark }),

  /** The relay is about to stop; finish what is in hand. The connection closes with RELAY_STOPPING. */
  STOPPING: frame(80, { retryAfterMs: varint }),

  /** The group was moved: what was delivered of the queue is void, reading goes on at `position`. */
  RESET: frame(81, { subscriptionId, queueId: varint, position }),

  /** `more`: ask again, for those named or for all. */
  DEAD_LETTERS: frame(82, { requestId, messageCount: varint, more: flag }),

  RECALLED: frame(83, { requestId, messageId: text(64) }),

  DELAYED: frame(84, { requestId, messages: list(delayedMessage, fixedLimits.listCountMax), more: flag }),

  /** The transaction has ended so, now or (`duplicate`) before. Segments in message order; those of epoch 0 are delayed. */
  TRANSACTION_ENDED: frame(85, {
    requestId,
    outcome: transactionOutcome,
    duplicate: flag,
    segments: list(topicSegment, fixedLimits.transactionMessageCountMax),
    scheduled: list(varint, fixedLimits.transactionMessageCountMax),
  }),

  /** What became of this transaction? END_TRANSACTION answers; silence does too, until the next check. */
  CHECK_TRANSACTION: frame(86, {
    transactionId,
    producerGroup: group,
    checkCount: varint,
    preparedMs: varint,
    messages: list(topicRecord, fixedLimits.transactionMessageCountMax),
  }),

  TRANSACTIONS: frame(87, {
    requestId, transactions: list(transactionSummary, fixedLimits.listCountMax), more: flag,
  }),

  /** A reply to a request of this client: one encoded message. */
  REPLIED: frame(88, { correlationId: consumerName, message: rest }),

  TRACE: frame(89, { requestId, timelines: list(timeline, fixedLimits.queryCountMax) }),

  /** `sequence` of the broker's commits as the stream begins; it starts over when the relay does. */
  FOLLOWING: frame(90, { requestId, subscriptionId, sequence: varint }),

  /**
   * Changes in the order to apply them. With `isCurrent`, everything up to commit `sequence` has been sent; `lag` is the
   * number of messages still to come.
   */
  CHANGES: frame(91, {
    subscriptionId,
    sequence: varint,
    isCurrent: flag,
    lag: varint,
    changes: list(change, fixedLimits.changesPerFrameMax),
  }),

  /** Figures by name, whole numbers with their unit in the name; some only grow, as their name's `Total` says. */
  RELAY: frame(92, {
    requestId,
    version: text(64),
    startedMs: varint,
    settings: list(setting, fixedLimits.settingCountMax),
    figures: list(figure, fixedLimits.figureCountMax),
  }),

  CONNECTIONS: frame(93, { requestId, connections: list(connectionSummary, fixedLimits.listCountMax), more: flag }),
} as const

// ── types ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type Frames = typeof upstream & typeof downstream
export type FrameName = keyof Frames
export type UpstreamName = keyof typeof upstream
export type DownstreamName = keyof typeof downstream

/** The fields of one kind of frame. */
export type FrameFields<N extends FrameName> = ValueOf<Frames[N]['fields']>

/** A frame as decoded: its name and its fields. */
export type FrameOf<N extends FrameName> = N extends FrameName ? { readonly name: N } & FrameFields<N> : never

/** What a client sends. */
export type UpstreamFrame = FrameOf<UpstreamName>
/** What a relay sends. */
export type DownstreamFrame = FrameOf<DownstreamName>

export type LeaseRange = ValueOf<typeof leaseRange>
export type QueuePosition = ValueOf<typeof queuePosition>
export type PublishSegment = FrameFields<'PUBLISHED'>['segments'][number]
export type TopicOptions = ValueOf<typeof topicOptions>
export type TransactionOutcome = FrameFields<'END_TRANSACTION'>['outcome']
export type TopicSegment = FrameFields<'TRANSACTION_ENDED'>['segments'][number]
export type TransactionSummary = FrameFields<'TRANSACTIONS'>['transactions'][number]
export type DelayedMessage = FrameFields<'DELAYED'>['messages'][number]
export type RelayDescription = Omit<FrameFields<'RELAY'>, 'requestId'>
export type ConnectionSummary = FrameFields<'CONNECTIONS'>['connections'][number]
export type StoredPlace = NonNullable<FrameFields<'QUERY'>['after']>
export type Timeline = FrameFields<'TRACE'>['timelines'][number]
export type TraceEvent = Timeline['events'][number]
export type Change = FrameFields<'CHANGES'>['changes'][number]
export type GroupOptions = FrameFields<'CONFIGURE_GROUP'>['options']
export type TopicSummary = ValueOf<typeof topicSummary>
export type TopicDescription = Omit<FrameFields<'TOPIC'>, 'requestId'>
export type GroupSummary = ValueOf<typeof groupSummary>
export type GroupDescription = Omit<FrameFields<'GROUP'>, 'requestId'>
export type QueueProgress = ValueOf<typeof queueProgress>

/** Decoders refuse a frame type they do not know: the versions were agreed on in HELLO. */
export function unknownFrame(type: number): PocketError {
  return new PocketError('BAD_FRAME', `frame type ${type} is unknown`)
}
