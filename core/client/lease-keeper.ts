// Keeps the leases of one subscription: extends them while the application holds or is about to get their messages,
// notices when one is lost, and checks all of them after a reconnect. An application that holds a message and does
// nothing for 15 minutes (RocketMQ's consume timeout) is taken to have lost it.

import type { ErrorCode } from '../errors.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Delivery } from './delivery.ts'
import type { Settlements } from './settlements.ts'

const quietMsMax = 15 * 60_000
/** An extension is asked for when this share of the lease is left. */
const extendAtShare = 2 / 3

export interface LeaseKeeperDeps {
  readonly clock: Clock
  readonly settlements: Settlements
  /** Whether leases are extended at all; if not, they only end. */
  readonly isExtending: boolean
  /** Nothing was done with it for too long: what was not taken of it goes back, and its lease runs out. */
  readonly abandoned: (delivery: Delivery) => void
  /** Its lease is over. */
  readonly lost: (delivery: Delivery) => void
}

/** What is known of a lease beside its end. */
interface Watch {
  readonly delivery: Delivery
  isAsking: boolean
  isAbandoned: boolean
}

export class LeaseKeeper {
  readonly #deps: LeaseKeeperDeps
  readonly #watches = new Map<Delivery, Watch>()
  /** Of the subscription, as the relay granted it. */
  #leaseMs = 60_000
  #isOpen = false
  #armedAtMs = Infinity
  #cancelTimer: CancelTimer | undefined

  constructor(deps: LeaseKeeperDeps) {
    this.#deps = deps
  }

  hold(delivery: Delivery): void {
    const watch = { delivery, isAsking: false, isAbandoned: false }
    this.#watches.set(delivery, watch)
    this.#arm(this.#dueMs(watch))
  }

  /** Nothing of it is held any more. */
  drop(delivery: Delivery): void {
    if (this.#watches.delete(delivery) && this.#watches.size === 0) this.#disarm()
  }

  /** A message of it asked for a lease of its own length. */
  extended(delivery: Delivery, untilMs: number): void {
    delivery.deadlineMs = untilMs
    const watch = this.#watches.get(delivery)
    if (watch !== undefined) this.#arm(this.#dueMs(watch))
  }

  /** Its lease is over. What was settled before is left alone. */
  lose(delivery: Delivery): void {
    if (!this.#watches.has(delivery)) return
    this.drop(delivery)
    delivery.lose()
    this.#deps.lost(delivery)
  }

  /** The relay has the subscription. `checked` is called when it is known of every lease whether it goes on. */
  open(leaseMs: number, checked: () => void): void {
    this.#leaseMs = leaseMs
    this.#isOpen = true
    let waitingFor = 1
    const answered = () => {
      if (--waitingFor === 0) checked()
    }
    for (const watch of this.#watches.values()) {
      if (!this.#deps.isExtending || watch.isAbandoned) continue
      waitingFor++
      this.#ask(watch, answered)
    }
    answered()
    this.#disarm()
    this.#rearm()
  }

  /** No connection: leases can only end. */
  suspend(): void {
    this.#isOpen = false
    for (const watch of this.#watches.values()) watch.isAsking = false
  }

  /** The leases are over with the subscription: whoever works on a message should stop. */
  end(): void {
    const deliveries = [...this.#watches.keys()]
    this.#watches.clear()
    this.#disarm()
    for (const delivery of deliveries) delivery.lose()
  }

  /** When something is to be done about a lease. */
  #dueMs({ delivery, isAsking, isAbandoned }: Watch): number {
    const isExtended = this.#deps.isExtending && this.#isOpen && !isAsking && !isAbandoned
    return isExtended ? delivery.deadlineMs - this.#leaseMs * extendAtShare : delivery.deadlineMs
  }

  #ask(watch: Watch, then?: () => void): void {
    const { clock, settlements } = this.#deps
    const { delivery } = watch
    const untilMs = clock.monotonic() + this.#leaseMs
    watch.isAsking = true
    settlements.extendAll(delivery, this.#leaseMs, (failure: ErrorCode | undefined) => {
      watch.isAsking = false
      if (this.#watches.get(delivery) === watch) {
        if (failure === undefined) delivery.deadlineMs = Math.max(delivery.deadlineMs, untilMs)
        else if (failure === 'RECEIPT_STALE') this.lose(delivery)
        this.#arm(this.#dueMs(watch))
      }
      then?.()
    })
  }

  readonly #tick = (): void => {
    this.#disarm()
    const nowMs = this.#deps.clock.monotonic()
    // What falls due soon is done with what is due, in one request.
    const soonMs = nowMs + this.#leaseMs / 16
    for (const watch of [...this.#watches.values()]) {
      const { delivery } = watch
      if (delivery.deadlineMs <= nowMs) this.lose(delivery)
      else if (this.#dueMs(watch) <= soonMs && !this.#isQuiet(watch, nowMs)) this.#ask(watch)
    }
    this.#rearm()
  }

  /** Whether the application has done nothing with it for too long; it is given up then. */
  #isQuiet(watch: Watch, nowMs: number): boolean {
    if (watch.isAsking || watch.isAbandoned || !this.#isOpen || !this.#deps.isExtending) return true
    const { delivery } = watch
    if (delivery.progress !== delivery.progressSeen) {
      delivery.progressSeen = delivery.progress
      delivery.quietSinceMs = nowMs
    }
    if (nowMs - delivery.quietSinceMs < quietMsMax) return false
    watch.isAbandoned = true
    this.#deps.abandoned(delivery)
    return true
  }

  #rearm(): void {
    let dueMs = Infinity
    for (const watch of this.#watches.values()) dueMs = Math.min(dueMs, this.#dueMs(watch))
    this.#arm(dueMs)
  }

  #arm(dueMs: number): void {
    if (dueMs >= this.#armedAtMs) return
    this.#cancelTimer?.()
    this.#armedAtMs = dueMs
    const { clock } = this.#deps
    this.#cancelTimer = clock.setTimer(Math.max(0, dueMs - clock.monotonic()), this.#tick)
  }

  #disarm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#armedAtMs = Infinity
  }
}
