// The log on standard output: which levels are written, and that each event is one line for machines and people.

import { describe, expect, test } from 'vitest'
import { createLog, formatLine, type LogOptions } from '../../server/log.ts'

function logged(options: Pick<LogOptions, 'level' | 'format'>): string[] {
  const lines: string[] = []
  const log = createLog({ ...options, write: (line) => lines.push(line) })
  log.error('went wrong', { code: 5, stack: 'Error: x\n    at y' })
  log.info('started', { url: 'ws://x', ready: true, missing: undefined })
  log.debug('in detail')
  return lines
}

describe('a log', () => {
  test.each([
    ['error', ['went wrong']], ['info', ['went wrong', 'started']], ['debug', ['went wrong', 'started', 'in detail']],
  ] as const)('of level %s writes %j', (level, events) => {
    const json = logged({ level, format: 'json' }).map((line) => (JSON.parse(line) as { event: string }).event)
    expect(json).toEqual(events)
    const text = logged({ level, format: 'text' })
    expect(text.map((line) => /^\S+ \w+ +(.+?)(?: {2}|\n)/.exec(line)?.[1])).toEqual(events)
  })

  test('in JSON is one object to a line, with level, time and event first to be found', () => {
    const [error, info] = logged({ level: 'info', format: 'json' })
    expect(error?.match(/\n/g)).toHaveLength(1)
    const stack = 'Error: x\n    at y'
    expect(JSON.parse(error as string)).toMatchObject({ level: 'error', event: 'went wrong', code: 5, stack })
    const fields = JSON.parse(info as string) as Record<string, unknown>
    expect(fields).toMatchObject({ level: 'info', url: 'ws://x', ready: true })
    expect(Object.keys(fields).sort()).toEqual(['event', 'level', 'ready', 'time', 'url'])
    expect(new Date(fields.time as string).toISOString()).toBe(fields.time)
  })
})

describe('a line for people', () => {
  const time = new Date(2026, 10, 22, 15, 4, 5, 7)

  test('has time, level, event and fields', () => {
    const line = formatLine(time, 'info', 'started', { port: 7600, memory: false })
    expect(line).toBe('15:04:05.007 info  started  port=7600 memory=false\n')
  })

  test('quotes what would be read wrongly, and leaves out what is not there', () => {
    const fields = { text: 'a b', quote: 'say "hi"', empty: '', equals: 'a=b', none: undefined, plain: 'x/y' }
    const line = formatLine(time, 'error', 'odd', fields)
    expect(line).toBe('15:04:05.007 error odd  text="a b" quote="say \\"hi\\"" empty="" equals="a=b" plain=x/y\n')
  })

  test('cannot be broken, nor a terminal moved, by what a client calls itself', () => {
    const client = 'a\n15:04:05.008 error forged\u001b[2J\u009b'
    const line = formatLine(time, 'info', 'named', { client })
    expect(line.match(/[\n\u001b\u009b]/g)).toEqual(['\n'])
    expect(formatLine(time, 'info', 'named', { client: '\u001b[2J' })).toContain('client="\\u001b[2J"')
  })

  test('is followed by the stack of a bug', () => {
    const line = formatLine(time, 'error', 'bug', { stack: 'Error: x\n    at y' })
    expect(line).toBe('15:04:05.007 error bug\nError: x\n    at y\n')
  })
})
