// The relay's WebSocket door with real sockets and hand-made bytes: who gets in, and what hostile peers can cost.

import { createHash } from 'node:crypto'
import { createServer, type Server, type ServerOptions } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { PocketError } from '../../core/errors.ts'
import { closeCodes } from '../../core/model/close-codes.ts'
import { silentLog } from '../../core/ports/log.ts'
import type { Connection } from '../../core/ports/transport.ts'
import { createSystemClock } from '../../server/system.ts'
import { createWsAcceptor, relayHttpOptions, type WsAcceptor, type WsAcceptorOptions } from '../../server/upgrade.ts'
import { createWsDialler } from '../../server/ws-dialler.ts'
import { receiveLimits } from '../../server/ws-transport.ts'
import { frame, RawWebSocket } from './raw-web-socket.ts'

const clock = createSystemClock()

const limits = { frameBytesMax: 256 * 1024, connectionCountMax: 100, sendBufferBytesMax: 64 * 1024 }

const { maxFragments, maxBufferedChunks } = receiveLimits(limits.frameBytesMax)

interface Accepted {
  readonly connection: Connection
  readonly messages: Uint8Array[]
  readonly closed: Promise<{ code: number; reason: string }>
}

interface Relay {
  readonly server: Server
  readonly acceptor: WsAcceptor
  readonly port: number
  readonly accepted: Accepted[]
  readonly sockets: Socket[]
}

interface RelaySetup extends Partial<WsAcceptorOptions> {
  readonly address?: string
  readonly http?: ServerOptions
}

const cleanups: (() => void | Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function startRelay({ address = '127.0.0.1', http = {}, ...options }: RelaySetup = {}): Promise<Relay> {
  const server = createServer({ ...relayHttpOptions, ...http }, (_request, response) => response.end('plain http'))
  const accepted: Accepted[] = []
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => sockets.push(socket))
  const acceptor = createWsAcceptor({
    server,
    limits,
    clock,
    log: silentLog,
    closeTimeoutMs: 200,
    accept(connection) {
      const messages: Uint8Array[] = []
      let tell: (end: { code: number; reason: string }) => void
      const closed = new Promise<{ code: number; reason: string }>((resolve) => {
        tell = resolve
      })
      accepted.push({ connection, messages, closed })
      return {
        message: (bytes) => messages.push(bytes),
        closed: (code, reason) => tell({ code, reason }),
      }
    },
    ...options,
  })
  const port = await new Promise<number>((resolve) => {
    server.listen(0, address, () => resolve((server.address() as AddressInfo).port))
  })
  cleanups.push(async () => {
    await acceptor.close()
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  })
  return { server, acceptor, port, accepted, sockets }
}

function openRaw(relay: Relay): RawWebSocket {
  const client = new RawWebSocket(relay.port)
  cleanups.push(() => {
    client.socket.destroy()
  })
  return client
}

const upgradeHeaders = {
  Host: 'localhost',
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': Buffer.alloc(16, 7).toString('base64'),
  'Sec-WebSocket-Protocol': 'pocketmq.1',
}

/** Asks for an upgrade; a header of `undefined` is left out. */
function ask(relay: Relay, headers: Record<string, string | undefined> = {}, path = '/'): Promise<RawWebSocket> {
  const client = openRaw(relay)
  client.socket.write(requestText(headers, path))
  return client.answer()
}

