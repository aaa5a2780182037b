// What a relay was asked and what it told, at the door between its sessions and its broker, in the order in which it
// happened and in the world's time: the input of the checkers that judge leases, credit, progress and producers. It
// outlives the relay's restarts. A workload writes it; checkers know nothing of how it was made.
//
// Times are milliseconds that never go back, the same for everybody. What is asked takes effect at its time or never;
// what is told is durable by then.

import type { Position } from '../../core/model/position.ts'

/** Messages `offset` to `offset + count - 1` of a queue that are held under one lease. */
export interface Receipt {
  readonly queueId: number
  readonly leaseId: number
  readonly offset: number
  readonly count: number
}

/** What a consumer can ask for messages it holds. */
export type SettleVerb = 'ack' | 'retry' | 'release' | 'extend'

/** What can be damaged on a disk. */
export type DamagedThing = 'record' | 'progress' | 'queue state'

export type RelayEvent =
  // ── the relay ──
  /** It has opened its store. */
  | { readonly kind: 'opened'; readonly atMs: number }
  /** Its process is no more: what it had not answered, nobody knows. */
  | { readonly kind: 'gone'; readonly atMs: number }
  /** Its machine's wall clock was moved. */
  | { readonly kind: 'wall-jumped'; readonly atMs: number; readonly byMs: number }
  // ── producers ──
  /** A batch came. `order` names it; an answer may never come, and answers come in any order. */
  | {
      readonly kind: 'publishing'
      readonly atMs: number
      readonly order: number
      readonly topic: string
      readonly producerId: string
      readonly producerEpoch: number
      readonly baseSequence: number
      readonly count: number
    }
  /** It was taken, or had been before. */
  | { readonly kind: 'published'; readonly atMs: number; readonly order: number; readonly isDuplicate: boolean }
  /** It was not taken and never will be. */
  | { readonly kind: 'publish-refused'; readonly atMs: number; readonly order: number }
  /** A queue's log was seen under another epoch than before, or for the first time. */
  | { readonly kind: 'epoch'; readonly atMs: number; readonly topic: string; readonly queueId: number; readonly epoch: number }
  // ── members of groups, and readers ──
  /** A connection took the place of `member`, with leases (`isLeasing`) or as a reader for itself. */
  | {
      readonly kind: 'joined'
      readonly atMs: number
      readonly membership: number
      readonly member: string
      readonly group: string
      readonly topic: string
      readonly isLeasing: boolean
    }
  /** It left for good: what it holds goes back at once. */
  | { readonly kind: 'left'; readonly atMs: number; readonly membership: number }
  /** Its connection broke: what it holds is kept for the grace time. */
  | { readonly kind: 'detached'; readonly atMs: number; readonly membership: number }
  | {
      readonly kind: 'credited'
      readonly atMs: number
      readonly membership: number
      readonly messageCount: number
      readonly byteCount: number
    }
  /** It asks for up to so many messages, which need no credit then. */
  | { readonly kind: 'asked'; readonly atMs: number; readonly membership: number; readonly messageCountMax: number }
  /** What it asked for was all it was given. */
  | { readonly kind: 'answered'; readonly atMs: number; readonly membership: number; readonly messageCount: number }
  /** Messages were handed out under a lease that began at `grantedMs` and ends `leaseMs` later. Told at `atMs`. */
  | {
      readonly kind: 'leased'
      readonly atMs: number
      readonly grantedMs: number
      readonly membership: number
      readonly queueId: number
      readonly leaseId: number
      readonly attempt: number
      readonly leaseMs: number
      readonly offsets: readonly number[]
      readonly byteCount: number
    }
  /** A reader was given messages without a lease; afterwards it stands at `next`. */
  | {
      readonly kind: 'read'
      readonly atMs: number
      readonly membership: number
      readonly queueId: number
      readonly messageCount: number
      readonly byteCount: number
      readonly next: Position
    }
  // ── what members say of messages they hold ──
  | {
      readonly kind: 'settling'
      readonly atMs: number
      readonly settlement: number
      readonly membership: number
      readonly verb: SettleVerb
      readonly receipts: readonly Receipt[]
      /** Of a retry: not before so long; undefined takes the group's schedule. */
      readonly delayMs?: number | undefined
      /** Of an extension: the lease ends so long after. */
      readonly leaseMs?: number
    }
  /** It took effect, but for the receipts at these indexes. */
  | { readonly kind: 'settled'; readonly atMs: number; readonly settlement: number; readonly refused: readonly number[] }
  // ── groups ──
  /** A group was to be moved, in one queue of a topic or in all. */
  | {
      readonly kind: 'resetting'
      readonly atMs: number
      readonly reset: number
      readonly group: string
      readonly topic: string
      readonly queueId: number | undefined
    }
  /** It was moved: the first message it will get, per queue that was named. No queues where that was refused. */
  | {
      readonly kind: 'reset'
      readonly atMs: number
      readonly reset: number
      readonly queues: readonly { readonly queueId: number; readonly offset: number }[]
    }
  /** How far a group is in a queue: all below `ackFloor` is consumed, nothing from `nextOffset` on was delivered. */
  | {
      readonly kind: 'progress'
      readonly atMs: number
      readonly group: string
      readonly topic: string
      readonly queueId: number
      readonly ackFloor: number
      readonly nextOffset: number
    }
  // ── the disk ──
  /** Messages were deleted as too old or too many: `storedMs` and `nowMs` are the relay's wall time. */
  | {
      readonly kind: 'trimmed'
      readonly atMs: number
      readonly topic: string
      readonly queueId: number
      readonly fromOffset: number
      readonly toOffset: number
      readonly messages: readonly string[]
      readonly storedMs: number
      readonly nowMs: number
      /** What the queue held before, these messages included. */
      readonly queueBytes: number
    }
  /** A bit of a stored value was flipped. Offsets and messages are those of a record. */
  | {
      readonly kind: 'flipped'
      readonly atMs: number
      readonly flip: number
      readonly what: DamagedThing
      readonly topic: string
      readonly queueId: number
      readonly group?: string
      readonly fromOffset: number
      readonly toOffset: number
      readonly messages: readonly string[]
    }
  /** That value was overwritten or deleted: it is damaged no more. */
  | { readonly kind: 'mended'; readonly atMs: number; readonly flip: number }
  /** The relay reported that something is damaged; `toOffset` is the last offset of a record. */
  | {
      readonly kind: 'damage-reported'
      readonly atMs: number
      readonly what: string
      readonly topic: string
      readonly queueId: number
      readonly toOffset: number | undefined
    }

