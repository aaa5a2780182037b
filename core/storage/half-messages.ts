// Transactions as stored. One that is not ended is its parts, one entry each, which a commit or a rollback removes; what
// ended in one turn is remembered together, in one entry. Small messages stand within the entry of their part, so that
// most transactions cost one key; large ones apart, so that opening a store does not read them.

import { type ByteReader, ByteWriter, copyBytes } from '../bytes.ts'
import { PocketError, toPocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import { producerIdToText } from '../record/record-batch.ts'
import {
  endedTransactionsKey, halfMessagesKey, halfMessagesRange, type KeyKind, keyKinds, KeyReader, kindRange, transactionPartKey,
  transactionPartRange,
} from './keys.ts'
import { readAll, type ReadAhead } from './reads.ts'
import { openValue, sealValue } from './sealed.ts'

const version = 1
/** One for all: every use leaves it empty. */
const writer = new ByteWriter(256)
/** Messages of a part stand apart from it when they are larger. */
const inlineBytesMax = 1_024
const scanChunkBytes = 1 << 20
const endedCountMax = 1 << 20

/** The topic that messages are for. Its name outlives it, its id tells it from a later one of the same name. */
export interface TopicName {
  readonly topicId: number
  readonly topic: string
}

/** Messages of one PREPARE. */
export interface HalfMessages {
  readonly target: TopicName
  readonly baseSequence: number
  readonly messageCount: number
  readonly messages: Uint8Array
}

/** What names a transaction. Numbers follow each other, so that what comes together lies together. */
export interface TransactionName {
  readonly number: number
  /** Eight bytes. */
  readonly transactionId: Uint8Array
}

/** What every part says of its transaction, so that no part needs another. */
export interface PartHead {
  readonly producerGroup: string
  /** Wall time. */
  readonly preparedMs: number
  /** Checks that were handed to a producer; kept with the first part. */
  readonly checkCount: number
  /** Wall time. */
  readonly nextCheckMs: number
  /** The time that was to pass before that check: after a restart never longer, wherever the wall clock went. */
  readonly checkWaitMs: number
}

export function isApart(part: HalfMessages): boolean {
  return part.messages.length > inlineBytesMax
}

/** Adds a part to the writes of a commit; gives its messages in bytes of their own. */
export function writePart(
  transaction: TransactionName, index: number, head: PartHead, part: HalfMessages, writes: StoreWrite[],
): Uint8Array {
  const value = encodePart(head, part)
  const { number, transactionId } = transaction
  writes.push({ key: transactionPartKey(number, index, transactionId), value })
  if (!isApart(part)) return value.subarray(value.length - part.messages.length)
  const messages = sealValue(version, (w) => w.raw(part.messages), writer)
  writes.push({ key: halfMessagesKey(number, index), value: messages })
  return messages.subarray(messages.length - part.messages.length)
}

/** Adds a part anew whose head has changed. */
export function rewritePart(
  { number, transactionId }: TransactionName, index: number, head: PartHead, part: HalfMessages, writes: StoreWrite[],
): void {
  writes.push({ key: transactionPartKey(number, index, transactionId), value: encodePart(head, part) })
}

/** Adds the removal of the first `partCount` parts. `hasApart`: messages of any of them stand apart. */
export function removeParts(
  { number, transactionId }: TransactionName, partCount: number, hasApart: boolean, writes: StoreWrite[],
): void {
  for (let index = 0; index < partCount; index++) {
    writes.push({ key: transactionPartKey(number, index, transactionId), value: null })
    if (hasApart) writes.push({ key: halfMessagesKey(number, index), value: null })
  }
}

function encodePart(head: PartHead, part: HalfMessages): Uint8Array {
  return sealValue(version, (w) => {
    w.text(head.producerGroup)
    w.varint(head.preparedMs)
    w.varint(head.checkCount)
    w.varint(head.nextCheckMs)
    w.varint(head.checkWaitMs)
    w.varint(part.target.topicId)
    w.text(part.target.topic)
    w.varint(part.baseSequence)
    w.varint(part.messageCount)
    w.varint(part.messages.length)
    if (!isApart(part)) w.raw(part.messages)
  }, writer)
}

interface StoredPart {
  readonly head: PartHead
  readonly target: TopicName
  readonly baseSequence: number
  readonly messageCount: number
  readonly byteCount: number
  /** Undefined where they stand apart. */
  readonly messages: Uint8Array | undefined
}

function decodePart(bytes: Uint8Array): StoredPart {
  const reader = openValue(version, bytes)
  const head = {
    producerGroup: reader.text(fixedLimits.groupNameLengthMax),
    preparedMs: reader.varint(),
    checkCount: reader.varint(),
    nextCheckMs: reader.varint(),
    checkWaitMs: reader.varint(),
  }
  const target = { topicId: reader.varint(), topic: reader.text(fixedLimits.systemTopicNameLengthMax) }
  const baseSequence = reader.varint()
  const messageCount = reader.varint()
  const byteCount = reader.varint()
  const messages = byteCount > inlineBytesMax ? undefined : reader.raw(byteCount)
  return { head, target, baseSequence, messageCount, byteCount, messages }
}

/**
 * Reads the first `partCount` parts of a transaction; undefined for one that is damaged or gone. `answer` gets an error
 * only where the store itself failed.
 */
export function readParts(
  store: Store, number: number, partCount: number, hasApart: boolean,
  answer: (parts: readonly (HalfMessages | undefined)[] | Error) => void,
): void {
  store.read(transactionPartRange(number, partCount), (outcome) => {
    if (outcome.kind === 'failed') return answer(toPocketError(outcome.cause))
    const stored = outcome.entries
    if (!hasApart) return answer(partsOf(stored, new Map(), partCount))
    store.read(halfMessagesRange(number, partCount), (messages) => {
      if (messages.kind === 'failed') return answer(toPocketError(messages.cause))
      answer(partsOf(stored, new Map(messages.entries.map(({ key, value }) => [partIndexOf(key), value])), partCount))
    })
  })
}

function partsOf(
  stored: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[], apart: ReadonlyMap<number, Uint8Array>,
  partCount: number,
): (HalfMessages | undefined)[] {
  const parts = Array.from({ length: partCount }, (): HalfMessages | undefined => undefined)
  for (const { key, value } of stored) {
    const index = partIndexOf(key)
    parts[index] = undamaged(() => {
      const { target, baseSequence, messageCount, byteCount, messages = messagesIn(apart.get(index)) } = decodePart(value)
      if (messages.length !== byteCount) throw new PocketError('RECORD_DAMAGED', 'half messages are of another size')
      return { target, baseSequence, messageCount, messages }
    })
  }
  return parts
}

function messagesIn(value: Uint8Array | undefined): Uint8Array {
  if (value === undefined) throw new PocketError('RECORD_DAMAGED', 'half messages are gone')
  const reader = openValue(version, value)
  return reader.raw(reader.remaining)
}

function undamaged<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof PocketError)) throw error
    return undefined
  }
}

