// The life of one logical connection as a pure machine: state and event in, state and effects out. It decides when to
// fetch a token, dial, greet, wait and give up; client-session.ts does what it says.
//
//   idle ──start──> authenticating ──token──> dialling ──opened──> greeting ──welcomed──> connected ──stopping─┐
//                     ▲                          │                    │                      │                 ▼
//                     │ timer                    └────── ended or broken, the code says reconnect ──────── draining
//                     │                                                          │
//                  waiting <─────────────────────────────────────────────────────┘
//
//   any of them ── closed by the application, gave up, or the code says stop ──> closed

import { unreachable } from '../assert.ts'
import { type ErrorCode, PocketError } from '../errors.ts'
import { closeCodes, isReconnectable } from '../model/close-codes.ts'
import type { Random } from '../ports/random.ts'
import { backoffDelayMs } from './backoff.ts'

/** Whether a connection was up before. */
export type ConnectReason = 'connect' | 'reconnect'

/** On the way to a connection. */
interface Attempt {
  readonly reason: ConnectReason
  /** Attempts in a row that failed, or did not last. */
  readonly failureCount: number
  /** Why the one before failed. */
  readonly error: PocketError | undefined
}

interface Established {
  readonly failureCount: number
  /** Monotonic. */
  readonly sinceMs: number
  /** What the relay said of the connection before it closes. */
  readonly refusal: PocketError | undefined
}

export type Link =
  | { readonly kind: 'idle' }
  | ({ readonly kind: 'authenticating' } & Attempt)
  | ({ readonly kind: 'dialling'; readonly token: string } & Attempt)
  | ({ readonly kind: 'greeting'; readonly refusal: PocketError | undefined } & Attempt)
  | ({ readonly kind: 'connected' } & Established)
  | ({ readonly kind: 'draining'; readonly retryAfterMs: number } & Established)
  | ({ readonly kind: 'waiting'; readonly error: PocketError } & Attempt)
  | { readonly kind: 'closed'; readonly error: PocketError | undefined }

export type LinkEvent =
  | { readonly kind: 'start' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'token-failed'; readonly error: PocketError }
  /** The transport is open. */
  | { readonly kind: 'opened' }
  | { readonly kind: 'welcomed' }
  /** The relay speaks of the whole connection: ERROR with requestId 0. It closes next. */
  | { readonly kind: 'refused'; readonly error: PocketError }
  | { readonly kind: 'stopping'; readonly retryAfterMs: number }
  /** The transport ended. */
  | { readonly kind: 'ended'; readonly code: number; readonly reason: string }
  /** This side can't go on with the transport: it is silent, or sends what is no frame. */
  | { readonly kind: 'broken'; readonly code: number; readonly error: PocketError }
  /** The time that `arm` asked for is over. */
  | { readonly kind: 'timer' }
  /** The application has waited long enough for the first connection. */
  | { readonly kind: 'gave-up' }
  | { readonly kind: 'close'; readonly error: PocketError | undefined }

export type LinkEffect =
  | { readonly kind: 'fetch-token'; readonly reason: ConnectReason }
  | { readonly kind: 'dial' }
  | { readonly kind: 'hello'; readonly token: string }
  /** Send `timer` after so long. A state has at most one timer, and it ends with the state. */
  | { readonly kind: 'arm'; readonly delayMs: number }
  /** End the transport; nothing it says from now on matters. */
  | { readonly kind: 'drop'; readonly code: number; readonly reason: string }

export interface LinkStep {
  readonly link: Link
  readonly effects: readonly LinkEffect[]
}

export interface LinkContext {
  /** Monotonic. */
  readonly nowMs: number
  readonly random: Random
  /** A token that is refused, or can't be had, is asked for again, without end. */
  readonly isPatient?: boolean
}

/** A token that takes longer counts as a failed attempt. */
const tokenTimeoutMs = 30_000
/** Dialling, and the wait for WELCOME, may each take so long. */
const attemptTimeoutMs = 10_000
/** A relay that says STOPPING closes by then; if not, the client does. */
const drainTimeoutMs = 30_000
/** A connection that lived for so long was no failure: the next wait is short again. */
const livedMs = 5_000

