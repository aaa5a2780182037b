// A whole world from one seed: a relay over a disk, clients with their applications, a network between them, all in one
// thread and on a clock that nobody waits for. It works, things go wrong, it heals and drains, and is judged:
//
//   setting up ──> working, with faults ──> healed: nothing is sent any more ──> drained ──> the log is read ──> verdict
//
// The same seed gives the same run, event by event: time and chance come from the seed, and after each turn of the
// clock all promises that can settle do, before anything else happens.

import type { SendReceipt } from '../../core/client/api.ts'
import { createClient } from '../../core/client/client.ts'
import { text } from '../../core/client/codec.ts'
import { defaultLimits, type Limits } from '../../core/limits.ts'
import type { GroupDescription, TopicDescription } from '../../core/protocol/frames.ts'
import type { PocketError } from '../../core/errors.ts'
import { eventsOf, type HistoryEvent } from '../checkers/history.ts'
import { type FaultKind, Nemesis } from './nemesis.ts'
import { type PlantedBug, type PlantedBugName, plantedBugs } from './planted-bugs.ts'
import { type GroupRole, nameIn, type ReaderPositions, type Role, SimClient } from './sim-client.ts'
import { SimClock } from './sim-clock.ts'
import { SimNetwork } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import { createSimRandom, type SimRandom } from './sim-random.ts'
import { SimRelay } from './sim-relay.ts'
import { Trace } from './trace.ts'
import { type Finding, judge, type StoredMessage } from './verdict.ts'

export interface WorldOptions {
  readonly seed: number
  readonly planted?: PlantedBugName
  /** How many lines of its trace a failed run tells: 40 by default. */
  readonly traceLineCountMax?: number
}

/** How a run went. */
export interface Outcome {
  readonly seed: number
  /** What was promised and not kept; empty when all is well. */
  readonly findings: readonly Finding[]
  readonly traceHash: string
  /** The last of what happened, for people. */
  readonly traceTail: readonly string[]
  readonly counts: Readonly<Record<string, number>>
  /** Faults that were switched on, and how often each struck. */
  readonly faults: ReadonlyMap<FaultKind, number>
}

const groups: readonly GroupRole[] = ['till', 'line', 'picky', 'asker', 'runner']
const workMs = [3_500, 10_000] as const
/** After healing, all has to be done within so long: a lost lease, its grace, a few retries. */
const drainMsMax = 120_000
const stepCountMax = 2_000_000
/** Fewer than these, and the run has shown nothing. */
const ackedCountMin = 10
const deliveredCountMin = 20

/** Runs the world of a seed to its end. */
export function runWorld(options: WorldOptions): Promise<Outcome> {
  return new World(options).run()
}

class World {
  readonly #seed: number
  readonly #clock = new SimClock()
  readonly #trace: Trace
  readonly #random: SimRandom
  readonly #limits: Limits
  readonly #network: SimNetwork
  readonly #relay: SimRelay
  readonly #history: HistoryEvent[] = []
  readonly #receipts = new Map<string, SendReceipt>()
  readonly #refused = new Map<string, string>()
  readonly #bugs: string[] = []
  readonly #clients = new Map<string, SimClient>()
  readonly #planted: PlantedBug | undefined
  #incarnationCount = 0
  #isSending = true
  #isWorking = false
  #isHealed = false
  #stepCount = 0

