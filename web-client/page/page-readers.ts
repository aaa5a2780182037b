// Consumers of the page that ask: receivers, under leases that the application keeps itself, and pulls of one queue.

import type { Duration, Message, PullConsumer, SimpleConsumer } from '../../core/client/api.ts'
import { throwIfAborted } from '../../core/client/abort.ts'
import { PocketError } from '../../core/errors.ts'
import type { Position } from '../../core/model/position.ts'
import type { PullSpec, ReceiverSpec } from '../port/port-protocol.ts'
import { closedError, PageReader } from './page-reader.ts'
import { ignore, QuietPromise } from './quiet-promise.ts'
import { unlessAborted } from './unless-aborted.ts'

export class PageReceiver<T> extends PageReader<T, ReceiverSpec> implements SimpleConsumer<T> {
  #opening: Promise<void> = Promise.resolve()
  readonly #subscribing = new QuietPromise()

  get subscribed(): Promise<void> {
    return this.#subscribing.promise
  }

  async receive({ max, wait, lease, signal }: {
    readonly max?: number
    readonly wait?: Duration
    readonly lease?: Duration
    readonly signal?: AbortSignal
  } = {}): Promise<readonly Message<T>[]> {
    throwIfAborted(signal)
    if (this.closing !== undefined) throw closedError()
    await this.#opening
    const asked = this.deps.line.call('receive', [this.id, { max, wait, lease }], true)
    try {
      await unlessAborted(asked, signal)
    } catch (error) {
      // Nobody waits for them any more: what comes goes back.
      asked.then(({ handle, fields }) => this.hold.release(fields.map((_, at) => handle + at)), ignore)
      throw error
    }
    const received = await asked
    return this.unpack(received, received.handle)
  }

  ended(error: PocketError): void {
    this.hold.end(error)
    this.#subscribing.reject(error)
  }

  protected open(): void {
    this.#opening = this.deps.line.call('openReceiver', [this.id, this.deps.spec]).then(
      this.#subscribing.resolve,
      (error: PocketError) => {
        // The next engine is asked, once it has opened the receiver.
        if (error.code === 'ENGINE_LOST') return
        this.#subscribing.reject(error)
        throw error
      },
    )
    this.#opening.catch(ignore)
  }
}


export class PagePull<T> extends PageReader<T, PullSpec> implements PullConsumer<T> {
  #position: Position | undefined
  #opening: Promise<void> = Promise.resolve()

  get position(): Position | undefined {
    return this.#position
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly Message<T>[], undefined> {
    const { line } = this.deps
    try {
      while (this.closing === undefined) {
        let pulled
        try {
          await this.#opening
          pulled = await line.call('pull', [this.id])
        } catch (error) {
          if (this.closing !== undefined) return undefined
          // The next engine goes on where this one was.
          if (error instanceof PocketError && error.code === 'ENGINE_LOST' && line.end === undefined) continue
          throw error
        }
        if (pulled.position !== undefined) this.#position = pulled.position
        if (pulled.fields.length > 0) yield this.unpack(pulled)
        if (pulled.done === true) return undefined
      }
    } finally {
      await this.close()
    }
    return undefined
  }

  ended(): void {}

  protected open(): void {
    const { line, spec } = this.deps
    this.#opening = line.call('openPull', [this.id, this.#position === undefined ? spec : { ...spec, from: this.#position }])
    this.#opening.catch(ignore)
  }
}
