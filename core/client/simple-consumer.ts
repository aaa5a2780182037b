// A consumer that asks for messages, under leases that the application extends itself. The relay answers one receive of
// a subscription at a time, so they queue here; one whose caller has gone is still answered, and its messages go back.
//
//   receive() ──> waiting ──asked──> current ──DELIVER…, RECEIVED──> handed over
//                              │        ▲ └─ connection lost ─┐  └─ caller gone: released
//                              └────────┴── asked again under the same attempt id

import { PocketError } from '../errors.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { RecordBatch } from '../record/record-batch.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { AnswerFrame } from '../session/requests.ts'
import { onAbort } from './abort.ts'
import type { Codec, Duration, GapEvent, Message, SimpleConsumer } from './api.ts'
import { LeaseCustody } from './custody.ts'
import { Delivery } from './delivery.ts'
import { durationToMs } from './duration.ts'
import type { ClientFilter } from './filter.ts'
import { type MessageSource, ReceivedMessage, type Replies } from './message.ts'
import { Subscription, type SubscriptionDeps, type SubscriptionTerms } from './subscription.ts'

const receiveCountMax = 16_384

export interface SimpleConsumerDeps extends SubscriptionDeps {
  readonly clock: Clock
  /** How long a receive may take beyond its own wait. */
  readonly requestTimeoutMs: number
  readonly replies: Replies
  readonly gap: (event: GapEvent) => void
  /** Something failed that no call was waiting for. */
  readonly report: (error: PocketError) => void
  readonly closed: (consumer: { close(): Promise<void> }) => void
}

export interface SimpleConsumerOptions<T> {
  readonly terms: SubscriptionTerms
  readonly codec: Codec<T>
  readonly filter: ClientFilter
}

/** One call of `receive`. */
interface Receive<T> {
  readonly messageCountMax: number
  readonly leaseMs: number
  /** Monotonic. */
  readonly untilMs: number
  readonly settle: (outcome: readonly Message<T>[] | PocketError) => void
  /** The caller has its answer, or has gone. */
  isSettled: boolean
  /** Names the try, so that the relay answers a repeated one the same way. */
  attemptId: number
  /** It is on the wire, or waits to be asked again. */
  isAsked: boolean
  refusalCount: number
  deliveries: Delivery[]
}

export class AskingConsumer<T> implements SimpleConsumer<T> {
  readonly subscribed: Promise<void>
  readonly #deps: SimpleConsumerDeps
  readonly #options: SimpleConsumerOptions<T>
  readonly #subscription: Subscription
  readonly #custody: LeaseCustody
  readonly #source: MessageSource<T>
  #settleSubscribed: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined
  #waiting: Receive<T>[] = []
  #current: Receive<T> | undefined
  #attemptId = 0
  #cancelRetry: CancelTimer | undefined
  /** What the application has: the relay may deliver it again with a repeated receive. */
  readonly #handedByLeaseId = new Map<number, Delivery>()
  #closing: Promise<void> | undefined
  #end: PocketError | undefined

