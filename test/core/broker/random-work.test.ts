// Random work from a seed against one broker: members come, go, break and return, ack, retry, release and let leases
// run out; time passes; the broker restarts. Then it heals and drains, and what was promised is held against what
// happened. A failing seed is printed in the test's name.

import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../../core/broker/door.ts'
import { BrokerWorld, type Held, idBytes, TestMember } from './broker-world.ts'
import { createSimRandom, type SimRandom } from '../../sim/sim-random.ts'

const seedCount = Number(process.env.RANDOM_WORK_SEEDS ?? 60)
const stepCount = 120
const groupCount = 5

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

class Work {
  readonly #world: BrokerWorld
  readonly #random: SimRandom
  readonly #isFifo: boolean
  readonly #members: TestMember[] = []
  readonly #seen = new Map<Held, Delivered>()
  readonly published: string[] = []
  readonly deliveries: Delivered[] = []
  readonly consumed = new Set<string>()
  restarts = 0
  #memberNumber = 0

  constructor(world: BrokerWorld, random: SimRandom, isFifo: boolean) {
    this.#world = world
    this.#random = random
    this.#isFifo = isFifo
  }

  async step(): Promise<void> {
    const dice = this.#random.next()
    if (dice < 0.25) await this.#publish()
    else if (dice < 0.35) await this.#join()
    else if (dice < 0.65) await this.#settleSome('ack')
    else if (dice < 0.75) await this.#settleSome('retry')
    else if (dice < 0.80) await this.#settleSome('release')
    else if (dice < 0.84) await this.#end('leave')
    else if (dice < 0.88) await this.#end('detach')
    else if (dice < 0.97) await this.#world.advance(this.#below(20_000))
    else await this.#restart()
  }

  /** No more faults: one member takes everything to the end. */
  async drain(): Promise<void> {
    while (this.#members.length > 0) await this.#end('leave')
    await this.#join()
    for (let round = 0; this.#world.broker.stats().backlog > 0; round++) {
      if (round > 2_000) throw new Error(`stuck with a backlog of ${this.#world.broker.stats().backlog}`)
      const [member] = this.#members as [TestMember]
      const held = this.#holding(member)
      if (held.length > 0) await this.#ack(member, held)
      else await this.#world.advance(10_000)
      }
  }

  async #publish(): Promise<void> {
    const messages = Array.from({ length: 1 + this.#below(20) }, () => {
      const body = `${this.published.length}`
      this.published.push(body)
      return this.#isFifo ? { body, messageGroup: groupOf(body) } : { body }
    })
    await this.#world.publish('t', messages)
  }

  async #join(): Promise<void> {
    if (this.#members.length >= 4) return
    const member = new WritingMember(idBytes(10_000 + this.#memberNumber++), (held) => {
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
    const members = this.#members.splice(0)
    for (const member of members) {
      if (this.#random.next() < 0.3) continue
      await this.#world.join('t', { member, leaseMs: 10_000, credit: 20 })
      this.#members.push(member)
    }
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

async function run(seed: number, isFifo: boolean): Promise<{ work: Work; world: BrokerWorld }> {
  const random = createSimRandom(seed)
  const world = await BrokerWorld.open({
    limits: { queueCountDefault: 1 + (seed % 3), tailCacheBytesMax: seed % 2 === 0 ? 0 : 1 << 20, recordBytesMax: 500 },
  })
  const options = {
    queueCount: 1 + (seed % 3), messageType: isFifo ? 'FIFO' : 'NORMAL', retentionMs: undefined, retentionBytes: undefined,
  } as const
  await world.must((answer) => world.broker.createTopic({ topic: 't', options }, answer))
  await world.must((answer) =>
    world.broker.configureGroup({ group: 'g', options: { attemptCountMax: 1_000, retryScheduleMs: [1_000, 8_000] } }, answer)
  )
  const work = new Work(world, random, isFifo)
  for (let step = 0; step < stepCount; step++) await work.step()
  await work.drain()
  return { work, world }
}

describe.each(['NORMAL', 'FIFO'] as const)('random work on a %s topic', (messageType) => {
  const isFifo = messageType === 'FIFO'

  it(`keeps its promises over ${seedCount} seeds`, async () => {
    let restarts = 0
    let redeliveries = 0
    for (let seed = 1; seed <= seedCount; seed++) {
      const { work, world } = await run(seed, isFifo)
      const at = `seed ${seed}`
      restarts += work.restarts
      redeliveries += work.deliveries.filter(({ attempt }) => attempt > 1).length
      expect(work.published.length, `${at} published something`).toBeGreaterThan(50)
      expect(work.published.filter((body) => !work.consumed.has(body)), `${at}: lost`).toEqual([])
      expect(world.broker.stats().inFlightCount, `${at}: in flight`).toBe(0)
      const acksOf = new Map<string, number>()
      for (const { body, acked } of work.deliveries) if (acked) acksOf.set(body, (acksOf.get(body) ?? 0) + 1)
      expect([...acksOf].filter(([, count]) => count > 1), `${at}: consumed twice`).toEqual([])
      if (isFifo) expect(outOfOrder(work.deliveries), `${at}: out of order`).toEqual([])
    }
    expect(restarts).toBeGreaterThan(seedCount)
    expect(redeliveries).toBeGreaterThan(seedCount)
  }, 120_000)
})

/** Deliveries of a message group that came before an earlier message of it was consumed. */
function outOfOrder(deliveries: readonly Delivered[]): string[] {
  const found: string[] = []
  const consumedIn = new Map<string, number>()
  for (const { body, group, acked } of deliveries) {
    // Bodies of a group are numbers that grow by the number of groups; each must follow the last consumed one.
    const expected = (consumedIn.get(group) ?? Number(group.slice(1)) - groupCount) + groupCount
    if (Number(body) !== expected) found.push(`${group}: ${body} where ${expected} was next`)
    if (acked) consumedIn.set(group, Number(body))
  }
  return found
}
