// A reader of the copy of a topic that a device keeps, for a push consumer: what the relay's reader would give, out of
// the device's store, with or without a connection. It keeps the positions of its group beside the copy. Of what this
// device sends it may give an echo, before the relay has it.
//
//   copy ──changed──> read from the store ──filter──> DELIVER, within credit ──> consumer ──report──> positions, stored

import { PocketError, toPocketError } from '../errors.ts'
import { type MessageFilter, parseFilter } from '../filter/message-filter.ts'
import type { Position } from '../model/position.ts'
import type { QueuePosition } from '../protocol/frames.ts'
import { RecordBatch, selectFromRecord } from '../record/record-batch.ts'
import type { QueueCopy, TopicCopy } from '../replica/replica.ts'
import { decodeBroadcastPosition, encodeBroadcastPosition } from '../storage/catalog.ts'
import { broadcastPositionKey, keyAfter, recordRange } from '../storage/keys.ts'
import { lastOffsetOf } from '../storage/queue-log.ts'
import { commitAlone, readRange } from '../storage/reads.ts'
import { isEpochBefore } from '../storage/recovery.ts'
import type { From } from './api.ts'
import type { ConsumerStream, SubscriptionOwner, SubscriptionTerms } from './subscription.ts'
import type { CopyListener, TopicCopies } from './topic-copies.ts'

const chunkBytes = 256 * 1024
/** A store that could not be read is asked again after so long. */
const retryMs = 1_000

export interface CopyReaderOptions {
  readonly from: From
  /** Where the application says to go on; undefined: where the group stands. */
  readonly positions: ReadonlyMap<number, Position> | undefined
  readonly over: (reader: CopyReader) => void
}

export class CopyReader implements ConsumerStream, CopyListener {
  readonly subscriptionId = 0
  readonly #copies: TopicCopies
  readonly #terms: SubscriptionTerms
  readonly #owner: SubscriptionOwner
  readonly #options: CopyReaderOptions
  readonly #filter: MessageFilter
  readonly #abort = new AbortController()
  readonly #stopListening: () => void
  /** Where it reads on, per queue. */
  readonly #next = new Map<number, Position>()
  #creditCount = 0
  #creditBytes = 0
  #isOpen = false
  /** Where it began is not kept yet: a group that has seen nothing goes on from there too. */
  #isNew = false
  #isOver = false
  #isReading = false
  #isStale = false
  #reports: Promise<void> = Promise.resolve()

  /** Throws BAD_FILTER. */
  constructor(copies: TopicCopies, terms: SubscriptionTerms, owner: SubscriptionOwner, options: CopyReaderOptions) {
    this.#copies = copies
    this.#terms = terms
    this.#owner = owner
    this.#options = options
    this.#filter = parseFilter(terms.filterKind, terms.filter)
    this.#stopListening = copies.listen(terms.topic, this)
  }

