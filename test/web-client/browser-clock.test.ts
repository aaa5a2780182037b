// What the browser's clock defers: in order, after the current work, and never for so long that the browser's own tasks wait.

import { afterEach, expect, test, vi } from 'vitest'
import { createBrowserClock } from '../../web-client/system.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

test('what is deferred runs in order, behind the work that deferred it', async () => {
  const clock = createBrowserClock()
  const seen: string[] = []
  await new Promise<void>((resolve) => {
    clock.defer(() => {
      seen.push('first')
      clock.defer(() => {
        seen.push('third')
        resolve()
      })
    })
    clock.defer(() => seen.push('second'))
    seen.push('work')
  })
  expect(seen).toEqual(['work', 'first', 'second', 'third'])
})

test('turns that follow each other for ever let tasks of others in', async () => {
  const clock = createBrowserClock()
  const turnCountMax = 1_000_000
  let turnCount = 0
  let isStopped = false
  const turn = (): void => {
    turnCount++
    // Else it would hang here for ever, where it should fail.
    if (!isStopped && turnCount < turnCountMax) clock.defer(turn)
  }
  clock.defer(turn)
  for (let task = 0; task < 5; task++) await new Promise((resolve) => setImmediate(resolve))
  isStopped = true
  expect(turnCount).toBeGreaterThan(0)
  expect(turnCount).toBeLessThan(turnCountMax)
})

test('one that throws takes no other with it', async () => {
  const reported: unknown[] = []
  vi.stubGlobal('reportError', (error: unknown) => reported.push(error))
  const clock = createBrowserClock()
  const failure = new Error('thrown in a turn')
  await new Promise<void>((resolve) => {
    clock.defer(() => {
      throw failure
    })
    clock.defer(resolve)
  })
  expect(reported).toEqual([failure])
})
