// Topics and groups as they are configured.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'

export type MessageType = 'NORMAL' | 'FIFO'

export interface TopicConfig {
  readonly queueCount: number
  readonly messageType: MessageType
  /** Records older than this are deleted; 0 keeps them for ever. */
  readonly retentionMs: number
  /** Oldest records are deleted while a queue's share of this is exceeded; 0 is no bound. */
  readonly retentionBytes: number
}

/** How a group's members get messages: shared among them, or all to each. */
export type ConsumeMode = 'CLUSTERING' | 'BROADCASTING'

export interface GroupConfig {
  /** Deliveries of one message, the first included, before it becomes a dead letter. */
  readonly attemptCountMax: number
  /** Delay before delivery attempt 2, 3, …; later attempts use the last. */
  readonly retryScheduleMs: readonly number[]
}

/** Throws BAD_ARGUMENT unless the configuration is one a topic can have. */
export function checkTopicConfig(config: TopicConfig): void {
  const { queueCount, retentionMs, retentionBytes } = config
  if (!Number.isInteger(queueCount) || queueCount < 1 || queueCount > fixedLimits.queueCountMax) {
    throw new PocketError('BAD_ARGUMENT', `queueCount must be 1 to ${fixedLimits.queueCountMax}, not ${queueCount}`)
  }
  if (!Number.isSafeInteger(retentionMs) || retentionMs < 0) {
    throw new PocketError('BAD_ARGUMENT', `retentionMs must be a whole number of milliseconds, not ${retentionMs}`)
  }
  if (!Number.isSafeInteger(retentionBytes) || retentionBytes < 0) {
    throw new PocketError('BAD_ARGUMENT', `retentionBytes must be a whole number of bytes, not ${retentionBytes}`)
  }
}

export function isSameTopicConfig(left: TopicConfig, right: TopicConfig): boolean {
  return left.queueCount === right.queueCount && left.messageType === right.messageType &&
    left.retentionMs === right.retentionMs && left.retentionBytes === right.retentionBytes
}

/** Throws BAD_ARGUMENT unless the configuration is one a group can have. */
export function checkGroupConfig(config: GroupConfig): void {
  const { attemptCountMax, retryScheduleMs } = config
  if (!Number.isInteger(attemptCountMax) || attemptCountMax < 1 || attemptCountMax > fixedLimits.attemptCountMax) {
    throw new PocketError(
      'BAD_ARGUMENT',
      `attemptCountMax must be 1 to ${fixedLimits.attemptCountMax}, not ${attemptCountMax}`,
    )
  }
  if (retryScheduleMs.length < 1 || retryScheduleMs.length > fixedLimits.retryScheduleCountMax) {
    throw new PocketError('BAD_ARGUMENT', `a retry schedule has 1 to ${fixedLimits.retryScheduleCountMax} delays`)
  }
  for (const delayMs of retryScheduleMs) {
    if (!Number.isSafeInteger(delayMs) || delayMs < 0 || delayMs > fixedLimits.retryDelayMsMax) {
      throw new PocketError('BAD_ARGUMENT', `a retry delay is 0 to ${fixedLimits.retryDelayMsMax} ms, not ${delayMs}`)
    }
  }
}