function requestText(headers: Record<string, string | undefined> = {}, path = '/'): string {
  const lines = Object.entries({ ...upgradeHeaders, ...headers }).flatMap(([name, value]) => {
    return value === undefined ? [] : [`${name}: ${value}`]
  })
  return `GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
}

describe('an upgrade', () => {
  test.each(['/', '/mq', '/mq?from=here'])('is answered at %s, with the subprotocol', async (path) => {
    const relay = await startRelay()
    const client = await ask(relay, {}, path)
    expect(client.status).toBe(101)
    expect(client.header('Sec-WebSocket-Protocol')).toBe('pocketmq.1')
    expect(client.header('Sec-WebSocket-Extensions')).toBeUndefined()
    expect(relay.acceptor.connectionCount).toBe(1)
    expect(relay.accepted[0]?.connection.peer).toBe(`127.0.0.1:${client.socket.localPort}`)
  })

  test.each(['/mqtt', '/mq/', '//', '/healthz', '/%2e', '*'])('is refused with 404 at %s', async (path) => {
    const relay = await startRelay()
    const client = await ask(relay, {}, path)
    await client.untilEnded()
    expect(client.status).toBe(404)
    expect(client.header('Content-Type')).toBe('text/plain; charset=utf-8')
    expect(client.text).toContain('the WebSocket of this relay is at / or /mq')
    expect(relay.accepted.length).toBe(0)
  })

  test.each([undefined, 'graphql-ws', 'pocketmq.2, pocketmq.10'])(
    'that offers the subprotocols %s is refused with 400 and told what is needed',
    async (offered) => {
      const relay = await startRelay()
      const client = await ask(relay, { 'Sec-WebSocket-Protocol': offered })
      await client.untilEnded()
      expect(client.status).toBe(400)
      expect(client.text).toContain('this relay speaks the WebSocket subprotocol pocketmq.1; offer it')
    },
  )

  test('that offers several subprotocols gets ours', async () => {
    const relay = await startRelay()
    const client = await ask(relay, { 'Sec-WebSocket-Protocol': 'graphql-ws,  pocketmq.1 , pocketmq.2' })
    expect(client.status).toBe(101)
    expect(client.header('Sec-WebSocket-Protocol')).toBe('pocketmq.1')
  })

  test('to another protocol is refused with 426', async () => {
    const relay = await startRelay()
    const client = await ask(relay, { Upgrade: 'h2c' })
    await client.untilEnded()
    expect(client.status).toBe(426)
    expect(client.header('Upgrade')).toBe('websocket')
  })

  test.each([
    ['no key', { 'Sec-WebSocket-Key': undefined }],
    ['a short key', { 'Sec-WebSocket-Key': 'abc' }],
    ['an unknown version', { 'Sec-WebSocket-Version': '7' }],
    ['a broken list of subprotocols', { 'Sec-WebSocket-Protocol': 'pocketmq.1,,' }],
    ['no host', { Host: undefined }],
  ])('with %s is refused with 400', async (_, headers) => {
    const relay = await startRelay()
    const client = await ask(relay, headers)
    await client.untilEnded()
    expect(client.status).toBe(400)
    expect(relay.accepted.length).toBe(0)
  })

  test('offers no compression, which would cost a quarter of a mebibyte for each connection', async () => {
    const relay = await startRelay()
    const client = await ask(relay, { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' })
    expect(client.status).toBe(101)
    expect(client.header('Sec-WebSocket-Extensions')).toBeUndefined()
  })

  test('may come with the first message right behind it', async () => {
    const relay = await startRelay()
    const client = openRaw(relay)
    client.socket.write(Buffer.concat([Buffer.from(requestText()), frame('binary', Buffer.from('eager'))]))
    await expect.poll(() => relay.accepted[0]?.messages.length).toBe(1)
    expect(Buffer.from(relay.accepted[0]?.messages[0] ?? []).toString()).toBe('eager')
  })

  test('leaves other requests to the server', async () => {
    const relay = await startRelay()
    const response = await fetch(`http://127.0.0.1:${relay.port}/healthz`)
    expect(await response.text()).toBe('plain http')
  })
})

