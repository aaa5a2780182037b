// The link machine: every state against every event.

import { describe, expect, test } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { closeCodes } from '../../../core/model/close-codes.ts'
import { idleLink, type Link, type LinkEvent, stepLink } from '../../../core/session/link.ts'

const attempt = { reason: 'connect', failureCount: 2, error: undefined } as const
const established = { failureCount: 2, sinceMs: 1_000, refusal: undefined } as const
const lost = new PocketError('CONNECTION_LOST', 'gone')

const links = {
  idle: idleLink,
  authenticating: { kind: 'authenticating', ...attempt },
  dialling: { kind: 'dialling', token: 'secret', ...attempt },
  greeting: { kind: 'greeting', refusal: undefined, ...attempt },
  connected: { kind: 'connected', ...established },
  draining: { kind: 'draining', retryAfterMs: 700, ...established },
  waiting: { kind: 'waiting', ...attempt, error: lost },
  closed: { kind: 'closed', error: lost },
} as const satisfies { readonly [K in Link['kind']]: Extract<Link, { kind: K }> }

const events = {
  start: { kind: 'start' },
  token: { kind: 'token', token: 'fresh' },
  'token-failed': { kind: 'token-failed', error: new PocketError('CONNECTION_REFUSED', 'no token') },
  'token-denied': { kind: 'token-failed', error: new PocketError('UNAUTHENTICATED', 'no such user') },
  opened: { kind: 'opened' },
  welcomed: { kind: 'welcomed' },
  refused: { kind: 'refused', error: new PocketError('OVERLOADED', 'full', { retryAfterMs: 5_000 }) },
  stopping: { kind: 'stopping', retryAfterMs: 700 },
  'ended-reconnect': { kind: 'ended', code: closeCodes.SLOW_READER, reason: 'slow' },
  'ended-stop': { kind: 'ended', code: closeCodes.FORBIDDEN, reason: 'no' },
  'broken-reconnect': { kind: 'broken', code: closeCodes.HEARTBEAT_LOST, error: lost },
  'broken-stop': { kind: 'broken', code: closeCodes.BAD_FRAME, error: new PocketError('BAD_FRAME', 'rubbish') },
  timer: { kind: 'timer' },
  'gave-up': { kind: 'gave-up' },
  close: { kind: 'close', error: undefined },
} as const satisfies Record<string, LinkEvent>

type EventName = keyof typeof events

