// Transactions: what is prepared is seen by nobody before the commit; what is rolled back is seen by nobody ever; of what
// is committed all is there, once; and where nobody heard the end, all or nothing is.

import { eventsOf, type History, type MessageName, type Violation } from './history.ts'

interface Transaction {
  readonly messages: MessageName[]
  /** A commit was asked for. */
  isCommitting: boolean
  ended: 'commit' | 'rollback' | undefined
}

/** Messages seen that may not be seen, ends that contradict each other, and transactions of which a part is there. */
export function findTransactionFaults(
  history: History, stored: readonly { readonly message: MessageName }[],
): Violation[] {
  const violations: Violation[] = []
  const transactions = new Map<string, Transaction>()
  const nameOf = new Map<MessageName, string>()
  const refused = new Set(eventsOf(history, 'refused').map(({ message }) => message))
  const transactionOf = (name: string): Transaction => {
    const known = transactions.get(name) ?? { messages: [], isCommitting: false, ended: undefined }
    transactions.set(name, known)
    return known
  }
  const see = (message: MessageName, who: string): void => {
    const name = nameOf.get(message)
    if (name === undefined) return
    const { isCommitting, ended } = transactionOf(name)
    if (ended === 'rollback') violations.push({ message, text: `${who} ${message} of ${name}, which was rolled back` })
    else if (!isCommitting) violations.push({ message, text: `${who} ${message} of ${name} before it was committed` })
  }
  for (const event of history) {
    if (event.kind === 'sent' && event.transaction !== undefined) {
      nameOf.set(event.message, event.transaction)
      transactionOf(event.transaction).messages.push(event.message)
    } else if (event.kind === 'ending') {
      if (event.outcome === 'commit') transactionOf(event.transaction).isCommitting = true
    } else if (event.kind === 'ended') {
      const transaction = transactionOf(event.transaction)
      const { ended } = transaction
      const isOther = ended !== undefined && ended !== event.outcome
      if (isOther) violations.push({ message: '', text: `${event.transaction} ended with ${ended} and with ${event.outcome}` })
      transaction.ended = event.outcome
    } else if (event.kind === 'delivered') see(event.message, `${event.member} got`)
  }
  for (const { message } of stored) see(message, 'the log holds')
  const there = new Set(stored.map(({ message }) => message))
  for (const [name, { messages, ended }] of transactions) {
    const expected = messages.filter((message) => !refused.has(message))
    const missing = expected.filter((message) => !there.has(message))
    const isPart = missing.length > 0 && missing.length < expected.length
    const isLost = missing.length > 0 && ended === 'commit'
    for (const message of isPart || isLost ? missing : []) {
      const why = isLost ? 'which was committed' : 'of which a part is there'
      violations.push({ message, text: `${message} of ${name}, ${why}, is missing` })
    }
  }
  return violations
}
