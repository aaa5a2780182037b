// What a broker does now and then, without being asked: retention, forgetting silent producers, clearing away deleted
// topics. One thing at a time, in small commits, so that nobody waits behind it.

import { toPocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store, StoreWrite } from '../ports/store.ts'
import type { MessageIndex } from '../storage/message-index.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import { findExpired, findOrphans } from '../storage/retention.ts'
import type { Registry } from './registry.ts'
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
  readonly counters: BrokerCounters
  /** Readers of a topic whose head was trimmed are to look again. */
  readonly trimmed: (topic: Topic) => void
  readonly readFailed: (error: Error) => void
}

export class Housekeeping {
  readonly #deps: HousekeepingDeps
  readonly #deletedTopicIds: number[]
  #running = false
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
  }

  #schedule(): void {
    const { timers, clock, limits } = this.#deps
    timers.at(clock.monotonic() + limits.retentionSweepMs, () => {
      this.#schedule()
      this.sweep()
    })
  }

  /** Looks at everything once, unless it is at it already. */
  sweep(): void {
    if (this.#running || this.#stopped) return
    this.#running = true
    this.#sweepAll().then(
      () => (this.#running = false),
      (error: unknown) => {
        this.#running = false
        if (!this.#stopped) this.#deps.readFailed(toPocketError(error))
      },
    )
  }

  async #sweepAll(): Promise<void> {
    for (let topicId = this.#deletedTopicIds[0]; topicId !== undefined; topicId = this.#deletedTopicIds[0]) {
      await this.#clearTopic(topicId)
      this.#deletedTopicIds.shift()
    }
    for (const topic of [...this.#deps.registry.topics.values()]) {
      topic.producers.expire()
      for (const log of topic.queues) await this.#trim(topic, log)
    }
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
      counters.expiredMessages += trim.lastOffset + 1 - log.minOffset
      counters.expiredRecords += trim.recordCount
      log.trim(trim.lastOffset, trim.byteCount)
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
