// Promises that may be left alone.

import { expect, test, vi } from 'vitest'
import { SettlePromise } from '../../../core/client/settle-promise.ts'
import { PocketError } from '../../../core/errors.ts'
import { microtasks } from '../../support/sim-wait.ts'

const stale = new PocketError('RECEIPT_STALE', 'too late')

test('a failure that nobody waits for is reported, and is no unhandled rejection', async () => {
  const report = vi.fn()
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  new SettlePromise(report).fail(stale)
  await microtasks()
  await microtasks()
  process.off('unhandledRejection', unhandled)
  expect(report).toHaveBeenCalledExactlyOnceWith(stale)
  expect(unhandled).not.toHaveBeenCalled()
})

test.each([
  ['await', async (promise: Promise<void>) => {
    await promise
  }],
  ['then', (promise: Promise<void>) => promise.then(() => {})],
  ['catch', (promise: Promise<void>) => promise.catch((error: unknown) => Promise.reject(error))],
  ['Promise.all', (promise: Promise<void>) => Promise.all([promise, undefined])],
  ['Promise.race', (promise: Promise<void>) => Promise.race([promise, new Promise(() => {})])],
])('a failure that someone hears by %s is not reported, also when it came before', async (_way, wait) => {
  const report = vi.fn()
  const early = new SettlePromise(report)
  const heardEarly = wait(early).then(() => 'no failure', (error: unknown) => error)
  early.fail(stale)
  expect(await heardEarly).toBe(stale)
  const late = new SettlePromise(report)
  late.fail(stale)
  await expect(wait(late)).rejects.toBe(stale)
  await microtasks()
  expect(report).not.toHaveBeenCalled()
})

test('success is reported to nobody', async () => {
  const report = vi.fn()
  const promise = new SettlePromise(report)
  promise.succeed()
  promise.fail(stale)
  await promise
  await microtasks()
  expect(report).toHaveBeenCalledTimes(0)
})

test('what then gives is a plain promise', () => {
  const promise = new SettlePromise(() => {})
  expect(promise).toBeInstanceOf(Promise)
  expect(promise.then(() => {}).constructor).toBe(Promise)
})
