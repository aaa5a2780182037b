// Feeds messages to a handler: as many at once as allowed, and in one go while the handler is synchronous, without a
// promise per message. It yields so that a busy handler does not keep acks and heartbeats waiting.

import type { Clock } from '../ports/clock.ts'
import type { ReceivedMessage } from './message.ts'

/** A run of synchronous handlers lasts about so long before others get their turn. */
const turnMsMax = 8
/** Looks at the clock at least every so many messages. */
const unwatchedCountMax = 64

export interface MessageRunnerDeps<T> {
  readonly clock: Clock
  readonly handle: (message: ReceivedMessage<T>) => void | Promise<void>
  readonly concurrency: number
  /** Told now and then between messages: time may have passed. */
  readonly looked: () => void
  /** The next message, if there is one and it may be handed out. */
  readonly next: () => ReceivedMessage<T> | undefined
  /** The handler threw; the message is settled already. */
  readonly failed: (message: ReceivedMessage<T>, thrown: unknown) => void
}

export class MessageRunner<T> {
  readonly #deps: MessageRunnerDeps<T>
  #activeCount = 0
  #isPumping = false
  #isYielding = false
  #idle: (() => void) | undefined

  constructor(deps: MessageRunnerDeps<T>) {
    this.#deps = deps
  }

  /** Handlers that have not come to their end. */
  get activeCount(): number {
    return this.#activeCount
  }

  /** Calls `idle` once no handler runs any more. */
  whenIdle(idle: () => void): void {
    if (this.#activeCount === 0) idle()
    else this.#idle = idle
  }

  /** There may be messages to hand out. */
  pump(): void {
    if (this.#isPumping || this.#isYielding) return
    this.#isPumping = true
    try {
      this.#run()
    } finally {
      this.#isPumping = false
    }
  }

  #run(): void {
    const { clock, concurrency, next, looked } = this.#deps
    if (this.#activeCount >= concurrency) return
    looked()
    let message = next()
    if (message === undefined) return
    const startMs = clock.monotonic()
    let lookedMs = startMs
    // Doubles while the handler is quick, so that the quickest hardly ever pay for the clock.
    let unwatchedCount = 1
    let sinceLook = 0
    while (message !== undefined) {
      this.#handle(message)
      if (this.#activeCount >= concurrency) return
      if (++sinceLook >= unwatchedCount) {
        const nowMs = clock.monotonic()
        if (nowMs - startMs >= turnMsMax) return this.#yield()
        unwatchedCount = nowMs - lookedMs < 1 ? Math.min(unwatchedCount * 2, unwatchedCountMax) : 1
        lookedMs = nowMs
        sinceLook = 0
        looked()
      }
      message = next()
    }
  }

  #handle(message: ReceivedMessage<T>): void {
    let result: void | Promise<void>
    try {
      result = this.#deps.handle(message)
    } catch (thrown) {
      return this.#failed(message, thrown)
    }
    if (!isThenable(result)) return message.handled()
    this.#activeCount++
    result.then(
      () => {
        message.handled()
        this.#ended()
      },
      (thrown: unknown) => {
        this.#failed(message, thrown)
        this.#ended()
      },
    )
  }

  #failed(message: ReceivedMessage<T>, thrown: unknown): void {
    message.failed()
    this.#deps.failed(message, thrown)
  }

  #ended(): void {
    this.#activeCount--
    if (this.#activeCount === 0) {
      this.#idle?.()
      this.#idle = undefined
    }
    this.pump()
  }

  #yield(): void {
    this.#isYielding = true
    this.#deps.clock.defer(() => {
      this.#isYielding = false
      this.pump()
    })
  }
}

function isThenable(value: unknown): value is PromiseLike<void> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
