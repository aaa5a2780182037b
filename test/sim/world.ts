// A whole world from one seed: a relay over a disk, clients with their applications, a network between them, all in one
// thread and on a clock that nobody waits for. It works, things go wrong, it heals and drains, and is judged:
//
//   setting up ──> working, with faults ──> healed: nothing is sent any more ──> drained ──> the relay crashes once more,
//   so that only the disk counts ──> still at rest ──> the log is read ──> verdict
//
// The same seed gives the same run, event by event: time and chance come from the seed, and after each turn of the
// clock all promises that can settle do, before anything else happens.

import { createClient } from '../../core/client/client.ts'
import type { Client } from '../../core/client/api.ts'
import type { PocketError } from '../../core/errors.ts'
import type { GroupDescription, TopicDescription, TransactionSummary } from '../../core/protocol/frames.ts'
import { findCopyFaults, findHastyProgress } from '../checkers/copies.ts'
import { eventsOf, type HistoryEvent } from '../checkers/history.ts'
import { findStuck, type Rest } from '../checkers/liveness.ts'
import { type RelayEvent, relayEventsOf } from '../checkers/relay-history.ts'
import { findVacuity } from '../checkers/vacuity.ts'
import { stateOf } from './follower-disk.ts'
import { type FaultKind, Nemesis } from './nemesis.ts'
import type { PlantedBug } from './planted-bug.ts'
import { type PlantedBugName, plantedBugs } from './planted-bugs.ts'
import type { SharedState } from './sim-application.ts'
import { type Legacy, SimClient } from './sim-client.ts'
import { SimClock } from './sim-clock.ts'
import { readLog } from './sim-inspector.ts'
import type { SentMessage } from './sim-message.ts'
import { SimNetwork } from './sim-network.ts'
import { SimOperator } from './sim-operator.ts'
import { SimProcess } from './sim-process.ts'
import { createSimRandom, type SimRandom } from './sim-random.ts'
import { SimRelay } from './sim-relay.ts'
import { SimZombie } from './sim-zombie.ts'
import { Trace } from './trace.ts'
import { type Finding, judge, type StoredLog } from './verdict.ts'
import { drawPlan, type Role, type WorldPlan } from './world-plan.ts'

export interface WorldOptions {
  readonly seed: number
  readonly planted?: PlantedBugName
  /** How many lines of its trace a failed run tells: 40 by default. */
  readonly traceLineCountMax?: number
  /** Is told each event of the run's histories as it happens, for people who look for a cause. */
  readonly told?: (atMs: number, event: HistoryEvent | RelayEvent) => void
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

/** After healing, all has to be done within so long: a lost lease, its grace, a few retries. */
const drainMsMax = 120_000
/** A copy that has not caught up within so long never will. */
const copyMsMax = 20_000
const stepCountMax = 2_000_000
/** So much is waited for where nothing could be done for all the faults, so that there is something to judge. */
const acknowledgedCountMin = 10
const deliveredCountMin = 25
/** Progress is asked for so often. */
const pollMs = 900

/** Runs the world of a seed to its end. */
export function runWorld(options: WorldOptions): Promise<Outcome> {
  return new World(options).run()
}

class World {
  readonly #seed: number
  readonly #clock = new SimClock()
  readonly #trace: Trace
  readonly #random: SimRandom
  readonly #plan: WorldPlan
  readonly #network: SimNetwork
  readonly #relay: SimRelay
  readonly #history: HistoryEvent[] = []
  readonly #relayHistory: RelayEvent[] = []
  readonly #sent = new Map<string, SentMessage>()
  readonly #shared: SharedState
  readonly #bugs: string[] = []
  readonly #clients = new Map<string, SimClient>()
  readonly #planted: PlantedBug | undefined
  readonly #told: WorldOptions['told']
  #acknowledgedCount = 0
  #deliveredCount = 0
  #grantCount = 0
  #deadLetterCount = 0
  #incarnationCount = 0
  #isSending = true
  #isWorking = false
  #isHealed = false
  #stepCount = 0

