// Several writers over one store: what a writer says of its commit reaches the store.

import { expect, it } from 'vitest'
import type { CommitOptions } from '../../../core/ports/store.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { createSharedStore } from '../../../core/storage/shared-store.ts'
import { SimClock } from '../../sim/sim-clock.ts'

it('hands on what a writer says of a commit, of one that had to wait too', () => {
  const clock = new SimClock()
  const store = createMemoryStore({ clock })
  const heard: (CommitOptions | undefined)[] = []
  const commit = store.commit.bind(store)
  store.commit = (writes, answer, options) => {
    heard.push(options)
    commit(writes, answer)
  }
  const shared = createSharedStore(store)
  const kinds: string[] = []
  for (const options of [{ isRelaxed: true }, undefined, { isRelaxed: false }, { isRelaxed: true }]) {
    shared.commit([{ key: Uint8Array.of(1), value: null }], ({ kind }) => kinds.push(kind), options)
  }
  clock.runUntilIdle()
  expect(kinds).toEqual(['durable', 'durable', 'durable', 'durable'])
  expect(heard).toEqual([{ isRelaxed: true }, undefined, { isRelaxed: false }, { isRelaxed: true }])
})
