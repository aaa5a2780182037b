// NATS JetStream over WebSocket, file store: publishes pipelined and each answered, a durable pull consumer that
// acks each message. Reading a backlog is an ordered consumer, without acks.

import { connectNats, natsMissing, natsProgram, natsServerVersion } from './nats-server.ts'
import { loadPeer } from '../peers.ts'
import type { NatsConnection } from './nats-server.ts'
import type { ServedSystem, SystemClient } from './system.ts'

// How many messages a consumer asks for ahead; the client's default of 100 halves the rate.
const prefetchCount = 5000

interface JetStreamMessage {
  readonly data: Uint8Array
  ack(): void
}

interface JetStreamModule {
  jetstream(connection: NatsConnection): {
    publish(subject: string, body: Uint8Array): Promise<unknown>
    readonly consumers: {
      get(
        stream: string,
        durable?: string,
      ): Promise<{
        consume(options: { max_messages: number; callback: (message: JetStreamMessage) => void }): Promise<unknown>
      }>
    }
  }
  jetstreamManager(connection: NatsConnection): Promise<{
    readonly streams: {
      add(config: object): Promise<unknown>
      info(name: string): Promise<{ state: { messages: number } }>
    }
    readonly consumers: { add(stream: string, config: object): Promise<unknown> }
  }>
}

export const jetStream: ServedSystem = {
  kind: 'served',
  name: 'jetstream',
  title: 'NATS JetStream',
  durability: 'file store; acked before the sync, which comes every 2 minutes (the default; 2.9 has no sync per ack)',
  scenarios: ['durable-queue', 'light-load', 'catch-up'],
  peers: ['@nats-io/nats-core', '@nats-io/jetstream'],
  missing: natsMissing,
  programVersion: natsServerVersion,
  server: { program: (place) => natsProgram(place, { jetStream: true }) },
  openClient,
}

async function openClient(port: number): Promise<SystemClient> {
  const { jetstream, jetstreamManager } = await loadPeer<JetStreamModule>('@nats-io/jetstream')
  return {
    async prepare(topic) {
      const manager = await jetstreamManager(await connectNats(port))
      await manager.streams.add({ name: topic, subjects: [topic], storage: 'file' })
      await manager.consumers.add(topic, { durable_name: 'group', ack_policy: 'explicit', max_ack_pending: 20_000 })
    },
    async openProducer({ topic, body, onAcknowledged, onFailed }) {
      const stream = jetstream(await connectNats(port, onFailed))
      return { send: () => void stream.publish(topic, body).then(onAcknowledged, onFailed) }
    },
    async openConsumer({ topic, onMessage, onFailed }) {
      const consumer = await jetstream(await connectNats(port, onFailed)).consumers.get(topic, 'group')
      const callback = (message: JetStreamMessage): void => {
        onMessage(message.data.length)
        message.ack()
      }
      await consumer.consume({ max_messages: prefetchCount, callback })
    },
    async openIdle() {
      await connectNats(port)
    },
    async fill(topic, body, messageCount) {
      const connection = await connectNats(port)
      const stream = jetstream(connection)
      // Plain publishes into the stream's subject are stored in order; an answered one in each thousand paces them.
      for (let count = 1; count <= messageCount; count++) {
        if (count % 1000 === 0 || count === messageCount) await stream.publish(topic, body)
        else connection.publish(topic, body)
      }
      const stored = (await (await jetstreamManager(connection)).streams.info(topic)).state.messages
      if (stored !== messageCount) throw new Error(`JetStream stored ${stored} of ${messageCount} messages`)
    },
    async openReader({ topic, onMessage, onFailed }) {
      const consumer = await jetstream(await connectNats(port, onFailed)).consumers.get(topic)
      await consumer.consume({ max_messages: prefetchCount, callback: (message) => onMessage(message.data.length) })
    },
  }
}
