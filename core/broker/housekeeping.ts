// What a broker does now and then, without being asked: retention, forgetting silent producers, clearing away deleted
// topics; and, beside it, compaction. One thing at a time, in small commits, so that nobody waits behind it.

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
  /** Readers of a topic whose head was trimmed are to look again. */
  readonly trimmed: (topic: Topic) => void
  readonly readFailed: (error: Error) => void
}

export class Housekeeping {
  readonly #deps: HousekeepingDeps
  readonly #deletedTopicIds: number[]
  #sweeping = false
  #compacting = false
  #stopped = false

  constructor(deletedTopicIds: readonly number[], deps: HousekeepingDeps) {
    this.#deps = deps
    this.#deletedTopicIds = [...deletedTopicIds]
    this.#schedule()
  }

  /** A topic was deleted: its data goes from now on. */
  topicDeleted(topicId: number): void {
    this.#deletedTopicIds.push(topicId)
    this.sweep()
  }

  stop(): void {
    this.#stopped = true
    this.#deps.compaction.stop()
  }

  #schedule(): void {
    const { timers, clock, limits } = this.#deps
    timers.at(clock.monotonic() + limits.retentionSweepMs, () => {
      this.#schedule()
      this.sweep()
      this.#compact()
    })
  }

  /** Looks at everything once, unless it is at it already. */
  sweep(): void {
    if (this.#sweeping || this.#stopped) return
    this.#sweeping = true
    this.#ending(this.#sweepAll(), () => (this.#sweeping = false))
  }

  /** Beside the sweep, as it may take long. */
  #compact(): void {
    if (this.#compacting || this.#stopped) return
    this.#compacting = true
    this.#ending(this.#deps.compaction.run(), () => (this.#compacting = false))
  }

  #ending(work: Promise<void>, ended: () => void): void {
    work.then(ended, (error: unknown) => {
      ended()
      if (!this.#stopped) this.#deps.readFailed(toPocketError(error))
    })
  }

  async #sweepAll(): Promise<void> {
    for (let topicId = this.#deletedTopicIds[0]; topicId !== undefined; topicId = this.#deletedTopicIds[0]) {
      await this.#clearTopic(topicId)
      this.#deletedTopicIds.shift()
    }
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
