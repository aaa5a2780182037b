// Where BROADCASTING consumers stand that let the broker keep it: by topic, group and the name they go by. What changed
// in a turn is written with its commit, one key per queue. A consumer that was not heard of for long is forgotten.

import { PocketError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Position } from '../model/position.ts'
import type { Clock } from '../ports/clock.ts'
import type { StoreWrite } from '../ports/store.ts'
import type { QueuePosition } from '../protocol/frames.ts'
import { encodeBroadcastPosition } from '../storage/catalog.ts'
import { broadcastPositionKey } from '../storage/keys.ts'
import type { RecoveredTopic } from '../storage/recovery.ts'
import type { Topic } from './topic.ts'
import type { Turn } from './turn.ts'

export interface BroadcastPositionsDeps {
  readonly limits: Limits
  readonly clock: Clock
  readonly turn: Turn
  /** Whether a topic is relaxed now. */
  readonly isRelaxed: (topicId: number) => boolean
}

/** A position as it is kept. */
export interface KeptPosition {
  readonly queueId: number
  readonly position: Position
  /** The group was moved there, and the consumer has not reported since: what it says of itself may be older. */
  readonly isReset: boolean
}

/** Who is asked about in {@link BroadcastPositions.expire}. */
export interface KeptConsumer {
  readonly topicId: number
  readonly group: string
  readonly consumerName: string
}

interface Consumer extends KeptConsumer {
  /** When it last was heard of; wall time. */
  updatedMs: number
  readonly positions: Map<number, KeptPosition>
  /** Queues whose position is not written yet. */
  readonly changed: Set<number>
}

export class BroadcastPositions {
  readonly #deps: BroadcastPositionsDeps
  readonly #consumers = new Map<string, Consumer>()
  #changed = new Set<Consumer>()
  #positionCount = 0

  constructor(deps: BroadcastPositionsDeps) {
    this.#deps = deps
  }

  /** Takes over what a store held. */
  restore(topics: readonly RecoveredTopic[]): void {
    for (const { topicId, broadcastPositions } of topics) {
      for (const { queueId, group, consumerName, state } of broadcastPositions) {
        const { epoch, offset, updatedMs, isReset } = state
        const consumer = this.#consumerOrNew(topicId, group, consumerName)
        consumer.updatedMs = Math.max(consumer.updatedMs, updatedMs)
        this.#set(consumer, { queueId, position: { epoch, offset }, isReset })
      }
    }
  }

