// The heart of durability: what arrives in one turn of the event loop becomes one commit, and nothing that follows from
// it leaves the broker before that commit is durable. One commit is in flight; what arrives meanwhile is the next turn.
//
//   touch ──> (defer) ──> prepare: logs are sealed, messages handed out, progress written
//                              │
//                              ├── writes ──> commit ── durable ──> effects, in order ──> released
//                              │                  └──── otherwise ──> failed: no effect ever runs
//                              └── none ────────────────────────────> effects, in order ──> released
//
// A commit is strict unless everything in its turn, each write and each effect, was said to be relaxed.

import { assert } from '../assert.ts'
import { PocketError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { CommitOutcome, Store, StoreWrite } from '../ports/store.ts'

export interface TurnDeps {
  readonly store: Store
  readonly clock: Clock
  /** Adds to the writes and effects of the turn that is about to end. */
  readonly prepare: (writes: StoreWrite[]) => void
  /** The turn's writes are durable. Runs before its effects. */
  readonly committed: (writeCount: number) => void
  /** A turn's effects have run: what they put into outboxes can be sent. */
  readonly released: () => void
  /** A commit was not durable: the broker must stop and be opened anew. */
  readonly failed: (error: PocketError) => void
}

export class Turn {
  readonly #deps: TurnDeps
  #writes: StoreWrite[] = []
  #effects: (() => void)[] = []
  /** Of the writes and of the effects, so many were said to be relaxed. */
  #relaxedWriteCount = 0
  #relaxedEffectCount = 0
  #scheduled = false
  /** Something came in that the turn in flight does not hold. */
  #touched = false
  #committing = false
  #stopped = false
  #idleWaiters: (() => void)[] = []

  constructor(deps: TurnDeps) {
    this.#deps = deps
  }

  get isStopped(): boolean {
    return this.#stopped
  }

  /** Something changed: the turn will end after what the platform has ready. */
  touch(): void {
    if (this.#scheduled || this.#stopped) return
    this.#touched = true
    if (this.#committing) return
    this.#scheduled = true
    this.#deps.clock.defer(this.#end)
  }

  /** Part of the commit of this turn; `isRelaxed`: of a topic whose messages a power cut may take. */
  write(key: Uint8Array, value: Uint8Array | null, isRelaxed = false): void {
    this.#writes.push({ key, value })
    if (isRelaxed) this.#relaxedWriteCount++
    this.touch()
  }

  /** Of the writes that `prepare` has added, so many more are relaxed. */
  relax(writeCount: number): void {
    this.#relaxedWriteCount += writeCount
  }

  /**
   * Runs after the commit of this turn, in the order given; never if that commit fails. `isRelaxed`: what it tells may be
   * undone by a power cut.
   */
  after(effect: () => void, isRelaxed = false): void {
    this.#effects.push(effect)
    if (isRelaxed) this.#relaxedEffectCount++
    this.touch()
  }

  /** Resolves when nothing is left to commit or to tell; at once where that is so, or where the turn has stopped. */
  idle(): Promise<void> {
    if (this.#stopped || this.#isIdle) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  /** No further turn ends and no effect runs. */
  stop(): void {
    this.#stopped = true
    this.#effects = []
    this.#writes = []
    this.#tellIdle()
  }

  get #isIdle(): boolean {
    return !this.#scheduled && !this.#committing && !this.#touched
  }

  readonly #end = (): void => {
    this.#scheduled = false
    if (this.#committing || this.#stopped) return
    this.#touched = false
    this.#deps.prepare(this.#writes)
    const writes = this.#writes
    const effects = this.#effects
    assert(this.#relaxedWriteCount <= writes.length, 'only writes of the turn are relaxed')
    const isRelaxed = this.#relaxedWriteCount === writes.length && this.#relaxedEffectCount === effects.length
    this.#writes = []
    this.#effects = []
    this.#relaxedWriteCount = 0
    this.#relaxedEffectCount = 0
    if (writes.length === 0) {
      this.#release(effects)
      return
    }
    this.#committing = true
    this.#deps.store.commit(writes, (outcome) => {
      this.#committing = false
      if (this.#stopped) return
      if (outcome.kind !== 'durable') {
        this.stop()
        this.#deps.failed(commitError(outcome))
        return
      }
      this.#deps.committed(writes.length)
      this.#release(effects)
    }, { isRelaxed })
  }

  #release(effects: readonly (() => void)[]): void {
    for (const effect of effects) effect()
    if (effects.length > 0) this.#deps.released()
    if (this.#touched) this.touch()
    if (this.#isIdle) this.#tellIdle()
  }

  #tellIdle(): void {
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const resolve of waiters) resolve()
  }
}

function commitError(outcome: Exclude<CommitOutcome, { kind: 'durable' }>): PocketError {
  if (outcome.kind === 'not-written' && outcome.reason === 'full') {
    return new PocketError('STORE_FULL', 'the store has no room for the commit', { cause: outcome.cause })
  }
  return new PocketError('STORE_FAILED', `a commit ended ${outcome.kind}`, { cause: outcome.cause })
}
