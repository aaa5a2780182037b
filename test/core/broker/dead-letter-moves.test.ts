// Dead letters put back and deleted on request: each is in one place at any time, and keeps what it was.

import { describe, expect, it } from 'vitest'
import type { DeadLettersMoved, FoundMessage, PullResult } from '../../../core/broker/door.ts'
import { PocketError } from '../../../core/errors.ts'
import { fixedLimits, type Limits } from '../../../core/limits.ts'
import type { StoredMessage } from '../../../core/model/message.ts'
import { deadLetterTopicOf } from '../../../core/model/names.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { KeyReader, keyKinds } from '../../../core/storage/keys.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { BrokerWorld, type OutMessage, slowCommits } from './broker-world.ts'
import { auditStore } from './store-audit.ts'

const letters = deadLetterTopicOf('g')
const noId = '00000000000000ff-0-0'

const openWorld = (limits: Partial<Limits> = {}, storeBytes = Infinity) =>
  BrokerWorld.open({ limits: { queueCountDefault: 1, attemptCountMax: 1, ...limits }, storeBytes })

/** Publishes messages that fail for good in the group `g`. */
async function die(world: BrokerWorld, topic: string, messages: readonly (string | OutMessage)[]): Promise<void> {
  await world.publish(topic, messages)
  await killAll(world, topic)
}

async function killAll(world: BrokerWorld, topic: string): Promise<void> {
  const member = await world.join(topic)
  // In a FIFO topic one of a message group comes after the other.
  for (let held = member.held.splice(0); held.length > 0; held = member.held.splice(0)) {
    await world.retry(member, held, 'schedule')
    await world.settle()
  }
  await world.must((answer) => member.membership?.leave(answer))
}

const resend = (world: BrokerWorld, messageIds: readonly string[] = [], group = 'g') =>
  world.ask<DeadLettersMoved>((answer) => world.broker.resendDeadLetters({ group, messageIds }, answer))

const purge = (world: BrokerWorld, messageIds: readonly string[] = [], group = 'g') =>
  world.ask<DeadLettersMoved>((answer) => world.broker.purgeDeadLetters({ group, messageIds }, answer))

/** The messages of a topic, as they are stored. */
async function messagesIn(world: BrokerWorld, topic: string): Promise<StoredMessage[]> {
  let start = { kind: 'earliest' } as Parameters<typeof world.broker.pull>[0]['start']
  const messages: StoredMessage[] = []
  for (;;) {
    const pulled: PullResult | PocketError = await world.ask<PullResult>((answer) =>
      world.broker.pull({
        topic, queueId: 0, start, filterKind: 'TAG', filter: '*', messageCountMax: 10_000, byteCountMax: 1 << 22, waitMs: 0,
      }, answer))
    if (pulled instanceof PocketError) return messages
    for (const bytes of pulled.records) {
      const record = RecordBatch.open(bytes)
      for (let index = 0; index < record.messageCount; index++) messages.push(record.messageAt(index, topic, 0))
    }
    if (pulled.records.length === 0) return messages
    start = { kind: 'position', position: pulled.next }
  }
}

const text = ({ body }: StoredMessage) => new TextDecoder().decode(body)
const bodiesIn = async (world: BrokerWorld, topic: string) => (await messagesIn(world, topic)).map(text)

/** Ids of dead letters, by body. */
async function idsOf(world: BrokerWorld, ...bodies: string[]): Promise<string[]> {
  const messages = await messagesIn(world, letters)
  return bodies.map((body) => messages.find((message) => text(message) === body)?.messageId ?? 'not there')
}

