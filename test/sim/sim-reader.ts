// Readers of the simulated world, who read for themselves and remember where they stand: BROADCASTING members of a whole
// topic, and pulls of one queue. Who takes the place of a dead one goes on from there.

import { text } from '../../core/client/codec.ts'
import type { GapEvent, Message } from '../../core/client/api.ts'
import type { Position } from '../../core/model/position.ts'
import { foundAt, type SimApplication } from './sim-application.ts'
import type { ReaderRole } from './world-plan.ts'

/** Where a reader stands, by queue. */
export type ReaderPositions = ReadonlyMap<number, Position>

export class SimReader {
  /** As the history calls it, whoever reads. */
  readonly name: string
  readonly role: ReaderRole
  readonly #app: SimApplication
  #positions: () => ReaderPositions

  /** `owner` is the name of the client's role, which outlives the client. */
  constructor(app: SimApplication, owner: string, role: ReaderRole, positions: ReaderPositions) {
    this.#app = app
    this.role = role
    this.name = readerName(owner, role)
    this.#positions = () => positions
    const reading = role.how === 'pull' ? this.#pull(positions) : this.#listen(positions)
    reading.catch((error: unknown) => app.shared.bug(`${this.name} ended: ${String(error)}`))
  }

  get positions(): ReaderPositions {
    return this.#positions()
  }

  /** A gap was announced at its client. */
  gap({ topic, group, queueId, expected, next }: GapEvent): void {
    const { role } = this
    const isIts = topic === role.topic &&
      (role.how === 'pull' ? group === undefined && queueId === role.queueId : group === readerGroupOf(role))
    if (!isIts) return
    // What the iterator has just given out is seen by its loop a moment later, and was before the gap.
    void Promise.resolve().then(() => {
      this.#app.note({ kind: 'gap', reader: this.name, topic, queueId, expected, next })
    })
  }

  async #listen(positions: ReaderPositions): Promise<void> {
    const topic = this.#app.client.topic(this.role.topic, { codec: text })
    const group = readerGroupOf(this.role)
    const reader = topic.consume({ group, mode: 'BROADCASTING', from: 'earliest', positions, prefetch: 40 })
    this.#positions = () => reader.positions()
    for await (const message of reader) {
      this.#read(message)
      if (this.#app.random.chance(0.05)) await this.#app.wait(0, 500)
    }
  }

  async #pull(positions: ReaderPositions): Promise<void> {
    const { queueId } = this.role
    const topic = this.#app.client.topic(this.role.topic, { codec: text })
    const start = positions.get(queueId)
    const pulls = topic.pull({ queueId, ...(start === undefined ? {} : { from: start }) })
    this.#positions = () => {
      const { position } = pulls
      return position === undefined ? positions : new Map([[queueId, position]])
    }
    for await (const messages of pulls) {
      for (const message of messages) this.#read(message)
      if (this.#app.random.chance(0.2)) await this.#app.wait(0, 1_000)
    }
  }

  #read(message: Message<string>): void {
    const name = this.#app.check(message, this.name)
    const found = foundAt(message)
    const { storedMs } = message
    const group = readerGroupOf(this.role)
    this.#app.note({ kind: 'delivered', message: name, group, member: this.name, attempt: 0, found, storedMs })
  }
}

/** The name under which it is in the history. */
export function readerName(owner: string, role: ReaderRole): string {
  return `${owner}/${readerGroupOf(role)}`
}

/** The BROADCASTING group, or how the history calls those who pull the same. */
export function readerGroupOf({ how, topic, queueId }: ReaderRole): string {
  return how === 'pull' ? `pull-${topic}-${queueId}` : `board-${topic}`
}
