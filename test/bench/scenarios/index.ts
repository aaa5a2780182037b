// All scenarios, in the order in which they run and are shown.

import { catchUp } from './catch-up.ts'
import { delayed, delayedScattered } from './delayed.ts'
import { durableQueue } from './durable-queue.ts'
import { fanOut1000, fanOut50 } from './fan-out.ts'
import { filterCost } from './filter-cost.ts'
import { filteredQueue, messageGroups, tracedQueue, transactions } from './queue-features.ts'
import { idleConnection } from './idle-connection.ts'
import { lightLoad } from './light-load.ts'
import { openStore } from './open.ts'
import type { Scenario } from './scenario.ts'

export const scenarios: readonly Scenario[] = [
  durableQueue,
  fanOut50,
  fanOut1000,
  lightLoad,
  idleConnection,
  catchUp,
  openStore,
  delayed,
  delayedScattered,
  transactions,
  messageGroups,
  tracedQueue,
  filteredQueue,
  filterCost,
]
