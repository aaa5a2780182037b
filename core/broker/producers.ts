// Idempotent producers of one topic: the last sequence of each, by which a resend is recognised and a gap refused. The
// rule is PROTOCOL.md's, as a pure function; the state is stored with the append it belongs to.

import { copyBytes } from '../bytes.ts'
import type { Limits } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'
import { producerIdToText } from '../record/record-batch.ts'
import { encodeProducerState, type ProducerState } from '../storage/catalog.ts'
import { producerKey } from '../storage/keys.ts'
import type { Turn } from './turn.ts'

export type SequenceVerdict = 'next' | 'duplicate' | 'gap' | 'overlap' | 'fenced' | 'unknown'

/**
 * What to do with a batch of `count` messages from `baseSequence` on, under `epoch`.
 *
 * next: store it. duplicate: all of it is stored already. gap: messages before it are missing. overlap: a part is
 * stored, which no honest producer sends. fenced: a newer epoch has published. unknown: it goes on from a state that is
 * not kept any more.
 */
export function judgeSequence(
  state: Pick<ProducerState, 'epoch' | 'lastSequence'> | undefined, epoch: number, baseSequence: number, count: number,
): SequenceVerdict {
  if (state === undefined) return baseSequence === 0 ? 'next' : 'unknown'
  if (epoch < state.epoch) return 'fenced'
  if (epoch > state.epoch) return baseSequence === 0 ? 'next' : 'gap'
  if (baseSequence === state.lastSequence + 1) return 'next'
  if (baseSequence > state.lastSequence + 1) return 'gap'
  return baseSequence + count - 1 <= state.lastSequence ? 'duplicate' : 'overlap'
}

interface Producer {
  readonly producerId: Uint8Array
  epoch: number
  lastSequence: number
  lastMs: number
}

/** What the producers of all topics share, for the bound. */
export interface ProducerTotal {
  count: number
  readonly topics: Set<Producers>
}

export class Producers {
  readonly #topicId: number
  readonly #clock: Clock
  readonly #limits: Limits
  readonly #turn: Turn
  readonly #total: ProducerTotal
  /** In the order of their last publish: the longest silent first. */
  readonly #producers = new Map<string, Producer>()
  readonly #changed = new Set<Producer>()

  constructor(topicId: number, deps: { clock: Clock; limits: Limits; turn: Turn; total: ProducerTotal }) {
    this.#topicId = topicId
    this.#clock = deps.clock
    this.#limits = deps.limits
    this.#turn = deps.turn
    this.#total = deps.total
    this.#total.topics.add(this)
  }

  get count(): number {
    return this.#producers.size
  }

  restore(producerId: Uint8Array, state: ProducerState): void {
    this.#producers.set(producerIdToText(producerId), { producerId: copyBytes(producerId), ...state })
    this.#total.count++
  }

  find(producerId: Uint8Array): Readonly<Producer> | undefined {
    return this.#producers.get(producerIdToText(producerId))
  }

  /** Notes that a batch was appended; stored with the turn's commit. */
  advance(producerId: Uint8Array, epoch: number, lastSequence: number): void {
    const key = producerIdToText(producerId)
    const known = this.#producers.get(key)
    const lastMs = this.#clock.now()
    const producer = known ?? { producerId: copyBytes(producerId), epoch, lastSequence, lastMs }
    producer.epoch = epoch
    producer.lastSequence = lastSequence
    producer.lastMs = lastMs
    if (known === undefined) {
      this.#producers.set(key, producer)
      this.#total.count++
      if (this.#total.count > this.#limits.producerCountMax) this.#forgetOldest(producer)
    } else if (this.#producers.size > 1) {
      this.#producers.delete(key)
      this.#producers.set(key, producer)
    }
    this.#changed.add(producer)
  }

  /** Adds the changed states to the turn's writes. */
  seal(): void {
    for (const producer of this.#changed) {
      this.#turn.write(producerKey(this.#topicId, producer.producerId), encodeProducerState(producer))
    }
    this.#changed.clear()
  }

  /** Forgets producers that have been silent for longer than the de-duplication window. */
  expire(): void {
    const beforeMs = this.#clock.now() - this.#limits.producerRetentionMs
    for (const producer of this.#producers.values()) {
      if (producer.lastMs >= beforeMs) return
      this.#forget(producer)
    }
  }

  /** The topic is deleted. */
  clear(): void {
    this.#total.count -= this.#producers.size
    this.#total.topics.delete(this)
    this.#producers.clear()
    this.#changed.clear()
  }

  /** Makes room for a new producer: the one of any topic that was silent for longest goes. */
  #forgetOldest(added: Producer): void {
    let oldest: Producer | undefined
    let keeper: Producers | undefined
    for (const producers of this.#total.topics) {
      const candidate = producers.#producers.values().next().value
      if (candidate === undefined || candidate === added) continue
      if (oldest !== undefined && candidate.lastMs >= oldest.lastMs) continue
      oldest = candidate
      keeper = producers
    }
    if (oldest !== undefined && keeper !== undefined) keeper.#forget(oldest)
  }

  #forget(producer: Producer): void {
    this.#producers.delete(producerIdToText(producer.producerId))
    this.#changed.delete(producer)
    this.#total.count--
    this.#turn.write(producerKey(this.#topicId, producer.producerId), null)
  }
}
