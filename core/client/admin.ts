// Topics, groups and stored messages from outside: each call is one request of the wire, or one a page.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { checkGroupName, checkKey, checkTopicName } from '../model/names.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { parseMessageId } from '../model/message.ts'
import { producerIdToText, RecordBatch } from '../record/record-batch.ts'
import type { ClientSession } from '../session/client-session.ts'
import type { AnswerName, CallFields, CallName, CallOutcome } from '../session/requests.ts'
import type {
  Admin, From, GroupDetail, GroupSettings, Message, TopicDetail, TopicInfo, TopicSettings,
} from './api.ts'
import { bytes } from './codec.ts'
import { Delivery } from './delivery.ts'
import { durationToMs } from './duration.ts'
import { ReceivedMessage } from './message.ts'
import { startPolicyOf } from './start-policy.ts'

const pageCount = 500
const findCountDefault = 64

export interface AdminDeps {
  readonly session: ClientSession
  readonly requestTimeoutMs: number
}

export function createAdmin({ session, requestTimeoutMs }: AdminDeps): Admin {
  const call = <N extends CallName, A extends AnswerName>(
    name: N, fields: CallFields<N>, answer: A, isRepeatable = true,
  ): Promise<Exclude<CallOutcome<A>, PocketError>> =>
    new Promise((resolve, reject) => {
      session.call({ name, fields, answer, timeoutMs: requestTimeoutMs, isRepeatable }, (outcome) => {
        if (outcome instanceof PocketError) reject(outcome)
        else resolve(outcome as Exclude<CallOutcome<A>, PocketError>)
      })
    })

  const find = async (fields: Partial<CallFields<'QUERY'>>): Promise<Message<Uint8Array>[]> => {
    const query = {
      topic: '',
      messageId: undefined,
      key: undefined,
      fromMs: 0,
      toMs: Number.MAX_SAFE_INTEGER,
      messageCountMax: findCountDefault,
      ...fields,
    }
    return (await call('QUERY', query, 'MESSAGES')).messages.map(foundMessage)
  }

  return {
    async createTopic(topic, settings = {}) {
      checkTopicName(topic)
      return topicDetailOf(await call('CREATE_TOPIC', { topic, options: topicOptionsOf(settings) }, 'TOPIC'))
    },

    async listTopics({ containing = '' } = {}) {
      const topics: (TopicInfo & { readonly messageCount: number })[] = []
      for (let after = '', more = true; more;) {
        const page = await call('LIST_TOPICS', { after, containing, countMax: pageCount }, 'TOPICS')
        for (const { topic, config, messageCount } of page.topics) topics.push({ topic, ...config, messageCount })
        more = page.more && page.topics.length > 0
        after = page.topics.at(-1)?.topic ?? after
      }
      return topics
    },

    async describeTopic(topic) {
      checkTopicName(topic)
      return topicDetailOf(await call('DESCRIBE_TOPIC', { topic }, 'TOPIC'))
    },

    async deleteTopic(topic) {
      checkTopicName(topic)
      // A second time it would be TOPIC_NOT_FOUND, or hit a new topic of the name.
      await call('DELETE_TOPIC', { topic }, 'DONE', false)
    },

    async configureGroup(group, settings) {
      checkGroupName(group)
      return groupDetailOf(await call('CONFIGURE_GROUP', { group, options: groupOptionsOf(settings) }, 'GROUP'))
    },

    async listGroups({ containing = '' } = {}) {
      const groups: { readonly group: string; readonly memberCount: number; readonly backlog: number }[] = []
      for (let after = '', more = true; more;) {
        const page = await call('LIST_GROUPS', { after, containing, countMax: pageCount }, 'GROUPS')
        groups.push(...page.groups)
        more = page.more && page.groups.length > 0
        after = page.groups.at(-1)?.group ?? after
      }
      return groups
    },

    async describeGroup(group) {
      checkGroupName(group)
      return groupDetailOf(await call('DESCRIBE_GROUP', { group }, 'GROUP'))
    },

    async resetGroup(group, topic, { to, queueId }) {
      checkGroupName(group)
      checkTopicName(topic)
      const fields = { group, topic, queueId, to: await resetStart(topic, to, queueId) }
      // What was consumed since the first time would come again.
      return groupDetailOf(await call('RESET_GROUP', fields, 'GROUP', false))
    },

    async findById(messageId) {
      parseMessageId(messageId)
      try {
        return (await find({ messageId }))[0]
      } catch (error) {
        if (error instanceof PocketError && error.code === 'MESSAGE_NOT_FOUND') return undefined
        throw error
      }
    },

    async findByKey(topic, key, { from, to, max = findCountDefault } = {}) {
      checkTopicName(topic)
      checkKey(key)
      return find({ topic, key, ...timeRangeOf(from, to), messageCountMax: countOf(max) })
    },

    async findByTime(topic, { from, to, max = findCountDefault }) {
      checkTopicName(topic)
      return find({ topic, ...timeRangeOf(from, to), messageCountMax: countOf(max) })
    },
  }

  /** An offset means one queue, and belongs to the epoch that its log has now. */
  async function resetStart(topic: string, to: From | { readonly offset: number }, queueId: number | undefined) {
    if (typeof to !== 'object' || !('offset' in to)) return startPolicyOf(to)
    if (queueId === undefined) throw new PocketError('BAD_ARGUMENT', 'an offset is one of a queue: name the queueId')
    const { queues } = await call('DESCRIBE_TOPIC', { topic }, 'TOPIC')
    const queue = queues.find((candidate) => candidate.queueId === queueId)
    if (queue === undefined) throw new PocketError('QUEUE_NOT_FOUND', `topic '${topic}' has no queue ${queueId}`)
    return { kind: 'position', position: { epoch: queue.epoch, offset: to.offset } } as const
  }
}