/** The next state, then the effects in order; `-` is no change at all. Waits are halves of the longest (random 0.5). */
const table: Record<Link['kind'], Record<EventName, string>> = {
  idle: {
    start: 'authenticating: fetch-token connect, arm 30000',
    token: '-',
    'token-failed': '-',
    'token-denied': '-',
    opened: '-',
    welcomed: '-',
    refused: '-',
    stopping: '-',
    'ended-reconnect': '-',
    'ended-stop': '-',
    'broken-reconnect': '-',
    'broken-stop': '-',
    timer: '-',
    'gave-up': 'closed CONNECTION_REFUSED:',
    close: 'closed:',
  },
  authenticating: {
    start: '-',
    token: 'dialling: dial, arm 10000',
    'token-failed': 'waiting: arm 400',
    'token-denied': 'closed UNAUTHENTICATED:',
    opened: '-',
    welcomed: '-',
    refused: '-',
    stopping: '-',
    'ended-reconnect': '-',
    'ended-stop': '-',
    'broken-reconnect': '-',
    'broken-stop': '-',
    timer: 'waiting: arm 400',
    'gave-up': 'closed CONNECTION_REFUSED:',
    close: 'closed:',
  },
  dialling: {
    start: '-',
    token: '-',
    'token-failed': '-',
    'token-denied': '-',
    opened: 'greeting: hello secret, arm 10000',
    welcomed: '-',
    refused: '-',
    stopping: '-',
    'ended-reconnect': 'waiting: arm 400',
    'ended-stop': 'closed FORBIDDEN:',
    'broken-reconnect': 'waiting: drop 4002, arm 400',
    'broken-stop': 'closed BAD_FRAME: drop 4500',
    timer: 'waiting: drop 4002, arm 400',
    'gave-up': 'closed CONNECTION_REFUSED: drop 1000',
    close: 'closed: drop 1000',
  },
  greeting: {
    start: '-',
    token: '-',
    'token-failed': '-',
    'token-denied': '-',
    opened: '-',
    welcomed: 'connected:',
    refused: 'greeting:',
    stopping: '-',
    'ended-reconnect': 'waiting: arm 400',
    'ended-stop': 'closed FORBIDDEN:',
    'broken-reconnect': 'waiting: drop 4002, arm 400',
    'broken-stop': 'closed BAD_FRAME: drop 4500',
    timer: 'waiting: drop 4002, arm 400',
    'gave-up': 'closed CONNECTION_REFUSED: drop 1000',
    close: 'closed: drop 1000',
  },
  connected: {
    start: '-',
    token: '-',
    'token-failed': '-',
    'token-denied': '-',
    opened: '-',
    welcomed: '-',
    refused: 'connected:',
    stopping: 'draining: arm 30000',
    'ended-reconnect': 'waiting: arm 400',
    'ended-stop': 'closed FORBIDDEN:',
    'broken-reconnect': 'waiting: drop 4002, arm 400',
    'broken-stop': 'closed BAD_FRAME: drop 4500',
    timer: '-',
    'gave-up': '-',
    close: 'closed: drop 1000',
  },
  draining: {
    start: '-',
    token: '-',
    'token-failed': '-',
    'token-denied': '-',
    opened: '-',
    welcomed: '-',
    refused: 'draining:',
    stopping: '-',
    'ended-reconnect': 'waiting: arm 1100',
    'ended-stop': 'closed FORBIDDEN:',
    'broken-reconnect': 'waiting: drop 4002, arm 400',
    'broken-stop': 'closed BAD_FRAME: drop 4500',
    timer: 'waiting: drop 1000, arm 1100',
    'gave-up': '-',
    close: 'closed: drop 1000',
  },
  waiting: {
    start: '-',
    token: '-',
    'token-failed': '-',
    'token-denied': '-',
    opened: '-',
    welcomed: '-',
    refused: '-',
    stopping: '-',
    'ended-reconnect': '-',
    'ended-stop': '-',
    'broken-reconnect': '-',
    'broken-stop': '-',
    timer: 'authenticating: fetch-token connect, arm 30000',
    'gave-up': 'closed CONNECTION_REFUSED:',
    close: 'closed:',
  },
  closed: {
    start: '-',
    token: '-',
    'token-failed': '-',
    'token-denied': '-',
    opened: '-',
    welcomed: '-',
    refused: '-',
    stopping: '-',
    'ended-reconnect': '-',
    'ended-stop': '-',
    'broken-reconnect': '-',
    'broken-stop': '-',
    timer: '-',
    'gave-up': '-',
    close: '-',
  },
}

/** Not long after `established.sinceMs`. */
const context = { nowMs: 2_000, random: { next: () => 0.5, bytes: () => new Uint8Array(8) } }

function outcome(link: Link, event: LinkEvent, nowMs = context.nowMs): string {
  const step = stepLink(link, event, { ...context, nowMs })
  if (step.link === link && step.effects.length === 0) return '-'
  const effects = step.effects.map((effect) => {
    if (effect.kind === 'fetch-token') return `fetch-token ${effect.reason}`
    if (effect.kind === 'hello') return `hello ${effect.token}`
    if (effect.kind === 'arm') return `arm ${effect.delayMs}`
    return effect.kind === 'drop' ? `drop ${effect.code}` : effect.kind
  })
  const code = step.link.kind === 'closed' && step.link.error !== undefined ? ` ${step.link.error.code}` : ''
  return `${step.link.kind}${code}: ${effects.join(', ')}`.trimEnd()
}

describe.each(Object.keys(table) as Link['kind'][])('%s', (kind) => {
  test.each(Object.keys(events) as EventName[])('meets %s', (event) => {
    expect(outcome(links[kind], events[event])).toBe(table[kind][event])
  })
})

