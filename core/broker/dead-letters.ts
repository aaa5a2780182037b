// Where messages go whose attempts are over: copied to `%DLQ%<group>` with where they came from, in the same commit that
// ends them in their own queue, so that they are in one place at any time.

import { assert } from '../assert.ts'
import { ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import { deadLetterProperties, type MessageHeaders, type StoredMessage } from '../model/message.ts'
import { isDeadLetterTopic } from '../model/names.ts'
import { encodeMessage } from '../record/message-codec.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import type { GroupQueue } from './group-queue.ts'
import type { OwnProducer } from './own-producer.ts'
import type { Batch } from './publishing.ts'
import type { Timers } from './timers.ts'

/** When a dead letter that could not be written is tried again. */
const againMs = 60_000

export interface DeadLettersDeps {
  readonly clock: Clock
  readonly log: Log
  readonly producer: OwnProducer
  readonly timers: Timers
  /** Publishes to the group's dead letter topic, making it if need be; throws where that can't be. */
  readonly publish: (group: string, batch: Batch) => void
  readonly readFailed: (error: Error) => void
}

export class DeadLetters {
  readonly #deps: DeadLettersDeps
  readonly #writer = new ByteWriter()
  readonly #scratch = new ByteWriter()

  constructor(deps: DeadLettersDeps) {
    this.#deps = deps
  }

  /** Copies a message and ends it in its queue; once its record is read, both in one turn. */
  bury(group: string, topic: string, queue: GroupQueue, offset: number, attempts: number): void {
    const { log, readFailed } = this.#deps
    const copy = (found: RecordBatch | Error) => {
      // The group was reset, or the topic deleted, meanwhile.
      if (!queue.isDead(offset)) return
      if (found instanceof Error && !(found instanceof RangeError)) return readFailed(found)
      // A record may have been compacted meanwhile.
      const index = found instanceof Error ? -1 : found.indexOf(offset)
      if (found instanceof Error || index < 0) {
        log.info('dead-letter-gone', { group, topic, queueId: queue.log.queueId, offset })
        return queue.settleDead(offset)
      }
      const message = found.messageAt(index, topic, queue.log.queueId)
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
    const { producer, publish } = this.#deps
    encodeMessage(this.#writer, this.#scratch, 0, deadLetterHeaders(message, attempts), message.body)
    const messages = this.#writer.finish()
    assert(messages.length > 0, 'a dead letter has bytes')
    publish(group, {
      producerId: producer.producerId,
      producerEpoch: 0,
      baseSequence: producer.next(),
      messageCount: 1,
      messages,
    })
  }
}

const names = deadLetterProperties
const brokerNames: ReadonlySet<string> = new Set(Object.values(names))

/** What a message is as a dead letter. What only its own topic understands is told by its properties. */
export function deadLetterHeaders(message: StoredMessage, attempts: number): MessageHeaders {
  const { tag, keys, messageGroup, priority, ttlMs, bornMs } = message
  const properties = new Map(message.properties)
  // A dead letter of a dead letter keeps where it first came from. Nobody else can say that: a client's word would send it
  // to where that client may not.
  if (!isDeadLetterTopic(message.topic) || !properties.has(names.originTopic)) {
    for (const name of brokerNames) if (name !== names.resentId) properties.delete(name)
    properties.set(names.originTopic, message.topic)
    properties.set(names.originMessageId, message.messageId)
    properties.set(names.originQueueId, String(message.queueId))
    properties.set(names.originOffset, String(message.offset))
    if (messageGroup !== undefined) properties.set(names.originMessageGroup, messageGroup)
    if (priority !== undefined) properties.set(names.originPriority, String(priority))
    if (ttlMs !== undefined) properties.set(names.originTtlMs, String(ttlMs))
  }
  properties.set(names.attempts, String(attempts))
  return { tag, keys, bornMs, properties }
}

/** What a dead letter is when it is put back, and where. Throws TOPIC_NOT_FOUND where it does not say where it came from. */
export function resentHeaders(letter: StoredMessage): { origin: string; headers: MessageHeaders } {
  const { tag, keys, bornMs } = letter
  const properties = new Map(letter.properties)
  const origin = properties.get(names.originTopic)
  if (origin === undefined) throw new PocketError('TOPIC_NOT_FOUND', 'it does not say where it came from')
  const messageGroup = properties.get(names.originMessageGroup)
  const priority = numberOf(properties.get(names.originPriority))
  const ttlMs = numberOf(properties.get(names.originTtlMs))
  for (const name of brokerNames) properties.delete(name)
  properties.set(names.resentId, letter.messageId)
  return { origin, headers: { tag, keys, bornMs, messageGroup, priority, ttlMs, properties } }
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}
