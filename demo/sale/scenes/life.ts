// The ordered life of an order: steps of one order in their order, those of different orders side by side.

import type { WebMessage, WebTopic } from '../../../web-client/index.ts'

export const steps = ['created', 'paid', 'shipped'] as const
export type Step = (typeof steps)[number]

export interface OrderStep {
  readonly order: string
  readonly step: Step
  /** Its parcel can't be sent: the address is unreadable. */
  readonly isBroken: boolean
}

type Life = WebTopic<OrderStep>
type Handle = (step: WebMessage<OrderStep>) => Promise<void>

// [shown beside the scene]
export async function placeOrder(life: Life, order: string, isBroken: boolean) {
  for (const step of steps) {
    // Messages of one group come one after the other.
    const options = { messageGroup: order, tag: step, keys: [order] }
    await life.send({ order, step, isBroken }, options)
  }
}

export function openDesk(life: Life, group: string, handle: Handle) {
  const desk = life.consume({ group })
  // What throws is retried: its order waits, the others go on.
  void desk.run(handle, { concurrency: 16 })
  return desk
}
// [until here]

/** Three tries, the second and third after a second; then a dead letter. */
export const deskSettings = { maxAttempts: 3, retry: ['1s', '1s'], exhausted: 'dead-letter' } as const
