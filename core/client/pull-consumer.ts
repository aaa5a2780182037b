// Reads one queue from a position on, without a group: batches as they lie there. It asks for the next batch while the
// application is busy with one, and keeps its own place, so that a lost connection costs nothing but time.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { Position, StartPolicy } from '../model/position.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession } from '../session/client-session.ts'
import type { Codec, GapEvent, Message, PullConsumer } from './api.ts'
import type { ClientFilter } from './filter.ts'
import type { MessageSource, Replies } from './message.ts'
import { messagesOf } from './stored-messages.ts'

/** The bytes are what bounds an answer; this only keeps tiny messages from becoming too many objects at once. */
const pullMessageCountMax = fixedLimits.batchMessageCountMax
const pullBytesMax = 1024 * 1024

export interface PullConsumerDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
  readonly requestTimeoutMs: number
  readonly replies: Replies
  readonly gap: (event: GapEvent) => void
  readonly closed: (consumer: { close(): Promise<void> }) => void
}

export interface PullConsumerOptions<T> {
  readonly topic: string
  readonly queueId: number
  readonly start: StartPolicy
  readonly filter: ClientFilter
  readonly codec: Codec<T>
  readonly untilEnd: boolean
}

type Pulled = FrameFields<'PULLED'>
type Outcome = Pulled | PocketError

const done: IteratorResult<never, undefined> = { done: true, value: undefined }

export class QueueReader<T> implements PullConsumer<T> {
  readonly #deps: PullConsumerDeps
  readonly #options: PullConsumerOptions<T>
  readonly #source: MessageSource<T>
  /** Where the next request starts. */
  #start: StartPolicy
  /** Where the application's next batch starts. */
  #position: Position | undefined
  /** With `untilEnd`: the max offset of the first answer. */
  #endOffset = Infinity
  #isAsking = false
  /** Answered and not taken. */
  #ahead: Outcome | undefined
  #isAtEnd = false
  #failureCount = 0
  #cancel: (() => void) | undefined
  readonly #waiters: ((outcome: Outcome | undefined) => void)[] = []
  #isClosed = false
  #failure: PocketError | undefined

  constructor(deps: PullConsumerDeps, options: PullConsumerOptions<T>) {
    this.#deps = deps
    this.#options = options
    this.#source = { topic: options.topic, codec: options.codec, custody: undefined, replies: deps.replies }
    this.#start = options.start
    if (options.start.kind === 'position') this.#position = options.start.position
  }

  get position(): Position | undefined {
    return this.#position
  }

  [Symbol.asyncIterator](): AsyncIterator<readonly Message<T>[], undefined> {
    return {
      next: () => this.#nextResult(),
      return: async () => {
        await this.close()
        return done
      },
    }
  }

  close(): Promise<void> {
    this.#finish(undefined)
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #nextResult(): Promise<IteratorResult<readonly Message<T>[], undefined>> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      const outcome = await this.#take()
      if (outcome === undefined) return done
      if (outcome instanceof PocketError) throw outcome
      const messages = this.#read(outcome)
      if (messages.length > 0) return { done: false, value: messages }
    }
  }

  /** The next answer, and asks for the one after it; undefined at the end. */
  #take(): Promise<Outcome | undefined> {
    const ahead = this.#ahead
    this.#ahead = undefined
    if (!this.#isClosed && ahead === undefined && !this.#isAtEnd) {
      this.#ask()
      return new Promise((resolve) => this.#waiters.push(resolve))
    }
    if (this.#isClosed) return Promise.resolve(this.#failure)
    this.#ask()
    return Promise.resolve(ahead)
  }

  #ask(): void {
    if (this.#isAsking || this.#isAtEnd || this.#isClosed || this.#ahead !== undefined) return
    this.#isAsking = true
    const { session, requestTimeoutMs } = this.#deps
    const { topic, queueId, filter, untilEnd } = this.#options
    const waitMs = untilEnd ? 0 : session.limits.waitMsMax
    this.#cancel = session.call({
      name: 'PULL',
      fields: {
        topic,
        queueId,
        start: this.#start,
        filterKind: filter.filterKind,
        filter: filter.expression,
        messageCountMax: pullMessageCountMax,
        byteCountMax: pullBytesMax,
        waitMs,
      },
      answer: 'PULLED',
      timeoutMs: waitMs + requestTimeoutMs,
      isRepeatable: true,
    }, (outcome) => this.#answered(outcome))
  }

  #answered(outcome: Outcome): void {
    const { clock, random } = this.#deps
    if (outcome instanceof PocketError) {
      if (!outcome.retryable) {
        this.#isAsking = false
        return this.#finish(outcome)
      }
      // Without a connection it waits for one; the caller's patience is its own signal.
      const delayMs = (outcome.retryAfterMs ?? 0) + backoffDelayMs(++this.#failureCount, random)
      this.#cancel = clock.setTimer(delayMs, () => {
        this.#isAsking = false
        this.#ask()
      })
      return
    }
    this.#isAsking = false
    this.#failureCount = 0
    if (this.#options.untilEnd && this.#endOffset === Infinity) this.#endOffset = outcome.maxOffset
    this.#isAtEnd = outcome.next.offset >= this.#endOffset
    this.#start = { kind: 'position', position: outcome.next }
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#ahead = outcome
    else {
      waiter(outcome)
      this.#ask()
    }
    if (this.#isAtEnd) for (const late of this.#waiters.splice(0)) late(undefined)
  }

  /** The messages of an answer, as the application gets them. */
  #read({ from, next, records }: Pulled): Message<T>[] {
    const { topic, queueId, filter } = this.#options
    const expected = this.#position
    if (expected !== undefined && (expected.offset !== from.offset || expected.epoch !== from.epoch)) {
      this.#deps.gap({ topic, group: undefined, queueId, expected, next: from })
    }
    this.#position = next
    const messages: Message<T>[] = []
    for (const bytes of records) {
      for (const message of messagesOf(this.#source, queueId, bytes)) {
        if (message.offset >= this.#endOffset) break
        // The relay compares hashes of tags; here two tags had the same.
        if (filter.tags === undefined || filter.tags.has(message.tag ?? '')) messages.push(message)
      }
    }
    return messages
  }

  #finish(failure: PocketError | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (failure?.code !== 'CLOSED' && failure?.code !== 'ABORTED') this.#failure = failure
    this.#cancel?.()
    this.#ahead = undefined
    for (const waiter of this.#waiters.splice(0)) waiter(this.#failure)
    this.#deps.closed(this)
  }
}
