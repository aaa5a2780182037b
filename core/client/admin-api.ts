// What operators ask of a relay, as types: topics, groups, stored messages, dead letters, delayed and half messages,
// traces. The maker is admin.ts.

import type { FilterKind } from '../filter/message-filter.ts'
import type { MessageId } from '../model/message.ts'
import type { CleanupPolicy, ConsumeMode, Durability, ExhaustedPolicy, MessageType, RetryPolicy } from '../model/topic.ts'
import type { StoredPlace, Timeline } from '../protocol/frames.ts'
import type { Duration, From, Message } from './topic-api.ts'

export type { StoredPlace, Timeline, TraceEvent } from '../protocol/frames.ts'

/** How a topic is to be; the relay's defaults fill the rest. */
export interface TopicSettings {
  /** 1 to 1,024. Order holds inside a queue. */
  readonly queueCount?: number
  /** NORMAL; FIFO, whose messages have message groups; or PRIORITY, with a queue for each priority. */
  readonly messageType?: MessageType
  /** How long messages are kept; 0 is for ever. */
  readonly retention?: Duration
  /** Oldest messages go while a topic is larger; 0 is no bound. */
  readonly retentionBytes?: number
  /** COMPACT keeps only the last message of each key; every message needs a key, and an empty body removes it. */
  readonly cleanupPolicy?: CleanupPolicy
  /** Messages that say nothing of it are delivered for so long; 0 is for ever. */
  readonly ttl?: Duration
  /** The share of messages that are traced, 0 to 1 in thousandths. */
  readonly trace?: number
  /**
   * strict, the default: an answer comes when the disk is synced. relaxed: it may come before, and a power cut take the
   * newest messages and acks. A relay always syncs; a browser's engine is faster so.
   */
  readonly durability?: Durability
}

/** How a topic is. */
export interface TopicInfo {
  readonly topic: string
  readonly queueCount: number
  readonly messageType: MessageType
  readonly retentionMs: number
  readonly retentionBytes: number
  readonly cleanupPolicy: CleanupPolicy
  readonly ttlMs: number
  /** 0 to 1. */
  readonly trace: number
  readonly durability: Durability
}

/** A topic in a list. */
export interface ListedTopic extends TopicInfo {
  readonly messageCount: number
  readonly delayedCount: number
}

/** A topic, its queues, and who reads it. */
export interface TopicDetail extends TopicInfo {
  readonly queues: readonly {
    readonly queueId: number
    readonly epoch: number
    /** First kept. */
    readonly minOffset: number
    /** Next to be written. */
    readonly maxOffset: number
    readonly storedBytes: number
  }[]
  /** Messages that wait until they are due. */
  readonly delayedCount: number
  /** Groups with progress on it. */
  readonly groups: readonly string[]
}

/** How a group is to treat messages that fail. */
export interface GroupSettings {
  /** Deliveries of one message, the first included, before it becomes a dead letter. */
  readonly maxAttempts?: number
  /**
   * Delay before attempt 2, 3, …, later attempts use the last; or growing from `first` by `factor` (a whole number,
   * default 2) up to `max`.
   */
  readonly retry?: readonly Duration[] | { readonly first: Duration; readonly factor?: number; readonly max: Duration }
  /** FIFO: whether a message whose attempts are over goes to the dead letters, or holds its message group. */
  readonly exhausted?: ExhaustedPolicy
  /** Nothing is handed out while true. */
  readonly paused?: boolean
  /** Messages of a topic out at once, over all members; 0 is no bound. */
  readonly maxInFlight?: number
  /** Messages of a topic out at once, per member; 0 is no bound. */
  readonly maxInFlightPerMember?: number
}

/** A group in a list. */
export interface GroupInfo {
  readonly group: string
  readonly memberCount: number
  readonly backlog: number
  readonly paused: boolean
}

