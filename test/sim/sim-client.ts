// A client of the simulated world with its applications: producers, members of groups, a reader. They do what
// applications do, at random: work that takes time, handlers that fail, acks that nobody waits for. What they see goes
// into the history that the checkers judge.

import type { Client, Message, SendReceipt, SimpleConsumer } from '../../core/client/api.ts'
import { createClient } from '../../core/client/client.ts'
import { text } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import { silentLog } from '../../core/ports/log.ts'
import type { HistoryEvent } from '../checkers/history.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimNetwork } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import type { Trace } from './trace.ts'

/** What one client does; drawn once per seed, and taken up again by whoever takes its place after its death. */
export interface Role {
  readonly name: string
  readonly sends: readonly ('plain' | 'steps')[]
  readonly groups: readonly GroupRole[]
  readonly isReader: boolean
}

export type GroupRole = 'till' | 'line' | 'picky' | 'asker' | 'runner'

/** Which topic a group consumes. */
export const topicOfGroup: Readonly<Record<GroupRole, 'plain' | 'steps'>> = {
  till: 'plain', line: 'steps', picky: 'plain', asker: 'steps', runner: 'plain',
}
export const readerGroup = 'board'

/** What a client needs of its world. */
export interface SimClientDeps {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly network: SimNetwork
  readonly trace: Trace
  readonly noted: (event: HistoryEvent) => void
  readonly receipts: Map<string, SendReceipt>
  /** Names of messages that were refused for good. */
  readonly refused: Map<string, string>
  readonly bug: (text: string) => void
  /** Whether producers go on. */
  readonly isSending: () => boolean
}

/** Where a reader that dies stood: its successor goes on from there. */
export type ReaderPositions = ReadonlyMap<number, Position>

const tags = ['a', 'b', 'c'] as const
/** What a client may report without anything being wrong. */
const expectedErrors: ReadonlySet<string> = new Set(['RECEIPT_STALE', 'HANDLER_FAILED'])

export class SimClient {
  readonly role: Role
  readonly process: SimProcess
  readonly client: Client
  readonly #deps: SimClientDeps
  readonly #random: SimRandom
  readonly #name: string
  /** Deliveries that the application has not settled, by their history events. */
  readonly #held = new Set<Extract<HistoryEvent, { kind: 'delivered' }>>()
  #wasUp = false
  #reader: { positions(): ReaderPositions } | undefined
  #messageCount = 0
  #unansweredCount = 0

