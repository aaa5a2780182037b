// What happened in a run, as the applications saw it: the one input of the checkers beside this file. The order of
// the list is the order of time. A workload writes it; a checker only reads it and knows nothing of how it was made.

/** What the test calls a message, e.g. a running number it puts in the body. Unique over the whole history. */
export type MessageName = string | number

/** One event in the life of a message, or the death of a process. */
export type HistoryEvent =
  /** The application called `send`. */
  | {
      readonly kind: 'sent'
      readonly message: MessageName
      readonly topic: string
      readonly messageGroup?: string | undefined
    }
  /** The send was answered: from now on the message must not be lost. */
  | { readonly kind: 'acknowledged'; readonly message: MessageName }
  /** The application saw the message. `attempt` 0 means without a lease: read by a BROADCASTING reader. */
  | {
      readonly kind: 'delivered'
      readonly message: MessageName
      readonly group: string
      readonly member: string
      readonly attempt: number
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

/** Deliveries to one group, in order. */
export function deliveriesTo(history: History, group: string): EventOf<'delivered'>[] {
  return eventsOf(history, 'delivered').filter((event) => event.group === group)
}
