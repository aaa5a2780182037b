// Who may open a WebSocket on the relay's port: the checks of an HTTP upgrade, the bounds of its sockets, and the
// connections that came of it. Knows nothing of what they say.

import { type IncomingMessage, type Server, type ServerOptions, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { PocketError } from '../core/errors.ts'
import type { Limits } from '../core/limits.ts'
import { closeCodes } from '../core/model/close-codes.ts'
import type { Clock } from '../core/ports/clock.ts'
import type { Log } from '../core/ports/log.ts'
import type { Connection, ConnectionHandler } from '../core/ports/transport.ts'
import { subprotocol } from '../core/protocol/frames.ts'
import { closeTimeoutMs, receiveLimits, WsConnection } from './ws-transport.ts'

/** Where the relay's WebSocket is; a query after it is ignored. */
export const webSocketPaths: readonly string[] = ['/', '/mq']

/**
 * For `http.createServer`: a request has its headers in 5 s and its end in 10 s, so that slow senders hold nothing for
 * long. Node's own defaults are 60 s, 300 s and 16 KiB. None of this applies once a connection is upgraded.
 */
export const relayHttpOptions = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
} as const satisfies ServerOptions

/** For `server.listen`: how many connections may wait to be accepted, for storms of reconnects. */
export const listenBacklog = 1024

/** Sockets beyond `connectionCountMax` that may be open for plain HTTP, so that health and metrics answer when full. */
const httpSocketCountMax = 256

/** What a refused client is told to wait, in seconds; it adds its own jitter. */
const retryAfterSeconds = 5

const pendingPongCountMax = 60

/** A refused client has so long to take the answer. */
const refusalTimeoutMs = 5_000

export interface WsAcceptorOptions {
  /** Made with {@link relayHttpOptions}; the acceptor handles its upgrades and sets `maxConnections`. */
  readonly server: Server
  readonly limits: Pick<Limits, 'frameBytesMax' | 'connectionCountMax' | 'sendBufferBytesMax'>
  /**
   * Pages that may connect besides those of the relay's own host, and of localhost where the relay listens on loopback:
   * `https://app.example`, `capacitor://localhost`, or `*` for all. A client that sends no Origin is no page and is
   * not asked.
   */
  readonly origins?: readonly string[]
  /**
   * Names, with or without port, that the relay answers to. Empty: any. A relay that only an inner network reaches
   * should name them: a page may have its own name resolve to an inner address and would pass as the relay's own host.
   */
  readonly hosts?: readonly string[]
  /** How long a peer has to answer a close before its socket is destroyed, with what it had not taken. Default 5 s. */
  readonly closeTimeoutMs?: number
  readonly clock: Clock
  readonly log: Log
  /** Takes a connection, which is open, and says who hears it. */
  readonly accept: (connection: Connection) => ConnectionHandler
}

export interface WsAcceptor {
  /** Open connections, also those whose closing has not been answered yet. */
  readonly connectionCount: number
  /** Refuses further connections with 503; open ones stay. */
  stopAccepting(): void
  /**
   * Stops accepting and closes what is still open with RELAY_STOPPING; resolves when all have ended, which takes at
   * most `closeTimeoutMs`. Calling it again gives the same promise.
   */
  close(): Promise<void>
}

/** Throws PocketError BAD_ARGUMENT for an origin that is none. */
export function createWsAcceptor(options: WsAcceptorOptions): WsAcceptor {
  const { server, limits, clock, log, accept } = options
  const rules: AdmissionRules = {
    origins: new Set((options.origins ?? []).map(normalOrigin)),
    hosts: new Set((options.hosts ?? []).map((host) => host.toLowerCase())),
  }
  const connections = new Set<Connection>()
  let isAccepting = true
  let closing: Promise<void> | undefined
  let onAllEnded: (() => void) | undefined

  const socketOptions = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    ...receiveLimits(limits.frameBytesMax),
    maxPendingAutoPongs: pendingPongCountMax,
    closeTimeout: options.closeTimeoutMs ?? closeTimeoutMs,
    handleProtocols: () => subprotocol,
  }
  const upgrader = new WebSocketServer(socketOptions)
  server.maxConnections = limits.connectionCountMax + httpSocketCountMax
  server.on('upgrade', (request, socket, head) => {
    const peer = peerOf(socket)
    const refusal =
      refuseRequest(request, rules, isLoopbackBind(server)) ??
      refuseLoad(isAccepting, connections.size >= limits.connectionCountMax)
    if (refusal === undefined) upgrader.handleUpgrade(request, socket, head, (ws) => admit(ws, socket, peer))
    else {
      const { origin } = request.headers
      log[refusal.level]('upgrade refused', { peer, status: refusal.status, reason: refusal.text, origin })
      refuse(socket, refusal)
    }
  })

  function admit(ws: WebSocket, socket: Duplex, peer: string): void {
    const connection = new WsConnection(ws, 'accepting', {
      clock,
      sendBufferBytesMax: limits.sendBufferBytesMax,
      peer,
    })
    connections.add(connection)
    ws.once('close', () => {
      connections.delete(connection)
      if (connections.size === 0) onAllEnded?.()
    })
    connection.open(socket)
    connection.hear(accept(connection))
  }

  return {
    get connectionCount() {
      return connections.size
    },
    stopAccepting() {
      isAccepting = false
    },
    close() {
      isAccepting = false
      closing ??= new Promise((resolve) => {
        onAllEnded = resolve
        for (const connection of connections) connection.close(closeCodes.RELAY_STOPPING, 'the relay is stopping')
        if (connections.size === 0) resolve()
      })
      return closing
    },
  }
}

