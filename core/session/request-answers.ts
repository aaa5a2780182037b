// The requests of one connection that wait for their answer, and the frames that answer them.

import type { Answer, RangeFailure } from '../broker/door.ts'
import { errorCodes } from '../error-codes.ts'
import { PocketError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { DownstreamName, FrameFields, UpstreamFrame, UpstreamName } from '../protocol/frames.ts'
import type { SessionCounters } from './session-counters.ts'

export type RequestFrame = Extract<UpstreamFrame, { readonly requestId: number }>
/** About a subscription, and without an answer. */
export type NoticeFrame = Extract<UpstreamFrame, { readonly name: 'CREDIT' | 'POSITIONS' }>
export type FrameNamed<N extends UpstreamName> = Extract<UpstreamFrame, { readonly name: N }>

/** What answers need of their session. */
export interface AnswersHost {
  /** The connection is over: nobody hears an answer. */
  readonly isOver: boolean
  /** When the message arrived that is being heard, monotonic. */
  readonly arrivedMs: number
  add<N extends DownstreamName>(name: N, fields: FrameFields<N>, payload?: Uint8Array): void
  /** A request failed; the connection stays. */
  refuse(requestId: number, error: PocketError): void
  /** Runs within the broker's turn, and must not throw into it. */
  guard(run: () => void): void
}

export class RequestAnswers {
  readonly #host: AnswersHost
  readonly #clock: Clock
  readonly #counters: SessionCounters
  /** Requests that wait for their answer. */
  inHandCount = 0

  constructor(host: AnswersHost, { clock, counters }: { readonly clock: Clock; readonly counters: SessionCounters }) {
    this.#host = host
    this.#clock = clock
    this.#counters = counters
  }

  /** What a request is answered with: `tell` for a result, an ERROR frame for an error, nothing once the connection is over. */
  reply<T>(frame: RequestFrame, tell: (result: T) => void): Answer<T> {
    const { name, requestId } = frame
    const { arrivedMs } = this.#host
    this.inHandCount++
    return (outcome) => {
      this.inHandCount--
      const isFailure = outcome instanceof PocketError
      this.#counters.answered(name, this.#clock.monotonic() - arrivedMs, isFailure)
      if (this.#host.isOver) return
      this.#host.guard(() => {
        if (isFailure) this.#host.refuse(requestId, outcome)
        else tell(outcome)
      })
    }
  }

  /** The result is all that the frame holds beside the request's id. */
  replyWith<N extends DownstreamName>(frame: RequestFrame, name: N): Answer<Omit<FrameFields<N>, 'requestId'>> {
    return this.replyAs(frame, name, (result) => result)
  }

  /** The frame holds, beside the request's id, what `fieldsOf` makes of the result. */
  replyAs<N extends DownstreamName, T>(
    frame: RequestFrame, name: N, fieldsOf: (result: T) => Omit<FrameFields<N>, 'requestId'>,
  ): Answer<T> {
    const { requestId } = frame
    return this.reply(frame, (result) =>
      this.#host.add(name, { ...fieldsOf(result), requestId } as unknown as FrameFields<N>))
  }

  replyDone(frame: RequestFrame): Answer<void> {
    const { requestId } = frame
    return this.reply(frame, () => this.#host.add('DONE', { requestId, failures: [] }))
  }

  replyFailures(frame: RequestFrame): Answer<readonly RangeFailure[]> {
    const { requestId } = frame
    return this.reply(frame, (rangeFailures) => {
      const failures = rangeFailures.map(({ index, error }) => ({ index, code: errorCodes[error.code].number }))
      this.#host.add('DONE', { requestId, failures })
    })
  }
}
