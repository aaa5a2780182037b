// A relay of the simulated world, wired as server/relay.ts does it, over the simulated disk and network: it starts,
// crashes, drains, and ends when its store fails; something like an operator starts it again after a while. What passes
// at its door and on its disk is written down.

import { Broker } from '../../core/broker/broker.ts'
import { PocketError } from '../../core/errors.ts'
import type { Limits } from '../../core/limits.ts'
import type { BrokerDoor } from '../../core/broker/door.ts'
import type { Clock } from '../../core/ports/clock.ts'
import type { Log, LogFields } from '../../core/ports/log.ts'
import { authenticateAnybody } from '../../core/session/auth.ts'
import { FlushQueue } from '../../core/session/flush-queue.ts'
import { ReplyRouter } from '../../core/session/reply-router.ts'
import { ServerSession } from '../../core/session/server-session.ts'
import { SessionCounters } from '../../core/session/session-counters.ts'
import type { RelayEvent } from '../checkers/relay-history.ts'
import { DoorTap } from './door-tap.ts'
import type { Interference } from './planted-bug.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimNetwork } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import type { SimRandom } from './sim-random.ts'
import { createSimStore, type SimStore } from './sim-store.ts'
import { StoreTap } from './store-tap.ts'
import type { Trace } from './trace.ts'

export interface SimRelayOptions {
  readonly clock: SimClock
  readonly random: SimRandom
  readonly network: SimNetwork
  readonly trace: Trace
  readonly limits: Limits
  /** Stands between the broker and what it is given. */
  readonly planted: Interference | undefined
  readonly noted: (event: RelayEvent) => void
  /** A bug: something was logged that must not happen in this world. */
  readonly bug: (text: string) => void
}

const retryAfterMs = 500
const lingerMs = 250
/** How long a relay whose store failed goes on closing its connections. */
const endMs = 200
const restartMs: readonly [number, number] = [50, 1_500]
/** What is decided by the wall clock is done within so long, even on a slow disk. */
const setBackMs = 10_000

export class SimRelay {
  readonly #options: SimRelayOptions
  readonly #random: SimRandom
  readonly #doorTap: DoorTap
  readonly storeTap: StoreTap
  #process: SimProcess
  #store: SimStore
  #broker: Broker | undefined
  #door: BrokerDoor | undefined
  #sessions = new Set<ServerSession>()
  #bootCount = 0
  #isEnding = false
  #furthestWallOffsetMs = 0
  #setBack = { byMs: 0, untilMs: 0 }
  readonly counts = { boots: 0, crashes: 0, stops: 0, failures: 0, unresolved: 0 }

