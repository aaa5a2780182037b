// A whole device from one seed: tabs with the real page client, an engine with its stores, a relay beyond a network, all in
// one thread and on a clock that nobody waits for. It works, things go wrong, it heals and drains, and is judged:
//
//   setting up ──> working, with faults ──> healed: nothing is sent any more ──> drained ──> engine and relay die once more
//   ──> still at rest ──> a power cut, so that only the disks count ──> the logs are read ──> verdict
//
// The same seed gives the same run, event by event.

import type { GroupDescription, TopicDescription } from '../../core/protocol/frames.ts'
import type { PocketError } from '../../core/errors.ts'
import { text } from '../../core/client/codec.ts'
import { PageClient } from '../../web-client/page/page-client.ts'
import type { Home } from '../../web-client/port/port-protocol.ts'
import type { HoldEvent } from '../checkers/device-holds.ts'
import { eventsOf, type HistoryEvent } from '../checkers/history.ts'
import type { StoredMessage } from '../checkers/offset-agreement.ts'
import { type RelayEvent, relayEventsOf } from '../checkers/relay-history.ts'
import { findVacuity } from '../checkers/vacuity.ts'
import type { DeviceShared } from './device-application.ts'
import { DeviceBrowser } from './device-browser.ts'
import { DeviceDisk } from './device-disk.ts'
import { lendGlobals } from './device-globals.ts'
import { type DeviceFaultKind, DeviceNemesis } from './device-nemesis.ts'
import { type DevicePlan, drawDevicePlan, type TabRole } from './device-plan.ts'
import { type DevicePlantedBugName, devicePlantedBugs } from './device-planted.ts'
import { SimSteps } from './device-steps.ts'
import { DeviceTab, relayUrl } from './device-tab.ts'
import { judgeDevice, keptMsMax } from './device-verdict.ts'
import { nameIn, type SentMessage } from './sim-message.ts'
import { SimClock } from './sim-clock.ts'
import { SimNetwork } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import { createSimRandom, type SimRandom } from './sim-random.ts'
import { SimRelay } from './sim-relay.ts'
import { Trace } from './trace.ts'
import type { Finding } from './verdict.ts'

export interface DeviceWorldOptions {
  readonly seed: number
  readonly planted?: DevicePlantedBugName
  /** How many lines of its trace a failed run tells: 40 by default. */
  readonly traceLineCountMax?: number
  /** Is told each event of the run's histories as it happens, for people who look for a cause. */
  readonly told?: (atMs: number, event: object) => void
}

/** How a run went. */
export interface DeviceOutcome {
  readonly seed: number
  /** What was promised and not kept; empty when all is well. */
  readonly findings: readonly Finding[]
  readonly traceHash: string
  /** The last of what happened, for people. */
  readonly traceTail: readonly string[]
  readonly counts: Readonly<Record<string, number>>
  /** Faults that were switched on, and how often each struck. */
  readonly faults: ReadonlyMap<DeviceFaultKind, number>
}

/** After healing, all has to be done within so long: relays are dialled again, leases end, retries fall due. */
const drainMsMax = 180_000
const acknowledgedCountMin = 10
const deliveredCountMin = 25

/** Runs the device of a seed to its end. */
export async function runDeviceWorld(options: DeviceWorldOptions): Promise<DeviceOutcome> {
  const world = new DeviceWorld(options)
  return world.run()
}

class DeviceWorld {
  readonly #seed: number
  readonly #clock = new SimClock()
  readonly #steps = new SimSteps(this.#clock, drainMsMax)
  readonly #trace: Trace
  readonly #random: SimRandom
  readonly #plan: DevicePlan
  readonly #network: SimNetwork
  readonly #relay: SimRelay
  readonly #disk: DeviceDisk
  readonly #browser: DeviceBrowser
  readonly #histories: Record<Home, HistoryEvent[]> = { device: [], relay: [] }
  readonly #relayHistory: RelayEvent[] = []
  readonly #holds: HoldEvent[] = []
  readonly #sent = new Map<string, SentMessage>()
  readonly #shared: DeviceShared
  readonly #bugs: string[] = []
  readonly #tabs = new Map<string, DeviceTab>()
  readonly #incarnations = new Map<string, number>()
  readonly #told: DeviceWorldOptions['told']
  #acknowledgedCount = 0
  #deliveredCount = 0
  #standstillCount = 0
  #isSending = true

