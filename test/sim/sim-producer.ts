// A producer of the simulated world: sends in small bursts, some messages large, some to be delivered later, and writes
// down what became of them.

import type { SendOptions, SendReceipt, Topic } from '../../core/client/api.ts'
import { text } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import type { Found } from '../checkers/history.ts'
import type { SimApplication } from './sim-application.ts'
import { bodyOf, delayedNumber, messageName, tags } from './sim-message.ts'
import type { TopicName } from './world-plan.ts'

/** The largest padding, by which no message is over some kibibytes. */
export const paddingBytesMax = 6_000

/** What may become of a recall that the network or the relay's end comes in between: nobody knows whether it was done. */
const unclearErrors: ReadonlySet<string> = new Set([
  'CONNECTION_LOST', 'CONNECTION_REFUSED', 'TIMEOUT', 'OVERLOADED', 'STORE_FULL', 'STORE_FAILED', 'RELAY_STOPPING',
])

export class SimProducer {
  readonly #app: SimApplication
  readonly #topicName: TopicName
  readonly #topic: Topic<string>
  readonly #delays: boolean
  #messageCount = 0
  #unansweredCount = 0

  constructor(app: SimApplication, topicName: TopicName, delays: boolean) {
    this.#app = app
    this.#topicName = topicName
    // What is ordered has to come in its order.
    this.#delays = delays && topicName !== 'steps'
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
      for (let count = 1 + random.below(4); count > 0; count--) this.#send()
      await this.#app.wait(10, random.chance(0.1) ? 2_000 : 800)
    }
  }

  #send(): void {
    const { random, shared, name } = this.#app
    const topic = this.#topicName
    const messageGroup = topic === 'steps' ? `${name}-${random.below(12)}` : undefined
    const tag = random.pick(tags)
    const paddingBytes = random.chance(0.05) ? random.below(paddingBytesMax) : 0
    const delayMs = this.#delays && random.chance(0.1) ? Math.floor(random.between(50, random.pick([500, 3_000, 20_000]))) : 0
    const number = this.#messageCount++ + (delayMs > 0 ? delayedNumber : 0)
    const message = messageName(topic, name, number, tag)
    shared.sent.set(message, { paddingBytes, messageGroup })
    shared.noted({ kind: 'sent', message, topic, messageGroup })
    this.#unansweredCount++
    const options: SendOptions = messageGroup === undefined ? { tag } : { tag, messageGroup }
    const later = delayMs === 0 ? {} : random.chance(0.5) ? { delay: delayMs } : { deliverAt: shared.relayWallMs() + delayMs }
    this.#topic.send(bodyOf(message, paddingBytes), { ...options, ...later }).then((receipt) => {
      this.#unansweredCount--
      const { deliverMs, recallHandle } = receipt
      if (deliverMs !== undefined) shared.noted({ kind: 'scheduled', message, dueMs: deliverMs })
      shared.noted({ kind: 'acknowledged', message, found: foundIn(topic, receipt) })
      if (recallHandle !== undefined && random.chance(0.4)) void this.#recall(message, recallHandle, delayMs)
    }, (error: unknown) => {
      this.#unansweredCount--
      shared.noted({ kind: 'refused', message, code: error instanceof PocketError ? error.code : String(error) })
    })
  }

  async #recall(message: string, recallHandle: string, delayMs: number): Promise<void> {
    const { shared } = this.#app
    this.#unansweredCount++
    await this.#app.wait(0, delayMs)
    this.#app.note({ kind: 'recalling', message })
    try {
      await this.#topic.recall(recallHandle)
      this.#app.note({ kind: 'recalled', message })
    } catch (error) {
      const code = error instanceof PocketError ? error.code : ''
      // One that the relay does not know was put into its queue before its clock was set back.
      if (code === 'RECALL_TOO_LATE' || code === 'MESSAGE_NOT_FOUND') this.#app.note({ kind: 'recall-missed', message })
      else if (!unclearErrors.has(code)) shared.bug(`${message} could not be recalled: ${String(error)}`)
    }
    this.#unansweredCount--
  }
}

function foundIn(topic: string, { queueId, offset, messageId }: SendReceipt): Found | undefined {
  return queueId === undefined || offset === undefined ? undefined : { topic, queueId, offset, messageId }
}
