// A tab of the simulated browser: a page's process with the real page client in it and applications that use it: they send,
// consume in groups, read copies, ask now and then, and write down what they saw.

import type { Message } from '../../core/client/api.ts'
import { PocketError } from '../../core/errors.ts'
import { PageClient } from '../../web-client/page/page-client.ts'
import type { Home } from '../../web-client/port/port-protocol.ts'
import type { HistoryEvent } from '../checkers/history.ts'
import type { DeviceShared, TabApplication } from './device-application.ts'
import type { DeviceBrowser } from './device-browser.ts'
import { DeviceMember } from './device-member.ts'
import type { TabRole } from './device-plan.ts'
import { DeviceProducer } from './device-producer.ts'
import { DeviceReader } from './device-reader.ts'
import { faultOf, nameIn } from './sim-message.ts'
import type { SimClock } from './sim-clock.ts'
import { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'

export const relayUrl = 'wss://relay.simulated'

export interface DeviceTabDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly browser: DeviceBrowser
  readonly shared: DeviceShared
  /** Between two bursts of a producer, at most, as a rule. */
  readonly pauseMs: number
}

/** What may become of a call whose engine or link fails under it. */
const passingErrors: ReadonlySet<string> = new Set([
  'ENGINE_LOST', 'CONNECTION_LOST', 'CONNECTION_REFUSED', 'TIMEOUT', 'OVERLOADED', 'STORE_FULL', 'STORE_FAILED', 'RELAY_STOPPING',
])

export class DeviceTab implements TabApplication {
  readonly role: TabRole
  readonly name: string
  readonly process: SimProcess
  readonly random: SimRandom
  readonly shared: DeviceShared
  readonly client: PageClient
  readonly members: readonly DeviceMember[]
  readonly readers: readonly DeviceReader[]
  readonly #producers: readonly DeviceProducer[]
  #callCount = 0
  isLeaving = false

  constructor({ clock, random, browser, shared, pauseMs }: DeviceTabDeps, role: TabRole, incarnation: number) {
    this.role = role
    this.name = `${role.name}.${incarnation}`
    this.process = new SimProcess(clock, this.name)
    this.random = random.fork(this.name)
    this.shared = shared
    const attach = browser.attachOf(this.process, () => this.#losing())
    this.client = new PageClient(attach, relayUrl, { name: 'simulated', persist: false })
    this.client.on('error', (error) => this.#heardError(error))
    this.client.on('gap', (gap) => {
      for (const reader of this.readers) reader.gap(gap)
    })
    this.#producers = role.sends.map((plan) => new DeviceProducer(this, plan, pauseMs))
    this.members = role.groups.map((group) => new DeviceMember(this, group))
    this.readers = role.reads.map((plan) => new DeviceReader(this, role.name, plan))
    void this.#ask()
  }

  /** Sends and calls that have not come to an end, by what they are. */
  get pending(): readonly string[] {
    const waiting: string[] = []
    const producing = this.#producers.reduce((sum, { unansweredCount }) => sum + unansweredCount, 0)
    const relaying = this.#producers.reduce((sum, { relayingCount }) => sum + relayingCount, 0)
    const held = this.members.reduce((sum, { heldCount }) => sum + heldCount, 0)
    if (producing > 0) waiting.push(`${producing} sends of ${this.name} are not answered`)
    if (relaying > 0) waiting.push(`${relaying} sends of ${this.name} are not known to be at the relay`)
    if (this.#callCount > 0) waiting.push(`${this.#callCount} calls of ${this.name} are not answered`)
    if (held > 0) waiting.push(`${this.name} holds ${held} messages`)
    const { engine } = this.client.getSnapshot()
    if (engine !== 'running') waiting.push(`the engine of ${this.name} is ${engine}`)
    return waiting
  }

  wait(leastMs: number, mostMs: number): Promise<void> {
    return new Promise((resolve) => this.process.setTimer(this.random.between(leastMs, mostMs), resolve))
  }

  note(home: Home, event: HistoryEvent): void {
    if (!this.process.isDead) this.shared.noted(home, event)
  }

  check(home: Home, message: Message<string>, reader: string): string {
    const name = nameIn(message.value)
    const text = faultOf(message, name, this.shared.sent.get(name))
    if (text !== undefined) this.note(home, { kind: 'garbled', reader, message: name, text })
    return name
  }

  /** The application closes its client. */
  close(): void {
    if (this.isLeaving) return
    this.isLeaving = true
    for (const member of this.members) member.leaves()
    void this.client.close()
  }

  /** The tab is no more. */
  killed(): void {
    for (const member of this.members) member.killed()
    this.process.kill()
  }

  /** Its connection to the relay broke. */
  unlinked(): void {
    for (const { name, role } of this.members) {
      if (role.topic.home === 'relay') this.shared.noted('relay', { kind: 'disconnected', member: name })
    }
  }

  /** What it asked of its engine, and was not answered, may have been done or not. */
  #losing(): void {
    for (const { name, role } of this.members) this.shared.noted(role.topic.home, { kind: 'disconnected', member: name })
  }

  #heardError(error: PocketError): void {
    if (this.process.isDead || this.isLeaving || error.code === 'HANDLER_FAILED' || passingErrors.has(error.code)) return
    // An ack that nobody waits for, of a message that is somebody else's by now.
    if (error.code === 'RECEIPT_STALE') return
    this.shared.bug(`${this.name} was told: ${error.code} ${error.message}`)
  }

  /** Asks for something now and then, to see that every call comes to an end. */
  async #ask(): Promise<void> {
    const { random, shared } = this
    for (;;) {
      await this.wait(100, 2_500)
      if (!shared.isSending() || this.isLeaving) return
      this.#callCount++
      const home = random.chance(0.5) ? 'device' : 'relay'
      const admin = this.client.adminOf(home)
      const asked = random.chance(0.7) ? admin.listTopics() : admin.createTopic(`extra-${random.below(3)}`, {})
      asked.catch((error: unknown) => {
        const code = error instanceof PocketError ? error.code : ''
        if (passingErrors.has(code) || code === 'TOPIC_EXISTS' || this.isLeaving) return
        shared.bug(`a call of ${this.name} failed: ${String(error)}`)
      }).finally(() => this.#callCount--)
    }
  }
}
