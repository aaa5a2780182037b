// The core's Log on standard output: JSON lines through pino for machines, short lines for people. Both are written at
// once, so that nothing is lost when the process ends right after.

import { pino } from 'pino'
import type { Log, LogFields } from '../core/ports/log.ts'

export type LogLevel = 'error' | 'info' | 'debug'

export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'text'
  /** Takes whole lines. Default: standard output. */
  readonly write?: (line: string) => void
}

/** Levels have the meanings of core/ports/log.ts. */
export function createLog({ level, format, write = writeToStandardOutput() }: LogOptions): Log {
  return format === 'json' ? createJsonLog(level, write) : createTextLog(level, write)
}

function createJsonLog(level: LogLevel, write: (line: string) => void): Log {
  const logger = pino(
    {
      level,
      base: null,
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  )
  return {
    error: (event, fields = {}) => logger.error(fields, event),
    info: (event, fields = {}) => logger.info(fields, event),
    debug: (event, fields = {}) => logger.debug(fields, event),
  }
}

function createTextLog(level: LogLevel, write: (line: string) => void): Log {
  const line = (name: LogLevel) => (event: string, fields: LogFields = {}) => {
    write(formatLine(new Date(), name, event, fields))
  }
  const nothing = (): void => {}
  return {
    error: line('error'),
    info: level === 'error' ? nothing : line('info'),
    debug: level === 'debug' ? line('debug') : nothing,
  }
}

/** `15:04:05.123 info  store opened  folder=./data usedBytes=4096`, and a stack below where there is one. */
export function formatLine(time: Date, level: LogLevel, event: string, fields: LogFields): string {
  const pairs = Object.entries(fields)
    .filter(([name, value]) => value !== undefined && name !== 'stack')
    .map(([name, value]) => `${name}=${formatValue(value)}`)
  const head = `${formatClock(time)} ${level.padEnd(5)} ${event}`
  const stack = fields.stack === undefined ? '' : `${String(fields.stack)}\n`
  return `${[head, pairs.join(' ')].filter((part) => part !== '').join('  ')}\n${stack}`
}

function formatValue(value: string | number | boolean | undefined): string {
  if (typeof value !== 'string') return String(value)
  if (/^[^\s"=\p{C}]+$/u.test(value)) return value
  // A client chooses its name: what a terminal would obey is shown, not sent.
  return JSON.stringify(value).replaceAll(/\p{C}/gu, (char) => `\\u{${(char.codePointAt(0) as number).toString(16)}}`)
}

function formatClock(time: Date): string {
  const part = (value: number, length = 2): string => String(value).padStart(length, '0')
  const minutes = `${part(time.getHours())}:${part(time.getMinutes())}`
  return `${minutes}:${part(time.getSeconds())}.${part(time.getMilliseconds(), 3)}`
}

/**
 * Pipes and terminals take a write before it returns on POSIX, files everywhere; a pipe on Windows is emptied by Node
 * before the process ends by itself (https://nodejs.org/api/process.html#a-note-on-process-io).
 */
function writeToStandardOutput(): (line: string) => void {
  // A reader that goes away (`pocketmq serve | head`) is no reason to stop serving.
  process.stdout.on('error', () => {})
  return (line) => void process.stdout.write(line)
}
