// The door of core: the client and the broker for hosts of every platform, and the ports they have to fill.

// The client.
export type * from './client/api.ts'
export { type ClientDeps, createClient, createHostClient } from './client/client.ts'
export { bytes, json, text } from './client/codec.ts'
export type { HostClient, HostProducer, HostProducerOptions, ProducerIdentity } from './client/host-client.ts'
export { durationToMs } from './client/duration.ts'
export { withSchema } from './client/schema.ts'

// The words both sides share.
export { errorMeanings } from './error-meanings.ts'
export { errorCodes, type RetryAdvice } from './error-codes.ts'
export { type ErrorCode, PocketError, type PocketErrorOptions } from './errors.ts'
export type { FilterKind } from './filter/message-filter.ts'
export { checkLimits, defaultLimits, fixedLimits, type Limits, retryScheduleMs } from './limits.ts'
export { type CloseCodeName, closeCodes, isReconnectable } from './model/close-codes.ts'
export { type MessageId, type MessageIdParts, parseMessageId, parseRecallHandle, requestProperties } from './model/message.ts'
export { deadLetterTopicOf } from './model/names.ts'
export type { Position } from './model/position.ts'
export type {
  CleanupPolicy, ConsumeMode, Durability, ExhaustedPolicy, GroupConfig, MessageType, RetryPolicy, TopicConfig,
} from './model/topic.ts'
export { protocolVersion, subprotocol } from './protocol/frames.ts'

// What the world must give.
export type { CancelTimer, Clock } from './ports/clock.ts'
export { type Log, type LogFields, silentLog } from './ports/log.ts'
export type { Random } from './ports/random.ts'
export type {
  CommitOutcome, ReadOutcome, Store, StoreEntry, StoreRange, StoreSpace, StoreWrite,
} from './ports/store.ts'
export type { Connection, ConnectionHandler, Dialler } from './ports/transport.ts'

// The broker, its sessions, and what runs without a platform.
export { Broker, type BrokerDeps } from './broker/broker.ts'
export type { BrokerCounters, BrokerStats, GroupStats, Histogram, TopicStats } from './broker/stats.ts'
export { type Authenticate, authenticateAnybody, type AuthInfo, type Principal, superuser } from './session/auth.ts'
export { FlushQueue } from './session/flush-queue.ts'
export {
  createInProcessListener, type InProcessListener, type InProcessOptions,
} from './session/in-process-transport.ts'
export { ReplyRouter } from './session/reply-router.ts'
export { ServerSession, type ServerSessionDeps } from './session/server-session.ts'
export { SessionCounters } from './session/session-counters.ts'
export { createMemoryStore, type MemoryStoreOptions } from './storage/memory-store.ts'

// A copy of topics that a client follows.
export { Replica } from './replica/replica.ts'
