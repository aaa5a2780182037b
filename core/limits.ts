// Every bound in one place, units in the names, with the source of each number. Limits that an operator may set
// are in `Limits` with their defaults; what a format fixes is a constant. Relations are asserted at load.

import { assert } from './assert.ts'

const kibibyte = 1024
const mebibyte = 1024 * kibibyte
const secondMs = 1000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** Fixed by the model (RocketMQ's TopicValidator and proxy rules) or by our formats. */
export const fixedLimits = {
  /** RocketMQ: TOPIC_MAX_LENGTH. */
  topicNameLengthMax: 127,
  /** RocketMQ: GROUP_MAX_LENGTH. */
  groupNameLengthMax: 120,
  /** `%DLQ%` plus a group; RocketMQ allows 255 for such topics. */
  systemTopicNameLengthMax: 255,
  /** RocketMQ documents 128 and does not check. */
  tagBytesMax: 128,
  /** RocketMQ refuses 64 and over. */
  messageGroupBytesMax: 63,
  keyBytesMax: 255,
  keyCountMax: 32,
  /** RocketMQ: userPropertyMaxNum. */
  propertyCountMax: 128,
  /** RocketMQ: maxUserPropertySize; sum of the UTF-8 bytes of names, values, tag and keys. */
  propertiesBytesMax: 16 * kibibyte,
  /**
   * What the broker may add to a message of a client that was at those two bounds: the properties of a dead letter, also of
   * one that was put back before, or that was a half message whose end nobody could say.
   */
  brokerPropertyCountMax: 32,
  brokerPropertiesBytesMax: 2 * kibibyte,
  /** A filter expression; more is refused before it is read. */
  filterBytesMax: kibibyte,
  filterTagCountMax: 64,
  /** Properties, values and operators of an SQL92 filter; a list of IN is one. */
  filterNodeCountMax: 64,
  /** Parentheses, NOT and signs of an SQL92 filter, within each other. */
  filterDepthMax: 16,
  /** Members of one IN. */
  filterMemberCountMax: 64,
  /** The text behind LIKE, CONTAINS, STARTSWITH or ENDSWITH. */
  filterPatternBytesMax: 256,
  /** Text in a frame that people read: error messages, client names. */
  textBytesMax: 512,
  authTokenBytesMax: 4 * kibibyte,
  /** WebSocket close reasons hold 125 bytes less the code (RFC 6455 §5.5). */
  closeReasonBytesMax: 123,
  /** Messages in one PUBLISH frame and in one stored record. */
  batchMessageCountMax: 16_384,
  queueCountMax: 1024,
  /** Offsets, sequences and times are safe integers; IndexedDB keys cannot be bigint. */
  offsetMax: Number.MAX_SAFE_INTEGER,
  /** An ACK, RETRY or EXTEND frame names at most this many ranges. */
  rangesPerFrameMax: 8_192,
  /** RocketMQ's orderly consumers use Integer.MAX_VALUE to never skip a message. */
  attemptCountMax: 2_147_483_647,
  retryScheduleCountMax: 64,
  retryDelayMsMax: 40 * dayMs,
  retryFactorMax: 100,
  /** Messages of a group out at once: what a configuration may ask for. */
  inFlightMax: 1_000_000_000,
  /** A recall handle: a time and a message id, as text. */
  recallHandleBytesMax: 64,
  /** A consumer that keeps its BROADCASTING positions at the relay is known by such a name; also a correlation id. */
  consumerNameBytesMax: 64,
  /** Messages of one transaction, over all its topics. */
  transactionMessageCountMax: 4_096,
  /** Longest a producer may ask to be left alone before the first check. RocketMQ: 1 h. */
  transactionCheckFirstMsMax: hourMs,
  /** Topics that one follower may name. */
  followTopicCountMax: 1_000,
  /** Changes in one frame to a follower. */
  changesPerFrameMax: 4_096,
  /** Messages moved by one request that resends or purges dead letters; more are asked for again. */
  deadLetterCountMax: 1_000,
  /** Events in the timeline of one message. */
  traceEventCountMax: 1_000,
  /** How far ahead a message may be scheduled, by the format; the operator may allow less. RocketMQ: timerMaxDelaySec, 3 days. */
  delayMsMax: 40 * dayMs,
  /** Time to live of a message in its queue. Below 2^32, as a record holds it in 32 bits. */
  ttlMsMax: 40 * dayMs,
  /** Priorities are 0 to this one, higher first. */
  priorityMax: 9,
  /** Answers to one query. RocketMQ: 64 by key. */
  queryCountMax: 256,
  /** Topics, groups or members in one answer; more is asked for with the name of the last. */
  listCountMax: 1_000,
  /** Settings and figures that a relay tells of itself. */
  settingCountMax: 256,
  figureCountMax: 256,
  /** Queues, over all topics, in the description of a group. */
  progressCountMax: 10_000,
} as const

/** What an operator may set, with the defaults. Times in milliseconds, sizes in bytes. */
export interface Limits {
  /** Largest body of one message. RocketMQ: 4 MiB; ours is smaller, as browsers and one event loop share it. */
  readonly bodyBytesMax: number
  /** Largest message of the transport; holds at least one batch. */
  readonly frameBytesMax: number
  /** Aimed-at size of a stored record; one message alone may be larger. */
  readonly recordBytesMax: number
  readonly connectionCountMax: number
  /** Time a new connection has to say HELLO. */
  readonly helloTimeoutMs: number
  /** A client sends something at least this often; the relay gives up after twice the time. */
  readonly heartbeatMs: number
  readonly subscriptionsPerConnectionMax: number
  /** Publishes of one connection that wait for a commit; beyond it the relay stops reading that socket. */
  readonly publishBytesInFlightMax: number
  /** Outgoing bytes a socket may hold before deliveries to it pause. */
  readonly sendBufferBytesMax: number
  /** A reader that stays over the send buffer for so long is closed with SLOW_READER and may resume. */
  readonly slowReaderMs: number
  readonly topicCountMax: number
  readonly groupCountMax: number
  /** Idempotent producers whose last sequence is kept, in all. */
  readonly producerCountMax: number
  /** How long a producer's last sequence is kept after its last publish: the de-duplication window. */
  readonly producerRetentionMs: number
  /** Messages of one group and queue that are leased, waiting for a retry or behind a FIFO lock. */
  readonly outstandingPerQueueMax: number
  /** Lease when a consumer names none. RocketMQ: 60 s for pop. */
  readonly leaseMsDefault: number
  /** RocketMQ: 10 s for receive; ours is shorter so that small tests and frozen tabs are served. */
  readonly leaseMsMin: number
  /** RocketMQ: 12 h. */
  readonly leaseMsMax: number
  /** A member whose connection broke keeps its leases for so long, to resume. */
  readonly memberGraceMs: number
  /** Longest a receive or pull may wait for a message. RocketMQ: 20 s. */
  readonly waitMsMax: number
  /** Deliveries of one message before it becomes a dead letter. RocketMQ: 16 retries and the first. */
  readonly attemptCountMax: number
  /** Retention of a topic that names none. RocketMQ: fileReservedTime 72 h. */
  readonly retentionMsDefault: number
  /** Retention by size of a topic that names none; 0 is no bound. */
  readonly retentionBytesDefault: number
  /** How often retention looks. */
  readonly retentionSweepMs: number
  /** Queues of a topic that names no count. RocketMQ: 8 for auto-created topics at the broker, 4 by producers. */
  readonly queueCountDefault: number
  /** Recent records kept in memory over all queues, so that live readers don't touch the store. */
  readonly tailCacheBytesMax: number
  /** One read of the store for a reader that catches up. */
  readonly readChunkBytes: number
  /** Free room below which publishes are refused with STORE_FULL, while consuming goes on. */
  readonly storeReserveBytes: number
  /** Furthest a message may be delayed. RocketMQ: 3 days at the broker, 24 h at the proxy. */
  readonly delayMsMax: number
  /** Delayed messages that wait, in all. */
  readonly delayedCountMax: number
  /** Delayed messages that are next to be due and kept in memory; the rest is read from the store in time. */
  readonly delayedAheadCountMax: number
  /** Half messages of one transaction, encoded; a check brings all of them to a producer in one frame. */
  readonly transactionBytesMax: number
  /** Half messages kept in memory over all transactions, so that a commit need not read them. */
  readonly transactionCacheBytesMax: number
  /** Transactions that are not ended, in all. */
  readonly transactionCountMax: number
  /** Silence after which a producer is first asked what became of a transaction. RocketMQ: 6 s. */
  readonly transactionCheckFirstMs: number
  /** Time between checks. RocketMQ: 30 s. */
  readonly transactionCheckMs: number
  /** Checks that reached a producer, before the transaction is rolled back. RocketMQ: 15. */
  readonly transactionCheckCountMax: number
  /** A transaction that nobody could be asked about is rolled back after so long. RocketMQ: fileReservedTime 72 h. */
  readonly transactionMsMax: number
  /** How long the end of a transaction is remembered, so that it can be told again. */
  readonly transactionRetentionMs: number
  /** Ended transactions that are remembered at most. */
  readonly transactionsEndedMax: number
  /** Of a thousand messages of a topic that says nothing of it, so many are traced. */
  readonly tracePermilleDefault: number
  /** How long traces are kept. */
  readonly traceRetentionMs: number
  /** A message of a COMPACT topic is left alone for so long, so that those who read live get all of them. */
  readonly compactLagMsMin: number
  /** A COMPACT topic is compacted when half of it is new, or when something has been new for so long. */
  readonly compactLagMsMax: number
  /** How long an empty message of a COMPACT topic, which removes its key, is kept itself. Kafka: delete.retention.ms, 24 h. */
  readonly compactTombstoneMs: number
  /** How long a BROADCASTING position that is kept at the relay outlives its last report. */
  readonly broadcastPositionMs: number
  /** BROADCASTING positions that are kept at the relay, in all: one per consumer and queue. */
  readonly broadcastPositionCountMax: number
}

export const defaultLimits: Limits = {
  bodyBytesMax: mebibyte,
  frameBytesMax: 4 * mebibyte,
  recordBytesMax: 256 * kibibyte,
  connectionCountMax: 10_000,
  helloTimeoutMs: 5 * secondMs,
  heartbeatMs: 25 * secondMs,
  subscriptionsPerConnectionMax: 1_024,
  publishBytesInFlightMax: 16 * mebibyte,
  sendBufferBytesMax: mebibyte,
  slowReaderMs: 10 * secondMs,
  topicCountMax: 10_000,
  groupCountMax: 100_000,
  producerCountMax: 200_000,
  producerRetentionMs: 7 * dayMs,
  outstandingPerQueueMax: 65_536,
  leaseMsDefault: 60 * secondMs,
  leaseMsMin: secondMs,
  leaseMsMax: 12 * hourMs,
  memberGraceMs: 5 * secondMs,
  waitMsMax: 20 * secondMs,
  attemptCountMax: 17,
  retentionMsDefault: 72 * hourMs,
  retentionBytesDefault: 0,
  retentionSweepMs: 10 * secondMs,
  queueCountDefault: 8,
  tailCacheBytesMax: 64 * mebibyte,
  readChunkBytes: mebibyte,
  storeReserveBytes: 64 * mebibyte,
  delayMsMax: 40 * dayMs,
  delayedCountMax: 100_000_000,
  delayedAheadCountMax: 65_536,
  transactionBytesMax: mebibyte,
  transactionCacheBytesMax: 32 * mebibyte,
  transactionCountMax: 100_000,
  transactionCheckFirstMs: 6 * secondMs,
  transactionCheckMs: 30 * secondMs,
  transactionCheckCountMax: 15,
  transactionMsMax: 72 * hourMs,
  transactionRetentionMs: hourMs,
  transactionsEndedMax: 100_000,
  tracePermilleDefault: 0,
  traceRetentionMs: 24 * hourMs,
  compactLagMsMin: minuteMs,
  compactLagMsMax: hourMs,
  compactTombstoneMs: dayMs,
  broadcastPositionMs: 7 * dayMs,
  broadcastPositionCountMax: 1_000_000,
}

/**
 * RocketMQ's default retry schedule: the delay before delivery attempt 2, 3, …; later attempts use the last.
 * (SubscriptionGroupConfig's level table from index 3 on.)
 */
export const retryScheduleMs: readonly number[] = [
  10 * secondMs,
  30 * secondMs,
  minuteMs,
  2 * minuteMs,
  3 * minuteMs,
  4 * minuteMs,
  5 * minuteMs,
  6 * minuteMs,
  7 * minuteMs,
  8 * minuteMs,
  9 * minuteMs,
  10 * minuteMs,
  20 * minuteMs,
  30 * minuteMs,
  hourMs,
  2 * hourMs,
]

/** Asserts that a set of limits makes sense together; an operator's mistake is told by name. */
export function checkLimits(limits: Limits): void {
  for (const [name, value] of Object.entries(limits)) {
    assert(Number.isSafeInteger(value) && value >= 0, `${name} must be a whole number, not ${String(value)}`)
  }
  assert(limits.leaseMsMin <= limits.leaseMsDefault, 'leaseMsMin must be <= leaseMsDefault')
  assert(limits.leaseMsDefault <= limits.leaseMsMax, 'leaseMsDefault must be <= leaseMsMax')
  assert(
    limits.bodyBytesMax + fixedLimits.propertiesBytesMax + 4 * kibibyte <= limits.frameBytesMax,
    'frameBytesMax must hold one message of bodyBytesMax',
  )
  assert(
    limits.queueCountDefault >= 1 && limits.queueCountDefault <= fixedLimits.queueCountMax,
    `queueCountDefault must be 1 to ${fixedLimits.queueCountMax}`,
  )
  // A record is at least one batch, and the progress of a group in a queue is one value; stores take 16 MiB.
  assert(limits.frameBytesMax <= 15 * mebibyte, 'frameBytesMax must be at most 15 MiB')
  assert(limits.recordBytesMax <= 15 * mebibyte, 'recordBytesMax must be at most 15 MiB')
  assert(limits.outstandingPerQueueMax <= 262_144, 'outstandingPerQueueMax must be at most 262144')
  assert(limits.attemptCountMax >= 1, 'attemptCountMax must be at least 1')
  assert(limits.delayMsMax <= fixedLimits.delayMsMax, `delayMsMax must be at most ${fixedLimits.delayMsMax}`)
  assert(limits.delayedAheadCountMax >= 1, 'delayedAheadCountMax must be at least 1')
  assert(limits.compactLagMsMin <= limits.compactLagMsMax, 'compactLagMsMin must be <= compactLagMsMax')
  assert(limits.transactionCheckCountMax >= 1, 'transactionCheckCountMax must be at least 1')
  assert(limits.tracePermilleDefault <= 1000, 'tracePermilleDefault must be at most 1000')
}

checkLimits(defaultLimits)