  constructor({ seed, planted, traceLineCountMax = 40, told }: WorldOptions) {
    this.#told = told
    this.#trace = new Trace(traceLineCountMax)
    this.#seed = seed
    this.#random = createSimRandom(seed)
    this.#plan = drawPlan(this.#random.fork('plan'))
    this.#planted = planted === undefined ? undefined : plantedBugs[planted]
    const { limits, latencyMs } = this.#plan
    const parts = { clock: this.#clock, random: this.#random, trace: this.#trace }
    const bug = (found: string): void => this.#bug(found)
    this.#shared = {
      sent: this.#sent,
      noted: (event) => this.#note(event),
      bug,
      ledger: new Map(),
      disks: new Map(),
      relayWallMs: () => this.#relay.wallMs,
      isSending: () => this.#isSending,
    }
    this.#network = new SimNetwork({
      ...parts,
      random: this.#random.fork('network'),
      latencyMs,
      sendBufferBytesMax: limits.sendBufferBytesMax,
    })
    const interference = this.#planted?.plant?.(this.#random.fork('planted bug'))
    const { mishapOf } = interference ?? {}
    if (mishapOf !== undefined) {
      this.#network.mishapOf = (direction, bytes) => {
        return this.#isHealed || !this.#isWorking ? 'none' : mishapOf(direction, bytes)
      }
    }
    this.#relay = new SimRelay({
      ...parts,
      network: this.#network,
      limits,
      planted: interference,
      noted: (event) => {
        this.#relayHistory.push(event)
        if (event.kind === 'leased') this.#grantCount++
        this.#told?.(event.atMs, event)
      },
      bug,
    })
  }

  async run(): Promise<Outcome> {
    let findings: Finding[] = []
    let faults: ReadonlyMap<FaultKind, number> = new Map()
    try {
      await this.#setUp()
      const nemesis = this.#startWork()
      faults = nemesis.landed
      await this.#pass(this.#plan.workMs)
      // Some faults find nothing to strike at first.
      const isSpared = (): boolean => nemesis.kinds.length > 0 && nemesis.landed.size === 0
      for (let longer = 0; isSpared() && longer < 20; longer++) await this.#pass(this.#plan.workMs / 4)
      this.#isHealed = true
      nemesis.heal()
      if (this.#plan.hasDelays || this.#plan.hasTransactions) this.#relay.catchUpWall()
      for (let longer = 0; this.#hasDoneLittle && longer < 60; longer++) await this.#pass(500)
      this.#isSending = false
      findings = await this.#judge(nemesis)
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
      counts: this.#counts(),
    }
  }

  get #hasDoneLittle(): boolean {
    if (this.#acknowledgedCount < acknowledgedCountMin || this.#deliveredCount < deliveredCountMin) return true
    return this.#grantCount === 0
  }

  async #judge(nemesis: Nemesis): Promise<Finding[]> {
    let stuck = await this.#drain()
    if (stuck.length === 0) {
      this.#relay.crash()
      stuck = await this.#drain()
      if (stuck.length === 0) {
        // What was consumed and comes again all the same comes soon; and then progress is told for the last time, at rest.
        await this.#pass(1_000)
        await this.#rest()
      }
    }
    const isDrained = stuck.length === 0
    const log = isDrained ? await this.#readLog() : undefined
    for (const letters of log?.deadLetters.values() ?? []) this.#deadLetterCount += letters.length
    const { findings, grantCount } = judge({
      plan: this.#plan,
      history: this.#history,
      relayHistory: this.#relayHistory,
      wereLate: (['client-freeze', 'slow-path', 'stall'] as const).some((kind) => nemesis.landed.has(kind)),
      log,
    })
    const copyFindings = isDrained ? await this.#judgeCopies() : []
    const vacuous = findVacuity({
      acknowledgedCount: this.#acknowledgedCount,
      deliveredCount: this.#deliveredCount,
      grantCount,
      faultsChosen: nemesis.kinds,
      faultsLanded: [...nemesis.landed.keys()],
    })
    return [
      ...(isDrained ? [] : [{ checker: 'liveness', violations: stuck }]),
      ...copyFindings,
      ...findings,
      ...(vacuous.length === 0 ? [] : [{ checker: 'vacuity guard', violations: vacuous }]),
    ]
  }

  /** Waits until followers are where the relay is, which takes them a moment. */
  async #judgeCopies(): Promise<Finding[]> {
    const { disks } = this.#shared
    // What is damaged cannot be copied as it is.
    if (relayEventsOf(this.#relayHistory, 'flipped').length > 0) return []
    const hasty = [...disks.values()].flatMap(({ applied }) => findHastyProgress(applied))
    const findings = hasty.length === 0 ? [] : [{ checker: 'progress of copies', violations: hasty }]
    const topics = this.#plan.topics.map(({ topic }) => topic)
    const groups = this.#plan.groups.map(({ group }) => group)
    for (const { store } of disks.values()) {
      const untilMs = this.#clock.monotonic() + copyMsMax
      for (;;) {
        const violations = findCopyFaults(stateOf(this.#relay.store, topics, groups), stateOf(store, topics, groups))
        if (violations.length === 0) break
        if (this.#clock.monotonic() >= untilMs) {
          findings.push({ checker: 'copies', violations })
          break
        }
        await this.#pass(500)
      }
    }
    return findings
  }

  /** What a run has come by, for people, and for whoever asks whether runs come by everything. */
  #counts(): Record<string, number> {
    const countOf = (kind: RelayEvent['kind']): number => relayEventsOf(this.#relayHistory, kind).length
    const settlings = relayEventsOf(this.#relayHistory, 'settling')
    const settled = relayEventsOf(this.#relayHistory, 'settled')
    return {
      acked: this.#acknowledgedCount,
      delivered: this.#deliveredCount,
      gaps: eventsOf(this.#history, 'gap').length,
      redelivered: relayEventsOf(this.#relayHistory, 'leased').filter(({ attempt }) => attempt > 1).length,
      deadLetters: this.#deadLetterCount,
      released: settlings.filter(({ verb }) => verb === 'release').length,
      extended: settlings.filter(({ verb }) => verb === 'extend').length,
      staleReceipts: settled.filter(({ refused }) => refused.length > 0).length,
      left: countOf('left'),
      takeovers: this.#takeovers(),
      resets: countOf('reset'),
      trims: countOf('trimmed'),
      flips: countOf('flipped'),
      damages: countOf('damage-reported'),
      committed: eventsOf(this.#history, 'ended').filter(({ outcome }) => outcome === 'commit').length,
      rolledBack: eventsOf(this.#history, 'ended').filter(({ outcome }) => outcome === 'rollback').length,
      applied: [...this.#shared.disks.values()].reduce((sum, { applied }) => sum + applied.length, 0),
      scheduled: eventsOf(this.#history, 'scheduled').length,
      recalled: eventsOf(this.#history, 'recalled').length,
      recallsMissed: eventsOf(this.#history, 'recall-missed').length,
      lookups: eventsOf(this.#history, 'looked-up').length,
      fenced: eventsOf(this.#history, 'refused').filter(({ code }) => code === 'PRODUCER_FENCED').length,
      duplicates: relayEventsOf(this.#relayHistory, 'published').filter(({ isDuplicate }) => isDuplicate).length,
      traced: this.#trace.count,
      turns: this.#stepCount,
      simulatedMs: Math.round(this.#clock.monotonic()),
      ...this.#network.counts,
      ...this.#relay.counts,
    }
  }

  /** How often a member came back on another connection while the relay took the one before for alive. */
  #takeovers(): number {
    const attached = new Map<string, number>()
    const names = new Map<number, string>()
    let count = 0
    for (const event of this.#relayHistory) {
      if (event.kind === 'gone') attached.clear()
      if (event.kind === 'joined') {
        const name = `${event.group} ${event.topic} ${event.member}`
        if (attached.has(name)) count++
        attached.set(name, event.membership)
        names.set(event.membership, name)
      } else if (event.kind === 'left' || event.kind === 'detached') {
        const name = names.get(event.membership) ?? ''
        if (attached.get(name) === event.membership) attached.delete(name)
      }
    }
    return count
  }

  // ── the phases ────────────────────────────────────────────────────────────────────────────────────────────────

  async #setUp(): Promise<void> {
    this.#relay.start()
    const setter = this.#createClient('setter')
    await this.#until(Promise.all([
      ...this.#plan.topics.map(({ topic, queueCount, messageType, retentionMs, retentionBytes }) => {
        const keeping = retentionMs === 0 && retentionBytes === 0 ? {} : { retention: retentionMs, retentionBytes }
        return setter.admin.createTopic(topic, { queueCount, messageType, ...keeping })
      }),
      ...this.#plan.groups.map(({ group, attemptCountMax, retryScheduleMs }) => {
        return setter.admin.configureGroup(group, { maxAttempts: attemptCountMax, retry: retryScheduleMs })
      }),
    ]))
    await this.#until(setter.close())
  }

  #startWork(): Nemesis {
    const { roles, groups, topics, hasOperator, hasZombie, limits, commitLatencyMs, workMs } = this.#plan
    const parts = { clock: this.#clock, random: this.#random, network: this.#network }
    for (const role of roles) this.#startClient(role, [])
    const shared = this.#shared
    if (hasOperator) {
      void new SimOperator({
        ...parts, groups, topics, workMs, shared,
        isWorking: () => !this.#isHealed,
        anyAcknowledged: (random) => this.#anyAcknowledged(random),
      })
    }
    if (hasZombie) void new SimZombie({ ...parts, shared, door: () => this.#relay.door })
    const random = this.#random.fork('roles')
    const nemesis = new Nemesis({
      ...parts,
      relay: this.#relay,
      trace: this.#trace,
      clients: () => [...this.#clients.values()].filter(({ process }) => !process.isDead),
      killClient: (client) => this.#killClient(client, random),
      storeReserveBytes: limits.storeReserveBytes,
      workMs,
    })
    const { faults } = this.#relay.store
    Object.assign(faults, { commitLatencyMs, readLatencyMs: [0.05, 2] }, this.#planted?.diskFaults)
    nemesis.diskBaseline = { ...faults }
    this.#isWorking = true
    this.#poll()
    return nemesis
  }

  #anyAcknowledged(random: SimRandom): { message: string; messageId: string } | undefined {
    // The history is long and the operator patient: a few tries are enough.
    for (let tries = 0; tries < 20 && this.#history.length > 0; tries++) {
      const event = random.pick(this.#history)
      if (event.kind === 'acknowledged' && event.found) {
        return { message: String(event.message), messageId: event.found.messageId }
      }
    }
    return undefined
  }

  #createClient(name: string): Client {
    const dialler = this.#network.diallerOf(new SimProcess(this.#clock, name))
    return createClient({ dialler, clock: this.#clock, random: this.#random.fork(name) })
  }

  #startClient(role: Role, legacy: Legacy): void {
    const client = new SimClient({
      clock: this.#clock,
      random: this.#random.fork('clients'),
      network: this.#network,
      trace: this.#trace,
      shared: this.#shared,
    }, role, this.#incarnationCount++, legacy)
    this.#clients.set(role.name, client)
  }

  #killClient(client: SimClient, random: SimRandom): void {
    const { role, legacy } = client
    client.kill(random.chance(0.5))
    this.#clock.setTimer(random.between(50, 4_000), () => this.#startClient(role, legacy))
  }

  /** Asks now and then how far the groups are, for the checker of progress. */
  #poll(): void {
    this.#clock.setTimer(pollMs, () => {
      for (const { group } of this.#plan.groups) this.#relay.door?.describeGroup(group, () => {})
      if (!this.#isHealed) this.#poll()
    })
  }

  /** Lets the world come to rest; what has not done so in time. */
  async #drain(): Promise<ReturnType<typeof findStuck>> {
    const untilMs = this.#clock.monotonic() + drainMsMax
    for (;;) {
      await this.#pass(500)
      const stuck = findStuck(await this.#rest())
      if (stuck.length === 0 || this.#clock.monotonic() >= untilMs) return stuck
    }
  }

  async #rest(): Promise<Rest> {
    const { door } = this.#relay
    const clients = [...this.#clients.values()].map(({ process, client, unansweredCount, heldCount }) => {
      return { name: process.name, isDead: process.isDead, link: client.link, unansweredCount, heldCount }
    })
    if (door === undefined) return { relayIsUp: false, clients, groups: [], readers: [] }
    const groups: Rest['groups'][number][] = []
    for (const { group } of this.#plan.groups) {
      const described = await this.#answer<GroupDescription>((answer) => door.describeGroup(group, answer))
      for (const { topic, queueId, backlog, inFlight } of described.queues) {
        groups.push({ group, topic, queueId, backlog, inFlight })
      }
    }
    const topics = new Map<string, TopicDescription>()
    for (const { topic } of this.#plan.topics) {
      topics.set(topic, await this.#answer<TopicDescription>((answer) => door.describeTopic(topic, answer)))
    }
    const readers = [...this.#clients.values()].flatMap((client) => client.readers).flatMap(({ name, role, positions }) => {
      const queues = topics.get(role.topic)?.queues ?? []
      return queues.filter(({ queueId }) => role.how === 'broadcast' || queueId === role.queueId).map((queue) => {
        const { queueId, maxOffset } = queue
        return { name, topic: role.topic, queueId, maxOffset, offset: positions.get(queueId)?.offset ?? 0 }
      })
    })
    const pending = [...topics.values()].filter(({ delayedCount }) => delayedCount > 0).map(({ topic, delayedCount }) => {
      return `${delayedCount} messages of ${topic} are not due`
    })
    if (this.#plan.hasTransactions) {
      const request = { producerGroup: '', after: undefined, countMax: 1_000 }
      const open = await this.#answer<{ transactions: readonly TransactionSummary[] }>((answer) => {
        door.listTransactions(request, answer)
      })
      if (open.transactions.length > 0) pending.push(`${open.transactions.length} transactions are not ended`)
    }
    return { relayIsUp: true, clients, groups, readers, pending }
  }

  /** All that is stored, as a client reads it. */
  async #readLog(): Promise<StoredLog> {
    return this.#until(readLog(this.#createClient('inspector'), this.#plan, this.#shared))
  }

  // ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

  #note(event: HistoryEvent): void {
    this.#history.push(event)
    this.#told?.(this.#clock.monotonic(), event)
    const { kind } = event
    if (kind === 'acknowledged') this.#acknowledgedCount++
    if (kind === 'delivered') this.#deliveredCount++
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
    await new Promise<void>(afterPromises)
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

  async #answer<T>(ask: (answer: (outcome: T | PocketError) => void) => void): Promise<T> {
    const outcome = await this.#until(new Promise<T | PocketError>((resolve) => ask(resolve)))
    if (outcome instanceof Error) throw outcome
    return outcome
  }

  /** One turn of the clock after the other, with all promises settling in between. */
  #stepUntil(untilMs: number, isOver: () => boolean): Promise<void> {
    const clock = this.#clock
    return new Promise((resolve, reject) => {
      // Bare callbacks: a promise a turn would cost more than many a turn.
      const step = (): void => {
        try {
          if (isOver() || (clock.isIdle && (clock.nextTimerMs ?? Infinity) > untilMs)) return resolve()
          if (++this.#stepCount > stepCountMax) throw new Error(`no end after ${stepCountMax} turns`)
          clock.step()
          afterPromises(step)
        } catch (error) {
          reject(error as Error)
        }
      }
      afterPromises(step)
    })
  }
}

/** Calls `run` when no promise can settle any more: a tick comes after all microtasks, those made meanwhile included. */
function afterPromises(run: () => void): void {
  process.nextTick(afterTicks, run)
}

function afterTicks(run: () => void): void {
  void settled.then(run)
}

const settled = Promise.resolve()

function asViolation(found: string): { message: string; text: string } {
  return { message: '', text: found }
}
