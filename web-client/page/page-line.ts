// The page's line to its engine, over all the engines it meets: calls with their answers, and what flows beside them. When
// an engine is lost, calls that may be repeated wait for the next one and the others fail with ENGINE_LOST. The engine
// offers its calls through comlink; of that, a page needs no more than to ask and to hear the answer, so it says it itself.

import { PocketError } from '../../core/errors.ts'
import { type EnginePort, isPortMessage } from '../port/engine-port.ts'
import { unwrap } from '../port/errors.ts'
import type { FromEngine, FromPage, Outcome, TabApi } from '../port/port-protocol.ts'

/** Lives on the line: a producer, a consumer. */
export interface LineParticipant {
  /** Of this page. */
  readonly id: number
  /** An engine is there, perhaps another than before: say again what it has to know. */
  attached(): void
  /** It is gone; nothing that was asked is answered any more. */
  lost?(error: PocketError): void
  /** There will be no engine any more. */
  ended?(error: PocketError): void
  /** What the engine says to this participant. */
  hear?(message: FromEngine): void
  /** The page may not come back. */
  leaving?(): void
  close(): Promise<void>
}

type ResultOf<M extends keyof TabApi> = Awaited<ReturnType<TabApi[M]>> extends Outcome<infer T> ? T : never

/** A call as comlink has it. */
interface Call {
  readonly type: 'APPLY'
  readonly path: readonly [keyof TabApi]
  readonly argumentList: readonly { readonly type: 'RAW'; readonly value: unknown }[]
}

/** What comlink answers; `HANDLER` where it could not send what the call gave. */
interface Answer {
  readonly id: number
  readonly type: 'RAW' | 'HANDLER'
  readonly value: Outcome<never>
}

interface Waiting {
  readonly call: Call
  readonly isSafe: boolean
  readonly resolve: (result: never) => void
  readonly reject: (error: unknown) => void
}

export class PageLine {
  readonly participants = new Map<number, LineParticipant>()
  /** What ended it. */
  end: PocketError | undefined
  readonly #heard: (message: FromEngine) => void
  readonly #waiting = new Map<number, Waiting>()
  #idNext = 0
  #port: EnginePort | undefined
  #stop: (() => void) | undefined

  constructor(heard: (message: FromEngine) => void) {
    this.#heard = heard
  }

  /** Numbers of participants and of calls. */
  nextId(): number {
    return ++this.#idNext
  }

  /** From now on it hears of engines, and at once of the one that is there. */
  join(participant: LineParticipant): void {
    this.participants.set(participant.id, participant)
    if (this.end !== undefined) participant.ended?.(this.end)
    else if (this.#port !== undefined) participant.attached()
  }

  attached(port: EnginePort): void {
    this.#port = port
    this.#stop = port.listen((message) => {
      if (isPortMessage(message)) this.#heard(message as FromEngine)
      else this.#answered(message as Answer)
    })
    const waiting = this.#takeWaiting(() => true)
    for (const participant of [...this.participants.values()]) participant.attached()
    for (const one of waiting) this.#ask(one)
  }

  lost(error: PocketError): void {
    this.#drop()
    for (const { reject } of this.#takeWaiting(({ isSafe }) => !isSafe)) reject(error)
    for (const participant of [...this.participants.values()]) participant.lost?.(error)
  }

  ended(error: PocketError): void {
    if (this.end !== undefined) return
    this.end = error
    this.#drop()
    for (const { reject } of this.#takeWaiting(() => true)) reject(error)
    for (const participant of [...this.participants.values()]) participant.ended?.(error)
  }

  /** Without an engine it does nothing: who has something to say says it when attached. */
  post(message: FromPage): void {
    this.#port?.post(message)
  }

  /** Asks the engine, or the next one. `isSafe`: it may be asked twice. */
  call<M extends keyof TabApi>(method: M, args: Parameters<TabApi[M]>, isSafe = false): Promise<ResultOf<M>> {
    if (this.end !== undefined) return Promise.reject(this.end)
    return new Promise((resolve, reject) => {
      const argumentList = args.map((value: unknown) => ({ type: 'RAW' as const, value }))
      this.#ask({ call: { type: 'APPLY', path: [method], argumentList }, isSafe, resolve, reject })
    })
  }

  /** Under a new number each time: what an engine before may still answer is not taken for it. */
  #ask(waiting: Waiting): void {
    const id = this.nextId()
    this.#waiting.set(id, waiting)
    try {
      this.#port?.post({ id, ...waiting.call })
    } catch (cause) {
      this.#waiting.delete(id)
      waiting.reject(new PocketError('BAD_ARGUMENT', String(cause), { cause }))
    }
  }

  #answered({ id, type, value }: Answer): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    try {
      if (type !== 'RAW') throw new PocketError('INTERNAL', `what ${waiting.call.path[0]} gave can't be sent to a page`)
      waiting.resolve(unwrap(value))
    } catch (error) {
      waiting.reject(error)
    }
  }

  #takeWaiting(isTaken: (waiting: Waiting) => boolean): Waiting[] {
    const taken = [...this.#waiting].filter(([, waiting]) => isTaken(waiting))
    for (const [id] of taken) this.#waiting.delete(id)
    return taken.map(([, waiting]) => waiting)
  }

  #drop(): void {
    this.#stop?.()
    this.#port = this.#stop = undefined
  }
}
