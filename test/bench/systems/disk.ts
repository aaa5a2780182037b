// The limit of the disk: append and `fdatasync`, nothing else. No system that syncs before it acks gets past it.

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { Latencies } from '../latency.ts'
import { startStopwatch } from '../stopwatch.ts'
import { lightLoadIntervalMs } from '../scenarios/light-load.ts'
import type { BareLimit } from './system.ts'
import type { Figures } from '../figures.ts'
import type { Load } from '../job.ts'

/** How many messages one sync covers in the bare limits: about what a turn of a busy broker brings together. */
export const limitBatchCount = 256

export const disk: BareLimit = {
  kind: 'limit',
  name: 'disk',
  title: 'disk: append + fdatasync',
  durability: `synced, ${limitBatchCount} messages a sync in durable-queue, one in light-load`,
  scenarios: ['durable-queue', 'light-load'],
  measures: { 'durable-queue': measureAppends, 'light-load': measureSyncs },
}

async function measureAppends({ job, pace, body }: Load): Promise<Figures> {
  const log = await open(join(job.folder, 'log'), 'a')
  const batch = Buffer.concat(Array.from({ length: limitBatchCount }, () => body))
  const append = async (durationMs: number): Promise<number> => {
    let messageCount = 0
    for (const endsAt = performance.now() + durationMs; performance.now() < endsAt; ) {
      await log.write(batch)
      await log.datasync()
      messageCount += limitBatchCount
    }
    return messageCount
  }
  await append(pace.warmUpMs)
  const stopwatch = startStopwatch(undefined)
  const figures = stopwatch.stop(await append(pace.measureMs))
  await log.close()
  return figures
}

async function measureSyncs({ job, pace, body }: Load): Promise<Figures> {
  const log = await open(join(job.folder, 'log'), 'a')
  const latencies = new Latencies({ sampleEvery: 1 })
  const append = async (durationMs: number): Promise<void> => {
    for (const endsAt = performance.now() + durationMs; performance.now() < endsAt; ) {
      const startedAt = performance.now()
      await log.write(body)
      await log.datasync()
      latencies.add(performance.now() - startedAt)
      await delay(Math.max(0, lightLoadIntervalMs - (performance.now() - startedAt)))
    }
  }
  await append(pace.warmUpMs)
  latencies.clear()
  await append(pace.measureMs)
  await log.close()
  return latencies.figures()
}