describe('waits', () => {
  test('are short again after a connection that lived', () => {
    const ended = events['ended-reconnect']
    expect(outcome(links.connected, ended, links.connected.sinceMs + 4_999)).toBe('waiting: arm 400')
    expect(outcome(links.connected, ended, links.connected.sinceMs + 5_000)).toBe('waiting: arm 100')
  })

  test('are at least as long as the relay asks for', () => {
    const { link } = stepLink(links.greeting, events.refused, context)
    expect(outcome(link, { kind: 'ended', code: closeCodes.OVERLOADED, reason: '' })).toBe('waiting: arm 5400')
  })

  test('grow with every attempt that fails', () => {
    let link: Link = links.dialling
    const delays: number[] = []
    for (let round = 0; round < 4; round++) {
      const failed = stepLink(link, { kind: 'ended', code: 1006, reason: '' }, context)
      delays.push(...failed.effects.flatMap((effect) => (effect.kind === 'arm' ? [effect.delayMs] : [])))
      const again = stepLink(failed.link, { kind: 'timer' }, context)
      link = stepLink(again.link, { kind: 'token', token: '' }, context).link
    }
    expect(delays).toEqual([400, 800, 1_600, 3_200])
  })
})

describe('what the relay said before it closed', () => {
  const unauthenticated = new PocketError('UNAUTHENTICATED', 'the token is expired')

  test('is the error of the link', () => {
    const { link } = stepLink(links.greeting, { kind: 'refused', error: unauthenticated }, context)
    const ended = stepLink(link, { kind: 'ended', code: closeCodes.UNAUTHENTICATED, reason: '' }, context)
    expect(ended.link).toEqual({ kind: 'closed', error: unauthenticated })
  })

  test('stops the client even when the close code was lost on the way', () => {
    const { link } = stepLink(links.greeting, { kind: 'refused', error: unauthenticated }, context)
    const ended = stepLink(link, { kind: 'ended', code: 1006, reason: '' }, context)
    expect(ended.link).toEqual({ kind: 'closed', error: unauthenticated })
  })

  test('is the cause of a lost connection that may come back', () => {
    const { link } = stepLink(links.connected, events.refused, context)
    const ended = stepLink(link, { kind: 'ended', code: closeCodes.OVERLOADED, reason: 'full' }, context)
    const error = { code: 'CONNECTION_LOST', cause: { code: 'OVERLOADED' } }
    expect(ended.link).toMatchObject({ kind: 'waiting', error })
  })
})

describe('giving up', () => {
  test('tells what failed last', () => {
    const refused = stepLink(links.dialling, { kind: 'ended', code: 1006, reason: 'ECONNREFUSED' }, context).link
    const retried = stepLink(refused, { kind: 'timer' }, context).link
    const { link } = stepLink(retried, { kind: 'gave-up' }, context)
    expect(link).toMatchObject({ kind: 'closed', error: { code: 'CONNECTION_REFUSED' } })
    expect(link.kind === 'closed' && link.error?.message).toContain('ECONNREFUSED')
  })

  test('never happens to a link that was up before', () => {
    const { link } = stepLink(links.connected, events['ended-reconnect'], context)
    expect(link).toMatchObject({ kind: 'waiting', reason: 'reconnect' })
    expect(outcome(link, { kind: 'gave-up' })).toBe('-')
  })
})

test('each stopping close code has its error', () => {
  const codeOf = (code: number) => {
    const { link } = stepLink(links.greeting, { kind: 'ended', code, reason: 'why' }, context)
    return link.kind === 'closed' ? link.error?.code : link.kind
  }
  expect(Object.entries(closeCodes).map(([name, code]) => `${name} ${codeOf(code)}`)).toEqual([
    'NORMAL waiting',
    'RELAY_STOPPING waiting',
    'SLOW_READER waiting',
    'HEARTBEAT_LOST waiting',
    'OVERLOADED waiting',
    'STORE_FAILED waiting',
    'REPLACED waiting',
    'INTERNAL waiting',
    'BAD_FRAME BAD_FRAME',
    'UNSUPPORTED_VERSION UNSUPPORTED_VERSION',
    'HELLO_EXPECTED HELLO_EXPECTED',
    'UNAUTHENTICATED UNAUTHENTICATED',
    'FORBIDDEN FORBIDDEN',
    'LIMIT_EXCEEDED LIMIT_EXCEEDED',
  ])
  expect([1002, 1003, 1007, 1008, 1009, 1001, 1006].map(codeOf)).toEqual([
    'BAD_FRAME', 'BAD_FRAME', 'BAD_FRAME', 'FORBIDDEN', 'LIMIT_EXCEEDED', 'waiting', 'waiting',
  ])
})
