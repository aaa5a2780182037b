// A client's side of one logical connection, kept up by itself (link.ts, link-driver.ts). It keeps requests and
// subscriptions apart, and sends the frames of a turn as one message. It knows no promise and no message: producers and
// consumers join it and decide themselves what they send again on a new connection.
//
//   participants ──touch──> (defer) ──turnEnded──> outbox ──> connection ──> relay
//   participants <──linked, unlinked, ended── link     sinks, handlers <──── connection <── relay

import { unreachable } from '../assert.ts'
import { errorCodeOf } from '../error-codes.ts'
import { PocketError, toPocketError } from '../errors.ts'
import { defaultLimits, fixedLimits } from '../limits.ts'
import { closeCodes } from '../model/close-codes.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Dialler } from '../ports/transport.ts'
import { decodeDownstream, FrameOutbox } from '../protocol/codec.ts'
import { type DownstreamFrame, type FrameFields, protocolVersion, type UpstreamName } from '../protocol/frames.ts'
import { producerIdToText } from '../record/record-batch.ts'
import { Heartbeat } from './heartbeat.ts'
import type { ConnectReason, Link } from './link.ts'
import { LinkDriver } from './link-driver.ts'
import {
  type AnswerHandler, type AnswerName, type CallName, type CallOptions, type CallOutcome, Calls, RequestTable,
} from './requests.ts'

export interface ClientSessionDeps {
  readonly dialler: Dialler
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export type SessionState = 'connecting' | 'connected' | 'waiting' | 'closed'

export interface ClientSessionOptions {
  readonly clientName: string
  readonly token: (context: { reason: ConnectReason; signal: AbortSignal }) => string | Promise<string>
  /** How long the first connection is tried for; undefined: without end. */
  readonly connectTimeoutMs: number | undefined
  /** A token that is refused is asked for again, without end. Default: that ends the session. */
  readonly isPatient?: boolean
  /** Called when the state changes. */
  readonly changed: (state: SessionState, error: PocketError | undefined) => void
}

/** Has frames to send when a turn ends. */
export interface TurnParticipant {
  /** The turn in which `touch` was called is over: put frames into it. */
  turnEnded(): void
}

/** Lives on the session: a producer, a consumer. */
export interface SessionParticipant {
  /** A connection is up: send again what needs it. */
  linked(): void
  /** The connection is gone: no answer to anything sent will come. */
  unlinked(): void
  /** There will be no connection any more. Called once, and last. */
  ended(error: PocketError): void
}

/** Takes what comes for one subscription. A PocketError thrown says that the bytes make no sense. */
export interface SubscriptionSink {
  deliver(frame: FrameFields<'DELIVER'>): void
  gap(frame: FrameFields<'GAP'>): void
  /** What was delivered of that queue is void. */
  reset(frame: FrameFields<'RESET'>): void
  revoked(error: PocketError): void
}

/** Takes what comes for one follower. A PocketError thrown says that the bytes make no sense. */
export interface FollowerSink {
  changes(frame: FrameFields<'CHANGES'>): void
  revoked(error: PocketError): void
}

type AnySink = Partial<SubscriptionSink & FollowerSink> & { revoked(error: PocketError): void }

export type CheckHandler = (check: FrameFields<'CHECK_TRANSACTION'>) => void
/** `message` is one encoded message. A PocketError thrown says that it makes no sense. */
export type ReplyHandler = (message: Uint8Array) => void

/** What the relay agreed to in WELCOME. */
export type SessionLimits = Omit<FrameFields<'WELCOME'>, 'version' | 'relayId'>

/** Room for the fields beside a payload; what may be larger is a payload, or a FOLLOW, which gets a message of its own. */
const fieldsBytesMax = 64 * 1024

/** A relay that is asked whether it is there answers within so long. */
const probeMs = 5_000

export class ClientSession {
  readonly #deps: ClientSessionDeps
  readonly #options: ClientSessionOptions
  readonly #clientId: string
  readonly #driver: LinkDriver
  #state: SessionState = 'connecting'
  #heartbeat: Heartbeat | undefined
  #limits: SessionLimits = { ...defaultLimits, batchMessageCountMax: fixedLimits.batchMessageCountMax }
  readonly #participants = new Set<SessionParticipant>()
  readonly #sinks = new Map<number, AnySink>()
  readonly #checkHandlers = new Map<string, CheckHandler>()
  readonly #replyHandlers = new Map<string, ReplyHandler>()
  #subscriptionId = 0
  readonly #requests = new RequestTable()
  readonly #calls: Calls
  readonly #outbox = new FrameOutbox()
  #touched: TurnParticipant[] = []
  #isTurnScheduled = false

