// Following: what a follower is told, applied to a store of its own, makes it the copy of the relay's, whatever the
// order of things, however slow the follower, wherever it goes on from.

import { describe, expect, it } from 'vitest'
import type { FollowerSink, Following } from '../../../core/broker/door.ts'
import { PocketError } from '../../../core/errors.ts'
import { fixedLimits } from '../../../core/limits.ts'
import type { Position } from '../../../core/model/position.ts'
import type { Store, StoreEntry } from '../../../core/ports/store.ts'
import type { Change } from '../../../core/protocol/frames.ts'
import { Replica } from '../../../core/replica/replica.ts'
import { keyKinds, kindRange } from '../../../core/storage/keys.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { BrokerWorld, idBytes, topicOptions } from './broker-world.ts'

class TestFollower implements FollowerSink {
  isWritable = true
  following!: Following
  readonly batches: { sequence: number; isCurrent: boolean; lag: number; changes: readonly Change[] }[] = []
  readonly revocations: PocketError[] = []
  readonly store: Store
  replica!: Replica
  #appliedCount = 0

  constructor(store: Store) {
    this.store = store
  }

  changes(sequence: number, isCurrent: boolean, lag: number, changes: readonly Change[]): void {
    this.batches.push({ sequence, isCurrent, lag, changes })
  }

  revoked(reason: PocketError): void {
    this.revocations.push(reason)
  }

  get kinds(): string[] {
    return this.batches.flatMap(({ changes }) => changes.map(({ kind }) => kind))
  }

  /** Applies what has come since. */
  async apply(world: BrokerWorld): Promise<void> {
    for (; this.#appliedCount < this.batches.length; this.#appliedCount++) {
      const batch = this.batches[this.#appliedCount] as (typeof this.batches)[number]
      await finished(world, this.replica.apply(batch.changes))
    }
  }
}

async function finished<T>(world: BrokerWorld, promise: Promise<T>): Promise<T> {
  return world.must<T>((answer) => void promise.then(answer, (error: unknown) => answer(error as PocketError)))
}

async function follow(
  world: BrokerWorld, topics: readonly string[], options: {
    readonly store?: Store
    readonly withProgress?: boolean
    readonly credit?: readonly [changeCount: number, byteCount: number]
    readonly positions?: readonly { topic: string; queueId: number; position: Position }[]
  } = {},
): Promise<TestFollower> {
  const store = options.store ?? createMemoryStore({ clock: world.clock })
  const follower = new TestFollower(store)
  follower.replica = await finished(world, Replica.open(store))
  const positions = options.positions ?? [...follower.replica.positions()].flatMap(([topic, queues]) => {
    return [...queues].map(([queueId, position]) => ({ topic, queueId, position }))
  })
  const request = { topics, positions, withProgress: options.withProgress ?? true }
  follower.following = await world.must<Following>((answer) => world.broker.follow(request, follower, answer))
  follower.following.credit(...(options.credit ?? [1e6, 1e9]))
  await world.settle()
  return follower
}

const copiedKinds = [keyKinds.topic, keyKinds.group, keyKinds.queueState, keyKinds.record, keyKinds.progress] as const

async function contentOf(world: BrokerWorld, store: Store): Promise<Map<string, string>> {
  const content = new Map<string, string>()
  for (const kind of copiedKinds) {
    const entries = await finished(world, new Promise<readonly StoreEntry[]>((resolve) => {
      store.read(kindRange(kind), (outcome) => resolve(outcome.kind === 'entries' ? outcome.entries : []))
    }))
    for (const { key, value } of entries) content.set(Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex'))
  }
  return content
}

/** The copy holds what the relay holds. */
async function expectSame(world: BrokerWorld, follower: TestFollower): Promise<void> {
  await world.settle()
  await follower.apply(world)
  expect(follower.batches.at(-1)).toMatchObject({ isCurrent: true, lag: 0 })
  expect(await contentOf(world, follower.store)).toEqual(await contentOf(world, world.store))
}

describe('a follower', () => {
  it('copies topics, groups and progress that were there before it', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    await world.publish('t', ['a', 'b', 'c'])
    const member = await world.join('t')
    await world.ack(member, member.held.slice(0, 1))
    const follower = await follow(world, ['t'])
    await expectSame(world, follower)
    expect(follower.kinds.slice(0, 3)).toEqual(['topic', 'log', 'log'])
  })

  it('goes on with what happens: messages, acks, configuration, deletion', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', ['a'])
    const follower = await follow(world, ['t'])
    await world.publish('t', ['b', 'c'])
    const member = await world.join('t')
    await world.ack(member, member.held)
    await world.configureGroup('g', { attemptCountMax: 3 })
    const options = topicOptions({ retentionMs: 5_000 })
    await world.must((answer) => world.broker.configureTopic({ topic: 't', options }, answer))
    await expectSame(world, follower)
    await world.must((answer) => world.broker.deleteGroup('g', answer))
    await expectSame(world, follower)
    await world.must((answer) => world.broker.deleteTopic('t', answer))
    await world.settle()
    await follower.apply(world)
    expect(await contentOf(world, follower.store)).toEqual(new Map())
    await world.publish('t', ['anew'], 2)
    await expectSame(world, follower)
  })

  it('tells of records before the progress that speaks of them', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    const follower = await follow(world, ['t'], { credit: [1e6, 1e9] })
    await world.publish('t', ['b'])
    await world.ack(member, member.held)
    await world.settle()
    const kinds = follower.batches.at(-2)?.changes.map(({ kind }) => kind) ?? []
    expect(kinds.indexOf('record')).toBeLessThan(kinds.indexOf('progress'))
    await expectSame(world, follower)
  })

