// Who waits for which answer on the connection: request ids to handlers, and calls, which are requests that a timer
// bounds and that may go out again after a reconnect.

import { PocketError, toPocketError } from '../errors.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { DownstreamFrame, FrameFields, UpstreamName } from '../protocol/frames.ts'

export type AnswerFrame = Exclude<Extract<DownstreamFrame, { readonly requestId: number }>, { readonly name: 'ERROR' }>
export type AnswerName = AnswerFrame['name']

/** Waits for the answer to one request. One of the two is called, at most once; a lost connection calls neither. */
export interface AnswerHandler {
  answered(frame: AnswerFrame): void
  refused(error: PocketError): void
}

/** The requests of one connection after the other. */
export class RequestTable {
  readonly #handlers = new Map<number, AnswerHandler>()
  #requestId = 0

  /** The id under which `handler` gets its answer. Ids are never used twice. */
  open(handler: AnswerHandler): number {
    this.#handlers.set(++this.#requestId, handler)
    return this.#requestId
  }

  /** Nobody waits for that answer any more. */
  forget(requestId: number): void {
    this.#handlers.delete(requestId)
  }

  /** An answer to something that was forgotten is dropped. */
  answer(frame: AnswerFrame): void {
    this.#take(frame.requestId)?.answered(frame)
  }

  refuse(requestId: number, error: PocketError): void {
    this.#take(requestId)?.refused(error)
  }

  /** The connection is gone, and no answer will come. */
  clear(): void {
    this.#handlers.clear()
  }

  #take(requestId: number): AnswerHandler | undefined {
    const handler = this.#handlers.get(requestId)
    this.#handlers.delete(requestId)
    return handler
  }
}

/** Requests that are answered with one frame. */
export type CallName = Exclude<UpstreamName, 'HELLO' | 'PING' | 'CREDIT' | 'POSITIONS' | 'PUBLISH'>

export type CallFields<N extends CallName> = Omit<FrameFields<N>, 'requestId'>

export interface CallOptions<N extends CallName, A extends AnswerName> {
  readonly name: N
  readonly fields: CallFields<N>
  /** Takes the place of the last field, `rest`, which is then given empty. */
  readonly payload?: Uint8Array | undefined
  /** The frame that answers. */
  readonly answer: A
  readonly timeoutMs: number
  /** Whether it may be sent again when the connection broke before its answer: a second time changes nothing. */
  readonly isRepeatable: boolean
}

export type CallOutcome<A extends AnswerName> = Extract<AnswerFrame, { readonly name: A }> | PocketError

export interface CallsDeps {
  readonly clock: Clock
  readonly requests: RequestTable
  /** Puts a request on the wire; only called while the connection is up. */
  readonly send: (name: CallName, fields: FrameFields<CallName>, payload?: Uint8Array) => void
}

/** Calls that wait for their answer, over all connections. */
export class Calls {
  readonly #deps: CallsDeps
  readonly #pending = new Set<Call>()
  #isUp = false
  #end: PocketError | undefined

  constructor(deps: CallsDeps) {
    this.#deps = deps
  }

  /**
   * Sends when there is a connection. `done` is called once: with the answer, the relay's refusal, TIMEOUT,
   * CONNECTION_LOST where it may not be repeated, or why the session ended. The function given takes the call back:
   * then `done` is never called.
   */
  start<N extends CallName, A extends AnswerName>(
    options: CallOptions<N, A>, done: (outcome: CallOutcome<A>) => void,
  ): () => void {
    const anyDone = done as (outcome: CallOutcome<AnswerName>) => void
    const call = new Call(options as CallOptions<CallName, AnswerName>, anyDone, this)
    this.#pending.add(call)
    const end = this.#end
    if (end !== undefined) {
      this.#deps.clock.defer(() => call.finish(end))
      return () => this.drop(call)
    }
    call.cancelTimer = this.#deps.clock.setTimer(options.timeoutMs, () => {
      call.finish(new PocketError('TIMEOUT', `no answer to ${options.name} came within ${options.timeoutMs} ms`))
    })
    if (this.#isUp) this.#send(call)
    return () => this.drop(call)
  }

  linked(): void {
    this.#isUp = true
    for (const call of [...this.#pending]) this.#send(call)
  }

  unlinked(): void {
    this.#isUp = false
    for (const call of [...this.#pending]) {
      if (call.requestId === 0) continue
      call.requestId = 0
      if (call.options.isRepeatable) continue
      const text = `the connection was lost before ${call.options.name} was answered; it may have taken effect`
      call.finish(new PocketError('CONNECTION_LOST', text))
    }
  }

  ended(error: PocketError): void {
    this.#isUp = false
    this.#end = error
    for (const call of [...this.#pending]) call.finish(error)
  }

  /** It is over, whichever way. False if it was before. */
  drop(call: Call): boolean {
    if (!this.#pending.delete(call)) return false
    call.cancelTimer?.()
    if (call.requestId !== 0) this.#deps.requests.forget(call.requestId)
    return true
  }

  #send(call: Call): void {
    call.requestId = this.#deps.requests.open(call)
    const { name, fields, payload } = call.options
    try {
      this.#deps.send(name, { ...fields, requestId: call.requestId } as FrameFields<CallName>, payload)
    } catch (error) {
      // A field is over the bound of the wire; nothing was put on it.
      call.finish(toPocketError(error))
    }
  }
}

class Call implements AnswerHandler {
  readonly options: CallOptions<CallName, AnswerName>
  cancelTimer: CancelTimer | undefined
  /** 0 while it is not on the wire. */
  requestId = 0
  readonly #done: (outcome: CallOutcome<AnswerName>) => void
  readonly #calls: Calls

  constructor(
    options: CallOptions<CallName, AnswerName>, done: (outcome: CallOutcome<AnswerName>) => void, calls: Calls,
  ) {
    this.options = options
    this.#done = done
    this.#calls = calls
  }

  answered(frame: AnswerFrame): void {
    const { name, answer } = this.options
    this.finish(frame.name === answer ? frame : new PocketError('BAD_FRAME', `${name} was answered with ${frame.name}`))
  }

  refused(error: PocketError): void {
    this.finish(error)
  }

  finish(outcome: CallOutcome<AnswerName>): void {
    if (this.#calls.drop(this)) this.#done(outcome)
  }
}
