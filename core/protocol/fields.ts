// Fields that several frames share, and the parts they are made of: names, positions, configurations, descriptions. Part
// of THE wire (frames.ts), in a file of its own for its length.

import type { ByteReader, ByteWriter } from '../bytes.ts'
import { fixedLimits } from '../limits.ts'
import type { StartPolicy } from '../model/position.ts'
import type { RetryPolicy } from '../model/topic.ts'
import {
  type Field, fixedBytes, flag, list, note, oneOf, optional, sizedBytes, struct, text, u32, varint,
} from './schema.ts'

export const requestId = varint
export const subscriptionId = varint
export const topic = text(fixedLimits.systemTopicNameLengthMax)
export const group = text(fixedLimits.groupNameLengthMax)
export const filter = text(fixedLimits.filterBytesMax)
export const clientId = text(64)
export const remark = note(fixedLimits.textBytesMax)
export const messageType = oneOf('NORMAL', 'FIFO', 'PRIORITY')
export const cleanupPolicy = oneOf('DELETE', 'COMPACT')
export const durability = oneOf('strict', 'relaxed')
export const filterKind = oneOf('TAG', 'SQL92')
export const positionKeeper = oneOf('client', 'broker')
export const consumerName = text(fixedLimits.consumerNameBytesMax)
export const transactionId = fixedBytes(8)
export const transactionOutcome = oneOf('commit', 'rollback')
export const recallHandle = text(fixedLimits.recallHandleBytesMax)
export const mode = oneOf('CLUSTERING', 'BROADCASTING')
export const position = struct({ epoch: u32, offset: varint })
export const queuePosition = struct({ queueId: varint, position })
/** A message's place in the order of a topic's messages: by stored time, then queue, then offset. */
export const storedPlace = struct({ storedMs: varint, queueId: varint, offset: varint })
export const topicPosition = struct({ topic, queueId: varint, position })

const startKinds = oneOf('earliest', 'latest', 'timestamp', 'position')

