// What members of a group are given and told: CLUSTERING, FIFO, receive and pull.

import { describe, expect, it } from 'vitest'
import { PocketError } from '../../../core/errors.ts'
import { deadLetterProperties } from '../../../core/model/message.ts'
import type { PullResult } from '../../../core/broker/door.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { BrokerWorld, type Held, idBytes, type TestMember } from './broker-world.ts'

const one = { queueCountDefault: 1 }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))

async function createFifo(world: BrokerWorld, topic: string, queueCount = 1): Promise<void> {
  await world.createTopic(topic, { queueCount, messageType: 'FIFO' })
}

async function configure(world: BrokerWorld, attemptCountMax: number, delaysMs: number[]): Promise<void> {
  await world.configureGroup('g', { attemptCountMax, retry: { kind: 'schedule', delaysMs } })
}

function backlogOf(world: BrokerWorld): number {
  return world.broker.stats().backlog
}

describe('a CLUSTERING group', () => {
  it('delivers stored messages once to one of its members', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const members = [await world.join('t'), await world.join('t'), await world.join('t')]
    for (let batch = 0; batch < 30; batch++) await world.publish('t', numbers(batch * 10, batch * 10 + 10))
    const all = members.flatMap((member) => member.bodies)
    expect(all.toSorted((left, right) => Number(left) - Number(right))).toEqual(numbers(0, 300))
    for (const member of members) expect(member.bodies.length).toBeGreaterThan(0)
  })

  it('shares one large record among members that wait', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const members = [await world.join('t'), await world.join('t')]
    await world.publish('t', numbers(0, 400))
    expect(members.map((member) => member.bodies.length)).toEqual([200, 200])
  })

  it('never delivers more than the credit given', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 100))
    const member = await world.join('t', { credit: 7 })
    expect(member.bodies).toEqual(numbers(0, 7))
    member.membership?.credit(3, 0)
    await world.settle()
    expect(member.bodies).toEqual(numbers(0, 10))
  })

  it('delivers nothing to a member whose socket is full until it is writable again', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const member = await world.join('t')
    member.isWritable = false
    await world.publish('t', ['a'])
    expect(member.bodies).toEqual([])
    member.isWritable = true
    member.membership?.writable()
    await world.settle()
    expect(member.bodies).toEqual(['a'])
  })

  it.each(['CLUSTERING', 'BROADCASTING'] as const)(
    'fills the socket of a %s member no further than its mark, whatever credit it gives',
    async (mode) => {
      const world = await BrokerWorld.open({ limits: { ...one, sendBufferBytesMax: 10_000 } })
      for (let count = 0; count < 50; count++) await world.publish('t', ['x'.repeat(1_000)])
      const member = await world.join('t', { mode, credit: 0 })
      const byteCount = () => member.deliveries.reduce((sum, { record }) => sum + record.length, 0)
      Object.defineProperty(member, 'isWritable', { configurable: true, get: () => byteCount() < 10_000 })
      member.membership?.credit(1_000_000, 1 << 30)
      await world.settle()
      expect(byteCount()).toBeGreaterThanOrEqual(10_000)
      expect(byteCount()).toBeLessThan(12_000)
      Object.defineProperty(member, 'isWritable', { get: () => true })
      member.membership?.writable()
      await world.settle()
      expect(member.held).toHaveLength(50)
    },
  )

  it('starts at the earliest message or at the latest, as the first member says', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['old'])
    const late = await world.join('t', { group: 'late', start: { kind: 'latest' } })
    const early = await world.join('t', { group: 'early' })
    await world.publish('t', ['new'])
    expect(late.bodies).toEqual(['new'])
    expect(early.bodies).toEqual(['old', 'new'])
  })

  it('starts at a time', async () => {
    const world = await BrokerWorld.open({ limits: one })
    for (const body of numbers(0, 10)) {
      await world.publish('t', [body])
      await world.advance(1_000)
    }
    const fourth = world.clock.now() - 7_000
    const member = await world.join('t', { start: { kind: 'timestamp', timestampMs: fourth } })
    expect(member.bodies).toEqual(numbers(3, 10))
  })

  it('keeps its place over a restart, whether acked in order or not', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t')
    await world.ack(member, member.held.filter(({ body }) => Number(body) % 2 === 0))
    await world.reopen()
    await world.advance(world.limits.memberGraceMs)
    const next = await world.join('t')
    expect(next.bodies).toEqual(['1', '3', '5', '7', '9'])
    expect(next.held.map(({ attempt }) => attempt)).toEqual([2, 2, 2, 2, 2])
    await world.ack(next, next.held)
    expect(backlogOf(world)).toBe(0)
  })

  it('redelivers an unacked message after its lease ends, with the next attempt', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const first = await world.join('t', { leaseMs: 5_000 })
    const second = await world.join('t', { leaseMs: 5_000 })
    await world.advance(4_999)
    expect(second.bodies).toEqual([])
    first.isWritable = false
    await world.advance(1)
    expect(second.held).toMatchObject([{ body: 'a', attempt: 2 }])
    expect(await world.ack(first, first.held)).toMatchObject([{ index: 0, error: { code: 'RECEIPT_STALE' } }])
    expect(await world.ack(second, second.held)).toEqual([])
    expect(backlogOf(world)).toBe(0)
  })

  it('extends a lease', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t', { leaseMs: 5_000 })
    await world.advance(4_000)
    const ranges = member.held.map(({ range }) => range)
    expect(await world.must((answer) => member.membership?.extend(ranges, 5_000, answer))).toEqual([])
    await world.advance(4_000)
    expect(member.bodies).toEqual(['a'])
    await world.advance(1_000)
    expect(member.held.map(({ attempt }) => attempt)).toEqual([1, 2])
  })

  it('answers a repeated ack of a finished lease as done', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    expect(await world.ack(member, member.held)).toEqual([])
    expect(await world.ack(member, member.held)).toEqual([])
  })

  it('answers a repeated ack of a part of a lease as done, but not of what was given back', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 4))
    const member = await world.join('t')
    const [first, second] = member.held as [Held, Held]
    expect(await world.ack(member, [first])).toEqual([])
    expect(await world.ack(member, [first])).toEqual([])
    await world.retry(member, [second], 'after', 60_000)
    expect(await world.ack(member, [second])).toMatchObject([{ error: { code: 'RECEIPT_STALE' } }])
  })

  it('gives leases back at once when a member leaves, and after the grace time when its connection broke', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const leaving = await world.join('t')
    await world.must((answer) => leaving.membership?.leave(answer))
    const breaking = await world.join('t')
    expect(breaking.held).toMatchObject([{ body: 'a', attempt: 2 }])
    breaking.membership?.detach()
    const waiting = await world.join('t')
    await world.advance(world.limits.memberGraceMs - 1)
    expect(waiting.bodies).toEqual([])
    await world.advance(1)
    expect(waiting.held).toMatchObject([{ body: 'a', attempt: 3 }])
  })

  it('lets a member come back within the grace time and ack what it held, also over a restart', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a', 'b'])
    const member = await world.join('t', { memberId: idBytes(77) })
    const held = [...member.held]
    member.membership?.detach()
    await world.join('t', { member })
    expect(await world.ack(member, held.slice(0, 1))).toEqual([])
    await world.reopen()
    await world.join('t', { member })
    expect(await world.ack(member, held.slice(1))).toEqual([])
    expect(backlogOf(world)).toBe(0)
  })

  it('tells the old connection of a member that came back on another', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const old = await world.join('t', { memberId: idBytes(5) })
    await world.join('t', { memberId: idBytes(5) })
    expect(old.revocations.map(({ code }) => code)).toEqual(['CLOSED'])
  })

  it('returns released messages uncounted', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', ['a'])
    const member = await world.join('t', { credit: 1 })
    await world.retry(member, member.held, 'release')
    const other = await world.join('t')
    expect(other.held).toMatchObject([{ body: 'a', attempt: 1 }])
  })

  it('retries by the group’s schedule, then moves the message to the dead letters with its origin', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await configure(world, 3, [1_000, 5_000])
    await world.publish('t', [{ body: 'bad', tag: 'x', keys: ['k'], properties: new Map([['p', 'v']]) }, 'good'])
    const member = await world.join('t')
    await world.ack(member, member.held.slice(1))
    for (const [attempt, delayMs] of [[1, 1_000], [2, 5_000]] as const) {
      const held = member.held.filter(({ body }) => body === 'bad')
      expect(held).toHaveLength(attempt)
      await world.retry(member, held.slice(-1), 'schedule')
      await world.advance(delayMs - 1)
      expect(member.held.filter(({ body }) => body === 'bad')).toHaveLength(attempt)
      await world.advance(1)
    }
    const last = member.held.at(-1)
    expect(last).toMatchObject({ body: 'bad', attempt: 3 })
    await world.retry(member, member.held.slice(-1), 'schedule')
    expect(backlogOf(world)).toBe(0)
    const reader = await world.join('%DLQ%g', { group: 'readers' })
    expect(reader.bodies).toEqual(['bad'])
    const { properties, tag, keys } = reader.held[0]?.message ?? {}
    expect({ tag, keys }).toEqual({ tag: 'x', keys: ['k'] })
    expect(Object.fromEntries(properties ?? [])).toMatchObject({
      p: 'v',
      [deadLetterProperties.originTopic]: 't',
      [deadLetterProperties.originMessageId]: last?.message.messageId,
      [deadLetterProperties.attempts]: '3',
    })
  })

  it('moves a message with as many properties as are allowed to the dead letters, its origin added', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await configure(world, 1, [1_000])
    const properties = new Map(numbers(0, 128).map((name) => [name, 'x'.repeat(110)]))
    await world.publish('t', [{ body: 'bad', properties }])
    const member = await world.join('t')
    await world.retry(member, member.held, 'schedule')
    const reader = await world.join('%DLQ%g', { group: 'readers' })
    expect(reader.held[0]?.message.properties?.get('127')).toHaveLength(110)
    expect(reader.held[0]?.message.properties?.get(deadLetterProperties.originTopic)).toBe('t')
  })

  it('keeps retry times and attempts over a restart', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await configure(world, 5, [60_000])
    await world.publish('t', ['a'])
    const member = await world.join('t')
    await world.retry(member, member.held, 'schedule')
    await world.advance(30_000)
    await world.reopen()
    const next = await world.join('t')
    await world.advance(29_999)
    expect(next.bodies).toEqual([])
    await world.advance(1)
    expect(next.held).toMatchObject([{ body: 'a', attempt: 2 }])
  })

  it('lets no wait and no lease grow longer when the wall clock goes back over a restart', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await configure(world, 5, [60_000])
    await world.publish('t', ['retried', 'leased'])
    const member = await world.join('t', { leaseMs: 30_000, memberId: idBytes(9) })
    await world.retry(member, member.held.slice(0, 1), 'schedule')
    world.clock.jumpWall(-3_600_000)
    await world.reopen()
    await world.join('t', { member })
    member.held.length = 0
    await world.advance(30_000)
    expect(member.bodies).toEqual(['leased'])
    await world.advance(30_000)
    expect(member.bodies).toContain('retried')
  })

  it('delivers only what the filter takes, and moves past the rest', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const tagged = numbers(0, 100).map((body) => ({ body, tag: ['red', 'green', 'blue'][Number(body) % 3] as string }))
    await world.publish('t', tagged)
    const member = await world.join('t', { filter: 'red || blue' })
    expect(member.bodies).toEqual(numbers(0, 100).filter((body) => Number(body) % 3 !== 1))
    await world.ack(member, member.held)
    expect(backlogOf(world)).toBe(0)
  })

  it('refuses a member with another filter while others are there, and takes it when they have left', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const member = await world.join('t', { filter: 'a' })
    await expect(world.join('t', { filter: 'b' })).rejects.toMatchObject({ code: 'SUBSCRIPTION_CONFLICT' })
    await world.must((answer) => member.membership?.leave(answer))
    await world.join('t', { filter: 'b' })
  })

  it('reads a backlog from the store that no longer is in memory', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, tailCacheBytesMax: 2_000, readChunkBytes: 4_000 } })
    for (let batch = 0; batch < 100; batch++) await world.publish('t', numbers(batch * 10, batch * 10 + 10))
    expect(world.broker.stats().tailCacheBytes).toBeLessThanOrEqual(2_000)
    const member = await world.join('t')
    expect(member.bodies).toEqual(numbers(0, 1_000))
  })

  it('resets to the earliest, to an offset and to a time while members are connected', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 5))
    await world.advance(1_000)
    const middleMs = world.clock.now()
    await world.publish('t', numbers(5, 10))
    const member = await world.join('t')
    const held = [...member.held]
    const reset = async (to: Parameters<typeof world.broker.resetGroup>[0]['to']) => {
      member.held.length = 0
      await world.must((answer) => world.broker.resetGroup({ group: 'g', topic: 't', queueId: undefined, to }, answer))
      await world.settle()
      return member.bodies
    }
    expect(await reset({ kind: 'earliest' })).toEqual(numbers(0, 10))
    expect(await reset({ kind: 'position', position: { epoch: 0, offset: 8 } })).toEqual(numbers(8, 10))
    expect(await reset({ kind: 'timestamp', timestampMs: middleMs })).toEqual(numbers(5, 10))
    expect(await reset({ kind: 'latest' })).toEqual([])
    expect(await world.ack(member, held.slice(0, 1))).toMatchObject([{ error: { code: 'RECEIPT_STALE' } }])
    await expect(reset({ kind: 'position', position: { epoch: 0, offset: 11 } })).rejects
      .toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' })
  })
})