  constructor(deps: SimpleConsumerDeps, options: SimpleConsumerOptions<T>) {
    this.#deps = deps
    this.#options = options
    const { terms, codec } = options
    this.subscribed = new Promise((resolve, reject) => {
      this.#settleSubscribed = { resolve, reject }
    })
    this.subscribed.catch(ignore)
    this.#subscription = new Subscription(deps, terms, {
      resumePositions: () => [],
      opened: (frame) => this.#opened(frame),
      suspended: () => this.#suspended(),
      deliver: (frame) => this.#deliver(frame),
      gap: ({ queueId, expected, next }) => {
        deps.gap({ topic: terms.topic, group: terms.group, queueId, expected, next })
      },
      reset: ({ queueId }) => this.#reset(queueId),
      ended: (error) => this.#ended(error),
    })
    const gone = (delivery: Delivery) => this.#handedByLeaseId.delete(delivery.leaseId)
    this.#custody = new LeaseCustody({
      session: deps.session,
      clock: deps.clock,
      random: deps.random,
      subscriptionId: this.#subscription.subscriptionId,
      isExtending: false,
      report: deps.report,
      finished: gone,
      lost: gone,
      abandoned: gone,
    })
    this.#source = { topic: terms.topic, codec, custody: this.#custody, replies: deps.replies }
    this.#subscription.start()
  }

  async receive({ max = 16, wait = '10s', lease, signal }: {
    readonly max?: number
    readonly wait?: Duration
    readonly lease?: Duration
    readonly signal?: AbortSignal
  } = {}): Promise<readonly Message<T>[]> {
    if (!Number.isInteger(max) || max < 1 || max > receiveCountMax) {
      throw new PocketError('BAD_ARGUMENT', `max is ${max}; 1 to ${receiveCountMax} are allowed`)
    }
    const waitMs = durationToMs(wait, 'wait')
    const leaseMs = lease === undefined ? 0 : durationToMs(lease, 'lease')
    if (this.#end !== undefined) throw this.#end
    if (this.#closing !== undefined) throw closedError()
    const { clock, requestTimeoutMs } = this.#deps
    return new Promise((resolve, reject) => {
      const receive: Receive<T> = {
        messageCountMax: max,
        leaseMs,
        untilMs: clock.monotonic() + waitMs,
        settle: (outcome) => {
          if (receive.isSettled) return
          receive.isSettled = true
          cancelTimer()
          stopListening()
          if (outcome instanceof PocketError) reject(outcome)
          else resolve(outcome)
        },
        isSettled: false,
        attemptId: 0,
        isAsked: false,
        refusalCount: 0,
        deliveries: [],
      }
      const leave = (error: PocketError) => {
        this.#waiting = this.#waiting.filter((other) => other !== receive)
        receive.settle(error)
      }
      const cancelTimer = clock.setTimer(waitMs + requestTimeoutMs, () => {
        leave(new PocketError('TIMEOUT', `no answer to a receive came within ${waitMs + requestTimeoutMs} ms`))
      })
      let stopListening = ignore
      stopListening = onAbort(signal, leave)
      if (receive.isSettled) return
      this.#waiting.push(receive)
      this.#ask()
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Asks for the current receive, if it is not asked for, or else for the next. */
  #ask(): void {
    if (!this.#subscription.isActive || this.#closing !== undefined) return
    if (this.#current === undefined) {
      this.#current = this.#waiting.shift()
      if (this.#current === undefined) return
      this.#current.attemptId = ++this.#attemptId
    }
    const receive = this.#current
    if (receive.isAsked) return
    receive.isAsked = true
    const { session, clock } = this.#deps
    const { attemptId, messageCountMax, leaseMs, untilMs } = receive
    const requestId = session.openRequest({
      answered: (frame) => this.#answered(receive, frame),
      refused: (error) => this.#refused(receive, error),
    })
    session.send('RECEIVE', {
      requestId,
      subscriptionId: this.#subscription.subscriptionId,
      attemptId,
      messageCountMax,
      leaseMs,
      waitMs: receive.isSettled ? 0 : Math.max(0, Math.ceil(untilMs - clock.monotonic())),
    })
  }

  #deliver(frame: FrameFields<'DELIVER'>): void {
    if (frame.record.length === 0 || this.#handedByLeaseId.has(frame.leaseId)) return
    const delivery = new Delivery(frame, RecordBatch.view(frame.record), this.#deps.clock.monotonic())
    this.#custody.hold(delivery)
    if (this.#current === undefined) this.#custody.releaseUntaken(delivery)
    else this.#current.deliveries.push(delivery)
  }

  #answered(receive: Receive<T>, frame: AnswerFrame): void {
    if (frame.name !== 'RECEIVED') {
      return this.#refused(receive, new PocketError('BAD_FRAME', `RECEIVE was answered with ${frame.name}`))
    }
    const messages = this.#handOver(receive)
    const isOver = messages.length > 0 || receive.isSettled || this.#deps.clock.monotonic() >= receive.untilMs
    if (isOver) {
      this.#current = undefined
      receive.settle(messages)
    } else {
      // The relay waits less long than the caller, or had nothing but what the filter or the application knows.
      receive.attemptId = ++this.#attemptId
      receive.isAsked = false
    }
    this.#ask()
  }

  /** The messages of a receive as the application gets them; if it has gone, they go back. */
  #handOver(receive: Receive<T>): Message<T>[] {
    const { tags } = this.#options.filter
    const messages: Message<T>[] = []
    for (const delivery of receive.deliveries) {
      if (receive.isSettled) {
        this.#custody.releaseUntaken(delivery)
        continue
      }
      this.#handedByLeaseId.set(delivery.leaseId, delivery)
      while (delivery.untakenCount > 0) {
        const message = new ReceivedMessage(this.#source, delivery, delivery.takenCount++)
        // The relay compares hashes of tags; here two tags had the same.
        if (tags === undefined || tags.has(message.tag ?? '')) messages.push(message)
        else message.handled()
      }
    }
    receive.deliveries = []
    return messages
  }

  #refused(receive: Receive<T>, error: PocketError): void {
    const { clock, random } = this.#deps
    if (!error.retryable || receive.isSettled) {
      for (const delivery of receive.deliveries) this.#custody.releaseUntaken(delivery)
      this.#current = undefined
      receive.settle(error)
      return this.#ask()
    }
    const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(++receive.refusalCount, random)
    this.#cancelRetry = clock.setTimer(delayMs, () => {
      receive.isAsked = false
      this.#ask()
    })
  }

  // ── the subscription's side ───────────────────────────────────────────────────────────────────────────────────

  #opened(frame: FrameFields<'SUBSCRIBED'>): void {
    this.#custody.open(frame.leaseMs, ignore)
    this.#settleSubscribed?.resolve()
    this.#settleSubscribed = undefined
    this.#ask()
  }

  #suspended(): void {
    this.#cancelRetry?.()
    this.#custody.suspend()
    const current = this.#current
    if (current === undefined) return
    // The repeated receive brings these once more.
    for (const delivery of current.deliveries) this.#custody.forget(delivery)
    current.deliveries = []
    current.isAsked = false
  }

  /** The group was moved: what was delivered of the queue is void, handed over or not. */
  #reset(queueId: number): void {
    const current = this.#current
    if (current !== undefined) {
      current.deliveries = current.deliveries.filter((delivery) => delivery.queueId !== queueId)
    }
    this.#custody.reset(queueId)
  }

  #ended(error: PocketError): void {
    this.#finish(error)
  }

  async #close(): Promise<void> {
    if (this.#end !== undefined) return
    for (const delivery of this.#current?.deliveries ?? []) this.#custody.releaseUntaken(delivery)
    this.#custody.flush()
    // What is settled from here on fails with the end.
    this.#custody.suspend()
    await new Promise<void>((resolve) => this.#subscription.leave(resolve))
    this.#finish(closedError())
  }

  #finish(error: PocketError): void {
    if (this.#end !== undefined) return
    this.#end = error
    this.#cancelRetry?.()
    this.#custody.end(error)
    this.#settleSubscribed?.reject(error)
    this.#settleSubscribed = undefined
    this.#current?.settle(error)
    for (const receive of this.#waiting) receive.settle(error)
    this.#current = undefined
    this.#waiting = []
    this.#deps.closed(this)
  }
}

function closedError(): PocketError {
  return new PocketError('CLOSED', 'the consumer is closed')
}

function ignore(): void {}
