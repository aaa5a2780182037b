// Transactions: half messages that become visible together, in one commit, or never. A part is durable and in no queue
// until its transaction is committed; then its messages are appended and the part removed with the same commit, so that
// they are in one place at any time. When to ask a producer is transaction-checks.ts; how one ended is remembered in
// ended-transactions.ts; those that nobody could say the end of go where unresolved.ts says.
//
//   (none) ── PREPARE ──> open ── commit, in memory ─────────────────────────> ended
//                          │ ^── refused ── committing (messages are read) ──────^ ^
//                          └── rollback, or given up ───────────────────────────────┘

import { assert } from '../assert.ts'
import { copyBytes } from '../bytes.ts'
import { PocketError, toPocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { checkGroupName } from '../model/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import type { TopicSegment, TransactionOutcome, TransactionSummary } from '../protocol/frames.ts'
import {
  type EndedAs, type HalfMessages, isApart, readParts, type RecoveredTransactions, removeParts, rewritePart, type TopicName,
  writePart,
} from '../storage/half-messages.ts'
import { dueTimeRange, idIndexRange } from '../storage/keys.ts'
import { readRange } from '../storage/reads.ts'
import type { Answering } from './answering.ts'
import type {
  Answer, Cancellable, EndTransactionRequest, ListTransactionsRequest, PrepareRequest, ProducerSink, TransactionEnded,
} from './door.ts'
import { EndedTransactions } from './ended-transactions.ts'
import type { Publisher } from './publisher.ts'
import type { Registry } from './registry.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers } from './timers.ts'
import type { Topic } from './topic.ts'
import { checkFrameBytes, Transaction, transactionKeyOf } from './transaction.ts'
import { listTransactions } from './transaction-list.ts'
import { TransactionChecks } from './transaction-checks.ts'
import type { Turn } from './turn.ts'
import { Unresolved } from './unresolved.ts'

/** Beside the transaction, in a frame that brings it to a producer. */
const checkFrameMargin = 1_024
const { transactionMessageCountMax, transactionCheckFirstMsMax } = fixedLimits

export interface TransactionsDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits: Limits
  readonly timers: Timers
  readonly turn: Turn
  readonly answering: Answering
  readonly registry: Registry
  readonly publisher: Publisher
  readonly counters: BrokerCounters
  readonly readFailed: (error: Error) => void
}

export class Transactions {
  readonly #deps: TransactionsDeps
  readonly #open = new Map<string, Transaction>()
  readonly #ended: EndedTransactions
  readonly #checks: TransactionChecks
  readonly #unresolved: Unresolved
  /** To be written with this turn. */
  readonly #changed = new Set<Transaction>()
  /** Those with messages in memory, the longest there first. */
  readonly #cached = new Set<Transaction>()
  #cachedBytes = 0
  #numberNext = 0
  /** One for all transactions on a topic. */
  readonly #names = new WeakMap<Topic, readonly [TopicName]>()

