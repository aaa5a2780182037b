// Every setting of a relay in one table: its name, kind, default and meaning. Flags, environment variables and keys of
// the configuration file follow from the name: `sendBuffer` is --send-buffer, POCKETMQ_SEND_BUFFER and "sendBuffer".
// `serve --help`, `serve --print-config` and the README's table are made of it; config.ts reads by it.

import { defaultLimits, type Limits, retryScheduleMs } from '../core/limits.ts'
import { formatDuration, parseDurationMs, parseSizeBytes } from './cli/values.ts'

/** What stands in a configuration file. */
export type JsonValue = string | number | boolean | readonly (string | number)[]

/** One setting. `T` is what the relay works with. */
export interface Setting<T> {
  readonly fallback: T
  readonly meaning: string
  /** Heading in the help. */
  readonly group: SettingGroup
  /** Stands for the value in the help: `<size>`; undefined for a switch. */
  readonly placeholder: string | undefined
  /** Whether a flag may be repeated, and the variable holds several values joined by commas. */
  readonly isList: boolean
  readonly isSecret: boolean
  /** The value of what a flag, variable or file holds. Throws an Error with a text that goes on from "<name>: ". */
  parse(raw: JsonValue): T
  /** As a file would hold it; `parse` reads it back. */
  format(value: T): JsonValue
}

export type SettingGroup = 'Where' | 'Who may connect' | 'Topics and groups' | 'Log and metrics' | 'Limits'

type Common<T> = Pick<Setting<T>, 'fallback' | 'meaning' | 'group'>

/** What `--print-config` shows instead of a secret. */
export const hiddenSecret = '***'

// ── kinds of values ───────────────────────────────────────────────────────────────────────────────────────────────

const single = { isList: false, isSecret: false } as const

function count(common: Common<number>, min = 0, max = Number.MAX_SAFE_INTEGER): Setting<number> {
  return {
    ...common, ...single,
    placeholder: 'count',
    parse: (raw) => within(typeof raw === 'string' ? digitsOf(raw) : numberOf(raw), min, max, String),
    format: (value) => value,
  }
}

function size(common: Common<number>, min = 0, max = Number.MAX_SAFE_INTEGER): Setting<number> {
  return {
    ...common, ...single,
    placeholder: 'size',
    parse: (raw) => within(typeof raw === 'string' ? parseSizeBytes(raw) : numberOf(raw), min, max, formatSize),
    format: formatSize,
  }
}

/** Longer durations than a year are mistakes, and timers of the platform end soon after. */
const yearMs = 366 * 24 * 3_600_000

function duration(common: Common<number>, min = 0, max = yearMs): Setting<number> {
  return {
    ...common, ...single,
    placeholder: 'duration',
    parse: (raw) => within(durationOf(raw), min, max, formatDuration),
    format: formatDuration,
  }
}

function durations(common: Common<readonly number[]>, countMax: number): Setting<readonly number[]> {
  return {
    ...common, ...single,
    placeholder: 'duration,…',
    parse(raw) {
      const parts = Array.isArray(raw) ? raw : String(raw).split(',')
      if (parts.length > countMax) throw new Error(`${parts.length} durations; at most ${countMax} are taken`)
      return parts.map((part) => within(durationOf(part as string | number), 0, yearMs, formatDuration))
    },
    format: (value) => value.map(formatDuration).join(','),
  }
}

function text(common: Common<string>, placeholder: string): Setting<string> {
  return {
    ...common, ...single,
    placeholder,
    parse: (raw) => {
      if (typeof raw !== 'string' || raw.trim() === '') throw new Error('It takes a text that is not empty.')
      return raw
    },
    format: (value) => value,
  }
}

function texts(common: Common<readonly string[]>, placeholder: string, isSecret = false): Setting<readonly string[]> {
  return {
    ...common,
    placeholder, isSecret,
    isList: true,
    parse(raw) {
      const values = Array.isArray(raw) ? raw : [raw]
      if (values.some((value) => typeof value !== 'string' || value.trim() === '')) {
        throw new Error('It takes texts that are not empty.')
      }
      if (values.includes(hiddenSecret)) {
        throw new Error(`'${hiddenSecret}' is what --print-config shows instead of it.`)
      }
      return values as string[]
    },
    format: (values) => (isSecret ? values.map(() => hiddenSecret) : values),
  }
}