  /** What is kept of a consumer; nothing of one that is not known. */
  of({ topicId }: Topic, group: string, consumerName: string): readonly KeptPosition[] {
    return [...(this.#consumers.get(consumerKey(topicId, group, consumerName))?.positions.values() ?? [])]
  }

  /** Whether anything is kept of a group on a topic. */
  has({ topicId }: Topic, group: string): boolean {
    for (const consumer of this.#consumers.values()) if (consumer.topicId === topicId && consumer.group === group) return true
    return false
  }

  /** Throws LIMIT_EXCEEDED where a consumer is new and there is no room for it. */
  checkRoom({ topicId, queues }: Topic, group: string, consumerName: string): void {
    const { broadcastPositionCountMax } = this.#deps.limits
    if (this.#positionCount + queues.length <= broadcastPositionCountMax) return
    if (this.#consumers.has(consumerKey(topicId, group, consumerName))) return
    throw new PocketError('LIMIT_EXCEEDED', `the relay keeps ${broadcastPositionCountMax} positions of consumers already`)
  }

  /** A consumer stands there, by its own word. */
  keep({ topicId }: Topic, group: string, consumerName: string, positions: readonly QueuePosition[]): void {
    const consumer = this.#consumerOrNew(topicId, group, consumerName)
    consumer.updatedMs = this.#deps.clock.now()
    for (const { queueId, position } of positions) {
      const known = consumer.positions.get(queueId)
      if (known !== undefined && !known.isReset && isSamePosition(known.position, position)) continue
      this.#set(consumer, { queueId, position, isReset: false })
      this.#change(consumer, queueId)
    }
  }

  /** Moves all consumers of a group in a queue, whether they are here or not. */
  reset({ topicId }: Topic, group: string, queueId: number, position: Position): void {
    for (const consumer of this.#consumers.values()) {
      if (consumer.topicId !== topicId || consumer.group !== group) continue
      this.#set(consumer, { queueId, position, isReset: true })
      this.#change(consumer, queueId)
    }
  }

  /** A topic was deleted: what is stored of it goes with its data. */
  forgetTopic(topicId: number): void {
    for (const consumer of this.#consumers.values()) if (consumer.topicId === topicId) this.#drop(consumer)
  }

  /** A group was deleted. */
  forgetGroup(group: string): void {
    for (const consumer of this.#consumers.values()) if (consumer.group === group) this.#forget(consumer)
  }

  /** Forgets consumers that were not heard of for `broadcastPositionMs`. Those that are present are, whatever they say. */
  expire(isPresent: (consumer: KeptConsumer) => boolean): void {
    const { clock, limits } = this.#deps
    const nowMs = clock.now()
    for (const consumer of this.#consumers.values()) {
      const silentMs = nowMs - consumer.updatedMs
      if (silentMs * 2 < limits.broadcastPositionMs) continue
      if (isPresent(consumer)) {
        consumer.updatedMs = nowMs
        // One key tells it of all after a restart.
        const [first] = consumer.positions.keys()
        if (first !== undefined) this.#change(consumer, first)
      } else if (silentMs >= limits.broadcastPositionMs) this.#forget(consumer)
    }
  }

  /** Adds what changed to a turn's writes. */
  seal(writes: StoreWrite[]): void {
    if (this.#changed.size === 0) return
    for (const consumer of this.#changed) {
      const { topicId, group, consumerName, updatedMs, positions, changed } = consumer
      for (const queueId of changed) {
        const { position: { epoch, offset }, isReset } = positions.get(queueId) as KeptPosition
        writes.push({
          key: broadcastPositionKey(topicId, queueId, group, consumerName),
          value: encodeBroadcastPosition({ epoch, offset, updatedMs, isReset }),
        })
      }
      if (this.#deps.isRelaxed(topicId)) this.#deps.turn.relax(changed.size)
      changed.clear()
    }
    this.#changed = new Set()
  }

  #consumerOrNew(topicId: number, group: string, consumerName: string): Consumer {
    const key = consumerKey(topicId, group, consumerName)
    const known = this.#consumers.get(key)
    if (known !== undefined) return known
    const consumer = { topicId, group, consumerName, updatedMs: 0, positions: new Map(), changed: new Set<number>() }
    this.#consumers.set(key, consumer)
    return consumer
  }

  #set(consumer: Consumer, kept: KeptPosition): void {
    if (!consumer.positions.has(kept.queueId)) this.#positionCount++
    consumer.positions.set(kept.queueId, kept)
  }

  #change(consumer: Consumer, queueId: number): void {
    consumer.changed.add(queueId)
    this.#changed.add(consumer)
    this.#deps.turn.touch()
  }

  #forget(consumer: Consumer): void {
    const { topicId, group, consumerName, positions } = consumer
    for (const queueId of positions.keys()) {
      this.#deps.turn.write(broadcastPositionKey(topicId, queueId, group, consumerName), null)
    }
    this.#drop(consumer)
  }

  #drop(consumer: Consumer): void {
    this.#consumers.delete(consumerKey(consumer.topicId, consumer.group, consumer.consumerName))
    this.#changed.delete(consumer)
    this.#positionCount -= consumer.positions.size
  }
}

/** Names have no such character. */
function consumerKey(topicId: number, group: string, consumerName: string): string {
  return `${topicId}/${group}/${consumerName}`
}

function isSamePosition(left: Position, right: Position): boolean {
  return left.epoch === right.epoch && left.offset === right.offset
}
