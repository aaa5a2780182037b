// A `ws` WebSocket as a Connection of core/ports/transport.ts, for both sides: server/upgrade.ts accepts them,
// server/ws-dialler.ts opens them. Knows messages of bytes, nothing of what is in them.
//
// Received messages are views into what one read of the socket brought, up to 64 KiB: they stay as they are, but a
// receiver that keeps a small one for long should copy it, or it keeps all of the read alive.

import type { Duplex } from 'node:stream'
import { type RawData, WebSocket } from 'ws'
import { concatBytes } from '../core/bytes.ts'
import { fixedLimits } from '../core/limits.ts'
import { closeCodes } from '../core/model/close-codes.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { Connection, ConnectionHandler } from '../core/ports/transport.ts'

/** An end without a close frame, or no connection at all (RFC 6455 §7.4.1); it is never sent. */
export const abnormalClosure = 1006

/** How long a peer has to answer a close; then the socket is destroyed, with what it had not taken. */
export const closeTimeoutMs = 5_000

/**
 * Chunks below this are copied into one buffer with the frame's header, others are written as they are. Measured with
 * 50 connections, server CPU µs per message at one send a turn and at eight (Node 20.20, 2 cores):
 *
 *     chunks             joined        apart         as fragments of ws, uncorked   joined, through ws
 *     60 B               3.1   0.64                  4.1   3.3                      4.3   3.8
 *     20 B and 300 B     3.4   0.81    4.2   0.87    8.4   7.1                      4.4   4.0
 *     40 B and 1 KiB     3.6   1.10    3.5   0.97    6.7   6.8                      4.4   4.4
 *     40 B and 2 KiB     4.5   1.67    3.7   1.07    9.3   8.3                      5.3   5.2
 *     40 B and 10 KiB    7.4   3.85    5.0   1.62    10.1  8.2                      8.6   7.1
 */
export const joinBelowBytes = 1024

/** What `ws` may take of one message, for both sides. Its own defaults are 100 MiB, 16,384 and 262,144. */
export function receiveLimits(frameBytesMax: number): {
  readonly maxPayload: number
  readonly maxFragments: number
  readonly maxBufferedChunks: number
} {
  return {
    // `ws` reads it as an int32, in which more would be negative and no bound at all.
    maxPayload: Math.min(frameBytesMax, 2 ** 31 - 1),
    // Chrome sends 128 KiB to a fragment, and proxies may cut finer.
    maxFragments: Math.max(64, Math.ceil(frameBytesMax / (16 * 1024))),
    // Reads of the socket that one frame may take: segments of 1 KiB and more are honest.
    maxBufferedChunks: Math.max(4096, Math.ceil(frameBytesMax / 1024)),
  }
}

export interface WsConnectionOptions {
  readonly clock: Clock
  /** High-water mark: `drained` is told below half of it. */
  readonly sendBufferBytesMax: number
  readonly peer: string
}

interface Ending {
  readonly code: number
  readonly reason: string
}

/**
 * One connection. The accepting side builds its frames itself and writes them to the socket that it upgraded, which
 * costs less than `ws.send` and makes one frame of many chunks; the dialling side has to mask, so `ws` copies anyhow.
 * Both are whole frames written in one go, so that those of `ws` (pong, close) never fall in between.
 *
 * What is sent within one callback of the event loop leaves together: the socket is corked until the next tick.
 */
export class WsConnection implements Connection {
  readonly peer: string
  readonly #ws: WebSocket
  readonly #clock: Clock
  readonly #sendBufferBytesMax: number
  readonly #isMasking: boolean
  #socket: Duplex | undefined
  #handler: ConnectionHandler = unheard
  #phase: 'opening' | 'open' | 'closing' | 'ended' = 'opening'
  #isPaused = false
  #isCorked = false
  #wasAboveMark = false
  /** Messages of a read that was under way when the receiver paused. */
  #held: Uint8Array[] = []
  /** What is told at the end: our own close, or the first error. */
  #cause: Ending | undefined
  /** The socket has ended and the receiver, who is paused, has not heard it. */
  #heldEnding: Ending | undefined

