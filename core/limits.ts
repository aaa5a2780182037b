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
  /** What the broker may add to a message of a client that was at those two bounds: the properties of a dead letter. */
  brokerPropertyCountMax: 8,
  brokerPropertiesBytesMax: kibibyte,
  /** A filter expression; more is refused before it is read. */
  filterBytesMax: kibibyte,
  filterTagCountMax: 64,
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
  /** Answers to one query. RocketMQ: 64 by key. */
  queryCountMax: 256,
  /** Topics, groups or members in one answer; more is asked for with the name of the last. */
  listCountMax: 1_000,
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
}

checkLimits(defaultLimits)
