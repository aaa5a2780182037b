// What the consumers of a page have in common, of whatever kind: a number on the line, an end, and who is told of it.

import type { Codec } from '../../core/client/api.ts'
import { PocketError } from '../../core/errors.ts'
import type { FromEngine, PackedMessages } from '../port/port-protocol.ts'
import { LeaseHold } from './page-custody.ts'
import type { LineParticipant, PageLine } from './page-line.ts'
import { type PageMessage, unpack } from './page-message.ts'
import { ignore } from './quiet-promise.ts'

export interface ReaderDeps<T, S> {
  readonly line: PageLine
  /** Hears of failures that nobody waits for. */
  readonly report: (error: PocketError) => void
  readonly spec: S
  readonly codec: Codec<T>
}

export abstract class PageReader<T, S extends { readonly topic: string }> implements LineParticipant {
  readonly id: number
  /** Told when it is closed. */
  closed = ignore
  protected readonly deps: ReaderDeps<T, S>
  /** Of the engine that is there; another for each. */
  protected hold: LeaseHold
  protected closing: Promise<void> | undefined

  constructor(deps: ReaderDeps<T, S>) {
    this.deps = deps
    this.id = deps.line.nextId()
    this.hold = this.#newHold()
  }

  close(): Promise<void> {
    this.closing ??= this.end()
    return this.closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  attached(): void {
    if (this.closing !== undefined) return
    this.hold = this.#newHold()
    this.open()
  }

  lost(error: PocketError): void {
    this.hold.end(error)
  }

  abstract ended(error: PocketError): void

  hear(message: FromEngine): void {
    if (message.kind === 'settled') this.hold.settled(message)
    if (message.kind === 'lost') this.hold.lost(message.handles)
  }

  /** Says to the engine that is there what it is to do. */
  protected abstract open(): void

  protected async end(): Promise<void> {
    this.hold.flush()
    // Where the engine is lost meanwhile, there is nothing left to close.
    await this.deps.line.call('closeConsumer', [this.id]).catch(ignore)
    this.leave(closedError())
  }

  protected leave(error: PocketError): void {
    this.hold.end(error)
    this.deps.line.participants.delete(this.id)
    this.closed()
  }

  /** `firstHandle`: they can be settled. */
  protected unpack(packed: PackedMessages, firstHandle?: number): PageMessage<T>[] {
    const { spec, codec } = this.deps
    return unpack(packed, spec.topic, codec, firstHandle === undefined ? undefined : this.hold, firstHandle)
  }

  #newHold(): LeaseHold {
    return new LeaseHold(this.deps.line, this.id, this.deps.report)
  }
}

export function closedError(): PocketError {
  return new PocketError('CLOSED', 'the consumer is closed')
}
