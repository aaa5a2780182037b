// A page's producer whose messages go through the outbox: checks them, and tells those that a lane has already from new
// ones. It counts as its page does: what is refused takes no number, so nothing may be taken behind a refusal that the page
// has not heard of, or a resend would count otherwise and be answered with another message's receipt.

import { PocketError } from '../errors.ts'
import { checkMessage } from '../record/message-codec.ts'
import type { SendOptions } from './api.ts'
import type { OutboxSend } from './outbox-entry.ts'
import type { OutboxLane } from './outbox-lane.ts'
import { kindOf } from './publish-batch.ts'
import { asSendError, type SendHeaders } from './send-options.ts'

/** A producer of a page whose messages go through the outbox. */
export interface OutboxProducer {
  /**
   * Sends one message. A delay counts from its arrival at the relay, however long it lay here; `deliverAt` is a time of
   * day, and past is at once. `stored` rejects with BAD_ARGUMENT, BAD_NAME or MESSAGE_TOO_LARGE, with STORE_FULL when the
   * outbox or the device is, STORE_FAILED, CLOSED, or ABORTED where the signal is so already.
   */
  send(body: Uint8Array, options?: SendOptions): OutboxSend
  /** It takes nothing any more, as something was refused; only where it was opened with `stopped`. */
  readonly isStopped: boolean
  /** Ends the batch: a resend has the same batches. */
  seal(): void
  /** Resolves when all sends are stored here, or refused. What the relay has not got yet goes on its way without it. */
  close(): Promise<void>
}

/** What it needs of the outbox. */
export interface OutboxProducerHost {
  readonly headers: SendHeaders
  readonly bodyBytesMax: () => number
  /** Throws STORE_FULL or STORE_FAILED where so much more can't be stored. */
  checkRoom(byteCount: number): void
  /** Something was appended: it is stored when the turn ends. */
  touch(lane: OutboxLane): void
  closed(producer: LaneProducer): void
}

export class LaneProducer implements OutboxProducer {
  readonly lane: OutboxLane
  readonly #host: OutboxProducerHost
  /** Ordinal of the next message. */
  #next: number
  #unstoredCount = 0
  /** Of the message before. */
  #stored: Promise<unknown> = Promise.resolve()
  readonly #stopped: (() => void) | undefined
  #isStopped = false
  #isClosed = false
  #idle: (() => void)[] = []

  constructor(host: OutboxProducerHost, lane: OutboxLane, next: number, stopped: (() => void) | undefined) {
    this.#host = host
    this.lane = lane
    this.#next = next
    this.#stopped = stopped
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  send(body: Uint8Array, options?: SendOptions): OutboxSend {
    let sent: OutboxSend
    try {
      sent = this.#send(body, options)
    } catch (cause) {
      this.#stop()
      // Told behind what came before it.
      const refused = this.#unstoredCount === 0 ? Promise.reject(asSendError(cause)) : this.#behindOthers(asSendError(cause))
      refused.catch(ignore)
      sent = { stored: refused, relayed: refused }
    }
    this.#unstoredCount++
    this.#stored = sent.stored
    sent.stored.then(this.#isAnswered, this.#isAnswered)
    return sent
  }

  #behindOthers(error: PocketError): Promise<never> {
    const refuse = () => {
      throw error
    }
    return this.#stored.then(refuse, refuse)
  }

  #send(body: Uint8Array, options: SendOptions | undefined): OutboxSend {
    if (this.#isClosed) throw new PocketError('CLOSED', 'the producer is closed')
    if (this.#isStopped) throw new PocketError('INTERNAL', 'something before it was refused: open the producer anew')
    const { lane } = this
    if (this.#next < lane.assigned) return lane.again(this.#next++)
    const headers = this.#host.headers.of(options)
    checkMessage(headers, body.length, this.#host.bodyBytesMax())
    this.#host.checkRoom(body.length)
    this.#host.touch(lane)
    const sent = lane.append(headers, body, kindOf(headers))
    this.#next = lane.assigned
    return sent
  }

  readonly #isAnswered = (): void => {
    this.#unstoredCount--
    if (this.#unstoredCount > 0) return
    if (this.#isStopped) this.#stopped?.()
    for (const idle of this.#idle.splice(0)) idle()
  }

  seal(): void {
    this.lane.seal()
  }

  /** Nothing from there on was stored, and is refused: what is sent next takes its place. */
  rolledBack(assigned: number): void {
    if (this.#next > assigned) this.#stop()
    this.#next = Math.min(this.#next, assigned)
  }

  #stop(): void {
    this.#isStopped = this.#stopped !== undefined
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#host.closed(this)
    if (this.#unstoredCount > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }
}

function ignore(): void {}
