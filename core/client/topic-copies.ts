// The topics a device keeps copies of: follows each over the connection there is, applies what comes, and drops the oldest
// when there is too much. A topic is copied from the first consumer on that wants it, and stays so over restarts; where
// that consumer begins, the copy begins.

import { PocketError, toPocketError } from '../errors.ts'
import type { Position } from '../model/position.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Random } from '../ports/random.ts'
import type { Store } from '../ports/store.ts'
import type { Replica, TopicCopy } from '../replica/replica.ts'
import { backoffDelayMs } from '../session/backoff.ts'
import type { Client, ConsumeOptions, Follower, From } from './api.ts'
import { bytes } from './codec.ts'

export interface TopicCopiesDeps {
  readonly client: Client
  readonly replica: Replica
  /** The one beneath the replica, for several writers (storage/shared-store.ts). */
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Most bytes of records; then the oldest go. */
  readonly bytesMax: number
  /** Something failed that no call was waiting for. */
  readonly error: (error: PocketError) => void
  /** The lag has changed. */
  readonly changed: () => void
}

/** Who reads a copy. */
export interface CopyListener {
  /** There may be more, or less, of it. */
  changed(): void
  /** It is not followed any more, and there is nobody to ask for it again. */
  ended(error: PocketError): void
}

/** Where a reader wants to begin. */
export type CopyStart = Pick<ConsumeOptions, 'group' | 'filter'> & { readonly from: From }

const noPositions: ReadonlyMap<number, Position> = new Map()

export class TopicCopies {
  readonly clock: Clock
  readonly #deps: TopicCopiesDeps
  readonly #followers = new Map<string, Follower>()
  readonly #listeners = new Map<string, Set<CopyListener>>()
  /** Topics whose following has ended for good, with why. */
  readonly #failures = new Map<string, PocketError>()
  /** The replica takes one call at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(deps: TopicCopiesDeps) {
    this.#deps = deps
    this.clock = deps.clock
    for (const topic of deps.replica.topics) this.#follow(topic)
  }

  get store(): Store {
    return this.#deps.store
  }

  /** Messages of the followed topics still to come, as last told. */
  get lag(): number {
    let lag = 0
    for (const follower of this.#followers.values()) lag += follower.lag
    return lag
  }

  copyOf(topic: string): TopicCopy | undefined {
    return this.#deps.replica.copyOf(topic)
  }

  report(error: PocketError): void {
    this.#deps.error(error)
  }

  listen(topic: string, listener: CopyListener): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set()
    this.#listeners.set(topic, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#followers.values()].map((follower) => follower.close()))
    await this.#turn
  }

  // ── where readers begin ───────────────────────────────────────────────────────────────────────────────────────

  /**
   * Where a reader begins, by queue; a queue without a position begins where its copy does. Copies the topic from there on
   * if it was not copied, or not so far back. That takes the relay, so it may wait for a connection.
   */
  async begin(topic: string, start: CopyStart, signal: AbortSignal): Promise<ReadonlyMap<number, Position>> {
    const failure = this.#failures.get(topic)
    if (failure !== undefined) {
      this.#failures.delete(topic)
      this.#follow(topic)
    }
    const known = this.#startInCopy(topic, start.from)
    if (known !== undefined) return known
    const isWhole = start.from === 'earliest' && this.copyOf(topic) === undefined
    const positions = isWhole ? noPositions : await this.#ask(topic, start, signal)
    await this.beginAt(topic, positions)
    return positions
  }

  /** Copies the topic at least from these positions on; what the copy began too late for only while there is a relay. */
  beginAt(topic: string, positions: ReadonlyMap<number, Position>): Promise<void> {
    return this.#serial(async () => {
      if (this.#isClosed) return
      const copy = this.copyOf(topic)
      if (copy === undefined && !this.#followers.has(topic)) {
        await this.#deps.replica.begin(topic, positions)
        this.#follow(topic)
      } else if (copy !== undefined && this.#isEarlier(copy, positions)) {
        // While nobody can bring what is missing, what is there is read on.
        if (this.#deps.client.link !== 'connected') return
        void this.#followers.get(topic)?.close()
        this.#followers.delete(topic)
        await this.#deps.replica.rewind(topic, positions)
        this.#follow(topic)
      }
    })
  }

