// A dialler that can be switched off: what is connected is cut, and nothing connects until it is switched on again. For
// people who want to work offline, and for applications that show what happens then.

import type { Connection, Dialler } from '../../core/ports/transport.ts'

/** Ended without a close frame (RFC 6455 §7.4.1): as a network that is gone looks. */
const abnormalClosure = 1006
const reason = 'this device was told to be offline'

export class SwitchedDialler implements Dialler {
  readonly #dialler: Dialler
  readonly #cuts = new Set<() => void>()
  #isOffline = false

  constructor(dialler: Dialler) {
    this.#dialler = dialler
  }

  get isOffline(): boolean {
    return this.#isOffline
  }

  setOffline(isOffline: boolean): void {
    this.#isOffline = isOffline
    if (isOffline) for (const cut of [...this.#cuts]) cut()
  }

  dial(handler: Parameters<Dialler['dial']>[0]): Connection {
    let isOver = false
    const over = (code: number, text: string): void => {
      if (isOver) return
      isOver = true
      this.#cuts.delete(cut)
      handler.closed(code, text)
    }
    const connection = this.#isOffline ? unconnected : this.#dialler.dial({
      opened: () => {
        if (!isOver) handler.opened?.()
      },
      message: (bytes) => {
        if (!isOver) handler.message(bytes)
      },
      drained: () => {
        if (!isOver) handler.drained?.()
      },
      closed: over,
    })
    const cut = (): void => {
      connection.close(1000, reason)
      // Never from within a call of the connection's user.
      queueMicrotask(() => over(abnormalClosure, reason))
    }
    this.#cuts.add(cut)
    if (this.#isOffline) cut()
    return connection
  }
}

/** Where there is no connection. */
const unconnected: Connection = {
  bufferedBytes: 0,
  peer: 'offline',
  send: () => {},
  pause: () => {},
  resume: () => {},
  close: () => {},
}
