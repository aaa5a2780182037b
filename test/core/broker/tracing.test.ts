// Traces: what a timeline tells of a message is what happened to it, at every stage, in order, over a restart; sampling
// decides the same everywhere; and nothing is traced that nobody asked for.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeTraceRecord, encodeTraceRecord, isSampled, traceBlockSize, traceKeyOf, type TraceRun,
} from '../../../core/broker/trace-record.ts'
import { ByteWriter } from '../../../core/bytes.ts'
import { PocketError } from '../../../core/errors.ts'
import { traceTopic } from '../../../core/model/names.ts'
import type { Timeline } from '../../../core/protocol/frames.ts'
import { BrokerWorld, topicOptions } from './broker-world.ts'

async function timelinesOf(
  world: BrokerWorld, of: { readonly messageId?: string; readonly key?: string },
): Promise<readonly Timeline[]> {
  return world.must<readonly Timeline[]>((answer) => world.broker.queryTrace({
    topic: of.key === undefined ? '' : 't',
    messageId: of.messageId,
    key: of.key,
    fromMs: 0,
    toMs: Number.MAX_SAFE_INTEGER,
    after: undefined,
    messageCountMax: 64,
  }, answer))
}

const kindsOf = ({ events }: Timeline) => events.map(({ kind }) => kind)

async function tracedWorld(permille = 1000): Promise<BrokerWorld> {
  return BrokerWorld.open({ limits: { queueCountDefault: 1, tracePermilleDefault: permille } })
}

describe('a timeline', () => {
  it('tells where and when a message was born, sent, stored, delivered and acked', async () => {
    const world = await tracedWorld()
    await world.publish('t', [{ body: 'a', keys: ['order-1'] }])
    const member = await world.join('t', { clientId: 'till-7' })
    await world.advance(250)
    await world.ack(member, member.held)
    const [timeline] = await timelinesOf(world, { key: 'order-1' })
    expect(timeline).toMatchObject({ topic: 't', queueId: 0, offset: 0, isTraced: true, traceparent: '' })
    expect(kindsOf(timeline as Timeline)).toEqual(['born', 'sent', 'stored', 'delivered', 'acked'])
    expect(timeline?.events[1]).toMatchObject({ clientId: 'c1' })
    expect(timeline?.events[3]).toMatchObject({ group: 'g', clientId: 'till-7', attempt: 1 })
    expect(timeline?.events[4]).toMatchObject({ group: 'g', clientId: 'till-7', attempt: 1, costMs: 250 })
  })

  it('tells of every attempt, and of the end among the dead letters', async () => {
    const world = await tracedWorld()
    await world.configureGroup('g', { attemptCountMax: 2, retry: { kind: 'schedule', delaysMs: [1_000] } })
    await world.publish('t', ['a'])
    const member = await world.join('t')
    await world.retry(member, member.held.splice(0), 'schedule')
    await world.advance(1_000)
    await world.retry(member, member.held.splice(0), 'schedule')
    await world.settle()
    const [timeline] = await timelinesOf(world, { messageId: '0000000000000001-0-0' })
    expect(kindsOf(timeline as Timeline)).toEqual(['born', 'sent', 'stored', 'delivered', 'retried', 'delivered', 'dead'])
    expect(timeline?.events[4]).toMatchObject({ delayMs: 1_000, attempt: 1 })
  })

  it('tells of a lease that ended', async () => {
    const world = await tracedWorld()
    await world.publish('t', ['a'])
    await world.join('t', { leaseMs: 1_000 })
    await world.advance(1_000)
    const [timeline] = await timelinesOf(world, { messageId: '0000000000000001-0-0' })
    expect(kindsOf(timeline as Timeline).slice(0, 5)).toEqual(['born', 'sent', 'stored', 'delivered', 'expired'])
  })

  it('is there after a restart', async () => {
    const world = await tracedWorld()
    await world.publish('t', ['a'])
    const member = await world.join('t')
    await world.ack(member, member.held)
    await world.reopen()
    const [timeline] = await timelinesOf(world, { messageId: '0000000000000001-0-0' })
    expect(kindsOf(timeline as Timeline)).toContain('acked')
  })

  it('is found for each of many messages, in light and in heavy load', async () => {
    const world = await tracedWorld()
    await world.publish('t', Array.from({ length: 5_000 }, (_, index) => String(index)))
    for (let round = 0; round < 200; round++) await world.publish('t', [`light ${round}`])
    const member = await world.join('t')
    await world.ack(member, member.held)
    for (const sequence of [0, 63, 64, 1_000, 2_047, 2_048, 4_999, 5_000, 5_199]) {
      const [timeline] = await timelinesOf(world, { messageId: `0000000000000001-0-${sequence}` })
      expect(timeline?.offset).toBe(sequence)
      expect(kindsOf(timeline as Timeline)).toEqual(['born', 'sent', 'stored', 'delivered', 'acked'])
    }
  })

  it('carries the trace context of its message', async () => {
    const world = await tracedWorld()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await world.publish('t', [{ body: 'a', properties: new Map([['traceparent', traceparent]]) }])
    const [timeline] = await timelinesOf(world, { messageId: '0000000000000001-0-0' })
    expect(timeline?.traceparent).toBe(traceparent)
  })

  it('tells what is known anyway of a message that is not traced', async () => {
    const world = await tracedWorld(0)
    await world.publish('t', ['a'])
    const [timeline] = await timelinesOf(world, { messageId: '0000000000000001-0-0' })
    expect(timeline?.isTraced).toBe(false)
    expect(kindsOf(timeline as Timeline)).toEqual(['born', 'stored'])
  })

  it('is asked for in vain where there is no such topic or message', async () => {
    const world = await tracedWorld()
    const ask = (topic: string, messageId: string | undefined, key: string | undefined) => world.ask((answer) => {
      world.broker.queryTrace({ topic, messageId, key, fromMs: 0, toMs: 1, after: undefined, messageCountMax: 1 }, answer)
    })
    expect(await ask('none', undefined, 'k')).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
    expect(await ask('', 'no id', undefined)).toBeInstanceOf(PocketError)
    expect(await ask('', undefined, 'x'.repeat(256))).toMatchObject({ code: 'BAD_NAME' })
  })
})