describe('dead letters', () => {
  it('are inspected as messages of their topic: pulled, and found by id, key and time', async () => {
    const world = await openWorld({ tailCacheBytesMax: 0 })
    await die(world, 't', [{ body: 'a', keys: ['k1'] }, { body: 'b', keys: ['k2'], tag: 'x' }])
    const messages = await messagesIn(world, letters)
    expect(messages.map(text)).toEqual(['a', 'b'])
    expect(Object.fromEntries(messages[1]?.properties ?? [])).toEqual({
      DLQ_ORIGIN_TOPIC: 't', DLQ_ORIGIN_MESSAGE_ID: '0000000000000001-0-1', DLQ_ORIGIN_QUEUE_ID: '0',
      DLQ_ORIGIN_OFFSET: '1', DLQ_ATTEMPTS: '1',
    })
    const range = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, after: undefined, messageCountMax: 10 }
    for (const request of [{ key: 'k2', messageId: undefined }, { key: undefined, messageId: messages[1]?.messageId }]) {
      const found = await world.must<readonly FoundMessage[]>((answer) =>
        world.broker.query({ topic: letters, ...range, ...request }, answer))
      expect(found.map(({ record }) => text(RecordBatch.open(record).messageAt(0, letters, 0)))).toEqual(['b'])
    }
    const all = await world.must<readonly FoundMessage[]>((answer) =>
      world.broker.query({ topic: letters, ...range, key: undefined, messageId: undefined }, answer))
    expect(all).toHaveLength(2)
  })

  it('are put back as they were, with a new id, and are gone from the letters', async () => {
    const world = await openWorld()
    const properties = new Map([['p', '1']])
    await die(world, 't', [{ body: 'a', tag: 'x', keys: ['k', 'l'], properties, bornMs: 5, ttlMs: 60_000 }, 'b', 'c'])
    const [id] = await idsOf(world, 'a')
    await world.advance(100_000)
    expect(await resend(world, [id as string])).toEqual({ messageCount: 1, more: false })
    expect(await bodiesIn(world, letters)).toEqual(['b', 'c'])
    // The first is over by now.
    const back = (await messagesIn(world, 't'))[2] as StoredMessage
    expect(back).toMatchObject({ tag: 'x', keys: ['k', 'l'], bornMs: 5, ttlMs: 60_000, offset: 3 })
    expect(text(back)).toBe('a')
    expect(Object.fromEntries(back.properties ?? [])).toEqual({ p: '1', DLQ_RESENT_ID: id })
    expect(back.messageId).not.toBe(id)
    expect((await world.join('t')).held).toMatchObject([{ body: 'a', attempt: 1 }])
    expect((await world.join('t', { group: 'other' })).bodies).toEqual(['b', 'c', 'a'])
    expect(await auditStore(world)).toEqual([])
    expect(world.broker.counters).toMatchObject({ resentDeadLetters: 1, deadLetters: 3 })
  })

  it('go back into the message group, or under the priority, that they had', async () => {
    const world = await openWorld()
    await world.createTopic('f', { messageType: 'FIFO', queueCount: 1 })
    await world.createTopic('p', { messageType: 'PRIORITY' })
    await die(world, 'f', ['1', '2', '3', '4'].map((body) => ({ body, messageGroup: `g${Number(body) % 2}` })))
    await die(world, 'p', [{ body: '5', priority: 7 }, { body: '6', priority: 0 }, '7'])
    for (const { messageGroup, priority } of await messagesIn(world, letters)) {
      expect([messageGroup, priority]).toEqual([undefined, undefined])
    }
    expect(await resend(world)).toEqual({ messageCount: 7, more: false })
    expect(await bodiesIn(world, letters)).toEqual([])
    const fifo = (await messagesIn(world, 'f')).slice(4)
    expect(
      fifo.map((message) => [text(message), message.messageGroup]),
    ).toEqual([['1', 'g1'], ['2', 'g0'], ['3', 'g1'], ['4', 'g0']])
    const member = await world.join('p')
    expect(member.held.map(({ body, message }) => [body, message.priority, message.queueId])).toEqual(
      [['5', 7, 7], ['6', 0, 0], ['7', undefined, 0]])
  })

  it('are put back by the thousand, with the word that there are more', async () => {
    const world = await openWorld({ recordBytesMax: 50_000 })
    await die(world, 't', Array.from({ length: 2_300 }, (_, index) => `${index}`))
    const counts: number[] = []
    for (let more = true; more;) {
      const moved = await resend(world) as DeadLettersMoved
      counts.push(moved.messageCount)
      more = moved.more
    }
    expect(counts).toEqual([1_000, 1_000, 300])
    expect(await bodiesIn(world, letters)).toEqual([])
    expect((await bodiesIn(world, 't')).slice(2_300)).toEqual(Array.from({ length: 2_300 }, (_, index) => `${index}`))
    expect(await auditStore(world)).toEqual([])
    expect(await resend(world)).toEqual({ messageCount: 0, more: false })
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    expect(await resend(world)).toEqual({ messageCount: 0, more: false })
  })

  it('that are large go in several commits', async () => {
    const world = await openWorld()
    for (let count = 0; count < 24; count++) await die(world, 't', [`${count}`.padEnd(900_000, 'x')])
    const before = world.broker.counters.commits
    const first = await resend(world) as DeadLettersMoved
    expect(first.more).toBe(true)
    expect(first.messageCount).toBeLessThan(24)
    const ids = (await messagesIn(world, letters)).map(({ messageId }) => messageId)
    const second = await resend(world, ids) as DeadLettersMoved
    expect(first.messageCount + second.messageCount).toBe(24)
    expect(world.broker.counters.commits - before).toBeGreaterThan(9)
    expect(await auditStore(world)).toEqual([])
  })

  it('are not moved where the request is not one', async () => {
    const world = await openWorld()
    await die(world, 't', ['a', 'b'])
    const [a] = await idsOf(world, 'a') as [string]
    for (const move of [resend, purge]) {
      expect(await move(world, ['nonsense'])).toMatchObject({ code: 'BAD_ARGUMENT' })
      expect(await move(world, [a, noId])).toMatchObject({ code: 'MESSAGE_NOT_FOUND', message: expect.stringContaining(noId) })
      // The id of a message that is no dead letter.
      expect(await move(world, ['0000000000000001-0-0'])).toMatchObject({ code: 'MESSAGE_NOT_FOUND' })
      expect(await move(world, [], '')).toMatchObject({ code: 'BAD_NAME' })
      expect(await move(world, [], 'nobody')).toMatchObject({ code: 'GROUP_NOT_FOUND' })
      expect(await move(world, [a], 'nobody')).toMatchObject({ code: 'MESSAGE_NOT_FOUND' })
      const many = Array.from({ length: fixedLimits.deadLetterCountMax + 1 }, (_, index) => `00000000000000ff-0-${index}`)
      expect(await move(world, many)).toMatchObject({ code: 'BAD_ARGUMENT' })
      expect(await move(world, many.slice(1))).toMatchObject({ code: 'MESSAGE_NOT_FOUND' })
    }
    expect(await bodiesIn(world, letters)).toEqual(['a', 'b'])
    expect(await bodiesIn(world, 't')).toEqual(['a', 'b'])
    await world.join('t', { group: 'quiet' })
    expect(await resend(world, [], 'quiet')).toEqual({ messageCount: 0, more: false })
  })

  it('named twice go once, and in the order they died', async () => {
    const world = await openWorld()
    await die(world, 't', ['a', 'b', 'c'])
    const [a, c] = await idsOf(world, 'a', 'c') as [string, string]
    expect(await resend(world, [c, a, c])).toEqual({ messageCount: 2, more: false })
    expect(await bodiesIn(world, 't')).toEqual(['a', 'b', 'c', 'a', 'c'])
    expect(await bodiesIn(world, letters)).toEqual(['b'])
    expect(await resend(world, [a])).toMatchObject({ code: 'MESSAGE_NOT_FOUND' })
  })

  it('stay where their origin is gone, or takes them no more; those before them have gone', async () => {
    const world = await openWorld()
    await die(world, 't', ['t1'])
    await die(world, 'gone', ['gone1'])
    await die(world, 'changed', ['changed1'])
    await die(world, 't', ['t2'])
    await world.must((answer) => world.broker.deleteTopic('gone', answer))
    await world.must((answer) => world.broker.deleteTopic('changed', answer))
    await world.createTopic('changed', { messageType: 'FIFO' })
    const ids = await idsOf(world, 't1', 'gone1', 'changed1', 't2') as [string, string, string, string]
    expect(await resend(world, ids)).toMatchObject({ code: 'TOPIC_NOT_FOUND', message: expect.stringContaining(ids[1]) })
    expect(await bodiesIn(world, letters)).toEqual(['gone1', 'changed1', 't2'])
    expect(await resend(world, [ids[2], ids[3]])).toMatchObject({
      code: 'MESSAGE_TYPE_MISMATCH', message: expect.stringContaining(ids[2]),
    })
    expect(await bodiesIn(world, letters)).toEqual(['gone1', 'changed1', 't2'])
    expect(await resend(world)).toEqual({ messageCount: 1, more: true })
    expect(await resend(world)).toMatchObject({ code: 'TOPIC_NOT_FOUND', message: expect.stringContaining(ids[1]) })
    expect(await bodiesIn(world, letters)).toEqual(['gone1', 'changed1'])
    expect(await bodiesIn(world, 't')).toEqual(['t1', 't2', 't1', 't2'])
    expect(await auditStore(world)).toEqual([])
  })

  it('are not sent where a client says that they came from', async () => {
    const world = await openWorld()
    await world.publish('secret', ['x'])
    const properties = new Map(
      [['DLQ_ORIGIN_TOPIC', 'secret'], ['DLQ_ORIGIN_MESSAGE_GROUP', 'm'], ['DLQ_RESENT_ID', 'y'], ['p', '1']],
    )
    await die(world, 't', [{ body: 'a', properties }])
    expect(
      Object.fromEntries((await messagesIn(world, letters))[0]?.properties ?? []),
    ).toMatchObject({ DLQ_ORIGIN_TOPIC: 't', p: '1' })
    expect(await resend(world)).toEqual({ messageCount: 1, more: false })
    expect(await bodiesIn(world, 'secret')).toEqual(['x'])
    const [, back] = await messagesIn(world, 't')
    expect([...(back as StoredMessage).properties?.keys() ?? []].sort()).toEqual(['DLQ_RESENT_ID', 'p'])
  })

  it('keep their first origin through another group’s letters', async () => {
    const world = await openWorld()
    await die(world, 't', ['a'])
    const member = await world.join(letters, { group: 'second' })
    await world.retry(member, member.held, 'schedule')
    expect(await bodiesIn(world, deadLetterTopicOf('second'))).toEqual(['a'])
    expect(await resend(world, [], 'second')).toEqual({ messageCount: 1, more: false })
    expect(await bodiesIn(world, 't')).toEqual(['a', 'a'])
    expect(await bodiesIn(world, deadLetterTopicOf('second'))).toEqual([])
    expect(await bodiesIn(world, letters)).toEqual(['a'])
  })

  it('hold what a message at its bounds holds, however often it dies', async () => {
    const world = await openWorld()
    await world.createTopic('t'.repeat(127), { messageType: 'FIFO', queueCount: 1 })
    const value = 'v'.repeat(120)
    const properties = new Map(Array.from({ length: fixedLimits.propertyCountMax }, (_, index) => [`n${index}`, value]))
    await world.publish('t'.repeat(127), [{ body: 'a', properties, messageGroup: 'm'.repeat(63), ttlMs: fixedLimits.ttlMsMax }])
    for (let round = 0; round < 3; round++) {
      await killAll(world, 't'.repeat(127))
      expect(await bodiesIn(world, letters)).toEqual(['a'])
      expect(await resend(world)).toEqual({ messageCount: 1, more: false })
    }
    const back = (await messagesIn(world, 't'.repeat(127))).at(-1)
    expect(back?.properties?.size).toBe(fixedLimits.propertyCountMax + 1)
  })

  it('go into a COMPACT topic too, as the newest of their key', async () => {
    const world = await openWorld()
    await world.createTopic('c', { cleanupPolicy: 'COMPACT', queueCount: 1 })
    await die(world, 'c', [{ body: 'a', keys: ['k'] }])
    expect(await resend(world)).toEqual({ messageCount: 1, more: false })
    await world.advance(200_000)
    expect((await messagesIn(world, 'c')).map((message) => [text(message), message.offset])).toEqual([['a', 1]])
  })

  it('wait while the store has no room, and can be deleted then', async () => {
    const world = await openWorld({ storeReserveBytes: 100_000 }, 400_000)
    await die(world, 't', ['a', 'b'])
    for (let full = false; !full;) full = (await world.tryPublish('t', ['x'.repeat(10_000)])) instanceof PocketError
    expect(await resend(world)).toMatchObject({ code: 'STORE_FULL' })
    expect(await bodiesIn(world, letters)).toEqual(['a', 'b'])
    expect(await purge(world)).toEqual({ messageCount: 2, more: false })
    expect(await bodiesIn(world, letters)).toEqual([])
  })

  it('are not put back by a broker that drains', async () => {
    const world = await openWorld()
    await die(world, 't', ['a'])
    void world.broker.drain()
    expect(await resend(world)).toMatchObject({ code: 'RELAY_STOPPING' })
  })

  it('are deleted when they are named, and all of them with what is damaged', async () => {
    const world = await openWorld({ tailCacheBytesMax: 0 })
    for (const body of ['a', 'b', 'c', 'd', 'e']) await die(world, 't', [body])
    expect(await purge(world, await idsOf(world, 'b', 'd'))).toEqual({ messageCount: 2, more: false })
    expect(await bodiesIn(world, letters)).toEqual(['a', 'c', 'e'])
    expect(await auditStore(world)).toEqual([])
    const { key, value } = (await recordsOf(world))[1] as { key: Uint8Array; value: Uint8Array }
    await world.write([{ key, value: value.map((byte, index) => (index === value.length - 1 ? byte ^ 1 : byte)) }])
    expect(await purge(world)).toEqual({ messageCount: 2, more: false })
    expect(await recordsOf(world)).toEqual([])
    await die(world, 't', ['f'])
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    expect((await messagesIn(world, letters)).map((message) => [text(message), message.offset])).toEqual([['f', 5]])
    expect(world.broker.stats().messageCount).toBe(7)
  })

  it('are deleted by the thousand', async () => {
    const world = await openWorld()
    await die(world, 't', Array.from({ length: 1_500 }, (_, index) => `${index}`))
    expect(await purge(world)).toEqual({ messageCount: 1_000, more: true })
    expect((await bodiesIn(world, letters))[0]).toBe('1000')
    expect(await auditStore(world)).toEqual([])
    expect(await purge(world)).toEqual({ messageCount: 500, more: false })
    expect(await auditStore(world)).toEqual([])
    expect(world.broker.stats().messageCount).toBe(1_500)
  })

  it.each([0, 1 << 20])('are skipped in silence by those who read them, when they were moved (memory: %i)', async (bytes) => {
    const world = await openWorld({ tailCacheBytesMax: bytes })
    await die(world, 't', ['a', 'b', 'c', 'd'])
    const group = await world.join(letters, { group: 'graves', credit: 1 })
    const reader = await world.join(letters, { group: 'r', mode: 'BROADCASTING', credit: 1 })
    expect([group.bodies, reader.bodies]).toEqual([['a'], ['a']])
    expect(await resend(world, await idsOf(world, 'a', 'b', 'd'))).toEqual({ messageCount: 3, more: false })
    for (const member of [group, reader]) {
      member.membership?.credit(100, 1 << 20)
      await world.settle()
      expect(member.bodies).toEqual(['a', 'c'])
      expect(member.gaps).toEqual([])
    }
    await world.ack(group, group.held)
    expect(world.broker.stats().backlog).toBe(3)
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    expect((await world.join(letters, { group: 'graves' })).bodies).toEqual([])
  })

  it('that are with a consumer are let go of when they have been moved', async () => {
    const world = await openWorld({ tailCacheBytesMax: 0, attemptCountMax: 3 })
    await world.configureGroup('g', { attemptCountMax: 1 })
    await die(world, 't', ['a', 'b'])
    const member = await world.join(letters, { group: 'graves', leaseMs: 30_000 })
    expect(member.bodies).toEqual(['a', 'b'])
    expect(await resend(world, await idsOf(world, 'a'))).toEqual({ messageCount: 1, more: false })
    member.held.length = 0
    await world.advance(40_000)
    expect(member.bodies).toEqual(['b'])
    await world.ack(member, member.held)
    await world.settle()
    expect(world.broker.stats().inFlightCount).toBe(0)
  })

  it('are moved once by two who ask at once', async () => {
    const world = await openWorld()
    await die(world, 't', Array.from({ length: 20 }, (_, index) => `${index}`))
    const ids = (await messagesIn(world, letters)).map(({ messageId }) => messageId)
    const outcomes: (DeadLettersMoved | PocketError)[] = []
    const note = (outcome: DeadLettersMoved | PocketError) => void outcomes.push(outcome)
    world.broker.resendDeadLetters({ group: 'g', messageIds: [] }, note)
    world.broker.resendDeadLetters({ group: 'g', messageIds: ids.slice(0, 5) }, note)
    world.broker.purgeDeadLetters({ group: 'g', messageIds: [] }, note)
    await world.settle()
    await world.settle()
    expect(outcomes).toMatchObject([{ messageCount: 20 }, { code: 'MESSAGE_NOT_FOUND' }, { messageCount: 0 }])
    expect((await bodiesIn(world, 't')).slice(20)).toEqual(Array.from({ length: 20 }, (_, index) => `${index}`))
    expect(await auditStore(world)).toEqual([])
  })

  it('are trimmed by retention around those that have been moved', async () => {
    const world = await openWorld({ retentionMsDefault: 50_000, retentionSweepMs: 1_000, recordBytesMax: 300 })
    for (let count = 0; count < 8; count++) {
      await die(world, 't', [`${count}a`, `${count}b`])
      await world.advance(10_000)
      if (count < 3) continue
      expect(await resend(world, (await idsOf(world, `${count - 1}a`, `${count - 2}b`)))).toMatchObject({ messageCount: 2 })
      expect(await auditStore(world)).toEqual([])
    }
    expect((await bodiesIn(world, letters)).at(-1)).toBe('7b')
    await world.advance(100_000)
    // The newest record stays.
    expect(await bodiesIn(world, letters)).toEqual(['7a', '7b'])
    expect(await auditStore(world)).toEqual([])
    expect(await resend(world)).toEqual({ messageCount: 2, more: false })
    await world.advance(100_000)
    expect(await auditStore(world)).toEqual([])
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    await die(world, 't', ['new'])
    expect((await bodiesIn(world, letters)).sort()).toEqual(['7a', '7b', 'new'])
  })

  it('are told to be gone with their topic', async () => {
    const world = await openWorld()
    await die(world, 't', ['a'])
    let outcome: unknown
    world.broker.resendDeadLetters({ group: 'g', messageIds: [] }, (answer) => (outcome = answer))
    world.broker.deleteTopic(letters, () => {})
    await world.settle()
    expect(outcome).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    await world.advance(20_000)
    expect(await recordsOf(world)).toEqual([])
    expect(await bodiesIn(world, 't')).toEqual(['a'])
  })
})

