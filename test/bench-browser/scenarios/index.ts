// The scenarios in the order in which they are run and told.

import type { Scenario } from '../scenario.ts'
import { memory } from './memory.ts'
import { catchUp, coldStart, tabToTab } from './reading.ts'
import { loneSend, send } from './sending.ts'

export const scenarios: readonly Scenario[] = [send, loneSend, tabToTab, catchUp, coldStart, memory]