function choice<const W extends string>(common: Common<W>, words: readonly W[]): Setting<W> {
  return {
    ...common, ...single,
    placeholder: words.join('|'),
    parse(raw) {
      const word = words.find((candidate) => candidate === raw)
      if (word === undefined) throw new Error(`It takes one of ${words.join(', ')}.`)
      return word
    },
    format: (value) => value,
  }
}

function onOff(common: Common<boolean>): Setting<boolean> {
  return {
    ...common, ...single,
    placeholder: undefined,
    parse(raw) {
      if (typeof raw === 'boolean') return raw
      const word = String(raw).toLowerCase()
      if (['on', 'true', 'yes', '1'].includes(word)) return true
      if (['off', 'false', 'no', '0'].includes(word)) return false
      throw new Error('It takes on or off.')
    },
    format: (value) => value,
  }
}

function durationOf(raw: JsonValue): number {
  return typeof raw === 'string' ? parseDurationMs(raw) : numberOf(raw)
}

function numberOf(raw: JsonValue): number {
  if (typeof raw !== 'number') throw new Error('It takes a number.')
  return raw
}

function digitsOf(raw: string): number {
  const digits = raw.trim().replaceAll('_', '')
  if (!/^\d+$/.test(digits)) throw new Error('It takes a whole number.')
  return Number(digits)
}

function within(value: number, min: number, max: number, format: (value: number) => JsonValue): number {
  if (!Number.isSafeInteger(value)) throw new Error('It takes a whole number.')
  if (value < min) throw new Error(`It takes ${String(format(min))} or more.`)
  if (value > max) throw new Error(`It takes ${String(format(max))} or less.`)
  return value
}

/** The largest unit that loses nothing: `1MiB`, `1536KiB`, `1000` for bytes. */
export function formatSize(bytes: number): string {
  const units = ['', 'KiB', 'MiB', 'GiB', 'TiB']
  let index = 0
  while (index < units.length - 1 && bytes > 0 && bytes % 1024 === 0) {
    bytes /= 1024
    index++
  }
  return `${bytes}${units[index]}`
}

// ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** A setting and the name it goes by for operators. */
export interface NamedSetting<T> extends Setting<T> {
  readonly key: string
}

function own<T>(key: string, setting: Setting<T>): NamedSetting<T> {
  return { ...setting, key }
}

/** Settings that are not limits, by what the relay calls them. */
export const ownSettings = {
  host: own('host', text({
    group: 'Where',
    fallback: '127.0.0.1',
    meaning: 'address to listen on; 0.0.0.0 is every interface',
  }, 'address')),
  port: own('port', count({
    group: 'Where',
    fallback: 7600,
    meaning: 'port for WebSocket, health and metrics; 0 takes a free one',
  }, 0, 65_535)),
  dataFolder: own('data', text({
    group: 'Where',
    fallback: './pocketmq-data',
    meaning: 'folder of the store; one relay has it at a time',
  }, 'folder')),
  isInMemory: own('memory', onOff({
    group: 'Where',
    fallback: false,
    meaning: 'keep everything in memory: nothing outlives the process',
  })),
  storeBytesMax: own('storeSize', size({
    group: 'Where',
    fallback: 256 * 1024 ** 3,
    meaning: 'most bytes the store takes on disk',
  }, 1024 ** 2)),
  drainMs: own('drainTimeout', duration({
    group: 'Where',
    fallback: 10_000,
    meaning: 'time to finish what is in hand when told to stop',
  })),

  tokens: own('token', texts({
    group: 'Who may connect',
    fallback: [],
    meaning: 'token that clients must show; several are allowed; none lets everybody in',
  }, 'token', true)),
  origins: own('allowOrigin', texts({
    group: 'Who may connect',
    fallback: [],
    meaning: 'pages that may connect, such as https://app.example, besides those of the relay’s own host; * is all',
  }, 'origin')),
  hosts: own('allowHost', texts({
    group: 'Who may connect',
    fallback: [],
    meaning: 'host names the relay answers to; none given answers to any',
  }, 'name')),

  autoCreateTopics: own('autoCreateTopics', onOff({
    group: 'Topics and groups',
    fallback: true,
    meaning: 'a topic that nobody created comes to be when it is published or subscribed to',
  })),
  retryScheduleMs: own('retrySchedule', durations({
    group: 'Topics and groups',
    fallback: retryScheduleMs,
    meaning: 'delays before delivery 2, 3, … of a message, for groups that name none; later ones use the last',
  }, 64)),

  logLevel: own('logLevel', choice({
    group: 'Log and metrics',
    fallback: 'info',
    meaning: 'error, info, or debug for each connection’s story',
  }, ['error', 'info', 'debug'])),
  logFormat: own('logFormat', choice({
    group: 'Log and metrics',
    fallback: 'auto',
    meaning: 'JSON lines, or text for people; auto is text on a terminal',
  }, ['auto', 'json', 'text'])),
  exportsTraces: own('openTelemetry', onOff({
    group: 'Log and metrics',
    fallback: false,
    meaning: 'tell traces to the OpenTelemetry SDK that was loaded before the relay (node --import)',
  })),
  metricSeriesCountMax: own('metricsSeries', count({
    group: 'Log and metrics',
    fallback: 1_000,
    meaning: 'topics, and groups on topics, with metrics of their own; the rest is counted together as (other)',
  })),
} as const

