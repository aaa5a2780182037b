// The handle of a topic: makes its producer when something is sent, and its consumers as they are asked for.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { parseTagFilter } from '../model/filter.ts'
import { checkGroupName, checkTopicName } from '../model/names.ts'
import type { Position, StartPolicy } from '../model/position.ts'
import type { ConsumeMode } from '../model/topic.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { ClientSession } from '../session/client-session.ts'
import { onAbort } from './abort.ts'
import type {
  Codec, ConsumeOptions, From, GapEvent, PullConsumer, PullOptions, PushConsumer, ReceiverOptions, SendOptions,
  SendReceipt, SimpleConsumer, SubscriptionOptions, Topic,
} from './api.ts'
import { durationToMs } from './duration.ts'
import { Producer } from './producer.ts'
import type { PublishWindow } from './publish-window.ts'
import { QueueReader } from './pull-consumer.ts'
import { PrefetchingConsumer } from './push-consumer.ts'
import { AskingConsumer } from './simple-consumer.ts'
import { checkedPosition, startPolicyOf } from './start-policy.ts'
import type { SubscriptionTerms } from './subscription.ts'

const prefetchCountDefault = 1_000
const prefetchBytesDefault = 4 * 1024 * 1024

/** Ends with the client. */
export interface Closeable {
  close(): Promise<void>
}

export interface TopicHandleDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
  readonly window: PublishWindow
  readonly requestTimeoutMs: number
  readonly gap: (event: GapEvent) => void
  readonly report: (error: PocketError) => void
  /** Throws CLOSED once the client closes. */
  readonly checkOpen: (use: 'send' | 'consume') => void
  readonly producers: Set<Closeable>
  readonly consumers: Set<Closeable>
}

export class TopicHandle<T> implements Topic<T> {
  readonly name: string
  readonly #deps: TopicHandleDeps
  readonly #codec: Codec<T>
  #producer: Producer<T> | undefined

  constructor(deps: TopicHandleDeps, name: string, codec: Codec<T>) {
    checkTopicName(name)
    this.#deps = deps
    this.name = name
    this.#codec = codec
  }

  get inFlightCount(): number {
    return this.#producer?.inFlightCount ?? 0
  }

  send(value: T, options?: SendOptions): Promise<SendReceipt> {
    if (this.#producer !== undefined) return this.#producer.send(value, options)
    try {
      return this.#makeProducer().send(value, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  ready(options?: { readonly signal?: AbortSignal }): Promise<void> {
    try {
      return (this.#producer ?? this.#makeProducer()).ready(options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  consume(options: ConsumeOptions): PushConsumer<T> {
    const { mode = 'CLUSTERING', prefetch = prefetchCountDefault, prefetchBytes = prefetchBytesDefault } = options
    checkCount('prefetch', prefetch)
    checkCount('prefetchBytes', prefetchBytes)
    const from = options.from ?? (mode === 'BROADCASTING' ? 'latest' : 'earliest')
    const filter = parseTagFilter(options.filter ?? '*')
    return this.#added(options.signal, (closed) => new PrefetchingConsumer({ ...this.#deps, closed }, {
      terms: this.#termsOf(options, mode, filter.expression, from),
      codec: this.#codec,
      filter,
      positions: checkedPositions(options.positions),
      window: { messageCount: prefetch, byteCount: prefetchBytes },
    }))
  }

  receiver(options: ReceiverOptions): SimpleConsumer<T> {
    const filter = parseTagFilter(options.filter ?? '*')
    return this.#added(options.signal, (closed) => new AskingConsumer({ ...this.#deps, closed }, {
      terms: this.#termsOf(options, 'CLUSTERING', filter.expression, options.from ?? 'earliest'),
      codec: this.#codec,
      filter,
    }))
  }

  pull({ queueId, from = 'earliest', filter = '*', untilEnd = false, signal }: PullOptions): PullConsumer<T> {
    checkCount('queueId', queueId, 0)
    return this.#added(signal, (closed) => new QueueReader({ ...this.#deps, closed }, {
      topic: this.name,
      queueId,
      start: pullStartOf(from),
      filter: parseTagFilter(filter),
      codec: this.#codec,
      untilEnd,
    }))
  }

  #makeProducer(): Producer<T> {
    this.#deps.checkOpen('send')
    const producer = new Producer(this.#deps, this.name, this.#codec)
    this.#deps.producers.add(producer)
    this.#producer = producer
    return producer
  }

  #termsOf(
    { group, lease }: SubscriptionOptions, mode: ConsumeMode, filter: string, from: From,
  ): SubscriptionTerms {
    checkGroupName(group)
    const leaseMs = lease === undefined ? 0 : durationToMs(lease, 'lease')
    return { group, topic: this.name, mode, filter, start: startPolicyOf(from), leaseMs }
  }

  /** Makes a consumer that ends with the client and with its signal. */
  #added<C extends Closeable>(
    signal: AbortSignal | undefined, make: (closed: (consumer: Closeable) => void) => C,
  ): C {
    const { checkOpen, consumers } = this.#deps
    checkOpen('consume')
    let stopListening = ignore
    let isClosed = false
    const consumer = make((closed) => {
      isClosed = true
      consumers.delete(closed)
      stopListening()
    })
    if (isClosed) return consumer
    consumers.add(consumer)
    stopListening = onAbort(signal, () => void consumer.close())
    return consumer
  }
}

function pullStartOf(from: From | Position): StartPolicy {
  if (typeof from === 'object' && 'offset' in from) {
    return { kind: 'position', position: checkedPosition(from) }
  }
  return startPolicyOf(from)
}

function checkedPositions(positions: ReadonlyMap<number, Position> = new Map()): ReadonlyMap<number, Position> {
  if (positions.size > fixedLimits.queueCountMax) {
    const text = `positions of ${positions.size} queues; a topic has at most ${fixedLimits.queueCountMax}`
    throw new PocketError('BAD_ARGUMENT', text)
  }
  for (const [queueId, position] of positions) {
    checkCount('a queueId of positions', queueId, 0)
    checkedPosition(position)
  }
  return positions
}

function checkCount(what: string, count: number, least = 1): void {
  if (Number.isSafeInteger(count) && count >= least) return
  throw new PocketError('BAD_ARGUMENT', `${what} is ${count}; a whole number from ${least} on is allowed`)
}

function ignore(): void {}