  /** `incarnation` counts the clients that had this role. */
  constructor(deps: SimClientDeps, role: Role, incarnation: number, positions: ReaderPositions) {
    const { clock, random, network, trace } = deps
    this.#deps = deps
    this.role = role
    this.#name = `${role.name}.${incarnation}`
    this.#random = random.fork(this.#name)
    this.process = new SimProcess(clock, this.#name)
    this.client = createClient({
      dialler: network.diallerOf(this.process),
      clock: this.process,
      random: this.#random.fork('client'),
      log: silentLog,
    }, { name: this.#name, connectTimeout: '1d' })
    this.client.on('link', ({ state, error }) => {
      trace.add(clock.monotonic(), this.#name, state, error?.message)
      const isUp = state === 'connected'
      if (this.#wasUp && !isUp) for (const member of this.#members()) deps.noted({ kind: 'disconnected', member })
      this.#wasUp = isUp
      if (state === 'closed') deps.bug(`${this.#name} closed: ${error?.message}`)
    })
    this.client.on('error', (error) => {
      trace.add(clock.monotonic(), this.#name, error.code, error.message)
      if (expectedErrors.has(error.code)) return
      deps.bug(`${this.#name} reported ${error.code} ${error.message}`)
    })
    this.client.on('gap', (gap) => deps.bug(`${this.#name} was told of a gap: ${JSON.stringify(gap)}`))
    for (const topic of role.sends) void this.#produce(topic)
    for (const group of role.groups) this.#join(group)
    if (role.isReader) void this.#read(positions)
  }

  /** Sends that have not come to an end. */
  get unansweredCount(): number {
    return this.#unansweredCount
  }

  /** Messages that its applications have in hand. */
  get heldCount(): number {
    return this.#held.size
  }

  /** Where its reader stands. */
  get positions(): ReaderPositions {
    return this.#reader?.positions() ?? new Map()
  }

  /** Dies without a word. */
  kill(isLost: boolean): void {
    const { network, noted } = this.#deps
    // Some of these leases may have ended before, which nobody will learn any more.
    for (const delivered of this.#held) noted({ ...delivered, kind: 'lease-lost' })
    for (const member of this.#members()) noted({ kind: 'killed', member })
    this.process.kill()
    network.processDied(this.process, isLost)
  }

  #members(): string[] {
    return this.role.groups.map((group) => `${group}/${this.#name}`)
  }

  #wait(leastMs: number, mostMs: number): Promise<void> {
    return new Promise((resolve) => this.process.setTimer(this.#random.between(leastMs, mostMs), resolve))
  }

  // ── producing ─────────────────────────────────────────────────────────────────────────────────────────────────

  async #produce(topicName: 'plain' | 'steps'): Promise<void> {
    const topic = this.client.topic(topicName, { codec: text })
    const random = this.#random.fork(`sends to ${topicName}`)
    await this.#wait(0, 300)
    while (this.#deps.isSending()) {
      for (let count = 1 + random.below(5); count > 0; count--) {
        const messageGroup = topicName === 'steps' ? `${this.#name}-${random.below(12)}` : undefined
        const tag = random.pick(tags)
        this.#send(topic, topicName, messageGroup, tag, random.chance(0.05) ? random.below(6_000) : 0)
      }
      await this.#wait(10, random.chance(0.1) ? 2_000 : 600)
    }
  }

  #send(
    topic: ReturnType<typeof this.client.topic<string>>, topicName: string, messageGroup: string | undefined,
    tag: string, paddingBytes: number,
  ): void {
    const { noted, receipts, refused } = this.#deps
    const message = `${topicName}:${this.#name}:${this.#messageCount++}:${tag}`
    noted({ kind: 'sent', message, topic: topicName, messageGroup })
    const options = messageGroup === undefined ? { tag } : { tag, messageGroup }
    this.#unansweredCount++
    topic.send(`${message} ${'.'.repeat(paddingBytes)}`, options).then((receipt) => {
      this.#unansweredCount--
      receipts.set(message, receipt)
      noted({ kind: 'acknowledged', message })
    }, (error: unknown) => {
      this.#unansweredCount--
      refused.set(message, error instanceof PocketError ? error.code : String(error))
    })
  }

  // ── consuming ─────────────────────────────────────────────────────────────────────────────────────────────────

  #join(group: GroupRole): void {
    const topic = this.client.topic(topicOfGroup[group], { codec: text })
    const random = this.#random.fork(`in ${group}`)
    const lease = random.pick(['4s', '8s', '15s'] as const)
    if (group === 'asker') {
      void this.#ask(topic.receiver({ group, lease: '8s' }), group, random)
      return
    }
    const filter = group === 'picky' ? 'a || b' : '*'
    const consumer = topic.consume({ group, lease, filter, prefetch: random.pick([1, 4, 30, 1_000]) })
    const ended = (error: unknown): void => this.#deps.bug(`${group} of ${this.#name} ended: ${String(error)}`)
    if (group === 'runner') {
      consumer.run((message) => this.#handle(message, group, random), { concurrency: 1 + random.below(8) }).catch(ended)
      return
    }
    const isSequential = random.chance(0.4)
    const iterate = async (): Promise<void> => {
      for await (const message of consumer) {
        const settled = this.#work(message, group, random)
        if (isSequential) await settled
      }
    }
    iterate().catch(ended)
  }

  async #ask(consumer: SimpleConsumer<string>, group: GroupRole, random: SimRandom): Promise<void> {
    for (;;) {
      try {
        const messages = await consumer.receive({ max: 4 + random.below(28), wait: random.pick(['1s', '5s'] as const) })
        await Promise.all(messages.map((message) => this.#work(message, group, random)))
      } catch (error) {
        const isLate = error instanceof PocketError && error.code === 'TIMEOUT'
        if (!isLate) return this.#deps.bug(`receive failed: ${String(error)}`)
      }
    }
  }

  /** The whole life of a message in an application's hands. */
  async #work(message: Message<string>, group: GroupRole, random: SimRandom): Promise<void> {
    const delivered = this.#delivered(message, group)
    const isFailing = random.chance(0.1)
    const workMs = random.chance(0.5) ? 0 : random.chance(0.02) ? 6_000 : 100
    if (workMs > 0) await this.#wait(0, workMs)
    if (isFailing) await this.#retry(message, delivered, random)
    else await this.#ack(message, delivered)
  }

  /** The same as a handler that is run: what it throws is a retry, and the acks are made for it. */
  async #handle(message: Message<string>, group: GroupRole, random: SimRandom): Promise<void> {
    const delivered = this.#delivered(message, group)
    const isFailing = random.chance(0.1)
    if (random.chance(0.7)) await this.#wait(0, 200)
    this.#held.delete(delivered)
    if (isFailing) {
      this.#note({ ...delivered, kind: 'lease-lost' })
      throw new Error('simulated: the handler failed')
    }
    this.#note({ ...delivered, kind: 'acking' })
  }

  #delivered({ value, attempt }: Message<string>, group: string): Extract<HistoryEvent, { kind: 'delivered' }> {
    const message = nameIn(value)
    const delivered = { kind: 'delivered', message, group, member: `${group}/${this.#name}`, attempt } as const
    this.#note(delivered)
    this.#held.add(delivered)
    return delivered
  }

  async #ack(message: Message<string>, delivered: Extract<HistoryEvent, { kind: 'delivered' }>): Promise<void> {
    this.#note({ ...delivered, kind: 'acking' })
    try {
      await message.ack()
      const { message: name, group, member } = delivered
      this.#note({ kind: 'consumed', message: name, group, member })
    } catch (error) {
      this.#leaseLost(error, delivered)
    }
    this.#held.delete(delivered)
  }

  async #retry(
    message: Message<string>, delivered: Extract<HistoryEvent, { kind: 'delivered' }>, random: SimRandom,
  ): Promise<void> {
    const { message: name, group, member } = delivered
    // Before it is answered: the message may come again in the same breath as the answer.
    this.#note({ kind: 'retried', message: name, group, member })
    try {
      await message.retry(random.chance(0.5) ? {} : { after: random.below(1_500) })
    } catch (error) {
      this.#leaseLost(error, delivered)
    }
    this.#held.delete(delivered)
  }

  #leaseLost(error: unknown, delivered: Extract<HistoryEvent, { kind: 'delivered' }>): void {
    if (error instanceof PocketError && error.code === 'RECEIPT_STALE') this.#note({ ...delivered, kind: 'lease-lost' })
    else this.#deps.bug(`${delivered.member} could not settle ${delivered.message}: ${String(error)}`)
  }

  async #read(positions: ReaderPositions): Promise<void> {
    const topic = this.client.topic('steps', { codec: text })
    const mode = 'BROADCASTING'
    const reader = topic.consume({ group: readerGroup, mode, from: 'earliest', positions, prefetch: 40 })
    this.#reader = reader
    try {
      for await (const { value } of reader) {
        const message = nameIn(value)
        this.#note({ kind: 'delivered', message, group: readerGroup, member: this.role.name, attempt: 0 })
        if (this.#random.chance(0.05)) await this.#wait(0, 500)
      }
    } catch (error) {
      this.#deps.bug(`the reader of ${this.#name} ended: ${String(error)}`)
    }
  }

  #note(event: HistoryEvent): void {
    if (!this.process.isDead) this.#deps.noted(event)
  }
}

/** The message's name in a body. */
export function nameIn(body: string): string {
  return body.slice(0, body.indexOf(' '))
}
