// Wall clock, CPU of the server and CPU of this process over the same stretch. Runs in the load process.

import { readProcessUsage } from './process-usage.ts'
import type { Figures } from './figures.ts'

export interface Stopwatch {
  /** Stops, and states the figures for that many messages. Call once. */
  stop(messageCount: number): Figures
}

/** Starts measuring. Without a `serverPid` the work is done in this process, and its own CPU time is the server's. */
export function startStopwatch(serverPid: number | undefined): Stopwatch {
  const before = serverPid === undefined ? undefined : readProcessUsage(serverPid)
  const loadBefore = process.cpuUsage()
  const startedAt = performance.now()
  return {
    stop(messageCount) {
      const elapsedMs = performance.now() - startedAt
      const load = process.cpuUsage(loadBefore)
      const loadMs = (load.user + load.system) / 1000
      const messagesPerSecond = (messageCount / elapsedMs) * 1000
      if (serverPid === undefined) {
        const rssMib = process.memoryUsage.rss() / 2 ** 20
        return { messagesPerSecond, serverMicros: (loadMs * 1000) / messageCount, rssMib }
      }
      const loadPercent = (loadMs / elapsedMs) * 100
      const after = readProcessUsage(serverPid)
      if (before === undefined || after === undefined) return { messagesPerSecond, loadPercent }
      return {
        messagesPerSecond,
        serverMicros: ((after.cpuMs - before.cpuMs) * 1000) / messageCount,
        rssMib: after.rssBytes / 2 ** 20,
        loadPercent,
      }
    },
  }
}
