// The members' processes: started, told to leave, or killed.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Journal, TimedEvent } from './flights-journal.ts'

const runner = fileURLToPath(new URL('../../tools/run.mjs', import.meta.url))
const program = fileURLToPath(new URL('./flights-member.ts', import.meta.url))

export class Member {
  readonly name: string
  readonly #journal: Journal
  readonly #child: ChildProcess

  private constructor(name: string, journal: Journal, child: ChildProcess) {
    this.name = name
    this.#journal = journal
    this.#child = child
  }

  /** Resolves when it has joined the group. */
  static async start(url: string, topic: string, group: string, name: string, journal: Journal): Promise<Member> {
    const child = fork(runner, [program, url, topic, group, name])
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`${name} ended with exit code ${code}`)))
      child.on('message', (event: TimedEvent | 'ready' | 'left') => {
        if (event === 'ready') resolve()
        else if (event !== 'left') journal.add(event)
      })
    })
    return new Member(name, journal, child)
  }

  /** `kill -9`: it leaves no word, and its leases. */
  async kill(): Promise<void> {
    await this.#end(() => this.#child.kill('SIGKILL'))
    // Only now: what it had told us before it died is older than its death.
    this.#journal.note({ kind: 'killed', member: this.name })
  }

  /** It finishes what it has in hand, leaves the group and tells the last of what it saw. */
  async leave(): Promise<void> {
    await this.#end(() => this.#child.send('leave'))
  }

  async #end(ask: () => void): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    // After 'exit' there may still be messages in the channel; after 'close' there are none.
    const closed = once(this.#child, 'close')
    ask()
    await closed
  }
}
