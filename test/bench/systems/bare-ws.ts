// The floor: the `ws` library and a server that passes each message on to every other connection, one to a frame.

import WebSocket, { WebSocketServer } from 'ws'
import { once } from 'node:events'

import type { ServedSystem, SystemClient } from './system.ts'

export const bareWs: ServedSystem = {
  kind: 'served',
  name: 'ws',
  title: 'bare ws',
  durability: 'none; stores nothing',
  scenarios: ['fan-out-50', 'fan-out-1000', 'light-load', 'idle-connection'],
  packages: ['ws'],
  server: { serve },
  openClient,
}

async function serve(port: number): Promise<void> {
  const server = new WebSocketServer({ host: '127.0.0.1', port })
  server.on('connection', (sender) => {
    sender.on('message', (data) => {
      for (const client of server.clients) {
        if (client !== sender && client.readyState === WebSocket.OPEN) client.send(data as Buffer, { binary: true })
      }
    })
  })
  await once(server, 'listening')
}

async function openClient(port: number): Promise<SystemClient> {
  const open = async (onFailed?: (error: unknown) => void): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false })
    await once(socket, 'open')
    if (onFailed) socket.on('error', onFailed).on('close', () => onFailed(new Error('the server closed a connection')))
    return socket
  }
  return {
    async openProducer({ body, onFailed }) {
      const socket = await open(onFailed)
      return { send: () => socket.send(body) }
    },
    async openConsumer({ onMessage, onFailed }) {
      const socket = await open(onFailed)
      socket.on('message', (data) => onMessage((data as Buffer).length))
    },
    async openIdle() {
      await open()
    },
  }
}