  /** Where the policy leads to in what is copied; undefined where only the relay can tell. */
  #startInCopy(topic: string, from: From): ReadonlyMap<number, Position> | undefined {
    const copy = this.copyOf(topic)
    if (copy === undefined || copy.queues.size === 0 || (from !== 'latest' && from !== 'earliest')) return undefined
    const positions = new Map<number, Position>()
    for (const [queueId, queue] of copy.queues) {
      if (from === 'earliest' && queue.from > queue.minOffset && !queue.isTrimmed) return undefined
      positions.set(queueId, { epoch: queue.epoch, offset: from === 'latest' ? queue.offset : queue.from })
    }
    return positions
  }

  /** Whether some position lies before what the copy has, and the copy has not dropped that itself. */
  #isEarlier({ queues }: TopicCopy, positions: ReadonlyMap<number, Position>): boolean {
    for (const [queueId, { epoch, offset }] of positions) {
      const queue = queues.get(queueId)
      if (queue !== undefined && queue.epoch === epoch && offset < queue.from && !queue.isTrimmed) return true
    }
    return false
  }

  /** A reader at the relay knows where it begins; it takes nothing. */
  async #ask(
    topic: string, { group, filter = '*', from }: CopyStart, signal: AbortSignal,
  ): Promise<ReadonlyMap<number, Position>> {
    const reader = this.#deps.client.topic<Uint8Array>(topic, { codec: bytes })
      .consume({ group, filter, from, mode: 'BROADCASTING', prefetch: 1, prefetchBytes: 1, signal })
    try {
      await reader.subscribed
      return reader.positions()
    } catch (error) {
      // Once it is there, all of it is new.
      if (toPocketError(error).code === 'TOPIC_NOT_FOUND') return noPositions
      throw error
    } finally {
      void reader.close()
    }
  }

  // ── following ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Follows from where the copy ends. */
  #follow(topic: string): void {
    const { client, clock, random, log, replica } = this.#deps
    let follower: Follower | undefined
    const isCurrent = () => !this.#isClosed && this.#followers.get(topic) === follower
    const run = async (failureCount: number): Promise<void> => {
      const start = replica.positions().get(topic) ?? noPositions
      let failures = failureCount
      try {
        follower = client.follow({ topics: [topic], positions: new Map([[topic, start]]) })
        this.#followers.set(topic, follower)
        for await (const { changes } of follower) {
          const isApplied = await this.#serial(async () => {
            if (!isCurrent()) return false
            await replica.apply(changes)
            await replica.trim(this.#deps.bytesMax)
            return true
          })
          if (!isApplied) return
          failures = 0
          this.#deps.changed()
          for (const listener of [...this.#listeners.get(topic) ?? []]) listener.changed()
        }
      } catch (thrown) {
        const error = toPocketError(thrown)
        if (!isCurrent()) return
        log.error('a topic is not copied', { topic, code: error.code, error: error.message })
        void follower?.close()
        // Without a connection to come, what is copied is still read.
        if (error.code === 'CLOSED' || client.link === 'closed') return
        if (error.code === 'STORE_FULL') await this.#makeRoom()
        const isPassing = error.retryable || error.code === 'RECORD_DAMAGED' || error.code === 'BAD_FRAME'
        if (!isPassing) return this.#failed(topic, error)
        clock.setTimer(backoffDelayMs(failures + 1, random), () => {
          if (isCurrent()) void run(failures + 1)
        })
      }
    }
    void run(0)
  }

  /** The device is full: half of the copies go. */
  async #makeRoom(): Promise<void> {
    const { replica } = this.#deps
    try {
      await this.#serial(() => replica.trim(Math.floor(replica.byteCount / 2)))
    } catch (error) {
      this.#deps.error(toPocketError(error))
    }
  }

  #failed(topic: string, error: PocketError): void {
    this.#followers.delete(topic)
    this.#failures.set(topic, error)
    const listeners = [...this.#listeners.get(topic) ?? []]
    if (listeners.length === 0) this.#deps.error(new PocketError(error.code, `'${topic}' is not copied: ${error.message}`))
    for (const listener of listeners) listener.ended(error)
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(ignore)
    return done
  }
}

function ignore(): void {}
