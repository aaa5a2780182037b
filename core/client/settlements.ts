// What the messages of one subscription came to: acks, retries and extensions, packed per turn into few ranges, sent
// again after a reconnect until they are answered.
//
//   ack, retry, release, extend ──> gathered ──turn ended──> on the wire ──DONE──> those who wait hear
//                                                  ^ reopened, or refused for now ┘

import { errorCodeOf } from '../error-codes.ts'
import { PocketError } from '../errors.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import type { FrameFields, LeaseRange } from '../protocol/frames.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession } from '../session/client-session.ts'
import type { AnswerFrame, AnswerHandler } from '../session/requests.ts'
import type { Delivery } from './delivery.ts'
import { SettlePromise } from './settle-promise.ts'

export interface SettlementsDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
  readonly subscriptionId: number
  /** A failure that nobody waits for. */
  readonly report: (error: PocketError) => void
  /** Every message of the delivery is settled. */
  readonly finished: (delivery: Delivery) => void
  /** The relay says that the lease is over. */
  readonly lost: (delivery: Delivery) => void
}

type Verb =
  | { readonly name: 'ACK' }
  | { readonly name: 'RETRY'; readonly how: 'schedule' | 'after' | 'release'; readonly delayMs: number }
  | { readonly name: 'EXTEND'; readonly leaseMs: number }

/** One range of a request, and who wants to know. */
interface Item {
  readonly delivery: Delivery
  readonly promise: SettlePromise | undefined
  readonly answered: Answered | undefined
}

/** Told how it ended: with an error, or undefined when it took effect. */
export type Answered = (failure: PocketError | undefined) => void

/** Keeps a frame below what the session reckons with; the protocol allows more. */
const rangesPerFrameMax = 2_048
/** No range takes more. */
const rangeBytesMax = 24

export class Settlements {
  readonly #deps: SettlementsDeps
  #isOpen = false
  #end: PocketError | undefined
  #isTouched = false
  /** Deliveries with acks of this turn. */
  #acked: Delivery[] = []
  readonly #gathered = new Map<string, SettleRequest>()
  readonly #unanswered = new Set<SettleRequest>()
  #refusalCount = 0
  #cancelRetry: CancelTimer | undefined

  constructor(deps: SettlementsDeps) {
    this.#deps = deps
  }

