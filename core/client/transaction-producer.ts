// A producer of transactions: who begins them, and who is asked by the relay what became of those that nobody has ended.
// It says on each connection that it can be asked.

import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { checkGroupName } from '../model/names.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import { producerIdToText } from '../record/record-batch.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession, SessionParticipant } from '../session/client-session.ts'
import type { Transaction, TransactionOptions, TransactionProducer } from './api.ts'
import { durationToMs } from './duration.ts'
import type { Replies } from './message.ts'
import type { PublishWindow } from './publish-window.ts'
import { SendHeaders } from './send-options.ts'
import { HalfTransaction, type TransactionHost } from './transaction.ts'
import { TransactionChecks } from './transaction-checks.ts'

export interface TransactionProducerDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
  readonly window: PublishWindow
  readonly requestTimeoutMs: number
  readonly replies: Replies
  /** Something failed that nobody waits for. */
  readonly report: (error: PocketError) => void
  readonly closed: (producer: GroupProducer) => void
}

export class GroupProducer implements TransactionProducer, SessionParticipant {
  readonly producerGroup: string
  readonly registered: Promise<void>
  readonly #deps: TransactionProducerDeps
  readonly #host: TransactionHost
  readonly #checks: TransactionChecks
  /** Transactions that have messages and no end yet. */
  readonly #open = new Map<string, HalfTransaction>()
  #settleRegistered: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined
  #refusalCount = 0
  #cancelRetry: CancelTimer | undefined
  #closing: Promise<void> | undefined
  #end: PocketError | undefined

  /** Throws BAD_NAME or BAD_ARGUMENT. */
  constructor(deps: TransactionProducerDeps, options: TransactionOptions) {
    const { producerGroup, check, checkAfter = 0 } = options
    checkGroupName(producerGroup)
    if (typeof check !== 'function') throw new PocketError('BAD_ARGUMENT', 'a producer of transactions needs a check')
    const checkAfterMs = durationToMs(checkAfter, 'checkAfter')
    const { transactionCheckFirstMsMax } = fixedLimits
    if (checkAfterMs > transactionCheckFirstMsMax) {
      throw new PocketError('BAD_ARGUMENT', `checkAfter is ${checkAfterMs} ms; at most ${transactionCheckFirstMsMax} are allowed`)
    }
    const { session, clock } = deps
    this.producerGroup = producerGroup
    this.#deps = deps
    this.#host = {
      ...deps,
      headers: new SendHeaders(clock),
      producerGroup,
      checkAfterMs,
      begun: (transaction) => {
        this.#open.set(transaction.transactionId, transaction)
        if (session.isUp) transaction.linked()
      },
      over: (transaction) => this.#open.delete(transaction.transactionId),
    }
    this.#checks = new TransactionChecks(deps, options)
    this.registered = new Promise((resolve, reject) => {
      this.#settleRegistered = { resolve, reject }
    })
    this.registered.catch(ignore)
    session.handleChecks(producerGroup, (check) => {
      const own = this.#open.get(producerIdToText(check.transactionId))
      // What the application is still at work on, only the application can end.
      if (own === undefined) this.#checks.asked(check)
      else own.checked()
    })
    session.join(this)
  }

  begin(): Transaction {
    return this.beginAs(producerIdToText(this.#deps.random.bytes(8)))
  }

  /** For hosts, whose pages make the ids: 16 hex digits that nobody else has. */
  beginAs(transactionId: string): Transaction {
    if (this.#end !== undefined) throw this.#end
    return new HalfTransaction(this.#host, transactionId)
  }

  async run<R>(work: (transaction: Transaction) => R | Promise<R>): Promise<R> {
    const transaction = this.begin() as HalfTransaction
    try {
      const result = await work(transaction)
      // It may have ended it itself.
      await (transaction.ending ?? transaction.commit())
      return result
    } catch (error) {
      // What can't be rolled back is ended already, or left to the checks.
      if (transaction.ending === undefined) await transaction.rollback().catch(ignore)
      throw error
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const { session } = this.#deps
    const closed = new PocketError('CLOSED', 'the producer of transactions is closed')
    this.#end ??= closed
    this.#checks.end()
    session.handleChecks(this.producerGroup, undefined)
    for (const transaction of [...this.#open.values()]) transaction.abandon(closed)
    await Promise.allSettled([...this.#open.values()].map(({ ending }) => ending))
    this.#cancelRetry?.()
    session.leave(this)
    if (session.isUp) {
      const requestId = session.openRequest({ answered: ignore, refused: ignore })
      session.send('UNREGISTER_PRODUCER', { requestId, producerGroup: this.producerGroup })
    }
    this.#over(closed)
  }

  // ── the link ──────────────────────────────────────────────────────────────────────────────────────────────────

  linked(): void {
    this.#register()
    for (const transaction of [...this.#open.values()]) transaction.linked()
  }

  unlinked(): void {
    this.#cancelRetry?.()
    for (const transaction of this.#open.values()) transaction.unlinked()
  }

  ended(error: PocketError): void {
    this.#end ??= error
    this.#cancelRetry?.()
    this.#checks.end()
    for (const transaction of [...this.#open.values()]) transaction.ended(error)
    this.#over(error)
  }

  #over(error: PocketError): void {
    this.#settleRegistered?.reject(error)
    this.#settleRegistered = undefined
    this.#deps.closed(this)
  }

  #register(): void {
    const { session, clock, random, report } = this.#deps
    if (this.#closing !== undefined) return
    const requestId = session.openRequest({
      answered: () => {
        this.#refusalCount = 0
        this.#settleRegistered?.resolve()
        this.#settleRegistered = undefined
      },
      refused: (error) => {
        if (this.#closing !== undefined) return
        if (error.retryable) {
          const delayMs = (error.retryAfterMs ?? 0) + backoffDelayMs(++this.#refusalCount, random)
          this.#cancelRetry = clock.setTimer(delayMs, () => this.#register())
          return
        }
        this.#settleRegistered?.reject(error)
        this.#settleRegistered = undefined
        report(new PocketError(error.code, `producer group '${this.producerGroup}' is not registered: ${error.message}`))
      },
    })
    session.send('REGISTER_PRODUCER', { requestId, producerGroup: this.producerGroup })
  }
}

function ignore(): void {}
