// One follower: its cursors, what small states it has not been told of, and its credit. What it is sent is always whole
// changes, in an order in which they can be applied one by one.

import { PocketError } from '../errors.ts'
import { fixedLimits, type Limits } from '../limits.ts'
import { isDeadLetterTopic } from '../model/names.ts'
import type { Position } from '../model/position.ts'
import type { Change } from '../protocol/frames.ts'
import { encodeGroup, encodeQueueState, encodeTopic } from '../storage/catalog.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { FollowerSink, Following, FollowRequest } from './door.ts'
import type { GroupQueue } from './group-queue.ts'
import { LogCursor } from './log-cursor.ts'
import { resumeOffset } from './queries.ts'
import type { Registry } from './registry.ts'
import type { Topic } from './topic.ts'
import type { Turn } from './turn.ts'

/** One frame of changes has about so many bytes; one record may be larger. */
const frameBytesAim = 256 * 1024
/** Besides its value, what a change takes in a frame. */
const changeBytesMin = 16

export interface FollowerDeps {
  readonly limits: Limits
  readonly turn: Turn
  readonly registry: Registry
  readonly readFailed: (error: Error) => void
  /** The progress is to be written with the next commit, changed or not. */
  readonly rewrite: (queue: GroupQueue, group: string) => void
  readonly left: (follower: Follower) => void
}

/** A change of something small, as the store is told of it. */
export interface SmallChange {
  readonly kind: 'topic' | 'group' | 'log' | 'progress' | 'record'
  readonly topicId: number
  readonly queueId: number
  /** Of a record: its last. */
  readonly offset: number
  /** Topic or group, by the kind. */
  readonly name: string
  /** Null where it is deleted. */
  readonly value: Uint8Array | null
}

interface FollowedQueue {
  readonly cursor: LogCursor
  offset: number
}

interface FollowedTopic {
  readonly topic: Topic
  readonly queues: readonly FollowedQueue[]
}

const noBytes = new Uint8Array(0)

export class Follower {
  readonly following: Following
  readonly #deps: FollowerDeps
  readonly #sink: FollowerSink
  readonly #names: ReadonlySet<string>
  readonly #withProgress: boolean
  readonly #positions = new Map<string, Position>()
  readonly #topics = new Map<number, FollowedTopic>()
  /** Groups that it was told of. */
  readonly #groups = new Set<string>()
  /** Told before any record: what topics there are, and how their logs begin. */
  #announcements: Change[] = []
  /** The newest of each small state that it was not told of, by what it is of. */
  readonly #pending = new Map<string, { readonly topicId: number; readonly queueId: number; readonly change: Change }>()
  #creditChangeCount = 0
  #creditByteCount = 0
  /** Changes sent since it was last told that it is current. */
  #isBehind = true
  #isOver = false

  constructor(request: FollowRequest, sink: FollowerSink, deps: FollowerDeps) {
    this.#deps = deps
    this.#sink = sink
    this.#names = new Set(request.topics)
    this.#withProgress = request.withProgress
    for (const { topic, queueId, position } of request.positions) this.#positions.set(`${topic}/${queueId}`, position)
    for (const name of this.#names) {
      const topic = deps.registry.topics.get(name)
      if (topic !== undefined) this.#attach(topic)
    }
    this.following = {
      sequence: 0,
      credit: (changeCount, byteCount) => {
        this.#creditChangeCount += changeCount
        this.#creditByteCount += byteCount
        deps.turn.touch()
      },
      writable: () => deps.turn.touch(),
      leave: () => this.#leave(),
    }
  }

