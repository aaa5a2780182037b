// Dead letters put back where they came from, or deleted, as an operator asks. A letter goes from its record with the
// commit that stores it in its origin topic, so it is in one place at any time. Requests on one group's letters wait for
// each other, and for retention.

import { ByteWriter } from '../bytes.ts'
import { PocketError, toPocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { parseMessageId } from '../model/message.ts'
import { checkGroupName, deadLetterTopicOf } from '../model/names.ts'
import type { Log } from '../ports/log.ts'
import type { Store } from '../ports/store.ts'
import { encodeMessage } from '../record/message-codec.ts'
import { RecordBatch } from '../record/record-batch.ts'
import { recordRange } from '../storage/keys.ts'
import { lastOffsetOf, type QueueLog } from '../storage/queue-log.ts'
import { readAll } from '../storage/reads.ts'
import type { Answering } from './answering.ts'
import { resentHeaders } from './dead-letters.ts'
import type { Answer, DeadLettersMoved, DeadLettersRequest } from './door.ts'
import type { OwnProducer } from './own-producer.ts'
import type { Publisher } from './publisher.ts'
import type { Queries } from './queries.ts'
import type { Registry } from './registry.ts'
import type { Rewrite, Rewriting } from './rewriting.ts'
import type { BrokerCounters } from './stats.ts'
import type { Topic } from './topic.ts'
import type { Turn } from './turn.ts'

/** Letters moved with one commit have about so many bytes; those of one request for all, so many. */
const commitBytes = 1 << 20
const requestBytesMax = 16 << 20
const { deadLetterCountMax } = fixedLimits

export interface DeadLetterMovesDeps {
  readonly store: Store
  readonly log: Log
  readonly turn: Turn
  readonly registry: Registry
  readonly publisher: Publisher
  readonly queries: Queries
  readonly answering: Answering
  readonly rewriting: Rewriting
  readonly producer: OwnProducer
  readonly counters: BrokerCounters
  /** Readers of the dead letters are to look again. */
  readonly moved: (topic: Topic) => void
}

type Kind = 'resend' | 'purge'

/** The letters of one request, while they are moved. */
interface Move {
  readonly kind: Kind
  readonly group: string
  readonly topic: Topic
  readonly log: QueueLog
  /** Whether the first letter that is refused ends it. */
  readonly endsRefused: boolean
}

/** A record and the indexes of its letters that are to be moved, ascending. */
interface Chosen {
  readonly record: RecordBatch
  readonly indexes: number[]
  /** Behind the record before it. */
  readonly previousEnd: number
}

/** Letters that go with one commit. */
interface Portion {
  readonly chosen: readonly Chosen[]
  readonly byteCount: number
  /** Keys of damaged records between them, and their bytes. */
  readonly damagedKeys: readonly Uint8Array[]
  readonly damagedBytes: number
  /** Of all letters: everything before is among them. */
  readonly to: number
  /** Whether there are others behind. */
  readonly more: boolean
}

/** What came of some letters: how many went, and why the first of the others could not. */
interface Outcome {
  readonly movedCount: number
  readonly refused: PocketError | undefined
}

export class DeadLetterMoves {
  readonly #deps: DeadLetterMovesDeps
  readonly #writer = new ByteWriter()
  readonly #scratch = new ByteWriter()

  constructor(deps: DeadLetterMovesDeps) {
    this.#deps = deps
  }

  /**
   * Puts letters back, those named or all. Letters named go in the order they died, until one is refused; of all, those
   * that can go do, and the first that cannot is told once nothing else is left.
   */
  resend(request: DeadLettersRequest, answer: Answer<DeadLettersMoved>): void {
    this.#move('resend', request, answer)
  }

  /** Deletes letters, those named or all. */
  purge(request: DeadLettersRequest, answer: Answer<DeadLettersMoved>): void {
    this.#move('purge', request, answer)
  }

  #move(kind: Kind, { group, messageIds }: DeadLettersRequest, answer: Answer<DeadLettersMoved>): void {
    const { answering, log, registry, rewriting, turn } = this.#deps
    answering.deciding(answer, () => {
      checkGroupName(group)
      if (messageIds.length > deadLetterCountMax) {
        throw new PocketError(
          'BAD_ARGUMENT', `${messageIds.length} dead letters are named; at most ${deadLetterCountMax} are allowed`,
        )
      }
      for (const messageId of messageIds) parseMessageId(messageId)
      const [first] = messageIds
      const topic = registry.topics.get(deadLetterTopicOf(group))
      if (topic === undefined) {
        if (first !== undefined) throw notFound(first, group)
        registry.group(group)
        return turn.after(() => answer({ messageCount: 0, more: false }))
      }
      const move = { kind, group, topic, log: topic.queues[0] as QueueLog, endsRefused: first !== undefined }
      const work = () => (first === undefined ? this.#moveAll(move) : this.#moveNamed(move, messageIds))
      // After the turn, so that letters that are written with it are found.
      turn.after(() => {
        rewriting.exclusively(move.log, work).then(
          (moved) => {
            log.info(`dead-letters-${kind}`, { group, messageCount: moved.messageCount, more: moved.more })
            turn.after(() => answer(moved))
          },
          (error: unknown) => turn.after(() => answer(toPocketError(error))),
        )
      })
    })
  }

  // ── those named ───────────────────────────────────────────────────────────────────────────────────────────────

  async #moveNamed(move: Move, messageIds: readonly string[]): Promise<DeadLettersMoved> {
    const { queries } = this.#deps
    const idsByOffset = new Map<number, string>()
    for (const messageId of messageIds) {
      const offset = await queries.offsetOfSingle(move.topic, messageId)
      if (offset === undefined) throw notFound(messageId, move.group)
      idsByOffset.set(offset, messageId)
    }
    const offsets = [...idsByOffset.keys()].sort((left, right) => left - right)
    let messageCount = 0
    while (offsets.length > 0) {
      const portion = await this.#chooseNamed(move.log, offsets)
      // The index told of one that is not there: its record is damaged.
      if (portion.chosen.length === 0) throw notFound(idsByOffset.get(offsets[0] as number) as string, move.group)
      const { movedCount, refused } = await this.#apply(move, portion)
      messageCount += movedCount
      if (refused !== undefined) throw refused
    }
    return { messageCount, more: false }
  }

  /** Takes from `offsets` what goes with the next commit; nothing where the first is not there. */
  async #chooseNamed(log: QueueLog, offsets: number[]): Promise<Portion> {
    const chosen: Chosen[] = []
    let byteCount = 0
    while (offsets.length > 0 && byteCount < commitBytes) {
      const { value: found } = await this.#recordsFrom(log, offsets[0] as number).next()
      const record = found?.record
      const indexes: number[] = []
      while (record !== undefined && byteCount < commitBytes) {
        const index = offsets.length === 0 ? -1 : record.indexOf(offsets[0] as number)
        if (index < 0) break
        offsets.shift()
        indexes.push(index)
        byteCount += record.messageEnd(index) - record.messageStart(index)
      }
      if (record === undefined || indexes.length === 0) break
      chosen.push({ record, indexes, previousEnd: await log.readEndBefore(record.lastOffset) })
    }
    return { chosen, byteCount, damagedKeys: [], damagedBytes: 0, to: 0, more: offsets.length > 0 }
  }

  // ── all ───────────────────────────────────────────────────────────────────────────────────────────────────────

  async #moveAll(move: Move): Promise<DeadLettersMoved> {
    let from = move.log.minOffset
    let messageCount = 0
    let byteCount = 0
    let refused: PocketError | undefined
    for (let more = true; more;) {
      if (messageCount >= deadLetterCountMax || byteCount >= requestBytesMax) return { messageCount, more: true }
      const portion = await this.#chooseAll(move.log, from, deadLetterCountMax - messageCount)
      const outcome = await this.#apply(move, portion)
      messageCount += outcome.movedCount
      // What stays is passed over in any number, as the next request would begin with it again.
      if (outcome.movedCount > 0) byteCount += portion.byteCount
      refused ??= outcome.refused
      from = portion.to
      more = portion.more
    }
    if (refused !== undefined && messageCount === 0) throw refused
    return { messageCount, more: refused !== undefined }
  }

  /** The letters from an offset on that go with the next commit. */
  async #chooseAll(log: QueueLog, from: number, countMax: number): Promise<Portion> {
    const chosen: Chosen[] = []
    const damagedKeys: Uint8Array[] = []
    let damagedBytes = 0
    let count = 0
    let byteCount = 0
    let to = from
    let more = false
    let previousEnd = await log.readEndBefore(from)
    const isFull = () => count >= countMax || byteCount >= commitBytes
    for await (const { record, key, size } of this.#recordsFrom(log, from)) {
      more = isFull()
      if (more) break
      const end = lastOffsetOf(key) + 1
      if (record === undefined) {
        damagedKeys.push(key)
        damagedBytes += size
      } else {
        const indexes: number[] = []
        let index = record.indexFrom(from)
        for (; index < record.messageCount && !isFull(); index++) {
          indexes.push(index)
          count++
          byteCount += record.messageEnd(index) - record.messageStart(index)
        }
        chosen.push({ record, indexes, previousEnd })
        more = index < record.messageCount
        to = more ? record.offsetAt(index) : end
        if (more) break
      }
      to = end
      previousEnd = end
    }
    return { chosen, byteCount, damagedKeys, damagedBytes, to, more }
  }

  /** The records of a log that end at `offset` or later, one at a time; undefined for damaged ones. */
  async *#recordsFrom(
    log: QueueLog, offset: number,
  ): AsyncGenerator<{ record: RecordBatch | undefined; key: Uint8Array; size: number }> {
    for await (const { key, value } of readAll(this.#deps.store, recordRange(log.topicId, log.queueId, offset), 1)) {
      yield { record: openOrUndefined(value), key, size: value.length }
    }
  }

  // ── moving ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Moves letters with one commit, and waits for it. */
  async #apply({ kind, topic, log, endsRefused }: Move, portion: Portion): Promise<Outcome> {
    const { counters, moved, publisher, registry, rewriting } = this.#deps
    registry.checkPresent(topic)
    if (kind === 'resend') {
      publisher.checkOpen()
      publisher.checkRoom()
    }
    let refused: PocketError | undefined
    const rewrites: Rewrite[] = []
    for (const { record, indexes, previousEnd } of portion.chosen) {
      const gone = new Set<number>()
      for (const index of indexes) {
        if (refused !== undefined && endsRefused) break
        const refusal = kind === 'resend' ? this.#putBack(topic, log, record, index) : undefined
        if (refusal === undefined) gone.add(index)
        else refused ??= refusal
      }
      if (gone.size === 0) continue
      const kept = Array.from({ length: record.messageCount }, (_, index) => index).filter((index) => !gone.has(index))
      rewrites.push({ record, kept, previousEnd })
    }
    // Deleting all is the one request that may delete what nobody can read any more, and with it the log begins later.
    const isTrim = kind === 'purge' && !endsRefused
    if (rewrites.length === 0 && !isTrim) return { movedCount: 0, refused }
    const movedCount = rewriting.apply(log, rewrites, isTrim ? portion : undefined)
    if (kind === 'resend') counters.resentDeadLetters += movedCount
    else counters.purgedDeadLetters += movedCount
    moved(topic)
    await rewriting.durable()
    return { movedCount, refused }
  }

  /** Stores a letter in its origin topic with this turn's commit; gives why that cannot be. */
  #putBack(topic: Topic, log: QueueLog, record: RecordBatch, index: number): PocketError | undefined {
    const { producer, publisher, registry } = this.#deps
    const letter = record.messageAt(index, topic.name, log.queueId)
    try {
      const { origin, headers } = resentHeaders(letter)
      const originTopic = registry.topic(origin)
      encodeMessage(this.#writer, this.#scratch, 0, headers, letter.body)
      const messages = this.#writer.finish()
      publisher.store(originTopic, {
        producerId: producer.producerId, producerEpoch: 0, baseSequence: producer.next(), messageCount: 1, messages,
      })
      publisher.take(messages.length)
      return undefined
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      return new PocketError(error.code, `dead letter ${letter.messageId}: ${error.message}`, { cause: error })
    }
  }
}

function notFound(messageId: string, group: string): PocketError {
  return new PocketError('MESSAGE_NOT_FOUND', `there is no dead letter ${messageId} of group '${group}'`)
}

function openOrUndefined(value: Uint8Array): RecordBatch | undefined {
  try {
    return RecordBatch.open(value)
  } catch {
    return undefined
  }
}
