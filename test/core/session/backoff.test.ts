// How long clients wait before they try again.

import { expect, test } from 'vitest'
import { backoffDelayMs } from '../../../core/session/backoff.ts'

const almostOne = { next: () => 0.999_999, bytes: () => new Uint8Array(8) }
const zero = { next: () => 0, bytes: () => new Uint8Array(8) }

test('the longest wait doubles from 0.2 s up to 30 s', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((failureCount) => backoffDelayMs(failureCount, almostOne))
  expect(waits).toEqual([199, 399, 799, 1_599, 3_199, 6_399, 12_799, 25_599, 29_999, 29_999])
})

test('the jitter is full: any wait from none on', () => {
  expect(backoffDelayMs(9, zero)).toBe(0)
  expect(backoffDelayMs(3, { ...zero, next: () => 0.5 })).toBe(400)
})

test('thousands of failures in a row still give a wait', () => {
  expect(backoffDelayMs(100_000, almostOne)).toBe(29_999)
})
