// NATS core over WebSocket: publish and subscribe, at most once, nothing stored.

import { connectNats, natsMissing, natsProgram, natsServerVersion } from './nats-server.ts'
import type { ServedSystem, SystemClient } from './system.ts'

export const natsCore: ServedSystem = {
  kind: 'served',
  name: 'nats',
  title: 'NATS core',
  durability: 'none; stores nothing',
  scenarios: ['fan-out-50', 'fan-out-1000', 'light-load', 'idle-connection'],
  peers: ['@nats-io/nats-core'],
  missing: natsMissing,
  programVersion: natsServerVersion,
  server: { program: (place) => natsProgram(place, { jetStream: false }) },
  openClient,
}

async function openClient(port: number): Promise<SystemClient> {
  return {
    async openProducer({ topic, body, onFailed }) {
      const connection = await connectNats(port, onFailed)
      return { send: () => connection.publish(topic, body) }
    },
    async openConsumer({ topic, onMessage, onFailed }) {
      const connection = await connectNats(port, onFailed)
      connection.subscribe(topic, {
        callback: (error, message) => (error ? onFailed(error) : onMessage(message.data.length)),
      })
      await connection.flush()
    },
    async openIdle() {
      await connectNats(port)
    },
  }
}
