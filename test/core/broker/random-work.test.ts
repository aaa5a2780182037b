// Random work from a seed against one broker: members come, go, break and return, receive, ack, retry, release and let
// leases run out; a BROADCASTING reader reads along; groups are reset, paused, bounded and hold what fails, retention
// trims, messages have times to live; time passes, and the wall clock jumps; the broker restarts. Then it heals and
// drains, and what was promised is held against what happened. A failing seed is printed in the test's name.

import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../../core/broker/door.ts'
import { deadLetterTopicOf } from '../../../core/model/names.ts'
import type { TopicDescription } from '../../../core/protocol/frames.ts'
import { BrokerWorld, type Held, idBytes, TestMember } from './broker-world.ts'
import { createSimRandom, type SimRandom } from '../../sim/sim-random.ts'

const seedCount = Number(process.env.RANDOM_WORK_SEEDS ?? 60)
const stepCount = 120
const groupCount = 5
const delaysMs = [1_000, 8_000]

interface Delivered {
  readonly body: string
  readonly group: string
  readonly attempt: number
  acked: boolean
}

/** A member that writes each delivery down the moment it comes. */
class WritingMember extends TestMember {
  readonly #note: (held: Held) => void

  constructor(memberId: Uint8Array, note: (held: Held) => void) {
    super(memberId, 't')
    this.#note = note
  }

  override deliver(delivery: Delivery): void {
    const before = this.held.length
    super.deliver(delivery)
    for (const held of this.held.slice(before)) this.#note(held)
  }
}

/** A reader that keeps its positions, as a client does. */
class ReadingMember extends TestMember {
  readonly positions = new Map<number, Delivery['next']>()
  readonly #read: Map<number, number[]>

  constructor(memberId: Uint8Array, read: Map<number, number[]>) {
    super(memberId, 't')
    this.#read = read
  }

  override deliver(delivery: Delivery): void {
    const before = this.held.length
    super.deliver(delivery)
    this.positions.set(delivery.queueId, delivery.next)
    const offsets = this.#read.get(delivery.queueId) ?? []
    this.#read.set(delivery.queueId, offsets)
    for (const { message } of this.held.slice(before)) offsets.push(message.offset)
  }
}

/** What a seed has beside the work that all have. */
interface Traits {
  readonly isFifo: boolean
  readonly hasResets: boolean
  readonly hasTtl: boolean
  /** Pauses, and bounds on what is out. */
  readonly hasConfigs: boolean
  readonly hasHolding: boolean
}

class Work {
  readonly #world: BrokerWorld
  readonly #random: SimRandom
  readonly #traits: Traits
  readonly #members: TestMember[] = []
  readonly #seen = new Map<Held, Delivered>()
  readonly published: string[] = []
  /** Where each went. */
  readonly places = new Map<string, { readonly queueId: number; readonly offset: number }>()
  readonly deliveries: Delivered[] = []
  readonly consumed = new Set<string>()
  /** What the BROADCASTING reader got, by queue. */
  readonly read = new Map<number, number[]>()
  readonly dead: string[] = []
  /** Bodies that have a time to live, and how long. */
  readonly ttls = new Map<string, number>()
  /** Deliveries that should not have been. */
  readonly wrongs: string[] = []
  #isPaused = false
  #inFlightMax = 0
  #inFlightPerMemberMax = 0
  pauses = 0
  settlings = 0
  restarts = 0
  jumps = 0
  received = 0
  resets = 0
  gaps = 0
  #reader: ReadingMember | undefined
  #attemptId = 0
  #memberNumber = 0

  constructor(world: BrokerWorld, random: SimRandom, traits: Traits) {
    this.#traits = traits
    this.#world = world
    this.#random = random
  }

