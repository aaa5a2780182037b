// A Store (ports/store.ts) in memory: nothing outlives the process, so its `durable` means "as durable as memory is".
// For tests and for relays started without a disk. Everything is answered in a later turn, through the clock.

import { assert } from '../assert.ts'
import { PocketError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { CommitOutcome, ReadOutcome, Store, StoreRange, StoreSpace, StoreWrite } from '../ports/store.ts'
import { OrderedMap } from './ordered-map.ts'
import { checkWrites } from './store-writes.ts'

export interface MemoryStoreOptions {
  readonly clock: Pick<Clock, 'defer'>
  /** Most bytes of keys and values; a commit that would grow beyond it is not written. No bound by default. */
  readonly capacityBytes?: number
}

export function createMemoryStore(options: MemoryStoreOptions): Store {
  return new MemoryStore(options)
}

class MemoryStore implements Store {
  readonly #clock: Pick<Clock, 'defer'>
  readonly #capacityBytes: number
  readonly #map = new OrderedMap()
  #isCommitting = false
  #pendingCount = 0
  #closing: Promise<void> | null = null
  #closed: () => void = () => {}

  constructor({ clock, capacityBytes = Infinity }: MemoryStoreOptions) {
    this.#clock = clock
    this.#capacityBytes = capacityBytes
  }

  read(range: StoreRange, answer: (outcome: ReadOutcome) => void): void {
    const isClosed = this.#closing !== null
    this.#later(() => answer(isClosed ? { kind: 'failed', cause: closedError() } : this.#readNow(range)))
  }

  commit(writes: readonly StoreWrite[], answer: (outcome: CommitOutcome) => void): void {
    assert(!this.#isCommitting, 'a commit is in flight already')
    const bytes = checkWrites(writes)
    const isClosed = this.#closing !== null
    this.#isCommitting = true
    this.#later(() => {
      this.#isCommitting = false
      answer(isClosed ? { kind: 'not-written', reason: 'error', cause: closedError() } : this.#commitNow(writes, bytes))
    })
  }

  space(): StoreSpace {
    const usedBytes = this.#map.bytes
    return { usedBytes, freeBytes: Math.max(0, this.#capacityBytes - usedBytes) }
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#closed = resolve
      if (this.#pendingCount === 0) resolve()
    })
    return this.#closing
  }

  #later(run: () => void): void {
    this.#pendingCount++
    this.#clock.defer(() => {
      this.#pendingCount--
      run()
      if (this.#pendingCount === 0) this.#closed()
    })
  }

  #readNow(range: StoreRange): ReadOutcome {
    const entries = this.#map.range(range).map(({ key, value }) => ({ key: copy(key), value: copy(value) }))
    return { kind: 'entries', entries }
  }

  #commitNow(writes: readonly StoreWrite[], bytes: number): CommitOutcome {
    // Near the bound a commit is counted as if it replaced nothing; deletes are let through, as they make room.
    const growsBy = writes.some(({ value }) => value !== null) ? bytes : 0
    if (growsBy > 0 && this.#map.bytes + growsBy > this.#capacityBytes) {
      const cause = new PocketError('STORE_FULL', `the store in memory is limited to ${this.#capacityBytes} bytes`)
      return { kind: 'not-written', reason: 'full', cause }
    }
    for (const { key, value } of writes) {
      if (value === null) this.#map.delete(key)
      else this.#map.set(copy(key), copy(value))
    }
    return { kind: 'durable' }
  }
}

/** Not `slice()`: on a Node Buffer, which is a Uint8Array too, that is a view. */
function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

function closedError(): PocketError {
  return new PocketError('CLOSED', 'the store is closed')
}
