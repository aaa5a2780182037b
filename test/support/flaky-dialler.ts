// A dialler whose connections a test can cut, as a network does: without a word, on both sides at once or on one.

import type { Connection, ConnectionHandler, Dialler } from '../../core/ports/transport.ts'

const abnormalClosure = 1006

interface Line {
  readonly connection: Connection
  readonly handler: ConnectionHandler
  /** `mute`: nothing arrives any more, and neither side is told. */
  state: 'open' | 'mute' | 'over'
}

export class FlakyDialler implements Dialler {
  /** Attempts so far. */
  dialCount = 0
  /** While true, every attempt is refused. */
  isDown = false
  readonly #inner: Dialler
  readonly #defer: (run: () => void) => void
  readonly #lines = new Set<Line>()

  constructor(inner: Dialler, clock: { defer(run: () => void): void }) {
    this.#inner = inner
    this.#defer = (run) => clock.defer(run)
  }

  /** Connections that are not over. */
  get openCount(): number {
    return this.#lines.size
  }

  dial(handler: ConnectionHandler): Connection {
    this.dialCount++
    if (this.isDown) {
      this.#defer(() => handler.closed(abnormalClosure, 'the network is down'))
      return { send() {}, bufferedBytes: 0, pause() {}, resume() {}, close() {}, peer: 'nobody' }
    }
    const isOpen = () => line.state === 'open'
    const connection = this.#inner.dial({
      opened: () => {
        if (isOpen()) handler.opened?.()
      },
      message: (bytes) => {
        if (isOpen()) handler.message(bytes)
      },
      drained: () => {
        if (isOpen()) handler.drained?.()
      },
      closed: (code, reason) => {
        if (isOpen()) {
          this.#over(line)
          handler.closed(code, reason)
        }
      },
    })
    const line: Line = { connection, handler, state: 'open' }
    this.#lines.add(line)
    return {
      send: (chunks) => {
        if (isOpen()) connection.send(chunks)
      },
      get bufferedBytes() {
        return connection.bufferedBytes
      },
      pause: () => connection.pause(),
      resume: () => connection.resume(),
      close: (code, reason) => {
        if (line.state === 'over') return
        this.#over(line)
        connection.close(code, reason)
      },
      peer: connection.peer,
    }
  }

  /** Every connection is gone, for both sides; what was on its way is lost. */
  cut(): void {
    for (const line of [...this.#lines]) {
      this.#over(line)
      line.connection.close(abnormalClosure, 'cut')
      this.#defer(() => line.handler.closed(abnormalClosure, 'cut'))
    }
  }

  /** Half open: from now on nothing arrives at the client, and nothing that it sends at the relay. */
  mute(): void {
    for (const line of this.#lines) line.state = 'mute'
  }

  #over(line: Line): void {
    line.state = 'over'
    this.#lines.delete(line)
  }
}
