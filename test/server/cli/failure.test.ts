// How a failed command speaks: one line, a code, a next step, an exit code.

import { describe, expect, test } from 'vitest'
import { errorCodes } from '../../../core/error-codes.ts'
import { type ErrorCode, PocketError } from '../../../core/errors.ts'
import { failureOf, formatFailure, UsageError } from '../../../server/cli/failure.ts'

const url = 'ws://127.0.0.1:7600'

describe('a failure', () => {
  test('of the connection names the url and how to start a relay', () => {
    const failure = failureOf(new PocketError('CONNECTION_REFUSED', 'ECONNREFUSED'), url)
    expect(formatFailure(failure)).toBe(
      'pocketmq: no relay answers at ws://127.0.0.1:7600 (CONNECTION_REFUSED). ' +
      'Start one with `npm start` or `pocketmq serve`, or name another with --url',
    )
    expect(failure.exitCode).toBe(1)
  })

  test('of the connection says why where something answers, or the host is not there', () => {
    const failures = [
      'no connection could be made: the server answered 503 Service Unavailable: full (close code 4003)',
      'no connection could be made: getaddrinfo ENOTFOUND nohost.invalid (close code 1006)',
    ].map((message) => formatFailure(failureOf(new PocketError('CONNECTION_REFUSED', message), url)))
    expect(failures).toEqual([
      `pocketmq: cannot connect to ${url}: the server answered 503 Service Unavailable: full (CONNECTION_REFUSED). ` +
      'Is it the relay’s address, and does it let you in?',
      `pocketmq: cannot connect to ${url}: getaddrinfo ENOTFOUND nohost.invalid (CONNECTION_REFUSED). ` +
      'Is the name of the host right?',
    ])
  })

  test('of input that is wrong in itself is wrong usage', () => {
    for (const code of ['BAD_ARGUMENT', 'BAD_NAME', 'BAD_FILTER'] as const) {
      expect(failureOf(new PocketError(code, 'wrong'), url).exitCode).toBe(2)
    }
    expect(formatFailure(failureOf(new UsageError('nothing to send'), url))).toBe('pocketmq: nothing to send')
    expect(failureOf(new UsageError('nothing to send'), url).exitCode).toBe(2)
  })

  test.each(Object.keys(errorCodes) as ErrorCode[])('with code %s is one line that names it', (code) => {
    const line = formatFailure(failureOf(new PocketError(code, 'first line\nsecond line.'), url))
    expect(line).toContain(`(${code})`)
    expect(line).not.toMatch(/[\n\r]|\.\.|\s$/)
  })

  test('says when to come back where the relay knows', () => {
    const failure = failureOf(new PocketError('OVERLOADED', 'too many', { retryAfterMs: 250 }), url)
    expect(formatFailure(failure)).toBe('pocketmq: too many (OVERLOADED). Try again in 250 ms')
  })

  test('that nobody expected reads as INTERNAL', () => {
    expect(failureOf(new TypeError('x is undefined'), url)).toMatchObject({ code: 'INTERNAL', exitCode: 1 })
  })
})
