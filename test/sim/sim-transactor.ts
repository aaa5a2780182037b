// An application of the simulated world that sends in transactions. What it decides it writes into a ledger first, which
// outlives it as a database would; whoever is asked what became of a transaction answers from there.

import type { SendOptions, Topic, Transaction, TransactionProducer, TransactionVerdict } from '../../core/client/api.ts'
import { text } from '../../core/client/codec.ts'
import { PocketError } from '../../core/errors.ts'
import type { SimApplication } from './sim-application.ts'
import { bodyOf, messageName, tags, transactionNumber } from './sim-message.ts'
import type { TopicName } from './world-plan.ts'

export class SimTransactor {
  readonly #app: SimApplication
  readonly #topics: readonly TopicName[]
  readonly #delays: boolean
  readonly #producer: TransactionProducer
  readonly #byName: ReadonlyMap<TopicName, Topic<string>>
  #messageCount = 0
  #unansweredCount = 0

  constructor(app: SimApplication, topics: readonly TopicName[], delays: boolean) {
    this.#app = app
    this.#topics = topics
    this.#delays = delays
    this.#byName = new Map(topics.map((topic) => [topic, app.client.topic(topic, { codec: text })]))
    this.#producer = app.client.transactions({
      producerGroup: 'book',
      check: ({ transactionId }) => this.#check(transactionId),
    })
    void this.#run()
  }

  /** Transactions begun that it has not done with. */
  get unansweredCount(): number {
    return this.#unansweredCount
  }

  async #run(): Promise<void> {
    const { random, shared } = this.#app
    while (shared.isSending()) {
      await this.#app.wait(50, 1_000)
      for (let count = 1 + random.below(2); count > 0; count--) void this.#transact()
    }
  }

  async #transact(): Promise<void> {
    const { random } = this.#app
    const transaction = this.#producer.begin()
    const { transactionId } = transaction
    this.#unansweredCount++
    const messages: string[] = []
    let isWhole = true
    for (let count = 1 + random.below(3); count > 0; count--) {
      const { message, sending } = this.#send(transaction)
      messages.push(message)
      if (random.chance(0.3)) await this.#app.wait(0, 300)
      if (!await sending) isWhole = false
    }
    if (random.chance(0.5)) await this.#app.wait(0, random.chance(0.2) ? 3_000 : 300)
    // Left open without a decision, by an application that hangs; or with one that it does not tell.
    const isForgotten = random.chance(0.08)
    if (!isForgotten) {
      const decision = this.#decide(transactionId, isWhole && random.chance(0.7) ? 'commit' : 'rollback')
      if (!random.chance(0.1)) {
        if (decision === 'commit') await this.#commit(transaction, messages)
        else await this.#rollBack(transaction)
      }
    }
    this.#unansweredCount--
  }

  /** `sending` tells whether the half message is stored. */
  #send(transaction: Transaction): { readonly message: string; readonly sending: Promise<boolean> } {
    const { random, shared, name } = this.#app
    const topicName = random.pick(this.#topics)
    const topic = this.#byName.get(topicName) as Topic<string>
    const tag = random.pick(tags)
    const message = messageName(topicName, name, transactionNumber + this.#messageCount++, tag)
    const messageGroup = topicName === 'steps' ? message : undefined
    const paddingBytes = random.chance(0.05) ? random.below(3_000) : 0
    shared.sent.set(message, { paddingBytes, messageGroup })
    this.#app.note({ kind: 'sent', message, topic: topicName, messageGroup, transaction: transaction.transactionId })
    const isLate = this.#delays && topicName !== 'steps' && random.chance(0.15)
    const options: SendOptions = {
      tag,
      ...(messageGroup === undefined ? {} : { messageGroup }),
      ...(isLate ? { delay: 50 + random.below(3_000) } : {}),
    }
    const sending = transaction.send(topic, bodyOf(message, paddingBytes), options).then(() => true, (error: unknown) => {
      this.#app.note({ kind: 'refused', message, code: codeOf(error) })
      return false
    })
    return { message, sending }
  }

  /** Writes a decision down, unless there is one. */
  #decide(transaction: string, outcome: 'commit' | 'rollback'): 'commit' | 'rollback' {
    const { ledger } = this.#app.shared
    const known = ledger.get(transaction)
    if (known !== undefined) return known
    ledger.set(transaction, outcome)
    this.#app.note({ kind: 'ending', transaction, outcome })
    return outcome
  }

  async #commit(transaction: Transaction, messages: readonly string[]): Promise<void> {
    const { transactionId } = transaction
    try {
      const receipt = await transaction.commit()
      this.#app.note({ kind: 'ended', transaction: transactionId, outcome: 'commit' })
      for (const [index, message] of messages.entries()) {
        const place = receipt.messages[index]
        if (place === undefined) continue
        const { topic, queueId, offset, messageId, deliverMs } = place
        if (deliverMs !== undefined) this.#app.note({ kind: 'scheduled', message, dueMs: deliverMs })
        const found = queueId === undefined || offset === undefined ? undefined : { topic, queueId, offset, messageId }
        this.#app.note({ kind: 'acknowledged', message, found })
      }
    } catch (error) {
      this.#ended(transactionId, error, 'rollback')
    }
  }

  async #rollBack(transaction: Transaction): Promise<void> {
    const { transactionId } = transaction
    try {
      await transaction.rollback()
      this.#app.note({ kind: 'ended', transaction: transactionId, outcome: 'rollback' })
    } catch (error) {
      this.#ended(transactionId, error, 'commit')
    }
  }

  /** It could not be ended as it was to be: it has the other end. */
  #ended(transaction: string, error: unknown, outcome: 'commit' | 'rollback'): void {
    if (codeOf(error) === 'TRANSACTION_FINISHED') this.#app.note({ kind: 'ended', transaction, outcome })
    else this.#app.shared.bug(`transaction ${transaction} could not be ended: ${String(error)}`)
  }

  async #check(transaction: string): Promise<TransactionVerdict> {
    const { random, shared } = this.#app
    const isHurrying = !shared.isSending()
    if (!isHurrying && random.chance(0.3)) await this.#app.wait(0, 700)
    if (!isHurrying && random.chance(0.3)) return 'unknown'
    // Whoever began it writes its decision before it tells it, and may be dead: without one there will be none.
    const known = shared.ledger.get(transaction)
    if (known !== undefined) return known
    return random.chance(0.4) ? this.#decide(transaction, 'rollback') : 'unknown'
  }
}

function codeOf(error: unknown): string {
  return error instanceof PocketError ? error.code : String(error)
}
