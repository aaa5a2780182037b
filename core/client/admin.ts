// What operators ask of a relay: each call is one request of the wire, or one a page.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { parseMessageId, parseRecallHandle } from '../model/message.ts'
import { checkGroupName, checkKey, checkTopicName, deadLetterTopicOf } from '../model/names.ts'
import type { StartPolicy } from '../model/position.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { producerIdToBytes, producerIdToText } from '../record/record-batch.ts'
import type { CallFields } from '../session/requests.ts'
import { groupDetailOf, groupOptionsOf, topicDetailOf, topicInfoOf, topicOptionsOf } from './admin-settings.ts'
import type {
  Admin, ConnectionInfo, DelayedInfo, From, GroupInfo, ListedTopic, Message, StoredRange, TransactionInfo,
} from './api.ts'
import type { CallRelay } from './call.ts'
import { bytes } from './codec.ts'
import type { MessageSource, Replies } from './message.ts'
import { checkCount, startPolicyOf } from './start-policy.ts'
import { messagesOf } from './stored-messages.ts'

const pageCount = 500
const findCountDefault = 64
const transactionCountDefault = 1_000
const pullBytesMax = 1024 * 1024

export interface AdminDeps {
  readonly call: CallRelay
  readonly replies: Replies
}

/** Every request that may be sent a second time is, where the connection breaks; the others say so by their last argument. */
export function createAdmin({ call, replies }: AdminDeps): Admin {
  return {
    async createTopic(topic, settings = {}) {
      checkTopicName(topic)
      return topicDetailOf(await call('CREATE_TOPIC', { topic, options: topicOptionsOf(settings) }, 'TOPIC'))
    },

    async listTopics({ containing = '', after = '', max = Infinity } = {}) {
      const topics: ListedTopic[] = []
      for (let more = true; more && topics.length < max;) {
        const countMax = Math.min(pageCount, max - topics.length)
        const page = await call('LIST_TOPICS', { after, containing, countMax }, 'TOPICS')
        for (const { messageCount, delayedCount, ...summary } of page.topics) {
          topics.push({ ...topicInfoOf(summary), messageCount, delayedCount })
        }
        more = page.more && page.topics.length > 0
        after = page.topics.at(-1)?.topic ?? after
      }
      return topics
    },

    async configureTopic(topic, settings) {
      checkTopicName(topic)
      return topicDetailOf(await call('CONFIGURE_TOPIC', { topic, options: topicOptionsOf(settings) }, 'TOPIC'))
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

    async listGroups({ containing = '', after = '', max = Infinity } = {}) {
      const groups: GroupInfo[] = []
      for (let more = true; more && groups.length < max;) {
        const countMax = Math.min(pageCount, max - groups.length)
        const page = await call('LIST_GROUPS', { after, containing, countMax }, 'GROUPS')
        groups.push(...page.groups.map(({ isPaused: paused, ...summary }) => ({ ...summary, paused })))
        more = page.more && page.groups.length > 0
        after = page.groups.at(-1)?.group ?? after
      }
      return groups
    },

    async describeGroup(group) {
      checkGroupName(group)
      return groupDetailOf(await call('DESCRIBE_GROUP', { group }, 'GROUP'))
    },

    async deleteGroup(group) {
      checkGroupName(group)
      await call('DELETE_GROUP', { group }, 'DONE', false)
    },

    async settleHeld(group, topic, how) {
      checkGroupName(group)
      checkTopicName(topic)
      // A second time it would settle what is held since.
      return groupDetailOf(await call('SETTLE_HELD', { group, topic, how }, 'GROUP', false))
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
        return unless('MESSAGE_NOT_FOUND', error, undefined)
      }
    },

    async findByKey(topic, key, { max = findCountDefault, ...range } = {}) {
      checkTopicName(topic)
      checkKey(key)
      return find({ topic, key, ...rangeOf(range), messageCountMax: countOf(max) })
    },

    async findByTime(topic, { max = findCountDefault, ...range }) {
      checkTopicName(topic)
      return find({ topic, ...rangeOf(range), messageCountMax: countOf(max) })
    },

    async deadLetters(group, { max = findCountDefault } = {}) {
      checkGroupName(group)
      checkCount('max', max)
      const topic = deadLetterTopicOf(group)
      try {
        const { queues } = await call('DESCRIBE_TOPIC', { topic }, 'TOPIC')
        const letters = await Promise.all(queues.map(({ queueId }) => read(topic, queueId, max)))
        return letters.flat().sort((left, right) => left.storedMs - right.storedMs).slice(0, max)
      } catch (error) {
        return unless('TOPIC_NOT_FOUND', error, [])
      }
    },

    resendDeadLetters: (group, { messageIds } = {}) => moveDeadLetters('RESEND_DEAD_LETTERS', group, messageIds),

    purgeDeadLetters: (group, { messageIds } = {}) => moveDeadLetters('PURGE_DEAD_LETTERS', group, messageIds),

    async listDelayed({ topic = '', after = '', max = findCountDefault } = {}) {
      if (topic !== '') checkTopicName(topic)
      if (after !== '') parseRecallHandle(after)
      checkCount('max', max)
      const delayed: DelayedInfo[] = []
      for (let more = true; more && delayed.length < max;) {
        const countMax = Math.min(pageCount, max - delayed.length)
        const page = await call('LIST_DELAYED', { topic, after: delayed.at(-1)?.recallHandle ?? after, countMax }, 'DELAYED')
        for (const { record, ...info } of page.messages) {
          const [message] = messagesOf(sourceOf(info.topic), 0, record)
          if (message !== undefined) delayed.push({ ...info, message })
        }
        more = page.more && page.messages.length > 0
      }
      return delayed
    },

    async recall(topic, recallHandle) {
      checkTopicName(topic)
      parseRecallHandle(recallHandle)
      // A second time it would be MESSAGE_NOT_FOUND.
      await call('RECALL', { topic, recallHandle }, 'RECALLED', false)
    },

    async listTransactions({ producerGroup = '', max = transactionCountDefault } = {}) {
      if (producerGroup !== '') checkGroupName(producerGroup)
      checkCount('max', max)
      const transactions: TransactionInfo[] = []
      for (let more = true; more && transactions.length < max;) {
        const last = transactions.at(-1)
        const after = last === undefined ? undefined : producerIdToBytes(last.transactionId)
        const countMax = Math.min(pageCount, max - transactions.length)
        const page = await call('LIST_TRANSACTIONS', { producerGroup, after, countMax }, 'TRANSACTIONS')
        for (const { transactionId, ...info } of page.transactions) {
          transactions.push({ ...info, transactionId: producerIdToText(transactionId) })
        }
        more = page.more && page.transactions.length > 0
      }
      return transactions
    },

    async describeRelay() {
      const { version, startedMs, settings, figures } = await call('DESCRIBE_RELAY', {}, 'RELAY')
      return { version, startedMs, settings, figures: new Map(figures.map(({ name, value }) => [name, value])) }
    },

    async listConnections({ containing = '', after = '', max = pageCount } = {}) {
      checkCount('max', max)
      const connections: ConnectionInfo[] = []
      for (let more = true; more && connections.length < max;) {
        const countMax = Math.min(pageCount, max - connections.length)
        const page = await call('LIST_CONNECTIONS', { after, containing, countMax }, 'CONNECTIONS')
        connections.push(...page.connections)
        more = page.more && page.connections.length > 0
        after = page.connections.at(-1)?.clientId ?? after
      }
      return connections
    },

    async closeConnection(clientId) {
      // A second time it might hit the client's next connection.
      await call('CLOSE_CONNECTION', { clientId }, 'DONE', false)
    },

    async trace(what) {
      if ('messageId' in what) {
        parseMessageId(what.messageId)
        return (await call('QUERY_TRACE', queryOf({ messageId: what.messageId }), 'TRACE')).timelines
      }
      const { topic, key, max = findCountDefault, ...range } = what
      checkTopicName(topic)
      checkKey(key)
      const query = queryOf({ topic, key, ...rangeOf(range), messageCountMax: countOf(max) })
      return (await call('QUERY_TRACE', query, 'TRACE')).timelines
    },
  }

  function sourceOf(topic: string): MessageSource<Uint8Array> {
    return { topic, codec: bytes, custody: undefined, replies }
  }

  async function find(query: Partial<CallFields<'QUERY'>>): Promise<Message<Uint8Array>[]> {
    const { messages } = await call('QUERY', queryOf(query), 'MESSAGES')
    return messages.flatMap(({ topic, queueId, record }) => messagesOf(sourceOf(topic), queueId, record))
  }

  /** The first messages of a queue, as far as it goes now. */
  async function read(topic: string, queueId: number, max: number): Promise<Message<Uint8Array>[]> {
    const found: Message<Uint8Array>[] = []
    let start: StartPolicy = { kind: 'earliest' }
    for (let endOffset = Infinity, offset = 0; found.length < max && offset < endOffset;) {
      const messageCountMax = Math.min(pageCount, max - found.length)
      const pulled: FrameFields<'PULLED'> = await call('PULL', {
        topic, queueId, start, filterKind: 'TAG', filter: '*', messageCountMax, byteCountMax: pullBytesMax, waitMs: 0,
      }, 'PULLED')
      for (const record of pulled.records) found.push(...messagesOf(sourceOf(topic), queueId, record))
      endOffset = Math.min(endOffset, pulled.maxOffset)
      start = { kind: 'position', position: pulled.next }
      offset = pulled.next.offset
    }
    return found
  }

  async function moveDeadLetters(
    name: 'RESEND_DEAD_LETTERS' | 'PURGE_DEAD_LETTERS', group: string, messageIds: readonly string[] | undefined,
  ): Promise<number> {
    checkGroupName(group)
    for (const messageId of messageIds ?? []) parseMessageId(messageId)
    let count = 0
    for (const some of messageIds === undefined ? [[]] : chunksOf(messageIds, fixedLimits.deadLetterCountMax)) {
      for (let more = true; more;) {
        const moved = await call(name, { group, messageIds: some }, 'DEAD_LETTERS', false)
        count += moved.messageCount
        more = moved.more && moved.messageCount > 0
      }
    }
    return count
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

function queryOf(query: Partial<CallFields<'QUERY'>>): CallFields<'QUERY'> {
  return {
    topic: '',
    messageId: undefined,
    key: undefined,
    fromMs: 0,
    toMs: Number.MAX_SAFE_INTEGER,
    after: undefined,
    messageCountMax: findCountDefault,
    ...query,
  }
}

/** What is not there is no failure here; every other one is. */
function unless<T>(code: 'MESSAGE_NOT_FOUND' | 'TOPIC_NOT_FOUND', error: unknown, otherwise: T): T {
  if (error instanceof PocketError && error.code === code) return otherwise
  throw error
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  const chunks: T[][] = []
  for (let start = 0; start < items.length; start += size) chunks.push(items.slice(start, start + size))
  return chunks
}

function rangeOf({ from, to, after }: StoredRange): Pick<CallFields<'QUERY'>, 'fromMs' | 'toMs' | 'after'> {
  const fromMs = from === undefined ? 0 : from.getTime()
  const toMs = to === undefined ? Number.MAX_SAFE_INTEGER : to.getTime()
  if (!(fromMs >= 0) || !(toMs >= 0)) throw new PocketError('BAD_ARGUMENT', 'a Date of the time range is invalid')
  if (after === undefined) return { fromMs, toMs, after }
  const { storedMs, queueId, offset } = after
  if (![storedMs, queueId, offset].every((value) => Number.isSafeInteger(value) && value >= 0)) {
    throw new PocketError('BAD_ARGUMENT', 'after is no message of an earlier answer: it has no storedMs, queueId and offset')
  }
  return { fromMs, toMs, after: { storedMs, queueId, offset } }
}

function countOf(max: number): number {
  if (Number.isInteger(max) && max >= 1 && max <= fixedLimits.queryCountMax) return max
  throw new PocketError('BAD_ARGUMENT', `max is ${max}; 1 to ${fixedLimits.queryCountMax} are allowed`)
}
