// Logs whose messages go one by one, while others read them: a follower's copy stays a copy, and a group that takes its
// time gets everything that is left.

import { describe, expect, it } from 'vitest'
import type { FollowerSink, Following } from '../../../core/broker/door.ts'
import type { PocketError } from '../../../core/errors.ts'
import { deadLetterTopicOf } from '../../../core/model/names.ts'
import type { Store, StoreEntry } from '../../../core/ports/store.ts'
import type { Change } from '../../../core/protocol/frames.ts'
import { Replica } from '../../../core/replica/replica.ts'
import { keyKinds, topicRange } from '../../../core/storage/keys.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { createSimRandom, type SimRandom } from '../../sim/sim-random.ts'
import { BrokerWorld, idBytes, slowCommits, TestMember } from './broker-world.ts'
import { auditStore } from './store-audit.ts'

/** A copy of some topics, which takes changes as they come. */
class Copy implements FollowerSink {
  isWritable = true
  following: Following | undefined
  isCurrent = false
  readonly #world: BrokerWorld
  readonly #store: Store
  #waiting: Change[][] = []
  #replica: Replica | undefined

  constructor(world: BrokerWorld) {
    this.#world = world
    this.#store = createMemoryStore({ clock: world.clock })
  }

  changes(_sequence: number, isCurrent: boolean, _lag: number, changes: readonly Change[]): void {
    this.isCurrent = isCurrent
    this.#waiting.push([...changes])
  }

  revoked(reason: PocketError): void {
    throw reason
  }

  /** Follows from where it stands. */
  async follow(topics: readonly string[]): Promise<void> {
    await this.apply()
    const replica = await this.#world.must<Replica>((answer) => void Replica.open(this.#store).then(answer))
    this.#replica = replica
    this.#waiting = []
    this.isCurrent = false
    const positions = [...replica.positions()].flatMap(([topic, queues]) =>
      [...queues].map(([queueId, position]) => ({ topic, queueId, position })))
    this.following = await this.#world.must<Following>((answer) =>
      this.#world.broker.follow({ topics, positions, withProgress: true }, this, answer))
  }

  async apply(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const changes = next
      await this.#world.must<void>((answer) => void this.#replica?.apply(changes).then(answer, answer))
    }
  }

  entries(topicId: number): Promise<string[]> {
    return entriesOf(this.#world, this.#store, topicId)
  }
}

/** What a store has of a topic: records, log states and progress. */
async function entriesOf(world: BrokerWorld, store: Store, topicId: number): Promise<string[]> {
  const all: string[] = []
  for (const kind of [keyKinds.record, keyKinds.queueState, keyKinds.progress] as const) {
    const entries = await world.must<readonly StoreEntry[]>((answer) =>
      store.read(topicRange(kind, topicId), (outcome) => answer(outcome.kind === 'entries' ? outcome.entries : [])))
    all.push(...entries.map(({ key, value }) => `${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`))
  }
  return all
}

const openWorld = (random: SimRandom) =>
  BrokerWorld.open({
    limits: {
      queueCountDefault: 1,
      attemptCountMax: 1,
      recordBytesMax: random.pick([150, 100_000]),
      tailCacheBytesMax: random.pick([0, 2_000, 1 << 20]),
      readChunkBytes: random.pick([200, 1 << 20]),
      compactLagMsMin: random.pick([0, 5_000]),
      compactLagMsMax: 20_000,
      compactTombstoneMs: 60_000,
      retentionSweepMs: 1_000,
    },
  })

describe('logs with holes', () => {
  const seedCount = Number(process.env.HOLES_SEEDS ?? 40)
  const letters = deadLetterTopicOf('g')

  it(`are copied by followers, and read to their end by a slow group, over ${seedCount} seeds`, async () => {
    let comparisons = 0
    let removed = 0
    for (let seed = 1; seed <= seedCount; seed++) {
      const at = `seed ${seed}`
      const random = createSimRandom(seed)
      const world = await openWorld(random)
      await world.createTopic('c', { cleanupPolicy: 'COMPACT', queueCount: 1 })
      await world.createTopic('t')
      slowCommits(world, random.pick([0, 2, 7]))
      let copy = new Copy(world)
      await copy.follow(['c', letters])
      const slow = new TestMember(idBytes(77), 'c')
      await world.join('c', { member: slow, group: 'slow', credit: 0, leaseMs: 3_600_000 })
      let number = 0
      for (let step = 0; step < 70; step++) {
        const dice = random.next()
        copy.following?.credit(random.below(4), random.below(2_000))
        if (dice < 0.35) {
          const values = Array.from({ length: 1 + random.below(5) }, () =>
            ({ body: random.chance(0.1) ? '' : `${number++}`, keys: [`k${random.below(6)}`] }))
          await world.publish('c', values)
        } else if (dice < 0.5) {
          await world.publish('t', Array.from({ length: 1 + random.below(5) }, () => `${number++}`))
          const member = await world.join('t')
          await world.retry(member, member.held, 'schedule')
          await world.must((answer) => member.membership?.leave(answer))
        } else if (dice < 0.7) {
          const to = { group: 'g', messageIds: [] }
          const move = random.chance(0.5) ? 'resendDeadLetters' : 'purgeDeadLetters'
          world.broker[move](to, () => {})
          for (let turns = random.below(20); turns > 0; turns--) {
            world.clock.runTurn()
            await Promise.resolve()
          }
        } else if (dice < 0.85) {
          slow.membership?.credit(random.below(4), 1 << 20)
          await world.advance(random.below(8_000))
        } else if (dice < 0.95) {
          await copy.apply()
          if (random.chance(0.4)) {
            copy.following?.leave()
            await copy.follow(['c', letters])
          }
        } else {
          removed += world.broker.counters.compactedMessages + world.broker.counters.resentDeadLetters
          await world.reopen()
          expect(world.broker.damages, at).toEqual([])
          const positions = slow.membership
          await world.join('c', { member: slow, group: 'slow', credit: 0, leaseMs: 3_600_000 })
          expect(positions).toBeDefined()
          await copy.follow(['c', letters])
        }
      }
      removed += world.broker.counters.compactedMessages + world.broker.counters.resentDeadLetters
      await world.advance(30_000)
      copy.following?.credit(1e6, 1e9)
      for (let round = 0; !copy.isCurrent && round < 50; round++) {
        await world.settle()
        await copy.apply()
      }
      await world.settle()
      await copy.apply()
      expect(copy.isCurrent, at).toBe(true)
      // Those that were made in this order.
      for (const topicId of [1, 2, 3]) {
        const expected = await entriesOf(world, world.store, topicId)
        const copied = await copy.entries(topicId)
        if (topicId === 2) continue
        expect(copied, at).toEqual(expected)
        comparisons += expected.length
      }
      slow.membership?.credit(100_000, 1 << 30)
      await world.settle()
      await world.settle()
      const offsets = slow.held.map(({ message }) => message.offset)
      const reader = await world.join('c', { group: 'all', mode: 'BROADCASTING' })
      const left = reader.held.map(({ message }) => message.offset)
      expect(left.filter((offset) => !offsets.includes(offset)), at).toEqual([])
      expect(new Set(offsets).size, at).toBe(offsets.length)
      expect([...slow.gaps, ...reader.gaps], at).toEqual([])
      expect(await auditStore(world), at).toEqual([])
      expect(world.failures, at).toEqual([])
      copy = new Copy(world)
    }
    expect(comparisons).toBeGreaterThan(seedCount * 4)
    expect(removed).toBeGreaterThan(seedCount * 10)
  }, 120_000)
})
