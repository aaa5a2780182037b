// Requests and replies. A request is a message like any other, with two properties by which the reply finds the way back:
// straight from connection to connection, stored nowhere. Who asked waits for so long and no longer.

import { ByteWriter } from '../bytes.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import { requestProperties } from '../model/message.ts'
import type { Clock } from '../ports/clock.ts'
import type { Random } from '../ports/random.ts'
import { checkMessage, decodeMessage, encodeMessage } from '../record/message-codec.ts'
import { producerIdToText } from '../record/record-batch.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { ClientSession, SessionParticipant } from '../session/client-session.ts'
import { onAbort } from './abort.ts'
import type { Codec, Reply, ReplyOptions, RequestOptions, SendOptions, SendReceipt } from './api.ts'
import { durationToMs } from './duration.ts'
import type { Replies } from './message.ts'
import { asSendError, encodeBody, propertiesOf, SendHeaders } from './send-options.ts'
import { SettlePromise } from './settle-promise.ts'

export interface RequestReplyDeps {
  readonly session: ClientSession
  readonly clock: Clock
  readonly random: Random
  /** How long a reply is tried to be handed over. */
  readonly requestTimeoutMs: number
  /** A failure that nobody waits for. */
  readonly report: (error: PocketError) => void
}

type Settle = (outcome: Reply<unknown> | PocketError) => void

interface SentReply {
  readonly fields: { readonly replyTo: string; readonly correlationId: string; readonly message: Uint8Array }
  readonly payload: Uint8Array
  /** Monotonic. */
  readonly untilMs: number
  readonly promise: SettlePromise
  refusalCount: number
}

export class RequestReply implements SessionParticipant, Replies {
  readonly #deps: RequestReplyDeps
  readonly #headers: SendHeaders
  /** Requests that wait for their reply. */
  readonly #waiting = new Set<Settle>()

  constructor(deps: RequestReplyDeps) {
    this.#deps = deps
    this.#headers = new SendHeaders(deps.clock)
    deps.session.join(this)
  }

  linked(): void {}

  unlinked(): void {}

  ended(error: PocketError): void {
    for (const settle of [...this.#waiting]) settle(error)
  }

  /** Sends by `send`, and waits for the reply. A request that nobody waits for any more is not sent, if it can be helped. */
  async request<T, R>(
    send: (value: T, options: SendOptions) => Promise<SendReceipt>, codec: Codec<R>, value: T,
    { timeout = '30s', replyCodec = codec, signal, properties = {}, ...others }: RequestOptions<R>,
  ): Promise<Reply<R>> {
    const { session, clock, random } = this.#deps
    const timeoutMs = durationToMs(timeout, 'timeout')
    if (timeoutMs < 1 || timeoutMs > fixedLimits.ttlMsMax) {
      throw new PocketError('BAD_ARGUMENT', `timeout is ${timeoutMs} ms; 1 to ${fixedLimits.ttlMsMax} are allowed`)
    }
    const correlationId = producerIdToText(random.bytes(8))
    const marked = new Map(propertiesOf(properties))
    marked.set(requestProperties.replyTo, session.clientId).set(requestProperties.correlationId, correlationId)
    return new Promise((resolve, reject) => {
      const unsent = new AbortController()
      let stopListening = ignore
      const settle: Settle = (outcome) => {
        if (!this.#waiting.delete(settle)) return
        session.handleReplies(correlationId, undefined)
        cancelTimer()
        stopListening()
        if (!(outcome instanceof PocketError)) return resolve(outcome as Reply<R>)
        unsent.abort(outcome)
        reject(outcome)
      }
      this.#waiting.add(settle)
      session.handleReplies(correlationId, (message) => settle(replyOf(message, replyCodec)))
      const cancelTimer = clock.setTimer(timeoutMs, () => {
        settle(new PocketError('TIMEOUT', `no reply came within ${timeoutMs} ms; the request may have been handled`))
      })
      stopListening = onAbort(signal, settle)
      if (!this.#waiting.has(settle)) return
      send(value, { ...others, properties: marked, ttl: timeoutMs, signal: unsent.signal }).catch(settle)
    })
  }

  reply(
    properties: ReadonlyMap<string, string>, codec: Codec<unknown>, value: unknown, options: ReplyOptions | undefined,
  ): Promise<void> {
    const { clock, session, report, requestTimeoutMs } = this.#deps
    const promise = new SettlePromise(report)
    try {
      const replyTo = properties.get(requestProperties.replyTo)
      const correlationId = properties.get(requestProperties.correlationId)
      if (replyTo === undefined || correlationId === undefined) {
        throw new PocketError('BAD_ARGUMENT', 'nobody asked: the message was not sent by request()')
      }
      const headers = this.#headers.of(options)
      const body = encodeBody(codec, value)
      checkMessage(headers, body.length, session.limits.bodyBytesMax)
      const writer = new ByteWriter(body.length + 64)
      encodeMessage(writer, new ByteWriter(64), 0, headers, body)
      const untilMs = clock.monotonic() + requestTimeoutMs
      const fields = { replyTo, correlationId, message: noBytes }
      this.#send({ fields, payload: writer.finish(), untilMs, promise, refusalCount: 0 })
    } catch (cause) {
      promise.fail(asSendError(cause))
    }
    return promise
  }

  #send(reply: SentReply): void {
    const { clock, session, random } = this.#deps
    const { fields, payload, untilMs, promise } = reply
    const timeoutMs = Math.max(0, untilMs - clock.monotonic())
    // A second one finds nobody who waits, so it may be repeated.
    session.call({ name: 'REPLY', fields, payload, answer: 'DONE', timeoutMs, isRepeatable: true }, (outcome) => {
      if (!(outcome instanceof PocketError)) return promise.succeed()
      const delayMs = (outcome.retryAfterMs ?? 0) + backoffDelayMs(++reply.refusalCount, random)
      if (outcome.code !== 'OVERLOADED' || clock.monotonic() + delayMs >= untilMs) return promise.fail(outcome)
      clock.setTimer(delayMs, () => this.#send(reply))
    })
  }
}

/** Throws BAD_FRAME where the bytes are no message. */
function replyOf<R>(message: Uint8Array, codec: Codec<R>): Reply<R> | PocketError {
  const { headers: { tag, keys = [], properties = new Map<string, string>() }, body } = decodeMessage(message, 0, message.length)
  try {
    return { value: codec.decode(body), body, tag, keys, properties }
  } catch (cause) {
    return new PocketError('BAD_ARGUMENT', `the body of the reply is not ${codec.name}`, { cause })
  }
}

const noBytes = new Uint8Array(0)

function ignore(): void {}
