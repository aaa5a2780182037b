// Topics and groups as they are configured.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { isDeadLetterTopic } from './names.ts'

/**
 * What order a topic keeps. NORMAL: in a queue, as stored. FIFO: per message group, one at a time. PRIORITY: higher first.
 * Delays and transactions are a message's business and go with each of them.
 */
export type MessageType = 'NORMAL' | 'FIFO' | 'PRIORITY'

/** What is deleted: what is too old or too much; or, in a COMPACT topic, all but the last message of each key too. */
export type CleanupPolicy = 'DELETE' | 'COMPACT'

/**
 * What an answer promises. strict: what it says survives a power cut. relaxed: a crash of the program only; a power cut may
 * take the newest, where the store knows the difference.
 */
export type Durability = 'strict' | 'relaxed'

const durabilities: readonly Durability[] = ['strict', 'relaxed']

export interface TopicConfig {
  readonly queueCount: number
  readonly messageType: MessageType
  /** Records older than this are deleted; 0 keeps them for ever. */
  readonly retentionMs: number
  /** Oldest records are deleted while a queue's share of this is exceeded; 0 is no bound. */
  readonly retentionBytes: number
  readonly cleanupPolicy: CleanupPolicy
  /** How long a message that says nothing of it may be delivered; 0 is for ever. */
  readonly ttlMs: number
  /** So many of a thousand messages are traced. */
  readonly tracePermille: number
  /** Of its messages, and of the progress of groups on it. */
  readonly durability: Durability
}

/** Whether single messages of a topic go before those around them: superseded by its key's next, or moved away. */
export function mayHaveHoles(topic: string, { cleanupPolicy }: Pick<TopicConfig, 'cleanupPolicy'>): boolean {
  return cleanupPolicy === 'COMPACT' || isDeadLetterTopic(topic)
}

/** How a group's members get messages: shared among them, or all to each. */
export type ConsumeMode = 'CLUSTERING' | 'BROADCASTING'

/** When a failed message comes again. */
export type RetryPolicy =
  /** Delay before delivery attempt 2, 3, …; later attempts use the last. */
  | { readonly kind: 'schedule'; readonly delaysMs: readonly number[] }
  /** firstMs before attempt 2, `factor` times as long before each later one, at most maxMs. */
  | { readonly kind: 'exponential'; readonly firstMs: number; readonly factor: number; readonly maxMs: number }

/** What becomes of a message of a FIFO topic whose attempts are over: elsewhere, or kept, with its message group behind. */
export type ExhaustedPolicy = 'dead-letter' | 'hold'

export interface GroupConfig {
  /** Deliveries of one message, the first included, before it becomes a dead letter. */
  readonly attemptCountMax: number
  readonly retry: RetryPolicy
  readonly exhausted: ExhaustedPolicy
  /** Nothing is handed out; what is out goes on. */
  readonly isPaused: boolean
  /** Messages of a topic out at once, over all members; 0 is no bound. */
  readonly inFlightMax: number
  /** Messages of a topic out at once, per member; 0 is no bound. */
  readonly inFlightPerMemberMax: number
}

/** Options that name some of a configuration. */
export type Partially<T> = { readonly [K in keyof T]?: T[K] | undefined }

/** How long a message waits that has had `attempts` of its attempts. */
export function retryDelayMs(policy: RetryPolicy, attempts: number): number {
  if (policy.kind === 'schedule') return policy.delaysMs[Math.min(attempts, policy.delaysMs.length) - 1] ?? 0
  return Math.min(policy.maxMs, Math.round(policy.firstMs * policy.factor ** Math.max(0, attempts - 1)))
}

/** Throws BAD_ARGUMENT unless the configuration is one a topic can have. */
export function checkTopicConfig(config: TopicConfig): void {
  wholeNumber('queueCount', config.queueCount, 1, fixedLimits.queueCountMax)
  wholeNumber('retentionMs', config.retentionMs, 0, Number.MAX_SAFE_INTEGER)
  wholeNumber('retentionBytes', config.retentionBytes, 0, Number.MAX_SAFE_INTEGER)
  wholeNumber('ttlMs', config.ttlMs, 0, fixedLimits.ttlMsMax)
  wholeNumber('tracePermille', config.tracePermille, 0, 1000)
  if (!durabilities.includes(config.durability)) {
    throw new PocketError('BAD_ARGUMENT', `durability must be ${durabilities.join(' or ')}, not ${config.durability}`)
  }
  if (config.messageType === 'PRIORITY' && config.queueCount > fixedLimits.priorityMax + 1) {
    const text = `a PRIORITY topic has one queue per priority, at most ${fixedLimits.priorityMax + 1}, not ${config.queueCount}`
    throw new PocketError('BAD_ARGUMENT', text)
  }
  if (config.cleanupPolicy === 'COMPACT' && config.messageType !== 'NORMAL') {
    throw new PocketError('BAD_ARGUMENT', `a COMPACT topic is NORMAL, not ${config.messageType}`)
  }
}

export function isSameTopicConfig(left: TopicConfig, right: TopicConfig): boolean {
  const names = Object.keys(left) as (keyof TopicConfig)[]
  return names.every((name) => left[name] === right[name])
}

/** Throws BAD_ARGUMENT unless the configuration is one a group can have. */
export function checkGroupConfig(config: GroupConfig): void {
  wholeNumber('attemptCountMax', config.attemptCountMax, 1, fixedLimits.attemptCountMax)
  wholeNumber('inFlightMax', config.inFlightMax, 0, fixedLimits.inFlightMax)
  wholeNumber('inFlightPerMemberMax', config.inFlightPerMemberMax, 0, fixedLimits.inFlightMax)
  checkRetryPolicy(config.retry)
}

function checkRetryPolicy(policy: RetryPolicy): void {
  if (policy.kind === 'exponential') {
    wholeNumber('the first delay', policy.firstMs, 1, fixedLimits.retryDelayMsMax)
    wholeNumber('the longest delay', policy.maxMs, policy.firstMs, fixedLimits.retryDelayMsMax)
    wholeNumber('the factor', policy.factor, 1, fixedLimits.retryFactorMax)
    return
  }
  const { length } = policy.delaysMs
  if (length < 1 || length > fixedLimits.retryScheduleCountMax) {
    throw new PocketError('BAD_ARGUMENT', `a retry schedule has 1 to ${fixedLimits.retryScheduleCountMax} delays`)
  }
  for (const delayMs of policy.delaysMs) {
    if (!Number.isSafeInteger(delayMs) || delayMs < 0 || delayMs > fixedLimits.retryDelayMsMax) {
      throw new PocketError('BAD_ARGUMENT', `a retry delay is 0 to ${fixedLimits.retryDelayMsMax} ms, not ${delayMs}`)
    }
  }
}

function wholeNumber(what: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return
  throw new PocketError('BAD_ARGUMENT', `${what} must be a whole number, ${min} to ${max}, not ${value}`)
}