describe('the origin of a page', () => {
  interface OriginCase {
    readonly origin: string
    readonly host?: string
    readonly address?: string
    readonly origins?: string[]
    readonly status: number
  }

  const loopback = '127.0.0.1'
  const anywhere = '0.0.0.0'
  const cases: Record<string, OriginCase> = {
    'a page of localhost on loopback': { origin: 'http://localhost:5173', host: 'localhost:8080', status: 101 },
    'a page of 127.0.0.1 on loopback': { origin: 'http://127.0.0.1:5173', host: '127.0.0.1:8080', status: 101 },
    'a page of [::1] on loopback': { origin: 'http://[::1]:5173', host: 'localhost:8080', status: 101 },
    'a foreign page on loopback': { origin: 'https://evil.example', host: 'localhost:8080', status: 403 },
    'a foreign name that resolves to loopback': { origin: 'http://evil.example:80', host: 'evil.example', status: 403 },
    'a name that only looks local': { origin: 'http://localhost.evil.example', host: 'localhost', status: 403 },
    'an address that only looks local': { origin: 'http://127.0.0.1.evil.example', host: 'localhost', status: 403 },
    'no page at all (a file, a sandbox)': { origin: 'null', host: 'localhost', status: 403 },
    'not an origin': { origin: 'localhost', host: 'localhost', status: 403 },
    'a page of the own host': { address: anywhere, origin: 'https://mq.example', host: 'mq.example', status: 101 },
    'a page of the own host, default port written': {
      address: anywhere,
      origin: 'http://mq.example',
      host: 'mq.example:80',
      status: 101,
    },
    'the own host in capitals': { address: anywhere, origin: 'https://mq.example', host: 'MQ.Example', status: 101 },
    'another port of the own host': {
      address: anywhere,
      origin: 'http://mq.example:81',
      host: 'mq.example',
      status: 403,
    },
    'a sibling of the own host': { address: anywhere, origin: 'https://a.mq.example', host: 'mq.example', status: 403 },
    'a page of localhost when not on loopback': {
      address: anywhere,
      origin: 'http://localhost:5173',
      host: 'mq.example',
      status: 403,
    },
    'an app whose host is named like the own': {
      address: anywhere,
      origin: 'app://mq.example',
      host: 'mq.example',
      status: 403,
    },
    'an app of localhost on loopback': { origin: 'capacitor://localhost', host: 'localhost', status: 403 },
    'an allowed app': { origin: 'capacitor://localhost', origins: ['capacitor://localhost'], status: 101 },
    'a host that is none': { address: anywhere, origin: 'http://a b', host: 'a b', status: 403 },
    'an allowed origin': { origin: 'https://app.example', origins: ['https://app.example'], status: 101 },
    'an allowed origin, its default port written': {
      origin: 'https://app.example',
      origins: ['https://app.example:443/'],
      status: 101,
    },
    'another scheme of an allowed origin': {
      origin: 'http://app.example',
      origins: ['https://app.example'],
      status: 403,
    },
    'any origin where all are allowed': { origin: 'https://evil.example', origins: ['*'], status: 101 },
  }

  test.each(Object.entries(cases))('%s', async (_, { origin, host, address = loopback, origins = [], status }) => {
    const relay = await startRelay({ address, origins })
    const client = await ask(relay, { Origin: origin, Host: host ?? 'localhost' })
    expect(client.status).toBe(status)
    if (status === 403) expect(client.text).toContain('it is not an allowed origin')
    expect(relay.acceptor.connectionCount).toBe(status === 101 ? 1 : 0)
  })

  const noOrigins = ['app.example', 'https://app.example/path', 'https://app.example/?a', 'https://me@app.example']

  test.each([...noOrigins, 'app:x', '', 'null', 'file:///x'])('cannot be allowed as %j', (origin) => {
    const accept = () => ({ message() {}, closed() {} })
    const create = () => {
      createWsAcceptor({ server: createServer(), limits, clock, log: silentLog, origins: [origin], accept })
    }
    expect(create).toThrow(PocketError)
    expect(create).toThrow('is not an origin')
  })
})

test.each([
  ['mq.example', 101],
  ['MQ.example:8080', 101],
  ['inner.example:8080', 101],
  ['inner.example', 421],
  ['evil.example', 421],
])('a relay with named hosts answers %s with %i', async (host, status) => {
  const relay = await startRelay({ hosts: ['mq.example', 'inner.example:8080'] })
  const client = await ask(relay, { Host: host })
  expect(client.status).toBe(status)
})

describe('the number of connections', () => {
  test('is bounded: one more is refused with 503, and let in once there is room', async () => {
    const relay = await startRelay({ limits: { ...limits, connectionCountMax: 2 } })
    const first = await ask(relay)
    await ask(relay)
    const refused = await ask(relay)
    await refused.untilEnded()
    expect(refused.status).toBe(503)
    expect(refused.header('Retry-After')).toBe('5')
    expect(refused.text).toContain('as many connections as it takes')
    first.socket.destroy()
    await relay.accepted[0]?.closed
    expect((await ask(relay)).status).toBe(101)
    expect(relay.acceptor.connectionCount).toBe(2)
  })

  test('bounds the sockets of the server too, with room for plain requests', async () => {
    const relay = await startRelay({ limits: { ...limits, connectionCountMax: 2 } })
    expect(relay.server.maxConnections).toBe(258)
  })

  test('a relay that stops takes no more, keeps what is open, and closes it in the end', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    relay.acceptor.stopAccepting()
    const refused = await ask(relay)
    await refused.untilEnded()
    expect(refused.status).toBe(503)
    expect(refused.text).toContain('the relay is stopping')
    expect(client.isEnded).toBe(false)
    const done = relay.acceptor.close()
    expect(relay.acceptor.close()).toBe(done)
    await client.until(() => client.closeFrame !== undefined)
    expect(client.closeFrame).toEqual({ code: closeCodes.RELAY_STOPPING, reason: 'the relay is stopping' })
    client.socket.write(frame('close', Buffer.from([0x0f, 0xa0])))
    await done
    expect(relay.acceptor.connectionCount).toBe(0)
    expect(await relay.accepted[0]?.closed).toEqual(client.closeFrame)
  })
})