describe('sampling', () => {
  it('makes no trace topic while nothing is traced', async () => {
    const world = await tracedWorld(0)
    await world.publish('t', ['a'])
    const member = await world.join('t')
    await world.ack(member, member.held)
    expect(await world.ask((answer) => world.broker.describeTopic(traceTopic, answer))).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
  })

  it('follows each message through all its stages, or through none', async () => {
    const world = await tracedWorld(300)
    const count = 100 * traceBlockSize
    await world.publish('t', Array.from({ length: count }, (_, index) => String(index)))
    const member = await world.join('t')
    await world.ack(member, member.held)
    let tracedCount = 0
    for (let sequence = 5; sequence < count; sequence += traceBlockSize) {
      const [timeline] = await timelinesOf(world, { messageId: `0000000000000001-0-${sequence}` })
      const kinds = kindsOf(timeline as Timeline)
      if (timeline?.isTraced) {
        tracedCount++
        expect(kinds).toEqual(['born', 'sent', 'stored', 'delivered', 'acked'])
      } else expect(kinds).toEqual(['born', 'stored'])
    }
    expect(tracedCount).toBeGreaterThan(10)
    expect(tracedCount).toBeLessThan(60)
  })

  it('takes about its share', () => {
    let taken = 0
    for (let block = 0; block < 10_000; block++) if (isSampled(7, 3, block * traceBlockSize, 250)) taken++
    expect(taken).toBeGreaterThan(2_000)
    expect(taken).toBeLessThan(3_000)
    expect(isSampled(7, 3, 5, 0)).toBe(false)
    expect(isSampled(7, 3, 5, 1000)).toBe(true)
  })

  it('is switched while a topic is in use', async () => {
    const world = await tracedWorld(0)
    await world.publish('t', ['a'])
    const options = topicOptions({ tracePermille: 1000 })
    await world.must((answer) => world.broker.configureTopic({ topic: 't', options }, answer))
    await world.publish('t', ['b'])
    const [timeline] = await timelinesOf(world, { messageId: '0000000000000001-0-1' })
    expect(kindsOf(timeline as Timeline)).toEqual(['born', 'sent', 'stored'])
  })
})

describe('a trace record', () => {
  const run: fc.Arbitrary<TraceRun> = fc.record({
    kind: fc.constantFrom('stored', 'delivered', 'acked', 'retried', 'expired', 'held', 'dead'),
    offset: fc.nat(),
    count: fc.nat(),
    atMs: fc.nat({ max: 2 ** 45 }),
    costMs: fc.nat(),
    sentMs: fc.nat({ max: 2 ** 45 }),
    group: fc.string({ maxLength: 20 }),
    clientId: fc.string({ maxLength: 20 }),
    attempt: fc.nat(),
    delayMs: fc.nat(),
  })

  it('reads back as it was written', () => {
    fc.assert(fc.property(fc.array(run, { minLength: 1, maxLength: 20 }), (runs) => {
      const writer = new ByteWriter()
      const record = { topic: 't', topicId: 3, queueId: 7, epoch: 9, runs }
      encodeTraceRecord(record, writer)
      expect(decodeTraceRecord(writer.finish())).toEqual(record)
    }))
  })

  it('refuses bytes that are none, with a code', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        decodeTraceRecord(bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(PocketError)
      }
    }))
  })

  it('is keyed by blocks', () => {
    expect(traceKeyOf(1, 2, 0)).toBe(traceKeyOf(1, 2, traceBlockSize - 1))
    expect(traceKeyOf(1, 2, 0)).not.toBe(traceKeyOf(1, 2, traceBlockSize))
  })
})