describe('a FIFO topic', () => {
  const ordered = (count: number, groups: number) =>
    numbers(0, count).map((body) => ({ body, messageGroup: `g${Number(body) % groups}` }))

  /** Acks everything held until nothing more comes; gives the order seen per message group. */
  async function drain(world: BrokerWorld, members: readonly TestMember[]): Promise<Map<string, string[]>> {
    const seen = new Map<string, string[]>()
    for (let round = 0; round < 10_000; round++) {
      const busy = members.filter((member) => member.held.length > 0)
      if (busy.length === 0) return seen
      for (const member of busy) {
        const held = member.held.splice(0)
        for (const { body, message } of held) {
          const group = message.messageGroup as string
          seen.set(group, [...(seen.get(group) ?? []), body])
        }
        await world.ack(member, held)
      }
    }
    throw new Error('it never ends')
  }

  it('leases one message per message group at a time, and keeps their order over members', async () => {
    const world = await BrokerWorld.open()
    await createFifo(world, 'f', 2)
    await world.publish('f', ordered(60, 6))
    const members = [await world.join('f'), await world.join('f'), await world.join('f')]
    expect(members.flatMap((member) => member.bodies)).toHaveLength(6)
    const seen = await drain(world, members)
    for (let group = 0; group < 6; group++) {
      expect(seen.get(`g${group}`)).toEqual(numbers(0, 60).filter((body) => Number(body) % 6 === group))
    }
  })

  it('lets other groups flow past one that is stuck, and keeps its lock over retries and a restart', async () => {
    const world = await BrokerWorld.open()
    await createFifo(world, 'f')
    await world.publish('f', ordered(30, 3))
    const member = await world.join('f')
    const stuck = member.held.filter(({ message }) => message.messageGroup === 'g0')
    member.held.splice(0, member.held.length, ...member.held.filter((held) => !stuck.includes(held)))
    await world.retry(member, stuck, 'after', 60_000)
    const seen = await drain(world, [member])
    expect([...seen.keys()].sort()).toEqual(['g1', 'g2'])
    expect(seen.get('g1')).toHaveLength(10)
    await world.reopen()
    const next = await world.join('f')
    await world.advance(59_999)
    expect(next.bodies).toEqual([])
    await world.advance(1)
    expect(next.held).toMatchObject([{ body: '0', attempt: 2 }])
    expect((await drain(world, [next])).get('g0')).toEqual(numbers(0, 30).filter((body) => Number(body) % 3 === 0))
  })

  it('goes on behind a message that became a dead letter', async () => {
    const world = await BrokerWorld.open()
    await createFifo(world, 'f')
    await configure(world, 1, [1_000])
    await world.publish('f', ordered(3, 1))
    const member = await world.join('f')
    expect(member.bodies).toEqual(['0'])
    await world.retry(member, member.held.splice(0), 'schedule')
    expect(member.bodies).toEqual(['1'])
    const reader = await world.join('%DLQ%g', { group: 'readers' })
    expect(reader.held[0]?.message.properties?.get(deadLetterProperties.originMessageGroup)).toBe('g0')
  })
})

