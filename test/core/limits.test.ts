// The limits an operator may set are checked against each other, and a mistake is told by name.

import { describe, expect, test } from 'vitest'
import { checkLimits, defaultLimits, fixedLimits, type Limits, retryScheduleMs } from '../../core/limits.ts'

describe('limits', () => {
  test('that are the defaults make sense together', () => {
    expect(() => checkLimits(defaultLimits)).not.toThrow()
  })

  const names = Object.keys(defaultLimits) as (keyof Limits)[]

  test.each(names)('refuse a %s that is no whole number, naming it', (name) => {
    for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => checkLimits({ ...defaultLimits, [name]: value })).toThrow(name)
    }
  })

  test.each([
    ['a default lease below the least', { leaseMsMin: 70_000 }, 'leaseMsMin'],
    ['a default lease above the longest', { leaseMsMax: 30_000 }, 'leaseMsDefault'],
    ['a frame that cannot hold the largest message', { frameBytesMax: defaultLimits.bodyBytesMax }, 'frameBytesMax'],
    ['no queue by default', { queueCountDefault: 0 }, 'queueCountDefault'],
    ['too many queues by default', { queueCountDefault: fixedLimits.queueCountMax + 1 }, 'queueCountDefault'],
    ['a frame that no store can hold as a record', { frameBytesMax: 16 * 1024 * 1024 }, 'frameBytesMax'],
    ['a record that no store can hold', { recordBytesMax: 16 * 1024 * 1024 }, 'recordBytesMax'],
    ['more outstanding messages than one value holds', { outstandingPerQueueMax: 300_000 }, 'outstandingPerQueueMax'],
    ['no attempt', { attemptCountMax: 0 }, 'attemptCountMax'],
  ])('refuse %s', (_, change: Partial<Limits>, named) => {
    expect(() => checkLimits({ ...defaultLimits, ...change })).toThrow(named)
  })

  test('leave room for a dead letter of a message that was at every bound', () => {
    const { brokerPropertyCountMax, brokerPropertiesBytesMax } = fixedLimits
    const { systemTopicNameLengthMax, messageGroupBytesMax } = fixedLimits
    expect(brokerPropertyCountMax).toBeGreaterThanOrEqual(6)
    // Topic, message id, queue, offset, attempts and message group, with names of at most 32 bytes.
    const valuesBytesMax = systemTopicNameLengthMax + 16 + 1 + 10 + 1 + 16 + 4 + 16 + 16 + messageGroupBytesMax
    expect(brokerPropertiesBytesMax).toBeGreaterThanOrEqual(valuesBytesMax + 6 * 32)
  })

  test('keep RocketMQ’s retry schedule, which never becomes shorter', () => {
    expect(retryScheduleMs).toHaveLength(16)
    expect(retryScheduleMs[0]).toBe(10_000)
    expect(retryScheduleMs.at(-1)).toBe(7_200_000)
    expect([...retryScheduleMs].sort((left, right) => left - right)).toEqual(retryScheduleMs)
  })
})