  constructor(deps: TransactionsDeps) {
    this.#deps = deps
    const withParts = (transaction: Transaction, use: (parts: readonly HalfMessages[]) => void) =>
      this.#withParts(transaction, (parts) => {
        if (!(parts instanceof PocketError)) use(parts)
      })
    this.#ended = new EndedTransactions(deps)
    this.#unresolved = new Unresolved({
      ...deps,
      withParts,
      copied: (transaction) => {
        deps.counters.unresolvedTransactions++
        this.#finish(transaction, 'rollback', [], [])
      },
    })
    this.#checks = new TransactionChecks({
      ...deps,
      withParts,
      asked: (transaction, parts) => this.#writeHead(transaction, parts),
      giveUp: (transaction) => this.#unresolved.giveUp(transaction),
    })
  }

  /** Transactions that are not ended. */
  get openCount(): number {
    return this.#open.size
  }

  /** Takes over what a store held. */
  restore({ open, numberNext, ended, endedNumberNext }: RecoveredTransactions): void {
    const { clock, limits: { transactionMsMax } } = this.#deps
    for (const stored of open) {
      const leftMs = Math.min(Math.max(0, stored.preparedMs + transactionMsMax - clock.now()), transactionMsMax)
      const key = transactionKeyOf(stored.transactionId)
      const transaction = new Transaction(key, stored, clock.monotonic() + leftMs)
      transaction.restore(stored)
      this.#open.set(key, transaction)
      this.#checks.opened(transaction)
      // What is damaged waits for somebody to look at it.
      if (!stored.isDamaged) this.#checks.resume(transaction)
    }
    this.#numberNext = numberNext
    this.#ended.restore(ended, endedNumberNext)
  }

  // ── preparing ─────────────────────────────────────────────────────────────────────────────────────────────────

  prepare(request: PrepareRequest, answer: Answer<void>): void {
    const { answering, publisher, counters, turn } = this.#deps
    answering.deciding(answer, () => {
      checkRequest(request)
      const key = transactionKeyOf(request.transactionId)
      if (this.#ended.find(key) !== undefined) throw finished('has ended already')
      const known = this.#open.get(key)
      if (known?.state === 'committing') {
        // Bytes of the request are a transport's: kept beyond this call they are copied.
        const kept = { ...request, transactionId: copyBytes(request.transactionId), messages: copyBytes(request.messages) }
        this.#later(known, () => this.prepare(kept, answer))
        return
      }
      if (this.#isNext(known, request)) {
        publisher.checkOpen()
        publisher.checkRoom()
        this.#checkBounds(known, request)
        const topic = publisher.topicToPublish(request.topic)
        const { transactionId, baseSequence, messageCount, messages } = request
        publisher.check(topic, { producerId: transactionId, producerEpoch: 0, baseSequence, messageCount, messages })
        this.#add(known ?? this.#begin(key, request), topic, request)
        publisher.take(messages.length)
        counters.preparedMessages += messageCount
      }
      turn.after(() => answer(undefined))
    })
  }

  /** Whether a part is to be stored; it was before where not. Throws FORBIDDEN, SEQUENCE_GAP or RECORD_DAMAGED. */
  #isNext(known: Transaction | undefined, { producerGroup, baseSequence, messageCount }: PrepareRequest): boolean {
    if (known !== undefined) checkGroup(known, producerGroup)
    const storedCount = known?.messageCount ?? 0
    if (baseSequence + messageCount <= storedCount) return false
    if (baseSequence !== storedCount) {
      throw new PocketError(
        'SEQUENCE_GAP',
        `messages from ${baseSequence} on do not follow the ${storedCount} that the transaction has`,
      )
    }
    if (known?.isDamaged === true) throw damaged(known)
    return true
  }

  #checkBounds(known: Transaction | undefined, request: PrepareRequest): void {
    const { transactionBytesMax, transactionCountMax, frameBytesMax } = this.#deps.limits
    const messageCount = (known?.messageCount ?? 0) + request.messageCount
    const byteCount = (known?.byteCount ?? 0) + request.messages.length
    if (known === undefined && this.#open.size >= transactionCountMax) {
      throw new PocketError('LIMIT_EXCEEDED', `there are ${transactionCountMax} transactions already that are not ended`)
    }
    if (messageCount > transactionMessageCountMax) {
      throw new PocketError('LIMIT_EXCEEDED', `a transaction has at most ${transactionMessageCountMax} messages`)
    }
    const frameBytes = checkFrameBytes((known?.partCount ?? 0) + 1, messageCount, byteCount)
    if (byteCount > transactionBytesMax || frameBytes > frameBytesMax - checkFrameMargin) {
      throw new PocketError('LIMIT_EXCEEDED', `the messages of a transaction have at most ${transactionBytesMax} bytes`)
    }
  }

  #begin(key: string, { producerGroup }: PrepareRequest): Transaction {
    const { clock, limits } = this.#deps
    const head = { number: this.#numberNext++, producerGroup, preparedMs: clock.now() }
    const transaction = new Transaction(key, head, clock.monotonic() + limits.transactionMsMax)
    this.#open.set(key, transaction)
    this.#checks.opened(transaction)
    return transaction
  }

  #add(transaction: Transaction, topic: Topic, { baseSequence, messageCount, messages, checkAfterMs }: PrepareRequest): void {
    const alone = this.#nameOf(topic)
    const part = { target: alone[0], baseSequence, messageCount, messages }
    transaction.add(part, isApart(part), alone)
    this.#changed.add(transaction)
    this.#cached.add(transaction)
    this.#cachedBytes += messages.length
    this.#unresolved.forget(transaction)
    this.#checks.schedule(transaction, checkAfterMs > 0 ? checkAfterMs : this.#deps.limits.transactionCheckFirstMs)
  }

  #nameOf(topic: Topic): readonly [TopicName] {
    const known = this.#names.get(topic)
    if (known !== undefined) return known
    const name = [{ topicId: topic.topicId, topic: topic.name }] as const
    this.#names.set(topic, name)
    return name
  }

  // ── ending ────────────────────────────────────────────────────────────────────────────────────────────────────

  end(request: EndTransactionRequest, answer: Answer<TransactionEnded>): void {
    this.#deps.answering.deciding(answer, () => {
      const { producerGroup, outcome } = request
      checkGroupName(producerGroup)
      const key = transactionKeyOf(request.transactionId)
      const ended = this.#ended.find(key)
      if (ended !== undefined) {
        if (ended.producerGroup !== producerGroup) throw ofAnotherGroup()
        return this.#endAgain(key, ended.endedAs, outcome, answer)
      }
      const transaction = this.#open.get(key)
      if (transaction === undefined) return this.#endUnknown(key, request, answer)
      if (transaction.state === 'committing') {
        const kept = { ...request, transactionId: transaction.transactionId }
        this.#later(transaction, () => this.end(kept, answer))
        return
      }
      checkGroup(transaction, producerGroup)
      if (outcome === 'rollback') this.#rollBack(transaction, answer)
      else this.#commit(transaction, request, answer)
    })
  }

  /** What has ended ends so again, and not the other way. */
  #endAgain(key: string, endedAs: EndedAs, outcome: TransactionOutcome, answer: Answer<TransactionEnded>): void {
    const { turn } = this.#deps
    if (endedAs === 'unknown' && outcome === 'rollback') throw notFound()
    if (endedAs !== outcome) throw finished(`was ${endedAs === 'commit' ? 'committed' : 'rolled back'} before`)
    const duplicate = true
    if (outcome === 'rollback') return turn.after(() => answer({ outcome, duplicate, segments: [], scheduled: [] }))
    // After the turn, so that what ended in it is found.
    turn.after(() => this.#ended.read(key, (ended) => {
      answer({ outcome, duplicate, segments: ended?.segments ?? [], scheduled: ended?.scheduled ?? [] })
    }))
  }

  /** Never prepared; or ended so long ago that only its messages can tell. */
  #endUnknown(key: string, request: EndTransactionRequest, answer: Answer<TransactionEnded>): void {
    const { turn, store, readFailed } = this.#deps
    const transactionId = copyBytes(request.transactionId)
    if (request.outcome === 'rollback') {
      // A PREPARE that is still on its way must not begin it.
      this.#remember(key, transactionId, request.producerGroup, 'unknown', [], [])
      throw notFound()
    }
    const proceed = (isThere: boolean) => {
      if (turn.isStopped) return
      if (this.#open.has(key) || this.#ended.find(key) !== undefined) return this.end({ ...request, transactionId }, answer)
      turn.after(() => answer(isThere ? { outcome: 'commit', duplicate: true, segments: [], scheduled: [] } : notFound()))
    }
    turn.after(() => void hasMessagesOf(store, transactionId).then(proceed, (error: unknown) => readFailed(toPocketError(error))))
  }

  #rollBack(transaction: Transaction, answer: Answer<TransactionEnded>): void {
    const { turn, counters } = this.#deps
    counters.rolledBackTransactions++
    this.#finish(transaction, 'rollback', [], [])
    turn.after(() => answer({ outcome: 'rollback', duplicate: false, segments: [], scheduled: [] }))
  }

  #commit(transaction: Transaction, { messageCount }: EndTransactionRequest, answer: Answer<TransactionEnded>): void {
    const { limits, answering } = this.#deps
    if (transaction.isDamaged) throw damaged(transaction)
    if (messageCount !== transaction.messageCount) {
      const text = `a commit of ${messageCount} messages, where the transaction has ${transaction.messageCount}`
      throw new PocketError('SEQUENCE_GAP', text)
    }
    if (transaction.firstInMemory === 0) return this.#commitParts(transaction, transaction.parts, answer)
    // Before its messages are read, which may be in vain.
    for (const { topicId, topic } of transaction.targets) this.#topicOf(topicId, topic)
    transaction.state = 'committing'
    this.#checks.cancel(transaction)
    this.#unresolved.forget(transaction)
    this.#withParts(transaction, (parts) => {
      transaction.state = 'open'
      answering.deciding(answer, () => this.#commitParts(transaction, parts, answer), () => {
        if (!transaction.isDamaged) this.#checks.schedule(transaction, limits.transactionCheckMs)
      })
      const waiting = transaction.waiting ?? []
      transaction.waiting = undefined
      for (const run of waiting) run()
    })
  }

  /** Runs when it is known whether the transaction is committed. */
  #later(transaction: Transaction, run: () => void): void {
    transaction.waiting ??= []
    transaction.waiting.push(run)
  }

  /** Throws where the messages cannot go to their topics; then nothing has changed. */
  #commitParts(transaction: Transaction, parts: readonly HalfMessages[] | PocketError, answer: Answer<TransactionEnded>): void {
    const { publisher, counters, turn } = this.#deps
    if (parts instanceof PocketError) throw parts
    const { transactionId: producerId, preparedMs: arrivedMs } = transaction
    const batches = parts.map(({ target: { topicId, topic }, baseSequence, messageCount, messages }) => ({
      topic: this.#topicOf(topicId, topic),
      batch: { producerId, producerEpoch: 0, baseSequence, messageCount, messages },
    }))
    publisher.checkReserve(transaction.byteCount)
    const placed = publisher.storeTogether(batches, { clientId: '', sentMs: 0, arrivedMs })
    const segments: TopicSegment[] = []
    const scheduled: number[] = []
    placed.forEach((part, index) => {
      const topic = (batches[index] as (typeof batches)[number]).topic.name
      for (const segment of part.segments) segments.push({ topic, ...segment })
      scheduled.push(...part.scheduled)
    })
    counters.committedTransactions++
    this.#finish(transaction, 'commit', segments, scheduled)
    turn.after(() => answer({ outcome: 'commit', duplicate: false, segments, scheduled }))
  }

  #topicOf(topicId: number, name: string): Topic {
    const topic = this.#deps.registry.topicById(topicId)
    if (topic !== undefined) return topic
    throw new PocketError('TOPIC_NOT_FOUND', `topic '${name}', which a message of the transaction is for, was deleted`)
  }

  /** Ends a transaction in memory, and with this turn's commit in the store. */
  #finish(
    transaction: Transaction, endedAs: EndedAs, segments: readonly TopicSegment[], scheduled: readonly number[],
  ): void {
    const { transactionId, key, producerGroup } = transaction
    assert(transaction.state === 'open', 'a transaction ends once')
    transaction.state = 'ended'
    this.#open.delete(key)
    this.#checks.closed(transaction)
    this.#unresolved.forget(transaction)
    this.#uncache(transaction)
    // What was never stored need not be removed.
    if (transaction.sealedCount > 0) this.#changed.add(transaction)
    else this.#changed.delete(transaction)
    this.#remember(key, transactionId, producerGroup, endedAs, segments, scheduled)
  }

  #remember(
    key: string, transactionId: Uint8Array, producerGroup: string, endedAs: EndedAs, segments: readonly TopicSegment[],
    scheduled: readonly number[],
  ): void {
    this.#ended.add(key, { transactionId, producerGroup, endedAs, segments, scheduled })
  }

  // ── checks and listing ────────────────────────────────────────────────────────────────────────────────────────

  registerProducer(producerGroup: string, sink: ProducerSink): Cancellable {
    return this.#checks.register(producerGroup, sink)
  }

  list(
    request: ListTransactionsRequest, answer: Answer<{ transactions: readonly TransactionSummary[]; more: boolean }>,
  ): void {
    this.#deps.turn.after(() => answer(listTransactions(this.#open.values(), request, this.#deps.limits)))
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Calls `use` with all messages of a transaction, at once where they are in memory, or with RECORD_DAMAGED. */
  #withParts(transaction: Transaction, use: (parts: readonly HalfMessages[] | PocketError) => void): void {
    const { store, turn, counters, log, readFailed } = this.#deps
    const { number, firstInMemory, hasApart, parts: inMemory } = transaction
    if (transaction.isDamaged) return use(damaged(transaction))
    if (firstInMemory === 0) return use(inMemory)
    const rest = [...inMemory]
    readParts(store, number, firstInMemory, hasApart, (found) => {
      if (turn.isStopped) return
      if (found instanceof Error) return readFailed(found)
      if (isWhole(found)) return use([...found, ...rest])
      // It may have ended while it was read: then its parts are gone, as they should be.
      if (transaction.state !== 'ended') {
        transaction.isDamaged = true
        this.#checks.cancel(transaction)
        counters.damagedRecords++
        log.error('damage-found', { what: 'transaction', transactionId: transaction.text })
      }
      use(damaged(transaction))
    })
  }

  #uncache(transaction: Transaction): void {
    if (this.#cached.delete(transaction)) this.#cachedBytes -= transaction.bytesInMemory
  }

  /** Lets go of the oldest messages in memory. All that was sealed is durable by now, and can be read again. */
  #shrinkCache(): void {
    for (const transaction of this.#cached) {
      if (this.#cachedBytes <= this.#deps.limits.transactionCacheBytesMax) return
      const { parts, sealedCount, firstInMemory } = transaction
      if (sealedCount === firstInMemory) continue
      for (const { messages } of parts.splice(0, sealedCount - firstInMemory)) this.#cachedBytes -= messages.length
      transaction.firstInMemory = sealedCount
      if (parts.length === 0) this.#cached.delete(transaction)
    }
  }

  // ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Adds what changed to the turn's writes. */
  seal(nowMs: number, writes: StoreWrite[]): void {
    this.#shrinkCache()
    for (const transaction of this.#changed) {
      const { sealedCount, hasApart, parts, firstInMemory } = transaction
      if (transaction.state === 'ended') {
        removeParts(transaction, sealedCount, hasApart, writes)
        continue
      }
      for (let index = sealedCount; index < transaction.partCount; index++) {
        const part = parts[index - firstInMemory] as HalfMessages
        const { target, baseSequence, messageCount } = part
        const messages = writePart(transaction, index, transaction, part, writes)
        parts[index - firstInMemory] = { target, baseSequence, messageCount, messages }
      }
      transaction.sealedCount = transaction.partCount
    }
    this.#changed.clear()
    this.#ended.seal(nowMs, writes)
  }

  /** The state of checks is kept with the first part. */
  #writeHead(transaction: Transaction, parts: readonly HalfMessages[]): void {
    const writes: StoreWrite[] = []
    rewritePart(transaction, 0, transaction, parts[0] as HalfMessages, writes)
    for (const { key, value } of writes) this.#deps.turn.write(key, value)
  }
}

