// What the models of the demo's scenes have in common.

import { afterEach, expect, test, vi } from 'vitest'
import { PocketError } from '../../core/errors.ts'
import { createFailure, opening } from '../../demo/sale/sale.ts'

afterEach(() => void vi.useRealTimers())

test('what needs the relay is opened as soon as it can be, and says meanwhile why it is not', async () => {
  vi.useFakeTimers()
  const failure = createFailure()
  let tries = 0
  const opened = opening(failure, () => {
    if (++tries < 3) throw new PocketError('TIMEOUT', 'no answer')
    return Promise.resolve('the topic')
  })
  await vi.advanceTimersByTimeAsync(1_500)
  expect(failure.text.value).toBe('TIMEOUT: no answer')
  await vi.advanceTimersByTimeAsync(1_000)
  await expect(opened).resolves.toBe('the topic')
  expect(failure.text.value).toBeUndefined()
})
