// A producer of the simulated world: sends in small bursts, some messages large, and writes down what became of them.

import type { SendReceipt, Topic } from '../../core/client/api.ts'
import { text } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import type { Found } from '../checkers/history.ts'
import type { SimApplication } from './sim-application.ts'
import { bodyOf, messageName, tags } from './sim-message.ts'
import type { TopicName } from './world-plan.ts'

/** The largest padding, by which no message is over some kibibytes. */
export const paddingBytesMax = 6_000

export class SimProducer {
  readonly #app: SimApplication
  readonly #topicName: TopicName
  readonly #topic: Topic<string>
  #messageCount = 0
  #unansweredCount = 0

  constructor(app: SimApplication, topicName: TopicName) {
    this.#app = app
    this.#topicName = topicName
    this.#topic = app.client.topic(topicName, { codec: text })
    void this.#run()
  }

  /** Sends that have not come to an end. */
  get unansweredCount(): number {
    return this.#unansweredCount
  }

  async #run(): Promise<void> {
    const { random, shared } = this.#app
    await this.#app.wait(0, 300)
    while (shared.isSending()) {
      for (let count = 1 + random.below(5); count > 0; count--) this.#send()
      await this.#app.wait(10, random.chance(0.1) ? 2_000 : 600)
    }
  }

  #send(): void {
    const { random, shared, name } = this.#app
    const topic = this.#topicName
    const messageGroup = topic === 'steps' ? `${name}-${random.below(12)}` : undefined
    const tag = random.pick(tags)
    const paddingBytes = random.chance(0.05) ? random.below(paddingBytesMax) : 0
    const message = messageName(topic, name, this.#messageCount++, tag)
    shared.sent.set(message, { paddingBytes, messageGroup })
    shared.noted({ kind: 'sent', message, topic, messageGroup })
    this.#unansweredCount++
    const options = messageGroup === undefined ? { tag } : { tag, messageGroup }
    this.#topic.send(bodyOf(message, paddingBytes), options).then((receipt) => {
      this.#unansweredCount--
      shared.noted({ kind: 'acknowledged', message, found: foundIn(topic, receipt) })
    }, (error: unknown) => {
      this.#unansweredCount--
      shared.noted({ kind: 'refused', message, code: error instanceof PocketError ? error.code : String(error) })
    })
  }
}

function foundIn(topic: string, { queueId, offset, messageId }: SendReceipt): Found | undefined {
  return queueId === undefined || offset === undefined ? undefined : { topic, queueId, offset, messageId }
}
