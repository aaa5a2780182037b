// Which topics and groups there are: made, restored, looked up, deleted. It wires a topic's logs, producers and
// subscriptions together; what they do is theirs.

import { PocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { isSystemTopic, traceTopic } from '../model/names.ts'
import {
  checkTopicConfig, type GroupConfig, isSameTopicConfig, mayHaveHoles, type Partially, type TopicConfig,
} from '../model/topic.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import { encodeGroup, encodeStoreHeader, encodeTopic, type QueueState } from '../storage/catalog.ts'
import { deletedTopicKey, groupKey, progressKey, storeKey, topicKey } from '../storage/keys.ts'
import { QueueLog, type QueueLogDeps } from '../storage/queue-log.ts'
import { emptyQueueState, type Recovered, type RecoveredTopic } from '../storage/recovery.ts'
import { GroupQueue, type GroupQueueDeps } from './group-queue.ts'
import { GroupSubscription, type GroupSubscriptionDeps } from './group-subscription.ts'
import { Producers } from './producers.ts'
import { Topic } from './topic.ts'
import type { Turn } from './turn.ts'

export interface RegistryDeps {
  readonly clock: Clock
  readonly random: Random
  readonly limits: Limits
  readonly turn: Turn
  readonly queueLogDeps: QueueLogDeps
  readonly subscriptionDeps: (group: string, topic: Topic) => GroupSubscriptionDeps
  /** What a group queue of a subscription needs; made per subscription, as it wakes that one. */
  readonly groupQueueDeps: (group: string, topic: Topic, subscription: () => GroupSubscription) => GroupQueueDeps
  readonly defaultGroupConfig: GroupConfig
  /** Nothing of it is written any more. */
  readonly subscriptionDeleted: (subscription: GroupSubscription) => void
  readonly autoCreateTopics: boolean
}

export class Registry {
  readonly topics = new Map<string, Topic>()
  readonly #topicsById = new Map<number, Topic>()
  readonly groups = new Map<string, GroupConfig>()
  /** Groups that are there for as long as they have readers, of which nothing is stored; and how many those are. */
  readonly #passingGroups = new Map<string, number>()
  readonly #deps: RegistryDeps
  readonly #damagedTopics: ReadonlySet<string>
  readonly #producerTotal = { count: 0, topics: new Set<Producers>() }
  readonly #bootCount: number
  #topicIdNext: number

  constructor(recovered: Recovered, deps: RegistryDeps) {
    this.#deps = deps
    this.#damagedTopics = recovered.damagedTopics
    this.#bootCount = recovered.header.bootCount
    this.#topicIdNext = recovered.header.topicIdNext
  }

  /** Takes over what a store held. Apart from the making, as what it restores already asks for configurations. */
  restore(recovered: Recovered): void {
    for (const [group, config] of recovered.groups) this.groups.set(group, config)
    for (const topic of recovered.topics) this.#restoreTopic(topic)
  }

  get producerCount(): number {
    return this.#producerTotal.count
  }

  // ── topics ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The topic, or TOPIC_NOT_FOUND. */
  topic(name: string): Topic {
    const topic = this.topics.get(name)
    if (topic === undefined) throw new PocketError('TOPIC_NOT_FOUND', `there is no topic '${name}'`)
    return topic
  }

  /** The topic of an id; undefined where it was deleted. */
  topicById(topicId: number): Topic | undefined {
    return this.#topicsById.get(topicId)
  }

  /** Throws TOPIC_NOT_FOUND where a topic was deleted since it was looked up. */
  checkPresent(topic: Topic): void {
    if (this.topics.get(topic.name) !== topic) throw new PocketError('TOPIC_NOT_FOUND', `topic '${topic.name}' was deleted`)
  }

  /** The topic, made with the defaults where that is allowed. */
  topicOrNew(name: string): Topic {
    const topic = this.topics.get(name)
    if (topic !== undefined) return topic
    if (!this.#deps.autoCreateTopics || isSystemTopic(name)) {
      throw new PocketError('TOPIC_NOT_FOUND', `there is no topic '${name}'; create it first`)
    }
    return this.createTopic(name, this.topicConfig({}))
  }

  /** A configuration with the defaults where it says nothing. */
  topicConfig(options: Partially<TopicConfig>): TopicConfig {
    const { limits } = this.#deps
    const queueCount = options.messageType === 'PRIORITY' ? fixedLimits.priorityMax + 1 : limits.queueCountDefault
    const config: TopicConfig = {
      queueCount: options.queueCount ?? queueCount,
      messageType: options.messageType ?? 'NORMAL',
      // What a COMPACT topic keeps is each key's last message, however old.
      retentionMs: options.retentionMs ?? (options.cleanupPolicy === 'COMPACT' ? 0 : limits.retentionMsDefault),
      retentionBytes: options.retentionBytes ?? limits.retentionBytesDefault,
      cleanupPolicy: options.cleanupPolicy ?? 'DELETE',
      ttlMs: options.ttlMs ?? 0,
      tracePermille: options.tracePermille ?? limits.tracePermilleDefault,
      durability: options.durability ?? 'strict',
    }
    checkTopicConfig(config)
    return config
  }

  createTopic(name: string, config: TopicConfig): Topic {
    const known = this.topics.get(name)
    if (known !== undefined) {
      if (isSameTopicConfig(known.config, config)) return known
      throw new PocketError('TOPIC_EXISTS', `topic '${name}' exists with another configuration`)
    }
    if (this.#damagedTopics.has(name)) {
      throw new PocketError('RECORD_DAMAGED', `the stored configuration of topic '${name}' is damaged; its data is kept`)
    }
    const { limits, turn, random } = this.#deps
    if (this.topics.size >= limits.topicCountMax) {
      throw new PocketError('LIMIT_EXCEEDED', `there are ${limits.topicCountMax} topics already`)
    }
    const topicId = this.#topicIdNext++
    const header = { bootCount: this.#bootCount, topicIdNext: this.#topicIdNext }
    turn.write(storeKey(), encodeStoreHeader(header))
    turn.write(topicKey(name), encodeTopic({ topicId, config }))
    const states = Array.from({ length: config.queueCount }, () => emptyQueueState(random))
    const topic = this.#addTopic(name, topicId, config, states)
    const writes: { key: Uint8Array; value: Uint8Array | null }[] = []
    for (const log of topic.queues) log.writeState(writes)
    for (const { key, value } of writes) turn.write(key, value)
    return topic
  }

  /** The topic of traces, made when it is first needed. Throws LIMIT_EXCEEDED or RECORD_DAMAGED where it cannot be. */
  traceTopic(): { readonly topic: Topic; readonly isNew: boolean } {
    const known = this.topics.get(traceTopic)
    if (known !== undefined) return { topic: known, isNew: false }
    const config = { queueCount: 1, retentionMs: this.#deps.limits.traceRetentionMs, tracePermille: 0 }
    return { topic: this.createTopic(traceTopic, this.topicConfig(config)), isNew: true }
  }

  /** Changes what may be changed of a topic while it is in use. Throws BAD_ARGUMENT for the rest. */
  configureTopic(name: string, options: Partially<TopicConfig>): Topic {
    const topic = this.topic(name)
    const config = { ...topic.config }
    for (const [key, value] of Object.entries(options)) if (value !== undefined) Object.assign(config, { [key]: value })
    checkTopicConfig(config)
    for (const fixed of ['queueCount', 'messageType', 'cleanupPolicy'] as const) {
      if (config[fixed] === topic.config[fixed]) continue
      throw new PocketError('BAD_ARGUMENT', `the ${fixed} of a topic stays what it was made with: ${topic.config[fixed]}`)
    }
    topic.config = config
    this.#deps.turn.write(topicKey(name), encodeTopic({ topicId: topic.topicId, config }))
    return topic
  }

  /** Takes a topic away at once; its data goes bit by bit, and survives no restart as a topic. */
  deleteTopic(name: string): Topic {
    const topic = this.topic(name)
    const { turn } = this.#deps
    turn.write(topicKey(name), null)
    turn.write(deletedTopicKey(topic.topicId), new Uint8Array(0))
    this.topics.delete(name)
    this.#topicsById.delete(topic.topicId)
    const reason = new PocketError('TOPIC_NOT_FOUND', `topic '${name}' was deleted`)
    for (const subscription of topic.subscriptions.values()) subscription.revokeAll(reason)
    for (const reader of topic.readers()) reader.revoke(reason)
    topic.producers.clear()
    return topic
  }

  #restoreTopic(recovered: RecoveredTopic): void {
    const topic = this.#addTopic(recovered.name, recovered.topicId, recovered.config, recovered.queues)
    for (const { producerId, state } of recovered.producers) topic.producers.restore(producerId, state)
    for (const { group, queueId, stored } of recovered.progress) {
      const subscription = topic.subscriptions.get(group) ??
        this.#addSubscription(group, topic, recovered.queues.map((queue) => queue.minOffset))
      subscription.queues[queueId]?.restore(stored, (memberId) => subscription.restoreMember(memberId))
    }
  }

  #addTopic(name: string, topicId: number, config: TopicConfig, states: readonly QueueState[]): Topic {
    const { clock, limits, turn, queueLogDeps } = this.#deps
    const queues = states.map((state, queueId) => new QueueLog(topicId, queueId, state, queueLogDeps, mayHaveHoles(name, config)))
    const producers = new Producers(topicId, { clock, limits, turn, total: this.#producerTotal })
    const topic = new Topic(name, topicId, config, queues, producers)
    this.topics.set(name, topic)
    this.#topicsById.set(topicId, topic)
    return topic
  }

  // ── groups ────────────────────────────────────────────────────────────────────────────────────────────────────

  group(name: string): GroupConfig {
    const config = this.groups.get(name)
    if (config === undefined) throw new PocketError('GROUP_NOT_FOUND', `there is no group '${name}'`)
    return config
  }

  groupConfig(name: string): GroupConfig {
    return this.groups.get(name) ?? this.#deps.defaultGroupConfig
  }

  /** Makes a group with the defaults where there is none. From now on it stays. */
  groupOrNew(name: string): GroupConfig {
    const known = this.groups.get(name)
    if (known !== undefined && !this.#passingGroups.has(name)) return known
    return this.configureGroup(name, known ?? this.#deps.defaultGroupConfig)
  }

  configureGroup(name: string, config: GroupConfig): GroupConfig {
    this.#checkGroupRoom(name)
    this.#passingGroups.delete(name)
    this.groups.set(name, config)
    this.#deps.turn.write(groupKey(name), encodeGroup(config))
    return config
  }

  #checkGroupRoom(name: string): void {
    const { groupCountMax } = this.#deps.limits
    if (this.groups.has(name) || this.groups.size < groupCountMax) return
    throw new PocketError('LIMIT_EXCEEDED', `there are ${groupCountMax} groups already`)
  }

  /**
   * A BROADCASTING reader comes in that keeps its place itself. A group that is made by such readers alone has nothing worth
   * storing: it goes with the last of them.
   */
  readerCame(group: string): void {
    const count = this.#passingGroups.get(group)
    if (count === undefined && this.groups.has(group)) return
    this.#checkGroupRoom(group)
    this.groups.set(group, this.groupConfig(group))
    this.#passingGroups.set(group, (count ?? 0) + 1)
  }

  readerLeft(group: string): void {
    const count = this.#passingGroups.get(group)
    if (count === undefined) return
    if (count > 1) this.#passingGroups.set(group, count - 1)
    else {
      this.#passingGroups.delete(group)
      this.groups.delete(group)
    }
  }

  /** Deletes a group, its members and its progress everywhere. Throws GROUP_NOT_FOUND. */
  deleteGroup(name: string): void {
    this.group(name)
    const { turn } = this.#deps
    const reason = new PocketError('GROUP_NOT_FOUND', `group '${name}' was deleted`)
    this.groups.delete(name)
    if (!this.#passingGroups.delete(name)) turn.write(groupKey(name), null)
    for (const topic of this.topics.values()) {
      for (const member of topic.broadcastMembers) if (member.request.group === name) member.revoke(reason)
      const subscription = topic.subscriptions.get(name)
      if (subscription === undefined) continue
      topic.subscriptions.delete(name)
      subscription.revokeAll(reason)
      this.#deps.subscriptionDeleted(subscription)
      for (const { log } of subscription.queues) turn.write(progressKey(log.topicId, log.queueId, name), null)
    }
  }

  /** A group's place on a topic, made where it has none: each queue starts at the cursor given. */
  subscriptionOrNew(group: string, topic: Topic, cursors: readonly number[]): GroupSubscription {
    const known = topic.subscriptions.get(group)
    if (known !== undefined) return known
    const subscription = this.#addSubscription(group, topic, cursors)
    // Written at once, so that the start counts even if nothing is consumed before a restart.
    for (const queue of subscription.queues) queue.reset(queue.cursor)
    return subscription
  }

  #addSubscription(group: string, topic: Topic, cursors: readonly number[]): GroupSubscription {
    const deps = this.#deps.groupQueueDeps(group, topic, () => subscription)
    const queues = topic.queues.map((log, queueId) => new GroupQueue(log, topic.isFifo, cursors[queueId] as number, deps))
    const subscription = new GroupSubscription(group, topic.name, queues, this.#deps.subscriptionDeps(group, topic))
    topic.subscriptions.set(group, subscription)
    return subscription
  }
}
