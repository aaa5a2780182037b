// Listens at the door between sessions and broker, and writes down what is asked and told there. It changes nothing.

import type {
  Answer, BrokerDoor, Delivery, MemberSink, Membership, RangeFailure, SubscribeRequest,
} from '../../core/broker/door.ts'
import type { LeaseRange } from '../../core/protocol/frames.ts'
import { producerIdToText, RecordBatch } from '../../core/record/record-batch.ts'
import type { RelayEvent, SettleVerb } from '../checkers/relay-history.ts'
import { overriding } from './overriding.ts'

export interface DoorTapDeps {
  readonly nowMs: () => number
  /** When the turn began whose effects are told now: what is leased was leased then. */
  readonly turnMs: () => number
  readonly noted: (event: RelayEvent) => void
}

/** Numbers what it hears, over all openings of a relay. */
export class DoorTap {
  readonly #deps: DoorTapDeps
  readonly #epochs = new Map<string, number>()
  #order = 0

  constructor(deps: DoorTapDeps) {
    this.#deps = deps
  }

  /** A door that is listened at. */
  of(door: BrokerDoor): BrokerDoor {
    const { noted, nowMs } = this.#deps
    return overriding<BrokerDoor>(door, {
      publish: (request, answer, ...more) => {
        const order = this.#order++
        const { topic, producerEpoch, baseSequence, messageCount: count } = request
        const producerId = producerIdToText(request.producerId)
        noted({ kind: 'publishing', atMs: nowMs(), order, topic, producerId, producerEpoch, baseSequence, count })
        door.publish(request, (outcome) => {
          if (outcome instanceof Error) {
            noted({ kind: 'publish-refused', atMs: nowMs(), order })
          } else {
            const { duplicate: isDuplicate, segments } = outcome
            noted({ kind: 'published', atMs: nowMs(), order, isDuplicate })
            // A duplicate's places are told with the epoch that the log had then; a delayed message has no place yet.
            for (const { queueId, epoch } of isDuplicate ? [] : segments) if (epoch !== 0) this.#see(topic, queueId, epoch)
          }
          answer(outcome)
        }, ...more)
      },
      subscribe: (request, sink, answer) => this.#subscribe(door, request, sink, answer),
      resetGroup: (request, answer) => {
        const reset = this.#order++
        const { group, topic, queueId } = request
        noted({ kind: 'resetting', atMs: nowMs(), reset, group, topic, queueId })
        door.resetGroup(request, (outcome) => {
          const queues = (outcome instanceof Error ? [] : outcome.queues)
            .filter((queue) => queue.topic === topic && (queueId === undefined || queue.queueId === queueId))
            .map((queue) => ({ queueId: queue.queueId, offset: queue.ackFloor }))
          noted({ kind: 'reset', atMs: nowMs(), reset, queues })
          answer(outcome)
        })
      },
      describeTopic: (topic, answer) => {
        door.describeTopic(topic, (outcome) => {
          for (const { queueId, epoch } of outcome instanceof Error ? [] : outcome.queues) this.#see(topic, queueId, epoch)
          answer(outcome)
        })
      },
      describeGroup: (group, answer) => {
        door.describeGroup(group, (outcome) => {
          if (!(outcome instanceof Error)) {
            for (const { topic, queueId, ackFloor, nextOffset } of outcome.queues) {
              noted({ kind: 'progress', atMs: nowMs(), group, topic, queueId, ackFloor, nextOffset })
            }
          }
          answer(outcome)
        })
      },
    })
  }

