// One member of a group as a process of its own: flights.ts starts three of these and kills one of them. It tells its
// parent what it sees; the parent keeps the books.

import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../server/connect.ts' // in a project of yours: from 'pocketmq'
import type { Message } from '../../core/client/api.ts'
import type { Flight } from './flights-data.ts'
import { nowMs, type TimedEvent } from './flights-journal.ts'

const [url = '', topic = '', group = '', member = ''] = process.argv.slice(2)
/** Handling takes a moment, so that there is something in hand when a process dies. */
const handlingMs = 1

const client = await connect(url, { name: member })
const consumer = client.topic<Flight>(topic).consume({ group, lease: '2s', from: 'latest' })
await consumer.subscribed
process.once('message', () => void consumer.close())
process.once('disconnect', () => process.exit())
process.send?.('ready')

for await (const message of consumer) void handle(message)

await client.close()
process.send?.('left', () => process.disconnect())

/** Many at once, but one at a time of each origin: the next comes when this one is acked. */
async function handle(message: Message<Flight>): Promise<void> {
  const receipt = { message: message.value.number, group, member, attempt: message.attempt }
  const tell = (kind: 'delivered' | 'acking' | 'consumed' | 'lease-lost') => {
    process.send?.({ kind, ...receipt, atMs: nowMs() } satisfies TimedEvent)
  }
  tell('delivered')
  await sleep(handlingMs)
  tell('acking')
  await message.ack().then(() => tell('consumed'), () => tell('lease-lost'))
}
