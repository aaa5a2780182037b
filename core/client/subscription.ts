// A place in a consumer group, kept over reconnects under one member id. It knows nothing of messages.

import type { FilterKind } from '../filter/message-filter.ts'
import type { StartPolicy } from '../model/position.ts'
import type { ConsumeMode } from '../model/topic.ts'
import type { FrameFields, QueuePosition } from '../protocol/frames.ts'
import type { SubscriptionSink } from '../session/client-session.ts'
import { RelayStream, type StreamDeps, type StreamOwner } from './relay-stream.ts'

export type { StreamDeps as SubscriptionDeps } from './relay-stream.ts'

export interface SubscriptionTerms {
  readonly group: string
  readonly topic: string
  readonly mode: ConsumeMode
  readonly filterKind: FilterKind
  readonly filter: string
  readonly start: StartPolicy
  /** 0 leaves it to the relay. */
  readonly leaseMs: number
  /** Who keeps the positions of a BROADCASTING member. */
  readonly positionKeeper: 'client' | 'broker'
  /** Under which name the broker keeps them; else empty. */
  readonly consumerName: string
}

/** Whose place it is. */
export interface SubscriptionOwner extends StreamOwner {
  /** Where a BROADCASTING reader stands, to resume. */
  resumePositions(): readonly QueuePosition[]
  /** The relay has the subscription, for the first time or again. */
  opened(frame: FrameFields<'SUBSCRIBED'>): void
  /** `isPending`: of this device, and not at the relay yet. */
  deliver(frame: FrameFields<'DELIVER'>, isPending?: boolean): void
  gap(frame: FrameFields<'GAP'>): void
  /** What was delivered of the queue is void. */
  reset(frame: FrameFields<'RESET'>): void
}

/** Where a push consumer gets its messages from: a subscription at the relay, or a copy on the device. */
export interface ConsumerStream {
  readonly subscriptionId: number
  start(): void
  /** Allows so much more to be delivered. */
  grant(messageCount: number, byteCount: number): void
  /** Where the reader stands, to be kept; false where it can't be told now. */
  report(positions: readonly QueuePosition[]): boolean
  /** Ends it; `left` is called once everything that was reported is kept. */
  leave(left: () => void): void
}

/** Opens a stream for whoever owns it. Nothing is told before `start`. */
export type OpenStream = (terms: SubscriptionTerms, owner: SubscriptionOwner) => ConsumerStream

export class Subscription extends RelayStream<'SUBSCRIBED'> implements SubscriptionSink, ConsumerStream {
  readonly #terms: SubscriptionTerms
  readonly #owner: SubscriptionOwner
  readonly #memberId: Uint8Array

  constructor(deps: StreamDeps, terms: SubscriptionTerms, owner: SubscriptionOwner) {
    super(deps, owner, 'SUBSCRIBED')
    this.#terms = terms
    this.#owner = owner
    this.#memberId = deps.random.bytes(8)
  }

  deliver(frame: FrameFields<'DELIVER'>): void {
    if (this.isActive) this.#owner.deliver(frame)
  }

  gap(frame: FrameFields<'GAP'>): void {
    if (this.isActive) this.#owner.gap(frame)
  }

  reset(frame: FrameFields<'RESET'>): void {
    if (this.isActive) this.#owner.reset(frame)
  }

  /** Tells the relay where the reader stands; false where there is none to tell. */
  report(positions: readonly QueuePosition[]): boolean {
    if (this.isActive) this.deps.session.send('POSITIONS', { subscriptionId: this.subscriptionId, positions })
    return this.isActive
  }

  protected override sink(): SubscriptionSink {
    return this
  }

  protected override ask(requestId: number): void {
    const { subscriptionId } = this
    const memberId = this.#memberId
    const positions = this.#owner.resumePositions()
    this.deps.session.send('SUBSCRIBE', { requestId, subscriptionId, memberId, ...this.#terms, positions })
  }

  protected override opened(frame: FrameFields<'SUBSCRIBED'>): void {
    this.#owner.opened(frame)
  }
}
