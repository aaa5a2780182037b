// What a relay tells its administrators of itself: settings in force, secrets hidden, and figures as whole numbers. Rates
// are the reader's to make, from two looks.

import { memoryUsage } from 'node:process'
import type { BrokerStats } from '../core/broker/stats.ts'
import type { RelayDescription } from '../core/protocol/frames.ts'
import type { SessionCounters } from '../core/session/session-counters.ts'
import { formatConfig, type RelayConfig } from './config.ts'
import type { RecentQuantiles } from './recent-quantiles.ts'
import { settingRows } from './settings.ts'

export interface DescriptionSource {
  readonly version: string
  readonly startedMs: number
  readonly config: RelayConfig
  readonly stats: BrokerStats
  readonly sessions: SessionCounters
  /** Milliseconds that commits took lately. */
  readonly commits: RecentQuantiles
}

export function describeRelay(source: DescriptionSource): RelayDescription {
  const { version, startedMs, config, stats, sessions, commits } = source
  const values = JSON.parse(formatConfig(config)) as Readonly<Record<string, unknown>>
  const settings = settingRows.map(({ key, meaning }) => ({ name: key, value: textOf(values[key]), meaning }))
  return { version, startedMs, settings, figures: figuresOf(stats, sessions, commits) }
}

/** The share of the relay's time that goes into describing it, at most: a twentieth. */
const pausePerLook = 20
/** What takes less is done whenever somebody asks. */
const cheapLookMs = 5

/**
 * `look`, for whoever asks however often: what took long is given again until so much time has gone by that looking stays a
 * small part of it. With 100,000 groups a look takes a tenth of a second, and each open console asks once a second.
 */
export function lookSparingly<T>(look: () => T, monotonic: () => number): () => T {
  let kept: { readonly value: T; readonly untilMs: number } | undefined
  return () => {
    const startMs = monotonic()
    if (kept !== undefined && startMs < kept.untilMs) return kept.value
    const value = look()
    const endMs = monotonic()
    const tookMs = endMs - startMs
    kept = tookMs < cheapLookMs ? undefined : { value, untilMs: endMs + tookMs * pausePerLook }
    return value
  }
}

function textOf(value: unknown): string {
  const text = Array.isArray(value) ? value.join(', ') : String(value)
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

function figuresOf(
  stats: BrokerStats, sessions: SessionCounters, commits: RecentQuantiles,
): { name: string; value: number }[] {
  const { counters } = stats
  const [commitP50Ms = 0, commitP99Ms = 0] = commits.look([0.5, 0.99])
  const figures: Readonly<Record<string, number>> = {
    connections: sessions.openCount,
    connectionsAcceptedTotal: sessions.acceptedCount,
    topics: stats.topicCount,
    groups: stats.groupCount,
    members: stats.memberCount,
    producers: stats.producerCount,
    messages: stats.messageCount,
    backlog: stats.backlog,
    inFlight: stats.inFlightCount,
    transactionsOpen: stats.openTransactionCount,
    messagesInTotal: counters.messagesIn,
    messagesOutTotal: counters.messagesOut,
    messageBytesInTotal: counters.bytesIn,
    messageBytesOutTotal: counters.bytesOut,
    wireBytesInTotal: sessions.bytesIn,
    wireBytesOutTotal: sessions.bytesOut,
    ackedTotal: counters.ackedMessages,
    redeliveredTotal: counters.redeliveredMessages,
    deadLettersTotal: counters.deadLetters,
    delayedTotal: counters.delayedMessages,
    firedTotal: counters.firedMessages,
    gapsTotal: counters.gaps,
    damagedRecords: counters.damagedRecords,
    errorsTotal: [...sessions.errors.values()].reduce((sum, count) => sum + count, 0),
    slowReadersTotal: sessions.slowReaders,
    commitsTotal: counters.commits,
    commitMicrosP50: commitP50Ms * 1_000,
    commitMicrosP99: commitP99Ms * 1_000,
    storeUsedBytes: stats.storeUsedBytes,
    ...(Number.isFinite(stats.storeFreeBytes) ? { storeFreeBytes: stats.storeFreeBytes } : {}),
    cacheBytes: stats.tailCacheBytes,
    memoryBytes: memoryUsage.rss(),
  }
  return Object.entries(figures).map(([name, value]) => ({ name, value: Math.max(0, Math.floor(value)) }))
}
