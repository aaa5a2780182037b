// How often a relay looks at itself, whoever asks.

import { expect, test } from 'vitest'
import { lookSparingly } from '../../server/relay-description.ts'

test('a look that took long is given again until it is a twentieth of the time that went by', () => {
  let nowMs = 0
  let lookCount = 0
  const look = lookSparingly(() => {
    nowMs += 100
    return ++lookCount
  }, () => nowMs)
  expect(look()).toBe(1)
  nowMs += 1_999
  expect(look()).toBe(1)
  nowMs += 1
  expect(look()).toBe(2)
})

test('a look that takes little is made anew each time', () => {
  let nowMs = 0
  let lookCount = 0
  const look = lookSparingly(() => {
    nowMs += 4
    return ++lookCount
  }, () => nowMs)
  expect([look(), look(), look()]).toEqual([1, 2, 3])
})