  #leave(): void {
    this.#isOver = true
    this.#deps.left(this)
  }

  // ── what there is to tell ─────────────────────────────────────────────────────────────────────────────────────

  #attach(topic: Topic): void {
    const { limits, readFailed, turn } = this.#deps
    this.#announce('topic', topic.name, encodeTopic({ topicId: topic.topicId, config: topic.config }))
    const queues = topic.queues.map((log) => {
      const offset = this.#startOf(topic, log)
      this.#announce('log', topic.name, encodeQueueState(log.state), log.queueId, offset)
      const cursor = new LogCursor(log, limits.readChunkBytes, () => turn.touch(), (error) => {
        this.revoke(new PocketError('STORE_FAILED', 'the store cannot be read', { cause: error }))
        readFailed(error)
      })
      return { cursor, offset }
    })
    this.#topics.set(topic.topicId, { topic, queues })
    this.#isBehind = true
    if (!this.#withProgress) return
    for (const [group, { queues: groupQueues }] of topic.subscriptions) {
      this.#addGroup(group)
      // Written with this turn's commit, and noted like any other write: a copy holds the very bytes of the relay.
      for (const queue of groupQueues) this.#deps.rewrite(queue, group)
    }
  }

  /** Where its records go on. What may have been rewritten since it was sent is sent anew, as a position says nothing of it. */
  #startOf(topic: Topic, log: QueueLog): number {
    const position = this.#positions.get(`${topic.name}/${log.queueId}`)
    if (position === undefined || isRewritten(topic)) return log.minOffset
    return resumeOffset(log, position).offset
  }

  #announce(kind: Change['kind'], topic: string, value: Uint8Array, queueId = 0, offset = 0): void {
    this.#announcements.push(changeOf(kind, topic, value, queueId, offset))
  }

  #addGroup(group: string): void {
    if (this.#groups.has(group)) return
    this.#groups.add(group)
    const config = this.#deps.registry.groupConfig(group)
    this.#announcements.push(changeOf('group', '', encodeGroup(config), 0, 0, group))
  }

  #put(topicId: number, queueId: number, change: Change): void {
    const { kind, group, offset } = change
    const of = kind === 'record' || kind === 'record-deleted' ? `record/${offset}` : kind.replace('-deleted', '')
    this.#pending.set(`${topicId}/${queueId}/${of}/${group}`, { topicId, queueId, change })
    this.#isBehind = true
  }

  /** A write of this turn. */
  note({ kind, topicId, queueId, offset, name, value }: SmallChange): void {
    if (kind === 'topic') return this.#noteTopic(name, value)
    if (kind === 'group') return this.#noteGroup(name, value)
    const followed = this.#topics.get(topicId)
    if (followed === undefined) return
    const { topic } = followed
    switch (kind) {
      case 'log':
        if (value === null) return
        return this.#put(topicId, queueId, changeOf('log', topic.name, value, queueId, topic.queues[queueId]?.maxOffset ?? 0))
      case 'record':
        // What is ahead of the cursor is sent when it gets there; what retention deletes, the log's state says.
        if (!isRewritten(topic) || offset >= (followed.queues[queueId]?.offset ?? 0)) return
        if (value === null) return this.#put(topicId, queueId, changeOf('record-deleted', topic.name, noBytes, queueId, offset))
        return this.#put(topicId, queueId, changeOf('record', topic.name, value, queueId, offset))
      case 'progress': {
        if (!this.#withProgress) return
        if (value === null) {
          return this.#put(topicId, queueId, changeOf('progress-deleted', topic.name, noBytes, queueId, 0, name))
        }
        this.#addGroup(name)
        return this.#put(topicId, queueId, changeOf('progress', topic.name, value, queueId, 0, name))
      }
    }
  }

  #noteTopic(name: string, value: Uint8Array | null): void {
    if (!this.#names.has(name)) return
    const topic = this.#deps.registry.topics.get(name)
    const known = [...this.#topics.values()].find((followed) => followed.topic.name === name)?.topic
    if (known !== undefined && known !== topic) {
      this.#topics.delete(known.topicId)
      for (const [key, { topicId }] of this.#pending) if (topicId === known.topicId) this.#pending.delete(key)
      for (const { queueId } of known.queues) this.#positions.delete(`${name}/${queueId}`)
      this.#announcements = this.#announcements.filter((change) => change.topic !== name)
      this.#announce('topic-deleted', name, noBytes)
      this.#isBehind = true
    }
    if (topic === undefined || value === null) return
    if (known === topic) this.#announce('topic', name, value)
    else this.#attach(topic)
    this.#isBehind = true
  }

  #noteGroup(group: string, value: Uint8Array | null): void {
    if (!this.#groups.has(group)) return
    this.#isBehind = true
    if (value !== null) return void this.#announcements.push(changeOf('group', '', value, 0, 0, group))
    this.#groups.delete(group)
    this.#announcements.push(changeOf('group-deleted', '', noBytes, 0, 0, group))
  }

  // ── telling ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends what there is and may be sent, to be told once commit `sequence` is durable. */
  dispatch(sequence: number): void {
    if (this.#isOver || !this.#isBehind) return
    let turnByteCount = 0
    while (turnByteCount < this.#deps.limits.sendBufferBytesMax) {
      if (this.#creditChangeCount <= 0 || this.#creditByteCount <= 0 || !this.#sink.isWritable) return
      const { changes, byteCount, isAll } = this.#gather()
      if (changes.length === 0 && !isAll) return
      this.#creditChangeCount -= changes.length
      this.#creditByteCount -= byteCount
      turnByteCount += byteCount
      const { lag } = this
      this.#isBehind = !isAll
      this.#deps.turn.after(() => {
        if (!this.#isOver) this.#sink.changes(sequence, isAll, lag, changes)
      })
      if (isAll) return
    }
    this.#deps.turn.touch()
  }

  /** Messages that it was not sent. */
  get lag(): number {
    let lag = 0
    for (const { queues } of this.#topics.values()) {
      for (const { cursor, offset } of queues) lag += Math.max(0, cursor.log.maxOffset - Math.max(offset, cursor.log.minOffset))
    }
    return lag
  }

  /** The next changes, as many as go into a frame. `isAll`: nothing else is left. */
  #gather(): { changes: Change[]; byteCount: number; isAll: boolean } {
    const changes: Change[] = []
    let byteCount = 0
    const changeCountMax = Math.min(this.#creditChangeCount, fixedLimits.changesPerFrameMax)
    const byteCountMax = Math.min(this.#creditByteCount, frameBytesAim)
    const isFull = () => changes.length >= changeCountMax || byteCount >= byteCountMax
    const add = (change: Change) => {
      changes.push(change)
      byteCount += change.value.length + changeBytesMin
    }
    while (this.#announcements.length > 0 && !isFull()) add(this.#announcements.shift() as Change)
    if (this.#announcements.length > 0) return { changes, byteCount, isAll: false }
    const atEnd = new Set<FollowedQueue>()
    for (const { topic, queues } of this.#topics.values()) {
      for (const queue of queues) if (this.#gatherRecords(topic, queue, add, isFull)) atEnd.add(queue)
    }
    for (const [key, { topicId, queueId, change }] of this.#pending) {
      if (isFull()) break
      const queue = this.#topics.get(topicId)?.queues[queueId]
      if (queue === undefined || !atEnd.has(queue)) continue
      this.#pending.delete(key)
      add(change)
    }
    let queueCount = 0
    for (const { queues } of this.#topics.values()) queueCount += queues.length
    return { changes, byteCount, isAll: atEnd.size === queueCount && this.#pending.size === 0 }
  }

  /** Adds records of a queue; true where it has come to the end. */
  #gatherRecords(topic: Topic, queue: FollowedQueue, add: (change: Change) => void, isFull: () => boolean): boolean {
    for (;;) {
      const view = queue.cursor.look(queue.offset)
      if (view.kind === 'end') {
        queue.offset = view.next
        return true
      }
      if (view.kind === 'waiting') return false
      if (view.kind === 'gap') {
        queue.offset = view.next
        continue
      }
      if (isFull()) return false
      const { record } = view
      add(changeOf('record', topic.name, record.bytes, queue.cursor.log.queueId, record.lastOffset))
      queue.offset = record.lastOffset + 1
    }
  }

  /** Ends it from the broker's side. */
  revoke(reason: PocketError): void {
    if (this.#isOver) return
    this.#leave()
    this.#deps.turn.after(() => this.#sink.revoked(reason))
  }
}

/** Whether records of a topic change after they are written. */
function isRewritten(topic: Topic): boolean {
  return topic.isCompact || isDeadLetterTopic(topic.name)
}

function changeOf(
  kind: Change['kind'], topic: string, value: Uint8Array, queueId: number, offset: number, group = '',
): Change {
  return { kind, topic, queueId, offset, group, value }
}
