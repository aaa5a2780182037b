// Quantiles of the last seconds, out of a histogram that only grows.

import { expect, test } from 'vitest'
import { Histogram } from '../../core/broker/stats.ts'
import { RecentQuantiles } from '../../server/recent-quantiles.ts'

function recent() {
  const histogram = new Histogram([1, 2, 10])
  const clock = { nowMs: 5_000 }
  const quantiles = new RecentQuantiles(histogram, () => clock.nowMs)
  const median = (): number => quantiles.look([0.5])[0] as number
  return { histogram, clock, quantiles, median }
}

test('nothing counted is 0', () => {
  expect(recent().quantiles.look([0.5, 0.99])).toEqual([0, 0])
})

test('values lie evenly between the bounds of their bucket, and over the last at that', () => {
  const { histogram, quantiles } = recent()
  histogram.observe(1.5, 100)
  expect(quantiles.look([0, 0.5, 1])).toEqual([1, 1.5, 2])
  histogram.observe(50, 900)
  expect(quantiles.look([0.05, 0.5])).toEqual([1.5, 10])
})

test('what was counted more than ten seconds ago is not told any more', () => {
  const { histogram, clock, median } = recent()
  histogram.observe(0.5, 1_000)
  for (let second = 0; second < 10; second++) {
    clock.nowMs += 1_000
    histogram.observe(5, 10)
    expect(median()).toBeLessThan(1)
  }
  for (let second = 0; second < 3; second++) {
    clock.nowMs += 1_000
    histogram.observe(5, 10)
    median()
  }
  expect(median()).toBe(6)
  clock.nowMs += 60_000
  // The first to look after a long while hears of all of it, and the next of what is new.
  median()
  clock.nowMs += 10_000
  expect(median()).toBe(0)
})

test('however often somebody looks, little is kept', () => {
  const { histogram, clock, quantiles, median } = recent()
  for (let look = 0; look < 100_000; look++) {
    clock.nowMs += 1
    histogram.observe(5)
    median()
  }
  expect(quantiles.look([0.5])).toEqual([6])
})
