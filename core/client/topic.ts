// The handle of a topic: makes its producer when something is sent, and its consumers as they are asked for.

import { PocketError } from '../errors.ts'
import { parseRecallHandle } from '../model/message.ts'
import { checkConsumerName, checkGroupName, checkTopicName } from '../model/names.ts'
import type { Position, StartPolicy } from '../model/position.ts'
import type { ConsumeMode } from '../model/topic.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { ClientSession } from '../session/client-session.ts'
import { onAbort } from './abort.ts'
import type {
  Codec, ConsumeOptions, From, GapEvent, PullConsumer, PullOptions, PushConsumer, ReceiverOptions, Reply,
  RequestOptions, SendOptions, SendReceipt, SimpleConsumer, SubscriptionOptions, Topic,
} from './api.ts'
import type { CallRelay } from './call.ts'
import { durationToMs } from './duration.ts'
import { type ClientFilter, filterOf } from './filter.ts'
import { Producer } from './producer.ts'
import type { PublishWindow } from './publish-window.ts'
import { QueueReader } from './pull-consumer.ts'
import { PrefetchingConsumer } from './push-consumer.ts'
import type { RequestReply } from './request-reply.ts'
import { AskingConsumer } from './simple-consumer.ts'
import { checkCount, checkedPosition, checkPositions, startPolicyOf } from './start-policy.ts'
import type { OpenStream, SubscriptionTerms } from './subscription.ts'

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
  readonly call: CallRelay
  readonly replies: RequestReply
  readonly gap: (event: GapEvent) => void
  readonly report: (error: PocketError) => void
  /** Throws CLOSED once the client closes. */
  readonly checkOpen: (use: 'send' | 'consume') => void
  readonly producers: Set<Closeable>
  readonly consumers: Set<Closeable>
}

/** The codec of a topic's values; throws BAD_ARGUMENT unless the topic is of this library. */
export function codecOf<T>(topic: Topic<T>): Codec<T> {
  if (topic instanceof TopicHandle) return topic.codec as Codec<T>
  throw new PocketError('BAD_ARGUMENT', 'what is sent to is a topic, as client.topic() gives it')
}

export class TopicHandle<T> implements Topic<T> {
  readonly name: string
  readonly codec: Codec<T>
  readonly #deps: TopicHandleDeps
  #producer: Producer<T> | undefined

  constructor(deps: TopicHandleDeps, name: string, codec: Codec<T>) {
    checkTopicName(name)
    this.#deps = deps
    this.name = name
    this.codec = codec
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

  request<R = unknown>(value: T, options: RequestOptions<R> = {}): Promise<Reply<R>> {
    // Without a codec of its own a reply is what the topic's makes of it.
    const codec = this.codec as unknown as Codec<R>
    return this.#deps.replies.request((request: T, sendOptions) => this.send(request, sendOptions), codec, value, options)
  }

  async recall(recallHandle: string): Promise<void> {
    parseRecallHandle(recallHandle)
    // A second time it would be MESSAGE_NOT_FOUND.
    await this.#deps.call('RECALL', { topic: this.name, recallHandle }, 'RECALLED', false)
  }

  ready(options?: { readonly signal?: AbortSignal }): Promise<void> {
    try {
      return (this.#producer ?? this.#makeProducer()).ready(options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  consume(options: ConsumeOptions): PushConsumer<T> {
    return this.#consume(options, undefined)
  }

  /** A BROADCASTING consumer of what comes by another way, which keeps its positions unless the application has some. */
  consumeStream(options: ConsumeOptions, openStream: OpenStream): PushConsumer<T> {
    return this.#consume({ ...options, mode: 'BROADCASTING' }, openStream)
  }

  #consume(options: ConsumeOptions, openStream: OpenStream | undefined): PushConsumer<T> {
    const { mode = 'CLUSTERING', prefetch = prefetchCountDefault, prefetchBytes = prefetchBytesDefault } = options
    checkCount('prefetch', prefetch)
    checkCount('prefetchBytes', prefetchBytes)
    const from = options.from ?? (mode === 'BROADCASTING' ? 'latest' : 'earliest')
    const filter = filterOf(options.filter)
    return closeableOf(this.#deps, options.signal, (closed) => new PrefetchingConsumer({
      ...this.#deps, closed, ...(openStream === undefined ? {} : { openStream }),
    }, {
      terms: {
        ...this.#termsOf(options, filter, from),
        mode,
        ...(openStream === undefined ? keeperOf(options, mode) : streamKeeperOf(options)),
      },
      codec: this.codec,
      filter,
      positions: checkPositions(options.positions ?? new Map()),
      window: { messageCount: prefetch, byteCount: prefetchBytes },
    }))
  }

