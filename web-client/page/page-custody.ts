// Messages of one consumer that the page may settle: acks of a turn go as one message, leases that are lost abort their
// signals. Handles are the engine's; what an engine before gave can't be settled any more.

import type { Duration, ReplyOptions } from '../../core/client/api.ts'
import { SettlePromise } from '../../core/client/settle-promise.ts'
import { PocketError } from '../../core/errors.ts'
import { wireToError } from '../port/errors.ts'
import type { Settle, Settled } from '../port/port-protocol.ts'
import type { PageLine } from './page-line.ts'
import type { PageCustody } from './page-message.ts'

export class LeaseHold implements PageCustody {
  readonly #line: PageLine
  readonly #consumer: number
  readonly #report: (error: PocketError) => void
  // Made when they are needed: a page may have many consumers that hear little.
  #aborts: Map<number, AbortController> | undefined
  /** By request, by handle. */
  #pending: Map<number, Map<number, SettlePromise>> | undefined
  #request = 0
  #acks: Map<number, SettlePromise> | undefined
  #end: PocketError | undefined

  /** One for each engine that the consumer meets. */
  constructor(line: PageLine, consumer: number, report: (error: PocketError) => void) {
    this.#line = line
    this.#consumer = consumer
    this.#report = report
  }

  settle(handle: number, verb: 'ack' | 'retry', delayMs: number | undefined): Promise<void> {
    this.#aborts?.delete(handle)
    const promise = new SettlePromise(this.#report)
    if (this.#end !== undefined) promise.fail(this.#end)
    else if (verb === 'retry') this.#post(new Map([[handle, promise]]), verb, delayMs)
    else if ((this.#acks ??= new Map()).set(handle, promise).size === 1) queueMicrotask(() => this.flush())
    return promise
  }

  /** The application never saw them. */
  release(handles: readonly number[]): void {
    if (handles.length === 0 || this.#end !== undefined) return
    this.#line.post({ kind: 'settle', consumer: this.#consumer, request: 0, handles, verb: 'release' })
  }

  async extend(handle: number, lease: Duration): Promise<void> {
    if (this.#end !== undefined) throw this.#end
    await this.#line.call('extend', [this.#consumer, handle, lease])
  }

  async reply(handle: number, body: Uint8Array, options: Omit<ReplyOptions, 'codec'>): Promise<void> {
    if (this.#end !== undefined) throw this.#end
    await this.#line.call('reply', [this.#consumer, handle, body, options])
  }

  signal(handle: number): AbortSignal {
    let abort = this.#aborts?.get(handle)
    if (abort === undefined) {
      abort = new AbortController()
      if (this.#end === undefined) (this.#aborts ??= new Map()).set(handle, abort)
      else abort.abort(this.#end)
    }
    return abort.signal
  }

  settled({ request, failures = [] }: Settled): void {
    const pending = this.#pending?.get(request)
    this.#pending?.delete(request)
    for (const [handle, error] of failures) {
      pending?.get(handle)?.fail(wireToError(error))
      pending?.delete(handle)
    }
    for (const promise of pending?.values() ?? []) promise.succeed()
  }

  lost(handles: readonly number[]): void {
    const error = new PocketError('RECEIPT_STALE', 'the lease has ended')
    for (const handle of handles) {
      this.#aborts?.get(handle)?.abort(error)
      this.#aborts?.delete(handle)
    }
  }

  /** Posts what was acked so far. */
  flush(): void {
    const acks = this.#acks
    this.#acks = undefined
    if (acks !== undefined) this.#post(acks, 'ack')
  }

  end(error: PocketError): void {
    if (this.#end !== undefined) return
    this.flush()
    this.#end = error
    this.lost([...this.#aborts?.keys() ?? []])
    for (const promises of this.#pending?.values() ?? []) for (const promise of promises.values()) promise.fail(error)
    this.#pending = undefined
  }

  #post(promises: Map<number, SettlePromise>, verb: Settle['verb'], delayMs?: number): void {
    const request = ++this.#request
    ;(this.#pending ??= new Map()).set(request, promises)
    this.#line.post({ kind: 'settle', consumer: this.#consumer, request, handles: [...promises.keys()], verb, delayMs })
  }
}
