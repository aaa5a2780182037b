// Offline: orders go on into this device's outbox, tabs go on talking to each other, and on return all arrives in order.

import type { WebClient, WebMessage, WebTopic } from '../../../web-client/index.ts'
import { newReader } from '../room.ts'

export interface CounterOrder {
  /** Who sold it, and their how manieth it is, from 1. */
  readonly seller: string
  readonly number: number
}

export interface Note {
  readonly tab: string
  readonly text: string
}

type Orders = WebTopic<CounterOrder>
type Show = (order: WebMessage<CounterOrder>) => void

// [shown beside the scene]
export async function sell(orders: Orders, order: CounterOrder) {
  // Stored in this device's outbox, whether there is a link or not.
  await orders.send(order, { messageGroup: order.seller })
}

export function watch(orders: Orders, show: Show) {
  const group = newReader()
  const all = { group, mode: 'BROADCASTING', from: 'earliest' } as const
  // `echo`: also what is `pending`, not at the relay yet.
  void orders.consume({ ...all, echo: true }).run(show)
}

export async function cutTheLink(mq: WebClient, isOffline: boolean) {
  await mq.setOffline(isOffline) // for all tabs of this device
}
// [until here]