function checkRequest({ producerGroup, checkAfterMs, messageCount }: PrepareRequest): void {
  checkGroupName(producerGroup)
  if (checkAfterMs > transactionCheckFirstMsMax) {
    const text = `a first check after ${checkAfterMs} ms; at most ${transactionCheckFirstMsMax} are allowed`
    throw new PocketError('BAD_ARGUMENT', text)
  }
  if (messageCount < 1) throw new PocketError('BAD_FRAME', 'a part without messages')
}

/** Of a damaged one the group may not be known. */
function checkGroup(transaction: Transaction, producerGroup: string): void {
  if (transaction.producerGroup !== producerGroup && transaction.producerGroup !== '') throw ofAnotherGroup()
}

function ofAnotherGroup(): PocketError {
  return new PocketError('FORBIDDEN', 'the transaction is of another producer group')
}

function finished(how: string): PocketError {
  return new PocketError('TRANSACTION_FINISHED', `the transaction ${how}`)
}

function notFound(): PocketError {
  return new PocketError('TRANSACTION_NOT_FOUND', 'there is no such transaction, or it ended long ago')
}

function damaged({ text }: Transaction): PocketError {
  return new PocketError('RECORD_DAMAGED', `messages of transaction ${text} are damaged; it can be rolled back`)
}

/** Whether messages of a committed transaction are kept, in queues or until they are due. */
async function hasMessagesOf(store: Store, transactionId: Uint8Array): Promise<boolean> {
  const ranges = [dueTimeRange(transactionId, 0, 0, transactionMessageCountMax), idIndexRange(transactionId, 0, 0)]
  for (const range of ranges) if ((await readRange(store, { ...range, countMax: 1 })).length > 0) return true
  return false
}

function isWhole(parts: readonly (HalfMessages | undefined)[]): parts is readonly HalfMessages[] {
  return parts.every((part) => part !== undefined)
}
