// Keeps the leases of one subscription: extends them while the application holds or is about to get their messages,
// notices when one is lost, and checks all of them after a reconnect. An application that holds a message and does
// nothing for 15 minutes (RocketMQ's consume timeout) is taken to have lost it.

import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Delivery } from './delivery.ts'
import type { Settlements } from './settlements.ts'

const quietMsMax = 15 * 60_000
/** An extension is asked for when this share of the lease is left. */
const extendAtShare = 2 / 3
/** A wall clock that runs ahead of the monotonic one by so much says that the machine was asleep. */
const asleepMsMin = 5_000

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

export class LeaseKeeper {
  readonly #deps: LeaseKeeperDeps
  readonly #held = new Set<Delivery>()
  /** Of the subscription, as the relay granted it. */
  #leaseMs = 60_000
  #isOpen = false
  #armedAtMs = Infinity
  #cancelTimer: CancelTimer | undefined
  /** By how much the wall clock is ahead of the monotonic one. */
  #wallAheadMs: number

  constructor(deps: LeaseKeeperDeps) {
    this.#deps = deps
    this.#wallAheadMs = this.#wallAhead()
  }

  hold(delivery: Delivery): void {
    this.#held.add(delivery)
    this.#arm(this.#dueMs(delivery))
  }

  /** Nothing of it is held any more. A timer for it stays, as there is soon another to use it. */
  drop(delivery: Delivery): void {
    this.#held.delete(delivery)
  }

  /**
   * Messages are about to be handed out. A process that was stopped, or a machine that was asleep, may get here before
   * its timers: what has ended meanwhile is found now. A monotonic clock may have slept too.
   */
  look(): void {
    const wallAheadMs = this.#wallAhead()
    const asleepMs = wallAheadMs - this.#wallAheadMs
    this.#wallAheadMs = wallAheadMs
    if (asleepMs >= asleepMsMin) {
      for (const delivery of this.#held) delivery.deadlineMs -= asleepMs
      this.#tick()
    } else if (this.#deps.clock.monotonic() >= this.#armedAtMs) this.#tick()
  }

  #wallAhead(): number {
    const { clock } = this.#deps
    return clock.now() - clock.monotonic()
  }

  /** What was delivered of a queue is void. */
  reset(queueId: number): void {
    for (const delivery of [...this.#held]) if (delivery.queueId === queueId) this.lose(delivery)
  }

  /** A message of it asked for a lease of its own length. */
  extended(delivery: Delivery, untilMs: number): void {
    delivery.deadlineMs = untilMs
    if (this.#held.has(delivery)) this.#arm(this.#dueMs(delivery))
  }

  /** Its lease is over. What was settled before is left alone. */
  lose(delivery: Delivery): void {
    if (!this.#held.has(delivery)) return
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
    for (const delivery of this.#held) {
      if (!this.#deps.isExtending || delivery.isAbandoned) continue
      waitingFor++
      this.#ask(delivery, answered)
    }
    answered()
    this.#disarm()
    this.#rearm()
  }

  /** No connection: leases can only end. */
  suspend(): void {
    this.#isOpen = false
    for (const delivery of this.#held) delivery.isExtending = false
  }

  /** The leases are over with the subscription: whoever works on a message should stop. */
  end(): void {
    const deliveries = [...this.#held]
    this.#held.clear()
    this.#disarm()
    for (const delivery of deliveries) delivery.lose()
  }

  /** When something is to be done about a lease. */
  #dueMs({ deadlineMs, isExtending, isAbandoned }: Delivery): number {
    const isExtended = this.#deps.isExtending && this.#isOpen && !isExtending && !isAbandoned
    return isExtended ? deadlineMs - this.#leaseMs * extendAtShare : deadlineMs
  }

  #ask(delivery: Delivery, then?: () => void): void {
    const { clock, settlements } = this.#deps
    const untilMs = clock.monotonic() + this.#leaseMs
    delivery.isExtending = true
    settlements.extendAll(delivery, this.#leaseMs, (failure) => {
      delivery.isExtending = false
      if (this.#held.has(delivery)) {
        if (failure === undefined) delivery.deadlineMs = Math.max(delivery.deadlineMs, untilMs)
        else if (failure.code === 'RECEIPT_STALE') this.lose(delivery)
        this.#arm(this.#dueMs(delivery))
      }
      then?.()
    })
  }

  readonly #tick = (): void => {
    this.#disarm()
    const nowMs = this.#deps.clock.monotonic()
    // What falls due soon is done with what is due, in one request.
    const soonMs = nowMs + this.#leaseMs / 16
    for (const delivery of [...this.#held]) {
      if (delivery.deadlineMs <= nowMs) this.lose(delivery)
      else if (this.#dueMs(delivery) <= soonMs && this.#isWanted(delivery, nowMs)) this.#ask(delivery)
    }
    this.#rearm()
  }

  /** Whether it can be extended, and the application still does something with it; if not, it is given up. */
  #isWanted(delivery: Delivery, nowMs: number): boolean {
    if (delivery.isExtending || delivery.isAbandoned || !this.#isOpen || !this.#deps.isExtending) return false
    if (delivery.progress !== delivery.progressSeen) {
      delivery.progressSeen = delivery.progress
      delivery.quietSinceMs = nowMs
    }
    if (nowMs - delivery.quietSinceMs < quietMsMax) return true
    delivery.isAbandoned = true
    this.#deps.abandoned(delivery)
    return false
  }

  #rearm(): void {
    let dueMs = Infinity
    for (const delivery of this.#held) dueMs = Math.min(dueMs, this.#dueMs(delivery))
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
