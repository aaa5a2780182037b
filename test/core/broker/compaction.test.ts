// COMPACT topics: of each key the last message stays where it is, and everything else of it goes, in the background and
// unnoticed by those who read.

import { describe, expect, it } from 'vitest'
import type { FoundMessage, PullResult } from '../../../core/broker/door.ts'
import { textToBytes } from '../../../core/bytes.ts'
import { hash32 } from '../../../core/hash.ts'
import type { Limits } from '../../../core/limits.ts'
import type { TopicDescription } from '../../../core/protocol/frames.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { keyKinds } from '../../../core/storage/keys.ts'
import { createSimRandom } from '../../sim/sim-random.ts'
import { BrokerWorld, type OutMessage, slowCommits, TestMember } from './broker-world.ts'
import { auditStore } from './store-audit.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
async function compactWorld(
  limits: Partial<Limits> = {}, topic: Partial<{ queueCount: number; retentionBytes: number }> = {},
): Promise<BrokerWorld> {
  const world = await BrokerWorld.open({ limits: { retentionSweepMs: 10_000, ...limits } })
  await world.createTopic('t', { queueCount: 1, cleanupPolicy: 'COMPACT', ...topic })
  return world
}

/** `k=v` is value `v` of key `k`; `k=` removes it. */
function valueOf(text: string): OutMessage {
  const [key, body] = text.split('=') as [string, string]
  return { body, keys: [key] }
}

const publish = (world: BrokerWorld, ...values: string[]) => world.publish('t', values.map(valueOf))

/** What is stored, as `k=v@offset`. */
async function stored(world: BrokerWorld): Promise<string[]> {
  const messages: string[] = []
  for (const { value } of await world.entries(keyKinds.record)) {
    const record = RecordBatch.open(value)
    for (let index = 0; index < record.messageCount; index++) {
      const { keys, body, offset } = record.messageAt(index, 't', 0)
      messages.push(`${keys?.[0]}=${new TextDecoder().decode(body)}@${offset}`)
    }
  }
  return messages
}

/** Much time, in steps that are as long as nothing waits for them. */
async function pass(world: BrokerWorld, ms: number): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= hourMs / 4) {
    world.clock.advance(Math.min(leftMs, hourMs / 4))
    await world.settle()
  }
  await world.advance(20_000)
}

const describeTopic = (world: BrokerWorld) =>
  world.must<TopicDescription>((answer) => world.broker.describeTopic('t', answer))

const query = async (world: BrokerWorld, request: object) => {
  const found = await world.must<readonly FoundMessage[]>((answer) =>
    world.broker.query({
      topic: 't', messageId: undefined, key: undefined, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, after: undefined,
      messageCountMax: 100,
      ...request,
    }, answer))
  return found.map(({ record }) => {
    const message = RecordBatch.open(record).messageAt(0, 't', 0)
    return `${new TextDecoder().decode(message.body)}@${message.offset}`
  })
}

