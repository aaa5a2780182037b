// When a broker counts as open: once its first commit is durable, or before that, with everything told after it.

import { expect, test } from 'vitest'
import { Broker } from '../../../core/broker/broker.ts'
import type { PocketError } from '../../../core/errors.ts'
import { defaultLimits } from '../../../core/limits.ts'
import { silentLog } from '../../../core/ports/log.ts'
import type { Store } from '../../../core/ports/store.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom } from '../../sim/sim-random.ts'

/** A broker that is being opened on a store whose commits wait for the test. */
function opening(opensEarly: boolean) {
  const clock = new SimClock()
  const memory = createMemoryStore({ clock })
  const commits: { done(): void; refuse(): void }[] = []
  const store: Store = {
    read: (range, answer) => memory.read(range, answer),
    commit: (writes, answer, options) => void commits.push({
      done: () => memory.commit(writes, answer, options),
      refuse: () => answer({ kind: 'not-written', reason: 'full', cause: undefined }),
    }),
    space: () => memory.space(),
    close: () => memory.close(),
  }
  const failures: PocketError[] = []
  const outcome: { broker?: Broker; error?: PocketError } = {}
  Broker.open({
    store, clock, opensEarly, random: createSimRandom(7), log: silentLog, limits: defaultLimits, autoCreateTopics: true,
    failed: (error) => failures.push(error),
  }).then((broker) => (outcome.broker = broker), (error: PocketError) => (outcome.error = error))
  const settle = async () => {
    for (let quiet = 0; quiet < 50; quiet++) {
      clock.runUntilIdle()
      await Promise.resolve()
    }
  }
  return { commits, failures, outcome, settle }
}

test('a broker is open when its first commit is durable', async () => {
  const { commits, outcome, settle } = opening(false)
  await settle()
  expect(outcome).toEqual({})
  commits[0]?.done()
  await settle()
  expect(outcome.broker).toBeInstanceOf(Broker)
})

test('a broker whose first commit is refused does not open', async () => {
  const { commits, failures, outcome, settle } = opening(false)
  await settle()
  commits[0]?.refuse()
  await settle()
  expect(outcome).toMatchObject({ error: { code: 'STORE_FULL' } })
  expect(failures).toEqual([])
})

test('one that opens early takes what is asked, and tells nothing before that commit', async () => {
  const { commits, outcome, settle } = opening(true)
  await settle()
  const answers: unknown[] = []
  outcome.broker?.describeTopic('nobody', (answer) => answers.push(answer))
  await settle()
  expect(answers).toEqual([])
  expect(commits).toHaveLength(1)
  commits[0]?.done()
  await settle()
  expect(answers).toMatchObject([{ code: 'TOPIC_NOT_FOUND' }])
})

test('one that opened early and whose first commit is refused says that it failed, and answers nothing', async () => {
  const { commits, failures, outcome, settle } = opening(true)
  await settle()
  const answers: unknown[] = []
  outcome.broker?.describeTopic('nobody', (answer) => answers.push(answer))
  await settle()
  commits[0]?.refuse()
  await settle()
  expect(failures).toMatchObject([{ code: 'STORE_FULL' }])
  expect(answers).toEqual([])
})