function partIndexOf(key: Uint8Array): number {
  const reader = new KeyReader(key)
  reader.u53()
  return reader.u32()
}

// ── ended transactions ────────────────────────────────────────────────────────────────────────────────────────────

/** How a transaction ended. `unknown`: rolled back without ever having been prepared. */
export type EndedAs = 'commit' | 'rollback' | 'unknown'

const endings: readonly EndedAs[] = ['rollback', 'commit', 'unknown']

/** A run of messages that went to a queue; of epoch 0 are those that were delayed. */
export interface EndedSegment {
  readonly topic: string
  readonly queueId: number
  readonly epoch: number
  readonly offset: number
  readonly count: number
}

export interface EndedTransaction {
  /** Eight bytes. */
  readonly transactionId: Uint8Array
  readonly producerGroup: string
  readonly endedAs: EndedAs
  /** Where its messages went, in message order. */
  readonly segments: readonly EndedSegment[]
  /** When each delayed one is due. */
  readonly scheduled: readonly number[]
}

export function encodeEnded(endedMs: number, transactions: readonly EndedTransaction[]): Uint8Array {
  // Names are few and come again and again: they are listed once.
  const names = new Map<string, number>()
  const numberOf = (name: string): number => {
    const number = names.get(name) ?? names.size
    names.set(name, number)
    return number
  }
  for (const { producerGroup, segments } of transactions) {
    numberOf(producerGroup)
    for (const { topic } of segments) numberOf(topic)
  }
  return sealValue(version, (w) => {
    w.varint(endedMs)
    w.varint(names.size)
    for (const name of names.keys()) w.text(name)
    w.varint(transactions.length)
    for (const { transactionId, producerGroup, endedAs, segments, scheduled } of transactions) {
      w.raw(transactionId)
      w.u8(endings.indexOf(endedAs))
      w.varint(numberOf(producerGroup))
      w.varint(segments.length)
      for (const { topic, queueId, epoch, offset, count } of segments) {
        w.varint(numberOf(topic))
        w.varint(queueId)
        w.u32(epoch)
        w.varint(offset)
        w.varint(count)
      }
      w.varint(scheduled.length)
      for (const deliverMs of scheduled) w.varint(deliverMs)
    }
  }, writer)
}

