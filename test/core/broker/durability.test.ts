// What the store is told of each commit: relaxed where all in it is of relaxed topics, strict where anything else is; and
// what a power cut then leaves.

import { describe, expect, it } from 'vitest'
import type { Answer, PublishReceipt } from '../../../core/broker/door.ts'
import { PocketError } from '../../../core/errors.ts'
import { formatRecallHandle } from '../../../core/model/message.ts'
import { deadLetterTopicOf, traceTopic } from '../../../core/model/names.ts'
import type { StoreWrite } from '../../../core/ports/store.ts'
import type { TopicDescription, TopicOptions } from '../../../core/protocol/frames.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { producerIdToText } from '../../../core/record/record-batch.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { BrokerWorld, encodeMessages, idBytes, topicOptions, type WorldOptions } from './broker-world.ts'
import { end, prepare } from './transaction-world.ts'

interface Commit {
  readonly writes: readonly StoreWrite[]
  readonly isRelaxed: boolean
}

interface Recorded {
  readonly world: BrokerWorld
  /** What was committed since it was last asked for. */
  readonly commits: () => Commit[]
  /** Of these, whether each was relaxed. */
  readonly told: () => boolean[]
}

/** A world with two topics, `relaxed` and `strict`, and a store that writes down what it is told. */
async function recorded(options: WorldOptions = {}): Promise<Recorded> {
  const world = await BrokerWorld.open({ ...options, limits: { queueCountDefault: 1, ...options.limits } })
  let commits: Commit[] = []
  const commit = world.store.commit.bind(world.store)
  world.store.commit = (writes, answer, { isRelaxed = false } = {}) => {
    const copies = writes.map(({ key, value }) => ({ key: key.slice(), value: value?.slice() ?? null }))
    commits.push({ writes: copies, isRelaxed })
    commit(writes, answer)
  }
  const taken = (): Commit[] => {
    const some = commits
    commits = []
    return some
  }
  await world.createTopic('relaxed', { durability: 'relaxed' })
  await world.createTopic('strict')
  return { world, commits: taken, told: () => taken().map(({ isRelaxed }) => isRelaxed) }
}

/** As `tryPublish`, but nothing runs yet. */
function publishNow(world: BrokerWorld, topic: string, answer: Answer<PublishReceipt> = () => {}, baseSequence = 0): void {
  world.broker.publish({
    topic, baseSequence,
    producerId: idBytes(77), producerEpoch: 0, messageCount: 1, sentMs: 0, messages: encodeMessages([`of ${topic}`], 0),
  }, answer, 'c')
}

function configure(world: BrokerWorld, topic: string, options: Partial<TopicOptions>) {
  return world.ask<TopicDescription>((answer) =>
    world.broker.configureTopic({ topic, options: topicOptions(options) }, answer))
}

const codeOf = (outcome: unknown) => (outcome instanceof PocketError ? outcome.code : 'done')

