// Messages on their way to the relay, durable on the device first: what is sent in a turn is stored with one commit, one
// commit is in flight, and what arrives meanwhile goes into the next. Then lanes send it to the relay, in order per
// producer, over whatever link there is, and what the relay has answered is deleted with a later commit. After a restart
// everything left goes out by itself.
//
//   send ──turn──> sealed ──commit──> stored ──lane──> relay ──answer──> over ──some later commit──> deleted
//
// Nothing is dropped to save room: a full outbox refuses. It needs its store for itself.

import { must } from '../assert.ts'
import { PocketError, toPocketError } from '../errors.ts'
import { defaultLimits } from '../limits.ts'
import { checkTopicName } from '../model/names.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { CommitOutcome, Store, StoreEntry, StoreWrite } from '../ports/store.ts'
import { keyAfter, KeyReader, keyKinds, kindRange, outboxBatchKey, outboxLaneKey } from '../storage/keys.ts'
import { decodeLane, decodeOutboxBatch, encodeOutboxBatch, type OutboxBatch } from '../storage/outbox-values.ts'
import { readAll } from '../storage/reads.ts'
import type { ProducerIdentity } from './producer-identity.ts'
import { OutboxEntry } from './outbox-entry.ts'
import { type LaneHost, OutboxLane, type OutboxLink, type OutboxRefusal } from './outbox-lane.ts'
import { LaneProducer, type OutboxProducer, type OutboxProducerHost } from './outbox-producer.ts'
import { SendHeaders } from './send-options.ts'

const bytesMaxDefault = 256 * 1024 * 1024
/** Of stored messages, those kept in memory too until they are sent; more is read again. */
const cachedBytesMax = 16 * 1024 * 1024
/** One commit takes about so much. */
const commitBytesAim = 4 * 1024 * 1024
const chunkBytes = 1024 * 1024
/** What is over is deleted with the next commit, or by itself after so long. */
const deletionMs = 200
/** A commit that was refused is tried again, where nobody waits who could. */
const retryMs = 1_000
/** A producer that is silent is known for so long, to recognise what it sends again. */
const laneRetentionMs = 7 * 24 * 60 * 60 * 1000
const laneCountMax = 10_000
/** What a batch takes beside its messages, and each message beside its body, at least. */
const overheadBytes = 64

export interface OutboxDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Most bytes of messages in it; beyond, `send` gives STORE_FULL. Default 256 MiB. */
  readonly bytesMax?: number
  /** The relay refused messages for good. */
  readonly refused: (refusal: OutboxRefusal) => void
  /** Something is wrong that no send was waiting for: damage, a commit that failed. */
  readonly error: (error: PocketError) => void
  /**
   * Whether a commit took place is unknown: the outbox is over, and to be opened anew. Its sends are not answered. Without
   * it they are refused with STORE_FAILED.
   */
  readonly failed?: ((error: PocketError) => void) | undefined
  /** Messages are durable here; `messages` are as encoded, under the ids from `firstId` on. */
  readonly stored?: (stored: StoredHere) => void
  /** Count, bytes or oldest have changed. */
  readonly changed?: () => void
}

/** Messages that were stored in the outbox just now. */
export interface StoredHere {
  readonly topic: string
  readonly producerId: string
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly messageCount: number
  readonly storedMs: number
  readonly messages: Uint8Array
  /** To be delivered later than it arrives. */
  readonly isScheduled: boolean
}

interface Waiting {
  readonly lane: OutboxLane
  readonly entry: OutboxEntry
}

export class Outbox implements LaneHost, OutboxProducerHost {
  readonly clock: Clock
  readonly random: Random
  readonly headers: SendHeaders
  readonly #deps: OutboxDeps
  readonly #lanes = new Map<number, OutboxLane>()
  /** By topic and producer id, every name that a lane has. */
  readonly #lanesByName = new Map<string, OutboxLane>()
  readonly #producers = new Set<LaneProducer>()
  #laneNumber = 0
  #entryNumber = 0
  /** Stored and not over, in the order they were stored; the first is the oldest. */
  readonly #entries = new Set<OutboxEntry>()
  #count = 0
  #bytes = 0
  #cachedBytes = 0
  readonly #touched = new Set<OutboxLane>()
  #isTurnScheduled = false
  #waiting: Waiting[] = []
  #saves = new Map<OutboxLane, (() => void)[]>()
  #deletions: Uint8Array[] = []
  #isCommitting = false
  #cancelTimer: CancelTimer | undefined
  #link: OutboxLink | undefined
  #failure: PocketError | undefined
  #closing: Promise<void> | undefined
  #idle: (() => void)[] = []

  private constructor(deps: OutboxDeps) {
    this.#deps = deps
    this.clock = deps.clock
    this.random = deps.random
    this.headers = new SendHeaders(deps.clock)
  }