describe('a hostile or broken peer', () => {
  test('that sends text is closed with BAD_FRAME', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    client.socket.write(frame('text', Buffer.from('hello')))
    client.socket.write(frame('binary', Buffer.from('too late')))
    await client.until(() => client.closeFrame !== undefined)
    expect(client.closeFrame).toEqual({
      code: closeCodes.BAD_FRAME,
      reason: 'text messages are not part of this protocol',
    })
    expect((await relay.accepted[0]?.closed)?.code).toBe(closeCodes.BAD_FRAME)
    expect(relay.accepted[0]?.messages).toEqual([])
  })

  test('that sends a frame without a mask is closed with 1002', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    client.socket.write(Buffer.from([0x82, 1, 0]))
    await client.until(() => client.closeFrame !== undefined)
    expect(client.closeFrame?.code).toBe(1002)
    expect((await relay.accepted[0]?.closed)?.code).toBe(1002)
  })

  test('may send a message in as many fragments as are allowed', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    const count = maxFragments
    for (let index = 0; index < count; index++) {
      client.socket.write(frame(index === 0 ? 'binary' : 'continuation', Buffer.from([index]), index === count - 1))
    }
    await expect.poll(() => relay.accepted[0]?.messages.length).toBe(1)
    expect(relay.accepted[0]?.messages[0]).toEqual(new Uint8Array(Array.from({ length: count }, (_, index) => index)))
  })

  test.each([0, 1])('that sends one fragment of %i bytes too many is closed with 1008', async (size) => {
    const relay = await startRelay()
    const client = await ask(relay)
    const flood = (count: number): Buffer => {
      return Buffer.concat(Array.from({ length: count }, () => frame('continuation', new Uint8Array(size), false)))
    }
    client.socket.write(frame('binary', new Uint8Array(size), false))
    client.socket.write(flood(maxFragments))
    await client.until(() => client.closeFrame !== undefined)
    client.socket.write(flood(50_000))
    expect((await relay.accepted[0]?.closed)?.code).toBe(1008)
    expect(client.closeFrame?.code).toBe(1008)
    expect(relay.accepted[0]?.messages).toEqual([])
    expect(relay.acceptor.connectionCount).toBe(0)
  })

  test('that drips one frame in tiny segments is closed with 1008', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    client.socket.setNoDelay(true)
    const [serverSocket] = relay.sockets
    // A binary frame of 65,535 bytes, of which each comes alone.
    client.socket.write(Buffer.from([0x82, 0x80 | 126, 0xff, 0xff, 0, 0, 0, 0]))
    let readCount = 0
    serverSocket?.on('data', () => {
      readCount++
      if (!client.isEnded) client.socket.write(Buffer.from([1]))
    })
    expect((await relay.accepted[0]?.closed)?.code).toBe(1008)
    expect(readCount).toBeLessThan(maxBufferedChunks + 10)
  })

  test('that announces more than the limit is closed with 1009 before it has sent it', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    client.socket.write(Buffer.from([0x82, 0x80 | 127, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, 0]))
    await client.until(() => client.closeFrame !== undefined)
    expect(client.closeFrame?.code).toBe(1009)
    expect((await relay.accepted[0]?.closed)?.code).toBe(1009)
  })

  test('that pings without reading the answers loses its connection', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    client.socket.pause()
    const pings = Buffer.concat(Array.from({ length: 1_000 }, () => frame('ping', new Uint8Array(125))))
    const sendMore = (): void => {
      if (!client.socket.destroyed) client.socket.write(pings, sendMore)
    }
    sendMore()
    expect((await relay.accepted[0]?.closed)?.code).toBe(1006)
  })

  test('that vanishes is told as closed, with what it sent before', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    client.socket.write(frame('binary', Buffer.from('last words')))
    await expect.poll(() => relay.accepted[0]?.messages.length).toBe(1)
    client.socket.resetAndDestroy()
    expect((await relay.accepted[0]?.closed)?.code).toBe(1006)
    expect(relay.acceptor.connectionCount).toBe(0)
  })

  test('that never answers a close, and reads nothing, is gone after the time it has', async () => {
    const relay = await startRelay()
    const client = await ask(relay)
    client.socket.pause()
    const connection = relay.accepted[0]?.connection as Connection
    while (connection.bufferedBytes < limits.sendBufferBytesMax) {
      connection.send([new Uint8Array(1024 * 1024)])
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
    connection.close(closeCodes.SLOW_READER, 'too slow')
    expect(await relay.accepted[0]?.closed).toEqual({ code: closeCodes.SLOW_READER, reason: 'too slow' })
    expect(connection.bufferedBytes).toBe(0)
    expect(relay.acceptor.connectionCount).toBe(0)
  })
})

