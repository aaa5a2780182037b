// Does what the link machine says: fetches tokens, dials, keeps the one timer, drops connections; and turns what
// happens to them into the machine's events. It knows nothing of frames.

import { textToBytes } from '../bytes.ts'
import { unreachable } from '../assert.ts'
import { PocketError } from '../errors.ts'
import { fixedLimits } from '../limits.ts'
import type { CancelTimer, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Connection, ConnectionHandler, Dialler } from '../ports/transport.ts'
import { type ConnectReason, idleLink, type Link, type LinkEffect, type LinkEvent, stepLink } from './link.ts'

export interface LinkDriverDeps {
  readonly dialler: Dialler
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface LinkDriverOptions {
  readonly token: (context: { reason: ConnectReason; signal: AbortSignal }) => string | Promise<string>
  /** How long the first connection is tried for; undefined: without end. */
  readonly connectTimeoutMs: number | undefined
  /** A token that is refused is asked for again. */
  readonly isPatient?: boolean
  /** The connection is open: say who is there. */
  readonly hello: (token: string) => void
  /** The connection is about to be closed from this side: send what is left to send. */
  readonly dropping: () => void
  /** A message of the connection that is open now; `isCurrent` tells while it is handled whether it still is. */
  readonly message: (bytes: Uint8Array, isCurrent: () => boolean) => void
  /** The machine made a step. Events that this brings about come after it. */
  readonly stepped: (before: Link, after: Link) => void
}

export class LinkDriver {
  readonly #deps: LinkDriverDeps
  readonly #options: LinkDriverOptions
  #link: Link = idleLink
  readonly #events: LinkEvent[] = []
  #isStepping = false
  #cancelTimer: CancelTimer | undefined
  #cancelGiveUp: CancelTimer | undefined
  #tokenAbort: AbortController | undefined
  #connection: Connection | undefined
  #dialCount = 0

  constructor(deps: LinkDriverDeps, options: LinkDriverOptions) {
    this.#deps = deps
    this.#options = options
  }

  get link(): Link {
    return this.#link
  }

  /** The connection, open or being opened. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  start(): void {
    const { connectTimeoutMs } = this.#options
    const giveUp = () => this.dispatch({ kind: 'gave-up' })
    if (connectTimeoutMs !== undefined) this.#cancelGiveUp = this.#deps.clock.setTimer(connectTimeoutMs, giveUp)
    this.dispatch({ kind: 'start' })
  }

  /** Does not wait any longer before it tries again. */
  nudge(): void {
    if (this.#link.kind === 'waiting') this.dispatch({ kind: 'timer' })
  }

  /** Steps the machine. What effects bring about comes after them, in order. */
  dispatch(event: LinkEvent): void {
    this.#events.push(event)
    if (this.#isStepping) return
    this.#isStepping = true
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#step(next)
    } finally {
      this.#isStepping = false
    }
  }

  #step(event: LinkEvent): void {
    const before = this.#link
    const { isPatient = false } = this.#options
    const context = { nowMs: this.#deps.clock.monotonic(), random: this.#deps.random, isPatient }
    const { link, effects } = stepLink(before, event, context)
    this.#link = link
    if (link.kind !== before.kind) {
      this.#cancelTimer?.()
      this.#cancelTimer = undefined
      this.#tokenAbort?.abort(new PocketError('ABORTED', 'the token is not waited for any more'))
      this.#tokenAbort = undefined
      if (link.kind === 'connected' || link.kind === 'closed') this.#cancelGiveUp?.()
      this.#deps.log.debug(`link ${link.kind}`, 'error' in link && link.error ? { error: link.error.message } : {})
    }
    for (const effect of effects) this.#run(effect)
    if (!hasTransport(link)) this.#connection = undefined
    this.#options.stepped(before, link)
  }

  #run(effect: LinkEffect): void {
    switch (effect.kind) {
      case 'fetch-token':
        return this.#fetchToken(effect.reason)
      case 'dial':
        return this.#dial()
      case 'hello':
        return this.#options.hello(effect.token)
      case 'arm':
        this.#cancelTimer = this.#deps.clock.setTimer(effect.delayMs, () => this.dispatch({ kind: 'timer' }))
        return
      case 'drop':
        this.#options.dropping()
        this.#connection?.close(effect.code, effect.reason)
        return
      default:
        return unreachable(effect)
    }
  }

  #fetchToken(reason: ConnectReason): void {
    const abort = new AbortController()
    this.#tokenAbort = abort
    const fetched = (token: string) => {
      if (this.#tokenAbort !== abort) return
      // There is nothing left to abort.
      this.#tokenAbort = undefined
      if (textToBytes(token).length <= fixedLimits.authTokenBytesMax) return this.dispatch({ kind: 'token', token })
      const text = `the token is over ${fixedLimits.authTokenBytesMax} bytes`
      this.dispatch({ kind: 'token-failed', error: new PocketError('BAD_ARGUMENT', text) })
    }
    const failed = (cause: unknown) => {
      if (this.#tokenAbort !== abort) return
      this.#tokenAbort = undefined
      // Most often it could not be fetched, as the network is away for everyone.
      const text = `no token: ${cause instanceof Error ? cause.message : String(cause)}`
      const error = cause instanceof PocketError ? cause : new PocketError('CONNECTION_REFUSED', text, { cause })
      this.dispatch({ kind: 'token-failed', error })
    }
    try {
      const token = this.#options.token({ reason, signal: abort.signal })
      if (typeof token === 'string') fetched(token)
      else token.then(fetched, failed)
    } catch (cause) {
      failed(cause)
    }
  }

  #dial(): void {
    const dial = ++this.#dialCount
    const isCurrent = () => this.#connection !== undefined && dial === this.#dialCount
    const handler: ConnectionHandler = {
      opened: () => {
        if (isCurrent()) this.dispatch({ kind: 'opened' })
      },
      message: (bytes) => {
        if (isCurrent()) this.#options.message(bytes, isCurrent)
      },
      closed: (code, reason) => {
        if (isCurrent()) this.dispatch({ kind: 'ended', code, reason })
      },
    }
    this.#connection = this.#deps.dialler.dial(handler)
  }
}

function hasTransport({ kind }: Link): boolean {
  return kind === 'dialling' || kind === 'greeting' || kind === 'connected' || kind === 'draining'
}
