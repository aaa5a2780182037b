// Bugs that a test puts into the simulated world, to know that its checkers would find them. Each stands for a mistake
// that a broker, its store, a session or a transport could really make. They are switched on by name and never by a seed.

import type { PlantedBug } from './planted-bug.ts'
import { plantedDoors } from './planted-doors.ts'
import { plantedLater } from './planted-later.ts'
import { plantedStores } from './planted-stores.ts'

const plantedTransports = {
  'frame-repeated': {
    text: 'the transport delivers a message twice',
    plant: (random) => ({ mishapOf: (direction) => (direction === 'down' && random.chance(0.01) ? 'repeat' : 'none') }),
  },
  'frame-overtakes': {
    text: 'the transport lets a message overtake another',
    plant: (random) => ({ mishapOf: (direction) => (direction === 'down' && random.chance(0.1) ? 'swap' : 'none') }),
  },
  'frame-swallowed': {
    text: 'the transport loses a message and keeps the connection',
    plant: (random) => ({ mishapOf: (direction) => (direction === 'up' && random.chance(0.01) ? 'swallow' : 'none') }),
  },
} satisfies Record<string, PlantedBug>

const bugs = { ...plantedStores, ...plantedDoors, ...plantedLater, ...plantedTransports }

export type PlantedBugName = keyof typeof bugs

export const plantedBugs: Readonly<Record<PlantedBugName, PlantedBug>> = bugs
