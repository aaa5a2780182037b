// What operators ask of a broker: topics and groups made, described, changed and deleted, messages found. The half of
// the broker's door that is not in anyone's hot path.

import { PocketError, toPocketError } from '../errors.ts'
import { checkGroupName, checkTopicName, isSystemTopic } from '../model/names.ts'
import { checkGroupConfig } from '../model/topic.ts'
import type { GroupDescription, GroupSummary, TopicDescription, TopicSummary } from '../protocol/frames.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { Answering } from './answering.ts'
import type { BroadcastPositions } from './broadcast-positions.ts'
import { describeGroup, describeTopic, listGroups, listTopics } from './descriptions.ts'
import type {
  Answer, ConfigureGroupRequest, ConfigureTopicRequest, CreateTopicRequest, FoundMessage, ListGroupsRequest,
  ListTopicsRequest, QueryRequest, ResetGroupRequest, SettleHeldRequest,
} from './door.ts'
import type { Queries } from './queries.ts'
import type { Registry } from './registry.ts'
import type { Topic } from './topic.ts'
import type { Turn } from './turn.ts'

export interface AdminDeps {
  readonly registry: Registry
  readonly queries: Queries
  readonly turn: Turn
  readonly answering: Answering
  readonly positions: BroadcastPositions
  /** A topic is out of the registry with this turn. */
  readonly topicDeleted: (topic: Topic) => void
}

export class Admin {
  readonly #registry: Registry
  readonly #queries: Queries
  readonly #turn: Turn
  readonly #answering: Answering
  readonly #positions: BroadcastPositions
  readonly #topicDeleted: (topic: Topic) => void

  constructor({ registry, queries, turn, answering, positions, topicDeleted }: AdminDeps) {
    this.#registry = registry
    this.#queries = queries
    this.#turn = turn
    this.#answering = answering
    this.#positions = positions
    this.#topicDeleted = topicDeleted
  }

