// How much room the browser gives this origin, asked now and then. In between, what was written since counts as used. An
// estimate may be far too good (Chromium's says used and 10 GiB, whatever there is): once a write was refused, there is no
// room until the ballast is aboard again.

import type { StoreSpace } from '../../core/ports/store.ts'
import type { Ballast } from './ballast.ts'

/** How old what is known may be before it is asked anew, and how much may be written meanwhile. */
const ageMsMax = 10_000
/** The same while nothing can be stored. */
const fullAgeMsMax = 2_000
const writtenBytesMax = 64 * 1024 * 1024
/** So much must be free beside the ballast, or what was thrown overboard would be taken aboard at once. */
const freeBytesMin = 4 * 1024 * 1024

export interface StorageRoomOptions {
  /** `navigator.storage`; undefined where there is none (pages that are not served over TLS). */
  readonly storage: Pick<StorageManager, 'estimate'> | undefined
  readonly clock: { monotonic(): number }
  readonly ballast: Ballast
}

export class StorageRoom {
  readonly #storage: Pick<StorageManager, 'estimate'> | undefined
  readonly #clock: { monotonic(): number }
  readonly #ballast: Ballast
  #usedBytes = 0
  #quotaBytes = Infinity
  #writtenBytes = 0
  #askedAtMs = -Infinity
  #isAsking = false
  /** The ballast was, when it was looked for. */
  #isAboard = false
  /** A write was refused for want of room; what the browser estimates is then not to be believed. */
  #isFull = false

  constructor({ storage, clock, ballast }: StorageRoomOptions) {
    this.#storage = storage
    this.#clock = clock
    this.#ballast = ballast
  }

  /** Looks whether the ballast is aboard, of which `begin` then knows. */
  async look(): Promise<void> {
    this.#isAboard = await this.#ballast.isAboard()
  }

  /** Before anything is written. `isNew`: the device has kept nothing yet, so that there is room if there ever was. */
  async begin(isNew: boolean): Promise<void> {
    if (!this.#isAboard) await this.#takeBallast(isNew ? 0 : freeBytesMin)
    void this.ask()
  }

  space(): StoreSpace {
    const askedAgoMs = this.#clock.monotonic() - this.#askedAtMs
    if (askedAgoMs > (this.#isFull ? fullAgeMsMax : ageMsMax)) void this.ask()
    const usedBytes = this.#usedBytes + this.#writtenBytes
    return { usedBytes, freeBytes: this.#isFull ? 0 : Math.max(0, this.#quotaBytes - usedBytes) }
  }

  wrote(bytes: number): void {
    this.#writtenBytes += bytes
    if (this.#writtenBytes > writtenBytesMax) void this.ask()
  }

  /** A write was refused. Resolves when there is room again for what has to be written. */
  isFull(): Promise<void> {
    this.#isFull = true
    return this.#ballast.drop()
  }

  /** Asks the browser. Where it does not say, nothing is known to be full. */
  async ask(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    this.#askedAtMs = this.#clock.monotonic()
    const writtenBefore = this.#writtenBytes
    try {
      if (this.#isFull) await this.#takeBallast(freeBytesMin)
      if (this.#storage === undefined) return
      const { usage = 0, quota = Infinity } = await this.#storage.estimate()
      this.#usedBytes = usage
      this.#quotaBytes = quota
      this.#writtenBytes -= writtenBefore
    } catch {
      // Not permitted here: as if it were not there.
    } finally {
      this.#isAsking = false
    }
  }

  async #takeBallast(besideBytes: number): Promise<void> {
    this.#isFull = !(await this.#ballast.isAboard() || await this.#ballast.take(besideBytes))
  }
}