/** A group, its members that are here now, and its progress per queue. */
export interface GroupDetail {
  readonly group: string
  readonly maxAttempts: number
  readonly retry: RetryPolicy
  readonly exhausted: ExhaustedPolicy
  readonly paused: boolean
  readonly maxInFlight: number
  readonly maxInFlightPerMember: number
  /** Over about the last minute. */
  readonly deliveredPerSecond: number
  readonly ackedPerSecond: number
  readonly members: readonly {
    readonly memberId: string
    readonly topic: string
    readonly mode: ConsumeMode
    readonly filterKind: FilterKind
    readonly filter: string
    /** Of a BROADCASTING consumer whose positions the relay keeps; else empty. */
    readonly consumerName: string
    readonly clientId: string
    readonly clientName: string
    readonly peer: string
    /** Messages it holds. */
    readonly inFlight: number
  }[]
  readonly queues: readonly {
    readonly topic: string
    readonly queueId: number
    /** All below is consumed. */
    readonly ackFloor: number
    /** Next offset never delivered. */
    readonly nextOffset: number
    readonly maxOffset: number
    readonly inFlight: number
    readonly waitingForRetry: number
    /** All attempts had, in a group that holds such. */
    readonly held: number
    /** When the oldest message that is not consumed was stored; 0 where there is none, or it is not known. */
    readonly oldestStoredMs: number
    /** Stored and not consumed. */
    readonly backlog: number
  }[]
}

/**
 * Topics, groups and stored messages. Calls reject with what the relay says (TOPIC_NOT_FOUND, FORBIDDEN, …), TIMEOUT
 * after the client's `requestTimeout`, CLOSED, and CONNECTION_LOST where it is not known whether a change took effect.
 */
export interface Admin {
  /** Creates a topic; the same settings again are no error, others are TOPIC_EXISTS. */
  createTopic(topic: string, settings?: TopicSettings): Promise<TopicDetail>
  /** Topics by name, all of them or at most `max` behind `after`. */
  listTopics(
    options?: { readonly containing?: string; readonly after?: string; readonly max?: number },
  ): Promise<readonly ListedTopic[]>
  /** Changes retention, ttl, trace or durability of a topic. BAD_ARGUMENT for the rest, which stays as it was made. */
  configureTopic(topic: string, settings: TopicSettings): Promise<TopicDetail>
  describeTopic(topic: string): Promise<TopicDetail>
  /** Deletes the topic, its messages and every group's progress on it; its consumers end with TOPIC_NOT_FOUND. */
  deleteTopic(topic: string): Promise<void>
  /** Makes the group, or changes what is named of it. */
  configureGroup(group: string, settings: GroupSettings): Promise<GroupDetail>
  /** Groups by name, all of them or at most `max` behind `after`. */
  listGroups(options?: {
    readonly containing?: string
    readonly after?: string
    readonly max?: number
  }): Promise<readonly GroupInfo[]>
  /** Deletes a group and its progress on every topic; its consumers end with GROUP_NOT_FOUND. */
  deleteGroup(group: string): Promise<void>
  /** FIFO messages that are held as their attempts are over: `retry` them from attempt 1, or bury them. */
  settleHeld(group: string, topic: string, how: 'retry' | 'dead-letter'): Promise<GroupDetail>
  describeGroup(group: string): Promise<GroupDetail>
  /** Moves a group's progress on a topic, in all queues or one, at once; leases held end. An offset needs its queue. */
  resetGroup(
    group: string, topic: string,
    options: { readonly to: From | { readonly offset: number }; readonly queueId?: number },
  ): Promise<GroupDetail>
  /** The message, from whichever topic it is in; undefined where it is not stored (any more). */
  findById(messageId: MessageId): Promise<Message<Uint8Array> | undefined>
  /**
   * Messages of a topic with a key, oldest first: at most `max` (default 64, at most 256), and fewer where they are long.
   * Only an answer without any says that there are no more: go on with `after`.
   */
  findByKey(
    topic: string, key: string, options?: StoredRange & { readonly max?: number },
  ): Promise<readonly Message<Uint8Array>[]>
  /** All messages of a topic stored in a time range; otherwise as `findByKey`. */
  findByTime(
    topic: string, options: StoredRange & { readonly from: Date; readonly max?: number },
  ): Promise<readonly Message<Uint8Array>[]>
  /**
   * Dead letters of a group, oldest first, at most `max` (default 64): messages of `%DLQ%<group>` with `DLQ_ORIGIN_…`
   * properties. None where the group has never had one.
   */
  deadLetters(group: string, options?: { readonly max?: number }): Promise<readonly Message<Uint8Array>[]>
  /**
   * Puts dead letters back where they came from, those named or all, and gives how many; an empty list names none. For
   * every group of that topic they are new messages. MESSAGE_NOT_FOUND where one that is named is not there; otherwise
   * what can go goes, and why the first of the others can't is thrown in the end.
   */
  resendDeadLetters(group: string, options?: { readonly messageIds?: readonly string[] }): Promise<number>
  /** Deletes dead letters, those named or all, and gives how many. MESSAGE_NOT_FOUND where one that is named is not there. */
  purgeDeadLetters(group: string, options?: { readonly messageIds?: readonly string[] }): Promise<number>
  /** Delayed messages in the order they are due, of one topic or of all, behind a recall handle; `max` is 64 by default. */
  listDelayed(options?: {
    readonly topic?: string
    readonly after?: string
    readonly max?: number
  }): Promise<readonly DelayedInfo[]>
  /** Takes back a delayed message; see `Topic.recall`. */
  recall(topic: string, recallHandle: string): Promise<void>
  /** Transactions that are not ended, of one producer group or of all; `max` is 1,000 by default. */
  listTransactions(options?: { readonly producerGroup?: string; readonly max?: number }): Promise<readonly TransactionInfo[]>
  /** The relay itself: version, settings in force, figures. FORBIDDEN where there is none, as on device topics. */
  describeRelay(): Promise<RelayInfo>
  /** Connections by client id, at most `max` (default 500) behind `after`; `containing` looks at id, name and address. */
  listConnections(
    options?: { readonly containing?: string; readonly after?: string; readonly max?: number },
  ): Promise<readonly ConnectionInfo[]>
  /**
   * Ends a client's connections; the client ends with FORBIDDEN and does not come back by itself. CONNECTION_NOT_FOUND
   * where it has none.
   */
  closeConnection(clientId: string): Promise<void>
  /** What happened to the message of an id, or to those that `findByKey` finds. */
  trace(what: { readonly messageId: string } | (StoredRange & {
    readonly topic: string
    readonly key: string
    readonly max?: number
  })): Promise<readonly Timeline[]>
}

