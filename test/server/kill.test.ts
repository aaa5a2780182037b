// The promise of the product, against the real thing: a relay on LMDB that dies without a word, again and again, in
// the middle of load. What the applications saw is judged by test/checkers.

import { afterEach, expect, test } from 'vitest'
import type { Client, GroupDetail } from '../../core/client/api.ts'
import { createClient } from '../../core/client/client.ts'
import { createSystemClock, createSystemRandom } from '../../server/system.ts'
import { createWsDialler } from '../../server/ws-dialler.ts'
import { findAttemptsNotCounted } from '../checkers/attempts.ts'
import { countDuplicates } from '../checkers/duplicates.ts'
import { findLost, type IsMeant } from '../checkers/no-loss.ts'
import { findOrderViolations } from '../checkers/order.ts'
import { findPhantoms } from '../checkers/phantom.ts'
import { RelayProcess } from '../support/relay-process.ts'
import { KillLoad } from './kill-load.ts'

const killCount = 20
const messageGroupCount = 12
const poisonNames = ['poison-0', 'poison-1', 'poison-2']

/** Leases of deliveries that died with a connection end soon, so that the test does. */
const lease = '1s'

const backlogOf = ({ queues }: GroupDetail) => queues.reduce((sum, queue) => sum + queue.backlog, 0)
const isOf = (topic: string): IsMeant => (sent) => sent.topic === topic

/** Its dice give it short waits. A relay that dies twice a second would make other clients wait longer each time. */
function createImpatientClient(url: string, name: string): Client {
  const clock = createSystemClock()
  const { next, bytes } = createSystemRandom()
  const dialler = createWsDialler({ url, clock })
  return createClient({ dialler, clock, random: { next: () => next() / 100, bytes } }, { name })
}

const clients: Client[] = []

afterEach(async () => {
  await Promise.allSettled(clients.splice(0).map((client) => client.close()))
})

test(`${killCount} kills under load lose nothing acknowledged; order and attempts hold`, { timeout: 180_000 }, run)

async function run(): Promise<void> {
  await using relay = await RelayProcess.start()
  const load = new KillLoad()
  const newClient = async (name: string) => {
    const client = createImpatientClient(relay.url, name)
    clients.push(client)
    await client.connected
    return client
  }

  const producer = await newClient('producer')
  await producer.admin.createTopic('orders', { queueCount: 4, messageType: 'FIFO' })
  await producer.admin.createTopic('events', { queueCount: 4, messageType: 'NORMAL' })
  await producer.admin.createTopic('poison', { queueCount: 1, messageType: 'NORMAL' })
  await producer.admin.configureGroup('stubborn', { maxAttempts: 1_000, retry: ['100ms'] })

  const customerOf = (index: number) => `customer-${(index * 7) % messageGroupCount}`
  const sendOrder = load.produce(producer.topic('orders'), 200, customerOf)
  const sendEvent = load.produce(producer.topic('events'), 200)
  for (const name of poisonNames) load.send(producer.topic('poison'), name)

  const running = await Promise.all(['anna', 'ben'].map(async (member) => {
    const client = await newClient(member)
    const orders = client.topic<{ name: string }>('orders').consume({ group: 'till', lease })
    const events = client.topic<{ name: string }>('events').consume({ group: 'log', lease })
    await Promise.all([orders.subscribed, events.subscribed])
    return [load.consume(orders, 'till', member, sendOrder), load.consume(events, 'log', member, sendEvent)]
  }))
  const cleo = await newClient('cleo')
  const stubborn = cleo.topic<{ name: string }>('poison').consume({ group: 'stubborn', lease })
  running.push([load.fail(stubborn, 'stubborn', 'cleo')])

  for (let kill = 0; kill < killCount; kill++) {
    // A different point of the load each time, and never between two turns of this process only.
    const goal = load.consumedCount + 200 + ((kill * 97) % 601)
    await load.until(() => load.consumedCount >= goal)
    load.killed()
    await relay.kill()
    await relay.start()
  }

  await load.stop()
  for (const group of ['till', 'log']) {
    await expect.poll(async () => backlogOf(await producer.admin.describeGroup(group)), { timeout: 30_000 }).toBe(0)
  }
  const countsBefore = new Map(poisonNames.map((name) => [name, load.deliveryCountOf(name)]))
  await load.until(() => [...countsBefore].every(([name, count]) => load.deliveryCountOf(name) > count))

  expect(load.refusals).toEqual([])
  for (const [group, topic] of [['till', 'orders'], ['log', 'events']] as const) {
    expect(findLost(load.history, group, isOf(topic))).toEqual([])
    expect(findPhantoms(load.history, group, isOf(topic))).toEqual([])
    expect(findAttemptsNotCounted(load.history, group)).toEqual([])
    expect(countDuplicates(load.history, group).unjustified).toEqual([])
  }
  expect(findOrderViolations(load.history, 'till')).toEqual([])
  expect(findAttemptsNotCounted(load.history, 'stubborn')).toEqual([])
  expect(countDuplicates(load.history, 'stubborn').unjustified).toEqual([])

  await Promise.all(clients.splice(0).map((client) => client.close()))
  await Promise.all(running.flat())
}
