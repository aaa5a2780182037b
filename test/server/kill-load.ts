// The load of kill.test.ts: producers and groups that go on by themselves over the relay's deaths, and the history of
// what they saw. Closed loops: each consumed message lets the next be sent, so there is always something in flight
// and never much.

import type { Message, PushConsumer, Topic } from '../../core/client/api.ts'
import type { PocketError } from '../../core/errors.ts'
import type { History, HistoryEvent } from '../checkers/history.ts'

interface Body {
  readonly name: string
}

export class KillLoad {
  readonly #history: HistoryEvent[] = []
  readonly #watchers = new Set<() => void>()
  readonly #unanswered = new Set<Promise<void>>()
  /** Sent in a closed loop, and no member is done with it yet. */
  readonly #open = new Set<string>()
  readonly #deliveryCounts = new Map<string, number>()
  readonly refusals: PocketError[] = []
  consumedCount = 0
  #isStopped = false

  /** How often the message was seen. */
  deliveryCountOf(name: string): number {
    return this.#deliveryCounts.get(name) ?? 0
  }

  get history(): History {
    return this.#history
  }

  /** Keeps `windowCount` messages on their way through `topic` to the members given to {@link consume}. */
  produce(topic: Topic<Body>, windowCount: number, messageGroupOf?: (index: number) => string): () => void {
    let index = 0
    const sendNext = () => {
      if (this.#isStopped) return
      const messageGroup = messageGroupOf?.(index)
      const name = `${topic.name}-${index++}`
      this.#open.add(name)
      this.send(topic, name, messageGroup)
    }
    for (let count = 0; count < windowCount; count++) sendNext()
    return sendNext
  }

  send(topic: Topic<Body>, name: string, messageGroup?: string): void {
    this.#add({ kind: 'sent', message: name, topic: topic.name, messageGroup })
    const answered = topic.send({ name }, messageGroup === undefined ? {} : { messageGroup }).then(
      () => this.#add({ kind: 'acknowledged', message: name }),
      (error: PocketError) => void this.refusals.push(error),
    ).then(() => void this.#unanswered.delete(answered))
    this.#unanswered.add(answered)
  }

  /** Acks every message; `next` runs for each that the group is done with. Resolves when the consumer closes. */
  async consume(consumer: PushConsumer<Body>, group: string, member: string, next: () => void): Promise<void> {
    for await (const message of consumer) {
      this.#delivered(message, group, member)
      void this.#ack(message, group, member, next)
    }
  }

  /** Fails every message, for ever. */
  async fail(consumer: PushConsumer<Body>, group: string, member: string): Promise<void> {
    for await (const message of consumer) {
      this.#delivered(message, group, member)
      void this.#retry(message, group, member)
    }
  }

  /** The relay is about to be killed. */
  killed(): void {
    this.#add({ kind: 'killed' })
  }

  /** Sends nothing more; resolves when every send was answered. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#unanswered)
  }

  /** Resolves as soon as `condition` holds, which is looked at after every event. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return
    await new Promise<void>((resolve) => {
      const watch = () => {
        if (!condition()) return
        this.#watchers.delete(watch)
        resolve()
      }
      this.#watchers.add(watch)
    })
  }

  #delivered({ value, attempt }: Message<Body>, group: string, member: string): void {
    this.#deliveryCounts.set(value.name, this.deliveryCountOf(value.name) + 1)
    this.#add({ kind: 'delivered', message: value.name, group, member, attempt })
  }

  async #ack(message: Message<Body>, group: string, member: string, next: () => void): Promise<void> {
    const { name } = message.value
    this.#add({ kind: 'acking', message: name, group, member, attempt: message.attempt })
    try {
      await message.ack()
      this.consumedCount++
      this.#add({ kind: 'consumed', message: name, group, member })
    } catch (error) {
      this.#leaseLost(error as PocketError, message, group, member)
    }
    if (this.#open.delete(name)) next()
  }

  async #retry(message: Message<Body>, group: string, member: string): Promise<void> {
    try {
      await message.retry()
      this.#add({ kind: 'retried', message: message.value.name, group, member })
    } catch (error) {
      this.#leaseLost(error as PocketError, message, group, member)
    }
  }

  #leaseLost(error: PocketError, { value, attempt }: Message<Body>, group: string, member: string): void {
    if (error.code === 'RECEIPT_STALE') this.#add({ kind: 'lease-lost', message: value.name, group, member, attempt })
    else if (error.code !== 'CLOSED') this.refusals.push(error)
  }

  #add(event: HistoryEvent): void {
    this.#history.push(event)
    for (const watch of this.#watchers) watch()
  }
}
