// Parts of PocketMQ called in the load process itself, without relay, store or network.

import { measureFilterCost } from '../filter-cost.ts'
import type { BareLimit } from './system.ts'

export const inProcess: BareLimit = {
  kind: 'limit',
  name: 'in-process',
  title: 'PocketMQ in process',
  durability: 'the code of the relay alone; nothing is stored',
  scenarios: ['filter-cost'],
  measures: { 'filter-cost': async () => ({ ...measureFilterCost() }) },
}
