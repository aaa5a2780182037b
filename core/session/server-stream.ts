// What a connection's subscriptions and followers have in common at the relay: they live between session and broker, and
// keep what arrived for them before the broker had answered.
//
//   joining ──SUBSCRIBED, FOLLOWING──> in place ──UNSUBSCRIBE, REVOKED, end──> over
//      └────────────refused, revoked, end of the connection─────────────────────^

import { errorCodes } from '../error-codes.ts'
import type { PocketError } from '../errors.ts'
import type { DownstreamName, FrameFields } from '../protocol/frames.ts'

/** What a stream needs of its session. */
export interface StreamHost {
  /** Whether deliveries may come now. */
  readonly isWritable: boolean
  add<N extends DownstreamName>(name: N, fields: FrameFields<N>, payload?: Uint8Array): void
  /** The broker ended it; the session forgets it. */
  revoked(subscriptionId: number): void
  /** A bug in the session: it must not reach the broker, whose turn this is. */
  crashed(thrown: unknown): void
}

/** What the broker gives a stream: a membership, a following. */
export interface StreamPlace {
  credit(count: number, byteCount: number): void
  writable(): void
}

export abstract class ServerStream<P extends StreamPlace> {
  readonly subscriptionId: number
  protected readonly host: StreamHost
  #place: P | undefined
  #isOver = false
  #waiting: ((place: P | undefined) => void)[] = []
  #creditCount = 0
  #creditByteCount = 0

  constructor(subscriptionId: number, host: StreamHost) {
    this.subscriptionId = subscriptionId
    this.host = host
  }

  /** The connection is over. */
  protected abstract abandon(place: P): void

  // ── the session's side ────────────────────────────────────────────────────────────────────────────────────────

  /** The broker took it in: what has waited is done now, credit first. */
  begin(place: P): void {
    if (this.#isOver) return this.abandon(place)
    this.#place = place
    if (this.#creditCount > 0 || this.#creditByteCount > 0) place.credit(this.#creditCount, this.#creditByteCount)
    this.#runWaiting(place)
  }

  credit(count: number, byteCount: number): void {
    if (this.#place !== undefined) {
      this.#place.credit(count, byteCount)
    } else {
      this.#creditCount += count
      this.#creditByteCount += byteCount
    }
  }

  /** Undefined before the broker took it in, and once it is over. */
  get place(): P | undefined {
    return this.#place
  }

  /** Calls `use` with the place, once it is known whether there is one; undefined when there is none. */
  use(use: (place: P | undefined) => void): void {
    if (this.#place !== undefined || this.#isOver) use(this.#place)
    else this.#waiting.push(use)
  }

  /** The connection has room again. */
  writable(): void {
    this.#place?.writable()
  }

  /** Nothing more is told to the client. What has waited hears that there is no place. */
  finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#place = undefined
    this.#runWaiting(undefined)
  }

  /** The connection is over. */
  detach(): void {
    const place = this.#place
    this.#waiting = []
    this.finish()
    if (place !== undefined) this.abandon(place)
  }

  #runWaiting(place: P | undefined): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const use of waiting) use(place)
  }

  // ── the broker's side ─────────────────────────────────────────────────────────────────────────────────────────

  get isWritable(): boolean {
    return !this.#isOver && this.host.isWritable
  }

  revoked(reason: PocketError): void {
    this.tell(() => {
      const { number: code } = errorCodes[reason.code]
      this.host.add('REVOKED', { subscriptionId: this.subscriptionId, code, message: reason.message })
      this.finish()
      this.host.revoked(this.subscriptionId)
    })
  }

  /** Runs unless it is over. What fails in it is the session's, and not the broker's. */
  protected tell(run: () => void): void {
    if (this.#isOver) return
    try {
      run()
    } catch (error) {
      this.host.crashed(error)
    }
  }
}
