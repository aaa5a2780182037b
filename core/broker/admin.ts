// What operators ask of a broker: topics and groups made, described, changed and deleted, messages found. The half of
// the broker's door that is not in anyone's hot path.

import { PocketError, toPocketError } from '../errors.ts'
import { checkGroupName, checkTopicName, isSystemTopic } from '../model/names.ts'
import { checkGroupConfig } from '../model/topic.ts'
import type { GroupDescription, GroupSummary, TopicDescription, TopicSummary } from '../protocol/frames.ts'
import type { Answering } from './answering.ts'
import { describeGroup, describeTopic, listGroups, listTopics } from './descriptions.ts'
import type {
  Answer, ConfigureGroupRequest, CreateTopicRequest, FoundMessage, ListGroupsRequest, ListTopicsRequest, QueryRequest,
  ResetGroupRequest,
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
  /** A topic is out of the registry with this turn. */
  readonly topicDeleted: (topic: Topic) => void
}

export class Admin {
  readonly #registry: Registry
  readonly #queries: Queries
  readonly #turn: Turn
  readonly #answering: Answering
  readonly #topicDeleted: (topic: Topic) => void

  constructor({ registry, queries, turn, answering, topicDeleted }: AdminDeps) {
    this.#registry = registry
    this.#queries = queries
    this.#turn = turn
    this.#answering = answering
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
        retryScheduleMs: options.retryScheduleMs ?? before.retryScheduleMs,
      }
      checkGroupConfig(config)
      this.#registry.configureGroup(group, config)
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
    this.#answering.deciding(answer, () => {
      checkGroupName(request.group)
      const topic = this.#registry.topic(request.topic)
      const { queueId } = request
      const logs = queueId === undefined ? topic.queues : topic.queues.filter((log) => log.queueId === queueId)
      if (logs.length === 0) throw new PocketError('QUEUE_NOT_FOUND', `topic '${topic.name}' has no queue ${queueId}`)
      const starts = Promise.all(logs.map((log) => this.#queries.startOf(log, request.to)))
      this.#answering.whenFound(starts, answer, (offsets) => {
        this.#registry.checkPresent(topic)
        const config = this.#registry.groupOrNew(request.group)
        const begins = topic.queues.map((log) => log.minOffset)
        const subscription = this.#registry.subscriptionOrNew(request.group, topic, begins)
        logs.forEach((log, index) => subscription.queues[log.queueId]?.reset(offsets[index] as number))
        this.#turn.after(() => answer(describeGroup(this.#registry, request.group, config)))
      })
    })
  }
}