function topicOptionsOf(settings: TopicSettings): CallFields<'CREATE_TOPIC'>['options'] {
  const { queueCount, messageType, retention, retentionBytes } = settings
  const retentionMs = retention === undefined ? undefined : durationToMs(retention, 'retention')
  return { queueCount, messageType, retentionMs, retentionBytes }
}

function groupOptionsOf({ maxAttempts, retrySchedule }: GroupSettings): CallFields<'CONFIGURE_GROUP'>['options'] {
  return {
    attemptCountMax: maxAttempts,
    retryScheduleMs: retrySchedule?.map((delay) => durationToMs(delay, 'a delay of retrySchedule')),
  }
}

function topicDetailOf({ topic, config, queues, groups }: FrameFields<'TOPIC'>): TopicDetail {
  return { topic, ...config, queues, groups }
}

function groupDetailOf({ group, config, members, queues }: FrameFields<'GROUP'>): GroupDetail {
  const { attemptCountMax, retryScheduleMs } = config
  return {
    group,
    maxAttempts: attemptCountMax,
    retryScheduleMs,
    members: members.map((member) => ({ ...member, memberId: producerIdToText(member.memberId) })),
    queues,
  }
}

function foundMessage({ topic, queueId, record }: FrameFields<'MESSAGES'>['messages'][number]): Message<Uint8Array> {
  const batch = RecordBatch.view(record)
  const next = { epoch: batch.epoch, offset: batch.lastOffset + 1 }
  const frame = { subscriptionId: 0, queueId, leaseId: 0, attempt: 0, leaseMs: 0, next, record }
  return new ReceivedMessage({ topic, codec: bytes, custody: undefined }, new Delivery(frame, batch, 0), 0)
}

function timeRangeOf(from: Date | undefined, to: Date | undefined): { readonly fromMs: number; readonly toMs: number } {
  const fromMs = from === undefined ? 0 : from.getTime()
  const toMs = to === undefined ? Number.MAX_SAFE_INTEGER : to.getTime()
  if (!(fromMs >= 0) || !(toMs >= 0)) throw new PocketError('BAD_ARGUMENT', 'a Date of the time range is invalid')
  return { fromMs, toMs }
}

function countOf(max: number): number {
  if (Number.isInteger(max) && max >= 1 && max <= fixedLimits.queryCountMax) return max
  throw new PocketError('BAD_ARGUMENT', `max is ${max}; 1 to ${fixedLimits.queryCountMax} are allowed`)
}