  start(): void {
    this.#open().catch((thrown: unknown) => {
      const error = toPocketError(thrown)
      if (error.code !== 'STORE_FAILED' || this.#isOver) return this.ended(error)
      // As with every other read: the next one may succeed.
      this.#copies.report(error)
      this.#copies.clock.setTimer(retryMs, () => {
        if (!this.#isOver) this.start()
      })
    })
  }

  grant(messageCount: number, byteCount: number): void {
    this.#creditCount += messageCount
    this.#creditBytes += byteCount
    this.changed()
  }

  report(positions: readonly QueuePosition[]): boolean {
    const copy = this.#copies.copyOf(this.#terms.topic)
    if (copy === undefined) return false
    const { group, consumerName } = this.#terms
    const updatedMs = Math.floor(this.#copies.clock.now())
    if (positions.length === 0) return true
    const writes = positions.map(({ queueId, position }) => ({
      key: broadcastPositionKey(copy.topicId, queueId, group, consumerName),
      value: encodeBroadcastPosition({ ...position, updatedMs, isReset: false }),
    }))
    this.#reports = Promise.all([this.#reports, commitAlone(this.#copies.store, writes)])
      .then(() => {}, (error: unknown) => this.#copies.report(toPocketError(error)))
    return true
  }

  leave(left: () => void): void {
    this.#end()
    void this.#reports.then(left)
  }

  ended(error: PocketError): void {
    if (this.#isOver) return
    this.#end()
    this.#owner.ended(error)
  }

  #end(): void {
    this.#isOver = true
    this.#stopListening()
    this.#abort.abort(new PocketError('CLOSED', 'the consumer is closed'))
    this.#options.over(this)
  }

  /** Messages of this device that the relay does not have yet, as a record without a place. */
  echo(bytes: Uint8Array): void {
    if (!this.#isOpen || this.#isOver) return
    const record = RecordBatch.view(bytes)
    const indexes = this.#passing(record, 0)
    if (indexes.length === 0) return
    const selected = selectFromRecord(record, indexes)
    this.#creditCount -= indexes.length
    this.#creditBytes -= selected.length
    const next = { epoch: 0, offset: 0 }
    this.#owner.deliver({ subscriptionId: 0, queueId: 0, leaseId: 0, attempt: 0, leaseMs: 0, next, record: selected }, true)
  }

  // ── where to begin ────────────────────────────────────────────────────────────────────────────────────────────

  async #open(): Promise<void> {
    const { topic, group, filterKind, filter } = this.#terms
    const { from } = this.#options
    const known = this.#options.positions ?? await this.#kept()
    if (known === undefined) {
      const start = { group, from, filter: filterKind === 'TAG' ? filter : { sql: filter } }
      for (const [queueId, position] of await this.#copies.begin(topic, start, this.#abort.signal)) {
        this.#next.set(queueId, position)
      }
    } else {
      for (const [queueId, position] of known) this.#next.set(queueId, position)
      await this.#copies.beginAt(topic, known)
    }
    if (this.#isOver) return
    this.#isOpen = true
    this.#isNew = known === undefined && this.#terms.positionKeeper === 'broker'
    const positions = [...this.#next].map(([queueId, position]) => ({ queueId, position }))
    this.#owner.opened({ requestId: 0, subscriptionId: 0, messageType: 'NORMAL', leaseMs: 0, positions })
    this.changed()
  }

  /** Where the group stands; undefined where it was never here. */
  async #kept(): Promise<ReadonlyMap<number, Position> | undefined> {
    const { topic, group, consumerName } = this.#terms
    const copy = this.#copies.copyOf(topic)
    if (copy === undefined) return undefined
    const positions = new Map<number, Position>()
    for (const queueId of copy.queues.keys()) {
      const key = broadcastPositionKey(copy.topicId, queueId, group, consumerName)
      const [found] = await readRange(this.#copies.store, { from: key, to: keyAfter(key), countMax: 1 })
      if (found === undefined) continue
      try {
        const { epoch, offset } = decodeBroadcastPosition(found.value)
        positions.set(queueId, { epoch, offset })
      } catch (error) {
        // It begins where the copy does: again is better than never.
        this.#copies.report(toPocketError(error))
        positions.set(queueId, { epoch: 0, offset: 0 })
      }
    }
    return positions.size === 0 ? undefined : positions
  }

  // ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

  changed(): void {
    this.#isStale = true
    const queues = this.#isNew && !this.#isOver ? this.#copies.copyOf(this.#terms.topic)?.queues : undefined
    if (queues !== undefined && queues.size > 0) {
      this.#isNew = false
      this.report([...queues].map(([queueId, { epoch, from }]) =>
        ({ queueId, position: this.#next.get(queueId) ?? { epoch, offset: from } })))
    }
    if (this.#isReading || !this.#isOpen || !this.#hasCredit) return
    this.#isReading = true
    this.#read().then(
      () => {
        this.#isReading = false
        if (this.#isStale) this.changed()
      },
      (error: unknown) => {
        this.#isReading = false
        this.#copies.report(toPocketError(error))
        this.#copies.clock.setTimer(retryMs, () => this.changed())
      },
    )
  }

  async #read(): Promise<void> {
    while (this.#isStale && this.#hasCredit) {
      this.#isStale = false
      const copy = this.#copies.copyOf(this.#terms.topic)
      for (const [queueId, queue] of copy?.queues ?? []) {
        if (this.#isOver || !this.#hasCredit) break
        if (await this.#readQueue(copy as TopicCopy, queueId, queue)) this.#isStale = true
      }
    }
  }

  get #hasCredit(): boolean {
    return this.#creditCount > 0 && this.#creditBytes > 0 && !this.#isOver
  }

  /** Reads some of a queue; true where there may be more. */
  async #readQueue(copy: TopicCopy, queueId: number, queue: QueueCopy): Promise<boolean> {
    const { epoch, from, offset: end } = queue
    const position = this.#next.get(queueId) ?? { epoch, offset: from }
    this.#next.set(queueId, position)
    const isNext = isEpochBefore(position.epoch, epoch) && position.offset >= from && position.offset <= end
    if (position.epoch !== epoch || position.offset < from) {
      this.#gap(queueId, position, { epoch, offset: isNext ? position.offset : from })
      return true
    }
    if (position.offset >= end) return false
    const range = recordRange(copy.topicId, queueId, position.offset)
    const bytesMax = Math.min(chunkBytes, this.#creditBytes)
    const entries = await readRange(this.#copies.store, { ...range, bytesMax, countMax: 256 })
    // Meanwhile the copy may have begun anew.
    const current = this.#copies.copyOf(this.#terms.topic)?.queues.get(queueId)
    if (this.#isOver || current?.epoch !== epoch || current.from > position.offset) return true
    for (const { key, value } of entries) {
      if (!this.#hasCredit) return true
      if (lastOffsetOf(key) >= current.offset) break
      this.#deliver(queueId, epoch, copy.hasHoles, key, value)
    }
    return entries.length > 0
  }

  #deliver(queueId: number, epoch: number, hasHoles: boolean, key: Uint8Array, value: Uint8Array): void {
    const { offset } = this.#next.get(queueId) ?? { offset: 0 }
    const next = { epoch, offset: lastOffsetOf(key) + 1 }
    let record: RecordBatch
    try {
      record = RecordBatch.open(value)
    } catch (error) {
      this.#copies.report(toPocketError(error))
      return this.#gap(queueId, { epoch, offset }, next)
    }
    if (record.baseOffset > offset && !hasHoles) this.#gap(queueId, { epoch, offset }, { epoch, offset: record.baseOffset })
    this.#next.set(queueId, next)
    const indexes = this.#passing(record, record.indexFrom(offset))
    const selected = indexes.length === 0 ? noBytes : selectFromRecord(record, indexes)
    this.#creditCount -= indexes.length
    this.#creditBytes -= selected.length
    this.#owner.deliver({ subscriptionId: 0, queueId, leaseId: 0, attempt: 0, leaseMs: 0, next, record: selected })
  }

  /** Indexes from `first` on of the messages that pass, and have not expired. */
  #passing(record: RecordBatch, first: number): number[] {
    const nowMs = this.#copies.clock.now()
    const indexes: number[] = []
    for (let index = first; index < record.messageCount; index++) {
      if (record.hasTtl && record.isExpiredAt(index, nowMs)) continue
      if (this.#filter.passesAll || this.#filter.accepts(record, index)) indexes.push(index)
    }
    return indexes
  }

  #gap(queueId: number, expected: Position, next: Position): void {
    this.#next.set(queueId, next)
    this.#owner.gap({ subscriptionId: 0, queueId, expected, next })
  }
}

const noBytes = new Uint8Array(0)