export const start: Field<StartPolicy> = {
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
export const leaseRange = struct({ queueId: varint, leaseId: varint, offset: varint, count: varint })
export const leaseRanges = list(leaseRange, fixedLimits.rangesPerFrameMax)

/** A setting of the relay that is in force, as its operator gave it. */
export const setting = struct({
  name: text(64), value: remark, meaning: remark,
})

export const figure = struct({ name: text(64), value: varint })

export const connectionSummary = struct({
  clientId,
  clientName: remark,
  peer: remark,
  /** When it was welcomed. */
  sinceMs: varint,
  /** Subscriptions and followers. */
  streamCount: varint,
  requestsInHand: varint,
  /** Waiting to be taken by the client. */
  bufferedBytes: varint,
})

export const topicConfig = struct({
  queueCount: varint,
  messageType,
  retentionMs: varint,
  retentionBytes: varint,
  cleanupPolicy,
  ttlMs: varint,
  tracePermille: varint,
  durability,
})

/** What a client names of a configuration; the relay's defaults fill the rest. */
export const topicOptions = struct({
  queueCount: optional(varint),
  messageType: optional(messageType),
  retentionMs: optional(varint),
  retentionBytes: optional(varint),
  cleanupPolicy: optional(cleanupPolicy),
  ttlMs: optional(varint),
  tracePermille: optional(varint),
  durability: optional(durability),
})

const retryKinds = oneOf('schedule', 'exponential')
const retryDelays = list(varint, fixedLimits.retryScheduleCountMax)
const exponential = struct({ firstMs: varint, factor: varint, maxMs: varint })

export const retry: Field<RetryPolicy> = {
  form: `choice(schedule: ${retryDelays.form}, exponential: ${exponential.form})`,
  sizeMin: 2,
  write(writer: ByteWriter, value: RetryPolicy) {
    retryKinds.write(writer, value.kind)
    if (value.kind === 'schedule') retryDelays.write(writer, value.delaysMs)
    else exponential.write(writer, value)
  },
  read(reader: ByteReader): RetryPolicy {
    const kind = retryKinds.read(reader)
    return kind === 'schedule' ? { kind, delaysMs: retryDelays.read(reader) } : { kind, ...exponential.read(reader) }
  },
}

export const exhausted = oneOf('dead-letter', 'hold')

export const groupConfig = struct({
  attemptCountMax: varint,
  retry,
  exhausted,
  isPaused: flag,
  inFlightMax: varint,
  inFlightPerMemberMax: varint,
})

export const groupOptions = struct({
  attemptCountMax: optional(varint),
  retry: optional(retry),
  exhausted: optional(exhausted),
  isPaused: optional(flag),
  inFlightMax: optional(varint),
  inFlightPerMemberMax: optional(varint),
})

/** One or more messages of a topic, as a record. */
export const topicRecord = struct({ topic, record: sizedBytes })

// ── parts of answers ──────────────────────────────────────────────────────────────────────────────────────────────

export const segment = struct({ queueId: varint, epoch: u32, offset: varint, count: varint })

/** Where messages of a transaction went. */
export const topicSegment = struct({ topic, queueId: varint, epoch: u32, offset: varint, count: varint })

export const queueDescription = struct({
  queueId: varint,
  epoch: u32,
  minOffset: varint,
  maxOffset: varint,
  storedBytes: varint,
})

export const topicSummary = struct({ topic, config: topicConfig, messageCount: varint, delayedCount: varint })
export const groupSummary = struct({ group, memberCount: varint, backlog: varint, isPaused: flag })

export const queueProgress = struct({
  topic,
  queueId: varint,
  ackFloor: varint,
  nextOffset: varint,
  maxOffset: varint,
  inFlight: varint,
  waitingForRetry: varint,
  /** Messages that have had all their attempts, in a group that holds such. */
  held: varint,
  backlog: varint,
  /** When the oldest message that is not consumed was stored; 0 where there is none, or it is not known. */
  oldestStoredMs: varint,
})

/** Over about the last minute, in thousandths of a message per second. */
export const rate = struct({ deliveredPerSecond: varint, ackedPerSecond: varint })

export const memberDescription = struct({
  memberId: fixedBytes(8),
  topic,
  mode,
  filterKind,
  filter,
  consumerName,
  clientId,
  clientName: remark,
  peer: remark,
  inFlight: varint,
})

export const delayedMessage = struct({ recallHandle, topic, deliverMs: varint, record: sizedBytes })

export const transactionSummary = struct({
  transactionId,
  producerGroup: group,
  preparedMs: varint,
  checkCount: varint,
  messageCount: varint,
  byteCount: varint,
  topics: list(topic, fixedLimits.listCountMax),
})

/** What happened to a message, or to a run of them that it was among. Texts are empty and numbers 0 where they say nothing. */
export const traceEvent = struct({
  kind: oneOf('born', 'sent', 'stored', 'delivered', 'acked', 'retried', 'expired', 'held', 'dead'),
  atMs: varint,
  /** How long it took: from arrival to store, from delivery to ack. */
  costMs: varint,
  group,
  /** Client id of who sent or consumed it. */
  clientId,
  attempt: varint,
  /** Of a retry. */
  delayMs: varint,
})

export const timeline = struct({
  topic,
  queueId: varint,
  offset: varint,
  messageId: text(64),
  storedMs: varint,
  traceparent: text(fixedLimits.keyBytesMax),
  isTraced: flag,
  events: list(traceEvent, fixedLimits.traceEventCountMax),
})

/**
 * One change to what a follower follows. `value` is what the relay keeps: a record batch, or a sealed value of its
 * store (PROTOCOL.md, "Following"); empty where something is deleted. `offset`: of a record, its last; of a log, where
 * its records go on from, so that any the follower has from there on are void.
 */
export const change = struct({
  kind: oneOf(
    'topic', 'topic-deleted', 'log', 'record', 'record-deleted', 'group', 'group-deleted', 'progress', 'progress-deleted',
  ),
  topic,
  queueId: varint,
  offset: varint,
  group,
  value: sizedBytes,
})
