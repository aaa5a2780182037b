// What admins are told of transactions that are not ended: put together when asked, from what is in memory.

import { fixedLimits, type Limits } from '../limits.ts'
import type { TransactionSummary } from '../protocol/frames.ts'
import type { ListTransactionsRequest } from './door.ts'
import { type Transaction, transactionKeyOf } from './transaction.ts'

/** In a frame, an entry takes at most so much beside its texts. */
const entryBytes = 64

/** A page of transactions by id, of one producer group or of all, that fits a frame. */
export function listTransactions(
  all: Iterable<Transaction>, { producerGroup, after, countMax }: ListTransactionsRequest, { frameBytesMax }: Limits,
): { transactions: TransactionSummary[]; more: boolean } {
  const count = Math.max(1, Math.min(countMax, fixedLimits.listCountMax))
  const afterKey = after === undefined ? '' : transactionKeyOf(after)
  const transactions: TransactionSummary[] = []
  let byteCount = 0
  // One more, which tells whether there is more.
  const found = firstByKey(all, count + 1, ({ key, producerGroup: group }) =>
    key > afterKey && (producerGroup === '' || group === producerGroup))
  for (const transaction of found) {
    const summary = summaryOf(transaction)
    byteCount += summary.topics.reduce((sum, topic) => sum + topic.length + 2, entryBytes + summary.producerGroup.length)
    if (transactions.length === count || (transactions.length > 0 && byteCount > frameBytesMax / 2)) {
      return { transactions, more: true }
    }
    transactions.push(summary)
  }
  return { transactions, more: false }
}

function summaryOf(transaction: Transaction): TransactionSummary {
  const { transactionId, producerGroup, preparedMs, checkCount, messageCount, byteCount, targets } = transaction
  const topics = targets.slice(0, fixedLimits.listCountMax).map(({ topic }) => topic)
  return { transactionId, producerGroup, preparedMs, checkCount, messageCount, byteCount, topics }
}

/** The `count` first that match, ascending; without sorting all, who may be a hundred thousand. */
function firstByKey(all: Iterable<Transaction>, count: number, matches: (transaction: Transaction) => boolean): Transaction[] {
  let found: Transaction[] = []
  let last = ''
  const cut = () => {
    found = found.sort((left, right) => (left.key < right.key ? -1 : 1)).slice(0, count)
    last = found.length === count ? (found.at(-1) as Transaction).key : ''
  }
  for (const transaction of all) {
    if ((last !== '' && transaction.key > last) || !matches(transaction)) continue
    found.push(transaction)
    if (found.length >= count * 2) cut()
  }
  cut()
  return found
}
