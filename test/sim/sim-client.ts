// A client of the simulated world with its applications: producers, members of groups, readers. What they see goes into
// the history that the checkers judge.

import type { Client } from '../../core/client/api.ts'
import { createClient } from '../../core/client/client.ts'
import { silentLog } from '../../core/ports/log.ts'
import { FollowerDisk } from './follower-disk.ts'
import { type SharedState, SimApplication } from './sim-application.ts'
import type { SimClock } from './sim-clock.ts'
import { SimFollower } from './sim-follower.ts'
import { SimMember } from './sim-member.ts'
import type { SimNetwork } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import { SimProducer } from './sim-producer.ts'
import type { SimRandom } from './sim-random.ts'
import { type ReaderPositions, SimReader } from './sim-reader.ts'
import { SimTransactor } from './sim-transactor.ts'
import type { Trace } from './trace.ts'
import type { Role } from './world-plan.ts'

/** What a client needs of its world. */
export interface SimClientDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly network: SimNetwork
  readonly trace: Trace
  readonly shared: SharedState
}

/** Where the readers of a dead client stood, in the order of its role. */
export type Legacy = readonly ReaderPositions[]

/** What a client may report without anything being wrong. */
const expectedErrors: ReadonlySet<string> = new Set(['RECEIPT_STALE', 'HANDLER_FAILED'])

export class SimClient {
  readonly role: Role
  readonly process: SimProcess
  readonly client: Client
  readonly readers: readonly SimReader[]
  readonly #deps: SimClientDeps
  readonly #name: string
  readonly #producers: readonly SimProducer[]
  readonly #transactor: SimTransactor | undefined
  readonly #members: readonly SimMember[]
  #wasUp = false

  /** `incarnation` counts the clients that had this role. */
  constructor(deps: SimClientDeps, role: Role, incarnation: number, legacy: Legacy) {
    const { clock, network, shared } = deps
    this.#deps = deps
    this.role = role
    this.#name = `${role.name}.${incarnation}`
    const random = deps.random.fork(this.#name)
    this.process = new SimProcess(clock, this.#name)
    this.client = createClient({
      dialler: network.diallerOf(this.process),
      clock: this.process,
      random: random.fork('client'),
      log: silentLog,
    }, { name: this.#name, connectTimeout: '1d' })
    this.#listen()
    const application = (what: string): SimApplication =>
      new SimApplication(this.#name, this.client, this.process, random.fork(what), shared)
    this.#producers = role.sends.map((topic) => new SimProducer(application(`sends to ${topic}`), topic, role.delays))
    const { transacts, follows } = role
    this.#transactor = transacts.length === 0
      ? undefined
      : new SimTransactor(application('transactions'), transacts, role.delays)
    if (follows.length > 0) void new SimFollower(application('follows'), follows, this.#disk())
    this.#members = role.groups.map((group) => new SimMember(application(`in ${group.group}`), group))
    this.readers = role.readers.map((reader, index) => {
      return new SimReader(application(`reads ${index}`), role.name, reader, legacy[index] ?? new Map())
    })
  }

  /** Sends that have not come to an end. */
  get unansweredCount(): number {
    return this.#producers.reduce((sum, producer) => sum + producer.unansweredCount, this.#transactor?.unansweredCount ?? 0)
  }

  /** Messages that its applications have in hand. */
  get heldCount(): number {
    return this.#members.reduce((sum, member) => sum + member.heldCount, 0)
  }

  get legacy(): Legacy {
    return this.readers.map((reader) => reader.positions)
  }

  /** Dies without a word. */
  kill(isLost: boolean): void {
    for (const member of this.#members) member.killed()
    this.process.kill()
    this.#deps.network.processDied(this.process, isLost)
  }

  #disk(): FollowerDisk {
    const { clock, random, shared: { disks } } = this.#deps
    const known = disks.get(this.role.name) ?? new FollowerDisk(clock, random.fork(`disk of ${this.role.name}`))
    disks.set(this.role.name, known)
    return known
  }

  #listen(): void {
    const { clock, trace, shared } = this.#deps
    this.client.on('link', ({ state, error }) => {
      trace.add(clock.monotonic(), this.#name, state, error?.message)
      const isUp = state === 'connected'
      if (this.#wasUp && !isUp) {
        for (const { name: member } of this.#members) shared.noted({ kind: 'disconnected', member })
      }
      this.#wasUp = isUp
      if (state === 'closed') shared.bug(`${this.#name} closed: ${error?.message}`)
    })
    this.client.on('error', (error) => {
      trace.add(clock.monotonic(), this.#name, error.code, error.message)
      // A check was answered when the relay had given up asking, and rolled it back.
      const isGivenUp = error.code === 'TRANSACTION_FINISHED' && error.message.endsWith('rolled back before')
      if (!expectedErrors.has(error.code) && !isGivenUp) shared.bug(`${this.#name} reported ${error.code} ${error.message}`)
    })
    this.client.on('gap', (gap) => {
      trace.add(clock.monotonic(), this.#name, 'gap', JSON.stringify(gap))
      for (const reader of this.readers) reader.gap(gap)
      const { topic, group, queueId, expected, next } = gap
      const member = this.#members.find(({ role }) => role.group === group && role.topic === topic)
      if (member !== undefined) shared.noted({ kind: 'gap', reader: member.name, topic, queueId, expected, next })
    })
  }
}
