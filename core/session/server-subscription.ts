// One subscription of a connection, between its session and the broker: the sink that a member is told through, and
// what arrived for the membership before the broker had answered SUBSCRIBE.
//
//   joining ──SUBSCRIBED──> member ──UNSUBSCRIBE, REVOKED, end──> over
//      └──────────refused, revoked, end of the connection──────────^

import type { Delivery, MemberSink, Membership } from '../broker/door.ts'
import { errorCodes, type PocketError } from '../errors.ts'
import type { Position } from '../model/position.ts'
import type { DownstreamName, FrameFields } from '../protocol/frames.ts'

/** What a subscription needs of its session. */
export interface SubscriptionHost {
  /** Whether deliveries may come now. */
  readonly isWritable: boolean
  add<N extends DownstreamName>(name: N, fields: FrameFields<N>, payload?: Uint8Array): void
  /** The broker ended it; the session forgets it. */
  revoked(subscription: ServerSubscription): void
  /** A bug in the session: it must not reach the broker, whose turn this is. */
  crashed(thrown: unknown): void
}

const noBytes = new Uint8Array(0)

export class ServerSubscription implements MemberSink {
  readonly subscriptionId: number
  readonly #host: SubscriptionHost
  #membership: Membership | undefined
  #isOver = false
  #waiting: ((membership: Membership | undefined) => void)[] = []
  #creditMessageCount = 0
  #creditByteCount = 0

  constructor(subscriptionId: number, host: SubscriptionHost) {
    this.subscriptionId = subscriptionId
    this.#host = host
  }

  // ── the session's side ────────────────────────────────────────────────────────────────────────────────────────

  /** The broker took it in: what has waited is done now, credit first. */
  begin(membership: Membership): void {
    if (this.#isOver) {
      membership.detach()
      return
    }
    this.#membership = membership
    if (this.#creditMessageCount > 0 || this.#creditByteCount > 0) {
      membership.credit(this.#creditMessageCount, this.#creditByteCount)
    }
    this.#runWaiting(membership)
  }

  credit(messageCount: number, byteCount: number): void {
    if (this.#membership !== undefined) {
      this.#membership.credit(messageCount, byteCount)
    } else {
      this.#creditMessageCount += messageCount
      this.#creditByteCount += byteCount
    }
  }

  /** Calls `use` with the membership, once it is known whether there is one; undefined when there is none. */
  use(use: (membership: Membership | undefined) => void): void {
    if (this.#membership !== undefined || this.#isOver) use(this.#membership)
    else this.#waiting.push(use)
  }

  /** The sink has room again. */
  writable(): void {
    this.#membership?.writable()
  }

  /** Nothing more is told to the client. What has waited hears that there is no membership. */
  finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#membership = undefined
    this.#runWaiting(undefined)
  }

  /** The connection is over; the member may return on another. */
  detach(): void {
    const membership = this.#membership
    this.#waiting = []
    this.finish()
    membership?.detach()
  }

  #runWaiting(membership: Membership | undefined): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const use of waiting) use(membership)
  }

  // ── the broker's side ─────────────────────────────────────────────────────────────────────────────────────────

  get isWritable(): boolean {
    return !this.#isOver && this.#host.isWritable
  }

  deliver(delivery: Delivery): void {
    if (this.#isOver) return
    try {
      const { subscriptionId } = this
      const { queueId, leaseId, attempt, leaseMs, next, record } = delivery
      this.#host.add('DELIVER', { subscriptionId, queueId, leaseId, attempt, leaseMs, next, record: noBytes }, record)
    } catch (error) {
      this.#host.crashed(error)
    }
  }

  gap(queueId: number, expected: Position, next: Position): void {
    if (this.#isOver) return
    try {
      this.#host.add('GAP', { subscriptionId: this.subscriptionId, queueId, expected, next })
    } catch (error) {
      this.#host.crashed(error)
    }
  }

  revoked(reason: PocketError): void {
    if (this.#isOver) return
    try {
      const { number: code } = errorCodes[reason.code]
      this.#host.add('REVOKED', { subscriptionId: this.subscriptionId, code, message: reason.message })
      this.finish()
      this.#host.revoked(this)
    } catch (error) {
      this.#host.crashed(error)
    }
  }
}