export type RelayHistory = readonly RelayEvent[]

export type RelayEventOf<K extends RelayEvent['kind']> = Extract<RelayEvent, { readonly kind: K }>

/** Events of one kind, in order. */
export function relayEventsOf<K extends RelayEvent['kind']>(history: RelayHistory, kind: K): RelayEventOf<K>[] {
  return history.filter((event): event is RelayEventOf<K> => event.kind === kind)
}

/** Whose progress a report of damage is about, if it is about one: what of it is lost starts over. */
export function progressGroupOf(what: string): string | undefined {
  return /^progress of group '(.*?)'/.exec(what)?.[1]
}

/** Messages of a queue that are gone, rightly or not: offset ranges as the disk lost them. */
export class GoneOffsets {
  readonly #ranges = new Map<string, { readonly from: number; readonly to: number }[]>()

  /** All that retention deleted and all that lay in a damaged record, at whatever time. */
  static of(history: RelayHistory): GoneOffsets {
    const gone = new GoneOffsets()
    for (const event of history) {
      const isGone = event.kind === 'trimmed' || (event.kind === 'flipped' && event.what === 'record')
      if (isGone) gone.add(event.topic, event.queueId, event.fromOffset, event.toOffset)
    }
    return gone
  }

  add(topic: string, queueId: number, from: number, to: number): void {
    const key = `${topic}/${queueId}`
    const ranges = this.#ranges.get(key)
    if (ranges === undefined) this.#ranges.set(key, [{ from, to }])
    else ranges.push({ from, to })
  }

  has(topic: string, queueId: number, offset: number): boolean {
    const ranges = this.#ranges.get(`${topic}/${queueId}`)
    return ranges !== undefined && ranges.some(({ from, to }) => from <= offset && offset <= to)
  }
}
