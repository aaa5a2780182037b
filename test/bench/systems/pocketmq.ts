// PocketMQ itself: the built relay as a user starts it, and the public client in Node; and the same without what a
// scenario is about, as its control. The one file of the bench that knows its API.

import { get } from 'node:http'
import { join } from 'node:path'

import { bytes, connect } from '../../../server/connect.ts'
import { ensureBuilt } from '../../../tools/build.mjs'
import { filterPassesOneIn, messageGroupCount } from '../scenarios/queue-features.ts'
import { findProjectFolder } from '../project.ts'
import type { Client, Filter, Message, SendOptions, TopicSettings } from '../../../server/connect.ts'
import type { Producer, ProducerOptions, ServedSystem, SystemClient } from './system.ts'
import type { ScenarioName } from '../job.ts'

// How many messages a consumer asks for ahead, as for JetStream.
const prefetch = 5000

/** How a scenario uses the relay, where it is not a queue of untouched messages. */
interface Use {
  readonly settings?: TopicSettings
  readonly filter?: Filter
  /** What goes with a message besides its body, by its index; undefined for nothing. */
  readonly describe?: (index: number) => SendOptions
  /** Each send as a transaction, or as a call, of its own. Else those of one turn travel together. */
  readonly sends?: 'transactions' | 'calls'
}

const groupOptions = Array.from({ length: messageGroupCount }, (_, index) => ({ messageGroup: `group-${index}` }))

/** The first passes the filters of `filtered-queue`; of the others each term of the SQL refuses some. */
const filterOptions: readonly SendOptions[] = Array.from({ length: filterPassesOneIn }, (_, index) => ({
  tag: index === 0 ? 'paid' : 'open',
  properties: {
    customer: `c-${index * 7919}`,
    region: index % 2 === 0 ? 'eu' : 'us',
    price: index % 4 === 0 ? '12.5' : '7',
    [index % 8 === 0 && index > 0 ? 'grade' : 'level']: index === 4 ? '1' : '5',
  },
}))
const sqlFilter: Filter = { sql: "region = 'eu' AND price > 10 AND level >= 5" }

const describeGroup = (index: number): SendOptions => groupOptions[index % messageGroupCount] as SendOptions
const describeFiltered = (index: number): SendOptions => filterOptions[index % filterPassesOneIn] as SendOptions

const uses: Partial<Record<ScenarioName, Use>> = {
  transactions: { sends: 'transactions' },
  'message-groups': { settings: { messageType: 'FIFO' }, describe: describeGroup },
  'traced-queue': { settings: { trace: 1 } },
  'filtered-queue': { filter: sqlFilter, describe: describeFiltered },
}

const plainUses: Partial<Record<ScenarioName, Use>> = {
  transactions: { sends: 'calls' },
  'filtered-queue': { filter: 'paid', describe: describeFiltered },
}

export const pocketMq: ServedSystem = {
  kind: 'served',
  name: 'pocketmq',
  title: 'PocketMQ',
  durability: 'synced before the ack and before any delivery, in every scenario; one sync for what came together',
  scenarios: [
    'durable-queue', 'fan-out-50', 'fan-out-1000', 'light-load', 'idle-connection', 'catch-up', 'open', 'delayed',
    'delayed-scattered', 'transactions', 'message-groups', 'traced-queue', 'filtered-queue',
  ],
  packages: ['ws', 'lmdb'],
  build: ensureBuilt,
  server: {
    program({ port, folder }) {
      const cli = join(findProjectFolder(), 'dist', 'cli.js')
      return { file: process.execPath, args: [cli, 'serve', '--port', String(port), '--data', join(folder, 'data')] }
    },
  },
  isReady,
  openClient: (port, scenario) => openClient(port, uses[scenario] ?? {}),
}

export const pocketMqPlain: ServedSystem = {
  ...pocketMq,
  name: 'pocketmq-plain',
  title: 'PocketMQ, plain',
  durability: 'the same relay without what the scenario is about',
  scenarios: ['transactions', 'message-groups', 'traced-queue', 'filtered-queue'],
  openClient: (port, scenario) => openClient(port, plainUses[scenario] ?? {}),
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

async function openClient(port: number, { settings, filter = '*', describe, sends }: Use): Promise<SystemClient> {
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
      await client.admin.createTopic(topic, { queueCount: 1, messageType: 'NORMAL', ...settings })
    },
    async openProducer(options) {
      const { topic, body, onAcknowledged, onFailed } = options
      const client = await open(onFailed)
      if (sends === 'transactions') return openTransactions(client, options)
      if (sends === 'calls') return openCalls(client, options)
      const producer = client.topic(topic, { codec: bytes })
      if (describe === undefined) return { send: () => void producer.send(body).then(onAcknowledged, onFailed) }
      let index = 0
      return { send: () => void producer.send(body, describe(index++)).then(onAcknowledged, onFailed) }
    },
    async openConsumer({ topic, delivery, onMessage, onFailed }) {
      const client = await open(onFailed)
      const mode = delivery === 'queue' ? 'CLUSTERING' : 'BROADCASTING'
      const consumer = client.topic(topic, { codec: bytes }).consume({ group: 'bench', mode, filter, prefetch })
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
    async openScheduler({ topic, body, onScheduled, onFailed }) {
      const producer = (await open(onFailed)).topic(topic, { codec: bytes })
      return { schedule: (deliverMs) => void producer.send(body, { deliverAt: deliverMs }).then(onScheduled, onFailed) }
    },
    async openDueConsumer({ topic, onMessage, onFailed }) {
      const consumer = (await open(onFailed)).topic(topic, { codec: bytes }).consume({ group: 'bench', prefetch })
      const handle = ({ body, deliverMs, storedMs }: Message<Uint8Array>): void =>
        onMessage(body.length, deliverMs ?? Number.NaN, storedMs)
      consumer.run(handle).catch(onFailed)
      await consumer.subscribed
    },
  }
}

/** A transaction for each send: its half message, and the commit once that is stored. */
async function openTransactions(client: Client, options: ProducerOptions): Promise<Producer> {
  const { body, onAcknowledged, onFailed } = options
  const topic = client.topic(options.topic, { codec: bytes })
  const producer = client.transactions({ producerGroup: 'bench', check: () => 'unknown' })
  await producer.registered
  return {
    send() {
      const transaction = producer.begin()
      transaction.send(topic, body).catch(onFailed)
      transaction.commit().then(onAcknowledged, onFailed)
    },
  }
}

/** A producer for each send under way, so that none travels with another: as many calls as there are messages. */
function openCalls(client: Client, { topic, body, onAcknowledged, onFailed }: ProducerOptions): Producer {
  const create = () => client.topic(topic, { codec: bytes })
  const free: ReturnType<typeof create>[] = []
  return {
    send() {
      const producer = free.pop() ?? create()
      const onAnswered = (): void => {
        free.push(producer)
        onAcknowledged()
      }
      producer.send(body).then(onAnswered, onFailed)
    },
  }
}
