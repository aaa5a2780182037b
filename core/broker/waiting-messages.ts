// Messages that were delivered and are not to be delivered now: those that wait for the time of their next attempt,
// those that are held because their attempts are over, and those on their way to the dead letters. What becomes of them
// then is their queue's business. What is held has its message group behind it, so it is let go when its time to live
// is over.

import type { GroupConfig } from '../model/topic.ts'
import type { Clock } from '../ports/clock.ts'
import type { RecordBatch } from '../record/record-batch.ts'
import type { WaitFate } from '../storage/progress.ts'
import type { QueueLog } from '../storage/queue-log.ts'
import type { FreeMessage } from './free-messages.ts'
import type { RecordReads } from './record-reads.ts'
import type { BrokerCounters } from './stats.ts'
import type { Timers, Wait } from './timers.ts'
import type { WaitRuns } from './wait-runs.ts'

/** What messages that were given back together wait for. */
interface Delay {
  /** Monotonic. */
  readonly visibleMs: number
  readonly delayMs: number
  wait: Wait | undefined
}

interface WaitingMessage {
  readonly message: FreeMessage
  readonly fate: WaitFate
  /** Undefined where it waits for no time. */
  readonly delay: Delay | undefined
  /** Until what is held is looked at again. */
  watch: Wait | undefined
}

export interface WaitingDeps {
  readonly log: QueueLog
  readonly isFifo: boolean
  readonly config: () => GroupConfig
  readonly reads: RecordReads
  readonly clock: Clock
  readonly timers: Timers
  readonly counters: BrokerCounters
  readonly readFailed: (error: Error) => void
  /** The time of some has come; they are out of here already. */
  readonly due: (messages: readonly FreeMessage[]) => void
  /** A message is to become a dead letter; it is taken out of here when it has. */
  readonly dead: (offset: number, attempts: number) => void
  /** A held message is nobody's any more: its time to live is over, or it is not stored any more. It is still in here. */
  readonly gone: (offset: number) => void
}

export class WaitingMessages {
  readonly #deps: WaitingDeps
  readonly #messages = new Map<number, WaitingMessage>()
  #heldCount = 0

  constructor(deps: WaitingDeps) {
    this.#deps = deps
  }

  get count(): number {
    return this.#messages.size
  }

  get heldCount(): number {
    return this.#heldCount
  }

  /** The lowest offset; Infinity where there is none. */
  get floor(): number {
    let floor = Infinity
    for (const offset of this.#messages.keys()) floor = Math.min(floor, offset)
    return floor
  }

  /** They are due in `delayMs`, by one timer for all: thousands may be given back together. */
  retry(messages: readonly FreeMessage[], delayMs: number): void {
    const { clock, timers } = this.#deps
    const delay: Delay = { visibleMs: clock.monotonic() + delayMs, delayMs, wait: undefined }
    for (const message of messages) this.#messages.set(message.offset, { message, fate: 'again', delay, watch: undefined })
    delay.wait = timers.at(delay.visibleMs, () => this.#end(delay, messages))
  }

  #end(delay: Delay, messages: readonly FreeMessage[]): void {
    // Some may have been taken out meanwhile, and may wait for something else by now.
    const due = messages.filter(({ offset }) => this.#messages.get(offset)?.delay === delay)
    for (const { offset } of due) this.#messages.delete(offset)
    this.#deps.due(due)
  }

  /** What becomes of messages whose attempts are over. */
  get exhaustedKind(): 'held' | 'dead' {
    const { config, isFifo } = this.#deps
    return isFifo && config().exhausted === 'hold' ? 'held' : 'dead'
  }

  /** Its attempts are over. */
  exhaust(message: FreeMessage): void {
    if (this.exhaustedKind === 'held') this.hold(message)
    else this.bury(message)
  }

  /** It stays until somebody decides on it. */
  hold(message: FreeMessage): void {
    this.#add(message, 'held')
    this.#heldCount++
    this.#watch(message.offset)
  }

  /** Looks whether a held message may still be given to anybody, and when to look again. */
  #watch(offset: number): void {
    const { log, reads, readFailed } = this.#deps
    const record = log.recordInMemory(offset)
    if (record !== undefined) this.#lookAt(offset, record)
    else {
      reads.read(offset, (found) => {
        if (!(found instanceof Error)) this.#lookAt(offset, found)
        else if (!(found instanceof RangeError)) readFailed(found)
        else if (this.fateOf(offset) === 'held') this.#deps.gone(offset)
      })
    }
  }

  #lookAt(offset: number, record: RecordBatch): void {
    const { clock, counters, gone, timers } = this.#deps
    const message = this.#messages.get(offset)
    if (message?.fate !== 'held') return
    const index = record.indexOf(offset)
    if (index < 0) return gone(offset)
    const nowMs = clock.now()
    if (record.isExpiredAt(index, nowMs)) {
      counters.expiredUnreadMessages++
      return gone(offset)
    }
    const ttlMs = record.ttlAt(index)
    if (ttlMs === 0) return
    timers.cancel(message.watch)
    // The wall clock may go back until then, so it is looked at again.
    message.watch = timers.at(clock.monotonic() + record.storedMs + ttlMs - nowMs, () => this.#watch(offset))
  }

  /** It stays until it is among the dead letters. */
  bury(message: FreeMessage): void {
    this.#add(message, 'dead')
    this.#deps.dead(message.offset, message.attempts)
  }

  #add(message: FreeMessage, fate: WaitFate): void {
    this.#messages.set(message.offset, { message, fate, delay: undefined, watch: undefined })
  }

  fateOf(offset: number): WaitFate | undefined {
    return this.#messages.get(offset)?.fate
  }

  /** It waits no longer; undefined where it did not. */
  take(offset: number): FreeMessage | undefined {
    const waiting = this.#messages.get(offset)
    if (waiting === undefined) return undefined
    const { message, fate, watch } = waiting
    this.#messages.delete(offset)
    this.#deps.timers.cancel(watch)
    if (fate === 'held') this.#heldCount--
    return message
  }

  /** All with a fate and at least so many attempts: a list of its own, so that they can be taken on the way. */
  offsetsOf(fate: WaitFate, attemptsMin = 0): number[] {
    const offsets: number[] = []
    for (const [offset, waiting] of this.#messages) {
      if (waiting.fate === fate && waiting.message.attempts >= attemptsMin) offsets.push(offset)
    }
    return offsets
  }

  clear(): void {
    for (const { delay, watch } of this.#messages.values()) {
      this.#deps.timers.cancel(watch)
      this.#deps.timers.cancel(delay?.wait)
    }
    this.#messages.clear()
    this.#heldCount = 0
  }

  /** Adds them to what is stored; `toWallMs` turns a monotonic time into wall time. */
  store(runs: WaitRuns, toWallMs: (monotonicMs: number) => number): void {
    for (const { message: { offset, attempts, groupHash }, fate, delay } of this.#messages.values()) {
      const visibleMs = delay === undefined ? 0 : toWallMs(delay.visibleMs)
      runs.add(offset, attempts, visibleMs, Math.ceil(delay?.delayMs ?? 0), fate, groupHash)
    }
  }
}
