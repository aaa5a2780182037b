// Unpaid orders are cancelled: a message to be delivered later, and taken back when it is not needed any more.

import type { Duration, WebMessage, WebTopic } from '../../../web-client/index.ts'

export interface Deadline {
  readonly order: string
  /** Whose order it is. */
  readonly shop: string
}

type Deadlines = WebTopic<Deadline>
type Cancel = (due: WebMessage<Deadline>) => void

// [shown beside the scene]
export async function startDeadline(
  topic: Deadlines, value: Deadline, delay: Duration,
) {
  const receipt = await topic.send(value, { delay, properties: { ...value } })
  return receipt.relayed ?? receipt // with the `recallHandle`
}

export async function pay(topic: Deadlines, recallHandle: string) {
  await topic.recall(recallHandle) // RECALL_TOO_LATE once it was due
}

export function openCanceller(topic: Deadlines, shop: string, cancel: Cancel) {
  const filter = { sql: `shop = '${shop}'` }
  void topic.consume({ group: `canceller-${shop}`, filter }).run(cancel)
}
// [until here]
