// A push consumer of the page: an iterator, or a handler that is run. What the engine delivered and the application has
// not taken waits here; a consumer outlives its engines, and says itself anew to each.

import { SettlePromise } from '../../core/client/settle-promise.ts'
import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import { wireToError } from '../port/errors.ts'
import type { ConsumeSpec, FromEngine } from '../port/port-protocol.ts'
import type { PageMessage } from './page-message.ts'
import { closedError, PageReader, type ReaderDeps } from './page-reader.ts'
import { QuietPromise } from './quiet-promise.ts'
import type { WebMessage, WebPushConsumer } from './web-api.ts'

/** How long `close` waits for handlers that run. */
const handlersMsMax = 10_000
/** So many messages that the application is done with are told of in one. */
const creditCountMax = 64

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<WebMessage<T>, undefined>) => void
  readonly reject: (error: PocketError) => void
}

type Handle<T> = (message: WebMessage<T>) => void | Promise<void>

const done: IteratorResult<never, undefined> = { done: true, value: undefined }

export class PageConsumer<T> extends PageReader<T, ConsumeSpec> implements WebPushConsumer<T> {
  readonly #isBroadcasting: boolean
  /** Made when there are some. */
  #positions: Map<number, Position> | undefined
  /** With the handle of each; the head is an index, as shifting costs. */
  #buffer: { readonly message: PageMessage<T>; readonly handle: number }[] = []
  #head = 0
  #waiters: Waiter<T>[] = []
  #inIterator = false
  #handle: Handle<T> | undefined
  #concurrency = 1
  #activeCount = 0
  #isPumping = false
  #idle: (() => void) | undefined
  #running: SettlePromise | undefined
  readonly #subscribing = new QuietPromise()
  #isSubscribed = false
  #failure: PocketError | undefined
  #isOver = false
  #creditCount = 0
  #creditTimer: ReturnType<typeof setTimeout> | undefined

  constructor(deps: ReaderDeps<T, ConsumeSpec>) {
    super(deps)
    const { mode, positions } = deps.spec
    this.#isBroadcasting = mode === 'BROADCASTING'
    this.#positions = positions && new Map(positions)
  }

  // ── the application's side ────────────────────────────────────────────────────────────────────────────────────

  get subscribed(): Promise<void> {
    return this.#subscribing.promise
  }

