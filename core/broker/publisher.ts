// Where messages enter the broker: batches of clients, judged as new, resent or out of order; and batches of the broker
// itself, of dead letters, due messages and committed transactions. What a turn took in is sealed with its commit.

import { copyBytes } from '../bytes.ts'
import { PocketError, toPocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { checkTopicName, isSystemTopic } from '../model/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { StoreSpace } from '../ports/store.ts'
import type { PublishSegment } from '../protocol/frames.ts'
import type { Answering } from './answering.ts'
import type { Delays } from './delays.ts'
import type { Answer, PublishReceipt, PublishRequest } from './door.ts'
import { judgeSequence } from './producers.ts'
import { appendBatch, type Batch, BatchReader, type CheckedBatch } from './publishing.ts'
import type { Queries } from './queries.ts'
import type { Registry } from './registry.ts'
import type { BrokerCounters } from './stats.ts'
import type { Topic } from './topic.ts'
import type { Sent, Tracing } from './tracing.ts'
import type { Turn } from './turn.ts'

const storeFullRetryMs = 1_000

export interface PublisherDeps {
  readonly clock: Clock
  readonly limits: Limits
  readonly turn: Turn
  readonly registry: Registry
  readonly answering: Answering
  readonly queries: Queries
  readonly counters: BrokerCounters
  readonly delays: Delays
  readonly tracing: Tracing
}

/** Where the messages of a batch went. */
export interface Placed {
  /** In message order; those of delayed messages have epoch 0. */
  readonly segments: readonly PublishSegment[]
  /** When each delayed message is due, in message order. */
  readonly scheduled: readonly number[]
}

const noneScheduled: readonly number[] = []

export class Publisher {
  readonly #deps: PublisherDeps
  readonly #batches: BatchReader
  readonly #ownBatches: BatchReader
  #dirtyTopics = new Set<Topic>()
  #freeBytes = Infinity
  /** What publishes may add: what the store last said is free, less the reserve, and less what was added since. */
  #roomBytes = Infinity
  #turnBytes = 0
  #isDraining = false

  constructor(deps: PublisherDeps) {
    this.#deps = deps
    this.#batches = new BatchReader(deps.limits)
    this.#ownBatches = new BatchReader(deps.limits, 'stored')
  }

  /** From now on clients' messages are refused. */
  drain(): void {
    this.#isDraining = true
  }

  // ── batches of clients ────────────────────────────────────────────────────────────────────────────────────────

  publish(request: PublishRequest, answer: Answer<PublishReceipt>, clientId: string): void {
    const { answering, counters, turn } = this.#deps
    answering.deciding(answer, () => {
      this.checkOpen()
      const topic = this.topicToPublish(request.topic)
      const { producerId, producerEpoch, baseSequence, messageCount } = request
      const producer = topic.producers.find(producerId)
      const verdict = judgeSequence(producer, producerEpoch, baseSequence, messageCount)
      switch (verdict) {
        case 'next':
          return this.#append(topic, request, answer, clientId)
        case 'duplicate':
          counters.duplicateMessages += messageCount
          return turn.after(() => this.#answerDuplicate(topic, request, answer), topic.isRelaxed)
        case 'fenced':
          throw new PocketError(
            'PRODUCER_FENCED',
            `epoch ${producerEpoch} of the producer is over; ${producer?.epoch} has published`,
          )
        case 'unknown':
          throw new PocketError(
            'PRODUCER_UNKNOWN',
            'the state of this producer is not kept; go on under the next epoch from sequence 0',
          )
        case 'gap':
        case 'overlap':
          throw new PocketError(
            'SEQUENCE_GAP',
            `sequence ${baseSequence} of epoch ${producerEpoch} does not follow ${producer?.lastSequence ?? 'nothing'}`,
          )
      }
    }, () => counters.refusedBatches++)
  }

  /** Throws RELAY_STOPPING where clients' messages are not taken any more. */
  checkOpen(): void {
    if (this.#isDraining) throw new PocketError('RELAY_STOPPING', 'the relay is stopping')
  }

  /** The topic, made where that is allowed. Throws FORBIDDEN for the broker's own. */
  topicToPublish(name: string): Topic {
    const { registry } = this.#deps
    const known = registry.topics.get(name)
    if (known?.isSystem ?? isSystemTopic(name)) throw new PocketError('FORBIDDEN', `topic '${name}' is the broker's own`)
    if (known !== undefined) return known
    checkTopicName(name)
    return registry.topicOrNew(name)
  }

  #append(topic: Topic, request: PublishRequest, answer: Answer<PublishReceipt>, clientId: string): void {
    const { clock, turn } = this.#deps
    const arrivedMs = clock.now()
    this.checkRoom()
    const batch = this.#batches.read(topic, request, arrivedMs)
    this.#deps.delays.checkRoom(batch.delayed.length)
    const { producerId, producerEpoch, baseSequence, messageCount, sentMs } = request
    const { segments, scheduled } = this.#place(topic, request, batch, { clientId, sentMs, arrivedMs })
    topic.producers.advance(producerId, producerEpoch, baseSequence + messageCount - 1)
    this.count(topic, request)
    const { isRelaxed } = topic
    turn.after(() => {
      answer({ duplicate: false, isRelaxed, storedMs: storedMsOf(topic, segments), segments, scheduled })
    }, isRelaxed)
  }

  /** Throws STORE_FULL where the store has no room for clients' messages. */
  checkRoom(): void {
    if (this.#roomBytes <= 0) throw storeFull()
  }

  /** As {@link checkRoom}, for so many bytes that take the place of others: half of the reserve is theirs too. */
  checkReserve(byteCount: number): void {
    if (!this.hasReserve(byteCount)) throw storeFull()
  }

  /** Whether {@link checkReserve} lets so many bytes pass. */
  hasReserve(byteCount: number): boolean {
    return this.#roomBytes + this.#deps.limits.storeReserveBytes / 2 >= byteCount
  }

  /** Checks messages of a client that are to be stored later. Throws as `publish` answers. */
  check(topic: Topic, batch: Batch): void {
    const delayedCount = this.#batches.check(topic, batch, this.#deps.clock.now())
    this.#deps.delays.checkRoom(delayedCount)
  }

  /** Counts messages of a client, and the room that they take. */
  count(topic: Topic, { messageCount, messages: { length: byteCount } }: Batch): void {
    const { counters } = this.#deps
    this.take(byteCount)
    topic.messagesIn += messageCount
    topic.bytesIn += byteCount
    counters.messagesIn += messageCount
    counters.bytesIn += byteCount
    counters.messageBytes.observe(byteCount / messageCount, messageCount)
  }

  /** So many bytes of the store's room are used. */
  take(byteCount: number): void {
    this.#roomBytes -= byteCount
    this.#turnBytes += byteCount
  }

  #answerDuplicate(topic: Topic, request: PublishRequest, answer: Answer<PublishReceipt>): void {
    const { producerId, producerEpoch, baseSequence, messageCount } = request
    // Bytes of the request are a transport's: kept beyond this call they are copied.
    this.#deps.queries.places(topic, copyBytes(producerId), producerEpoch, baseSequence, messageCount).then(
      ({ segments, scheduled }) => answer({ duplicate: true, isRelaxed: topic.isRelaxed, storedMs: 0, segments, scheduled }),
      (error: unknown) => answer(toPocketError(error)),
    )
  }

  // ── batches of the broker ─────────────────────────────────────────────────────────────────────────────────────

  /**
   * Stores messages that the broker made or kept, with this turn's commit. Throws where the topic does not take them.
   * Their producer's sequence is the caller's business.
   */
  store(topic: Topic, batch: Batch, sent?: Sent): Placed {
    const nowMs = this.#deps.clock.now()
    const placed = this.#place(topic, batch, this.#ownBatches.read(topic, batch, nowMs), sent)
    topic.messagesIn += batch.messageCount
    topic.bytesIn += batch.messages.length
    this.#deps.turn.touch()
    return placed
  }

  /**
   * Stores messages of clients that were checked and kept before, with this turn's commit: all of them, or none where it
   * throws.
   */
  storeTogether(batches: readonly { readonly topic: Topic; readonly batch: Batch }[], sent: Sent): Placed[] {
    const nowMs = this.#deps.clock.now()
    const checked = batches.map(({ topic, batch }) => this.#ownBatches.read(topic, batch, nowMs))
    this.#deps.delays.checkRoom(checked.reduce((sum, { delayed }) => sum + delayed.length, 0))
    return batches.map(({ topic, batch }, index) => {
      this.count(topic, batch)
      return this.#place(topic, batch, checked[index] as CheckedBatch, sent)
    })
  }

  /** Something was appended to a log of the topic: it is sealed with this turn's commit. */
  touch(topic: Topic): void {
    this.#dirtyTopics.add(topic)
    this.#deps.turn.touch()
  }

  #place(topic: Topic, batch: Batch, checked: CheckedBatch, sent: Sent | undefined): Placed {
    const { delays, tracing } = this.#deps
    const segments = appendBatch(checked, (log, offset, count) => {
      if (topic.config.tracePermille > 0) tracing.stored(topic, log, offset, count, sent)
    })
    // Also where all of it is delayed: its producer's state is stored with it.
    this.#dirtyTopics.add(topic)
    if (batch.messageCount === 1) {
      for (const { notBeforeMs } of checked.slices.values()) if (notBeforeMs > 0) delays.noteTime(topic, batch, notBeforeMs)
    }
    if (checked.delayed.length === 0) return { segments, scheduled: noneScheduled }
    return { segments, scheduled: delays.schedule(topic, batch, checked.delayed) }
  }

  // ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The topics that were appended to since they were last asked for. */
  takeDirty(): ReadonlySet<Topic> {
    const dirty = this.#dirtyTopics
    this.#dirtyTopics = new Set()
    return dirty
  }

  /** Nothing of a deleted topic is written any more. */
  forget(topic: Topic): void {
    this.#dirtyTopics.delete(topic)
  }

  /** Clients' messages are taken. */
  get hasRoom(): boolean {
    return this.#roomBytes > 0
  }

  /** The store's answer may be some seconds old: until it changes, what was added is counted here. */
  noteSpace({ freeBytes }: StoreSpace): void {
    if (freeBytes !== this.#freeBytes) this.#roomBytes = freeBytes - this.#deps.limits.storeReserveBytes - this.#turnBytes
    this.#freeBytes = freeBytes
    this.#turnBytes = 0
  }
}

function storeFull(): PocketError {
  return new PocketError('STORE_FULL', 'the relay’s store has no room for messages', { retryAfterMs: storeFullRetryMs })
}

/** When a batch was stored, for its receipt; where the wall clock went back, later than it says. */
function storedMsOf(topic: Topic, segments: readonly PublishSegment[]): number {
  const stored = segments.find(({ epoch }) => epoch !== 0)
  return stored === undefined ? 0 : (topic.queues[stored.queueId]?.lastStoredMs ?? 0)
}
