// The public door `pocketmq/server`: a relay inside one's own program, its stores, and its transports on Node.

export type { BrokerCounters, BrokerStats, GroupStats, Histogram, TopicStats } from '../core/broker/stats.ts'
export { type ErrorCode, PocketError } from '../core/errors.ts'
export { defaultLimits, type Limits } from '../core/limits.ts'
export type { Clock } from '../core/ports/clock.ts'
export { type Log, type LogFields, silentLog } from '../core/ports/log.ts'
export type { Random } from '../core/ports/random.ts'
export type { Store } from '../core/ports/store.ts'
export type { Connection, ConnectionHandler, Dialler } from '../core/ports/transport.ts'
export {
  type Authenticate, authenticateAnybody, type AuthInfo, type Principal, superuser,
} from '../core/session/auth.ts'
export { createMemoryStore, type MemoryStoreOptions } from '../core/storage/memory-store.ts'
export type { RelayConfig } from './config.ts'
export type { RelayPhase } from './http.ts'
export { type LmdbStoreOptions, openLmdbStore } from './lmdb-store.ts'
export { createLog, type LogLevel, type LogOptions } from './log.ts'
export { ListenError, type Relay, type RelayDeps, type RelayOptions, startRelay } from './relay.ts'
export { createSystemClock, createSystemRandom } from './system.ts'
export { createTokenAuthenticate } from './token-auth.ts'
export { createWsAcceptor, type WsAcceptor, type WsAcceptorOptions } from './upgrade.ts'
export { createWsDialler, type WsDiallerOptions } from './ws-dialler.ts'
