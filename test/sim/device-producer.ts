// A producer in a tab of the simulated browser: sends in small bursts and writes down what became of it.

import { text } from '../../core/client/codec.ts'
import type { SendReceipt } from '../../core/client/api.ts'
import { PocketError } from '../../core/errors.ts'
import type { WebSendOptions, WebTopic } from '../../web-client/page/web-api.ts'
import type { Found } from '../checkers/history.ts'
import type { TabApplication } from './device-application.ts'
import type { DeviceTopicPlan } from './device-plan.ts'
import { bodyOf, messageName, tags } from './sim-message.ts'

const paddingBytesMax = 6_000

/** After these nobody knows whether the message is stored: the page did not wait for the end of it. */
const unclearErrors: ReadonlySet<string> = new Set(['ENGINE_LOST', 'CLOSED', 'ABORTED'])

export class DeviceProducer {
  readonly #app: TabApplication
  readonly #plan: DeviceTopicPlan
  readonly #topic: WebTopic<string>
  readonly #pauseMs: number
  #messageCount = 0
  #unansweredCount = 0
  #relayingCount = 0

  /** `pauseMs`: between bursts, at most, as a rule. */
  constructor(app: TabApplication, plan: DeviceTopicPlan, pauseMs: number) {
    this.#app = app
    this.#plan = plan
    this.#pauseMs = pauseMs
    this.#topic = app.client.topic(plan.topic, { codec: text, home: plan.home })
    void this.#run()
  }

  /** Sends that have not come to an end. */
  get unansweredCount(): number {
    return this.#unansweredCount
  }

  /** Messages stored here of which it is not known whether they are at the relay. */
  get relayingCount(): number {
    return this.#relayingCount
  }

  async #run(): Promise<void> {
    const { random, shared } = this.#app
    await this.#app.wait(0, 300)
    while (shared.isSending() && !this.#app.isLeaving) {
      for (let count = 1 + random.below(random.chance(0.05) ? 25 : 4); count > 0; count--) this.#send()
      await this.#app.wait(0, random.chance(0.2) ? 3 * this.#pauseMs : this.#pauseMs)
    }
  }

  #send(): void {
    const { random, shared, name } = this.#app
    const { topic, home, messageType } = this.#plan
    const messageGroup = messageType === 'FIFO' ? `${name}-${random.below(8)}` : undefined
    const tag = random.pick(tags)
    const paddingBytes = random.chance(0.05) ? random.below(paddingBytesMax) : 0
    const message = messageName(topic, name, this.#messageCount++, tag)
    const isUntilRelay = home === 'relay' && random.chance(0.1)
    shared.sent.set(message, { paddingBytes, messageGroup })
    this.#app.note(home, { kind: 'sent', message, topic, messageGroup })
    this.#unansweredCount++
    const options: WebSendOptions = {
      tag,
      ...(messageGroup === undefined ? {} : { messageGroup }),
      ...(isUntilRelay ? { until: 'relay' } : {}),
    }
    this.#topic.send(bodyOf(message, paddingBytes), options).then((receipt) => {
      this.#unansweredCount--
      this.#app.note(home, { kind: 'acknowledged', message, found: foundIn(topic, receipt) })
      if (receipt.storedAt === 'device' && receipt.relayed !== undefined) this.#follow(message, receipt.relayed)
    }, (error: unknown) => {
      this.#unansweredCount--
      const code = error instanceof PocketError ? error.code : String(error)
      if (!unclearErrors.has(code)) this.#app.note(home, { kind: 'refused', message, code })
    })
  }

  #follow(message: string, relayed: Promise<SendReceipt>): void {
    this.#relayingCount++
    relayed.then(() => this.#relayingCount--, (error: unknown) => {
      this.#relayingCount--
      const code = error instanceof PocketError ? error.code : ''
      if (!unclearErrors.has(code)) this.#app.shared.bug(`the relay refused ${message}: ${String(error)}`)
    })
  }
}

function foundIn(topic: string, { queueId, offset, messageId }: SendReceipt): Found | undefined {
  return queueId === undefined || offset === undefined ? undefined : { topic, queueId, offset, messageId }
}
