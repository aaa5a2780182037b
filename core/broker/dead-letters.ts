// Where messages go whose attempts are over: copied to `%DLQ%<group>` with where they came from, in the same commit that
// ends them in their own queue, so that they are in one place at any time.

import { assert } from '../assert.ts'
import { ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import { deadLetterProperties, type MessageHeaders, type StoredMessage } from '../model/message.ts'
import { encodeMessage } from '../record/message-codec.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import type { PublishRequest } from './door.ts'
import type { GroupQueue } from './group-queue.ts'
import type { Timers } from './timers.ts'

/** When a dead letter that could not be written is tried again. */
const againMs = 60_000

export interface DeadLettersDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly timers: Timers
  /** Publishes to the group's dead letter topic, making it if need be; throws where that can't be. */
  readonly publish: (group: string, request: Omit<PublishRequest, 'topic'>) => void
  readonly readFailed: (error: Error) => void
}

export class DeadLetters {
  readonly #deps: DeadLettersDeps
  /** The broker as a producer: a new one each time it opens. */
  readonly #producerId: Uint8Array
  /** One for all groups, as a message id names no topic. */
  #sequence = 0
  readonly #writer = new ByteWriter()
  readonly #scratch = new ByteWriter()

  constructor(deps: DeadLettersDeps) {
    this.#deps = deps
    this.#producerId = deps.random.bytes(8)
  }

  /** Copies a message and ends it in its queue; once its record is read, both in one turn. */
  bury(group: string, topic: string, queue: GroupQueue, offset: number, attempts: number): void {
    const { log, readFailed } = this.#deps
    const copy = (found: RecordBatch | Error) => {
      // The group was reset, or the topic deleted, meanwhile.
      if (!queue.isDead(offset)) return
      if (found instanceof RangeError) {
        log.info('dead-letter-gone', { group, topic, queueId: queue.log.queueId, offset })
        return queue.settleDead(offset)
      }
      if (found instanceof Error) return readFailed(found)
      const message = found.messageAt(found.indexFrom(offset), topic, queue.log.queueId)
      try {
        this.#publish(group, message, attempts)
      } catch (error) {
        if (!(error instanceof PocketError)) throw error
        return this.#buryLater(error, group, topic, queue, offset, attempts)
      }
      queue.settleDead(offset)
      log.info('dead-letter', { group, topic, queueId: queue.log.queueId, offset, attempts })
    }
    const inMemory = queue.log.recordInMemory(offset)
    if (inMemory !== undefined) copy(inMemory)
    else queue.readMessage(offset, copy)
  }

  /** There is no topic for it, as there are too many or its configuration is damaged: the message stays where it is. */
  #buryLater(
    error: PocketError, group: string, topic: string, queue: GroupQueue, offset: number, attempts: number,
  ): void {
    const { log, timers, clock } = this.#deps
    const { queueId } = queue.log
    log.error('dead-letter-refused', { group, topic, queueId, offset, code: error.code, reason: error.message })
    timers.at(clock.monotonic() + againMs, () => this.bury(group, topic, queue, offset, attempts))
  }

  #publish(group: string, message: StoredMessage, attempts: number): void {
    const { messageGroup: _, ...headers } = message
    const properties = new Map(message.properties)
    // A dead letter of a dead letter keeps where it first came from.
    if (!properties.has(deadLetterProperties.originTopic)) {
      properties.set(deadLetterProperties.originTopic, message.topic)
      properties.set(deadLetterProperties.originMessageId, message.messageId)
      properties.set(deadLetterProperties.originQueueId, String(message.queueId))
      properties.set(deadLetterProperties.originOffset, String(message.offset))
    }
    properties.set(deadLetterProperties.attempts, String(attempts))
    if (message.messageGroup !== undefined) {
      properties.set(deadLetterProperties.originMessageGroup, message.messageGroup)
    }
    const copied: MessageHeaders = { ...headers, properties }
    encodeMessage(this.#writer, this.#scratch, 0, copied, message.body)
    const messages = this.#writer.finish()
    assert(messages.length > 0, 'a dead letter has bytes')
    this.#deps.publish(group, {
      producerId: this.#producerId,
      producerEpoch: 0,
      baseSequence: this.#sequence++,
      messageCount: 1,
      messages,
    })
  }
}
