// A member of a consumer group in the simulated world. It does what applications do, at random: work that takes time,
// handlers that fail, once or always, acks that nobody waits for, messages that are taken and forgotten.

import type { Message, SimpleConsumer, Topic } from '../../core/client/api.ts'
import { text } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import type { EventOf } from '../checkers/history.ts'
import { foundAt, type SimApplication } from './sim-application.ts'
import { isPoison } from './sim-message.ts'
import type { GroupRole } from './world-plan.ts'

type Delivered = EventOf<'delivered'>

export class SimMember {
  /** As the history calls it. */
  readonly name: string
  readonly role: GroupRole
  readonly #app: SimApplication
  /** Deliveries that the application has not settled, by their history events. */
  readonly #held = new Set<Delivered>()
  /** How often it has left the group: what it took before goes back, and cannot be settled any more. */
  #leaveCount = 0

  constructor(app: SimApplication, role: GroupRole) {
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
    const { noted } = this.#app.shared
    for (const delivered of this.#held) noted({ ...delivered, kind: 'lease-lost' })
    noted({ kind: 'killed', member: this.name })
  }

  #join(): void {
    const { client, random } = this.#app
    const { topic: topicName, group, how, filter: tags, isSql } = this.role
    const filter = isSql ? { sql: "TAGS = 'a' OR TAGS IN ('b')" } : tags
    const topic = client.topic(topicName, { codec: text })
    const lease = random.pick(['4s', '8s', '15s'] as const)
    if (how === 'ask') {
      void this.#ask(topic.receiver({ group, lease: '8s' }))
      return
    }
    const options = { group, lease, filter, prefetch: random.pick([1, 4, 30, 1_000]) }
    const ended = (error: unknown): void => this.#app.shared.bug(`${this.name} ended: ${String(error)}`)
    if (how === 'run') {
      topic.consume(options).run((message) => this.#handle(message), { concurrency: 1 + random.below(8) }).catch(ended)
    } else {
      this.#iterate(topic, options, random.chance(0.4)).catch(ended)
    }
  }

  /** Takes messages; some members leave now and then, and join again. */
  async #iterate(topic: Topic<string>, options: Parameters<Topic<string>['consume']>[0], isSequential: boolean): Promise<void> {
    const { random } = this.#app
    const isRestless = random.chance(0.2)
    for (;;) {
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

  #leave(consumer: { close(): Promise<void> }): void {
    if (this.#isHurrying) return
    this.#leaveCount++
    for (const delivered of this.#held) this.#forget(delivered)
    void consumer.close()
  }

  async #ask(consumer: SimpleConsumer<string>): Promise<void> {
    const { random, shared } = this.#app
    for (;;) {
      try {
        const messages = await consumer.receive({ max: 4 + random.below(28), wait: random.pick(['1s', '5s'] as const) })
        await Promise.all(messages.map((message) => this.#work(message, 0)))
      } catch (error) {
        const isLate = error instanceof PocketError && error.code === 'TIMEOUT'
        if (!isLate) return shared.bug(`receive failed: ${String(error)}`)
      }
    }
  }

  /** The whole life of a message in an application's hands; `leaveCount` is of when its consumer joined. */
  async #work(message: Message<string>, leaveCount: number): Promise<void> {
    const { random } = this.#app
    const delivered = this.#delivered(message)
    const isFailing = random.chance(0.1) || this.#isTooMuch(delivered)
    const workMs = random.chance(0.5) ? 0 : random.chance(0.02) ? 6_000 : 100
    if (workMs > 0) await this.#app.wait(0, this.#isHurrying ? 1 : workMs)
    // Nobody extends the leases of a receiver: its lease brings back what it forgot.
    if (this.role.how === 'ask' && random.chance(0.01)) this.#forget(delivered)
    else if (isFailing) await this.#retry(message, delivered, leaveCount)
    else await this.#ack(message, delivered, leaveCount)
  }

  /** The same as a handler that is run: what it throws is a retry, and the acks are made for it. */
  async #handle(message: Message<string>): Promise<void> {
    const { random } = this.#app
    const delivered = this.#delivered(message)
    const isFailing = random.chance(0.1) || this.#isTooMuch(delivered)
    if (random.chance(0.7)) await this.#app.wait(0, this.#isHurrying ? 1 : 200)
    this.#held.delete(delivered)
    if (isFailing) {
      this.#app.note({ ...delivered, kind: 'lease-lost' })
      throw new Error('simulated: the handler failed')
    }
    this.#app.note({ ...delivered, kind: 'acking' })
  }

  /** Nothing comes any more, and the world is to come to rest. */
  get #isHurrying(): boolean {
    return !this.#app.shared.isSending()
  }

  #isTooMuch({ message }: Delivered): boolean {
    return this.role.isFussy && isPoison(String(message))
  }

  #delivered(message: Message<string>): Delivered {
    const name = this.#app.check(message, this.name)
    const delivered: Delivered = {
      kind: 'delivered',
      message: name,
      group: this.role.group,
      member: this.name,
      attempt: message.attempt,
      found: foundAt(message),
      storedMs: message.storedMs,
    }
    this.#app.note(delivered)
    this.#held.add(delivered)
    return delivered
  }

  #forget(delivered: Delivered): void {
    this.#app.note({ ...delivered, kind: 'lease-lost' })
    this.#held.delete(delivered)
  }

  async #ack(message: Message<string>, delivered: Delivered, leaveCount: number): Promise<void> {
    this.#app.note({ ...delivered, kind: 'acking' })
    try {
      await message.ack()
      const { message: name, group, member } = delivered
      this.#app.note({ kind: 'consumed', message: name, group, member })
    } catch (error) {
      this.#leaseLost(error, delivered, leaveCount)
    }
    this.#held.delete(delivered)
  }

  async #retry(message: Message<string>, delivered: Delivered, leaveCount: number): Promise<void> {
    const { random } = this.#app
    const { message: name, group, member } = delivered
    // Before it is answered: the message may come again in the same breath as the answer.
    this.#app.note({ kind: 'retried', message: name, group, member })
    try {
      await message.retry(random.chance(0.5) ? {} : { after: random.below(1_500) })
    } catch (error) {
      this.#leaseLost(error, delivered, leaveCount)
    }
    this.#held.delete(delivered)
  }

  #leaseLost(error: unknown, delivered: Delivered, leaveCount: number): void {
    const code = error instanceof PocketError ? error.code : ''
    // It left while it worked on the message, or while the answer was on its way.
    const hasLeft = leaveCount !== this.#leaveCount
    if (code === 'RECEIPT_STALE' || (code === 'CLOSED' && hasLeft)) this.#app.note({ ...delivered, kind: 'lease-lost' })
    else this.#app.shared.bug(`${delivered.member} could not settle ${delivered.message}: ${String(error)}`)
  }
}
