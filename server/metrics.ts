// What a relay tells Prometheus, under RocketMQ's names where it has them (BrokerMetricsConstant), else as pocketmq_*.
// Between scrapes it costs nothing. The number of series is bounded: topics and groups beyond it are counted together
// under the label `(other)`, which can't be a name.

import { performance } from 'node:perf_hooks'
import type { BrokerStats, GroupStats, TopicStats } from '../core/broker/stats.ts'
import type { SessionCounters } from '../core/session/session-counters.ts'
import { type Labels, MetricRegistry } from './metric-registry.ts'

export interface MetricsSource {
  readonly stats: () => BrokerStats
  readonly sessions: SessionCounters
  /** Over all connections. */
  readonly requestsInHand: () => number
  /** Wall time in milliseconds. */
  readonly now: () => number
  readonly version: string
  /** Most topics, and most groups on topics, with series of their own. */
  readonly seriesCountMax: number
}

export interface Metrics {
  readonly contentType: string
  /** The text of one scrape. */
  scrape(): Promise<string>
}

/** Everything that one scrape tells, taken at one moment. */
interface Snapshot {
  readonly broker: BrokerStats
  readonly sessions: SessionCounters
  readonly requestsInHand: number
  readonly nowMs: number
  readonly topics: readonly TopicStats[]
  readonly groups: readonly GroupStats[]
  /** Per topic, what was handed to no group: pulls, and groups that are gone. */
  readonly ungrouped: readonly TopicStats[]
}

export function createMetrics(source: MetricsSource): Metrics {
  const registry = new MetricRegistry()
  const topicSeries = new SeriesBound(source.seriesCountMax)
  const groupSeries = new SeriesBound(source.seriesCountMax)
  let snapshot: Snapshot
  const latest = (): Snapshot => snapshot
  addTopics(registry, latest)
  addGroups(registry, latest)
  addTotals(registry, latest)
  addTimes(registry, latest)
  addProcess(registry, source.version)
  return {
    contentType: registry.contentType,
    scrape() {
      const broker = source.stats()
      const topics = [...broker.topics()]
      const groups = [...broker.groups()]
      topicSeries.retain(topics.map(topicKey))
      groupSeries.retain(groups.map(groupKey))
      snapshot = {
        broker,
        sessions: source.sessions,
        requestsInHand: source.requestsInHand(),
        nowMs: source.now(),
        topics: mergeOthers(topics, topicSeries, topicKey, otherTopic),
        groups: mergeOthers(groups, groupSeries, groupKey, otherGroup),
        ungrouped: mergeOthers(ungroupedOf(topics, groups), topicSeries, topicKey, otherTopic),
      }
      return registry.text()
    },
  }
}

// ── per topic and per group ───────────────────────────────────────────────────────────────────────────────────────

type Row<S> = readonly [name: string, valueOf: (stats: S) => number | undefined, help: string]

const topicCounters: readonly Row<TopicStats>[] = [
  ['rocketmq_messages_in_total', (topic) => topic.messagesIn, 'Messages stored.'],
  ['rocketmq_throughput_in_total', (topic) => topic.bytesIn, 'Bytes of messages stored.'],
]

const topicGauges: readonly Row<TopicStats>[] = [
  ['pocketmq_topic_messages', (topic) => topic.messageCount, 'Messages kept.'],
  ['pocketmq_topic_bytes', (topic) => topic.storedBytes, 'Bytes kept.'],
]

function addTopics(registry: MetricRegistry, latest: () => Snapshot): void {
  for (const [kind, rows] of [['counter', topicCounters], ['gauge', topicGauges]] as const) {
    for (const [name, valueOf, help] of rows) {
      registry[kind]({
        name, help,
        labelNames: ['topic'],
        fill(sample) {
          for (const topic of latest().topics) sample(valueOf(topic) ?? 0, { topic: topic.topic })
        },
      })
    }
  }
}

/** Of these, what went to no group has an empty label. */
const outCounters: readonly Row<Pick<TopicStats, 'messagesOut' | 'bytesOut'>>[] = [
  ['rocketmq_messages_out_total', (stats) => stats.messagesOut, 'Messages delivered; without a group: pulled.'],
  ['rocketmq_throughput_out_total', (stats) => stats.bytesOut, 'Bytes of messages delivered; likewise.'],
]

