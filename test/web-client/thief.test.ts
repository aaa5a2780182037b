// Taking the locks of a wedged engine, and the bound on it.

import { expect, test } from 'vitest'
import { createThief } from '../../web-client/hosts/thief.ts'
import { FakeLocks } from './fake-locks.ts'

const forever = () => new Promise<void>(() => {})

/** Holds the lock until it is stolen; gives that moment. */
function hold(locks: FakeLocks, name: string): Promise<string> {
  return locks.manager.request(name, forever).then(() => 'released', (error: DOMException) => error.name)
}

test('takes the engine’s locks, tells who queues on them, and leaves those of other engines and of tabs', async () => {
  const locks = new FakeLocks()
  const steal = createThief('test', locks.manager)
  const stolen = [hold(locks, 'pocketmq:test:engine'), hold(locks, 'pocketmq:test:engine:1')]
  const others = ['pocketmq:test:tab:1', 'pocketmq:other:engine', 'pocketmq:tester:engine:1']
  for (const name of others) void hold(locks, name)
  const next = locks.manager.request('pocketmq:test:engine', () => 'next')
  const mourner = locks.manager.request('pocketmq:test:engine:1', { mode: 'shared' }, () => 'told')
  await Promise.resolve()
  expect(await steal()).toBe(true)
  expect(await Promise.all([...stolen, next, mourner])).toEqual(['AbortError', 'AbortError', 'next', 'told'])
  expect(others.map((name) => locks.isHeld(name))).toEqual([true, true, true])
})

test('takes nothing where no engine holds its lock', async () => {
  const locks = new FakeLocks()
  void hold(locks, 'pocketmq:test:engine:1')
  await Promise.resolve()
  expect(await createThief('test', locks.manager)()).toBe(false)
  expect(locks.isHeld('pocketmq:test:engine:1')).toBe(true)
})

test('steals twice within a minute, and not a third time', async () => {
  const locks = new FakeLocks()
  const steal = createThief('test', locks.manager)
  for (const isStolen of [true, true, false]) {
    void hold(locks, 'pocketmq:test:engine')
    await Promise.resolve()
    expect(await steal()).toBe(isStolen)
  }
  expect(locks.isHeld('pocketmq:test:engine')).toBe(true)
})
