// What admins are told of topics and groups: put together when asked, from what the broker has in memory.

import { fixedLimits } from '../limits.ts'
import type { GroupConfig } from '../model/topic.ts'
import type { GroupDescription, GroupSummary, TopicDescription, TopicSummary } from '../protocol/frames.ts'
import type { SubscribeRequest } from './door.ts'
import type { GroupSubscription } from './group-subscription.ts'
import type { Registry } from './registry.ts'
import type { BrokerCounters, BrokerStats, GroupStats, TopicStats } from './stats.ts'
import type { Topic } from './topic.ts'

/** Most names in one answer; the rest is asked for with `after`. */
const pageCountMax = 1_000
const queuesDescribedMax = 10_000

interface Page {
  readonly after: string
  readonly containing: string
  readonly countMax: number
}

export function describeTopic(topic: Topic): TopicDescription {
  return {
    topic: topic.name,
    config: topic.config,
    delayedCount: topic.delayedCount,
    queues: topic.queues.map(({ queueId, epoch, minOffset, maxOffset, storedBytes }) => ({
      queueId, epoch, minOffset, maxOffset, storedBytes,
    })),
    groups: [...new Set([...topic.subscriptions.keys(), ...broadcastGroups(topic)])].sort().slice(0, pageCountMax),
  }
}

export function listTopics(registry: Registry, page: Page): { topics: TopicSummary[]; more: boolean } {
  const { names, more } = pageOf(registry.topics.keys(), page)
  const topics = names.map((name) => {
    const topic = registry.topic(name)
    return { topic: name, config: topic.config, messageCount: topic.messageCount, delayedCount: topic.delayedCount }
  })
  return { topics, more }
}

export function describeGroup(registry: Registry, group: string, config: GroupConfig): GroupDescription {
  const members: GroupDescription['members'][number][] = []
  const rate = { deliveredPerSecond: 0, ackedPerSecond: 0 }
  const queues: GroupDescription['queues'][number][] = []
  for (const topic of registry.topics.values()) {
    for (const { request, deliveredPerSecond } of topic.broadcastMembers) {
      if (request.group !== group) continue
      members.push(memberDescription(request, 0))
      rate.deliveredPerSecond += deliveredPerSecond
    }
    const subscription = topic.subscriptions.get(group)
    if (subscription === undefined) continue
    rate.deliveredPerSecond += subscription.deliveredPerSecond
    rate.ackedPerSecond += subscription.ackedPerSecond
    for (const member of subscription.connectedMembers) {
      members.push(memberDescription(member, subscription.inFlightOf(member.memberId)))
    }
    for (const queue of subscription.queues) {
      queues.push({
        topic: topic.name,
        queueId: queue.log.queueId,
        ackFloor: queue.ackFloor,
        nextOffset: queue.cursor,
        maxOffset: queue.log.maxOffset,
        inFlight: queue.inFlightCount,
        waitingForRetry: queue.retryCount,
        held: queue.heldCount,
        oldestStoredMs: queue.oldestStoredMs(true),
        backlog: queue.backlog,
      })
    }
  }
  return { group, config, rate, members: members.slice(0, pageCountMax), queues: queues.slice(0, queuesDescribedMax) }
}

export function listGroups(registry: Registry, page: Page): { groups: GroupSummary[]; more: boolean } {
  const { names, more } = pageOf(registry.groups.keys(), page)
  const summaries = new Map(names.map((group) => {
    const { isPaused } = registry.groupConfig(group)
    return [group, { group, memberCount: 0, backlog: 0, isPaused }]
  }))
  // One walk over the topics for the whole page, not one per group.
  for (const topic of registry.topics.values()) {
    for (const { request } of topic.broadcastMembers) {
      const summary = summaries.get(request.group)
      if (summary !== undefined) summary.memberCount++
    }
    for (const subscription of subscriptionsOf(topic, names)) {
      const summary = summaries.get(subscription.group)
      if (summary === undefined) continue
      summary.memberCount += subscription.connectedMembers.length
      summary.backlog += subscription.backlog
    }
  }
  return { groups: [...summaries.values()], more }
}

/** What groups of these names have on a topic, and maybe others: whichever is found sooner. */
function* subscriptionsOf(topic: Topic, groups: readonly string[]): Generator<GroupSubscription> {
  if (topic.subscriptions.size <= groups.length) return yield* topic.subscriptions.values()
  for (const group of groups) {
    const subscription = topic.subscriptions.get(group)
    if (subscription !== undefined) yield subscription
  }
}