const groupGauges: readonly Row<GroupStats>[] = [
  ['rocketmq_consumer_ready_messages', (group) => group.readyCount, 'Messages that a member could be given now.'],
  ['rocketmq_consumer_inflight_messages', (group) => group.inFlightCount, 'Messages under a lease.'],
  ['rocketmq_consumer_lag_messages', (group) => group.backlog, 'Messages stored and not consumed.'],
  ['rocketmq_consumer_connections', (group) => group.memberCount, 'Members that are connected.'],
  ['pocketmq_consumer_retry_messages', (group) => group.retryCount, 'Messages that wait for their retry time.'],
  ['pocketmq_consumer_held_messages', (group) => group.heldCount, 'Messages that are held, as their attempts are over.'],
]

function addGroups(registry: MetricRegistry, latest: () => Snapshot): void {
  const labelNames = ['topic', 'consumer_group']
  const labelsOf = ({ topic, group }: GroupStats): Labels => ({ topic, consumer_group: group })
  for (const [name, valueOf, help] of outCounters) {
    registry.counter({
      name, help, labelNames,
      fill(sample) {
        for (const group of latest().groups) sample(valueOf(group) ?? 0, labelsOf(group))
        for (const topic of latest().ungrouped) sample(valueOf(topic) ?? 0, { topic: topic.topic, consumer_group: '' })
      },
    })
  }
  for (const [name, valueOf, help] of groupGauges) {
    registry.gauge({
      name, help, labelNames,
      fill(sample) {
        for (const group of latest().groups) sample(valueOf(group) ?? 0, labelsOf(group))
      },
    })
  }
  registry.gauge({
    name: 'rocketmq_consumer_lag_latency',
    help: 'Milliseconds since the oldest message that is not consumed was stored, where that is known.',
    labelNames,
    fill(sample) {
      const { groups, nowMs } = latest()
      for (const group of groups) {
        if (group.oldestStoredMs !== undefined) sample(Math.max(0, nowMs - group.oldestStoredMs), labelsOf(group))
      }
    },
  })
  registry.counter({
    name: 'rocketmq_send_to_dlq_messages_total',
    help: 'Messages that became dead letters.',
    labelNames,
    fill(sample) {
      for (const group of latest().groups) sample(group.deadLetters, labelsOf(group))
    },
  })
}

// ── of the whole relay ────────────────────────────────────────────────────────────────────────────────────────────

const counters: readonly Row<Snapshot>[] = [
  ['duplicate_messages', ({ broker }) => broker.counters.duplicateMessages, 'Messages of recognised resends.'],
  ['refused_batches', ({ broker }) => broker.counters.refusedBatches, 'Batches of messages that were refused.'],
  ['redelivered_messages', ({ broker }) => broker.counters.redeliveredMessages, 'Messages delivered again.'],
  ['acked_messages', ({ broker }) => broker.counters.ackedMessages, 'Messages consumed.'],
  ['retried_messages', ({ broker }) => broker.counters.retriedMessages, 'Messages given back by their consumer.'],
  ['expired_leases', ({ broker }) => broker.counters.expiredLeases, 'Leases that ended with messages not settled.'],
  ['gaps', ({ broker }) => broker.counters.gaps, 'Gaps told to readers.'],
  ['damaged_records', ({ broker }) => broker.counters.damagedRecords, 'Stored records that failed their checksum.'],
  ['turns', ({ broker }) => broker.counters.turns, 'Turns of the broker.'],
  ['commits', ({ broker }) => broker.counters.commits, 'Durable commits.'],
  ['commit_writes', ({ broker }) => broker.counters.commitWrites, 'Keys written by commits.'],
  ['store_reads', ({ broker }) => broker.counters.storeReads, 'Reads of the store for readers behind memory.'],
  ['store_read_bytes', ({ broker }) => broker.counters.storeReadBytes, 'Bytes that these reads brought.'],
  [
    'expired_unread_messages', ({ broker }) => broker.counters.expiredUnreadMessages,
    'Messages passed over, as their time to live was over.',
  ],
  ['expired_records', ({ broker }) => broker.counters.expiredRecords, 'Records deleted by retention.'],
  ['expired_messages', ({ broker }) => broker.counters.expiredMessages, 'Messages deleted by retention.'],
  ['delayed_messages', ({ broker }) => broker.counters.delayedMessages, 'Messages taken in for later.'],
  ['fired_messages', ({ broker }) => broker.counters.firedMessages, 'Delayed messages put into their queues.'],
  ['recalled_messages', ({ broker }) => broker.counters.recalledMessages, 'Delayed messages taken back.'],
  ['prepared_messages', ({ broker }) => broker.counters.preparedMessages, 'Half messages stored.'],
  ['committed_transactions', ({ broker }) => broker.counters.committedTransactions, 'Transactions committed.'],
  ['rolled_back_transactions', ({ broker }) => broker.counters.rolledBackTransactions, 'Transactions rolled back.'],
  [
    'unresolved_transactions', ({ broker }) => broker.counters.unresolvedTransactions,
    'Transactions rolled back as nobody said their end.',
  ],
  ['transaction_checks', ({ broker }) => broker.counters.transactionChecks, 'Checks that reached a producer.'],
  ['compacted_messages', ({ broker }) => broker.counters.compactedMessages, 'Messages removed by compaction.'],
  ['resent_dead_letters', ({ broker }) => broker.counters.resentDeadLetters, 'Dead letters put back.'],
  ['purged_dead_letters', ({ broker }) => broker.counters.purgedDeadLetters, 'Dead letters deleted by request.'],
  ['trace_runs', ({ broker }) => broker.counters.traceRuns, 'Runs of messages noted in traces.'],
  ['connections_accepted', ({ sessions }) => sessions.acceptedCount, 'Connections accepted.'],
  ['received_bytes', ({ sessions }) => sessions.bytesIn, 'Bytes of frames received.'],
  ['sent_bytes', ({ sessions }) => sessions.bytesOut, 'Bytes of frames sent.'],
  ['received_transport_messages', ({ sessions }) => sessions.transportMessagesIn, 'WebSocket messages received.'],
  ['sent_transport_messages', ({ sessions }) => sessions.transportMessagesOut, 'WebSocket messages sent.'],
  ['received_frames', ({ sessions }) => sessions.framesIn, 'Frames received.'],
  ['read_pauses', ({ sessions }) => sessions.pauses, 'Times that reading from a connection paused.'],
  ['slow_readers', ({ sessions }) => sessions.slowReaders, 'Connections closed for not taking what they asked for.'],
  ['lost_heartbeats', ({ sessions }) => sessions.lostHeartbeats, 'Connections closed as nothing was heard.'],
  ['session_crashes', ({ sessions }) => sessions.crashes, 'Connections closed by a bug of the relay.'],
]