export function decodeEnded(bytes: Uint8Array): { endedMs: number; transactions: readonly EndedTransaction[] } {
  const reader = openValue(version, bytes)
  const endedMs = reader.varint()
  const names = Array.from({ length: reader.count(endedCountMax) }, () => reader.text(fixedLimits.systemTopicNameLengthMax))
  const transactions = Array.from({ length: reader.count(endedCountMax, 12) }, () => ({
    transactionId: copyBytes(reader.raw(8)),
    endedAs: endings[reader.u8()] ?? 'rollback',
    producerGroup: names[reader.varint()] ?? '',
    segments: Array.from({ length: reader.count(fixedLimits.transactionMessageCountMax, 8) }, () => ({
      topic: names[reader.varint()] ?? '',
      queueId: reader.varint(),
      epoch: reader.u32(),
      offset: reader.varint(),
      count: reader.varint(),
    })),
    scheduled: varints(reader),
  }))
  return { endedMs, transactions }
}

function varints(reader: ByteReader): number[] {
  return Array.from({ length: reader.count(fixedLimits.transactionMessageCountMax) }, () => reader.varint())
}

/** What ended with one turn, by that turn's number; undefined where it is not kept any more, or damaged. */
export function readEnded(
  store: Store, number: number, answer: (transactions: readonly EndedTransaction[] | undefined | Error) => void,
): void {
  store.read({ from: endedTransactionsKey(number), to: endedTransactionsKey(number + 1), countMax: 1 }, (outcome) => {
    if (outcome.kind === 'failed') return answer(toPocketError(outcome.cause))
    const value = outcome.entries[0]?.value
    answer(value && undamaged(() => decodeEnded(value).transactions))
  })
}

// ── opening ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** A transaction that was not ended, put together from its parts. */
export interface RecoveredTransaction extends TransactionName, PartHead {
  readonly targets: readonly TopicName[]
  readonly messageCount: number
  readonly byteCount: number
  readonly partCount: number
  readonly hasApart: boolean
  /** Some part cannot be read: it may be rolled back, and nothing else. Where none can, the rest is empty. */
  readonly isDamaged: boolean
}

export interface RecoveredEnded {
  readonly number: number
  readonly endedMs: number
  readonly transactions: readonly EndedTransaction[]
}

export interface RecoveredTransactions {
  /** The oldest first. */
  readonly open: readonly RecoveredTransaction[]
  /** Higher than any that is taken. */
  readonly numberNext: number
  /** In the order they ended. */
  readonly ended: readonly RecoveredEnded[]
  /** Higher than any that is taken, those of damaged entries among them. */
  readonly endedNumberNext: number
}

