// A member of a consumer group in a tab of the simulated browser: work that takes time, handlers that fail, messages that
// are taken and given back, a consumer that leaves and comes again.

import { text } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import type { Message, SimpleConsumer } from '../../core/client/api.ts'
import type { WebConsumeOptions, WebTopic } from '../../web-client/page/web-api.ts'
import type { EventOf, HistoryEvent } from '../checkers/history.ts'
import type { TabApplication } from './device-application.ts'
import type { DeviceGroupRole } from './device-plan.ts'
import { foundAt } from './sim-application.ts'

type Delivered = EventOf<'delivered'>

/** That a lease is not the member's any more, or that there is nobody to ask. */
const lostCodes: ReadonlySet<string> = new Set([
  'RECEIPT_STALE', 'ENGINE_LOST', 'CONNECTION_LOST', 'CONNECTION_REFUSED', 'STORE_FAILED', 'TIMEOUT',
])

export class DeviceMember {
  /** As the history calls it. */
  readonly name: string
  readonly role: DeviceGroupRole
  readonly #app: TabApplication
  /** Deliveries that the application has not settled, by their history events. */
  readonly #held = new Set<Delivered>()
  /** Those of them that it has asked to be settled. */
  readonly #settling = new WeakSet<Delivered>()
  /** How often it has left the group: what it took before goes back, and cannot be settled any more. */
  #leaveCount = 0

  constructor(app: TabApplication, role: DeviceGroupRole) {
    this.#app = app
    this.role = role
    this.name = `${role.group}/${app.name}`
    this.#join()
  }

  get heldCount(): number {
    return this.#held.size
  }

  /** Its process dies: some of its leases may have ended before, which nobody will learn any more. */
  killed(): void {
    for (const delivered of this.#held) this.#note({ ...delivered, kind: 'lease-lost' })
    this.#note({ kind: 'killed', member: this.name })
  }

  #note(event: HistoryEvent): void {
    this.#app.note(this.role.topic.home, event)
  }

  #join(): void {
    const { client, random, shared } = this.#app
    const { topic: { topic: name, home }, group, filter, how } = this.role
    const topic = client.topic(name, { codec: text, home })
    const options = { group, filter, prefetch: random.pick([1, 4, 30, 1_000]) }
    const ended = (error: unknown): void => {
      if (!this.#app.process.isDead && !this.#app.isLeaving) shared.bug(`${this.name} ended: ${String(error)}`)
    }
    if (how === 'ask') this.#ask(topic.receiver({ group, lease: '8s' })).catch(ended)
    else if (how === 'run') {
      topic.consume(options).run((message) => this.#handle(message), { concurrency: 1 + random.below(8) }).catch(ended)
    } else this.#iterate(topic, options, random.chance(0.4)).catch(ended)
  }

  /** Takes messages; some members leave now and then, and join again. */
  async #iterate(topic: WebTopic<string>, options: WebConsumeOptions, isSequential: boolean): Promise<void> {
    const { random } = this.#app
    const isRestless = random.chance(0.2)
    while (!this.#app.isLeaving) {
      const consumer = topic.consume(options)
      const leaveCount = this.#leaveCount
      if (isRestless) this.#app.process.setTimer(random.between(300, 3_000), () => this.#leave(consumer))
      for await (const message of consumer) {
        const settled = this.#work(message, leaveCount)
        if (isSequential) await settled
      }
      await this.#app.wait(0, 500)
    }
  }