  #subscribe(
    door: BrokerDoor, request: SubscribeRequest, sink: MemberSink, answer: Parameters<BrokerDoor['subscribe']>[2],
  ): void {
    const { noted, nowMs } = this.#deps
    const membership = this.#order++
    const { group, topic, mode } = request
    const member = producerIdToText(request.memberId)
    // It takes effect now, and is answered later; where it is refused nobody hears of it again.
    noted({ kind: 'joined', atMs: nowMs(), membership, member, group, topic, isLeasing: mode === 'CLUSTERING' })
    const tappedSink = overriding<MemberSink>(sink, {
      deliver: (delivery) => {
        this.#delivered(membership, delivery)
        sink.deliver(delivery)
      },
    })
    door.subscribe(request, tappedSink, (outcome) => {
      if (outcome instanceof Error) {
        noted({ kind: 'left', atMs: nowMs(), membership })
        return answer(outcome)
      }
      for (const { queueId, position } of outcome.positions) this.#see(topic, queueId, position.epoch)
      answer({ ...outcome, membership: this.#membership(membership, outcome.membership) })
    })
  }

  #see(topic: string, queueId: number, epoch: number): void {
    const { noted, nowMs } = this.#deps
    const queue = `${topic}/${queueId}`
    if (this.#epochs.get(queue) === epoch) return
    this.#epochs.set(queue, epoch)
    noted({ kind: 'epoch', atMs: nowMs(), topic, queueId, epoch })
  }

  #delivered(membership: number, delivery: Delivery): void {
    const { noted, nowMs, turnMs } = this.#deps
    const { queueId, leaseId, attempt, leaseMs, next, record, messageCount } = delivery
    const byteCount = record.length
    const atMs = nowMs()
    if (leaseId === 0) {
      noted({ kind: 'read', atMs, membership, queueId, messageCount, byteCount, next })
      return
    }
    const batch = RecordBatch.view(record)
    const offsets = Array.from({ length: batch.messageCount }, (_, index) => batch.offsetAt(index))
    const grantedMs = turnMs()
    noted({ kind: 'leased', atMs, grantedMs, membership, queueId, leaseId, attempt, leaseMs, offsets, byteCount })
  }

  #membership(membership: number, inner: Membership): Membership {
    const { noted, nowMs } = this.#deps
    const settle = (
      verb: SettleVerb, ranges: readonly LeaseRange[], terms: { delayMs?: number | undefined; leaseMs?: number },
      answer: Answer<readonly RangeFailure[]>,
    ): Answer<readonly RangeFailure[]> => {
      const settlement = this.#order++
      // A request's ranges live in the frame they came in.
      const receipts = ranges.map((range) => ({ ...range }))
      noted({ kind: 'settling', atMs: nowMs(), settlement, membership, verb, receipts, ...terms })
      return (outcome) => {
        const refused = outcome instanceof Error ? receipts.map((_, index) => index) : outcome.map(({ index }) => index)
        noted({ kind: 'settled', atMs: nowMs(), settlement, refused })
        answer(outcome)
      }
    }
    return overriding<Membership>(inner, {
      credit: (messageCount, byteCount) => {
        noted({ kind: 'credited', atMs: nowMs(), membership, messageCount, byteCount })
        inner.credit(messageCount, byteCount)
      },
      ack: (ranges, answer) => inner.ack(ranges, settle('ack', ranges, {}, answer)),
      retry: (ranges, how, delayMs, answer) => {
        const verb = how === 'release' ? 'release' : 'retry'
        const terms = { delayMs: how === 'schedule' ? undefined : how === 'after' ? delayMs : 0 }
        inner.retry(ranges, how, delayMs, settle(verb, ranges, terms, answer))
      },
      extend: (ranges, leaseMs, answer) => inner.extend(ranges, leaseMs, settle('extend', ranges, { leaseMs }, answer)),
      receive: (request, answer) => {
        noted({ kind: 'asked', atMs: nowMs(), membership, messageCountMax: request.messageCountMax })
        inner.receive(request, (outcome) => {
          const messageCount = outcome instanceof Error ? 0 : outcome
          noted({ kind: 'answered', atMs: nowMs(), membership, messageCount })
          answer(outcome)
        })
      },
      leave: (answer) => {
        noted({ kind: 'left', atMs: nowMs(), membership })
        inner.leave(answer)
      },
      detach: () => {
        noted({ kind: 'detached', atMs: nowMs(), membership })
        inner.detach()
      },
    })
  }
}