const gauges: readonly Row<Snapshot>[] = [
  ['rocketmq_storage_size', ({ broker }) => broker.storeUsedBytes, 'Bytes that the store takes.'],
  ['rocketmq_topic_number', ({ broker }) => broker.topicCount, 'Topics.'],
  ['rocketmq_consumer_group_number', ({ broker }) => broker.groupCount, 'Consumer groups.'],
  ['pocketmq_connections', ({ sessions }) => sessions.openCount, 'Open connections.'],
  ['pocketmq_requests_in_hand', ({ requestsInHand }) => requestsInHand, 'Requests that wait for their answer.'],
  ['pocketmq_publish_bytes_in_hand', ({ sessions }) => sessions.publishBytesInHand, 'Bytes that wait for a commit.'],
  ['pocketmq_members', ({ broker }) => broker.memberCount, 'Members of groups that are connected.'],
  ['pocketmq_producers', ({ broker }) => broker.producerCount, 'Producers whose last sequence is kept.'],
  ['pocketmq_open_transactions', ({ broker }) => broker.openTransactionCount, 'Transactions that are not ended.'],
  ['pocketmq_messages', ({ broker }) => broker.messageCount, 'Messages kept.'],
  ['pocketmq_waiting_pulls', ({ broker }) => broker.waitingPullCount, 'Pulls that wait for a message.'],
  ['pocketmq_tail_cache_bytes', ({ broker }) => broker.tailCacheBytes, 'Bytes of recent records in memory.'],
  ['pocketmq_store_free_bytes', ({ broker }) => broker.storeFreeBytes, 'Room that the store has left.'],
]

function addTotals(registry: MetricRegistry, latest: () => Snapshot): void {
  for (const [name, valueOf, help] of counters) {
    registry.counter({ name: `pocketmq_${name}_total`, help, fill: (sample) => sample(valueOf(latest()) ?? 0) })
  }
  for (const [name, valueOf, help] of gauges) {
    registry.gauge({ name, help, fill: (sample) => sample(valueOf(latest()) ?? 0) })
  }
  registry.counter({
    name: 'pocketmq_errors_total',
    help: 'Errors told to clients.',
    labelNames: ['code'],
    fill(sample) {
      for (const [code, count] of latest().sessions.errors) sample(count, { code })
    },
  })
}

function addTimes(registry: MetricRegistry, latest: () => Snapshot): void {
  registry.histogram({
    name: 'rocketmq_message_size',
    help: 'Bytes of stored messages, each as the mean of its batch.',
    fill: (sample) => sample(latest().broker.counters.messageBytes),
  })
  registry.histogram({
    name: 'rocketmq_rpc_latency',
    help: 'Milliseconds from a request to its answer, waits of RECEIVE and PULL included.',
    labelNames: ['protocol_type', 'request_code', 'response_code'],
    fill(sample) {
      for (const [name, { succeededMs, failedMs }] of latest().sessions.answerTimes) {
        const labels = { protocol_type: 'websocket', request_code: name }
        sample(succeededMs, { ...labels, response_code: 'ok' })
        if (failedMs.count > 0) sample(failedMs, { ...labels, response_code: 'error' })
      }
    },
  })
  registry.histogram({
    name: 'pocketmq_commit_milliseconds',
    help: 'From handing a commit to the store to its durable answer.',
    fill: (sample) => sample(latest().broker.counters.commitMs),
  })
}

