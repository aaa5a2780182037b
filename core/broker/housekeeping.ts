// What a broker does now and then, without being asked: clearing away deleted topics; retention and forgetting silent
// producers; compaction; looking for damage. Each of these goes from one topic to the next, in small commits, so that nobody
// waits behind it.

import { toPocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import type { MessageIndex } from '../storage/message-index.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import { findExpired, findOrphans } from '../storage/retention.ts'
import type { BroadcastPositions } from './broadcast-positions.ts'
import type { Compaction } from './compaction.ts'
import type { Registry } from './registry.ts'
import type { Rewriting } from './rewriting.ts'
import type { Scrub } from './scrub.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers } from './timers.ts'
import type { Topic } from './topic.ts'
import type { Turn } from './turn.ts'

export interface HousekeepingDeps {
  readonly store: Store
  readonly clock: Clock
  readonly limits: Limits
  readonly log: Log
  readonly timers: Timers
  readonly turn: Turn
  readonly index: MessageIndex
  readonly registry: Registry
  readonly positions: BroadcastPositions
  readonly counters: BrokerCounters
  readonly rewriting: Rewriting
  readonly compaction: Compaction
  readonly scrub: Scrub
  /** Readers of a topic whose head was trimmed are to look again. */
  readonly trimmed: (topic: Topic) => void
  readonly readFailed: (error: Error) => void
}

type Duty = 'clearing' | 'sweeping' | 'compacting' | 'scrubbing'

export class Housekeeping {
  readonly #deps: HousekeepingDeps
  readonly #deletedTopicIds: number[]
  readonly #busyWith = new Set<Duty>()
  #stopped = false

  constructor(deletedTopicIds: readonly number[], deps: HousekeepingDeps) {
    this.#deps = deps
    this.#deletedTopicIds = [...deletedTopicIds]
    this.#schedule()
  }

  /** A topic was deleted: its data goes from now on. */
  topicDeleted(topicId: number): void {
    this.#deletedTopicIds.push(topicId)
    this.#run('clearing', () => this.#clear())
  }

  stop(): void {
    this.#stopped = true
    this.#deps.compaction.stop()
  }

  #schedule(): void {
    const { timers, clock, limits, compaction, scrub } = this.#deps
    timers.at(clock.monotonic() + limits.retentionSweepMs, () => {
      this.#schedule()
      this.#run('clearing', () => this.#clear())
      this.#run('sweeping', () => this.#sweep())
      this.#run('compacting', () => compaction.run())
      this.#run('scrubbing', () => scrub.run())
    })
  }

  /** Does something from its beginning to its end, unless it is at it already. */
  #run(name: Duty, work: () => Promise<void>): void {
    if (this.#stopped || this.#busyWith.has(name)) return
    this.#busyWith.add(name)
    work().then(
      () => this.#busyWith.delete(name),
      (error: unknown) => {
        this.#busyWith.delete(name)
        if (!this.#stopped) this.#deps.readFailed(toPocketError(error))
      },
    )
  }

  async #clear(): Promise<void> {
    for (let topicId = this.#deletedTopicIds[0]; topicId !== undefined; topicId = this.#deletedTopicIds[0]) {
      await this.#clearTopic(topicId)
      this.#deletedTopicIds.shift()
    }
  }

  async #sweep(): Promise<void> {
    this.#expirePositions()
    for (const topic of [...this.#deps.registry.topics.values()]) {
      topic.producers.expire()
      for (const log of topic.queues) await this.#deps.rewriting.exclusively(log, () => this.#trim(topic, log))
    }
  }

  #expirePositions(): void {
    const { positions, registry } = this.#deps
    positions.expire(({ topicId, group, consumerName }) => {
      for (const { request } of registry.topicById(topicId)?.broadcastMembers ?? []) {
        if (request.group === group && request.consumerName === consumerName && request.positionKeeper === 'broker') return true
      }
      return false
    })
  }

  async #clearTopic(topicId: number): Promise<void> {
    for (let more = true; more && !this.#stopped;) {
      const found = await findOrphans(this.#deps.store, topicId)
      more = found.more
      await this.#commit(found.writes)
    }
  }

  async #trim(topic: Topic, log: QueueLog): Promise<void> {
    const { store, index, clock, counters, registry } = this.#deps
    for (let more = true; more && !this.#stopped;) {
      const trim = await findExpired(store, index, log, topic.config, clock.now())
      more = trim.more
      // What is not committed must not be trimmed in memory either.
      if (this.#stopped || trim.lastOffset < 0 || registry.topics.get(topic.name) !== topic) return
      counters.expiredMessages += trim.messageCount
      counters.expiredRecords += trim.recordCount
      log.trim(trim.lastOffset, trim.messageCount, trim.byteCount)
      log.writeState(trim.writes)
      this.#deps.log.info('retention', {
        topic: topic.name, queueId: log.queueId, minOffset: log.minOffset, bytes: trim.byteCount,
      })
      this.#deps.trimmed(topic)
      await this.#commit(trim.writes)
    }
  }

  async #commit(writes: readonly StoreWrite[]): Promise<void> {
    const { turn } = this.#deps
    if (this.#stopped) return
    for (const { key, value } of writes) turn.write(key, value)
    await new Promise<void>((resolve) => turn.after(resolve))
  }
}