/** Records of the dead letters, where theirs is the last topic that was made. */
async function recordsOf(world: BrokerWorld) {
  return (await world.entries(keyKinds.record)).filter(({ key }) => new KeyReader(key).u32() === 2)
}

describe('random moves of dead letters', () => {
  const seedCount = Number(process.env.DEAD_LETTER_SEEDS ?? 40)

  it(`lose none and double none over ${seedCount} seeds, with restarts in the middle`, async () => {
    let resentCount = 0
    let purgedCount = 0
    let restarts = 0
    for (let seed = 1; seed <= seedCount; seed++) {
      const at = `seed ${seed}`
      const random = createSimRandom(seed)
      const world = await openWorld({
        recordBytesMax: random.pick([200, 100_000]),
        tailCacheBytesMax: random.pick([0, 3_000, 1 << 20]),
        readChunkBytes: random.pick([200, 1 << 20]),
        retentionSweepMs: 1_000,
        queueCountDefault: 1,
      })
      slowCommits(world, random.pick([0, 2, 7]))
      await world.createTopic('f', { messageType: 'FIFO', queueCount: 1 })
      const topics = ['t', 'f']
      const known = new Map<string, string>()
      /** Letters that somebody asked to delete. */
      const condemned = new Set<string>()
      let bodyCount = 0
      const lettersNow = async () => {
        const now = await messagesIn(world, letters)
        for (const letter of now) known.set(letter.messageId, text(letter))
        return now
      }
      const crash = async () => {
        for (let turns = random.below(100); turns > 0; turns--) {
          if (world.clock.isIdle) world.clock.advance(100)
          else world.clock.runTurn()
          await Promise.resolve()
        }
        restarts++
        await world.reopen()
        expect(world.broker.damages, at).toEqual([])
      }
      for (let step = 0; step < 50; step++) {
        const dice = random.next()
        const topic = random.pick(topics)
        if (dice < 0.4) {
          const messages = Array.from({ length: 1 + random.below(6) }, () => {
            const body = `${bodyCount++}`
            return topic === 'f' ? { body, messageGroup: `m${random.below(3)}` } : { body }
          })
          await world.publish(topic, messages)
          if (random.chance(0.7)) await killAll(world, topic)
        } else if (dice < 0.5) await killAll(world, topic)
        else if (dice < 0.9) {
          const now = await lettersNow()
          const named = random.chance(0.5)
          const ids = now.filter(() => random.chance(0.4)).map(({ messageId }) => messageId)
          if (named && ids.length === 0) continue
          const request = { group: 'g', messageIds: named ? ids : [] }
          const isPurge = random.chance(0.3)
          let waiting = 0
          const note = () => void waiting--
          waiting++
          if (isPurge) {
            for (const { messageId } of now) if (!named || ids.includes(messageId)) condemned.add(messageId)
            world.broker.purgeDeadLetters(request, note)
          } else world.broker.resendDeadLetters(request, note)
          if (random.chance(0.3)) {
            waiting++
            world.broker.resendDeadLetters({ group: 'g', messageIds: [] }, note)
          }
          if (random.chance(0.4)) {
            await crash()
            continue
          }
          // What dies while all are deleted may be deleted before anybody has seen it.
          if (random.chance(0.5) && (named || !isPurge)) await killAll(world, topic)
          for (let round = 0; waiting > 0; round++) {
            expect(round, `${at}: unanswered`).toBeLessThan(100)
            await world.settle()
          }
        } else if (dice < 0.95) await world.advance(random.below(5_000))
        else await crash()
      }
      // Leases of those who were there before a restart end.
      await world.advance(70_000)
      const left = new Set((await lettersNow()).map(({ messageId }) => messageId))
      const back: string[] = []
      const origins: StoredMessage[] = []
      for (const topic of topics) origins.push(...await messagesIn(world, topic))
      for (const message of origins) {
        const id = message.properties?.get('DLQ_RESENT_ID')
        if (id !== undefined) back.push(id)
        // A letter may have come and gone between two looks.
        if (id !== undefined && !known.has(id)) known.set(id, text(message))
        if (id !== undefined) expect(text(message), at).toBe(known.get(id))
      }
      expect(new Set(back).size, `${at}: put back twice`).toBe(back.length)
      expect(back.filter((id) => left.has(id)), `${at}: in two places`).toEqual([])
      const gone = [...known.keys()].filter((id) => !left.has(id) && !back.includes(id))
      expect(gone.filter((id) => !condemned.has(id)), `${at}: lost`).toEqual([])
      resentCount += back.length
      purgedCount += gone.length
      // Each message that was sent or put back is consumed or dead in the end, so that none of them is lost on the way.
      for (const topic of topics) await killAll(world, topic)
      const dead = (await lettersNow()).length + back.length + gone.length
      expect(dead, `${at}: ends`).toBe(origins.length)
      expect(await auditStore(world), at).toEqual([])
      expect(world.failures, at).toEqual([])
    }
    expect(resentCount).toBeGreaterThan(seedCount * 10)
    expect(purgedCount).toBeGreaterThan(seedCount)
    expect(restarts).toBeGreaterThan(seedCount)
  }, 120_000)
})
