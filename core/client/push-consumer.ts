// A consumer that messages are pushed to, within the credit it gives: an async iterator, or a handler that is run. It
// decides what is handed out when, and what becomes of it on a reconnect and at the end.
//
//   relay ──DELIVER──> custody (lease) ──> prefetch buffer ──> iterator, runner ──> application ──ack, retry──> custody

import { must } from '../assert.ts'
import { PocketError, toPocketError } from '../errors.ts'
import type { Position } from '../model/position.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { FrameFields, QueuePosition } from '../protocol/frames.ts'
import { RecordBatch } from '../record/record-batch.ts'
import type { Codec, GapEvent, Message, PushConsumer } from './api.ts'
import { LeaseCustody } from './custody.ts'
import { Delivery } from './delivery.ts'
import type { ClientFilter } from './filter.ts'
import { type MessageSource, ReceivedMessage, type Replies } from './message.ts'
import { MessageRunner } from './message-runner.ts'
import { PositionReports } from './position-reports.ts'
import { type Notice, PrefetchBuffer, type PrefetchWindow } from './prefetch-buffer.ts'
import { SettlePromise } from './settle-promise.ts'
import {
  type ConsumerStream, type OpenStream, Subscription, type SubscriptionDeps, type SubscriptionOwner, type SubscriptionTerms,
} from './subscription.ts'

/** How long `close` waits for handlers that run; one of them may be waiting for `close`. */
const handlersMsMax = 10_000

export interface PushConsumerDeps extends SubscriptionDeps {
  readonly clock: Clock
  readonly replies: Replies
  readonly gap: (event: GapEvent) => void
  /** Something failed that no call was waiting for. */
  readonly report: (error: PocketError) => void
  readonly closed: (consumer: { close(): Promise<void> }) => void
  /** Where messages come from; default: a subscription at the relay. */
  readonly openStream?: OpenStream
}

export interface PushConsumerOptions<T> {
  readonly terms: SubscriptionTerms
  readonly codec: Codec<T>
  readonly filter: ClientFilter
  /** BROADCASTING: where to go on from. */
  readonly positions: ReadonlyMap<number, Position>
  readonly window: PrefetchWindow
}

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<Message<T>, undefined>) => void
  readonly reject: (error: PocketError) => void
}

const done: IteratorResult<never, undefined> = { done: true, value: undefined }

export class PrefetchingConsumer<T> implements PushConsumer<T> {
  readonly subscribed: Promise<void>
  readonly #deps: PushConsumerDeps
  readonly #options: PushConsumerOptions<T>
  readonly #subscription: ConsumerStream
  /** Undefined for BROADCASTING, which has no leases. */
  readonly #custody: LeaseCustody | undefined
  readonly #source: MessageSource<T>
  readonly #buffer: PrefetchBuffer
  /** Up to where deliveries were received, per queue: where a reconnect resumes. */
  readonly #received: Map<number, Position>
  /** Up to where the application has taken them. */
  readonly #taken: Map<number, Position>
  /** Where the relay keeps the positions: told how far all is consumed, which is not all that was taken. */
  readonly #reports: PositionReports | undefined
  /** Messages taken and not consumed, in the order in which they were taken. */
  readonly #inHand = new Map<Message<T>, Delivery>()
  #settleSubscribed: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined
  #runner: MessageRunner<T> | undefined
  /** What `run` gave. */
  #running: SettlePromise | undefined
  readonly #waiters: Waiter<T>[] = []
  /** Leases may have ended while the connection was gone: nothing is handed out before that is known. */
  #isInDoubt = false
  #cancelDoubt: CancelTimer | undefined
  #closing: Promise<void> | undefined
  #isOver = false
  #failure: PocketError | undefined