describe('a COMPACT topic', () => {
  it('keeps the last message of each key where it was, once the margin and the lag are over', async () => {
    const world = await compactWorld()
    await publish(world, 'a=1', 'b=1', 'a=2', 'c=1')
    await publish(world, 'a=3', 'b=2')
    await world.advance(50_000)
    expect(await stored(world)).toHaveLength(6)
    await world.advance(60_000)
    expect(await stored(world)).toEqual(['c=1@3', 'a=3@4', 'b=2@5'])
    expect(await auditStore(world)).toEqual([])
    expect(world.broker.stats()).toMatchObject({ messageCount: 3, counters: { compactedMessages: 3 } })
    expect((await publish(world, 'd=1')).segments).toMatchObject([{ offset: 6 }])
  })

  it('waits with a little that is new for more of it, or for the lag', async () => {
    const world = await compactWorld()
    await publish(world, ...Array.from({ length: 100 }, (_, index) => `k${index}=1`))
    await world.advance(70_000)
    await publish(world, 'k5=2')
    await world.advance(600_000)
    expect(await stored(world)).toContain('k5=1@5')
    await pass(world, hourMs)
    expect(await stored(world)).not.toContain('k5=1@5')
    expect(await stored(world)).toContain('k5=2@100')
    expect(await auditStore(world)).toEqual([])
  })

  it('leaves alone what is within the margin, when what is before it is compacted', async () => {
    const world = await compactWorld()
    await publish(world, 'a=1', 'b=1', 'a=2')
    await world.advance(55_000)
    await publish(world, 'b=2', 'b=3')
    await world.advance(20_000)
    expect(await stored(world)).toEqual(['b=1@1', 'a=2@2', 'b=2@3', 'b=3@4'])
    await world.advance(70_000)
    expect(await stored(world)).toEqual(['a=2@2', 'b=3@4'])
  })

  it('goes over as many keys as there are, some at a time', async () => {
    const world = await compactWorld({ recordBytesMax: 30_000, tailCacheBytesMax: 0 })
    slowCommits(world, 5_000)
    const keys = Array.from({ length: 17_000 }, (_, index) => `${index}`)
    for (const body of ['old', 'new']) {
      for (let from = 0; from < keys.length; from += 8_500) {
        await world.publish('t', keys.slice(from, from + 8_500).map((key) => ({ body, keys: [key] })))
      }
      await pass(world, hourMs)
      for (let round = 0; round < 50_000 && world.broker.counters.compactedMessages < (body === 'new' ? 17_000 : 0); round++) {
        await world.settle()
      }
    }
    for (let round = 0; round < 1_000; round++) await world.settle()
    expect(world.broker.counters.compactedMessages).toBe(17_000)
    expect(world.broker.stats().messageCount).toBe(17_000)
    expect(await auditStore(world)).toEqual([])
  }, 30_000)

  it('is read without a word about what was superseded, by groups, readers and pulls, before and after a restart', async () => {
    const world = await compactWorld({ tailCacheBytesMax: 0 })
    for (let round = 0; round < 5; round++) await publish(world, `a=${round}`, `b=${round}`, `once${round}=x`)
    await world.advance(110_000)
    for (let life = 0; life < 2; life++) {
      const member = await world.join('t', { group: `g${life}` })
      const reader = await world.join('t', { group: `r${life}`, mode: 'BROADCASTING' })
      const pulled = await world.must<PullResult>((answer) =>
        world.broker.pull({
          topic: 't', queueId: 0, start: { kind: 'earliest' }, filterKind: 'TAG', filter: '*', messageCountMax: 100,
          byteCountMax: 1 << 20, waitMs: 0,
        }, answer))
      const expected = ['x', 'x', 'x', 'x', '4', '4', 'x']
      for (const { bodies, gaps } of [member, reader]) {
        expect(bodies).toEqual(expected)
        expect(gaps).toEqual([])
      }
      expect(member.held.map(({ message }) => message.offset)).toEqual([2, 5, 8, 11, 12, 13, 14])
      expect(pulled.from.offset).toBe(0)
      expect(pulled.records.map((bytes) => RecordBatch.open(bytes).messageCount).reduce((sum, count) => sum + count)).toBe(7)
      await world.ack(member, member.held)
      await world.settle()
      expect(world.broker.stats()).toMatchObject({ backlog: 0, messageCount: 7 })
      await world.reopen()
      expect(world.broker.damages).toEqual([])
    }
  })

  it('is found in by id, key and time as before, less what is gone', async () => {
    const world = await compactWorld({ tailCacheBytesMax: 0 })
    const startMs = world.clock.now()
    const ids: string[] = []
    for (let round = 0; round < 4; round++) {
      await publish(world, `a=${round}`, `b${round}=${round}`)
      for (let at = 0; at < 2; at++) ids.push(`0000000000000001-0-${round * 2 + at}`)
      await world.advance(1_000)
    }
    await world.advance(110_000)
    expect(await stored(world)).toEqual(['b0=0@1', 'b1=1@3', 'b2=2@5', 'a=3@6', 'b3=3@7'])
    const found: string[][] = []
    for (const messageId of ids) found.push(await query(world, { messageId }))
    expect(found).toEqual([[], ['0@1'], [], ['1@3'], [], ['2@5'], ['3@6'], ['3@7']])
    expect(await query(world, { key: 'a' })).toEqual(['3@6'])
    expect(await query(world, { key: 'b1' })).toEqual(['1@3'])
    for (let round = 0; round < 4; round++) {
      const range = { fromMs: startMs + round * 1_000, toMs: startMs + 4_000 }
      expect(await query(world, range)).toEqual(['0@1', '1@3', '2@5', '3@6', '3@7'].slice(round))
      const member = await world.join('t', {
        group: `from${round}`, start: { kind: 'timestamp', timestampMs: startMs + round * 1_000 },
      })
      expect(member.held.map(({ message }) => message.offset)).toEqual([1, 3, 5, 6, 7].slice(round))
    }
  })

  it('takes a delayed message for new when it comes', async () => {
    const world = await compactWorld({ tailCacheBytesMax: 0 })
    await world.publish('t', [
      { body: 'late', keys: ['a'], delayMs: 30_000 }, { body: 'soon', keys: ['a'], delayMs: 5_000 }, { body: 'now', keys: ['a'] },
    ])
    await world.advance(20_000)
    expect(await stored(world)).toEqual(['a=now@0', 'a=soon@1'])
    await world.advance(200_000)
    expect(await stored(world)).toEqual(['a=late@2'])
    const found: string[][] = []
    for (const sequence of [0, 1, 2]) found.push(await query(world, { messageId: `0000000000000001-0-${sequence}` }))
    expect(found).toEqual([['late@2'], [], []])
    expect(await auditStore(world)).toEqual([])
  })

  it('goes by the first key and its exact text, per queue', async () => {
    const [left, right] = ['key583084', 'key1092000']
    expect(hash32(textToBytes(left))).toBe(hash32(textToBytes(right)))
    const world = await compactWorld()
    await world.publish('t', [
      { body: '1', keys: [left, 'both'] }, { body: '2', keys: [right, 'both'] }, { body: '3', keys: ['both', left] },
      { body: '4', keys: ['other', right] },
    ])
    await pass(world, hourMs * 2)
    expect(await stored(world)).toHaveLength(4)
    await world.publish('t', [{ body: '5', keys: [right] }])
    await pass(world, hourMs * 2)
    expect((await stored(world)).map((text) => text.split('=')[1])).toEqual(['1@0', '3@2', '4@3', '5@4'])
    expect(await auditStore(world)).toEqual([])
  })

  it('removes a key by an empty message, which goes itself after a day', async () => {
    const world = await compactWorld()
    await publish(world, 'a=1', 'b=1')
    await publish(world, 'a=')
    await pass(world, 2 * hourMs)
    expect(await stored(world)).toEqual(['b=1@1', 'a=@2'])
    await pass(world, 21 * hourMs)
    expect(await stored(world)).toEqual(['b=1@1', 'a=@2'])
    await pass(world, 2 * hourMs)
    expect(await stored(world)).toEqual(['b=1@1'])
    expect(await auditStore(world)).toEqual([])
    expect(await query(world, { key: 'a' })).toEqual([])
    const member = await world.join('t')
    expect(member.bodies).toEqual(['1'])
    expect(member.gaps).toEqual([])
    await world.ack(member, member.held)
    await world.settle()
    expect(world.broker.stats().backlog).toBe(0)
    await world.reopen()
    expect(world.broker.damages).toEqual([])
    expect((await publish(world, 'a=2')).segments).toMatchObject([{ offset: 3 }])
    expect((await world.join('t')).bodies).toEqual(['2'])
  })

  it('may end up without any message, and goes on at its offset', async () => {
    const world = await compactWorld()
    await publish(world, 'a=1')
    await publish(world, 'a=', 'b=')
    await pass(world, 26 * hourMs)
    expect(await stored(world)).toEqual([])
    expect(world.broker.stats().messageCount).toBe(0)
    const member = await world.join('t')
    expect(world.broker.stats().backlog).toBe(0)
    for (let life = 0; life < 2; life++) {
      await world.reopen()
      expect(world.broker.damages).toEqual([])
      expect((await describeTopic(world)).queues).toMatchObject([{ minOffset: 0, maxOffset: 3, storedBytes: 0 }])
    }
    await publish(world, 'c=1')
    await world.join('t', { member })
    expect(member.held.map(({ message }) => message.offset)).toEqual([3])
    expect(member.gaps).toEqual([])
  })

  it('does not bring a key back where what is older of it cannot be read', async () => {
    const world = await compactWorld({ tailCacheBytesMax: 0 })
    await publish(world, 'a=1', 'b=1')
    await publish(world, 'c=1')
    const [record] = await world.entries(keyKinds.record)
    if (record === undefined) throw new Error('no record')
    const { key, value } = record
    await world.write([{ key, value: value.map((byte, index) => (index === value.length - 1 ? byte ^ 1 : byte)) }])
    await publish(world, 'a=')
    await pass(world, 26 * hourMs)
    await world.write([{ key, value }])
    expect(await stored(world)).toEqual(['a=1@0', 'b=1@1', 'c=1@2', 'a=@3'])
  })

  it('lets go of what it leased before it was superseded, when the lease ends', async () => {
    const world = await compactWorld({ tailCacheBytesMax: 0 })
    await publish(world, 'a=1', 'b=1')
    await publish(world, 'c=1')
    const member = await world.join('t', { credit: 3, leaseMs: 3 * hourMs })
    expect(member.bodies).toEqual(['1', '1', '1'])
    await publish(world, 'a=2')
    await publish(world, 'c=2')
    await pass(world, 2 * hourMs)
    expect(await stored(world)).toEqual(['b=1@1', 'a=2@3', 'c=2@4'])
    member.held.length = 0
    member.membership?.credit(100, 1 << 20)
    await pass(world, 2 * hourMs)
    expect(member.held.map(({ message }) => message.offset).sort()).toEqual([1, 3, 4])
    await world.ack(member, member.held)
    await world.settle()
    expect(world.broker.stats()).toMatchObject({ backlog: 0, inFlightCount: 0 })
    expect(member.gaps).toEqual([])
  })

  it('still says what is damaged, and only that', async () => {
    const world = await compactWorld({ tailCacheBytesMax: 0, compactLagMsMin: 1_000 })
    for (let round = 0; round < 5; round++) await publish(world, `a=${round}`, `b${round}=x`, `c=${round}`)
    await pass(world, hourMs)
    const records = await world.entries(keyKinds.record)
    expect(records).toHaveLength(5)
    const { key, value } = records[2] as { key: Uint8Array; value: Uint8Array }
    await world.write([{ key, value: value.map((byte, index) => (index === value.length - 1 ? byte ^ 1 : byte)) }])
    for (let life = 0; life < 2; life++) {
      const member = await world.join('t', { group: `g${life}` })
      const reader = await world.join('t', { group: `r${life}`, mode: 'BROADCASTING' })
      for (const { held, gaps } of [member, reader]) {
        expect(held.map(({ message }) => message.offset)).toEqual([1, 4, 10, 12, 13, 14])
        expect(gaps).toMatchObject([{ expected: { offset: 5 }, next: { offset: 8 } }])
      }
      expect(world.broker.stats().counters.damagedRecords).toBeGreaterThan(0)
      await world.reopen()
    }
    await world.write([{ key: (records[4] as { key: Uint8Array }).key, value: null }])
    await world.reopen()
    expect(world.broker.damages).toMatchObject(
      [{ what: 'record at the tail' }, { what: 'messages missing at the tail', toOffset: 14 }],
    )
  })

  it('is put together from its records where its state is damaged', async () => {
    const world = await compactWorld({ tailCacheBytesMax: 0 })
    await publish(world, 'a=1', 'b=1')
    await publish(world, 'a=2', 'c=1')
    await publish(world, 'a=3')
    await pass(world, 2 * hourMs)
    const [state] = await world.entries(keyKinds.queueState)
    await world.write([{ key: (state as { key: Uint8Array }).key, value: new Uint8Array(20) }])
    await world.reopen()
    expect(world.broker.damages).toHaveLength(1)
    expect(await auditStore(world)).toEqual([])
    await publish(world, 'b=2')
    await pass(world, 2 * hourMs)
    expect(await stored(world)).toEqual(['c=1@3', 'a=3@4', 'b=2@5'])
  })

  it('trims its head by size as well, and is compacted behind it', async () => {
    const world = await compactWorld({ recordBytesMax: 1_000 }, { retentionBytes: 20_000 })
    for (let round = 0; round < 60; round++) {
      await publish(world, `k${round % 40}=${'x'.repeat(1_000)}`)
      await world.advance(20_000)
    }
    await pass(world, 2 * hourMs)
    expect(await auditStore(world)).toEqual([])
    const { queues } = await describeTopic(world)
    expect(queues[0]?.storedBytes).toBeLessThanOrEqual(20_000)
    expect(queues[0]?.minOffset).toBeGreaterThan(30)
  })

  it('is left alone once it is deleted, at any moment of it', async () => {
    const keys = Array.from({ length: 40 }, (_, index) => `k${index}`)
    const compacted = new Set<number>()
    for (let turns = 0; turns < 1_500; turns += 71) {
      const world = await compactWorld({ tailCacheBytesMax: 0, recordBytesMax: 100 })
      for (const key of keys) await publish(world, `${key}=1`)
      await world.advance(70_000)
      for (const key of keys) await publish(world, `${key}=2`)
      // Until it begins.
      await world.advance(59_999)
      world.clock.advance(1)
      for (let turn = 0; turn < turns; turn++) {
        world.clock.runTurn()
        await Promise.resolve()
      }
      compacted.add(world.broker.counters.compactedMessages)
      await world.must((answer) => world.broker.deleteTopic('t', answer))
      await world.advance(30_000)
      for (const kind of [keyKinds.record, keyKinds.keyIndex, keyKinds.queueState]) expect(await world.entries(kind)).toEqual([])
      expect(world.failures).toEqual([])
    }
    expect(compacted.size).toBeGreaterThan(2)
  })

  it('takes no message without a key', async () => {
    const world = await compactWorld()
    expect(await world.tryPublish('t', ['x'])).toMatchObject({ code: 'BAD_ARGUMENT' })
    expect(
      await world.tryPublish('t', [{ body: 'x', keys: ['k'] }, { body: 'y', keys: [] }]),
    ).toMatchObject({ code: 'BAD_ARGUMENT' })
  })
})

