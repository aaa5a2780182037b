// A failed command in one line: what failed, its code, and what to do next.

import { type ErrorCode, type PocketError, toPocketError } from '../../core/errors.ts'
import { exitCodes } from './exit-codes.ts'

/** Wrong usage that only shows when the command runs: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Failure {
  readonly text: string
  readonly code: ErrorCode | 'USAGE'
  /** What to do next; empty where nothing sensible can be said. */
  readonly hint: string
  readonly exitCode: number
}

const usageCodes: ReadonlySet<ErrorCode> = new Set(['BAD_ARGUMENT', 'BAD_NAME', 'BAD_FILTER'])

/** Anything a command may throw, as its failure. */
export function failureOf(thrown: unknown, url: string): Failure {
  if (thrown instanceof UsageError) {
    return { text: thrown.message, code: 'USAGE', hint: '', exitCode: exitCodes.usage }
  }
  const error = toPocketError(thrown)
  return {
    text: textOf(error, url),
    code: error.code,
    hint: hintFor(error),
    exitCode: usageCodes.has(error.code) ? exitCodes.usage : exitCodes.failed,
  }
}

/** The line for people. */
export function formatFailure(failure: Failure): string {
  const code = failure.code === 'USAGE' ? '' : ` (${failure.code})`
  const text = failure.text.replaceAll(/\s*[\r\n]+\s*/g, ' ').replace(/\.$/, '')
  return `pocketmq: ${text}${code}${failure.hint === '' ? '' : `. ${failure.hint}`}`
}

function textOf(error: PocketError, url: string): string {
  if (error.code !== 'CONNECTION_REFUSED') return error.message
  return isNobodyThere(error) ? `no relay answers at ${url}` : `cannot connect to ${url}: ${reasonIn(error)}`
}

/** Nothing listens, or nothing that says why. */
function isNobodyThere({ message }: PocketError): boolean {
  return !/the server answered|ENOTFOUND|EAI_AGAIN|does not speak|certificate/i.test(message)
}

function reasonIn({ message }: PocketError): string {
  return message.replace(/^no connection could be made: /, '').replace(/ \(close code \d+\)$/, '')
}

/** Where a code has several causes, and the text tells which. */
function hintByText(error: PocketError): string | undefined {
  const { code, message } = error
  if (code === 'CONNECTION_REFUSED' && !isNobodyThere(error)) {
    const isUnknown = /ENOTFOUND|EAI_AGAIN/.test(message)
    return isUnknown ? 'Is the name of the host right?' : 'Is it the relay’s address, and does it let you in?'
  }
  if (code === 'TIMEOUT' && message.includes('reply')) return 'Does a consumer of it reply? `pocketmq consume --reply` does'
  if (code === 'MESSAGE_TYPE_MISMATCH' && message.includes('priority')) return 'Only messages of a PRIORITY topic have one'
  if (code === 'FORBIDDEN' && message.includes("the broker's own")) return 'Name a topic that does not begin with %'
  return undefined
}

function hintFor(error: PocketError): string {
  const hint = hintByText(error) ?? hints[error.code]
  if (hint !== undefined) return hint
  if (error.retryAfterMs !== undefined && error.retryAfterMs > 0) return `Try again in ${error.retryAfterMs} ms`
  return error.retryable ? 'Try again' : ''
}

const hints: { readonly [C in ErrorCode]?: string } = {
  CONNECTION_REFUSED: 'Start one with `npm start` or `pocketmq serve`, or name another with --url',
  TIMEOUT: 'Is the relay overloaded, or something else listening at that url?',
  UNAUTHENTICATED: 'Pass the token with --token or POCKETMQ_TOKEN',
  FORBIDDEN: 'Use a token that allows it',
  UNSUPPORTED_VERSION: 'Relay and CLI must come from releases that share a protocol version',
  TOPIC_NOT_FOUND: '`pocketmq topic list` shows what there is, `pocketmq topic create` makes one',
  TOPIC_EXISTS: '`pocketmq topic describe` shows its settings',
  GROUP_NOT_FOUND: '`pocketmq group list` shows what there is',
  QUEUE_NOT_FOUND: '`pocketmq topic describe` shows its queues',
  SUBSCRIPTION_CONFLICT: 'Use the filter and mode of its other members, or another --group',
  MESSAGE_TYPE_MISMATCH: 'Name one with --group for a FIFO topic, leave it out for a NORMAL one',
  STORE_FULL: 'Free room on the relay’s disk, or delete a topic',
  INTERNAL: '',
}
