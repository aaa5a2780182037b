// What a group's work leaves in traces: each stage of each message, with who, which attempt, how long, as few runs.

import { describe, expect, it } from 'vitest'
import type { PullResult } from '../../../core/broker/door.ts'
import { decodeTraceRecord, type TraceRun } from '../../../core/broker/trace-record.ts'
import { traceTopic } from '../../../core/model/names.ts'
import { RecordBatch } from '../../../core/record/record-batch.ts'
import { BrokerWorld, type Held, type TestMember } from './broker-world.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index))
const taken = (member: TestMember): Held[] => member.held.splice(0)
const schedule = (...delaysMs: number[]) => ({ kind: 'schedule', delaysMs }) as const

async function tracedWorld(): Promise<BrokerWorld> {
  return BrokerWorld.open({ limits: { queueCountDefault: 1, tracePermilleDefault: 1000 } })
}

/** All that was noted of the topic with id 1, but its storing. */
async function runsOf(world: BrokerWorld): Promise<TraceRun[]> {
  await world.settle()
  const { records } = await world.must<PullResult>((answer) => world.broker.pull({
    topic: traceTopic, queueId: 0, start: { kind: 'earliest' }, filterKind: 'TAG', filter: '*', messageCountMax: 10_000,
    byteCountMax: 1 << 20, waitMs: 0,
  }, answer))
  return records.flatMap((bytes) => {
    const record = RecordBatch.open(bytes)
    const bodies = Array.from({ length: record.messageCount }, (_, index) => record.messageAt(index, traceTopic, 0).body)
    return bodies.map(decodeTraceRecord).flatMap(({ topicId, runs }) => (topicId === 1 ? runs : []))
  }).filter(({ kind }) => kind !== 'stored')
}

const told = (runs: readonly TraceRun[]) => runs.map(({ kind, offset, count, attempt }) => [kind, offset, count, attempt])

describe('a trace of a group', () => {
  it('holds one run per delivery and ack, and parts of one where there are holes', async () => {
    const world = await tracedWorld()
    await world.publish('t', numbers(0, 100))
    const member = await world.join('t', { clientId: 'till' })
    await world.advance(1_500)
    const held = taken(member)
    const { range } = held[0] as Held
    await world.must((answer) => member.membership?.ack([{ ...range, offset: 10, count: 20 }], answer))
    await world.must((answer) => member.membership?.ack([{ ...range, offset: 0, count: 100 }], answer))
    const runs = await runsOf(world)
    expect(told(runs)).toEqual([['delivered', 0, 100, 1], ['acked', 10, 20, 1], ['acked', 0, 10, 1], ['acked', 30, 70, 1]])
    expect(runs.map(({ costMs }) => costMs)).toEqual([0, 1_500, 1_500, 1_500])
    for (const run of runs) expect(run).toMatchObject({ group: 'g', clientId: 'till' })
  })

  it('tells only of what the filter let through', async () => {
    const world = await tracedWorld()
    await world.publish('t', ['x', 'x', 'y', 'x'].map((tag) => ({ body: 'm', tag })))
    await world.join('t', { filter: 'x' })
    expect(told(await runsOf(world))).toEqual([['delivered', 0, 2, 1], ['delivered', 3, 1, 1]])
  })

  it('tells of retries with their delays, of leases that ran out, and of the end', async () => {
    const world = await tracedWorld()
    await world.configureGroup('g', { attemptCountMax: 3, retry: schedule(2_000) })
    await world.publish('t', numbers(0, 10))
    const member = await world.join('t', { leaseMs: 5_000 })
    await world.retry(
      member, [{ ...(member.held[0] as Held), range: { ...(member.held[0] as Held).range, count: 10 } }], 'schedule',
    )
    await world.advance(2_000)
    await world.advance(5_000)
    taken(member).splice(0)
    await world.advance(5_000)
    const runs = await runsOf(world)
    expect(told(runs)).toEqual([
      ['delivered', 0, 10, 1], ['retried', 0, 10, 1], ['delivered', 0, 10, 2], ['expired', 0, 10, 2], ['delivered', 0, 10, 3],
      ['expired', 0, 10, 3], ['dead', 0, 10, 3],
    ])
    expect(runs.map(({ delayMs }) => delayMs)).toEqual([0, 2_000, 0, 0, 0, 0, 0])
    expect(runs[3]?.costMs).toBe(5_000)
  })

  it('tells of what is held, and of what is decided then', async () => {
    const world = await tracedWorld()
    await world.createTopic('t', { messageType: 'FIFO', queueCount: 1, tracePermille: 1000 })
    await world.configureGroup('g', { attemptCountMax: 1, exhausted: 'hold' })
    await world.publish('t', [{ body: 'a', messageGroup: 'a' }, { body: 'b', messageGroup: 'b' }])
    const member = await world.join('t', { clientId: 'till' })
    await world.retry(member, taken(member), 'schedule')
    const settle = (how: 'retry' | 'dead-letter') =>
      world.must((answer) => world.broker.settleHeld({ group: 'g', topic: 't', how }, answer))
    await settle('retry')
    await world.settle()
    await world.retry(member, taken(member), 'schedule')
    await settle('dead-letter')
    expect(told(await runsOf(world))).toEqual([
      ['delivered', 0, 2, 1], ['held', 0, 1, 1], ['held', 1, 1, 1], ['retried', 0, 1, 1], ['retried', 1, 1, 1],
      ['delivered', 0, 2, 1], ['held', 0, 1, 1], ['held', 1, 1, 1], ['dead', 0, 1, 1], ['dead', 1, 1, 1],
    ])
  })

  it('names nobody who did not come back after a restart, and counts from the delivery before it', async () => {
    const world = await tracedWorld()
    await world.publish('t', ['a'])
    await world.join('t', { clientId: 'till', leaseMs: 60_000 })
    await world.advance(1_000)
    await world.reopen()
    await world.advance(world.limits.memberGraceMs)
    const runs = await runsOf(world)
    expect(told(runs)).toEqual([['delivered', 0, 1, 1], ['expired', 0, 1, 1]])
    expect(runs[1]).toMatchObject({ clientId: '', costMs: 1_000 + world.limits.memberGraceMs })
  })
})