  receiver(options: ReceiverOptions): SimpleConsumer<T> {
    const filter = filterOf(options.filter)
    return closeableOf(this.#deps, options.signal, (closed) => new AskingConsumer({ ...this.#deps, closed }, {
      terms: this.#termsOf(options, filter, options.from ?? 'earliest'),
      codec: this.codec,
      filter,
    }))
  }

  pull({ queueId, from = 'earliest', filter, untilEnd = false, signal }: PullOptions): PullConsumer<T> {
    checkCount('queueId', queueId, 0)
    return closeableOf(this.#deps, signal, (closed) => new QueueReader({ ...this.#deps, closed }, {
      topic: this.name,
      queueId,
      start: pullStartOf(from),
      filter: filterOf(filter),
      codec: this.codec,
      untilEnd,
    }))
  }

  #makeProducer(): Producer<T> {
    this.#deps.checkOpen('send')
    const producer = new Producer(this.#deps, this.name, this.codec)
    this.#deps.producers.add(producer)
    this.#producer = producer
    return producer
  }

  #termsOf(
    { group, lease }: SubscriptionOptions, { filterKind, expression: filter }: ClientFilter, from: From,
  ): SubscriptionTerms {
    checkGroupName(group)
    const leaseMs = lease === undefined ? 0 : durationToMs(lease, 'lease')
    const start = startPolicyOf(from)
    return {
      group, topic: this.name, mode: 'CLUSTERING', filterKind, filter, start, leaseMs,
      positionKeeper: 'client', consumerName: '',
    }
  }
}

/** Makes a consumer that ends with the client and with its signal. */
export function closeableOf<C extends Closeable>(
  { checkOpen, consumers }: Pick<TopicHandleDeps, 'checkOpen' | 'consumers'>, signal: AbortSignal | undefined,
  make: (closed: (consumer: Closeable) => void) => C,
): C {
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

/** Who keeps positions, as the wire says it. */
function keeperOf(
  { positionKeeper = 'application', name }: ConsumeOptions, mode: ConsumeMode,
): Pick<SubscriptionTerms, 'positionKeeper' | 'consumerName'> {
  if (positionKeeper === 'application' && name === undefined) return { positionKeeper: 'client', consumerName: '' }
  if (positionKeeper !== 'relay' || name === undefined || mode !== 'BROADCASTING') {
    const text = `positionKeeper: 'relay' and a name go together, in BROADCASTING mode`
    throw new PocketError('BAD_ARGUMENT', text)
  }
  checkConsumerName(name)
  return { positionKeeper: 'broker', consumerName: name }
}

function streamKeeperOf({ positions, name = '' }: ConsumeOptions): Pick<SubscriptionTerms, 'positionKeeper' | 'consumerName'> {
  if (name !== '') checkConsumerName(name)
  return { positionKeeper: positions === undefined ? 'broker' : 'client', consumerName: name }
}

function pullStartOf(from: From | Position): StartPolicy {
  if (typeof from === 'object' && 'offset' in from) {
    return { kind: 'position', position: checkedPosition(from) }
  }
  return startPolicyOf(from)
}

function ignore(): void {}