export const idleLink: Extract<Link, { readonly kind: 'idle' }> = { kind: 'idle' }

/** One step. An event that means nothing in a state changes nothing. */
export function stepLink(link: Link, event: LinkEvent, context: LinkContext): LinkStep {
  if (link.kind === 'closed') return stay(link)
  switch (event.kind) {
    case 'start':
      if (link.kind !== 'idle') return stay(link)
      return authenticate({ reason: 'connect', failureCount: 0, error: undefined })
    case 'token':
      if (link.kind !== 'authenticating') return stay(link)
      return {
        link: { kind: 'dialling', token: event.token, ...attemptOf(link) },
        effects: [{ kind: 'dial' }, { kind: 'arm', delayMs: attemptTimeoutMs }],
      }
    case 'token-failed':
      if (link.kind !== 'authenticating') return stay(link)
      return event.error.retryable || context.isPatient === true ? fail(link, event.error, context) : close(event.error)
    case 'opened':
      if (link.kind !== 'dialling') return stay(link)
      return {
        link: { kind: 'greeting', refusal: undefined, ...attemptOf(link) },
        effects: [{ kind: 'hello', token: link.token }, { kind: 'arm', delayMs: attemptTimeoutMs }],
      }
    case 'welcomed':
      if (link.kind !== 'greeting') return stay(link)
      return {
        link: { kind: 'connected', failureCount: link.failureCount, sinceMs: context.nowMs, refusal: undefined },
        effects: [],
      }
    case 'refused':
      if (link.kind !== 'greeting' && link.kind !== 'connected' && link.kind !== 'draining') return stay(link)
      return { link: { ...link, refusal: event.error }, effects: [] }
    case 'stopping':
      if (link.kind !== 'connected') return stay(link)
      return {
        link: { ...link, kind: 'draining', retryAfterMs: event.retryAfterMs },
        effects: [{ kind: 'arm', delayMs: drainTimeoutMs }],
      }
    case 'ended':
      return hasTransport(link) ? end(link, event.code, event.reason, context) : stay(link)
    case 'broken':
      if (!hasTransport(link)) return stay(link)
      return dropping(
        isReconnectable(event.code) ? fail(link, event.error, context) : close(event.error),
        event.code, event.error.message,
      )
    case 'timer':
      return timer(link, context)
    case 'gave-up':
      return giveUp(link)
    case 'close': {
      const step = close(event.error)
      return hasTransport(link) ? dropping(step, closeCodes.NORMAL, '') : step
    }
    default:
      return unreachable(event)
  }
}

type TransportLink = Extract<Link, { kind: 'dialling' | 'greeting' | 'connected' | 'draining' }>

function hasTransport(link: Link): link is TransportLink {
  return link.kind === 'dialling' || link.kind === 'greeting' || link.kind === 'connected' || link.kind === 'draining'
}

function stay(link: Link): LinkStep {
  return { link, effects: [] }
}

function attemptOf({ reason, failureCount, error }: Attempt): Attempt {
  return { reason, failureCount, error }
}

function authenticate(attempt: Attempt): LinkStep {
  return {
    link: { kind: 'authenticating', ...attemptOf(attempt) },
    effects: [{ kind: 'fetch-token', reason: attempt.reason }, { kind: 'arm', delayMs: tokenTimeoutMs }],
  }
}

