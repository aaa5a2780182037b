// Planted bugs of what comes later than it is sent, in halves, or to followers: delayed messages, transactions and copies.

import { copyBytes } from '../../core/bytes.ts'
import type { Answer, BrokerDoor, FollowerSink, PrepareRequest, PublishReceipt } from '../../core/broker/door.ts'
import type { Change } from '../../core/protocol/frames.ts'
import { producerIdToText } from '../../core/record/record-batch.ts'
import { overriding } from './overriding.ts'
import type { PlantedBug } from './planted-bug.ts'
import type { SimRandom } from './sim-random.ts'

export const plantedLater = {
  'timer-early': {
    text: 'delayed messages come before the time that was promised',
    plant: () => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        publish: (request, answer, ...more) => door.publish(request, (outcome) => {
          const early = (receipt: PublishReceipt): PublishReceipt => {
            return { ...receipt, scheduled: receipt.scheduled.map((deliverMs) => deliverMs + 40) }
          }
          answer(outcome instanceof Error ? outcome : early(outcome))
        }, ...more),
      }),
    }),
  },
  'recall-ignored': {
    text: 'a recall is answered and not done',
    plant: () => ({
      wrapDoor: (door, clock) => overriding<BrokerDoor>(door, {
        recall: ({ recallHandle }, answer) => clock.defer(() => answer({ messageId: recallHandle.split('~')[1] ?? '' })),
      }),
    }),
  },
  'half-message-visible': {
    text: 'what is prepared is in its queue at once',
    plant: (random) => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        prepare: (request, answer) => {
          const part = keptOf(request)
          door.prepare(request, answer)
          publish(door, part, random)
        },
      }),
    }),
  },
  'commit-applied-twice': {
    text: 'a transaction that is committed is stored twice',
    plant: (random) => {
      const parts = new Map<string, PrepareRequest[]>()
      return {
        wrapDoor: (door) => overriding<BrokerDoor>(door, {
          prepare: (request, answer) => {
            const id = producerIdToText(request.transactionId)
            parts.set(id, [...parts.get(id) ?? [], keptOf(request)])
            door.prepare(request, answer)
          },
          endTransaction: (request, answer) => {
            const id = producerIdToText(request.transactionId)
            const isCommit = request.outcome === 'commit'
            door.endTransaction(request, (outcome) => {
              if (isCommit && !(outcome instanceof Error)) for (const part of parts.get(id) ?? []) publish(door, part, random)
              parts.delete(id)
              answer(outcome)
            })
          },
        }),
      }
    },
  },
  'rolled-back-anyway-committed': {
    text: 'a transaction that is rolled back is committed',
    plant: () => ({
      wrapDoor: (door) => overriding<BrokerDoor>(door, {
        endTransaction: (request, answer) => {
          door.endTransaction({ ...request, outcome: 'commit' }, (outcome) => {
            const isRollback = !(outcome instanceof Error) && request.outcome === 'rollback'
            answer(isRollback ? { ...outcome, outcome: 'rollback', segments: [], scheduled: [] } : outcome)
          })
        },
      }),
    }),
  },
  'follower-skips-a-record': {
    text: 'a follower is not told of some records',
    plant: (random) => atFollowers((changes) => changes.filter(({ kind }) => kind !== 'record' || !random.chance(0.02))),
  },
  'progress-overtakes-messages': {
    text: 'a follower is told of progress before the messages that it is about',
    plant: () => atFollowers((changes) => {
      const isEarly = ({ kind }: Change): boolean => kind === 'progress'
      const begin = changes.findIndex(({ kind }) => kind === 'record')
      if (begin < 0) return changes
      const rest = changes.slice(begin)
      return [...changes.slice(0, begin), ...rest.filter(isEarly), ...rest.filter((change) => !isEarly(change))]
    }),
  },
} satisfies Record<string, PlantedBug>

// ── what they are made of ───────────────────────────────────────────────────────────────────────────────────────────

function atFollowers(
  changed: (changes: readonly Change[]) => readonly Change[],
): { wrapDoor: (door: BrokerDoor) => BrokerDoor } {
  return {
    wrapDoor: (door) => overriding<BrokerDoor>(door, {
      follow: (request, sink, answer) => door.follow(request, overriding<FollowerSink>(sink, {
        changes: (sequence, isCurrent, lag, changes) => sink.changes(sequence, isCurrent, lag, changed(changes)),
      }), answer),
    }),
  }
}

/** A request's messages lie in the frame they came in. */
function keptOf(request: PrepareRequest): PrepareRequest {
  return { ...request, messages: copyBytes(request.messages) }
}

/** Stores a part of a transaction as if somebody else had sent it. */
function publish(door: BrokerDoor, { topic, messageCount, messages }: PrepareRequest, random: SimRandom): void {
  const ignored: Answer<PublishReceipt> = () => {}
  const producerId = random.bytes(8)
  door.publish({ topic, producerId, producerEpoch: 0, baseSequence: 0, messageCount, sentMs: 0, messages }, ignored, 'planted')
}