describe('random values of few keys', () => {
  const seedCount = Number(process.env.COMPACTION_SEEDS ?? 40)

  it(`end with the last of each, and with nothing else, over ${seedCount} seeds`, async () => {
    let restarts = 0
    let compacted = 0
    let read = 0
    for (let seed = 1; seed <= seedCount; seed++) {
      const random = createSimRandom(seed)
      const world = await compactWorld({
        recordBytesMax: random.pick([100, 400, 100_000]),
        tailCacheBytesMax: random.pick([0, 3_000, 1 << 20]),
        readChunkBytes: random.pick([200, 1 << 20]),
        compactLagMsMin: random.pick([0, 1_000, 30_000]),
        compactLagMsMax: 60_000,
        retentionSweepMs: 2_000,
      }, { queueCount: 1 + random.below(3) })
      slowCommits(world, random.pick([0, 2, 7]))
      const keyCount = 1 + random.below(12)
      /** Value and place of the last message of each key. */
      const last = new Map<string, string>()
      const places = new Map<string, string>()
      let reader = new TestMember(new Uint8Array(8).fill(7), 't')
      let number = 0
      for (let step = 0; step < 60; step++) {
        const dice = random.next()
        if (dice < 0.55) {
          const values = Array.from({ length: 1 + random.below(6) }, () => {
            const key = `k${random.below(keyCount)}`
            return `${key}=${random.chance(0.15) ? '' : number++}`
          })
          const { segments } = await publish(world, ...values)
          const offsets = segments.flatMap(({ queueId, offset, count }) =>
            Array.from({ length: count }, (_, index) => `${queueId}/${offset + index}`))
          values.forEach((value, index) => {
            last.set(value.split('=')[0] as string, value)
            places.set(value, offsets[index] as string)
          })
        } else if (dice < 0.75) await world.advance(random.below(20_000))
        else if (dice < 0.85) {
          // At any point, in the middle of a compaction too.
          for (let turns = random.below(60); turns > 0; turns--) {
            if (world.clock.isIdle) world.clock.advance(500)
            else world.clock.runTurn()
            await Promise.resolve()
          }
          restarts++
          await world.reopen()
          expect(world.broker.damages, `seed ${seed}`).toEqual([])
        } else {
          await world.join('t', { member: reader, group: 'r', mode: 'BROADCASTING' })
          reader.membership?.detach()
          for (const { body, message } of reader.held) {
            if (body === '') continue
            const place = places.get(`${message.keys?.[0]}=${body}`)
            expect(place, `seed ${seed}`).toBe(`${message.queueId}/${message.offset}`)
          }
          expect(reader.gaps, `seed ${seed}`).toEqual([])
          read += reader.held.length
          reader = new TestMember(new Uint8Array(8).fill(7), 't')
        }
      }
      compacted += world.broker.stats().counters.compactedMessages
      await world.advance(130_000)
      expect(await auditStore(world), `seed ${seed}`).toEqual([])
      const kept = (await stored(world)).map((text) => text.split('@')[0] as string)
      expect(kept.toSorted(), `seed ${seed}`).toEqual([...last.values()].toSorted())
      await pass(world, dayMs)
      await world.reopen()
      expect(world.broker.damages, `seed ${seed}`).toEqual([])
      expect(await auditStore(world), `seed ${seed}`).toEqual([])
      const alive = [...last.values()].filter((value) => !value.endsWith('='))
      const member = await world.join('t')
      expect(
        member.held.map(({ body, message }) => `${message.keys?.[0]}=${body}`).toSorted(), `seed ${seed}`,
      ).toEqual(alive.toSorted())
      for (const { body, message } of member.held) {
        expect(places.get(`${message.keys?.[0]}=${body}`)).toBe(`${message.queueId}/${message.offset}`)
      }
      expect(member.gaps, `seed ${seed}`).toEqual([])
      expect(world.failures, `seed ${seed}`).toEqual([])
    }
    expect(restarts).toBeGreaterThan(seedCount)
    expect(compacted).toBeGreaterThan(seedCount * 10)
    expect(read).toBeGreaterThan(seedCount * 10)
  }, 120_000)
})
