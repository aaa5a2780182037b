// The handle of a topic in a page.

import type {
  Codec, PullConsumer, PullOptions, ReceiverOptions, Reply, RequestOptions, SimpleConsumer,
} from '../../core/client/api.ts'
import type { PocketError } from '../../core/errors.ts'
import type { Home } from '../port/port-protocol.ts'
import { type ConsumerDeps, PageConsumer } from './page-consumer.ts'
import type { PageLine } from './page-line.ts'
import { abortError, PageProducer } from './page-producer.ts'
import { PagePull, PageReceiver } from './page-readers.ts'
import type { WebConsumeOptions, WebPushConsumer, WebSendOptions, WebSendReceipt, WebTopic } from './web-api.ts'

export type PageReader = PageConsumer<unknown> | PageReceiver<unknown> | PagePull<unknown>

export interface TopicDeps {
  readonly line: PageLine
  readonly report: (error: PocketError) => void
  /** Numbers of producers and consumers of this page. */
  readonly nextId: () => number
  readonly producers: Map<number, PageProducer>
  readonly readers: Map<number, PageReader>
}

export class PageTopic<T> implements WebTopic<T> {
  readonly name: string
  readonly home: Home
  readonly codec: Codec<T>
  readonly #deps: TopicDeps
  #producer: PageProducer | undefined

  constructor(deps: TopicDeps, name: string, home: Home, codec: Codec<T>) {
    this.#deps = deps
    this.name = name
    this.home = home
    this.codec = codec
  }

  get inFlightCount(): number {
    return this.#producer?.inFlightCount ?? 0
  }

  send(value: T, options?: WebSendOptions): Promise<WebSendReceipt> {
    return this.#made().send(this.codec, value, options)
  }

  async request<R = unknown>(value: T, options: RequestOptions<R> = {}): Promise<Reply<R>> {
    const { replyCodec, signal, timeout, ...rest } = options
    if (signal?.aborted) throw abortError(signal)
    const body = this.codec.encode(value)
    const asked = this.#deps.line.call('request', [
      { topic: this.name, home: this.home, body, options: { ...rest, ...(timeout === undefined ? {} : { timeout }) } },
    ])
    const reply = await (signal === undefined ? asked : unlessAborted(asked, signal))
    return { ...reply, value: (replyCodec ?? this.codec as unknown as Codec<R>).decode(reply.body) }
  }

  recall(recallHandle: string): Promise<void> {
    return this.#deps.line.call('recall', [this.home, this.name, recallHandle])
  }

  ready({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const roomy = this.#made().ready()
    return signal === undefined ? roomy : unlessAborted(roomy, signal)
  }

  consume({ signal, ...options }: WebConsumeOptions): WebPushConsumer<T> {
    const spec = { ...options, topic: this.name, home: this.home }
    return this.#reader(signal, (deps) => new PageConsumer(deps, spec, this.codec))
  }

  receiver({ signal, ...options }: ReceiverOptions): SimpleConsumer<T> {
    return this.#reader(signal, (deps) => new PageReceiver(deps, { ...options, topic: this.name, home: this.home }, this.codec))
  }

  pull({ signal, ...options }: PullOptions): PullConsumer<T> {
    return this.#reader(signal, (deps) => new PagePull(deps, { ...options, topic: this.name, home: this.home }, this.codec))
  }

  #reader<C extends { close(): Promise<void> }>(signal: AbortSignal | undefined, make: (deps: ConsumerDeps) => C): C {
    const { line, report, nextId, readers } = this.#deps
    if (line.end !== undefined) throw line.end
    const id = nextId()
    let isOver = false
    const close = () => void consumer.close()
    const consumer = make({
      line, id, report,
      closed: () => {
        isOver = true
        readers.delete(id)
        signal?.removeEventListener('abort', close)
      },
    })
    if (isOver) return consumer
    readers.set(id, consumer as unknown as PageReader)
    if (signal?.aborted) close()
    else signal?.addEventListener('abort', close, { once: true })
    return consumer
  }

  #made(): PageProducer {
    if (this.#producer === undefined) {
      const { line, nextId, producers } = this.#deps
      const id = nextId()
      this.#producer = new PageProducer(line, id, this.name, this.home)
      producers.set(id, this.#producer)
    }
    return this.#producer
  }
}

/** Throws ABORTED where the signal comes first. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(abortError(signal))
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}

