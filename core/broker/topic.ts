// A topic while the broker runs: its queues' logs, its producers, and everyone who reads it.

import { textToBytes } from '../bytes.ts'
import { hash32 } from '../hash.ts'
import { isSystemTopic } from '../model/names.ts'
import type { TopicConfig } from '../model/topic.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { GroupSubscription } from './group-subscription.ts'
import type { Producers } from './producers.ts'
import type { BroadcastMember, Pull, Reader } from './reader.ts'

export class Topic {
  readonly name: string
  readonly topicId: number
  /** Replaced when it is changed. */
  config: TopicConfig
  /** Whether it is the broker's own: clients read it and don't publish to it. */
  readonly isSystem: boolean
  readonly queues: readonly QueueLog[]
  readonly producers: Producers
  /** CLUSTERING groups with progress here, by group. */
  readonly subscriptions = new Map<string, GroupSubscription>()
  readonly broadcastMembers = new Set<BroadcastMember>()
  readonly pulls = new Set<Pull>()
  /** Stored since the broker opened. */
  messagesIn = 0
  bytesIn = 0
  /** Delayed messages that wait. */
  delayedCount = 0
  /** Delivered to BROADCASTING members that have left since. */
  messagesOutBefore = 0
  bytesOutBefore = 0
  #roundRobin = 0

  constructor(name: string, topicId: number, config: TopicConfig, queues: readonly QueueLog[], producers: Producers) {
    this.name = name
    this.topicId = topicId
    this.config = config
    this.isSystem = isSystemTopic(name)
    this.queues = queues
    this.producers = producers
    // Topics start at different queues, so that many topics with few messages spread.
    this.#roundRobin = hash32(textToBytes(name))
  }

  get isFifo(): boolean {
    return this.config.messageType === 'FIFO'
  }

  get isPriority(): boolean {
    return this.config.messageType === 'PRIORITY'
  }

  get isCompact(): boolean {
    return this.config.cleanupPolicy === 'COMPACT'
  }

  /** Whether a power cut may take its newest messages, and progress on them. */
  get isRelaxed(): boolean {
    return this.config.durability === 'relaxed'
  }

  /** Whether what a message says decides on its queue. */
  get isRouted(): boolean {
    return this.config.messageType !== 'NORMAL' || this.isCompact
  }

  get messagesOut(): number {
    return this.#sumOut((reader) => reader.messagesOut, this.messagesOutBefore)
  }

  get bytesOut(): number {
    return this.#sumOut((reader) => reader.bytesOut, this.bytesOutBefore)
  }

  #sumOut(out: (reader: GroupSubscription | BroadcastMember) => number, before: number): number {
    let sum = before
    for (const subscription of this.subscriptions.values()) sum += out(subscription)
    for (const member of this.broadcastMembers) sum += out(member)
    return sum
  }

  get storedBytes(): number {
    return this.queues.reduce((sum, log) => sum + log.storedBytes, 0)
  }

  get messageCount(): number {
    return this.queues.reduce((sum, log) => sum + log.messageCount, 0)
  }

  /** The queue for the next batch without message groups. */
  nextQueue(): QueueLog {
    this.#roundRobin = (this.#roundRobin + 1) % this.queues.length
    return this.queues[this.#roundRobin] as QueueLog
  }

  /** The queue of a message group, or of a key: always the same, by the hash of its name. */
  queueOfHash(hash: number): QueueLog {
    return this.queues[hash % this.queues.length] as QueueLog
  }

  queueOfPriority(priority: number): QueueLog {
    return this.queues[Math.min(priority, this.queues.length - 1)] as QueueLog
  }

  *readers(): Generator<Reader> {
    yield* this.broadcastMembers
    yield* this.pulls
  }
}
