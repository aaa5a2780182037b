// A page's transactions, and the checks it answers. On device topics each tab is a producer of its own; at the relay all
// tabs of a producer group share one, as they share the connection, and any of them may be asked.

import type { Transaction, TransactionProducer, TransactionVerdict, UnresolvedTransaction } from '../../core/client/api.ts'
import { bytes } from '../../core/client/codec.ts'
import type { HostClient } from '../../core/client/host-client.ts'
import { HalfTransaction } from '../../core/client/transaction.ts'
import { GroupProducer } from '../../core/client/transaction-producer.ts'
import { PocketError } from '../../core/errors.ts'
import type { Home, PortSendOptions } from '../port/port-protocol.ts'
import { packMessages } from './packing.ts'
import type { TabLine } from './tab-line.ts'

/** Asks one page. `unknown` where it is gone. */
export type Ask = (producerGroup: string, transaction: UnresolvedTransaction) => Promise<TransactionVerdict>

/** The relay's producers of transactions, shared by the tabs. */
export class SharedGroups {
  readonly #groups = new Map<string, { readonly producer: TransactionProducer; readonly asks: Set<Ask> }>()

  /** The checks of a group go to `ask` too. */
  join(
    client: HostClient, options: { readonly producerGroup: string; readonly checkAfterMs?: number | undefined }, ask: Ask,
  ): TransactionProducer {
    const { producerGroup, checkAfterMs } = options
    let group = this.#groups.get(producerGroup)
    if (group === undefined) {
      const asks = new Set<Ask>()
      const check = async (transaction: UnresolvedTransaction): Promise<TransactionVerdict> => {
        // The newest tab first; one that is gone or doesn't know leaves it to the next.
        for (const one of [...asks].reverse()) {
          const verdict = await one(producerGroup, transaction)
          if (verdict !== 'unknown') return verdict
        }
        return 'unknown'
      }
      const producer = client.transactions({
        producerGroup, check, ...(checkAfterMs === undefined ? {} : { checkAfter: checkAfterMs }),
      })
      group = { producer, asks }
      this.#groups.set(producerGroup, group)
    }
    group.asks.add(ask)
    return group.producer
  }

  async leave(producerGroup: string, ask: Ask): Promise<void> {
    const group = this.#groups.get(producerGroup)
    if (group === undefined || !group.asks.delete(ask) || group.asks.size > 0) return
    this.#groups.delete(producerGroup)
    await group.producer.close()
  }
}

export class TabTransactions {
  readonly #line: TabLine
  readonly #shared: SharedGroups
  readonly #producers = new Map<string, TransactionProducer>()
  readonly #transactions = new Map<string, Transaction>()
  readonly #checks = new Map<number, (verdict: TransactionVerdict) => void>()
  #checkNumber = 0

  constructor(line: TabLine, shared: SharedGroups) {
    this.#line = line
    this.#shared = shared
  }

  async open(home: Home, options: { readonly producerGroup: string; readonly checkAfterMs?: number | undefined }): Promise<void> {
    const { producerGroup, checkAfterMs } = options
    const client = this.#line.client(home)
    const key = keyOf(home, producerGroup)
    if (this.#producers.has(key)) {
      throw new PocketError('BAD_ARGUMENT', `this client has a producer of transactions for '${producerGroup}' already`)
    }
    const producer = home === 'relay' ? this.#shared.join(client, options, this.#ask) : client.transactions({
      producerGroup,
      check: (transaction) => this.#ask(producerGroup, transaction),
      ...(checkAfterMs === undefined ? {} : { checkAfter: checkAfterMs }),
    })
    this.#producers.set(key, producer)
    await producer.registered
  }

  begin(home: Home, producerGroup: string, transactionId: string): void {
    const producer = this.#producers.get(keyOf(home, producerGroup))
    if (!(producer instanceof GroupProducer)) throw new PocketError('CLOSED', 'the producer of transactions is closed')
    if (!/^[0-9a-f]{16}$/.test(transactionId)) throw new PocketError('BAD_ARGUMENT', 'a transaction id is 16 hex digits')
    this.#transactions.set(transactionId, producer.beginAs(transactionId))
  }

  async prepare(home: Home, transactionId: string, topic: string, body: Uint8Array, options: PortSendOptions): Promise<string> {
    const handle = this.#line.client(home).topic<Uint8Array>(topic, { codec: bytes })
    const { messageId } = await this.#found(transactionId).send(handle, body, options)
    return messageId
  }

  async end(transactionId: string, how: 'commit' | 'rollback'): Promise<unknown> {
    const transaction = this.#found(transactionId)
    try {
      return await transaction[how]()
    } finally {
      this.#transactions.delete(transactionId)
    }
  }

  answered(request: number, verdict: TransactionVerdict): void {
    this.#checks.get(request)?.(verdict)
  }

  async close(home: Home, producerGroup: string): Promise<void> {
    const key = keyOf(home, producerGroup)
    const producer = this.#producers.get(key)
    this.#producers.delete(key)
    if (home === 'relay') await this.#shared.leave(producerGroup, this.#ask)
    else await producer?.close()
  }

  /** The page stands still: others may know. */
  freeze(): void {
    for (const answer of this.#checks.values()) answer('unknown')
  }

  /** What the page has not ended is the checks' to end. */
  async closeAll(): Promise<void> {
    const gone = new PocketError('ENGINE_LOST', 'the tab is gone')
    for (const transaction of this.#transactions.values()) {
      if (transaction instanceof HalfTransaction) transaction.abandon(gone)
    }
    this.#transactions.clear()
    this.freeze()
    await Promise.all([...this.#producers.keys()].map((key) => {
      const at = key.indexOf(':')
      return this.close(key.slice(0, at) as Home, key.slice(at + 1))
    }))
  }

  readonly #ask = (producerGroup: string, transaction: UnresolvedTransaction): Promise<TransactionVerdict> => {
    const request = ++this.#checkNumber
    const { transactionId, checkCount, preparedMs, messages } = transaction
    const { fields, bodies, sizes, transfer } = packMessages(messages, undefined)
    this.#line.post({
      kind: 'check', request, producerGroup, transactionId, checkCount, preparedMs, fields, bodies, sizes,
    }, transfer)
    return new Promise((resolve) => {
      this.#checks.set(request, (verdict) => {
        this.#checks.delete(request)
        resolve(verdict)
      })
    })
  }

  #found(transactionId: string): Transaction {
    const transaction = this.#transactions.get(transactionId)
    if (transaction === undefined) throw new PocketError('TRANSACTION_NOT_FOUND', 'the transaction has ended, or its engine has')
    return transaction
  }
}

function keyOf(home: Home, producerGroup: string): string {
  return `${home}:${producerGroup}`
}
