// Socket.IO over WebSocket alone, without its start by polling. The server passes each message on to every other
// socket. Bodies go as text, which is quicker there than bytes: bytes cost it a second frame per message.

import { createServer } from 'node:http'
import { once } from 'node:events'

import { loadPeer } from '../peers.ts'
import type { ServedSystem, SystemClient } from './system.ts'

interface ServerSocket {
  on(event: string, listener: (body: string) => void): void
  readonly broadcast: { emit(event: string, body: string): void }
}

interface ServerModule {
  Server: new (http: unknown, options: object) => { on(event: 'connection', listener: (s: ServerSocket) => void): void }
}

interface ClientSocket {
  on(event: string, listener: (value: never) => void): ClientSocket
  emit(event: string, body: string): void
}

interface ClientModule {
  io(url: string, options: object): ClientSocket
}

export const socketIo: ServedSystem = {
  kind: 'served',
  name: 'socket.io',
  title: 'Socket.IO',
  durability: 'none; stores nothing',
  scenarios: ['fan-out-50', 'fan-out-1000', 'light-load', 'idle-connection'],
  peers: ['socket.io', 'socket.io-client'],
  server: { serve },
  openClient,
}

async function serve(port: number): Promise<void> {
  const { Server } = await loadPeer<ServerModule>('socket.io')
  const http = createServer()
  const server = new Server(http, { transports: ['websocket'], serveClient: false })
  server.on('connection', (socket) => {
    socket.on('message', (body) => socket.broadcast.emit('message', body))
  })
  await once(http.listen(port, '127.0.0.1'), 'listening')
}

async function openClient(port: number): Promise<SystemClient> {
  const { io } = await loadPeer<ClientModule>('socket.io-client')
  const open = async (onFailed?: (error: unknown) => void): Promise<ClientSocket> => {
    const socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true, reconnection: false })
    await new Promise<void>((resolve, reject) => {
      socket.on('connect', () => resolve())
      socket.on('connect_error', reject)
    })
    if (onFailed) socket.on('disconnect', (reason: string) => onFailed(new Error(`disconnected: ${reason}`)))
    return socket
  }
  return {
    async openProducer({ body, onFailed }) {
      const socket = await open(onFailed)
      const text = Buffer.from(body).toString('latin1')
      return { send: () => socket.emit('message', text) }
    },
    async openConsumer({ onMessage, onFailed }) {
      const socket = await open(onFailed)
      socket.on('message', (body: string) => onMessage(body.length))
    },
    async openIdle() {
      await open()
    },
  }
}
