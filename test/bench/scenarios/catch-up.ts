// A reader comes to a topic with a stored backlog and reads all of it. The server was started anew on the stored
// data, so what it kept in memory while storing does not help it; the system's page cache does, for all alike.

import { startStopwatch } from '../stopwatch.ts'
import { topicName } from './scenario.ts'
import type { Figures } from '../figures.ts'
import type { Scenario, ServedLoad } from './scenario.ts'

export const catchUp: Scenario = {
  name: 'catch-up',
  title: 'catch-up: one reader reads a stored backlog from its first message',
  bodySizes: [100],
  figures: ['messagesPerSecond', 'serverMicros', 'rssMib', 'loadPercent'],
  anchors: [
    { system: 'jetstream', figure: 'messagesPerSecond' },
    { system: 'lmdb', figure: 'messagesPerSecond' },
  ],
  readsBacklog: true,
  measure,
}

async function measure({ client, server, job, pace }: ServedLoad): Promise<Figures> {
  const { openReader } = client
  if (openReader === undefined) throw new Error(`${job.system} reads no backlog`)
  const readMsMax = pace.drainMsMax * 4
  const stopwatch = startStopwatch(server.pid)
  let readCount = 0
  await new Promise<void>((resolve, reject) => {
    const giveUp = (): void => reject(new Error(`read ${readCount} of ${pace.backlogCount} within ${readMsMax} ms`))
    const timer = setTimeout(giveUp, readMsMax)
    const onMessage = (length: number): void => {
      readCount += 1
      if (length !== job.bodyBytes) reject(new Error(`a body of ${length} bytes arrived`))
      if (readCount !== pace.backlogCount) return
      clearTimeout(timer)
      resolve()
    }
    openReader({ topic: topicName, onMessage, onFailed: reject }).catch(reject)
  })
  return stopwatch.stop(readCount)
}