  /** It leaves the group, or its tab is about to close: what it works on goes back. */
  leaves(): void {
    this.#leaveCount++
    for (const delivered of [...this.#held]) if (!this.#settling.has(delivered)) this.#forget(delivered)
  }

  #leave(consumer: { close(): Promise<void> }): void {
    if (this.#isHurrying || this.#app.isLeaving) return
    this.leaves()
    void consumer.close()
  }

  async #ask(consumer: SimpleConsumer<string>): Promise<void> {
    const { random, shared } = this.#app
    while (!this.#app.isLeaving) {
      try {
        const messages = await consumer.receive({ max: 4 + random.below(28), wait: random.pick(['1s', '5s'] as const) })
        // Who leaves looks at nothing any more.
        if (this.#app.isLeaving) return
        await Promise.all(messages.map((message) => this.#work(message, 0)))
      } catch (error) {
        const code = error instanceof PocketError ? error.code : ''
        if (this.#app.isLeaving) return
        if (code !== 'TIMEOUT' && code !== 'ENGINE_LOST') return shared.bug(`receive failed: ${String(error)}`)
        if (code === 'ENGINE_LOST') await this.#app.wait(10, 100)
      }
    }
  }

  /** The whole life of a message in an application's hands; `leaveCount` is of when its consumer joined. */
  async #work(message: Message<string>, leaveCount: number): Promise<void> {
    const { random } = this.#app
    const delivered = this.#delivered(message)
    const workMs = random.chance(0.5) ? 0 : random.chance(0.02) ? 6_000 : 100
    const isFailing = random.chance(0.1)
    if (workMs > 0) await this.#app.wait(0, this.#isHurrying ? 1 : workMs)
    if (!this.#held.has(delivered)) return
    if (this.role.how === 'ask' && random.chance(0.01)) this.#forget(delivered)
    else if (isFailing) await this.#retry(message, delivered, leaveCount)
    else await this.#ack(message, delivered, leaveCount)
  }

  /** The same as a handler that is run: what it throws is a retry, and the acks are made for it. */
  async #handle(message: Message<string>): Promise<void> {
    const { random } = this.#app
    const delivered = this.#delivered(message)
    const isFailing = random.chance(0.1)
    if (random.chance(0.7)) await this.#app.wait(0, this.#isHurrying ? 1 : 200)
    this.#held.delete(delivered)
    if (isFailing) {
      this.#note({ ...delivered, kind: 'lease-lost' })
      throw new Error('simulated: the handler failed')
    }
    this.#note({ ...delivered, kind: 'acking' })
  }

  /** Nothing comes any more, and the world is to come to rest. */
  get #isHurrying(): boolean {
    return !this.#app.shared.isSending()
  }

  #delivered(message: Message<string>): Delivered {
    const { topic: { home }, group } = this.role
    const name = this.#app.check(home, message, this.name)
    const delivered: Delivered = {
      kind: 'delivered', message: name, group, member: this.name, attempt: message.attempt, found: foundAt(message),
    }
    this.#note(delivered)
    this.#held.add(delivered)
    message.signal.addEventListener('abort', () => this.#forget(delivered), { once: true })
    return delivered
  }

  #forget(delivered: Delivered): void {
    if (this.#held.delete(delivered)) this.#note({ ...delivered, kind: 'lease-lost' })
  }

  async #ack(message: Message<string>, delivered: Delivered, leaveCount: number): Promise<void> {
    this.#note({ ...delivered, kind: 'acking' })
    this.#settling.add(delivered)
    try {
      await message.ack()
      const { message: name, group, member } = delivered
      this.#note({ kind: 'consumed', message: name, group, member })
      this.#held.delete(delivered)
    } catch (error) {
      this.#leaseLost(error, delivered, leaveCount)
    }
  }

  async #retry(message: Message<string>, delivered: Delivered, leaveCount: number): Promise<void> {
    const { random } = this.#app
    const { message: name, group, member } = delivered
    // Before it is answered: the message may come again in the same breath as the answer.
    this.#note({ kind: 'retried', message: name, group, member })
    this.#settling.add(delivered)
    try {
      await message.retry({ after: random.below(1_500) })
      this.#held.delete(delivered)
    } catch (error) {
      this.#leaseLost(error, delivered, leaveCount)
    }
  }

  #leaseLost(error: unknown, delivered: Delivered, leaveCount: number): void {
    const code = error instanceof PocketError ? error.code : ''
    // It left while it worked on the message, or while the answer was on its way.
    const hasLeft = leaveCount !== this.#leaveCount
    // What was asked while it left may have been done.
    if (code === 'CLOSED' && hasLeft) this.#note({ kind: 'disconnected', member: delivered.member })
    if (this.#held.delete(delivered)) this.#note({ ...delivered, kind: 'lease-lost' })
    if (lostCodes.has(code) || (code === 'CLOSED' && hasLeft) || this.#app.process.isDead) return
    this.#app.shared.bug(`${delivered.member} could not settle ${delivered.message}: ${String(error)}`)
  }
}
