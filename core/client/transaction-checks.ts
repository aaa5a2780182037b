// The relay's questions about transactions that nobody has ended: handed to the application one at a time per transaction,
// and answered with what it says. Silence is an answer too: the relay asks again.

import { PocketError, toPocketError } from '../errors.ts'
import type { FrameFields } from '../protocol/frames.ts'
import { producerIdToBytes, producerIdToText } from '../record/record-batch.ts'
import type { ClientSession } from '../session/client-session.ts'
import type { TransactionOptions, TransactionVerdict, UnresolvedTransaction } from './api.ts'
import { bytes } from './codec.ts'
import type { Replies } from './message.ts'
import { messagesOf } from './stored-messages.ts'

/** Handlers at once: a producer that comes back may be asked about very many transactions. */
const concurrencyMax = 32
/** Refused answers that nobody needs to hear of. */
const passedOver: ReadonlySet<string> = new Set(['TRANSACTION_NOT_FOUND', 'SEQUENCE_GAP'])

export interface TransactionChecksDeps {
  readonly session: ClientSession
  readonly requestTimeoutMs: number
  readonly replies: Replies
  /** Something failed that nobody waits for. */
  readonly report: (error: PocketError) => void
}

export class TransactionChecks {
  readonly #deps: TransactionChecksDeps
  readonly #producerGroup: string
  readonly #check: TransactionOptions['check']
  /** By transaction id: those asked about and not answered, of which the first few are with the application. */
  readonly #open = new Map<string, UnresolvedTransaction>()
  #waiting: UnresolvedTransaction[] = []
  #activeCount = 0
  #isOver = false

  constructor(deps: TransactionChecksDeps, { producerGroup, check }: TransactionOptions) {
    this.#deps = deps
    this.#producerGroup = producerGroup
    this.#check = check
  }

  /** Throws RECORD_DAMAGED where a message makes no sense. */
  asked({ transactionId: id, checkCount, preparedMs, messages }: FrameFields<'CHECK_TRANSACTION'>): void {
    const transactionId = producerIdToText(id)
    if (this.#isOver || this.#open.has(transactionId)) return
    const { replies } = this.#deps
    const halves = messages.flatMap(({ topic, record }) =>
      messagesOf({ topic, codec: bytes, custody: undefined, replies }, 0, record))
    const transaction = { transactionId, checkCount, preparedMs, messages: halves }
    this.#open.set(transactionId, transaction)
    this.#waiting.push(transaction)
    this.#pump()
  }

  /** Nobody is asked any more, and what is decided from now on is not told. */
  end(): void {
    this.#isOver = true
    this.#waiting = []
  }

  #pump(): void {
    while (this.#activeCount < concurrencyMax) {
      const transaction = this.#waiting.shift()
      if (transaction === undefined) return
      this.#activeCount++
      void this.#ask(transaction)
    }
  }

  async #ask(transaction: UnresolvedTransaction): Promise<void> {
    const { transactionId } = transaction
    try {
      // The handler gets a turn of its own, and not that of the connection.
      await undefined
      this.#answer(transaction, await this.#check(transaction))
    } catch (thrown) {
      const { code, message } = toPocketError(thrown)
      const text = `the check of transaction ${transactionId} of '${this.#producerGroup}' threw: ${message}`
      this.#deps.report(new PocketError(code === 'INTERNAL' ? 'HANDLER_FAILED' : code, text, { cause: thrown }))
    }
    this.#open.delete(transactionId)
    this.#activeCount--
    this.#pump()
  }

  #answer({ transactionId, messages }: UnresolvedTransaction, outcome: TransactionVerdict): void {
    if (outcome === 'unknown' || this.#isOver) return
    if (outcome !== 'commit' && outcome !== 'rollback') {
      throw new PocketError('BAD_ARGUMENT', `it gave ${JSON.stringify(outcome)}; it may be commit, rollback or unknown`)
    }
    const { session, requestTimeoutMs: timeoutMs, report } = this.#deps
    const fields = {
      transactionId: producerIdToBytes(transactionId),
      producerGroup: this.#producerGroup,
      outcome,
      messageCount: messages.length,
    }
    session.call({ name: 'END_TRANSACTION', fields, answer: 'TRANSACTION_ENDED', timeoutMs, isRepeatable: true }, (answer) => {
      if (!(answer instanceof PocketError) || this.#isOver) return
      // Later the relay asks again, also about a transaction that has grown since; what it has forgotten was ended long ago.
      if (answer.retryable || passedOver.has(answer.code)) return
      report(new PocketError(answer.code, `transaction ${transactionId}: ${answer.message}`, { cause: answer }))
    })
  }
}
