// The handle of a topic in a page.

import type {
  Codec, PullConsumer, PullOptions, ReceiverOptions, Reply, RequestOptions, SimpleConsumer,
} from '../../core/client/api.ts'
import { onAbort, throwIfAborted } from '../../core/client/abort.ts'
import type { PocketError } from '../../core/errors.ts'
import type { Home } from '../port/port-protocol.ts'
import { PageConsumer } from './page-consumer.ts'
import type { PageLine } from './page-line.ts'
import { PageProducer } from './page-producer.ts'
import type { PageReader, ReaderDeps } from './page-reader.ts'
import { PagePull, PageReceiver } from './page-readers.ts'
import { unlessAborted } from './unless-aborted.ts'
import type { WebConsumeOptions, WebPushConsumer, WebSendOptions, WebSendReceipt, WebTopic } from './web-api.ts'

export class PageTopic<T> implements WebTopic<T> {
  readonly name: string
  readonly home: Home
  readonly codec: Codec<T>
  readonly #line: PageLine
  readonly #report: (error: PocketError) => void
  #producer: PageProducer | undefined

  constructor(line: PageLine, report: (error: PocketError) => void, name: string, home: Home, codec: Codec<T>) {
    this.#line = line
    this.#report = report
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
    const { replyCodec, signal, ...rest } = options
    throwIfAborted(signal)
    const body = this.codec.encode(value)
    const asked = this.#line.call('request', [{ topic: this.name, home: this.home, body, options: rest }])
    const reply = await unlessAborted(asked, signal)
    return { ...reply, value: (replyCodec ?? this.codec as unknown as Codec<R>).decode(reply.body) }
  }

  recall(recallHandle: string): Promise<void> {
    return this.#line.call('recall', [this.home, this.name, recallHandle])
  }

  ready({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return unlessAborted(this.#made().ready(), signal)
  }

  consume({ signal, ...options }: WebConsumeOptions): WebPushConsumer<T> {
    return this.#opened(new PageConsumer(this.#depsOf(options)), signal)
  }

  receiver({ signal, ...options }: ReceiverOptions): SimpleConsumer<T> {
    return this.#opened(new PageReceiver(this.#depsOf(options)), signal)
  }

  pull({ signal, ...options }: PullOptions): PullConsumer<T> {
    return this.#opened(new PagePull(this.#depsOf(options)), signal)
  }

  #depsOf<O extends object>(options: O): ReaderDeps<T, O & { readonly topic: string; readonly home: Home }> {
    const { name, home, codec } = this
    return { line: this.#line, report: this.#report, codec, spec: { ...options, topic: name, home } }
  }

  #opened<R extends PageReader<T, { readonly topic: string }>>(reader: R, signal: AbortSignal | undefined): R {
    if (this.#line.end !== undefined) throw this.#line.end
    this.#line.join(reader)
    reader.closed = onAbort(signal, () => void reader.close())
    return reader
  }

  #made(): PageProducer {
    if (this.#producer === undefined) {
      this.#producer = new PageProducer(this.#line, this.name, this.home)
      this.#line.join(this.#producer)
    }
    return this.#producer
  }
}
