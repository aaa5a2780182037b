// The transport contract for the dialler of pages, over a WebSocket of the same interface on Node. Browsers' own run it
// among the tests in browsers.

import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { WebSocket as NodeWebSocket } from 'ws'
import { defaultLimits } from '../../core/limits.ts'
import { silentLog } from '../../core/ports/log.ts'
import { createSystemClock } from '../../server/system.ts'
import { createWsAcceptor, relayHttpOptions } from '../../server/upgrade.ts'
import { createWebSocketDialler } from '../../web-client/engine/web-socket-dialler.ts'
import { transportContract } from './transport-contract.ts'

const clock = createSystemClock()
const socket = NodeWebSocket as unknown as typeof WebSocket

transportContract('the WebSocket of pages', async (accept, sendBufferBytesMax) => {
  const frameBytesMax = 2 * 1024 * 1024
  const server = createServer(relayHttpOptions)
  const sockets: Socket[] = []
  server.on('connection', (accepted: Socket) => sockets.push(accepted))
  const limits = { ...defaultLimits, frameBytesMax, sendBufferBytesMax }
  const acceptor = createWsAcceptor({ server, limits, clock, log: silentLog, accept })
  const port = await listen(server)
  const closedServer = createServer()
  const closedPort = await listen(closedServer)
  await closeServer(closedServer)
  return {
    dialler: createWebSocketDialler({ url: `http://127.0.0.1:${port}`, clock, socket, sendBufferBytesMax }),
    refusedDialler: createWebSocketDialler({ url: `ws://127.0.0.1:${closedPort}`, clock, socket }),
    frameBytesMax,
    cut: (index) => sockets[index]?.destroy(),
    async close() {
      await acceptor.close()
      await closeServer(server)
    },
  }
}, { noFlowControl: 'a page cannot stop reading its WebSocket' })

test.each(['mailto:a@b', 'nowhere', 'ws://relay/#part'])('is not made for %s', (url) => {
  expect(() => createWebSocketDialler({ url, clock })).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
})

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
  })
}