/** The transport ended by itself: what the relay said before, or else the code, decides what comes next. */
function end(link: TransportLink, code: number, reason: string, context: LinkContext): LinkStep {
  const refusal = link.kind === 'dialling' ? undefined : link.refusal
  const isTokenRefused = refusal?.code === 'UNAUTHENTICATED' || (refusal === undefined && code === closeCodes.UNAUTHENTICATED)
  if (context.isPatient === true && isTokenRefused) {
    return fail(link, refusal ?? new PocketError('UNAUTHENTICATED', endText(link, code, reason)), context)
  }
  if (!isReconnectable(code) || refusal?.retryable === false) {
    return close(refusal ?? new PocketError(stopErrorOf(code), endText(link, code, reason)))
  }
  const isUp = link.kind === 'connected' || link.kind === 'draining'
  const retryAfterMs = refusal?.retryAfterMs ?? (link.kind === 'draining' ? link.retryAfterMs : undefined)
  const error = new PocketError(isUp ? 'CONNECTION_LOST' : 'CONNECTION_REFUSED', endText(link, code, reason), {
    ...(refusal === undefined ? {} : { cause: refusal }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
  return fail(link, error, context)
}

function endText(link: TransportLink, code: number, reason: string): string {
  const what = link.kind === 'dialling' ? 'no connection could be made' : 'the relay ended the connection'
  return reason === '' ? `${what} (close code ${code})` : `${what}: ${reason} (close code ${code})`
}

function fail(link: Link, error: PocketError, context: LinkContext): LinkStep {
  const isUp = link.kind === 'connected' || link.kind === 'draining'
  const hasLived = isUp && context.nowMs - link.sinceMs >= livedMs
  const failureCount = hasLived || !('failureCount' in link) ? 1 : link.failureCount + 1
  const reason = 'reason' in link ? link.reason : 'reconnect'
  const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(failureCount, context.random)
  return { link: { kind: 'waiting', reason, failureCount, error }, effects: [{ kind: 'arm', delayMs }] }
}

function timer(link: Link, context: LinkContext): LinkStep {
  switch (link.kind) {
    case 'waiting':
      return authenticate(link)
    case 'authenticating':
      return fail(link, new PocketError('TIMEOUT', `no token came within ${tokenTimeoutMs} ms`), context)
    case 'dialling':
    case 'greeting': {
      const error = new PocketError('CONNECTION_REFUSED', `the relay did not answer within ${attemptTimeoutMs} ms`)
      return dropping(fail(link, error, context), closeCodes.HEARTBEAT_LOST, 'no answer')
    }
    case 'draining': {
      const error = new PocketError('CONNECTION_LOST', 'the relay is stopping', { retryAfterMs: link.retryAfterMs })
      return dropping(fail(link, error, context), closeCodes.NORMAL, '')
    }
    default:
      return stay(link)
  }
}

/** Only the first connection is given up; what failed last says why. */
function giveUp(link: Link): LinkStep {
  if (link.kind === 'connected' || link.kind === 'draining' || link.kind === 'closed') return stay(link)
  if ('reason' in link && link.reason === 'reconnect') return stay(link)
  const cause = (link.kind === 'greeting' ? link.refusal : undefined) ?? ('error' in link ? link.error : undefined)
  const text = cause === undefined ? 'the relay did not answer in time' : cause.message
  const step = close(new PocketError('CONNECTION_REFUSED', text, { cause }))
  return hasTransport(link) ? dropping(step, closeCodes.NORMAL, '') : step
}

function close(error: PocketError | undefined): LinkStep {
  return { link: { kind: 'closed', error }, effects: [] }
}

function dropping(step: LinkStep, code: number, reason: string): LinkStep {
  return { link: step.link, effects: [{ kind: 'drop', code, reason }, ...step.effects] }
}

function stopErrorOf(code: number): ErrorCode {
  switch (code) {
    case closeCodes.UNSUPPORTED_VERSION:
      return 'UNSUPPORTED_VERSION'
    case closeCodes.HELLO_EXPECTED:
      return 'HELLO_EXPECTED'
    case closeCodes.UNAUTHENTICATED:
      return 'UNAUTHENTICATED'
    case closeCodes.FORBIDDEN:
    case 1008:
      return 'FORBIDDEN'
    case closeCodes.LIMIT_EXCEEDED:
    case 1009:
      return 'LIMIT_EXCEEDED'
    default:
      return 'BAD_FRAME'
  }
}
