// Values as people write them on a command line, and back: times, durations, sizes, counts, properties. A parser
// throws InvalidArgumentError with the forms it takes; commander puts the flag's name before it.

import { InvalidArgumentError } from 'commander'
import type { Duration, From } from '../../core/client/api.ts'
import { durationToMs } from '../../core/client/duration.ts'

const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 } as const
const sizeBytes = { b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4 } as const

/** Milliseconds of `500ms`, `30s`, `5m`, `2h`, `3d`, or of a plain number of milliseconds. */
export function parseDurationMs(text: string): number {
  try {
    return durationToMs((/^\d+$/.test(text) ? Number(text) : text) as Duration, 'the duration')
  } catch {
    throw new InvalidArgumentError('It takes a duration such as 500ms, 30s, 5m, 2h or 3d.')
  }
}

/** Durations joined by commas. */
export function parseDurationsMs(text: string): number[] {
  return text.split(',').map(parseDurationMs)
}

/** Bytes of `1048576`, `64KiB`, `10MiB`, `2GiB`. */
export function parseSizeBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(b|kib|mib|gib|tib)?$/i.exec(text.trim())
  if (match === null) throw new InvalidArgumentError('It takes a size such as 1048576, 64KiB, 10MiB or 2GiB.')
  return Math.round(Number(match[1]) * sizeBytes[(match[2] ?? 'b').toLowerCase() as keyof typeof sizeBytes])
}

/** A whole number from `min` on. */
export function parseCount(min: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text.replaceAll('_', '')) ? Number(text.replaceAll('_', '')) : NaN
    if (!Number.isSafeInteger(value) || value < min) {
      throw new InvalidArgumentError(`It takes a whole number, at least ${min}.`)
    }
    return value
  }
}

/** A share from 0 to 1, in thousandths. */
export function parseShare(text: string): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('It takes a share from 0 to 1, such as 0.05.')
  return Math.round(value * 1000) / 1000
}

/** A moment still to come: as `parseTime`, or `+10m`. */
export function parseFuture(text: string, nowMs: number = Date.now()): Date {
  if (text.startsWith('+')) return new Date(nowMs + parseDurationMs(text.slice(1)))
  try {
    return parseTime(text, nowMs)
  } catch {
    throw new InvalidArgumentError('It takes an ISO date (2026-11-22T14:30), milliseconds since 1970, or a time from now (+30m).')
  }
}

/** One of a few words, in capitals or not. */
export function parseWord<const W extends string>(...words: readonly W[]): (text: string) => W {
  return (text) => {
    const word = words.find((word) => word.toUpperCase() === text.toUpperCase())
    if (word === undefined) throw new InvalidArgumentError(`It takes ${words.join(' or ')}.`)
    return word
  }
}

/**
 * A moment: an ISO date (`2026-11-22`, `2026-11-22T14:30`, local time unless it names a zone), milliseconds since 1970,
 * `now`, or a time before now (`10m ago`, `-10m`).
 */
export function parseTime(text: string, nowMs: number = Date.now()): Date {
  const trimmed = text.trim()
  if (trimmed === 'now') return new Date(nowMs)
  const relative = /^(?:-(\d+(?:ms|s|m|h|d))|(\d+(?:ms|s|m|h|d))\s+ago)$/.exec(trimmed)
  if (relative !== null) return new Date(nowMs - parseDurationMs((relative[1] ?? relative[2]) as string))
  if (/^\d{12,15}$/.test(trimmed)) return new Date(Number(trimmed))
  if (/^\d{4}-\d{2}-\d{2}(?:[T ].+)?$/.test(trimmed)) {
    const date = new Date(trimmed.length === 10 ? `${trimmed}T00:00` : trimmed.replace(' ', 'T'))
    if (!Number.isNaN(date.getTime())) return date
  }
  throw new InvalidArgumentError(
    'It takes an ISO date (2026-11-22T14:30), milliseconds since 1970, or a time before now (-10m, "10m ago").',
  )
}

/** `earliest`, `latest`, or a moment. */
export function parseFrom(text: string): From {
  if (text === 'earliest' || text === 'latest') return text
  try {
    return parseTime(text)
  } catch (cause) {
    throw new InvalidArgumentError(`It takes earliest, latest or a time. ${(cause as Error).message}`)
  }
}

/** `earliest`, `latest`, a moment, or `offset:N`. */
export function parseResetTarget(text: string): From | { readonly offset: number } {
  const match = /^offset:(\d+)$/.exec(text)
  return match === null ? parseFrom(text) : { offset: Number(match[1]) }
}

/** Collects `name=value` into the properties so far. */
export function collectProperty(text: string, before: ReadonlyMap<string, string> = new Map()): Map<string, string> {
  const separator = text.indexOf('=')
  if (separator < 1) throw new InvalidArgumentError('It takes name=value.')
  return new Map([...before, [text.slice(0, separator), text.slice(separator + 1)]])
}

/** Collects a repeated option. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text]
}

/** The entries that are set: what was not given on the command line is left to the defaults behind. */
export function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** `4,349`. */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 })
}

/** `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let index = 0
  for (; bytes >= 1024 && index < units.length - 1; index++) bytes /= 1024
  return `${index === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[index]}`
}

/** The largest unit that loses nothing: `72h`, `90s`. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return '0s'
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    // Hours read better than days up to three of them: retention is written 72h.
    if (unit === 'd' && durationMs < 4 * unitMs.d) continue
    if (durationMs % unitMs[unit] === 0) return `${durationMs / unitMs[unit]}${unit}`
  }
  return `${durationMs}ms`
}

/** Local time of day with milliseconds, and the date when it is not today's. */
export function formatTime(timeMs: number, nowMs: number = Date.now()): string {
  const date = new Date(timeMs)
  const part = (value: number, length = 2) => String(value).padStart(length, '0')
  const day = `${date.getFullYear()}-${part(date.getMonth() + 1)}-${part(date.getDate())}`
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((value) => part(value)).join(':')
  const time = `${clock}.${part(date.getMilliseconds(), 3)}`
  return date.toDateString() === new Date(nowMs).toDateString() ? time : `${day} ${time}`
}
