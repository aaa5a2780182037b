// The table of codes and the one error class.

import { describe, expect, test } from 'vitest'
import { errorCodeOf, errorCodes } from '../../core/error-codes.ts'
import { type ErrorCode, PocketError, toPocketError } from '../../core/errors.ts'
import { errorMeanings } from '../../core/error-meanings.ts'

const entries = Object.entries(errorCodes) as [ErrorCode, (typeof errorCodes)[ErrorCode]][]

describe('the table of codes', () => {
  test('gives every code a number of its own that fits the wire', () => {
    const numbers = entries.map(([, { number }]) => number)
    expect(new Set(numbers).size).toBe(numbers.length)
    for (const number of numbers) expect(number > 0 && number <= 0xffff).toBe(true)
  })

  test('is found by number as by name', () => {
    for (const [code, { number }] of entries) expect(errorCodeOf(number)).toBe(code)
  })

  test('reads a number of a newer peer as INTERNAL', () => {
    expect(errorCodeOf(0)).toBe('INTERNAL')
    expect(errorCodeOf(65_535)).toBe('INTERNAL')
  })

  test('says in one line what each code means', () => {
    for (const meaning of Object.values(errorMeanings)) expect(meaning).toMatch(/^[^\n|]{10,140}$/)
  })
})

describe('a PocketError', () => {
  test('tells from its code whether to try again', () => {
    for (const [code, { retry }] of entries) expect(new PocketError(code, 'x').retryable).toBe(retry === 'retry')
  })

  test('is an Error with name, message, stack and cause', () => {
    const cause = new Error('beneath')
    const error = new PocketError('STORE_FAILED', 'the disk is gone', { cause, retryAfterMs: 50 })
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ name: 'PocketError', message: 'the disk is gone', cause, retryAfterMs: 50 })
    expect(error.stack).toContain('errors.test')
  })

  test('has no cause unless it was given one', () => {
    expect('cause' in new PocketError('TIMEOUT', 'x')).toBe(false)
    expect(new PocketError('TIMEOUT', 'x', { cause: undefined })).toHaveProperty('cause', undefined)
  })

  test('becomes JSON without its stack', () => {
    expect(JSON.parse(JSON.stringify(new PocketError('OVERLOADED', 'later')))).toEqual({
      code: 'OVERLOADED', message: 'later', retryable: true,
    })
  })

  test('is made of any thrown value, and stays itself', () => {
    const error = new PocketError('BAD_NAME', 'x')
    expect(toPocketError(error)).toBe(error)
    const thrown = new TypeError('oops')
    expect(toPocketError(thrown)).toMatchObject({ code: 'INTERNAL', message: 'oops', cause: thrown })
    expect(toPocketError('text')).toMatchObject({ code: 'INTERNAL', message: 'text', cause: 'text' })
    expect(toPocketError(undefined)).toMatchObject({ code: 'INTERNAL', message: 'undefined' })
  })
})
