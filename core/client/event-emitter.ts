// Listeners of a client. One that throws disturbs neither the others nor whatever happened.

import type { Log } from '../ports/log.ts'
import { toPocketError } from '../errors.ts'
import type { ClientEvents } from './api.ts'

type Listener<E extends keyof ClientEvents> = (event: ClientEvents[E]) => void

export class EventEmitter {
  readonly #log: Log
  readonly #listeners: { readonly [E in keyof ClientEvents]: Set<Listener<E>> } = {
    gap: new Set(),
    link: new Set(),
    error: new Set(),
  }

  constructor(log: Log) {
    this.#log = log
  }

  /** The function given takes the listener away again. A listener added twice is called twice. */
  on<E extends keyof ClientEvents>(event: E, listener: Listener<E>): () => void {
    const own: Listener<E> = (detail) => listener(detail)
    this.#listeners[event].add(own)
    return () => this.#listeners[event].delete(own)
  }

  emit<E extends keyof ClientEvents>(event: E, detail: ClientEvents[E]): void {
    for (const listener of [...this.#listeners[event]]) {
      try {
        listener(detail)
      } catch (thrown) {
        this.#log.error('a listener threw', { event, error: toPocketError(thrown).message })
      }
    }
  }

  /** Something failed that no call was waiting for. Where nobody listens either, the log says it. */
  fail(error: ClientEvents['error']): void {
    if (this.#listeners.error.size === 0) {
      this.#log.error('unheard failure', { code: error.code, error: error.message })
    }
    this.emit('error', error)
  }
}
