// A line on stderr that tells how far long work has come: rewritten in place on a terminal; one line a second where
// it was asked for by flag and stderr is a file or pipe; else nothing.

import type { CommandContext } from './context.ts'

const terminalIntervalMs = 100
const plainIntervalMs = 1000

export class Progress {
  readonly #errors: CommandContext['errors']
  readonly #isTerminal: boolean
  readonly #isShown: boolean
  #shownMs = 0
  #lineLength = 0

  /** `wanted` undefined: only on a terminal. */
  constructor(context: CommandContext, wanted: boolean | undefined) {
    this.#errors = context.errors
    this.#isTerminal = context.errors.isTTY === true
    this.#isShown = wanted ?? this.#isTerminal
  }

  /** Shows `text()` unless the last was shown a moment ago; cheap to call for every message. */
  update(text: () => string): void {
    if (!this.#isShown) return
    const nowMs = Date.now()
    if (nowMs - this.#shownMs < (this.#isTerminal ? terminalIntervalMs : plainIntervalMs)) return
    this.#shownMs = nowMs
    this.#show(text())
  }

  /** Takes the line away, so that something else can be printed. */
  clear(): void {
    if (!this.#isTerminal || this.#lineLength === 0) return
    this.#errors.write(`\r${' '.repeat(this.#lineLength)}\r`)
    this.#lineLength = 0
  }

  #show(text: string): void {
    if (this.#isTerminal) this.#errors.write(`\r${text.padEnd(this.#lineLength)}`)
    else this.#errors.write(`${text}\n`)
    this.#lineLength = text.length
  }
}
