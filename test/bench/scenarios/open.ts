// How long a server takes to come up on a stored backlog, and what it then holds in memory. The time is taken where
// servers are started, for every one of them; here the memory is read.

import { readProcessUsage } from '../process-usage.ts'
import type { Figures } from '../figures.ts'
import type { Scenario, ServedLoad } from './scenario.ts'

export const openStore: Scenario = {
  name: 'open',
  title: 'open: start of the process to ready, on a stored backlog',
  bodySizes: [100],
  figures: ['openMs', 'rssMib'],
  anchors: [],
  readsBacklog: true,
  measure,
}

async function measure({ server }: ServedLoad): Promise<Figures> {
  const usage = readProcessUsage(server.pid)
  return { openMs: server.startedInMs, ...(usage && { rssMib: usage.rssBytes / 2 ** 20 }) }
}
