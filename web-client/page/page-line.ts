// The page's line to its engine, over all the engines it meets: calls with their answers, and what flows beside them. When
// an engine is lost, calls that may be repeated wait for the next one and the others fail with ENGINE_LOST.

import { wrap } from 'comlink'
import { PocketError } from '../../core/errors.ts'
import { endpointOf, type EnginePort, isPortMessage } from '../port/engine-port.ts'
import { unwrap } from '../port/errors.ts'
import type { FromEngine, FromPage, Outcome, TabApi } from '../port/port-protocol.ts'

/** Lives on the line: a producer, a consumer. */
export interface LineParticipant {
  /** An engine is there, perhaps another than before: say again what it has to know. */
  attached(): void
  /** It is gone; nothing that was asked is answered any more. */
  lost(error: PocketError): void
  /** There will be no engine any more. */
  ended(error: PocketError): void
}

type ResultOf<M extends keyof TabApi> = Awaited<ReturnType<TabApi[M]>> extends Outcome<infer T> ? T : never

interface Waiting {
  /** Asks the engine that is there now. */
  readonly ask: (api: TabApi) => void
  readonly reject: (error: PocketError) => void
  readonly isSafe: boolean
}

export class PageLine {
  readonly participants = new Set<LineParticipant>()
  readonly #heard: (message: FromEngine) => void
  readonly #waiting = new Set<Waiting>()
  #port: EnginePort | undefined
  #api: TabApi | undefined
  #stop: (() => void) | undefined
  #end: PocketError | undefined

  constructor(heard: (message: FromEngine) => void) {
    this.#heard = heard
  }

  get isUp(): boolean {
    return this.#port !== undefined
  }

  /** What ended it. */
  get end(): PocketError | undefined {
    return this.#end
  }

  attached(port: EnginePort): void {
    this.#port = port
    // Kept here: a proxy that is collected drops its calls.
    this.#api = wrap<TabApi>(endpointOf(port)) as unknown as TabApi
    this.#stop = port.listen((message) => {
      if (isPortMessage(message)) this.#heard(message as FromEngine)
    })
    const waiting = [...this.#waiting]
    for (const participant of [...this.participants]) participant.attached()
    for (const { ask } of waiting) ask(this.#api)
  }

  lost(error: PocketError): void {
    this.#drop()
    for (const waiting of [...this.#waiting]) {
      if (waiting.isSafe) continue
      this.#waiting.delete(waiting)
      waiting.reject(error)
    }
    for (const participant of [...this.participants]) participant.lost(error)
  }

  ended(error: PocketError): void {
    if (this.#end !== undefined) return
    this.#end = error
    this.#drop()
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting.clear()
    for (const participant of [...this.participants]) participant.ended(error)
  }

  /** Without an engine it does nothing: who has something to say says it when attached. */
  post(message: FromPage): void {
    this.#port?.post(message)
  }

  /** Asks the engine, or the next one. `isSafe`: it may be asked twice. */
  call<M extends keyof TabApi>(method: M, args: Parameters<TabApi[M]>, isSafe = false): Promise<ResultOf<M>> {
    if (this.#end !== undefined) return Promise.reject(this.#end)
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        isSafe,
        reject,
        ask: (api) => {
          const call = api[method] as (...given: typeof args) => Promise<Outcome<ResultOf<M>>>
          call(...args).then((outcome) => {
            if (this.#api !== api || !this.#waiting.delete(waiting)) return
            resolve(unwrap(outcome))
          }).catch((cause: unknown) => {
            // It was refused by the engine; or comlink could not clone it.
            this.#waiting.delete(waiting)
            reject(cause instanceof PocketError ? cause : new PocketError('BAD_ARGUMENT', String(cause), { cause }))
          })
        },
      }
      this.#waiting.add(waiting)
      if (this.#api !== undefined) waiting.ask(this.#api)
    })
  }

  #drop(): void {
    this.#stop?.()
    this.#port = this.#api = this.#stop = undefined
  }
}