  it('follows a topic that does not exist yet', async () => {
    const world = await BrokerWorld.open()
    const follower = await follow(world, ['later'])
    expect(follower.batches).toMatchObject([{ isCurrent: true, changes: [] }])
    await world.publish('later', ['a'])
    await expectSame(world, follower)
  })

  it('is sent no more than it gave credit for, and costs no memory meanwhile', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', ['a'])
    const follower = await follow(world, ['t'], { credit: [1, 1] })
    expect(follower.kinds).toEqual(['topic'])
    for (let round = 0; round < 50; round++) await world.publish('t', [`message ${round}`])
    expect(follower.kinds).toEqual(['topic'])
    expect(follower.batches.at(-1)?.isCurrent).toBe(false)
    for (let round = 0; round < 20; round++) {
      follower.following.credit(1, 1)
      await world.settle()
    }
    expect(follower.batches.at(-1)?.lag).toBeGreaterThan(0)
    follower.following.credit(1e6, 1e9)
    await expectSame(world, follower)
  })

  it('waits while its connection is full, and goes on when it is not', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    const follower = await follow(world, ['t'])
    follower.isWritable = false
    await world.publish('t', ['a'])
    expect(follower.kinds).toEqual([])
    follower.isWritable = true
    follower.following.writable()
    await expectSame(world, follower)
  })

  it('goes on where it was, and copies nothing twice', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', ['a', 'b'])
    const first = await follow(world, ['t'])
    await expectSame(world, first)
    first.following.leave()
    await world.publish('t', ['c'])
    const second = await follow(world, ['t'], { store: first.store })
    await expectSame(world, second)
    expect(second.kinds.filter((kind) => kind === 'record')).toHaveLength(1)
  })

  it('goes on after a restart of the relay', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 2 } })
    await world.publish('t', ['a', 'b'])
    const first = await follow(world, ['t'])
    await expectSame(world, first)
    await world.reopen()
    await world.publish('t', ['c'], 2)
    await expectSame(world, await follow(world, ['t'], { store: first.store }))
  })

  it('starts over where its position is of another log', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', ['a', 'b'])
    const first = await follow(world, ['t'])
    await expectSame(world, first)
    await world.must((answer) => world.broker.deleteTopic('t', answer))
    await world.publish('t', ['x'], 2)
    const second = await follow(world, ['t'], { store: first.store })
    await expectSame(world, second)
  })

  it('drops what retention dropped', async () => {
    const limits = { queueCountDefault: 1, retentionMsDefault: 10_000, retentionSweepMs: 1_000 }
    const world = await BrokerWorld.open({ limits })
    await world.publish('t', ['old'])
    const follower = await follow(world, ['t'])
    await world.advance(8_000)
    await world.publish('t', ['young'])
    await world.advance(5_000)
    expect(await world.entries(keyKinds.record)).toHaveLength(1)
    await expectSame(world, follower)
  })

  it('does not follow groups unless it asked for them', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
    await world.publish('t', ['a'])
    const follower = await follow(world, ['t'], { withProgress: false })
    const member = await world.join('t')
    await world.ack(member, member.held)
    await world.settle()
    expect(new Set(follower.kinds)).toEqual(new Set(['topic', 'log', 'record']))
  })

  it('copies what is behind memory', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 1, tailCacheBytesMax: 0, readChunkBytes: 64 } })
    for (let round = 0; round < 20; round++) await world.publish('t', [`message ${round}`])
    await expectSame(world, await follow(world, ['t']))
  })

  it.each([
    ['no topics', []],
    ['too many topics', Array.from({ length: fixedLimits.followTopicCountMax + 1 }, (_, index) => `t${index}`)],
    ['a name that is none', ['a b']],
  ])('is refused with %s', async (_, topics) => {
    const world = await BrokerWorld.open()
    const request = { topics, positions: [], withProgress: false }
    const outcome = await world.ask((answer) => world.broker.follow(request, new TestFollower(world.store), answer))
    expect(outcome).toBeInstanceOf(PocketError)
    expect(['BAD_ARGUMENT', 'BAD_NAME']).toContain((outcome as PocketError).code)
  })

  it('takes the most topics there may be', async () => {
    const world = await BrokerWorld.open()
    const topics = Array.from({ length: fixedLimits.followTopicCountMax }, (_, index) => `t${index}`)
    await follow(world, topics)
  })

  it('copies random work, with pauses, small credit and restarts', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = createSimRandom(seed)
      const world = await BrokerWorld.open({
        limits: {
          queueCountDefault: 2, tailCacheBytesMax: random.pick([0, 1_000, 1 << 20]), readChunkBytes: random.pick([64, 1 << 20]),
          retentionMsDefault: 20_000, retentionSweepMs: 1_000,
        },
      })
      let follower = await follow(world, ['t', 'u'], { credit: [3, 200] })
      let member = await world.join('t', { memberId: idBytes(9) })
      for (let step = 0; step < 60; step++) {
        const topic = random.pick(['t', 'u'])
        const kind = random.below(12)
        if (kind < 5) await world.publish(topic, Array.from({ length: 1 + random.below(4) }, (_, index) => `${step}/${index}`))
        else if (kind === 5) await world.ack(member, member.held.splice(0, 1 + random.below(3)))
        else if (kind === 6) await world.advance(random.below(6_000))
        else if (kind < 10) {
          follower.following.credit(random.below(5), random.below(500))
          await world.settle()
          await follower.apply(world)
        } else if (kind === 10) {
          follower.following.leave()
          await follower.apply(world)
          follower = await follow(world, ['t', 'u'], { store: follower.store, credit: [3, 200] })
        } else {
          await follower.apply(world)
          await world.reopen()
          member = await world.join('t', { memberId: idBytes(9) })
          follower = await follow(world, ['t', 'u'], { store: follower.store, credit: [3, 200] })
        }
      }
      follower.following.credit(1e6, 1e9)
      await expectSame(world, follower)
    }
  })
})