/** Which of a topic's messages are asked for. */
export interface StoredRange {
  /** Stored at this time or later; default: any. */
  readonly from?: Date
  /** Stored before this time; default: any. */
  readonly to?: Date
  /** Behind this one, a message or timeline of an earlier answer: by stored time, then queue, then offset. */
  readonly after?: StoredPlace
}

/** A relay as it tells of itself. */
export interface RelayInfo {
  readonly version: string
  readonly startedMs: number
  readonly settings: readonly { readonly name: string; readonly value: string; readonly meaning: string }[]
  /** By name, whole numbers with their unit in the name: `connections`, `messagesInTotal`, `commitMicrosP99`, … */
  readonly figures: ReadonlyMap<string, number>
}

/** A client's connection to the relay. */
export interface ConnectionInfo {
  readonly clientId: string
  readonly clientName: string
  /** Its address, as the relay sees it. */
  readonly peer: string
  readonly sinceMs: number
  /** Subscriptions and followers. */
  readonly streamCount: number
  readonly requestsInHand: number
  /** Waiting to be taken by the client. */
  readonly bufferedBytes: number
}

/** A message that waits. */
export interface DelayedInfo {
  readonly recallHandle: string
  readonly topic: string
  readonly deliverMs: number
  readonly message: Message<Uint8Array>
}

/** A transaction that waits for its end. */
export interface TransactionInfo {
  readonly transactionId: string
  readonly producerGroup: string
  readonly preparedMs: number
  /** Checks that reached a producer. */
  readonly checkCount: number
  readonly messageCount: number
  readonly byteCount: number
  readonly topics: readonly string[]
}
