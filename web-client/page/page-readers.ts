// Consumers of the page that ask: receivers, under leases that the application keeps itself, and pulls of one queue.

import type { Codec, Duration, Message, PullConsumer, SimpleConsumer } from '../../core/client/api.ts'
import { durationToMs } from '../../core/client/duration.ts'
import { PocketError } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import type { PullSpec, ReceiverSpec, Settled } from '../port/port-protocol.ts'
import type { ConsumerDeps } from './page-consumer.ts'
import { LeaseHold } from './page-custody.ts'
import type { LineParticipant } from './page-line.ts'
import { unpack } from './page-message.ts'
import { abortError } from './page-producer.ts'

export class PageReceiver<T> implements SimpleConsumer<T>, LineParticipant {
  readonly subscribed: Promise<void>
  readonly #deps: ConsumerDeps
  readonly #spec: ReceiverSpec
  readonly #codec: Codec<T>
  #hold: LeaseHold
  #opening: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined
  #settleSubscribed: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined

  constructor(deps: ConsumerDeps, spec: ReceiverSpec, codec: Codec<T>) {
    this.#deps = deps
    this.#spec = spec
    this.#codec = codec
    this.#hold = this.#newHold()
    deps.line.participants.add(this)
    this.subscribed = new Promise((resolve, reject) => {
      this.#settleSubscribed = { resolve, reject }
    })
    this.subscribed.catch(ignore)
    if (deps.line.end !== undefined) this.ended(deps.line.end)
    else if (deps.line.isUp) this.attached()
  }

  async receive({ max, wait, lease, signal }: {
    readonly max?: number
    readonly wait?: Duration
    readonly lease?: Duration
    readonly signal?: AbortSignal
  } = {}): Promise<readonly Message<T>[]> {
    if (signal?.aborted) throw abortError(signal)
    if (this.#closing !== undefined) throw new PocketError('CLOSED', 'the consumer is closed')
    const options = {
      ...(max === undefined ? {} : { max }),
      ...(wait === undefined ? {} : { waitMs: durationToMs(wait, 'wait') }),
      ...(lease === undefined ? {} : { leaseMs: durationToMs(lease, 'lease') }),
    }
    await this.#opening
    const asked = this.#deps.line.call('receive', [this.#deps.id, options], true)
    const hold = this.#hold
    if (signal !== undefined) {
      let leave = ignore
      const left = new Promise<never>((_resolve, reject) => {
        leave = () => reject(abortError(signal))
        signal.addEventListener('abort', leave, { once: true })
      })
      try {
        await Promise.race([asked, left])
      } catch (error) {
        // Nobody waits for them any more: what comes goes back.
        if (signal.aborted) asked.then(({ handle, fields }) => hold.release(fields.map((_, at) => handle + at)), ignore)
        throw error
      } finally {
        signal.removeEventListener('abort', leave)
      }
    }
    const received = await asked
    return unpack(received, this.#spec.topic, this.#codec, this.#hold, received.handle)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  attached(): void {
    if (this.#closing !== undefined) return
    this.#hold = this.#newHold()
    this.#opening = this.#deps.line.call('openReceiver', [this.#deps.id, this.#spec])
    this.#opening.then(this.#settleSubscribed?.resolve, (error: PocketError) => {
      if (error.code !== 'ENGINE_LOST') this.#settleSubscribed?.reject(error)
    })
  }

  lost(error: PocketError): void {
    this.#hold.end(error)
  }

  ended(error: PocketError): void {
    this.#hold.end(error)
    this.#settleSubscribed?.reject(error)
  }

  settled(settled: Settled): void {
    this.#hold.settled(settled)
  }

  leaseLost({ handles }: { readonly handles: readonly number[] }): void {
    this.#hold.lost(handles)
  }

  async #close(): Promise<void> {
    const { line, id, closed } = this.#deps
    this.#hold.flush()
    await line.call('closeConsumer', [id]).catch(ignore)
    this.#hold.end(new PocketError('CLOSED', 'the consumer is closed'))
    line.participants.delete(this)
    closed()
  }

  #newHold(): LeaseHold {
    return new LeaseHold(this.#deps.line, this.#deps.id, this.#deps.report)
  }
}

export class PagePull<T> implements PullConsumer<T>, LineParticipant {
  readonly #deps: ConsumerDeps
  readonly #spec: PullSpec
  readonly #codec: Codec<T>
  #position: Position | undefined
  #isClosed = false
  #opening: Promise<void> = Promise.resolve()

  constructor(deps: ConsumerDeps, spec: PullSpec, codec: Codec<T>) {
    this.#deps = deps
    this.#spec = spec
    this.#codec = codec
    deps.line.participants.add(this)
    if (deps.line.isUp) this.attached()
  }

  get position(): Position | undefined {
    return this.#position
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly Message<T>[], undefined> {
    const { line, id } = this.#deps
    try {
      while (!this.#isClosed) {
        let pulled
        try {
          await this.#opening
          pulled = await line.call('pull', [id])
        } catch (error) {
          if (this.#isClosed) return undefined
          // The next engine goes on where this one was.
          if (error instanceof PocketError && error.code === 'ENGINE_LOST' && line.end === undefined) continue
          throw error
        }
        if (pulled.position !== undefined) this.#position = pulled.position
        if (pulled.fields.length > 0) yield unpack(pulled, this.#spec.topic, this.#codec)
        if (pulled.done === true) return undefined
      }
    } finally {
      await this.close()
    }
    return undefined
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const { line, id, closed } = this.#deps
    line.participants.delete(this)
    await line.call('closeConsumer', [id]).catch(ignore)
    closed()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  attached(): void {
    const spec = this.#position === undefined ? this.#spec : { ...this.#spec, from: this.#position }
    this.#opening = this.#deps.line.call('openPull', [this.#deps.id, spec])
    this.#opening.catch(ignore)
  }

  lost(): void {}

  ended(): void {}
}

function ignore(): void {}
