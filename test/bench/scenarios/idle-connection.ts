// What a connection that does nothing costs the server in memory.

import { setTimeout as delay } from 'node:timers/promises'

import { openMany } from './scenario.ts'
import { readProcessUsage } from '../process-usage.ts'
import type { Figures } from '../figures.ts'
import type { Scenario, ServedLoad } from './scenario.ts'

/** Opened first and kept, so that code loaded and heap grown for the first connections are not counted. */
const warmUpCount = 200
const settlePollMs = 250
const settleMsMax = 2500

export const idleConnection: Scenario = {
  name: 'idle-connection',
  title: 'idle connections: growth of the server per connection',
  bodySizes: [100],
  figures: ['connectionKib', 'rssMib'],
  anchors: [{ system: 'ws', figure: 'connectionKib' }],
  measure,
}

async function measure({ client, server, pace }: ServedLoad): Promise<Figures> {
  await openMany(warmUpCount, client.openIdle)
  const before = await readSettledRssBytes()
  await openMany(pace.idleConnectionCount, client.openIdle)
  const after = await readSettledRssBytes()
  if (before === undefined || after === undefined) return {}
  return { connectionKib: (after - before) / 1024 / pace.idleConnectionCount, rssMib: after / 2 ** 20 }

  /** Reads until two readings in a row lie within 1 %. */
  async function readSettledRssBytes(): Promise<number | undefined> {
    let last = readProcessUsage(server.pid)?.rssBytes
    for (const endsAt = performance.now() + settleMsMax; performance.now() < endsAt; ) {
      await delay(settlePollMs)
      const next = readProcessUsage(server.pid)?.rssBytes
      if (last === undefined || next === undefined || Math.abs(next - last) < next / 100) return next
      last = next
    }
    return last
  }
}
