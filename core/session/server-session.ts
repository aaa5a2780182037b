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

import type { BrokerDoor } from '../broker/door.ts'
import { errorCodes } from '../error-codes.ts'
import { type ErrorCode, PocketError, toPocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { type CloseCodeName, closeCodes } from '../model/close-codes.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Connection, ConnectionHandler } from '../ports/transport.ts'
import { decodeUpstream } from '../protocol/codec.ts'
import {
  type ConnectionSummary, type DownstreamName, type FrameFields, protocolVersion, type UpstreamFrame,
} from '../protocol/frames.ts'
import type { Authenticate, Principal } from './auth.ts'
import type { FlushQueue } from './flush-queue.ts'
import { Heartbeat } from './heartbeat.ts'
import type { RelayDoor } from './relay-door.ts'
import type { ReplyRouter, ReplyTarget } from './reply-router.ts'
import type { FrameNamed, NoticeFrame, RequestFrame } from './request-answers.ts'
import { type RequestsHost, ServerRequests } from './server-requests.ts'
import type { SessionCounters } from './session-counters.ts'
import { SessionOutput } from './session-output.ts'

/** A message before WELCOME holds a HELLO and nothing else; its token may have 4 KiB. */
const helloBytesMax = 8 * 1024
const overloadedRetryMs = 1_000

const noBytes = new Uint8Array(0)

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
  readonly replies: ReplyRouter
  /** What administrators may ask of the relay itself; undefined for a broker that is none. */
  readonly relay?: RelayDoor | undefined
  /** The session has ended, by whichever side; told once. */
  readonly ended: (session: ServerSession) => void
}

type State = 'greeting' | 'authenticating' | 'open' | 'draining' | 'ended'

export class ServerSession implements ConnectionHandler, RequestsHost {
  readonly #connection: Connection
  readonly #deps: ServerSessionDeps
  readonly #output: SessionOutput
  #state: State = 'greeting'
  #isStopping = false
  #client: { readonly clientId: string; readonly clientName: string } = { clientId: '', clientName: '' }
  /** From WELCOME on. */
  #requests: ServerRequests | undefined
  #replyTarget: ReplyTarget | undefined
  #arrivedMs: number
  #welcomedMs = 0
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
    return this.#requests?.inHandCount ?? 0
  }

  /** Subscriptions and followers. */
  get streamCount(): number {
    return this.#requests?.streamCount ?? 0
  }

  /** For people; undefined before WELCOME and after the end. */
  get summary(): ConnectionSummary | undefined {
    if (this.#state !== 'open') return undefined
    const { requestsInHand, streamCount, peer } = this
    return {
      ...this.#client, peer, sinceMs: this.#welcomedMs, streamCount, requestsInHand,
      bufferedBytes: this.#connection.bufferedBytes,
    }
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
    this.guard(() => this.#hear(frame))
  }

  #hear(frame: UpstreamFrame): void {
    if (frame.name === 'HELLO') return this.#hello(frame)
    if (this.#state !== 'open' || this.#requests === undefined) {
      const text = `${frame.name} before WELCOME; a connection begins with HELLO`
      return this.#refuseConnection(new PocketError('HELLO_EXPECTED', text), 'HELLO_EXPECTED')
    }
    if (frame.name === 'PING') return this.add('PONG', { nonce: frame.nonce })
    if (!isRequest(frame)) return this.#notice(frame, this.#requests)
    if (frame.requestId === 0) {
      const text = `${frame.name} with request id 0, which stands for the connection`
      return this.#refuseConnection(new PocketError('BAD_FRAME', text), 'BAD_FRAME')
    }
    this.#requests.request(frame)
  }

  /** What makes no sense and has no answer can only be told to the connection. */
  #notice(frame: NoticeFrame, requests: ServerRequests): void {
    try {
      requests.notice(frame)
    } catch (error) {
      if (!(error instanceof PocketError) || error.code === 'INTERNAL') throw error
      this.#refuseConnection(error, closeNameOf(error.code))
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
      this.guard(() => {
        if (verdict instanceof PocketError) this.#refuseConnection(verdict, closeNameOf(verdict.code))
        else this.#welcome(version, verdict)
      })
    })
  }

  #welcome(version: number, principal: Principal): void {
    const { limits, log, relayId } = this.#deps
    const { clientId, clientName } = this.#client
    this.#state = 'open'
    this.#welcomedMs = Math.floor(this.#deps.clock.now())
    this.#requests = new ServerRequests(this, this.#deps, principal)
    this.#listenForReplies(principal)
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

  #listenForReplies({ name: principalName }: Principal): void {
    const output = this.#output
    const target: ReplyTarget = {
      clientId: this.#client.clientId,
      principalName,
      get hasRoom() {
        return output.hasRoom
      },
      replied: (correlationId, message) => {
        this.guard(() => this.add('REPLIED', { correlationId, message: noBytes }, message))
      },
    }
    this.#replyTarget = target
    this.#deps.replies.join(target)
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

  // ── what requests need ────────────────────────────────────────────────────────────────────────────────────────

  get client(): { readonly clientId: string; readonly clientName: string } {
    return this.#client
  }

  get arrivedMs(): number {
    return this.#arrivedMs
  }

  get isOver(): boolean {
    return this.#state === 'ended'
  }

  get isWritable(): boolean {
    return this.#state === 'open' && !this.#isStopping && this.#output.isWritable
  }

  /** Adds a frame to what this turn sends. */
  add<N extends DownstreamName>(name: N, fields: FrameFields<N>, payload?: Uint8Array): void {
    this.#output.add(name, fields, payload)
  }

  publishesWait(doWait: boolean): void {
    this.#isPausedForPublishes = doWait
    this.#applyPause()
  }

  #roomy(): void {
    if (this.#state === 'open' && !this.#isStopping) this.#requests?.roomy()
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

  // ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A request failed; the connection stays. */
  refuse(requestId: number, error: PocketError): void {
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
    this.refuse(0, error)
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
  guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.crashed(error)
    }
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

  #release(): void {
    this.#state = 'ended'
    this.#output.end()
    this.#cancelHelloTimer()
    this.#heartbeat?.stop()
    if (this.#replyTarget !== undefined) this.#deps.replies.leave(this.#replyTarget)
    this.#requests?.release((error) => this.#logBug(error))
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