  constructor({ seed, planted, traceLineCountMax = 40 }: WorldOptions) {
    this.#trace = new Trace(traceLineCountMax)
    this.#seed = seed
    this.#random = createSimRandom(seed)
    this.#planted = planted === undefined ? undefined : plantedBugs[planted]
    const random = this.#random.fork('world')
    this.#limits = {
      ...defaultLimits,
      heartbeatMs: 1_000,
      memberGraceMs: random.pick([1_000, 3_000]),
      leaseMsMin: 500,
      helloTimeoutMs: 3_000,
      slowReaderMs: 2_000,
      sendBufferBytesMax: random.pick([4 * 1024, 64 * 1024]),
      recordBytesMax: random.pick([1024, 256 * 1024]),
      readChunkBytes: random.pick([2 * 1024, 1024 * 1024]),
      tailCacheBytesMax: random.pick([0, 16 * 1024, 1024 * 1024]),
      outstandingPerQueueMax: random.pick([8, 1_000]),
      publishBytesInFlightMax: random.pick([64 * 1024, 1024 * 1024]),
      storeReserveBytes: 4 * 1024,
      retentionSweepMs: 2_000,
      frameBytesMax: 2 * 1024 * 1024,
    }
    const { sendBufferBytesMax } = this.#limits
    this.#network = new SimNetwork({
      clock: this.#clock,
      random: this.#random.fork('network'),
      trace: this.#trace,
      latencyMs: [0.1, random.pick([2, 40])],
      sendBufferBytesMax,
    })
    const plantedRandom = this.#random.fork('planted bug')
    const { wrapStore, mishapOf } = this.#planted ?? {}
    if (mishapOf !== undefined) {
      const drawn = mishapOf(plantedRandom)
      this.#network.mishapOf = (direction, bytes) => {
        return this.#isHealed || !this.#isWorking ? 'none' : drawn(direction, bytes)
      }
    }
    this.#relay = new SimRelay({
      clock: this.#clock,
      random: this.#random,
      network: this.#network,
      trace: this.#trace,
      limits: this.#limits,
      wrapStore: (store) => wrapStore?.(store, plantedRandom) ?? store,
      bug: (found) => this.#bug(found),
    })
  }

  async run(): Promise<Outcome> {
    let findings: Finding[]
    let faults: ReadonlyMap<FaultKind, number> = new Map()
    try {
      await this.#setUp()
      const nemesis = this.#startWork()
      faults = nemesis.landed
      await this.#pass(this.#random.fork('length').between(...workMs))
      this.#isHealed = true
      nemesis.heal()
      // Where nothing could be sent for all the faults, there is something to drain at least.
      for (let longer = 0; this.#receipts.size < ackedCountMin && longer < 60; longer++) await this.#pass(500)
      this.#isSending = false
      const stuck = await this.#drain()
      findings = stuck.length > 0 ? [{ checker: 'liveness', violations: stuck.map(asViolation) }] : []
      findings.push(...judge({
        history: this.#history,
        receipts: this.#receipts,
        refused: this.#refused,
        groups,
        readers: [...this.#clients.values()].filter(({ role }) => role.isReader).map(({ role }) => role.name),
        wereFrozen: faults.has('client-freeze'),
        stored: stuck.length > 0 ? [] : await this.#readLog(),
      }).filter(({ checker }) => stuck.length === 0 || !checker.startsWith('the log')))
      const vacuous = this.#vacuity(nemesis)
      if (vacuous !== undefined) findings.push({ checker: 'vacuity guard', violations: [asViolation(vacuous)] })
    } catch (error) {
      findings = [{ checker: 'no exception', violations: [asViolation(String((error as Error).stack))] }]
    }
    if (this.#bugs.length > 0) findings.push({ checker: 'no bug reported', violations: this.#bugs.map(asViolation) })
    return {
      seed: this.#seed,
      findings,
      faults,
      traceHash: this.#trace.hash,
      traceTail: findings.length > 0 ? this.#trace.tail() : [],
      counts: {
        acked: this.#receipts.size,
        delivered: eventsOf(this.#history, 'delivered').length,
        traced: this.#trace.count,
        turns: this.#stepCount,
        simulatedMs: Math.round(this.#clock.monotonic()),
        ...this.#network.counts,
        ...this.#relay.counts,
      },
    }
  }

  // ── the phases ────────────────────────────────────────────────────────────────────────────────────────────────

  async #setUp(): Promise<void> {
    this.#relay.start()
    const setter = createClient({
      dialler: this.#network.diallerOf(new SimProcess(this.#clock, 'setter')),
      clock: this.#clock,
      random: this.#random.fork('setter'),
    })
    const random = this.#random.fork('topics')
    await this.#until(Promise.all([
      setter.admin.createTopic('plain', { queueCount: 1 + random.below(4) }),
      setter.admin.createTopic('steps', { queueCount: 1 + random.below(3), messageType: 'FIFO' }),
      ...groups.map((group) => setter.admin.configureGroup(group, { maxAttempts: 1_000, retrySchedule: [200, 1_000] })),
    ]))
    await this.#until(setter.close())
  }

  #startWork(): Nemesis {
    const random = this.#random.fork('roles')
    const clientCount = 2 + random.below(3)
    for (let index = 0; index < clientCount; index++) {
      const isFirst = index === 0
      this.#startClient({
        name: `client${index}`,
        sends: (['plain', 'steps'] as const).filter(() => isFirst || random.chance(0.5)),
        groups: groups.filter(() => isFirst || random.chance(0.4)),
        isReader: isFirst || random.chance(0.3),
      }, new Map())
    }
    const nemesis = new Nemesis({
      clock: this.#clock,
      random: this.#random,
      network: this.#network,
      relay: this.#relay,
      trace: this.#trace,
      clients: () => [...this.#clients.values()].filter(({ process }) => !process.isDead),
      killClient: (client) => this.#killClient(client, random),
      storeReserveBytes: this.#limits.storeReserveBytes,
    })
    const { faults } = this.#relay.store
    const latency = { commitLatencyMs: [0.2, random.pick([2, 20])], readLatencyMs: [0.05, 2] }
    Object.assign(faults, latency, this.#planted?.diskFaults)
    nemesis.diskBaseline = { ...faults }
    this.#isWorking = true
    return nemesis
  }

  #startClient(role: Role, positions: ReaderPositions): void {
    const client = new SimClient({
      clock: this.#clock,
      random: this.#random.fork('clients'),
      network: this.#network,
      trace: this.#trace,
      noted: (event) => this.#note(event),
      receipts: this.#receipts,
      refused: this.#refused,
      bug: (found) => this.#bug(found),
      isSending: () => this.#isSending,
    }, role, this.#incarnationCount++, positions)
    this.#clients.set(role.name, client)
  }

  #killClient(client: SimClient, random: SimRandom): void {
    const { role, positions } = client
    client.kill(random.chance(0.5))
    this.#clock.setTimer(random.between(50, 4_000), () => this.#startClient(role, positions))
  }

  /** Lets the world come to rest; what has not done so in time. */
  async #drain(): Promise<string[]> {
    const untilMs = this.#clock.monotonic() + drainMsMax
    let left: string[] = []
    while (this.#clock.monotonic() < untilMs) {
      await this.#pass(500)
      left = await this.#whatIsLeft()
      if (left.length === 0) break
    }
    return left
  }

  async #whatIsLeft(): Promise<string[]> {
    const left: string[] = []
    const { broker } = this.#relay
    if (broker === undefined) return ['the relay is not up']
    for (const { unansweredCount, heldCount, process, client } of this.#clients.values()) {
      if (process.isDead) left.push(`${process.name} is not back`)
      if (client.link !== 'connected') left.push(`${process.name} is ${client.link}`)
      if (heldCount > 0) left.push(`${process.name} holds ${heldCount} messages`)
      if (unansweredCount > 0) left.push(`${unansweredCount} sends of ${process.name} are not answered`)
    }
    for (const group of groups) {
      const described = await this.#until(new Promise<GroupDescription | PocketError>((resolve) => {
        broker.describeGroup(group, resolve)
      }))
      if (described instanceof Error) throw described
      for (const queue of described.queues) {
        if (queue.backlog > 0 || queue.inFlight > 0) left.push(`${group} has ${JSON.stringify(queue)}`)
      }
    }
    const steps = await this.#until(new Promise<TopicDescription | PocketError>((resolve) => {
      broker.describeTopic('steps', resolve)
    }))
    if (steps instanceof Error) throw steps
    for (const { role, positions } of this.#clients.values()) {
      if (!role.isReader) continue
      for (const { queueId, maxOffset } of steps.queues) {
        const offset = positions.get(queueId)?.offset ?? 0
        if (offset < maxOffset) left.push(`${role.name} reads queue ${queueId} at ${offset} of ${maxOffset}`)
      }
    }
    return left
  }

  /** All that is stored, as a client reads it. */
  async #readLog(): Promise<StoredMessage[]> {
    const client = createClient({
      dialler: this.#network.diallerOf(new SimProcess(this.#clock, 'inspector')),
      clock: this.#clock,
      random: this.#random.fork('inspector'),
    })
    const stored: StoredMessage[] = []
    const read = async (name: string): Promise<void> => {
      const { queues } = await client.admin.describeTopic(name)
      const topic = client.topic(name, { codec: text })
      for (const { queueId } of queues) {
        for await (const messages of topic.pull({ queueId, untilEnd: true })) {
          for (const { value, messageId, offset } of messages) {
            stored.push({ message: nameIn(value), messageId, topic: name, queueId, offset })
          }
        }
      }
    }
    await this.#until(read('plain').then(() => read('steps')))
    return stored
  }

  /** Why the run has shown nothing, if so. */
  #vacuity(nemesis: Nemesis): string | undefined {
    const ackedCount = this.#receipts.size
    const deliveredCount = eventsOf(this.#history, 'delivered').length
    if (ackedCount < ackedCountMin) return `only ${ackedCount} sends were acknowledged`
    if (deliveredCount < deliveredCountMin) return `only ${deliveredCount} messages were delivered`
    const { kinds, landed } = nemesis
    if (kinds.length > 0 && landed.size === 0) return `none of the faults struck: ${kinds.join(', ')}`
    return undefined
  }

  // ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

  #note(event: HistoryEvent): void {
    this.#history.push(event)
    const { kind } = event
    const message = 'message' in event ? String(event.message) : undefined
    const member = 'member' in event ? event.member : undefined
    this.#trace.add(this.#clock.monotonic(), kind, message, member, 'attempt' in event ? event.attempt : undefined)
  }

  #bug(found: string): void {
    this.#trace.add(this.#clock.monotonic(), 'BUG', found)
    if (this.#bugs.length < 20) this.#bugs.push(found)
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #pass(byMs: number): Promise<void> {
    const untilMs = this.#clock.monotonic() + byMs
    await this.#stepUntil(untilMs, () => false)
    this.#clock.advance(untilMs - this.#clock.monotonic())
    await promisesSettled()
  }

  async #until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.#stepUntil(this.#clock.monotonic() + drainMsMax, () => isSettled)
    if (!isSettled) throw new Error(`what the world waits for did not come within ${drainMsMax} simulated ms`)
    return promise
  }

  async #stepUntil(untilMs: number, isOver: () => boolean): Promise<void> {
    const clock = this.#clock
    await promisesSettled()
    while (!isOver() && (!clock.isIdle || (clock.nextTimerMs ?? Infinity) <= untilMs)) {
      if (++this.#stepCount > stepCountMax) throw new Error(`no end after ${stepCountMax} turns`)
      clock.step()
      await promisesSettled()
    }
  }
}

/** Resolves when no promise can settle any more: a tick comes after all microtasks, those made meanwhile included. */
function promisesSettled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}

function asViolation(found: string): { message: string; text: string } {
  return { message: '', text: found }
}
