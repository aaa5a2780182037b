// What a filter costs per message, measured in the load process itself: there is no server in it.

import type { Scenario } from './scenario.ts'

export const filterCost: Scenario = {
  name: 'filter-cost',
  title: 'filter cost: one filter against one stored message, of tags and of SQL with 3 terms; no server, no network',
  bodySizes: [0],
  figures: ['tagMicros', 'sqlMicros'],
  anchors: [],
  measure() {
    throw new Error('filters are measured without a server')
  },
}
