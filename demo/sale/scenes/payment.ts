// The payment transaction: a message that others see only when the payment is written down, whatever dies in between.

import type { WebTopic, WebTransactionProducer } from '../../../web-client/index.ts'
import type { Ledger } from '../ledger.ts'

export interface Payment {
  readonly order: string
  readonly amount: number
}

/** Where a tab may die on purpose. */
export type Death = 'never' | 'before-ledger' | 'after-ledger'

/** Where a payment goes, and what it is written down in. */
export interface Till {
  readonly producer: WebTransactionProducer
  readonly topic: WebTopic<Payment>
  readonly ledger: Ledger
}

type Die = (at: Death) => Promise<void>
type Verdict = 'commit' | 'rollback'

// [shown beside the scene]
export async function pay(till: Till, payment: Payment, die: Die) {
  const { producer, topic, ledger } = till
  await producer.run(async (transaction) => {
    await transaction.send(topic, payment) // nobody sees it yet
    await die('before-ledger') // when asked, the ledger says no
    await ledger.write(transaction.transactionId, payment)
    await die('after-ledger') // when asked, the ledger says yes
  }) // commits here; what is thrown inside rolls back
}

// Asked of any tab of the group when the paying one is gone.
export async function check(ledger: Ledger, id: string): Promise<Verdict> {
  return await ledger.has(id) ? 'commit' : 'rollback'
}
// [until here]