  async step(): Promise<void> {
    const dice = this.#random.next()
    if (dice < 0.2) await this.#publish()
    else if (dice < 0.25) await this.#readOn()
    else if (dice < 0.33) await this.#join()
    else if (dice < 0.39) await this.#receive()
    else if (dice < 0.65) await this.#settleSome('ack')
    else if (dice < 0.75) await this.#settleSome('retry')
    else if (dice < 0.80) await this.#settleSome('release')
    else if (dice < 0.84) await this.#end('leave')
    else if (dice < 0.88) await this.#end('detach')
    else if (dice < 0.93) await this.#world.advance(this.#below(20_000))
    else if (dice < 0.96) await this.#govern()
    else if (dice < 0.97) this.#jump()
    else if (dice < 0.975 && this.#traits.hasResets) await this.#reset()
    else await this.#restart()
  }

  /** What operators do. */
  async #govern(): Promise<void> {
    if (this.#traits.hasHolding) await this.#settleHeld()
    if (!this.#traits.hasConfigs) return
    this.#isPaused = !this.#isPaused && this.#random.next() < 0.4
    if (this.#isPaused) this.pauses++
    this.#inFlightMax = this.#random.next() < 0.5 ? 0 : 1 + this.#below(20)
    this.#inFlightPerMemberMax = this.#random.next() < 0.5 ? 0 : 1 + this.#below(8)
    await this.#configure()
  }

  #configure() {
    const [isPaused, inFlightMax, inFlightPerMemberMax] = [this.#isPaused, this.#inFlightMax, this.#inFlightPerMemberMax]
    return this.#world.configureGroup('g', { isPaused, inFlightMax, inFlightPerMemberMax })
  }

  async #settleHeld(): Promise<void> {
    const how = this.#random.next() < 0.7 ? 'retry' : 'dead-letter'
    const outcome = await this.#world.ask((answer) => this.#world.broker.settleHeld({ group: 'g', topic: 't', how }, answer))
    expect(outcome).toMatchObject({ queues: expect.anything() })
    this.settlings++
  }

  /** Holds a delivery against what was promised of it at that moment. */
  #check({ body, message }: Held): void {
    const { broker, clock } = this.#world
    const ttlMs = this.ttls.get(body)
    if (ttlMs !== undefined && clock.now() - message.storedMs >= ttlMs) this.wrongs.push(`${body} was over`)
    if (this.#isPaused) this.wrongs.push(`${body} while paused`)
    const { inFlightCount } = broker.stats()
    if (this.#inFlightMax > 0 && inFlightCount > this.#inFlightMax) this.wrongs.push(`${body} was one of ${inFlightCount} out`)
  }

  /** No more faults: one member takes everything to the end. */
  async drain(): Promise<void> {
    while (this.#members.length > 0) await this.#end('leave')
    await this.#join()
    this.#isPaused = false
    this.#inFlightMax = 0
    this.#inFlightPerMemberMax = 0
    if (this.#traits.hasConfigs) await this.#configure()
    for (let round = 0; this.#world.broker.stats().backlog > 0; round++) {
      if (round > 2_000) throw new Error(`stuck with a backlog of ${this.#world.broker.stats().backlog}`)
      if (this.#traits.hasHolding) await this.#settleHeld()
      const [member] = this.#members as [TestMember]
      const held = this.#holding(member)
      if (held.length > 0) await this.#ack(member, held)
      else await this.#world.advance(10_000)
    }
    await this.#exhume()
    for (let round = 0; !this.#hasReadAll; round++) {
      if (round > 2_000) throw new Error('the reader is stuck')
      await this.#readOn()
    }
  }

  /** What became dead letters. */
  async #exhume(): Promise<void> {
    const topic = deadLetterTopicOf('g')
    if (this.#world.broker.stats().counters.deadLetters === 0 && !this.#hasTopic(topic)) return
    const grave = await this.#world.join(topic, { group: 'graves' })
    for (let held = grave.held.splice(0); held.length > 0; held = grave.held.splice(0)) {
      this.dead.push(...held.map(({ body }) => body))
      await this.#world.ack(grave, held)
      await this.#world.settle()
    }
  }

  #hasTopic(name: string): boolean {
    for (const { topic } of this.#world.broker.stats().topics()) if (topic === name) return true
    return false
  }

  /** Whether the reader got the last message of each queue; retention keeps it. */
  get #hasReadAll(): boolean {
    for (const [body, { queueId, offset }] of this.places) {
      if (this.ttls.has(body)) continue
      if ((this.read.get(queueId)?.at(-1) ?? -1) < offset) return false
    }
    return true
  }

  /** The reader takes some more; at times it has lost its connection and resumes. */
  async #readOn(): Promise<void> {
    const credit = 1 + this.#below(30)
    if (this.#reader !== undefined && this.#random.next() < 0.7) this.#reader.membership?.credit(credit, 1 << 20)
    else {
      this.#reader?.membership?.detach()
      this.gaps += this.#reader?.gaps.length ?? 0
      const positions = [...(this.#reader?.positions ?? [])].map(([queueId, position]) => ({ queueId, position }))
      const reader = new ReadingMember(idBytes(9), this.read)
      for (const { queueId, position } of positions) reader.positions.set(queueId, position)
      this.#reader = reader
      await this.#world.join('t', { member: reader, group: 'b', mode: 'BROADCASTING', positions, credit })
    }
    await this.#world.settle()
    this.gaps += this.#reader.gaps.splice(0).length
  }

  async #receive(): Promise<void> {
    const member = this.#members[this.#below(this.#members.length)]
    if (member === undefined) return
    const waitMs = this.#random.next() < 0.5 ? 0 : 2_000
    const request = { attemptId: ++this.#attemptId, messageCountMax: 1 + this.#below(10), leaseMs: 0, waitMs }
    let count: number | undefined
    const before = member.held.length
    member.membership?.receive(request, (outcome) => (count = outcome as number))
    await this.#world.advance(waitMs + 1)
    expect(count).toBeTypeOf('number')
    expect(member.held.length - before).toBeGreaterThanOrEqual(count as number)
    this.received += count as number
  }

  async #reset(): Promise<void> {
    this.resets++
    const to = { kind: 'earliest' } as const
    const queueId = this.#random.next() < 0.5 ? 0 : undefined
    await this.#world.must((answer) => this.#world.broker.resetGroup({ group: 'g', topic: 't', queueId, to }, answer))
    for (const member of this.#members) {
      this.#lose(member)
      member.membership?.credit(20, 1 << 20)
    }
    await this.#world.settle()
  }

  #jump(): void {
    this.jumps++
    this.#world.clock.jumpWall(this.#below(3_600_000) - 1_800_000)
  }

  async #publish(): Promise<void> {
    const messages = Array.from({ length: 1 + this.#below(20) }, () => {
      const body = `${this.published.length}`
      this.published.push(body)
      const hasTtl = this.#traits.hasTtl && this.#random.next() < 0.3
      const ttlMs = hasTtl ? 1 + this.#below(40_000) : undefined
      if (ttlMs !== undefined) this.ttls.set(body, ttlMs)
      return { body, ttlMs, messageGroup: this.#traits.isFifo ? groupOf(body) : undefined }
    })
    const { segments } = await this.#world.publish('t', messages)
    const places = segments.flatMap(({ queueId, offset, count }) =>
      Array.from({ length: count }, (_, index) => ({ queueId, offset: offset + index })))
    messages.forEach(({ body }, index) => this.places.set(body, places[index] as { queueId: number; offset: number }))
  }

  async #join(): Promise<void> {
    if (this.#members.length >= 4) return
    const member = new WritingMember(idBytes(10_000 + this.#memberNumber++), (held) => {
      this.#check(held)
      const delivered: Delivered = {
        body: held.body, group: held.message.messageGroup ?? '', attempt: held.attempt, acked: false,
      }
      this.#seen.set(held, delivered)
      this.deliveries.push(delivered)
    })
    await this.#world.join('t', { member, leaseMs: 5_000 + this.#below(20_000), credit: 1 + this.#below(50) })
    this.#members.push(member)
  }

  async #end(how: 'leave' | 'detach'): Promise<void> {
    const [member] = this.#members.splice(this.#below(this.#members.length), 1)
    if (member === undefined) return
    if (how === 'leave') {
      await this.#world.must((answer) => member.membership?.leave(answer))
      this.#lose(member)
    } else {
      member.membership?.detach()
      if (this.#random.next() < 0.5) {
        await this.#world.advance(this.#below(this.#world.limits.memberGraceMs))
        await this.#world.join('t', { member, leaseMs: 10_000, credit: 20 })
        this.#members.push(member)
      }
    }
  }

  async #restart(): Promise<void> {
    this.restarts++
    await this.#world.reopen()
    if (this.#reader !== undefined) await this.#resumeReader()
    const members = this.#members.splice(0)
    for (const member of members) {
      if (this.#random.next() < 0.3) continue
      await this.#world.join('t', { member, leaseMs: 10_000, credit: 20 })
      this.#members.push(member)
    }
  }

  async #resumeReader(): Promise<void> {
    const positions = [...(this.#reader as ReadingMember).positions].map(([queueId, position]) => ({ queueId, position }))
    await this.#world.join('t', { member: this.#reader as ReadingMember, group: 'b', mode: 'BROADCASTING', positions, credit: 5 })
  }

  async #settleSome(how: 'ack' | 'retry' | 'release'): Promise<void> {
    const member = this.#members[this.#below(this.#members.length)]
    if (member === undefined) return
    const held = this.#holding(member).filter(() => this.#random.next() < 0.6)
    if (held.length === 0) return
    if (how === 'ack') return this.#ack(member, held)
    await this.#world.retry(member, held, how === 'retry' ? 'schedule' : 'release')
    for (const one of held) this.#letGo(member, one)
    if (how === 'release') member.membership?.credit(held.length, 1 << 20)
  }

  async #ack(member: TestMember, held: readonly Held[]): Promise<void> {
    const failures = await this.#world.ack(member, held)
    const failed = new Set(failures.map(({ index }) => index))
    held.forEach((one, index) => {
      const delivered = this.#seen.get(one) as Delivered
      if (!failed.has(index)) {
        delivered.acked = true
        this.consumed.add(one.body)
      }
      this.#letGo(member, one)
    })
    member.membership?.credit(held.length, 1 << 20)
    await this.#world.settle()
  }

  #letGo(member: TestMember, held: Held): void {
    member.held.splice(member.held.indexOf(held), 1)
  }

  #lose(member: TestMember): void {
    for (const held of [...member.held]) this.#letGo(member, held)
  }

  #holding(member: TestMember): Held[] {
    return [...member.held]
  }

  #below(count: number): number {
    return Math.floor(this.#random.next() * count)
  }
}

function groupOf(body: string): string {
  return `g${Number(body) % groupCount}`
}

/** Some seeds have a topic that is kept small. */
const hasRetention = (seed: number) => seed % 7 === 3

function traitsOf(seed: number, isFifo: boolean): Traits {
  return {
    isFifo,
    hasResets: seed % 6 === 5,
    hasTtl: seed % 5 === 1,
    hasConfigs: seed % 4 === 2,
    hasHolding: isFifo && seed % 9 === 3,
  }
}

async function run(seed: number, traits: Traits): Promise<{ work: Work; world: BrokerWorld }> {
  const random = createSimRandom(seed)
  const world = await BrokerWorld.open({
    limits: {
      queueCountDefault: 1 + (seed % 3),
      tailCacheBytesMax: [0, 1 << 20, 4_000][seed % 3] as number,
      readChunkBytes: seed % 5 === 0 ? 400 : 1 << 20,
      outstandingPerQueueMax: seed % 4 === 0 ? 12 : 65_536,
      recordBytesMax: 500,
      retentionSweepMs: 3_000,
    },
  })
  await world.createTopic('t', {
    queueCount: 1 + (seed % 3),
    messageType: traits.isFifo ? 'FIFO' : 'NORMAL',
    retentionBytes: hasRetention(seed) ? 5_000 * (1 + (seed % 3)) : undefined,
  })
  await world.configureGroup('g', {
    attemptCountMax: seed % 3 === 0 ? 3 : 1_000,
    retry: seed % 2 === 0 ? { kind: 'schedule', delaysMs } : { kind: 'exponential', firstMs: 1_000, factor: 3, maxMs: 8_000 },
    exhausted: traits.hasHolding ? 'hold' : 'dead-letter',
  })
  const work = new Work(world, random, traits)
  for (let step = 0; step < stepCount; step++) await work.step()
  await work.drain()
  return { work, world }
}

describe.each(['NORMAL', 'FIFO'] as const)('random work on a %s topic', (messageType) => {
  const isFifo = messageType === 'FIFO'

  it(`keeps its promises over ${seedCount} seeds`, async () => {
    let restarts = 0
    let redeliveries = 0
    let jumps = 0
    let received = 0
    let dead = 0
    let resets = 0
    let trimmed = 0
    let expired = 0
    let pauses = 0
    let settlings = 0
    for (let seed = 1; seed <= seedCount; seed++) {
      const traits = traitsOf(seed, isFifo)
      const { work, world } = await run(seed, traits)
      const at = `seed ${seed}`
      pauses += work.pauses
      settlings += work.settlings
      expect(work.wrongs, `${at}: delivered`).toEqual([])
      restarts += work.restarts
      jumps += work.jumps
      received += work.received
      dead += work.dead.length
      redeliveries += work.deliveries.filter(({ attempt }) => attempt > 1).length
      expect(work.published.length, `${at} published something`).toBeGreaterThan(50)
      const topic = await world.must<TopicDescription>((answer) => world.broker.describeTopic('t', answer))
      const isKept = (body: string) => {
        const { queueId, offset } = work.places.get(body) as { queueId: number; offset: number }
        return offset >= (topic.queues[queueId]?.minOffset as number)
      }
      const ends = new Set([...work.consumed, ...work.dead])
      const lost = work.published.filter((body) => !ends.has(body))
      expect(lost.filter((body) => isKept(body) && !work.ttls.has(body)), `${at}: lost`).toEqual([])
      expect(world.broker.stats().inFlightCount, `${at}: in flight`).toBe(0)
      resets += work.resets
      trimmed += lost.filter((body) => !work.ttls.has(body)).length
      expired += lost.filter((body) => work.ttls.has(body)).length
      const brief = new Set([...work.ttls.keys()].map((body) => placeOf(work.places.get(body))))
      if (!hasRetention(seed)) {
        expect(work.gaps, `${at}: gaps`).toBe(0)
        if (!traits.hasTtl) for (const offsets of work.read.values()) expect(offsets[0], `${at}: first read`).toBe(0)
      }
      for (const [queueId, offsets] of work.read) {
        const isNext = (offset: number, index: number) => {
          // Where it began is told by no gap.
          let next = index === 0 ? offset : (offsets[index - 1] as number) + 1
          while (next < offset && brief.has(placeOf({ queueId, offset: next }))) next++
          return next === offset
        }
        const skipped = offsets.filter((offset, index) => !isNext(offset, index))
        expect(skipped.length, `${at}: read of queue ${queueId}`).toBeLessThanOrEqual(work.gaps)
        expect(offsets, `${at}: read of queue ${queueId}`).toEqual(offsets.toSorted((left, right) => left - right))
      }
      if (traits.hasResets) continue
      expect(work.dead.filter((body) => work.consumed.has(body)), `${at}: consumed and dead`).toEqual([])
      expect(new Set(work.dead).size, `${at}: dead twice`).toBe(work.dead.length)
      const acksOf = new Map<string, number>()
      for (const { body, acked } of work.deliveries) if (acked) acksOf.set(body, (acksOf.get(body) ?? 0) + 1)
      expect([...acksOf].filter(([, count]) => count > 1), `${at}: consumed twice`).toEqual([])
      if (isFifo) expect(outOfOrder(work.deliveries, new Set([...work.dead, ...lost])), `${at}: out of order`).toEqual([])
    }
    expect(restarts).toBeGreaterThan(seedCount)
    expect(redeliveries).toBeGreaterThan(seedCount)
    expect(jumps).toBeGreaterThan(seedCount / 2)
    expect(received).toBeGreaterThan(seedCount / 3)
    expect(dead).toBeGreaterThan(0)
    expect(resets).toBeGreaterThan(0)
    expect(trimmed).toBeGreaterThan(0)
    expect(expired).toBeGreaterThan(0)
    expect(pauses).toBeGreaterThan(0)
    if (isFifo) expect(settlings).toBeGreaterThan(0)
  }, 120_000)
})

function placeOf(place: { readonly queueId: number; readonly offset: number } | undefined): string {
  return `${place?.queueId}/${place?.offset}`
}

/** Deliveries of a message group that came before an earlier message of it was consumed, or was dead. */
function outOfOrder(deliveries: readonly Delivered[], dead: ReadonlySet<string>): string[] {
  const found: string[] = []
  const nextIn = new Map<string, number>()
  for (const { body, group, acked } of deliveries) {
    // Bodies of a group are numbers that grow by the number of groups; each must follow the last consumed one.
    let expected = nextIn.get(group) ?? Number(group.slice(1))
    while (expected < Number(body) && dead.has(`${expected}`)) expected += groupCount
    if (Number(body) !== expected) found.push(`${group}: ${body} where ${expected} was next`)
    nextIn.set(group, acked ? expected + groupCount : expected)
  }
  return found
}
