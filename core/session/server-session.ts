// One connection at the relay, from its first byte to its last: bytes in, calls of the broker's door; answers and
// deliveries out, as one message per turn. It sees a transport's Connection, never a socket, and lets no exception out:
// whatever one client sends, others feel nothing.
//
//              HELLO                    verdict: principal            drain()
//   greeting ──────────> authenticating ──────────────────> open ─────────────────> draining
//      │ time over, other     │ refused, any frame            │ bad bytes, silence,     │ finish()
//      │ frame, bad bytes     │                               │ slow reader, a bug      │
//      └──────────────────────┴───────────> ended <───────────┴─────────────────────────┘
//
// Two things stop the reading of a connection until they are better: publishes that wait for a commit, and answers that
// the client does not take. Both bound what a client can make the relay hold.

import { unreachable } from '../assert.ts'
import type {
  Answer, BrokerDoor, Cancellable, Membership, PublishReceipt, RangeFailure,
} from '../broker/door.ts'
import { type ErrorCode, errorCodes, PocketError, toPocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { type CloseCodeName, closeCodes } from '../model/close-codes.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Connection, ConnectionHandler } from '../ports/transport.ts'
import { decodeUpstream } from '../protocol/codec.ts'
import {
  type DownstreamName, type FrameFields, type GroupDescription, protocolVersion, type TopicDescription,
  type UpstreamFrame, type UpstreamName,
} from '../protocol/frames.ts'
import { type Authenticate, forbiddenReason, type Principal } from './auth.ts'
import type { FlushQueue } from './flush-queue.ts'
import { Heartbeat } from './heartbeat.ts'
import { PublishBudget } from './publish-budget.ts'
import { ServerSubscription, type SubscriptionHost } from './server-subscription.ts'
import type { SessionCounters } from './session-counters.ts'
import { SessionOutput } from './session-output.ts'

/** A message before WELCOME holds a HELLO and nothing else; its token may have 4 KiB. */
const helloBytesMax = 8 * 1024
/** Requests of one connection, PUBLISH aside, that may wait for their answer; more are refused with OVERLOADED. */
export const requestsInHandMax = 8_192
/** The pulls of one connection share so many bytes of answers, each of them getting at least the lesser amount. */
const pullBytesShared = 4 * 1024 * 1024
const pullBytesMin = 16 * 1024
const overloadedRetryMs = 1_000

/** What all sessions of a relay share. */
export interface ServerSessionDeps {
  readonly broker: BrokerDoor
  readonly clock: Clock
  readonly log: Log
  readonly limits: Limits
  /** Told to clients in WELCOME: at most 64 bytes. */
  readonly relayId: string
  readonly authenticate: Authenticate
  readonly flushQueue: FlushQueue
  readonly counters: SessionCounters
  /** The session has ended, by whichever side; told once. */
  readonly ended: (session: ServerSession) => void
}

type State = 'greeting' | 'authenticating' | 'open' | 'draining' | 'ended'
type RequestFrame = Extract<UpstreamFrame, { readonly requestId: number }>
type FrameNamed<N extends UpstreamName> = Extract<UpstreamFrame, { readonly name: N }>

export class ServerSession implements ConnectionHandler, SubscriptionHost {
  readonly #connection: Connection
  readonly #deps: ServerSessionDeps
  readonly #output: SessionOutput
  #state: State = 'greeting'
  #isStopping = false
  #client: { readonly clientId: string; readonly clientName: string } = { clientId: '', clientName: '' }
  #principal: Principal | undefined
  readonly #subscriptions = new Map<number, ServerSubscription>()
  readonly #pulls = new Set<Cancellable>()
  readonly #publishBudget: PublishBudget
  #requestsInHand = 0
  /** When the last message arrived, monotonic. */
  #arrivedMs: number
  #isPausedForPublishes = false
  #isPausedForOutput = false
  #isPaused = false
  readonly #cancelHelloTimer: CancelTimer
  #heartbeat: Heartbeat | undefined

  /** `connection` is open; what it says is heard through this session. */
  constructor(connection: Connection, deps: ServerSessionDeps) {
    this.#connection = connection
    this.#deps = deps
    this.#arrivedMs = deps.clock.monotonic()
    const { clock, limits, flushQueue, counters } = deps
    this.#publishBudget = new PublishBudget(limits.publishBytesInFlightMax, counters)
    this.#output = new SessionOutput({
      connection, clock, limits, flushQueue, counters,
      roomy: () => this.#roomy(),
      flooded: (isFlooded) => {
        this.#isPausedForOutput = isFlooded
        this.#applyPause()
      },
      tooSlow: (reason) => this.#end('SLOW_READER', reason),
      crashed: (thrown) => this.crashed(thrown),
    })
    deps.counters.acceptedCount++
    deps.counters.openCount++
    this.#cancelHelloTimer = deps.clock.setTimer(deps.limits.helloTimeoutMs, () => this.#helloOverdue())
    deps.log.debug('connection accepted', { peer: connection.peer })
  }

  get peer(): string {
    return this.#connection.peer
  }

  /** Requests that wait for their answer. */
  get requestsInHand(): number {
    return this.#requestsInHand
  }

  get subscriptionCount(): number {
    return this.#subscriptions.size
  }

  // ── the relay's side ──────────────────────────────────────────────────────────────────────────────────────────

  /** Tells the client that the relay stops soon. Requests are still served, deliveries pause. */
  announceStop(retryAfterMs: number): void {
    if (this.#state !== 'open' || this.#isStopping) return
    this.#isStopping = true
    this.add('STOPPING', { retryAfterMs })
  }

  /** From here on frames are not heard any more: what is unanswered then is sent again to the next relay. */
  drain(): void {
    if (this.#state !== 'ended') this.#state = 'draining'
  }

  /** Sends what there is, then closes. Leases are kept for the member's grace time. */
  finish(code: CloseCodeName, reason: PocketError | string): void {
    if (reason instanceof PocketError) this.#refuseConnection(reason, code)
    else this.#end(code, reason)
  }

  // ── the transport's side ──────────────────────────────────────────────────────────────────────────────────────

  message(bytes: Uint8Array): void {
    if (this.#state === 'ended' || this.#state === 'draining') return
    const { clock, counters, limits } = this.#deps
    this.#arrivedMs = clock.monotonic()
    this.#heartbeat?.heard()
    counters.transportMessagesIn++
    counters.bytesIn += bytes.length
    try {
      const bytesMax = this.#state === 'open' ? limits.frameBytesMax : Math.min(helloBytesMax, limits.frameBytesMax)
      if (bytes.length > bytesMax) {
        const text = `a message of ${bytes.length} bytes; at most ${bytesMax} are taken`
        throw new PocketError('LIMIT_EXCEEDED', text)
      }
      decodeUpstream(bytes, this.#visit)
    } catch (error) {
      if (error instanceof PocketError) this.#refuseConnection(error, closeNameOf(error.code))
      else this.crashed(error)
    }
  }

  drained(): void {
    this.#output.drained()
  }

  closed(code: number, reason: string): void {
    const { log } = this.#deps
    log.debug('connection closed', { peer: this.peer, client: this.#client.clientName, code, reason })
    this.#release()
    this.#deps.counters.openCount--
    this.#deps.ended(this)
  }

  // ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The decoder's own failures are the client's; what fails in here is ours. */
  readonly #visit = (frame: UpstreamFrame): void => {
    if (this.#state === 'ended') return
    this.#deps.counters.framesIn++
    const requestsBefore = this.#requestsInHand
    try {
      this.#hear(frame)
    } catch (error) {
      if (error instanceof PocketError && isRequest(frame)) {
        this.#requestsInHand = requestsBefore
        this.#refuse(frame.requestId, error)
      } else {
        this.crashed(error)
      }
    }
  }

  #hear(frame: UpstreamFrame): void {
    if (frame.name === 'HELLO') return this.#hello(frame)
    if (this.#state !== 'open') {
      const text = `${frame.name} before WELCOME; a connection begins with HELLO`
      return this.#refuseConnection(new PocketError('HELLO_EXPECTED', text), 'HELLO_EXPECTED')
    }
    if (!isRequest(frame)) return this.#hearNotice(frame)
    if (frame.requestId === 0) {
      const text = `${frame.name} with request id 0, which stands for the connection`
      return this.#refuseConnection(new PocketError('BAD_FRAME', text), 'BAD_FRAME')
    }
    if (this.#requestsInHand >= requestsInHandMax && frame.name !== 'PUBLISH') {
      const text = `${requestsInHandMax} requests of this connection wait for their answer already`
      return this.#refuse(frame.requestId, new PocketError('OVERLOADED', text, { retryAfterMs: overloadedRetryMs }))
    }
    const forbidden = forbiddenReason(frame, this.#principal as Principal)
    if (forbidden !== undefined) return this.#refuse(frame.requestId, new PocketError('FORBIDDEN', forbidden))
    this.#request(frame)
  }

  #hearNotice(frame: Exclude<UpstreamFrame, RequestFrame>): void {
    switch (frame.name) {
      case 'CREDIT':
        // Unknown is no error: the subscription may have been revoked while the frame was on its way.
        return this.#subscriptions.get(frame.subscriptionId)?.credit(frame.messageCount, frame.byteCount)
      case 'PING':
        return this.add('PONG', { nonce: frame.nonce })
      case 'HELLO':
        return
      default:
        return unreachable(frame)
    }
  }

  #request(frame: RequestFrame): void {
    const { broker } = this.#deps
    const { requestId } = frame
    switch (frame.name) {
      case 'PUBLISH':
        return this.#publish(frame)
      case 'ACK': {
        const answer = this.#replyDone(frame)
        return this.#onMembership(frame, answer, (membership) => membership.ack(frame.ranges, answer))
      }
      case 'RETRY': {
        const { ranges, how, delayMs } = frame
        const answer = this.#replyDone(frame)
        return this.#onMembership(frame, answer, (membership) => membership.retry(ranges, how, delayMs, answer))
      }
      case 'EXTEND': {
        const answer = this.#replyDone(frame)
        return this.#onMembership(frame, answer, (membership) => membership.extend(frame.ranges, frame.leaseMs, answer))
      }
      case 'RECEIVE': {
        const answer = this.#reply<number>(frame, (messageCount) => this.add('RECEIVED', { requestId, messageCount }))
        return this.#onMembership(frame, answer, (membership) => membership.receive(frame, answer))
      }
      case 'SUBSCRIBE':
        return this.#subscribe(frame)
      case 'UNSUBSCRIBE':
        return this.#unsubscribe(frame)
      case 'PULL':
        return this.#pull(frame)
      case 'QUERY':
        return broker.query(frame, this.#reply(frame, (messages) => this.add('MESSAGES', { requestId, messages })))
      case 'CREATE_TOPIC':
        return broker.createTopic(frame, this.#replyTopic(frame))
      case 'LIST_TOPICS':
        return broker.listTopics(frame, this.#reply(frame, (page) => this.add('TOPICS', { requestId, ...page })))
      case 'DESCRIBE_TOPIC':
        return broker.describeTopic(frame.topic, this.#replyTopic(frame))
      case 'DELETE_TOPIC':
        return broker.deleteTopic(frame.topic, this.#reply(frame, () => this.add('DONE', { requestId, failures: [] })))
      case 'CONFIGURE_GROUP':
        return broker.configureGroup(frame, this.#replyGroup(frame))
      case 'LIST_GROUPS':
        return broker.listGroups(frame, this.#reply(frame, (page) => this.add('GROUPS', { requestId, ...page })))
      case 'DESCRIBE_GROUP':
        return broker.describeGroup(frame.group, this.#replyGroup(frame))
      case 'RESET_GROUP':
        return broker.resetGroup(frame, this.#replyGroup(frame))
      default:
        return unreachable(frame)
    }
  }

  // ── hello ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #hello(frame: FrameNamed<'HELLO'>): void {
    if (this.#state !== 'greeting') {
      return this.#refuseConnection(new PocketError('HELLO_EXPECTED', 'a second HELLO'), 'HELLO_EXPECTED')
    }
    const { versionMin, versionMax, clientId, clientName, token } = frame
    const version = Math.min(versionMax, protocolVersion.max)
    if (version < versionMin || version < protocolVersion.min) {
      const text = `this relay speaks versions ${protocolVersion.min} to ${protocolVersion.max}, ` +
        `the client ${versionMin} to ${versionMax}`
      return this.#refuseConnection(new PocketError('UNSUPPORTED_VERSION', text), 'UNSUPPORTED_VERSION')
    }
    this.#state = 'authenticating'
    this.#client = { clientId, clientName }
    this.#deps.authenticate(token, { clientId, clientName, peer: this.peer }, (verdict) => {
      if (this.#state !== 'authenticating') return
      this.#guard(() => {
        if (verdict instanceof PocketError) this.#refuseConnection(verdict, closeNameOf(verdict.code))
        else this.#welcome(version, verdict)
      })
    })
  }

  #welcome(version: number, principal: Principal): void {
    const { limits, log, relayId } = this.#deps
    const { clientId, clientName } = this.#client
    this.#state = 'open'
    this.#principal = principal
    const { heartbeatMs, memberGraceMs, bodyBytesMax, frameBytesMax, publishBytesInFlightMax } = limits
    const { leaseMsMin, leaseMsMax, waitMsMax } = limits
    const { batchMessageCountMax } = fixedLimits
    this.add('WELCOME', {
      version, relayId, heartbeatMs, memberGraceMs, bodyBytesMax, frameBytesMax, batchMessageCountMax,
      publishBytesInFlightMax, leaseMsMin, leaseMsMax, waitMsMax,
    })
    this.#cancelHelloTimer()
    this.#startHeartbeat()
    log.debug('client welcomed', { peer: this.peer, clientId, clientName, principal: principal.name, version })
  }

  #helloOverdue(): void {
    if (this.#state === 'greeting') {
      // Its HELLO may be on the way still, over a bad path or while the relay was held up: it may come again.
      this.#end('HEARTBEAT_LOST', `no HELLO within ${this.#deps.limits.helloTimeoutMs} ms`)
    } else if (this.#state === 'authenticating') {
      const text = 'the token could not be checked in time'
      this.#refuseConnection(new PocketError('OVERLOADED', text, { retryAfterMs: overloadedRetryMs }), 'OVERLOADED')
    }
  }

  /** Ends a connection that says nothing. While the relay itself does not read, silence proves nothing. */
  #startHeartbeat(): void {
    const { clock, counters, limits } = this.#deps
    const { heartbeatMs } = limits
    const lost = (): void => {
      counters.lostHeartbeats++
      this.#end('HEARTBEAT_LOST', `nothing heard for two heartbeats of ${heartbeatMs} ms`)
    }
    this.#heartbeat = new Heartbeat({ clock, heartbeatMs, lost })
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────

  #publish(frame: FrameNamed<'PUBLISH'>): void {
    const { requestId } = frame
    const { length } = frame.messages
    const answer = this.#reply<PublishReceipt>(frame, (receipt) => this.add('PUBLISHED', { ...receipt, requestId }))
    this.#deps.broker.publish(frame, (outcome) => {
      this.#publishBudget.release(length)
      answer(outcome)
      if (this.#isPausedForPublishes) this.#weighPublishes()
    })
    this.#publishBudget.hold(length)
    this.#weighPublishes()
  }

  #weighPublishes(): void {
    this.#isPausedForPublishes = this.#publishBudget.isSpent
    if (this.#isPausedForPublishes !== this.#isPaused) this.#applyPause()
  }

  #applyPause(): void {
    if (this.#state === 'ended') return
    const shallPause = this.#isPausedForPublishes || this.#isPausedForOutput
    if (shallPause === this.#isPaused) return
    this.#isPaused = shallPause
    if (shallPause) {
      this.#deps.counters.pauses++
      this.#heartbeat?.stop()
      this.#connection.pause()
    } else {
      this.#startHeartbeat()
      this.#connection.resume()
    }
  }

  #subscribe(frame: FrameNamed<'SUBSCRIBE'>): void {
    const { subscriptionId, requestId } = frame
    const countMax = this.#deps.limits.subscriptionsPerConnectionMax
    if (this.#subscriptions.has(subscriptionId)) {
      throw new PocketError('BAD_ARGUMENT', `subscription ${subscriptionId} of this connection exists already`)
    }
    if (this.#subscriptions.size >= countMax) {
      throw new PocketError('LIMIT_EXCEEDED', `a connection has at most ${countMax} subscriptions`)
    }
    const subscription = new ServerSubscription(subscriptionId, this)
    const answer = this.#reply<FrameFields<'SUBSCRIBED'>>(frame, (subscribed) => this.add('SUBSCRIBED', subscribed))
    const request = { ...frame, ...this.#client, peer: this.peer }
    this.#deps.broker.subscribe(request, subscription, (outcome) => {
      if (outcome instanceof PocketError) {
        answer(outcome)
        if (this.#subscriptions.get(subscriptionId) === subscription) this.#subscriptions.delete(subscriptionId)
        subscription.finish()
        return
      }
      const { membership, messageType, leaseMs, positions } = outcome
      answer({ requestId, subscriptionId, messageType, leaseMs, positions })
      this.#guard(() => subscription.begin(membership))
    })
    this.#subscriptions.set(subscriptionId, subscription)
  }

  #unsubscribe(frame: FrameNamed<'UNSUBSCRIBE'>): void {
    const { requestId, subscriptionId } = frame
    const answer: Answer<void> = this.#reply(frame, () => this.add('DONE', { requestId, failures: [] }))
    this.#onMembership(frame, answer, (membership, subscription) => {
      this.#subscriptions.delete(subscriptionId)
      subscription.finish()
      membership.leave(answer)
    })
  }

  #pull(frame: FrameNamed<'PULL'>): void {
    const { requestId } = frame
    const share = Math.max(pullBytesMin, Math.floor(pullBytesShared / (this.#pulls.size + 1)))
    const byteCountMax = Math.min(frame.byteCountMax, this.#deps.limits.readChunkBytes, share)
    const answer = this.#reply<Omit<FrameFields<'PULLED'>, 'requestId'>>(frame, (result) =>
      this.add('PULLED', { ...result, requestId }))
    const pull = this.#deps.broker.pull({ ...frame, byteCountMax }, (outcome) => {
      this.#pulls.delete(pull)
      answer(outcome)
    })
    this.#pulls.add(pull)
  }

  /** Calls `use` with the membership of the frame's subscription, waiting for it where it is still joining. */
  #onMembership<T>(
    frame: RequestFrame & { readonly subscriptionId: number }, answer: Answer<T>,
    use: (membership: Membership, subscription: ServerSubscription) => void,
  ): void {
    const { subscriptionId } = frame
    const subscription = this.#subscriptions.get(subscriptionId)
    const refuse = (): void => {
      answer(new PocketError('SUBSCRIPTION_NOT_FOUND', `the connection has no subscription ${subscriptionId}`))
    }
    if (subscription === undefined) return refuse()
    subscription.use((membership) => {
      if (membership === undefined) refuse()
      else use(membership, subscription)
    })
  }

  // ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** What a request is answered with: `tell` for a result, an ERROR frame for an error, nothing once ended. */
  #reply<T>(frame: RequestFrame, tell: (result: T) => void): Answer<T> {
    const { name, requestId } = frame
    const { clock, counters } = this.#deps
    const arrivedMs = this.#arrivedMs
    this.#requestsInHand++
    return (outcome) => {
      this.#requestsInHand--
      const isFailure = outcome instanceof PocketError
      counters.answered(name, clock.monotonic() - arrivedMs, isFailure)
      if (this.#state === 'ended') return
      this.#guard(() => {
        if (isFailure) this.#refuse(requestId, outcome)
        else tell(outcome)
      })
    }
  }

  #replyTopic(frame: RequestFrame): Answer<TopicDescription> {
    return this.#reply(frame, (topic) => this.add('TOPIC', { requestId: frame.requestId, ...topic }))
  }

  #replyGroup(frame: RequestFrame): Answer<GroupDescription> {
    return this.#reply(frame, (group) => this.add('GROUP', { requestId: frame.requestId, ...group }))
  }

  #replyDone(frame: RequestFrame): Answer<readonly RangeFailure[]> {
    const { requestId } = frame
    return this.#reply(frame, (rangeFailures) => {
      const failures = rangeFailures.map(({ index, error }) => ({ index, code: errorCodes[error.code].number }))
      this.add('DONE', { requestId, failures })
    })
  }

  /** A request failed; the connection stays. */
  #refuse(requestId: number, error: PocketError): void {
    if (this.#state === 'ended') return
    if (error.code === 'INTERNAL') this.#logBug(error)
    this.#tellError(requestId, error)
  }

  #tellError(requestId: number, error: PocketError): void {
    this.#deps.counters.countError(error.code)
    const { number: code } = errorCodes[error.code]
    this.add('ERROR', { requestId, code, retryAfterMs: error.retryAfterMs ?? 0, message: error.message })
  }

  /** The connection failed: told in words, then closed. */
  #refuseConnection(error: PocketError, name: CloseCodeName): void {
    if (this.#state === 'ended') return
    const { code, message } = error
    const { peer } = this
    this.#deps.log.info('connection refused', { peer, client: this.#client.clientName, code, message })
    this.#refuse(0, error)
    this.#end(name, message)
  }

  /** A bug: this connection ends, the relay goes on. */
  crashed(thrown: unknown): void {
    if (this.#state === 'ended') return
    this.#deps.counters.crashes++
    this.#logBug(thrown)
    const message = 'a bug in the relay; its log says more'
    this.#tellError(0, new PocketError('INTERNAL', message))
    this.#end('INTERNAL', message)
  }

  #logBug(thrown: unknown): void {
    const error = toPocketError(thrown)
    const { message, stack } = error.cause instanceof Error ? error.cause : error
    const { peer } = this
    this.#deps.log.error('bug in a session', { peer, client: this.#client.clientName, error: message, stack })
  }

  /** What runs within the broker's turn must not throw into it. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.crashed(error)
    }
  }

  // ── what subscriptions need ───────────────────────────────────────────────────────────────────────────────────

  /** Adds a frame to what this turn sends. */
  add<N extends DownstreamName>(name: N, fields: FrameFields<N>, payload?: Uint8Array): void {
    this.#output.add(name, fields, payload)
  }

  get isWritable(): boolean {
    return this.#state === 'open' && !this.#isStopping && this.#output.isWritable
  }

  #roomy(): void {
    if (this.#state !== 'open' || this.#isStopping) return
    for (const subscription of this.#subscriptions.values()) subscription.writable()
  }

  /** The broker ended a subscription. */
  revoked(subscription: ServerSubscription): void {
    const { subscriptionId } = subscription
    if (this.#subscriptions.get(subscriptionId) === subscription) this.#subscriptions.delete(subscriptionId)
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  #end(name: CloseCodeName, reason: string): void {
    if (this.#state === 'ended') return
    this.#deps.log.debug('connection ending', { peer: this.peer, client: this.#client.clientName, reason, code: name })
    this.#output.end()
    this.#state = 'ended'
    this.#connection.close(closeCodes[name], reason)
    this.#release()
  }

  /** Leases are kept for the member's grace time; waits are taken back. */
  #release(): void {
    this.#state = 'ended'
    this.#output.end()
    this.#cancelHelloTimer()
    this.#heartbeat?.stop()
    const subscriptions = [...this.#subscriptions.values()]
    const pulls = [...this.#pulls]
    this.#subscriptions.clear()
    this.#pulls.clear()
    for (const subscription of subscriptions) this.#releaseOne(() => subscription.detach())
    for (const pull of pulls) this.#releaseOne(() => pull.cancel())
  }

  #releaseOne(release: () => void): void {
    try {
      release()
    } catch (error) {
      this.#logBug(error)
    }
  }
}

function isRequest(frame: UpstreamFrame): frame is RequestFrame {
  return 'requestId' in frame
}

/** How a connection ends that failed with `code`. */
function closeNameOf(code: ErrorCode): CloseCodeName {
  if (code === 'STORE_FULL') return 'STORE_FAILED'
  if (code in closeCodes) return code as CloseCodeName
  return errorCodes[code].retry === 'retry' ? 'OVERLOADED' : 'FORBIDDEN'
}