/** The process itself, under the names that dashboards of Prometheus expect. */
function addProcess(registry: MetricRegistry, version: string): void {
  const startSeconds = Date.now() / 1000 - process.uptime()
  let before = performance.eventLoopUtilization()
  registry.gauge({
    name: 'pocketmq_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'node'],
    fill: (sample) => sample(1, { version, node: process.versions.node }),
  })
  registry.gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory.',
    fill: (sample) => sample(process.memoryUsage.rss()),
  })
  registry.gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, since 1970.',
    fill: (sample) => sample(startSeconds),
  })
  registry.counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time, user and system.',
    fill(sample) {
      const { user, system } = process.cpuUsage()
      sample((user + system) / 1e6)
    },
  })
  registry.gauge({
    name: 'nodejs_eventloop_utilization',
    help: 'Share of the time since the last scrape that the event loop was busy.',
    fill(sample) {
      const now = performance.eventLoopUtilization()
      sample(performance.eventLoopUtilization(now, before).utilization)
      before = now
    },
  })
}

// ── the bound on series ───────────────────────────────────────────────────────────────────────────────────────────

/**
 * Who has series of its own: the first that came, for as long as they are there, so that no series jumps. When one of
 * them goes and another takes its place, the sum of the others falls, which Prometheus reads as a restart.
 */
class SeriesBound {
  readonly #countMax: number
  readonly #admitted = new Set<string>()

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  /** Gives up the places of those that are gone. */
  retain(keys: readonly string[]): void {
    const there = new Set(keys)
    for (const key of this.#admitted) if (!there.has(key)) this.#admitted.delete(key)
  }

  admits(key: string): boolean {
    if (this.#admitted.has(key)) return true
    if (this.#admitted.size >= this.#countMax) return false
    this.#admitted.add(key)
    return true
  }
}

const topicKey = ({ topic }: TopicStats): string => topic
const groupKey = ({ topic, group }: GroupStats): string => `${topic}\n${group}`

const others = '(other)'

const otherTopic: TopicStats = {
  topic: others, messagesIn: 0, bytesIn: 0, messagesOut: 0, bytesOut: 0, messageCount: 0, storedBytes: 0,
}

const otherGroup: GroupStats = {
  group: others, topic: others, memberCount: 0, messagesOut: 0, bytesOut: 0, deadLetters: 0, readyCount: 0,
  inFlightCount: 0, retryCount: 0, heldCount: 0, backlog: 0, oldestStoredMs: undefined,
}

/** Rows with series of their own as they are, and the sum of all others as one, if there are any. */
function mergeOthers<S extends object>(rows: Iterable<S>, bound: SeriesBound, keyOf: (row: S) => string, none: S): S[] {
  const own: S[] = []
  let others: S | undefined
  for (const row of rows) {
    if (bound.admits(keyOf(row))) own.push(row)
    else others = sumOf(others ?? none, row)
  }
  return others === undefined ? own : [...own, others]
}

/** Numbers are added, texts and what is not known stay those of `sum`. */
function sumOf<S extends object>(sum: S, row: S): S {
  const entries = Object.entries(sum).map(([name, value]) => {
    const added = (row as Readonly<Record<string, unknown>>)[name]
    return [name, typeof value === 'number' && typeof added === 'number' ? value + added : value]
  })
  return Object.fromEntries(entries) as S
}

function* ungroupedOf(topics: readonly TopicStats[], groups: readonly GroupStats[]): Generator<TopicStats> {
  const grouped = new Map<string, { messagesOut: number; bytesOut: number }>()
  for (const { topic, messagesOut, bytesOut } of groups) {
    const sum = grouped.get(topic) ?? { messagesOut: 0, bytesOut: 0 }
    sum.messagesOut += messagesOut
    sum.bytesOut += bytesOut
    grouped.set(topic, sum)
  }
  for (const topic of topics) {
    const sum = grouped.get(topic.topic)
    const messagesOut = topic.messagesOut - (sum?.messagesOut ?? 0)
    const bytesOut = Math.max(0, topic.bytesOut - (sum?.bytesOut ?? 0))
    if (messagesOut > 0) yield { ...topic, messagesOut, bytesOut }
  }
}
