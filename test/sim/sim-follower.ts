// A follower of the simulated world: keeps a copy of topics on a disk of its own, which outlives it. Who takes its place
// goes on from what that disk holds.

import type { Change } from '../../core/client/api.ts'
import { Replica } from '../../core/replica/replica.ts'
import { decodeQueueState } from '../../core/storage/catalog.ts'
import { decodeProgress } from '../../core/storage/progress.ts'
import type { AppliedChange } from '../checkers/copies.ts'
import type { FollowerDisk } from './follower-disk.ts'
import type { SimApplication } from './sim-application.ts'

export class SimFollower {
  readonly #app: SimApplication
  readonly #topics: readonly string[]
  readonly #disk: FollowerDisk

  constructor(app: SimApplication, topics: readonly string[], disk: FollowerDisk) {
    this.#app = app
    this.#topics = topics
    this.#disk = disk
    this.#run().catch((error: unknown) => {
      if (!app.process.isDead) app.shared.bug(`the follower ${app.name} ended: ${String(error)}`)
    })
  }

  async #run(): Promise<void> {
    const { client, process, random } = this.#app
    const replica = await Replica.open(this.#disk.openFor(process))
    const follower = client.follow({ topics: this.#topics, positions: replica.positions(), withProgress: true })
    for await (const { changes } of follower) {
      for (const change of changes) {
        const applied = appliedOf(change)
        if (applied !== undefined) this.#disk.applied.push(applied)
      }
      await replica.apply(changes)
      // Once nothing is sent any more it is to come to the end.
      if (this.#app.shared.isSending() && random.chance(0.05)) await this.#app.wait(0, 500)
    }
  }
}

function appliedOf({ kind, topic, queueId, offset, value }: Change): AppliedChange | undefined {
  const queue = `${topic}/${queueId}`
  if (kind === 'record') return { kind: 'messages', queue, next: offset + 1 }
  // What retention deleted before it could be copied was there.
  if (kind === 'log') return { kind: 'messages', queue, next: decodeQueueState(value).minOffset }
  return kind === 'progress' ? { kind: 'progress', queue, next: decodeProgress(value).cursor } : undefined
}
