// MQTT: the aedes broker with mqtt.js, over WebSocket as a browser would. A queue is QoS 1 with a session that
// outlives its connection; fan-out is QoS 0. aedes keeps both in memory only.

import { WebSocketServer, createWebSocketStream } from 'ws'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'

import { loadPeer } from '../peers.ts'
import type { ServedSystem, SystemClient } from './system.ts'

interface BrokerModule {
  Aedes: { createBroker(): Promise<{ handle(stream: Duplex, request: unknown): void }> }
}

interface MqttClient {
  on(event: 'error', listener: (error: Error) => void): MqttClient
  on(event: 'close', listener: () => void): MqttClient
  on(event: 'message', listener: (topic: string, body: Buffer) => void): MqttClient
  publish(topic: string, body: Buffer, options: { qos: 0 | 1 }, done?: (error?: Error | null) => void): void
  subscribeAsync(topic: string, options: { qos: 0 | 1 }): Promise<unknown>
}

interface ClientModule {
  connectAsync(url: string, options: object): Promise<MqttClient>
}

export const aedes: ServedSystem = {
  kind: 'served',
  name: 'aedes',
  title: 'aedes + mqtt.js',
  durability: 'QoS 1 is acked from memory; nothing reaches the disk',
  scenarios: ['durable-queue', 'fan-out-50', 'fan-out-1000', 'light-load', 'idle-connection'],
  peers: ['aedes', 'mqtt'],
  server: { serve },
  openClient,
}

async function serve(port: number): Promise<void> {
  const { Aedes } = await loadPeer<BrokerModule>('aedes')
  const broker = await Aedes.createBroker()
  const http = createServer()
  new WebSocketServer({ server: http }).on('connection', (socket, request) => {
    broker.handle(createWebSocketStream(socket), request)
  })
  await once(http.listen(port, '127.0.0.1'), 'listening')
}

async function openClient(port: number): Promise<SystemClient> {
  const { connectAsync } = await loadPeer<ClientModule>('mqtt')
  let clientCount = 0
  const open = async (clean: boolean, onFailed?: (error: unknown) => void): Promise<MqttClient> => {
    clientCount += 1
    const options = { clientId: `bench-${process.pid}-${clientCount}`, clean, reconnectPeriod: 0, keepalive: 0 }
    const client = await connectAsync(`ws://127.0.0.1:${port}`, options)
    if (onFailed) client.on('error', onFailed).on('close', () => onFailed(new Error('the broker closed a connection')))
    return client
  }
  return {
    async openProducer({ topic, delivery, body, onAcknowledged, onFailed }) {
      const client = await open(true, onFailed)
      const bytes = Buffer.from(body)
      if (delivery === 'broadcast') return { send: () => client.publish(topic, bytes, { qos: 0 }) }
      const onAnswered = (error?: Error | null): void => (error ? onFailed(error) : onAcknowledged())
      return { send: () => client.publish(topic, bytes, { qos: 1 }, onAnswered) }
    },
    async openConsumer({ topic, delivery, onMessage, onFailed }) {
      const client = await open(delivery === 'broadcast', onFailed)
      // With QoS 1 mqtt.js acks each message once this listener has returned.
      client.on('message', (_topic, body) => onMessage(body.length))
      await client.subscribeAsync(topic, { qos: delivery === 'queue' ? 1 : 0 })
    },
    async openIdle() {
      await open(true)
    },
  }
}