type LimitRow = (fallback: number) => NamedSetting<number>

const day = 24 * 3_600_000

function limit(key: string, kind: typeof count, meaning: string, min?: number, max?: number): LimitRow {
  return (fallback) => ({ ...kind({ group: 'Limits', fallback, meaning }, min, max), key })
}

/** Every limit has a row, or this does not compile. */
const limitRows: { readonly [L in keyof Limits]: LimitRow } = {
  bodyBytesMax: limit('bodyMax', size, 'largest body of one message', 1),
  frameBytesMax: limit('frameMax', size, 'largest WebSocket message taken; holds at least one message', 1024),
  recordBytesMax: limit('recordSize', size, 'aimed-at size of a stored record', 1024, 8 * 1024 ** 2),
  connectionCountMax: limit('connectionsMax', count, 'connections; more are refused with 503', 1),
  helloTimeoutMs: limit('helloTimeout', duration, 'time a new connection has to say HELLO', 1),
  heartbeatMs: limit(
    'heartbeat', duration, 'how often a client is heard at least; closed after twice the time', 100, day,
  ),
  subscriptionsPerConnectionMax: limit('subscriptionsMax', count, 'subscriptions of one connection', 1),
  publishBytesInFlightMax: limit(
    'publishInFlight', size, 'unanswered publishes of one connection before reading from it pauses', 1024,
  ),
  sendBufferBytesMax: limit(
    'sendBuffer', size, 'bytes waiting to be sent to one connection before deliveries to it pause', 1024,
  ),
  slowReaderMs: limit(
    'slowReaderTimeout', duration, 'time a reader may stay over its send buffer before it is closed, to resume',
    100, day,
  ),
  topicCountMax: limit('topicsMax', count, 'topics', 1),
  groupCountMax: limit('groupsMax', count, 'consumer groups', 1),
  producerCountMax: limit('producersMax', count, 'idempotent producers whose last sequence is kept', 1),
  producerRetentionMs: limit(
    'producerRetention', duration, 'how long it is kept after the last publish: the de-duplication window', 1000,
  ),
  outstandingPerQueueMax: limit(
    'outstandingMax', count, 'messages of a group and queue that are leased, waiting for a retry or locked', 1,
  ),
  leaseMsDefault: limit('lease', duration, 'lease of a message when the consumer names none', 1),
  leaseMsMin: limit('leaseMin', duration, 'shortest lease a consumer may ask for', 1),
  leaseMsMax: limit('leaseMax', duration, 'longest lease a consumer may ask for', 1),
  memberGraceMs: limit('memberGrace', duration, 'how long a member whose connection broke keeps its leases', 0, day),
  waitMsMax: limit('waitMax', duration, 'longest wait of a receive or pull', 0, day),
  attemptCountMax: limit(
    'attemptsMax', count, 'deliveries of a message before it is a dead letter, for groups that name none', 1,
  ),
  retentionMsDefault: limit(
    'retention', duration, 'age at which messages are deleted, for topics that name none; 0 keeps them for ever',
    0, 100 * yearMs,
  ),
  retentionBytesDefault: limit(
    'retentionSize', size,
    'bytes above which a topic’s oldest messages are deleted, for topics that name none; 0 is no bound',
  ),
  retentionSweepMs: limit('retentionSweep', duration, 'how often retention looks', 10, day),
  queueCountDefault: limit('queues', count, 'queues of a topic that names no number', 1, 1024),
  tailCacheBytesMax: limit('tailCache', size, 'recent records kept in memory for live readers, in all'),
  readChunkBytes: limit('readChunk', size, 'one read of the store for a reader that catches up', 1024),
  storeReserveBytes: limit('storeReserve', size, 'free room on the disk below which publishes are refused'),
  delayMsMax: limit('delayMax', duration, 'furthest a message may be delayed', 0, 40 * day),
  delayedCountMax: limit('delayedMax', count, 'delayed messages that wait, in all'),
  delayedAheadCountMax: limit('delayedAhead', count, 'of them, those kept in memory as they are due next', 1),
  transactionBytesMax: limit('transactionSize', size, 'half messages of one transaction', 1024),
  transactionCacheBytesMax: limit(
    'transactionCache', size, 'half messages kept in memory, in all, so that their commit need not read them',
  ),
  transactionCountMax: limit('transactionsMax', count, 'transactions that are not ended', 1),
  transactionCheckFirstMs: limit(
    'transactionCheckFirst', duration, 'silence after which a producer is first asked what became of a transaction', 1,
  ),
  transactionCheckMs: limit('transactionCheck', duration, 'time between checks', 1),
  transactionCheckCountMax: limit(
    'transactionChecksMax', count, 'checks that reached a producer, before a transaction is rolled back', 1,
  ),
  transactionMsMax: limit(
    'transactionMax', duration, 'age at which a transaction is rolled back that nobody could be asked about', 1,
  ),
  transactionRetentionMs: limit('transactionRetention', duration, 'how long the end of a transaction is remembered'),
  transactionsEndedMax: limit('transactionsEndedMax', count, 'ended transactions that are remembered at most'),
  tracePermilleDefault: limit(
    'trace', count, 'of a thousand messages, so many are traced, in topics that name no number', 0, 1_000,
  ),
  traceRetentionMs: limit('traceRetention', duration, 'how long traces are kept', 1_000),
  compactLagMsMin: limit('compactLagMin', duration, 'how long a message of a COMPACT topic is left alone'),
  compactLagMsMax: limit('compactLagMax', duration, 'a COMPACT topic is compacted when something has been new for so long', 1),
  compactTombstoneMs: limit(
    'compactTombstone', duration, 'how long an empty message of a COMPACT topic is kept, which removes its key',
  ),
  broadcastPositionMs: limit(
    'broadcastPositions', duration, 'how long a BROADCASTING position kept at the relay outlives its last report', 1_000,
  ),
  broadcastPositionCountMax: limit(
    'broadcastPositionsMax', count, 'BROADCASTING positions kept at the relay: one per consumer and queue',
  ),
}

