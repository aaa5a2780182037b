// Redis pub/sub over TCP: each message to every subscriber, nothing stored.

import { connectRedis, isRedisReady, redisMissing, redisProgram, redisServerVersion } from './redis-server.ts'
import type { ServedSystem, SystemClient } from './system.ts'

export const redisPubSub: ServedSystem = {
  kind: 'served',
  name: 'redis-pubsub',
  title: 'Redis pub/sub',
  durability: 'none; stores nothing',
  scenarios: ['fan-out-50', 'fan-out-1000', 'light-load', 'idle-connection'],
  peers: ['ioredis'],
  missing: redisMissing,
  programVersion: redisServerVersion,
  server: { program: redisProgram },
  isReady: isRedisReady,
  openClient,
}

async function openClient(port: number): Promise<SystemClient> {
  return {
    async openProducer({ topic, body, onFailed }) {
      const connection = await connectRedis(port, onFailed)
      const bytes = Buffer.from(body)
      return { send: () => void connection.publish(topic, bytes).catch(onFailed) }
    },
    async openConsumer({ topic, onMessage, onFailed }) {
      const connection = await connectRedis(port, onFailed)
      connection.on('messageBuffer', (_channel, body) => onMessage(body.length))
      await connection.subscribe(topic)
    },
    async openIdle() {
      await connectRedis(port)
    },
  }
}
