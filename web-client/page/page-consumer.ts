// A push consumer of the page: an iterator, or a handler that is run. What the engine delivered and the application has
// not taken waits here; a consumer outlives its engines, and says itself anew to each.

import type { Codec } from '../../core/client/api.ts'
import { SettlePromise } from '../../core/client/settle-promise.ts'
import { PocketError, toPocketError } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import { wireToError } from '../port/errors.ts'
import type { ConsumerEnded, ConsumeSpec, Delivered, LeaseLost, Settled } from '../port/port-protocol.ts'
import { LeaseHold } from './page-custody.ts'
import type { LineParticipant, PageLine } from './page-line.ts'
import { type PageMessage, unpack } from './page-message.ts'
import type { WebMessage, WebPushConsumer } from './web-api.ts'

/** How long `close` waits for handlers that run. */
const handlersMsMax = 10_000
/** So many messages that the application is done with are told of in one. */
const creditCountMax = 64

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<WebMessage<T>, undefined>) => void
  readonly reject: (error: PocketError) => void
}

const done: IteratorResult<never, undefined> = { done: true, value: undefined }

export interface ConsumerDeps {
  readonly line: PageLine
  readonly id: number
  readonly report: (error: PocketError) => void
  readonly closed: () => void
}

export class PageConsumer<T> implements WebPushConsumer<T>, LineParticipant {
  readonly subscribed: Promise<void>
  readonly #deps: ConsumerDeps
  readonly #spec: ConsumeSpec
  readonly #codec: Codec<T>
  readonly #isBroadcasting: boolean
  /** Made when there are some. */
  #positions: Map<number, Position> | undefined
  #hold: LeaseHold
  /** With the handle of each; the head is an index, as shifting costs. */
  #buffer: { readonly message: PageMessage<T>; readonly handle: number }[] = []
  #head = 0
  #waiters: Waiter<T>[] = []
  #inIterator = false
  #handle: ((message: WebMessage<T>) => void | Promise<void>) | undefined
  #concurrency = 1
  #activeCount = 0
  #isPumping = false
  #idle: (() => void) | undefined
  #running: SettlePromise | undefined
  #settleSubscribed: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined
  #closing: Promise<void> | undefined
  #failure: PocketError | undefined
  #isOver = false
  #creditCount = 0
  #creditTimer: ReturnType<typeof setTimeout> | undefined

  constructor(deps: ConsumerDeps, spec: ConsumeSpec, codec: Codec<T>) {
    this.#deps = deps
    this.#spec = spec
    this.#codec = codec
    this.#isBroadcasting = spec.mode === 'BROADCASTING'
    this.#positions = spec.positions && new Map(spec.positions)
    this.#hold = this.#newHold()
    this.subscribed = new Promise((resolve, reject) => {
      this.#settleSubscribed = { resolve, reject }
    })
    this.subscribed.catch(ignore)
    deps.line.participants.add(this)
    if (deps.line.end !== undefined) this.#finish(deps.line.end)
    else if (deps.line.isUp) this.attached()
  }

  // ── the application's side ────────────────────────────────────────────────────────────────────────────────────