describe('receive', () => {
  const receive = (world: BrokerWorld, member: TestMember, attemptId: number, messageCountMax = 10, waitMs = 10_000) =>
    world.ask<number>((answer) =>
      member.membership?.receive({ attemptId, messageCountMax, leaseMs: 0, waitMs }, answer)
    )

  it('gives what there is, at most what was asked for', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 30))
    const member = await world.join('t', { credit: 0 })
    expect(await receive(world, member, 1)).toBe(10)
    expect(await receive(world, member, 2, 5)).toBe(5)
    expect(member.bodies).toEqual(numbers(0, 15))
  })

  it('gathers messages that were stored one by one, over queues and records', async () => {
    const world = await BrokerWorld.open({ limits: { queueCountDefault: 3 } })
    for (const body of numbers(0, 20)) await world.publish('t', [body])
    const member = await world.join('t', { credit: 0 })
    expect(await receive(world, member, 1, 16)).toBe(16)
    const first = member.held.splice(0)
    member.membership?.detach()
    await world.join('t', { member, credit: 0 })
    expect(await receive(world, member, 1, 16)).toBe(16)
    expect(new Set(member.bodies)).toEqual(new Set(first.map(({ body }) => body)))
    expect(await receive(world, member, 2, 16)).toBe(4)
  })

  it('waits for a message, and ends empty when its time is over', async () => {
    const world = await BrokerWorld.open({ limits: one })
    const member = await world.join('t', { credit: 0 })
    const answers: unknown[] = []
    const ask = (attemptId: number) =>
      member.membership?.receive({ attemptId, messageCountMax: 1, leaseMs: 0, waitMs: 5_000 }, (count) => answers.push(count))
    ask(1)
    await world.advance(4_999)
    expect(answers).toEqual([])
    await world.publish('t', ['a'])
    expect(answers).toEqual([1])
    ask(2)
    await world.advance(5_000)
    expect(answers).toEqual([1, 0])
  })

  it('finds what there is without a wait, in the store or behind a slow commit', async () => {
    const world = await BrokerWorld.open({ limits: { ...one, tailCacheBytesMax: 0 } })
    await world.publish('t', ['a', 'b'])
    const member = await world.join('t', { credit: 0 })
    const receive = () => world.must<number>((answer) =>
      member.membership?.receive({ attemptId: 0, messageCountMax: 1, leaseMs: 0, waitMs: 0 }, answer))
    expect(await receive()).toBe(1)
    const commit = world.store.commit.bind(world.store)
    world.store.commit = (writes, answer) => world.clock.setTimer(5, () => commit(writes, answer))
    const published = world.tryPublish('t', ['c'])
    world.clock.runTurn()
    const received = receive()
    await world.advance(20)
    expect(await received).toBe(1)
    await published
    const last = receive()
    await world.advance(20)
    expect(await last).toBe(1)
    expect(await receive()).toBe(0)
  })

  it('answers a repeated attempt with its own messages, not with those of attempts before', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 6))
    const member = await world.join('t', { credit: 0 })
    const receive = (attemptId: number) => world.must<number>((answer) =>
      member.membership?.receive({ attemptId, messageCountMax: 2, leaseMs: 0, waitMs: 0 }, answer))
    await receive(1)
    await receive(2)
    await world.join('t', { member, credit: 0 })
    member.held.length = 0
    expect(await receive(2)).toBe(2)
    expect(member.bodies).toEqual(['2', '3'])
    await world.ack(member, member.held)
    member.held.length = 0
    await receive(2)
    expect(member.bodies).toEqual(['4', '5'])
  })

  it('answers a repeated attempt with the same messages under the same lease', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 5))
    const member = await world.join('t', { credit: 0 })
    await receive(world, member, 9, 3)
    const first = member.held.splice(0)
    member.membership?.detach()
    await world.join('t', { member, credit: 0 })
    expect(await receive(world, member, 9, 3)).toBe(3)
    expect(member.held).toEqual(first)
  })
})

