// Planted bugs of brokers and sessions: what is decided, answered or handed out wrongly. They stand between the two, in
// place of the code that would be wrong.

import { copyBytes } from '../../core/bytes.ts'
import type { Answer, BrokerDoor, Delivery, MemberSink, Membership, SubscribeRequest } from '../../core/broker/door.ts'
import { parseTagFilter } from '../../core/model/filter.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { LeaseRange, PublishSegment } from '../../core/protocol/frames.ts'
import { producerIdToText, RecordBatch, selectFromRecord } from '../../core/record/record-batch.ts'
import { overriding } from './overriding.ts'
import type { PlantedBug } from './planted-bug.ts'

export const plantedDoors = {
  'fence-missing': {
    text: 'a producer whose place another has taken goes on publishing',
    plant: () => withoutFence(),
  },
  'duplicate-stored-again': {
    text: 'a resend that is recognised is stored once more',
    plant: (random) => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        publish: (request, answer, ...more) => {
          const again = { ...request, producerId: random.bytes(8), messages: copyBytes(request.messages) }
          door.publish(request, (outcome) => {
            const isDuplicate = !(outcome instanceof Error) && outcome.duplicate
            if (isDuplicate) door.publish({ ...again, producerEpoch: 0, baseSequence: 0 }, answer, ...more)
            else answer(outcome)
          }, ...more)
        },
      }),
    }),
  },
  'places-out-of-order': {
    text: 'receipts name the places of a batch queue by queue, not in the order of its messages',
    plant: () => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        publish: (request, answer, ...more) => door.publish(request, (outcome) => {
          answer(outcome instanceof Error ? outcome : { ...outcome, segments: byQueue(outcome.segments) })
        }, ...more),
      }),
    }),
  },
  'stale-ack-accepted': {
    text: 'an ack finds its message by queue and offset, whatever lease it names',
    plant: () => {
      const current = new Map<string, number>()
      const nameOf = ({ group, topic }: SubscribeRequest, queueId: number, offset: number): string => {
        return `${group} ${topic}/${queueId}@${offset}`
      }
      return atMembers({
        delivered: (delivery, request) => {
          const { queueId, leaseId } = delivery
          for (const offset of offsetsIn(delivery)) current.set(nameOf(request, queueId, offset), leaseId)
          return delivery
        },
        member: (inner, _, request) => ({
          ack: (ranges, answer) => {
            inner.ack(ranges.map((range) => {
              const leaseId = current.get(nameOf(request, range.queueId, range.offset)) ?? range.leaseId
              return range.count === 1 ? { ...range, leaseId } : range
            }), answer)
          },
        }),
      })
    },
  },
  'ack-of-one-is-ack-of-all': {
    text: 'an ack takes the whole lease, whatever range it names',
    plant: () => {
      const leases = new Map<number, Omit<LeaseRange, 'leaseId'>>()
      return atMembers({
        delivered: (delivery) => {
          const { queueId, leaseId } = delivery
          const offsets = offsetsIn(delivery)
          const [offset] = offsets
          const last = offsets.at(-1)
          if (offset !== undefined && last !== undefined) leases.set(leaseId, { queueId, offset, count: last - offset + 1 })
          return delivery
        },
        member: (inner) => ({
          ack: (ranges, answer) => inner.ack(ranges.map((range) => ({ ...range, ...leases.get(range.leaseId) })), answer),
        }),
      })
    },
  },
  'ack-answered-early': {
    text: 'an ack is answered before it is durable',
    plant: () => atMembers({
      member: (inner, clock) => ({
        ack: (ranges, answer) => {
          inner.ack(ranges, () => {})
          clock.defer(() => answer([]))
        },
      }),
    }),
  },
  'attempt-not-counted': {
    text: 'a message that is retried has the same attempt again',
    plant: () => atMembers({
      member: (inner) => ({ retry: (ranges, _how, _delayMs, answer) => inner.retry(ranges, 'release', 0, answer) }),
    }),
  },
  'retry-at-once': {
    text: 'a retry does not wait for its time',
    plant: () => atMembers({
      member: (inner) => ({
        retry: (ranges, how, _delayMs, answer) => inner.retry(ranges, how === 'release' ? how : 'after', 0, answer),
      }),
    }),
  },
  'lease-without-end': {
    text: 'leases are much longer than members are told, and who forgets a message keeps it',
    plant: () => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        subscribe: (request, sink, answer) => door.subscribe({ ...request, leaseMs: request.leaseMs * 100 }, sink, answer),
      }),
    }),
  },
  'lease-by-wall-clock': {
    text: 'leases end by the wall clock, which jumps',
    plant: () => ({
      wrapClock: (clock) => overriding<Clock>(clock, {
        // As exact as the other, but for the jumps.
        monotonic: () => clock.monotonic() + Math.ceil(clock.now() - clock.monotonic()),
      }),
    }),
  },
  'grace-forgotten': {
    text: 'a member whose connection breaks loses its leases at once',
    plant: () => atMembers({ member: (inner) => ({ detach: () => inner.leave(() => {}) }) }),
  },
  'credit-ignored': {
    text: 'members are sent more than they allowed',
    plant: () => atMembers({
      member: (inner) => ({ credit: (messageCount, byteCount) => inner.credit(messageCount * 4, byteCount * 4) }),
    }),
  },
  'filtered-not-passed-over': {
    text: 'the filter is applied to what is leased already, and what it keeps away is never acked',
    plant: () => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        subscribe: (request, sink, answer) => {
          if (request.filterKind !== 'TAG') return door.subscribe(request, sink, answer)
          const { tags } = parseTagFilter(request.filter)
          const filtering = tags === undefined ? sink : overriding<MemberSink>(sink, {
            deliver: (delivery) => {
              const passed = filtered(delivery, tags)
              if (passed !== undefined) sink.deliver(passed)
            },
          })
          door.subscribe({ ...request, filter: '*' }, filtering, answer)
        },
      }),
    }),
  },
  'reset-of-one-queue': {
    text: 'moving a group moves its first queue only',
    plant: () => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        resetGroup: (request, answer) => door.resetGroup({ ...request, queueId: request.queueId ?? 0 }, answer),
      }),
    }),
  },
  'gap-not-told': {
    text: 'readers are not told that messages are gone',
    plant: () => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        subscribe: (request, sink, answer) => {
          door.subscribe(request, overriding<MemberSink>(sink, { gap: () => {} }), answer)
        },
      }),
    }),
  },
  'pull-skips-a-record': {
    text: 'a pull leaves out a record where it answers with several',
    plant: (random) => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        pull: (request, answer) => door.pull(request, (outcome) => {
          const isCut = !(outcome instanceof Error) && outcome.records.length > 1 && random.chance(0.2)
          answer(isCut ? { ...outcome, records: outcome.records.slice(1) } : outcome)
        }),
      }),
    }),
  },
  'retention-too-eager': {
    text: 'retention keeps a third of what a topic shall keep',
    plant: () => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        createTopic: (request, answer) => {
          const { retentionMs, retentionBytes } = request.options
          const third = (amount: number | undefined): number | undefined => amount && Math.floor(amount / 3)
          const options = { ...request.options, retentionMs: third(retentionMs), retentionBytes: third(retentionBytes) }
          door.createTopic({ ...request, options }, answer)
        },
      }),
    }),
  },
} satisfies Record<string, PlantedBug>