  run(
    handle: (message: WebMessage<T>) => void | Promise<void>, { concurrency = 1 }: { readonly concurrency?: number } = {},
  ): Promise<void> {
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      return Promise.reject(new PocketError('BAD_ARGUMENT', `concurrency is ${concurrency}; at least 1 is allowed`))
    }
    if (this.#handle !== undefined) return Promise.reject(new PocketError('BAD_ARGUMENT', 'the consumer runs already'))
    this.#handle = handle
    this.#concurrency = concurrency
    const running = new SettlePromise(this.#deps.report)
    this.#running = running
    if (this.#isOver) this.#settleEnd()
    else this.#pump()
    return running
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

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The page is about to go: what the application never saw goes back uncounted. */
  releaseUntaken(): void {
    if (!this.#isBroadcasting) this.#hold.release(this.#buffer.slice(this.#head).map(({ handle }) => handle))
    this.#buffer = []
    this.#head = 0
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
    if (this.#closing !== undefined || this.#isOver) return Promise.resolve(done)
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  #next(): PageMessage<T> | undefined {
    if (this.#closing !== undefined || this.#isOver) return undefined
    const item = this.#buffer[this.#head]
    if (item === undefined) return undefined
    this.#head++
    if (this.#head === this.#buffer.length || this.#head >= 1_024) {
      this.#buffer = this.#buffer.slice(this.#head)
      this.#head = 0
    }
    const { queueId, epoch, offset, pending } = item.message
    if (!pending) (this.#positions ??= new Map()).set(queueId, { epoch, offset: offset + 1 })
    return item.message
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
    if (count > 0) this.#deps.line.post({ kind: 'credit', consumer: this.#deps.id, count })
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

  #handleOne(handle: (message: WebMessage<T>) => void | Promise<void>, message: PageMessage<T>): void {
    let result: void | Promise<void>
    try {
      result = handle(message)
    } catch (thrown) {
      return this.#handled(message, thrown, true)
    }
    if (!(result instanceof Promise)) return this.#handled(message, undefined, false)
    result.then(() => this.#handled(message, undefined, false), (thrown: unknown) => this.#handled(message, thrown, true))
  }

  #handled(message: PageMessage<T>, thrown: unknown, hasThrown: boolean): void {
    if (!message.isSettled && !this.#isBroadcasting) void (hasThrown ? message.retry() : message.ack())
    if (hasThrown) {
      const { code, message: text } = toPocketError(thrown)
      const what = `the handler of message ${message.messageId} of '${message.topic}' threw: ${text}`
      this.#deps.report(new PocketError(code === 'INTERNAL' ? 'HANDLER_FAILED' : code, what, { cause: thrown }))
    }
    this.#credit()
    this.#activeCount--
    if (this.#activeCount === 0) this.#idle?.()
    this.#pump()
  }

  // ── the engine's side ─────────────────────────────────────────────────────────────────────────────────────────

  attached(): void {
    const { line, id } = this.#deps
    this.#hold = this.#newHold()
    const positions = this.#positions
    const spec = this.#isBroadcasting && positions !== undefined && positions.size > 0 ? { ...this.#spec, positions } : this.#spec
    line.call('consume', [id, spec]).then((started) => {
      for (const [queueId, position] of started) {
        const known = (this.#positions ??= new Map())
        if (!known.has(queueId)) known.set(queueId, position)
      }
      this.#settleSubscribed?.resolve()
      this.#settleSubscribed = undefined
    }, (error: PocketError) => {
      if (error.code !== 'ENGINE_LOST') this.#finish(error)
    })
  }

  lost(error: PocketError): void {
    this.#hold.end(error)
    // The next engine is told the position.
    this.#creditCount = 0
    this.#buffer = []
    this.#head = 0
  }

  ended(error: PocketError): void {
    this.#finish(error)
  }

  delivered(delivered: Delivered): void {
    const hold = this.#isBroadcasting ? undefined : this.#hold
    const messages = unpack(delivered, this.#spec.topic, this.#codec, hold, delivered.handle)
    for (let at = 0; at < messages.length; at++) {
      this.#buffer.push({ message: messages[at] as PageMessage<T>, handle: delivered.handle + at })
    }
    this.#pump()
  }

  settled(settled: Settled): void {
    this.#hold.settled(settled)
  }

  leaseLost({ handles }: LeaseLost): void {
    this.#hold.lost(handles)
    const lost = new Set(handles)
    this.#buffer = this.#buffer.slice(this.#head).filter(({ handle }) => !lost.has(handle))
    this.#head = 0
  }

  over({ error }: ConsumerEnded): void {
    this.#finish(error === undefined ? closedError() : wireToError(error))
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  async #close(): Promise<void> {
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
    this.#hold.flush()
    this.#tellCredit()
    this.releaseUntaken()
    // Where the engine is lost meanwhile, there is nothing left to close.
    await this.#deps.line.call('closeConsumer', [this.#deps.id]).catch(ignore)
    this.#finish(closedError())
  }

  #finish(error: PocketError): void {
    if (this.#isOver) return
    this.#isOver = true
    const isFailure = error.code !== 'CLOSED' && error.code !== 'ABORTED'
    if (isFailure) this.#failure = error
    const isAwaited = this.#running !== undefined || this.#waiters.length > 0 || this.#settleSubscribed !== undefined
    this.#hold.end(error)
    this.#buffer = []
    this.#head = 0
    this.#deps.line.participants.delete(this)
    this.#settleSubscribed?.reject(error)
    this.#settleSubscribed = undefined
    this.#settleEnd()
    if (isFailure && !isAwaited) this.#deps.report(error)
    this.#deps.closed()
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

  #newHold(): LeaseHold {
    return new LeaseHold(this.#deps.line, this.#deps.id, this.#deps.report)
  }
}

function closedError(): PocketError {
  return new PocketError('CLOSED', 'the consumer is closed')
}

function ignore(): void {}