describe('pull', () => {
  const pull = (world: BrokerWorld, start: Parameters<typeof world.broker.pull>[0]['start'], waitMs = 0, filter = '*') =>
    world.ask<PullResult>((answer) =>
      world.broker.pull({
        topic: 't', queueId: 0, start, filterKind: 'TAG', filter, messageCountMax: 10, byteCountMax: 1 << 20, waitMs,
      }, answer)
    )
  const bodies = (result: PullResult | PocketError) => {
    if (result instanceof PocketError) throw result
    return result.records.flatMap((bytes) => {
      const batch = RecordBatch.open(bytes)
      const bodyAt = (index: number) => new TextDecoder().decode(batch.messageAt(index, 't', 0).body)
      return Array.from({ length: batch.messageCount }, (_, index) => bodyAt(index))
    })
  }

  it('reads from a position on, and says where to go on and what there is', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 25))
    const first = await pull(world, { kind: 'earliest' })
    expect(bodies(first)).toEqual(numbers(0, 10))
    expect(first).toMatchObject({ next: { offset: 10 }, minOffset: 0, maxOffset: 25 })
    if (first instanceof PocketError) throw first
    expect(bodies(await pull(world, { kind: 'position', position: first.next }))).toEqual(numbers(10, 20))
  })

  it('is empty at the end, and moves past what its filter leaves out', async () => {
    const world = await BrokerWorld.open({ limits: one })
    await world.publish('t', numbers(0, 25))
    expect(bodies(await pull(world, { kind: 'latest' }))).toEqual([])
    expect(await pull(world, { kind: 'earliest' }, 0, 'nobody')).toMatchObject({ next: { offset: 25 }, records: [] })
  })

  it('refuses unknown topics and queues', async () => {
    const world = await BrokerWorld.open({ limits: one })
    expect(await pull(world, { kind: 'earliest' })).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    await world.publish('t', ['a'])
    const request = {
      topic: 't', queueId: 1, start: { kind: 'earliest' }, filterKind: 'TAG', filter: '*', messageCountMax: 1, byteCountMax: 1,
      waitMs: 0,
    } as const
    expect(await world.ask((answer) => world.broker.pull(request, answer))).toMatchObject({ code: 'QUEUE_NOT_FOUND' })
  })
})
