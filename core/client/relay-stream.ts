// Something that the relay sends by itself once it was asked for, kept up over reconnects under one subscription id: asked
// for again on each connection, until it is left, refused for good, or revoked. It knows nothing of what is sent.
//
//   offline ──linked──> asking ──answered──> active ──leave──> leaving ──DONE or no connection──> over
//      ^                 │  ^ │                │
//      └─────unlinked────┘  │ └─refused for now──> waiting ─┐
//                           └────────────time is over───────┘     (refused for good, revoked, session over ──> over)

import { PocketError, toPocketError } from '../errors.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession, FollowerSink, SessionParticipant, SubscriptionSink } from '../session/client-session.ts'
import type { AnswerFrame, AnswerName } from '../session/requests.ts'

export interface StreamDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
}

/** Whose stream it is. */
export interface StreamOwner {
  /** The relay has it no more, as the connection is gone. */
  suspended(): void
  /** It is over, and nobody asked for that. Called at most once, and last. */
  ended(error: PocketError): void
}

type State = 'offline' | 'asking' | 'waiting' | 'active' | 'leaving' | 'over'

export abstract class RelayStream<A extends AnswerName> implements SessionParticipant {
  readonly subscriptionId: number
  protected readonly deps: StreamDeps
  readonly #owner: StreamOwner
  readonly #answer: A
  #state: State = 'offline'
  #requestId = 0
  #refusalCount = 0
  #cancelRetry: CancelTimer | undefined
  #left: (() => void) | undefined

  constructor(deps: StreamDeps, owner: StreamOwner, answer: A) {
    this.deps = deps
    this.#owner = owner
    this.#answer = answer
    this.subscriptionId = deps.session.openSubscription(this.sink())
  }

  /** Itself, as the session sees it. */
  protected abstract sink(): SubscriptionSink | FollowerSink
  /** Sends what asks for it. A PocketError thrown ends it. */
  protected abstract ask(requestId: number): void
  /** The relay has it, for the first time or again. */
  protected abstract opened(frame: Extract<AnswerFrame, { readonly name: A }>): void

  get isActive(): boolean {
    return this.#state === 'active'
  }

  start(): void {
    this.deps.session.join(this)
  }

  /** Allows the relay to send so much more. */
  grant(messageCount: number, byteCount: number): void {
    if (this.#state !== 'active' || (messageCount === 0 && byteCount === 0)) return
    this.deps.session.send('CREDIT', { subscriptionId: this.subscriptionId, messageCount, byteCount })
  }

  /**
   * Leaves. `left` is called when the relay knows, or when there is no relay to tell. What is to be settled before must be
   * on the wire.
   */
  leave(left: () => void): void {
    const { session } = this.deps
    this.#left = left
    this.#cancelRetry?.()
    if (this.#state !== 'active' && this.#state !== 'asking') return this.#finish()
    session.forgetRequest(this.#requestId)
    this.#state = 'leaving'
    const done = () => this.#finish()
    const requestId = session.openRequest({ answered: done, refused: done })
    session.send('UNSUBSCRIBE', { requestId, subscriptionId: this.subscriptionId })
  }

  linked(): void {
    if (this.#state === 'offline') this.#ask()
  }

  unlinked(): void {
    this.#cancelRetry?.()
    if (this.#state === 'leaving') return this.#finish()
    const wasActive = this.#state === 'active'
    this.#state = 'offline'
    if (wasActive) this.#owner.suspended()
  }

  /** The session is over. */
  ended(error: PocketError): void {
    this.#end(error)
  }

  revoked(error: PocketError): void {
    this.#end(error)
  }

  #ask(): void {
    const { session } = this.deps
    const answer = this.#answer
    this.#state = 'asking'
    this.#requestId = session.openRequest({
      answered: (frame) => {
        if (frame.name === answer) this.#opened(frame as Extract<AnswerFrame, { readonly name: A }>)
        else this.#refused(new PocketError('BAD_FRAME', `${frame.name} came where ${answer} was due`))
      },
      refused: (error) => this.#refused(error),
    })
    try {
      this.ask(this.#requestId)
    } catch (error) {
      // A field is over the bound of the wire; nothing was put on it.
      session.forgetRequest(this.#requestId)
      this.#end(toPocketError(error))
    }
  }

  #opened(frame: Extract<AnswerFrame, { readonly name: A }>): void {
    this.#state = 'active'
    this.#refusalCount = 0
    this.opened(frame)
  }

  #refused(error: PocketError): void {
    if (!error.retryable) return this.#end(error)
    this.#state = 'waiting'
    const { clock, random } = this.deps
    const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(++this.#refusalCount, random)
    this.#cancelRetry = clock.setTimer(delayMs, () => {
      if (this.#state === 'waiting') this.#ask()
    })
  }

  /** It ended without being left. */
  #end(error: PocketError): void {
    if (this.#state === 'over') return
    if (this.#state === 'leaving') return this.#finish()
    this.#finish()
    this.#owner.ended(error)
  }

  #finish(): void {
    const { session } = this.deps
    this.#state = 'over'
    this.#cancelRetry?.()
    session.closeSubscription(this.subscriptionId)
    session.leave(this)
    this.#left?.()
    this.#left = undefined
  }
}
