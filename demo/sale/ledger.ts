// The shop's own books, in an IndexedDB database that is nothing of PocketMQ's: which payments were made.

import { type DBSchema, openDB } from 'idb'

interface LedgerSchema extends DBSchema {
  payments: { key: string; value: { readonly order: string; readonly amount: number } }
}

export interface Ledger {
  write(transactionId: string, payment: { readonly order: string; readonly amount: number }): Promise<void>
  has(transactionId: string): Promise<boolean>
}

export async function openLedger(room: string): Promise<Ledger> {
  const database = await openDB<LedgerSchema>(`sale-${room}-ledger`, 1, {
    upgrade: (db) => void db.createObjectStore('payments'),
  })
  return {
    async write(transactionId, payment) {
      await database.put('payments', payment, transactionId)
    },
    async has(transactionId) {
      return (await database.getKey('payments', transactionId)) !== undefined
    },
  }
}