  constructor(deps: PushConsumerDeps, options: PushConsumerOptions<T>) {
    this.#deps = deps
    this.#options = options
    const { terms, codec, positions, window } = options
    this.subscribed = new Promise((resolve, reject) => {
      this.#settleSubscribed = { resolve, reject }
    })
    this.subscribed.catch(ignore)
    const owner: SubscriptionOwner = {
      resumePositions: () => this.#resumePositions(),
      opened: (frame) => this.#opened(frame),
      suspended: () => this.#suspended(),
      deliver: (frame, isPending) => this.#deliver(frame, isPending),
      gap: (frame) => this.#gap(frame),
      reset: (frame) => this.#reset(frame),
      ended: (error) => this.#ended(error),
    }
    this.#subscription = deps.openStream?.(terms, owner) ?? new Subscription(deps, terms, owner)
    this.#custody = terms.mode === 'BROADCASTING' ? undefined : new LeaseCustody({
      session: deps.session,
      clock: deps.clock,
      random: deps.random,
      subscriptionId: this.#subscription.subscriptionId,
      isExtending: true,
      report: deps.report,
      lost: (delivery) => this.#buffer.skip(delivery),
      abandoned: (delivery) => this.#abandon(delivery),
    })
    this.#reports = terms.positionKeeper === 'client' ? undefined : new PositionReports({
      clock: deps.clock,
      positions: () => this.#consumedPositions(),
      send: (changed) => this.#subscription.report(changed),
    })
    this.#source = {
      topic: terms.topic,
      codec,
      custody: this.#custody,
      replies: deps.replies,
      consumed: this.#reports && ((message) => this.#consumed(message)),
    }
    this.#received = new Map(positions)
    this.#taken = new Map(positions)
    this.#buffer = new PrefetchBuffer({
      window,
      freed: (messageCount, byteCount) => this.#subscription.grant(messageCount, byteCount),
      noticed: (notice) => this.#noticed(notice),
      finished: ({ queueId, next, isPending }) => {
        if (!isPending) this.#moved(queueId, next)
      },
    })
    this.#subscription.start()
  }

  // ── the application's side ────────────────────────────────────────────────────────────────────────────────────

  run(
    handle: (message: Message<T>) => void | Promise<void>, { concurrency = 1 }: { readonly concurrency?: number } = {},
  ): Promise<void> {
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      return Promise.reject(new PocketError('BAD_ARGUMENT', `concurrency is ${concurrency}; at least 1 is allowed`))
    }
    if (this.#runner !== undefined) return Promise.reject(new PocketError('BAD_ARGUMENT', 'the consumer runs already'))
    this.#runner = new MessageRunner({
      clock: this.#deps.clock,
      handle,
      concurrency,
      looked: () => this.#custody?.look(),
      next: () => this.#next(),
      failed: (message, thrown) => this.#handlerFailed(message, thrown),
    })
    this.#running = new SettlePromise(this.#deps.report)
    const running = this.#running
    if (this.#isOver) this.#settleEnd()
    else this.#wake()
    return running
  }

  [Symbol.asyncIterator](): AsyncIterator<Message<T>, undefined> {
    let inHand: Message<T> | undefined
    const next = async () => {
      // Who asks for the next one is done with this one.
      if (inHand !== undefined) this.#consumed(inHand)
      const result = await this.#nextResult()
      inHand = result.value
      return result
    }
    return {
      next: this.#reports === undefined ? () => this.#nextResult() : next,
      return: async () => {
        await this.close()
        return done
      },
    }
  }

  positions(): ReadonlyMap<number, Position> {
    const positions = new Map(this.#taken)
    const { current } = this.#buffer
    if (current !== undefined && !current.isPending && current.takenCount > 0) {
      const offset = current.record.offsetAt(current.takenCount - 1) + 1
      positions.set(current.queueId, { epoch: current.next.epoch, offset })
    }
    return positions
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #nextResult(): Promise<IteratorResult<Message<T>, undefined>> {
    if (this.#runner !== undefined) {
      return Promise.reject(new PocketError('BAD_ARGUMENT', 'the consumer runs a handler; it cannot be iterated too'))
    }
    this.#custody?.look()
    const message = this.#waiters.length === 0 ? this.#next() : undefined
    if (message !== undefined) return Promise.resolve({ done: false, value: message })
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#closing !== undefined || this.#isOver) return Promise.resolve(done)
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  /** The next message that passes the filter and may be handed out. */
  #next(): ReceivedMessage<T> | undefined {
    if (this.#isInDoubt || this.#closing !== undefined || this.#isOver) return undefined
    const { tags } = this.#options.filter
    for (let delivery = this.#buffer.head(); delivery !== undefined; delivery = this.#buffer.head()) {
      const message = new ReceivedMessage(this.#source, delivery, this.#buffer.take(delivery))
      if (tags === undefined || tags.has(message.tag ?? '')) {
        if (this.#reports !== undefined && !delivery.isPending) this.#inHand.set(message, delivery)
        return message
      }
      // The relay compares hashes of tags; here two tags had the same.
      message.handled()
    }
    return undefined
  }

  /** There may be something to hand out. */
  #wake(): void {
    if (this.#runner !== undefined) return this.#runner.pump()
    this.#custody?.look()
    while (this.#waiters.length > 0) {
      const message = this.#next()
      if (message === undefined) return
      this.#waiters.shift()?.resolve({ done: false, value: message })
    }
  }

  #handlerFailed(message: Message<T>, thrown: unknown): void {
    const { code, message: text } = toPocketError(thrown)
    const what = `the handler of message ${message.messageId} of '${message.topic}' threw: ${text}`
    this.#deps.report(new PocketError(code === 'INTERNAL' ? 'HANDLER_FAILED' : code, what, { cause: thrown }))
  }

  // ── the subscription's side ───────────────────────────────────────────────────────────────────────────────────

  #opened(frame: FrameFields<'SUBSCRIBED'>): void {
    this.#cancelDoubt?.()
    for (const { queueId, position } of frame.positions) {
      // A relay that keeps positions is told how far all is consumed, and sends again what is here already.
      if (this.#reports === undefined || !this.#hasReceived(queueId, position)) this.#received.set(queueId, position)
      if (!this.#taken.has(queueId)) this.#taken.set(queueId, position)
    }
    this.#custody?.open(frame.leaseMs, () => {
      this.#isInDoubt = false
      this.#wake()
    })
    // Before the credit: what was settled makes room at the relay.
    this.#custody?.flush()
    const { messageCount, byteCount } = this.#buffer.restart()
    this.#subscription.grant(messageCount, byteCount)
    this.#reports?.restart(frame.positions)
    this.#settleSubscribed?.resolve()
    this.#settleSubscribed = undefined
  }

  #suspended(): void {
    if (this.#custody === undefined) return
    this.#custody.suspend()
    const { clock, session } = this.#deps
    this.#cancelDoubt = clock.setTimer(session.limits.memberGraceMs, () => {
      this.#isInDoubt = true
    })
  }

  #deliver(frame: FrameFields<'DELIVER'>, isPending = false): void {
    const { queueId, next, record, leaseId } = frame
    if (isPending) {
      const delivery = new Delivery(frame, RecordBatch.view(record), this.#deps.clock.monotonic())
      delivery.isPending = true
      this.#buffer.add(delivery)
      return this.#wake()
    }
    const isKnown = this.#reports !== undefined && this.#hasReceived(queueId, next)
    if (record.length === 0) {
      if (!isKnown) this.#buffer.add({ kind: 'progress', queueId, next })
    } else {
      const delivery = new Delivery(frame, RecordBatch.view(record), this.#deps.clock.monotonic())
      if (leaseId !== 0) this.#custody?.hold(delivery)
      if (isKnown) this.#buffer.pass(delivery)
      else this.#buffer.add(delivery, this.#reports === undefined ? 0 : this.#knownCount(delivery))
    }
    if (!isKnown) this.#received.set(queueId, next)
    this.#wake()
  }

  /** Whether all before `position` was received. */
  #hasReceived(queueId: number, { epoch, offset }: Position): boolean {
    const received = this.#received.get(queueId)
    return received?.epoch === epoch && received.offset >= offset
  }

  /** How many of the first messages of a delivery were received before. */
  #knownCount({ queueId, next, record }: Delivery): number {
    const received = this.#received.get(queueId)
    return received?.epoch === next.epoch ? record.indexFrom(received.offset) : 0
  }

  #gap({ queueId, expected, next }: FrameFields<'GAP'>): void {
    this.#received.set(queueId, next)
    this.#buffer.add({ kind: 'gap', queueId, expected, next })
    this.#wake()
    // Nobody may be taking messages; the gap is told when all before it were taken.
    if (this.#closing === undefined) this.#buffer.head()
  }

  /** The group was moved: nothing of before is handed out, and reading goes on where the relay says. */
  #reset({ queueId, position }: FrameFields<'RESET'>): void {
    this.#custody?.reset(queueId)
    this.#buffer.drop(queueId)
    for (const message of [...this.#inHand.keys()]) if (message.queueId === queueId) this.#inHand.delete(message)
    this.#received.set(queueId, position)
    this.#moved(queueId, position)
  }

  #ended(error: PocketError): void {
    const isAwaited = this.#running !== undefined || this.#waiters.length > 0
    this.#finish(error)
    // Without a promise that tells it, the client does.
    if (this.#failure !== undefined && !isAwaited) this.#deps.report(error)
  }

  #resumePositions(): readonly QueuePosition[] {
    if (this.#custody !== undefined) return []
    const positions = this.#reports === undefined ? this.#received : this.#consumedPositions()
    return [...positions].map(([queueId, position]) => ({ queueId, position }))
  }

  /** All before `position` was taken. */
  #moved(queueId: number, position: Position): void {
    this.#taken.set(queueId, position)
    this.#reports?.touch()
  }

  #consumed(message: Message<T>): void {
    if (this.#inHand.delete(message)) this.#reports?.touch()
  }

  /** Up to where all is consumed: before the first message in hand of each queue. */
  #consumedPositions(): ReadonlyMap<number, Position> {
    const positions = new Map(this.positions())
    for (const [{ queueId, offset }, { next: { epoch } }] of this.#inHand) {
      if (offset < (positions.get(queueId)?.offset ?? 0)) positions.set(queueId, { epoch, offset })
    }
    return positions
  }

  #noticed(notice: Notice): void {
    this.#moved(notice.queueId, notice.next)
    if (notice.kind !== 'gap') return
    const { topic, group } = this.#options.terms
    const { queueId, expected, next } = notice
    this.#deps.gap({ topic, group, queueId, expected, next })
  }

  #abandon(delivery: Delivery): void {
    must(this.#custody, 'only leases are abandoned').releaseUntaken(delivery)
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  async #close(): Promise<void> {
    // What waits hears of it before handlers are waited for.
    await undefined
    for (const { resolve } of this.#waiters.splice(0)) resolve(done)
    if (this.#isOver) return
    await this.#handlersEnded()
    if (this.#isOver) return
    this.#reports?.flush()
    for (const delivery of this.#buffer.drain()) this.#custody?.releaseUntaken(delivery)
    this.#custody?.flush()
    // What is settled from here on fails with the end.
    this.#custody?.suspend()
    await new Promise<void>((resolve) => this.#subscription.leave(resolve))
    this.#finish(new PocketError('CLOSED', 'the consumer is closed'))
  }

  #handlersEnded(): Promise<void> {
    const runner = this.#runner
    if (runner === undefined || runner.activeCount === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const cancelTimer = this.#deps.clock.setTimer(handlersMsMax, resolve)
      runner.whenIdle(() => {
        cancelTimer()
        resolve()
      })
    })
  }

  #finish(error: PocketError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelDoubt?.()
    this.#reports?.end()
    if (error.code !== 'CLOSED' && error.code !== 'ABORTED') this.#failure = error
    this.#buffer.drain()
    this.#custody?.end(error)
    this.#settleSubscribed?.reject(error)
    this.#settleSubscribed = undefined
    this.#settleEnd()
    this.#deps.closed(this)
  }

  #settleEnd(): void {
    const failure = this.#failure
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (failure === undefined) resolve(done)
      else reject(failure)
    }
    if (failure === undefined) this.#running?.succeed()
    else this.#running?.fail(failure)
  }
}

function ignore(): void {}
