// What a bug that a test puts into the simulated world can stand between. Planted once per world: what it remembers
// outlives the relay's restarts, if it likes.

import type { BrokerDoor } from '../../core/broker/door.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Store } from '../../core/ports/store.ts'
import type { Mishap } from './sim-network.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimStoreFaults } from './sim-store.ts'

export interface PlantedBug {
  /** What is wrong, for people. */
  readonly text: string
  /** Set for the whole run. */
  readonly diskFaults?: Partial<SimStoreFaults>
  /** Puts it into one world. */
  readonly plant?: (random: SimRandom) => Interference
}

/** Called at each opening of the relay, with its process's clock; the network's once. */
export interface Interference {
  /** Stands between broker and disk. */
  readonly wrapStore?: (store: Store, clock: Clock) => Store
  /** Stands between sessions and broker. */
  readonly wrapDoor?: (door: BrokerDoor, clock: Clock) => BrokerDoor
  /** The broker's view of time. */
  readonly wrapClock?: (clock: Clock) => Clock
  /** What becomes of a message on its way. */
  readonly mishapOf?: (direction: 'up' | 'down', bytes: Uint8Array) => Mishap
}
