// How requests end: what a decision throws is its answer, and every answer waits for its turn's commit.

import { PocketError, toPocketError } from '../errors.ts'
import type { Answer } from './door.ts'
import type { Turn } from './turn.ts'

export class Answering {
  readonly #turn: Turn

  constructor(turn: Turn) {
    this.#turn = turn
  }

  /** Runs `decide`; a PocketError it throws is the answer, told with this turn, and `refused` is called. */
  deciding<T>(answer: Answer<T>, decide: () => void, refused?: () => void): void {
    try {
      decide()
    } catch (error) {
      if (!(error instanceof PocketError)) throw error
      refused?.()
      this.#turn.after(() => answer(error))
    }
  }

  /** Goes on with `proceed` once a value is found, at once where it needed no search. */
  whenFound<V, T>(found: V | Promise<V>, answer: Answer<T>, proceed: (value: V) => void): void {
    if (!(found instanceof Promise)) return proceed(found)
    found.then(
      (value) => this.deciding(answer, () => proceed(value)),
      (error: unknown) => this.#turn.after(() => answer(toPocketError(error))),
    )
  }
}
