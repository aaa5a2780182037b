// Messages that are not due yet. Scheduled ones are stored under the time they are due; when it has come by the broker's
// wall clock, never earlier, they are appended to their topic and leave this store in one commit. Only those due next
// are in memory (delayed-window.ts). Timers count monotonic time, so the wall clock is looked at every few seconds: where
// it jumped forward messages are due at once, where it went back they wait.

import { toPocketError, PocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { formatMessageId, formatRecallHandle, type MessageIdParts, parseRecallHandle } from '../model/message.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import type { DelayedMessage } from '../protocol/frames.ts'
import { MessageScanner } from '../record/message-codec.ts'
import {
  DelayedEntry, delayedPlace, delayedSizeMax, encodeDelayedCount, entryOrUndefined, recordOfDelayed, writeDelayed,
} from '../storage/delayed.ts'
import { delayedCountKey, delayedKey, dueTimeKey, keyAfter, keyKinds, kindRange } from '../storage/keys.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { Recovered } from '../storage/recovery.ts'
import { readAll } from '../storage/reads.ts'
import type { Answering } from './answering.ts'
import { DelayedWindow } from './delayed-window.ts'
import type { Answer, ListDelayedRequest, RecallRequest } from './door.ts'
import { type Batch, routeOf, type UndueMessage } from './publishing.ts'
import type { Queries } from './queries.ts'
import type { Registry } from './registry.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers, Wait } from './timers.ts'
import type { Topic } from './topic.ts'
import type { Tracing } from './tracing.ts'
import type { Turn } from './turn.ts'

/** What one turn moves into topics at most, so that others have their turns too. */
const firedCountMax = 4_096
const firedBytesMax = 4 << 20
/** How often the wall clock is looked at while something waits. */
const lookMs = 2_000

export interface DelaysDeps {
  readonly store: Store
  readonly clock: Clock
  readonly limits: Limits
  readonly log: Log
  readonly turn: Turn
  readonly timers: Timers
  readonly registry: Registry
  readonly answering: Answering
  readonly queries: Queries
  readonly counters: BrokerCounters
  readonly tracing: Tracing
  /** Made later: it is where delayed messages come from, too. */
  readonly publisher: () => DueTaker
  readonly readFailed: (error: Error) => void
}

/** Where due messages go, of whom delayed ones come too: the publisher. */
export interface DueTaker {
  /** Whether so many bytes can be moved without using up the store's reserve. */
  hasReserve(byteCount: number): boolean
  /** So many bytes of the store's room are used. */
  take(byteCount: number): void
  /** Something was appended to a log of the topic. */
  touch(topic: Topic): void
}

/** What a turn fires for one topic. */
interface Firing {
  /** Undefined where the topic was deleted. */
  readonly topic: Topic | undefined
  /** Of a topic without routes: all of this turn goes there. */
  readonly log: QueueLog | undefined
  /** What each queue was given, for traces. */
  readonly runs: Map<QueueLog, { readonly offset: number; count: number }>
  count: number
}

export class Delays {
  readonly #deps: DelaysDeps
  readonly #window: DelayedWindow
  readonly #scanner: MessageScanner
  /** Messages that wait, by topic; those of deleted topics too, until they are found. */
  readonly #counts = new Map<number, number>()
  readonly #changedCounts = new Set<number>()
  #total = 0
  /**
   * Of this turn, by id. They are written behind all that is written by time: so neighbours in time become neighbours on
   * the disk, and when they go they leave room in one piece.
   */
  #timeWrites: StoreWrite[] = []
  /** Of those, so many are of relaxed topics. */
  #relaxedTimeWriteCount = 0
  #wait: Wait | undefined
  #isStopped = false
  /** Whether a topic that is not known was deleted for sure. */
  #mayForget = true
  /** Whether the store had room for what was due. */
  #hasRoom = true
  /** What the turn under way fired: when it was due, and how many. */
  #fired: { readonly deliverMs: number; count: number }[] = []

  constructor(deps: DelaysDeps) {
    const { store, limits, turn, readFailed } = deps
    this.#deps = deps
    this.#scanner = new MessageScanner(limits, 'stored')
    this.#window = new DelayedWindow({
      store, limits, readFailed,
      isStopped: () => turn.isStopped,
      loaded: () => this.#arm(),
      damaged: (deliverMs, cause) => this.#damaged(deliverMs, cause),
    })
  }

  /** Takes over what a store held. */
  restore({ delayedCounts, damagedTopics }: Pick<Recovered, 'delayedCounts' | 'damagedTopics'>): void {
    for (const [topicId, count] of delayedCounts) this.#count(topicId, count)
    this.#changedCounts.clear()
    this.#mayForget = damagedTopics.size === 0
    this.#window.fill()
  }

  /** Nothing is fired any more; it will be when the store is opened again. */
  stop(): void {
    this.#isStopped = true
  }

  // ── scheduling ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Throws LIMIT_EXCEEDED where so many more cannot be kept. */
  checkRoom(count: number): void {
    const { delayedCountMax } = this.#deps.limits
    if (count === 0 || this.#total + count <= delayedCountMax) return
    throw new PocketError('LIMIT_EXCEEDED', `delayedCountMax: of at most ${delayedCountMax} delayed messages ${this.#total} wait`)
  }

  /** Keeps messages until they are due, from this turn's commit on; gives when that is. */
  schedule(topic: Topic, batch: Batch, delayed: readonly UndueMessage[]): number[] {
    const { turn, counters } = this.#deps
    const { topicId, isRelaxed } = topic
    const { producerId, producerEpoch, baseSequence, messages } = batch
    const scheduled: number[] = []
    // One piece of memory for all of a batch: each by itself would cost more than all else.
    const values = new Uint8Array(delayed.reduce((size, { start, end }) => size + delayedSizeMax(end - start), 0))
    let at = 0
    for (const { index, start, end, deliverMs } of delayed) {
      const valueEnd = writeDelayed(values, at, messages, start, end, deliverMs)
      const value = values.subarray(at, valueEnd)
      at = valueEnd
      const key = delayedKey(deliverMs, producerId, producerEpoch, baseSequence + index, topicId)
      turn.write(key, value, isRelaxed)
      this.#writeTime(dueTimeKey(producerId, producerEpoch, baseSequence + index, topicId, deliverMs), noValue, isRelaxed)
      this.#window.add(new DelayedEntry(key, deliverMs, value, 0))
      scheduled.push(deliverMs)
    }
    this.#count(topicId, delayed.length)
    counters.delayedMessages += delayed.length
    this.#arm()
    return scheduled
  }

  /**
   * A batch of one whose time had come is in its queue as if it had been delayed until now: its id leads there by its
   * time, too.
   */
  noteTime({ topicId, isRelaxed }: Topic, { producerId, producerEpoch, baseSequence }: Batch, deliverMs: number): void {
    const key = dueTimeKey(producerId, producerEpoch, baseSequence, topicId, deliverMs)
    this.#writeTime(key, noValue, isRelaxed)
    this.#deps.turn.touch()
  }

  #writeTime(key: Uint8Array, value: Uint8Array | null, isRelaxed: boolean): void {
    this.#timeWrites.push({ key, value })
    if (isRelaxed) this.#relaxedTimeWriteCount++
  }

  // ── firing ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Moves what is due into its topics, with this turn's commit. Called once in every turn, before logs are sealed. */
  fire(nowMs: number, writes: StoreWrite[]): void {
    if (!this.#isStopped && (this.#window.first?.deliverMs ?? Infinity) <= nowMs) this.#fireDue(nowMs, writes)
    const { registry, turn } = this.#deps
    for (const topicId of this.#changedCounts) {
      if (registry.topicById(topicId)?.isRelaxed === true) turn.relax(1)
      const count = this.#counts.get(topicId) ?? 0
      writes.push({ key: delayedCountKey(topicId), value: count === 0 ? null : encodeDelayedCount(count) })
    }
    this.#changedCounts.clear()
    for (const write of this.#timeWrites) writes.push(write)
    turn.relax(this.#relaxedTimeWriteCount)
    this.#timeWrites = []
    this.#relaxedTimeWriteCount = 0
    this.#window.sealed()
    this.#window.fill()
    this.#arm()
  }

  /** The turn's commit is durable. */
  committed(): void {
    this.#window.committed()
    if (this.#fired.length === 0) return
    const { clock, counters } = this.#deps
    const nowMs = clock.now()
    for (const { deliverMs, count } of this.#fired) counters.delayLatenessMs.observe(Math.max(0, nowMs - deliverMs), count)
    this.#fired = []
  }

  #fireDue(nowMs: number, writes: StoreWrite[]): void {
    const { counters, tracing, turn } = this.#deps
    const publisher = this.#deps.publisher()
    const window = this.#window
    const firings = new Map<number, Firing>()
    let count = 0
    let byteCount = 0
    for (let entry = window.first; entry !== undefined && entry.deliverMs <= nowMs; entry = window.first) {
      if (count >= firedCountMax || byteCount >= firedBytesMax) break
      // A commit that does not fit ends the broker: what has no room waits, as long as nothing else makes some.
      this.#hasRoom = publisher.hasReserve(byteCount + entry.byteCount)
      if (!this.#hasRoom) break
      count++
      byteCount += entry.byteCount
      const outcome = this.#append(entry, firings)
      if (outcome === 'kept') {
        window.skip()
        continue
      }
      window.take()
      writes.push({ key: entry.key, value: null })
      if (outcome === 'dropped') writes.push({ key: entry.dueTimeKey, value: null })
      else if (firings.get(entry.topicId)?.topic?.isRelaxed === true) turn.relax(1)
    }
    publisher.take(byteCount)
    for (const [topicId, { topic, runs, count: firedCount }] of firings) {
      this.#count(topicId, -firedCount)
      if (topic === undefined) continue
      counters.firedMessages += firedCount
      publisher.touch(topic)
      if (topic.config.tracePermille === 0) continue
      for (const [log, run] of runs) tracing.stored(topic, log, run.offset, run.count, undefined)
    }
  }

  /** Appends a due message to its queue; drops it where its topic was deleted, keeps it in the store where it is damaged. */
  #append(entry: DelayedEntry, firings: Map<number, Firing>): 'appended' | 'dropped' | 'kept' {
    const { topicId, value, deliverMs, messageStart } = entry
    const firing = firings.get(topicId) ?? this.#firing(topicId, firings)
    const { topic } = firing
    if (topic === undefined) {
      if (!this.#mayForget) return 'kept'
      firing.count++
      return 'dropped'
    }
    const scanner = this.#scanner
    let log = firing.log
    try {
      scanner.reset(value, messageStart, value.length)
      scanner.next()
      // The checksum is the value's: a key that lost its time would fire at another.
      if (scanner.deliverMs !== deliverMs) throw new PocketError('RECORD_DAMAGED', 'a delayed message is not at its time')
      log ??= routeOf(topic, scanner)
    } catch (cause) {
      this.#damaged(deliverMs, cause)
      return 'kept'
    }
    const offset = log.append({
      producerId: entry.producerId,
      producerEpoch: entry.producerEpoch,
      baseSequence: entry.sequence,
      batchCount: 1,
      source: value,
      starts: [messageStart],
      ends: [value.length],
      tagHashes: [scanner.tagHash],
      groupHashes: topic.isFifo ? [scanner.messageGroupHash] : undefined,
      ttls: ttlsOf(scanner.ttlMs > 0 ? scanner.ttlMs : topic.config.ttlMs),
    }, scanner.hasKeys)
    const run = firing.runs.get(log)
    if (run === undefined) firing.runs.set(log, { offset, count: 1 })
    else run.count++
    firing.count++
    const last = this.#fired.at(-1)
    if (last?.deliverMs === deliverMs) last.count++
    else this.#fired.push({ deliverMs, count: 1 })
    return 'appended'
  }

  #firing(topicId: number, firings: Map<number, Firing>): Firing {
    const topic = this.#deps.registry.topicById(topicId)
    const log = topic === undefined || topic.isRouted ? undefined : topic.nextQueue()
    const firing: Firing = { topic, log, runs: new Map(), count: 0 }
    firings.set(topicId, firing)
    return firing
  }

  #count(topicId: number, by: number): void {
    const count = Math.max(0, (this.#counts.get(topicId) ?? 0) + by)
    this.#total = Math.max(0, this.#total + by)
    if (count === 0) this.#counts.delete(topicId)
    else this.#counts.set(topicId, count)
    this.#changedCounts.add(topicId)
    const topic = this.#deps.registry.topicById(topicId)
    if (topic !== undefined) topic.delayedCount = count
  }

  #damaged(deliverMs: number, cause: unknown): void {
    const { counters, log } = this.#deps
    counters.damagedRecords++
    log.error('damage-found', { what: 'delayed message', deliverMs, reason: toPocketError(cause).message })
  }

  /** Sees to it that a turn comes when the next is due, or that the wall clock is looked at before. */
  #arm(): void {
    const { clock, timers, turn } = this.#deps
    const first = this.#window.first
    if (first === undefined || this.#isStopped) return
    const leftMs = first.deliverMs - clock.now()
    if (leftMs <= 0 && this.#hasRoom) return turn.touch()
    const atMs = clock.monotonic() + (leftMs > 0 ? Math.min(leftMs, lookMs) : lookMs)
    if (this.#wait !== undefined && this.#wait.index >= 0 && this.#wait.atMs <= atMs) return
    timers.cancel(this.#wait)
    this.#wait = timers.at(atMs, () => {
      this.#hasRoom = true
      this.#arm()
    })
  }

  // ── recalling ─────────────────────────────────────────────────────────────────────────────────────────────────

  recall({ topic: name, recallHandle }: RecallRequest, answer: Answer<{ messageId: string }>): void {
    const { answering, registry } = this.#deps
    answering.deciding(answer, () => {
      const { deliverMs, ...id } = parseRecallHandle(recallHandle)
      const topic = registry.topic(name)
      this.#checkUndue(deliverMs)
      const place = delayedPlace(deliverMs, id, topic.topicId)
      const found = this.#window.find(place)
      if (found !== 'stored') return this.#recall(topic, place, found, answer)
      this.#window.lookUp(place, (outcome) => {
        answering.deciding(answer, () => {
          if (outcome instanceof Error) throw toPocketError(outcome)
          registry.checkPresent(topic)
          this.#checkUndue(deliverMs)
          this.#recall(topic, place, outcome, answer)
        })
      })
    })
  }

  #checkUndue(deliverMs: number): void {
    if (deliverMs <= this.#deps.clock.now()) throw tooLate()
  }

  #recall(
    topic: Topic, place: DelayedEntry, entry: DelayedEntry | undefined, answer: Answer<{ messageId: string }>,
  ): void {
    const { turn, counters } = this.#deps
    if (entry === undefined) return this.#answerMissing(topic, place, answer)
    const { isRelaxed } = topic
    turn.write(entry.key, null, isRelaxed)
    this.#writeTime(entry.dueTimeKey, null, isRelaxed)
    this.#window.remove(entry)
    this.#count(topic.topicId, -1)
    counters.recalledMessages++
    turn.after(() => answer({ messageId: formatMessageId(entry.id) }), isRelaxed)
  }

  /** It does not wait: it was never there or taken back, or where the wall clock went back it has fired already. */
  #answerMissing(topic: Topic, { id, deliverMs }: DelayedEntry, answer: Answer<{ messageId: string }>): void {
    const { turn, queries } = this.#deps
    turn.after(() => {
      queries.hasTime(topic, id, deliverMs).then(
        (hasFired) => answer(hasFired ? tooLate() : notFound(id)),
        (error: unknown) => answer(toPocketError(error)),
      )
    })
  }

  // ── listing ───────────────────────────────────────────────────────────────────────────────────────────────────

  list(request: ListDelayedRequest, answer: Answer<{ messages: readonly DelayedMessage[]; more: boolean }>): void {
    const { answering, registry, turn } = this.#deps
    answering.deciding(answer, () => {
      const topic = request.topic === '' ? undefined : registry.topic(request.topic)
      const { from, to } = kindRange(keyKinds.delayed)
      const range = { from: request.after === '' ? from : keyBehind(request.after), to }
      const countMax = Math.max(1, Math.min(request.countMax, fixedLimits.listCountMax))
      // After the turn, so that what was scheduled before is found.
      turn.after(() => {
        this.#list(topic, range, countMax).then(answer, (error: unknown) => answer(toPocketError(error)))
      })
    })
  }

  async #list(
    topic: Topic | undefined, range: { from: Uint8Array; to: Uint8Array }, countMax: number,
  ): Promise<{ messages: readonly DelayedMessage[]; more: boolean }> {
    const { store, registry, limits } = this.#deps
    const messages: DelayedMessage[] = []
    if (topic?.delayedCount === 0) return { messages, more: false }
    let byteCount = 0
    for await (const { key, value } of readAll(store, range, limits.readChunkBytes)) {
      const entry = entryOrUndefined(key, value)
      if (entry === undefined) continue
      if (topic !== undefined && entry.topicId !== topic.topicId) continue
      const name = registry.topicById(entry.topicId)?.name
      if (name === undefined) continue
      byteCount += value.length + listedBytes
      const isFull = messages.length >= countMax || (messages.length > 0 && byteCount > limits.frameBytesMax / 2)
      if (isFull) return { messages, more: true }
      const { deliverMs } = entry
      const recallHandle = formatRecallHandle(deliverMs, formatMessageId(entry.id))
      messages.push({ recallHandle, topic: name, deliverMs, record: recordOfDelayed(entry) })
    }
    return { messages, more: false }
  }
}

const noValue = new Uint8Array(0)

/** What a listed message takes beside its bytes: handle, topic, the record's columns. */
const listedBytes = 400

/** Behind every message of that handle. */
function keyBehind(recallHandle: string): Uint8Array {
  const { deliverMs, ...id } = parseRecallHandle(recallHandle)
  return keyAfter(delayedPlace(deliverMs, id, 0xffff_ffff).key)
}

function ttlsOf(ttlMs: number): readonly number[] | undefined {
  return ttlMs > 0 ? [ttlMs] : undefined
}

function tooLate(): PocketError {
  return new PocketError('RECALL_TOO_LATE', 'the message is due already')
}

function notFound(id: MessageIdParts): PocketError {
  return new PocketError('MESSAGE_NOT_FOUND', `no delayed message ${formatMessageId(id)} waits for that time`)
}
