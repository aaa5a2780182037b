// Opens connections to a relay from a page or worker over the browser's WebSocket. That tells less than others do: not
// why a connection could not be made, and it can't be paused, so what comes meanwhile is held here.

import { clipText, concatBytes } from '../../core/bytes.ts'
import { PocketError } from '../../core/errors.ts'
import { defaultLimits, fixedLimits } from '../../core/limits.ts'
import { closeCodes } from '../../core/model/close-codes.ts'
import type { CancelTimer, Clock } from '../../core/ports/clock.ts'
import type { Connection, ConnectionHandler, Dialler } from '../../core/ports/transport.ts'
import { subprotocol } from '../../core/protocol/frames.ts'

/** An end without a close frame, or no connection at all (RFC 6455 §7.4.1). */
const abnormalClosure = 1006
/** How long a peer has to answer a close. Browsers wait for minutes where the network is gone. */
const closeTimeoutMs = 5_000
/** The browser says nothing when its buffer empties, so it is asked. */
const drainPollMs = 10

export interface WebSocketDiallerOptions {
  /** `ws:`, `wss:`, `http:` or `https:`. */
  readonly url: string
  readonly clock: Clock
  /** The platform's; default: the global one, when a connection is made. */
  readonly socket?: typeof WebSocket
  /** High-water mark, in bytes. Default: `Limits.sendBufferBytesMax`. */
  readonly sendBufferBytesMax?: number
}

/** A {@link Dialler} for one relay. Throws PocketError BAD_ARGUMENT for an address that cannot be one. */
export function createWebSocketDialler(options: WebSocketDiallerOptions): Dialler {
  const { clock, socket, sendBufferBytesMax = defaultLimits.sendBufferBytesMax } = options
  const url = relayUrlOf(options.url)
  return {
    dial(handler: ConnectionHandler): Connection {
      const Socket = socket ?? WebSocket
      return new WebSocketConnection(new Socket(url.href, subprotocol), handler, { clock, sendBufferBytesMax, peer: url.host })
    },
  }
}

/** As `ws:` or `wss:`: older browsers take no other scheme. */
function relayUrlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['ws:', 'wss:', 'http:', 'https:'].includes(url.protocol) || url.hash !== '') {
    throw new PocketError('BAD_ARGUMENT', `${JSON.stringify(text)} is not the address of a relay, such as wss://mq.example`)
  }
  url.protocol = url.protocol.replace('http', 'ws')
  return url
}

interface WebSocketConnectionOptions {
  readonly clock: Clock
  readonly sendBufferBytesMax: number
  readonly peer: string
}

class WebSocketConnection implements Connection {
  readonly peer: string
  readonly #socket: WebSocket
  readonly #handler: ConnectionHandler
  readonly #clock: Clock
  readonly #sendBufferBytesMax: number
  #phase: 'opening' | 'open' | 'closing' | 'ended' = 'opening'
  #isPaused = false
  /** What came while it was paused, the end among it. */
  #held: Uint8Array[] = []
  #heldEnding: { readonly code: number; readonly reason: string } | undefined
  #ownEnding: { readonly code: number; readonly reason: string } | undefined
  #isDelivering = false
  /** Sent in this turn, whatever the platform has taken of it already. */
  #turnBytes = 0
  #cancelPoll: CancelTimer | undefined
  #cancelClose: CancelTimer | undefined