  constructor(ws: WebSocket, side: 'dialling' | 'accepting', options: WsConnectionOptions) {
    this.#ws = ws
    this.#isMasking = side === 'dialling'
    this.#clock = options.clock
    this.#sendBufferBytesMax = options.sendBufferBytesMax
    this.peer = options.peer
    ws.on('message', (data, isBinary) => this.#receive(data, isBinary))
    ws.on('error', (error) => {
      this.#cause ??= endingOfError(error)
    })
    ws.on('close', (code, reason) => this.#finish({ code, reason: reason.toString() }))
  }

  /** Who hears what comes. Nothing comes in the callback in which the connection was made. */
  hear(handler: ConnectionHandler): void {
    this.#handler = handler
  }

  /** From here on messages can be sent. `socket` is the one under the WebSocket. */
  open(socket: Duplex): void {
    this.#socket = socket
    if (this.#phase !== 'opening') return
    this.#phase = 'open'
    if (this.#isPaused) this.#ws.pause()
  }

  /** The first cause is what `closed` tells; for a dialler that knows more than `ws`. */
  explain(code: number, reason: string): void {
    this.#cause ??= { code, reason }
  }

  get bufferedBytes(): number {
    return this.#socket === undefined || this.#phase === 'ended' ? 0 : this.#socket.writableLength
  }

  send(chunks: readonly Uint8Array[]): void {
    const socket = this.#socket
    if (socket === undefined || this.#phase !== 'open' || this.#ws.readyState !== WebSocket.OPEN) return
    if (!this.#isCorked) {
      this.#isCorked = true
      socket.cork()
      process.nextTick(this.#uncork)
    }
    if (this.#isMasking) {
      const bytes = concatBytes(chunks)
      this.#ws.send(bytes, sendOptions, this.#writtenAfter(bytes))
    } else {
      const parts = frameParts(chunks)
      const last = parts.pop() as Uint8Array
      for (const part of parts) socket.write(part)
      socket.write(last, this.#writtenAfter(last))
    }
    if (socket.writableLength >= this.#sendBufferBytesMax) this.#wasAboveMark = true
  }

  /** Asks to be told only where it can matter for `drained`, as each callback costs. */
  #writtenAfter(bytes: Uint8Array): ((error?: Error | null) => void) | undefined {
    return this.bufferedBytes + bytes.length >= this.#sendBufferBytesMax / 2 ? this.#onWritten : undefined
  }

  readonly #uncork = (): void => {
    this.#isCorked = false
    this.#socket?.uncork()
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (!this.#wasAboveMark || error || this.#phase !== 'open') return
    if (this.bufferedBytes > this.#sendBufferBytesMax / 2) return
    this.#wasAboveMark = false
    this.#handler.drained?.()
  }

  pause(): void {
    if (this.#isPaused || this.#phase === 'closing' || this.#phase === 'ended') return
    this.#isPaused = true
    this.#ws.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (this.#held.length > 0 || this.#heldEnding !== undefined) this.#clock.defer(() => this.#deliverHeld())
    else this.#ws.resume()
  }

  close(code: number, reason: string): void {
    if (this.#phase === 'closing' || this.#phase === 'ended') return
    this.#phase = 'closing'
    this.#cause = { code, reason }
    this.#held = []
    if (this.#isPaused) {
      // The peer's answer is behind what it sent meanwhile, which is read and dropped.
      this.#isPaused = false
      this.#ws.resume()
    }
    if (this.#heldEnding !== undefined) this.#clock.defer(() => this.#tellClosed())
    else this.#ws.close(code, truncateReason(reason))
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#phase !== 'open') return
    if (!isBinary) {
      this.close(closeCodes.BAD_FRAME, 'text messages are not part of this protocol')
      return
    }
    // `ws` gives a Buffer, whose `slice` does not copy; the core is promised a Uint8Array.
    const buffer = data as Buffer
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
    if (this.#isPaused || this.#held.length > 0) this.#held.push(bytes)
    else this.#handler.message(bytes)
  }

  /** What was held back, then the socket goes on. Reading on any earlier would let the peer pile up more here. */
  #deliverHeld(): void {
    const held = this.#held
    let heardCount = 0
    while (heardCount < held.length && !this.#isPaused && this.#phase === 'open') {
      this.#handler.message(held[heardCount] as Uint8Array)
      heardCount++
    }
    if (this.#phase !== 'open') return
    held.splice(0, heardCount)
    if (this.#isPaused) return
    if (this.#heldEnding !== undefined) this.#tellClosed()
    else this.#ws.resume()
  }

  #finish(ending: Ending): void {
    this.#cause ??= ending
    if (this.#phase === 'open' && (this.#isPaused || this.#held.length > 0)) this.#heldEnding = ending
    else this.#tellClosed()
  }

  #tellClosed(): void {
    if (this.#phase === 'ended') return
    this.#phase = 'ended'
    this.#held = []
    const { code, reason } = this.#cause ?? { code: abnormalClosure, reason: '' }
    this.#handler.closed(code, reason)
  }
}

const unheard: ConnectionHandler = { message() {}, closed() {} }

const sendOptions = { binary: true, compress: false, fin: true } as const

/** One unmasked binary frame of all chunks (RFC 6455 §5.2), as buffers to write one after the other. */
export function frameParts(chunks: readonly Uint8Array[]): Uint8Array[] {
  let payloadBytes = 0
  for (const chunk of chunks) payloadBytes += chunk.length
  const parts: Uint8Array[] = []
  const headerBytes = payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10
  let joinedFrom = 0
  let joinedBytes = headerBytes
  for (let index = 0; index <= chunks.length; index++) {
    const chunk = chunks[index]
    if (chunk !== undefined && chunk.length < joinBelowBytes) {
      joinedBytes += chunk.length
      continue
    }
    if (joinedBytes > 0) {
      const joined = Buffer.allocUnsafe(joinedBytes)
      let position = parts.length === 0 ? writeHeader(joined, payloadBytes, headerBytes) : 0
      for (let from = joinedFrom; from < index; from++) {
        const small = chunks[from] as Uint8Array
        joined.set(small, position)
        position += small.length
      }
      parts.push(joined)
    }
    if (chunk !== undefined) parts.push(chunk)
    joinedFrom = index + 1
    joinedBytes = 0
  }
  return parts
}

function writeHeader(target: Buffer, payloadBytes: number, headerBytes: number): number {
  target[0] = 0x82
  if (headerBytes === 2) {
    target[1] = payloadBytes
  } else if (headerBytes === 4) {
    target[1] = 126
    target.writeUInt16BE(payloadBytes, 2)
  } else {
    target[1] = 127
    target.writeUInt16BE(0, 2)
    target.writeUIntBE(payloadBytes, 4, 6)
  }
  return headerBytes
}

/** `ws` closes the peer with these codes when it refuses what came; here they tell the same to our side. */
function endingOfError(error: Error & { readonly code?: unknown }): Ending {
  return { code: codeOfError(error.code), reason: error.message }
}

function codeOfError(code: unknown): number {
  switch (code) {
    case 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH':
    case 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH':
      return 1009
    case 'WS_ERR_TOO_MANY_BUFFERED_PARTS':
      return 1008
    case 'WS_ERR_INVALID_UTF8':
      return 1007
    default:
      return typeof code === 'string' && code.startsWith('WS_ERR_') ? 1002 : abnormalClosure
  }
}

/** `text` cut at a character so that a close frame holds it. */
function truncateReason(text: string): string {
  if (Buffer.byteLength(text) <= fixedLimits.closeReasonBytesMax) return text
  const bytes = Buffer.from(text).subarray(0, fixedLimits.closeReasonBytesMax)
  // A cut character decodes to U+FFFD at the end.
  return bytes.toString().replace(/�+$/, '')
}