interface AdmissionRules {
  readonly origins: ReadonlySet<string>
  readonly hosts: ReadonlySet<string>
}

interface Refusal {
  readonly status: number
  readonly text: string
  readonly level: 'info' | 'debug'
  readonly headers?: readonly string[]
}

function refuseRequest(request: IncomingMessage, rules: AdmissionRules, isLoopback: boolean): Refusal | undefined {
  const { upgrade, host, origin } = request.headers
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  if (!webSocketPaths.includes(path)) {
    return { status: 404, level: 'debug', text: `the WebSocket of this relay is at ${webSocketPaths.join(' or ')}` }
  }
  if (upgrade?.toLowerCase() !== 'websocket') {
    const headers = ['Upgrade: websocket']
    return { status: 426, level: 'debug', text: 'the only upgrade here is to WebSocket', headers }
  }
  // Node does not ask it of an upgrade, and RFC 9112 §3.2 has no request without it.
  if (host === undefined) return { status: 400, level: 'debug', text: 'a Host header is missing' }
  if (rules.hosts.size > 0 && !isNamed(rules.hosts, host)) {
    return { status: 421, level: 'info', text: 'the relay does not answer to this host name; see its allowed hosts' }
  }
  if (origin !== undefined && !isOriginAllowed(origin, host, rules, isLoopback)) {
    return { status: 403, level: 'info', text: 'pages of this origin may not connect; it is not an allowed origin' }
  }
  if (!offeredProtocols(request).includes(subprotocol)) {
    return { status: 400, level: 'debug', text: `this relay speaks the WebSocket subprotocol ${subprotocol}; offer it` }
  }
  return undefined
}

function refuseLoad(isAccepting: boolean, isFull: boolean): Refusal | undefined {
  if (isAccepting && !isFull) return undefined
  const headers = [`Retry-After: ${retryAfterSeconds}`]
  const text = isAccepting ? 'the relay has as many connections as it takes' : 'the relay is stopping'
  return { status: 503, level: 'info', text, headers }
}

/**
 * A WebSocket is not bound by the same-origin policy, so any page a person opens could use the relay in their name and
 * from inside their network. Browsers send Origin on every one; `null` (files, sandboxes) is nobody.
 */
function isOriginAllowed(origin: string, host: string, rules: AdmissionRules, isLoopback: boolean): boolean {
  if (rules.origins.has('*')) return true
  const page = parseUrl(origin)
  if (page === undefined || page.host === '') return false
  if (rules.origins.has(originOf(page))) return true
  if (page.protocol !== 'http:' && page.protocol !== 'https:') return false
  // Read with the page's scheme, so that a default port is dropped on both sides.
  const own = parseUrl(`${page.protocol}//${host}`)
  if (own === undefined) return false
  if (!isLoopback) return page.host === own.host
  // A foreign name that resolves to 127.0.0.1 is not the relay's own host.
  return isLocalName(page.hostname) && isLocalName(own.hostname)
}

function isNamed(hosts: ReadonlySet<string>, host: string): boolean {
  const own = parseUrl(`http://${host}`)
  return own !== undefined && (hosts.has(own.hostname) || hosts.has(host.toLowerCase()))
}

function isLocalName(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || isLoopbackAddress(hostname)
}

function isLoopbackAddress(address: string): boolean {
  return address === '::1' || address === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(address)
}

function isLoopbackBind(server: Server): boolean {
  const address = server.address()
  return address !== null && typeof address === 'object' && isLoopbackAddress(address.address)
}

function offeredProtocols(request: IncomingMessage): string[] {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
}

function normalOrigin(text: string): string {
  if (text === '*') return text
  const url = parseUrl(text)
  const origin = url === undefined || url.host === '' ? undefined : originOf(url)
  // What is left must be nothing, or the text says more than an origin does.
  if (url === undefined || origin === undefined || !['', '/'].includes(url.href.slice(origin.length))) {
    throw new PocketError('BAD_ARGUMENT', `${JSON.stringify(text)} is not an origin, such as https://app.example`)
  }
  return origin
}

/** Not `url.origin`, which is `null` for the schemes of apps and extensions, that browsers do send. */
function originOf(url: URL): string {
  return `${url.protocol}//${url.host}`
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}

function peerOf(socket: Duplex): string {
  const { remoteAddress, remotePort } = socket as Partial<Pick<Socket, 'remoteAddress' | 'remotePort'>>
  return `${remoteAddress ?? 'unknown'}:${remotePort ?? 0}`
}

/** Answers in plain text and ends the socket, whether the answer is taken or not. */
function refuse(socket: Duplex, { status, text, headers = [] }: Refusal): void {
  const body = `${text}\n`
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
  ]
  const destroy = (): void => {
    socket.destroy()
  }
  socket.once('error', destroy)
  socket.once('finish', destroy)
  const tcpSocket = socket as Socket
  tcpSocket.setTimeout(refusalTimeoutMs, destroy)
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