/** How each limit is set. */
export const limitSettings = Object.fromEntries(
  Object.entries(limitRows).map(([name, row]) => [name, row(defaultLimits[name as keyof Limits])]),
) as { readonly [L in keyof Limits]: NamedSetting<number> }

/** The whole table, in the order of the help. */
export const settingRows: readonly NamedSetting<unknown>[] = [
  ...Object.values(ownSettings), ...Object.values(limitSettings),
] as readonly NamedSetting<unknown>[]

/** `sendBuffer` -> `--send-buffer` */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** `sendBuffer` -> `POCKETMQ_SEND_BUFFER` */
export function variableOf(key: string): string {
  return `POCKETMQ_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

/** The default as an operator would write it; empty for a list without any. */
export function defaultTextOf(setting: NamedSetting<unknown>): string {
  const value = setting.format(setting.fallback)
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  return Array.isArray(value) ? value.join(',') : String(value)
}

/** The table in Markdown, for the README. */
export function formatSettingsTable(): string {
  const rows = settingRows.map((setting) => {
    const shown = defaultTextOf(setting)
    return `| \`${flagOf(setting.key)}\` | ${shown === '' ? '' : `\`${shown}\``} | ${setting.meaning} |`
  })
  return ['| flag | default | meaning |', '|---|---|---|', ...rows].join('\n') + '\n'
}