describe('a slow or large request', () => {
  const http = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 }

  test('whose headers do not end is answered 408 and dropped', async () => {
    const relay = await startRelay({ http })
    const client = openRaw(relay)
    client.socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow:')
    await client.untilEnded()
    expect(client.status).toBe(408)
  })

  test('that never begins is dropped', async () => {
    const relay = await startRelay({ http })
    const client = openRaw(relay)
    await client.untilEnded()
    expect(relay.accepted.length).toBe(0)
  })

  test('whose headers are over 8 KiB is answered 431 and dropped', async () => {
    const relay = await startRelay()
    const client = await ask(relay, { 'X-Large': 'x'.repeat(9 * 1024) })
    await client.untilEnded()
    expect(client.status).toBe(431)
  })

  test('does not end a connection that was upgraded in time', async () => {
    const relay = await startRelay({ http })
    const client = await ask(relay)
    const half = openRaw(relay)
    await half.untilEnded()
    client.socket.write(frame('binary', Buffer.from('still here')))
    await expect.poll(() => relay.accepted[0]?.messages.length).toBe(1)
  })
})

describe('the dialler', () => {
  async function refusedBy(relay: Relay, path = '/', options: { handshakeTimeoutMs?: number } = {}) {
    const dialler = createWsDialler({ url: `ws://127.0.0.1:${relay.port}${path}`, clock, ...options })
    return new Promise<{ code: number; reason: string }>((resolve) => {
      dialler.dial({ message() {}, closed: (code, reason) => resolve({ code, reason }) })
    })
  }

  test('tells what a relay that is full answered, as a reason to come back', async () => {
    const relay = await startRelay({ limits: { ...limits, connectionCountMax: 0 } })
    expect(await refusedBy(relay)).toEqual({
      code: closeCodes.OVERLOADED,
      reason: 'the server answered 503 Service Unavailable: the relay has as many connections as it takes',
    })
  })

  test('tells a wrong path', async () => {
    const relay = await startRelay()
    const { code, reason } = await refusedBy(relay, '/wrong')
    expect(code).toBe(1006)
    expect(reason).toBe('the server answered 404 Not Found: the WebSocket of this relay is at / or /mq')
  })

  test('tells a relay that answers to other names', async () => {
    const relay = await startRelay({ hosts: ['mq.example'] })
    expect((await refusedBy(relay)).reason).toContain('421 Misdirected Request')
  })

  /** A server at the relay's port that answers every upgrade with `lines`. */
  async function startOtherServer(lines: (key: string) => string[]): Promise<Relay> {
    const relay = await startRelay()
    relay.server.removeAllListeners('upgrade')
    relay.server.on('upgrade', (request, socket) => {
      socket.write(`${lines(request.headers['sec-websocket-key'] ?? '').join('\r\n')}\r\n\r\n`)
    })
    return relay
  }

  test.each([
    ['400 Bad Request', closeCodes.UNSUPPORTED_VERSION],
    ['401 Unauthorized', closeCodes.UNAUTHENTICATED],
    ['403 Forbidden', closeCodes.FORBIDDEN],
    ['429 Too Many Requests', closeCodes.OVERLOADED],
    ['302 Found', 1006],
    ['500 Internal Server Error', 1006],
  ])('turns %s into %i', async (status, code) => {
    const relay = await startOtherServer(() => [`HTTP/1.1 ${status}`, 'Content-Length: 0', 'Location: ws://mq.example'])
    expect(await refusedBy(relay)).toEqual({ code, reason: `the server answered ${status}` })
  })

  test('does not come back to a WebSocket server of another protocol', async () => {
    const relay = await startOtherServer((key) => {
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Accept: ${accept}`]
      return ['HTTP/1.1 101 Switching Protocols', ...upgrade]
    })
    expect(await refusedBy(relay)).toEqual({
      code: closeCodes.UNSUPPORTED_VERSION,
      reason: 'the server does not speak pocketmq.1',
    })
  })

  test('gives up on a server that does not answer', async () => {
    const relay = await startRelay()
    relay.server.removeAllListeners('upgrade')
    relay.server.removeAllListeners('request')
    const { code, reason } = await refusedBy(relay, '/', { handshakeTimeoutMs: 50 })
    expect(code).toBe(1006)
    expect(reason).toBe('Opening handshake has timed out')
  })

  const wrongAddresses = ['localhost:8080', 'ftp://mq.example', 'ws://mq.example/#part', '', 'ws://']

  test.each(wrongAddresses)('refuses the address %j', (url) => {
    expect(() => createWsDialler({ url, clock })).toThrow(PocketError)
    expect(() => createWsDialler({ url, clock })).toThrow('is not the address of a relay')
  })
})
