// A page's producer of transactions: the engine keeps the half messages, the page answers the checks. A transaction that
// was open when its engine ended can't be gone on with: the checks decide what becomes of it.

import type { SendOptions, TransactionOptions, TransactionReceipt } from '../../core/client/api.ts'
import { bytes } from '../../core/client/codec.ts'
import { durationToMs } from '../../core/client/duration.ts'
import { PocketError, toPocketError } from '../../core/errors.ts'
import type { CheckAsked, Home } from '../port/port-protocol.ts'
import type { LineParticipant, PageLine } from './page-line.ts'
import { unpack } from './page-message.ts'
import { abortError } from './page-producer.ts'
import { PageTopic } from './page-topic.ts'
import type { WebTopic, WebTransaction, WebTransactionProducer } from './web-api.ts'

export class PageTransactions implements WebTransactionProducer, LineParticipant {
  readonly producerGroup: string
  readonly home: Home
  readonly registered: Promise<void>
  readonly #line: PageLine
  readonly #options: TransactionOptions
  readonly #report: (error: PocketError) => void
  readonly #closed: () => void
  #settleRegistered: { readonly resolve: () => void; readonly reject: (error: PocketError) => void } | undefined
  #closing: Promise<void> | undefined

  constructor(
    line: PageLine, home: Home, options: TransactionOptions,
    report: (error: PocketError) => void, closed: () => void,
  ) {
    this.#line = line
    this.home = home
    this.#options = options
    this.#report = report
    this.#closed = closed
    this.producerGroup = options.producerGroup
    this.registered = new Promise((resolve, reject) => {
      this.#settleRegistered = { resolve, reject }
    })
    this.registered.catch(ignore)
    line.participants.add(this)
    if (line.end !== undefined) this.ended(line.end)
    else if (line.isUp) this.attached()
  }

  begin(): WebTransaction {
    if (this.#closing !== undefined) throw new PocketError('CLOSED', 'the producer of transactions is closed')
    if (this.#line.end !== undefined) throw this.#line.end
    return new PageTransaction(this.#line, this.home, this.producerGroup)
  }

  async run<R>(work: (transaction: WebTransaction) => R | Promise<R>): Promise<R> {
    const transaction = this.begin() as PageTransaction
    try {
      const result = await work(transaction)
      await (transaction.ending ?? transaction.commit())
      return result
    } catch (error) {
      if (transaction.ending === undefined) await transaction.rollback().catch(ignore)
      throw error
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#line.call('closeTransactions', [this.home, this.producerGroup]).catch(ignore).then(() => {
      this.#line.participants.delete(this)
      this.#closed()
    })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async asked(asked: CheckAsked): Promise<void> {
    const { request, transactionId, checkCount, preparedMs } = asked
    let verdict: 'commit' | 'rollback' | 'unknown' = 'unknown'
    try {
      const messages = unpack(asked, '', bytes)
      verdict = await this.#options.check({ transactionId, checkCount, preparedMs, messages })
    } catch (thrown) {
      const text = `the check of transaction ${transactionId} of '${this.producerGroup}' threw: ${toPocketError(thrown).message}`
      this.#report(new PocketError('HANDLER_FAILED', text, { cause: thrown }))
    }
    await this.#line.call('answerCheck', [request, verdict]).catch(ignore)
  }

  attached(): void {
    const { producerGroup, checkAfter } = this.#options
    const checkAfterMs = checkAfter === undefined ? {} : { checkAfterMs: durationToMs(checkAfter, 'checkAfter') }
    this.#line.call('openTransactions', [this.home, { producerGroup, ...checkAfterMs }]).then(
      this.#settleRegistered?.resolve,
      (error: PocketError) => {
        if (error.code === 'ENGINE_LOST') return
        this.#settleRegistered?.reject(error)
        this.#report(error)
      },
    )
  }

  lost(): void {}

  ended(error: PocketError): void {
    this.#settleRegistered?.reject(error)
  }
}

class PageTransaction implements WebTransaction {
  readonly transactionId = [...crypto.getRandomValues(new Uint8Array(8))]
    .map((byte) => byte.toString(16).padStart(2, '0')).join('')
  ending: Promise<unknown> | undefined
  readonly #line: PageLine
  readonly #home: Home
  readonly #begun: Promise<void>
  readonly #sends: Promise<unknown>[] = []

  constructor(line: PageLine, home: Home, producerGroup: string) {
    this.#line = line
    this.#home = home
    this.#begun = line.call('begin', [home, producerGroup, this.transactionId])
    this.#begun.catch(ignore)
  }

  async send<T>(topic: WebTopic<T>, value: T, options: SendOptions = {}): Promise<{ readonly messageId: string }> {
    if (!(topic instanceof PageTopic)) {
      throw new PocketError('BAD_ARGUMENT', 'what is sent to is a topic, as client.topic() gives it')
    }
    if (topic.home !== this.#home) {
      throw new PocketError('BAD_ARGUMENT', `'${topic.name}' is a ${topic.home} topic; the transaction is at the ${this.#home}`)
    }
    const { signal, ...rest } = options
    if (signal?.aborted) throw abortError(signal)
    const body = (topic as PageTopic<T>).codec.encode(value)
    const sending = this.#line.call('prepare', [this.#home, this.transactionId, topic.name, body, rest])
    sending.catch(ignore)
    this.#sends.push(sending)
    return { messageId: await sending }
  }

  async commit(): Promise<TransactionReceipt> {
    this.ending ??= this.#end('commit')
    return await this.ending as TransactionReceipt
  }

  async rollback(): Promise<void> {
    this.ending ??= this.#end('rollback')
    await this.ending
  }

  async #end(how: 'commit' | 'rollback'): Promise<unknown> {
    await this.#begun
    if (how === 'commit') await Promise.all(this.#sends)
    try {
      return await this.#line.call('end', [this.#home, this.transactionId, how])
    } catch (error) {
      // The next engine knows nothing of it: whether it was ended is for the checks to find out.
      if (!(error instanceof PocketError) || error.code !== 'TRANSACTION_NOT_FOUND') throw error
      throw new PocketError('ENGINE_LOST', `transaction ${this.transactionId} is left to the checks`, { cause: error })
    }
  }
}

function ignore(): void {}
