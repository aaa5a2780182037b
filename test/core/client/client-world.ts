// Clients and a real broker in one process, over connections in memory, in simulated time. The network can be cut and
// the broker restarted over its store.

import { Broker } from '../../../core/broker/broker.ts'
import type { Client, ClientEvents, ClientOptions } from '../../../core/client/api.ts'
import { createClient } from '../../../core/client/client.ts'
import type { PocketError } from '../../../core/errors.ts'
import { defaultLimits, type Limits } from '../../../core/limits.ts'
import { silentLog } from '../../../core/ports/log.ts'
import type { Store } from '../../../core/ports/store.ts'
import type { Connection, ConnectionHandler } from '../../../core/ports/transport.ts'
import { type Authenticate, authenticateAnybody } from '../../../core/session/auth.ts'
import { FlushQueue } from '../../../core/session/flush-queue.ts'
import { createInProcessListener } from '../../../core/session/in-process-transport.ts'
import { ReplyRouter } from '../../../core/session/reply-router.ts'
import { ServerSession } from '../../../core/session/server-session.ts'
import { SessionCounters } from '../../../core/session/session-counters.ts'
import { createMemoryStore } from '../../../core/storage/memory-store.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { createSimRandom, type SimRandom } from '../../sim/sim-random.ts'
import { FlakyDialler } from '../../support/flaky-dialler.ts'
import { pass, settle, until } from '../../support/sim-wait.ts'

export interface ClientWorldOptions {
  readonly seed?: number
  readonly limits?: Partial<Limits>
  readonly authenticate?: Authenticate
}

export class ClientWorld {
  readonly clock = new SimClock()
  readonly random: SimRandom
  readonly limits: Limits
  readonly network: FlakyDialler
  readonly errors: PocketError[] = []
  readonly gaps: ClientEvents['gap'][] = []
  readonly #store: Store
  readonly #authenticate: Authenticate
  #broker: Broker | undefined
  #sessions = new Set<ServerSession>()
  #clientCount = 0

  private constructor({ seed = 1, limits = {}, authenticate = authenticateAnybody }: ClientWorldOptions) {
    this.random = createSimRandom(seed)
    this.limits = { ...defaultLimits, ...limits }
    this.#authenticate = authenticate
    this.#store = createMemoryStore({ clock: this.clock })
    const listener = createInProcessListener({ clock: this.clock, accept: (connection) => this.#accept(connection) })
    this.network = new FlakyDialler(listener, this.clock)
  }

  static async open(options: ClientWorldOptions = {}): Promise<ClientWorld> {
    const world = new ClientWorld(options)
    await world.startBroker()
    return world
  }

  /** A client that is connected. What it reports goes into `errors` and `gaps`. */
  async connect(options: ClientOptions = {}): Promise<Client> {
    const client = this.client(options)
    await this.until(client.connected)
    return client
  }

  client(options: ClientOptions = {}): Client {
    const client = createClient({
      dialler: this.network,
      clock: this.clock,
      random: this.random.fork(`client ${this.#clientCount++}`),
    }, options)
    client.on('error', (error) => this.errors.push(error))
    client.on('gap', (gap) => this.gaps.push(gap))
    return client
  }

  async startBroker(): Promise<void> {
    const { clock, limits } = this
    const flushQueue = new FlushQueue(clock)
    const counters = new SessionCounters()
    const broker = await until(clock, Broker.open({
      store: this.#store,
      clock,
      random: this.random.fork('broker'),
      log: silentLog,
      limits,
      autoCreateTopics: true,
      released: () => flushQueue.flushAll(),
    }))
    this.#broker = broker
    const replies = new ReplyRouter(limits)
    const sessions = new Set<ServerSession>()
    this.#sessions = sessions
    this.#accept = (connection) => {
      const session = new ServerSession(connection, {
        broker, clock, limits, flushQueue, counters, replies,
        log: silentLog,
        relayId: 'relay',
        authenticate: this.#authenticate,
        ended: (ended) => sessions.delete(ended),
      })
      sessions.add(session)
      return session
    }
  }

  /** As a kill: nobody is told, nothing that is not durable stays. */
  stopBroker(): void {
    this.#broker?.close()
    this.#broker = undefined
    this.#accept = (connection) => {
      connection.close(1006, 'nobody there')
      return { message() {}, closed() {} }
    }
    this.network.cut()
  }

  /** As an operator does: clients are told, then closed with RELAY_STOPPING. */
  async drainBroker(retryAfterMs: number): Promise<void> {
    for (const session of this.#sessions) session.announceStop(retryAfterMs)
    await settle(this.clock)
    for (const session of this.#sessions) session.finish('RELAY_STOPPING', 'the relay is stopping')
    await settle(this.clock)
    this.stopBroker()
  }

  #accept: (connection: Connection) => ConnectionHandler = () => ({ message() {}, closed() {} })

  settle(): Promise<void> {
    return settle(this.clock)
  }

  pass(byMs: number): Promise<void> {
    return pass(this.clock, byMs)
  }

  until<T>(promise: Promise<T>, withinMs?: number): Promise<T> {
    return until(this.clock, promise, withinMs)
  }
}