describe('a commit', () => {
  it('is relaxed where messages of relaxed topics are all that it holds, and their receipts say so', async () => {
    const { world, told } = await recorded()
    await world.createTopic('relaxed2', { durability: 'relaxed' })
    expect(told()).not.toContain(true)
    expect(await world.publish('relaxed', ['a', 'b'])).toMatchObject({ duplicate: false, isRelaxed: true })
    expect(told()).toEqual([true])
    publishNow(world, 'relaxed')
    publishNow(world, 'relaxed2')
    await world.settle()
    expect(told()).toEqual([true])
    expect(await world.publish('strict', ['a'])).toMatchObject({ duplicate: false, isRelaxed: false })
    expect(told()).toEqual([false])
  })

  it('is strict where a message of a strict topic is in it, whichever came first', async () => {
    for (const topics of [['relaxed', 'strict'], ['strict', 'relaxed']] as const) {
      const { world, told } = await recorded()
      told()
      const receipts: boolean[] = []
      for (const topic of topics) {
        publishNow(world, topic, (outcome) => receipts.push((outcome as PublishReceipt).isRelaxed))
      }
      await world.settle()
      expect(told()).toEqual([false])
      expect(receipts).toEqual(topics.map((topic) => topic === 'relaxed'))
    }
  })

  it('is strict where the topic of its messages is made by them', async () => {
    const { world, told } = await recorded()
    told()
    expect((await world.publish('new', ['a'])).isRelaxed).toBe(false)
    expect(told()).toEqual([false])
  })

  it('is relaxed with deliveries, acks, retries, lease times and their end on relaxed topics', async () => {
    const { world, told } = await recorded()
    const member = await world.join('relaxed')
    // Who joins writes where the group begins, which is not a message's business.
    expect(told()).not.toContain(true)
    await world.publish('relaxed', ['a', 'b', 'c', 'd'])
    expect(member.bodies).toEqual(['a', 'b', 'c', 'd'])
    await world.ack(member, member.held.slice(0, 1))
    await world.retry(member, member.held.slice(1, 2), 'after', 10)
    await world.must((answer) => member.membership?.extend(member.held.slice(2, 3).map(({ range }) => range), 60_000, answer))
    await world.advance(world.limits.leaseMsDefault * 3)
    expect(member.bodies.slice(4)).toContain('c')
    const commits = told()
    expect(commits.length).toBeGreaterThan(5)
    expect(commits).not.toContain(false)
  })

  it('is strict with the same on strict topics', async () => {
    const { world, told } = await recorded()
    const member = await world.join('strict')
    await world.publish('strict', ['a', 'b'])
    await world.ack(member, member.held.slice(0, 1))
    await world.retry(member, member.held.slice(1, 2), 'after', 10)
    await world.advance(world.limits.leaseMsDefault * 2)
    const commits = told()
    expect(commits.length).toBeGreaterThan(4)
    expect(commits).not.toContain(true)
  })

  it('holds what a group on both topics does: relaxed apart, strict together', async () => {
    const { world, told } = await recorded()
    const relaxed = await world.join('relaxed', { group: 'both' })
    const strict = await world.join('strict', { group: 'both' })
    await world.publish('relaxed', ['a', 'b'])
    await world.publish('strict', ['a', 'b'])
    told()
    await world.ack(relaxed, relaxed.held.slice(0, 1))
    await world.ack(strict, strict.held.slice(0, 1))
    expect(told()).toEqual([true, false])
    relaxed.membership?.ack(relaxed.held.slice(1).map(({ range }) => range), () => {})
    strict.membership?.ack(strict.held.slice(1).map(({ range }) => range), () => {})
    await world.settle()
    expect(told()).toEqual([false])
    expect(world.broker.stats().backlog).toBe(0)
  })

  it('is relaxed with what a receive, a pull or a BROADCASTING reader of a relaxed topic is given', async () => {
    const { world, told } = await recorded()
    const reader = await world.join('relaxed', {
      group: 'b', mode: 'BROADCASTING', positionKeeper: 'broker', consumerName: 'tab',
    })
    const receiver = await world.join('relaxed', { credit: 0 })
    let received: unknown
    receiver.membership?.receive({ attemptId: 1, messageCountMax: 5, leaseMs: 0, waitMs: 10_000 }, (count) => (received = count))
    let pulled: unknown
    world.broker.pull({
      topic: 'relaxed', queueId: 0, start: { kind: 'earliest' }, filterKind: 'TAG', filter: '*', messageCountMax: 5,
      byteCountMax: 1_000, waitMs: 10_000,
    }, (result) => (pulled = result))
    await world.settle()
    told()
    await world.publish('relaxed', ['a'])
    expect([reader.bodies, received]).toEqual([['a'], 1])
    expect(pulled).toMatchObject({ maxOffset: 1 })
    expect(told()).toEqual([true])
    const { next } = reader.deliveries[0] as { next: { epoch: number; offset: number } }
    reader.membership?.positions([{ queueId: 0, position: next }])
    await world.settle()
    expect(told()).toEqual([true])
  })

  it('is relaxed with delayed messages of relaxed topics, sent, taken back and due', async () => {
    const { world, told } = await recorded()
    const member = await world.join('relaxed')
    told()
    const { scheduled } = await world.publish('relaxed', [{ body: 'a', delayMs: 500 }, { body: 'b', delayMs: 900 }])
    const [, dueMs = 0] = scheduled
    const recallHandle = formatRecallHandle(dueMs, `${producerIdToText(idBytes(1))}-0-1`)
    await world.must((answer) => world.broker.recall({ topic: 'relaxed', recallHandle }, answer))
    await world.advance(1_000)
    expect(member.bodies).toEqual(['a'])
    const commits = told()
    expect(commits.length).toBeGreaterThan(2)
    expect(commits).not.toContain(false)
    await world.publish('relaxed', [{ body: 'now', deliverMs: 1 }])
    expect(told()).toEqual([true])
  })

  it('is strict where messages of both become due together', async () => {
    const { world, told } = await recorded()
    await world.publish('relaxed', [{ body: 'a', delayMs: 500 }])
    await world.publish('strict', [{ body: 'a', delayMs: 500 }])
    told()
    await world.advance(1_000)
    expect(world.broker.stats().counters.firedMessages).toBe(2)
    expect(told()).toEqual([false])
  })

  it('is strict with a transaction, wherever its messages go', async () => {
    const { world, told } = await recorded()
    told()
    expect(await prepare(world, 1, ['a'], { topic: 'relaxed' })).toBe('done')
    expect(await end(world, 1, 'commit')).toMatchObject({ outcome: 'commit' })
    const commits = told()
    expect(commits.length).toBeGreaterThan(1)
    expect(commits).not.toContain(true)
  })

  it('is strict with a dead letter of a relaxed topic', async () => {
    const { world, commits } = await recorded({ limits: { attemptCountMax: 1 } })
    const member = await world.join('relaxed')
    await world.publish('relaxed', ['a'])
    commits()
    await world.retry(member, member.held, 'schedule')
    await world.advance(1_000)
    expect((await world.join(deadLetterTopicOf('g'), { group: 'graves' })).bodies).toEqual(['a'])
    const burials = commits().filter(({ writes }) => writes.some(({ key }) => key[0] === keyKinds.record))
    expect(burials.map(({ isRelaxed }) => isRelaxed)).toEqual([false])
  })

  it('is strict with a trace, until the topic of traces is relaxed as well', async () => {
    const { world, told } = await recorded()
    await configure(world, 'relaxed', { tracePermille: 1_000 })
    await world.publish('relaxed', ['a'])
    await world.publish('relaxed', ['b'])
    expect(told()).not.toContain(true)
    expect(codeOf(await configure(world, traceTopic, { durability: 'relaxed' }))).toBe('done')
    told()
    await world.publish('relaxed', ['c'])
    expect(told()).toEqual([true])
  })

  it('is strict where an operator changes anything beside relaxed messages', async () => {
    const { world, told } = await recorded()
    told()
    publishNow(world, 'relaxed')
    world.broker.createTopic({ topic: 'other', options: topicOptions({ durability: 'relaxed' }) }, () => {})
    await world.settle()
    publishNow(world, 'relaxed', () => {}, 1)
    world.broker.deleteTopic('strict', () => {})
    await world.settle()
    expect(told()).not.toContain(true)
  })
})