const noTargets: readonly TopicName[] = []

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * Reads all but messages that stand apart; `ahead`: what was asked for already. `damaged` is told of what cannot be read; it
 * stays where it is.
 */
export async function recoverTransactions(
  store: Store, damaged: (what: string) => void, ahead: ReadonlyMap<KeyKind, ReadAhead> = new Map(),
): Promise<RecoveredTransactions> {
  const all = (kind: KeyKind) => readAll(store, kindRange(kind), scanChunkBytes, undefined, ahead.get(kind))
  const open: Writable<RecoveredTransaction>[] = []
  const known: Known = { groups: new Map(), targets: new Map() }
  let numberNext = 0
  for await (const { key, value } of all(keyKinds.transactionPart)) {
    const reader = new KeyReader(key)
    const number = reader.u53()
    const index = reader.u32()
    const last = open.at(-1)
    const transaction = last?.number === number ? last : emptyTransaction(number, copyBytes(reader.raw(8)))
    if (transaction !== last) open.push(transaction)
    numberNext = number + 1
    if (index !== transaction.partCount) transaction.isDamaged = true
    transaction.partCount = index + 1
    try {
      addPart(transaction, decodePart(value), known)
    } catch (cause) {
      if (!(cause instanceof PocketError)) throw cause
      transaction.isDamaged = true
      // Messages of any size may have been there.
      transaction.hasApart = true
      damaged(`part ${index} of transaction ${producerIdToText(transaction.transactionId)}`)
    }
  }
  open.sort((left, right) => left.preparedMs - right.preparedMs)
  const ended: RecoveredEnded[] = []
  let endedNumberNext = 0
  for await (const { key, value } of all(keyKinds.endedTransactions)) {
    const number = new KeyReader(key).u53()
    endedNumberNext = number + 1
    try {
      ended.push({ number, ...decodeEnded(value) })
    } catch (cause) {
      if (!(cause instanceof PocketError)) throw cause
      damaged(`ended transactions ${number}`)
    }
  }
  return { open, numberNext, ended, endedNumberNext }
}

function emptyTransaction(number: number, transactionId: Uint8Array): Writable<RecoveredTransaction> {
  return {
    number, transactionId, targets: noTargets, producerGroup: '', preparedMs: 0, checkCount: 0, nextCheckMs: 0, checkWaitMs: 0,
    messageCount: 0, byteCount: 0, partCount: 0, hasApart: false, isDamaged: false,
  }
}

/** Names that many parts have: kept once. */
interface Known {
  readonly groups: Map<string, string>
  readonly targets: Map<number, readonly [TopicName]>
}

function addPart(
  transaction: Writable<RecoveredTransaction>, { head, target, baseSequence, messageCount, byteCount, messages }: StoredPart,
  { groups, targets }: Known,
): void {
  if (baseSequence !== transaction.messageCount) transaction.isDamaged = true
  if (transaction.producerGroup === '') {
    transaction.producerGroup = groups.get(head.producerGroup) ?? head.producerGroup
    groups.set(transaction.producerGroup, transaction.producerGroup)
    transaction.preparedMs = head.preparedMs
  }
  transaction.checkCount = Math.max(transaction.checkCount, head.checkCount)
  // The first part is written anew with every check, so it may be later than those behind it.
  if (head.nextCheckMs >= transaction.nextCheckMs) {
    transaction.nextCheckMs = head.nextCheckMs
    transaction.checkWaitMs = head.checkWaitMs
  }
  transaction.messageCount = baseSequence + messageCount
  transaction.byteCount += byteCount
  if (messages === undefined) transaction.hasApart = true
  const alone = targets.get(target.topicId) ?? [target]
  targets.set(target.topicId, alone)
  if (transaction.targets.length === 0) transaction.targets = alone
  else if (!transaction.targets.some(({ topicId }) => topicId === target.topicId)) {
    transaction.targets = [...transaction.targets, alone[0]]
  }
}