  query(request: QueryRequest, answer: Answer<readonly FoundMessage[]>): void {
    this.#answering.deciding(answer, () => {
      const { messageId } = request
      const topic = messageId === undefined ? this.#registry.topic(request.topic) : undefined
      const topics = request.topic === '' ? this.#registry.topics.values() : [this.#registry.topic(request.topic)]
      // After the turn, so that what was sent before is found.
      this.#turn.after(() => {
        const found = topic === undefined
          ? this.#queries.findById(topics, messageId as string)
          : this.#queries.find(topic, request)
        found.then(answer, (error: unknown) => answer(toPocketError(error)))
      })
    })
  }

  createTopic({ topic: name, options }: CreateTopicRequest, answer: Answer<TopicDescription>): void {
    this.#answering.deciding(answer, () => {
      checkTopicName(name)
      if (isSystemTopic(name)) throw new PocketError('BAD_NAME', `topics that begin with '%' or 'rmq_sys_' are the broker's own`)
      const topic = this.#registry.createTopic(name, this.#registry.topicConfig(options))
      this.#turn.after(() => answer(describeTopic(topic)))
    })
  }

  configureTopic({ topic: name, options }: ConfigureTopicRequest, answer: Answer<TopicDescription>): void {
    this.#answering.deciding(answer, () => {
      const topic = this.#registry.configureTopic(name, options)
      this.#turn.after(() => answer(describeTopic(topic)))
    })
  }

  listTopics(request: ListTopicsRequest, answer: Answer<{ topics: readonly TopicSummary[]; more: boolean }>): void {
    this.#turn.after(() => answer(listTopics(this.#registry, request)))
  }

  describeTopic(name: string, answer: Answer<TopicDescription>): void {
    this.#answering.deciding(answer, () => {
      const topic = this.#registry.topic(name)
      this.#turn.after(() => answer(describeTopic(topic)))
    })
  }

  deleteTopic(name: string, answer: Answer<void>): void {
    this.#answering.deciding(answer, () => {
      const topic = this.#registry.deleteTopic(name)
      this.#topicDeleted(topic)
      this.#turn.after(() => answer(undefined))
    })
  }

  configureGroup({ group, options }: ConfigureGroupRequest, answer: Answer<GroupDescription>): void {
    this.#answering.deciding(answer, () => {
      checkGroupName(group)
      const before = this.#registry.groupConfig(group)
      const config = {
        attemptCountMax: options.attemptCountMax ?? before.attemptCountMax,
        retry: options.retry ?? before.retry,
        exhausted: options.exhausted ?? before.exhausted,
        isPaused: options.isPaused ?? before.isPaused,
        inFlightMax: options.inFlightMax ?? before.inFlightMax,
        inFlightPerMemberMax: options.inFlightPerMemberMax ?? before.inFlightPerMemberMax,
      }
      checkGroupConfig(config)
      this.#registry.configureGroup(group, config)
      for (const topic of this.#registry.topics.values()) {
        topic.subscriptions.get(group)?.configured()
        for (const member of topic.broadcastMembers) if (member.request.group === group) member.configured()
      }
      this.#turn.after(() => answer(describeGroup(this.#registry, group, config)))
    })
  }

  deleteGroup(group: string, answer: Answer<void>): void {
    this.#answering.deciding(answer, () => {
      this.#registry.deleteGroup(group)
      this.#positions.forgetGroup(group)
      this.#turn.after(() => answer(undefined))
    })
  }

  settleHeld({ group, topic: name, how }: SettleHeldRequest, answer: Answer<GroupDescription>): void {
    this.#answering.deciding(answer, () => {
      const config = this.#registry.group(group)
      const topic = this.#registry.topic(name)
      topic.subscriptions.get(group)?.settleHeld(how)
      this.#turn.after(() => answer(describeGroup(this.#registry, group, config)))
    })
  }

  listGroups(request: ListGroupsRequest, answer: Answer<{ groups: readonly GroupSummary[]; more: boolean }>): void {
    this.#turn.after(() => answer(listGroups(this.#registry, request)))
  }

  describeGroup(group: string, answer: Answer<GroupDescription>): void {
    this.#answering.deciding(answer, () => {
      const config = this.#registry.group(group)
      this.#turn.after(() => answer(describeGroup(this.#registry, group, config)))
    })
  }

  resetGroup(request: ResetGroupRequest, answer: Answer<GroupDescription>): void {
    const { group, queueId, to } = request
    this.#answering.deciding(answer, () => {
      checkGroupName(group)
      const topic = this.#registry.topic(request.topic)
      const logs = queueId === undefined ? topic.queues : topic.queues.filter((log) => log.queueId === queueId)
      if (logs.length === 0) throw new PocketError('QUEUE_NOT_FOUND', `topic '${topic.name}' has no queue ${queueId}`)
      const isKnown = this.#registry.groups.has(group)
      this.#answering.whenFound(this.#queries.startsOf(logs, to), answer, (offsets) => {
        this.#registry.checkPresent(topic)
        // It may have been deleted meanwhile.
        if (isKnown) this.#registry.group(group)
        const config = this.#registry.groupOrNew(group)
        this.#move(topic, group, logs, offsets)
        this.#turn.after(() => answer(describeGroup(this.#registry, group, config)))
      })
    })
  }

  /**
   * Moves all that a group has on a topic: shared progress, BROADCASTING members that are here, and the kept positions of
   * those that are not. A group that has nothing there gets shared progress, for the first member to find.
   */
  #move(topic: Topic, group: string, logs: readonly QueueLog[], offsets: readonly number[]): void {
    const readers = [...topic.broadcastMembers].filter((member) => member.request.group === group)
    const isBroadcasting = readers.length > 0 || this.#positions.has(topic, group)
    const begins = topic.queues.map((log) => log.minOffset)
    const subscription = topic.subscriptions.get(group) ??
      (isBroadcasting ? undefined : this.#registry.subscriptionOrNew(group, topic, begins))
    logs.forEach((log, index) => {
      const offset = offsets[index] as number
      subscription?.reset(log.queueId, offset)
      for (const reader of readers) reader.reset(log.queueId, offset)
      this.#positions.reset(topic, group, log.queueId, log.position(offset))
    })
  }
}