  constructor(options: SimRelayOptions) {
    const { clock, random } = options
    this.#options = options
    this.#random = random.fork('relay')
    this.#process = new SimProcess(clock, 'relay#0')
    const nowMs = (): number => clock.monotonic()
    const { noted } = options
    this.storeTap = new StoreTap({ nowMs, noted, wallMs: () => this.#latestWallMs })
    this.#doorTap = new DoorTap({ nowMs, noted, turnMs: () => this.storeTap.turnMs })
    // The disk answers the process that asked, on its time.
    const diskClock: Clock = {
      now: () => this.#process.now(),
      monotonic: () => clock.monotonic(),
      setTimer: (delayMs, fire) => this.#process.setTimer(delayMs, fire),
      defer: (run) => this.#process.defer(run),
    }
    this.#store = createSimStore({ clock: diskClock, random: random.fork('disk') })
  }

  get process(): SimProcess {
    return this.#process
  }

  get store(): SimStore {
    return this.#store
  }

  /** While the relay is up. */
  get door(): BrokerDoor | undefined {
    return this.#door
  }

  get wallMs(): number {
    return this.#process.now()
  }

  /** Sets the wall clock to the latest that it ever showed, so that nothing waits for a time it has seen. */
  catchUpWall(): void {
    const byMs = this.#furthestWallOffsetMs - this.#process.wallOffsetMs
    if (byMs > 0) this.jumpWall(byMs)
  }

  /** Moves the wall clock of its machine. */
  jumpWall(byMs: number): void {
    const atMs = this.#options.clock.monotonic()
    this.#process.jumpWall(byMs)
    this.#furthestWallOffsetMs = Math.max(this.#furthestWallOffsetMs, this.#process.wallOffsetMs)
    if (byMs < 0) this.#setBack = { byMs, untilMs: atMs + setBackMs }
    this.#note({ kind: 'wall-jumped', atMs, byMs })
  }

  /** The latest wall time that anything which happens now may have gone by. */
  get #latestWallMs(): number {
    const wallMs = this.#process.now()
    const { byMs, untilMs } = this.#setBack
    return this.#options.clock.monotonic() < untilMs ? wallMs - byMs : wallMs
  }

  start(): void {
    const { clock, network, limits, trace, planted } = this.#options
    const process = this.#process
    const boot = this.#bootCount++
    this.counts.boots++
    this.#isEnding = false
    trace.add(clock.monotonic(), 'relay starts', boot)
    const flushQueue = new FlushQueue(process)
    const replies = new ReplyRouter(limits)
    const counters = new SessionCounters()
    const sessions = new Set<ServerSession>()
    this.#sessions = sessions
    const random = this.#random.fork(`boot ${boot}`)
    const log = this.#log(process)
    const store = this.storeTap.of(this.#store)
    Broker.open({
      store: planted?.wrapStore?.(store, process) ?? store,
      clock: planted?.wrapClock?.(process) ?? process,
      random, log, limits,
      autoCreateTopics: true,
      retry: { kind: 'schedule', delaysMs: [200, 1_000] },
      released: () => flushQueue.flushAll(),
      failed: (error) => this.#failed(process, error),
    }).then((broker) => {
      if (process.isDead) return
      trace.add(clock.monotonic(), 'relay up', boot)
      this.#note({ kind: 'opened', atMs: clock.monotonic() })
      const door = this.#doorTap.of(planted?.wrapDoor?.(broker, process) ?? broker)
      this.#broker = broker
      this.#door = door
      network.listen({
        process,
        accept: (connection) => {
          const session = new ServerSession(connection, {
            broker: door,
            clock: process,
            limits, flushQueue, counters, log, replies,
            relayId: `relay ${boot}`,
            authenticate: authenticateAnybody,
            ended: (ended) => sessions.delete(ended),
          })
          sessions.add(session)
          return session
        },
      })
    }, (error: unknown) => {
      if (!process.isDead) this.#failed(process, error)
    })
  }

  /** A crash of the process or the machine: what was not durable may be gone, and nobody is told anything. */
  crash(): void {
    if (this.#process.isDead) return
    this.counts.crashes++
    this.#exit(this.#random.chance(0.5))
  }

  /** An orderly restart, as server/relay.ts does it on a signal. */
  stop(): void {
    const process = this.#process
    const broker = this.#broker
    if (process.isDead || this.#isEnding || broker === undefined) return
    this.counts.stops++
    this.#isEnding = true
    const { clock, network, trace } = this.#options
    trace.add(clock.monotonic(), 'relay stops')
    network.stopListening()
    for (const session of this.#sessions) session.announceStop(retryAfterMs)
    process.setTimer(lingerMs, () => {
      for (const session of this.#sessions) session.drain()
      void broker.drain().then(() => {
        for (const session of this.#sessions) session.finish('RELAY_STOPPING', 'the relay is stopping')
        process.setTimer(endMs, () => this.#exit(false))
      })
    })
    // A drain that takes too long is ended from outside.
    this.#options.clock.setTimer(5_000, () => {
      if (this.#process === process && !process.isDead) this.#exit(false)
    })
  }

  #failed(process: SimProcess, error: unknown): void {
    if (process !== this.#process || process.isDead) return
    const { clock, network, trace } = this.#options
    this.counts.failures++
    const text = error instanceof PocketError ? `${error.code} ${error.message}` : String((error as Error).stack)
    trace.add(clock.monotonic(), 'relay fails', text)
    if (!(error instanceof PocketError)) this.#options.bug(`the relay could not be opened: ${text}`)
    network.stopListening()
    for (const session of this.#sessions) {
      session.finish('STORE_FAILED', new PocketError('STORE_FAILED', 'the relay’s store failed', { retryAfterMs }))
    }
    process.setTimer(endMs, () => this.#exit(false))
  }

  #exit(isLost: boolean): void {
    const { clock, network, trace } = this.#options
    const before = this.#process
    if (before.isDead) return
    trace.add(clock.monotonic(), 'relay gone')
    network.stopListening()
    this.#broker?.close()
    this.#broker = undefined
    this.#door = undefined
    before.kill()
    network.processDied(before, isLost)
    this.#store.crash()
    this.storeTap.settle()
    this.#store = this.#store.reopen()
    this.#note({ kind: 'gone', atMs: clock.monotonic() })
    clock.setTimer(this.#random.between(...restartMs), () => {
      this.#process = new SimProcess(clock, `relay#${this.#bootCount}`)
      this.#process.jumpWall(before.wallOffsetMs)
      this.start()
    })
  }

  #note(event: RelayEvent): void {
    this.#options.noted(event)
  }

  #log(process: SimProcess): Log {
    const { clock, trace, bug } = this.#options
    return {
      error: (event, fields = {}) => {
        const text = `${event} ${JSON.stringify(fields)}`
        trace.add(clock.monotonic(), process.name, text)
        if (event === 'damage-found') this.#damageFound(fields)
        else if (event === 'transaction-unresolved') this.counts.unresolved++
        else if (event !== 'store-failed') bug(`the relay logged: ${text}`)
      },
      info: () => {},
      debug: () => {},
    }
  }

  /** What it finds while it reads has a topic's id, what it finds at opening a topic's name. */
  #damageFound({ what, topic, topicId, queueId, toOffset, lastOffset }: LogFields): void {
    this.#note({
      kind: 'damage-reported',
      atMs: this.#options.clock.monotonic(),
      what: String(what),
      topic: typeof topic === 'string' ? topic : this.storeTap.topicName(Number(topicId)),
      queueId: Number(queueId),
      toOffset: typeof lastOffset === 'number' ? lastOffset : typeof toOffset === 'number' ? toOffset : undefined,
    })
  }
}
