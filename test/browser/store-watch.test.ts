// How long a connection waits for IndexedDB, and what it makes of a worker that was frozen meanwhile. In Node, with a
// clock whose timers fire when the test says so, and an IndexedDB of which nothing is asked.

import { expect, test } from 'vitest'
import { silentLog } from '../../core/ports/log.ts'
import { IdbConnection } from '../../web-client/store/idb-connection.ts'

function setUp() {
  let nowMs = 0
  let timers: { readonly dueMs: number; readonly fire: () => void }[] = []
  const clock = {
    now: () => nowMs,
    monotonic: () => nowMs,
    setTimer: (delayMs: number, fire: () => void) => {
      timers.push({ dueMs: nowMs + delayMs, fire })
      return () => {}
    },
    defer: (run: () => void) => run(),
  }
  const database = { name: 'x', close() {}, onclose: null, onversionchange: null } as unknown as IDBDatabase
  const factory = {} as IDBFactory
  const options = { factory, database: 'x', clock, timeoutMs: 100, log: silentLog, lost: () => {} }
  return {
    connection: new IdbConnection(options, { db: database, epoch: 1, generation: 'g', isNew: true }),
    timerCount: () => timers.length,
    /** Lets time pass at once, and then fires what is due: the worker did not run in between. */
    pass: (ms: number) => {
      nowMs += ms
      const due = timers.filter(({ dueMs }) => dueMs <= nowMs)
      timers = timers.filter(({ dueMs }) => dueMs > nowMs)
      for (const { fire } of due) fire()
    },
  }
}

test('what gets no answer expires, what got one does not, and with nothing to wait for no timer runs', () => {
  const { connection, pass, timerCount } = setUp()
  const expired: string[] = []
  connection.watch(() => expired.push('first'))
  const answered = connection.watch(() => expired.push('answered'))
  pass(60)
  connection.watch(() => expired.push('second'))
  answered()
  pass(40)
  expect(expired).toEqual(['first'])
  pass(100)
  expect(expired).toEqual(['first', 'second'])
  expect(timerCount()).toBe(0)
})

test('what waited while the worker was frozen gets its time anew', () => {
  const { connection, pass } = setUp()
  const expired: string[] = []
  connection.watch((error) => expired.push(error.code))
  pass(60_000)
  expect(expired).toEqual([])
  pass(100)
  expect(expired).toEqual(['TIMEOUT'])
})
