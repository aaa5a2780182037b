// Redis streams over TCP with every write synced: XADD pipelined, one group consumer that acks each message, by one
// XACK per read.

import { connectRedis, isRedisReady, redisMissing, redisProgram, redisServerVersion } from './redis-server.ts'
import type { ServedSystem, SystemClient } from './system.ts'

const readCountMax = 1000
const blockMs = 1000
const fillWindowCount = 10_000

export const redisStreams: ServedSystem = {
  kind: 'served',
  name: 'redis-streams',
  title: 'Redis streams',
  durability: 'appendfsync always: synced before the ack, once for all that arrived together',
  scenarios: ['durable-queue', 'light-load', 'catch-up'],
  peers: ['ioredis'],
  missing: redisMissing,
  programVersion: redisServerVersion,
  server: { program: redisProgram },
  isReady: isRedisReady,
  openClient,
}

async function openClient(port: number): Promise<SystemClient> {
  return {
    async prepare(topic) {
      await (await connectRedis(port)).xgroup('CREATE', topic, 'group', '0', 'MKSTREAM')
    },
    async openProducer({ topic, body, onAcknowledged, onFailed }) {
      const connection = await connectRedis(port, onFailed)
      const bytes = Buffer.from(body)
      const onAnswered = (error: Error | null | undefined): void => (error ? onFailed(error) : onAcknowledged())
      return { send: () => connection.xadd(topic, '*', 'body', bytes, onAnswered) }
    },
    async openConsumer({ topic, onMessage, onFailed }) {
      const connection = await connectRedis(port, onFailed)
      const from = ['GROUP', 'group', 'member', 'COUNT', readCountMax, 'BLOCK', blockMs, 'STREAMS', topic, '>']
      const consume = async (): Promise<never> => {
        for (;;) {
          const entries = (await connection.xreadgroupBuffer(...from))?.[0]?.[1]
          if (entries === undefined) continue
          const ids: Buffer[] = []
          for (const [id, fields] of entries) {
            onMessage(fields[1]?.length ?? 0)
            ids.push(id)
          }
          // Not awaited: the next read follows on the same connection.
          connection.xack(topic, 'group', ...ids).catch(onFailed)
        }
      }
      consume().catch(onFailed)
    },
    async openIdle() {
      await connectRedis(port)
    },
    async fill(topic, body, messageCount) {
      const connection = await connectRedis(port)
      const bytes = Buffer.from(body)
      await connection.config('SET', 'appendfsync', 'no')
      for (let count = 0; count < messageCount; count += fillWindowCount) {
        await addMany(Math.min(fillWindowCount, messageCount - count))
      }
      const stored = await connection.xlen(topic)
      if (stored !== messageCount) throw new Error(`Redis stored ${stored} of ${messageCount} messages`)

      function addMany(windowCount: number): Promise<void> {
        return new Promise((resolve, reject) => {
          let answeredCount = 0
          const onAnswered = (error: Error | null | undefined): void => {
            if (error) reject(error)
            else if (++answeredCount === windowCount) resolve()
          }
          for (let index = 0; index < windowCount; index++) connection.xadd(topic, '*', 'body', bytes, onAnswered)
        })
      }
    },
    async openReader({ topic, onMessage, onFailed }) {
      const connection = await connectRedis(port, onFailed)
      const read = async (): Promise<void> => {
        let lastId: Buffer | string = '0'
        for (;;) {
          const entries: readonly (readonly [Buffer, readonly Buffer[]])[] | undefined = (
            await connection.xreadBuffer('COUNT', readCountMax, 'STREAMS', topic, lastId)
          )?.[0]?.[1]
          if (entries === undefined) return
          for (const [id, fields] of entries) {
            onMessage(fields[1]?.length ?? 0)
            lastId = id
          }
        }
      }
      read().catch(onFailed)
    },
  }
}
