// Where half messages go of transactions that nobody could say the end of: copied to the broker's own topic with where
// they were meant to go, in the commit that rolls the transaction back. Some at a time, as many may be over at once.

import { ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { formatMessageId, unresolvedProperties } from '../model/message.ts'
import { unresolvedTopic } from '../model/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import { decodeMessage, encodeMessage, MessageScanner } from '../record/message-codec.ts'
import type { HalfMessages } from '../storage/half-messages.ts'
import type { Publisher } from './publisher.ts'
import type { Registry } from './registry.ts'
import type { Timers } from './timers.ts'
import type { Topic } from './topic.ts'
import type { Transaction } from './transaction.ts'
import type { Turn } from './turn.ts'

/** Transactions rolled back with one turn, and about so many bytes of them. */
const burstCount = 64
const burstBytes = 1 << 20
/** When one is tried again whose messages could not be kept. */
const againMs = 60_000

export interface UnresolvedDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits: Limits
  readonly timers: Timers
  readonly turn: Turn
  readonly registry: Registry
  readonly publisher: Publisher
  /** Calls `use` with all messages of a transaction, at once where they are in memory; never where they are damaged. */
  readonly withParts: (transaction: Transaction, use: (parts: readonly HalfMessages[]) => void) => void
  /** Its messages are copied: it is to be ended with this turn. */
  readonly copied: (transaction: Transaction) => void
}

export class Unresolved {
  readonly #deps: UnresolvedDeps
  /** The broker as a producer: a new one each time it opens. */
  readonly #producerId: Uint8Array
  #sequence = 0
  readonly #waiting = new Set<Transaction>()
  #isRunning = false
  readonly #scanner: MessageScanner
  readonly #writer = new ByteWriter()
  readonly #scratch = new ByteWriter()

  constructor(deps: UnresolvedDeps) {
    this.#deps = deps
    this.#producerId = deps.random.bytes(8)
    this.#scanner = new MessageScanner(deps.limits, 'stored')
  }

  /** Rolls a transaction back soon, unless it ends or is heard of before. */
  giveUp(transaction: Transaction): void {
    this.#waiting.add(transaction)
    this.#run()
  }

  /** It has ended, or somebody has been heard of. */
  forget(transaction: Transaction): void {
    this.#waiting.delete(transaction)
  }

  #run(): void {
    if (this.#isRunning || this.#waiting.size === 0) return
    this.#isRunning = true
    // Not more of them before these are durable.
    this.#deps.turn.after(() => {
      this.#isRunning = false
      this.#rollBackSome()
      this.#run()
    })
  }

  #rollBackSome(): void {
    let count = 0
    let byteCount = 0
    for (const transaction of this.#waiting) {
      if (count >= burstCount || byteCount > burstBytes) return
      count++
      byteCount += transaction.byteCount
      this.#waiting.delete(transaction)
      const round = ++transaction.checkRound
      this.#deps.withParts(transaction, (parts) => {
        if (transaction.checkRound === round) this.#rollBack(transaction, parts)
      })
    }
  }

  #rollBack(transaction: Transaction, parts: readonly HalfMessages[]): void {
    const { clock, log, timers, copied } = this.#deps
    const fields = {
      transactionId: transaction.text,
      producerGroup: transaction.producerGroup,
      checkCount: transaction.checkCount,
      messageCount: transaction.messageCount,
    }
    try {
      this.#copy(transaction, parts)
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      // While the disk is full all that clients send is refused, so that it is no news; and this is tried again.
      const level = error.code === 'STORE_FULL' ? 'info' : 'error'
      log[level]('transaction-unresolved-refused', { ...fields, code: error.code, reason: error.message })
      transaction.wait = timers.at(clock.monotonic() + againMs, () => {
        transaction.wait = undefined
        this.giveUp(transaction)
      })
      return
    }
    copied(transaction)
    log.error('transaction-unresolved', fields)
  }

  #copy(transaction: Transaction, parts: readonly HalfMessages[]): void {
    const { publisher, limits } = this.#deps
    publisher.checkRoom()
    const topic = this.#topic()
    let count = 0
    const flush = () => {
      if (count === 0) return
      const messages = this.#writer.finish()
      publisher.store(topic, {
        producerId: this.#producerId, producerEpoch: 0, baseSequence: this.#sequence, messageCount: count, messages,
      })
      publisher.take(messages.length)
      this.#sequence += count
      count = 0
    }
    for (const part of parts) {
      this.#scanner.reset(part.messages, 0, part.messages.length)
      for (let index = 0; index < part.messageCount; index++) {
        this.#scanner.next()
        this.#add(transaction, part, part.baseSequence + index, count)
        count++
        // Records of a size that readers expect, though one batch could hold more.
        if (this.#writer.length >= limits.recordBytesMax) flush()
      }
    }
    flush()
  }

  /** One message without what only its own topic understands, which its properties tell instead. */
  #add(transaction: Transaction, { target, messages }: HalfMessages, sequence: number, sequenceDelta: number): void {
    const { headers, body } = decodeMessage(messages, this.#scanner.start, this.#scanner.end)
    const { tag, keys, messageGroup, bornMs, delayMs, deliverMs, priority } = headers
    const properties = new Map(headers.properties)
    properties.set(unresolvedProperties.originTopic, target.topic)
    properties.set(
      unresolvedProperties.originMessageId,
      formatMessageId({ producerId: transaction.text, producerEpoch: 0, sequence }),
    )
    properties.set(unresolvedProperties.transactionId, transaction.text)
    properties.set(unresolvedProperties.producerGroup, transaction.producerGroup)
    properties.set(unresolvedProperties.checks, String(transaction.checkCount))
    properties.set(unresolvedProperties.preparedMs, String(transaction.preparedMs))
    if (messageGroup !== undefined) properties.set(unresolvedProperties.originMessageGroup, messageGroup)
    if (priority !== undefined) properties.set(unresolvedProperties.originPriority, String(priority))
    if (delayMs !== undefined) properties.set(unresolvedProperties.originDelayMs, String(delayMs))
    if (deliverMs !== undefined) properties.set(unresolvedProperties.originDeliverMs, String(deliverMs))
    encodeMessage(this.#writer, this.#scratch, sequenceDelta, { tag, keys, bornMs, properties }, body)
  }

  #topic(): Topic {
    const { registry } = this.#deps
    return registry.topics.get(unresolvedTopic) ??
      registry.createTopic(unresolvedTopic, registry.topicConfig({ queueCount: 1 }))
  }
}
