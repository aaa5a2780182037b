// Child processes that do not outlive the bench: ended when it ends, on errors and on Ctrl-C too.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

const stopMsMax = 5000

export class Children {
  readonly #running = new Set<ChildProcess>()

  /** Takes charge of a process that was just started. */
  add(child: ChildProcess): void {
    this.#running.add(child)
    child.once('exit', () => this.#running.delete(child))
  }

  /** Asks a process to end, and makes it end after 5 s. Resolves when it has. */
  async stop(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
    child.kill('SIGTERM')
    await exited
    clearTimeout(timer)
  }

  /** Ends all of them at once, without waiting: for the moment before this process exits. */
  killAll(): void {
    for (const child of this.#running) child.kill('SIGKILL')
  }
}