  constructor({ seed, planted, traceLineCountMax = 40, told }: DeviceWorldOptions) {
    this.#seed = seed
    this.#told = told
    this.#trace = new Trace(traceLineCountMax)
    this.#random = createSimRandom(seed).fork('device')
    this.#plan = drawDevicePlan(this.#random.fork('plan'))
    const interference = planted === undefined ? {} : devicePlantedBugs[planted].plant(this.#random.fork('planted bug'))
    const { limits, networkMs } = this.#plan
    const parts = { clock: this.#clock, trace: this.#trace, random: this.#random }
    const bug = (found: string): void => this.#bug(found)
    this.#shared = {
      sent: this.#sent,
      noted: (home, event) => this.#note(home, event),
      bug,
      isSending: () => this.#isSending,
    }
    this.#network = new SimNetwork({
      ...parts, random: this.#random.fork('network'), latencyMs: networkMs, sendBufferBytesMax: limits.sendBufferBytesMax,
    })
    this.#relay = new SimRelay({
      ...parts, bug, limits, network: this.#network, planted: undefined,
      noted: (event) => {
        this.#relayHistory.push(event)
        this.#told?.(event.atMs, event)
        if (event.kind !== 'gone') return
        this.#note('relay', { kind: 'killed' })
        this.#hold({ kind: 'unsettled', atMs: event.atMs, home: 'relay' })
      },
    })
    this.#disk = new DeviceDisk(this.#clock, this.#random.fork('disk'), interference.disk)
    this.#browser = new DeviceBrowser({
      ...parts, bug, network: this.#network, disk: this.#disk, mishap: interference.browser ?? {},
      engineLost: () => this.#engineLost(),
      unlinked: () => this.#unlinked(),
    })
  }

  async run(): Promise<DeviceOutcome> {
    const takeBack = lendGlobals(this.#clock, this.#random.fork('pages'))
    let findings: Finding[] = []
    let faults: ReadonlyMap<DeviceFaultKind, number> = new Map()
    try {
      await this.#setUp()
      const nemesis = this.#startWork()
      faults = nemesis.landed
      await this.#steps.pass(this.#plan.workMs)
      nemesis.heal()
      for (let longer = 0; this.#hasDoneLittle && longer < 60; longer++) await this.#steps.pass(500)
      if (this.#plan.hasStandstill) await this.#standStill()
      this.#isSending = false
      findings = await this.#judge(nemesis)
    } catch (error) {
      findings = [{ checker: 'no exception', violations: [asViolation(String((error as Error).stack))] }]
    } finally {
      takeBack()
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
    return this.#acknowledgedCount < acknowledgedCountMin || this.#deliveredCount < deliveredCountMin
  }

  #counts(): Record<string, number> {
    const countOf = (kind: HistoryEvent['kind']): number => {
      return eventsOf(this.#histories.device, kind).length + eventsOf(this.#histories.relay, kind).length
    }
    return {
      sent: countOf('sent'),
      acked: this.#acknowledgedCount,
      delivered: this.#deliveredCount,
      redelivered: [...this.#histories.device, ...this.#histories.relay]
        .filter((event) => event.kind === 'delivered' && event.attempt > 1).length,
      refused: countOf('refused'),
      leasesLost: countOf('lease-lost'),
      standstills: this.#standstillCount,
      duplicates: relayEventsOf(this.#relayHistory, 'published').filter(({ isDuplicate }) => isDuplicate).length,
      traced: this.#trace.count,
      turns: this.#steps.stepCount,
      simulatedMs: Math.round(this.#clock.monotonic()),
      ...this.#browser.counts,
      ...this.#disk.counts,
    }
  }

  async #judge(nemesis: DeviceNemesis): Promise<Finding[]> {
    let stuck = await this.#drain()
    if (stuck.length === 0) {
      this.#browser.kill()
      this.#relay.crash()
      stuck = await this.#drain()
      // What was consumed and comes again all the same comes soon.
      if (stuck.length === 0) await this.#steps.pass(1_000)
    }
    const logs = stuck.length === 0 ? await this.#readLogs() : undefined
    const findings = judgeDevice({
      plan: this.#plan,
      histories: this.#histories,
      holds: this.#holds,
      relayHistory: this.#relayHistory,
      wasPowerCut: nemesis.landed.has('power-cut'),
      logs,
    })
    const vacuous = findVacuity({
      acknowledgedCount: this.#acknowledgedCount,
      deliveredCount: this.#deliveredCount,
      grantCount: this.#holds.filter(({ kind }) => kind === 'took').length,
      faultsChosen: nemesis.kinds,
      faultsLanded: [...nemesis.landed.keys()],
    })
    return [
      ...(stuck.length === 0 ? [] : [{ checker: 'liveness', violations: stuck.map(asViolation) }]),
      ...findings,
      ...(vacuous.length === 0 ? [] : [{ checker: 'vacuity guard', violations: vacuous }]),
    ]
  }

  // ── the phases ────────────────────────────────────────────────────────────────────────────────────────────────

  async #setUp(): Promise<void> {
    this.#relay.start()
    const page = this.#openPage('setter')
    await this.#steps.until(page.client.connected)
    await this.#steps.until(Promise.all([
      ...this.#plan.topics.map(({ topic, home, queueCount, messageType, durability }) => {
        return page.client.adminOf(home).createTopic(topic, { queueCount, messageType, durability })
      }),
      ...this.#plan.groups.map(({ group, topic }) => {
        return page.client.adminOf(topic.home).configureGroup(group, { maxAttempts: 1_000, retry: [200, 1_000] })
      }),
    ]))
    await this.#steps.until(page.client.close())
    this.#browser.tabDied(page.process)
    page.process.kill()
  }

  #startWork(): DeviceNemesis {
    for (const role of this.#plan.roles) this.#openTab(role)
    const random = this.#random.fork('fates')
    const { commitLatencyMs, lineMs } = this.#plan
    const diskBaseline = {
      commitLatencyMs, readLatencyMs: [0.05, 2] as const,
      ...this.#disk.slot('device').faults.crashKeeps === 'a-part' ? { crashKeeps: 'a-part' as const } : {},
    }
    for (const name of ['device', 'outbox', 'replica'] as const) Object.assign(this.#disk.slot(name).faults, diskBaseline)
    const nemesis = new DeviceNemesis({
      clock: this.#clock,
      random: this.#random,
      trace: this.#trace,
      network: this.#network,
      relay: this.#relay,
      disk: this.#disk,
      browser: this.#browser,
      diskBaseline,
      tabs: () => [...this.#tabs.values()].filter(({ process }) => !process.isDead),
      crashTab: (tab) => this.#crashTab(tab, random.between(50, 4_000)),
      reloadTab: (tab) => this.#reloadTab(tab, random),
      freezeTab: (tab, isAnnounced) => this.#freezeTab(tab, isAnnounced),
      thawTab: (tab) => this.#thawTab(tab),
      powerCut: () => this.#powerCut(random.between(50, 2_000)),
      engineFrozen: () => this.#unsettled(),
    })
    nemesis.lineMs = lineMs
    return nemesis
  }

  /** A tab that holds something stands still for long, while all else is well. */
  async #standStill(): Promise<void> {
    const random = this.#random.fork('standstill')
    for (let tries = 0; tries < 2_000; tries++) {
      await this.#steps.pass(3)
      const tab = [...this.#tabs.values()].find(({ process, members }) => {
        return !process.isDead && members.some(({ heldCount, role }) => role.topic.home === 'device' && heldCount > 0)
      })
      if (tab === undefined) continue
      this.#standstillCount++
      this.#freezeTab(tab, random.chance(0.5))
      await this.#steps.pass(keptMsMax + 1_000)
      this.#thawTab(tab)
      return
    }
  }

  /** Lets the world come to rest; what has not done so in time. */
  async #drain(): Promise<readonly string[]> {
    const untilMs = this.#clock.monotonic() + drainMsMax
    for (;;) {
      await this.#steps.pass(500)
      const stuck = await this.#stuck()
      if (stuck.length === 0 || this.#clock.monotonic() >= untilMs) return stuck
    }
  }

  /** What is left to do, in words. */
  async #stuck(): Promise<readonly string[]> {
    const tabs = [...this.#tabs.values()]
    const left = tabs.flatMap((tab) => (tab.process.isDead ? [`${tab.name} is not back`] : tab.pending))
    const { door } = this.#relay
    if (door === undefined) left.push('the relay is not up')
    if (this.#browser.engine === undefined) left.push('no engine serves')
    if (left.length > 0 || door === undefined) return left
    const page = tabs[0] as DeviceTab
    const { outboxCount, link } = page.client.getSnapshot()
    if (outboxCount > 0) left.push(`${outboxCount} messages are in the outbox`)
    if (link !== 'connected') left.push(`the link is ${link}`)
    const device = page.client.adminOf('device')
    for (const { group, topic } of this.#plan.groups) {
      const { queues } = topic.home === 'device'
        ? await this.#steps.until(device.describeGroup(group))
        : await this.#answer<GroupDescription>((answer) => door.describeGroup(group, answer))
      for (const { queueId, backlog, inFlight } of queues) {
        if (backlog > 0) left.push(`${group} has ${backlog} messages of ${topic.topic}/${queueId} before it`)
        if (inFlight > 0) left.push(`${group} has ${inFlight} messages of ${topic.topic}/${queueId} in flight`)
      }
    }
    for (const plan of this.#plan.topics) {
      const readers = tabs.flatMap((tab) => tab.readers).filter((reader) => reader.plan === plan)
      if (readers.length === 0) continue
      const { queues } = plan.home === 'device'
        ? await this.#steps.until(device.describeTopic(plan.topic))
        : await this.#answer<TopicDescription>((answer) => door.describeTopic(plan.topic, answer))
      for (const { queueId, maxOffset } of queues) {
        for (const { name, positions } of readers) {
          const offset = positions.get(queueId)?.offset ?? 0
          if (offset < maxOffset) left.push(`${name} reads ${plan.topic}/${queueId} at ${offset} of ${maxOffset}`)
        }
      }
    }
    return left
  }

  /** After a power cut, as a page reads it: all that is stored. */
  async #readLogs(): Promise<Record<Home, readonly StoredMessage[]>> {
    this.#browser.powerCut()
    for (const tab of this.#tabs.values()) this.#end(tab)
    this.#relay.crash()
    this.#browser.powerOn()
    const { client } = this.#openPage('inspector')
    await this.#steps.until(client.connected)
    const logs: Record<Home, StoredMessage[]> = { device: [], relay: [] }
    for (const { topic, home } of this.#plan.topics) {
      const { queues } = await this.#steps.until(client.adminOf(home).describeTopic(topic))
      for (const { queueId } of queues) {
        const pull = client.topic(topic, { codec: text, home }).pull({ queueId, untilEnd: true })
        const batches = pull[Symbol.asyncIterator]()
        for (;;) {
          const { value, done } = await this.#steps.until(batches.next())
          if (done === true) break
          for (const message of value) {
            const { offset, messageId } = message
            logs[home].push({ message: nameIn(message.value), topic, queueId, offset, messageId })
          }
        }
      }
    }
    return logs
  }

  // ── tabs ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #openTab(role: TabRole): void {
    const incarnation = this.#incarnations.get(role.name) ?? 0
    this.#incarnations.set(role.name, incarnation + 1)
    const tab = new DeviceTab({
      clock: this.#clock, random: this.#random.fork('tabs'), browser: this.#browser, shared: this.#shared,
      pauseMs: this.#plan.pauseMs,
    }, role, incarnation)
    this.#tabs.set(role.name, tab)
    for (const { group, topic } of role.groups) {
      this.#hold({ kind: 'joined', atMs: this.#clock.monotonic(), tab: tab.name, group, home: topic.home })
    }
  }

  /** A page that only asks. */
  #openPage(name: string): { readonly client: PageClient; readonly process: SimProcess } {
    const process = new SimProcess(this.#clock, name)
    const client = new PageClient(this.#browser.attachOf(process, () => {}), relayUrl, { name: 'simulated', persist: false })
    client.on('error', (error) => this.#trace.add(this.#clock.monotonic(), name, error.code))
    return { client, process }
  }

  /** The tab's process is no more. */
  #end(tab: DeviceTab): void {
    if (tab.process.isDead) return
    tab.killed()
    this.#browser.tabDied(tab.process)
    this.#hold({ kind: 'died', atMs: this.#clock.monotonic(), tab: tab.name })
  }

  #crashTab(tab: DeviceTab, awayMs: number): void {
    this.#end(tab)
    this.#clock.setTimer(awayMs, () => this.#openTab(tab.role))
  }

  /**
   * The application closes its client first, and the page is gone before or after that is done; then it is there again.
   */
  #reloadTab(tab: DeviceTab, random: SimRandom): void {
    this.#clock.setTimer(random.between(1, 400), () => {
      if (!tab.process.isDead) this.#crashTab(tab, random.between(20, 400))
    })
    tab.process.run(() => tab.close())
  }

  #freezeTab(tab: DeviceTab, isAnnounced: boolean): void {
    const line = this.#browser.seatOf(tab.process)?.line
    if (isAnnounced) line?.page.post({ kind: 'pace', pace: 'frozen' })
    tab.process.freeze()
    this.#hold({ kind: 'frozen', atMs: this.#clock.monotonic(), tab: tab.name })
  }

  #thawTab(tab: DeviceTab): void {
    if (!tab.process.isFrozen) return
    this.#hold({ kind: 'thawed', atMs: this.#clock.monotonic(), tab: tab.name })
    tab.process.thaw()
    this.#browser.seatOf(tab.process)?.line?.page.post({ kind: 'pace', pace: 'running' })
  }

  #powerCut(awayMs: number): void {
    const alive = [...this.#tabs.values()].filter(({ process }) => !process.isDead)
    this.#browser.powerCut()
    for (const tab of alive) this.#end(tab)
    this.#clock.setTimer(awayMs, () => {
      this.#browser.powerOn()
      for (const { role } of alive) this.#openTab(role)
    })
  }

  // ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Of an engine nothing is heard any more; whatever it was asked may have been done. */
  #engineLost(): void {
    this.#note('device', { kind: 'killed' })
    this.#note('relay', { kind: 'killed' })
    this.#unsettled()
  }

  #unsettled(): void {
    const atMs = this.#clock.monotonic()
    for (const home of ['device', 'relay']) this.#hold({ kind: 'unsettled', atMs, home })
  }

  #unlinked(): void {
    for (const tab of this.#tabs.values()) tab.unlinked()
    this.#hold({ kind: 'unsettled', atMs: this.#clock.monotonic(), home: 'relay' })
  }

  #hold(event: HoldEvent): void {
    this.#holds.push(event)
    this.#told?.(event.atMs, event)
  }

  #note(home: Home, event: HistoryEvent): void {
    const atMs = this.#clock.monotonic()
    this.#histories[home].push(event)
    this.#told?.(atMs, { home, ...event })
    const { kind } = event
    if (kind === 'acknowledged') this.#acknowledgedCount++
    if (kind === 'delivered') this.#deliveredCount++
    const message = 'message' in event ? String(event.message) : undefined
    const member = 'member' in event ? event.member : undefined
    this.#trace.add(atMs, kind, message, member, 'attempt' in event ? event.attempt : undefined)
    const isSettling = kind === 'acking' || kind === 'retried' || kind === 'lease-lost'
    const isTaking = kind === 'delivered' && event.attempt > 0
    if ((!isSettling && !isTaking) || message === undefined || !('group' in event)) return
    const tab = event.member.slice(event.member.indexOf('/') + 1)
    this.#hold({ kind: isTaking ? 'took' : 'let-go', atMs, tab, group: event.group, message })
  }

  #bug(found: string): void {
    this.#trace.add(this.#clock.monotonic(), 'BUG', found)
    if (this.#bugs.length < 20) this.#bugs.push(found)
  }

  async #answer<T>(ask: (answer: (outcome: T | PocketError) => void) => void): Promise<T> {
    const outcome = await this.#steps.until(new Promise<T | PocketError>((resolve) => ask(resolve)))
    if (outcome instanceof Error) throw outcome
    return outcome
  }
}

function asViolation(found: string): { message: string; text: string } {
  return { message: '', text: found }
}
