// THE wire: version, every frame with its direction and fields, in one transcription of PROTOCOL.md. Frame numbers,
// field orders and word lists are frozen once released; a test pins their hash to the protocol version. Frames that run
// per message have hand-written twins in hot-frames.ts.

import type { ByteReader, ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { StartPolicy } from '../model/position.ts'
import {
  type Field,
  fixedBytes,
  flag,
  list,
  note,
  oneOf,
  optional,
  rest,
  sizedBytes,
  struct,
  text,
  u8,
  u16,
  u32,
  type ValueOf,
  varint,
  varint32,
} from './schema.ts'

/** The WebSocket subprotocol; its number moves only when HELLO and WELCOME themselves change. */
export const subprotocol = 'pocketmq.1'

/** Versions of the frames after HELLO that this build speaks. History at the end of PROTOCOL.md. */
export const protocolVersion = { min: 1, max: 1 } as const

function frame<const S extends Readonly<Record<string, Field<unknown>>>>(type: number, shape: S) {
  return { type, fields: struct(shape) }
}

// ── fields shared by several frames ───────────────────────────────────────────────────────────────────────────────

const requestId = varint
const subscriptionId = varint
const topic = text(fixedLimits.systemTopicNameLengthMax)
const group = text(fixedLimits.groupNameLengthMax)
const filter = text(fixedLimits.filterBytesMax)
const clientId = text(64)
const remark = note(fixedLimits.textBytesMax)
const messageType = oneOf('NORMAL', 'FIFO')
const mode = oneOf('CLUSTERING', 'BROADCASTING')
const position = struct({ epoch: u32, offset: varint })
const queuePosition = struct({ queueId: varint, position })
const retrySchedule = list(varint, fixedLimits.retryScheduleCountMax)

const startKinds = oneOf('earliest', 'latest', 'timestamp', 'position')

const start: Field<StartPolicy> = {
  form: 'choice(earliest, latest, timestamp: varint, position: { epoch: u32, offset: varint })',
  sizeMin: 1,
  write(writer: ByteWriter, value: StartPolicy) {
    startKinds.write(writer, value.kind)
    if (value.kind === 'timestamp') writer.varint(value.timestampMs)
    if (value.kind === 'position') position.write(writer, value.position)
  },
  read(reader: ByteReader): StartPolicy {
    const kind = startKinds.read(reader)
    if (kind === 'timestamp') return { kind, timestampMs: reader.varint() }
    if (kind === 'position') return { kind, position: position.read(reader) }
    return { kind }
  },
}

/**
 * Messages `offset` to `offset + count - 1` of a queue that are held under one lease. Queue, lease and offset are the
 * receipt of a message.
 */
const leaseRange = struct({ queueId: varint, leaseId: varint, offset: varint, count: varint })
const leaseRanges = list(leaseRange, fixedLimits.rangesPerFrameMax)

const topicConfig = struct({
  queueCount: varint,
  messageType,
  retentionMs: varint,
  retentionBytes: varint,
})

/** What a client names of a configuration; the relay's defaults fill the rest. */
const topicOptions = struct({
  queueCount: optional(varint),
  messageType: optional(messageType),
  retentionMs: optional(varint),
  retentionBytes: optional(varint),
})

const groupConfig = struct({ attemptCountMax: varint, retryScheduleMs: retrySchedule })
const groupOptions = struct({ attemptCountMax: optional(varint), retryScheduleMs: optional(retrySchedule) })

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
    filter,
    start,
    leaseMs: varint,
    positions: list(queuePosition, fixedLimits.queueCountMax),
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
} as const

// ── relay to client ───────────────────────────────────────────────────────────────────────────────────────────────

const segment = struct({ queueId: varint, epoch: u32, offset: varint, count: varint })

const queueDescription = struct({
  queueId: varint,
  epoch: u32,
  minOffset: varint,
  maxOffset: varint,
  storedBytes: varint,
})

const topicSummary = struct({ topic, config: topicConfig, messageCount: varint })
const groupSummary = struct({ group, memberCount: varint, backlog: varint })

const queueProgress = struct({
  topic,
  queueId: varint,
  ackFloor: varint,
  nextOffset: varint,
  maxOffset: varint,
  inFlight: varint,
  waitingForRetry: varint,
  backlog: varint,
})

const memberDescription = struct({
  memberId: fixedBytes(8),
  topic,
  mode,
  filter,
  clientId,
  clientName: remark,
  peer: remark,
  inFlight: varint,
})

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
    storedMs: varint,
    segments: list(segment, fixedLimits.batchMessageCountMax),
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
    queues: list(queueDescription, fixedLimits.queueCountMax),
    groups: list(group, fixedLimits.listCountMax),
  }),

  GROUPS: frame(77, { requestId, groups: list(groupSummary, fixedLimits.listCountMax), more: flag }),

  GROUP: frame(78, {
    requestId,
    group,
    config: groupConfig,
    members: list(memberDescription, fixedLimits.listCountMax),
    queues: list(queueProgress, fixedLimits.progressCountMax),
  }),

  /** The relay ended a subscription, e.g. as its topic was deleted. */
  REVOKED: frame(79, { subscriptionId, code: u16, message: remark }),

  /** The relay is about to stop; finish what is in hand. The connection closes with RELAY_STOPPING. */
  STOPPING: frame(80, { retryAfterMs: varint }),
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
