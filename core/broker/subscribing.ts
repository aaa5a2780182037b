// How readers come in: members of groups, CLUSTERING and BROADCASTING, and pulls. It finds the topic, the filter and
// where reading begins; from then on they read by themselves.

import { copyBytes } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { type MessageFilter, parseFilter } from '../filter/message-filter.ts'
import type { Limits } from '../limits.ts'
import { checkConsumerName, checkGroupName, checkTopicName } from '../model/names.ts'
import type { Position } from '../model/position.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { Answering } from './answering.ts'
import type { BroadcastPositions } from './broadcast-positions.ts'
import type {
  Answer, Cancellable, MemberSink, PullRequest, PullResult, Subscribed, SubscribeRequest,
} from './door.ts'
import type { GroupSubscription } from './group-subscription.ts'
import { type Queries, resumeOffset } from './queries.ts'
import { BroadcastMember, Pull, type ReaderDeps } from './reader.ts'
import type { Registry } from './registry.ts'
import type { Topic } from './topic.ts'
import type { Turn } from './turn.ts'

export interface SubscribingDeps {
  readonly limits: Limits
  readonly turn: Turn
  readonly registry: Registry
  readonly answering: Answering
  readonly queries: Queries
  readonly positions: BroadcastPositions
  /** What a reader of a topic needs. */
  readonly readerDeps: (topic: Topic) => ReaderDeps
  readonly gapFound: () => void
}

export class Subscribing {
  readonly #deps: SubscribingDeps

  constructor(deps: SubscribingDeps) {
    this.#deps = deps
  }

  subscribe(asked: SubscribeRequest, sink: MemberSink, answer: Answer<Subscribed>): void {
    const { answering, queries, registry } = this.#deps
    // It is kept for as long as the member stays; the bytes it came in are not.
    const request = { ...asked, memberId: copyBytes(asked.memberId) }
    answering.deciding(answer, () => {
      checkGroupName(request.group)
      const filter = parseFilter(request.filterKind, request.filter)
      const topic = this.#topicOrNew(request.topic)
      if (request.mode === 'BROADCASTING') return this.#subscribeBroadcast(topic, request, filter, sink, answer)
      const known = topic.subscriptions.get(request.group)
      if (known !== undefined) return this.#join(topic, known, request, filter, sink, answer)
      answering.whenFound(queries.startsOf(topic.queues, request.start), answer, (starts) => {
        registry.checkPresent(topic)
        registry.groupOrNew(request.group)
        this.#join(topic, registry.subscriptionOrNew(request.group, topic, starts), request, filter, sink, answer)
      })
    })
  }

  #join(
    topic: Topic, subscription: GroupSubscription, request: SubscribeRequest, filter: MessageFilter, sink: MemberSink,
    answer: Answer<Subscribed>,
  ): void {
    const leaseMs = this.#leaseMsOf(request.leaseMs)
    const membership = subscription.join(request, filter, leaseMs, sink)
    const positions = subscription.queues.map(({ log, cursor }) => ({ queueId: log.queueId, position: log.position(cursor) }))
    this.#deps.turn.after(() => answer({ membership, messageType: topic.config.messageType, leaseMs, positions }))
    subscription.welcome(request.memberId)
  }

  #subscribeBroadcast(
    topic: Topic, request: SubscribeRequest, filter: MessageFilter, sink: MemberSink, answer: Answer<Subscribed>,
  ): void {
    const { answering, positions: kept, queries, registry, turn } = this.#deps
    const isKept = request.positionKeeper === 'broker'
    if (isKept) checkConsumerName(request.consumerName)
    answering.whenFound(queries.startsOf(topic.queues, request.start), answer, (starts) => {
      registry.checkPresent(topic)
      if (isKept) kept.checkRoom(topic, request.group, request.consumerName)
      const ofBroker = isKept ? kept.of(topic, request.group, request.consumerName) : []
      const known = new Map(ofBroker.map(({ queueId, position }) => [queueId, position]))
      const moved = new Set(ofBroker.flatMap(({ queueId, isReset }) => (isReset ? [queueId] : [])))
      // What the client has received since the broker was last told is newer, unless the group was moved meanwhile.
      for (const { queueId, position } of request.positions) if (!moved.has(queueId)) known.set(queueId, position)
      const gaps: { log: QueueLog; expected: Position; offset: number }[] = []
      const places = topic.queues.map((log, index) => {
        const expected = known.get(log.queueId)
        if (expected === undefined) return { log, offset: starts[index] as number }
        const { offset, isGap } = resumeOffset(log, expected)
        if (isGap) gaps.push({ log, expected, offset })
        return { log, offset }
      })
      if (isKept) registry.groupOrNew(request.group)
      else registry.readerCame(request.group)
      const member = new BroadcastMember(request, filter, sink, places, {
        ...this.#deps.readerDeps(topic),
        keepPositions: (positions) => {
          if (isKept) kept.keep(topic, request.group, request.consumerName, positions)
        },
        isPaused: () => registry.groupConfig(request.group).isPaused,
      })
      topic.broadcastMembers.add(member)
      const positions = places.map(({ log, offset }) => ({ queueId: log.queueId, position: log.position(offset) }))
      // Written at once, so that the start counts even if nothing is consumed before a restart.
      if (isKept) {
        kept.keep(topic, request.group, request.consumerName, positions.filter(({ queueId }) => !moved.has(queueId)))
      }
      const { membership } = member
      turn.after(() => answer({ membership, messageType: topic.config.messageType, leaseMs: 0, positions }))
      for (const { queueId } of request.positions) {
        const place = moved.has(queueId) ? places[queueId] : undefined
        if (place !== undefined) member.announceReset(queueId, place.log.position(place.offset))
      }
      for (const { log, expected, offset } of gaps) member.announceGap(log.queueId, expected, log.position(offset))
    })
  }

  pull(request: PullRequest, answer: Answer<PullResult>): Cancellable {
    const { answering, gapFound, queries, readerDeps, registry } = this.#deps
    let pull: Pull | undefined
    let isCancelled = false
    answering.deciding(answer, () => {
      const topic = registry.topic(request.topic)
      const log = topic.queues[request.queueId]
      if (log === undefined) {
        throw new PocketError('QUEUE_NOT_FOUND', `topic '${topic.name}' has queues 0 to ${topic.queues.length - 1}`)
      }
      const filter = parseFilter(request.filterKind, request.filter)
      const begin = (offset: number, isGap: boolean) => {
        if (isCancelled) return
        registry.checkPresent(topic)
        pull = new Pull(log, offset, filter, request, answer, readerDeps(topic))
        topic.pulls.add(pull)
        if (isGap) gapFound()
      }
      if (request.start.kind === 'position') {
        const { offset, isGap } = resumeOffset(log, request.start.position)
        begin(offset, isGap)
      } else answering.whenFound(queries.startOf(log, request.start), answer, (offset) => begin(offset, false))
    })
    return {
      cancel: () => {
        isCancelled = true
        pull?.cancel()
      },
    }
  }

  #topicOrNew(name: string): Topic {
    checkTopicName(name)
    return this.#deps.registry.topicOrNew(name)
  }

  #leaseMsOf(leaseMs: number): number {
    const { leaseMsDefault, leaseMsMin, leaseMsMax } = this.#deps.limits
    if (leaseMs === 0) return leaseMsDefault
    if (leaseMs < leaseMsMin || leaseMs > leaseMsMax) {
      throw new PocketError('BAD_ARGUMENT', `a lease of ${leaseMs} ms; ${leaseMsMin} to ${leaseMsMax} are allowed`)
    }
    return leaseMs
  }
}
