// Settings and descriptions of topics and groups between the words of the application and those of the wire.

import { PocketError } from '../errors.ts'
import type { RetryPolicy } from '../model/topic.ts'
import type { FrameFields, TopicSummary } from '../protocol/frames.ts'
import { producerIdToText } from '../record/record-batch.ts'
import type { CallFields } from '../session/requests.ts'
import type { Duration, GroupDetail, GroupSettings, TopicDetail, TopicInfo, TopicSettings } from './api.ts'
import { durationToMs } from './duration.ts'

const retryFactorDefault = 2

/** Throws BAD_ARGUMENT where a duration or a share is none. What the relay allows, it says itself. */
export function topicOptionsOf(settings: TopicSettings): CallFields<'CREATE_TOPIC'>['options'] {
  const { queueCount, messageType, retention, retentionBytes, cleanupPolicy, ttl, trace, durability } = settings
  if (trace !== undefined && !(trace >= 0 && trace <= 1)) {
    throw new PocketError('BAD_ARGUMENT', `trace is ${trace}; it is a share, 0 to 1`)
  }
  return {
    queueCount,
    messageType,
    retentionMs: msOf(retention, 'retention'),
    retentionBytes,
    cleanupPolicy,
    ttlMs: msOf(ttl, 'ttl'),
    tracePermille: trace === undefined ? undefined : Math.round(trace * 1000),
    durability,
  }
}

function msOf(duration: Duration | undefined, what: string): number | undefined {
  return duration === undefined ? undefined : durationToMs(duration, what)
}

export function topicInfoOf({ topic, config }: Pick<TopicSummary, 'topic' | 'config'>): TopicInfo {
  const { tracePermille, ...others } = config
  return { topic, ...others, trace: tracePermille / 1000 }
}

export function topicDetailOf({ topic, config, queues, delayedCount, groups }: FrameFields<'TOPIC'>): TopicDetail {
  return { ...topicInfoOf({ topic, config }), queues, delayedCount, groups }
}

/** Throws BAD_ARGUMENT where a duration is none. What the relay allows, it says itself. */
export function groupOptionsOf(settings: GroupSettings): CallFields<'CONFIGURE_GROUP'>['options'] {
  const { maxAttempts, retry, exhausted, paused, maxInFlight, maxInFlightPerMember } = settings
  return {
    attemptCountMax: maxAttempts,
    retry: retry === undefined ? undefined : retryPolicyOf(retry),
    exhausted,
    isPaused: paused,
    inFlightMax: maxInFlight,
    inFlightPerMemberMax: maxInFlightPerMember,
  }
}

function retryPolicyOf(retry: NonNullable<GroupSettings['retry']>): RetryPolicy {
  if (isList(retry)) return { kind: 'schedule', delaysMs: retry.map((delay) => durationToMs(delay, 'a delay of retry')) }
  const { first, factor = retryFactorDefault, max } = retry
  return { kind: 'exponential', firstMs: durationToMs(first, 'retry.first'), factor, maxMs: durationToMs(max, 'retry.max') }
}

function isList(retry: NonNullable<GroupSettings['retry']>): retry is readonly Duration[] {
  return Array.isArray(retry)
}

export function groupDetailOf({ group, config, rate, members, queues }: FrameFields<'GROUP'>): GroupDetail {
  return {
    group,
    maxAttempts: config.attemptCountMax,
    retry: config.retry,
    exhausted: config.exhausted,
    paused: config.isPaused,
    maxInFlight: config.inFlightMax,
    maxInFlightPerMember: config.inFlightPerMemberMax,
    deliveredPerSecond: rate.deliveredPerSecond / 1000,
    ackedPerSecond: rate.ackedPerSecond / 1000,
    members: members.map((member) => ({ ...member, memberId: producerIdToText(member.memberId) })),
    queues,
  }
}