  constructor(socket: WebSocket, handler: ConnectionHandler, options: WebSocketConnectionOptions) {
    this.#socket = socket
    this.#handler = handler
    this.#clock = options.clock
    this.#sendBufferBytesMax = options.sendBufferBytesMax
    this.peer = options.peer
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => {
      if (this.#phase !== 'opening') return
      this.#phase = 'open'
      handler.opened?.()
    })
    socket.addEventListener('message', ({ data }) => this.#received(data))
    socket.addEventListener('close', ({ code, reason }) => this.#ended(code, reason))
    // The close event that follows tells all there is to tell.
    socket.addEventListener('error', () => {})
  }

  get bufferedBytes(): number {
    return this.#phase === 'open' ? Math.max(this.#socket.bufferedAmount, this.#turnBytes) : 0
  }

  send(chunks: readonly Uint8Array[]): void {
    const socket = this.#socket
    if (this.#phase !== 'open' || socket.readyState !== socket.OPEN) return
    const bytes = concatBytes(chunks)
    socket.send(bytes as Uint8Array<ArrayBuffer>)
    if (this.#turnBytes === 0) {
      this.#clock.defer(() => {
        this.#turnBytes = 0
      })
    }
    this.#turnBytes += bytes.length
    if (this.bufferedBytes >= this.#sendBufferBytesMax) this.#pollDrain()
  }

  #pollDrain(): void {
    this.#cancelPoll ??= this.#clock.setTimer(drainPollMs, () => {
      this.#cancelPoll = undefined
      if (this.#phase !== 'open') return
      if (this.#socket.bufferedAmount > this.#sendBufferBytesMax / 2) return this.#pollDrain()
      this.#handler.drained?.()
    })
  }

  pause(): void {
    if (this.#phase === 'opening' || this.#phase === 'open') this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (this.#isDelivering || (this.#held.length === 0 && this.#heldEnding === undefined)) return
    this.#isDelivering = true
    this.#clock.defer(() => this.#deliverHeld())
  }

  close(code: number, reason: string): void {
    if (this.#phase === 'closing' || this.#phase === 'ended') return
    this.#phase = 'closing'
    this.#held = []
    this.#isPaused = false
    this.#ownEnding = { code, reason }
    if (this.#heldEnding !== undefined) return this.#clock.defer(() => this.#tellClosed(code, reason))
    // Pages may only send 1000 and their own codes.
    const sentCode = code === closeCodes.NORMAL || (code >= 3000 && code <= 4999) ? code : closeCodes.NORMAL
    this.#socket.close(sentCode, clipText(reason, fixedLimits.closeReasonBytesMax))
    this.#cancelClose = this.#clock.setTimer(closeTimeoutMs, () => this.#tellClosed(code, reason))
  }

  #received(data: unknown): void {
    if (this.#phase !== 'open' || this.#heldEnding !== undefined) return
    if (!(data instanceof ArrayBuffer)) return this.close(closeCodes.BAD_FRAME, 'text messages are not part of this protocol')
    const bytes = new Uint8Array(data)
    if (this.#isPaused || this.#isDelivering) this.#held.push(bytes)
    else this.#handler.message(bytes)
  }

  #deliverHeld(): void {
    this.#isDelivering = false
    const held = this.#held
    let heardCount = 0
    while (heardCount < held.length && !this.#isPaused && this.#phase === 'open') {
      this.#handler.message(held[heardCount++] as Uint8Array)
    }
    if (this.#phase !== 'open') return
    held.splice(0, heardCount)
    if (this.#heldEnding !== undefined && !this.#isPaused) this.#tellClosed(this.#heldEnding.code, this.#heldEnding.reason)
  }

  #ended(code: number, reason: string): void {
    const isHeld = this.#phase === 'open' && (this.#isPaused || this.#isDelivering)
    if (isHeld) this.#heldEnding = { code, reason }
    else this.#tellClosed(code, reason)
  }

  #tellClosed(code: number, reason: string): void {
    if (this.#phase === 'ended') return
    const wasOpening = this.#phase === 'opening'
    this.#phase = 'ended'
    this.#cancelPoll?.()
    this.#cancelClose?.()
    const text = wasOpening && reason === '' ? 'the browser does not say why' : reason
    this.#handler.closed(this.#ownEnding?.code ?? (wasOpening ? abnormalClosure : code), this.#ownEnding?.reason ?? text)
  }
}