  /** Goes on with what a store holds. Throws STORE_FAILED. What is damaged is told, left where it is, and not sent. */
  static async open(deps: OutboxDeps): Promise<Outbox> {
    const outbox = new Outbox(deps)
    await outbox.#restore()
    return outbox
  }

  /** Messages that the relay has not answered, those that are just being stored included. */
  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** When the oldest of them was stored. */
  get oldestMs(): number | undefined {
    const [oldest] = this.#entries
    return oldest?.storedMs
  }

  /**
   * A producer of a topic that counts as its owner does: what was stored before under the same identity is answered as
   * duplicate. `stopped`, for an owner that hears of refusals later: as in {@link HostProducerOptions}. Throws BAD_NAME,
   * CLOSED or STORE_FAILED.
   */
  producer(
    topic: string, { producerId, producerEpoch, sequenceNext }: ProducerIdentity, stopped?: () => void,
  ): OutboxProducer {
    checkTopicName(topic)
    this.#checkOpen()
    const known = this.#lanesByName.get(nameKey(topic, producerId))
    const name = known?.names.findLast((other) => other.producerId === producerId && other.producerEpoch === producerEpoch)
    // A name that it does not know is of an outbox that lost its store: its messages are new.
    const lane = known ?? this.#addLane(topic, producerId, producerEpoch, sequenceNext)
    const next = name === undefined ? lane.assigned : name.base + sequenceNext
    const producer = new LaneProducer(this, lane, next, stopped)
    this.#producers.add(producer)
    return producer
  }

