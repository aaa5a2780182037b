// A place in a consumer group, kept over reconnects under one member id: SUBSCRIBE again on each connection, until it
// is left, refused for good, or revoked. It knows nothing of messages.
//
//   offline ──linked──> subscribing ──SUBSCRIBED──> active ──leave──> leaving ──DONE or no connection──> over
//      ^                  │  ^  │                     │
//      └──────unlinked────┘  │  └─refused for now─> waiting ─┐
//                            └────────────time is over───────┘     (refused for good, revoked, session over ──> over)

import { PocketError, toPocketError } from '../errors.ts'
import type { StartPolicy } from '../model/position.ts'
import type { ConsumeMode } from '../model/topic.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { FrameFields, QueuePosition } from '../protocol/frames.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession, SessionParticipant, SubscriptionSink } from '../session/client-session.ts'

export interface SubscriptionDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
}

export interface SubscriptionTerms {
  readonly group: string
  readonly topic: string
  readonly mode: ConsumeMode
  readonly filter: string
  readonly start: StartPolicy
  /** 0 leaves it to the relay. */
  readonly leaseMs: number
}

/** Whose place it is. */
export interface SubscriptionOwner {
  /** Where a BROADCASTING reader stands, to resume. */
  resumePositions(): readonly QueuePosition[]
  /** The relay has the subscription, for the first time or again. */
  opened(frame: FrameFields<'SUBSCRIBED'>): void
  /** It has it no more, as the connection is gone. */
  suspended(): void
  deliver(frame: FrameFields<'DELIVER'>): void
  gap(frame: FrameFields<'GAP'>): void
  /** It is over, and nobody asked for that. Called at most once, and last. */
  ended(error: PocketError): void
}

type State = 'offline' | 'subscribing' | 'waiting' | 'active' | 'leaving' | 'over'

export class Subscription implements SessionParticipant, SubscriptionSink {
  readonly subscriptionId: number
  readonly #deps: SubscriptionDeps
  readonly #terms: SubscriptionTerms
  readonly #owner: SubscriptionOwner
  readonly #memberId: Uint8Array
  #state: State = 'offline'
  #requestId = 0
  #refusalCount = 0
  #cancelRetry: CancelTimer | undefined
  #left: (() => void) | undefined

  constructor(deps: SubscriptionDeps, terms: SubscriptionTerms, owner: SubscriptionOwner) {
    this.#deps = deps
    this.#terms = terms
    this.#owner = owner
    this.#memberId = deps.random.bytes(8)
    this.subscriptionId = deps.session.openSubscription(this)
  }

  get isActive(): boolean {
    return this.#state === 'active'
  }

  start(): void {
    this.#deps.session.join(this)
  }

  /** Allows the relay to deliver so much more. */
  grant(messageCount: number, byteCount: number): void {
    if (this.#state !== 'active' || (messageCount === 0 && byteCount === 0)) return
    this.#deps.session.send('CREDIT', { subscriptionId: this.subscriptionId, messageCount, byteCount })
  }

  /**
   * Leaves the group. `left` is called when the relay knows, or when there is no relay to tell: it takes the leases
   * back after the grace time then. What is to be settled before must be on the wire.
   */
  leave(left: () => void): void {
    const { session } = this.#deps
    this.#left = left
    this.#cancelRetry?.()
    if (this.#state !== 'active' && this.#state !== 'subscribing') return this.#finish()
    session.forgetRequest(this.#requestId)
    this.#state = 'leaving'
    const done = () => this.#finish()
    const requestId = session.openRequest({ answered: done, refused: done })
    session.send('UNSUBSCRIBE', { requestId, subscriptionId: this.subscriptionId })
  }

  linked(): void {
    if (this.#state === 'offline') this.#subscribe()
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

  deliver(frame: FrameFields<'DELIVER'>): void {
    if (this.#state === 'active') this.#owner.deliver(frame)
  }

  gap(frame: FrameFields<'GAP'>): void {
    if (this.#state === 'active') this.#owner.gap(frame)
  }

  revoked(error: PocketError): void {
    this.#end(error)
  }

  #subscribe(): void {
    const { session } = this.#deps
    const { subscriptionId } = this
    this.#state = 'subscribing'
    this.#requestId = session.openRequest({
      answered: (frame) => {
        if (frame.name === 'SUBSCRIBED') this.#opened(frame)
        else this.#refused(new PocketError('BAD_FRAME', `SUBSCRIBE was answered with ${frame.name}`))
      },
      refused: (error) => this.#refused(error),
    })
    const positions = this.#owner.resumePositions()
    try {
      session.send('SUBSCRIBE', {
        requestId: this.#requestId, subscriptionId, memberId: this.#memberId, ...this.#terms, positions,
      })
    } catch (error) {
      // A field is over the bound of the wire; nothing was put on it.
      session.forgetRequest(this.#requestId)
      this.#end(toPocketError(error))
    }
  }

  #opened(frame: FrameFields<'SUBSCRIBED'>): void {
    this.#state = 'active'
    this.#refusalCount = 0
    this.#owner.opened(frame)
  }

  #refused(error: PocketError): void {
    if (!error.retryable) return this.#end(error)
    this.#state = 'waiting'
    const { clock, random } = this.#deps
    const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(++this.#refusalCount, random)
    this.#cancelRetry = clock.setTimer(delayMs, () => {
      if (this.#state === 'waiting') this.#subscribe()
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
    const { session } = this.#deps
    this.#state = 'over'
    this.#cancelRetry?.()
    session.closeSubscription(this.subscriptionId)
    session.leave(this)
    this.#left?.()
    this.#left = undefined
  }
}
