// What the engine keeps on this device, as stores of the core's port: three of them in one database, so that the relay's
// layout, the outbox and the device's own broker do not meet.

import type { Store } from '../../core/ports/store.ts'
import type { WireError } from '../port/port-protocol.ts'

/** All that one engine keeps. */
export interface DeviceStores {
  readonly kind: 'indexeddb' | 'memory'
  /** Why it is memory, where IndexedDB was asked for. */
  readonly error: WireError | undefined
  /** What was found to be gone at this opening; usually nothing. Absent is nothing. */
  readonly losses?: readonly StorageLoss[]
  /** The device's broker. */
  readonly device: Store
  /** Messages on their way to the relay. */
  readonly outbox: Store
  /** Copies of relay topics, in the relay's own layout; and where the device's readers stand. */
  readonly replica: Store
  /** Names the database from its creation on: another than the last time says that the browser has taken that one. */
  readonly generation?: string
  /** Of this opening; higher than of every opening before. A commit of an older one is refused by the database. */
  readonly epoch: number
  /** Ends all of them. Commits in flight are answered first. */
  close(): Promise<void>
}

/** Something the device had kept and has no more, or can't open. */
export interface StorageLoss {
  /**
   * `emptied`: the database had been there and was new: deleted, or taken by the browser to make room. `damaged`: the
   * browser can't open it any more; another has been begun beside it.
   */
  readonly reason: 'emptied' | 'damaged'
  /** Name of the database it was in. */
  readonly database: string
  readonly error?: WireError
}
