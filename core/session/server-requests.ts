// What one open connection asks for, turned into calls of the broker's door, and what it has there meanwhile:
// subscriptions and followers, pulls, producers that answer checks. The connection itself, from HELLO to its end, is
// server-session.ts; verbs that only ask and are answered are in admin-requests.ts.

import type {
  Answer, BrokerDoor, Cancellable, Membership, PublishReceipt, PullResult, TransactionCheck,
} from '../broker/door.ts'
import { PocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { checkGroupName } from '../model/names.ts'
import type { Clock } from '../ports/clock.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { adminRequest } from './admin-requests.ts'
import { forbiddenReason, type Principal } from './auth.ts'
import { PublishBudget } from './publish-budget.ts'
import type { ReplyRouter } from './reply-router.ts'
import { type AnswersHost, type FrameNamed, type NoticeFrame, RequestAnswers, type RequestFrame } from './request-answers.ts'
import type { RelayDoor } from './relay-door.ts'
import { ServerFollower } from './server-follower.ts'
import type { StreamHost } from './server-stream.ts'
import { ServerSubscription } from './server-subscription.ts'
import type { SessionCounters } from './session-counters.ts'

/**
 * Requests of one connection that may wait for their answer; more are refused with OVERLOADED. Not PUBLISH and PREPARE,
 * which the publish budget bounds.
 */
export const requestsInHandMax = 8_192
/** The pulls of one connection share so many bytes of answers, each of them getting at least the lesser amount. */
const pullBytesShared = 4 * 1024 * 1024
const pullBytesMin = 16 * 1024
const overloadedRetryMs = 1_000

/** What requests need of their session. */
export interface RequestsHost extends Omit<AnswersHost & StreamHost, 'revoked'> {
  readonly client: { readonly clientId: string; readonly clientName: string }
  readonly peer: string
  /** Publishes fill the connection's share, so that no more should be read; or do not any more. */
  publishesWait(doWait: boolean): void
}

export interface RequestsDeps {
  readonly broker: BrokerDoor
  readonly clock: Clock
  readonly limits: Limits
  readonly counters: SessionCounters
  readonly replies: ReplyRouter
  /** Undefined: nothing is told of the relay itself. */
  readonly relay?: RelayDoor | undefined
}

export class ServerRequests {
  readonly #host: RequestsHost
  readonly #deps: RequestsDeps
  readonly #principal: Principal
  readonly #answers: RequestAnswers
  readonly #streams = new Map<number, ServerSubscription | ServerFollower>()
  readonly #streamHost: StreamHost
  readonly #pulls = new Set<Cancellable>()
  readonly #producers = new Map<string, Cancellable>()
  readonly #publishBudget: PublishBudget
  #doPublishesWait = false

  /** `principal` is whose requests they are. */
  constructor(host: RequestsHost, deps: RequestsDeps, principal: Principal) {
    this.#host = host
    this.#deps = deps
    this.#principal = principal
    this.#answers = new RequestAnswers(host, deps)
    this.#publishBudget = new PublishBudget(deps.limits.publishBytesInFlightMax, deps.counters)
    this.#streamHost = {
      get isWritable() {
        return host.isWritable
      },
      add: (name, fields, payload) => host.add(name, fields, payload),
      revoked: (subscriptionId) => void this.#streams.delete(subscriptionId),
      crashed: (thrown) => host.crashed(thrown),
    }
  }

  /** Requests that wait for their answer. */
  get inHandCount(): number {
    return this.#answers.inHandCount
  }

  /** Subscriptions and followers. */
  get streamCount(): number {
    return this.#streams.size
  }

  // ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A request that makes no sense is refused; whatever this throws is a bug. */
  request(frame: RequestFrame): void {
    const answers = this.#answers
    const inHandBefore = answers.inHandCount
    try {
      this.#check(frame)
      this.#serve(frame)
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      answers.inHandCount = inHandBefore
      this.#host.refuse(frame.requestId, error)
    }
  }

  /**
   * A frame without an answer. An unknown subscription is no error: it may have been revoked while the frame was on its
   * way. And nobody stands anywhere before SUBSCRIBED.
   */
  notice(frame: NoticeFrame): void {
    const stream = this.#streams.get(frame.subscriptionId)
    if (frame.name === 'CREDIT') stream?.credit(frame.messageCount, frame.byteCount)
    else if (stream instanceof ServerSubscription) stream.place?.positions(frame.positions)
  }

  #check(frame: RequestFrame): void {
    const isBudgeted = frame.name === 'PUBLISH' || frame.name === 'PREPARE'
    if (this.#answers.inHandCount >= requestsInHandMax && !isBudgeted) {
      const text = `${requestsInHandMax} requests of this connection wait for their answer already`
      throw new PocketError('OVERLOADED', text, { retryAfterMs: overloadedRetryMs })
    }
    const forbidden = forbiddenReason(frame, this.#principal)
    if (forbidden !== undefined) throw new PocketError('FORBIDDEN', forbidden)
  }

  #serve(frame: RequestFrame): void {
    switch (frame.name) {
      case 'PUBLISH':
        return this.#publish(frame)
      case 'ACK': {
        const answer = this.#answers.replyFailures(frame)
        return this.#onMembership(frame, answer, (membership) => membership.ack(frame.ranges, answer))
      }
      case 'RETRY': {
        const { ranges, how, delayMs } = frame
        const answer = this.#answers.replyFailures(frame)
        return this.#onMembership(frame, answer, (membership) => membership.retry(ranges, how, delayMs, answer))
      }
      case 'EXTEND': {
        const { ranges, leaseMs } = frame
        const answer = this.#answers.replyFailures(frame)
        return this.#onMembership(frame, answer, (membership) => membership.extend(ranges, leaseMs, answer))
      }
      case 'RECEIVE': {
        const { requestId } = frame
        const answer = this.#answers.reply<number>(frame, (messageCount) =>
          this.#host.add('RECEIVED', { requestId, messageCount }))
        return this.#onMembership(frame, answer, (membership) => membership.receive(frame, answer))
      }
      case 'SUBSCRIBE':
        return this.#subscribe(frame)
      case 'FOLLOW':
        return this.#follow(frame)
      case 'UNSUBSCRIBE':
        return this.#unsubscribe(frame)
      case 'PULL':
        return this.#pull(frame)
      case 'PREPARE':
        return this.#prepare(frame)
      case 'END_TRANSACTION':
        return this.#deps.broker.endTransaction(frame, this.#answers.replyWith(frame, 'TRANSACTION_ENDED'))
      case 'REGISTER_PRODUCER':
        return this.#registerProducer(frame)
      case 'UNREGISTER_PRODUCER':
        return this.#unregisterProducer(frame)
      case 'REPLY':
        return this.#replyTo(frame)
      default:
        return adminRequest(frame, this.#deps.broker, this.#deps.relay, this.#answers)
    }
  }

  // ── publishing ────────────────────────────────────────────────────────────────────────────────────────────────

  #publish(frame: FrameNamed<'PUBLISH'>): void {
    const { requestId } = frame
    const answer = this.#answers.reply<PublishReceipt>(frame, (receipt) =>
      this.#host.add('PUBLISHED', { ...receipt, requestId }))
    this.#deps.broker.publish(frame, this.#held(frame.messages.length, answer), this.#host.client.clientId)
    this.#hold(frame.messages.length)
  }

  #prepare(frame: FrameNamed<'PREPARE'>): void {
    const answer = this.#answers.replyDone(frame)
    this.#deps.broker.prepare(frame, this.#held(frame.messages.length, answer))
    this.#hold(frame.messages.length)
  }

  /** The answer, which releases what {@link #hold} takes once the broker has taken the request. */
  #held<T>(messageBytes: number, answer: Answer<T>): Answer<T> {
    return (outcome) => {
      this.#publishBudget.release(messageBytes)
      answer(outcome)
      if (this.#doPublishesWait) this.#weighPublishes()
    }
  }

  #hold(messageBytes: number): void {
    this.#publishBudget.hold(messageBytes)
    this.#weighPublishes()
  }

  #weighPublishes(): void {
    const { isSpent } = this.#publishBudget
    if (isSpent === this.#doPublishesWait) return
    this.#doPublishesWait = isSpent
    this.#host.publishesWait(isSpent)
  }

  // ── subscriptions and followers ───────────────────────────────────────────────────────────────────────────────

  #subscribe(frame: FrameNamed<'SUBSCRIBE'>): void {
    const { subscriptionId, requestId } = frame
    this.#checkNewStream(subscriptionId)
    const subscription = new ServerSubscription(subscriptionId, this.#streamHost)
    const answer = this.#answers.reply<FrameFields<'SUBSCRIBED'>>(frame, (fields) => this.#host.add('SUBSCRIBED', fields))
    const request = { ...frame, ...this.#host.client, peer: this.#host.peer }
    this.#deps.broker.subscribe(request, subscription, (outcome) => {
      if (outcome instanceof PocketError) return this.#notTakenIn(subscription, outcome, answer)
      const { membership, messageType, leaseMs, positions } = outcome
      answer({ requestId, subscriptionId, messageType, leaseMs, positions })
      this.#host.guard(() => subscription.begin(membership))
    })
    this.#streams.set(subscriptionId, subscription)
  }

  #follow(frame: FrameNamed<'FOLLOW'>): void {
    const { subscriptionId, requestId } = frame
    this.#checkNewStream(subscriptionId)
    const follower = new ServerFollower(subscriptionId, this.#streamHost)
    const answer = this.#answers.reply<FrameFields<'FOLLOWING'>>(frame, (fields) => this.#host.add('FOLLOWING', fields))
    this.#deps.broker.follow(frame, follower, (outcome) => {
      if (outcome instanceof PocketError) return this.#notTakenIn(follower, outcome, answer)
      answer({ requestId, subscriptionId, sequence: outcome.sequence })
      this.#host.guard(() => follower.begin(outcome))
    })
    this.#streams.set(subscriptionId, follower)
  }

  #checkNewStream(subscriptionId: number): void {
    const countMax = this.#deps.limits.subscriptionsPerConnectionMax
    if (this.#streams.has(subscriptionId)) {
      throw new PocketError('BAD_ARGUMENT', `subscription ${subscriptionId} of this connection exists already`)
    }
    if (this.#streams.size >= countMax) {
      throw new PocketError('LIMIT_EXCEEDED', `a connection has at most ${countMax} subscriptions`)
    }
  }

  #notTakenIn(stream: ServerSubscription | ServerFollower, error: PocketError, answer: (error: PocketError) => void): void {
    answer(error)
    if (this.#streams.get(stream.subscriptionId) === stream) this.#streams.delete(stream.subscriptionId)
    stream.finish()
  }

  #unsubscribe(frame: FrameNamed<'UNSUBSCRIBE'>): void {
    const { subscriptionId } = frame
    const answer = this.#answers.replyDone(frame)
    const stream = this.#streams.get(subscriptionId)
    if (stream instanceof ServerFollower) {
      return stream.use((following) => {
        if (following === undefined) return answer(noSubscription(subscriptionId))
        this.#streams.delete(subscriptionId)
        stream.finish()
        following.leave()
        answer()
      })
    }
    this.#onMembership(frame, answer, (membership, subscription) => {
      this.#streams.delete(subscriptionId)
      subscription.finish()
      membership.leave(answer)
    })
  }

  /** Calls `use` with the membership of the frame's subscription, waiting for it where it is still joining. */
  #onMembership<T>(
    frame: RequestFrame & { readonly subscriptionId: number }, answer: Answer<T>,
    use: (membership: Membership, subscription: ServerSubscription) => void,
  ): void {
    const { subscriptionId } = frame
    const subscription = this.#streams.get(subscriptionId)
    if (!(subscription instanceof ServerSubscription)) return answer(noSubscription(subscriptionId))
    subscription.use((membership) => {
      if (membership === undefined) answer(noSubscription(subscriptionId))
      else use(membership, subscription)
    })
  }

  // ── pulls ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #pull(frame: FrameNamed<'PULL'>): void {
    const share = Math.max(pullBytesMin, Math.floor(pullBytesShared / (this.#pulls.size + 1)))
    const byteCountMax = Math.min(frame.byteCountMax, this.#deps.limits.readChunkBytes, share)
    const answer: Answer<PullResult> = this.#answers.replyWith(frame, 'PULLED')
    const pull = this.#deps.broker.pull({ ...frame, byteCountMax }, (outcome) => {
      this.#pulls.delete(pull)
      answer(outcome)
    })
    this.#pulls.add(pull)
  }

  // ── producers that are asked ──────────────────────────────────────────────────────────────────────────────────

  #registerProducer(frame: FrameNamed<'REGISTER_PRODUCER'>): void {
    const { producerGroup } = frame
    checkGroupName(producerGroup)
    const answer = this.#answers.replyDone(frame)
    if (!this.#producers.has(producerGroup)) {
      const countMax = this.#deps.limits.subscriptionsPerConnectionMax
      if (this.#producers.size >= countMax) {
        throw new PocketError('LIMIT_EXCEEDED', `a connection registers for at most ${countMax} producer groups`)
      }
      const sink = { check: (check: TransactionCheck): boolean => this.#isAsked(check) }
      this.#producers.set(producerGroup, this.#deps.broker.registerProducer(producerGroup, sink))
    }
    answer()
  }

  #unregisterProducer(frame: FrameNamed<'UNREGISTER_PRODUCER'>): void {
    const { producerGroup } = frame
    const answer = this.#answers.replyDone(frame)
    this.#producers.get(producerGroup)?.cancel()
    this.#producers.delete(producerGroup)
    answer()
  }

  /**
   * Sends a check, unless it would not be taken. Registering asks for no topic, so it is here that nobody gets to see
   * messages, or to decide on them, who could not have sent them.
   */
  #isAsked(check: TransactionCheck): boolean {
    const host = this.#host
    if (host.isOver || !host.isWritable) return false
    let isAsked = false
    host.guard(() => {
      if (!check.messages.every(({ topic }) => this.#principal.mayPublish(topic))) return
      host.add('CHECK_TRANSACTION', check)
      isAsked = true
    })
    return isAsked
  }

  // ── replies ───────────────────────────────────────────────────────────────────────────────────────────────────

  #replyTo(frame: FrameNamed<'REPLY'>): void {
    const answer = this.#answers.replyDone(frame)
    try {
      this.#deps.replies.send(frame)
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      return answer(error)
    }
    answer()
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The connection has room again. */
  roomy(): void {
    for (const stream of this.#streams.values()) stream.writable()
  }

  /** The connection is over. Leases are kept for the member's grace time; waits and registrations are taken back. */
  release(failed: (error: unknown) => void): void {
    const streams = [...this.#streams.values()]
    const waits = [...this.#producers.values(), ...this.#pulls]
    this.#streams.clear()
    this.#producers.clear()
    this.#pulls.clear()
    for (const stream of streams) attempt(() => stream.detach(), failed)
    for (const wait of waits) attempt(() => wait.cancel(), failed)
  }
}

function attempt(run: () => void, failed: (error: unknown) => void): void {
  try {
    run()
  } catch (error) {
    failed(error)
  }
}

function noSubscription(subscriptionId: number): PocketError {
  return new PocketError('SUBSCRIPTION_NOT_FOUND', `the connection has no subscription ${subscriptionId}`)
}
