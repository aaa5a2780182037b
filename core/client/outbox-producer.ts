// A page's producer whose messages go through the outbox: checks them, and tells those that a lane has already from new
// ones. It counts as its page does.

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
  #isClosed = false
  #idle: (() => void)[] = []

  constructor(host: OutboxProducerHost, lane: OutboxLane, next: number) {
    this.#host = host
    this.lane = lane
    this.#next = next
  }

  send(body: Uint8Array, options?: SendOptions): OutboxSend {
    let sent: OutboxSend
    try {
      sent = this.#send(body, options)
    } catch (cause) {
      const error = asSendError(cause)
      sent = { stored: Promise.reject(error), relayed: Promise.reject(error) }
      sent.stored.catch(ignore)
      sent.relayed.catch(ignore)
      return sent
    }
    this.#unstoredCount++
    sent.stored.then(this.#stored, this.#stored)
    return sent
  }

  #send(body: Uint8Array, options: SendOptions | undefined): OutboxSend {
    if (this.#isClosed) throw new PocketError('CLOSED', 'the producer is closed')
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

  readonly #stored = (): void => {
    this.#unstoredCount--
    if (this.#unstoredCount > 0) return
    for (const idle of this.#idle.splice(0)) idle()
  }

  seal(): void {
    this.lane.seal()
  }

  /** Nothing from there on was stored: what is sent next takes its place. */
  rolledBack(assigned: number): void {
    this.#next = Math.min(this.#next, assigned)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#host.closed(this)
    if (this.#unstoredCount > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }
}

function ignore(): void {}
