// The promise that `ack()`, `run()` and their like give: it may be left alone. If it fails and nobody ever asked, the
// failure is reported instead of becoming an unhandled rejection.

import type { PocketError } from '../errors.ts'

type Report = (error: PocketError) => void

/** What `then` gives is a plain promise. */
export class SettlePromise extends Promise<void> {
  #isHeard = false
  readonly #report: Report
  readonly #resolve: () => void
  readonly #reject: (error: PocketError) => void

  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** `report` gets the failure that nobody asked for. */
  constructor(report: Report) {
    // A promise runs its executor at once.
    let succeed: () => void = ignore
    let fail: (error: PocketError) => void = ignore
    super((resolve, reject) => {
      succeed = resolve
      fail = reject
    })
    this.#report = report
    this.#resolve = succeed
    this.#reject = fail
  }

  succeed(): void {
    this.#resolve()
  }

  fail(error: PocketError): void {
    this.#reject(error)
    super.then(undefined, ignore)
    void this.#reportIfUnheard(error)
  }

  // eslint-disable-next-line unicorn/no-thenable -- it is a promise, and has to know whether it is awaited
  override then<A = void, B = never>(
    fulfilled?: ((value: void) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#isHeard = true
    return super.then(fulfilled, rejected)
  }

  async #reportIfUnheard(error: PocketError): Promise<void> {
    // `await` on a subclass calls `then` some microtasks later.
    for (let turn = 0; turn < 4; turn++) await undefined
    if (!this.#isHeard) this.#report(error)
  }
}

function ignore(): void {}