  /** Sends over this link from now on; undefined: over none. */
  carry(link: OutboxLink | undefined): void {
    this.#link = link
    for (const lane of this.#lanes.values()) lane.carry(link)
  }

  /** Waits for the commits under way. What is not at the relay is sent when the store is opened again. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.carry(undefined)
    this.#endTurn()
    while (this.#isCommitting) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#cancelTimer?.()
    this.#failure ??= new PocketError('CLOSED', 'the outbox is closed')
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closing !== undefined) throw new PocketError('CLOSED', 'the outbox is closed')
  }

  // ── lanes ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #addLane(topic: string, producerId: string, producerEpoch: number, next: number): OutboxLane {
    this.#forgetLanes(laneCountMax - 1)
    const names = [{ producerId, producerEpoch, base: 0 }]
    const state = { topic, next, updatedMs: this.clock.now(), names, refusals: [] }
    return this.#keepLane(new OutboxLane(this, ++this.#laneNumber, state))
  }

  #keepLane(lane: OutboxLane): OutboxLane {
    this.#lanes.set(lane.laneNumber, lane)
    for (const { producerId } of lane.names) this.#lanesByName.set(nameKey(lane.topic, producerId), lane)
    lane.carry(this.#link)
    return lane
  }

  /** Forgets producers that were silent for long, and those silent for longest while there are too many. */
  #forgetLanes(countMax: number): void {
    const inUse = new Set([...this.#producers].map(({ lane }) => lane))
    const beforeMs = this.clock.now() - laneRetentionMs
    const idle = [...this.#lanes.values()].filter((lane) => lane.isIdle && !inUse.has(lane))
    const excess = this.#lanes.size - countMax
    // Sorting thousands is worth it only where some must go.
    if (excess > 0) idle.sort((left, right) => left.updatedMs - right.updatedMs)
    idle.forEach((lane, index) => {
      if (index >= excess && lane.updatedMs >= beforeMs) return
      this.#lanes.delete(lane.laneNumber)
      for (const { producerId } of lane.names) this.#lanesByName.delete(nameKey(lane.topic, producerId))
      this.#delete(outboxLaneKey(lane.laneNumber))
    })
  }

  // ── the producers' side ───────────────────────────────────────────────────────────────────────────────────────

  readonly bodyBytesMax = (): number => this.#link?.session.limits.bodyBytesMax ?? defaultLimits.bodyBytesMax

  checkRoom(byteCount: number): void {
    this.#checkOpen()
    const { bytesMax = bytesMaxDefault } = this.#deps
    if (this.#bytes + byteCount + overheadBytes <= bytesMax) return
    const text = `${this.#bytes} bytes wait for the relay in this device's outbox; it takes at most ${bytesMax}`
    throw new PocketError('STORE_FULL', text)
  }

  touch(lane: OutboxLane): void {
    this.#touched.add(lane)
    if (this.#isTurnScheduled) return
    this.#isTurnScheduled = true
    this.clock.defer(() => this.#endTurn())
  }

  closed(producer: LaneProducer): void {
    this.#producers.delete(producer)
  }

  #endTurn(): void {
    this.#isTurnScheduled = false
    for (const lane of this.#touched) lane.seal()
    this.#touched.clear()
    this.#commit()
  }

  // ── the lanes' side ───────────────────────────────────────────────────────────────────────────────────────────

  add(lane: OutboxLane, entry: OutboxEntry): void {
    this.#waiting.push({ lane, entry })
    this.#counted(entry, 1)
  }

  save(lane: OutboxLane, saved: () => void): void {
    const saves = this.#saves.get(lane)
    if (saves === undefined) this.#saves.set(lane, [saved])
    else saves.push(saved)
    this.#commit()
  }

  load(entry: OutboxEntry, loaded: (messages: Uint8Array | undefined) => void): void {
    const key = outboxBatchKey(entry.number)
    this.#deps.store.read({ from: key, to: keyAfter(key), countMax: 1 }, (outcome) => {
      if (outcome.kind === 'failed') {
        // The lane waits; whoever is asked next tries again.
        this.clock.setTimer(retryMs, () => this.load(entry, loaded))
        return
      }
      const [found] = outcome.entries
      try {
        if (found === undefined) throw new PocketError('RECORD_DAMAGED', 'a batch of the outbox is missing')
        loaded(decodeOutboxBatch(found.value).messages)
      } catch (error) {
        this.#damaged('a batch', error)
        loaded(undefined)
      }
    })
  }

  over(entry: OutboxEntry): void {
    this.#entries.delete(entry)
    if (entry.messages !== undefined) this.#cachedBytes -= entry.byteCount
    this.#counted(entry, -1)
    // What is damaged stays where it is: somebody may want its bytes.
    if (!entry.isDamaged) this.#delete(outboxBatchKey(entry.number))
  }

  refused(refusal: OutboxRefusal): void {
    this.#deps.refused(refusal)
  }

  #counted({ messageCount, byteCount }: OutboxEntry, sign: 1 | -1): void {
    this.#count += sign * messageCount
    this.#bytes += sign * (byteCount + overheadBytes)
    this.#deps.changed?.()
  }

  #delete(key: Uint8Array): void {
    this.#deletions.push(key)
    this.#commitLater(deletionMs)
  }

  // ── commits ───────────────────────────────────────────────────────────────────────────────────────────────────

  #commitLater(delayMs: number): void {
    this.#cancelTimer ??= this.clock.setTimer(delayMs, () => {
      this.#cancelTimer = undefined
      this.#commit()
    })
  }

  #commit(): void {
    if (this.#isCommitting || this.#failure !== undefined) return
    const writes: StoreWrite[] = []
    const batches: Waiting[] = []
    const saves = this.#saves
    const deletions = this.#deletions
    const lanes = new Set(saves.keys())
    let byteCount = 0
    while (this.#waiting.length > 0 && (batches.length === 0 || byteCount < commitBytesAim)) {
      const waiting = must(this.#waiting.shift(), 'there is one')
      batches.push(waiting)
      byteCount += waiting.entry.byteCount
    }
    const storedMs = Math.floor(this.clock.now())
    for (const { lane, entry } of batches) {
      entry.number = ++this.#entryNumber
      entry.storedMs = storedMs
      lane.committing(entry)
      lanes.add(lane)
      const { base, messageCount } = entry
      const messages = must(entry.messages, 'it was sealed')
      const { laneNumber, topic, name } = lane
      writes.push({
        key: outboxBatchKey(entry.number),
        value: encodeOutboxBatch({ laneNumber, topic, name, base, messageCount, storedMs, messages }),
      })
    }
    for (const lane of lanes) writes.push({ key: outboxLaneKey(lane.laneNumber), value: lane.encode() })
    for (const key of deletions) writes.push({ key, value: null })
    if (writes.length === 0) return
    this.#saves = new Map()
    this.#deletions = []
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#isCommitting = true
    this.#deps.store.commit(writes, (outcome) => {
      this.#isCommitting = false
      if (outcome.kind === 'durable') this.#durable(batches, saves)
      else {
        this.#deletions.unshift(...deletions)
        for (const [lane, saved] of saves) this.#saves.set(lane, [...saved, ...this.#saves.get(lane) ?? []])
        this.#notStored(outcome, batches)
      }
      if (this.#waiting.length > 0 || (outcome.kind === 'durable' && this.#saves.size > 0)) this.#commit()
      if (!this.#isCommitting) for (const idle of this.#idle.splice(0)) idle()
    })
  }

  #durable(batches: readonly Waiting[], saves: ReadonlyMap<OutboxLane, readonly (() => void)[]>): void {
    for (const [lane, saved] of saves) {
      for (const tell of saved) tell()
      for (const { producerId } of lane.names) this.#lanesByName.set(nameKey(lane.topic, producerId), lane)
    }
    for (const { lane, entry } of batches) {
      const messages = must(entry.messages, 'it was sealed')
      this.#entries.add(entry)
      if (this.#cachedBytes + entry.byteCount > cachedBytesMax) entry.messages = undefined
      else this.#cachedBytes += entry.byteCount
      const { name: { producerId, producerEpoch, base } } = lane
      this.#deps.stored?.({
        topic: lane.topic,
        producerId,
        producerEpoch,
        baseSequence: entry.base - base,
        messageCount: entry.messageCount,
        storedMs: entry.storedMs,
        messages,
        isScheduled: entry.isScheduled,
      })
      lane.stored(entry)
    }
  }

  #notStored(outcome: Exclude<CommitOutcome, { readonly kind: 'durable' }>, batches: readonly Waiting[]): void {
    const { cause } = outcome
    const error = outcome.kind === 'not-written' && outcome.reason === 'full'
      ? new PocketError('STORE_FULL', 'the device has no room for the outbox', { cause })
      : new PocketError('STORE_FAILED', 'the outbox cannot be written', { cause })
    if (outcome.kind === 'unknown') {
      this.#failure = error
      // Whoever opens all anew will hear of these sends again, and then it is known what became of them.
      if (this.#deps.failed !== undefined) return this.#deps.failed(error)
      for (const lane of this.#lanes.values()) this.#rollBack(lane, error)
      this.#deps.error(error)
      return
    }
    // Whoever was refused may try again; what was sent behind it would stand before it then.
    for (const lane of new Set(batches.map((waiting) => waiting.lane))) this.#rollBack(lane, error)
    if (batches.length === 0) this.#deps.log.error('the outbox was not written', { error: error.message })
    this.#commitLater(retryMs)
  }

  #rollBack(lane: OutboxLane, error: PocketError): void {
    const entries = new Set(lane.rollBack(error))
    if (entries.size > 0) this.#waiting = this.#waiting.filter(({ entry }) => !entries.has(entry))
    for (const entry of entries) this.#counted(entry, -1)
    for (const producer of this.#producers) if (producer.lane === lane) producer.rolledBack(lane.assigned)
  }

  // ── opening ───────────────────────────────────────────────────────────────────────────────────────────────────

  async #restore(): Promise<void> {
    const { store } = this.#deps
    for await (const { key, value } of readAll(store, kindRange(keyKinds.outboxLane), chunkBytes)) {
      const laneNumber = new KeyReader(key).u53()
      this.#laneNumber = Math.max(this.#laneNumber, laneNumber)
      try {
        this.#keepLane(new OutboxLane(this, laneNumber, decodeLane(value)))
      } catch (error) {
        this.#damaged('a producer', error)
      }
    }
    for await (const stored of readAll(store, kindRange(keyKinds.outboxBatch), chunkBytes)) this.#restoreBatch(stored)
    this.#forgetLanes(laneCountMax)
  }

  #restoreBatch({ key, value }: StoreEntry): void {
    const number = new KeyReader(key).u53()
    this.#entryNumber = Math.max(this.#entryNumber, number)
    let batch: OutboxBatch
    try {
      batch = decodeOutboxBatch(value)
    } catch (error) {
      return this.#damaged('a batch', error)
    }
    const { laneNumber, topic, name, base, messageCount, storedMs, messages } = batch
    let lane = this.#lanes.get(laneNumber)
    if (lane === undefined) {
      // Its state was damaged; a batch says what is needed to go on.
      const state = { topic, next: base, updatedMs: storedMs, names: [name], refusals: [] }
      this.#laneNumber = Math.max(this.#laneNumber, laneNumber)
      lane = this.#keepLane(new OutboxLane(this, laneNumber, state))
    }
    const entry = new OutboxEntry(base, 0)
    entry.number = number
    entry.messageCount = messageCount
    entry.byteCount = messages.length
    entry.storedMs = storedMs
    // Below the current name's base the relay has decided on all.
    entry.skip(Math.min(messageCount, Math.max(0, lane.name.base - base)))
    lane.tellRefusals(entry)
    if (entry.isOver) return this.#delete(key)
    if (this.#cachedBytes + entry.byteCount <= cachedBytesMax) {
      this.#cachedBytes += entry.byteCount
      entry.messages = messages
    }
    this.#entries.add(entry)
    this.#counted(entry, 1)
    lane.restore(entry)
  }

  #damaged(what: string, cause: unknown): void {
    const text = `${what} of the outbox is damaged: ${toPocketError(cause).message}`
    const error = new PocketError('RECORD_DAMAGED', text, { cause })
    this.#deps.log.error('the outbox is damaged', { error: error.message })
    this.#deps.error(error)
  }
}

function nameKey(topic: string, producerId: string): string {
  return `${producerId} ${topic}`
}
