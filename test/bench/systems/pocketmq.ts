// PocketMQ itself: the built relay as a user starts it, and the public client in Node. The one file of the bench that
// knows its API.

import { get } from 'node:http'
import { join } from 'node:path'

import { bytes, connect } from '../../../server/connect.ts'
import { ensureBuilt } from '../../../tools/build.mjs'
import { findProjectFolder } from '../project.ts'
import type { Client, Message } from '../../../server/connect.ts'
import type { ServedSystem, SystemClient } from './system.ts'

// How many messages a consumer asks for ahead, as for JetStream.
const prefetch = 5000

export const pocketMq: ServedSystem = {
  kind: 'served',
  name: 'pocketmq',
  title: 'PocketMQ',
  durability: 'synced before the ack and before any delivery, in every scenario; one sync for what came together',
  scenarios: ['durable-queue', 'fan-out-50', 'fan-out-1000', 'light-load', 'idle-connection', 'catch-up', 'open'],
  packages: ['ws', 'lmdb'],
  build: ensureBuilt,
  server: {
    program({ port, folder }) {
      const cli = join(findProjectFolder(), 'dist', 'cli.js')
      return { file: process.execPath, args: [cli, 'serve', '--port', String(port), '--data', join(folder, 'data')] }
    },
  },
  isReady,
  openClient,
}

/** `/readyz` answers 200 once the store is open and the relay takes work. */
function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.once('error', () => resolve(false))
  })
}

async function openClient(port: number): Promise<SystemClient> {
  const open = async (onFailed?: (error: unknown) => void): Promise<Client> => {
    const client = await connect(`ws://127.0.0.1:${port}`)
    if (onFailed) {
      client.on('error', onFailed)
      client.on('gap', ({ expected, next }) => onFailed(new Error(`a gap from ${expected.offset} to ${next.offset}`)))
      client.on('link', ({ state, error }) => state === 'waiting' && onFailed(error ?? new Error('the link was lost')))
    }
    return client
  }
  return {
    async prepare(topic) {
      const client = await open()
      // One queue: the consumers then get the messages in the order of sending, as from all the others.
      await client.admin.createTopic(topic, { queueCount: 1, messageType: 'NORMAL' })
    },
    async openProducer({ topic, body, onAcknowledged, onFailed }) {
      const producer = (await open(onFailed)).topic(topic, { codec: bytes })
      return { send: () => void producer.send(body).then(onAcknowledged, onFailed) }
    },
    async openConsumer({ topic, delivery, onMessage, onFailed }) {
      const client = await open(onFailed)
      const mode = delivery === 'queue' ? 'CLUSTERING' : 'BROADCASTING'
      const consumer = client.topic(topic, { codec: bytes }).consume({ group: 'bench', mode, prefetch })
      // `run` acks each message of a group when this function returns.
      const handle = (message: Message<Uint8Array>): void => onMessage(message.body.length)
      consumer.run(handle).catch(onFailed)
      await consumer.subscribed
    },
    async openIdle() {
      await open()
    },
    async fill(topic, body, messageCount) {
      const producer = (await open()).topic(topic, { codec: bytes })
      let storedCount = 0
      await new Promise<void>((resolve, reject) => {
        const onStored = (): void => {
          if (++storedCount === messageCount) resolve()
        }
        const sendAll = async (): Promise<void> => {
          for (let count = 0; count < messageCount; count++) {
            await producer.ready()
            producer.send(body).then(onStored, reject)
          }
        }
        sendAll().catch(reject)
      })
    },
    async openReader({ topic, onMessage, onFailed }) {
      const client = await open(onFailed)
      const read = async (): Promise<void> => {
        for await (const batch of client.topic(topic, { codec: bytes }).pull({ queueId: 0, untilEnd: true })) {
          for (const message of batch) onMessage(message.body.length)
        }
      }
      read().catch(onFailed)
    },
  }
}
