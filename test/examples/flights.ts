// Real flights through PocketMQ: `npm run example:flights` (`-- --url URL` for a relay that runs already).
//
// A producer sends 20,000 flights to the FIFO topic `flights`. Three members share them as the group `desks`, in
// order per origin airport; a board reads all of them along; a group takes the delayed ones only. In the middle the
// relay is killed and started again, and one member is killed for good. The closing table shows that nothing was lost.

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connect } from '../../server/connect.ts' // in a project of yours: from 'pocketmq'
import type { Client, PushConsumer } from '../../core/client/api.ts'
import { RelayProcess } from '../support/relay-process.ts'
import { type Flight, keyOf, loadFlights, tagOf } from './flights-data.ts'
import { Journal } from './flights-journal.ts'
import { Member } from './flights-processes.ts'
import { everyFlight, isDelayed, reportFlights } from './flights-report.ts'

const { values: options } = parseArgs({ options: { url: { type: 'string' }, count: { type: 'string' } } })
const [desks, board, delayDesk] = ['desks', 'board', 'delay-desk'] as const
const sendsPerSecond = 5_000
const patienceMs = 60_000

process.once('SIGINT', () => process.exit(130))

const flights = await loadFlights(options.count === undefined ? Infinity : Number(options.count))
const journal = new Journal()
const relay = options.url === undefined ? await RelayProcess.start() : undefined
const url = options.url ?? (relay as RelayProcess).url
console.log(relay === undefined ? `Using the relay at ${url}; it is not ours to kill.` : `Started a relay at ${url}.`)

const client = await connect(url, { name: 'flights example' })
await client.admin.createTopic('flights', { queueCount: 8, messageType: 'FIFO' })
const offsetSumBefore = await sumOffsets(client)
await skipOldBacklog(client)

const members = await Promise.all(['desk-1', 'desk-2', 'desk-3'].map((name) => {
  return Member.start(url, 'flights', desks, name, journal)
}))
const all = client.topic<Flight>('flights').consume({ group: board, mode: 'BROADCASTING', from: 'latest' })
const delayed = client.topic<Flight>('flights').consume({
  group: delayDesk, filter: 'delayed', lease: '2s', from: 'latest',
})
await Promise.all([all.subscribed, delayed.subscribed])
const reading = [readBoard(all), workOffDelays(delayed)]

const startedMs = Date.now()
const ticker = setInterval(() => console.log(progressLine()), 500)
await Promise.all([sendFlights(), restartRelayHalfWay(), killMemberHalfWay()])
await allConsumed()
clearInterval(ticker)
console.log(progressLine())

const storedCount = (await sumOffsets(client)) - offsetSumBefore
await Promise.all([...members.map((member) => member.leave()), all.close(), delayed.close()])
await Promise.all(reading)
await client.close()
await relay?.[Symbol.asyncDispose]()

const report = reportFlights(flights, journal.history(), storedCount, [
  { group: desks, mode: 'CLUSTERING', isMeant: everyFlight },
  { group: board, mode: 'BROADCASTING', isMeant: everyFlight },
  { group: delayDesk, mode: 'CLUSTERING', isMeant: isDelayed },
])
console.log(`\n${report.text}`)
process.exitCode = report.isRight ? 0 : 1

// The parts.

/** As a live feed: a handful every few milliseconds. What is in flight when the relay dies is sent again by itself. */
async function sendFlights(): Promise<void> {
  const topic = client.topic<Flight>('flights')
  const sends: Promise<void>[] = []
  for (const flight of flights) {
    journal.note({ kind: 'sent', message: flight.number, topic: 'flights', messageGroup: flight.origin })
    const receipt = topic.send(flight, { tag: tagOf(flight), keys: [keyOf(flight)], messageGroup: flight.origin })
    sends.push(receipt.then(() => journal.note({ kind: 'acknowledged', message: flight.number })))
    if (sends.length % (sendsPerSecond / 50) === 0) await Promise.all([topic.ready(), sleep(20)])
  }
  await Promise.all(sends)
}

/** BROADCASTING: sees every flight, acks nothing, resumes by itself where it stood. */
async function readBoard(consumer: PushConsumer<Flight>): Promise<void> {
  for await (const { value, attempt } of consumer) {
    journal.note({ kind: 'delivered', message: value.number, group: board, member: board, attempt })
  }
}

/** CLUSTERING with a filter: the relay sends the delayed flights only. */
async function workOffDelays(consumer: PushConsumer<Flight>): Promise<void> {
  for await (const message of consumer) {
    const receipt = { message: message.value.number, group: delayDesk, member: delayDesk, attempt: message.attempt }
    journal.note({ kind: 'delivered', ...receipt })
    journal.note({ kind: 'acking', ...receipt })
    message.ack().then(
      () => journal.note({ kind: 'consumed', ...receipt }),
      () => journal.note({ kind: 'lease-lost', ...receipt }),
    )
  }
}

async function restartRelayHalfWay(): Promise<void> {
  while (journal.storedCount < flights.length / 2) await sleep(5)
  if (relay === undefined) return
  console.log('Killing the relay (kill -9) and starting it again ...')
  journal.note({ kind: 'killed' })
  await relay.kill()
  await relay.start()
}

async function killMemberHalfWay(): Promise<void> {
  while (journal.handledCount(desks) < flights.length / 2) await sleep(5)
  console.log('Killing desk-2 (kill -9); the others take over what it had in hand ...')
  await members[1]?.kill()
}

/** No group has a backlog and the board has seen all; or patience has ended, and the table shows what is missing. */
async function allConsumed(): Promise<void> {
  const deadlineMs = Date.now() + patienceMs
  while (Date.now() < deadlineMs) {
    const backlogs = await Promise.all([desks, delayDesk].map((group) => backlogOf(client, group)))
    if (backlogs.every((backlog) => backlog === 0) && journal.handledCount(board) >= flights.length) return
    await sleep(100)
  }
  console.log(`Still not all consumed after ${patienceMs / 1000} s.`)
}

function progressLine(): string {
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1).padStart(5)
  const count = (value: number) => value.toLocaleString('en-US').padStart(6)
  const counts = [desks, board, delayDesk].map((group) => `${group} ${count(journal.handledCount(group))}`)
  return `${seconds} s   stored ${count(journal.storedCount)}   ${counts.join('   ')}`
}

async function sumOffsets({ admin }: Client): Promise<number> {
  const { queues } = await admin.describeTopic('flights')
  return queues.reduce((sum, queue) => sum + queue.maxOffset, 0)
}

async function backlogOf({ admin }: Client, group: string): Promise<number> {
  const { queues } = await admin.describeGroup(group)
  return queues.reduce((sum, queue) => sum + queue.backlog, 0)
}

/** On a relay that ran the example before, the groups exist: they pass over what an aborted run may have left. */
async function skipOldBacklog({ admin }: Client): Promise<void> {
  for (const { group } of await admin.listGroups()) {
    if (group === desks || group === delayDesk) await admin.resetGroup(group, 'flights', { to: 'latest' })
  }
}