  /** Consumed; a failure is reported. The cheap way: no promise. */
  ack(delivery: Delivery, index: number): void {
    if (this.#end !== undefined) return this.#deps.report(this.#end)
    if (delivery.ack(index)) {
      this.#acked.push(delivery)
      this.#touch()
    }
    if (delivery.openCount === 0) this.#deps.finished(delivery)
  }

  /** Consumed; the promise is shared by all acks of this turn under the same lease. */
  ackHeard(delivery: Delivery, index: number): Promise<void> {
    if (this.#end !== undefined) return this.#failed(this.#end)
    delivery.ackPromise ??= new SettlePromise(this.#deps.report)
    const promise = delivery.ackPromise
    this.ack(delivery, index)
    return promise
  }

  /** Not consumed: again after `delayMs`, or by the group's schedule. */
  retry(delivery: Delivery, index: number, delayMs: number | undefined): Promise<void> {
    if (this.#end !== undefined) return this.#failed(this.#end)
    const promise = new SettlePromise(this.#deps.report)
    const how = delayMs === undefined ? 'schedule' : 'after'
    const verb: Verb = { name: 'RETRY', how, delayMs: delayMs ?? 0 }
    this.#gather(verb, delivery, index, index + 1, { delivery, promise, answered: undefined })
    this.#closed(delivery, 1)
    return promise
  }

  /** Messages that the application never saw go back as if they had not been delivered. A failure says nothing new. */
  releaseUntaken(delivery: Delivery): void {
    const { takenCount, untakenCount } = delivery
    if (untakenCount === 0 || this.#end !== undefined) return
    const verb: Verb = { name: 'RETRY', how: 'release', delayMs: 0 }
    const item = { delivery, promise: undefined, answered: ignore }
    this.#gather(verb, delivery, takenCount, delivery.record.messageCount, item)
    delivery.takenCount += untakenCount
    delivery.releasedCount += untakenCount
    this.#closed(delivery, untakenCount)
  }

  /** One message that was taken and never seen goes back as if it had not been delivered. A failure says nothing new. */
  release(delivery: Delivery, index: number): void {
    if (this.#end !== undefined) return
    const verb: Verb = { name: 'RETRY', how: 'release', delayMs: 0 }
    this.#gather(verb, delivery, index, index + 1, { delivery, promise: undefined, answered: ignore })
    this.#closed(delivery, 1)
  }

  /** One message asks for a longer lease; the relay gives it to the whole delivery. */
  extend(
    delivery: Delivery, index: number, leaseMs: number, answered: Answered,
  ): Promise<void> {
    if (this.#end !== undefined) return this.#failed(this.#end)
    const promise = new SettlePromise(this.#deps.report)
    this.#gather({ name: 'EXTEND', leaseMs }, delivery, index, index + 1, { delivery, promise, answered })
    return promise
  }

  /** The lease of a whole delivery is to go on. */
  extendAll(delivery: Delivery, leaseMs: number, answered: Answered): void {
    if (this.#end !== undefined) return
    const item = { delivery, promise: undefined, answered }
    this.#gather({ name: 'EXTEND', leaseMs }, delivery, 0, delivery.record.messageCount, item)
  }

  // ── the subscription's state ──────────────────────────────────────────────────────────────────────────────────

  /** The relay has the subscription, for the first time or again: what was not answered goes out. */
  open(): void {
    this.#isOpen = true
    for (const request of this.#unanswered) {
      request.isRefused = false
      this.#send(request)
    }
    this.#touch()
  }

  /** No connection: everything waits. */
  suspend(): void {
    this.#isOpen = false
    this.#cancelRetry?.()
  }

  /** Nothing is settled any more; what waits fails with `error`. */
  end(error: PocketError): void {
    if (this.#end !== undefined) return
    this.#isOpen = false
    this.#end = error
    this.#cancelRetry?.()
    for (const delivery of this.#acked) failPromise(delivery, error)
    this.#acked = []
    for (const request of [...this.#unanswered, ...this.#gathered.values()]) request.fail(error)
    this.#unanswered.clear()
    this.#gathered.clear()
  }

  /** Puts what was gathered on the wire; the session calls it when the turn ends. */
  turnEnded(): void {
    this.#isTouched = false
    if (!this.#isOpen) return
    if (this.#acked.length > 0) this.#sendAcks()
    if (this.#gathered.size > 0) {
      const requests = [...this.#gathered.values()]
      this.#gathered.clear()
      for (const request of requests) this.#dispatch(request)
    }
  }

  #sendAcks(): void {
    const acked = this.#acked
    this.#acked = []
    let request = new SettleRequest(this, { name: 'ACK' })
    for (const delivery of acked) {
      const ranges = delivery.takeAckRanges()
      const promise = delivery.ackPromise
      delivery.ackPromise = undefined
      const item: Item = { delivery, promise, answered: undefined }
      // Where the ranges of a delivery take several frames, only the last may resolve its promise.
      const early: Item = promise === undefined ? item : { delivery, promise: undefined, answered: failing(promise) }
      for (let index = 0; index < ranges.length; index++) {
        if (request.ranges.length >= this.#rangesPerFrameMax) {
          this.#dispatch(request)
          request = new SettleRequest(this, { name: 'ACK' })
        }
        const isInLast = request.ranges.length + ranges.length - index <= this.#rangesPerFrameMax
        request.add(ranges[index] as LeaseRange, isInLast ? item : early)
      }
    }
    this.#dispatch(request)
  }

  get #rangesPerFrameMax(): number {
    const { frameBytesMax } = this.#deps.session.limits
    return Math.max(1, Math.min(rangesPerFrameMax, Math.floor(frameBytesMax / rangeBytesMax) - 8))
  }

  #gather(verb: Verb, delivery: Delivery, start: number, end: number, item: Item): void {
    const key = keyOf(verb)
    let request = this.#gathered.get(key)
    if (request !== undefined && request.ranges.length >= this.#rangesPerFrameMax) {
      this.#unanswered.add(request)
      if (this.#isOpen) this.#send(request)
      request = undefined
    }
    if (request === undefined) {
      request = new SettleRequest(this, verb)
      this.#gathered.set(key, request)
    }
    request.add(delivery.range(start, end), item)
    this.#touch()
  }

  #closed(delivery: Delivery, count: number): void {
    delivery.openCount -= count
    if (delivery.openCount === 0) this.#deps.finished(delivery)
  }

  #failed(error: PocketError): SettlePromise {
    const promise = new SettlePromise(this.#deps.report)
    promise.fail(error)
    return promise
  }

  #touch(): void {
    if (this.#isTouched) return
    this.#isTouched = true
    this.#deps.session.touch(this)
  }

  #dispatch(request: SettleRequest): void {
    this.#unanswered.add(request)
    this.#send(request)
  }

  #send(request: SettleRequest): void {
    const { session, subscriptionId } = this.#deps
    const { verb, ranges } = request
    const requestId = session.openRequest(request)
    request.sendCount++
    switch (verb.name) {
      case 'ACK':
        return session.send('ACK', { requestId, subscriptionId, ranges })
      case 'RETRY':
        return session.send('RETRY', { requestId, subscriptionId, ranges, how: verb.how, delayMs: verb.delayMs })
      case 'EXTEND':
        return session.send('EXTEND', { requestId, subscriptionId, ranges, leaseMs: verb.leaseMs })
    }
  }

  // ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────

  answered(request: SettleRequest, failures: ReadonlyMap<number, PocketError>): void {
    this.#unanswered.delete(request)
    this.#refusalCount = 0
    this.#conclude(request, failures)
  }

  refused(request: SettleRequest, error: PocketError): void {
    if (error.retryable) return this.#sendAgainLater(error)
    this.#unanswered.delete(request)
    this.#conclude(request, new Map(request.ranges.map((_, index) => [index, error])))
  }

  #conclude(request: SettleRequest, failures: ReadonlyMap<number, PocketError>): void {
    const { items } = request
    let unheard: PocketError | undefined
    // Failures first: a promise that stands for several ranges fails with any of them.
    for (const [index, error] of failures) {
      const item = items[index]
      if (item === undefined) continue
      // What is sent a second time may have been done the first time, and be stale for that.
      if (error.code === 'RECEIPT_STALE' && request.sendCount === 1) this.#deps.lost(item.delivery)
      item.promise?.fail(error)
      item.answered?.(error)
      if (item.promise === undefined && item.answered === undefined) unheard ??= error
    }
    if (unheard !== undefined) this.#deps.report(unheard)
    for (let index = 0; index < items.length; index++) {
      if (failures.size > 0 && failures.has(index)) continue
      const item = items[index] as Item
      item.promise?.succeed()
      item.answered?.(undefined)
    }
  }

  /** The relay has no room for it now; all that is unanswered by then goes out once more. */
  #sendAgainLater(error: PocketError): void {
    this.#cancelRetry?.()
    const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(++this.#refusalCount, this.#deps.random)
    this.#cancelRetry = this.#deps.clock.setTimer(delayMs, () => {
      this.#cancelRetry = undefined
      if (!this.#isOpen) return
      for (const request of this.#unanswered) {
        if (request.isRefused) this.#send(request)
        request.isRefused = false
      }
    })
  }
}

/** One ACK, RETRY or EXTEND frame, until it is answered. */
class SettleRequest implements AnswerHandler {
  readonly verb: Verb
  readonly ranges: LeaseRange[] = []
  /** Per range. */
  readonly items: Item[] = []
  sendCount = 0
  isRefused = false
  readonly #settlements: Settlements

  constructor(settlements: Settlements, verb: Verb) {
    this.#settlements = settlements
    this.verb = verb
  }

  add(range: LeaseRange, item: Item): void {
    this.ranges.push(range)
    this.items.push(item)
  }

  answered(frame: AnswerFrame): void {
    if (frame.name !== 'DONE') {
      return this.refused(new PocketError('BAD_FRAME', `${this.verb.name} was answered with ${frame.name}`))
    }
    this.#settlements.answered(this, failuresOf(this.verb, frame.failures))
  }

  refused(error: PocketError): void {
    this.isRefused = true
    this.#settlements.refused(this, error)
  }

  fail(error: PocketError): void {
    for (const { promise, answered } of this.items) {
      promise?.fail(error)
      answered?.(error)
    }
  }
}

const noFailures: ReadonlyMap<number, PocketError> = new Map()

/** Requests with the same key can be one. */
function keyOf(verb: Verb): string {
  if (verb.name === 'RETRY') return `${verb.how} ${verb.delayMs}`
  return verb.name === 'EXTEND' ? `extend ${verb.leaseMs}` : 'ack'
}

function failuresOf(verb: Verb, failures: FrameFields<'DONE'>['failures']): ReadonlyMap<number, PocketError> {
  if (failures.length === 0) return noFailures
  return new Map(failures.map(({ index, code }) => [index, failureOf(verb, code)]))
}

function failureOf(verb: Verb, number: number): PocketError {
  const code = errorCodeOf(number)
  const what = verb.name === 'ACK' ? 'an ack' : verb.name === 'RETRY' ? 'a retry' : 'an extension'
  const why = code === 'RECEIPT_STALE'
    ? 'came after the end of the lease; another consumer may have the message'
    : 'was refused'
  return new PocketError(code, `${what} ${why}`)
}

function failing(promise: SettlePromise): Answered {
  return (failure) => {
    if (failure !== undefined) promise.fail(failure)
  }
}

function failPromise(delivery: Delivery, error: PocketError): void {
  delivery.ackPromise?.fail(error)
  delivery.ackPromise = undefined
}

function ignore(): void {}
