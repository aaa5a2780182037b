// What happened in a run, as the applications saw it: the one input of the checkers beside this file. The order of
// the list is the order of time. A workload writes it; a checker only reads it and knows nothing of how it was made.

import type { Position } from '../../core/model/position.ts'

/** What the test calls a message, e.g. a running number it puts in the body. Unique over the whole history. */
export type MessageName = string | number

/** Where a message lies. */
export interface Place {
  readonly topic: string
  readonly queueId: number
  readonly offset: number
}

/** A message's place and the id it has there, where the application was told. */
export interface Found extends Place {
  readonly messageId: string
}

/** One event in the life of a message, or the death of a process. */
export type HistoryEvent =
  /** The application called `send`. */
  | {
      readonly kind: 'sent'
      readonly message: MessageName
      readonly topic: string
      readonly messageGroup?: string | undefined
      /** It is part of a transaction: nobody may see it before that is committed. */
      readonly transaction?: string | undefined
    }
  /** The send was answered: from now on the message must not be lost. */
  | { readonly kind: 'acknowledged'; readonly message: MessageName; readonly found?: Found | undefined }
  /** The send was answered: the message is to come no earlier than at `dueMs`, by the relay's wall clock. */
  | { readonly kind: 'scheduled'; readonly message: MessageName; readonly dueMs: number }
  /** The application asked for a scheduled message back: whether it still comes is unclear until that is answered. */
  | { readonly kind: 'recalling'; readonly message: MessageName }
  /** It was too late for that: the message comes, or came. */
  | { readonly kind: 'recall-missed'; readonly message: MessageName }
  /** A scheduled message was taken back, and the relay agreed: nobody may ever see it. */
  | { readonly kind: 'recalled'; readonly message: MessageName }
  /** The application decided a transaction's end: whether it is the end is unclear until that is answered. */
  | { readonly kind: 'ending'; readonly transaction: string; readonly outcome: 'commit' | 'rollback' }
  /** The relay said how a transaction ended. */
  | { readonly kind: 'ended'; readonly transaction: string; readonly outcome: 'commit' | 'rollback' }
  /** The send failed for good: nobody may ever see the message. */
  | { readonly kind: 'refused'; readonly message: MessageName; readonly code: string }
  /** The application saw the message. `attempt` 0 means without a lease: read by a BROADCASTING reader. */
  | {
      readonly kind: 'delivered'
      readonly message: MessageName
      readonly group: string
      readonly member: string
      readonly attempt: number
      readonly found?: Found
      /** When the relay put it into its queue, by its wall clock. */
      readonly storedMs?: number
    }
  /** The application called `ack`: from now on the group need not see the message again. */
  | {
      readonly kind: 'acking'
      readonly message: MessageName
      readonly group: string
      readonly member: string
      readonly attempt: number
    }
  /** The ack was answered: from now on the group must not see the message again. */
  | { readonly kind: 'consumed'; readonly message: MessageName; readonly group: string; readonly member: string }
  /** The application asked for the message again, and the relay agreed. */
  | { readonly kind: 'retried'; readonly message: MessageName; readonly group: string; readonly member: string }
  /** The member learned, maybe long after the fact, that its lease on this delivery had ended. */
  | {
      readonly kind: 'lease-lost'
      readonly message: MessageName
      readonly group: string
      readonly member: string
      readonly attempt: number
    }
  /** A reader or member was told that messages are gone: all from `expected` to before `next`. */
  | {
      readonly kind: 'gap'
      readonly reader: string
      readonly topic: string
      readonly queueId: number
      readonly expected: Position
      readonly next: Position
    }
  /** An acknowledged message was looked up by its id, and found there, or not at all. */
  | { readonly kind: 'looked-up'; readonly message: MessageName; readonly found: Found | undefined }
  /** The application saw a message that is not as it was sent; `text` says what is wrong. */
  | { readonly kind: 'garbled'; readonly reader: string; readonly message: MessageName; readonly text: string }
  /** The member's connection broke: whether what it had asked by then took effect is unclear until it is answered. */
  | { readonly kind: 'disconnected'; readonly member: string }
  /** A process died without a word. No member: the relay. */
  | { readonly kind: 'killed'; readonly member?: string }

export type History = readonly HistoryEvent[]

export type EventOf<K extends HistoryEvent['kind']> = Extract<HistoryEvent, { readonly kind: K }>

/** A promise that was not kept, in words for people. */
export interface Violation {
  readonly message: MessageName
  readonly text: string
}

/** Events of one kind, in order. */
export function eventsOf<K extends HistoryEvent['kind']>(history: History, kind: K): EventOf<K>[] {
  return history.filter((event): event is EventOf<K> => event.kind === kind)
}

/** A place as a key, and as people read it. */
export function placeName({ topic, queueId, offset }: Place): string {
  return `${topic}/${queueId}@${offset}`
}

export function isSamePlace(left: Place, right: Place): boolean {
  return left.offset === right.offset && left.queueId === right.queueId && left.topic === right.topic
}

/** Deliveries to one group, in order. */
export function deliveriesTo(history: History, group: string): EventOf<'delivered'>[] {
  return history.filter((event): event is EventOf<'delivered'> => event.kind === 'delivered' && event.group === group)
}
