// Messages of one subscription under lease: what holds them, settles them and keeps their leases. Consumers hand out
// what is held; this knows not in which order, nor to whom.

import type { PocketError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { ClientSession } from '../session/client-session.ts'
import type { Delivery } from './delivery.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import type { Custody } from './message.ts'
import { Settlements } from './settlements.ts'

export interface LeaseCustodyDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
  readonly subscriptionId: number
  /** Whether leases are extended while their messages are held. */
  readonly isExtending: boolean
  /** A failure that nobody waits for. */
  readonly report: (error: PocketError) => void
  /** All messages of a delivery are settled. */
  readonly finished?: (delivery: Delivery) => void
  /** A lease is over: nothing more of it is to be handed out. */
  readonly lost: (delivery: Delivery) => void
  /** Nothing more of it is to be handed out, as nothing has been done with it for long; it goes back. */
  readonly abandoned: (delivery: Delivery) => void
}

export class LeaseCustody implements Custody {
  readonly #clock: Clock
  readonly #settlements: Settlements
  readonly #keeper: LeaseKeeper

  constructor(deps: LeaseCustodyDeps) {
    const { session, clock, random, subscriptionId, isExtending, report, finished, lost, abandoned } = deps
    this.#clock = clock
    this.#settlements = new Settlements({
      session, clock, random, subscriptionId, report,
      finished: (delivery) => {
        this.#keeper.drop(delivery)
        finished?.(delivery)
      },
      lost: (delivery) => this.#keeper.lose(delivery),
    })
    this.#keeper = new LeaseKeeper({ clock, settlements: this.#settlements, isExtending, lost, abandoned })
  }

  hold(delivery: Delivery): void {
    this.#keeper.hold(delivery)
  }

  /** Messages are about to be handed out: finds leases that have ended unnoticed. */
  look(): void {
    this.#keeper.look()
  }

  /** What was delivered of a queue is void. */
  reset(queueId: number): void {
    this.#keeper.reset(queueId)
  }

  /** It is not held any more, and nothing is said to the relay. */
  forget(delivery: Delivery): void {
    this.#keeper.drop(delivery)
  }

  ack(delivery: Delivery, index: number): void {
    this.#settlements.ack(delivery, index)
  }

  ackHeard(delivery: Delivery, index: number): Promise<void> {
    return this.#settlements.ackHeard(delivery, index)
  }

  retry(delivery: Delivery, index: number, delayMs: number | undefined): Promise<void> {
    return this.#settlements.retry(delivery, index, delayMs)
  }

  /** It was taken, but nobody saw it: back as if it had not been delivered. */
  release(delivery: Delivery, index: number): void {
    this.#settlements.release(delivery, index)
  }

  extend(delivery: Delivery, index: number, leaseMs: number): Promise<void> {
    const untilMs = this.#clock.monotonic() + leaseMs
    return this.#settlements.extend(delivery, index, leaseMs, (failure) => {
      if (failure === undefined) this.#keeper.extended(delivery, untilMs)
    })
  }

  /** What the application has not taken of it goes back as if it had never come. */
  releaseUntaken(delivery: Delivery): void {
    this.#settlements.releaseUntaken(delivery)
  }

  /** The relay has the subscription. `checked` is called when it is known which leases go on. */
  open(leaseMs: number, checked: () => void): void {
    this.#settlements.open()
    this.#keeper.open(leaseMs, checked)
  }

  suspend(): void {
    this.#settlements.suspend()
    this.#keeper.suspend()
  }

  /** Puts on the wire what was settled so far, before the turn ends. */
  flush(): void {
    this.#settlements.turnEnded()
  }

  end(error: PocketError): void {
    this.#settlements.end(error)
    this.#keeper.end()
  }
}