  constructor(deps: ClientSessionDeps, options: ClientSessionOptions) {
    this.#deps = deps
    this.#options = options
    this.#clientId = producerIdToText(deps.random.bytes(8))
    this.#driver = new LinkDriver(deps, {
      token: options.token,
      connectTimeoutMs: options.connectTimeoutMs,
      isPatient: options.isPatient ?? false,
      hello: (token) => this.#hello(token),
      dropping: () => this.#flush(),
      message: (bytes, isCurrent) => this.#message(bytes, isCurrent),
      stepped: (before, after) => this.#stepped(before, after),
    })
    this.#calls = new Calls({
      clock: deps.clock,
      requests: this.#requests,
      send: (name, fields, payload) => this.send(name, fields, payload),
    })
  }

  /** Names this client to the relay, over all its connections: where replies go. */
  get clientId(): string {
    return this.#clientId
  }

  get state(): SessionState {
    return this.#state
  }

  /** Whether frames can be sent now. */
  get isUp(): boolean {
    return this.#state === 'connected'
  }

  /** The relay said that it stops: new work waits for the next connection. */
  get isDraining(): boolean {
    return this.#driver.link.kind === 'draining'
  }

  /** Of the last WELCOME; the defaults before the first. */
  get limits(): SessionLimits {
    return this.#limits
  }

  start(): void {
    this.#driver.start()
  }

  /** Ends the connection for good; `error` is what participants and calls are told. Repeating it does nothing. */
  close(error?: PocketError): void {
    this.#driver.dispatch({ kind: 'close', error })
  }

  /** The network may be another: tries at once where it waits, and asks a connection that is up whether it is. */
  nudge(): void {
    this.#driver.nudge()
    this.#heartbeat?.probe(probeMs)
  }

  /** From now on the participant is told of the link; `linked` is called at once if it is up, `ended` if it is over. */
  join(participant: SessionParticipant): void {
    const { link } = this.#driver
    if (link.kind === 'closed') return participant.ended(endOf(link))
    this.#participants.add(participant)
    if (this.isUp) participant.linked()
  }

  leave(participant: SessionParticipant): void {
    this.#participants.delete(participant)
  }

  /** `participant.turnEnded` is called once, at the end of this turn, while frames can still go out with it. */
  touch(participant: TurnParticipant): void {
    this.#touched.push(participant)
    this.#scheduleTurn()
  }

  /** A number for a subscription or a follower, and who takes what comes for it. It is kept over reconnects. */
  openSubscription(sink: SubscriptionSink | FollowerSink): number {
    this.#sinks.set(++this.#subscriptionId, sink)
    return this.#subscriptionId
  }

  closeSubscription(subscriptionId: number): void {
    this.#sinks.delete(subscriptionId)
  }

  /** Who is asked about transactions of a producer group; undefined: nobody. To register with the relay is the caller's. */
  handleChecks(producerGroup: string, handler: CheckHandler | undefined): void {
    if (handler === undefined) this.#checkHandlers.delete(producerGroup)
    else this.#checkHandlers.set(producerGroup, handler)
  }

  /** Who takes the replies under a correlation id; undefined: nobody any more. */
  handleReplies(correlationId: string, handler: ReplyHandler | undefined): void {
    if (handler === undefined) this.#replyHandlers.delete(correlationId)
    else this.#replyHandlers.set(correlationId, handler)
  }

  /** An id for a request; who opens one sends it before the turn ends. */
  openRequest(handler: AnswerHandler): number {
    return this.#requests.open(handler)
  }

  /** Takes the handler of a request away: its answer is dropped. */
  forgetRequest(requestId: number): void {
    this.#requests.forget(requestId)
  }

  /** Answers a request in the relay's place, if it is not answered yet. */
  refuseRequest(requestId: number, error: PocketError): void {
    this.#requests.refuse(requestId, error)
  }

  /** A request that is bounded in time; see {@link Calls.start}. */
  call<N extends CallName, A extends AnswerName>(
    options: CallOptions<N, A>, done: (outcome: CallOutcome<A>) => void,
  ): () => void {
    return this.#calls.start(options, done)
  }

  /** Puts a frame into this turn's message. Without a connection it does nothing: `linked` is where to send again. */
  send<N extends UpstreamName>(name: N, fields: FrameFields<N>, payload?: Uint8Array): void {
    if (this.#driver.connection === undefined) return
    const outbox = this.#outbox
    const bytesMax = name === 'FOLLOW' ? Infinity : (payload?.length ?? 0) + fieldsBytesMax
    if (outbox.byteCount + bytesMax > this.#limits.frameBytesMax) this.#flush()
    outbox.add(name, fields, payload)
    this.#scheduleTurn()
  }

  #scheduleTurn(): void {
    if (this.#isTurnScheduled) return
    this.#isTurnScheduled = true
    this.#deps.clock.defer(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    this.#isTurnScheduled = false
    const touched = this.#touched
    this.#touched = []
    for (const participant of touched) participant.turnEnded()
    this.#flush()
  }

  #flush(): void {
    if (this.#outbox.isEmpty) return
    const chunks = this.#outbox.take()
    this.#driver.connection?.send(chunks)
    this.#heartbeat?.sent()
  }

  // ── the link ──────────────────────────────────────────────────────────────────────────────────────────────────

  #stepped(before: Link, after: Link): void {
    if (this.#driver.connection === undefined) this.#disconnected()
    const state = stateOf(after)
    const wasUp = stateOf(before) === 'connected'
    if (state === this.#state) return
    this.#state = state
    const error = after.kind === 'waiting' || after.kind === 'closed' ? after.error : undefined
    if (wasUp) this.#unlinked()
    this.#options.changed(state, error)
    if (state === 'connected') this.#linked()
    if (after.kind === 'closed') this.#ended(endOf(after))
  }

  #hello(token: string): void {
    const { min, max } = protocolVersion
    const { clientName } = this.#options
    this.send('HELLO', { versionMin: min, versionMax: max, clientId: this.#clientId, clientName, token })
    this.#flush()
  }

  #disconnected(): void {
    this.#heartbeat?.stop()
    this.#heartbeat = undefined
    this.#outbox.take()
  }

  #linked(): void {
    this.#heartbeat = new Heartbeat({
      clock: this.#deps.clock,
      heartbeatMs: this.#limits.heartbeatMs,
      ping: () => this.send('PING', { nonce: Math.floor(this.#deps.random.next() * 0x1_0000_0000) }),
      lost: () => {
        const error = new PocketError('CONNECTION_LOST', 'the relay was silent for too long')
        this.#driver.dispatch({ kind: 'broken', code: closeCodes.HEARTBEAT_LOST, error })
      },
    })
    this.#calls.linked()
    for (const participant of [...this.#participants]) participant.linked()
  }

  #unlinked(): void {
    this.#requests.clear()
    this.#calls.unlinked()
    for (const participant of [...this.#participants]) participant.unlinked()
  }

  #ended(error: PocketError): void {
    const participants = [...this.#participants]
    this.#participants.clear()
    this.#sinks.clear()
    this.#checkHandlers.clear()
    this.#replyHandlers.clear()
    this.#calls.ended(error)
    for (const participant of participants) participant.ended(error)
  }

  // ── what the relay says ───────────────────────────────────────────────────────────────────────────────────────

  #message(bytes: Uint8Array, isCurrent: () => boolean): void {
    this.#heartbeat?.heard()
    let frames: DownstreamFrame[]
    try {
      frames = []
      decodeDownstream(bytes, (frame) => frames.push(frame))
    } catch (cause) {
      return this.#broken(toPocketError(cause))
    }
    for (const frame of frames) {
      // A frame may have ended the connection it came by.
      if (!isCurrent()) return
      this.#frame(frame)
    }
  }

  /** What a sink can't read was damaged on its way or before: another connection may bring it whole. */
  #tell(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      this.#deps.log.error('a delivery is damaged', { error: error.message })
      this.#driver.dispatch({ kind: 'broken', code: closeCodes.INTERNAL, error })
    }
  }

  #broken(error: PocketError): void {
    const code = error.code === 'UNSUPPORTED_VERSION' ? closeCodes.UNSUPPORTED_VERSION : closeCodes.BAD_FRAME
    this.#driver.dispatch({ kind: 'broken', code, error })
  }

  #frame(frame: DownstreamFrame): void {
    if (this.#driver.link.kind === 'greeting' && frame.name !== 'WELCOME' && frame.name !== 'ERROR') {
      return this.#broken(new PocketError('BAD_FRAME', `${frame.name} came before WELCOME`))
    }
    switch (frame.name) {
      case 'DELIVER':
        return this.#tell(() => this.#sinks.get(frame.subscriptionId)?.deliver?.(frame))
      case 'GAP':
        return this.#tell(() => this.#sinks.get(frame.subscriptionId)?.gap?.(frame))
      case 'RESET':
        return this.#tell(() => this.#sinks.get(frame.subscriptionId)?.reset?.(frame))
      case 'CHANGES':
        return this.#tell(() => this.#sinks.get(frame.subscriptionId)?.changes?.(frame))
      case 'REVOKED': {
        const error = new PocketError(errorCodeOf(frame.code), frame.message)
        return this.#tell(() => this.#sinks.get(frame.subscriptionId)?.revoked(error))
      }
      case 'CHECK_TRANSACTION':
        return this.#tell(() => this.#checkHandlers.get(frame.producerGroup)?.(frame))
      case 'REPLIED':
        return this.#tell(() => this.#replyHandlers.get(frame.correlationId)?.(frame.message))
      case 'ERROR':
        return this.#error(frame)
      case 'WELCOME':
        return this.#welcome(frame)
      case 'STOPPING':
        return this.#driver.dispatch({ kind: 'stopping', retryAfterMs: frame.retryAfterMs })
      case 'PONG':
        return
      default:
        return this.#requests.answer(frame)
    }
  }

  #error({ requestId, code, retryAfterMs, message }: FrameFields<'ERROR'>): void {
    const error = new PocketError(errorCodeOf(code), message, retryAfterMs > 0 ? { retryAfterMs } : {})
    if (requestId === 0) this.#driver.dispatch({ kind: 'refused', error })
    else this.#requests.refuse(requestId, error)
  }

  #welcome(frame: FrameFields<'WELCOME'>): void {
    if (this.#driver.link.kind !== 'greeting') return this.#broken(new PocketError('BAD_FRAME', 'a second WELCOME'))
    const { version, relayId, ...limits } = frame
    if (version < protocolVersion.min || version > protocolVersion.max) {
      return this.#broken(new PocketError('UNSUPPORTED_VERSION', `the relay answered with version ${version}`))
    }
    this.#limits = limits
    this.#deps.log.debug('welcome', { relayId, version, peer: this.#driver.connection?.peer })
    this.#driver.dispatch({ kind: 'welcomed' })
  }
}

function stateOf(link: Link): SessionState {
  switch (link.kind) {
    case 'idle':
    case 'authenticating':
    case 'dialling':
    case 'greeting':
      return 'connecting'
    case 'connected':
    case 'draining':
      return 'connected'
    case 'waiting':
    case 'closed':
      return link.kind
    default:
      return unreachable(link)
  }
}

function endOf(link: Extract<Link, { kind: 'closed' }>): PocketError {
  return link.error ?? new PocketError('CLOSED', 'the client is closed')
}