/** What the broker's own parts know, for {@link describeBroker}. */
export interface BrokerParts {
  readonly registry: Registry
  readonly counters: BrokerCounters
  readonly openTransactionCount: number
  readonly tailCacheBytes: number
  readonly storeUsedBytes: number
  readonly storeFreeBytes: number
}

export function describeBroker({ registry, ...parts }: BrokerParts): BrokerStats {
  let memberCount = 0
  let messageCount = 0
  let inFlightCount = 0
  let backlog = 0
  let waitingPullCount = 0
  for (const topic of registry.topics.values()) {
    messageCount += topic.messageCount
    memberCount += topic.broadcastMembers.size
    waitingPullCount += topic.pulls.size
    for (const subscription of topic.subscriptions.values()) {
      memberCount += subscription.connectedMembers.length
      inFlightCount += subscription.inFlightCount
      backlog += subscription.backlog
    }
  }
  return {
    ...parts,
    topicCount: registry.topics.size,
    groupCount: registry.groups.size,
    memberCount,
    producerCount: registry.producerCount,
    messageCount,
    inFlightCount,
    backlog,
    waitingPullCount,
    topics: () => topicStats(registry),
    groups: () => groupStats(registry),
  }
}

function* topicStats(registry: Registry): Generator<TopicStats> {
  for (const topic of registry.topics.values()) {
    const { name, messagesIn, bytesIn, messagesOut, bytesOut, messageCount, storedBytes } = topic
    yield { topic: name, messagesIn, bytesIn, messagesOut, bytesOut, messageCount, storedBytes }
  }
}

function* groupStats(registry: Registry): Generator<GroupStats> {
  for (const topic of registry.topics.values()) {
    for (const subscription of topic.subscriptions.values()) {
      const { group, backlog, inFlightCount, heldCount, messagesOut, bytesOut, deadLetters, queues } = subscription
      const retryCount = queues.reduce((sum, queue) => sum + queue.retryCount, 0)
      const lockedCount = queues.reduce((sum, queue) => sum + queue.lockedCount, 0)
      const oldest = backlog > 0 ? queues.map((queue) => queue.oldestStoredMs()).filter((storedMs) => storedMs > 0) : []
      yield {
        group,
        topic: topic.name,
        memberCount: subscription.connectedMembers.length,
        messagesOut,
        bytesOut,
        deadLetters,
        readyCount: backlog - inFlightCount - retryCount - heldCount - lockedCount,
        inFlightCount,
        retryCount,
        heldCount,
        backlog,
        oldestStoredMs: oldest.length > 0 ? Math.min(...oldest) : undefined,
      }
    }
    for (const group of broadcastGroups(topic)) {
      const members = [...topic.broadcastMembers].filter((member) => member.request.group === group)
      yield {
        group,
        topic: topic.name,
        memberCount: members.length,
        messagesOut: members.reduce((sum, member) => sum + member.messagesOut, 0),
        bytesOut: members.reduce((sum, member) => sum + member.bytesOut, 0),
        deadLetters: 0,
        readyCount: 0,
        inFlightCount: 0,
        retryCount: 0,
        heldCount: 0,
        backlog: 0,
        oldestStoredMs: undefined,
      }
    }
  }
}

function broadcastGroups(topic: Topic): Set<string> {
  return new Set([...topic.broadcastMembers].map((member) => member.request.group))
}

function memberDescription(request: SubscribeRequest, inFlight: number): GroupDescription['members'][number] {
  const { memberId, topic, mode, filterKind, filter, consumerName, clientId, clientName } = request
  const peer = request.peer.slice(0, fixedLimits.textBytesMax / 4)
  return { memberId, topic, mode, filterKind, filter, consumerName, clientId, clientName, peer, inFlight }
}

/** Names after `after`, ascending, that contain a text. There may be 100,000: those of the page are found without sorting all. */
function pageOf(all: Iterable<string>, { after, containing, countMax }: Page): { names: string[]; more: boolean } {
  const count = Math.max(1, Math.min(countMax, pageCountMax))
  let names: string[] = []
  /** As many as are wanted are at or below it. */
  let bound: string | undefined
  for (const name of all) {
    if (name <= after || (bound !== undefined && name > bound) || !name.includes(containing)) continue
    names.push(name)
    if (names.length < 2 * pageCountMax) continue
    names = names.sort().slice(0, count + 1)
    bound = names.at(-1)
  }
  names.sort()
  return { names: names.slice(0, count), more: names.length > count }
}
