// Opens connections to a relay from Node over `ws`. A page has its own dialler, over the browser's WebSocket.

import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import { PocketError } from '../core/errors.ts'
import { defaultLimits } from '../core/limits.ts'
import { closeCodes } from '../core/model/close-codes.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { Connection, ConnectionHandler, Dialler } from '../core/ports/transport.ts'
import { subprotocol } from '../core/protocol/frames.ts'
import { abnormalClosure, closeTimeoutMs, receiveLimits, WsConnection } from './ws-transport.ts'

/** Largest message taken from a relay, whose own limit is not known before it has answered. */
const frameBytesMaxDefault = 64 * 1024 * 1024

export interface WsDiallerOptions {
  /** `ws:`, `wss:`, `http:` or `https:`. */
  readonly url: string
  readonly clock: Clock
  /** High-water mark, in bytes. Default: `Limits.sendBufferBytesMax`. */
  readonly sendBufferBytesMax?: number
  /** Largest message taken; a larger one ends the connection with 1009. Default 64 MiB. */
  readonly frameBytesMax?: number
  /** How long a relay may be silent before it has answered the upgrade. Default 10 s. */
  readonly handshakeTimeoutMs?: number
}

/**
 * A {@link Dialler} for one relay. Throws PocketError BAD_ARGUMENT for an address that cannot be one.
 *
 * `closed` after a refusal: 4501 where the server does not speak our subprotocol (also 400), 4503 (401), 4504 (403),
 * 4003 where it is full (429, 503), else 1006, each with what it answered as reason. TLS is checked against Node's
 * authorities.
 */
export function createWsDialler(options: WsDiallerOptions): Dialler {
  const url = parseRelayUrl(options.url)
  const {
    clock,
    sendBufferBytesMax = defaultLimits.sendBufferBytesMax,
    frameBytesMax = frameBytesMaxDefault,
    handshakeTimeoutMs = 10_000,
  } = options
  const socketOptions = {
    perMessageDeflate: false,
    followRedirects: false,
    handshakeTimeout: handshakeTimeoutMs,
    closeTimeout: closeTimeoutMs,
    ...receiveLimits(frameBytesMax),
  }
  return {
    dial(handler: ConnectionHandler): Connection {
      const ws = new WebSocket(url, subprotocol, socketOptions)
      const connection = new WsConnection(ws, 'dialling', { clock, sendBufferBytesMax, peer: url.host })
      connection.hear(handler)
      ws.on('upgrade', (response) => {
        if (response.headers['sec-websocket-protocol'] !== subprotocol) {
          connection.explain(closeCodes.UNSUPPORTED_VERSION, `the server does not speak ${subprotocol}`)
        }
        // Before 'open', and only public here: the socket that `ws` goes on with.
        ws.once('open', () => {
          connection.open(response.socket)
          handler.opened?.()
        })
      })
      ws.on('unexpected-response', (_request, response) => {
        readRefusal(response, (text) => {
          connection.explain(codeOfStatus(response.statusCode), text)
          ws.terminate()
        })
      })
      return connection
    },
  }
}

function parseRelayUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['ws:', 'wss:', 'http:', 'https:'].includes(url.protocol) || url.hash !== '') {
    const quoted = JSON.stringify(text)
    throw new PocketError('BAD_ARGUMENT', `${quoted} is not the address of a relay, such as wss://mq.example`)
  }
  return url
}

/** `404 Not Found: …`, with the beginning of what the server wrote; enough for a person to see what is wrong. */
function readRefusal(response: IncomingMessage, tell: (text: string) => void): void {
  const status = `${response.statusCode} ${response.statusMessage}`
  let isTold = false
  const tellOnce = (text: string): void => {
    if (isTold) return
    isTold = true
    tell(`the server answered ${text}`)
  }
  response.once('data', (chunk: Buffer) => tellOnce(`${status}: ${chunk.subarray(0, 256).toString().trim()}`))
  for (const event of ['end', 'close', 'error'] as const) response.once(event, () => tellOnce(status))
}

function codeOfStatus(status: number | undefined): number {
  switch (status) {
    case 400:
      return closeCodes.UNSUPPORTED_VERSION
    case 401:
      return closeCodes.UNAUTHENTICATED
    case 403:
      return closeCodes.FORBIDDEN
    case 429:
    case 503:
      return closeCodes.OVERLOADED
    default:
      return abnormalClosure
  }
}