// ── what they are made of ───────────────────────────────────────────────────────────────────────────────────────────

/** Interferes with what members are told, and with what they say. */
function atMembers({ delivered = (delivery) => delivery, member }: {
  readonly delivered?: (delivery: Delivery, request: SubscribeRequest) => Delivery
  readonly member: (inner: Membership, clock: Clock, request: SubscribeRequest) => Partial<Membership>
}): { wrapDoor: (door: BrokerDoor, clock: Clock) => BrokerDoor } {
  return {
    wrapDoor: (door, clock) => overriding<BrokerDoor>(door, {
      subscribe: (request, sink, answer) => {
        const kept = { ...request, memberId: copyBytes(request.memberId) }
        const tapped = overriding<MemberSink>(sink, { deliver: (delivery) => sink.deliver(delivered(delivery, kept)) })
        door.subscribe(request, tapped, (outcome) => {
          if (outcome instanceof Error) return answer(outcome)
          const { membership } = outcome
          answer({ ...outcome, membership: overriding<Membership>(membership, member(membership, clock, kept)) })
        })
      },
    }),
  }
}

function offsetsIn({ leaseId, record }: Delivery): number[] {
  if (leaseId === 0) return []
  const batch = RecordBatch.view(record)
  return Array.from({ length: batch.messageCount }, (_, index) => batch.offsetAt(index))
}

/** What of a delivery passes a filter; undefined where that is nothing. */
function filtered(delivery: Delivery, tags: ReadonlySet<string>): Delivery | undefined {
  const batch = RecordBatch.view(delivery.record)
  const indexes = Array.from({ length: batch.messageCount }, (_, index) => index).filter((index) => {
    return tags.has(batch.messageAt(index, '', delivery.queueId).tag ?? '')
  })
  if (indexes.length === 0) return undefined
  return { ...delivery, record: selectFromRecord(batch, indexes), messageCount: indexes.length }
}

function byQueue(segments: readonly PublishSegment[]): PublishSegment[] {
  return [...segments].sort((left, right) => left.queueId - right.queueId || left.offset - right.offset)
}

/** Takes batches of an earlier epoch as if the producer of the latest had sent them. */
function withoutFence(): { wrapDoor: (door: BrokerDoor) => BrokerDoor } {
  const latest = new Map<string, { epoch: number; next: number }>()
  return {
    wrapDoor: (door) => overriding<BrokerDoor>(door, {
      publish: (request, answer, ...more) => {
        const name = `${request.topic} ${producerIdToText(request.producerId)}`
        const known = latest.get(name)
        const isLate = known !== undefined && request.producerEpoch < known.epoch
        const sent = isLate ? { ...request, producerEpoch: known.epoch, baseSequence: known.next } : request
        const { producerEpoch: epoch, baseSequence, messageCount } = sent
        const answered: Answer<Parameters<typeof answer>[0]> = (outcome) => {
          if (!(outcome instanceof Error)) latest.set(name, { epoch, next: baseSequence + messageCount })
          answer(outcome as Parameters<typeof answer>[0])
        }
        door.publish(sent, answered, ...more)
      },
    }),
  }
}