  run(handle: Handle<T>, { concurrency = 1 }: { readonly concurrency?: number } = {}): Promise<void> {
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      return Promise.reject(new PocketError('BAD_ARGUMENT', `concurrency is ${concurrency}; at least 1 is allowed`))
    }
    if (this.#handle !== undefined) return Promise.reject(new PocketError('BAD_ARGUMENT', 'the consumer runs already'))
    this.#handle = handle
    this.#concurrency = concurrency
    this.#running = new SettlePromise(this.deps.report)
    if (this.#isOver) this.#settleEnd()
    else this.#pump()
    return this.#running
  }

  [Symbol.asyncIterator](): AsyncIterator<WebMessage<T>, undefined> {
    return {
      next: () => this.#nextResult(),
      return: async () => {
        await this.close()
        return done
      },
    }
  }

  positions(): ReadonlyMap<number, Position> {
    return new Map(this.#positions)
  }

  /** What the application never saw goes back uncounted. */
  leaving(): void {
    if (!this.#isBroadcasting) this.hold.release(this.#buffer.slice(this.#head).map(({ handle }) => handle))
    this.#fill([])
  }

  #nextResult(): Promise<IteratorResult<WebMessage<T>, undefined>> {
    if (this.#handle !== undefined) {
      return Promise.reject(new PocketError('BAD_ARGUMENT', 'the consumer runs a handler; it cannot be iterated too'))
    }
    if (this.#inIterator) {
      // Who asks for the next one is done with the one before.
      this.#inIterator = false
      this.#credit()
    }
    const message = this.#next()
    if (message !== undefined) {
      this.#inIterator = true
      return Promise.resolve({ done: false, value: message })
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.closing !== undefined || this.#isOver) return Promise.resolve(done)
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  #next(): PageMessage<T> | undefined {
    if (this.closing !== undefined || this.#isOver) return undefined
    const item = this.#buffer[this.#head]
    if (item === undefined) return undefined
    this.#head++
    if (this.#head === this.#buffer.length || this.#head >= 1_024) this.#fill(this.#buffer.slice(this.#head))
    const { queueId, epoch, offset, pending } = item.message
    if (!pending) (this.#positions ??= new Map()).set(queueId, { epoch, offset: offset + 1 })
    return item.message
  }

  #fill(buffer: { readonly message: PageMessage<T>; readonly handle: number }[]): void {
    this.#buffer = buffer
    this.#head = 0
  }

  /** BROADCASTING: the application is done with one. Told at once where none is left here, else with others. */
  #credit(): void {
    if (!this.#isBroadcasting) return
    if (++this.#creditCount >= creditCountMax || this.#head === this.#buffer.length) return this.#tellCredit()
    this.#creditTimer ??= setTimeout(() => this.#tellCredit())
  }

  #tellCredit(): void {
    clearTimeout(this.#creditTimer)
    this.#creditTimer = undefined
    const count = this.#creditCount
    this.#creditCount = 0
    if (count > 0) this.deps.line.post({ kind: 'credit', consumer: this.id, count })
  }

  #pump(): void {
    const handle = this.#handle
    if (handle === undefined) {
      while (this.#waiters.length > 0) {
        const message = this.#next()
        if (message === undefined) return
        this.#inIterator = true
        this.#waiters.shift()?.resolve({ done: false, value: message })
      }
      return
    }
    if (this.#isPumping) return
    this.#isPumping = true
    while (this.#activeCount < this.#concurrency) {
      const message = this.#next()
      if (message === undefined) break
      this.#activeCount++
      this.#handleOne(handle, message)
    }
    this.#isPumping = false
  }

  #handleOne(handle: Handle<T>, message: PageMessage<T>): void {
    let result: void | Promise<void>
    try {
      result = handle(message)
    } catch (thrown) {
      return this.#failed(message, thrown)
    }
    if (result instanceof Promise) result.then(() => this.#handled(message), (thrown: unknown) => this.#failed(message, thrown))
    else this.#handled(message)
  }

  #failed(message: PageMessage<T>, thrown: unknown): void {
    if (!message.isSettled && !this.#isBroadcasting) void message.retry()
    const { code, message: text } = toPocketError(thrown)
    const what = `the handler of message ${message.messageId} of '${message.topic}' threw: ${text}`
    this.deps.report(new PocketError(code === 'INTERNAL' ? 'HANDLER_FAILED' : code, what, { cause: thrown }))
    this.#goOn()
  }

  #handled(message: PageMessage<T>): void {
    if (!message.isSettled && !this.#isBroadcasting) void message.ack()
    this.#goOn()
  }

  #goOn(): void {
    this.#credit()
    this.#activeCount--
    if (this.#activeCount === 0) this.#idle?.()
    this.#pump()
  }

  // ── the engine's side ─────────────────────────────────────────────────────────────────────────────────────────

  protected override open(): void {
    const { line, spec } = this.deps
    const positions = this.#positions
    const isUnderWay = this.#isBroadcasting && positions !== undefined && positions.size > 0
    line.call('consume', [this.id, isUnderWay ? { ...spec, positions } : spec]).then((started) => {
      for (const [queueId, position] of started) {
        const known = (this.#positions ??= new Map())
        if (!known.has(queueId)) known.set(queueId, position)
      }
      this.#isSubscribed = true
      this.#subscribing.resolve()
    }, (error: PocketError) => {
      if (error.code !== 'ENGINE_LOST') this.ended(error)
    })
  }

  override lost(error: PocketError): void {
    super.lost(error)
    // The next engine is told the position.
    this.#creditCount = 0
    this.#fill([])
  }

  override hear(message: FromEngine): void {
    super.hear(message)
    if (message.kind === 'messages') {
      const { handle } = message
      const messages = this.unpack(message, this.#isBroadcasting ? undefined : handle)
      for (let at = 0; at < messages.length; at++) {
        this.#buffer.push({ message: messages[at] as PageMessage<T>, handle: handle + at })
      }
      this.#pump()
    } else if (message.kind === 'lost') {
      const lost = new Set(message.handles)
      this.#fill(this.#buffer.slice(this.#head).filter(({ handle }) => !lost.has(handle)))
    } else if (message.kind === 'ended') this.ended(message.error === undefined ? closedError() : wireToError(message.error))
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  protected override async end(): Promise<void> {
    // What waits hears of it before handlers are waited for.
    await undefined
    for (const { resolve } of this.#waiters.splice(0)) resolve(done)
    if (this.#activeCount > 0) {
      await new Promise<void>((resolve) => {
        const timeout = setTimeout(resolve, handlersMsMax)
        this.#idle = () => {
          clearTimeout(timeout)
          resolve()
        }
      })
    }
    if (this.#isOver) return
    this.#tellCredit()
    this.leaving()
    await super.end()
  }

  protected override leave(error: PocketError): void {
    this.ended(error)
  }

  override ended(error: PocketError): void {
    if (this.#isOver) return
    this.#isOver = true
    if (error.code !== 'CLOSED' && error.code !== 'ABORTED') {
      this.#failure = error
      const isAwaited = this.#running !== undefined || this.#waiters.length > 0 || !this.#isSubscribed
      if (!isAwaited) this.deps.report(error)
    }
    super.leave(error)
    this.#fill([])
    this.#subscribing.reject(error)
    this.#settleEnd()
  }

  #settleEnd(): void {
    const failure = this.#failure
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (failure === undefined) resolve(done)
      else reject(failure)
    }
    if (failure === undefined) this.#running?.succeed()
    else this.#running?.fail(failure)
  }
}
