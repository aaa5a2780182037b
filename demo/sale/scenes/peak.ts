// Peak shaving: a burst of orders, and workers that take them at their own pace.

import type { WebMessage, WebTopic } from '../../../web-client/index.ts'

export interface Order {
  readonly id: string
  readonly item: string
  readonly price: number
}

type Orders = WebTopic<Order>
type Pack = (order: WebMessage<Order>) => Promise<void>

// [shown beside the scene]
export async function sendBurst(orders: Orders, burst: Iterable<Order>) {
  for (const order of burst) {
    await orders.ready() // as fast as they are stored, no faster
    void orders.send(order, { tag: order.item, keys: [order.id] })
  }
}

export function hireWorker(orders: Orders, group: string, pack: Pack) {
  // All of one group share the orders.
  const worker = orders.consume({ group, prefetch: 100 })
  // Acked when `pack` ends; what a closed tab had goes to others.
  void worker.run(pack, { concurrency: 4 })
  return worker
}
// [until here]
