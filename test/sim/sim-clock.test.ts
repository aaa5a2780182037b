// The simulated clock: order, passing of time, turns.

import { expect, test } from 'vitest'
import { SimClock } from './sim-clock.ts'

test('timers fire in the order of their due times, then of their making, each at its time', () => {
  const clock = new SimClock()
  const fired: string[] = []
  const note = (name: string): (() => void) => () => fired.push(`${name}@${clock.monotonic()}`)
  clock.setTimer(30, note('late'))
  clock.setTimer(10, note('early'))
  clock.setTimer(10, note('early too'))
  clock.setTimer(20.5, note('between'))
  clock.advance(100)
  expect(fired).toEqual(['early@10', 'early too@10', 'between@20.5', 'late@30'])
  expect(clock.monotonic()).toBe(100)
})

test('time passes only as far as it is told to', () => {
  const clock = new SimClock({ startMs: 1_000 })
  let count = 0
  clock.setTimer(50, () => count++)
  clock.advance(49.9)
  expect(count).toBe(0)
  expect(clock.now()).toBe(1_049.9)
  clock.advance(0.2)
  expect(count).toBe(1)
})

test('nothing fires from within the call that asks for it', () => {
  const clock = new SimClock()
  let count = 0
  clock.setTimer(0, () => count++)
  clock.setTimer(-5, () => count++)
  clock.defer(() => count++)
  expect(count).toBe(0)
  clock.runUntilIdle()
  expect(count).toBe(3)
  expect(clock.monotonic()).toBe(0)
})

test('a cancelled timer does not fire, and cancelling it later does nothing', () => {
  const clock = new SimClock()
  const fired: number[] = []
  const cancels = [1, 2, 3].map((number) => clock.setTimer(number, () => fired.push(number)))
  cancels[1]?.()
  clock.advance(10)
  for (const cancel of cancels) cancel()
  clock.advance(10)
  expect(fired).toEqual([1, 3])
  expect(clock.nextTimerMs).toBeUndefined()
})

test('deferred work runs after the timers of its turn, and what it defers in the next turn', () => {
  const clock = new SimClock()
  const ran: string[] = []
  clock.defer(() => {
    ran.push('deferred')
    clock.defer(() => ran.push('deferred by deferred'))
    clock.setTimer(0, () => ran.push('timer by deferred'))
  })
  clock.setTimer(0, () => {
    ran.push('timer')
    clock.defer(() => ran.push('deferred by timer'))
  })
  clock.runTurn()
  expect(ran).toEqual(['timer', 'deferred', 'deferred by timer'])
  clock.runTurn()
  expect(ran.slice(3)).toEqual(['timer by deferred', 'deferred by deferred'])
  expect(clock.isIdle).toBe(true)
})

test('a timer that sets the next one goes on at its pace', () => {
  const clock = new SimClock()
  const times: number[] = []
  const tick = (): void => {
    times.push(clock.monotonic())
    clock.setTimer(7, tick)
  }
  clock.setTimer(7, tick)
  clock.advance(30)
  expect(times).toEqual([7, 14, 21, 28])
})

test('a step does what is left at this moment, or goes on to the next timer', () => {
  const clock = new SimClock()
  clock.setTimer(1_000, () => {})
  clock.defer(() => {})
  expect(clock.step()).toBe(true)
  expect(clock.monotonic()).toBe(0)
  expect(clock.step()).toBe(true)
  expect(clock.monotonic()).toBe(1_000)
  expect(clock.step()).toBe(false)
})

test('the wall clock may jump, also backwards, and timers do not notice', () => {
  const clock = new SimClock({ startMs: 5_000 })
  let firedAt = 0
  clock.setTimer(10, () => (firedAt = clock.monotonic()))
  clock.jumpWall(-3_000)
  expect(clock.now()).toBe(2_000)
  clock.advance(20)
  expect(firedAt).toBe(10)
})

test('ten thousand timers in random order fire in order', () => {
  const clock = new SimClock()
  let last = -1
  for (let index = 0; index < 10_000; index++) {
    const dueMs = (index * 7_919) % 10_007
    clock.setTimer(dueMs, () => {
      expect(dueMs).toBeGreaterThan(last)
      last = dueMs
    })
  }
  clock.advance(20_000)
  expect(last).toBeGreaterThan(10_000)
})

test('work that never ends is reported instead of running for ever', () => {
  const clock = new SimClock()
  const again = (): void => clock.defer(again)
  clock.defer(again)
  expect(() => clock.runUntilIdle()).toThrow('no end of work')
})
