// Durations as people write them.

import { expect, test } from 'vitest'
import type { Duration } from '../../../core/client/api.ts'
import { durationToMs } from '../../../core/client/duration.ts'

test.each([
  [0, 0], [1_500, 1_500], [0.2, 1], ['500ms', 500], ['30s', 30_000], ['1.5s', 1_500], ['5m', 300_000],
  ['2h', 7_200_000], ['3d', 259_200_000],
] as [Duration, number][])('%j is %i ms', (duration, ms) => {
  expect(durationToMs(duration, 'lease')).toBe(ms)
})

test.each([-1, Number.NaN, Infinity, '5', 's', '5 s', '-5s', '5S', '1e3s', '', undefined, null, {}])(
  '%j is none, and the error says what it was for',
  (duration) => {
    expect(() => durationToMs(duration as Duration, 'lease')).toThrow(
      expect.objectContaining({ code: 'BAD_ARGUMENT', message: expect.stringContaining('lease') }),
    )
  },
)