describe('a topic’s durability', () => {
  it('is strict where nothing is said', async () => {
    const { world } = await recorded()
    const described = (topic: string) => world.must<TopicDescription>((answer) => world.broker.describeTopic(topic, answer))
    expect((await described('strict')).config.durability).toBe('strict')
    expect((await described('relaxed')).config.durability).toBe('relaxed')
  })

  it('can be changed, by a strict commit, and what was relaxed is strict behind it', async () => {
    const { world, told } = await recorded()
    await world.publish('relaxed', ['a'])
    told()
    expect(codeOf(await configure(world, 'relaxed', { durability: 'strict' }))).toBe('done')
    expect(told()).toEqual([false])
    const again = await world.tryPublish('relaxed', ['a'], 1, { baseSequence: 0 })
    expect(again).toMatchObject({ duplicate: true, isRelaxed: false })
    await world.publish('relaxed', ['b'])
    expect(told()).toEqual([false])
    expect(codeOf(await configure(world, 'relaxed', { durability: 'relaxed' }))).toBe('done')
    expect(told()).toEqual([false])
    expect(await world.tryPublish('relaxed', ['b'], 1, { baseSequence: 1 })).toMatchObject({ duplicate: true, isRelaxed: true })
    expect(await world.publish('relaxed', ['c'])).toMatchObject({ isRelaxed: true })
    expect(told()).toEqual([true])
  })

  it('is another topic’s configuration, as far as creating one again goes', async () => {
    const { world } = await recorded()
    await world.createTopic('relaxed', { durability: 'relaxed' })
    await expect(world.createTopic('relaxed')).rejects.toMatchObject({ code: 'TOPIC_EXISTS' })
  })

  it('is kept over a restart, as made and as changed', async () => {
    const { world, told } = await recorded()
    await configure(world, 'strict', { durability: 'relaxed' })
    await world.reopen()
    expect(told()).not.toContain(true)
    await world.publish('relaxed', ['a'])
    await world.publish('strict', ['a'])
    expect(told()).toEqual([true, true])
    await configure(world, 'strict', { durability: 'strict' })
    await world.reopen()
    told()
    await world.publish('strict', ['b'])
    expect(told()).toEqual([false])
  })

  it('is refused with BAD_ARGUMENT where it is no word of it', async () => {
    const { world } = await recorded()
    const durability = 'lazy' as 'relaxed'
    await expect(world.createTopic('t', { durability })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' })
    expect(codeOf(await configure(world, 'strict', { durability }))).toBe('BAD_ARGUMENT')
    await world.reopen()
    expect((await world.publish('strict', ['a'])).isRelaxed).toBe(false)
  })
})

// ── power cuts ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a power cut may leave of commits: all up to the last strict one, and any number of those behind it. */
function possibleLeft(commits: readonly Commit[]): Commit[][] {
  const strictCount = commits.findLastIndex(({ isRelaxed }) => !isRelaxed) + 1
  return Array.from({ length: commits.length - strictCount + 1 }, (_, more) => commits.slice(0, strictCount + more))
}

/** A world on a disk that holds just this. */
async function worldOf(commits: readonly Commit[]): Promise<BrokerWorld> {
  const world = await BrokerWorld.open({ limits: { queueCountDefault: 1 } })
  for (const kind of Object.values(keyKinds)) {
    const found = await world.entries(kind)
    if (found.length > 0) await world.write(found.map(({ key }) => ({ key, value: null })))
  }
  for (const { writes } of commits) await world.write(writes)
  await world.reopen()
  return world
}

/** What is missing or undone, in a world opened after a power cut, that was answered strictly. */
async function brokenIn(world: BrokerWorld, sent: readonly string[], acked: readonly string[]): Promise<string[]> {
  const broken = world.broker.damages.map(({ what }) => `damaged: ${what}`)
  const all = await world.join('strict', { group: 'all' })
  for (const body of sent) if (!all.bodies.includes(body)) broken.push(`lost: ${body}`)
  const left = await world.join('strict', { group: 'g' })
  await world.advance(world.limits.leaseMsDefault * 2)
  for (const body of acked) if (left.bodies.includes(body)) broken.push(`undone: ${body}`)
  return broken
}

describe('a power cut', () => {
  async function work(seed: number) {
    const random = createSimRandom(seed)
    const { world, commits } = await recorded()
    const members = { strict: await world.join('strict'), relaxed: await world.join('relaxed') }
    const sent: { readonly strict: string[]; readonly relaxed: string[] } = { strict: [], relaxed: [] }
    const acked: string[] = []
    for (let step = 0; step < 12; step++) {
      const name = step > 6 || random.next() < 0.5 ? 'relaxed' : 'strict'
      const member = members[name]
      if (random.next() < 0.6 || member.held.length === 0) {
        await world.publish(name, [`${name} ${step}`])
        sent[name].push(`${name} ${step}`)
      } else {
        const held = member.held.splice(0, 1)
        await world.ack(member, held)
        if (name === 'strict') acked.push(...held.map(({ body }) => body))
      }
    }
    return { commits: commits(), sent, acked }
  }

  it('takes nothing that was answered for a strict topic, and of a relaxed one only the newest', async () => {
    let cutCount = 0
    let lostCount = 0
    for (let seed = 1; seed <= 6; seed++) {
      // From the first commit on: the opening was before the store was listened to.
      const { commits, sent, acked } = await work(seed)
      for (const left of possibleLeft(commits)) {
        const world = await worldOf(left)
        expect(await brokenIn(world, sent.strict, acked), `seed ${seed}, ${left.length} of ${commits.length}`).toEqual([])
        const { bodies } = await world.join('relaxed', { group: 'all' })
        expect(bodies).toEqual(sent.relaxed.slice(0, bodies.length))
        expect((await world.publish('relaxed', ['after'], 9)).isRelaxed).toBe(true)
        cutCount++
        lostCount += sent.relaxed.length - bodies.length
      }
    }
    expect(cutCount).toBeGreaterThan(12)
    expect(lostCount).toBeGreaterThan(6)
  })

  it('would be found out, if strict commits were relaxed', async () => {
    const { commits, sent, acked } = await work(1)
    const made = commits.findIndex(({ writes }) => writes.some(({ key }) => key[0] === keyKinds.record))
    const left = commits.slice(0, made)
    expect(await brokenIn(await worldOf(left), sent.strict, acked)).toContain(`lost: ${sent.strict[0]}`)
  })
})
