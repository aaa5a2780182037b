// The arithmetic of the bench.

import { describe, expect, test } from 'vitest'

import { timesBetter } from './figures.ts'
import { median, percentile } from './stats.ts'

describe('median', () => {
  test('is the middle value, whatever the order', () => {
    expect(median([100, 9, 10])).toBe(10)
  })

  test('is the mean of the two middle values of an even count', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  test('of nothing is not a number', () => {
    expect(median([])).toBeNaN()
  })
})

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)

  test('is the smallest value that the share of values do not exceed', () => {
    expect(percentile(hundred, 0.5)).toBe(50)
    expect(percentile(hundred, 0.99)).toBe(99)
    expect(percentile(hundred, 1)).toBe(100)
  })

  test('of one value is that value', () => {
    expect(percentile([7], 0.99)).toBe(7)
  })
})

describe('timesBetter', () => {
  test('is above 1 for a higher rate and for a lower cost', () => {
    expect(timesBetter('messagesPerSecond', { messagesPerSecond: 300 }, { messagesPerSecond: 100 })).toBe(3)
    expect(timesBetter('serverMicros', { serverMicros: 2 }, { serverMicros: 8 })).toBe(4)
  })

  test('is undefined where one side has no such figure', () => {
    expect(timesBetter('p50Ms', { p50Ms: 1 }, {})).toBeUndefined()
    expect(timesBetter('p50Ms', { p50Ms: 0 }, { p50Ms: 1 })).toBeUndefined()
  })
})
