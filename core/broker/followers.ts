// Those who follow every change of some topics, to keep a copy: a browser's replica, later a slave. Per queue a follower
// has a cursor in the log; of everything small (configurations, log states, progress) it is told the newest, once the
// records it speaks of have been sent. So a slow follower costs no memory: what it has not taken is read again, or was
// replaced by something newer.
//
//   FOLLOW ──> announced (topic, logs) ──records──> at the end of its logs ──small states──> current
//                                        ^                                                     │
//                                        └───────────────────── a commit ──────────────────────┘

import { bytesToText } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { checkTopicName } from '../model/names.ts'
import type { StoreWrite } from '../ports/store.ts'
import { KeyReader, keyKinds } from '../storage/keys.ts'
import type { Answering } from './answering.ts'
import type { Answer, FollowerSink, Following, FollowRequest } from './door.ts'
import { Follower, type SmallChange } from './follower.ts'
import type { GroupQueue } from './group-queue.ts'
import type { Registry } from './registry.ts'
import type { BrokerCounters } from './stats.ts'
import type { Turn } from './turn.ts'

export interface FollowersDeps {
  readonly limits: Limits
  readonly turn: Turn
  readonly registry: Registry
  readonly answering: Answering
  readonly counters: BrokerCounters
  readonly readFailed: (error: Error) => void
  /** The progress of a group in a queue is to be written with the next commit. */
  readonly rewrite: (queue: GroupQueue, group: string) => void
}

export class Followers {
  readonly #deps: FollowersDeps
  readonly #followers = new Set<Follower>()

  constructor(deps: FollowersDeps) {
    this.#deps = deps
  }

  get count(): number {
    return this.#followers.size
  }

  follow(request: FollowRequest, sink: FollowerSink, answer: Answer<Following>): void {
    const { answering, counters, turn } = this.#deps
    answering.deciding(answer, () => {
      if (request.topics.length === 0) throw new PocketError('BAD_ARGUMENT', 'a follower of no topics')
      if (request.topics.length > fixedLimits.followTopicCountMax) {
        throw new PocketError('BAD_ARGUMENT', `a follower names at most ${fixedLimits.followTopicCountMax} topics`)
      }
      for (const topic of request.topics) checkTopicName(topic)
      const follower = new Follower(request, sink, {
        ...this.#deps,
        left: (gone) => this.#followers.delete(gone),
      })
      this.#followers.add(follower)
      turn.after(() => answer({ ...follower.following, sequence: counters.commits }))
    })
  }

  /** The writes of this turn are complete: sends what there is, to be told after the commit. */
  dispatch(writes: readonly StoreWrite[]): void {
    if (this.#followers.size === 0) return
    const changes: SmallChange[] = []
    for (const write of writes) {
      const change = smallChangeOf(write)
      if (change !== undefined) changes.push(change)
    }
    const { counters } = this.#deps
    const sequence = writes.length > 0 ? counters.commits + 1 : counters.commits
    for (const follower of this.#followers) {
      for (const change of changes) follower.note(change)
      follower.dispatch(sequence)
    }
  }
}

/** What a write means to followers; undefined where it is none of their business. */
function smallChangeOf({ key, value }: StoreWrite): SmallChange | undefined {
  // Every write of every commit comes by here, and most are none of theirs: what is not needed is not made.
  switch (key[0]) {
    case keyKinds.topic:
      return { kind: 'topic', topicId: 0, queueId: 0, offset: 0, name: bytesToText(key.subarray(1)), value }
    case keyKinds.group:
      return { kind: 'group', topicId: 0, queueId: 0, offset: 0, name: bytesToText(key.subarray(1)), value }
    case keyKinds.queueState: {
      const reader = new KeyReader(key)
      return { kind: 'log', topicId: reader.u32(), queueId: reader.u16(), offset: 0, name: '', value }
    }
    case keyKinds.progress: {
      const reader = new KeyReader(key)
      const [topicId, queueId] = [reader.u32(), reader.u16()]
      return { kind: 'progress', topicId, queueId, offset: 0, name: bytesToText(reader.rest()), value }
    }
    case keyKinds.record: {
      const reader = new KeyReader(key)
      return { kind: 'record', topicId: reader.u32(), queueId: reader.u16(), offset: reader.u53(), name: '', value }
    }
    default:
      return undefined
  }
}
