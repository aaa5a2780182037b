// The platform's time and chance, as the core's ports promise them.

import { performance } from 'node:perf_hooks'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createSystemClock, createSystemRandom } from '../../server/system.ts'

const clock = createSystemClock()

describe('timers', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  test('never fire early by the monotonic clock', async () => {
    const timers = Array.from({ length: 300 }, (_, index) => {
      const delayMs = (index % 30) / 3
      const dueMs = clock.monotonic() + delayMs
      return new Promise<number>((resolve) => {
        clock.setTimer(delayMs, () => resolve(clock.monotonic() - dueMs))
      })
    })
    for (const lateMs of await Promise.all(timers)) expect(lateMs).toBeGreaterThanOrEqual(0)
  })

  test('are armed again where the platform calls early', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const monotonic = vi.spyOn(performance, 'now').mockReturnValue(1_000)
    const fire = vi.fn<() => void>()
    clock.setTimer(10, fire)
    monotonic.mockReturnValue(1_009.4)
    vi.advanceTimersByTime(10)
    expect(fire).not.toHaveBeenCalled()
    monotonic.mockReturnValue(1_010)
    vi.advanceTimersByTime(1)
    expect(fire).toHaveBeenCalledOnce()
  })

  test('of more than 2^31 ms wait their time', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    vi.spyOn(performance, 'now').mockImplementation(() => Date.now())
    const fire = vi.fn<() => void>()
    clock.setTimer(2 ** 32, fire)
    vi.advanceTimersByTime(2 ** 32 - 2)
    expect(fire).not.toHaveBeenCalled()
    vi.advanceTimersByTime(3)
    expect(fire).toHaveBeenCalledOnce()
  })

  test('do not fire once they are cancelled, nor from within the call that sets them', async () => {
    const fire = vi.fn<() => void>()
    const cancel = clock.setTimer(0, fire)
    expect(fire).not.toHaveBeenCalled()
    cancel()
    cancel()
    await new Promise<void>((resolve) => {
      clock.setTimer(5, resolve)
    })
    expect(fire).not.toHaveBeenCalled()
  })
})

test('deferred work runs in order, later in the same turn or in the next', async () => {
  const ran: number[] = []
  await new Promise<void>((resolve) => {
    clock.defer(() => ran.push(1))
    clock.defer(() => ran.push(2))
    clock.defer(resolve)
    expect(ran).toEqual([])
  })
  expect(ran).toEqual([1, 2])
})

test('wall time is the time of day', () => {
  const before = Date.now()
  expect(clock.now()).toBeGreaterThanOrEqual(before)
})

test('random bytes are as many as asked for, and differ', () => {
  const random = createSystemRandom()
  expect(random.bytes(0)).toHaveLength(0)
  expect(random.bytes(100_000)).toHaveLength(100_000)
  expect(random.bytes(16)).not.toEqual(random.bytes(16))
  const number = random.next()
  expect(number >= 0 && number < 1).toBe(true)
})
