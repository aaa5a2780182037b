// A page's producer of transactions: the engine keeps the half messages, the page answers the checks. A transaction that
// was open when its engine ended can't be gone on with: the checks decide what becomes of it.

import { throwIfAborted } from '../../core/client/abort.ts'
import type { SendOptions, TransactionOptions, TransactionReceipt, TransactionVerdict } from '../../core/client/api.ts'
import { bytes } from '../../core/client/codec.ts'
import { durationToMs } from '../../core/client/duration.ts'
import { PocketError, toPocketError } from '../../core/errors.ts'
import type { CheckAsked, Home } from '../port/port-protocol.ts'
import { randomId } from '../port/random-id.ts'
import type { LineParticipant, PageLine } from './page-line.ts'
import { unpack } from './page-message.ts'
import { PageTopic } from './page-topic.ts'
import { ignore, QuietPromise } from './quiet-promise.ts'
import type { WebTopic, WebTransaction, WebTransactionProducer } from './web-api.ts'

export class PageTransactions implements WebTransactionProducer, LineParticipant {
  readonly id: number
  readonly producerGroup: string
  readonly home: Home
  readonly #line: PageLine
  readonly #options: TransactionOptions
  readonly #report: (error: PocketError) => void
  readonly #checkAfterMs: number | undefined
  readonly #registering = new QuietPromise()
  #closing: Promise<void> | undefined

  constructor(line: PageLine, home: Home, options: TransactionOptions, report: (error: PocketError) => void) {
    this.id = line.nextId()
    this.#line = line
    this.home = home
    this.#options = options
    this.#report = report
    this.producerGroup = options.producerGroup
    const { checkAfter } = options
    this.#checkAfterMs = checkAfter === undefined ? undefined : durationToMs(checkAfter, 'checkAfter')
  }

  get registered(): Promise<void> {
    return this.#registering.promise
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
      this.#line.participants.delete(this.id)
    })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async asked(asked: CheckAsked): Promise<void> {
    const { request, transactionId, checkCount, preparedMs } = asked
    let verdict: TransactionVerdict = 'unknown'
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
    const options = { producerGroup: this.producerGroup, checkAfterMs: this.#checkAfterMs }
    this.#line.call('openTransactions', [this.home, options]).then(
      this.#registering.resolve,
      (error: PocketError) => {
        if (error.code === 'ENGINE_LOST') return
        this.#registering.reject(error)
        this.#report(error)
      },
    )
  }

  ended(error: PocketError): void {
    this.#registering.reject(error)
  }
}

class PageTransaction implements WebTransaction {
  readonly transactionId = randomId()
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
    throwIfAborted(signal)
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
